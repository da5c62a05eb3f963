//! What a new configuration would change, by difference.
//!
//! Instances are told apart by their names. Adding or removing one touches no other; other
//! settings of one are put in force without a step of ours; only what a virtual router *is* (place,
//! vrid, version, family, ownership) makes another one of it: the old hands over, the new starts.
//!
//! What the others make of new settings is theirs, and [`Impact::MayElect`] says where it may be an
//! election:
//!
//! | key | why the master may change |
//! |---|---|
//! | `priority` | who is worse now is preempted, who is better now preempts |
//! | `preempt` to true | a better backup takes over |
//! | `advertise-interval` in version 2 | others discard another interval (RFC 3768 §7.1) |
//! | `addresses` in version 2 | others may discard another list (RFC 3768 §7.1) |
//! | `unicast-peers`, but for one more | who is not sent to or listened to is alone |
//! | `track` | other weights are another priority, another check may be bad |
//! | `checksum` | who accepts one form only discards the other |
//! | `auth-file` in version 2, keys and modes out of order | others cannot verify |
//! | members of a `[[sync-group]]` | they may have different masters now |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use ctl::config::duration_text;
use proto_codec::vrrp::Version;

use super::model::{Config, Instance, SyncGroup};
use crate::router::{Mode, Signing};

/// What a change costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// No election.
    Hitless,
    /// No step of ours, but the routers may find another one better, or refuse each other until all
    /// have the new settings.
    MayElect,
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
                    for (what, impact) in differences(old, one) {
                        push(what, impact);
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
        if old.metrics != new.metrics {
            let text = |at: Option<SocketAddr>| at.map_or("none".to_owned(), |at| at.to_string());
            changes.push(Change {
                instance: "[metrics]".to_owned(),
                what: format!("listen {} -> {}", text(old.metrics), text(new.metrics)),
                impact: Impact::Hitless,
            });
        }
        Self { changes }
    }
}

/// Groups that begin, end or have other members. What follows is an election where members have
/// different masters, or where one of them is at fault.
fn regrouped(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    fn find<'a>(config: &'a Config, name: &str) -> Option<&'a SyncGroup> {
        config.groups.iter().find(|one| one.name == name)
    }
    let gone = old.groups.iter();
    let gone = gone.filter(|one| find(new, &one.name).is_none());
    for one in new.groups.iter().chain(gone) {
        let mut push = |what: String, impact| {
            changes.push(Change {
                instance: one.name.clone(),
                what,
                impact,
            });
        };
        let (before, after) = (find(old, &one.name), find(new, &one.name));
        match (before, after) {
            (Some(before), Some(after)) if before.instances == after.instances => {}
            (_, None) => push("no longer move together".to_owned(), Impact::MayElect),
            (_, Some(after)) => {
                let members = after.instances.join(", ");
                let what = format!("sync group: {members} move together");
                push(what, Impact::MayElect);
            }
        }
        let told = |group: &SyncGroup| program(group.notify.as_deref());
        if let (Some(old), Some(new)) = (before.map(told), after.map(told))
            && old != new
        {
            push(format!("notify {old} -> {new}"), Impact::Hitless);
        }
    }
}

/// Who is told.
fn program(path: Option<&Path>) -> String {
    path.map_or_else(|| "nobody".to_owned(), |path| path.display().to_string())
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

fn differences(old: &Instance, new: &Instance) -> Vec<(String, Impact)> {
    use Impact::{Hitless, MayElect};
    let mut found = Vec::new();
    let mut compare = |key: &str, (old, new): (String, String), impact| {
        if old != new {
            found.push((format!("{key} {old} -> {new}"), impact));
        }
    };
    let (a, b) = (&old.settings, &new.settings);
    let priorities = (a.priority.to_string(), b.priority.to_string());
    compare("priority", priorities, MayElect);
    let strict = match b.version {
        Version::V2 => MayElect,
        Version::V3 => Hitless,
    };
    for (key, a, b, impact) in [
        ("advertise-interval", a.interval, b.interval, strict),
        ("preempt-delay", a.preempt_delay, b.preempt_delay, Hitless),
        ("start-delay", a.start_delay, b.start_delay, Hitless),
    ] {
        compare(key, (duration_text(a), duration_text(b)), impact);
    }
    let preempts = if b.preempt { MayElect } else { Hitless };
    let words = (a.preempt.to_string(), b.preempt.to_string());
    compare("preempt", words, preempts);
    let words = (old.accept.to_string(), new.accept.to_string());
    compare("accept", words, Hitless);
    let told = (
        program(old.notify.as_deref()),
        program(new.notify.as_deref()),
    );
    compare("notify", told, Hitless);
    compare("routes", (list(&old.routes), list(&new.routes)), Hitless);
    compare(
        "addresses",
        (list(&old.networks), list(&new.networks)),
        // Another length of a subnet is nobody else's business.
        if a.addresses == b.addresses {
            Hitless
        } else {
            strict
        },
    );
    let (before, after) = (&a.unicast_peers, &b.unicast_peers);
    let only_more = !before.is_empty() && before.iter().all(|one| after.contains(one));
    let peers = if only_more { Hitless } else { MayElect };
    compare("unicast-peers", (list(before), list(after)), peers);
    let forms = (a.checksum.word().to_owned(), b.checksum.word().to_owned());
    compare("checksum", forms, MayElect);
    let track = |one: &Instance| {
        let checks: Vec<_> = one.track.iter().map(|it| it.check.to_string()).collect();
        list(&checks)
    };
    let names = (track(old), track(new));
    compare("track", names.clone(), MayElect);
    if names.0 == names.1 && old.track != new.track {
        let what = format!("track {} with other settings", names.1);
        found.push((what, MayElect));
    }
    // Passwords and keys themselves are nobody's business.
    if a.auth != b.auth {
        found.push(("auth-file has another password".to_owned(), MayElect));
    }
    if a.signing != b.signing {
        found.push(signing_difference(a.signing.as_ref(), b.signing.as_ref()));
    }
    found
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(", "))
}

fn signing_difference(old: Option<&Signing>, new: Option<&Signing>) -> (String, Impact) {
    let text = |one: Option<&Signing>| match one {
        None => "none".to_owned(),
        Some(signing) => {
            let ids = signing.keys.iter().map(|key| key.id.to_string());
            let ids = ids.collect::<Vec<_>>().join(" ");
            let window = signing.window.map_or("no window".to_owned(), duration_text);
            format!("{}, keys {ids}, {window}", signing.mode.word())
        }
    };
    let impact = match is_in_order(old, new) {
        true => Impact::Hitless,
        false => Impact::MayElect,
    };
    match (text(old), text(new)) {
        (old, new) if old == new => ("auth-file has other keys".to_owned(), impact),
        (old, new) => (format!("signatures {old} -> {new}"), impact),
    }
}

/// Steps that a group takes router by router without an election: keys that nobody has to have yet,
/// or one more key behind those in use.
fn is_in_order(old: Option<&Signing>, new: Option<&Signing>) -> bool {
    match (old, new) {
        (None, Some(one)) | (Some(one), None) => one.mode == Mode::ReceiveOnly,
        (Some(old), Some(new)) => old.mode == new.mode && new.keys.starts_with(&old.keys),
        (None, None) => true,
    }
}
