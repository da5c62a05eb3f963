//! What changes around the routes in a real kernel: configuration, interfaces, lost events.
//!
//! As in `kernel_routes.rs`, each test has a network namespace of its own and reads the outcome
//! with iproute2.

#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/lab.rs"]
mod lab;

use std::sync::mpsc::channel;
use std::time::Duration;

use lab::{
    Kernel, Monitor, PATIENCE, batch, cable, destinations, gateways, in_namespace, ip, nothing,
    unicast,
};
use rib::fib::{FibRoute, InterfaceChange, KernelConfig, KernelEvent, RouteQuery};
use rib::netlink::{KernelHandle, interfaces};

#[test]
fn metric_table_and_protocol_change_without_a_gap() {
    in_namespace("metric_table_and_protocol_change_without_a_gap", || {
        cable(1);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(vec![unicast("10.244.0.0/16", &["10.0.1.2"])]);
        kernel.handle.resync_complete();

        let monitor = Monitor::start("route");
        let mut config = KernelConfig {
            metric: 50,
            ..KernelConfig::default()
        };
        kernel.handle.reconfigure(config.clone());
        kernel.until("metric 50 alone", |_| {
            let shown = ip("route show 10.244.0.0/16");
            shown.contains("metric 50") && !shown.contains("metric 20")
        });
        config.protocol = 200;
        kernel.handle.reconfigure(config.clone());
        kernel.until("protocol 200 alone", |_| {
            let shown = ip("route show 10.244.0.0/16");
            shown.contains("proto 200") && !shown.contains("proto bgp")
        });
        kernel.until("next hops of 200 alone", |_| {
            let shown = ip("nexthop show");
            shown.contains("proto 200") && !shown.contains("proto bgp")
        });
        let lines = monitor.until_mark();
        let of = |what: &str| lines.iter().position(|line| line.contains(what));
        let gone = |line: &String| line.contains("Deleted") && line.contains("10.244");
        let gone: Vec<usize> = (0..lines.len()).filter(|n| gone(&lines[*n])).collect();
        assert_eq!(gone.len(), 1, "one move, one overwrite: {lines:?}");
        assert!(
            of("metric 50").is_some_and(|at| at < gone[0]),
            "made before broken: {lines:?}"
        );
        config.table = 100;
        kernel.handle.reconfigure(config);
        kernel.until("table 100 alone", |_| {
            destinations("10.244.0.0/16").is_empty()
        });
        assert_eq!(destinations("table 100"), ["10.244.0.0/16"]);
        // The [kernel] table is taken out of the configuration.
        kernel.handle.reconfigure(KernelConfig {
            watch_only: true,
            ..KernelConfig::default()
        });
        kernel.until("nothing", |_| ip("nexthop show").is_empty());
        assert!(destinations("table 100").is_empty());
    });
}

/// The thread may not have begun to write the second table when the third is asked for.
#[test]
fn tables_that_change_in_quick_succession_leave_nothing_behind() {
    let name = "tables_that_change_in_quick_succession_leave_nothing_behind";
    in_namespace(name, || {
        cable(1);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(vec![unicast("10.244.0.0/16", &["10.0.1.2"])]);
        kernel.handle.resync_complete();
        for table in [100, 101, 102] {
            kernel.handle.reconfigure(KernelConfig {
                table,
                ..KernelConfig::default()
            });
        }
        kernel.until("table 102 alone", |_| {
            let shown = ip("route show table all 10.244.0.0/16");
            shown.lines().count() == 1 && shown.contains("table 102")
        });
    });
}

