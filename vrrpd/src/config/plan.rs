//! What a new configuration would change, by difference.
//!
//! Instances are told apart by their names. Adding or removing one touches no other; other
//! settings of one are put in force without an election; only what a virtual router *is* (place,
//! vrid, version, family, ownership) makes another one of it: the old hands over, the new starts.

use std::collections::BTreeMap;

use ctl::config::duration_text;

use super::model::{Config, Instance};
use crate::router::Signing;

/// What a change costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// No election.
    Hitless,
    /// The instance hands over and starts anew, or ends.
    Restart,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The instance.
    pub instance: String,
    /// The difference in words.
    pub what: String,
    /// What it costs.
    pub impact: Impact,
}

/// All differences between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the new file, what is removed last.
    pub changes: Vec<Change>,
}

impl Plan {
    /// What going from `old` to `new` means.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        let before: BTreeMap<&str, &Instance> = by_name(old);
        let after = by_name(new);
        let mut changes = Vec::new();
        for one in &new.instances {
            let mut push = |what: String, impact| {
                changes.push(Change {
                    instance: one.name.clone(),
                    what,
                    impact,
                });
            };
            match before.get(one.name.as_str()) {
                None => push("is added".to_owned(), Impact::Hitless),
                Some(old) if !old.is_same_router(one) => {
                    push(describe_identity(old, one), Impact::Restart);
                }
                Some(old) => {
                    for what in differences(old, one) {
                        push(what, Impact::Hitless);
                    }
                }
            }
        }
        for one in &old.instances {
            if !after.contains_key(one.name.as_str()) {
                changes.push(Change {
                    instance: one.name.clone(),
                    what: "is removed: it hands over".to_owned(),
                    impact: Impact::Restart,
                });
            }
        }
        regrouped(old, new, &mut changes);
        Self { changes }
    }
}

/// Groups that begin, end or have other members. What follows is an election where members have
/// different masters, or where one of them is at fault.
fn regrouped(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let find = |config: &Config, name: &str| {
        let mut groups = config.groups.iter();
        let found = groups.find(|one| one.name == name);
        found.map(|one| one.instances.join(", "))
    };
    let gone = old.groups.iter();
    let gone = gone.filter(|one| find(new, &one.name).is_none());
    for one in new.groups.iter().chain(gone) {
        let what = match (find(old, &one.name), find(new, &one.name)) {
            (Some(before), Some(after)) if before == after => continue,
            (_, None) => "no longer move together".to_owned(),
            (_, Some(members)) => format!("sync group: {members} move together"),
        };
        changes.push(Change {
            instance: one.name.clone(),
            what,
            impact: Impact::Hitless,
        });
    }
}

fn by_name(config: &Config) -> BTreeMap<&str, &Instance> {
    config
        .instances
        .iter()
        .map(|one| (one.name.as_str(), one))
        .collect()
}

fn describe_identity(old: &Instance, new: &Instance) -> String {
    let text = |one: &Instance| {
        format!(
            "version {} vrid {} on {}{}",
            one.settings.version.number(),
            one.settings.vrid,
            one.place,
            match one.settings.virtual_mac {
                true => " with its virtual MAC",
                false => "",
            }
        )
    };
    format!("becomes another router: {} -> {}", text(old), text(new))
}

fn differences(old: &Instance, new: &Instance) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |key: &str, old: String, new: String| {
        if old != new {
            found.push(format!("{key} {old} -> {new}"));
        }
    };
    let (a, b) = (&old.settings, &new.settings);
    compare("priority", a.priority.to_string(), b.priority.to_string());
    for (key, a, b) in [
        ("advertise-interval", a.interval, b.interval),
        ("preempt-delay", a.preempt_delay, b.preempt_delay),
        ("start-delay", a.start_delay, b.start_delay),
    ] {
        compare(key, duration_text(a), duration_text(b));
    }
    compare("preempt", a.preempt.to_string(), b.preempt.to_string());
    compare("accept", old.accept.to_string(), new.accept.to_string());
    let list = |items: &[String]| format!("[{}]", items.join(", "));
    let nets = |one: &Instance| {
        list(
            &one.networks
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        )
    };
    compare("addresses", nets(old), nets(new));
    let program = |one: &Instance| {
        let path = one.notify.as_ref();
        path.map_or_else(|| "nobody".to_owned(), |path| path.display().to_string())
    };
    compare("notify", program(old), program(new));
    let peers = |one: &Instance| {
        let peers = one.settings.unicast_peers.iter();
        list(&peers.map(ToString::to_string).collect::<Vec<_>>())
    };
    compare("unicast-peers", peers(old), peers(new));
    compare(
        "checksum",
        a.checksum.word().to_owned(),
        b.checksum.word().to_owned(),
    );
    let track = |one: &Instance| {
        let checks = one.track.iter();
        list(&checks.map(|it| it.check.to_string()).collect::<Vec<_>>())
    };
    let names = (track(old), track(new));
    compare("track", names.0.clone(), names.1.clone());
    if names.0 == names.1 && old.track != new.track {
        found.push(format!("track {} with other settings", names.1));
    }
    // Passwords and keys themselves are nobody's business.
    if a.auth != b.auth {
        found.push("auth-file has another password".to_owned());
    }
    if a.signing != b.signing {
        found.push(signing_difference(a.signing.as_ref(), b.signing.as_ref()));
    }
    found
}

fn signing_difference(old: Option<&Signing>, new: Option<&Signing>) -> String {
    let text = |one: Option<&Signing>| match one {
        None => "none".to_owned(),
        Some(signing) => {
            let ids = signing.keys.iter().map(|key| key.id.to_string());
            let ids = ids.collect::<Vec<_>>().join(" ");
            let window = signing.window.map_or("no window".to_owned(), duration_text);
            format!("{}, keys {ids}, {window}", signing.mode.word())
        }
    };
    match (text(old), text(new)) {
        (old, new) if old == new => "auth-file has other keys".to_owned(),
        (old, new) => format!("signatures {old} -> {new}"),
    }
}
