//! Checks in a node: whose health an answer changes, what is told, and what a reload keeps.

use std::time::{Duration, Instant};

use rib::netlink::hosts::{HostAddress, HostLink};

use super::super::{Hosts, Node, Output};
use super::*;
use crate::config::parse;
use crate::router::State;

const READYZ: &str = "https://127.0.0.1:6443/readyz";

fn instance(name: &str, last: u8, track: &str) -> String {
    format!(
        "[[instance]]\nname = \"{name}\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.{last}\"]\n\
         track = [{track}]\n"
    )
}

fn https(weight: &str) -> String {
    format!("{{ http = \"{READYZ}\", insecure = true{weight} }}")
}

fn hosts(eth1: bool) -> Hosts {
    let link = |index, name: &str, usable| HostLink {
        index,
        name: name.to_owned(),
        usable,
        mac: Some([2, 0, 0, 0, 0, 1]),
    };
    let address = HostAddress {
        index: 2,
        network: "10.0.0.2/24".parse().expect("an address"),
        protocol: 0,
        usable: true,
    };
    let links = vec![link(2, "eth0", true), link(3, "eth1", eth1)];
    Hosts::new(links, vec![address], 112)
}

fn node(text: &str, now: Instant) -> Node {
    let mut node = Node::default();
    apply(&mut node, now, text);
    node.set_hosts(now, hosts(true), &mut |_| None);
    node
}

fn apply(node: &mut Node, now: Instant, text: &str) {
    let loaded = parse("vrrpd.toml", text).expect("a good file");
    node.apply(now, loaded.config);
}

/// The only check of its kind.
fn check(node: &Node, kind: &str) -> Check {
    let mut all = node.checks().all.keys();
    let found = all.find(|check| check.to_string().starts_with(kind));
    found.expect("it is tracked").clone()
}

fn answers(node: &mut Node, now: Instant, check: &Check, list: &[Outcome]) {
    for outcome in list {
        node.check_answered(now, check, outcome.clone());
    }
}

/// What was told, as `instance: text`.
fn told(node: &mut Node) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((id, output)) = node.poll_output() {
        let name = node.slot(id).map(|slot| slot.instance.name.clone());
        let name = name.unwrap_or_default();
        match output {
            Output::Tell(Event::Checked { text, .. }) => lines.push(format!("{name}: {text}")),
            Output::Tell(Event::Transition { from, to, why }) => {
                lines.push(format!("{name}: {from} -> {to}: {why}"));
            }
            _ => {}
        }
    }
    lines
}

fn priority(node: &Node, name: &str) -> u8 {
    let mut slots = node.slots();
    let found = slots.find(|(_, slot)| slot.instance.name == name);
    found.expect("it exists").1.router.effective_priority()
}

fn masters(node: &mut Node) -> Instant {
    let now = node.poll_timeout().expect("backups wait") + Duration::from_secs(1);
    node.handle_timeout(now);
    assert!(
        node.slots()
            .all(|(_, it)| it.router.state() == State::Master)
    );
    told(node);
    now
}

/// One check, two instances: a fault for one, a weight for the other.
#[test]
fn a_check_is_asked_once_and_each_instance_decides_what_it_is_worth() {
    let text = instance("a", 50, &https("")) + &instance("b", 51, &https(", weight = -50"));
    let mut node = node(&text, Instant::now());
    assert_eq!(node.checks().to_run().count(), 1);
    let readyz = check(&node, "https");
    let now = masters(&mut node);
    answers(&mut node, now, &readyz, &[Outcome::good("HTTP 200")]);
    let good = format!("check {READYZ} is good: HTTP 200");
    assert_eq!(
        told(&mut node),
        [format!("a: {good}"), format!("b: {good}")]
    );
    let bad = vec![Outcome::bad("HTTP 500"); 3];
    answers(&mut node, now, &readyz, &bad);
    let text = format!("check {READYZ} failed 3 times: HTTP 500");
    assert_eq!(
        told(&mut node),
        [
            format!("a: {text}"),
            format!("a: Master -> Backup: {text}"),
            format!("b: {text}")
        ],
        "the reason before what it causes"
    );
    assert_eq!((priority(&node, "a"), priority(&node, "b")), (1, 50));
}