#[test]
fn lost_notifications_are_noticed_and_made_up_for() {
    in_namespace("lost_notifications_are_noticed_and_made_up_for", || {
        cable(1);
        // A callback that blocks keeps the thread from listening, as a stopped process would be.
        let (sender, events) = channel();
        let (resume, gate) = channel::<()>();
        let handle = KernelHandle::spawn(KernelConfig::default(), move |event| {
            let blocked = matches!(event, KernelEvent::NextHop { .. });
            let _ = sender.send(event);
            if blocked {
                let _ = gate.recv_timeout(PATIENCE);
            }
        });
        let kernel = Kernel::of(handle.unwrap(), events);
        kernel.wait("ready", |e| {
            matches!(e, KernelEvent::Ready { .. }).then_some(())
        });
        let prefix = |n: u32| format!("10.244.{n}.0/24");
        kernel.put(
            (0..100)
                .map(|n| unicast(&prefix(n), &["10.0.1.2"]))
                .collect(),
        );

        kernel.handle.track("10.0.1.2".parse().unwrap(), true);
        kernel.wait("the gate", |e| {
            matches!(e, KernelEvent::NextHop { .. }).then_some(())
        });
        // More than any receive buffer holds, then what must be repaired.
        let flood = (0..200_u32).flat_map(|n| {
            let route = move |verb: &str| format!("route {verb} 10.{n}.{n}.0/24 dev v1 metric 9");
            (0..300).flat_map(move |_| [route("add"), route("del")])
        });
        batch(flood.chain((0..50).map(|n| format!("route del {} proto 186", prefix(n)))));
        resume.send(()).unwrap();
        kernel.wait("overrun", |e| (*e == KernelEvent::Overrun).then_some(()));
        kernel.until("all routes again", |_| {
            destinations("proto 186").len() == 100
        });
        let stats = kernel.handle.stats();
        assert!(
            stats.overruns >= 1 && stats.audit_repairs >= 50,
            "{stats:?}"
        );
    });
}

#[test]
fn interfaces_and_addresses_are_told() {
    in_namespace("interfaces_and_addresses_are_told", || {
        cable(1);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        let known = kernel.handle.interfaces();
        let v1 = known.iter().find(|i| i.name == "v1").expect("v1 is known");
        assert!(v1.usable && !v1.loopback && v1.mtu == 1500);
        assert!(v1.addresses.contains(&"10.0.1.1/24".parse().unwrap()));
        assert!(v1.addresses.contains(&"fd00:1::1/64".parse().unwrap()));
        assert!(known.iter().any(|i| i.name == "lo" && i.loopback));
        assert_eq!(interfaces().unwrap().len(), known.len());

        ip("addr add 192.0.2.7/32 dev lo");
        let change = |kernel: &Kernel, name: &str| {
            kernel.wait(name, |event| match event {
                KernelEvent::Interface(InterfaceChange::Present(i)) if i.name == name => {
                    Some(i.clone())
                }
                _ => None,
            })
        };
        let lo = change(&kernel, "lo");
        assert!(lo.addresses.contains(&"192.0.2.7/32".parse().unwrap()));
        ip("link set w1 down");
        while change(&kernel, "v1").usable {}
        ip("link del v1");
        let gone = kernel.wait("v1 gone", |event| match event {
            KernelEvent::Interface(InterfaceChange::Gone { name, .. }) => Some(name.clone()),
            _ => None,
        });
        assert!(gone == "v1" || gone == "w1");
        assert!(kernel.handle.interfaces().iter().all(|i| i.name != gone));
    });
}

#[test]
fn next_hops_resolve_through_routes_of_others() {
    in_namespace("next_hops_resolve_through_routes_of_others", || {
        (1..=2).for_each(cable);
        ip("route add 192.0.2.0/24 metric 30 nexthop via 10.0.1.2 nexthop via 10.0.2.2");
        ip("route add default via 10.0.1.254");
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        let state = |addr: &str, what: &str| {
            let addr = addr.parse().unwrap();
            kernel.handle.track(addr, true);
            kernel.wait(what, |event| match event {
                KernelEvent::NextHop { addr: of, state } if *of == addr => {
                    Some((state.reachable, state.igp_metric))
                }
                _ => None,
            })
        };
        assert_eq!(state("192.0.2.1", "recursive"), (true, 30));
        assert_eq!(state("10.0.1.7", "connected"), (true, 0));
        assert_eq!(state("10.0.1.1", "our own address"), (false, 0));
        assert_eq!(
            state("198.51.100.1", "by the default route only"),
            (false, 0)
        );

        kernel.put(vec![unicast("10.244.0.0/16", &["192.0.2.1"])]);
        assert_eq!(gateways("10.244.0.0/16"), ["10.0.1.2", "10.0.2.2"]);
        ip("route add 192.0.2.1/32 via 10.0.2.9 metric 40");
        kernel.until("the more specific route", |_| {
            gateways("10.244.0.0/16") == ["10.0.2.9"]
        });
        ip("route del 192.0.2.1/32");
        ip("route del 192.0.2.0/24");
        kernel.until("no way", |_| gateways("10.244.0.0/16").is_empty());
        assert_eq!(kernel.handle.stats().routes_waiting, 1);
    });
}

