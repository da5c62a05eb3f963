//! What the operator chose: the resolved `[kubernetes]` table and the pools of the file.
//!
//! Plain values without defaults of their own beyond [`Options::new`]; the reader of `bgpd.toml`
//! fills them in and reports what is wrong with file and line.

use ipnet::IpNet;

use crate::dialect::kube_router;

/// Whose objects are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DialectName {
    /// Our own annotations, the pools and neighbors of the file.
    Native,
    /// MetalLB.
    Metallb,
    /// Calico.
    Calico,
    /// kube-router.
    KubeRouter,
}

impl DialectName {
    /// As `sources` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Metallb => "metallb",
            Self::Calico => "calico",
            Self::KubeRouter => "kube-router",
        }
    }
}

/// What is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Advertised {
    /// This node's part of the pod network.
    PodCidr,
    /// Cluster addresses of services.
    ClusterIp,
    /// External addresses of services.
    ExternalIp,
    /// Addresses given by a load balancer.
    LoadBalancerIp,
}

/// When `node.kubernetes.io/exclude-from-external-load-balancers` excludes a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExcludeLabel {
    /// Whatever its value (KEP-1143).
    #[default]
    Presence,
    /// Only with the value `true`, as Calico reads it.
    TrueOnly,
    /// Never, as MetalLB's `--ignore-exclude-lb`.
    Ignore,
}

impl ExcludeLabel {
    /// What counts where the operator did not say: the label's presence; under Calico alone the
    /// value `true`, since kubeadm labels control planes with an empty value and Calico announces
    /// from them, so users would lose routes; under kube-router alone never, since it does not
    /// know the label.
    #[must_use]
    pub fn default_for(dialects: &[DialectName]) -> Self {
        match dialects {
            [DialectName::Calico] => Self::TrueOnly,
            [DialectName::KubeRouter] => Self::Ignore,
            _ => Self::Presence,
        }
    }
}

/// iBGP between the nodes, of the native dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeshMode {
    /// None: neighbors are those of the file and of the other dialects.
    #[default]
    Off,
    /// Every node with every node; nodes that name a reflector's cluster leave it.
    Full,
}

/// A pool of the file, in which native services have their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOption {
    /// Its name.
    pub name: Box<str>,
    /// Its addresses, as prefixes.
    pub blocks: Vec<IpNet>,
    /// Length announced for an IPv4 address in use.
    pub aggregation_v4: u8,
    /// Length announced for an IPv6 address in use.
    pub aggregation_v6: u8,
    /// What its routes carry.
    pub marks: crate::Marks,
    /// Who is told; `None` = all.
    pub neighbors: Option<Vec<std::net::IpAddr>>,
}

/// What the operator chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The name of this node's object.
    pub node_name: Box<str>,
    /// Whose objects are read.
    pub dialects: Vec<DialectName>,
    /// What is announced.
    pub advertise: Vec<Advertised>,
    /// The operator wrote that list himself.
    pub is_advertise_written: bool,
    /// The pools of the file.
    pub pools: Vec<PoolOption>,
    /// Ranges of cluster addresses where no ServiceCIDR object says so.
    pub service_cidrs: Vec<IpNet>,
    /// Ranges of pod addresses of the whole cluster.
    pub pod_cidrs: Vec<IpNet>,
    /// External addresses are announced only inside these; empty = none (anyone who may edit a
    /// service may write any address there).
    pub external_ranges: Vec<IpNet>,
    /// Load-balancer classes of ours.
    pub load_balancer_classes: Vec<Box<str>>,
    /// Services without a class are ours too.
    pub is_default_class: bool,
    /// Where MetalLB's objects are; those of other namespaces do not count.
    pub metallb_namespace: Box<str>,
    /// When the exclude label excludes.
    pub exclude_label: ExcludeLabel,
    /// iBGP between the nodes.
    pub mesh: MeshMode,
    /// Nodes with this label or taint are reflectors too, as `dedicated=route-reflector`; empty:
    /// only those that name a cluster identifier.
    pub reflectors: Box<str>,
    /// A cordoned node withdraws what is load-balanced. Off by default: cordon is not a signal for
    /// load balancers since Kubernetes 1.19.
    pub cordon_withdraws: bool,
    /// Announce aggregates although a member is `externalTrafficPolicy: Local` and not served here.
    pub force_aggregates: bool,
    /// kube-router's flags.
    pub kube_router: kube_router::Flags,
}

impl Options {
    /// The defaults, for the node of this name.
    #[must_use]
    pub fn new(node_name: &str) -> Self {
        Self {
            node_name: node_name.into(),
            dialects: vec![DialectName::Native],
            advertise: vec![
                Advertised::PodCidr,
                Advertised::ClusterIp,
                Advertised::ExternalIp,
                Advertised::LoadBalancerIp,
            ],
            is_advertise_written: false,
            pools: Vec::new(),
            service_cidrs: Vec::new(),
            pod_cidrs: Vec::new(),
            external_ranges: Vec::new(),
            load_balancer_classes: Vec::new(),
            is_default_class: true,
            metallb_namespace: "metallb-system".into(),
            exclude_label: ExcludeLabel::default(),
            mesh: MeshMode::default(),
            reflectors: "".into(),
            cordon_withdraws: false,
            force_aggregates: false,
            kube_router: kube_router::Flags::default(),
        }
    }

    /// Whether objects of this dialect are read.
    #[must_use]
    pub fn speaks(&self, dialect: DialectName) -> bool {
        self.dialects.contains(&dialect)
    }

    /// Whether this sort of route is announced.
    #[must_use]
    pub fn advertises(&self, what: Advertised) -> bool {
        self.advertise.contains(&what)
    }
}
