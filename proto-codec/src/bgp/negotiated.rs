//! What two OPENs agree on: the one source of the decode and encode contexts.
//!
//! [`Negotiated::between`] is a pure function of the OPEN sent and the OPEN received, so the
//! session, the tests and a capture decoder come to the same answer. A feature is on when both
//! sides offered it; for ADD-PATH each direction is apart (RFC 7911 §4), for graceful restart the
//! peer's own offer is kept, because it says what the peer will do. Without any multiprotocol
//! capability a speaker means IPv4 unicast (RFC 4760 §8 read with RFC 4271).

use std::net::Ipv4Addr;

use super::capability::{AddPathMode, Capability, GracefulRestart, LlgrFamily, Role};
use super::open::Open;
use super::pack::EncodeContext;
use super::update::DecodeContext;
use super::{EXTENDED_MESSAGE_LEN_MAX, MESSAGE_LEN_MAX};
use crate::afi::{AfiSafi, Family};

/// The outcome of an OPEN exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// Our AS.
    pub local_asn: u32,
    /// The peer's AS.
    pub peer_asn: u32,
    /// The peer's identifier.
    pub peer_router_id: Ipv4Addr,
    /// The smaller hold time, seconds; 0 turns keepalives off (RFC 4271 §4.2).
    pub hold_time_s: u16,
    /// Families both speak, by [`Family::index`].
    pub families: [bool; 2],
    /// AS numbers have four octets on this session.
    pub four_octet_as: bool,
    /// The peer sends path identifiers.
    pub add_path_rx: [bool; 2],
    /// We send path identifiers.
    pub add_path_tx: [bool; 2],
    /// IPv4 unicast may have IPv6 next hops, RFC 8950.
    pub ext_next_hop: bool,
    /// ROUTE-REFRESH may be sent.
    pub route_refresh: bool,
    /// Refreshes are demarcated, RFC 7313.
    pub enhanced_refresh: bool,
    /// Messages up to 65,535 octets, RFC 8654.
    pub extended_message: bool,
    /// The peer's graceful restart offer, when we made one too.
    pub graceful_restart: Option<GracefulRestart>,
    /// The peer's long-lived graceful restart families, when both offered it and graceful restart.
    pub llgr: Vec<LlgrFamily>,
    /// The role we sent.
    pub local_role: Option<Role>,
    /// The role the peer sent.
    pub peer_role: Option<Role>,
}

impl Negotiated {
    /// What `local` (sent) and `remote` (received) agree on.
    pub fn between(local: &Open, remote: &Open) -> Self {
        let both = |code: u8| local.offers(code) && remote.offers(code);
        let families = Family::ALL.map(|family| local.speaks(family) && remote.speaks(family));
        let graceful_restart = local
            .graceful_restart()
            .and(remote.graceful_restart())
            .cloned();
        let llgr = match &graceful_restart {
            Some(_) if local.offers(71) => remote.llgr().to_vec(),
            _ => Vec::new(),
        };
        let add_path = |sender: &Open, receiver: &Open| {
            Family::ALL.map(|family| {
                family.pick(families)
                    && sender.add_path(family).is_some_and(AddPathMode::sends)
                    && receiver.add_path(family).is_some_and(AddPathMode::receives)
            })
        };
        Self {
            local_asn: local.asn,
            peer_asn: remote.asn,
            peer_router_id: remote.router_id,
            hold_time_s: local.hold_time_s.min(remote.hold_time_s),
            families,
            four_octet_as: both(65),
            add_path_rx: add_path(remote, local),
            add_path_tx: add_path(local, remote),
            ext_next_hop: local.ext_next_hop() && remote.ext_next_hop(),
            route_refresh: both(2),
            enhanced_refresh: both(70),
            extended_message: both(6),
            graceful_restart,
            llgr,
            local_role: local.role(),
            peer_role: remote.role(),
        }
    }

    /// Whether the peer is of another AS.
    pub fn is_external(&self) -> bool {
        self.local_asn != self.peer_asn
    }

    /// The largest message of this session, either way.
    pub fn max_len(&self) -> usize {
        if self.extended_message {
            EXTENDED_MESSAGE_LEN_MAX
        } else {
            MESSAGE_LEN_MAX
        }
    }

    /// How to read the peer's UPDATEs. AIGP is taken from internal peers only (the default of
    /// RFC 7311 §3.1); callers may change it, and every other policy field.
    pub fn decode_context(&self) -> DecodeContext {
        DecodeContext {
            four_octet_as: self.four_octet_as,
            ebgp: self.is_external(),
            local_asn: self.local_asn,
            peer_asn: self.peer_asn,
            add_path_rx: self.add_path_rx,
            families: self.families,
            ext_next_hop: self.ext_next_hop,
            aigp: !self.is_external(),
            reject_as_sets: true,
            enforce_first_as: true,
        }
    }

