//! The reconciler against a fake kernel with faults.
//!
//! Each test shows one promise in one story; `kernel_property.rs` mixes all of them at random.
//! The clock is the test's own, so minutes of backoff pass in no time.

#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/drive.rs"]
mod drive;
#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/fake.rs"]
mod fake;

use std::net::IpAddr;
use std::time::Duration;

use drive::{Driven, METRIC, discard, hop, net, unicast};
use fake::FakeKernel;
use rib::fib::model::{NextHopContent, ObservedNextHop};
use rib::fib::{DISCARD_METRIC, KernelEvent, Meddling, own_ids};

/// Started, with no routes of an earlier run.
fn started(links: u32) -> Driven {
    let mut driven = Driven::new(FakeKernel::with_links(links));
    driven.quiet();
    driven.fib.resync_complete(driven.now);
    driven
}

#[test]
fn one_group_change_moves_all_routes_behind_it() {
    let mut driven = started(3);
    let via = ["10.0.1.2", "10.0.2.2", "10.0.3.2"];
    for n in 0..200 {
        driven.want(unicast(&format!("10.244.{n}.0/24"), &via));
    }
    driven.quiet();
    driven.check();
    let writes = driven.kernel.writes;
    // The BGP next hop 10.0.3.2 becomes reachable another way.
    driven
        .kernel
        .foreign_add(net("10.0.3.2/32"), 0, hop("10.0.1.9", 1));
    driven.quiet();
    driven.check();
    assert_eq!(
        driven.kernel.writes - writes,
        3,
        "an object, the group, litter"
    );
}

#[test]
fn a_lost_link_costs_no_write_while_members_remain() {
    let mut driven = started(3);
    for n in 0..200 {
        let prefix = format!("10.244.{n}.0/24");
        driven.want(unicast(&prefix, &["10.0.1.2", "10.0.2.2", "10.0.3.2"]));
    }
    driven.quiet();
    let writes = driven.kernel.writes;
    driven.kernel.set_carrier(2, false);
    driven.quiet();
    assert_eq!(
        driven.kernel.writes, writes,
        "the kernel took the member out itself"
    );
    driven.check();
    driven.kernel.set_carrier(2, true);
    driven.quiet();
    driven.check();
    assert_eq!(driven.kernel.writes - writes, 2, "an object and the group");
}

#[test]
fn routes_leave_with_their_last_next_hop_and_come_back() {
    for prefix in ["10.244.0.0/24", "2001:db8::/32"] {
        let mut driven = started(2);
        driven.want(unicast(prefix, &["fd00:2::2"]));
        driven.quiet();
        driven.check();
        for flap in 0..3 {
            driven.kernel.set_up(2, false);
            driven.quiet();
            assert!(
                !driven.kernel.routes.contains_key(&(net(prefix), METRIC)),
                "{flap}"
            );
            driven.kernel.set_up(2, true);
            driven.quiet();
            driven.check();
            // Down and up between two looks.
            driven.kernel.set_up(2, false);
            driven.kernel.set_up(2, true);
            driven.quiet();
            driven.check();
        }
    }
}

#[test]
fn a_restart_adopts_what_is_right_and_removes_what_nobody_wants() {
    let mut driven = started(2);
    for n in 0..50 {
        driven.want(unicast(
            &format!("10.1.{n}.0/24"),
            &["10.0.1.2", "10.0.2.2"],
        ));
    }
    driven.want(unicast("10.2.0.0/24", &["10.0.1.2"]));
    driven.want(discard("10.3.0.0/16"));
    driven.quiet();
    let writes = driven.kernel.writes;
    let before = driven.kernel.routes.clone();

    driven.restart();
    driven.quiet();
    assert!(driven.events.contains(&KernelEvent::Ready { adopted: 52 }));
    for n in 0..50 {
        driven.want(unicast(
            &format!("10.1.{n}.0/24"),
            &["10.0.1.2", "10.0.2.2"],
        ));
    }
    driven.quiet();
    driven.pass(Duration::from_secs(300));
    assert_eq!(driven.kernel.writes, writes, "nothing was written");
    assert_eq!(driven.kernel.routes, before);
    assert_eq!(driven.fib.stats().adopted, 50);
    assert_eq!(driven.fib.stats().routes_stale, 2);

    driven.fib.resync_complete(driven.now);
    driven.quiet();
    driven.check();
    driven.check_no_litter();
    assert!(
        driven
            .events
            .contains(&KernelEvent::StaleRemoved { count: 2 })
    );
}

