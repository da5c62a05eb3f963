//! Which routes the kernel is given on a node of a cluster: what somebody else writes is left out,
//! and goes when the wish of the cluster changes.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::net::IpAddr;
use std::time::Duration;

use bgpd::overlay::Wish;
use cluster::{Neighbor, OwnRanges, PeerAsn, Tunnel, TunnelKind, TunnelMode};
use ipnet::IpNet;
use lab::Lab;
use rib::fib::{Device, FibRoute, Interface, InterfaceChange, KernelEvent};

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const MINUTE: Duration = Duration::from_secs(60);
const PODS: &str = "10.244.7.0/24";
const SERVICE: &str = "10.96.0.10/32";
const OUTSIDE: &str = "192.0.2.0/24";

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn wish(tunnels: Vec<Tunnel>) -> Wish {
    let address: IpAddr = B.parse().expect("an address");
    Wish {
        neighbors: vec![Neighbor::new(address, PeerAsn::Internal, "mesh")],
        tunnels,
        ..Wish::default()
    }
}

fn left(range: &str, kind: TunnelKind) -> Tunnel {
    Tunnel {
        range: net(range),
        kind,
        mode: TunnelMode::Always,
        device: None,
        subnets: Vec::new(),
    }
}

fn want(lab: &mut Lab, at: usize, wish: Wish) {
    let now = lab.now;
    let put = lab.nodes[at].speaker.set_wish(now, wish);
    put.expect("it can be put in force");
}

/// A node, and another that tells it of pods, a service and something beside.
fn pair() -> (Lab, usize) {
    let mut lab = Lab::new();
    let a = lab.add(
        A,
        &format!(
            "[router]\nasn = 64512\nrouter-id = \"{A}\"\n[kernel]\n\
             [[peer-group]]\nname = \"cluster\"\nimport = \"accept-all\"\n\
             export = \"accept-all\"\n\
             [kubernetes]\nfrom = \"dir:///manifests\"\npeer-group = \"cluster\"\n"
        ),
    );
    lab.add(
        B,
        &format!(
            "[router]\nasn = 64512\nrouter-id = \"{B}\"\n[kernel]\n[[neighbor]]\n\
             address = \"{A}\"\nasn = 64512\nimport = \"accept-all\"\nexport = \"accept-all\"\n\
             [[advertise]]\nkind = \"network\"\n\
             prefixes = [\"{PODS}\", \"{SERVICE}\", \"{OUTSIDE}\"]\n"
        ),
    );
    (lab, a)
}

/// Waits until exactly these are in the kernel.
fn holds(lab: &mut Lab, at: usize, wanted: &[&str]) -> bool {
    let wanted: std::collections::BTreeSet<IpNet> = wanted.iter().map(|text| net(text)).collect();
    lab.run_until(MINUTE, |lab| {
        lab.nodes[at]
            .kernel
            .keys()
            .copied()
            .eq(wanted.iter().copied())
    })
}

#[test]
fn routes_that_felix_writes_go_and_come_with_the_wish() {
    let (mut lab, a) = pair();
    want(&mut lab, a, wish(Vec::new()));
    assert!(holds(&mut lab, a, &[SERVICE, PODS, OUTSIDE]));
    let felix = left("10.244.0.0/16", TunnelKind::Vxlan);
    want(&mut lab, a, wish(vec![felix.clone()]));
    assert!(holds(&mut lab, a, &[SERVICE, OUTSIDE]));
    let reason = lab.nodes[a].speaker.left_out(&net(PODS));
    let reason = reason.unwrap_or_default();
    assert_eq!(reason, "left to Felix: VXLAN pool 10.244.0.0/16");
    assert_eq!(lab.nodes[a].speaker.left_out(&net(OUTSIDE)), None);
    // A longer range of ours inside Felix's.
    let ours = Tunnel {
        device: Some("tunl0".into()),
        mode: TunnelMode::CrossSubnet,
        subnets: vec![net("10.0.0.0/24")],
        ..left("10.244.7.0/24", TunnelKind::Ipip)
    };
    want(&mut lab, a, wish(vec![felix, ours]));
    assert!(holds(&mut lab, a, &[SERVICE, PODS, OUTSIDE]));
}

fn tunnel_of(lab: &Lab, at: usize) -> Option<Device> {
    match lab.nodes[at].kernel.get(&net(PODS)) {
        Some(FibRoute::Unicast(hops)) => hops[0].device,
        _ => None,
    }
}

fn device(lab: &mut Lab, at: usize, usable: bool) {
    let tunnel = Interface {
        index: 77,
        name: "tunl0".to_owned(),
        usable,
        loopback: false,
        mtu: 1480,
        addresses: Vec::new(),
    };
    let event = KernelEvent::Interface(InterfaceChange::Present(tunnel));
    let now = lab.now;
    lab.nodes[at].speaker.handle_kernel(now, event);
}

/// The other node is 10.0.0.2.
#[test]
fn routes_to_nodes_of_other_subnets_enter_the_tunnel() {
    let (mut lab, a) = pair();
    let ours = |mode, subnet| Tunnel {
        device: Some("tunl0".into()),
        mode,
        subnets: vec![net(subnet)],
        ..left("10.244.0.0/16", TunnelKind::Ipip)
    };
    let tunl0 = Device::new("tunl0");
    let cases = [
        (TunnelMode::CrossSubnet, "10.7.0.0/24", tunl0),
        (TunnelMode::CrossSubnet, "10.0.0.0/24", None),
        (TunnelMode::Always, "10.0.0.0/24", tunl0),
    ];
    for (mode, subnet, expected) in cases {
        want(&mut lab, a, wish(vec![ours(mode, subnet)]));
        assert!(holds(&mut lab, a, &[SERVICE, PODS, OUTSIDE]));
        let came = lab.run_until(MINUTE, |lab| tunnel_of(lab, a) == expected);
        assert!(came, "{mode:?} {subnet}");
    }
    let said = |lab: &Lab| {
        lab.nodes[a]
            .speaker
            .left_out(&net(PODS))
            .unwrap_or_default()
    };
    assert_eq!(said(&lab), "waits: there is no device tunl0");
    device(&mut lab, a, false);
    assert_eq!(said(&lab), "waits: device tunl0 is down");
    device(&mut lab, a, true);
    assert_eq!(said(&lab), "");
}

#[test]
fn cluster_addresses_never_reach_the_kernel() {
    let (mut lab, a) = pair();
    let mut wanted = wish(Vec::new());
    wanted.own_ranges = OwnRanges {
        services: vec![net("10.96.0.0/12")],
        ..OwnRanges::default()
    };
    want(&mut lab, a, wanted);
    assert!(holds(&mut lab, a, &[PODS, OUTSIDE]));
    let route = lab.nodes[a].speaker.rib().lookup(net(SERVICE));
    assert!(route.is_some(), "BGP has it all the same");
    want(&mut lab, a, wish(Vec::new()));
    assert!(holds(&mut lab, a, &[SERVICE, PODS, OUTSIDE]));
}
