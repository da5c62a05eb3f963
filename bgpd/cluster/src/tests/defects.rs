//! What went wrong in others, one test each, so that it cannot go wrong here.

use super::cluster::*;
use crate::dialect::{calico, metallb};
use crate::object::Kind;
use crate::{Change, Fault};

fn announced() -> Cluster {
    let mut cluster = Cluster::native();
    cluster.put(
        Kind::Service,
        &balanced("web", "Cluster", &["192.0.2.1", "2001:db8::1"]),
    );
    cluster.put(
        Kind::EndpointSlice,
        &slice("web-abc", "web", "IPv4", &["n1"]),
    );
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    cluster
}

/// Calico's confd looks a deleted slice up under its own name and withdraws nothing; kube-router
/// does not react at all.
#[test]
fn deleting_the_last_slice_withdraws() {
    let mut cluster = announced();
    cluster.remove(Kind::EndpointSlice, "shop/web-abc");
    assert_eq!(cluster.routes(), [""; 0]);
}

/// Calico returns early where a service has no slices, and keeps its routes.
#[test]
fn a_service_event_without_slices_withdraws_too() {
    let mut cluster = announced();
    cluster.remove(Kind::EndpointSlice, "shop/web-abc");
    cluster.put(Kind::Service, &balanced("web", "Local", &["192.0.2.1"]));
    assert_eq!(cluster.routes(), [""; 0]);
}

#[test]
fn a_slice_that_goes_to_another_service_is_missed_by_the_first() {
    let mut cluster = announced();
    cluster.put(Kind::Service, &balanced("api", "Cluster", &["192.0.2.2"]));
    cluster.put(
        Kind::EndpointSlice,
        &slice("web-abc", "api", "IPv4", &["n1"]),
    );
    assert_eq!(cluster.routes(), ["192.0.2.2/32 load-balancer-ip"]);
    // And when its label goes altogether.
    let bare = r#"{"metadata":{"name":"web-abc","namespace":"shop"},"addressType":"IPv4",
        "endpoints":[{"nodeName":"n1"}]}"#;
    cluster.put(Kind::EndpointSlice, bare);
    assert_eq!(cluster.routes(), [""; 0]);
}

/// A slice of the same name in another namespace is another slice.
#[test]
fn namespaces_are_kept_apart() {
    let mut cluster = announced();
    let other = slice("web-abc", "web", "IPv4", &[]).replace("\"shop\"", "\"other\"");
    cluster.put(Kind::EndpointSlice, &other);
    cluster.remove(Kind::EndpointSlice, "other/web-abc");
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
}

/// Calico and MetalLB announce the IPv6 address where only IPv4 endpoints are ready.
#[test]
fn families_are_judged_apart() {
    let mut cluster = announced();
    cluster.put(Kind::EndpointSlice, &slice("web-6", "web", "IPv6", &["n1"]));
    assert_eq!(cluster.routes().len(), 2);
    cluster.put(
        Kind::EndpointSlice,
        &slice("web-abc", "web", "IPv4", &["n1:!ready"]),
    );
    assert_eq!(cluster.routes(), ["2001:db8::1/128 load-balancer-ip"]);
}

/// Calico kept routes of endpoints that were no longer ready; kube-router counts unready local
/// endpoints.
#[test]
fn readiness_flips_are_followed_both_ways() {
    let mut cluster = announced();
    cluster.put(Kind::Service, &balanced("web", "Local", &["192.0.2.1"]));
    for (conditions, count) in [("n1:!ready", 0), ("n1:ready", 1), ("n1:!ready:!serving", 0)] {
        cluster.put(
            Kind::EndpointSlice,
            &slice("web-abc", "web", "IPv4", &[conditions]),
        );
        assert_eq!(cluster.routes().len(), count, "{conditions}");
    }
}

