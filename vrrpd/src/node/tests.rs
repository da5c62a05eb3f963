//! Placing, faults, reloads by difference and many instances at once.

mod carrier;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use proto_codec::vrrp::{Advert, Draft, Envelope};
use rib::netlink::hosts::{HostAddress, HostChange, HostLink};

use super::*;
use crate::config::parse;
use crate::router::State;

const PROTOCOL: u8 = 112;

fn link(index: u32, name: &str) -> HostLink {
    HostLink {
        index,
        name: name.to_owned(),
        usable: true,
        mac: Some([2, 0, 0, 0, 0, 1]),
    }
}

fn address(index: u32, text: &str) -> HostAddress {
    HostAddress {
        index,
        network: text.parse().expect("an address"),
        protocol: 0,
        usable: true,
    }
}

fn hosts() -> Hosts {
    let links = vec![link(2, "eth0"), link(3, "eth1")];
    let addresses = vec![
        address(2, "10.0.0.2/24"),
        address(3, "10.1.0.2/24"),
        address(3, "fe80::2/64"),
    ];
    Hosts::new(links, addresses, PROTOCOL)
}

fn config(text: &str) -> Config {
    parse("vrrpd.toml", text).expect("a good file").config
}

fn nowhere(_: IpAddr) -> Option<u32> {
    None
}

fn node(text: &str, now: Instant) -> Node {
    let mut node = Node::default();
    node.apply(now, config(text));
    node.set_hosts(now, hosts(), &mut nowhere);
    node
}

fn outputs(node: &mut Node) -> Vec<(SlotId, Output)> {
    std::iter::from_fn(|| node.poll_output()).collect()
}

fn slot<'n>(node: &'n Node, name: &str) -> &'n Slot {
    let found = node.slots().find(|(_, slot)| slot.instance.name == name);
    found.expect("it exists").1
}

const TWO: &str = "[[instance]]\nname = \"a\"\naddresses = [\"10.0.0.50\"]\n\
                   [[instance]]\nname = \"b\"\naddresses = [\"10.1.0.50\"]\n";

#[test]
fn an_instance_goes_where_the_subnet_of_its_address_is() {
    let node = node(TWO, Instant::now());
    assert_eq!(slot(&node, "a").link, Some(2));
    assert_eq!(slot(&node, "b").link, Some(3));
    assert_eq!(slot(&node, "a").router.state(), State::Backup);
    assert_eq!(
        slot(&node, "b").router.primary(),
        Some([10, 1, 0, 2].into())
    );
}

#[test]
fn without_a_subnet_the_route_decides() {
    let text = "[[instance]]\nname = \"far\"\naddresses = [\"192.0.2.1\"]\n";
    let now = Instant::now();
    let mut node = Node::default();
    node.apply(now, config(text));
    node.set_hosts(now, hosts(), &mut |_| Some(3));
    assert_eq!(slot(&node, "far").link, Some(3));
}

/// A virtual address that is on the link already (ours or of an earlier run) neither places the
/// instance nor is sent from.
#[test]
fn a_virtual_address_is_nobodys_primary() {
    let text = "[[instance]]\nname = \"v6\"\ninterface = \"eth1\"\naddresses = [\"fe80::1\"]\n";
    let now = Instant::now();
    let mut node = node(text, now);
    let mut hosts = hosts();
    let mut own = address(3, "fe80::1/128");
    assert!(
        hosts.handle(HostChange::Address(own.clone())),
        "an old kernel"
    );
    node.set_hosts(now, hosts.clone(), &mut nowhere);
    assert_eq!(
        slot(&node, "v6").router.primary(),
        Some("fe80::2".parse().expect("it"))
    );
    own.protocol = PROTOCOL;
    assert!(!hosts.handle(HostChange::Address(own)));
}

#[test]
fn a_link_that_appears_goes_down_and_vanishes_is_followed() {
    let text = "[[instance]]\nname = \"x\"\ninterface = \"eth9\"\naddresses = [\"10.9.0.50\"]\n";
    let now = Instant::now();
    let mut node = node(text, now);
    let fault = |node: &Node| {
        slot(node, "x")
            .router
            .faults()
            .next()
            .map(ToString::to_string)
    };
    assert_eq!(
        fault(&node).as_deref(),
        Some("interface eth9 does not exist")
    );
    let mut hosts = hosts();
    hosts.handle(HostChange::Link(link(9, "eth9")));
    node.set_hosts(now, hosts.clone(), &mut nowhere);
    assert_eq!(
        fault(&node).as_deref(),
        Some("interface eth9 has no address")
    );
    hosts.handle(HostChange::Address(address(9, "10.9.0.2/24")));
    node.set_hosts(now, hosts.clone(), &mut nowhere);
    assert_eq!(fault(&node), None);
    let due = node.poll_timeout().expect("a backup waits");
    node.handle_timeout(due);
    assert_eq!(slot(&node, "x").router.state(), State::Master);
    outputs(&mut node);
    let down = HostLink {
        usable: false,
        ..link(9, "eth9")
    };
    hosts.handle(HostChange::Link(down));
    node.set_hosts(due, hosts.clone(), &mut nowhere);
    assert_eq!(fault(&node).as_deref(), Some("interface eth9 is down"));
    let let_go = outputs(&mut node);
    assert!(
        let_go
            .iter()
            .any(|(_, it)| matches!(it, Output::Do(Action::LetGo)))
    );
    hosts.handle(HostChange::LinkGone(9));
    node.set_hosts(due, hosts, &mut nowhere);
    assert_eq!(
        fault(&node).as_deref(),
        Some("interface eth9 does not exist")
    );
}

