//! `[[sync-group]]`: which instances move together.
//!
//! A group names instances of the same file; an instance is in one group at most. Its name is a
//! name of the same space as theirs, because `vrrp release NAME` takes either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ctl::config::{At, Field, Many, Sink, Table, did_you_mean};

use toml::de::DeValue;

use super::model::{Instance, SyncGroup};
use super::notify;

/// `[[sync-group]]` as it was written.
pub(super) struct RawGroup {
    name: Option<At<String>>,
    notify: Option<At<PathBuf>>,
    instances: Option<At<Many<String>>>,
    /// The list is written, and nothing is in it.
    empty: bool,
}

/// Reads all sections.
pub(super) fn read(top: &Table<'_>) -> Vec<RawGroup> {
    let groups = top.tables("sync-group").into_iter();
    groups
        .map(|table| {
            let group = RawGroup {
                name: table.require("name", "write name = \"edge\""),
                instances: table
                    .require("instances", "write instances = [\"inside\", \"outside\"]"),
                notify: table.get("notify"),
                empty: table.field("instances").is_some_and(is_empty),
            };
            table.finish();
            group
        })
        .collect()
}

fn is_empty(field: Field<'_>) -> bool {
    matches!(field.value.get_ref(), DeValue::Array(list) if list.is_empty())
}

/// Judges the groups beside each other and beside the instances.
pub(super) fn resolve(
    raw: &[RawGroup],
    instances: &[Instance],
    directory: &Path,
    sink: &Sink,
) -> Vec<SyncGroup> {
    let known: BTreeMap<&str, &Instance> = instances
        .iter()
        .map(|one| (one.name.as_str(), one))
        .collect();
    let mut names = BTreeMap::new();
    let mut grouped: BTreeMap<String, String> = BTreeMap::new();
    let mut groups = Vec::new();
    for one in raw {
        let Some(name) = &one.name else {
            continue;
        };
        if known.contains_key(name.value.as_str()) {
            let message = format!("there is an instance `{}` already", name.value);
            sink.error(
                &name.span,
                message,
                "`vrrp release` takes either: give the group another name",
            );
        }
        if names.insert(name.value.clone(), ()).is_some() {
            let message = format!("there is a sync group `{}` already", name.value);
            sink.error(&name.span, message, "give this one another name");
        }
        let Some(list) = &one.instances else {
            continue;
        };
        let mut members = Vec::new();
        for member in &list.value {
            judge_member(member, (&name.value, &known), &mut grouped, sink);
            members.push(member.value.clone());
        }
        if one.empty {
            sink.error(
                &list.span,
                "a sync group without instances",
                "name at least two of this file: instances = [\"inside\", \"outside\"]",
            );
        } else if members.len() == 1 {
            let message = "a group of one: it moves as it does alone";
            sink.warning(
                &list.span,
                message,
                "add the instances that are to move with it",
            );
        }
        unequal(list, &known, sink);
        groups.push(SyncGroup {
            name: name.value.clone(),
            instances: members,
            notify: notify::resolve(one.notify.as_ref(), directory, sink),
        });
    }
    groups
}

fn judge_member(
    member: &At<String>,
    (group, known): (&str, &BTreeMap<&str, &Instance>),
    grouped: &mut BTreeMap<String, String>,
    sink: &Sink,
) {
    let name = member.value.as_str();
    if !known.contains_key(name) {
        let cure = did_you_mean(name, known.keys().copied(), || {
            "name instances of this file".to_owned()
        });
        let message = format!("there is no instance `{name}`");
        sink.error(&member.span, message, &cure);
    }
    if let Some(other) = grouped.insert(name.to_owned(), group.to_owned()) {
        let message = match other == group {
            true => format!("`{name}` is there twice"),
            false => format!("`{name}` is in sync group `{other}` too"),
        };
        sink.error(&member.span, message, "an instance is in one group, once");
    }
}

/// Members of unequal priority are elected differently on each segment.
fn unequal(list: &At<Many<String>>, known: &BTreeMap<&str, &Instance>, sink: &Sink) {
    let members = list.value.iter();
    let priority = |name: &str| Some(known.get(name)?.settings.priority);
    let all: Vec<(&At<String>, u8)> = members
        .filter_map(|one| Some((one, priority(&one.value)?)))
        .collect();
    let Some(((first, wanted), rest)) = all.split_first() else {
        return;
    };
    for (one, other) in rest.iter().filter(|(_, other)| other != wanted) {
        let message = format!(
            "`{}` has priority {other} and `{}` {wanted}, but they move together",
            one.value, first.value
        );
        let cure = "give all members of a group the same `priority`";
        sink.warning(&one.span, message, cure);
    }
}
