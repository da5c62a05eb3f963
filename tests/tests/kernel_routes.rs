//! Routes in a real kernel, seen as any other user of the table sees them.
//!
//! Each test runs in a network namespace of its own (see `kernel/lab.rs`) and reads the outcome
//! with iproute2, never through the code under test. Times are printed; the limits asserted are
//! those of the promises, with room for a loaded machine.

#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/lab.rs"]
mod lab;

use std::time::{Duration, Instant};

use lab::{
    Kernel, Monitor, cable, destinations, discard, gateways, in_namespace, ip, ip_json, nothing,
    thread_time, unicast,
};
use rib::fib::{KernelConfig, KernelEvent, Meddling};
use rib::netlink::cleanup;

const VIA: [&str; 3] = ["10.0.1.2", "10.0.2.2", "10.0.3.2"];

/// `n`-th of many /24s.
fn prefix(n: u32) -> String {
    format!("{}.{}.{}.0/24", 20 + (n >> 16), (n >> 8) & 255, n & 255)
}

fn many(count: u32, via: &[&str]) -> Vec<rib::fib::FibChange> {
    (0..count).map(|n| unicast(&prefix(n), via)).collect()
}

#[test]
fn ecmp_group_of_three_shrinks_when_a_member_is_lost() {
    in_namespace("ecmp_group_of_three_shrinks_when_a_member_is_lost", || {
        (1..=3).for_each(cable);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(many(1000, &VIA));
        assert_eq!(gateways(&prefix(0)), VIA);
        assert_eq!(gateways(&prefix(999)), VIA);

        let cut = Instant::now();
        ip("link set w2 down");
        kernel.handle.track("10.0.2.2".parse().unwrap(), true);
        kernel.wait("unreachable", |event| match event {
            KernelEvent::NextHop { state, .. } => (!state.reachable).then_some(()),
            _ => None,
        });
        println!("member lost and known after {:?}", cut.elapsed());
        for n in [0, 500, 999] {
            assert_eq!(gateways(&prefix(n)), ["10.0.1.2", "10.0.3.2"]);
        }
        let written = kernel.handle.stats().routes_written;
        assert_eq!(written, 1000, "no route was written again");

        ip("link set w2 up");
        kernel.wait("group of three", |event| match event {
            KernelEvent::NextHop { state, .. } => state.reachable.then_some(()),
            _ => None,
        });
        kernel.until("three members", |_| gateways(&prefix(0)) == VIA);
        assert_eq!(kernel.handle.stats().routes_written, 1000);
    });
}

#[test]
fn all_routes_move_with_one_group() {
    in_namespace("all_routes_move_with_one_group", || {
        (1..=2).for_each(cable);
        ip("route add 192.0.2.1/32 via 10.0.1.2");
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.handle.track("192.0.2.1".parse().unwrap(), true);
        kernel.put(many(100_000, &["192.0.2.1"]));
        assert_eq!(gateways(&prefix(99_999)), ["10.0.1.2"]);

        let before = kernel.handle.stats();
        let start = Instant::now();
        ip("route change 192.0.2.1/32 via 10.0.2.2");
        kernel.until("the group replaced", |stats| {
            stats.groups_replaced > before.groups_replaced
        });
        println!(
            "100000 routes moved to another next hop in {:?}",
            start.elapsed()
        );
        for n in [0, 50_000, 99_999] {
            assert_eq!(gateways(&prefix(n)), ["10.0.2.2"]);
        }
        assert_eq!(kernel.handle.stats().routes_written, before.routes_written);
    });
}

#[test]
fn the_last_next_hop_takes_its_routes_along_and_brings_them_back() {
    in_namespace(
        "the_last_next_hop_takes_its_routes_along_and_brings_them_back",
        || {
            cable(1);
            let (kernel, _) = Kernel::start(&KernelConfig::default());
            let changes = [
                unicast("10.244.0.0/16", &["10.0.1.2"]),
                unicast("2001:db8::/32", &["fd00:1::2"]),
            ];
            kernel.put(changes.to_vec());
            for round in 0..3 {
                ip("link set w1 down");
                kernel.until("no routes", |stats| stats.routes_installed == 0);
                assert!(destinations("proto 186").is_empty(), "round {round}");
                ip("link set w1 up");
                kernel.until("both routes", |stats| stats.routes_installed == 2);
                assert_eq!(gateways("10.244.0.0/16"), ["10.0.1.2"]);
                assert_eq!(gateways("2001:db8::/32"), ["fd00:1::2"]);
            }
            // The whole interface goes, and comes back without its addresses' routes being ours.
            ip("link del v1");
            kernel.until("no routes", |stats| stats.routes_installed == 0);
            cable(1);
            kernel.until("both routes", |stats| stats.routes_installed == 2);
            assert_eq!(gateways("10.244.0.0/16"), ["10.0.1.2"]);
        },
    );
}

