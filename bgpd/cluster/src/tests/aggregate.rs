//! Aggregates swallow nothing: where an address must be served here and is not, the others are
//! announced one by one.

use super::cluster::*;
use crate::object::Kind;
use crate::{Marks, PoolOption};

fn cluster(aggregation: u8) -> Cluster {
    let mut cluster = Cluster::native();
    cluster.options(|options| {
        options.pools = vec![PoolOption {
            name: "web".into(),
            blocks: vec!["192.0.2.0/24".parse().unwrap()],
            aggregation_v4: aggregation,
            aggregation_v6: 128,
            marks: Marks::default(),
            neighbors: None,
        }];
    });
    cluster
}

fn serve(cluster: &mut Cluster, name: &str, policy: &str, address: &str, on: &[&str]) {
    cluster.put(Kind::Service, &balanced(name, policy, &[address]));
    cluster.put(Kind::EndpointSlice, &slice(name, name, "IPv4", on));
}

#[test]
fn one_eligible_address_announces_the_aggregate() {
    let mut cluster = cluster(24);
    assert_eq!(cluster.routes(), [""; 0]);
    serve(&mut cluster, "a", "Cluster", "192.0.2.1", &["n2"]);
    assert_eq!(cluster.routes(), ["192.0.2.0/24 pool:web"]);
    serve(&mut cluster, "b", "Local", "192.0.2.200", &["n1"]);
    assert_eq!(cluster.routes(), ["192.0.2.0/24 pool:web"]);
    let objects = cluster.planner.desired().announcements[0].objects.join(" ");
    assert_eq!(objects, "Service shop/a Service shop/b");
}

#[test]
fn a_local_address_served_elsewhere_splits_it_here_and_back() {
    let mut cluster = cluster(24);
    serve(&mut cluster, "a", "Cluster", "192.0.2.1", &["n2"]);
    serve(&mut cluster, "b", "Local", "192.0.2.2", &["n1"]);
    serve(&mut cluster, "c", "Local", "192.0.2.3", &["n2"]);
    assert_eq!(
        cluster.routes(),
        ["192.0.2.1/32 pool:web", "192.0.2.2/32 pool:web"]
    );
    assert_eq!(
        cluster.faults(),
        [
            "Service shop/c : 192.0.2.3 must be served on this node (policy Local) and is not: the \
          aggregate 192.0.2.0/24 is announced address by address here"
        ]
    );
    // One event brings the aggregate back and takes the single routes away.
    serve(&mut cluster, "c", "Local", "192.0.2.3", &["n2", "n1"]);
    let delta = cluster.planner.plan();
    assert_eq!(delta.announcements.len(), 3);
    assert!(delta.faults_changed);
    assert_eq!(cluster.routes(), ["192.0.2.0/24 pool:web"]);
    assert_eq!(cluster.faults(), [""; 0]);
}

/// Without endpoints no node serves it: the aggregate takes no packet from a better place.
#[test]
fn an_address_that_nobody_serves_splits_nothing() {
    let mut cluster = cluster(24);
    serve(&mut cluster, "a", "Cluster", "192.0.2.1", &["n2"]);
    serve(&mut cluster, "b", "Cluster", "192.0.2.2", &["n2:!ready"]);
    assert_eq!(cluster.routes(), ["192.0.2.0/24 pool:web"]);
}

#[test]
fn the_operator_can_insist() {
    let mut cluster = cluster(24);
    serve(&mut cluster, "a", "Cluster", "192.0.2.1", &["n2"]);
    serve(&mut cluster, "c", "Local", "192.0.2.3", &["n2"]);
    assert_eq!(cluster.routes(), ["192.0.2.1/32 pool:web"]);
    cluster.options(|options| options.force_aggregates = true);
    assert_eq!(cluster.routes(), ["192.0.2.0/24 pool:web"]);
    cluster.options(|options| options.force_aggregates = false);
    assert_eq!(cluster.routes(), ["192.0.2.1/32 pool:web"]);
}

#[test]
fn aggregates_of_one_pool_are_judged_apart_and_never_wider_than_it() {
    let mut halves = cluster(25);
    serve(&mut halves, "a", "Cluster", "192.0.2.1", &["n2"]);
    serve(&mut halves, "c", "Local", "192.0.2.130", &["n2"]);
    assert_eq!(halves.routes(), ["192.0.2.0/25 pool:web"]);
    let mut wide = cluster(16);
    serve(&mut wide, "a", "Cluster", "192.0.2.1", &["n2"]);
    assert_eq!(wide.routes(), ["192.0.2.0/24 pool:web"]);
}

/// The last service goes, and the split with it.
#[test]
fn nothing_is_left_behind() {
    let mut cluster = cluster(24);
    serve(&mut cluster, "a", "Cluster", "192.0.2.1", &["n2"]);
    serve(&mut cluster, "c", "Local", "192.0.2.3", &["n2"]);
    cluster.routes();
    cluster.remove(Kind::Service, "shop/c");
    assert_eq!(cluster.routes(), ["192.0.2.0/24 pool:web"]);
    cluster.remove(Kind::Service, "shop/a");
    assert_eq!(cluster.routes(), [""; 0]);
    assert_eq!(cluster.faults(), [""; 0]);
}
