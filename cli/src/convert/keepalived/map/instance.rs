//! `vrrp_instance`: reads the lines; what they mean together is settled afterwards.
//!
//! keepalived takes the lines in any order and decides at the end (a password means nothing in
//! version 3, `nopreempt` nothing for a MASTER). So the lines are collected here with their
//! values, and [`super::settle`] decides as keepalived's `vrrp_complete_instance` does.

use std::net::IpAddr;
use std::time::Duration;

use super::address::{self, Written};
use super::auth::{self, Authentication};
use super::global::checksum;
use super::notify::Notify;
use super::track::{self, Tracked};
use super::{Context, by_table, routes, settle};
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::draft::Instance;
use crate::convert::keepalived::numbers::{flag, seconds};
use crate::convert::keepalived::vocabulary;

/// What the lines said.
#[derive(Debug, Default)]
pub struct Facts {
    /// `state`.
    pub state: Option<Node>,
    /// `version`, or what `native_ipv6` implies.
    pub version: Option<u8>,
    /// `priority`.
    pub priority: Option<u8>,
    /// `advert_int`.
    pub interval: Option<(Duration, Node)>,
    /// `nopreempt`.
    pub nopreempt: Option<Node>,
    /// `preempt_delay`.
    pub preempt_delay: Option<(Duration, Node)>,
    /// `accept` and `no_accept`.
    pub accept: Option<(bool, Node)>,
    /// `strict_mode`.
    pub strict: Option<bool>,
    /// `v3_checksum_as_v2`.
    pub plain_checksum: Option<bool>,
    /// Addresses, also the excluded ones.
    pub addresses: Vec<Written>,
    /// Peers.
    pub peers: Vec<(IpAddr, Node)>,
    /// `virtual_routes`.
    pub routes: Vec<routes::Route>,
    /// `authentication`.
    pub auth: Authentication,
    /// `auth_hmac`.
    pub hmac: Option<Node>,
    /// The checks.
    pub tracked: Vec<Tracked>,
    /// `notify` and its brothers.
    pub notify: Notify,
    /// `mcast_src_ip` or `unicast_src_ip`.
    pub source: Option<Node>,
    /// The family of the first address of any kind: `true` for IPv6.
    pub ipv6: Option<bool>,
}

/// Reads an instance and puts it, or two of it, into the draft.
pub fn read(node: &Node, context: &mut Context<'_>) {
    let name = node.word(1);
    if node.words.len() != 2 || node.block.is_none() {
        let cause = "an instance has one name and a block";
        let cure = "write vrrp_instance NAME { ... }";
        context.report.refused(node.whole(), cause, cure);
        return;
    }
    if context.names.iter().any(|it| it == name) {
        let cause = "there is one of this name already: keepalived skips it";
        let cure = "give it another name";
        context.report.refused(node.whole(), cause, cure);
        return;
    }
    context.names.push(name.to_owned());
    let mut instance = Instance::new(name, node.at);
    let mut facts = Facts {
        ipv6: family(node),
        ..Facts::default()
    };
    // The last one counts; it is needed before the addresses are read.
    let mut lines = node.inside().iter().rev();
    let interface = lines.find(|it| it.keyword() == "interface" && !it.word(1).is_empty());
    instance.interface = interface.map(|it| it.word(1).to_owned());
    for line in node.inside() {
        if by_table(vocabulary::INSTANCE, line, context.report) {
            identity(line, &mut instance, &mut facts, context);
        }
    }
    settle::settle(node, instance, facts, context);
}

/// A line whose value may be replaced by a later one.
pub trait Said {
    /// The line.
    fn line(&self) -> &Node;
}

impl Said for Node {
    fn line(&self) -> &Node {
        self
    }
}

impl<T> Said for (T, Node) {
    fn line(&self) -> &Node {
        &self.1
    }
}

/// Says of a line that was replaced that it counts no more, as with keepalived.
pub fn later<T: Said>(before: Option<T>, context: &mut Context<'_>) {
    if let Some(before) = before {
        let why = "a later line of the instance says it again, and that counts";
        context.report.dropped(before.line().whole(), why);
    }
}

