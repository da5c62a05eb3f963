//! Calico's objects, reduced to the fields that rules look at.
//!
//! The types are flat, as those of Kubernetes' own kinds: a value that is absent is `None` where
//! absence means something (a node's configuration falls back to that of the cluster), else the
//! default of Calico's API. Both API groups hold the same fields; `crd.projectcalico.org/v1` is
//! what the API server stores, `projectcalico.org/v3` what `calicoctl` and manifests say.
//!
//! Reading them is [`super::decode`]'s work; what they mean together is decided in `config`,
//! `nodes`, `peers`, `filter` and `services`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::object::Meta;

/// The kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `BGPConfiguration`.
    BgpConfiguration,
    /// `BGPPeer`.
    BgpPeer,
    /// `BGPFilter`.
    BgpFilter,
    /// `IPPool`.
    IpPool,
    /// `BlockAffinity`.
    BlockAffinity,
    /// `Node`.
    Node,
}

impl Kind {
    /// The kind of this name.
    #[must_use]
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "BGPConfiguration" => Some(Self::BgpConfiguration),
            "BGPPeer" => Some(Self::BgpPeer),
            "BGPFilter" => Some(Self::BgpFilter),
            "IPPool" => Some(Self::IpPool),
            "BlockAffinity" => Some(Self::BlockAffinity),
            "Node" => Some(Self::Node),
            _ => None,
        }
    }

    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BgpConfiguration => "BGPConfiguration",
            Self::BgpPeer => "BGPPeer",
            Self::BgpFilter => "BGPFilter",
            Self::IpPool => "IPPool",
            Self::BlockAffinity => "BlockAffinity",
            Self::Node => "Node",
        }
    }
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// Of the cluster (`default`) or of a node (`node.NAME`).
    BgpConfiguration(Box<BgpConfiguration>),
    /// A neighbor, or a rule that makes some.
    BgpPeer(Box<BgpPeer>),
    /// Rules for what is imported and exported.
    BgpFilter(BgpFilter),
    /// Addresses of pods.
    IpPool(IpPool),
    /// A block of a pool that belongs to a node.
    BlockAffinity(BlockAffinity),
    /// A node, in Calico's own words.
    Node(CalicoNode),
}

impl Object {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::BgpConfiguration(_) => Kind::BgpConfiguration,
            Self::BgpPeer(_) => Kind::BgpPeer,
            Self::BgpFilter(_) => Kind::BgpFilter,
            Self::IpPool(_) => Kind::IpPool,
            Self::BlockAffinity(_) => Kind::BlockAffinity,
            Self::Node(_) => Kind::Node,
        }
    }

    /// Its name and labels.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::BgpConfiguration(object) => &object.meta,
            Self::BgpPeer(object) => &object.meta,
            Self::BgpFilter(object) => &object.meta,
            Self::IpPool(object) => &object.meta,
            Self::BlockAffinity(object) => &object.meta,
            Self::Node(object) => &object.meta,
        }
    }
}

/// Where a password is: a Secret in the namespace of `calico-node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// `secretKeyRef.name`.
    pub name: Box<str>,
    /// `secretKeyRef.key`.
    pub key: Box<str>,
}

/// Which cluster routes BGP writes to the kernel: `programClusterRoutes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programs {
    /// Those of pools with IP in IP.
    pub ipip: bool,
    /// Those of pools without encapsulation.
    pub plain: bool,
}

impl Default for Programs {
    /// `EnabledNoEncapOnly`.
    fn default() -> Self {
        Self {
            ipip: false,
            plain: true,
        }
    }
}

/// Communities of a range: one of `prefixAdvertisements`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixAdvertisement {
    /// The range.
    pub cidr: IpNet,
    /// Names of `communities`, or communities.
    pub communities: Vec<Box<str>>,
}

/// `BGPConfiguration`. What is `None` the cluster's own, else the default, says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpConfiguration {
    /// Name: `default` or `node.NAME`.
    pub meta: Meta,
    /// `nodeToNodeMeshEnabled`.
    pub mesh: Option<bool>,
    /// `asNumber`.
    pub asn: Option<u32>,
    /// `serviceClusterIPs`.
    pub cluster_ranges: Vec<IpNet>,
    /// `serviceExternalIPs`.
    pub external_ranges: Vec<IpNet>,
    /// `serviceLoadBalancerIPs`.
    pub load_balancer_ranges: Vec<IpNet>,
    /// `serviceLoadBalancerAggregation: Disabled`.
    pub is_unaggregated: bool,
    /// `communities`: values by name.
    pub communities: BTreeMap<Box<str>, Box<str>>,
    /// `prefixAdvertisements`.
    pub advertisements: Vec<PrefixAdvertisement>,
    /// `listenPort`.
    pub listen_port: Option<u16>,
    /// `bindMode: NodeIP`.
    pub binds_node_ip: bool,
    /// `nodeMeshPassword`.
    pub mesh_password: Option<SecretRef>,
    /// `nodeMeshMaxRestartTime`.
    pub mesh_restart_time: Option<Duration>,
    /// `programClusterRoutes`.
    pub programs: Option<Programs>,
    /// `ipv4NormalRoutePriority`, `ipv6NormalRoutePriority`.
    pub priority: [Option<u32>; 2],
    /// `localWorkloadPeeringIPV4`, `localWorkloadPeeringIPV6`.
    pub workload_peering: [Option<IpAddr>; 2],
}

