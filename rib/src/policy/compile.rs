//! From the written policy to the one that runs.
//!
//! Everything that can be wrong in a policy is found here: patterns are parsed, expressions
//! compiled, prefix lists indexed. What comes out cannot fail at run time. Each rule carries a hit
//! counter; counters are atomics only because a policy is shared behind an `Arc`, nothing
//! synchronises through them.
//!
//! Compilation also finds out what a policy looks at (prefix, neighbor), because a verdict may be
//! remembered per attribute set only where the prefix does not matter, and peers share an update
//! group only where the neighbor does not.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;

use super::as_path::AsPathRegex;
use super::ast::{
    ACCEPT_ALL, MatchDef, NextHopAction, PolicyDef, PrefixMatch, REJECT_ALL, RpkiState, RuleDef,
    SetDef, Then,
};
use super::community::{
    CommunityPattern, LargePattern, parse_community, parse_extended, parse_large,
};
use super::prefix_set::PrefixSet;

/// Why a policy does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy {policy}, rule {rule}: {key} {value:?}: {reason}")]
pub struct PolicyError {
    /// Name of the policy.
    pub policy: String,
    /// Number of the rule, from 1.
    pub rule: usize,
    /// The key of the configuration, `as-path` or `community-add`.
    pub key: &'static str,
    /// The offending value.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A compiled policy.
#[derive(Debug)]
pub struct Policy {
    pub(super) def: PolicyDef,
    pub(super) rules: Vec<Rule>,
    /// Some rule looks at the prefix.
    pub(crate) uses_prefix: bool,
    /// Some rule looks at the neighbor.
    pub(crate) uses_neighbor: bool,
    /// Some rule changes the route and lets the next one decide.
    pub(super) changes_and_goes_on: bool,
}

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub prefix: PrefixSet,
    pub prefix_not: PrefixSet,
    pub community: Vec<CommunityPattern>,
    pub large: Vec<LargePattern>,
    pub extended: Vec<[u8; 8]>,
    pub as_path: Vec<AsPathRegex>,
    pub neighbor: Vec<IpAddr>,
    pub rpki: Option<RpkiState>,
    pub origin_source: Vec<String>,
    pub learned: Option<bool>,
    pub local_pref: Option<(u32, u32)>,
    pub next_hop: Vec<IpNet>,
    pub set: Set,
    pub then: Then,
    pub hits: AtomicU64,
}

/// What a compiled rule changes.
#[derive(Debug, Default)]
pub(super) struct Set {
    pub local_pref: Option<u32>,
    pub med: Option<u32>,
    pub community_set: Option<Vec<u32>>,
    pub community_remove: Vec<CommunityPattern>,
    pub community_add: Vec<u32>,
    pub large_set: Option<Vec<[u32; 3]>>,
    pub large_remove: Vec<LargePattern>,
    pub large_add: Vec<[u32; 3]>,
    pub extended_remove: Vec<[u8; 8]>,
    pub extended_add: Vec<[u8; 8]>,
    pub prepend: u8,
    pub prepend_path: Vec<u32>,
    pub next_hop: Option<NextHopAction>,
}

impl Policy {
    /// Compiles; the first fault is the error.
    pub fn compile(def: &PolicyDef) -> Result<Policy, PolicyError> {
        let mut rules = Vec::with_capacity(def.rules.len());
        for (index, rule) in def.rules.iter().enumerate() {
            let at = Place {
                policy: &def.name,
                rule: index + 1,
            };
            rules.push(at.rule(rule)?);
        }
        Ok(Policy {
            uses_prefix: rules
                .iter()
                .any(|rule| !rule.prefix.is_empty() || !rule.prefix_not.is_empty()),
            uses_neighbor: rules.iter().any(|rule| !rule.neighbor.is_empty()),
            changes_and_goes_on: rules
                .iter()
                .any(|rule| rule.then == Then::Next && rule.set.changes()),
            def: def.clone(),
            rules,
        })
    }

    /// The predefined policy that takes everything as it is.
    pub fn accept_all() -> Arc<Policy> {
        let accept = RuleDef {
            then: Then::Accept,
            ..RuleDef::default()
        };
        Arc::new(Policy::predefined(ACCEPT_ALL, vec![accept]))
    }

