//! `[[cluster]]`: a router in front of several clusters that must not see each other.
//!
//! Each cluster is a peer group. From its neighbors only its own prefixes are accepted, and they
//! get its community; nothing with another cluster's community is sent to them. Everybody else gets
//! all. The numbers of the ASes play no part, so clusters may all have the same one.
//!
//! The table is turned into policies before anything is resolved: `cluster:NAME:import` and
//! `:export`, in front of the policies that the group or a neighbor names itself. They are policies
//! like others, so `show` names them, `explain` walks them and a reload compares them. A cluster's
//! community is taken off what a cluster sends, whosever it is: nobody can pass for another.

use std::collections::BTreeSet;
use std::ops::Range;

use ctl::config::{At, Many, Sink, Table, did_you_mean};
use ipnet::IpNet;
use rib::policy::{ACCEPT_ALL, MatchDef, PrefixMatch, REJECT_ALL, RuleDef, SetDef, Then};

use super::policy::{RawPolicy, RawRule};
use super::raw::{Raw, RawSettings};
use super::values::Community;

/// `[[cluster]]`.
pub(super) struct RawCluster {
    pub name: At<String>,
    pub peer_group: At<String>,
    pub community: At<Community>,
    pub prefixes: At<Many<IpNet>>,
}

/// Which of the two policies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Import,
    Export,
}

/// Reads a table; without one of its keys it is left out, after the fault is recorded.
pub(super) fn read(table: Table<'_>) -> Option<RawCluster> {
    let name = table.require("name", "write name = \"prod\"");
    let peer_group = table.require("peer-group", "write peer-group = \"prod\", of its nodes");
    let community = table.require(
        "community",
        "write community = \"64512:1\", one per cluster",
    );
    let prefixes = table.require("prefixes", "write prefixes = [\"10.244.0.0/16\"]");
    table.finish();
    Some(RawCluster {
        name: name?,
        peer_group: peer_group?,
        community: community?,
        prefixes: prefixes?,
    })
}

/// Judges the tables and puts their policies in.
pub(super) fn expand(raw: &mut Raw, sink: &Sink) {
    check(raw, sink);
    let clusters = std::mem::take(&mut raw.clusters);
    for cluster in &clusters {
        let mut made = Made {
            cluster,
            others: tags(&clusters, Some(cluster)),
            all: tags(&clusters, None),
            known: &mut raw.policies,
            names: BTreeSet::new(),
        };
        let group = &cluster.peer_group.value;
        let is_its = |at: &Option<At<String>>| at.as_ref().is_some_and(|at| at.value == *group);
        let groups = raw.groups.iter_mut().filter(|one| one.name.value == *group);
        for settings in groups.map(|one| &mut one.settings) {
            made.guard(settings, true);
        }
        let neighbors = raw
            .neighbors
            .iter_mut()
            .filter(|one| is_its(&one.peer_group));
        let ranges = raw.ranges.iter_mut().filter(|one| is_its(&one.peer_group));
        let members = neighbors
            .map(|one| &mut one.settings)
            .chain(ranges.map(|one| &mut one.settings));
        for settings in members {
            made.guard(settings, false);
        }
    }
    raw.clusters = clusters;
}

/// The communities of all clusters but `except`.
fn tags(clusters: &[RawCluster], except: Option<&RawCluster>) -> Vec<String> {
    let own = except.map(|cluster| cluster.community.value.0);
    let all = clusters.iter().map(|cluster| cluster.community.value.0);
    all.filter(|tag| Some(*tag) != own).map(text).collect()
}

fn text(community: u32) -> String {
    format!("{}:{}", community >> 16, community & 0xffff)
}

/// The policies of one cluster while they are made.
struct Made<'c> {
    cluster: &'c RawCluster,
    others: Vec<String>,
    all: Vec<String>,
    known: &'c mut Vec<RawPolicy>,
    names: BTreeSet<String>,
}