#[test]
fn an_interface_is_judged_by_what_the_kernel_says_of_it() {
    let text = instance("a", 50, "{ interface = \"eth1\", weight = -20 }");
    let mut node = node(&text, Instant::now());
    assert_eq!(
        told(&mut node)[1..],
        ["a: check interface eth1 is good: up"]
    );
    let now = masters(&mut node);
    for (up, counts, line) in [
        (false, 80, "a: check interface eth1 failed: down"),
        (true, 100, "a: check interface eth1 is good: up"),
    ] {
        node.set_hosts(now, hosts(up), &mut |_| None);
        assert_eq!(priority(&node, "a"), counts);
        assert_eq!(told(&mut node), [line]);
    }
    assert_eq!(node.checks().to_run().count(), 0, "nobody needs to ask");
}

/// Weights add up; a positive one counts while good, the content of a file as it is.
#[test]
fn weights_add_up() {
    let text = instance(
        "a",
        50,
        "{ tcp = \"127.0.0.1:443\", weight = 20 }, { process = \"proxy\", weight = -30 },
         { file = \"/run/prefer\", weight = \"content\" }",
    );
    let now = Instant::now();
    let mut node = node(&text, now);
    let (tcp, process) = (check(&node, "tcp"), check(&node, "process"));
    let file = check(&node, "file");
    assert_eq!(priority(&node, "a"), 100, "unknown counts nothing");
    answers(
        &mut node,
        now,
        &tcp,
        &[Outcome::good("accepts connections")],
    );
    assert_eq!(priority(&node, "a"), 120);
    answers(&mut node, now, &process, &[Outcome::bad("none runs")]);
    assert_eq!(priority(&node, "a"), 90);
    for value in [-40, 7] {
        let outcome = Outcome {
            value,
            ..Outcome::good("holds it")
        };
        answers(&mut node, now, &file, &[outcome]);
        assert_eq!(i32::from(priority(&node, "a")), 90 + value);
    }
}

/// A reload keeps how an unchanged check stands; a changed one begins anew, an answer to one that
/// is gone is dropped, and another weight counts at once.
#[test]
fn a_reload_keeps_what_did_not_change() {
    let both = format!(
        "{}, {{ process = \"proxy\", weight = -30 }}",
        https(", weight = -50")
    );
    let now = Instant::now();
    let mut node = node(&instance("a", 50, &both), now);
    let (readyz, process) = (check(&node, "https"), check(&node, "process"));
    answers(&mut node, now, &readyz, &vec![Outcome::bad("HTTP 500"); 3]);
    answers(&mut node, now, &process, &[Outcome::bad("none runs")]);
    assert_eq!(priority(&node, "a"), 20);
    apply(&mut node, now, &instance("a", 50, &https(", weight = -10")));
    assert_eq!(priority(&node, "a"), 90);
    assert!(node.checks().standing(&process).is_none());
    answers(&mut node, now, &process, &[Outcome::bad("none runs")]);
    assert_eq!(priority(&node, "a"), 90);
    apply(
        &mut node,
        now,
        &instance("a", 50, &https(", weight = -10, fall = 2")),
    );
    let changed = check(&node, "https");
    let standing = node.checks().standing(&changed).expect("in use");
    assert_eq!(standing.verdict, Verdict::Unknown);
    assert_eq!(priority(&node, "a"), 100);
}

/// A check that is held is good when its time is over, without another answer.
#[test]
fn a_held_check_is_good_in_its_time() {
    let now = Instant::now();
    let mut node = node(&instance("a", 50, &https(", rise = 1, fall = 1")), now);
    let readyz = check(&node, "https");
    let (good, bad) = (Outcome::good("HTTP 200"), Outcome::bad("HTTP 500"));
    let mut at = now;
    for outcome in [&good, &bad, &good, &bad, &good] {
        at += Duration::from_secs(1);
        answers(&mut node, at, &readyz, std::slice::from_ref(outcome));
    }
    assert_eq!(priority(&node, "a"), 1, "bad twice within a minute");
    let due = at + Duration::from_secs(10);
    node.handle_timeout(due - Duration::from_millis(1));
    assert_eq!(priority(&node, "a"), 1);
    node.handle_timeout(due);
    assert_eq!(priority(&node, "a"), 100);
}
