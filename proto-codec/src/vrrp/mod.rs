//! VRRP: the virtual router redundancy protocol, versions 2 and 3, IPv4 and IPv6.
//!
//! [`Advert::decode`] reads the payload of an IP packet of protocol 112 together with what its IP
//! header said ([`Envelope`]), because the checksum of version 3 covers addresses of that header;
//! [`Advert::encode`] writes one. Between them they are exact: whatever is accepted is written
//! again as the same octets, reserved bits apart.
//!
//! The checksum of version 3 over IPv4 has two readings in the field. RFC 5798 was read by
//! keepalived and FRR as "with a pseudo header, as for IPv6"; RFC 9568 §5.2.8 says that IPv4 has
//! none. Both are accepted and reported ([`ChecksumForm`]), because a router that takes only one
//! becomes a second master beside a router that sends only the other.
//!
//! [`trailer`] authenticates an advert by an HMAC behind it; [`Advert::decode_signed`] reads both.
//!
//! [`announce`] writes the gratuitous ARP and the unsolicited neighbor advertisement that follow
//! a transition, [`frame`] adverts whose source is the virtual MAC.
//!
//! What it refuses, each with its reason ([`Flaw`]): other versions and types, lengths that do not
//! match the number of addresses, no address at all (erratum 8299), wrong checksums, interval 0
//! (erratum 8301), an IPv6 list that does not begin with a link-local address, the IPsec header of
//! RFC 2338. The hop limit is not judged here: unicast peers may allow another.
//!
//! Sections: RFC 9568 §5, RFC 5798 §5, RFC 3768 §5, RFC 2338 §5.3.6.

mod advert;
pub mod announce;
mod checksum;
mod flaw;
pub mod frame;
#[cfg(test)]
mod tests;
pub mod trailer;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use advert::{AddressList, Advert, Auth, Draft, PASS_LEN};
pub use checksum::ChecksumForm;
pub use flaw::Flaw;

/// IP protocol number (RFC 9568 §5.1.1.4).
pub const PROTOCOL: u8 = 112;

/// Where IPv4 adverts go (RFC 9568 §5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Where IPv6 adverts go (RFC 9568 §5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// TTL and hop limit of every multicast advert (RFC 9568 §5.1.1.3).
pub const HOP_LIMIT: u8 = 255;

/// Priority of the router that owns the addresses (RFC 9568 §5.2.4).
pub const PRIORITY_OWNER: u8 = 255;

/// Priority of a master that lets go (RFC 9568 §5.2.4).
pub const PRIORITY_RELEASE: u8 = 0;

/// Most addresses of one advert: the count is one octet.
pub const ADDRESSES_MAX: usize = 255;

/// Version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 3768: IPv4, whole seconds, authentication data.
    V2,
    /// RFC 9568 and RFC 5798: IPv4 and IPv6, centiseconds.
    V3,
}

impl Version {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// What the IP header around an advert said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Sender: the primary address of its interface.
    pub source: IpAddr,
    /// The group, or a unicast peer.
    pub destination: IpAddr,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
}

impl Envelope {
    /// The envelope of a multicast advert from `source`.
    #[must_use]
    pub fn multicast(source: IpAddr) -> Self {
        let destination = match source {
            IpAddr::V4(_) => GROUP_V4.into(),
            IpAddr::V6(_) => GROUP_V6.into(),
        };
        Self {
            source,
            destination,
            hop_limit: HOP_LIMIT,
        }
    }
}

/// The virtual router MAC address (RFC 9568 §7.3).
#[must_use]
pub fn virtual_mac(vrid: u8, ipv6: bool) -> [u8; 6] {
    [0, 0, 0x5e, 0, if ipv6 { 2 } else { 1 }, vrid]
}