#[test]
fn without_end_of_rib_stale_routes_go_at_the_deadline() {
    let mut driven = started(1);
    driven.want(unicast("10.1.0.0/24", &["10.0.1.2"]));
    driven.quiet();
    driven.restart();
    driven.pass(Duration::from_secs(359));
    assert!(
        driven
            .kernel
            .routes
            .contains_key(&(net("10.1.0.0/24"), METRIC))
    );
    driven.pass(Duration::from_secs(2));
    driven.check();
    driven.check_no_litter();
}

#[test]
fn what_others_delete_or_change_is_restored_and_counted() {
    let mut driven = started(1);
    let (prefix, place) = (net("10.1.0.0/24"), (net("10.1.0.0/24"), METRIC));
    driven.want(unicast("10.1.0.0/24", &["10.0.1.2"]));
    driven.quiet();
    driven.kernel.foreign_delete(prefix, METRIC);
    driven.quiet();
    driven.check();
    driven
        .kernel
        .foreign_replace(prefix, METRIC, hop("10.0.1.77", 1));
    driven.quiet();
    driven.check();
    assert_eq!(driven.kernel.routes[&place].protocol, fake::OURS);
    let causes = driven.events.iter().filter_map(|event| match event {
        KernelEvent::Restored { cause, .. } => Some(*cause),
        _ => None,
    });
    let causes: Vec<_> = causes.collect();
    assert_eq!(causes, [Meddling::Deleted, Meddling::Changed]);
    assert_eq!(driven.fib.stats().restored, 2);
}

#[test]
fn a_fight_slows_down() {
    let mut driven = started(1);
    driven.want(unicast("10.1.0.0/24", &["10.0.1.2"]));
    driven.quiet();
    let writes = driven.kernel.writes;
    // Another daemon deletes the route as often as it appears, for ten minutes.
    for _ in 0..600 {
        driven.kernel.foreign_delete(net("10.1.0.0/24"), METRIC);
        driven.pass(Duration::from_secs(1));
    }
    let spent = driven.kernel.writes - writes;
    assert!((4..=25).contains(&spent), "{spent} writes");
    // It gives up; so does our patience, after a while.
    driven.pass(Duration::from_secs(300));
    driven.check();
    driven.kernel.foreign_delete(net("10.1.0.0/24"), METRIC);
    driven.quiet();
    driven.check();
}

#[test]
fn a_place_that_someone_else_has_is_left_alone_until_it_is_free() {
    let mut driven = started(1);
    let place = (net("10.1.0.0/24"), METRIC);
    driven
        .kernel
        .foreign_add(place.0, place.1, hop("10.0.1.9", 1));
    driven.quiet();
    driven.want(unicast("10.1.0.0/24", &["10.0.1.2"]));
    driven.pass(Duration::from_secs(300));
    assert_eq!(driven.kernel.routes[&place].protocol, fake::STATIC);
    let conflict = KernelEvent::Conflict {
        prefix: place.0,
        protocol: fake::STATIC,
    };
    assert!(driven.events.contains(&conflict));
    driven.kernel.foreign_delete(place.0, place.1);
    driven.quiet();
    driven.check();
}

#[test]
fn foreign_next_hops_in_our_range_are_not_touched() {
    let first = *own_ids(fake::OURS).start();
    let mut kernel = FakeKernel::with_links(1);
    for id in first..first + 3 {
        let content = NextHopContent::Other;
        let foreign = ObservedNextHop {
            id,
            protocol: fake::STATIC,
            content,
        };
        kernel.next_hops.insert(id, foreign);
    }
    let mut driven = Driven::new(kernel);
    driven.want(unicast("10.1.0.0/24", &["10.0.1.2"]));
    driven.quiet();
    driven.check();
    assert_eq!(driven.kernel.next_hops.len(), 5);
}

#[test]
fn deleted_next_hops_are_made_again_with_their_routes() {
    let mut driven = started(2);
    driven.want(unicast("10.1.0.0/24", &["10.0.1.2", "10.0.2.2"]));
    driven.want(unicast("2001:db8::/32", &["fd00:1::2"]));
    driven.quiet();
    let ids: Vec<u32> = driven.kernel.next_hops.keys().copied().collect();
    for id in ids {
        driven.kernel.foreign_delete_next_hop(id);
        driven.quiet();
        driven.check();
    }
    driven.check_no_litter();
}

