//! `global_defs`: what holds for all instances.
//!
//! Ours has no such section: an instance says all that is true of it. So the version, strictness
//! and delays go into each instance, and the rest is the host's or nobody's.

use std::time::Duration;

use super::by_table;
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::numbers::{flag, seconds};
use crate::convert::keepalived::report::Report;
use crate::convert::keepalived::vocabulary;

/// What holds for all instances.
#[derive(Clone, Debug)]
pub struct Globals {
    /// `vrrp_version`; keepalived's default is 2.
    pub version: u8,
    /// `vrrp_strict`: no authentication, no delay, no accept mode.
    pub strict: bool,
    /// `script_user`.
    pub script_user: Option<String>,
    /// `vrrp_startup_delay`.
    pub start_delay: Duration,
    /// `v3_checksum_as_v2`.
    pub plain_checksum: bool,
}

/// Reads all sections of that name.
pub fn read(nodes: &[Node], report: &mut Report) -> Globals {
    let mut globals = Globals {
        version: 2,
        strict: false,
        script_user: None,
        start_delay: Duration::ZERO,
        plain_checksum: false,
    };
    for section in nodes.iter().filter(|it| it.keyword() == "global_defs") {
        report.taken(section.line(), "goes into each instance");
        for node in section.inside() {
            if by_table(vocabulary::GLOBAL, node, report) {
                line(node, &mut globals, report);
            }
        }
    }
    globals
}

fn line(node: &Node, globals: &mut Globals, report: &mut Report) {
    let span = node.whole();
    match node.keyword() {
        "vrrp_version" => match node.word(1) {
            "2" => report.taken(span, "version = 2"),
            "3" => {
                globals.version = 3;
                report.taken(span, "version = 3");
            }
            _ => report.refused(span, "no version of VRRP", "write 2 or 3"),
        },
        "vrrp_strict" => {
            globals.strict = true;
            let what = "no password, `accept = false` but for an owner; the rest of strictness is \
                        how the daemon is anyway";
            report.changed(span, what);
        }
        "script_user" => {
            globals.script_user = Some(node.word(1).to_owned()).filter(|it| !it.is_empty());
            super::checks::user(node, report);
        }
        "vrrp_startup_delay" => match seconds(node.word(1)) {
            Some(delay) => {
                globals.start_delay = delay;
                report.taken(span, "start-delay of each instance");
            }
            None => report.refused(span, "no number of seconds", "write one"),
        },
        "v3_checksum_as_v2" => match flag(node.word(1)) {
            Some(value) => {
                globals.plain_checksum = value;
                report.changed(span, checksum(value));
            }
            None => report.refused(span, "neither on nor off", "remove the word"),
        },
        _ => hosts(node, report),
    }
}

/// What `v3_checksum_as_v2` means.
pub fn checksum(plain: bool) -> &'static str {
    match plain {
        true => "checksum = \"rfc9568\" in version 3 over IPv4; both forms are verified",
        false => "the default form is sent; both are verified",
    }
}

/// Lines whose value decides.
fn hosts(node: &Node, report: &mut Report) {
    let span = node.whole();
    let word = node.word(1);
    match (node.keyword(), word) {
        ("vrrp_mcast_group4", "224.0.0.18") | ("vrrp_mcast_group6", "ff02::12") => {
            report.taken(span, "the group of the RFC");
        }
        ("vrrp_mcast_group4" | "vrrp_mcast_group6", _) => report.refused(
            span,
            "adverts go to the group of the RFC and nowhere else",
            "use unicast-peers, or the RFC's group on all routers",
        ),
        ("vrrp_down_timer_adverts", "3") => report.taken(span, "as the RFC says"),
        ("vrrp_down_timer_adverts", _) => report.refused(
            span,
            "a master is dead after 3 intervals and the skew, as the RFC says",
            "write a shorter advertise-interval, on all routers",
        ),
        ("router_id", _) => report.dropped(span, "the host name says who it is"),
        ("default_interface", _) => report.dropped(span, "only about static addresses"),
        _ => report.dropped(span, "scheduling belongs to the unit (systemd)"),
    }
}
