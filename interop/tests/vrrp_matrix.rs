//! `wayfare-vrrpd` beside every other implementation, in every form both speak.
//!
//! Each cell is one test, with namespaces of its own: a peer, a form of the protocol, and which of
//! the two is the better router. It plays the whole of [`Duel::play`]: either starts first, stops,
//! returns, crashes and returns. Judged by the wire and the kernels of both: one master after each
//! act, two never longer than one interval, none of the routers' own words.

use interop::lab::enter;
use interop::vrrp::Group;
use interop::vrrp::duel::Duel;
use interop::vrrp::peer::{Edition, Kind, Party};

/// Better and worse priority.
const HIGH: u8 = 200;
const LOW: u8 = 100;

/// The forms of the protocol.
#[derive(Clone, Copy)]
enum Form {
    V2,
    V2Pass,
    V3,
    V3Plain,
    V6,
    Unicast,
}

fn group(form: Form) -> Group {
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
            unicast: vec!["10.99.0.1".to_owned(), "10.99.0.2".to_owned()],
            ..three
        },
    }
}

fn cell(test: &str, theirs: Kind, form: Form, ours_is_better: bool) {
    enter(test, |lab| {
        let edition = match theirs {
            Kind::Ours => Edition::Image,
            Kind::Keepalived(edition) | Kind::Frr(edition) => edition,
        };
        if let Err(why) = edition.available(lab) {
            return eprintln!("SKIPPED {test}: {why}");
        }
        if matches!(theirs, Kind::Frr(_)) && !lab.can_drop_privileges() {
            return eprintln!("SKIPPED {test}: FRR needs more than one user id");
        }
        let group = group(form);
        let (one, two) = (lab.node("ours"), lab.node("peer"));
        let (first, second) = match ours_is_better {
            true => (HIGH, LOW),
            false => (LOW, HIGH),
        };
        let ours = Party::new(one, Kind::Ours, first, &group);
        let peer = Party::new(two, theirs, second, &group);
        let (better, worse) = match ours_is_better {
            true => (ours, peer),
            false => (peer, ours),
        };
        Duel::new(lab, &group, better, worse).play();
    });
}

/// Two tests per cell of the matrix: ours is the better router, and the worse.
macro_rules! cells {
    ($($name:ident: $kind:expr, $form:ident;)*) => {
        $(
            mod $name {
                use super::*;

                #[test]
                fn ours_is_better() {
                    cell(concat!(stringify!($name), "::ours_is_better"), $kind, Form::$form, true);
                }

                #[test]
                fn ours_is_worse() {
                    cell(concat!(stringify!($name), "::ours_is_worse"), $kind, Form::$form, false);
                }
            }
        )*
    };
}

cells! {
    keepalived_2_2_version_2: Kind::Keepalived(Edition::Bookworm), V2;
    keepalived_2_2_password: Kind::Keepalived(Edition::Bookworm), V2Pass;
    keepalived_2_2_version_3: Kind::Keepalived(Edition::Bookworm), V3;
    keepalived_2_2_plain_checksum: Kind::Keepalived(Edition::Bookworm), V3Plain;
    keepalived_2_2_ipv6: Kind::Keepalived(Edition::Bookworm), V6;
    keepalived_2_2_unicast: Kind::Keepalived(Edition::Bookworm), Unicast;
    keepalived_2_3_version_2: Kind::Keepalived(Edition::Image), V2;
    keepalived_2_3_password: Kind::Keepalived(Edition::Image), V2Pass;
    keepalived_2_3_version_3: Kind::Keepalived(Edition::Image), V3;
    keepalived_2_3_plain_checksum: Kind::Keepalived(Edition::Image), V3Plain;
    keepalived_2_3_ipv6: Kind::Keepalived(Edition::Image), V6;
    keepalived_2_3_unicast: Kind::Keepalived(Edition::Image), Unicast;
    // FRR 8.4 has no switch for the reading of RFC 9568; no FRR has passwords or unicast.
    frr_8_version_2: Kind::Frr(Edition::Bookworm), V2;
    frr_8_version_3: Kind::Frr(Edition::Bookworm), V3;
    frr_8_ipv6: Kind::Frr(Edition::Bookworm), V6;
    frr_10_version_2: Kind::Frr(Edition::Image), V2;
    frr_10_version_3: Kind::Frr(Edition::Image), V3;
    frr_10_plain_checksum: Kind::Frr(Edition::Image), V3Plain;
    frr_10_ipv6: Kind::Frr(Edition::Image), V6;
}
