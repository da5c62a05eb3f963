//! `[kubernetes]`: whose objects are read, from where, and what is made of them.
//!
//! The table is resolved to what its users are made of: [`cluster::Options`] for the rules, where
//! the objects come from, the gate in front of services, the drain, and the settings that
//! neighbors of the cluster begin with. Those come from `peer-group`; what an object says is laid
//! over them (see `overlay`), so a template has to exist before any neighbor does. Some defaults
//! depend on the kind of session and on its family, hence four of them.
//!
//! The file's own pools are part of the options: native services have their addresses in them.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use cluster::{
    Advertised, DialectName, ExcludeLabel, Marks, MeshMode, NeighborRole, PoolOption, StaticRoute,
};
use ctl::config::{At, Field, Many, Table, Value};
use ipnet::IpNet;

use super::kube_router;
use super::model::{AsnRule, Pool, PoolAdvertise, Settings};
use super::raw::RawSettings;
use super::settings::{Scope, Subject};
use crate::overlay::KernelRules;

const PROXY_HEALTH: &str = "http://127.0.0.1:10256/healthz";
const DRAIN_TIME: Duration = Duration::from_secs(30);
const SYNC_TIME: Duration = Duration::from_secs(60);
/// Neither a drain nor a start may take longer than this: somebody made a typing error.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// `[kubernetes]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// Where objects come from.
    pub from: ObjectSource,
    /// What rules are told.
    pub options: cluster::Options,
    /// The group that neighbors of the cluster inherit from.
    pub peer_group: Option<String>,
    /// What neighbors of the cluster begin with.
    pub templates: Templates,
    /// Whether services wait for kube-proxy.
    pub gate: GateWord,
    /// kube-proxy's health endpoint.
    pub proxy_health: String,
    /// How long routes are announced for draining before they are withdrawn.
    pub drain_time: Duration,
    /// How long End-of-RIB may be held for the first complete list of objects.
    pub sync_time: Duration,
    /// Write real state into objects of status.
    pub status: bool,
    /// Write events about services.
    pub events: bool,
    /// kube-router's flags, as its manifest writes them.
    pub kube_router_args: Vec<String>,
    /// What of the router the file gives itself.
    pub file_gives: FileGives,
}

impl Kubernetes {
    /// What is made with the table at the start stays as it is until the next one.
    pub fn keep_until_restart(&mut self, old: &Self) {
        self.from.clone_from(&old.from);
        self.options.node_name.clone_from(&old.options.node_name);
        self.options.dialects.clone_from(&old.options.dialects);
        self.gate = old.gate;
        self.proxy_health.clone_from(&old.proxy_health);
        self.sync_time = old.sync_time;
        self.status = old.status;
        self.events = old.events;
    }
}

/// Values of `[router]` and `[kernel]` that are written in the file, and so win over the cluster's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileGives {
    /// `router-id`.
    pub router_id: bool,
    /// `cluster-id`.
    pub cluster_id: bool,
    /// `listen`.
    pub listen: bool,
    /// `metric`.
    pub metric: bool,
}

/// What the cluster adds to a configuration beside neighbors and policies (see `overlay`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterPart {
    /// Ranges that no eBGP neighbor may announce to us, sorted, none inside another.
    pub own_ranges: Vec<IpNet>,
    /// Those of them that belong to services.
    pub service_ranges: Vec<IpNet>,
    /// Routes to neighbors behind a gateway.
    pub static_routes: Vec<StaticRoute>,
    /// Which routes the kernel is given.
    pub kernel: KernelRules,
}

/// The object a neighbor came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborObject {
    /// As `BGPPeer tor`.
    pub name: String,
    /// What the neighbor is to us.
    pub role: NeighborRole,
    /// Why the session is kept down, if it is.
    pub held: Option<String>,
}

/// Where objects come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectSource {
    /// The API server, by this client configuration; `None` = the service account of the pod.
    Api(Option<PathBuf>),
    /// Manifests in a directory.
    Directory(PathBuf),
}

/// What neighbors of the cluster begin with: for IPv4, for IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Templates {
    /// eBGP.
    pub external: [Settings; 2],
    /// iBGP.
    pub internal: [Settings; 2],
}

