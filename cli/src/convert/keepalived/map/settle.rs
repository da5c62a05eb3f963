//! What the lines of an instance mean together.
//!
//! The order of decisions is keepalived's (`vrrp_complete_instance`): version, priority,
//! strictness, password, preemption, accept mode, interval. What it silently corrects is corrected
//! here too, and said, so that the wire stays the same. At the end an instance that ours could not
//! run is refused whole.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ctl::config::duration_text;

use super::address::Written;
use super::instance::Facts;
use super::routes::{self, Route};
use super::{Context, hmac, track};
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::draft::{Group, Instance, Vip};
use crate::convert::keepalived::numbers::advert_interval;

/// Settles `one` and puts it into the draft.
pub fn settle(node: &Node, mut one: Instance, mut facts: Facts, context: &mut Context<'_>) {
    let strict = facts.strict.unwrap_or(context.globals.strict);
    let ipv6 = facts.ipv6.unwrap_or(false);
    let master = facts
        .state
        .as_ref()
        .is_some_and(|it| it.word(1) == "MASTER");
    one.version = match facts.version {
        _ if ipv6 => 3,
        Some(version) => version,
        None => context.globals.version,
    };
    one.priority = facts.priority.unwrap_or(if master { 255 } else { 100 });
    one.start_delay = context.globals.start_delay;
    one.plain_checksum = facts
        .plain_checksum
        .unwrap_or(context.globals.plain_checksum);
    state(&facts, &one, strict, context);
    interval(&facts, &mut one, context);
    preemption(&facts, &mut one, (strict, master), context);
    accept(&facts, &mut one, strict, context);
    let none = match (strict, one.version) {
        _ if facts.hmac.is_some() => Some("auth_hmac is there: keepalived sends no password"),
        (true, _) => Some("vrrp_strict: keepalived sends none either"),
        (false, 3) => Some("version 3 has no passwords: keepalived sends none either"),
        _ => None,
    };
    one.auth_file = facts.auth.settle(&one.name, none, context);
    if facts.auth.is_ah() && none.is_none() {
        let text = "AH was written and is not sent: routers with AH and this one do not hear each \
                    other, so take it out there first";
        one.note("", text);
    }
    if let Some(block) = &facts.hmac {
        hmac::settle(block, &mut one, context);
    }
    source(&facts, &mut one, context);
    if !facts.peers.is_empty() && strict {
        let cause = "keepalived with vrrp_strict does not run an instance with peers";
        let cure = "take vrrp_strict out there first";
        context.report.refused(node.whole(), cause, cure);
        return;
    }
    one.unicast_peers = facts.peers.iter().map(|(peer, _)| *peer).collect();
    let (others, local) = addresses(&facts.addresses, &mut one, ipv6, context);
    let mut tracked = std::mem::take(&mut facts.tracked);
    if context.weightless.contains(&one.name) {
        tracked = track::of_member(tracked, &mut one, context);
    }
    track::apply(tracked, &mut one, context);
    one.notify = facts.notify.settle(&one.name, context);
    let twin = (!others.is_empty()).then(|| twin(&one, others, local));
    if let Err((cause, cure)) = runs(&one, context) {
        context.report.refused(node.line(), cause, cure);
        routes::of_family(facts.routes, ipv6, context);
        return;
    }
    context.report.taken(node.line(), "[[instance]]");
    match twin {
        Some(twin) if runs(&twin, context).is_ok() => pair(one, twin, facts.routes, context),
        _ => {
            one.routes = routes::of_family(facts.routes, ipv6, context);
            context.draft.instances.push(one);
        }
    }
}

fn state(facts: &Facts, one: &Instance, strict: bool, context: &mut Context<'_>) {
    let Some(line) = &facts.state else {
        return;
    };
    let span = line.whole();
    match (line.word(1), one.priority) {
        ("MASTER", 255) if facts.priority.is_none() => context.report.changed(
            span,
            "priority = 255: a MASTER without a priority is the owner of its addresses",
        ),
        ("MASTER", 255) => context.report.taken(span, "an owner is master at once"),
        ("MASTER", _) if strict => context.report.taken(
            span,
            "the priority decides, with keepalived too: vrrp_strict makes it a backup first",
        ),
        ("MASTER", _) => context.report.changed(
            span,
            format!(
                "the priority decides: it starts as backup and takes over after {} at most, where \
                 keepalived sends at once",
                duration_text(one.down_interval())
            ),
        ),
        ("BACKUP", _) => context.report.taken(span, "the priority decides"),
        _ => context.report.refused(
            span,
            "no such state: keepalived takes BACKUP",
            "remove it: the priority decides",
        ),
    }
}

