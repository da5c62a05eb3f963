//! Advice: what converts, runs, and is probably not meant.
//!
//! The list is that of the mistakes people report, taken from real files: a password on a segment
//! that everybody hears, weights that never change who is master, checks slower than anybody would
//! wait, the router id of the manual. Each is said once per instance, in the report and as a
//! comment in the file. Whether a weight changes the order is only known with the files of the
//! other routers: give them all, and it is computed.

use std::time::Duration;

use ctl::config::duration_text;

use super::draft::{Check, Draft, Instance, Target, Weight};
use super::report::{Report, Span};

/// A failure that is noticed later than this is probably not meant.
const SLOW: Duration = Duration::from_secs(5);
/// Weights that few pairs of priorities are nearer than.
const SMALL_WEIGHT: i32 = 2;
/// The router id of keepalived's sample, which a quarter of all files has.
const SAMPLE_VRID: u8 = 51;

/// Judges one file.
pub fn alone(draft: &mut Draft, report: &mut Report) {
    for one in &mut draft.instances {
        for (key, what, cure) in advice(one) {
            say(one, key, (what, cure), report);
        }
    }
}

/// Judges the files of several routers beside each other.
pub fn together(drafts: &mut [(Draft, Report)]) {
    let all: Vec<Vec<Instance>> = drafts.iter().map(|it| it.0.instances.clone()).collect();
    for (at, (draft, report)) in drafts.iter_mut().enumerate() {
        let others = all.iter().enumerate().filter(|(other, _)| *other != at);
        let others: Vec<&Instance> = others.flat_map(|(_, list)| list).collect();
        for one in &mut draft.instances {
            for (what, cure) in beside(one, &others) {
                say(one, "track", (what, cure), report);
            }
        }
    }
}

fn say(one: &mut Instance, key: &'static str, (what, cure): (String, &str), report: &mut Report) {
    let source = format!("vrrp_instance {}", one.name);
    let span = Span {
        at: one.at,
        last: one.at.line,
        source: &source,
    };
    report.lint(span, what.clone(), cure);
    one.note(key, format!("{what}; {cure}"));
}

type Advice = (&'static str, String, &'static str);

fn advice(one: &Instance) -> Vec<Advice> {
    let mut found: Vec<Advice> = Vec::new();
    let mut say = |key, what: String, cure| found.push((key, what, cure));
    if one.vrid == SAMPLE_VRID {
        let what = "vrid 51 is that of keepalived's sample: many groups have it";
        say(
            "vrid",
            what.to_owned(),
            "see that no other group of the segment does",
        );
    }
    if one.version == 2 {
        let what = "version 2, keepalived's default: no interval below a second, no IPv6";
        let cure = "write version = 3 once all routers of the group are moved, on all at a time";
        say("version", what.to_owned(), cure);
    }
    if one.down_interval() > SLOW {
        let what = format!(
            "a dead master is noticed after {}",
            text(one.down_interval())
        );
        say("advertise-interval", what, "shorten it, on all routers");
    }
    if one.auth_file.is_some() && one.version == 2 && one.unicast_peers.is_empty() {
        let what = "the password is multicast in clear text: it keeps mistakes out, not people";
        say(
            "auth-file",
            what.to_owned(),
            "drop it on all routers, once they are moved",
        );
    }
    let wide = one.addresses.iter().find(|vip| {
        let host = if vip.address.is_ipv6() { 128 } else { 32 };
        let local = matches!(vip.address, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local());
        !local && vip.length.is_some_and(|length| length < host)
    });
    if let Some(vip) = wide {
        let what = format!("the length of {} adds a route to its subnet", vip.address);
        let cure = "leave it out where the interface has an address of that subnet";
        say("addresses", what, cure);
    }
    found.extend(slow_or_weak(one));
    found.extend(of_the_unit(one));
    found
}

/// What checks need that a unit may not give.
fn of_the_unit(one: &Instance) -> Vec<Advice> {
    let mut found: Vec<Advice> = Vec::new();
    if one.track.iter().any(|check| check.user.is_some()) {
        let what = "a script with `user`: the unit does not let the daemon become another user";
        let cure = "systemctl edit wayfare-vrrpd, and put in the drop-in at the head of the unit: \
                    CAP_SETUID, CAP_SETGID, CAP_KILL and SystemCallFilter=@setuid";
        found.push(("track", what.to_owned(), cure));
    }
    let process = |check: &Check| matches!(check.target, Target::Process(_));
    if one.track.iter().any(process) {
        let what = "a process check sees the processes of others only with ProtectProc=default";
        let cure = "see that the unit has it, if it is one of your own or has a drop-in";
        found.push(("track", what.to_owned(), cure));
    }
    found
}

fn slow_or_weak(one: &Instance) -> Vec<Advice> {
    let mut found: Vec<Advice> = Vec::new();
    let mut say = |what: String, cure| found.push(("track", what, cure));
    let weighed = one.track.iter().any(|check| check.weight != Weight::Fault);
    if !one.preempt && weighed {
        let what = "weights and preempt = false: a healthy backup does not take over from a \
                    master that lost priority";
        let cure = "leave the weight out (a fault), or let it preempt";
        say(what.to_owned(), cure);
    }
    for check in &one.track {
        let (key, value) = check.target.key();
        if let Weight::Points(weight) = check.weight
            && weight.abs() <= SMALL_WEIGHT
        {
            let what = format!(
                "{key} \"{value}\": a weight of {weight} changes the order only \
                 between priorities that are nearer"
            );
            say(what, "compare with the priorities of the other routers");
        }
        if check.detection() > SLOW {
            let what = format!(
                "{key} \"{value}\": a failure counts after {}",
                text(check.detection())
            );
            say(what, "shorten `interval` or `fall`");
        }
    }
    found
}

/// Weights that leave this router in front of each other one of its group.
fn beside(one: &Instance, others: &[&Instance]) -> Vec<(String, &'static str)> {
    let group = others
        .iter()
        .filter(|it| it.vrid == one.vrid && it.ipv6() == one.ipv6());
    let Some(best) = group.map(|it| i32::from(it.healthy())).max() else {
        return Vec::new();
    };
    let own = i32::from(one.healthy());
    let weak = one.track.iter().filter_map(|check| {
        let Weight::Points(points) = check.weight else {
            return None;
        };
        let (key, value) = check.target.key();
        let left = own - points.abs();
        (own > best && left > best).then(|| {
            let text = format!(
                "{key} \"{value}\": {left} is left of {own} when it fails, still more than the \
                 {best} of the others: it changes nothing alone"
            );
            (text, "write a weight that is more than the difference")
        })
    });
    weak.collect()
}

fn text(value: Duration) -> String {
    match value.as_millis() {
        ms if ms % 1000 == 0 => duration_text(value),
        ms => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
    }
}
