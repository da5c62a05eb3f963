//! What the daemon and the kernel side say to each other.
//!
//! The daemon hands over [`FibChange`]s (what it wants) and addresses to track; it gets
//! [`KernelEvent`]s back (what became of it), and snapshots for `show`: interfaces, counters, and
//! the routes that were asked for beside those the kernel holds. Everything here is plain data,
//! so that the reconciler, the netlink adapter and tests with a fake kernel share one vocabulary.
//!
//! Interface indexes are the kernel's `ifindex`, metrics the kernel's `RTA_PRIORITY`: a lower one
//! is preferred.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

pub use crate::route::{Device, FibChange, FibNextHop, FibRoute, NextHopState};

/// The kernel's main table.
pub const TABLE_MAIN: u32 = 254;

/// Metric of a discard route of an own aggregate. It is the worst but one that exists, so that a
/// local route for the same prefix always wins; a more specific one wins anyway. (The very worst,
/// 2^32 - 1, is what IPv6 uses for its own unreachable default route.)
pub const DISCARD_METRIC: u32 = u32::MAX - 1;

/// Where and how routes are written: the `[kernel]` table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelConfig {
    /// Table that gets the routes; next hops are resolved in it and in the main table.
    pub table: u32,
    /// Metric of every unicast route; discard routes have [`DISCARD_METRIC`].
    pub metric: u32,
    /// Most next hops of one route, 1 = no ECMP.
    pub multipath: u16,
    /// `rtm_protocol` of every route and next hop owned; nothing else is ever changed. Two
    /// daemons in one network namespace need two numbers.
    pub protocol: u8,
    /// Writes nothing and removes nothing: next hops and interfaces are watched only.
    pub watch_only: bool,
    /// Routes lead to next hop groups. False, and by itself on kernels before 5.3: each route
    /// carries its next hops, so a change of a next hop rewrites all routes behind it.
    pub next_hop_objects: bool,
    /// The default route resolves next hops too. With tunnels to nodes of other subnets, which lie
    /// behind the default gateway more often than not.
    pub default_route: bool,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            table: TABLE_MAIN,
            metric: 20,
            multipath: 64,
            protocol: 186,
            watch_only: false,
            next_hop_objects: true,
            default_route: false,
        }
    }
}

/// What the kernel side reports. Delivered on its own thread: a receiver passes it on at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelEvent {
    /// The first dump is in: interfaces and next hops are known. Routes and next hop objects of
    /// an earlier run were found and are kept until [`FibChange`]s or the end of resync decide.
    Ready {
        /// Routes of ours that were in the kernel already.
        adopted: usize,
    },
    /// A tracked address became reachable or unreachable, or its metric changed. The first
    /// answer for an address comes without a change as well.
    NextHop {
        /// The address that was tracked.
        addr: IpAddr,
        /// What the kernel's routes say of it.
        state: NextHopState,
    },
    /// Someone else deleted or changed something of ours; it is being written again.
    Restored {
        /// What it was.
        what: KernelItem,
        /// What the other had done to it.
        cause: Meddling,
    },
    /// Routes that the end of resync (or its deadline) found unwanted were taken out.
    StaleRemoved {
        /// How many.
        count: usize,
    },
    /// Everything asked for so far is in the kernel, errors apart.
    Installed {
        /// Routes of ours in the kernel now.
        routes: usize,
        /// Routes written or deleted since it was last so.
        written: usize,
        /// How long that took, from the first change on.
        took: Duration,
    },
    /// The kernel refused a route or next hop; it is tried again later.
    Failed {
        /// What was to be written.
        what: KernelItem,
        /// `errno` of the answer.
        errno: i32,
        /// The kernel's own words where it gave any (extended ack).
        text: Option<String>,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// Another protocol holds a route with our prefix, metric and table, or the prefix is a
    /// network directly on a link: ours waits.
    Conflict {
        /// The route.
        prefix: IpNet,
        /// The other's protocol number.
        protocol: u8,
    },
    /// Notifications were lost; everything is read again and compared.
    Overrun,
    /// A comparison with the kernel found and repaired differences that no event had told.
    AuditRepaired {
        /// Routes written again.
        routes: usize,
    },
    /// An interface appeared, changed or went away, or its addresses changed.
    Interface(InterfaceChange),
    /// The netlink sockets do not work any more; they are opened again after a pause.
    Disconnected {
        /// `errno` of the failure.
        errno: i32,
    },
}

/// What another user of the table did to something of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// It was deleted.
    Deleted,
    /// It was replaced by, or changed to, something else.
    Changed,
}

/// One thing of ours in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelItem {
    /// A route.
    Route(IpNet),
    /// A next hop object: gateway and interface.
    NextHop(IpAddr, u32),
    /// A next hop group, by its id.
    Group(u32),
}