/// `[kubernetes]` as it was written.
pub(super) struct RawKubernetes {
    pub from: Option<At<ObjectSource>>,
    pub kubeconfig: Option<At<PathBuf>>,
    pub node_name: Option<At<String>>,
    pub sources: Option<At<Many<Word<DialectName>>>>,
    pub advertise: Option<At<Many<Word<Advertised>>>>,
    pub mesh: Option<At<Word<MeshMode>>>,
    pub reflectors: Option<At<String>>,
    pub peer_group: Option<At<String>>,
    pub pod_cidrs: Many<IpNet>,
    pub service_cidrs: Many<IpNet>,
    pub external_ranges: Many<IpNet>,
    pub classes: Many<String>,
    pub default_class: Option<At<bool>>,
    pub metallb_namespace: Option<At<String>>,
    pub exclude_label: Option<At<Word<ExcludeLabel>>>,
    pub gate: Option<At<Word<GateWord>>>,
    pub proxy_health: Option<At<String>>,
    pub cordon: Option<At<Cordon>>,
    pub drain_time: Option<At<Duration>>,
    pub sync_time: Option<At<Duration>>,
    pub status: Option<At<bool>>,
    pub events: Option<At<bool>>,
    pub kube_router_args: Option<At<Many<String>>>,
    pub span: Range<usize>,
}

/// Reads the table.
pub(super) fn read(table: Table<'_>) -> RawKubernetes {
    fn list<T>(at: Option<At<Many<T>>>) -> Many<T> {
        at.map(|at| at.value).unwrap_or_default()
    }
    let raw = RawKubernetes {
        from: table.get("from"),
        kubeconfig: table.get("kubeconfig"),
        node_name: table.get("node-name"),
        sources: table.get("sources"),
        advertise: table.get("advertise"),
        mesh: table.get("mesh"),
        reflectors: table.get("reflectors"),
        peer_group: table.get("peer-group"),
        pod_cidrs: list(table.get("pod-cidrs")),
        service_cidrs: list(table.get("service-cidrs")),
        external_ranges: list(table.get("external-ranges")),
        classes: list(table.get("load-balancer-class")),
        default_class: table.get("default-class"),
        metallb_namespace: table.get("metallb-namespace"),
        exclude_label: table.get("exclude-label"),
        gate: table.get("gate"),
        proxy_health: table.get("proxy-health"),
        cordon: table.get("cordon"),
        drain_time: table.get("drain-time"),
        sync_time: table.get("sync-time"),
        status: table.get("status"),
        events: table.get("events"),
        kube_router_args: table.get("kube-router-args"),
        span: table.span().clone(),
    };
    table.finish();
    raw
}

/// Resolves the table; `group` is what its peer group says, `pools` those of the file.
pub(super) fn resolve(
    raw: &RawKubernetes,
    group: &RawSettings,
    pools: &[Pool],
    scope: &Scope<'_>,
) -> Kubernetes {
    check(raw, scope);
    let node_name = match &raw.node_name {
        Some(at) => at.value.clone(),
        None => scope.host.node_name.clone(),
    };
    let from = match raw.from.as_ref().map(|at| at.value.clone()) {
        Some(ObjectSource::Directory(path)) => ObjectSource::Directory(scope.directory.join(path)),
        _ => ObjectSource::Api(raw.kubeconfig.as_ref().map(|at| at.value.clone())),
    };
    Kubernetes {
        from,
        options: {
            let mut options = options(raw, &node_name, pools);
            options.kube_router = kube_router::flags(raw.kube_router_args.as_ref(), scope);
            options.kube_router.clone().settle(&mut options);
            options
        },
        peer_group: raw.peer_group.as_ref().map(|at| at.value.clone()),
        templates: templates(group, raw, scope),
        gate: raw.gate.as_ref().map(|at| at.value.0).unwrap_or_default(),
        proxy_health: raw
            .proxy_health
            .as_ref()
            .map_or_else(|| PROXY_HEALTH.to_owned(), |at| at.value.clone()),
        drain_time: raw.drain_time.as_ref().map_or(DRAIN_TIME, |at| at.value),
        sync_time: raw.sync_time.as_ref().map_or(SYNC_TIME, |at| at.value),
        status: raw.status.as_ref().is_some_and(|at| at.value),
        events: raw.events.as_ref().is_some_and(|at| at.value),
        kube_router_args: raw
            .kube_router_args
            .as_ref()
            .map(|at| plain(&at.value))
            .unwrap_or_default(),
        file_gives: FileGives::default(),
    }
}