    /// How to write our UPDATEs.
    pub fn encode_context(&self) -> EncodeContext {
        EncodeContext {
            four_octet_as: self.four_octet_as,
            add_path_tx: self.add_path_tx,
            ext_next_hop: self.ext_next_hop,
            max_len: self.max_len(),
        }
    }
}

impl Open {
    /// Whether a capability with this code is there.
    pub fn offers(&self, code: u8) -> bool {
        self.capabilities
            .iter()
            .any(|capability| capability.code() == code)
    }

    /// Whether `family` is spoken: announced, or IPv4 unicast when nothing is announced.
    pub fn speaks(&self, family: Family) -> bool {
        let mut none_announced = true;
        for capability in &self.capabilities {
            if let Capability::Multiprotocol(announced) = capability {
                none_announced = false;
                if *announced == family.afi_safi() {
                    return true;
                }
            }
        }
        none_announced && family == Family::Ipv4Unicast
    }

    /// The ADD-PATH mode offered for `family`; the last one when said twice.
    pub fn add_path(&self, family: Family) -> Option<AddPathMode> {
        let tuples = self
            .capabilities
            .iter()
            .filter_map(|capability| match capability {
                Capability::AddPath(tuples) => Some(tuples),
                _ => None,
            });
        tuples
            .flatten()
            .rev()
            .find(|(of, _)| *of == family.afi_safi())
            .map(|(_, mode)| *mode)
    }

    /// The graceful restart offer; the last one when said twice (RFC 4724 §3).
    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        self.capabilities
            .iter()
            .rev()
            .find_map(|capability| match capability {
                Capability::GracefulRestart(restart) => Some(restart),
                _ => None,
            })
    }

    /// The long-lived graceful restart families; none when not offered.
    pub fn llgr(&self) -> &[LlgrFamily] {
        let found = self
            .capabilities
            .iter()
            .rev()
            .find_map(|capability| match capability {
                Capability::LongLivedGracefulRestart(families) => Some(families.as_slice()),
                _ => None,
            });
        found.unwrap_or_default()
    }

    /// The role offered. When several are offered with different values the session must be refused
    /// with 2/11 (RFC 9234 §4.2): see [`Open::roles_conflict`].
    pub fn role(&self) -> Option<Role> {
        self.roles().next()
    }

    /// Whether different roles are offered in one OPEN.
    pub fn roles_conflict(&self) -> bool {
        let mut roles = self.roles();
        let first = roles.next();
        roles.any(|role| Some(role) != first)
    }

    fn roles(&self) -> impl Iterator<Item = Role> {
        self.capabilities
            .iter()
            .filter_map(|capability| match capability {
                Capability::Role(role) => Some(*role),
                _ => None,
            })
    }

    /// Whether IPv4 unicast with IPv6 next hops is offered.
    pub fn ext_next_hop(&self) -> bool {
        self.capabilities.iter().any(|capability| match capability {
            Capability::ExtendedNextHop(tuples) => tuples.contains(&(AfiSafi::IPV4_UNICAST, 2)),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(asn: u32, capabilities: Vec<Capability>) -> Open {
        Open {
            asn,
            hold_time_s: 90,
            router_id: Ipv4Addr::new(10, 0, 0, 1),
            capabilities,
        }
    }

    #[test]
    fn no_multiprotocol_capability_means_ipv4_unicast() {
        let both = vec![
            Capability::Multiprotocol(AfiSafi::IPV4_UNICAST),
            Capability::Multiprotocol(AfiSafi::IPV6_UNICAST),
        ];
        let n = Negotiated::between(&open(1, both.clone()), &open(2, vec![]));
        assert_eq!((n.families, n.four_octet_as), ([true, false], false));
        let n = Negotiated::between(&open(1, both.clone()), &open(2, both[1..].to_vec()));
        assert_eq!(n.families, [false, true]);
    }

    #[test]
    fn add_path_directions_are_negotiated_apart() {
        let offer = |mode| {
            open(
                1,
                vec![Capability::AddPath(vec![(AfiSafi::IPV4_UNICAST, mode)])],
            )
        };
        let n = Negotiated::between(&offer(AddPathMode::Receive), &offer(AddPathMode::Both));
        assert_eq!(
            (n.add_path_rx, n.add_path_tx),
            ([true, false], [false, false])
        );
        let n = Negotiated::between(&offer(AddPathMode::Send), &offer(AddPathMode::Send));
        assert_eq!(
            (n.add_path_rx, n.add_path_tx),
            ([false, false], [false, false])
        );
    }
}