    /// The predefined policy that takes nothing.
    pub fn reject_all() -> Arc<Policy> {
        Arc::new(Policy::predefined(REJECT_ALL, Vec::new()))
    }

    /// What an eBGP neighbor gets that has no policy configured (RFC 8212 §3); its name says so.
    pub fn missing() -> Arc<Policy> {
        Arc::new(Policy::predefined("(no policy, RFC 8212)", Vec::new()))
    }

    /// The same, compiled for another thread: patterns have scratch memory and rules have
    /// counters, which are shared with nobody.
    pub(crate) fn copy(&self) -> Policy {
        Policy::predefined(&self.def.name, self.def.rules.clone())
    }

    fn predefined(name: &str, rules: Vec<RuleDef>) -> Policy {
        let def = PolicyDef {
            name: name.to_owned(),
            rules,
        };
        let compiled = Policy::compile(&def);
        debug_assert!(compiled.is_ok(), "a rule without patterns compiles");
        compiled.unwrap_or_else(|_| Policy {
            def: PolicyDef::default(),
            rules: Vec::new(),
            uses_prefix: false,
            uses_neighbor: false,
            changes_and_goes_on: false,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.def.name
    }

    /// As it was written.
    pub fn def(&self) -> &PolicyDef {
        &self.def
    }

    /// How often each rule matched, in the order of the rules.
    pub fn hits(&self) -> Vec<u64> {
        let load = |rule: &Rule| rule.hits.load(Ordering::Relaxed);
        self.rules.iter().map(load).collect()
    }

    /// Adds `routes` to the hits of `rule`, when a remembered verdict is used again.
    pub(crate) fn count_hits(&self, rule: Option<u16>, routes: u64) {
        if let Some(rule) = rule.and_then(|at| self.rules.get(usize::from(at))) {
            rule.hits.fetch_add(routes, Ordering::Relaxed);
        }
    }
}

/// Two policies are the same when they are written the same: a reload that changed nothing
/// compiles anew but must not disturb update groups.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.def == other.def
    }
}

impl Eq for Policy {}

impl Hash for Policy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.def.name.hash(state);
        self.def.rules.len().hash(state);
    }
}

/// Where the compiler is, for errors.
#[derive(Clone, Copy)]
struct Place<'a> {
    policy: &'a str,
    rule: usize,
}

