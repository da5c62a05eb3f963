//! `wayfare-vrrpd` beside keepalived: who is master in every form of the protocol, and what a
//! client notices of stops, returns and crashes.
//!
//! Each form of the protocol goes through the same story: the better router is master whoever
//! starts first, hands over with at most one lost packet, comes back so, and dies without leaving
//! the address behind.

use interop::lab::{Lab, enter};
use interop::node::Node;
use interop::vrrp::{Group, Stream, holds, show, start_ours, strip, wait_master};
use interop::wait;

/// Better and worse priority.
const HIGH: u8 = 200;
const LOW: u8 = 100;
/// Lost packets that a planned change may cost (a packet under way is nobody's fault).
const LOST_MAX: usize = 1;

/// The story, for one form of the protocol.
fn story(lab: &mut Lab, group: &Group) {
    let (ours, theirs, client) = (lab.node("ours"), lab.node("ka"), lab.node("client"));
    better_of_two(group, &ours, &theirs, &client);
    worse_of_two(group, &ours, &theirs);
}

/// Ours is better: it takes over from keepalived, hands over to it, comes back, and is killed.
fn better_of_two(group: &Group, ours: &Node, theirs: &Node, client: &Node) {
    group.keepalived(theirs, LOW);
    wait_master(group, theirs, ours, 15);
    group.ours(ours, HIGH);
    wait_master(group, ours, theirs, 15);
    // Zero seconds of two masters from here on, and no packet lost by what we decide.
    planned(group, client, "stop", || {
        ours.signal("TERM", "wayfare-vrrpd");
        wait_master(group, theirs, ours, 10);
        wait::until_true("it ends", 10, || !ours.has_process("wayfare-vrrpd"));
    });
    planned(group, client, "return", || {
        start_ours(ours);
        wait_master(group, ours, theirs, 15);
    });
    ours.kill(&["wayfare-vrrpd"]);
    // Test 6 of the design: nothing is left behind, with no process to take it off.
    wait_master(group, theirs, ours, 10);
    theirs.kill(&["keepalived"]);
    // What a killed keepalived leaves behind, we take off for the next act.
    for address in &group.addresses {
        strip(theirs, address);
    }
}

/// Ours is worse: it watches keepalived, replaces it, and steps back.
fn worse_of_two(group: &Group, ours: &Node, theirs: &Node) {
    group.ours(ours, LOW);
    wait_master(group, ours, theirs, 15);
    group.keepalived(theirs, HIGH);
    wait_master(group, theirs, ours, 15);
    let shown = show(ours).expect("it answers");
    assert_eq!(shown[0]["state"], "Backup", "{shown}");
    assert_eq!(shown[0]["effectivePriority"], LOW);
    assert_ne!(shown[0]["masterAddress"], serde_json::Value::Null);
    assert_eq!(
        shown[0]["counters"]["discarded"],
        serde_json::json!({}),
        "{shown}"
    );
    theirs.signal("TERM", "keepalived");
    wait_master(group, ours, theirs, 15);
}

/// Something planned happens under a stream.
#[track_caller]
fn planned(group: &Group, client: &Node, what: &str, act: impl FnOnce()) {
    let stream = Stream::start(client, group);
    act();
    stream.finish().demand(what, LOST_MAX);
}

#[test]
fn version_3_with_keepalived() {
    enter("version_3_with_keepalived", |lab| {
        story(lab, &Group::new(3))
    });
}

/// keepalived's switch for the RFC 9568 reading.
#[test]
fn version_3_plain_checksum_with_keepalived() {
    enter("version_3_plain_checksum_with_keepalived", |lab| {
        let group = Group {
            checksum: "rfc9568",
            ..Group::new(3)
        };
        story(lab, &group);
    });
}

#[test]
fn version_3_ipv6_with_keepalived() {
    enter("version_3_ipv6_with_keepalived", |lab| {
        let group = Group {
            addresses: vec!["fe80::50/64".to_owned(), "fd99::50/64".to_owned()],
            ..Group::new(3)
        };
        story(lab, &group);
    });
}

#[test]
fn version_3_unicast_with_keepalived() {
    enter("version_3_unicast_with_keepalived", |lab| {
        let group = Group {
            unicast: vec!["10.99.0.1".to_owned(), "10.99.0.2".to_owned()],
            ..Group::new(3)
        };
        story(lab, &group);
    });
}

#[test]
fn version_2_with_keepalived() {
    enter("version_2_with_keepalived", |lab| {
        story(lab, &Group::new(2))
    });
}

#[test]
fn version_2_with_a_password_with_keepalived() {
    enter("version_2_with_a_password_with_keepalived", |lab| {
        let group = Group {
            password: Some("s3cret".to_owned()),
            ..Group::new(2)
        };
        story(lab, &group);
    });
}

/// A second daemon of the same network with a socket of its own takes nothing of the first one's
/// for a leftover, nor does a cleanup that looks at the wrong socket.
fn elsewhere(node: &Node, group: &Group) {
    let socket = ["--socket", "/run/node/second.sock"];
    let config = ["--config", "/run/node/vrrpd.toml"];
    let second = node.run("/opt/wayfare/wayfare-vrrpd", &[socket, config].concat());
    let cleanup = node.run(
        "/opt/wayfare/wayfare",
        &[&socket[..], &["cleanup", "vrrp"]].concat(),
    );
    for refused in [second, cleanup] {
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        let plain = "another wayfare-vrrpd is running in this network namespace";
        assert!(said.contains(plain), "{said}");
    }
    assert!(holds(node, group), "the first one's address stays");
}

/// Two of ours: an address taken off by hand comes back, a second daemon is refused, a process that
/// was stopped yields, and the operator hands over without loss.
#[test]
fn two_of_ours_keep_what_they_promise() {
    enter("two_of_ours_keep_what_they_promise", |lab| {
        let group = Group::new(3);
        let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
        group.ours(&one, HIGH);
        group.ours(&two, LOW);
        wait_master(&group, &one, &two, 15);
        let second = one.run(
            "/opt/wayfare/wayfare-vrrpd",
            &["--config", "/run/node/vrrpd.toml"],
        );
        assert_eq!(second.status.code(), Some(1), "two at once are refused");
        elsewhere(&one, &group);
        strip(&one, group.address());
        wait::until_true("the address is back", 5, || holds(&one, &group));
        planned(&group, &client, "release", || {
            one.sh("/opt/wayfare/wayfare vrrp release vip");
            wait_master(&group, &two, &one, 5);
        });
        planned(&group, &client, "resume", || {
            one.sh("/opt/wayfare/wayfare vrrp resume vip");
            wait_master(&group, &one, &two, 5);
        });
        one.signal("STOP", "wayfare-vrrpd");
        wait_master(&group, &two, &one, 5);
        one.signal("CONT", "wayfare-vrrpd");
        wait_master(&group, &one, &two, 5);
        let history = one.sh("/opt/wayfare/wayfare show vrrp history");
        assert!(history.contains("stood still"), "{history}");
        lab.ip(&format!("link set {} down", Lab::port(&one, "eth0")));
        wait_master(&group, &two, &one, 5);
        let shown = show(&one).expect("it answers");
        assert_eq!(shown[0]["faults"][0], "interface eth0 is down");
    });
}
