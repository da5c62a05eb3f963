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
//! Each policy has a twin for draining: the same rules, but what it accepts leaves with the
//! GRACEFUL_SHUTDOWN community and LOCAL_PREF 0 (RFC 8326 §4.2). While drained, exports use it,
//! and a single neighbor whose session is to end has it alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use rib::policy::{ACCEPT_ALL, Policy, PolicyDef, REJECT_ALL, RuleDef, Then};

use super::assemble::Policies;
use super::reload::ReloadError;
use crate::config::Settings;

/// GRACEFUL_SHUTDOWN (RFC 8326 §4.1), as the policy text writes it.
const GRACEFUL_SHUTDOWN: &str = "65535:0";

/// A policy and its twin for draining.
#[derive(Debug, Clone)]
struct Compiled {
    def: PolicyDef,
    plain: Arc<Policy>,
    draining: Arc<Policy>,
}

impl Compiled {
    fn of(def: &PolicyDef) -> Result<Self, ReloadError> {
        Ok(Self {
            def: def.clone(),
            plain: compile(def)?,
            draining: compile(&draining(def))?,
        })
    }
}

/// Compiled policies by name.
#[derive(Debug, Clone)]
pub struct PolicyTable {
    named: BTreeMap<String, Compiled>,
    reject_all: Compiled,
    drained: bool,
}

impl PolicyTable {
    /// Compiles `defs` and the predefined ones, taking over from `old` what did not change.
    ///
    /// # Errors
    /// The first policy that does not compile, by name.
    pub fn compile(defs: &[PolicyDef], old: Option<&Self>) -> Result<Self, ReloadError> {
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
        let mut named = BTreeMap::new();
        for def in defs.iter().chain([&accept_all, &reject_all]) {
            let kept = old
                .and_then(|old| old.named.get(&def.name))
                .filter(|old| old.def == *def);
            let compiled = match kept {
                Some(kept) => kept.clone(),
                None => Compiled::of(def)?,
            };
            named.insert(def.name.clone(), compiled);
        }
        let drained = old.is_some_and(|old| old.drained);
        Ok(Self {
            named,
            reject_all: Compiled::of(&reject_all)?,
            drained,
        })
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
        Policies {
            import: self.pick(settings.import.name(), false),
            export: self.pick(settings.export.name(), self.drained || retires(settings)),
        }
    }

    fn pick(&self, name: &str, draining: bool) -> Arc<Policy> {
        let compiled = self.named.get(name).unwrap_or(&self.reject_all);
        Arc::clone(if draining {
            &compiled.draining
        } else {
            &compiled.plain
        })
    }
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
