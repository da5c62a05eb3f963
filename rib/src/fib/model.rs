//! The kernel as the reconciler sees it: what can be observed and what can be asked.
//!
//! These are values without behaviour. The netlink adapter translates them to and from messages,
//! the fake kernel of the tests keeps them in maps. Two rules keep foreign state safe: every
//! operation is about our protocol number only (the adapter puts it into each message, and the
//! kernel compares it when it deletes), and ids of next hop objects come from
//! [`own_ids`](super::next_hops) alone.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use smallvec::SmallVec;

/// A neighbor on a link: what a next hop object stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The neighbor's address.
    pub gateway: IpAddr,
    /// Index of the interface it is reached through.
    pub interface: u32,
    /// The kernel takes it for a neighbor on that link although no address says so: the far end of
    /// a tunnel (`RTNH_F_ONLINK`).
    pub is_onlink: bool,
}

/// A neighbor with its share of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The neighbor.
    pub hop: Hop,
    /// Share, from 1.
    pub weight: u8,
}

/// An interface as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `ifindex`.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Has carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// `IFF_LOOPBACK`.
    pub loopback: bool,
    /// Bytes of the largest packet.
    pub mtu: u32,
}

impl Link {
    /// Packets can leave through it; the kernel refuses next hops on any other link.
    pub(super) fn usable(&self) -> bool {
        self.up && self.carrier
    }
}

/// What a route in the kernel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObservedKind {
    /// Forwards.
    Unicast,
    /// Drops: blackhole, unreachable, prohibit, throw.
    Discard,
    /// Local, broadcast, multicast, NAT: never resolves a next hop.
    Other,
}

/// One way out of a route in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservedHop {
    /// `None`: destinations are on the link itself.
    pub gateway: Option<IpAddr>,
    /// Interface index.
    pub interface: u32,
    /// Share, from 1.
    pub weight: u8,
}

/// A route in the kernel, anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRoute {
    /// Destination, host bits zero.
    pub prefix: IpNet,
    /// Table.
    pub table: u32,
    /// `RTA_PRIORITY`.
    pub metric: u32,
    /// `rtm_protocol`.
    pub protocol: u8,
    /// What it does.
    pub kind: ObservedKind,
    /// Where it leaves; also given for a route behind a next hop object.
    pub hops: SmallVec<[ObservedHop; 1]>,
    /// `RTA_NH_ID`.
    pub next_hop_id: Option<u32>,
}

/// A next hop object or group in the kernel, anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNextHop {
    /// Its id: one number space for the whole network namespace.
    pub id: u32,
    /// `nh_protocol`.
    pub protocol: u8,
    /// What it stands for.
    pub content: NextHopContent,
}

/// Content of a next hop object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextHopContent {
    /// One neighbor.
    Single(Hop),
    /// A multipath group: member ids with their shares.
    Group(Vec<(u32, u8)>),
    /// Anything we never create (blackhole, bridge entry, interface only, resilient group).
    Other,
}

/// Why a notification was sent: by whose request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A row of a dump.
    Dump,
    /// Another process asked for the change.
    Foreign {
        /// It replaced what was there (`NLM_F_REPLACE`).
        replaced: bool,
    },
    /// The kernel did it by itself (link down, address removed).
    Kernel,
}

/// What a route of ours should lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTarget {
    /// A next hop group by id.
    Group(u32),
    /// Next hops written into the route itself, for kernels without next hop objects.
    Paths(Arc<[Member]>),
    /// A blackhole.
    Discard,
}

/// One request to the kernel. Table and protocol are those of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelOp {
    /// Creates a next hop object, or replaces one with the same id.
    PutNextHop {
        /// From our range.
        id: u32,
        /// What it stands for.
        hop: Hop,
    },
    /// Creates or replaces a group.
    PutGroup {
        /// From our range.
        id: u32,
        /// Object ids and shares.
        members: Vec<(u32, u8)>,
        /// It must exist already: `ENOENT` tells that it is gone, and its routes with it.
        must_exist: bool,
    },
    /// Deletes an object or group; the kernel removes what leads there.
    DeleteNextHop {
        /// From our range.
        id: u32,
    },
    /// Writes a route.
    PutRoute {
        /// Destination.
        prefix: IpNet,
        /// Metric, which together with prefix and table is its place.
        metric: u32,
        /// Where it leads.
        target: RouteTarget,
        /// Something of ours is or was in that place: overwrite. Otherwise `EEXIST` protects
        /// what another put there in the meantime.
        replace: bool,
    },
    /// Deletes a route of our protocol.
    DeleteRoute {
        /// Destination.
        prefix: IpNet,
        /// Metric.
        metric: u32,
    },
}

/// The kernel's refusal of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpError {
    /// Positive `errno`.
    pub errno: i32,
    /// Extended ack message.
    pub text: Option<String>,
}

/// `errno` values the reconciler tells apart. They are the same on every Linux architecture.
pub mod errno {
    /// No such object.
    pub const ENOENT: i32 = 2;
    /// No such route.
    pub const ESRCH: i32 = 3;
    /// There is one already.
    pub const EEXIST: i32 = 17;
    /// No such device.
    pub const ENODEV: i32 = 19;
    /// Malformed, or a next hop id or gateway that does not exist (any more).
    pub const EINVAL: i32 = 22;
    /// The device is down or has no carrier.
    pub const ENETDOWN: i32 = 100;
}
