//! Routers of one virtual router that are not configured alike: who is told what.
//!
//! Some differences are only worth a word (interval and checksum of version 3), others make two
//! masters, because each discards what the other says. Either way the router that can see it names
//! the peer and the reason; and once the configurations agree, one master is left. The pairs stand
//! on segments of their own and are played beside each other.

use std::thread;

use interop::lab::enter;
use interop::node::Node;
use interop::vrrp::peer::{Edition, Kind, Party};
use interop::vrrp::{Group, holds, show, wait_master};
use interop::wait;

const HIGH: u8 = 200;
const LOW: u8 = 100;

/// A better router, a worse one, and what is said of their difference.
struct Case {
    name: &'static str,
    better: Group,
    worse: Group,
    kind: &'static str,
    /// Both are masters until the configurations agree; else only the worse one notices.
    split: bool,
}

fn cases() -> [Case; 5] {
    let slower = |group: Group| Group {
        interval_ms: 2 * group.interval_ms,
        ..group
    };
    let keyed = |word: &str| Group {
        password: Some(word.to_owned()),
        ..Group::new(2)
    };
    let case = |name, (better, worse), kind, split| Case {
        name,
        better,
        worse,
        kind,
        split,
    };
    let three = || Group::new(3);
    let plain = Group {
        checksum: "rfc9568",
        ..three()
    };
    [
        case(
            "interval",
            (three(), slower(three())),
            "interval-differs",
            false,
        ),
        case("checksum", (plain, three()), "checksum-differs", false),
        case("version", (three(), Group::new(2)), "version", true),
        case("password", (keyed("old"), keyed("new")), "auth", true),
        case(
            "interval of version 2",
            (Group::new(2), slower(Group::new(2))),
            "interval",
            true,
        ),
    ]
}

/// Waits until `node` names `peer` with that kind of conflict.
#[track_caller]
fn named(case: &str, node: &Node, peer: &Node, kind: &str) {
    let peer = interop::lab::Lab::address(peer.index()).to_string();
    wait::until(&format!("{case}: {} names {peer}", node.name()), 20, || {
        let shown = show(node)?;
        let list = shown[0]["conflicts"].as_array().cloned();
        let mut list = list.unwrap_or_default().into_iter();
        match list.any(|one| one["kind"] == kind && one["peer"] == *peer) {
            true => Ok(()),
            false => Err(shown.to_string()),
        }
    });
}

#[test]
fn a_difference_is_named_and_heals() {
    enter("a_difference_is_named_and_heals", |lab| {
        let mut pairs = Vec::new();
        for (at, case) in cases().into_iter().enumerate() {
            let lan = format!("br{at}");
            if at > 0 {
                lab.lan(&lan);
            }
            let mut node = |name: &str| lab.node_on(&lan, &format!("{name}{at}"));
            pairs.push((case, node("one"), node("two")));
        }
        thread::scope(|scope| {
            for (case, one, two) in &pairs {
                scope.spawn(|| play(case, one, two));
            }
        });
    });
}

fn play(case: &Case, one: &Node, two: &Node) {
    case.better.ours(one, HIGH);
    case.worse.ours(two, LOW);
    named(case.name, two, one, case.kind);
    if case.split {
        named(case.name, one, two, case.kind);
        wait::until_true(&format!("{}: two masters", case.name), 10, || {
            holds(one, &case.better) && holds(two, &case.worse)
        });
    } else {
        wait_master(&case.better, one, two, 10);
    }
    case.better.write_ours(two, LOW);
    two.sh("/opt/wayfare/wayfare --socket /run/wayfare/vrrpd.sock reload");
    wait_master(&case.better, one, two, 10);
    assert_eq!(
        show(two).expect("it answers")[0]["state"],
        "Backup",
        "{}",
        case.name
    );
}

/// keepalived 2.2 knows no other checksum than that of RFC 5798, whatever is written: it discards
/// ours of RFC 9568 and keeps the addresses. It falls silent though (any packet that arrives puts
/// its next advert off, even one that is discarded): what there is to hear of it is heard before.
#[test]
fn a_peer_that_refuses_our_checksum_is_named() {
    enter("a_peer_that_refuses_our_checksum_is_named", |lab| {
        if let Err(why) = Edition::Bookworm.available(lab) {
            return eprintln!("SKIPPED a_peer_that_refuses_our_checksum_is_named: {why}");
        }
        let plain = Group {
            checksum: "rfc9568",
            ..Group::new(3)
        };
        let (one, two) = (lab.node("one"), lab.node("two"));
        let kind = Kind::Keepalived(Edition::Bookworm);
        Party::new(two.clone(), kind, LOW, &Group::new(3)).start();
        wait_master(&plain, &two, &one, 10);
        plain.ours(&one, HIGH);
        wait::until("ours says why", 10, || {
            let history = one.output("/opt/wayfare/wayfare", &["show", "vrrp", "history"])?;
            let both = ["10.99.0.2: sends checksum rfc5798", "refuse ours"];
            match both.iter().all(|words| history.contains(words)) {
                true => Ok(()),
                false => Err(history),
            }
        });
        plain_to_default(&one);
        wait_master(&plain, &one, &two, 10);
    });
}

fn plain_to_default(node: &Node) {
    Group::new(3).write_ours(node, HIGH);
    node.sh("/opt/wayfare/wayfare --socket /run/wayfare/vrrpd.sock reload");
}