#[test]
fn lost_notifications_are_made_up_for() {
    let mut driven = started(2);
    for n in 0..20 {
        driven.want(unicast(
            &format!("10.1.{n}.0/24"),
            &["10.0.1.2", "10.0.2.2"],
        ));
    }
    driven.quiet();
    driven.kernel.deaf = true;
    driven.kernel.foreign_delete(net("10.1.3.0/24"), METRIC);
    driven
        .kernel
        .foreign_replace(net("10.1.4.0/24"), METRIC, hop("10.0.1.8", 1));
    driven.kernel.set_up(1, false);
    driven
        .kernel
        .foreign_add(net("10.9.0.0/24"), 0, hop("10.0.2.8", 2));
    driven.fib.overrun(driven.now);
    driven.quiet();
    // The overwritten place looks like one that another had first, so it is left to the other.
    driven.check();
    assert_eq!(driven.fib.stats().overruns, 1);
    assert!(driven.fib.stats().audit_repairs >= 1);
    driven.kernel.foreign_delete(net("10.1.4.0/24"), METRIC);
    driven.quiet();
    driven.check();
}

#[test]
fn without_next_hop_objects_routes_carry_their_paths() {
    let mut kernel = FakeKernel::with_links(2);
    kernel.old = true;
    let mut driven = Driven::new(kernel);
    driven.quiet();
    driven.fib.resync_complete(driven.now);
    driven.want(unicast("10.1.0.0/24", &["10.0.1.2", "10.0.2.2"]));
    driven.want(unicast("10.2.0.0/24", &["10.0.2.2"]));
    driven.want(discard("10.3.0.0/16"));
    driven.quiet();
    driven.check();
    driven.kernel.set_up(2, false);
    driven.quiet();
    driven.check();
    driven.kernel.set_up(2, true);
    driven.pass(Duration::from_secs(200));
    driven.check();
    assert!(driven.kernel.next_hops.is_empty());
}

#[test]
fn a_change_of_kind_makes_before_it_breaks() {
    let mut driven = started(1);
    driven.want(unicast("10.1.0.0/24", &["10.0.1.2"]));
    driven.quiet();
    driven.want(discard("10.1.0.0/24"));
    while driven.turn() {
        let prefix = net("10.1.0.0/24");
        let places = [METRIC, DISCARD_METRIC].map(|m| driven.kernel.routes.get(&(prefix, m)));
        assert!(places.iter().any(Option::is_some), "a gap");
    }
    driven.quiet();
    driven.check();
}

#[test]
fn next_hops_are_tracked_through_the_kernels_routes() {
    let mut driven = started(2);
    let addr: IpAddr = "192.0.2.1".parse().unwrap();
    driven.fib.track(addr, true);
    driven
        .kernel
        .foreign_add(net("192.0.2.0/24"), 30, hop("10.0.1.9", 1));
    driven.quiet();
    driven
        .kernel
        .foreign_add(net("192.0.2.1/32"), 40, hop("10.0.2.9", 2));
    driven.quiet();
    driven.kernel.set_carrier(2, false);
    driven.quiet();
    driven.kernel.foreign_delete(net("192.0.2.0/24"), 30);
    driven.quiet();
    driven
        .kernel
        .foreign_add(net("0.0.0.0/0"), 0, hop("10.0.1.1", 1));
    driven.quiet();
    driven.kernel.set_carrier(2, true);
    driven.quiet();
    let told = driven.events.iter().filter_map(|event| match event {
        KernelEvent::NextHop { state, .. } => Some((state.reachable, state.igp_metric)),
        _ => None,
    });
    let expected = [
        (false, 0),
        (true, 30),
        (true, 40),
        (true, 30),
        (false, 0),
        (true, 40),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_refusal_of_everything_is_told_in_part_and_heals() {
    let mut driven = started(1);
    driven.want(unicast("10.0.0.0/24", &["10.0.1.2"]));
    driven.quiet();
    for n in 0..500 {
        driven.want(unicast(
            &format!("10.2.{}.{}/32", n / 250, n % 250),
            &["10.0.1.2"],
        ));
    }
    driven.kernel.refuse = 2000;
    driven.quiet();
    let failed = |e: &&KernelEvent| matches!(e, KernelEvent::Failed { errno: 12, .. });
    let told = driven.events.iter().filter(failed).count();
    let stats = driven.fib.stats();
    assert_eq!(stats.errors, 500);
    assert_eq!(told as u64 + stats.events_suppressed, 500);
    assert!(told <= 100, "{told}");
    assert_eq!(stats.routes_failing, 500);
    driven.pass(Duration::from_secs(60));
    driven.check();
    assert_eq!(driven.fib.stats().routes_failing, 0);
}
