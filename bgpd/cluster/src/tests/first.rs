//! The shortest way through: a service with an endpoint is announced, without it is not.

use super::cluster::*;
use crate::object::Kind;

#[test]
fn a_service_comes_and_goes_with_its_endpoints() {
    let mut cluster = Cluster::native();
    cluster.put(Kind::Service, &balanced("web", "Cluster", &["192.0.2.1"]));
    assert_eq!(cluster.routes(), [""; 0]);
    cluster.put(
        Kind::EndpointSlice,
        &slice("web-1", "web", "IPv4", &["n2:ready"]),
    );
    let delta = cluster.planner.plan();
    assert_eq!(delta.announcements.len(), 1);
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    cluster.remove(Kind::EndpointSlice, "shop/web-1");
    let delta = cluster.planner.plan();
    let gone: Vec<_> = delta.announcements.values().map(Vec::len).collect();
    assert_eq!(gone, [0]);
    assert!(cluster.planner.plan().is_empty());
}

#[test]
fn pod_cidrs_and_cluster_ranges_stand_without_services() {
    let mut cluster = Cluster::native();
    let spec = r#"{"podCIDRs":["10.244.1.0/24","fd00:244::/64"]}"#;
    cluster.put(Kind::Node, &node("n1", "{}", spec));
    let range = r#"{"metadata":{"name":"kubernetes"},"spec":{"cidrs":["10.96.0.0/12"]}}"#;
    cluster.put(Kind::ServiceCidr, range);
    assert_eq!(
        cluster.routes(),
        [
            "10.96.0.0/12 cluster-ip",
            "10.244.1.0/24 pod-cidr",
            "fd00:244::/64 pod-cidr"
        ]
    );
}
