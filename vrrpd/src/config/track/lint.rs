//! What runs, but not as most people mean it; and files that a check needs and that are wrong.
//!
//! keepalived takes all of these silently: a weight that changes no order, a detection time of
//! half a minute, a lowered priority that nobody may act upon because of `nopreempt`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ctl::config::{At, Sink, duration_text};

use super::super::check::{Check, Probe, Tls, Tracked, Weight};
use super::entry::Entry;
use crate::router::Settings;
use crate::trust::{self, Distrust};

/// What is bad for longer than this before anybody knows is probably not meant so.
const DETECTION_SLOW: Duration = Duration::from_secs(5);

pub(super) fn one(at: &At<Entry>, tracked: &Tracked, settings: &Settings, sink: &Sink) {
    let check = &tracked.check;
    let slow = check.detection() > DETECTION_SLOW;
    if slow {
        let span = at.value.interval.as_ref().map_or(&at.span, |it| &it.span);
        let message = format!(
            "bad is known only after {}: {} times {}, and {} for the last answer",
            duration_text(check.detection()),
            check.fall,
            duration_text(check.interval),
            duration_text(check.timeout)
        );
        sink.warning(
            span,
            message,
            "shorten `interval` or `timeout`, or lower `fall`",
        );
    }
    weight(at, tracked, settings, sink);
    match &check.probe {
        Probe::Http(http) => tls(at, http.tls.as_ref(), sink),
        Probe::Script(_) => script(at, check, sink),
        _ => {}
    }
}

fn weight(at: &At<Entry>, tracked: &Tracked, settings: &Settings, sink: &Sink) {
    let (Some(word), Weight::Points(points)) = (&at.value.weight, tracked.weight) else {
        return;
    };
    if settings.is_owner() {
        return;
    }
    let sum = i32::from(settings.priority) + points;
    if !(2..=254).contains(&sum) {
        let counts = sum.clamp(2, 254);
        let message = format!(
            "priority {} and weight {points:+} make {sum}: it counts as {counts}",
            settings.priority
        );
        sink.warning(&word.span, message, "priorities go from 2 to 254 here");
    }
    if points.abs() == 1 {
        sink.warning(
            &word.span,
            "a weight of one changes the order of equal priorities only",
            "write more than the priorities of the routers differ by",
        );
    }
    if points < 0 && !settings.preempt {
        sink.warning(
            &word.span,
            "with preempt = false a lower priority moves nothing while this router is master",
            "leave `weight` out: bad is a fault then, and a healthy router takes over",
        );
    }
}

fn tls(at: &At<Entry>, tls: Option<&Tls>, sink: &Sink) {
    let entry = &at.value;
    match tls {
        Some(Tls::System) => sink.warning(
            &at.span,
            "the certificate must lead to one of the system's authorities",
            "name the `ca` of the server, or write insecure = true",
        ),
        Some(Tls::Insecure) => {
            if let Some(ca) = &entry.ca {
                let message = "`ca` means nothing beside insecure = true";
                sink.warning(&ca.span, message, "remove one of them");
            }
        }
        Some(Tls::Ca(path)) => {
            let span = entry.ca.as_ref().map_or(&at.span, |it| &it.span);
            let fault = match std::fs::read_to_string(path) {
                Err(error) => Some(format!("cannot read {}: {error}", path.display())),
                Ok(text) if !text.contains("-----BEGIN CERTIFICATE-----") => {
                    Some(format!("{} holds no certificate", path.display()))
                }
                Ok(_) => None,
            };
            if let Some(message) = fault {
                sink.error(span, message, "the file holds certificates in PEM form");
            }
        }
        None => {}
    }
}

fn script(at: &At<Entry>, check: &Check, sink: &Sink) {
    let Probe::Script(script) = &check.probe else {
        return;
    };
    let Some(path) = script.command.first().map(Path::new) else {
        sink.error(&at.span, "`script` is empty", "write the path of a program");
        return;
    };
    if !path.is_absolute() {
        let message = format!("{} is no absolute path", path.display());
        sink.error(
            &at.span,
            message,
            "write the whole path: there is no shell that searches",
        );
        return;
    }
    match trust::judge(path, script.user.as_ref().map(|user| user.uid)) {
        Err(Distrust::Absent(error)) => {
            let message = format!("{}: {error}", path.display());
            sink.warning(&at.span, message, "until it is there the check is bad");
        }
        Err(why) if why.is_of_the_unit() => {
            let cure = "good where the daemon is that user; better: chown root";
            sink.warning(&at.span, why.to_string(), cure);
        }
        Err(why) => {
            let cure = "nobody but root, the daemon or `user` may: chown root, chmod o-w";
            sink.error(&at.span, why.to_string(), cure);
        }
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            let message = format!("{} is not executable", path.display());
            sink.warning(&at.span, message, "chmod +x; until then the check is bad");
        }
        Ok(found) if found.permissions().mode() & 0o020 != 0 => {
            let message = format!(
                "its group can write {}: it decides what runs",
                path.display()
            );
            sink.warning(&at.span, message, "chmod go-w");
        }
        Ok(_) => {}
    }
    if at.value.user.is_none() && nix::unistd::geteuid().is_root() {
        sink.warning(
            &at.span,
            "the script runs as root",
            "write user = \"nobody\", or whoever it needs",
        );
    }
}

pub(super) fn all(raw: &[At<Entry>], list: &[Tracked], settings: &Settings, sink: &Sink) {
    let Some(first) = raw.first().filter(|_| !list.is_empty()) else {
        return;
    };
    if settings.is_owner() {
        sink.warning(
            &first.span,
            "checks do not change an owner (priority 255): its addresses stay where they are",
            "write a priority below 255, or leave `track` out",
        );
    }
    if settings.priority == 1 {
        sink.warning(
            &first.span,
            "priority 1 is what a router sends whose checks are bad",
            "write a priority from 2 to 254",
        );
    }
}