#[test]
fn a_hundred_thousand_routes_are_written_fast() {
    in_namespace("a_hundred_thousand_routes_are_written_fast", || {
        (1..=2).for_each(cable);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        let changes = many(100_000, &["10.0.1.2", "10.0.2.2"]);
        let before = thread_time();
        let (written, took) = kernel.put(changes);
        let busy = thread_time().saturating_sub(before);
        assert_eq!(written, 100_000);
        let rate = |time: Duration| 100_000.0 / time.as_secs_f64();
        println!(
            "100000 routes written in {took:?}: {:.0} routes/s ({:.0}/s of processor time)",
            rate(took),
            rate(busy)
        );
        assert_eq!(destinations("proto 186").len(), 100_000);
        let ends = (0..100_000).map(|n| nothing(&prefix(n))).collect();
        let (_, took) = kernel.put(ends);
        println!("100000 routes deleted in {took:?}");
        assert!(destinations("proto 186").is_empty());
        assert_eq!(kernel.handle.stats().overruns, 0, "own echoes are filtered");
    });
}

#[test]
fn a_foreign_delete_or_change_is_healed_within_a_second() {
    in_namespace(
        "a_foreign_delete_or_change_is_healed_within_a_second",
        || {
            cable(1);
            let (kernel, _) = Kernel::start(&KernelConfig::default());
            kernel.put(vec![
                unicast("10.244.0.0/16", &["10.0.1.2"]),
                unicast("2001:db8::/32", &["fd00:1::2"]),
                discard("172.40.0.0/16"),
            ]);
            let restored = |what: &str, cause: Meddling, destination: &str| {
                let start = Instant::now();
                ip(what);
                kernel.wait(what, |event| match event {
                    KernelEvent::Restored { cause: found, .. } => (*found == cause).then_some(()),
                    _ => None,
                });
                kernel.installed();
                let took = start.elapsed();
                println!("{what}: healed after {took:?}");
                assert!(took < Duration::from_secs(1));
                let family = if destination.contains(':') { "-6 " } else { "" };
                let found = ip(&format!("{family}route show {destination} proto 186"));
                assert!(!found.is_empty(), "{what}");
            };
            restored(
                "route del 10.244.0.0/16",
                Meddling::Deleted,
                "10.244.0.0/16",
            );
            let change = "route change 10.244.0.0/16 via 10.0.1.9 metric 20";
            restored(change, Meddling::Changed, "10.244.0.0/16");
            assert_eq!(gateways("10.244.0.0/16"), ["10.0.1.2"]);
            restored(
                "-6 route del 2001:db8::/32 metric 20",
                Meddling::Deleted,
                "2001:db8::/32",
            );
            restored(
                "route del blackhole 172.40.0.0/16",
                Meddling::Deleted,
                "172.40.0.0/16",
            );
            assert_eq!(kernel.handle.stats().restored, 4);
        },
    );
}

#[test]
fn deleted_next_hops_come_back_with_their_routes() {
    in_namespace("deleted_next_hops_come_back_with_their_routes", || {
        (1..=2).for_each(cable);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(many(100, &["10.0.1.2", "10.0.2.2"]));
        for id in next_hop_ids() {
            ip(&format!("nexthop del id {id}"));
            kernel.until("100 routes and 3 next hops", |stats| {
                stats.routes_installed == 100 && destinations("proto 186").len() == 100
            });
            kernel.until("both gateways", |_| gateways(&prefix(7)).len() == 2);
        }
    });
}

fn next_hop_ids() -> Vec<u64> {
    let objects = ip_json("nexthop show");
    objects
        .iter()
        .filter_map(|object| object["id"].as_u64())
        .collect()
}

#[test]
fn routes_of_others_are_left_alone() {
    in_namespace("routes_of_others_are_left_alone", || {
        cable(1);
        ip("route add 10.244.0.0/24 via 10.0.1.7 metric 20 proto static");
        ip("route add 10.244.1.0/24 via 10.0.1.7 metric 30 proto bird");
        ip("route add 10.244.2.0/24 via 10.0.1.7 metric 20 table 100 proto 186");
        ip("nexthop add id 77 via 10.0.1.7 dev v1");
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        let wanted = ["10.244.0.0/24", "10.244.1.0/24"].map(|p| unicast(p, &["10.0.1.2"]));
        kernel.handle.update(wanted.to_vec()).unwrap();
        let protocol = kernel.wait("conflict", |event| match event {
            KernelEvent::Conflict { protocol, .. } => Some(*protocol),
            _ => None,
        });
        assert_eq!(protocol, 4);
        kernel.handle.resync_complete();
        kernel.until("one route", |stats| stats.routes_installed == 1);
        let all = ip("route show");
        assert!(
            all.contains("10.244.0.0/24 via 10.0.1.7 dev v1 proto static metric 20"),
            "{all}"
        );
        assert!(
            all.contains("10.244.1.0/24 via 10.0.1.7 dev v1 proto bird metric 30"),
            "{all}"
        );
        // The place becomes free.
        ip("route del 10.244.0.0/24 proto static");
        kernel.until("two routes", |stats| stats.routes_installed == 2);
        assert_eq!(gateways("10.244.0.0/24"), ["10.0.1.2"]);
        drop(kernel);
        cleanup(&KernelConfig::default()).unwrap();
        let all = ip("route show");
        assert!(
            all.contains("10.244.1.0/24 via 10.0.1.7 dev v1 proto bird metric 30"),
            "{all}"
        );
        assert!(ip("nexthop show").contains("id 77 "));
    });
}

