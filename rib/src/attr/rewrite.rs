//! What happens to attributes on their way to a peer.
//!
//! One [`Rewrite`] says how our side of a session writes attributes; it is part of the identity of
//! an update group, so it holds resolved values only and derives its comparison. Applied when a
//! message is encoded, once per run of routes of one set, straight into octets: rewritten sets are
//! never stored. What is shown is made of the same octets.
//!
//! - To another AS: our AS in front (RFC 4271 §5.1.2), our address as NEXT_HOP (§5.1.3; the
//!   third-party next hop on a shared subnet is left to policy), no LOCAL_PREF (§5.1.5), MED only
//!   if it is ours or policy set it (§5.1.4), no attributes of route reflection (RFC 4456 §8), no
//!   non-transitive ones, ONLY_TO_CUSTOMER as RFC 9234 §5 wants it.
//! - Within the AS: LOCAL_PREF always (§5.1.5), NEXT_HOP as it is unless `next-hop-self` is set
//!   and the route did not come over iBGP, and ORIGINATOR_ID and CLUSTER_LIST when the route is
//!   reflected (RFC 4456 §8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto_codec::afi::Family;
use proto_codec::bgp::{AttrSet, NextHop, Outgoing};

use super::OutAttr;
use crate::path::PathKind;
use crate::peer::{PeerKind, Role};

/// How attributes are written towards a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rewrite {
    pub family: Family,
    pub kind: PeerKind,
    pub local_asn: u32,
    pub local_v4: Option<Ipv4Addr>,
    pub local_v6: Option<Ipv6Addr>,
    pub local_link_local: Option<Ipv6Addr>,
    pub cluster_id: Ipv4Addr,
    pub next_hop_self: bool,
    pub next_hop_keep: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub ext_next_hop: bool,
    pub role: Option<Role>,
    pub default_local_pref: u32,
}

/// What rewriting needs to know about where a path came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceOfPath {
    pub kind: PathKind,
    /// It came from a client of ours.
    pub client: bool,
    /// BGP Identifier of the peer it came from.
    pub router_id: Ipv4Addr,
}

impl Rewrite {
    /// What is changed of a set for the peer; `None` when we have no address to put as next hop, so
    /// the route cannot be announced at all.
    pub fn changes(&self, out: OutAttr, set: &AttrSet, source: SourceOfPath) -> Option<Outgoing> {
        let next_hop = self.next_hop(out, set, source)?;
        let plain = Outgoing::with_next_hop(next_hop);
        if self.kind == PeerKind::External {
            return Some(Outgoing {
                prepend: Some(self.local_asn),
                drop_med: !out.keeps_med() && source.kind != PathKind::Local,
                leaves_as: true,
                otc: Some(self.local_asn).filter(|_| self.marks_customers()),
                ..plain
            });
        }
        let reflected = source.kind == PathKind::Internal;
        Some(Outgoing {
            local_pref: Some(self.default_local_pref),
            originator_id: Some(source.router_id).filter(|_| reflected),
            cluster: Some(self.cluster_id).filter(|_| reflected),
            ..plain
        })
    }

    /// The attributes as the peer gets them; `None` when it cannot be told.
    pub fn apply(&self, out: OutAttr, set: &AttrSet, source: SourceOfPath) -> Option<AttrSet> {
        let changes = self.changes(out, set, source)?;
        let mut block = Vec::new();
        set.write_as(&changes, &mut block)
            .then(|| AttrSet::from_block(&block, changes.next_hop))
    }

    /// Whether we must add ONLY_TO_CUSTOMER towards this peer: it is our customer, our lateral
    /// peer, or our client as a route server (RFC 9234 §5, egress 1).
    fn marks_customers(&self) -> bool {
        matches!(
            self.role,
            Some(Role::Provider | Role::Peer | Role::RouteServer)
        )
    }

    /// Our own address as the next hop of this family.
    pub fn own_next_hop(&self) -> Option<NextHop> {
        let v6 = match (self.local_v6, self.local_link_local) {
            (Some(global), link_local) => Some(NextHop::V6 { global, link_local }),
            // RFC 2545 wants a global address; without one (unnumbered) the link-local stands
            // alone, as FRR and BIRD send it.
            (None, Some(global)) => Some(NextHop::V6 {
                global,
                link_local: None,
            }),
            (None, None) => None,
        };
        match self.family {
            Family::Ipv6Unicast => v6,
            Family::Ipv4Unicast => self
                .local_v4
                .map(NextHop::V4)
                .or(v6.filter(|_| self.ext_next_hop)),
        }
    }

    fn next_hop(&self, out: OutAttr, set: &AttrSet, source: SourceOfPath) -> Option<NextHop> {
        let have = set.next_hop();
        let ours = match source.kind {
            // A route that starts here names no next hop unless an operator gave one.
            PathKind::Local => have.addr().is_unspecified(),
            _ if out.keeps_next_hop() || self.next_hop_keep => false,
            _ if self.kind == PeerKind::External => true,
            PathKind::External => self.next_hop_self,
            PathKind::Internal => false,
        };
        let ours = ours
            || (source.kind == PathKind::Local
                && self.kind == PeerKind::External
                && !out.keeps_next_hop());
        if ours || !self.can_carry(have) {
            return self.own_next_hop();
        }
        Some(match have {
            // The link-local address means something on the link it came from only.
            NextHop::V6 { global, .. } => NextHop::V6 {
                global,
                link_local: None,
            },
            v4 => v4,
        })
    }

    /// Whether the peer can be told this next hop and make sense of it.
    fn can_carry(&self, next_hop: NextHop) -> bool {
        match (self.family, next_hop.addr()) {
            (Family::Ipv4Unicast, IpAddr::V4(_)) => true,
            (_, IpAddr::V6(addr)) if addr.is_unicast_link_local() => false,
            (Family::Ipv4Unicast, IpAddr::V6(_)) => self.ext_next_hop,
            (Family::Ipv6Unicast, IpAddr::V6(_)) => true,
            (Family::Ipv6Unicast, IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
