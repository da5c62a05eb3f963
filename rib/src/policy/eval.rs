//! Running a policy over one route.
//!
//! [`Policy::eval`] walks the rules; a rule tests its cheapest conditions first, prefix before
//! attributes, text of the AS path last, and that text is printed at most once per route.
//! Changes are gathered in one edit of the attributes and only made when the policy accepts,
//! unless a later rule has to look at them (`then = next`). The same walk with a listener is what
//! `explain` prints, so an explanation can not differ from what happened.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use ipnet::IpNet;
use proto_codec::bgp::{AttrEdit, AttrSet, ExtCommunity, LargeCommunity, NextHop};

use super::ast::{DEFAULT_LOCAL_PREF, NextHopAction, RpkiState, Then};
use super::compile::{Policy, Rule, Set};

/// The route a policy looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its prefix.
    pub prefix: IpNet,
    /// Its attributes.
    pub attrs: &'a AttrSet,
    /// Import: who sent it; export: who will get it.
    pub neighbor: Option<IpAddr>,
    /// What makes it start here, when it does.
    pub origin_source: Option<&'a str>,
    /// A neighbor told us of it.
    pub is_learned: bool,
    /// Its origin validation state.
    pub rpki: RpkiState,
    /// The AS that `prepend` prepends.
    pub prepend_asn: u32,
    /// The address `next-hop = "self"` means; `None` on import, where it changes nothing.
    pub own_next_hop: Option<NextHop>,
}

/// What a policy decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the route is taken.
    pub accept: bool,
    /// The rule that decided; `None` when the rules ran out.
    pub rule: Option<u16>,
    /// The changed attributes, if anything changed.
    pub changed: Option<AttrSet>,
    /// Policy chose the next hop (or to leave it).
    pub keep_next_hop: bool,
    /// Policy set the MED.
    pub keep_med: bool,
}

/// How one rule fared, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// Number of the rule, from 1.
    pub rule: usize,
    /// Whether it applied.
    pub matched: bool,
    /// The condition that failed, or what the rule did.
    pub detail: String,
}

impl Policy {
    /// Decides about `subject` and counts a hit for the rule that decided.
    pub(crate) fn eval(&self, subject: Subject<'_>) -> Verdict {
        let verdict = self.walk(subject, |rule, step| {
            let passed_on = rule.then == Then::Next && step.is_none();
            rule.hits.fetch_add(u64::from(passed_on), Ordering::Relaxed);
        });
        self.count_hits(verdict.rule, 1);
        verdict
    }

    /// Decides, and says how each rule fared. Counts nothing.
    pub fn explain(&self, subject: Subject<'_>) -> (Verdict, Vec<RuleTrace>) {
        let mut trace = Vec::new();
        let verdict = self.walk(subject, |rule, failed| {
            trace.push(RuleTrace {
                rule: trace.len() + 1,
                matched: failed.is_none(),
                detail: failed
                    .map_or_else(|| describe(rule), |key| format!("{key} does not match")),
            });
        });
        (verdict, trace)
    }

    /// The rule that decides, without making any change; `None` when that cannot be told apart
    /// from making them, because a rule changes the route and passes it on.
    pub(crate) fn deciding_rule(&self, subject: Subject<'_>) -> Option<Option<u16>> {
        if self.changes_and_goes_on {
            return None;
        }
        let mut path_text = None;
        let mut applies =
            |rule: &Rule| rule.then != Then::Next && rule.fails(subject, &mut path_text).is_none();
        let index = self.rules.iter().position(&mut applies);
        Some(index.and_then(|index| u16::try_from(index).ok()))
    }

