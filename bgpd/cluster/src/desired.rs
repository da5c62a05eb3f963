//! The result: what this node announces, to whom it speaks, and under which policies.
//!
//! Everything is sorted and free of duplicates, so two results compare by value and the difference
//! is what has to be done. The types say what is wanted in BGP's words; `bgpd` turns them into its
//! own configuration and origins, where the file's own settings win over a cluster's.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use rib::policy::PolicyDef;

use crate::object::Kind;

/// Everything that is wanted of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// What starts here, sorted by (prefix, source, neighbors).
    pub announcements: Vec<Announcement>,
    /// Whom we speak to, sorted by address; each address once.
    pub neighbors: Vec<Neighbor>,
    /// The policies that `neighbors` name, sorted by name. Names start with the dialect's, as
    /// `calico:export:Mesh_10_0_0_3`.
    pub policies: Vec<PolicyDef>,
    /// What the cluster says of the router itself.
    pub router: RouterWish,
    /// Ranges of the cluster; no eBGP neighbor may announce them to us.
    pub own_ranges: OwnRanges,
    /// Routes to neighbors behind a gateway (Calico's `reachableBy`).
    pub static_routes: Vec<StaticRoute>,
    /// How routes of some ranges are to be written to the kernel.
    pub tunnels: Vec<Tunnel>,
    /// An object asks for this node to be drained, and which: announce with GRACEFUL_SHUTDOWN
    /// (RFC 8326), wait, then set [`crate::Facts::is_drained`]; `None` undoes that.
    pub drain: Option<Box<str>>,
    /// What is wrong with objects, for `show kubernetes`, the log and events. Sorted.
    pub faults: Vec<Fault>,
}

/// A route that starts here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announcement {
    /// The prefix, host bits zero.
    pub prefix: IpNet,
    /// `pod-cidr`, `cluster-ip`, `external-ip`, `load-balancer-ip`, `pool:NAME`: what policies
    /// match as `origin-source`.
    pub source: Box<str>,
    /// Only these neighbors; `None` = all, or, where other announcements of this prefix name
    /// neighbors, all others. Two announcements of one prefix have disjoint lists.
    pub neighbors: Option<Vec<IpAddr>>,
    /// What it carries.
    pub marks: Marks,
    /// The kernel should drop what nothing more specific takes.
    pub discard: bool,
    /// The objects that ask for it, as `Service default/web`, first the one whose marks count.
    pub objects: Vec<Box<str>>,
}

/// What a route of ours carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marks {
    /// Communities (RFC 1997), sorted.
    pub communities: Vec<u32>,
    /// Large communities (RFC 8092), sorted.
    pub large_communities: Vec<[u32; 3]>,
    /// LOCAL_PREF, else the router's default.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
}

/// Which AS a neighbor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAsn {
    /// Exactly this one (our own: iBGP).
    Exact(u32),
    /// Ours, whatever that is.
    Internal,
    /// Any but ours.
    External,
}

/// What a neighbor is to us; the move from mesh to reflectors asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeighborRole {
    /// Configured by an object or an annotation.
    #[default]
    Configured,
    /// The other end of the full mesh.
    Mesh,
    /// It reflects our routes.
    Reflector,
    /// We reflect its routes.
    Client,
}

/// Where a session stands while a cluster moves from mesh to reflectors or back; see
/// [`crate::mesh`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It is wanted.
    #[default]
    Stays,
    /// It is to end once neither side needs it.
    Ends,
    /// It stays, but the neighbor is no reflector any more: what it reflects will go.
    StopsReflecting,
    /// It stays, but the neighbor is to be our client no more once it can do without.
    Released,
}

/// What bgpd remembers of a neighbor of the cluster and gives back in
/// [`SessionFact`](crate::SessionFact).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// What it is to us.
    pub role: NeighborRole,
    /// Where the session stands.
    pub stage: Stage,
    /// We do not need what it sends (or reflects) any more, and tell it so: what we send it carries
    /// GRACEFUL_SHUTDOWN and LOCAL_PREF 0 (RFC 8326).
    pub retires: bool,
}

/// Which next hop the neighbor is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextHopMode {
    /// BGP's own rule: ours to eBGP, as received over iBGP.
    #[default]
    Auto,
    /// Always ours.
    SelfAddr,
    /// As received, to eBGP too.
    Keep,
}

/// A TCP-MD5 key. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where it came from, as `Secret metallb-system/tor, key password`.
    pub object: Box<str>,
    /// 1 to 80 octets.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({}, {} octets)", self.object, self.key.len())
    }
}

