//! What the RIB hands to the kernel side and what it gets back about next hops.
//!
//! A [`FibChange`] says what a prefix should be from now on, never what was there before: the
//! kernel side reconciles desired with observed state, so the latest change wins and an earlier
//! one that was not yet written may be dropped. Changes are coalesced per prefix before they
//! leave the RIB.
//!
//! The gateway of a [`FibNextHop`] is the BGP next hop as the peer announced it (or as policy set
//! it). It need not be on a connected network: the kernel side, which knows the routing table,
//! resolves it, so that one change of an underlying route moves all BGP routes behind it without
//! the RIB touching each of them (RFC 4271 §5.1.3, §9.1.2.1).

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// One way a route leaves this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FibNextHop {
    /// The BGP next hop. May be of the other family (RFC 8950).
    pub gateway: IpAddr,
    /// Interface index, given where the gateway is link-local.
    pub interface: Option<u32>,
    /// Share of the traffic among the next hops of one route, from 1.
    pub weight: u8,
}

/// What the kernel should do with packets for a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FibRoute {
    /// Forward; more than one next hop is ECMP. Sorted, so equal sets compare equal; shared, as a
    /// table of a million routes has few sets.
    Unicast(Arc<[FibNextHop]>),
    /// Drop: an aggregate of our own, against loops through the upstream (RFC 4632 §5.1).
    Discard,
}

/// The wanted state of one prefix; `None` means no route of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FibChange {
    /// The prefix.
    pub prefix: IpNet,
    /// What it should be from now on.
    pub route: Option<FibRoute>,
}

/// What the kernel side knows about a BGP next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct NextHopState {
    /// Whether packets to it would leave this machine.
    pub reachable: bool,
    /// Metric of the route towards it, the IGP metric of RFC 4271 §9.1.2.2 e.
    pub igp_metric: u32,
}