impl Place<'_> {
    fn error(self, key: &'static str, value: &str, reason: &str) -> PolicyError {
        PolicyError {
            policy: self.policy.to_owned(),
            rule: self.rule,
            key,
            value: value.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// Parses every value of a list.
    fn each<T>(
        self,
        key: &'static str,
        list: &[String],
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Result<Vec<T>, PolicyError> {
        list.iter()
            .map(|text| parse(text).ok_or_else(|| self.error(key, text, expected)))
            .collect()
    }

    fn rule(self, rule: &RuleDef) -> Result<Rule, PolicyError> {
        let MatchDef {
            prefix,
            prefix_not,
            community,
            large_community,
            ext_community,
            as_path,
            neighbor,
            rpki,
            origin_source,
            learned,
            local_pref,
            next_hop,
        } = &rule.matches;
        Ok(Rule {
            prefix: PrefixSet::compile(prefix).map_err(|bad| self.bad_prefix("prefix", bad))?,
            prefix_not: PrefixSet::compile(prefix_not)
                .map_err(|bad| self.bad_prefix("prefix-not", bad))?,
            community: self.each("community", community, CommunityPattern::parse, COMMUNITY)?,
            large: self.each(
                "large-community",
                large_community,
                LargePattern::parse,
                LARGE,
            )?,
            extended: self.each("ext-community", ext_community, parse_extended, EXTENDED)?,
            as_path: as_path
                .iter()
                .map(|text| {
                    AsPathRegex::compile(text)
                        .map_err(|reason| self.error("as-path", text, &reason))
                })
                .collect::<Result<_, _>>()?,
            neighbor: neighbor.clone(),
            rpki: *rpki,
            origin_source: origin_source.clone(),
            learned: *learned,
            local_pref: *local_pref,
            next_hop: next_hop.clone(),
            set: self.set(&rule.set)?,
            then: rule.then,
            hits: AtomicU64::new(0),
        })
    }

    fn bad_prefix(self, key: &'static str, bad: PrefixMatch) -> PolicyError {
        let range = |word: &str, len: Option<u8>| {
            len.map_or_else(String::new, |len| format!(" {word} {len}"))
        };
        let value = format!("{}{}{}", bad.net, range("ge", bad.ge), range("le", bad.le));
        let reason = "lengths must satisfy: prefix length <= ge <= le <= longest possible";
        self.error(key, &value, reason)
    }

    fn set(self, set: &SetDef) -> Result<Set, PolicyError> {
        let replace = |key, list: &Option<Vec<String>>| {
            list.as_ref()
                .map(|list| self.each(key, list, parse_community, COMMUNITY_VALUE))
                .transpose()
        };
        let replace_large = |key, list: &Option<Vec<String>>| {
            list.as_ref()
                .map(|list| self.each(key, list, parse_large, LARGE_VALUE))
                .transpose()
        };
        Ok(Set {
            local_pref: set.local_pref,
            med: set.med,
            community_set: replace("community-set", &set.community_set)?,
            community_remove: self.each(
                "community-remove",
                &set.community_remove,
                CommunityPattern::parse,
                COMMUNITY,
            )?,
            community_add: self.each(
                "community-add",
                &set.community_add,
                parse_community,
                COMMUNITY_VALUE,
            )?,
            large_set: replace_large("large-community-set", &set.large_community_set)?,
            large_remove: self.each(
                "large-community-remove",
                &set.large_community_remove,
                LargePattern::parse,
                LARGE,
            )?,
            large_add: self.each(
                "large-community-add",
                &set.large_community_add,
                parse_large,
                LARGE_VALUE,
            )?,
            extended_remove: self.each(
                "ext-community-remove",
                &set.ext_community_remove,
                parse_extended,
                EXTENDED,
            )?,
            extended_add: self.each(
                "ext-community-add",
                &set.ext_community_add,
                parse_extended,
                EXTENDED,
            )?,
            prepend: set.prepend.unwrap_or(0),
            prepend_path: set.prepend_path.clone(),
            next_hop: set.next_hop,
        })
    }
}

const COMMUNITY: &str = "expected ASN:VALUE (either may be *), a number, or a well-known name";
const COMMUNITY_VALUE: &str = "expected ASN:VALUE, a number, or a well-known name";
const LARGE: &str = "expected A:B:C, each a number or *";
const LARGE_VALUE: &str = "expected A:B:C, each a number";
const EXTENDED: &str = "expected rt:ADMIN:VALUE, soo:ADMIN:VALUE, or 16 hexadecimal digits";

#[cfg(test)]
mod tests {
    use super::*;

    fn one_rule(rule: RuleDef) -> PolicyDef {
        PolicyDef {
            name: "p".into(),
            rules: vec![RuleDef::default(), rule],
        }
    }

    #[test]
    fn a_fault_names_policy_rule_key_and_value() {
        let rule = RuleDef {
            matches: MatchDef {
                community: vec!["64500:1".into(), "65536:1".into()],
                ..MatchDef::default()
            },
            ..RuleDef::default()
        };
        let error = Policy::compile(&one_rule(rule)).err().unwrap();
        assert_eq!(
            (error.rule, error.key, error.value.as_str()),
            (2, "community", "65536:1")
        );
        assert!(
            error
                .to_string()
                .starts_with("policy p, rule 2: community \"65536:1\"")
        );
        let rule = RuleDef {
            matches: MatchDef {
                as_path: vec!["(1".into()],
                ..MatchDef::default()
            },
            ..RuleDef::default()
        };
        assert_eq!(
            Policy::compile(&one_rule(rule)).err().unwrap().key,
            "as-path"
        );
    }

    #[test]
    fn equal_text_is_an_equal_policy() {
        let def = one_rule(RuleDef::default());
        let (one, two) = (
            Policy::compile(&def).unwrap(),
            Policy::compile(&def).unwrap(),
        );
        assert_eq!(one, two);
        assert_ne!(one, *Policy::reject_all());
        assert!(!one.uses_prefix && !one.uses_neighbor);
    }
}