fn options(raw: &RawKubernetes, node_name: &str, pools: &[Pool]) -> cluster::Options {
    let mut options = cluster::Options::new(node_name);
    options.dialects = words(raw.sources.as_ref()).unwrap_or_else(|| vec![DialectName::Native]);
    options.advertise = words(raw.advertise.as_ref()).unwrap_or_else(|| {
        // Calico's objects and kube-router's flags say themselves what is announced.
        let says_so = [DialectName::Calico, DialectName::KubeRouter];
        match says_so.iter().any(|name| options.dialects.contains(name)) {
            true => options.advertise.clone(),
            false => vec![Advertised::PodCidr, Advertised::LoadBalancerIp],
        }
    });
    options.is_advertise_written = raw.advertise.is_some();
    options.pools = pools.iter().filter_map(pool).collect();
    options.service_cidrs = plain(&raw.service_cidrs);
    options.pod_cidrs = plain(&raw.pod_cidrs);
    options.external_ranges = plain(&raw.external_ranges);
    options.load_balancer_classes = raw
        .classes
        .iter()
        .map(|at| at.value.as_str().into())
        .collect();
    options.is_default_class = raw.default_class.as_ref().is_none_or(|at| at.value);
    options.exclude_label = raw.exclude_label.as_ref().map_or_else(
        || ExcludeLabel::default_for(&options.dialects),
        |at| at.value.0,
    );
    options.mesh = raw.mesh.as_ref().map(|at| at.value.0).unwrap_or_default();
    if let Some(at) = &raw.metallb_namespace {
        options.metallb_namespace = at.value.trim().into();
    }
    if let Some(at) = &raw.reflectors {
        options.reflectors = at.value.trim().into();
    }
    options.cordon_withdraws = raw.cordon.as_ref().is_some_and(|at| at.value.0);
    options
}

/// A pool that is announced whole asks no service.
fn pool(pool: &Pool) -> Option<PoolOption> {
    (pool.advertise == PoolAdvertise::InUse).then(|| PoolOption {
        name: pool.name.as_str().into(),
        blocks: pool
            .ranges
            .iter()
            .flat_map(|range| crate::origin::blocks(*range))
            .collect(),
        aggregation_v4: pool.aggregation_length,
        aggregation_v6: pool.aggregation_length_v6,
        marks: Marks {
            communities: sorted(&pool.marks.communities),
            large_communities: sorted(&pool.marks.large_communities),
            local_pref: pool.marks.local_pref,
            med: None,
        },
        neighbors: pool.marks.neighbors.as_deref().map(sorted),
    })
}

fn sorted<T: Ord + Clone>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values
}

fn plain<T: Clone>(list: &[At<T>]) -> Vec<T> {
    list.iter().map(|at| at.value.clone()).collect()
}

fn words<T: Copy>(at: Option<&At<Many<Word<T>>>>) -> Option<Vec<T>> {
    at.map(|at| at.value.iter().map(|at| at.value.0).collect())
}

/// What neighbors of the cluster begin with, by kind of session and family.
fn templates(group: &RawSettings, raw: &RawKubernetes, scope: &Scope<'_>) -> Templates {
    let span = raw.peer_group.as_ref().map_or(&raw.span, |at| &at.span);
    let one = |internal: bool, address: IpAddr| -> Settings {
        let mut settings = group.clone();
        let asn = if internal {
            AsnRule::Internal
        } else {
            AsnRule::External
        };
        settings.asn = Some(At {
            value: asn,
            span: span.clone(),
        });
        // What is for one kind of session only is no fault of a group for both.
        if internal {
            settings.role = None;
            settings.role_strict = None;
            settings.ebgp_multihop = None;
        } else {
            settings.route_reflector_client = None;
        }
        let other_family = |at: &At<IpAddr>| at.value.is_ipv4() != address.is_ipv4();
        if settings.local_address.as_ref().is_some_and(other_family) {
            settings.local_address = None;
        }
        let subject = Subject {
            title: "a neighbor of the cluster".to_owned(),
            span,
            address: Some(address),
            orphan: true,
            dynamic: false,
            local_address: None,
        };
        scope.resolve(&settings, &subject)
    };
    let (v4, v6) = (IpAddr::from([0u8; 4]), IpAddr::from([0u16; 8]));
    Templates {
        external: [one(false, v4), one(false, v6)],
        internal: [one(true, v4), one(true, v6)],
    }
}

