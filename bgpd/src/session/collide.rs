//! Connection collision as a pure function (RFC 4271 §6.8, RFC 6286 §2.3).
//!
//! When both sides dial at once there are two TCP connections between one pair of speakers.
//! Both must pick the same survivor without talking about it, so the choice depends only on
//! what both know: the two BGP identifiers, the two AS numbers, and who dialled. The connection
//! opened by the speaker with the higher identifier stays; equal identifiers (legal between
//! different ASes since RFC 6286) are decided by the higher AS number.
//!
//! The machine asks [`survivor`] the moment an OPEN has been accepted. Two connections opened by
//! the *same* side cannot be told apart that way. The older of them is one the peer has given up
//! (it restarted, or its attempt timed out while our side was already open), so the newer stays.

use std::net::Ipv4Addr;

/// Who opened a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The peer dialled us.
    Inbound,
    /// We dialled the peer.
    Outbound,
}

/// What one speaker shows in its OPEN and the comparison needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// BGP identifier.
    pub router_id: Ipv4Addr,
    /// AS number, four octets.
    pub asn: u32,
}

/// Which direction survives a collision between `local` and `remote`.
///
/// Of equal identities (which OPEN validation refuses) inbound survives: any fixed answer will
/// do, as the session cannot come up.
pub fn survivor(local: Identity, remote: Identity) -> Direction {
    if (local.router_id, local.asn) > (remote.router_id, remote.asn) {
        Direction::Outbound
    } else {
        Direction::Inbound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: u8, asn: u32) -> Identity {
        Identity {
            router_id: Ipv4Addr::new(10, 0, 0, last),
            asn,
        }
    }

    #[test]
    fn connection_of_the_higher_identifier_survives_rfc4271_6_8() {
        assert_eq!(survivor(id(2, 1), id(1, 9)), Direction::Outbound);
        assert_eq!(survivor(id(1, 9), id(2, 1)), Direction::Inbound);
    }

    #[test]
    fn equal_identifiers_are_decided_by_the_higher_as_rfc6286_2_3() {
        assert_eq!(survivor(id(1, 65002), id(1, 65001)), Direction::Outbound);
        assert_eq!(survivor(id(1, 65001), id(1, 65002)), Direction::Inbound);
    }

    #[test]
    fn identifiers_compare_as_unsigned_numbers() {
        let high = Identity {
            router_id: Ipv4Addr::new(200, 0, 0, 1),
            asn: 1,
        };
        assert_eq!(survivor(high, id(9, 1)), Direction::Outbound);
    }

    #[test]
    fn both_sides_always_name_the_same_connection() {
        for (a, b) in [
            (id(1, 1), id(2, 1)),
            (id(7, 3), id(7, 4)),
            (id(9, 1), id(3, 8)),
        ] {
            assert_ne!(survivor(a, b), survivor(b, a), "{a:?} {b:?}");
        }
    }
}
