//! When an address of a service is announced by this node: the rules, one by one.
//!
//! Every rule has an id and gives a [`Verdict`]; an address is announced when all hold. The
//! decision and `explain` run the same functions: a rule hands over its verdict and, only if
//! somebody asks, the sentence that explains it. Three groups, in this order:
//!
//! - of the *node*: there, not being deleted, not drained, not excluded, its proxy healthy;
//! - of the *service and address*: its type, class, mode, what the operator announces;
//! - of the *endpoints*: kube-proxy's rule (`endpoints`), and its health-check node port.
//!
//! Differences to others, on purpose: a node that is NotReady goes on (a dead kubelet is not a
//! dead dataplane, and pods of a dead node leave the slices by themselves); a cordon says nothing
//! to load balancers since Kubernetes 1.19 and counts only if the operator says so; the exclude
//! label counts by presence (KEP-1143), unless told otherwise.

use crate::dialect::{AddressKind, ServiceAddress, View};
use crate::endpoints::Counts;
use crate::object::{Node, Policy, Service, ServiceType};
use crate::{Advertised, DialectName, ExcludeLabel, ProxyHealth};

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The node's object is there.
    NodeKnown,
    /// The node is not being deleted.
    NodeDeleted,
    /// The node is not out of service.
    NodeOutOfService,
    /// The node is not drained.
    NodeDrained,
    /// The node is not excluded from load balancing.
    NodeExcluded,
    /// The node is not cordoned, where that counts.
    NodeCordoned,
    /// kube-proxy says that services are programmed.
    ProxyHealth,
    /// The service has addresses of this kind.
    ServiceType,
    /// The service is not being deleted.
    ServiceDeleted,
    /// The operator announces this kind of address.
    Advertise,
    /// The service's own annotation.
    ServiceAdvertise,
    /// The load-balancer class is ours.
    LoadBalancerClass,
    /// The address is kube-proxy's.
    IpMode,
    /// Something answers.
    Endpoints,
    /// The health-check node port agrees.
    HealthCheckNodePort,
    /// What a dialect says.
    Dialect,
    /// What the aggregate says.
    Aggregate,
}

impl Rule {
    /// Its id, as `explain` prints it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::NodeKnown => "node-known",
            Self::NodeDeleted => "node-deleted",
            Self::NodeOutOfService => "node-out-of-service",
            Self::NodeDrained => "node-drained",
            Self::NodeExcluded => "node-excluded",
            Self::NodeCordoned => "node-cordoned",
            Self::ProxyHealth => "proxy-health",
            Self::ServiceType => "service-type",
            Self::ServiceDeleted => "service-deleted",
            Self::Advertise => "advertise",
            Self::ServiceAdvertise => "service-advertise",
            Self::LoadBalancerClass => "load-balancer-class",
            Self::IpMode => "ip-mode",
            Self::Endpoints => "endpoints",
            Self::HealthCheckNodePort => "health-check-node-port",
            Self::Dialect => "dialect",
            Self::Aggregate => "aggregate",
        }
    }
}

/// A rule, applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The rule.
    pub rule: Rule,
    /// Whether it lets the address be announced.
    pub holds: bool,
    /// Why, as one sentence.
    pub text: Box<str>,
    /// The object that it was read from, as `Node node-1`; empty for the configuration and facts.
    pub object: Box<str>,
}

/// Who listens to the rules: rule, verdict, and the sentence for who wants it.
pub(crate) type Say<'s> = dyn FnMut(Rule, bool, &dyn Fn() -> String) + 's;

/// The taint that the cluster autoscaler sets before it takes a node away.
pub(crate) const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// The taint by which an operator declares a node dead.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// Our own taint and annotation.
const DRAIN: &str = "wayfare.dev/drain";
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const ADVERTISE: &str = "wayfare.dev/advertise";

