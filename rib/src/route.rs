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

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// The name of an interface, at most 15 octets as Linux has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device([u8; Device::LEN_MAX]);

impl Device {
    /// Octets of the longest name (`IFNAMSIZ` without its end).
    const LEN_MAX: usize = 15;

    /// A name; `None` if no interface can have it.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut octets = [0; Self::LEN_MAX];
        let room = octets
            .get_mut(..name.len())
            .filter(|room| !room.is_empty())?;
        room.copy_from_slice(name.as_bytes());
        (!name.contains('\0')).then_some(Self(octets))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.0.split(|octet| *octet == 0).next();
        std::str::from_utf8(name.unwrap_or_default()).unwrap_or_default()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One way a route leaves this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FibNextHop {
    /// The BGP next hop. May be of the other family (RFC 8950).
    pub gateway: IpAddr,
    /// Interface index, given where the gateway is link-local.
    pub interface: Option<u32>,
    /// A tunnel: packets enter it with the gateway as their next hop, whatever its link says of the
    /// gateway (`onlink`). The route waits while there is no such interface.
    pub device: Option<Device>,
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
