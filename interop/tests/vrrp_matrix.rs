//! `wayfare-vrrpd` beside every other implementation, in every form both speak.
//!
//! A cell is a peer and a form of the protocol. It is played on two segments at once, with ours as
//! the better router and as the worse, and each plays the whole of [`Duel::play`]: either starts
//! first, stops, returns, crashes and returns. Judged by the wire and the kernels of both: one
//! master after each act, two never for longer than an interval, and none of it by the routers' own
//! words. Version 2 counts in whole seconds, so all its cells are played beside each other.

use std::thread;
use std::time::Duration;

use interop::lab::{Lab, enter_within};
use interop::vrrp::duel::Duel;
use interop::vrrp::peer::{Edition, Kind, Party};
use interop::vrrp::{Group, show};

/// Better and worse priority.
const HIGH: u8 = 200;
const LOW: u8 = 100;

/// Dozens of starts take their time on a busy machine; none of the bars depends on this.
const LIMIT: Duration = Duration::from_secs(400);

const KEEPALIVED_2_2: Kind = Kind::Keepalived(Edition::Bookworm);
const KEEPALIVED_2_3: Kind = Kind::Keepalived(Edition::Image);
const FRR_8: Kind = Kind::Frr(Edition::Bookworm);
const FRR_10: Kind = Kind::Frr(Edition::Image);

/// The forms of the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    V2,
    V2Pass,
    V3,
    V3Plain,
    V6,
    Unicast,
}

fn group(form: Form, (one, two): (u8, u8)) -> Group {
    let three = Group::new(3);
    match form {
        Form::V2 => Group::new(2),
        Form::V2Pass => Group {
            password: Some("s3cret".to_owned()),
            ..Group::new(2)
        },
        Form::V3 => three,
        Form::V3Plain => Group {
            checksum: "rfc9568",
            ..three
        },
        Form::V6 => Group {
            addresses: vec!["fe80::50/64".to_owned(), "fd99::50/64".to_owned()],
            ..three
        },
        Form::Unicast => Group {
            unicast: [one, two]
                .map(|index| Lab::address(index).to_string())
                .into(),
            ..three
        },
    }
}

/// Why a cell cannot be played here.
fn obstacle(lab: &Lab, theirs: Kind) -> Option<String> {
    let edition = match theirs {
        Kind::Ours => return None,
        Kind::Keepalived(edition) | Kind::Frr(edition) => edition,
    };
    if matches!(theirs, Kind::Frr(_)) && !lab.can_drop_privileges() {
        return Some("FRR needs more than one user id".to_owned());
    }
    edition.available(lab).err()
}

fn cells(test: &str, list: &[(Kind, Form)]) {
    enter_within(LIMIT, test, |lab| {
        let mut nodes = Vec::new();
        for (theirs, form) in list {
            if let Some(why) = obstacle(lab, *theirs) {
                eprintln!("SKIPPED {test} ({theirs:?}): {why}");
                continue;
            }
            for ours_is_better in [true, false] {
                let at = nodes.len();
                let lan = format!("br{at}");
                if at > 0 {
                    lab.lan(&lan);
                }
                let mut node = |name: &str| lab.node_on(&lan, &format!("{name}{at}"));
                let three = (node("ours"), node("peer"), node("client"));
                nodes.push((*theirs, *form, ours_is_better, three));
            }
        }
        let lab = &*lab;
        thread::scope(|scope| {
            for (theirs, form, ours_is_better, (ours, peer, client)) in nodes {
                scope.spawn(move || {
                    let group = group(form, (ours.index(), peer.index()));
                    let (first, second) = match ours_is_better {
                        true => (HIGH, LOW),
                        false => (LOW, HIGH),
                    };
                    let mut parties = [
                        Party::new(ours.clone(), Kind::Ours, first, &group),
                        Party::new(peer, theirs, second, &group),
                    ];
                    parties.sort_by_key(|party| std::cmp::Reverse(party.priority));
                    Duel::new(lab, &group, parties, client).play();
                    nothing_is_said(&ours);
                });
            }
        });
    });
}

/// After all of it nothing is wrong with the segment: ours discards nothing and accuses nobody.
fn nothing_is_said(ours: &interop::node::Node) {
    let shown = show(ours).expect("it answers");
    let [one] = shown.as_array().map_or(&[][..], Vec::as_slice) else {
        panic!("one virtual router: {shown}");
    };
    assert_eq!(one["counters"]["discarded"], serde_json::json!({}), "{one}");
    assert_eq!(one["conflicts"], serde_json::json!([]), "{one}");
}

#[test]
fn version_2() {
    let list = [
        (KEEPALIVED_2_2, Form::V2),
        (KEEPALIVED_2_2, Form::V2Pass),
        (KEEPALIVED_2_3, Form::V2),
        (KEEPALIVED_2_3, Form::V2Pass),
        // No FRR knows passwords, nor unicast.
        (FRR_8, Form::V2),
        (FRR_10, Form::V2),
    ];
    cells("version_2", &list);
}

/// One test per cell of version 3.
macro_rules! version_3 {
    ($($name:ident: $kind:ident, $form:ident;)*) => {
        $(
            #[test]
            fn $name() {
                cells(stringify!($name), &[($kind, Form::$form)]);
            }
        )*
    };
}

// The plain checksum of RFC 9568 is a switch in keepalived since 2.3 and in FRR since 9.
version_3! {
    keepalived_2_2_version_3: KEEPALIVED_2_2, V3;
    keepalived_2_2_ipv6: KEEPALIVED_2_2, V6;
    keepalived_2_2_unicast: KEEPALIVED_2_2, Unicast;
    keepalived_2_3_version_3: KEEPALIVED_2_3, V3;
    keepalived_2_3_plain_checksum: KEEPALIVED_2_3, V3Plain;
    keepalived_2_3_ipv6: KEEPALIVED_2_3, V6;
    keepalived_2_3_unicast: KEEPALIVED_2_3, Unicast;
    frr_8_version_3: FRR_8, V3;
    frr_8_ipv6: FRR_8, V6;
    frr_10_version_3: FRR_10, V3;
    frr_10_plain_checksum: FRR_10, V3Plain;
    frr_10_ipv6: FRR_10, V6;
}