/// Whether all rules hold.
pub(crate) fn all_hold(rules: impl FnOnce(&mut Say<'_>)) -> bool {
    let mut all = true;
    rules(&mut |_, holds, _| all &= holds);
    all
}

/// What asks for the node to be drained, in stages.
pub(crate) fn drain_wish(node: &Node) -> Option<Box<str>> {
    let name = &node.meta.name;
    for taint in &node.taints {
        if matches!(&*taint.key, TO_BE_DELETED | DRAIN) {
            return Some(format!("taint {} of Node {name}", taint.key).into());
        }
    }
    let value = node.meta.annotations.get(DRAIN)?;
    (!crate::mesh::is_no(value)).then(|| format!("annotation {DRAIN} of Node {name}").into())
}

/// The rules of the node, for one kind of address.
pub(crate) fn node_rules(view: &View<'_>, kind: AddressKind, say: &mut Say<'_>) {
    let name = &view.options.node_name;
    let Some(node) = view.node else {
        // Without any Node object (not allowed to read them, a folder without) none can be judged.
        let is_blind = view.snapshot.nodes().next().is_none();
        say(Rule::NodeKnown, is_blind, &|| match is_blind {
            true => "no Node objects are known: the node's own rules are not judged".into(),
            false => format!("no Node is named {name}: see node-name"),
        });
        drained(view, say);
        return proxy_health(view, false, say);
    };
    say(Rule::NodeKnown, true, &|| {
        format!("Node {name} is this node")
    });
    let is_deleted = node.meta.is_being_deleted();
    say(Rule::NodeDeleted, !is_deleted, &|| match is_deleted {
        true => format!("Node {name} is being deleted"),
        false => format!("Node {name} is not being deleted"),
    });
    let is_dead = node
        .taints
        .iter()
        .any(|taint| &*taint.key == OUT_OF_SERVICE);
    say(Rule::NodeOutOfService, !is_dead, &|| match is_dead {
        true => format!("Node {name} has the taint {OUT_OF_SERVICE}"),
        false => format!("Node {name} is in service"),
    });
    drained(view, say);
    if kind != AddressKind::Cluster {
        excluded(view, node, say);
        let withdraws = node.unschedulable && view.options.cordon_withdraws;
        say(
            Rule::NodeCordoned,
            !withdraws,
            &|| match (node.unschedulable, withdraws) {
                (false, _) => format!("Node {name} is not cordoned"),
                (true, false) => format!("Node {name} is cordoned, which does not count"),
                (true, true) => format!("Node {name} is cordoned, and cordon = \"withdraw\""),
            },
        );
    }
    let leaves = node.taints.iter().any(|taint| &*taint.key == TO_BE_DELETED);
    proxy_health(view, leaves, say);
}

fn drained(view: &View<'_>, say: &mut Say<'_>) {
    let is_drained = view.facts.is_drained;
    say(Rule::NodeDrained, !is_drained, &|| {
        let wish = view.node.and_then(drain_wish);
        match (is_drained, view.facts.is_draining, wish) {
            (true, _, Some(wish)) => format!("the node is drained: {wish}"),
            (true, _, None) => "the node is drained".into(),
            (false, _, Some(wish)) => format!("the node is draining: {wish}"),
            (false, true, None) => "the node is draining".into(),
            (false, false, None) => "the node is not drained".into(),
        }
    });
}

fn excluded(view: &View<'_>, node: &Node, say: &mut Say<'_>) {
    let label = node.meta.labels.get(EXCLUDE);
    let mode = view.options.exclude_label;
    let is_excluded = match mode {
        ExcludeLabel::Presence => label.is_some(),
        ExcludeLabel::TrueOnly => label.is_some_and(|value| &**value == "true"),
        ExcludeLabel::Ignore => false,
    };
    say(Rule::NodeExcluded, !is_excluded, &|| {
        let name = &node.meta.name;
        match (label, is_excluded) {
            (None, _) => format!("Node {name} has no label {EXCLUDE}"),
            (Some(value), true) => format!("Node {name} has the label {EXCLUDE}={value}"),
            (Some(value), false) => {
                let mode = if mode == ExcludeLabel::Ignore {
                    "ignore"
                } else {
                    "true-only"
                };
                format!("label {EXCLUDE}={value} does not count: exclude-label = \"{mode}\"")
            }
        }
    });
}

/// `leaves`: the autoscaler's taint, for which kube-proxy says 503 although it forwards. The drain
/// has the word then: it withdraws in stages.
fn proxy_health(view: &View<'_>, leaves: bool, say: &mut Say<'_>) {
    let health = view.facts.proxy;
    let holds = match health {
        ProxyHealth::Ungated | ProxyHealth::Healthy => true,
        ProxyHealth::Unhealthy => leaves,
        ProxyHealth::Unknown => false,
    };
    say(Rule::ProxyHealth, holds, &|| {
        match (health, leaves) {
            (ProxyHealth::Ungated, _) => "kube-proxy is not asked",
            (ProxyHealth::Healthy, _) => "kube-proxy is healthy",
            (ProxyHealth::Unknown, _) => "kube-proxy has not answered yet",
            (ProxyHealth::Unhealthy, false) => "kube-proxy is not healthy",
            (ProxyHealth::Unhealthy, true) => {
                "kube-proxy reports the node's coming deletion: the drain decides"
            }
        }
        .into()
    });
}

/// An address, and whether the proxy that serves it is another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub address: ServiceAddress,
    pub is_proxied: bool,
}