fn advert(node: &Node, name: &str, source: &str, priority: u8) -> (u32, Envelope, Vec<u8>) {
    let slot = slot(node, name);
    let settings = &slot.instance.settings;
    let envelope = Envelope::multicast(source.parse().expect("an address"));
    let draft = Draft {
        version: settings.version,
        vrid: settings.vrid,
        priority,
        interval: settings.interval,
        auth: settings.auth,
        checksum: settings.checksum,
        addresses: &settings.addresses,
    };
    let mut message = Vec::new();
    Advert::encode(&draft, &envelope, &mut message);
    (slot.link.expect("placed"), envelope, message)
}

#[test]
fn an_advert_reaches_the_instance_of_its_link_and_vrid() {
    let now = Instant::now();
    let mut node = node(TWO, now);
    let (link, envelope, message) = advert(&node, "a", "10.0.0.9", 200);
    node.handle_packet(now, link, &envelope, &message);
    assert_eq!(slot(&node, "a").router.stats().adverts_received, 1);
    assert_eq!(slot(&node, "b").router.stats().adverts_received, 0);
    node.handle_packet(now, 3, &envelope, &[0x31, 99]);
    node.handle_packet(now, 3, &envelope, &[]);
    assert_eq!(node.unknown_vrid(), 2);
}

/// Test 5 of the design, and the reload by difference: what does not change is not touched.
#[test]
fn a_reload_moves_nothing_but_what_changed() {
    let now = Instant::now();
    let mut node = node(TWO, now);
    let due = now + Duration::from_secs(4);
    node.handle_timeout(due);
    outputs(&mut node);
    let three = format!(
        "{}[[instance]]\nname = \"c\"\naddresses = [\"10.1.0.60\"]\n",
        TWO.replace("\"10.0.0.50\"", "\"10.0.0.50\", \"10.0.0.51\"")
    );
    node.apply(due, config(&three));
    for name in ["a", "b"] {
        assert_eq!(slot(&node, name).router.state(), State::Master, "{name}");
        assert_eq!(slot(&node, name).router.stats().transitions, 2, "{name}");
    }
    assert_eq!(slot(&node, "c").router.state(), State::Backup);
    let touched = outputs(&mut node);
    let takes = touched
        .iter()
        .filter(|(_, it)| matches!(it, Output::Do(Action::Take)));
    assert_eq!(takes.count(), 1, "only the one with another list");
    // Removed: it hands over and is forgotten when it has.
    node.apply(
        due,
        config("[[instance]]\nname = \"c\"\naddresses = [\"10.1.0.60\"]\n"),
    );
    assert_eq!(node.slots().count(), 3);
    node.handle_timeout(due + Duration::from_millis(1100));
    outputs(&mut node);
    assert_eq!(node.slots().count(), 1);
}

#[test]
fn an_address_taken_off_by_hand_is_known_as_ours() {
    let now = Instant::now();
    let mut node = node(TWO, now);
    assert!(
        !node.addresses_lost(now, 2, [10, 0, 0, 50].into()),
        "a backup"
    );
    node.handle_timeout(now + Duration::from_secs(4));
    assert!(node.addresses_lost(now, 2, [10, 0, 0, 50].into()));
    assert!(!node.addresses_lost(now, 3, [10, 0, 0, 50].into()));
    outputs(&mut node);
    // It expired while the process was stopped: whoever took over has it now.
    let later = now + Duration::from_secs(10);
    assert!(!node.addresses_lost(later, 2, [10, 0, 0, 50].into()));
    let done = outputs(&mut node);
    assert!(
        done.iter()
            .any(|(_, it)| matches!(it, Output::Do(Action::LetGo)))
    );
    let told = |it: &Output| matches!(it, Output::Do(Action::Take | Action::Announce));
    assert!(!done.iter().any(|(_, it)| told(it)), "{done:?}");
}

