//! The compiled policies, by name.
//!
//! A policy is compiled once and shared by all who use it. When a new configuration says the same
//! of a policy as the old one did, the compiled policy is kept: then "did this neighbor's policy
//! change?" is a comparison of pointers, and a reload that changes one policy re-evaluates the
//! neighbors of that policy and no others.
//!
//! The two predefined policies are always there. An eBGP neighbor without a policy gets
//! `reject-all` in that direction (RFC 8212); the configuration has decided that already.
//!
//! An eBGP neighbor that is guarded imports by another twin, whose first rule refuses everything
//! inside the ranges of our own cluster: whoever announces them would pull pods and services away.
//!
//! Each policy has a twin for draining: the same rules, but what it accepts leaves with the
//! GRACEFUL_SHUTDOWN community and LOCAL_PREF 0 (RFC 8326 §4.2). While drained, exports use it,
//! and a single neighbor whose session is to end has it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use rib::policy::{
    ACCEPT_ALL, MatchDef, Policy, PolicyDef, PrefixMatch, REJECT_ALL, RuleDef, Then,
};

use super::assemble::Policies;
use super::reload::ReloadError;
use crate::config::{Config, Settings};

/// GRACEFUL_SHUTDOWN (RFC 8326 §4.1), as the policy text writes it.
const GRACEFUL_SHUTDOWN: &str = "65535:0";

/// A policy and its twin for draining.
#[derive(Debug, Clone)]
struct Compiled {
    def: PolicyDef,
    plain: Arc<Policy>,
    draining: Arc<Policy>,
    /// For import from guarded neighbors, if there are any that name the policy: behind the ranges
    /// of services, behind all.
    guarded: [Option<Arc<Policy>>; 2],
}

impl Compiled {
    fn of(def: &PolicyDef) -> Result<Self, ReloadError> {
        Ok(Self {
            def: def.clone(),
            plain: compile(def)?,
            draining: compile(&draining(def))?,
            guarded: [None, None],
        })
    }
}

/// Compiled policies by name.
#[derive(Debug, Clone)]
pub struct PolicyTable {
    named: BTreeMap<String, Compiled>,
    reject_all: Compiled,
    /// What guarded neighbors may not announce.
    guard: [Vec<IpNet>; 2],
    drained: bool,
}

impl PolicyTable {
    /// Compiles the policies of a configuration and the predefined ones, taking over from `old`
    /// what did not change.
    ///
    /// # Errors
    /// The first policy that does not compile, by name.
    pub fn compile(config: &Config, old: Option<&Self>) -> Result<Self, ReloadError> {
        let accept_all = PolicyDef {
            name: ACCEPT_ALL.to_owned(),
            rules: vec![RuleDef {
                then: Then::Accept,
                ..RuleDef::default()
            }],
        };
        let reject_all = PolicyDef {
            name: REJECT_ALL.to_owned(),
            rules: Vec::new(),
        };
        let part = &config.cluster;
        let guard = [part.service_ranges.clone(), part.own_ranges.clone()];
        let guarding = guarding(config);
        let mut named = BTreeMap::new();
        for def in config.policies.iter().chain([&accept_all, &reject_all]) {
            let kept = old
                .and_then(|old| old.named.get(&def.name))
                .filter(|old| old.def == *def);
            let mut compiled = match kept {
                Some(kept) => kept.clone(),
                None => Compiled::of(def)?,
            };
            if !guarding.contains(def.name.as_str()) {
                compiled.guarded = [None, None];
            } else if compiled.guarded.contains(&None) || old.is_none_or(|old| old.guard != guard) {
                let [services, all] = &guard;
                let services = compile(&guarded(def, services))?;
                compiled.guarded = [Some(services), Some(compile(&guarded(def, all))?)];
            }
            named.insert(def.name.clone(), compiled);
        }
        let drained = old.is_some_and(|old| old.drained);
        Ok(Self {
            named,
            reject_all: Compiled::of(&reject_all)?,
            guard,
            drained,
        })
    }

    /// Whether a neighbor that is guarded may not announce `prefix`.
    #[must_use]
    pub fn guards(&self, settings: &Settings, prefix: &IpNet) -> bool {
        let [services, all] = &self.guard;
        let ranges = if settings.guards_pods { all } else { services };
        ranges.iter().any(|range| range.contains(prefix))
    }

    /// Whether there is anything to guard.
    #[must_use]
    pub fn is_guarding(&self) -> bool {
        self.guard.iter().any(|ranges| !ranges.is_empty())
    }

    /// The same policies, exporting as drained or not.
    #[must_use]
    pub fn drained(mut self, on: bool) -> Self {
        self.drained = on;
        self
    }

    /// The policies of a neighbor. A name that does not exist lets nothing through; the
    /// configuration was refused before it came to that.
    #[must_use]
    pub fn of(&self, settings: &Settings) -> Policies {
        let import = self.named.get(settings.import.name());
        let import = import.unwrap_or(&self.reject_all);
        let [services, all] = &import.guarded;
        let guarded = if settings.guards_pods { all } else { services };
        let guarded = guarded.as_ref().filter(|_| settings.import_guard);
        let export = self.named.get(settings.export.name());
        let export = export.unwrap_or(&self.reject_all);
        Policies {
            import: Arc::clone(guarded.unwrap_or(&import.plain)),
            export: Arc::clone(match self.drained || retires(settings) {
                true => &export.draining,
                false => &export.plain,
            }),
        }
    }
}

/// The policies that guarded neighbors import by, if there is anything to guard.
fn guarding(config: &Config) -> BTreeSet<&str> {
    if config.cluster.own_ranges.is_empty() {
        return BTreeSet::new();
    }
    let ranges = config.listen_ranges.iter().map(|range| &range.settings);
    let listed = config.neighbors.iter().map(|neighbor| &neighbor.settings);
    listed
        .chain(ranges)
        .filter(|settings| settings.import_guard)
        .map(|settings| settings.import.name())
        .collect()
}

/// The same policy behind the rule that refuses `ranges` and everything inside them.
fn guarded(def: &PolicyDef, ranges: &[IpNet]) -> PolicyDef {
    let inside = |net: &IpNet| PrefixMatch {
        net: *net,
        ge: None,
        le: Some(net.max_prefix_len()),
    };
    let mut def = def.clone();
    let guard = RuleDef {
        matches: MatchDef {
            prefix: ranges.iter().map(inside).collect(),
            ..MatchDef::default()
        },
        then: Then::Reject,
        ..RuleDef::default()
    };
    def.rules.insert(0, guard);
    def.name = format!("{} behind the cluster's own ranges", def.name);
    def
}

/// Whether the neighbor is told that this session may end (see `cluster::mesh`).
fn retires(settings: &Settings) -> bool {
    settings.standing.is_some_and(|standing| standing.retires)
}

fn compile(def: &PolicyDef) -> Result<Arc<Policy>, ReloadError> {
    Policy::compile(def)
        .map(Arc::new)
        .map_err(|error| ReloadError::Policy {
            name: def.name.clone(),
            text: error.to_string(),
        })
}

fn draining(def: &PolicyDef) -> PolicyDef {
    let mut def = def.clone();
    for rule in def
        .rules
        .iter_mut()
        .filter(|rule| rule.then == Then::Accept)
    {
        rule.set.local_pref = Some(0);
        rule.set.community_add.push(GRACEFUL_SHUTDOWN.to_owned());
    }
    def
}
