//! A restart of a healthy daemon, under a stream of a packet per millisecond: nothing is lost, no
//! router changes its state, and the backup hears no gap that it could mistake for a dead master.
//!
//! As a service manager does it: the process is asked to leave for its successor (or killed), and
//! the next one starts when it is gone. On a machine that is busy with other things that may take
//! longer than the protocol allows anybody to be silent; the daemon says itself how long it was
//! away, and such a round is repeated, not judged. What must never happen is judged in any case.

use interop::lab::{Lab, enter};
use interop::node::Node;
use interop::vrrp::{Group, Stream, show, wait_master};
use interop::wait;

/// Rounds until the machine lets one be quick enough.
const ROUNDS: usize = 10;

/// Ends the process with a signal, waits until it is gone, and becomes its successor. Gone is when
/// it is no zombie either: until its last thread has ended it holds the lock on the socket.
fn restart(node: &Node, signal: &str, program: &str) {
    let script = format!(
        "pkill -{signal} -x wayfare-vrrpd; \
         while pgrep -x wayfare-vrrpd >/dev/null; do :; done; \
         exec {program} --config /run/node/vrrpd.toml"
    );
    drop(node.spawn("vrrpd.log", "sh", &["-c", &script]));
}

fn pid(node: &Node) -> String {
    node.output("pgrep", &["-x", "-r", "R,S,D,I", "wayfare-vrrpd"])
        .unwrap_or_default()
}

/// What the successor said: how long nobody was there, and whether it goes on with everything.
fn last_succession(node: &Node) -> Option<(u64, bool)> {
    let log = node.read("/run/node/vrrpd.log");
    let line = log.lines().rfind(|line| line.contains("goes on with"))?;
    let away = line.split("away_ms=").nth(1)?.split_whitespace().next()?;
    Some((away.parse().ok()?, line.contains("goes on with 1 of 1")))
}

fn successions(node: &Node) -> usize {
    let log = node.read("/run/node/vrrpd.log");
    log.matches("goes on with").count()
}

/// State, transitions and adverts sent, by the daemon's own word.
fn facts(node: &Node) -> Result<(String, u64, u64), String> {
    let shown = show(node)?;
    let one = &shown[0];
    let state = one["state"].as_str().unwrap_or_default().to_owned();
    let transitions = one["transitions"].as_u64().unwrap_or_default();
    let sent = one["counters"]["advertsSent"].as_u64().unwrap_or_default();
    Ok((state, transitions, sent))
}

/// One round under the stream; `false`: the machine was too slow for it to count.
fn round(
    (group, signal, program): (&Group, &str, &str),
    (one, two, client): (&Node, &Node, &Node),
) -> bool {
    wait_master(group, one, two, 15);
    let wanted = |node: &Node| wait::until("it answers", 10, || facts(node));
    let (before, other) = (wanted(one), wanted(two));
    let (old, count) = (pid(one), successions(one));
    let links = format!("links.{count}");
    let watch = ["3", "ip", "-o", "monitor", "link"];
    let mut watch = one.spawn(&links, "timeout", &watch);
    let stream = Stream::start(client, group);
    restart(one, signal, program);
    wait::until_true("a successor is there", 10, || {
        successions(one) > count && pid(one) != old
    });
    let after = wanted(one);
    let echoes = stream.finish();
    watch.wait().expect("it ends by itself");
    let (away_ms, all) = last_succession(one).expect("it was just there");
    let what = format!("{signal} at {} ms", group.interval_ms);
    eprintln!("MEASURED restart by {what}: away {away_ms} ms, {echoes}");
    // Two intervals and a little are what a killed process's successor has at most.
    if away_ms + 20 > u64::from(2 * group.interval_ms) {
        return false;
    }
    assert!(all, "{what}: it does not go on as it was");
    echoes.demand(&format!("restart by {what}"), 0);
    let links = one.read(&format!("/run/node/{links}"));
    let down = links.lines().find(|line| line.contains("state DOWN"));
    assert_eq!(down, None, "{what}: a link of a virtual MAC");
    let (state, transitions, adverts) = after;
    assert_eq!(state, "Master", "{what}");
    assert_eq!(transitions, before.1, "{what}: transitions");
    assert!(
        adverts >= before.2 || signal == "KILL",
        "{what}: counters go on"
    );
    let (state, transitions, _) = wanted(two);
    assert_eq!(state, "Backup", "{what}: the other router");
    assert_eq!(transitions, other.1, "{what}: the other router moved");
    true
}

fn every(interval_ms: u32) -> Group {
    Group {
        interval_ms,
        ..Group::new(3)
    }
}

fn hitless(lab: &mut Lab, group: &Group) {
    let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
    group.ours(&one, 200);
    group.ours(&two, 100);
    one.sh("cp /opt/wayfare/wayfare-vrrpd /run/node/wayfare-vrrpd");
    let programs = [
        ("USR2", "/opt/wayfare/wayfare-vrrpd"),
        // The binary is replaced: another file takes over from the one that runs.
        ("USR2", "/run/node/wayfare-vrrpd"),
        ("KILL", "/opt/wayfare/wayfare-vrrpd"),
    ];
    for (signal, program) in programs {
        counted((group, signal, program), (&one, &two, &client));
    }
}

