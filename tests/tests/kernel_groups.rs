//! Many routes behind one group, and what a change for all of them costs: a message, not a message
//! for each.
//!
//! The table's changes come one prefix at a time, and writing goes on meanwhile; the groups have
//! to find out by themselves that all routes go the same way. Every story ends with the comparison
//! with the oracle, so that no route is left where it should not be.

#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/drive.rs"]
mod drive;
#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/fake.rs"]
mod fake;

use drive::{Driven, hop, net, unicast};
use fake::FakeKernel;

/// Started, with no routes of an earlier run.
fn started(links: u32) -> Driven {
    let mut driven = Driven::new(FakeKernel::with_links(links));
    driven.quiet();
    driven.fib.resync_complete(driven.now);
    driven
}

/// Two hundred routes with these next hops.
fn want_all(driven: &mut Driven, via: &[&str]) {
    for n in 0..200 {
        driven.want(unicast(&format!("10.244.{n}.0/24"), via));
    }
}

/// The table hears of a dead next hop later than the group, and takes it out of each route: they
/// are right by then.
#[test]
fn routes_stay_in_a_group_that_has_shrunk_before_them() {
    let mut driven = started(2);
    want_all(&mut driven, &["10.0.1.2", "10.0.2.2"]);
    driven.quiet();
    driven.kernel.set_carrier(2, false);
    driven.quiet();
    let routes = driven.kernel.route_writes;
    for n in 0..200 {
        driven.want(unicast(&format!("10.244.{n}.0/24"), &["10.0.1.2"]));
        // Not all of them come in one turn.
        driven.turn();
    }
    driven.quiet();
    driven.check();
    driven.check_no_litter();
    assert_eq!(driven.kernel.route_writes, routes, "no route was written");
    // The link is back: whoever uses both goes to both, the others stay.
    driven.kernel.set_carrier(2, true);
    driven.quiet();
    driven.check();
    assert_eq!(driven.kernel.route_writes, routes);
    driven.want(unicast("10.244.7.0/24", &["10.0.1.2", "10.0.2.2"]));
    driven.quiet();
    driven.check();
}

#[test]
fn guests_of_a_group_leave_when_it_changes() {
    let mut driven = started(3);
    want_all(&mut driven, &["10.0.1.2", "10.0.2.2"]);
    driven.want(unicast("10.9.0.0/24", &["10.0.1.2"]));
    driven.quiet();
    driven.kernel.set_carrier(2, false);
    driven.quiet();
    let routes = driven.kernel.route_writes;
    for n in 0..100 {
        driven.want(unicast(&format!("10.244.{n}.0/24"), &["10.0.1.2"]));
    }
    driven.quiet();
    assert_eq!(driven.kernel.route_writes, routes, "they stay as guests");
    driven.kernel.set_carrier(2, true);
    driven.quiet();
    driven.check();
    assert_eq!(
        driven.kernel.route_writes - routes,
        100,
        "those of one next hop moved"
    );
    // Back to being guests, until their own set gets other members.
    driven.kernel.set_carrier(2, false);
    driven.quiet();
    for n in 0..50 {
        driven.want(unicast(
            &format!("10.244.{n}.0/24"),
            &["10.0.1.2", "10.0.2.2"],
        ));
    }
    driven.quiet();
    driven
        .kernel
        .foreign_add(net("10.0.2.2/32"), 0, hop("10.0.3.9", 3));
    driven.quiet();
    driven.check();
    driven.kernel.foreign_delete(net("10.0.2.2/32"), 0);
    driven.quiet();
    driven.check();
    driven.check_no_litter();
}

/// One of two equal paths is withdrawn for all prefixes, and comes back.
#[test]
fn a_group_whose_routes_all_leave_moves_with_them() {
    let mut driven = started(3);
    let both = ["10.0.1.2", "10.0.2.2"];
    want_all(&mut driven, &both);
    driven.quiet();
    for via in [&both[..1], &both, &both[1..], &["10.0.3.2"]] {
        let routes = driven.kernel.route_writes;
        for n in 0..200 {
            driven.want(unicast(&format!("10.244.{n}.0/24"), via));
            if n % 20 == 0 {
                driven.turn_with(4, |_| {});
            }
        }
        driven.turn();
        driven.check();
        driven.quiet();
        driven.check();
        driven.check_no_litter();
        let written = driven.kernel.route_writes - routes;
        assert!(written <= 40, "{written} routes written");
    }
}

#[test]
fn a_group_goes_where_most_of_its_routes_go() {
    let mut driven = started(3);
    want_all(&mut driven, &["10.0.1.2", "10.0.2.2"]);
    driven.quiet();
    let routes = driven.kernel.route_writes;
    for n in 0..180 {
        driven.want(unicast(&format!("10.244.{n}.0/24"), &["10.0.1.2"]));
    }
    for n in 180..200 {
        driven.want(unicast(&format!("10.244.{n}.0/24"), &["10.0.3.2"]));
    }
    driven.quiet();
    driven.check();
    driven.check_no_litter();
    assert_eq!(driven.kernel.route_writes - routes, 20);
    // A set with two groups moves as one.
    driven
        .kernel
        .foreign_add(net("10.0.1.2/32"), 0, hop("10.0.2.9", 2));
    driven.quiet();
    driven.check();
    assert_eq!(driven.kernel.route_writes - routes, 20);
}