/// The family of an instance is that of the first address in it, whatever it is for.
fn family(node: &Node) -> Option<bool> {
    for line in node.inside() {
        let found = match line.keyword() {
            "virtual_ipaddress" | "unicast_peer" => {
                let mut lines = line.inside().iter();
                lines.find_map(|it| Some(address::parse(it.keyword())?.address.is_ipv6()))
            }
            "mcast_src_ip" | "unicast_src_ip" => {
                address::parse(line.word(1)).map(|it| it.address.is_ipv6())
            }
            "native_ipv6" => Some(true),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Who it is.
fn identity(line: &Node, one: &mut Instance, facts: &mut Facts, context: &mut Context<'_>) {
    let span = line.whole();
    let report = &mut *context.report;
    match (line.keyword(), line.word(1)) {
        ("interface", "") => report.refused(span, "no name", "name the interface"),
        ("interface", _) => report.taken(span, ""),
        ("virtual_router_id", word) => match word.parse::<u8>().ok().filter(|it| *it > 0) {
            Some(vrid) => {
                one.vrid = vrid;
                report.taken(span, format!("vrid = {vrid}"));
            }
            None => report.refused(span, "no router id", "write a number from 1 to 255"),
        },
        ("priority", word) => match word.parse::<u8>().ok().filter(|it| *it > 0) {
            Some(priority) => {
                facts.priority = Some(priority);
                report.taken(span, "");
            }
            None => {
                facts.priority = Some(100);
                let cause = "no priority: keepalived takes 100";
                report.refused(span, cause, "write a number from 1 to 254");
            }
        },
        ("version", "2") | ("version", "3") => {
            facts.version = Some(if line.word(1) == "3" { 3 } else { 2 });
            report.taken(span, "");
        }
        ("version", _) => report.refused(span, "no version of VRRP", "write 2 or 3"),
        ("native_ipv6", _) => {
            facts.version = Some(3);
            report.taken(span, "version = 3");
        }
        ("state", _) => later(facts.state.replace(line.clone()), context),
        ("no_virtual_ipaddress", _) => report.refused(
            span,
            "an instance without an address holds nothing",
            "name an address",
        ),
        _ => timing(line, one, facts, context),
    }
}

/// When it does what.
fn timing(line: &Node, one: &mut Instance, facts: &mut Facts, context: &mut Context<'_>) {
    let span = line.whole();
    let report = &mut *context.report;
    match line.keyword() {
        "advert_int" => match seconds(line.word(1)).filter(|it| !it.is_zero()) {
            Some(value) => later(facts.interval.replace((value, line.clone())), context),
            None => report.refused(span, "no interval: keepalived takes 1", "write seconds"),
        },
        "preempt" => {
            report.taken(span, "the default");
            later(facts.nopreempt.take(), context);
        }
        "nopreempt" => later(facts.nopreempt.replace(line.clone()), context),
        "preempt_delay" => match seconds(line.word(1)) {
            Some(value) => later(facts.preempt_delay.replace((value, line.clone())), context),
            None => report.refused(span, "no number of seconds", "write one"),
        },
        "accept" => later(facts.accept.replace((true, line.clone())), context),
        "no_accept" => later(facts.accept.replace((false, line.clone())), context),
        "strict_mode" => match flag(line.word(1)) {
            Some(value) => {
                facts.strict = Some(value);
                report.changed(span, "no password, and `accept = false` but for an owner");
            }
            None => report.refused(span, "neither on nor off", "remove the word"),
        },
        "v3_checksum_as_v2" => match flag(line.word(1)) {
            Some(value) => {
                facts.plain_checksum = Some(value);
                report.changed(span, checksum(value));
            }
            None => report.refused(span, "neither on nor off", "remove the word"),
        },
        "down_timer_adverts" if line.word(1) == "3" => report.taken(span, "as the RFC says"),
        "down_timer_adverts" => report.refused(
            span,
            "a master is dead after 3 intervals and the skew, as the RFC says",
            "write a shorter advertise-interval, on all routers",
        ),
        "use_vmac" => {
            one.virtual_mac = true;
            match line.words.len() {
                1 => report.taken(span, "virtual-mac = true"),
                _ => report.changed(span, "virtual-mac = true: link and MAC are the RFC's"),
            }
        }
        _ => blocks(line, one, facts, context),
    }
}

/// What has a block, and what refers to addresses.
fn blocks(line: &Node, one: &mut Instance, facts: &mut Facts, context: &mut Context<'_>) {
    match line.keyword() {
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
            let found = address::read(line, one.interface.as_deref(), context);
            facts.addresses.extend(found);
        }
        "virtual_routes" => facts.routes.extend(routes::read(line, context)),
        "authentication" => auth::read(line, &mut facts.auth, context),
        "auth_hmac" => later(facts.hmac.replace(line.covered()), context),
        "unicast_peer" => peers(line, facts, context),
        "mcast_src_ip" | "unicast_src_ip" => later(facts.source.replace(line.clone()), context),
        "track_interface" | "track_script" | "track_process" | "track_file" => {
            facts.tracked.extend(track::read(line, context));
        }
        "mcast_dst_ip" if ["224.0.0.18", "ff02::12"].contains(&line.word(1)) => {
            context.report.taken(line.whole(), "the group of the RFC");
        }
        "mcast_dst_ip" => context.report.refused(
            line.whole(),
            "adverts go to the group of the RFC and nowhere else",
            "use unicast-peers, or the RFC's group on all routers",
        ),
        "unicast_ttl" => context.report.changed(
            line.whole(),
            "adverts to peers leave with a hop limit of 255, and are taken from any distance",
        ),
        _ => facts.notify.add(line, context),
    }
}

fn peers(block: &Node, facts: &mut Facts, context: &mut Context<'_>) {
    context.report.taken(block.line(), "unicast-peers = [...]");
    for line in block.inside() {
        let span = line.whole();
        let parsed = address::parse(line.keyword()).filter(|it| it.length.is_none());
        let Some(vip) = parsed else {
            context.report.refused(span, "no address", "write 10.0.0.2");
            continue;
        };
        if facts.ipv6.is_some_and(|ipv6| ipv6 != vip.address.is_ipv6()) {
            let cause = "of another family than the instance: keepalived leaves it out";
            context
                .report
                .refused(span, cause, "name it in an instance of its family");
        } else if facts.peers.iter().any(|(peer, _)| *peer == vip.address) {
            context.report.dropped(span, "it is there already");
        } else {
            facts.peers.push((vip.address, line.clone()));
            match line.words.len() {
                1 => context.report.taken(span, ""),
                _ => context
                    .report
                    .changed(span, "from any distance: min_ttl and max_ttl are not asked"),
            }
        }
    }
}