fn interval(facts: &Facts, one: &mut Instance, context: &mut Context<'_>) {
    let Some((wanted, line)) = &facts.interval else {
        return;
    };
    one.interval = advert_interval(*wanted, one.version);
    let text = duration_text(one.interval);
    let span = line.whole();
    if one.interval == *wanted {
        context
            .report
            .taken(span, format!("advertise-interval = \"{text}\""));
    } else {
        let what = format!(
            "advertise-interval = \"{text}\": what version {} can say, and keepalived sends",
            one.version
        );
        context.report.changed(span, what);
    }
}

fn preemption(
    facts: &Facts,
    one: &mut Instance,
    (strict, master): (bool, bool),
    context: &mut Context<'_>,
) {
    if let Some(line) = &facts.nopreempt {
        let span = line.whole();
        let void = match (master, one.priority) {
            (_, 255) => Some("an owner always preempts, with keepalived too"),
            (true, _) => Some("keepalived clears it for state MASTER: this router preempts"),
            _ => None,
        };
        if let Some(why) = void {
            context.report.changed(span, why);
            let cure = "write preempt = false if it is not to take the addresses back";
            context.report.lint(span, why, cure);
            one.note("priority", format!("`nopreempt` was written: {why}"));
        } else {
            one.preempt = false;
            context.report.taken(span, "preempt = false");
        }
    }
    let Some((delay, line)) = &facts.preempt_delay else {
        return;
    };
    let void = match (master, strict, one.preempt) {
        (true, _, _) => Some("state MASTER"),
        (_, true, _) => Some("vrrp_strict"),
        (_, _, false) => Some("nopreempt"),
        _ => None,
    };
    match void {
        Some(why) => {
            let why = format!("keepalived clears it for {why}");
            context.report.dropped(line.whole(), why);
        }
        None => {
            let ms = Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            one.preempt_delay = ms;
            context.report.taken(line.whole(), "preempt-delay");
        }
    }
}

fn accept(facts: &Facts, one: &mut Instance, strict: bool, context: &mut Context<'_>) {
    let owner = one.priority == 255;
    let given = facts.accept.as_ref().map(|it| it.0);
    let void = given == Some(true) && strict && one.version == 2 && !owner;
    one.accept = match given {
        _ if void => false,
        Some(value) => value,
        None => owner || !strict,
    };
    if let Some((_, line)) = &facts.accept {
        let text = format!("accept = {}", one.accept);
        match void {
            true => {
                let what = format!("{text}: vrrp_strict takes it back in version 2");
                context.report.changed(line.whole(), what);
            }
            false => context.report.taken(line.whole(), text),
        }
    }
}

fn source(facts: &Facts, one: &mut Instance, context: &mut Context<'_>) {
    if let Some(line) = &facts.source {
        let text = format!(
            "adverts come from the first address of the interface: see that it is {}, or that the \
             others know the one it is",
            line.word(1)
        );
        context.report.changed(line.whole(), text.clone());
        one.note("interface", text);
    } else if let Some((_, line)) = facts.peers.first() {
        context.report.lint(
            line.whole(),
            "no unicast_src_ip: the peers must list the first address of this interface",
            "see that they do",
        );
    }
}

/// Sorts the addresses: those of the instance, and those of the other family with what was done to
/// them.
fn addresses(
    written: &[Written],
    one: &mut Instance,
    ipv6: bool,
    context: &mut Context<'_>,
) -> (Vec<Vip>, Option<Local>) {
    let mut others: Vec<Vip> = Vec::new();
    let mut kept: Vec<&Written> = Vec::new();
    for it in written {
        let list = match it.vip.address.is_ipv6() == ipv6 {
            true => &mut one.addresses,
            false => &mut others,
        };
        if list.iter().any(|vip| vip.address == it.vip.address) {
            let span = it.node.whole();
            context.report.dropped(span, "it is there already");
            continue;
        }
        list.push(it.vip);
        kept.push(it);
    }
    let own = match one.unicast_peers.is_empty() {
        true => link_local_first(&mut one.addresses, one.vrid),
        false => None,
    };
    let other = link_local_first(&mut others, one.vrid);
    for it in kept {
        let local = [&own, &other].into_iter().flatten();
        let mut local = local.filter(|local| local.line == it.vip.address);
        address(it, local.next(), (&mut *one, ipv6), context);
    }
    if let Some(local) = own {
        one.note("addresses", local.text);
    }
    (others, other)
}

/// The verdict on an address that is taken.
fn address(
    it: &Written,
    local: Option<&Local>,
    (one, ipv6): (&mut Instance, bool),
    context: &mut Context<'_>,
) {
    let mut differs: Vec<String> = Vec::new();
    if it.vip.address.is_ipv6() != ipv6 {
        let what = "of the other family: in an instance of its own, and both in a sync group";
        differs.push(what.to_owned());
    } else if it.excluded {
        let text = format!(
            "{} was excluded from the adverts and is in them now: routers with keepalived before \
             2.3 discard those, so move all routers in one go",
            it.vip.address
        );
        one.note("addresses", text.clone());
        differs.push(text);
    } else if !it.without.is_empty() {
        let without = &it.without;
        differs.push(format!(
            "without {without}: the daemon sets flags and scope itself"
        ));
    }
    differs.extend(local.map(|local| local.text.clone()));
    let span = it.node.whole();
    match differs.is_empty() {
        true => context.report.taken(span, ""),
        false => context.report.changed(span, differs.join("; ")),
    }
}

