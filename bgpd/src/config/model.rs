//! The resolved configuration: what the daemon runs on.
//!
//! Everything here is final: groups are inherited, mesh members are neighbors like any other,
//! defaults are applied, key files are read, and every reference (policy, group, neighbor) is
//! known to exist. Nothing downstream asks "was it given?" except where absence means something
//! of its own, and then the type says so.
//!
//! The types carry no spans and no raw text. Two files that mean the same resolve to equal
//! values, which is what lets `Plan::between` (see `plan`) be a comparison of values and not of
//! text: writing a default out explicitly is not a change. FRR's reload tool resets sessions in
//! exactly that case.
//!
//! Families are `[bool; 2]`, indexed as `proto_codec::afi::Family::index`: IPv4, then IPv6
//! unicast.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use rib::policy::PolicyDef;

use super::kubernetes::{ClusterPart, Kubernetes, NeighborObject};

/// A whole configuration, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This router.
    pub router: Router,
    /// Where routes are written; `None` writes nothing to the kernel.
    pub kernel: Option<Kernel>,
    /// The named policies; `accept-all` and `reject-all` are predefined and not listed.
    pub policies: Vec<PolicyDef>,
    /// Configured neighbors and mesh members, in the order of the file, mesh last.
    pub neighbors: Vec<Neighbor>,
    /// Prefixes from which neighbors may connect without being listed.
    pub listen_ranges: Vec<ListenRange>,
    /// Routes that start here.
    pub advertise: Vec<Advertise>,
    /// LoadBalancer addresses.
    pub pools: Vec<Pool>,
    /// The Kubernetes source, when one is asked for.
    pub kubernetes: Option<Kubernetes>,
    /// The metrics listener, when one is asked for.
    pub metrics: Option<Metrics>,
    /// How the engine runs.
    pub engine: Engine,
    /// What the cluster adds to the file; nothing in a file alone.
    pub cluster: ClusterPart,
}

/// `[router]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// This router's AS, 1 to 4294967295, never 23456 (RFC 6793 §2). 0: the file leaves it to the
    /// cluster; the daemon waits for it before it starts to speak.
    pub asn: u32,
    /// BGP Identifier (RFC 6286): never 0.0.0.0.
    pub router_id: Ipv4Addr,
    /// Cluster identifier when reflecting (RFC 4456 §7); the router id unless given.
    pub cluster_id: Ipv4Addr,
    /// Listening sockets. Empty = never listen.
    pub listen: Vec<SocketAddr>,
    /// LOCAL_PREF of routes that come without one.
    pub default_local_pref: u32,
    /// Multipath accepts AS paths of equal length that differ.
    pub multipath_relax: bool,
}

/// `[kernel]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Routing table, 1 to 4294967295; 254 is the main table.
    pub table: u32,
    /// Route metric (IPv4 and IPv6).
    pub metric: u32,
    /// Most next hops of one route; 1 = no ECMP.
    pub multipath: u16,
    /// `rtm_protocol` of every route we own.
    pub protocol: u8,
    /// The default route resolves next hops too: the cluster's tunnels ask for it.
    pub default_route: bool,
}

/// Whom a neighbor block is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NeighborAddress {
    /// An address reachable by routing.
    Address(IpAddr),
    /// A link-local address on an interface.
    LinkLocal(Ipv6Addr, String),
    /// Whoever is on the other end of the interface (unnumbered).
    Interface(String),
}

impl NeighborAddress {
    /// The address, unless it is yet to be discovered.
    pub fn addr(&self) -> Option<IpAddr> {
        match self {
            Self::Address(addr) => Some(*addr),
            Self::LinkLocal(addr, _) => Some(IpAddr::V6(*addr)),
            Self::Interface(_) => None,
        }
    }
}

impl fmt::Display for NeighborAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(addr) => write!(f, "{addr}"),
            Self::LinkLocal(addr, interface) => write!(f, "{addr}%{interface}"),
            Self::Interface(interface) => f.write_str(interface),
        }
    }
}

/// Where a neighbor came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborOrigin {
    /// A `[[neighbor]]` block.
    Configured,
    /// `[mesh] members`.
    Mesh,
    /// An object of the cluster.
    Cluster,
    /// It connected out of a `[[listen-range]]`.
    Dynamic,
}

/// One neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Whom we speak to.
    pub address: NeighborAddress,
    /// Where it came from.
    pub origin: NeighborOrigin,
    /// The group it inherited from, for `clear bgp peer-group` and policies.
    pub peer_group: Option<String>,
    /// The object of the cluster it came from.
    pub object: Option<NeighborObject>,
    /// Everything else.
    pub settings: Settings,
}