/// `nextHopMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HopMode {
    /// BGP's own rule.
    #[default]
    Auto,
    /// Ours.
    SelfAddr,
    /// As received.
    Keep,
}

/// `BGPPeer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpPeer {
    /// Name.
    pub meta: Meta,
    /// `node`: only this node peers.
    pub node: Option<Box<str>>,
    /// `nodeSelector`: these nodes peer.
    pub node_selector: Option<Box<str>>,
    /// `peerIP`, with its port if there is one.
    pub peer: Option<(IpAddr, Option<u16>)>,
    /// `peerSelector`: with these nodes.
    pub peer_selector: Option<Box<str>>,
    /// `localWorkloadSelector`: with these pods.
    pub workload_selector: Option<Box<str>>,
    /// `asNumber`.
    pub asn: Option<u32>,
    /// `localASNumber`.
    pub local_asn: Option<u32>,
    /// `nextHopMode`.
    pub next_hop: HopMode,
    /// `keepOriginalNextHop`, the older word for `Keep` towards eBGP.
    pub keeps_next_hop: bool,
    /// `password`.
    pub password: Option<SecretRef>,
    /// `sourceAddress` is not `None`.
    pub uses_node_address: bool,
    /// `maxRestartTime`.
    pub restart_time: Option<Duration>,
    /// `keepaliveTime`.
    pub keepalive: Option<Duration>,
    /// `numAllowedLocalASNumbers`.
    pub allow_own_as: u8,
    /// `ttlSecurity`, hops.
    pub ttl_security: Option<u8>,
    /// `reachableBy`: the gateway to the neighbor.
    pub reachable_by: Option<IpAddr>,
    /// `filters`, in order.
    pub filters: Vec<Box<str>>,
    /// `reversePeering: Manual`: the other side is not given the session by this object.
    pub is_one_way: bool,
}

/// `matchOperator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The very prefix.
    Equal,
    /// Any but it.
    NotEqual,
    /// It or inside it.
    In,
    /// Neither.
    NotIn,
}

/// One of `operations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `addCommunity`: two or three parts.
    AddCommunity(Box<str>),
    /// `prependASPath`.
    Prepend(Vec<u32>),
    /// `setPriority`.
    SetPriority(u32),
}

/// A rule of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRule {
    /// `cidr` and `matchOperator`.
    pub prefix: Option<(Operator, IpNet)>,
    /// `prefixLength`.
    pub lengths: (Option<u8>, Option<u8>),
    /// `source: RemotePeers`.
    pub is_learned: bool,
    /// `interface`, with `*`.
    pub interface: Option<Box<str>>,
    /// `peerType`: `Some(true)` for iBGP.
    pub internal: Option<bool>,
    /// `communities.values`.
    pub communities: Vec<Box<str>>,
    /// `asPathPrefix`.
    pub as_path_prefix: Vec<u32>,
    /// `priority`.
    pub priority: Option<u32>,
    /// `action: Accept`.
    pub accept: bool,
    /// `operations`.
    pub operations: Vec<Operation>,
}

/// `BGPFilter`; the index is that of the family, 1 for IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpFilter {
    /// Name.
    pub meta: Meta,
    /// `importV4`, `importV6`.
    pub import: [Vec<FilterRule>; 2],
    /// `exportV4`, `exportV6`.
    pub export: [Vec<FilterRule>; 2],
}

/// `ipipMode`, `vxlanMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encapsulation {
    /// Not at all.
    #[default]
    Never,
    /// Always.
    Always,
    /// Towards nodes of another subnet.
    CrossSubnet,
}

/// `IPPool`. Its `disabled` stops Calico from giving out addresses of it and nothing else: those
/// that are in use are routed until they are given back, so no rule here looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpPool {
    /// Name.
    pub meta: Meta,
    /// `cidr`.
    pub cidr: IpNet,
    /// `ipipMode`.
    pub ipip: Encapsulation,
    /// `vxlanMode`.
    pub vxlan: Encapsulation,
    /// `disableBGPExport`.
    pub is_unexported: bool,
    /// `allowedUses` names nothing but `LoadBalancer`.
    pub is_for_services: bool,
}

/// `BlockAffinity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockAffinity {
    /// Name.
    pub meta: Meta,
    /// `cidr`.
    pub cidr: IpNet,
    /// `node`.
    pub node: Box<str>,
    /// `state` is `confirmed` or empty, it is a host's, and not `deleted`.
    pub is_confirmed: bool,
}

/// A node in Calico's own words: `projectcalico.org/v3` Node, or what the annotations of a
/// Kubernetes node say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalicoNode {
    /// Name and labels.
    pub meta: Meta,
    /// `ipv4Address`, `ipv6Address` with the length of their subnets.
    pub addresses: [Option<IpNet>; 2],
    /// `asNumber`.
    pub asn: Option<u32>,
    /// `routeReflectorClusterID`.
    pub cluster_id: Option<Box<str>>,
    /// The node speaks WireGuard, per family.
    pub has_wireguard: [bool; 2],
}
