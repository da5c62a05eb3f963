//! What `explain` prints, word for word; one case per rule. `UPDATE_EXPECT=1` writes it anew.

use std::path::PathBuf;

use super::cluster::*;
use crate::object::Kind;
use crate::{ExcludeLabel, Marks, PoolOption, ProxyHealth};

fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/explain")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        expected,
        "{}: UPDATE_EXPECT=1 writes it anew",
        path.display()
    );
}

fn web(meta: &str, spec: &str) -> Cluster {
    let mut cluster = Cluster::native();
    cluster.options(|options| {
        options.service_cidrs = vec!["10.96.0.0/16".parse().unwrap()];
        options.external_ranges = vec!["198.51.100.0/24".parse().unwrap()];
        options.pools = vec![PoolOption {
            name: "web".into(),
            blocks: vec!["192.0.2.0/24".parse().unwrap()],
            aggregation_v4: 24,
            aggregation_v6: 128,
            marks: Marks::default(),
            neighbors: None,
        }];
    });
    let kind = if spec.contains("type") {
        ""
    } else {
        r#","type":"LoadBalancer""#
    };
    let spec = format!(r#"{{"clusterIPs":["10.96.0.7"]{kind}{spec}}}"#);
    cluster.put(
        Kind::Service,
        &service("web", meta, &spec, r#"[{"ip":"192.0.2.1"}]"#),
    );
    cluster.put(
        Kind::EndpointSlice,
        &slice("web-1", "web", "IPv4", &["n1", "n2:!ready"]),
    );
    cluster
}

fn explain(cluster: &mut Cluster) -> String {
    cluster.planner.plan();
    cluster
        .planner
        .explain_service(&parse("shop/web"))
        .unwrap()
        .to_string()
}

#[test]
fn announced() {
    check("announced", &explain(&mut web("{}", "")));
    assert!(
        web("{}", "")
            .planner
            .explain_service(&parse("shop/none"))
            .is_none()
    );
}

#[test]
fn rules_of_the_node() {
    let mut text = String::new();
    let exclude = "node.kubernetes.io/exclude-from-external-load-balancers";
    let label = format!(r#"{{"labels":{{"{exclude}":""}}}}"#);
    let deleted = r#"{"deletionTimestamp":"2026-01-01T00:00:00Z"}"#;
    let dead = r#"{"unschedulable":true,"taints":[{"key":"node.kubernetes.io/out-of-service"}]}"#;
    let leaving = r#"{"taints":[{"key":"ToBeDeletedByClusterAutoscaler"}]}"#;
    for (meta, spec) in [
        (&*label, "{}"),
        (deleted, "{}"),
        ("{}", dead),
        ("{}", leaving),
    ] {
        let mut cluster = web("{}", "");
        cluster.options(|options| options.cordon_withdraws = true);
        cluster.put(Kind::Node, &node("n1", meta, spec));
        cluster.facts(|facts| facts.proxy = ProxyHealth::Unhealthy);
        text += &explain(&mut cluster);
    }
    let mut cluster = web("{}", "");
    cluster.put(Kind::Node, &node("n1", &label, r#"{"unschedulable":true}"#));
    cluster.options(|options| options.exclude_label = ExcludeLabel::TrueOnly);
    cluster.facts(|facts| (facts.proxy, facts.is_drained) = (ProxyHealth::Unknown, true));
    text += &explain(&mut cluster);
    cluster.remove(Kind::Node, "n1");
    text += &explain(&mut cluster);
    cluster.put(Kind::Node, &node("n2", "{}", "{}"));
    text += &explain(&mut cluster);
    check("node", &text);
}

#[test]
fn rules_of_the_service() {
    let mut text = String::new();
    for (meta, spec) in [
        (r#"{"deletionTimestamp":"2026-01-01T00:00:00Z"}"#, ""),
        (r#"{"annotations":{"wayfare.dev/advertise":"none"}}"#, ""),
        ("{}", r#","loadBalancerClass":"other/class""#),
        ("{}", r#","externalIPs":["8.8.8.8","198.51.100.7"]"#),
        ("{}", r#","type":"ClusterIP""#),
        ("{}", r#","type":"ExternalName""#),
        (r#"{"annotations":{"wayfare.dev/communities":"odd"}}"#, ""),
    ] {
        text += &explain(&mut web(meta, spec));
    }
    let mut cluster = web("{}", "");
    let proxied = r#"[{"ip":"203.0.113.1","ipMode":"Proxy"}]"#;
    let headless = r#"{"type":"LoadBalancer","clusterIP":"None"}"#;
    cluster.put(Kind::Service, &service("web", "{}", headless, proxied));
    cluster.options(|options| options.advertise.clear());
    text += &explain(&mut cluster);
    cluster.put(
        Kind::Service,
        &service("web", "{}", r#"{"clusterIP":"None"}"#, "[]"),
    );
    text += &explain(&mut cluster);
    check("service", &text);
}

#[test]
fn rules_of_the_endpoints() {
    let mut text = String::new();
    let local = r#","externalTrafficPolicy":"Local","healthCheckNodePort":31000"#;
    for endpoints in [
        &[][..],
        &["n2"],
        &["n1:!ready", "n2"],
        &["n1:!ready:serving:terminating"],
        &["n1"],
    ] {
        let mut cluster = web("{}", local);
        cluster.put(
            Kind::EndpointSlice,
            &slice("web-1", "web", "IPv4", endpoints),
        );
        cluster.facts(|facts| facts.health_check.extend([(31000, false)]));
        text += &explain(&mut cluster);
    }
    check("endpoints", &text);
}

#[test]
fn routes() {
    let mut text = String::new();
    let mut cluster = web("{}", "");
    cluster.put(
        Kind::Node,
        &node("n1", "{}", r#"{"podCIDR":"10.244.1.0/24"}"#),
    );
    for prefix in [
        "192.0.2.0/24",
        "192.0.2.1/32",
        "10.96.0.7/32",
        "10.244.1.0/24",
    ] {
        cluster.planner.plan();
        text += &cluster
            .planner
            .explain_route(prefix.parse().unwrap())
            .to_string();
    }
    // Another service that is not served here splits the aggregate.
    cluster.put(Kind::Service, &balanced("api", "Local", &["192.0.2.9"]));
    cluster.put(Kind::EndpointSlice, &slice("api-1", "api", "IPv4", &["n2"]));
    cluster.facts(|facts| facts.proxy = ProxyHealth::Healthy);
    for prefix in [
        "192.0.2.0/24",
        "192.0.2.1/32",
        "10.96.0.0/16",
        "203.0.113.0/24",
    ] {
        cluster.planner.plan();
        text += &cluster
            .planner
            .explain_route(prefix.parse().unwrap())
            .to_string();
    }
    check("routes", &text);
}
