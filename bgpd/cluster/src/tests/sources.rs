//! Where each announcement comes from, row by row, in the native dialect.

use super::cluster::*;
use crate::object::Kind;
use crate::{Advertised, DialectName, Marks, PoolOption, ProxyHealth};

fn pool(name: &str, block: &str, aggregation: u8) -> PoolOption {
    PoolOption {
        name: name.into(),
        blocks: vec![block.parse().unwrap()],
        aggregation_v4: aggregation,
        aggregation_v6: 128,
        marks: Marks::default(),
        neighbors: None,
    }
}

fn served(json: &str) -> Cluster {
    let mut cluster = Cluster::native();
    cluster.put(Kind::Service, json);
    cluster.put(Kind::EndpointSlice, &slice("a", "web", "IPv4", &["n1"]));
    cluster
}

#[test]
fn pod_cidrs_are_those_of_the_own_node_and_are_discarded_in_the_kernel() {
    let mut cluster = Cluster::native();
    let spec = |cidr: &str| format!(r#"{{"podCIDRs":["{cidr}","fd00:244::/64"]}}"#);
    cluster.put(Kind::Node, &node("n1", "{}", &spec("10.244.1.0/24")));
    cluster.put(Kind::Node, &node("n2", "{}", &spec("10.244.2.0/24")));
    assert_eq!(
        cluster.routes(),
        ["10.244.1.0/24 pod-cidr", "fd00:244::/64 pod-cidr"]
    );
    assert!(
        cluster
            .planner
            .desired()
            .announcements
            .iter()
            .all(|route| route.discard)
    );
    // Neither the proxy nor a drain takes pods away from the network.
    cluster.facts(|facts| (facts.proxy, facts.is_drained) = (ProxyHealth::Unhealthy, true));
    assert_eq!(cluster.routes().len(), 2);
    let deleted = r#"{"deletionTimestamp":"2026-01-01T00:00:00Z"}"#;
    cluster.put(Kind::Node, &node("n1", deleted, &spec("10.244.1.0/24")));
    assert_eq!(cluster.routes(), [""; 0]);
    cluster.put(Kind::Node, &node("n1", "{}", &spec("10.244.1.0/24")));
    cluster.options(|options| options.advertise = vec![Advertised::ClusterIp]);
    assert_eq!(cluster.routes(), [""; 0]);
}

#[test]
fn cluster_ranges_come_from_objects_else_from_the_file_and_from_every_healthy_node() {
    let mut cluster = Cluster::native();
    cluster.options(|options| options.service_cidrs = vec!["10.0.0.0/16".parse().unwrap()]);
    assert_eq!(cluster.routes(), ["10.0.0.0/16 cluster-ip"]);
    let range = |name: &str, cidr: &str| {
        format!(
            r#"{{"metadata":{{"name":"{name}"}},"spec":{{"cidrs":["{cidr}","fd00:96::/112"]}}}}"#
        )
    };
    cluster.put(Kind::ServiceCidr, &range("kubernetes", "10.96.0.0/12"));
    cluster.put(Kind::ServiceCidr, &range("more", "10.112.0.0/12"));
    let expected = [
        "10.96.0.0/12 cluster-ip",
        "10.112.0.0/12 cluster-ip",
        "fd00:96::/112 cluster-ip",
    ];
    assert_eq!(cluster.routes(), expected);
    // kube-proxy owns these addresses: a discard route would hide them from the node itself.
    assert!(
        cluster
            .planner
            .desired()
            .announcements
            .iter()
            .all(|route| !route.discard)
    );
    cluster.facts(|facts| facts.proxy = ProxyHealth::Unhealthy);
    assert_eq!(cluster.routes(), [""; 0]);
    cluster.facts(|facts| facts.proxy = ProxyHealth::Healthy);
    assert_eq!(cluster.routes(), expected);
}

/// One address of a range alone only where the range would mislead or the service wants it.
#[test]
fn a_cluster_address_stands_alone_where_its_range_does_not_speak_for_it() {
    let plain = "{}";
    let marked = r#"{"annotations":{"wayfare.dev/communities":"64500:7"}}"#;
    let rows = [
        ("Cluster", plain, "10.96.0.9", "n1", ""),
        ("Local", plain, "10.96.0.9", "n1", "10.96.0.9/32 cluster-ip"),
        ("Local", plain, "10.96.0.9", "n2", ""),
        (
            "Cluster",
            marked,
            "10.96.0.9",
            "n1",
            "10.96.0.9/32 cluster-ip 64500:7",
        ),
        (
            "Cluster",
            plain,
            "10.200.0.9",
            "n1",
            "10.200.0.9/32 cluster-ip",
        ),
    ];
    for (policy, meta, address, on, expected) in rows {
        let spec = format!(r#"{{"clusterIP":"{address}","internalTrafficPolicy":"{policy}"}}"#);
        let mut cluster = served(&service("web", meta, &spec, "[]"));
        cluster.put(Kind::EndpointSlice, &slice("a", "web", "IPv4", &[on]));
        cluster.options(|options| options.service_cidrs = vec!["10.96.0.0/16".parse().unwrap()]);
        let mut routes = cluster.routes();
        routes.retain(|route| !route.starts_with("10.96.0.0/16"));
        let expected: Vec<&str> = Some(expected)
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect();
        assert_eq!(routes, expected, "{policy} {meta} {address} {on}");
    }
}

/// Whoever may edit a service may write any external address (CVE-2020-8554).
#[test]
fn external_addresses_only_inside_the_ranges_allowed() {
    let mut cluster = served(&service(
        "web",
        "{}",
        r#"{"externalIPs":["8.8.8.8","198.51.100.1"]}"#,
        "[]",
    ));
    assert_eq!(cluster.routes(), [""; 0]);
    cluster.options(|options| options.external_ranges = vec!["198.51.100.0/24".parse().unwrap()]);
    assert_eq!(cluster.routes(), ["198.51.100.1/32 external-ip"]);
}

#[test]
fn a_load_balancer_address_carries_what_its_pool_says() {
    let mut cluster = served(&balanced("web", "Cluster", &["192.0.2.1"]));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    let mut web = pool("web", "192.0.2.0/24", 32);
    web.marks.communities = vec![64500 << 16 | 1];
    web.neighbors = Some(vec!["10.0.0.1".parse().unwrap()]);
    cluster.options(|options| options.pools = vec![web]);
    assert_eq!(
        cluster.routes(),
        ["192.0.2.1/32 pool:web to [10.0.0.1] 64500:1"]
    );
    // Outside of every pool of the file, once there are some.
    cluster.options(|options| options.pools = vec![pool("other", "203.0.113.0/24", 32)]);
    assert_eq!(cluster.routes(), [""; 0]);
    // Other dialects have pools of their own.
    cluster.options(|options| {
        options.pools = Vec::new();
        options.dialects = vec![DialectName::Native, DialectName::Metallb];
    });
    assert_eq!(cluster.routes(), [""; 0]);
}

#[test]
fn annotations_of_a_service_add_to_its_pool() {
    let rows = [
        (
            r#""wayfare.dev/communities":"64500:2, no-export""#,
            "64500:1,64500:2,65535:65281",
        ),
        (
            r#""wayfare.dev/neighbors":"10.0.0.1""#,
            "to [10.0.0.1] 64500:1",
        ),
        (
            r#""wayfare.dev/neighbors":"10.0.0.1,10.0.0.9""#,
            "to [10.0.0.1] 64500:1",
        ),
        (r#""wayfare.dev/neighbors":"10.0.0.9""#, "nothing"),
        (r#""wayfare.dev/neighbors":"tor""#, "nothing"),
    ];
    for (annotation, expected) in rows {
        let meta = format!(r#"{{"annotations":{{{annotation}}}}}"#);
        let spec = r#"{"type":"LoadBalancer"}"#;
        let mut cluster = served(&service("web", &meta, spec, r#"[{"ip":"192.0.2.1"}]"#));
        let mut web = pool("web", "192.0.2.0/24", 24);
        web.marks.communities = vec![64500 << 16 | 1];
        web.neighbors = Some(
            ["10.0.0.1", "10.0.0.2"]
                .map(|a| a.parse().unwrap())
                .to_vec(),
        );
        cluster.options(|options| options.pools = vec![web]);
        let routes = cluster.routes();
        let shown = routes.first().map_or("nothing", |route| route.as_str());
        assert!(shown.ends_with(expected), "{annotation}: {shown}");
        // Attributes of one service never on an aggregate that others share.
        assert!(!shown.contains("/24"), "{annotation}: {shown}");
    }
}

#[test]
fn what_is_wrong_with_an_annotation_is_said_and_left_out() {
    let meta = r#"{"annotations":{"wayfare.dev/communities":"64500:2,nonsense",
        "wayfare.dev/local-pref":"high","wayfare.dev/advertise":"load-balancer-ip,vip"}}"#;
    let spec = r#"{"type":"LoadBalancer"}"#;
    let mut cluster = served(&service("web", meta, spec, r#"[{"ip":"192.0.2.1"}]"#));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip 64500:2"]);
    assert_eq!(
        cluster.faults(),
        [
            "Service shop/web metadata.annotations[wayfare.dev/advertise]: \"vip\" is left out: \
             cluster-ip, external-ip, load-balancer-ip or none expected",
            "Service shop/web metadata.annotations[wayfare.dev/communities]: \"nonsense\" is left \
             out: a community such as 64500:100, 64500:1:2 or no-export expected",
            "Service shop/web metadata.annotations[wayfare.dev/local-pref]: \"high\" is left out: \
             a number expected",
        ]
    );
    cluster.put(Kind::Service, &balanced("web", "Cluster", &["192.0.2.1"]));
    assert_eq!(cluster.faults(), [""; 0]);
}

/// All ranges that no outsider may announce to us.
#[test]
fn own_ranges_name_pods_services_and_pools() {
    let mut cluster = Cluster::native();
    cluster.options(|options| {
        options.pod_cidrs = vec!["10.244.0.0/16".parse().unwrap()];
        options.service_cidrs = vec!["10.96.0.0/16".parse().unwrap()];
        options.external_ranges = vec!["198.51.100.0/24".parse().unwrap()];
        options.pools = vec![pool("web", "192.0.2.0/24", 32)];
    });
    cluster.planner.plan();
    let ranges = cluster.planner.desired().own_ranges;
    assert_eq!(format!("{:?}", ranges.pods), "[10.244.0.0/16]");
    assert_eq!(format!("{:?}", ranges.services), "[10.96.0.0/16]");
    assert_eq!(
        format!("{:?}", ranges.load_balancers),
        "[192.0.2.0/24, 198.51.100.0/24]"
    );
}

#[test]
fn the_reason_that_is_given_is_not_that_another_dialect_declines() {
    let mut cluster = Cluster::native();
    cluster.options(|options| {
        options.pools = vec![pool("web", "203.0.113.0/24", 32)];
        options.dialects = vec![DialectName::Calico, DialectName::Native];
    });
    cluster.put(Kind::Service, &balanced("web", "Local", &["203.0.113.7"]));
    let why = |cluster: &mut Cluster| {
        cluster.planner.plan();
        let explained = cluster.planner.explain_service(&parse("shop/web"));
        let addresses = explained.unwrap().addresses;
        let address = addresses
            .iter()
            .find(|one| one.address.to_string() == "203.0.113.7");
        address.unwrap().why_not().to_owned()
    };
    assert!(
        why(&mut cluster).contains("no IPv4 endpoint"),
        "{}",
        why(&mut cluster)
    );
    cluster.options(|options| options.pools.clear());
    assert!(
        why(&mut cluster).starts_with("calico:"),
        "{}",
        why(&mut cluster)
    );
}

#[test]
fn cluster_ranges_are_calicos_affair_where_it_is_spoken() {
    let mut cluster = served(&service("web", "{}", r#"{"clusterIP":"10.96.0.9"}"#, "[]"));
    cluster.options(|options| {
        options.dialects = vec![DialectName::Calico, DialectName::Native];
        options.service_cidrs = vec!["10.96.0.0/16".parse().unwrap()];
    });
    assert_eq!(cluster.routes(), [""; 0]);
    let meta = r#"{"annotations":{"wayfare.dev/advertise":"cluster-ip"}}"#;
    let spec = r#"{"clusterIP":"10.96.0.9"}"#;
    cluster.put(Kind::Service, &service("web", meta, spec, "[]"));
    assert_eq!(cluster.routes(), ["10.96.0.9/32 cluster-ip"]);
    cluster.options(|options| options.is_advertise_written = true);
    assert_eq!(cluster.routes().first().unwrap(), "10.96.0.0/16 cluster-ip");
}