#[track_caller]
fn counted(what: (&Group, &str, &str), nodes: (&Node, &Node, &Node)) {
    let mut rounds = 0..ROUNDS;
    let counted = rounds.any(|_| round(what, nodes));
    assert!(counted, "{}: {ROUNDS} rounds on a machine too busy", what.1);
}

#[test]
fn a_restart_at_100_ms_is_not_noticed() {
    enter("a_restart_at_100_ms_is_not_noticed", |lab| {
        hitless(lab, &every(100));
    });
}

#[test]
fn a_restart_at_1_s_is_not_noticed() {
    enter("a_restart_at_1_s_is_not_noticed", |lab| {
        hitless(lab, &every(1000));
    });
}

/// The link of the virtual MAC stays up, with the addresses on it.
#[test]
fn a_restart_with_a_virtual_mac_is_not_noticed() {
    enter("a_restart_with_a_virtual_mac_is_not_noticed", |lab| {
        let group = Group {
            more_ours: "virtual-mac = true\n".to_owned(),
            ..every(300)
        };
        hitless(lab, &group);
    });
}

#[test]
fn a_restart_with_a_virtual_mac_of_ipv6_is_not_noticed() {
    enter(
        "a_restart_with_a_virtual_mac_of_ipv6_is_not_noticed",
        |lab| {
            let group = Group {
                addresses: vec!["fe80::50/64".to_owned(), "fd99::50/64".to_owned()],
                more_ours: "virtual-mac = true\n".to_owned(),
                ..every(300)
            };
            hitless(lab, &group);
        },
    );
}

/// A program that takes five seconds, and a restart in the middle of it: the process does not wait
/// for its end, and its successor tells what was not told to the end.
#[test]
fn a_restart_does_not_wait_for_notify() {
    enter("a_restart_does_not_wait_for_notify", |lab| {
        let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
        one.write(
            "/run/node/told.sh",
            "#!/bin/sh\necho \"begun $3\" >>/run/node/told\nsleep 5\n\
             echo \"ended $3\" >>/run/node/told\n",
        );
        one.sh("chmod 755 /run/node/told.sh");
        let group = every(1000);
        group.ours(&two, 100);
        let told = Group {
            more_ours: "notify = \"/run/node/told.sh\"\n".to_owned(),
            ..group
        };
        told.ours(&one, 200);
        let program = "/opt/wayfare/wayfare-vrrpd";
        counted((&told, "USR2", program), (&one, &two, &client));
        let told = || one.sh("cat /run/node/told");
        wait::until("MASTER is told", 30, || {
            let text = told();
            text.contains("ended MASTER").then_some(()).ok_or(text)
        });
        assert_eq!(told().matches("ended MASTER").count(), 1, "{}", told());
        assert!(told().ends_with("ended MASTER\n"), "{}", told());
    });
}

/// A file that was edited before the restart: of the routes of the process before, those that the
/// new one does not want are taken out.
#[test]
fn routes_of_the_last_configuration_go() {
    enter("routes_of_the_last_configuration_go", |lab| {
        let node = lab.node("one");
        let with = |routes: &str| Group {
            more_ours: format!("routes = [{routes}]\n"),
            ..every(100)
        };
        let there = || node.sh("ip route show proto 112");
        let before = "\"10.9.0.0/16 via 10.99.0.8\", \"10.8.0.0/16 via 10.99.0.8\"";
        with(before).ours(&node, 200);
        wait::until_true("both are there", 10, || there().lines().count() == 2);
        with("\"10.9.0.0/16 via 10.99.0.9\"").write_ours(&node, 200);
        let (count, old) = (successions(&node), pid(&node));
        restart(&node, "USR2", "/opt/wayfare/wayfare-vrrpd");
        wait::until_true("a successor is there", 10, || {
            successions(&node) > count && pid(&node) != old
        });
        wait::until("the new one alone", 10, || {
            let routes = there();
            let alone = routes.lines().count() == 1 && routes.contains("10.9.0.0/16 via 10.99.0.9");
            alone.then_some(()).ok_or(routes)
        });
        let shown = show(&node).expect("it answers");
        assert_eq!(shown[0]["state"], "Master", "{shown}");
    });
}

/// A stop is a stop: the successor finds nothing, and starts as anybody does.
#[test]
fn a_stop_leaves_nothing_to_inherit() {
    enter("a_stop_leaves_nothing_to_inherit", |lab| {
        let group = Group::new(3);
        let node = lab.node("one");
        group.ours(&node, 100);
        let state = || facts(&node).map(|facts| facts.0);
        wait::until_true("master", 10, || state().is_ok_and(|it| it == "Master"));
        let files = || node.sh("cd /run/wayfare && ls");
        assert!(files().contains("vrrpd.state"), "{}", files());
        node.signal("TERM", "wayfare-vrrpd");
        wait::until_true("it ends", 10, || !node.has_process("wayfare-vrrpd"));
        let left = files();
        let bare = !left.contains("vrrpd.state") && !left.contains("vrrpd.alive");
        assert!(bare, "{left}");
    });
}