fn faults(node: &Node, name: &str) -> Vec<String> {
    let faults = slot(node, name).router.faults();
    faults.map(ToString::to_string).collect()
}

fn id(node: &Node, name: &str) -> SlotId {
    let found = node.slots().find(|(_, slot)| slot.instance.name == name);
    found.expect("it exists").0
}

/// RFC 9568 §6.1: the owner's addresses are those of its interface. It sends from them, and
/// neither puts them there nor takes them off.
#[test]
fn an_owner_leaves_its_addresses_as_they_are() {
    let text = "[[instance]]\nname = \"own\"\naddresses = [\"10.0.0.2\"]\npriority = 255\n";
    let now = Instant::now();
    let node = node(text, now);
    assert_eq!(faults(&node, "own"), Vec::<String>::new());
    assert_eq!(slot(&node, "own").link, Some(2));
    assert_eq!(slot(&node, "own").router.state(), State::Master);
    let primary = slot(&node, "own").router.primary();
    assert_eq!(primary, Some([10, 0, 0, 2].into()));
    assert_eq!(node.networks_to_put(id(&node, "own")), []);
}

/// Anybody else would make it an address of two seconds, and take it off in the end.
#[test]
fn an_address_of_somebody_else_is_a_fault() {
    let now = Instant::now();
    let mut node = node(TWO, now);
    let mut hosts = hosts();
    let by_hand = address(2, "10.0.0.50/24");
    hosts.handle(HostChange::Address(by_hand.clone()));
    node.set_hosts(now, hosts.clone(), &mut nowhere);
    let found = faults(&node, "a");
    assert!(
        found[0].starts_with("10.0.0.50 is on the interface already"),
        "{found:?}"
    );
    assert_eq!(faults(&node, "b"), Vec::<String>::new());
    hosts.handle(HostChange::AddressGone(by_hand));
    node.set_hosts(now, hosts, &mut nowhere);
    assert_eq!(faults(&node, "a"), Vec::<String>::new());
    assert_eq!(slot(&node, "a").router.state(), State::Backup);
    assert_eq!(node.networks_to_put(id(&node, "a")).len(), 1);
}

/// While we hold the address the kernel answers that it is here: the link stays what it was.
#[test]
fn a_link_found_by_route_survives_a_reload() {
    let text = "[[instance]]\nname = \"far\"\naddresses = [\"192.0.2.1\"]\n";
    let now = Instant::now();
    let mut node = Node::default();
    node.apply(now, config(text));
    node.set_hosts(now, hosts(), &mut nowhere);
    assert!(node.awaits_route());
    node.set_hosts(now, hosts(), &mut |_| Some(3));
    assert!(!node.awaits_route());
    let due = now + Duration::from_secs(4);
    node.handle_timeout(due);
    node.set_hosts(due, hosts(), &mut nowhere);
    assert_eq!(slot(&node, "far").link, Some(3));
    assert_eq!(slot(&node, "far").router.state(), State::Master);
    let mut gone = hosts();
    gone.handle(HostChange::LinkGone(3));
    node.set_hosts(due, gone, &mut nowhere);
    assert_eq!(slot(&node, "far").link, None);
    assert!(node.awaits_route());
}

/// Another length of the subnet is another address for the kernel, though not for the protocol.
#[test]
fn another_prefix_length_is_put_in_force() {
    let now = Instant::now();
    let mut node = node(TWO, now);
    let due = now + Duration::from_secs(4);
    node.handle_timeout(due);
    outputs(&mut node);
    node.apply(due, config(&TWO.replace("10.0.0.50", "10.0.0.50/16")));
    let done = outputs(&mut node);
    let takes = done
        .iter()
        .filter(|(_, it)| matches!(it, Output::Do(Action::Take)));
    let takes: Vec<SlotId> = takes.map(|(id, _)| *id).collect();
    assert_eq!(takes, [id(&node, "a")]);
    let put = node.networks_to_put(id(&node, "a"));
    assert_eq!(
        put[0].to_string(),
        "10.0.0.50/32",
        "the host has an address of the subnet"
    );
}

/// A thousand instances that take over together write a thousand lines: their adverts go first.
#[test]
fn what_all_do_comes_before_what_anybody_tells() {
    let now = Instant::now();
    let mut node = node(TWO, now);
    outputs(&mut node);
    node.handle_timeout(now + Duration::from_secs(4));
    let done = outputs(&mut node);
    let doers: BTreeSet<SlotId> = done
        .iter()
        .filter(|(_, it)| matches!(it, Output::Do(Action::Send { .. })))
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(doers.len(), 2, "{done:?}");
    let first_told = done
        .iter()
        .position(|(_, it)| matches!(it, Output::Tell(_)));
    let last_done = done.iter().rposition(|(_, it)| matches!(it, Output::Do(_)));
    assert!(last_done < first_told, "{done:?}");
}

