//! Addresses that several services share: who is a reason, whose attributes count, who is told.

use super::cluster::*;
use crate::object::Kind;

/// A service of its own attributes, age and sharing key at 192.0.2.1.
fn owner(name: &str, created: &str, annotations: &str) -> String {
    let meta = format!(r#"{{"creationTimestamp":"{created}","annotations":{{{annotations}}}}}"#);
    let spec = r#"{"type":"LoadBalancer","externalTrafficPolicy":"Local"}"#;
    service(name, &meta, spec, r#"[{"ip":"192.0.2.1"}]"#)
}

const OLD: &str = "2026-01-01T00:00:00Z";
const NEW: &str = "2026-02-01T00:00:00Z";
const SHARED: &str = r#""metallb.io/allow-shared-ip":"k""#;

fn two(first: &str, second: &str) -> Cluster {
    let mut cluster = Cluster::native();
    cluster.put(Kind::Service, first);
    cluster.put(Kind::Service, second);
    cluster.put(Kind::EndpointSlice, &slice("a", "a", "IPv4", &["n1"]));
    cluster.put(Kind::EndpointSlice, &slice("b", "b", "IPv4", &["n1"]));
    cluster
}

/// Announced while any owner is eligible (Cilium's svc-sharing), and each is named.
#[test]
fn a_shared_address_stays_while_any_owner_is_eligible() {
    let mut cluster = two(&owner("a", OLD, SHARED), &owner("b", NEW, SHARED));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    let objects = cluster.planner.desired().announcements[0].objects.join(" ");
    assert_eq!(objects, "Service shop/a Service shop/b");
    cluster.put(Kind::EndpointSlice, &slice("a", "a", "IPv4", &["n2"]));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    cluster.remove(Kind::Service, "shop/b");
    assert_eq!(cluster.routes(), [""; 0]);
    assert_eq!(cluster.faults(), [""; 0]);
}

#[test]
fn of_conflicting_attributes_the_oldest_service_decides_then_the_name() {
    let one = format!(r#"{SHARED},"wayfare.dev/communities":"64500:1""#);
    let two_ = format!(r#"{SHARED},"wayfare.dev/communities":"64500:2""#);
    let rows = [
        (OLD, NEW, "64500:1", "Service shop/b", "Service shop/a"),
        (NEW, OLD, "64500:2", "Service shop/a", "Service shop/b"),
        (OLD, OLD, "64500:1", "Service shop/b", "Service shop/a"),
    ];
    for (a, b, marks, loser, winner) in rows {
        let mut cluster = two(&owner("a", a, &one), &owner("b", b, &two_));
        let expected = format!("192.0.2.1/32 load-balancer-ip {marks}");
        assert_eq!(cluster.routes(), [expected], "{a} {b}");
        let fault = format!(
            "{loser} : asks for other attributes of 192.0.2.1/32 than {winner}, which counts"
        );
        assert_eq!(cluster.faults(), [fault], "{a} {b}");
    }
}

/// The winner speaks only while it is eligible here.
#[test]
fn attributes_are_those_of_the_oldest_that_is_eligible() {
    let one = format!(r#"{SHARED},"wayfare.dev/communities":"64500:1""#);
    let mut cluster = two(&owner("a", OLD, &one), &owner("b", NEW, SHARED));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip 64500:1"]);
    cluster.put(Kind::EndpointSlice, &slice("a", "a", "IPv4", &[]));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    assert_eq!(cluster.faults(), [""; 0]);
}

#[test]
fn neighbors_are_disjoint_and_named_ones_come_before_all() {
    let named = r#""wayfare.dev/neighbors":"10.0.0.1,10.0.0.2",
        "wayfare.dev/communities":"64500:1","metallb.io/allow-shared-ip":"k""#;
    let other = r#""wayfare.dev/neighbors":"10.0.0.2,10.0.0.3",
        "wayfare.dev/communities":"64500:2","metallb.io/allow-shared-ip":"k""#;
    let mut cluster = two(&owner("a", OLD, named), &owner("b", NEW, other));
    assert_eq!(
        cluster.routes(),
        [
            "192.0.2.1/32 load-balancer-ip to [10.0.0.1, 10.0.0.2] 64500:1",
            "192.0.2.1/32 load-balancer-ip to [10.0.0.3] 64500:2",
        ]
    );
    assert_eq!(cluster.faults().len(), 1);
    // For all: those that the older one does not name.
    let mut cluster = two(&owner("a", OLD, named), &owner("b", NEW, SHARED));
    assert_eq!(
        cluster.routes(),
        [
            "192.0.2.1/32 load-balancer-ip",
            "192.0.2.1/32 load-balancer-ip to [10.0.0.1, 10.0.0.2] 64500:1",
        ]
    );
    // The older one is for all: the younger gets nobody.
    let mut cluster = two(&owner("a", OLD, SHARED), &owner("b", NEW, named));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    assert_eq!(cluster.faults().len(), 1);
}

#[test]
fn an_address_that_two_services_have_without_leave_is_an_alarm() {
    let alarm = "Service shop/b : 192.0.2.1 is also the address of Service shop/a, and no \
                 allow-shared-ip names both";
    let rows = [
        ("", "", Some(alarm)),
        (SHARED, "", Some(alarm)),
        (
            SHARED,
            r#""metallb.io/allow-shared-ip":"other""#,
            Some(alarm),
        ),
        (SHARED, SHARED, None),
        (SHARED, r#""metallb.universe.tf/allow-shared-ip":"k""#, None),
    ];
    for (a, b, expected) in rows {
        let mut cluster = two(&owner("a", OLD, a), &owner("b", NEW, b));
        assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(cluster.faults(), expected, "{a} {b}");
    }
}

/// One address under two headings of one service is one route: the load balancer's pool says most.
#[test]
fn the_same_address_as_external_and_load_balancer_address_is_one_route() {
    let mut cluster = Cluster::native();
    cluster.options(|options| options.external_ranges = vec!["192.0.2.0/24".parse().unwrap()]);
    let spec = r#"{"type":"LoadBalancer","externalIPs":["192.0.2.1"]}"#;
    cluster.put(
        Kind::Service,
        &service("a", "{}", spec, r#"[{"ip":"192.0.2.1"}]"#),
    );
    cluster.put(Kind::EndpointSlice, &slice("a", "a", "IPv4", &["n1"]));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    assert_eq!(cluster.faults(), [""; 0]);
}