#[test]
fn a_restart_leaves_no_gap() {
    in_namespace("a_restart_leaves_no_gap", || {
        (1..=2).for_each(cable);
        let config = KernelConfig::default();
        let (kernel, _) = Kernel::start(&config);
        kernel.put(many(500, &["10.0.1.2", "10.0.2.2"]));
        kernel.put(vec![
            unicast("2001:db8::/32", &["fd00:1::2", "fd00:2::2"]),
            discard("172.40.0.0/16"),
            unicast("10.99.0.0/16", &["10.0.1.2"]),
        ]);
        drop(kernel);
        assert_eq!(destinations("proto 186").len(), 502);

        let monitor = Monitor::start("all");
        let (kernel, adopted) = Kernel::start(&config);
        assert_eq!(adopted, 503);
        kernel
            .handle
            .update(many(500, &["10.0.1.2", "10.0.2.2"]))
            .unwrap();
        let rest = vec![
            unicast("2001:db8::/32", &["fd00:1::2", "fd00:2::2"]),
            discard("172.40.0.0/16"),
        ];
        kernel.handle.update(rest).unwrap();
        kernel.until("all adopted", |stats| stats.adopted == 502);
        let seen = monitor.until_mark();
        assert!(seen.is_empty(), "nothing was written or deleted: {seen:?}");
        assert_eq!(gateways("10.99.0.0/16"), ["10.0.1.2"], "stale, but kept");

        kernel.handle.resync_complete();
        let count = kernel.wait("stale removed", |event| match event {
            KernelEvent::StaleRemoved { count } => Some(*count),
            _ => None,
        });
        assert_eq!(count, 1);
        kernel.until("two objects, two groups", |stats| {
            (stats.routes_installed, stats.next_hops) == (502, 4) && stats.groups == 2
        });
        let seen = monitor.until_mark();
        let deleted = seen
            .iter()
            .filter(|line| line.contains("Deleted 10.99.0.0/16"));
        assert_eq!(deleted.count(), 1, "{seen:?}");
        assert!(destinations("10.99.0.0/16").is_empty());
    });
}

#[test]
fn cleanup_leaves_nothing_of_ours() {
    in_namespace("cleanup_leaves_nothing_of_ours", || {
        (1..=2).for_each(cable);
        let before = (ip("route show table all"), ip("-6 route show table all"));
        let config = KernelConfig {
            table: 1000,
            ..KernelConfig::default()
        };
        let (kernel, _) = Kernel::start(&config);
        kernel.put(many(300, &["10.0.1.2", "10.0.2.2"]));
        kernel.put(vec![
            unicast("2001:db8::/32", &["fd00:1::2"]),
            discard("172.40.0.0/16"),
        ]);
        assert_eq!(destinations("table 1000").len(), 301);
        drop(kernel);
        let report = cleanup(&KernelConfig::default()).unwrap();
        assert_eq!(
            (report.routes, report.groups, report.next_hops),
            (302, 2, 3)
        );
        assert_eq!(report.refused, 0);
        assert_eq!(
            (ip("route show table all"), ip("-6 route show table all")),
            before
        );
        assert_eq!(ip("nexthop show"), "");
    });
}

#[test]
fn ipv4_routes_leave_through_ipv6_next_hops() {
    in_namespace("ipv4_routes_leave_through_ipv6_next_hops", || {
        (1..=2).for_each(cable);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(vec![unicast("10.244.0.0/16", &["fd00:1::2", "fd00:2::2"])]);
        assert_eq!(gateways("10.244.0.0/16"), ["fd00:1::2", "fd00:2::2"]);
        let got = ip("route get 10.244.7.7");
        assert!(got.contains("via inet6 fd00:"), "{got}");
    });
}

#[test]
fn a_discard_never_hides_a_local_route() {
    in_namespace("a_discard_never_hides_a_local_route", || {
        cable(1);
        ip("route add 10.50.0.0/24 via 10.0.1.9");
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(vec![
            discard("10.50.0.0/24"),
            discard("10.50.0.0/16"),
            discard("fd00:1::/64"),
        ]);
        assert!(ip("route get 10.50.0.1").contains("via 10.0.1.9"));
        assert!(ip("-6 route get fd00:1::7").contains("dev v1"));
        kernel.put(vec![nothing("10.50.0.0/16")]);
        assert_eq!(destinations("proto 186"), ["10.50.0.0/24"]);
    });
}