/// A master without its addresses is none; nobody hears of it when it has told nobody yet.
#[test]
fn refused_addresses_are_a_fault() {
    let now = Instant::now();
    let mut node = node(TWO, now);
    let due = now + Duration::from_secs(4);
    outputs(&mut node);
    node.handle_timeout(due);
    let (id, first) = node.poll_output().expect("it takes over");
    assert!(matches!(first, Output::Do(Action::Take)));
    let name = node.slot(id).expect("it exists").instance.name.clone();
    node.refuse(due, id, "10.0.0.50: Operation not permitted");
    let done = outputs(&mut node);
    let mut own = done.iter().filter(|(one, _)| *one == id);
    let spoken = |it: &Output| matches!(it, Output::Do(Action::Send { .. } | Action::Announce));
    assert!(!own.any(|(_, it)| spoken(it)), "{done:?}");
    let found = faults(&node, &name);
    assert_eq!(
        found,
        ["the kernel refuses 10.0.0.50: Operation not permitted"]
    );
    assert!(!slot(&node, &name).router.is_holding());
    assert_eq!(slot(&node, &name).router.stats().adverts_sent, 0);
    node.retry_refused(due);
    assert_eq!(slot(&node, &name).router.state(), State::Backup);
    // One that was master for a while tells that it goes.
    let later = due + Duration::from_secs(4);
    node.handle_timeout(later);
    outputs(&mut node);
    node.refuse(later, id, "10.0.0.50: Operation not permitted");
    let done = outputs(&mut node);
    let mut own = done.iter().filter(|(one, _)| *one == id);
    assert!(own.any(|(_, it)| matches!(it, Output::Do(Action::Send { .. }))));
}

/// Two instances whose routes lead to the same segment with the same vrid: the second is at fault,
/// until they part.
#[test]
fn instances_that_meet_with_one_vrid_are_told_and_the_first_stays() {
    let text = "[[instance]]\nname = \"a\"\naddresses = [\"192.0.2.7\"]\nvrid = 9\n\
                [[instance]]\nname = \"b\"\naddresses = [\"198.51.100.7\"]\nvrid = 9\n";
    let now = Instant::now();
    let mut node = node(text, now);
    node.set_hosts(now, hosts(), &mut |_| Some(2));
    assert_eq!(slot(&node, "a").router.state(), State::Backup);
    let said = "instance a has the same vrid on this segment: write another `vrid`";
    assert_eq!(faults(&node, "b"), [said]);
    outputs(&mut node);
    let apart = |to: IpAddr| {
        Some(if to == IpAddr::from([192, 0, 2, 7]) {
            2
        } else {
            3
        })
    };
    node.set_hosts(now, hosts(), &mut { apart });
    assert_eq!(faults(&node, "b"), [""; 0]);
    assert_eq!(slot(&node, "b").router.state(), State::Backup);
}

/// A thousand instances have one ordered set of deadlines, and all of them come due.
#[test]
fn many_instances_become_master_together() {
    let now = Instant::now();
    let mut text = String::new();
    for n in 0..1000u32 {
        let (high, low) = (n / 250, n % 250 + 1);
        text.push_str(&format!(
            "[[instance]]\nname = \"i{n}\"\ninterface = \"v{high}\"\nvrid = {low}\n\
             addresses = [\"10.{high}.1.{low}\"]\nadvertise-interval = \"100ms\"\n"
        ));
    }
    let mut node = Node::default();
    node.apply(now, config(&text));
    let links = (0..4).map(|n| link(n + 10, &format!("v{n}"))).collect();
    let addresses = (0..4u32)
        .map(|n| HostAddress {
            network: IpNet::new(format!("10.{n}.0.1").parse().expect("it"), 16).expect("it"),
            ..address(n + 10, "10.0.0.1/16")
        })
        .collect();
    node.set_hosts(now, Hosts::new(links, addresses, PROTOCOL), &mut nowhere);
    outputs(&mut node);
    node.handle_timeout(now + Duration::from_millis(361));
    let taken = outputs(&mut node);
    let takes = taken
        .iter()
        .filter(|(_, it)| matches!(it, Output::Do(Action::Take)));
    assert_eq!(takes.count(), 1000);
    assert!(
        node.slots()
            .all(|(_, slot)| slot.router.state() == State::Master)
    );
    node.shut_down(now + Duration::from_millis(361));
    assert!(!node.is_idle());
    node.handle_timeout(now + Duration::from_millis(600));
    assert!(node.is_idle());
}