#[test]
fn a_connected_network_comes_before_a_learned_one() {
    in_namespace("a_connected_network_comes_before_a_learned_one", || {
        (1..=2).for_each(cable);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        let wanted = ["10.0.2.0/24", "fd00:2::/64"].map(|p| unicast(p, &["fd00:1::2"]));
        kernel.handle.update(wanted.to_vec()).unwrap();
        kernel.wait("conflict", |e| {
            matches!(e, KernelEvent::Conflict { .. }).then_some(())
        });
        assert!(ip("-6 route get fd00:2::7").contains("dev v2"));
        assert!(ip("route get 10.0.2.7").contains("dev v2"));
        ip("link set v2 down");
        kernel.until("learned", |_| gateways("fd00:2::/64") == ["fd00:1::2"]);
        ip("link set v2 up");
        ip("addr add fd00:2::1/64 dev v2 nodad");
        kernel.until("connected", |_| {
            ip("-6 route get fd00:2::7").contains("dev v2")
        });
    });
}

#[test]
fn both_the_asked_and_the_held_are_shown() {
    in_namespace("both_the_asked_and_the_held_are_shown", || {
        cable(1);
        ip("route add 10.9.0.0/16 via 10.0.1.9 metric 5");
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(vec![
            unicast("10.244.0.0/16", &["10.0.1.2"]),
            unicast("10.245.0.0/16", &["192.0.2.1"]),
            unicast("2001:db8::/32", &["fd00:1::2"]),
        ]);
        let page = |query: RouteQuery| {
            let (sender, receiver) = channel();
            kernel
                .handle
                .routes(query, move |page| sender.send(page).unwrap());
            receiver.recv_timeout(PATIENCE).unwrap()
        };
        let mut query = RouteQuery {
            ipv4: true,
            ours: false,
            prefix: None,
            after: None,
            max: 2,
        };
        let mut rows = Vec::new();
        loop {
            let answer = page(query.clone());
            rows.extend(answer.rows);
            query.after = answer.next;
            if query.after.is_none() {
                break;
            }
        }
        let brief = rows.iter().map(|row| {
            let hop = row.next_hops.first();
            let gateway = hop.and_then(|hop| hop.gateway).map(|g| g.to_string());
            (row.prefix.to_string(), row.ours, row.installed, gateway)
        });
        let row = |prefix: &str, ours, installed, gateway: Option<&str>| {
            (
                prefix.to_owned(),
                ours,
                installed,
                gateway.map(str::to_owned),
            )
        };
        let expected = [
            row("10.0.1.0/24", false, true, None),
            row("10.9.0.0/16", false, true, Some("10.0.1.9")),
            row("10.244.0.0/16", true, true, Some("10.0.1.2")),
            row("10.245.0.0/16", true, false, None),
        ];
        assert_eq!(brief.collect::<Vec<_>>(), expected);
        let v6 = page(RouteQuery {
            ipv4: false,
            ours: true,
            after: None,
            max: 10,
            ..query
        });
        assert_eq!(v6.rows.len(), 1);
        assert_eq!(v6.rows[0].next_hops[0].name, "v1");
        assert!(v6.next.is_none());
    });
}

#[test]
fn watching_writes_nothing() {
    in_namespace("watching_writes_nothing", || {
        cable(1);
        ip("route add 10.99.0.0/16 via 10.0.1.9 proto 186 metric 20");
        let config = KernelConfig {
            watch_only: true,
            ..KernelConfig::default()
        };
        let (kernel, _) = Kernel::start(&config);
        let changes = vec![
            unicast("10.244.0.0/16", &["10.0.1.2"]),
            nothing("10.99.0.0/16"),
        ];
        kernel.handle.update(changes).unwrap();
        kernel.handle.resync_complete();
        kernel.handle.track("10.0.1.2".parse().unwrap(), true);
        kernel.wait("reachable", |event| match event {
            KernelEvent::NextHop { state, .. } => state.reachable.then_some(()),
            _ => None,
        });
        assert_eq!(destinations("proto 186"), ["10.99.0.0/16"]);
        assert_eq!(kernel.handle.stats().routes_written, 0);
    });
}