/// Everything about a neighbor but its address: what a `[[peer-group]]` can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Free text.
    pub description: Option<String>,
    /// Administratively down: never connects, refuses what comes in.
    pub shutdown: bool,
    /// Which AS the other side may claim.
    pub asn: AsnRule,
    /// iBGP (`true`) or eBGP, as `asn` decides.
    pub internal: bool,
    /// Offered families: IPv4 unicast, IPv6 unicast.
    pub families: [bool; 2],
    /// TCP port to connect to.
    pub port: u16,
    /// Source address of the session, also our next hop for that family.
    pub local_address: Option<IpAddr>,
    /// Never connect, only accept.
    pub passive: bool,
    /// Proposed hold time; zero = no keepalives (RFC 4271 §4.2). Whole seconds, 0 or 3 to 65535.
    pub hold_time: Duration,
    /// Keepalive interval when the proposed hold time is agreed; a third of it unless given.
    pub keepalive: Duration,
    /// Time between connection attempts, before backoff and jitter.
    pub connect_retry: Duration,
    /// TCP-MD5 key (RFC 2385).
    pub password: Option<Password>,
    /// GTSM (RFC 5082): packets must have come over at most this many hops.
    pub ttl_security: Option<u8>,
    /// Outgoing TTL of an eBGP session to a router further away.
    pub ebgp_multihop: Option<u8>,
    /// The AS that we show to the neighbor instead of ours; never ours.
    pub local_asn: Option<u32>,
    /// How often our own AS may be in a path it sends.
    pub allow_own_as: u8,
    /// This neighbor is a client of ours (RFC 4456).
    pub route_reflector_client: bool,
    /// Send our own address as next hop, also over iBGP.
    pub next_hop_self: bool,
    /// Send next hops as they were received, also to eBGP.
    pub next_hop_keep: bool,
    /// The next hop we send as ours for IPv4 routes, instead of the session's address.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// The same for IPv6 routes; needed when the session runs over IPv4.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// Offer IPv4 routes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// ADD-PATH (RFC 7911).
    pub add_path: AddPath,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: GracefulRestart,
    /// The restart time we announce; also how long a helper keeps routes at most.
    pub graceful_restart_time: Duration,
    /// Most prefixes per family accepted; one more ends the session (RFC 4486).
    pub max_prefixes: Option<u32>,
    /// Reconnect this long after the limit ended the session; `None` = stay down until cleared.
    pub max_prefixes_restart: Option<Duration>,
    /// BFD timers, when BFD guards the session.
    pub bfd: Option<Bfd>,
    /// Our role towards the neighbor (RFC 9234).
    pub role: Option<Role>,
    /// Refuse a neighbor that sends no role.
    pub role_strict: bool,
    /// An eBGP path must begin with the neighbor's AS.
    pub enforce_first_as: bool,
    /// A path with an AS_SET is treated as withdrawn (RFC 9774 §3).
    pub reject_as_sets: bool,
    /// An eBGP neighbor may not announce prefixes inside the cluster's own ranges.
    pub import_guard: bool,
    /// With `import_guard`: pod ranges too, not only those of services. A neighbor whose object
    /// decides what is accepted may bring us the pods of other racks.
    pub guards_pods: bool,
    /// What is accepted.
    pub import: PolicyRef,
    /// What is sent.
    pub export: PolicyRef,
    /// What the cluster says of the session; the file has no key for it.
    pub standing: Option<cluster::Standing>,
}

/// Which AS a neighbor may claim in its OPEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsnRule {
    /// Exactly this one.
    Exact(u32),
    /// Our own.
    Internal,
    /// Any but our own.
    External,
}

/// Which policy applies in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyRef {
    /// A policy of the file, or one of the predefined ones.
    Named(String),
    /// iBGP without a policy: everything passes.
    Default,
    /// eBGP without a policy: nothing passes (RFC 8212).
    Missing,
}

impl PolicyRef {
    /// The name of the policy to run: absence is `accept-all` inside, `reject-all` outside.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Default => "accept-all",
            Self::Missing => "reject-all",
        }
    }
}

/// A TCP-MD5 key and where it came from. `Debug` hides the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// The file it was read from, or the object of the cluster.
    pub file: PathBuf,
    /// 1 to 80 octets (the kernel's `TCP_MD5SIG_MAXKEYLEN`).
    pub key: Vec<u8>,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Password({}, {} octets)",
            self.file.display(),
            self.key.len()
        )
    }
}

