//! `accept = false`: a gateway that is nobody's host. It answers ARP and neighbor discovery and
//! forwards what comes to its virtual MAC, and takes nothing that is sent to its addresses. And
//! what a virtual address must not do to its host: take an address or a route of it along.

use interop::lab::{Lab, enter};
use interop::node::Node;
use interop::vrrp::{Group, show};
use interop::wait;

const PRIORITY: u8 = 200;

fn answers(client: &Node, address: &str) -> Result<String, String> {
    client.output("ping", &["-c2", "-i0.2", "-W1", address])
}

fn learned(client: &Node, address: &str) -> String {
    let shown = client.json("ip", &["-j", "neigh", "show", "to", address]);
    shown.unwrap_or_default()[0]["lladdr"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn closed(virtual_mac: bool, addresses: &[&str]) -> Group {
    Group {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        more_ours: format!("accept = false\nvirtual-mac = {virtual_mac}\n"),
        ..Group::new(3)
    }
}

/// A network behind the router: `far` is its other end.
fn behind(lab: &mut Lab, router: &Node) -> Node {
    let far = lab.node("far");
    lab.lan("br1");
    let of = |node: u8| vec![format!("10.98.0.{node}/24"), format!("fd98::{node}/64")];
    lab.attach(router, "br1", "eth1", &of(1));
    lab.attach(&far, "br1", "eth1", &of(2));
    far.sh("ip route add 10.99.0.3/32 via 10.98.0.1; ip route add fd99::3/128 via fd98::1");
    far
}

fn wait_for_master(node: &Node) {
    wait::until("it is master", 15, || {
        let shown = show(node)?;
        match shown[0]["state"] == "Master" && shown[0]["holdsAddresses"] != false {
            true => Ok(()),
            false => Err(shown.to_string()),
        }
    });
}

fn story(lab: &mut Lab, virtual_mac: bool, addresses: &[&str]) {
    let group = closed(virtual_mac, addresses);
    let router = lab.node("router");
    let far = behind(lab, &router);
    let client = lab.node("client");
    group.ours(&router, PRIORITY);
    wait_for_master(&router);
    let (gateway, other) = match group.ipv6() {
        false => ("10.99.0.50", "10.98.0.2"),
        true => ("fe80::50", "fd98::2"),
    };
    let to = if group.ipv6() {
        "fd98::/64"
    } else {
        "10.98.0.0/24"
    };
    client.sh(&format!("ip route add {to} via {gateway} dev eth0"));
    wait::until("what is behind the gateway", 10, || answers(&client, other));
    assert!(
        answers(&client, group.address()).is_err(),
        "the address itself takes nothing"
    );
    let mac = learned(&client, gateway);
    let expected = match (virtual_mac, group.ipv6()) {
        (false, _) => "02:00:00:00:30:01",
        (true, false) => "00:00:5e:00:01:32",
        (true, true) => "00:00:5e:00:02:32",
    };
    assert_eq!(mac, expected);
    // Neighbor discovery of the address itself is never dropped, nor is what is not for it.
    assert!(answers(&client, if group.ipv6() { "fd99::1" } else { "10.99.0.1" }).is_ok());
    assert!(!learned(&client, group.address()).is_empty());
    // A firewall that is reloaded takes all tables along.
    router.sh("nft flush ruleset");
    wait::until_true("the table is back", 5, || {
        router.sh("nft list ruleset").contains("wayfare-vrrp")
    });
    assert!(answers(&client, group.address()).is_err());
    router.signal("TERM", "wayfare-vrrpd");
    wait::until_true("it ends", 10, || !router.has_process("wayfare-vrrpd"));
    assert_eq!(router.sh("nft list ruleset"), "", "nothing is left");
    drop(far);
}

#[test]
fn a_gateway_takes_nothing_for_itself() {
    enter("a_gateway_takes_nothing_for_itself", |lab| {
        story(lab, false, &["10.99.0.50"]);
    });
}

#[test]
fn a_gateway_with_a_virtual_mac_takes_nothing_for_itself() {
    enter(
        "a_gateway_with_a_virtual_mac_takes_nothing_for_itself",
        |lab| {
            story(lab, true, &["10.99.0.50"]);
        },
    );
}

#[test]
fn an_ipv6_gateway_takes_nothing_for_itself() {
    enter("an_ipv6_gateway_takes_nothing_for_itself", |lab| {
        story(lab, true, &["fe80::50", "fd99::50"]);
    });
}

/// Opened and closed by a reload; a crash leaves what does nothing, and the next start removes it.
#[test]
fn a_reload_opens_and_closes() {
    enter("a_reload_opens_and_closes", |lab| {
        let (router, client) = (lab.node("router"), lab.node("client"));
        let (shut, open) = (closed(false, &["10.99.0.50"]), Group::new(3));
        shut.ours(&router, PRIORITY);
        wait_for_master(&router);
        assert!(answers(&client, "10.99.0.50").is_err());
        let before = show(&router).expect("it answers")[0]["transitions"].clone();
        let reload = |group: &Group| {
            group.write_ours(&router, PRIORITY);
            router.signal("HUP", "wayfare-vrrpd");
        };
        reload(&open);
        wait::until("it is open", 5, || answers(&client, "10.99.0.50"));
        reload(&shut);
        wait::until_true("it is closed", 5, || {
            answers(&client, "10.99.0.50").is_err()
        });
        assert_eq!(show(&router).expect("it answers")[0]["transitions"], before);
        router.kill(&["wayfare-vrrpd"]);
        wait::until_true("it is gone", 10, || !router.has_process("wayfare-vrrpd"));
        assert!(router.sh("nft list ruleset").contains("wayfare-vrrp"));
        open.ours(&router, PRIORITY);
        wait::until("it is open", 15, || answers(&client, "10.99.0.50"));
        assert_eq!(router.sh("nft list ruleset"), "");
    });
}

/// Audit M4, and its like in IPv6: beside an address of the host in the same subnet the kernel
/// would make one the secondary of the other, and give the subnet's route two seconds to live.
#[test]
fn a_host_keeps_its_address_and_its_routes() {
    enter("a_host_keeps_its_address_and_its_routes", |lab| {
        let router = lab.node("router");
        router.sh("echo 0 >/proc/sys/net/ipv4/conf/all/promote_secondaries\n\
                   echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries");
        for addresses in [&["10.99.0.50/24"][..], &["fe80::50/64", "fd99::50/64"]] {
            let group = Group {
                addresses: addresses.iter().map(ToString::to_string).collect(),
                ..Group::new(3)
            };
            group.ours(&router, PRIORITY);
            wait_for_master(&router);
            let routes = router.sh("ip -6 route show fd99::/64");
            assert!(!routes.contains("expires"), "{routes}");
            router.signal("TERM", "wayfare-vrrpd");
            wait::until_true("it ends", 10, || !router.has_process("wayfare-vrrpd"));
            let left = router.sh("ip -o addr show dev eth0");
            assert!(
                left.contains("10.99.0.1/24") && left.contains("fd99::1/64"),
                "{left}"
            );
            assert!(!left.contains(group.address()), "{left}");
        }
    });
}
