//! Groups of virtual routers beside keepalived's `vrrp_sync_group`, and the programs that are told
//! of their states.
//!
//! A gateway has two segments: what is master on one must be master on the other. A link that is
//! cut on one side takes both addresses to the other router, whichever implementation that is.

use interop::lab::{Lab, enter};
use interop::node::Node;
use interop::vrrp::{CONFIG, show, start_keepalived, start_ours};
use interop::wait;

/// A virtual address of a group: interface, vrid, address.
type Member = (&'static str, u8, &'static str);

/// The two sides of a gateway.
const GATEWAY: [Member; 2] = [("eth0", 50, "10.99.0.50"), ("eth1", 51, "10.98.0.50")];

/// One service in both families.
const DUAL: [Member; 2] = [
    ("eth0", 50, "10.99.0.50"),
    ("eth0", 50, "fe80::50 fd99::50"),
];

const HIGH: u8 = 200;
const LOW: u8 = 100;

fn ours(node: &Node, members: &[Member], priority: u8, more: &str) {
    let mut text = String::new();
    for (at, (dev, vrid, addresses)) in members.iter().enumerate() {
        let quoted: Vec<_> = addresses.split(' ').map(|it| format!("\"{it}\"")).collect();
        text += &format!(
            "[[instance]]\nname = \"m{at}\"\ninterface = \"{dev}\"\nvrid = {vrid}\n\
             priority = {priority}\nadvertise-interval = \"100ms\"\naddresses = [{}]\n{more}\n",
            quoted.join(", ")
        );
    }
    text += "[[sync-group]]\nname = \"edge\"\ninstances = [\"m0\", \"m1\"]\n";
    text += more;
    node.write(CONFIG, text);
    start_ours(node);
}

fn keepalived(node: &Node, members: &[Member], priority: u8) {
    let mut text = "global_defs {\n  vrrp_version 3\n  vrrp_garp_master_delay 1\n}\n\
                    vrrp_sync_group edge {\n  group {\n    m0\n    m1\n  }\n}\n"
        .to_owned();
    for (at, (dev, vrid, addresses)) in members.iter().enumerate() {
        text += &format!(
            "vrrp_instance m{at} {{\n  state BACKUP\n  interface {dev}\n  virtual_router_id {vrid}\n  \
             priority {priority}\n  advert_int 0.1\n  virtual_ipaddress {{\n"
        );
        for address in addresses.split(' ') {
            text += &format!("    {address}\n");
        }
        text += "  }\n}\n";
    }
    node.write("/run/node/keepalived.conf", text);
    start_keepalived(node);
}

/// How many of the group's addresses a node has.
fn held(node: &Node, members: &[Member]) -> usize {
    let shown = node.sh("ip -o addr show");
    let last = |addresses: &'static str| addresses.split(' ').next_back().unwrap_or(addresses);
    let mut all = members.iter();
    all.by_ref()
        .filter(|(dev, _, addresses)| {
            let wanted = format!(" {}/", last(addresses));
            let mut lines = shown.lines();
            lines.any(|line| line.contains(&format!(" {dev} ")) && line.contains(&wanted))
        })
        .count()
}

#[track_caller]
fn wait_all(members: &[Member], master: &Node, backup: &Node) {
    let what = format!(
        "{} has all addresses, {} none",
        master.name(),
        backup.name()
    );
    wait::until(&what, 15, || {
        match (held(master, members), held(backup, members)) {
            (2, 0) => Ok(()),
            counts => Err(format!("they have {counts:?}")),
        }
    });
}

/// Two routers with two segments between them.
fn gateways(lab: &mut Lab) -> (Node, Node) {
    let nodes = (lab.node("ours"), lab.node("ka"));
    lab.lan("br1");
    for node in [&nodes.0, &nodes.1] {
        let address = format!("10.98.0.{}/24", node.index());
        lab.attach(node, "br1", "eth1", &[address]);
    }
    nodes
}

#[test]
fn a_cut_link_moves_both_sides_of_a_gateway() {
    enter("a_cut_link_moves_both_sides_of_a_gateway", |lab| {
        let (us, ka) = gateways(lab);
        keepalived(&ka, &GATEWAY, LOW);
        wait_all(&GATEWAY, &ka, &us);
        ours(&us, &GATEWAY, HIGH, "");
        wait_all(&GATEWAY, &us, &ka);
        let port = Lab::port(&us, "eth1");
        lab.ip(&format!("link set {port} down"));
        wait_all(&GATEWAY, &ka, &us);
        let shown = show(&us).expect("it answers");
        assert_eq!(shown[0]["syncGroup"], "edge", "{shown}");
        assert_eq!(
            shown[0]["faults"][0], "with m1 of group edge: interface eth1 is down",
            "{shown}"
        );
        lab.ip(&format!("link set {port} up"));
        wait_all(&GATEWAY, &us, &ka);
        us.sh("/opt/wayfare/wayfare vrrp release m1");
        wait_all(&GATEWAY, &ka, &us);
        us.sh("/opt/wayfare/wayfare vrrp resume edge");
        wait_all(&GATEWAY, &us, &ka);
        us.kill(&["wayfare-vrrpd"]);
        wait_all(&GATEWAY, &ka, &us);
    });
}