impl Made<'_> {
    /// Puts the cluster's policies in front of those that `settings` name; a group gets them
    /// always, a member only where it overrides the group's.
    fn guard(&mut self, settings: &mut RawSettings, is_group: bool) {
        for direction in [Direction::Import, Direction::Export] {
            let slot = match direction {
                Direction::Import => &mut settings.import,
                Direction::Export => &mut settings.export,
            };
            if slot.is_none() && !is_group {
                continue;
            }
            if let Some(name) = self.policy(direction, slot.as_ref()) {
                *slot = Some(name);
            }
        }
    }

    /// The policy that guards `own`; `None` leaves that as it is.
    fn policy(&mut self, direction: Direction, own: Option<&At<String>>) -> Option<At<String>> {
        let own = own.filter(|at| at.value != ACCEPT_ALL);
        if own.is_some_and(|at| at.value == REJECT_ALL) {
            return None;
        }
        let word = match direction {
            Direction::Import => "import",
            Direction::Export => "export",
        };
        let mut name = format!("cluster:{}:{word}", self.cluster.name.value);
        let mut rules = self.rules(direction);
        match own {
            None => rules.push(rule(MatchDef::default(), SetDef::default(), Then::Accept)),
            Some(at) => {
                // Of a policy that is not there, resolving tells.
                let found = self.known.iter().find(|one| one.name.value == at.value)?;
                rules.extend(found.rules.iter().cloned());
                name = format!("{name}:{}", at.value);
            }
        }
        if direction == Direction::Import {
            for rule in rules
                .iter_mut()
                .filter(|rule| rule.def.then == Then::Accept)
            {
                // Whatever the policy makes of communities, this one stays.
                rule.def
                    .set
                    .community_add
                    .push(text(self.cluster.community.value.0));
            }
        }
        let at = At {
            value: name.clone(),
            span: own.map_or(self.cluster.name.span.clone(), |at| at.span.clone()),
        };
        if self.names.insert(name) {
            self.known.push(RawPolicy {
                name: at.clone(),
                rules,
            });
        }
        Some(at)
    }

    fn rules(&self, direction: Direction) -> Vec<RawRule> {
        let strip = SetDef {
            community_remove: self.all.clone(),
            ..SetDef::default()
        };
        match direction {
            Direction::Import => {
                let inside = |at: &At<IpNet>| PrefixMatch {
                    net: at.value,
                    ge: None,
                    le: Some(at.value.max_prefix_len()),
                };
                let foreign = MatchDef {
                    prefix_not: self.cluster.prefixes.value.iter().map(inside).collect(),
                    ..MatchDef::default()
                };
                vec![
                    rule(foreign, SetDef::default(), Then::Reject),
                    rule(MatchDef::default(), strip, Then::Next),
                ]
            }
            Direction::Export if self.others.is_empty() => Vec::new(),
            Direction::Export => {
                let foreign = MatchDef {
                    community: self.others.clone(),
                    ..MatchDef::default()
                };
                vec![rule(foreign, SetDef::default(), Then::Reject)]
            }
        }
    }
}

fn rule(matches: MatchDef, set: SetDef, then: Then) -> RawRule {
    RawRule {
        def: RuleDef { matches, set, then },
        neighbors: Vec::new(),
        origin_sources: Vec::new(),
        rpki: None,
    }
}

/// What is wrong with the tables.
fn check(raw: &Raw, sink: &Sink) {
    for (at, cluster) in raw.clusters.iter().enumerate() {
        let group = &cluster.peer_group;
        let known = || raw.groups.iter().map(|one| one.name.value.as_str());
        if !known().any(|name| name == group.value) {
            let cure = did_you_mean(&group.value, known(), || {
                format!("write [[peer-group]] with name = \"{}\"", group.value)
            });
            let message = format!("there is no peer group `{}`", group.value);
            sink.error(&group.span, message, &cure);
        }
        if cluster.prefixes.value.is_empty() {
            let message = "a cluster without prefixes: nothing of it would be accepted";
            let cure =
                "write its pods, service addresses and pools: prefixes = [\"10.244.0.0/16\"]";
            sink.error(&cluster.prefixes.span, message, cure);
        }
        for other in raw.clusters.iter().take(at) {
            apart(cluster, other, sink);
        }
    }
}

/// Two clusters have nothing in common.
fn apart(cluster: &RawCluster, other: &RawCluster, sink: &Sink) {
    let name = &other.name.value;
    let twice = |span: &Range<usize>, what: &str, cure: &str| {
        sink.error(span, format!("cluster `{name}` has this {what} too"), cure);
    };
    if cluster.name.value == *name {
        twice(
            &cluster.name.span,
            "name",
            "give each cluster a name of its own",
        );
    }
    if cluster.peer_group.value == other.peer_group.value {
        let cure = "give the nodes of each cluster a peer group of their own";
        twice(&cluster.peer_group.span, "peer group", cure);
    }
    if cluster.community.value == other.community.value {
        let cure = "one community per cluster: it keeps them apart";
        twice(&cluster.community.span, "community", cure);
    }
    for prefix in &cluster.prefixes.value {
        let shares =
            |at: &&At<IpNet>| at.value.contains(&prefix.value) || prefix.value.contains(&at.value);
        if let Some(theirs) = other.prefixes.value.iter().find(shares) {
            let message = format!(
                "{} overlaps {} of cluster `{name}`",
                prefix.value, theirs.value
            );
            let cure = "whose route counts would depend on the moment: write prefixes apart";
            sink.error(&prefix.span, message, cure);
        }
    }
}
