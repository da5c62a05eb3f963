//! `vrrp_sync_group`.
//!
//! Members keep their names; an instance that became two (one per family) brings both. Checks of
//! the group are put into each member, since in ours only members have checks. Who is in which
//! group is asked before the instances are read: it decides what their weights mean.

use std::collections::{BTreeMap, BTreeSet};

use super::notify::Notify;
use super::track::{self, Tracked};
use super::{Context, by_table};
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::draft::{Group, Instance};
use crate::convert::keepalived::vocabulary;

/// keepalived's words for "the weights of members count"; the second is the old one.
const COUNTED: [&str; 2] = ["sync_group_tracking_weight", "global_tracking"];

/// The members of groups in which weights do not count. An instance is in the first group that
/// names it.
pub fn weightless(nodes: &[Node]) -> BTreeSet<String> {
    let mut counted: BTreeMap<&str, bool> = BTreeMap::new();
    for group in nodes.iter().filter(|it| it.keyword() == "vrrp_sync_group") {
        let lines = group.inside();
        let counts = lines.iter().any(|it| COUNTED.contains(&it.keyword()));
        let blocks = lines.iter().filter(|it| it.keyword() == "group");
        for name in blocks
            .flat_map(|it| it.inside())
            .flat_map(|it| it.words.iter())
        {
            counted.entry(name).or_insert(counts);
        }
    }
    let without = counted.into_iter().filter(|(_, counts)| !counts);
    without.map(|(name, _)| name.to_owned()).collect()
}

/// Reads a group, all instances being known.
pub fn read(node: &Node, context: &mut Context<'_>) {
    let name = node.word(1);
    let known = context.draft.groups.iter().any(|it| it.name == name);
    if node.words.len() != 2 || node.block.is_none() || known {
        let cause = "a group has one name of its own and a block";
        let cure = "write vrrp_sync_group NAME { group { ... } }";
        context.report.refused(node.whole(), cause, cure);
        return;
    }
    let mut members: Vec<String> = Vec::new();
    let mut tracked: Vec<Tracked> = Vec::new();
    let mut notify = Notify::default();
    for line in node.inside() {
        if is_stray_member(line, context) || !by_table(vocabulary::GROUP, line, context.report) {
            continue;
        }
        match line.keyword() {
            "group" => members.extend(read_members(line, &members, context)),
            "track_interface" | "track_script" | "track_process" | "track_file" => {
                tracked.extend(track::read(line, context));
            }
            word if COUNTED.contains(&word) => {
                let what = "weights count: those of one member for all of them";
                context.report.taken(line.whole(), what);
            }
            _ => notify.add(line, context),
        }
    }
    if members.is_empty() {
        let cause = "no member that was converted: keepalived removes such a group";
        context
            .report
            .refused(node.line(), cause, "name instances in group { ... }");
        track::nobody(&tracked, context);
        return told_to_nobody(&notify, context);
    }
    context.report.taken(node.line(), "[[sync-group]]");
    checks(tracked, &members, context);
    let told = notify.settle(name, context);
    // The pair of an instance of two families is in this group now.
    let paired = |group: &Group| group.instances.iter().all(|it| members.contains(it));
    context.draft.groups.retain(|group| !paired(group));
    let taken = context.draft.instances.iter().any(|it| it.name == name);
    context.draft.groups.push(Group {
        name: if taken {
            format!("{name}-group")
        } else {
            name.to_owned()
        },
        instances: members,
        notify: told,
        notes: Vec::new(),
    });
}

/// Old files name members without `group`: no keepalived of today takes them.
fn is_stray_member(line: &Node, context: &mut Context<'_>) -> bool {
    let name = line.keyword();
    let stray = line.block.is_none()
        && vocabulary::fate(vocabulary::GROUP, name).is_none()
        && context.names.iter().any(|it| it == name);
    if stray {
        context.report.refused(
            line.whole(),
            "members stand in group { ... }: keepalived ignores this one, and runs without the \
             group",
            "write group { ... } there and convert again, or add a [[sync-group]]",
        );
    }
    stray
}

fn read_members(block: &Node, before: &[String], context: &mut Context<'_>) -> Vec<String> {
    context.report.taken(block.line(), "instances = [...]");
    let mut found: Vec<String> = Vec::new();
    for line in block.inside() {
        for name in &line.words {
            let exists = context.draft.instances.iter().any(|it| &it.name == name);
            let mut groups = context.draft.groups.iter();
            // The pair made of one instance is no group of the file's.
            let pair = format!("{name}-both");
            let other = groups.find(|it| it.name != pair && it.instances.contains(name));
            let span = line.whole();
            if !exists {
                let cause = format!("there is no instance `{name}` that was converted");
                context.report.refused(span, cause, "see what became of it");
            } else if let Some(other) = other {
                let cause = format!("`{name}` is in group `{}` already", other.name);
                context
                    .report
                    .refused(span, cause, "leave it in one of them");
            } else if found.contains(name) || before.contains(name) {
                context.report.dropped(span, "it is there already");
            } else {
                found.push(name.clone());
                context.report.taken(span, "");
            }
        }
    }
    let twins = found.iter().flat_map(|name| {
        let names = [format!("{name}-ipv4"), format!("{name}-ipv6")];
        let pair = format!("{name}-both");
        let groups = &context.draft.groups;
        let paired = groups.iter().find(|it| it.name == pair);
        let twins = paired.map(|it| it.instances.clone()).unwrap_or_default();
        twins.into_iter().filter(move |it| names.contains(it))
    });
    let twins: Vec<String> = twins.collect();
    found.extend(twins);
    found
}

fn checks(mut tracked: Vec<Tracked>, members: &[String], context: &mut Context<'_>) {
    if tracked.is_empty() {
        return;
    }
    let mut instances = std::mem::take(&mut context.draft.instances);
    let owner = |one: &Instance| one.priority == 255 && members.contains(&one.name);
    if instances.iter().any(owner) {
        track::beside_owner(&mut tracked);
    }
    for one in &mut instances {
        if members.contains(&one.name) {
            track::apply(tracked.clone(), one, context);
        }
    }
    context.draft.instances = instances;
}

fn told_to_nobody(notify: &Notify, context: &mut Context<'_>) {
    for line in notify.lines() {
        let cause = "there is no group that it would tell of";
        let cure = "call it in the `notify` of an instance";
        context.report.refused(line.whole(), cause, cure);
    }
}