/// What contradicts, and what nobody can mean.
fn check(raw: &RawKubernetes, scope: &Scope<'_>) {
    let sink = scope.sink;
    if let (Some(from), Some(kubeconfig)) = (&raw.from, &raw.kubeconfig)
        && matches!(from.value, ObjectSource::Directory(_))
    {
        let message = "`kubeconfig` does nothing beside manifests of a directory";
        sink.error(
            &kubeconfig.span,
            message,
            "remove it, or write from = \"api\"",
        );
    }
    if raw.node_name.as_ref().is_some_and(|at| at.value.is_empty())
        || (raw.node_name.is_none() && scope.host.node_name.is_empty())
    {
        let span = raw.node_name.as_ref().map_or(&raw.span, |at| &at.span);
        let cure = "write node-name = \"node1\", as `kubectl get nodes` shows it";
        sink.error(span, "the name of this node is not known", cure);
    }
    if let Some(at) = raw.sources.as_ref().filter(|at| at.value.is_empty()) {
        let cure = "write sources = [\"native\"], or remove [kubernetes]";
        sink.error(&at.span, "`sources` is empty: nothing would be read", cure);
    }
    for (at, key) in [
        (&raw.drain_time, "drain-time"),
        (&raw.sync_time, "sync-time"),
    ] {
        if let Some(at) = at.as_ref().filter(|at| at.value > TIME_MAX) {
            let message = format!("`{key}` is longer than an hour");
            sink.error(&at.span, message, "write a value from \"0s\" to \"3600s\"");
        }
    }
    if let Some(at) = &raw.proxy_health
        && !is_plain_url(&at.value)
    {
        let message = format!("\"{}\" is no address of a health endpoint", at.value);
        let cure = format!("write proxy-health = \"{PROXY_HEALTH}\"");
        sink.error(&at.span, message, &cure);
    }
    let speaks = |name| {
        let sources = raw.sources.as_ref();
        sources.is_some_and(|list| list.value.iter().any(|at| at.value.0 == name))
    };
    if let Some(at) = &raw.kube_router_args
        && !speaks(DialectName::KubeRouter)
    {
        let message = "`kube-router-args` does nothing without that source";
        sink.warning(&at.span, message, "add \"kube-router\" to `sources`");
    }
}

/// `http://ADDRESS:PORT/PATH`; names would need a resolver that may hang.
fn is_plain_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else {
        return false;
    };
    let authority = rest
        .split_once('/')
        .map_or(rest, |(authority, _)| authority);
    authority.parse::<std::net::SocketAddr>().is_ok()
}

impl Value for ObjectSource {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write \"api\" or \"dir:///etc/wayfare/manifests\"";
        match field.text("where objects come from", cure)? {
            "api" => Some(Self::Api(None)),
            text => match text.strip_prefix("dir://") {
                Some(path) if !path.is_empty() => Some(Self::Directory(path.into())),
                _ => field.fault(format!("\"{text}\" is no source of objects"), cure),
            },
        }
    }
}

/// One of a few words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<T>(pub T);

macro_rules! words {
    ($($kind:ty: $($word:literal => $value:expr),* ;)*) => {$(
        impl Value for Word<$kind> {
            fn read(field: &Field<'_>) -> Option<Self> {
                field.word(&[$(($word, $value)),*]).map(Self)
            }
        }
    )*};
}

/// Whether services wait for kube-proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GateWord {
    /// They do not.
    Off,
    /// They do.
    On,
    /// They do, unless the node turns out to have no kube-proxy.
    #[default]
    Auto,
}

/// Whether a cordon withdraws.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cordon(pub bool);

impl Value for Cordon {
    fn read(field: &Field<'_>) -> Option<Self> {
        field.word(&[("stay", false), ("withdraw", true)]).map(Self)
    }
}

words! {
    DialectName:
        "native" => DialectName::Native,
        "metallb" => DialectName::Metallb,
        "calico" => DialectName::Calico,
        "kube-router" => DialectName::KubeRouter;
    Advertised:
        "pod-cidr" => Advertised::PodCidr,
        "cluster-ip" => Advertised::ClusterIp,
        "external-ip" => Advertised::ExternalIp,
        "load-balancer-ip" => Advertised::LoadBalancerIp;
    GateWord: "off" => GateWord::Off, "on" => GateWord::On, "auto" => GateWord::Auto;
    MeshMode: "off" => MeshMode::Off, "full" => MeshMode::Full;
    ExcludeLabel:
        "presence" => ExcludeLabel::Presence,
        "true-only" => ExcludeLabel::TrueOnly,
        "ignore" => ExcludeLabel::Ignore;
}