/// The same the other way round: keepalived is better, and its link is cut.
#[test]
fn a_cut_link_of_keepalived_brings_both_sides_to_ours() {
    enter(
        "a_cut_link_of_keepalived_brings_both_sides_to_ours",
        |lab| {
            let (us, ka) = gateways(lab);
            ours(&us, &GATEWAY, LOW, "");
            wait_all(&GATEWAY, &us, &ka);
            keepalived(&ka, &GATEWAY, HIGH);
            wait_all(&GATEWAY, &ka, &us);
            let port = Lab::port(&ka, "eth1");
            lab.ip(&format!("link set {port} down"));
            wait_all(&GATEWAY, &us, &ka);
            lab.ip(&format!("link set {port} up"));
            wait_all(&GATEWAY, &ka, &us);
            ka.signal("TERM", "keepalived");
            wait_all(&GATEWAY, &us, &ka);
            let history = us.sh("/opt/wayfare/wayfare show vrrp history");
            assert!(!history.contains("conflict"), "{history}");
        },
    );
}

#[test]
fn both_families_of_a_service_move_together() {
    enter("both_families_of_a_service_move_together", |lab| {
        let (us, ka) = (lab.node("ours"), lab.node("ka"));
        ours(&us, &DUAL, HIGH, "");
        keepalived(&ka, &DUAL, LOW);
        wait_all(&DUAL, &us, &ka);
        // Without an IPv6 address to send from one member is at fault.
        us.sh("ip -6 addr flush dev eth0 scope link");
        wait_all(&DUAL, &ka, &us);
        us.sh("ip addr add fe80::1/64 dev eth0 nodad");
        wait_all(&DUAL, &us, &ka);
        us.signal("TERM", "wayfare-vrrpd");
        wait_all(&DUAL, &ka, &us);
    });
}

/// What the program says of itself: arguments, descriptors, blocked signals; slowly.
const PROGRAM: &str = "#!/bin/sh\n\
    echo \"begin $*\" >> /run/node/told\n\
    ls -l /proc/self/fd >> /run/node/fds\n\
    grep SigBlk /proc/self/status >> /run/node/signals\n\
    sleep 0.03\n\
    echo \"end $*\" >> /run/node/told\n\
    echo \"$WAYFARE_NAME $WAYFARE_PREVIOUS $WAYFARE_STATE because $WAYFARE_WHY\"\n";

#[test]
fn programs_are_told_in_order_one_at_a_time_and_of_the_end() {
    enter(
        "programs_are_told_in_order_one_at_a_time_and_of_the_end",
        |lab| {
            let us = lab.node("ours");
            lab.lan("br1");
            lab.attach(&us, "br1", "eth1", &["10.98.0.1/24".to_owned()]);
            us.write("/run/node/notify", PROGRAM);
            us.sh("chmod 755 /run/node/notify");
            ours(&us, &GATEWAY, HIGH, "notify = \"/run/node/notify\"\n");
            let told = || us.read("/run/node/told");
            let last = |word: &str| {
                let wanted = format!("end INSTANCE m1 {word} {HIGH}");
                wait::until(&format!("m1 {word} is told"), 15, || {
                    let told = told();
                    let mut lines = told.lines().rev();
                    let found = lines.find(|line| line.contains("end INSTANCE m1"));
                    if found == Some(&wanted) {
                        Ok(())
                    } else {
                        Err(told)
                    }
                });
            };
            last("MASTER");
            let port = Lab::port(&us, "eth0");
            for _ in 0..15 {
                lab.ip(&format!("link set {port} down"));
                lab.ip(&format!("link set {port} up"));
            }
            last("MASTER");
            us.sh("/opt/wayfare/wayfare --socket /run/wayfare/vrrpd.sock reload");
            us.signal("TERM", "wayfare-vrrpd");
            wait::until_true("it ends", 15, || !us.has_process("wayfare-vrrpd"));
            let told = told();
            judge(&told);
            assert!(told.contains("begin INSTANCE m0 BACKUP 200\n"), "{told}");
            assert!(told.contains("end GROUP edge MASTER 200\n"), "{told}");
            for subject in ["INSTANCE m0", "INSTANCE m1", "GROUP edge"] {
                let mut lines = told.lines().rev();
                let last = lines.find(|line| line.contains(subject)).unwrap_or("");
                assert_eq!(last, format!("end {subject} STOP {HIGH}"), "{told}");
            }
            let open = us.read("/run/node/fds");
            for ours in ["socket:", "anon_inode:"] {
                assert!(!open.contains(ours), "{open}");
            }
            let signals = us.read("/run/node/signals");
            assert!(
                signals
                    .lines()
                    .all(|line| line.ends_with("0000000000000000")),
                "{signals}"
            );
            start_ours(&us);
            let history = us.sh("/opt/wayfare/wayfare show vrrp history");
            for kept in ["interface eth0 is down", "stopped", "started"] {
                assert!(history.contains(kept), "{history}");
            }
            let log = us.read("/run/node/vrrpd.log");
            assert!(log.contains("because interface eth0 is down"), "{log}");
        },
    );
}

/// No call begins before the one before has ended, and none repeats the last of its subject.
fn judge(told: &str) {
    let lines: Vec<&str> = told.lines().collect();
    let mut states = std::collections::BTreeMap::new();
    for pair in lines.chunks(2) {
        let call = pair[0].strip_prefix("begin ").expect("a call begins");
        assert_eq!(pair.get(1), Some(&format!("end {call}").as_str()), "{told}");
        let words: Vec<&str> = call.split(' ').collect();
        let before = states.insert((words[0], words[1]), words[2]);
        assert_ne!(before, Some(words[2]), "{call} is told twice: {told}");
    }
}