/// A neighbor. `None` leaves a value to the peer group of the file or to the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Its address.
    pub address: IpAddr,
    /// The object it comes from, as `BGPPeer tor`.
    pub object: Box<str>,
    /// What it is to us.
    pub role: NeighborRole,
    /// Where the session stands in a move.
    pub stage: Stage,
    /// As [`Standing::retires`].
    pub retires: bool,
    /// Its AS.
    pub asn: PeerAsn,
    /// The AS that we show instead of ours.
    pub local_asn: Option<u32>,
    /// Its port.
    pub port: Option<u16>,
    /// Our end of the session.
    pub local_address: Option<IpAddr>,
    /// Only it connects.
    pub passive: Option<bool>,
    /// Hold time; zero = no keepalives.
    pub hold_time: Option<Duration>,
    /// Keepalive interval.
    pub keepalive: Option<Duration>,
    /// Time between attempts to connect.
    pub connect_retry: Option<Duration>,
    /// TCP-MD5.
    pub password: Option<Secret>,
    /// A password was asked for and is not there: the session must stay down, never run without.
    pub password_missing: bool,
    /// GTSM, hops.
    pub ttl_security: Option<u8>,
    /// TTL of an eBGP session over several hops.
    pub ebgp_multihop: Option<u8>,
    /// Families offered: IPv4, IPv6 unicast; `None` = that of the address.
    pub families: Option<[bool; 2]>,
    /// We reflect its routes.
    pub route_reflector_client: bool,
    /// Next hop towards it.
    pub next_hop: NextHopMode,
    /// ADD-PATH both ways, as Calico's BIRD.
    pub add_path: bool,
    /// Graceful restart, with this restart time.
    pub graceful_restart: Option<Duration>,
    /// How often our own AS may be in a path it sends (0: never).
    pub allow_own_as: u8,
    /// BFD: transmit, receive, multiplier.
    pub bfd: Option<(Duration, Duration, u8)>,
    /// Import policy by name; `None`: everything inside, nothing outside (RFC 8212).
    pub import: Option<Box<str>>,
    /// Export policy by name; likewise.
    pub export: Option<Box<str>>,
}

impl Neighbor {
    /// A neighbor with nothing but address, AS and object.
    #[must_use]
    pub fn new(address: IpAddr, asn: PeerAsn, object: &str) -> Self {
        Self {
            address,
            object: object.into(),
            role: NeighborRole::Configured,
            stage: Stage::Stays,
            retires: false,
            asn,
            local_asn: None,
            port: None,
            local_address: None,
            passive: None,
            hold_time: None,
            keepalive: None,
            connect_retry: None,
            password: None,
            password_missing: false,
            ttl_security: None,
            ebgp_multihop: None,
            families: None,
            route_reflector_client: false,
            next_hop: NextHopMode::Auto,
            add_path: false,
            graceful_restart: None,
            allow_own_as: 0,
            bfd: None,
            import: None,
            export: None,
        }
    }

    /// What bgpd is to remember of it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            role: self.role,
            stage: self.stage,
            retires: self.retires,
        }
    }
}

/// What the cluster says of the router itself. The file wins; a difference is a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterWish {
    /// Our AS.
    pub asn: Option<u32>,
    /// Our BGP Identifier.
    pub router_id: Option<Ipv4Addr>,
    /// Our cluster identifier when we reflect.
    pub cluster_id: Option<Ipv4Addr>,
    /// The port we listen on.
    pub listen_port: Option<u16>,
    /// The addresses we listen on; empty = all.
    pub listen_addresses: Vec<IpAddr>,
    /// Metric of routes in the kernel.
    pub metric: Option<u32>,
}

/// Ranges of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRanges {
    /// Pods of the whole cluster.
    pub pods: Vec<IpNet>,
    /// Cluster addresses.
    pub services: Vec<IpNet>,
    /// Pools and external addresses.
    pub load_balancers: Vec<IpNet>,
}

/// A route to a neighbor that is not on a link of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaticRoute {
    /// The neighbor, as a host prefix.
    pub prefix: IpNet,
    /// Through here.
    pub via: IpAddr,
}

/// What packets are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// IP in IP, over `tunl0`.
    Ipip,
    /// VXLAN; who programs it today is Felix, so its routes are left alone.
    Vxlan,
    /// Nothing: a pool whose plain routes Felix programs.
    Plain,
    /// Nothing: addresses of services, whose packets kube-proxy takes before any route is looked
    /// at.
    Services,
}

/// When packets are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelMode {
    /// Always.
    Always,
    /// Towards nodes of another subnet.
    CrossSubnet,
}

/// How routes of a range are to be written to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The range (an IP pool).
    pub range: IpNet,
    /// The wrapping.
    pub kind: TunnelKind,
    /// When.
    pub mode: TunnelMode,
    /// The device, as `tunl0`; `None`: somebody else writes these routes, leave them out.
    pub device: Option<Box<str>>,
    /// The subnets that this node is in, for [`TunnelMode::CrossSubnet`].
    pub subnets: Vec<IpNet>,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object works, but not as somebody may expect.
    Warning,
    /// The object, or the part named, is left out.
    Error,
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// The object, as `BGPPeer metallb-system/tor`.
    pub object: Box<str>,
    /// Where in it, as `spec.peerAddress`; empty for the whole.
    pub path: Box<str>,
    /// How bad.
    pub severity: Severity,
    /// What is wrong and what to write instead.
    pub text: Box<str>,
}

/// The most letters of somebody's text that a fault repeats.
const SHOWN_LEN_MAX: usize = 80;

/// As much of a text as a fault repeats: whoever may write an object may write megabytes.
pub(crate) fn short(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(SHOWN_LEN_MAX) {
        None => text.into(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()).into(),
    }
}

impl Fault {
    /// An object that cannot be read at all; the name is added by who knows it.
    #[must_use]
    pub fn unreadable(kind: Kind, text: &str) -> Self {
        Self {
            object: kind.as_str().into(),
            path: "".into(),
            severity: Severity::Error,
            text: text.into(),
        }
    }
}
