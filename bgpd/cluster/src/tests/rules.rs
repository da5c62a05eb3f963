//! The rules in front of the endpoints, row by row: node, service, class, gate.
//!
//! Every row starts from a service that is announced with all three kinds of addresses, changes one
//! thing, and says which kinds are left.

use std::collections::BTreeSet;

use super::cluster::*;
use crate::object::Kind;
use crate::{Advertised, DialectName, ExcludeLabel, ProxyHealth};

const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// A service with a cluster, an external and a load-balancer address, all announced.
fn full() -> Cluster {
    let mut cluster = Cluster::native();
    cluster.options(|options| options.external_ranges = vec!["198.51.100.0/24".parse().unwrap()]);
    cluster.put(Kind::Service, &web("{}", "", ""));
    cluster.put(Kind::EndpointSlice, &slice("a", "web", "IPv4", &["n1"]));
    assert_eq!(kinds(&mut cluster), "cluster external balanced");
    cluster
}

fn web(meta: &str, spec: &str, ingress: &str) -> String {
    let spec = format!(
        r#"{{"type":"LoadBalancer","clusterIPs":["10.9.0.1"],"externalIPs":["198.51.100.1"]{spec}}}"#
    );
    service(
        "web",
        meta,
        &spec,
        &format!(r#"[{{"ip":"192.0.2.1"{ingress}}}]"#),
    )
}

fn kinds(cluster: &mut Cluster) -> String {
    let routes = cluster.routes();
    let kinds = [
        ("10.9.", "cluster"),
        ("198.", "external"),
        ("192.", "balanced"),
    ];
    let kinds = kinds
        .iter()
        .filter(|(prefix, _)| routes.iter().any(|r| r.starts_with(prefix)));
    kinds.map(|(_, kind)| *kind).collect::<Vec<_>>().join(" ")
}

const ALL: &str = "cluster external balanced";

#[test]
fn each_rule_of_the_node() {
    let label = |value: &str| format!(r#"{{"labels":{{"{EXCLUDE}":"{value}"}}}}"#);
    let taint = |key: &str| format!(r#"{{"taints":[{{"key":"{key}","effect":"NoSchedule"}}]}}"#);
    let deleted = r#"{"deletionTimestamp":"2026-01-01T00:00:00Z"}"#.to_owned();
    let none = || "{}".to_owned();
    let rows = [
        ("nothing special", none(), none(), ALL),
        ("being deleted", deleted, none(), ""),
        (
            "out of service",
            none(),
            taint("node.kubernetes.io/out-of-service"),
            "",
        ),
        // In stages: the drain withdraws, see below.
        (
            "to be deleted by the autoscaler",
            none(),
            taint("ToBeDeletedByClusterAutoscaler"),
            ALL,
        ),
        ("own drain taint", none(), taint("wayfare.dev/drain"), ALL),
        (
            "NotReady says nothing of the dataplane",
            none(),
            taint("node.kubernetes.io/not-ready"),
            ALL,
        ),
        (
            "unreachable likewise",
            none(),
            taint("node.kubernetes.io/unreachable"),
            ALL,
        ),
        (
            "cordoned",
            none(),
            r#"{"unschedulable":true}"#.to_owned(),
            ALL,
        ),
        (
            "excluded, empty value (kubeadm)",
            label(""),
            none(),
            "cluster",
        ),
        ("excluded, true", label("true"), none(), "cluster"),
        (
            "excluded, false: presence counts (KEP-1143)",
            label("false"),
            none(),
            "cluster",
        ),
    ];
    for (name, meta, spec, expected) in rows {
        let mut cluster = full();
        cluster.put(Kind::Node, &node("n1", &meta, &spec));
        assert_eq!(kinds(&mut cluster), expected, "{name}");
        // What happens to another node is its own business.
        let mut cluster = full();
        cluster.put(Kind::Node, &node("n2", &meta, &spec));
        assert_eq!(kinds(&mut cluster), ALL, "{name}, of another node");
    }
}

#[test]
fn each_mode_of_the_exclude_label() {
    let rows = [
        (ExcludeLabel::Presence, "", "cluster"),
        (ExcludeLabel::Presence, "true", "cluster"),
        (ExcludeLabel::TrueOnly, "", ALL),
        (ExcludeLabel::TrueOnly, "true", "cluster"),
        (ExcludeLabel::TrueOnly, "True", ALL),
        (ExcludeLabel::Ignore, "true", ALL),
    ];
    for (mode, value, expected) in rows {
        let mut cluster = full();
        cluster.options(|options| options.exclude_label = mode);
        let meta = format!(r#"{{"labels":{{"{EXCLUDE}":"{value}"}}}}"#);
        cluster.put(Kind::Node, &node("n1", &meta, "{}"));
        assert_eq!(kinds(&mut cluster), expected, "{mode:?} {value:?}");
    }
    use DialectName::{Calico, Native};
    assert_eq!(ExcludeLabel::default_for(&[Calico]), ExcludeLabel::TrueOnly);
    assert_eq!(
        ExcludeLabel::default_for(&[Native, Calico]),
        ExcludeLabel::Presence
    );
}

#[test]
fn a_cordon_counts_only_if_the_operator_says_so() {
    let mut cluster = full();
    cluster.put(Kind::Node, &node("n1", "{}", r#"{"unschedulable":true}"#));
    assert_eq!(kinds(&mut cluster), ALL);
    cluster.options(|options| options.cordon_withdraws = true);
    assert_eq!(kinds(&mut cluster), "cluster");
}

/// A drain has two stages: the objects ask, the daemon announces with GRACEFUL_SHUTDOWN and waits,
/// then says that it is over.
#[test]
fn a_drain_is_asked_for_and_withdraws_when_the_wait_is_over() {
    let taint = r#"{"taints":[{"key":"ToBeDeletedByClusterAutoscaler"}]}"#;
    let annotation = r#"{"annotations":{"wayfare.dev/drain":"true"}}"#;
    for (meta, spec, wish) in [
        (
            "{}",
            taint,
            "taint ToBeDeletedByClusterAutoscaler of Node n1",
        ),
        (annotation, "{}", "annotation wayfare.dev/drain of Node n1"),
    ] {
        let mut cluster = full();
        cluster.put(Kind::Node, &node("n1", meta, spec));
        assert!(cluster.planner.plan().peering_changed);
        assert_eq!(cluster.planner.desired().drain.as_deref(), Some(wish));
        cluster.facts(|facts| facts.is_draining = true);
        assert_eq!(kinds(&mut cluster), ALL);
        cluster.facts(|facts| facts.is_drained = true);
        assert_eq!(kinds(&mut cluster), "");
        cluster.put(Kind::Node, &node("n1", "{}", "{}"));
        cluster.facts(|facts| (facts.is_draining, facts.is_drained) = (false, false));
        assert_eq!(kinds(&mut cluster), ALL);
        assert_eq!(cluster.planner.desired().drain, None);
    }
    let mut cluster = full();
    let no = r#"{"annotations":{"wayfare.dev/drain":"false"}}"#;
    cluster.put(Kind::Node, &node("n1", no, "{}"));
    cluster.planner.plan();
    assert_eq!(cluster.planner.desired().drain, None);
}

#[test]
fn the_proxys_health_gates_every_address() {
    use ProxyHealth::{Healthy, Ungated, Unhealthy, Unknown};
    let to_be_deleted = r#"{"taints":[{"key":"ToBeDeletedByClusterAutoscaler"}]}"#;
    let rows = [
        (Ungated, "{}", ALL),
        (Healthy, "{}", ALL),
        (Unknown, "{}", ""),
        (Unhealthy, "{}", ""),
        // kube-proxy says 503 because of the taint, and still forwards: the drain decides.
        (Unhealthy, to_be_deleted, ALL),
    ];
    for (health, spec, expected) in rows {
        let mut cluster = full();
        cluster.put(Kind::Node, &node("n1", "{}", spec));
        cluster.facts(|facts| facts.proxy = health);
        assert_eq!(kinds(&mut cluster), expected, "{health:?} {spec}");
    }
}

#[test]
fn the_nodes_own_object_must_be_there_where_nodes_are_known() {
    let mut cluster = full();
    cluster.remove(Kind::Node, "n1");
    // Nobody shows us Node objects: none can be judged.
    assert_eq!(kinds(&mut cluster), ALL);
    cluster.put(Kind::Node, &node("n2", "{}", "{}"));
    assert_eq!(kinds(&mut cluster), "");
    cluster.put(Kind::Node, &node("n1", "{}", "{}"));
    assert_eq!(kinds(&mut cluster), ALL);
}

#[test]
fn each_rule_of_the_service() {
    let deleted = r#"{"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["x"]}"#;
    let rows = [
        ("being deleted, held by a finalizer", deleted, "", "", ""),
        ("ipMode VIP", "{}", "", r#","ipMode":"VIP""#, ALL),
        (
            "ipMode Proxy: not kube-proxy's",
            "{}",
            "",
            r#","ipMode":"Proxy""#,
            "cluster external",
        ),
        (
            "a class that is not ours",
            "{}",
            r#","loadBalancerClass":"x/y""#,
            "",
            "cluster external",
        ),
        (
            "our class",
            "{}",
            r#","loadBalancerClass":"wayfare.dev/bgp""#,
            "",
            ALL,
        ),
        (
            "annotation none",
            r#"{"annotations":{"wayfare.dev/advertise":"none"}}"#,
            "",
            "",
            "",
        ),
        (
            "annotation with a list",
            r#"{"annotations":{"wayfare.dev/advertise":"cluster-ip, load-balancer-ip"}}"#,
            "",
            "",
            "cluster balanced",
        ),
    ];
    for (name, meta, spec, ingress, expected) in rows {
        let mut cluster = full();
        cluster.options(|options| {
            options.load_balancer_classes = vec!["wayfare.dev/bgp".into()];
        });
        cluster.put(Kind::Service, &web(meta, spec, ingress));
        assert_eq!(kinds(&mut cluster), expected, "{name}");
    }
}

#[test]
fn without_a_class_the_service_is_ours_if_we_are_the_default() {
    let mut cluster = full();
    cluster.options(|options| options.is_default_class = false);
    assert_eq!(kinds(&mut cluster), "cluster external");
}

/// The class by which Calico's own allocator gives addresses: its users would lose routes.
#[test]
fn under_calico_its_class_is_ours() {
    let mut cluster = full();
    cluster.put(
        Kind::Service,
        &web("{}", r#","loadBalancerClass":"calico""#, ""),
    );
    assert_eq!(kinds(&mut cluster), "cluster external");
    let pool = crate::PoolOption {
        name: "a".into(),
        blocks: vec!["192.0.2.0/24".parse().unwrap()],
        aggregation_v4: 32,
        aggregation_v6: 128,
        marks: crate::Marks::default(),
        neighbors: None,
    };
    cluster.options(|options| {
        options.dialects = vec![DialectName::Native, DialectName::Calico];
        options.is_advertise_written = true;
        options.pools = vec![pool];
    });
    assert_eq!(kinds(&mut cluster), ALL);
}

#[test]
fn the_type_decides_which_addresses_count() {
    let spec = |kind: &str, ip: &str| {
        format!(r#"{{"type":"{kind}","clusterIP":"{ip}","externalIPs":["198.51.100.1"]}}"#)
    };
    let rows = [
        (
            "type change: the status lingers",
            spec("ClusterIP", "10.9.0.1"),
            "cluster external",
        ),
        (
            "type NodePort",
            spec("NodePort", "10.9.0.1"),
            "cluster external",
        ),
        ("headless: nothing at all", spec("ClusterIP", "None"), ""),
        (
            "headless LoadBalancer is not valid",
            spec("LoadBalancer", "None"),
            "",
        ),
        ("ExternalName", spec("ExternalName", ""), ""),
    ];
    for (name, spec, expected) in rows {
        let mut cluster = full();
        let json = service("web", "{}", &spec, r#"[{"ip":"192.0.2.1"}]"#);
        cluster.put(Kind::Service, &json);
        assert_eq!(kinds(&mut cluster), expected, "{name}");
    }
}

#[test]
fn each_kind_can_be_left_out_by_the_operator() {
    for (what, expected) in [
        (Advertised::ClusterIp, "cluster"),
        (Advertised::ExternalIp, "external"),
        (Advertised::LoadBalancerIp, "balanced"),
        (Advertised::PodCidr, ""),
    ] {
        let mut cluster = full();
        cluster.options(|options| options.advertise = vec![what]);
        assert_eq!(kinds(&mut cluster), expected, "{what:?}");
    }
}

/// The port's own answer closes the gap between BGP and the dataplane. It counts ready endpoints
/// only: where the last ones terminate it says 503, and their serving decides.
#[test]
fn the_health_check_node_port_is_believed_about_ready_endpoints() {
    let rows = [
        ("not asked", "n1", None, true),
        ("has endpoints", "n1", Some(true), true),
        ("has none yet", "n1", Some(false), false),
        (
            "the last one terminates",
            "n1:!ready:serving:terminating",
            Some(false),
            true,
        ),
        ("nothing here", "n2", Some(true), false),
    ];
    for (name, endpoint, answer, expected) in rows {
        let mut cluster = full();
        let spec = r#","externalTrafficPolicy":"Local","healthCheckNodePort":31000"#;
        cluster.put(Kind::Service, &web("{}", spec, ""));
        cluster.put(Kind::EndpointSlice, &slice("a", "web", "IPv4", &[endpoint]));
        cluster.planner.plan();
        // A service without endpoints here would take its share of the questions for nothing.
        let here = endpoint.starts_with("n1").then_some(31000);
        let here: BTreeSet<u16> = here.into_iter().collect();
        assert_eq!(cluster.planner.health_check_ports(), here, "{name}");
        cluster.facts(|facts| {
            facts
                .health_check
                .extend(answer.map(|answer| (31000, answer)));
        });
        let expected = if expected { ALL } else { "cluster" };
        assert_eq!(kinds(&mut cluster), expected, "{name}");
    }
}

/// Where the proxy is healthy its port answers in a moment. Announcing before would withdraw again
/// at its 503.
#[test]
fn a_health_check_node_port_that_was_not_asked_yet_is_waited_for() {
    let mut cluster = full();
    let spec = r#","externalTrafficPolicy":"Local","healthCheckNodePort":31000"#;
    cluster.put(Kind::Service, &web("{}", spec, ""));
    cluster.put(Kind::EndpointSlice, &slice("a", "web", "IPv4", &["n1"]));
    cluster.facts(|facts| facts.proxy = ProxyHealth::Healthy);
    assert_eq!(kinds(&mut cluster), "cluster");
    cluster.facts(|facts| facts.health_check_silent.extend([31000]));
    assert_eq!(kinds(&mut cluster), ALL, "nobody listens there");
    cluster.facts(|facts| facts.health_check_silent.clear());
    assert_eq!(kinds(&mut cluster), "cluster");
    cluster.facts(|facts| facts.health_check.extend([(31000, true)]));
    assert_eq!(kinds(&mut cluster), ALL);
}
