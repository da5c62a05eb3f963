//! Routes in a real kernel, seen as any other user of the table sees them.
//!
//! Each test runs in a network namespace of its own (see `kernel/lab.rs`) and reads the outcome
//! with iproute2, never through the code under test.

#[path = "kernel/lab.rs"]
mod lab;

use std::time::Duration;

use lab::{Kernel, cable, destinations, discard, gateways, in_namespace, ip, nothing, unicast};
use rib::fib::KernelConfig;

#[test]
fn ecmp_group_of_three_shrinks_when_a_member_is_lost() {
    in_namespace("ecmp_group_of_three_shrinks_when_a_member_is_lost", || {
        for n in 1..=3 {
            cable(n);
        }
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        let via = ["10.0.1.2", "10.0.2.2", "10.0.3.2"];
        kernel.put(vec![
            unicast("10.244.1.0/24", &via),
            unicast("10.244.2.0/24", &via),
        ]);
        for prefix in ["10.244.1.0/24", "10.244.2.0/24"] {
            assert_eq!(gateways(prefix), via, "{prefix}");
        }
        eprintln!("{}", ip("route show proto 186"));
        eprintln!("{}", ip("nexthop"));
    });
}

#[test]
fn a_hundred_thousand_routes_are_written_fast() {
    in_namespace("a_hundred_thousand_routes_are_written_fast", || {
        cable(1);
        cable(2);
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        let prefix = |n: u32| format!("{}.{}.{}.0/24", 20 + (n >> 16), (n >> 8) & 255, n & 255);
        let via = ["10.0.1.2", "10.0.2.2"];
        let changes = (0..100_000).map(|n| unicast(&prefix(n), &via)).collect();
        let (written, took) = kernel.put(changes);
        assert_eq!(written, 100_000);
        let rate = f64::from(100_000) / took.as_secs_f64();
        println!("100000 routes written in {took:?}: {rate:.0} routes/s");
        assert!(took < Duration::from_secs(20));
        assert_eq!(destinations("proto 186").len(), 100_000);
    });
}

#[test]
fn a_discard_never_hides_a_local_route() {
    in_namespace("a_discard_never_hides_a_local_route", || {
        cable(1);
        ip("route add 10.50.0.0/24 via 10.0.1.9");
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(vec![discard("10.50.0.0/24"), discard("10.50.0.0/16")]);
        let to = |address: &str| ip(&format!("route get {address}"));
        assert!(to("10.50.0.1").contains("via 10.0.1.9"));
        kernel.put(vec![nothing("10.50.0.0/16")]);
        assert_eq!(destinations("proto 186"), ["10.50.0.0/24"]);
    });
}
