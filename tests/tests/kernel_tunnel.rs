//! Routes into a tunnel, seen as any other user of the table sees them.
//!
//! What matters to the kernel is the name of the device and that next hops need no address of its
//! link, so a veth pair by the name of `tunl0` stands for the tunnel: not every kernel has IP in
//! IP. Each test runs in a network namespace of its own (see `kernel/lab.rs`).

#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/lab.rs"]
mod lab;

use lab::{Kernel, cable, in_namespace, ip, unicast};
use rib::fib::{Device, FibChange, FibNextHop, FibRoute, KernelConfig, KernelEvent};

const PODS: &str = "10.244.7.0/26";
const FAR: &str = "192.0.2.9";

/// A route over nodes, those of them in `tunl0` that are far.
fn route(prefix: &str, far: &[&str], near: &[&str]) -> FibChange {
    let hop = |gateway: &str, device| FibNextHop {
        gateway: gateway.parse().expect("an address"),
        interface: None,
        device,
        weight: 1,
    };
    let far = far.iter().map(|gateway| hop(gateway, Device::new("tunl0")));
    let near = near.iter().map(|gateway| hop(gateway, None));
    let mut via: Vec<FibNextHop> = far.chain(near).collect();
    via.sort();
    FibChange {
        prefix: prefix.parse().expect("a prefix"),
        route: Some(FibRoute::Unicast(via.into())),
    }
}

fn dig() {
    ip("link add tunl0 type veth peer name far0");
    ip("link set far0 up");
    ip("link set tunl0 up");
}

/// What `ip route` says of a prefix, words and their order as it prints them.
fn shown(prefix: &str) -> String {
    let text = ip(&format!("route show {prefix} proto 186"));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn waits_for_its_device(config: &KernelConfig) {
    cable(1);
    let (kernel, _) = Kernel::start(config);
    kernel
        .handle
        .update(vec![
            route(PODS, &[FAR], &[]),
            unicast("10.244.8.0/26", &["10.0.1.2"]),
        ])
        .expect("a running thread");
    kernel.until("one of them written", |stats| stats.routes_installed == 1);
    assert_eq!(shown(PODS), "");
    dig();
    kernel.until("the device used", |stats| stats.routes_installed == 2);
    assert!(
        shown(PODS).contains(&format!("via {FAR} dev tunl0")),
        "{}",
        shown(PODS)
    );
    assert!(shown(PODS).contains("onlink"), "{}", shown(PODS));
    assert!(!shown("10.244.8.0/26").contains("onlink"));
    let way = ip("route get 10.244.7.9");
    assert!(way.contains(&format!("via {FAR} dev tunl0")), "{way}");
    ip("link del tunl0");
    kernel.until("the device gone", |stats| stats.routes_installed == 1);
    assert_eq!(shown(PODS), "");
    // It comes back under another index.
    dig();
    kernel.until("the device used again", |stats| stats.routes_installed == 2);
    assert!(shown(PODS).contains("dev tunl0"), "{}", shown(PODS));
}

#[test]
fn a_route_waits_for_its_tunnel() {
    in_namespace("a_route_waits_for_its_tunnel", || {
        waits_for_its_device(&KernelConfig::default());
    });
}

#[test]
fn a_route_waits_for_its_tunnel_without_next_hop_objects() {
    in_namespace(
        "a_route_waits_for_its_tunnel_without_next_hop_objects",
        || {
            waits_for_its_device(&KernelConfig {
                next_hop_objects: false,
                ..KernelConfig::default()
            });
        },
    );
}

/// A renamed device is another one.
#[test]
fn a_device_may_be_renamed() {
    in_namespace("a_device_may_be_renamed", || {
        ip("link add other type veth peer name far0");
        ip("link set far0 up");
        ip("link set other up");
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        let change = vec![route(PODS, &[FAR], &[])];
        kernel.handle.update(change).expect("a running thread");
        kernel.until("a route that waits", |stats| stats.routes_waiting == 1);
        ip("link set other down");
        ip("link set other name tunl0");
        ip("link set tunl0 up");
        kernel.until("the device used", |stats| stats.routes_installed == 1);
        assert!(shown(PODS).contains("dev tunl0"), "{}", shown(PODS));
    });
}

/// Nodes of other subnets are behind the default gateway; with tunnels that counts as reachable.
#[test]
fn the_default_route_reaches_nodes_if_it_is_to() {
    in_namespace("the_default_route_reaches_nodes_if_it_is_to", || {
        cable(1);
        ip("route add default via 10.0.1.254");
        let mut config = KernelConfig::default();
        let (kernel, _) = Kernel::start(&config);
        kernel.handle.track(FAR.parse().expect("an address"), true);
        for on in [false, true, false] {
            if config.default_route != on {
                config.default_route = on;
                kernel.handle.reconfigure(config.clone());
            }
            kernel.wait("the state of the node", |event| match event {
                KernelEvent::NextHop { state, .. } => (state.reachable == on).then_some(()),
                _ => None,
            });
        }
    });
}

/// One node in our subnet, one beyond: one route, two ways. A restart finds both right.
#[test]
fn near_and_far_nodes_share_a_route() {
    in_namespace("near_and_far_nodes_share_a_route", || {
        cable(1);
        dig();
        let (kernel, _) = Kernel::start(&KernelConfig::default());
        kernel.put(vec![route(PODS, &[FAR], &["10.0.1.2"])]);
        let text = shown(PODS);
        assert!(text.contains("via 10.0.1.2 dev v1 weight 1"), "{text}");
        assert!(
            text.contains(&format!("via {FAR} dev tunl0 weight 1 onlink")),
            "{text}"
        );
        kernel.handle.shutdown();
        let (kernel, adopted) = Kernel::start(&KernelConfig::default());
        assert_eq!(adopted, 1);
        let change = vec![route(PODS, &[FAR], &["10.0.1.2"])];
        kernel.handle.update(change).expect("a running thread");
        kernel.handle.resync_complete();
        kernel.until("adopted", |stats| {
            stats.routes_installed == 1 && stats.routes_stale == 0
        });
        assert_eq!(kernel.handle.stats().routes_written, 0);
        assert_eq!(shown(PODS), text);
    });
}