impl fmt::Display for KernelItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(prefix) => write!(f, "route {prefix}"),
            Self::NextHop(gateway, index) => write!(f, "next hop {gateway} interface {index}"),
            Self::Group(id) => write!(f, "next hop group {id}"),
        }
    }
}

/// An interface with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's index.
    pub index: u32,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Administratively up and with carrier: packets can leave through it.
    pub usable: bool,
    /// A loopback interface.
    pub loopback: bool,
    /// Bytes of the largest packet.
    pub mtu: u32,
    /// Addresses with the length of their subnet, host bits kept, in the kernel's order.
    pub addresses: Vec<IpNet>,
}

/// What happened to an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceChange {
    /// It is new, or something of it changed: this is how it looks now.
    Present(Interface),
    /// It is gone.
    Gone {
        /// The index it had.
        index: u32,
        /// The name it had.
        name: String,
    },
}

/// Counters and gauges of the kernel side. Counters only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelStats {
    /// Routes asked for.
    pub routes_wanted: usize,
    /// Routes of ours in the kernel, stale ones included.
    pub routes_installed: usize,
    /// Routes of an earlier run that nobody has asked for yet.
    pub routes_stale: usize,
    /// Routes that wait to be written.
    pub routes_pending: usize,
    /// Routes not written because none of their next hops is reachable.
    pub routes_waiting: usize,
    /// Routes the kernel refused, waiting for another try.
    pub routes_failing: usize,
    /// Next hop objects of ours.
    pub next_hops: usize,
    /// Next hop groups of ours.
    pub groups: usize,
    /// Addresses tracked.
    pub tracked: usize,
    /// Route messages sent.
    pub routes_written: u64,
    /// Batches sent (one system call each).
    pub batches: u64,
    /// Group replacements: each moved all routes behind it.
    pub groups_replaced: u64,
    /// Errors the kernel answered.
    pub errors: u64,
    /// Routes restored after others deleted or changed them.
    pub restored: u64,
    /// Routes of an earlier run that were taken over without being written.
    pub adopted: u64,
    /// Stale routes removed.
    pub stale_removed: u64,
    /// Times that notifications were lost.
    pub overruns: u64,
    /// Full comparisons with the kernel.
    pub audits: u64,
    /// Routes that a comparison had to repair.
    pub audit_repairs: u64,
    /// Events not delivered because too many of one kind came at once.
    pub events_suppressed: u64,
}

/// Which routes `show ip route` asks for. One page is answered at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteQuery {
    /// IPv4 (true) or IPv6.
    pub ipv4: bool,
    /// Only routes of ours.
    pub ours: bool,
    /// Only this prefix.
    pub prefix: Option<IpNet>,
    /// Resume after this prefix (the `next` of the page before).
    pub after: Option<IpNet>,
    /// Most prefixes in the page.
    pub max: usize,
}

/// One page of routes, ascending by prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutePage {
    /// The routes: for one prefix by metric.
    pub rows: Vec<RouteView>,
    /// Where the next page resumes; `None`: this was the last.
    pub next: Option<IpNet>,
}

/// A route as asked for and as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// Destination.
    pub prefix: IpNet,
    /// Table.
    pub table: u32,
    /// `rtm_protocol`.
    pub protocol: u8,
    /// Metric.
    pub metric: u32,
    /// What the kernel does with a packet.
    pub kind: RouteKind,
    /// This route is ours.
    pub ours: bool,
    /// We ask for it; false for a stale route of an earlier run, and for routes of others.
    pub wanted: bool,
    /// It is in the kernel as it should be.
    pub installed: bool,
    /// What BGP gave as next hops; empty for routes of others.
    pub via: Vec<FibNextHop>,
    /// Where packets leave: the next hops as resolved.
    pub next_hops: Vec<RouteNextHop>,
    /// Id of the next hop group or object in the kernel.
    pub next_hop_id: Option<u32>,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// It forwards.
    Unicast,
    /// It drops (blackhole, unreachable, prohibit, throw).
    Discard,
}

/// One way out of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteNextHop {
    /// The neighbor on the link; `None`: directly connected.
    pub gateway: Option<IpAddr>,
    /// Interface index.
    pub interface: u32,
    /// Interface name.
    pub name: String,
    /// Share among the next hops, from 1.
    pub weight: u8,
}

/// What `netlink::cleanup` took out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanupReport {
    /// Routes deleted.
    pub routes: usize,
    /// Next hop groups deleted.
    pub groups: usize,
    /// Next hop objects deleted.
    pub next_hops: usize,
    /// What the kernel refused to delete.
    pub refused: usize,
}