/// The addresses of a service: what a load balancer gave first, since its pool says most.
pub(crate) fn addresses(service: &Service) -> impl Iterator<Item = Asked> {
    let external = service.external_policy == Policy::Local;
    let internal = service.internal_policy == Policy::Local;
    let of = move |kind, address, is_local, is_proxied| Asked {
        address: ServiceAddress {
            kind,
            address,
            is_local,
        },
        is_proxied,
    };
    let balanced = service.ingress.iter();
    let balanced = balanced.map(move |ingress| {
        of(
            AddressKind::LoadBalancer,
            ingress.address,
            external,
            ingress.is_proxied,
        )
    });
    let outer = service.external_ips.iter();
    let outer = outer.map(move |address| of(AddressKind::External, *address, external, false));
    let inner = service.cluster_ips.iter();
    let inner = inner.map(move |address| of(AddressKind::Cluster, *address, internal, false));
    balanced.chain(outer).chain(inner)
}

/// Whether only what is on this node may answer, as this dialect's product sees it.
pub(crate) fn is_local(dialect: DialectName, service: &Service, address: &ServiceAddress) -> bool {
    match dialect {
        // Calico announces a cluster address alone only with externalTrafficPolicy Local, from the
        // nodes that have an endpoint.
        DialectName::Calico if address.kind == AddressKind::Cluster => {
            address.is_local || service.external_policy == Policy::Local
        }
        DialectName::KubeRouter => {
            let local = service.meta.annotations.get("kube-router.io/service.local");
            address.is_local || local.is_some_and(|value| &**value == "true")
        }
        _ => address.is_local,
    }
}

/// The rules of service and address.
pub(crate) fn service_rules(view: &View<'_>, service: &Service, asked: &Asked, say: &mut Say<'_>) {
    let kind = asked.address.kind;
    let is_balanced = kind == AddressKind::LoadBalancer;
    let has = match service.kind {
        ServiceType::ExternalName => false,
        _ if service.is_headless => false,
        ServiceType::LoadBalancer => true,
        ServiceType::ClusterIp | ServiceType::NodePort => !is_balanced,
    };
    say(Rule::ServiceType, has, &|| {
        match (service.kind, service.is_headless) {
            (ServiceType::ExternalName, _) => "type ExternalName has no addresses",
            (_, true) => "headless: kube-proxy forwards none of its addresses",
            (ServiceType::LoadBalancer, _) => "type LoadBalancer",
            (_, false) if is_balanced => "no longer of type LoadBalancer: the status lingers",
            (ServiceType::NodePort, _) => "type NodePort",
            (ServiceType::ClusterIp, _) => "type ClusterIP",
        }
        .into()
    });
    let is_deleted = service.meta.is_being_deleted();
    say(Rule::ServiceDeleted, !is_deleted, &|| match is_deleted {
        true => "the service is being deleted".into(),
        false => "the service is not being deleted".into(),
    });
    advertise(view, service, kind, say);
    if is_balanced {
        class(view, service, say);
        say(
            Rule::IpMode,
            !asked.is_proxied,
            &|| match asked.is_proxied {
                true => "ipMode Proxy: the address is the load balancer's own".into(),
                false => "ipMode VIP: kube-proxy forwards the address".into(),
            },
        );
    }
}

