//! What is refused before policy sees it.
//!
//! Loops and leaks are facts about a path, not opinions: a path that fails here is treated as
//! withdrawn, whatever policy says, and counted by reason. Syntax is not looked at; the codec has
//! done that (RFC 7606).
//!
//! The checks: our AS in AS_PATH (RFC 4271 §9.1.2), the first AS is the peer's (§6.3), our own
//! address as NEXT_HOP (§5.1.3), our identifier as ORIGINATOR_ID and our cluster in CLUSTER_LIST
//! (RFC 4456 §8), and routes that leaked (RFC 9234 §5).

use std::net::IpAddr;

use proto_codec::bgp::AttrSet;

use crate::peer::{PeerKind, PeerSession, RibConfig, Role};

/// Why a path was refused before policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// Our AS is in AS_PATH.
    AsLoop,
    /// AS_PATH does not begin with the AS of the peer.
    FirstAs,
    /// NEXT_HOP is one of our addresses, or none a packet can be sent to.
    NextHop,
    /// ORIGINATOR_ID is ours.
    OriginatorLoop,
    /// Our cluster is in CLUSTER_LIST.
    ClusterLoop,
    /// ONLY_TO_CUSTOMER says the route leaked.
    RouteLeak,
    /// More paths of one prefix, or more attribute sets, than the tables hold.
    TableFull,
}

impl Reject {
    /// All reasons, in the order of the counters.
    pub const ALL: [Reject; 7] = [
        Reject::AsLoop,
        Reject::FirstAs,
        Reject::NextHop,
        Reject::OriginatorLoop,
        Reject::ClusterLoop,
        Reject::RouteLeak,
        Reject::TableFull,
    ];

    /// What to call it in logs and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Reject::AsLoop => "own AS in AS path",
            Reject::FirstAs => "first AS is not the neighbor's",
            Reject::NextHop => "unusable next hop",
            Reject::OriginatorLoop => "own identifier as originator",
            Reject::ClusterLoop => "own cluster in cluster list",
            Reject::RouteLeak => "route leak (only-to-customer)",
            Reject::TableFull => "too many paths",
        }
    }
}

/// Routes refused so far, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejects([u64; Reject::ALL.len()]);

impl Rejects {
    /// Adds to a counter.
    pub(crate) fn add(&mut self, reason: Reject, routes: u64) {
        let counters = Reject::ALL.iter().zip(&mut self.0);
        for (_, count) in counters.filter(|(of, _)| **of == reason) {
            *count += routes;
        }
    }

    /// Adds all counters of another part of the tables.
    pub(crate) fn add_all(&mut self, other: &Rejects) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// All counters with their reasons.
    pub fn iter(&self) -> impl Iterator<Item = (Reject, u64)> {
        Reject::ALL.into_iter().zip(self.0)
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Looks for a reason to refuse a path of `session`.
pub(crate) fn check(
    attrs: &AttrSet,
    session: &PeerSession,
    config: &RibConfig,
) -> Result<(), Reject> {
    let path = attrs.as_path();
    let ours = |asn: u32| asn == config.asn || asn == session.local_asn;
    let allowed = usize::from(session.allow_own_as);
    if path.asns().any(ours) && path.asns().filter(|asn| ours(*asn)).count() > allowed {
        return Err(Reject::AsLoop);
    }
    if session.kind == PeerKind::External {
        if session.enforce_first_as && attrs.first_as() != Some(session.asn) {
            return Err(Reject::FirstAs);
        }
        leaked(attrs, session)?;
    } else {
        if attrs.originator_id() == Some(config.router_id) {
            return Err(Reject::OriginatorLoop);
        }
        if attrs.cluster_list().any(|id| id == config.cluster_id) {
            return Err(Reject::ClusterLoop);
        }
    }
    if unusable(attrs.next_hop().addr(), session, config) {
        return Err(Reject::NextHop);
    }
    Ok(())
}

/// RFC 9234 §5, ingress 1 and 2.
fn leaked(attrs: &AttrSet, session: &PeerSession) -> Result<(), Reject> {
    let (Some(role), Some(otc)) = (session.role, attrs.otc()) else {
        return Ok(());
    };
    let leak = match role {
        // The peer is our customer or our client: it must not send what only goes down.
        Role::Provider | Role::RouteServer => true,
        Role::Peer => otc != session.asn,
        Role::Customer | Role::RouteServerClient | Role::Unknown(_) => false,
    };
    if leak { Err(Reject::RouteLeak) } else { Ok(()) }
}

fn unusable(addr: IpAddr, session: &PeerSession, config: &RibConfig) -> bool {
    let on_session = match addr {
        IpAddr::V4(addr) => session.local_v4 == Some(addr),
        IpAddr::V6(addr) => {
            session.local_v6 == Some(addr) || session.local_link_local == Some(addr)
        }
    };
    on_session
        || config.own_addresses.contains(&addr)
        || addr.is_unspecified()
        || addr.is_loopback()
        || addr.is_multicast()
        || addr == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

/// The AS to put into ONLY_TO_CUSTOMER of a path that came without: that of a provider, a lateral
/// peer or a route server (RFC 9234 §5, ingress 3).
pub(crate) fn otc_to_add(attrs: &AttrSet, session: &PeerSession) -> Option<u32> {
    let from_above = matches!(
        session.role,
        Some(Role::Customer | Role::Peer | Role::RouteServerClient)
    );
    (session.kind == PeerKind::External && from_above && attrs.otc().is_none())
        .then_some(session.asn)
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