/// Calico also announces cluster addresses of a service with policy Cluster as host routes once
/// its load-balancer address is alone in its range.
#[test]
fn no_host_route_for_a_cluster_address_inside_its_range() {
    let mut cluster = announced();
    cluster.options(|options| options.service_cidrs = vec!["10.96.0.0/16".parse().unwrap()]);
    let spec = r#"{"type":"LoadBalancer","clusterIPs":["10.96.0.7"]}"#;
    cluster.put(
        Kind::Service,
        &service("web", "{}", spec, r#"[{"ip":"192.0.2.1"}]"#),
    );
    assert_eq!(
        cluster.routes(),
        ["10.96.0.0/16 cluster-ip", "192.0.2.1/32 load-balancer-ip"]
    );
}

/// kube-vip lets a later slice of a family replace the earlier ones, and takes an absent `serving`
/// for not serving.
#[test]
fn three_slices_of_one_family_with_150_endpoints_add_up() {
    let mut cluster = announced();
    cluster.put(Kind::Service, &balanced("web", "Local", &["192.0.2.1"]));
    let others = vec!["n2"; 49];
    let here: Vec<&str> = others.iter().copied().chain(["n1"]).collect();
    cluster.remove(Kind::EndpointSlice, "shop/web-abc");
    for (name, endpoints) in [("a", &here), ("b", &others), ("c", &others)] {
        cluster.put(Kind::EndpointSlice, &slice(name, "web", "IPv4", endpoints));
    }
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    cluster.remove(Kind::EndpointSlice, "shop/a");
    assert_eq!(cluster.routes(), [""; 0]);
}

/// Before 1.33 there are no ServiceCIDR objects, and PreferDualStack may take a family away.
#[test]
fn a_family_that_leaves_the_service_is_withdrawn() {
    let mut cluster = announced();
    cluster.put(Kind::EndpointSlice, &slice("web-6", "web", "IPv6", &["n1"]));
    assert_eq!(cluster.routes().len(), 2);
    cluster.put(Kind::Service, &balanced("web", "Cluster", &["192.0.2.1"]));
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
}

/// MetalLB refuses the whole configuration for one bad object.
#[test]
fn an_unreadable_object_is_left_out_alone_and_named() {
    let mut cluster = announced();
    let broken = service("api", "{}", r#"{"clusterIPs":["not an address"]}"#, "[]");
    cluster.put(Kind::Service, &broken);
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    assert_eq!(
        cluster.faults(),
        ["Service shop/api spec.clusterIPs[0]: \"not an address\" is not understood"]
    );
    // What an object said before it turned unreadable still counts, until it is gone.
    let broken = service("web", "{}", r#"{"type":"Odd"}"#, "[]");
    cluster.put(Kind::Service, &broken);
    assert_eq!(cluster.routes(), ["192.0.2.1/32 load-balancer-ip"]);
    assert_eq!(cluster.faults().len(), 2);
    cluster.put(Kind::Service, &balanced("web", "Cluster", &["192.0.2.2"]));
    cluster.remove(Kind::Service, "shop/api");
    assert_eq!(cluster.routes(), ["192.0.2.2/32 load-balancer-ip"]);
    assert_eq!(cluster.faults(), [""; 0]);
    cluster.put(Kind::Service, &broken);
    cluster.remove(Kind::Service, "shop/web");
    assert_eq!(cluster.routes(), [""; 0]);
    assert_eq!(cluster.faults(), [""; 0]);
}

/// A broken edit takes no session down and withdraws nothing; only what refuses or protects fails
/// closed.
#[test]
fn a_broken_edit_changes_nothing_but_filters_and_passwords() {
    let mut cluster = announced();
    cluster.planner.plan();
    let meta = |name: &str| format!(r#""metadata":{{"name":"{name}","namespace":"shop"}}"#);
    let peer = Kind::Metallb(metallb::Kind::BgpPeer);
    let filter = Kind::Calico(calico::Kind::BgpFilter);
    let own = (Kind::Node, r#""metadata":{"name":"n1"}"#.to_owned());
    for (kind, meta, good, is_kept) in [
        (own.0, own.1, r#""spec":{"podCIDR":"10.244.0.0/24"}"#, true),
        (
            peer,
            meta("tor"),
            r#""spec":{"peerAddress":"192.0.2.9","peerASN":65000,"myASN":65001}"#,
            true,
        ),
        (
            filter,
            meta("f"),
            r#""spec":{"exportV4":[{"action":"Accept"}]}"#,
            false,
        ),
        (
            Kind::Secret,
            meta("s"),
            r#""data":{"password":"YQ=="}"#,
            false,
        ),
    ] {
        let good = put(kind, &format!("{{{meta},{good}}}"));
        let Change::Put(key, Ok(_)) = &good else {
            panic!("{good:?}");
        };
        let key = key.clone();
        cluster.planner.apply(good);
        cluster.planner.plan();
        let before = cluster.planner.desired();
        let fault = Fault::unreadable(kind, "odd");
        let is_more = cluster
            .planner
            .apply(Change::Put(key.clone(), Err(fault.clone())));
        assert!(is_more && cluster.planner.faults().contains(&fault));
        let delta = cluster.planner.plan();
        assert!(
            delta.faults_changed && delta.announcements.is_empty(),
            "{key:?}"
        );
        if is_kept {
            assert!(!delta.peering_changed, "{key:?}");
            assert_eq!(cluster.planner.desired().neighbors, before.neighbors);
        }
        let snapshot = cluster.planner.snapshot();
        let objects = snapshot.changes();
        let mut objects = objects.iter();
        let is_there = objects.any(|change| matches!(change, Change::Put(at, Ok(_)) if *at == key));
        assert_eq!(is_there, is_kept, "{key:?}");
    }
}

/// A heartbeat, or a field that nobody reads, causes no work; neither does another node.
#[test]
fn what_changes_nothing_touches_nothing() {
    let mut cluster = announced();
    cluster.planner.plan();
    let beat = r#"{"annotations":{"other/beat":"2"},"resourceVersion":"7"}"#;
    for (kind, json, matters) in [
        (Kind::Node, node("n1", beat, "{}"), false),
        (
            Kind::Service,
            balanced("web", "Cluster", &["192.0.2.1", "2001:db8::1"]),
            false,
        ),
        (
            Kind::EndpointSlice,
            slice("web-abc", "web", "IPv4", &["n1"]),
            false,
        ),
        (Kind::Node, node("n2", "{}", "{}"), true),
    ] {
        let Change::Put(key, object) = put(kind, &json) else {
            panic!();
        };
        assert_eq!(
            cluster.planner.apply(Change::Put(key, object)),
            matters,
            "{json}"
        );
        assert!(cluster.planner.plan().is_empty(), "{json}");
    }
    let key = parse("shop/none");
    let fault = Fault::unreadable(Kind::Service, "odd");
    let key = crate::object::Key {
        kind: Kind::Service,
        name: key,
    };
    cluster
        .planner
        .apply(Change::Put(key.clone(), Err(fault.clone())));
    assert!(cluster.planner.plan().faults_changed);
    cluster.planner.apply(Change::Put(key, Err(fault)));
    assert!(cluster.planner.plan().is_empty());
}