    fn walk(
        &self,
        subject: Subject<'_>,
        mut listen: impl FnMut(&Rule, Option<&'static str>),
    ) -> Verdict {
        let mut verdict = Verdict {
            accept: false,
            rule: None,
            changed: None,
            keep_next_hop: false,
            keep_med: false,
        };
        let mut path_text = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let attrs = verdict.changed.as_ref().unwrap_or(subject.attrs);
            let now = Subject { attrs, ..subject };
            let failed = rule.fails(now, &mut path_text);
            listen(rule, failed);
            if failed.is_some() {
                continue;
            }
            if rule.then != Then::Reject && rule.set.changes() {
                let changed = rule.set.apply(now);
                verdict.keep_next_hop |= rule.set.next_hop.is_some();
                verdict.keep_med |= rule.set.med.is_some();
                verdict.changed = Some(changed);
                path_text = None;
            }
            if rule.then == Then::Next {
                continue;
            }
            verdict.accept = rule.then == Then::Accept;
            verdict.rule = u16::try_from(index).ok();
            break;
        }
        if !verdict.accept {
            verdict.changed = None;
        }
        verdict
    }
}

impl Rule {
    /// The first kind of match that fails, cheapest first; `None` when the rule applies.
    fn fails(&self, subject: Subject<'_>, path_text: &mut Option<String>) -> Option<&'static str> {
        let attrs = subject.attrs;
        if !self.prefix.is_empty() && !self.prefix.contains(subject.prefix) {
            return Some("prefix");
        }
        if !self.prefix_not.is_empty() && self.prefix_not.contains(subject.prefix) {
            return Some("prefix-not");
        }
        if self.learned.is_some_and(|want| want != subject.is_learned) {
            return Some("learned");
        }
        if !self.neighbor.is_empty()
            && !subject
                .neighbor
                .is_some_and(|addr| self.neighbor.contains(&addr))
        {
            return Some("neighbor");
        }
        if self.rpki.is_some_and(|state| state != subject.rpki) {
            return Some("rpki");
        }
        let from_here = |want: &String| match subject.origin_source {
            Some(source) => want == "*" || want == source,
            None => false,
        };
        if !self.origin_source.is_empty() && !self.origin_source.iter().any(from_here) {
            return Some("origin-source");
        }
        if let Some((least, most)) = self.local_pref {
            let have = attrs.local_pref().unwrap_or(DEFAULT_LOCAL_PREF);
            if !(least..=most).contains(&have) {
                return Some("local-pref");
            }
        }
        if !self.next_hop.is_empty() {
            let have = attrs.next_hop().addr();
            if !self.next_hop.iter().any(|net| net.contains(&have)) {
                return Some("next-hop");
            }
        }
        let community = |have: u32| self.community.iter().any(|want| want.matches(have));
        if !self.community.is_empty() && !attrs.communities().any(community) {
            return Some("community");
        }
        let large = |have: LargeCommunity| {
            let parts = [have.global, have.local1, have.local2];
            self.large.iter().any(|want| want.matches(parts))
        };
        if !self.large.is_empty() && !attrs.large_communities().any(large) {
            return Some("large-community");
        }
        let extended = |have: [u8; 8]| self.extended.contains(&have);
        if !self.extended.is_empty() && !attrs.ext_communities().any(extended) {
            return Some("ext-community");
        }
        if !self.as_path.is_empty() {
            let text = path_text.get_or_insert_with(|| attrs.as_path().to_string());
            if !self.as_path.iter().any(|regex| regex.matches(text)) {
                return Some("as-path");
            }
        }
        None
    }
}

impl Set {
    pub(super) fn changes(&self) -> bool {
        self.local_pref.is_some()
            || self.med.is_some()
            || self.community_set.is_some()
            || self.large_set.is_some()
            || self.prepend > 0
            || !self.prepend_path.is_empty()
            || self.next_hop.is_some()
            || ![
                self.community_remove.is_empty(),
                self.community_add.is_empty(),
                self.large_remove.is_empty(),
                self.large_add.is_empty(),
                self.extended_remove.is_empty(),
                self.extended_add.is_empty(),
            ]
            .iter()
            .all(|empty| *empty)
    }