#[test]
fn an_idle_thread_sleeps() {
    in_namespace("an_idle_thread_sleeps", || {
        cable(1);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(vec![
            unicast("10.244.0.0/16", &["10.0.1.2"]),
            unicast("10.245.0.0/16", &["192.0.2.1"]),
        ]);
        let switches = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap();
            let statuses = tasks.map(|task| {
                let path = task.unwrap().path().join("status");
                std::fs::read_to_string(path).unwrap_or_default()
            });
            let of_kernel = statuses.filter(|status| status.starts_with("Name:\tkernel\n"));
            let lines: Vec<String> = of_kernel
                .flat_map(|status| status.lines().map(str::to_owned).collect::<Vec<_>>())
                .filter(|line| line.contains("ctxt_switches"))
                .collect();
            let numbers = lines.iter().filter_map(|line| line.split('\t').nth(1));
            numbers.map(|n| n.parse::<u64>().unwrap()).sum::<u64>()
        };
        // Nothing happens for half a second, once the audit after the links' start is over.
        while kernel.event_within(Duration::from_millis(700)).is_some() {}
        let before = switches();
        assert!(kernel.event_within(Duration::from_millis(500)).is_none());
        let woken = switches() - before;
        assert!(woken < 10, "woken {woken} times with nothing to do");
    });
}

#[test]
fn routes_carry_their_next_hops_where_there_are_no_objects() {
    in_namespace(
        "routes_carry_their_next_hops_where_there_are_no_objects",
        || {
            (1..=2).for_each(cable);
            let config = KernelConfig {
                next_hop_objects: false,
                ..KernelConfig::default()
            };
            let wanted = [
                unicast("10.244.0.0/16", &["10.0.1.2", "10.0.2.2"]),
                unicast("10.245.0.0/16", &["10.0.2.2"]),
                unicast("10.246.0.0/16", &["fd00:1::2", "fd00:2::2"]),
                unicast("10.247.0.0/16", &["fd00:1::2"]),
                unicast("2001:db8::/32", &["fd00:1::2", "fd00:2::2"]),
            ];
            let check = || {
                assert_eq!(gateways("10.244.0.0/16"), ["10.0.1.2", "10.0.2.2"]);
                assert_eq!(gateways("10.245.0.0/16"), ["10.0.2.2"]);
                assert_eq!(gateways("10.246.0.0/16"), ["fd00:1::2", "fd00:2::2"]);
                assert_eq!(gateways("10.247.0.0/16"), ["fd00:1::2"]);
                assert_eq!(gateways("2001:db8::/32"), ["fd00:1::2", "fd00:2::2"]);
                assert_eq!(ip("nexthop show"), "");
            };
            let (kernel, _) = Kernel::start(&config);
            kernel.put(wanted.to_vec());
            check();
            drop(kernel);
            let (kernel, adopted) = Kernel::start(&config);
            assert_eq!(adopted, 5);
            kernel.put(wanted.to_vec());
            kernel.handle.resync_complete();
            check();
            ip("link set w1 down");
            kernel.until("one path", |_| gateways("10.244.0.0/16") == ["10.0.2.2"]);
            kernel.until("one path", |_| gateways("2001:db8::/32") == ["fd00:2::2"]);
            kernel.until("no path", |_| gateways("10.247.0.0/16").is_empty());
            ip("link set w1 up");
            kernel.until("all paths", |stats| stats.routes_installed == 5);
            kernel.until("two paths", |_| gateways("10.244.0.0/16").len() == 2);
            check();
            // And over to groups, as after an upgrade of the kernel.
            kernel.handle.reconfigure(KernelConfig::default());
            kernel.until("groups", |_| {
                ip("route show 10.244.0.0/16").contains("nhid")
            });
            kernel.until("groups", |_| {
                ip("-6 route show 2001:db8::/32").contains("nhid")
            });
            assert_eq!(gateways("10.246.0.0/16"), ["fd00:1::2", "fd00:2::2"]);
        },
    );
}

#[test]
fn weights_reach_the_kernel() {
    in_namespace("weights_reach_the_kernel", || {
        (1..=2).for_each(cable);
        for next_hop_objects in [true, false] {
            let config = KernelConfig {
                next_hop_objects,
                ..KernelConfig::default()
            };
            let (kernel, _) = Kernel::start(&config);
            let mut change = unicast("10.244.0.0/16", &["10.0.1.2", "10.0.2.2"]);
            if let Some(FibRoute::Unicast(via)) = &mut change.route {
                let mut weighted = via.to_vec();
                (weighted[0].weight, weighted[1].weight) = (6, 2);
                *via = weighted.into();
            }
            kernel.put(vec![change]);
            let shown = ip("route show 10.244.0.0/16");
            assert!(shown.contains("via 10.0.1.2 dev v1 weight 3"), "{shown}");
            assert!(shown.contains("via 10.0.2.2 dev v2 weight 1"), "{shown}");
        }
    });
}