/// ADD-PATH, per direction (RFC 7911 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddPath {
    /// We send more than the best path.
    pub send: bool,
    /// We accept more than one path per prefix.
    pub receive: bool,
}

/// Graceful restart (RFC 4724).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GracefulRestart {
    /// The capability is not sent.
    Off,
    /// Keep the neighbor's routes while it restarts; claim nothing for our own restart.
    #[default]
    Helper,
    /// Also announce that our own forwarding survives a restart.
    Full,
}

/// BFD timers (RFC 5880 §6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bfd {
    /// Desired minimum transmit interval.
    pub transmit: Duration,
    /// Required minimum receive interval.
    pub receive: Duration,
    /// Missed packets that mean down, 1 to 255.
    pub multiplier: u8,
}

/// Our role in the relationship (RFC 9234 §4.1), with its wire value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// We sell transit to the neighbor.
    Provider = 0,
    /// We are a route server.
    RouteServer = 1,
    /// We are a route server's client.
    RouteServerClient = 2,
    /// We buy transit from the neighbor.
    Customer = 3,
    /// We are lateral peers.
    Peer = 4,
}

/// `[[listen-range]]`: neighbors that come by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenRange {
    /// Where they come from.
    pub prefix: IpNet,
    /// The group they inherit from.
    pub peer_group: Option<String>,
    /// Most neighbors of this range at a time; the next one is refused.
    pub max_neighbors: u16,
    /// What each of them is configured with; `passive` is always set.
    pub settings: Settings,
}

impl ListenRange {
    /// The neighbor that `addr` of this range becomes.
    pub fn neighbor(&self, addr: IpAddr) -> Neighbor {
        Neighbor {
            address: NeighborAddress::Address(addr),
            origin: NeighborOrigin::Dynamic,
            peer_group: self.peer_group.clone(),
            object: None,
            settings: self.settings.clone(),
        }
    }
}

/// What routes that start here carry, and who gets them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMarks {
    /// Communities (RFC 1997).
    pub communities: Vec<u32>,
    /// Large communities (RFC 8092): global, local 1, local 2.
    pub large_communities: Vec<[u32; 3]>,
    /// LOCAL_PREF, else the router's default.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC; only the cluster's routes have one.
    pub med: Option<u32>,
    /// Only these neighbors; `None` = all.
    pub neighbors: Option<Vec<IpAddr>>,
}

/// What an `[[advertise]]` block is about; its name is the route's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdvertiseKind {
    /// This node's part of the pod network.
    PodCidr,
    /// Cluster addresses of services.
    ClusterIp,
    /// External addresses of services.
    ExternalIp,
    /// Anything else.
    Network,
}

impl AdvertiseKind {
    /// The word in the file, also the source name that policies match.
    pub fn name(self) -> &'static str {
        match self {
            Self::PodCidr => "pod-cidr",
            Self::ClusterIp => "cluster-ip",
            Self::ExternalIp => "external-ip",
            Self::Network => "network",
        }
    }
}

/// `[[advertise]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// What it is.
    pub kind: AdvertiseKind,
    /// The prefixes, host bits zero.
    pub prefixes: Vec<IpNet>,
    /// Communities and the rest.
    pub marks: RouteMarks,
}

/// A run of pool addresses, both ends included and of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    /// Lowest address.
    pub first: IpAddr,
    /// Highest address.
    pub last: IpAddr,
}

impl AddressRange {
    /// Whether `addr` lies in the run.
    pub fn contains(&self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.first.is_ipv4() && self.first <= addr && addr <= self.last
    }

    /// Whether the two runs share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blocks = crate::origin::blocks(*self);
        match (blocks.next(), blocks.next()) {
            (Some(block), None) => block.fmt(f),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// When a pool is announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolAdvertise {
    /// What services use.
    #[default]
    InUse,
    /// The whole pool, used or not.
    Always,
}

/// `[[pool]]`: LoadBalancer addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name; the source of its routes is `pool:NAME`.
    pub name: String,
    /// Its addresses, in the order of the file. No two runs of any pools overlap.
    pub ranges: Vec<AddressRange>,
    /// Length of what is announced for an IPv4 address in use.
    pub aggregation_length: u8,
    /// The same for IPv6.
    pub aggregation_length_v6: u8,
    /// When it is announced.
    pub advertise: PoolAdvertise,
    /// Communities and the rest.
    pub marks: RouteMarks,
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub listen: SocketAddr,
    /// Whose metric names are served beside ours: `metallb`, `frr`.
    pub compat: Vec<String>,
}

/// `[engine]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Threads, at least 1; 1 = collapsed.
    pub threads: u16,
}