    fn apply(&self, subject: Subject<'_>) -> AttrSet {
        let mut edit = subject.attrs.edit();
        if self.local_pref.is_some() {
            edit.set_local_pref(self.local_pref);
        }
        if self.med.is_some() {
            edit.set_med(self.med);
        }
        self.edit_communities(&mut edit);
        if self.prepend > 0 {
            edit.prepend(subject.prepend_asn, usize::from(self.prepend));
        }
        for asn in self.prepend_path.iter().rev() {
            edit.prepend(*asn, 1);
        }
        match self.next_hop {
            Some(NextHopAction::Addr(addr)) => {
                edit.set_next_hop(addr);
            }
            Some(NextHopAction::SelfAddr) => {
                if let Some(own) = subject.own_next_hop {
                    edit.set_next_hop(own);
                }
            }
            Some(NextHopAction::Unchanged) | None => {}
        }
        edit.finish()
    }

    /// Replace, then remove, then add, each of the three kinds.
    fn edit_communities(&self, edit: &mut AttrEdit) {
        if let Some(list) = &self.community_set {
            edit.clear_communities();
            list.iter().for_each(|one| {
                edit.add_community(*one);
            });
        }
        if let Some(list) = &self.large_set {
            edit.clear_large_communities();
            list.iter().for_each(|one| {
                edit.add_large_community(large_of(*one));
            });
        }
        if !self.community_remove.is_empty() {
            edit.retain_communities(|one| {
                !self.community_remove.iter().any(|bad| bad.matches(one))
            });
        }
        if !self.large_remove.is_empty() {
            edit.retain_large_communities(|one| {
                let parts = [one.global, one.local1, one.local2];
                !self.large_remove.iter().any(|bad| bad.matches(parts))
            });
        }
        for one in &self.extended_remove {
            edit.remove_ext_community(ExtCommunity(*one));
        }
        for one in &self.community_add {
            edit.add_community(*one);
        }
        for one in &self.large_add {
            edit.add_large_community(large_of(*one));
        }
        for one in &self.extended_add {
            edit.add_ext_community(ExtCommunity(*one));
        }
    }
}

fn large_of([global, local1, local2]: [u32; 3]) -> LargeCommunity {
    LargeCommunity {
        global,
        local1,
        local2,
    }
}

/// What a rule that applied does, for `explain`.
fn describe(rule: &Rule) -> String {
    let set = &rule.set;
    let mut parts = Vec::new();
    let mut number = |name: &str, value: Option<u32>| {
        if let Some(value) = value {
            parts.push(format!("set {name} {value}"));
        }
    };
    number("local-pref", set.local_pref);
    number("med", set.med);
    number(
        "prepend",
        Some(u32::from(set.prepend)).filter(|times| *times > 0),
    );
    if !set.prepend_path.is_empty() {
        let path: Vec<String> = set.prepend_path.iter().map(u32::to_string).collect();
        parts.push(format!("prepend {}", path.join(" ")));
    }
    match set.next_hop {
        Some(NextHopAction::SelfAddr) => parts.push("set next-hop self".into()),
        Some(NextHopAction::Addr(addr)) => parts.push(format!("set next-hop {addr}")),
        Some(NextHopAction::Unchanged) => parts.push("set next-hop unchanged".into()),
        None => {}
    }
    let mut list = |name: &str, changes: bool| {
        if changes {
            parts.push(format!("change {name}"));
        }
    };
    list(
        "communities",
        set.community_set.is_some()
            || !set.community_add.is_empty()
            || !set.community_remove.is_empty(),
    );
    list(
        "large communities",
        set.large_set.is_some() || !set.large_add.is_empty() || !set.large_remove.is_empty(),
    );
    list(
        "extended communities",
        !set.extended_add.is_empty() || !set.extended_remove.is_empty(),
    );
    parts.push(
        match rule.then {
            Then::Accept => "accept",
            Then::Reject => "reject",
            Then::Next => "next rule",
        }
        .into(),
    );
    parts.join(", ")
}