/// A link-local address that was put in front.
struct Local {
    /// The address as written that it is told of.
    line: IpAddr,
    text: String,
}

/// The first IPv6 address of a multicast group is link-local (RFC 9568 §5.2.9): one is moved to the
/// front, or made from the virtual MAC of the group.
fn link_local_first(list: &mut Vec<Vip>, vrid: u8) -> Option<Local> {
    let local = |vip: &Vip| matches!(vip.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let first = *list.first().filter(|vip| vip.address.is_ipv6())?;
    if local(&first) {
        return None;
    }
    if let Some(at) = list.iter().position(local) {
        let vip = list.remove(at);
        list.insert(0, vip);
        return Some(Local {
            line: vip.address,
            text: "the link-local address goes first (RFC 9568 §5.2.9)".to_owned(),
        });
    }
    let last = 0x0200 | u16::from(vrid);
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0200, 0x5eff, 0xfe00, last);
    let vip = Vip {
        address: IpAddr::V6(address),
        length: Some(64),
    };
    list.insert(0, vip);
    Some(Local {
        line: first.address,
        text: format!(
            "{address} goes first, as RFC 9568 §5.2.9 wants a link-local one, the same on all \
             routers; it is that of the virtual MAC. It is in the adverts, which routers with \
             keepalived before 2.3 discard: move all routers in one go"
        ),
    })
}

/// An instance for the addresses of the other family.
fn twin(one: &Instance, addresses: Vec<Vip>, local: Option<Local>) -> Instance {
    let ipv6 = !one.ipv6();
    let mut twin = Instance {
        name: format!("{}-{}", one.name, if ipv6 { "ipv6" } else { "ipv4" }),
        version: if ipv6 { 3 } else { one.version },
        addresses,
        unicast_peers: Vec::new(),
        auth_file: None,
        auth_mode: None,
        auth_window: None,
        notify: None,
        notes: std::collections::BTreeMap::new(),
        ..one.clone()
    };
    twin.interval = advert_interval(one.interval, twin.version);
    if let Some(local) = local {
        twin.note("addresses", local.text);
    }
    twin.note(
        "",
        format!(
            "The addresses of `{}` that are of the other family. keepalived sends no adverts for \
             them: move all routers before this one elects with others.",
            one.name
        ),
    );
    if !one.unicast_peers.is_empty() {
        twin.note(
            "",
            "Its peers are not known: it is multicast until unicast-peers are named.",
        );
    }
    twin
}

/// Both in a group, each with the routes of its family.
fn pair(mut one: Instance, mut twin: Instance, all: Vec<Route>, context: &mut Context<'_>) {
    let ipv6 = one.ipv6();
    let (own, other) = all.into_iter().partition(|route| route.ipv6 == ipv6);
    one.routes = routes::of_family(own, ipv6, context);
    twin.routes = routes::of_family(other, !ipv6, context);
    context.draft.groups.push(Group {
        name: format!("{}-both", one.name),
        instances: vec![one.name.clone(), twin.name.clone()],
        notify: None,
        notes: vec!["IPv4 and IPv6 move together.".to_owned()],
    });
    context.draft.instances.extend([one, twin]);
}

/// Whether ours would run it, or why not and what to do.
fn runs(one: &Instance, context: &Context<'_>) -> Result<(), (String, &'static str)> {
    if one.vrid == 0 {
        let cause = "no virtual_router_id: keepalived does not run it".to_owned();
        return Err((cause, "write one, the same on all routers"));
    }
    if one.addresses.is_empty() {
        let cause = "no address that could be taken".to_owned();
        return Err((cause, "name one in virtual_ipaddress"));
    }
    for other in &context.draft.instances {
        let same_link = other.interface == one.interface;
        if other.name == one.name {
            let cause = format!("`{}` is the name of another instance", one.name);
            return Err((cause, "give one of them another name"));
        }
        if same_link && other.vrid == one.vrid && other.ipv6() == one.ipv6() {
            let cause = format!(
                "vrid {} is that of `{}` on the same link",
                one.vrid, other.name
            );
            return Err((cause, "give one of them another, on all routers"));
        }
        let shared = |vip: &&Vip| other.addresses.iter().any(|it| it.address == vip.address);
        if same_link && let Some(vip) = one.addresses.iter().find(shared) {
            let cause = format!("{} is in `{}` too", vip.address, other.name);
            return Err((cause, "leave it in one of them"));
        }
    }
    Ok(())
}