fn advertise(view: &View<'_>, service: &Service, kind: AddressKind, say: &mut Say<'_>) {
    let (what, word) = match kind {
        AddressKind::Cluster => (Advertised::ClusterIp, "cluster-ip"),
        AddressKind::External => (Advertised::ExternalIp, "external-ip"),
        AddressKind::LoadBalancer => (Advertised::LoadBalancerIp, "load-balancer-ip"),
    };
    let is_on = view.options.advertises(what);
    say(Rule::Advertise, is_on, &|| match is_on {
        true => format!("advertise lists {word}"),
        false => format!("advertise does not list {word}"),
    });
    let Some(list) = service.meta.annotations.get(ADVERTISE) else {
        return;
    };
    let is_listed = list.split(',').any(|item| item.trim() == word);
    say(Rule::ServiceAdvertise, is_listed, &|| match is_listed {
        true => format!("annotation {ADVERTISE} lists {word}"),
        false => format!("annotation {ADVERTISE} = \"{list}\" does not list {word}"),
    });
}

fn class(view: &View<'_>, service: &Service, say: &mut Say<'_>) {
    let options = view.options;
    let class = service.load_balancer_class.as_deref();
    let is_ours = match class {
        None => options.is_default_class,
        // The class by which the product's own allocator gives addresses.
        Some("calico") if options.speaks(DialectName::Calico) => true,
        Some("kube-router") if options.speaks(DialectName::KubeRouter) => true,
        Some(class) => options
            .load_balancer_classes
            .iter()
            .any(|ours| &**ours == class),
    };
    say(
        Rule::LoadBalancerClass,
        is_ours,
        &|| match (class, is_ours) {
            (None, true) => "no load-balancer class, and ours is the default".into(),
            (None, false) => "no load-balancer class, and ours is not the default".into(),
            (Some(class), true) => format!("load-balancer class {class} is ours"),
            (Some(class), false) => format!("load-balancer class {class} is not ours"),
        },
    );
}

/// The rules of the endpoints. `is_local` as the dialect sees the address ([`is_local`]).
pub(crate) fn endpoint_rules(
    view: &View<'_>,
    service: &Service,
    counts: &Counts,
    (kind, is_ipv6, is_local): (AddressKind, bool, bool),
    say: &mut Say<'_>,
) {
    say(Rule::Endpoints, counts.is_served(is_local), &|| {
        endpoint_text(counts, is_ipv6, is_local)
    });
    if kind == AddressKind::Cluster || service.external_policy != Policy::Local {
        return;
    }
    let Some(port) = service.health_check_node_port else {
        return;
    };
    let answer = view.facts.health_check.get(&port).copied();
    // kube-proxy counts ready endpoints only. Where the last ones terminate, its 503 tells load
    // balancers to leave, and here the endpoints that still serve decide.
    let is_judge = counts.local_ready > 0;
    // Where there is a proxy, the port answers in a moment: what it says is waited for.
    let is_awaited = answer.is_none()
        && view.facts.proxy == ProxyHealth::Healthy
        && !view.facts.health_check_silent.contains(&port);
    let holds = (answer != Some(false) && !is_awaited) || !is_judge;
    say(
        Rule::HealthCheckNodePort,
        holds,
        &|| match (answer, is_judge) {
            (None, _) if is_awaited => {
                format!("health-check node port {port} has not answered yet")
            }
            (None, _) => format!("health-check node port {port} was not asked"),
            (Some(true), _) => format!("health-check node port {port} sees endpoints here"),
            (Some(false), true) => {
                format!("health-check node port {port} sees no endpoints here yet")
            }
            (Some(false), false) => {
                format!(
                    "health-check node port {port} sees no ready endpoints; it is not the judge"
                )
            }
        },
    );
}

fn endpoint_text(counts: &Counts, is_ipv6: bool, is_local: bool) -> String {
    let family = if is_ipv6 { "IPv6" } else { "IPv4" };
    let (place, ready, leaving) = match is_local {
        true => (
            " on this node (policy Local)",
            counts.local_ready,
            counts.local_leaving,
        ),
        false => ("", counts.ready, counts.leaving),
    };
    match (ready, leaving) {
        (0, 0) if counts.all == 0 => format!("no {family} endpoints at all"),
        (0, 0) => format!("none of {} {family} endpoints is usable{place}", counts.all),
        (0, leaving) => format!(
            "{leaving} of {} {family} endpoints serve while terminating{place}",
            counts.all
        ),
        (ready, _) => format!(
            "{ready} of {} {family} endpoints are ready{place}",
            counts.all
        ),
    }
}
