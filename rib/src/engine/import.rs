//! From the attributes a peer sent to those the decision process sees.
//!
//! What is done to a path on the way in depends on its attributes, its source and, where a policy
//! asks for it, its prefix. An [`Importer`] works for the routes of one attribute set: where the
//! prefix plays no part, policy runs once for all of them; where it does, the changes a rule makes
//! are made once per rule, and a route costs the test of prefixes alone.
//!
//! In this order: ONLY_TO_CUSTOMER is added (RFC 9234 §5), import policy runs, and a route marked
//! GRACEFUL_SHUTDOWN by an external peer gets LOCAL_PREF 0 (RFC 8326 §4), after policy so that no
//! policy undoes it by accident.

use std::sync::Arc;

use ipnet::IpNet;
use proto_codec::bgp::AttrSet;
use smallvec::SmallVec;

use super::core::{Core, kind_of};
use super::guard::otc_to_add;
use crate::attr::AttrId;
use crate::path::{DecisionKey, Path, PathFlags, PathKind};
use crate::peer::{PeerKind, PeerSession, PeerSlot};
use crate::policy::community::GRACEFUL_SHUTDOWN;
use crate::policy::{Policy, RpkiState, Subject, Verdict};

/// The path an attribute set becomes after policy.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// The rule that decided, for its hit counter.
    rule: Option<u16>,
    attrs: AttrId,
    key: DecisionKey,
    flags: PathFlags,
}

/// Makes paths of one attribute set.
#[derive(Debug)]
pub(crate) struct Importer {
    policy: Arc<Policy>,
    /// As received, and what policy is shown.
    received: AttrId,
    shown: Arc<AttrSet>,
    slot: PeerSlot,
    kind: PathKind,
    /// Outcomes so far, by deciding rule; each holds a reference to its attributes.
    outcomes: SmallVec<[Outcome; 2]>,
    hits: u64,
}

impl Importer {
    /// For routes with the attributes `received`, whose reference passes to the importer.
    pub fn new(session: &PeerSession, received: AttrId, core: &Core) -> Option<Self> {
        let set = core.attrs.get(received)?;
        let shown = shown(set, session);
        Some(Self {
            policy: Arc::clone(&session.import),
            received,
            shown,
            slot: session.slot,
            kind: kind_of(session.kind),
            outcomes: SmallVec::new(),
            hits: 0,
        })
    }

    /// The path for one prefix, holding references of its own. `None` when no attribute set can
    /// be made any more.
    #[inline]
    pub fn path(
        &mut self,
        prefix: impl Fn() -> IpNet,
        path_id: u32,
        core: &mut Core,
    ) -> Option<Path> {
        let known = match self.outcomes.first() {
            Some(outcome) if !self.policy.uses_prefix => Some(*outcome),
            _ => None,
        };
        let outcome = match known {
            Some(outcome) => {
                self.hits += 1;
                outcome
            }
            None => self.decide(prefix(), core)?,
        };
        core.attrs.retain(self.received, 1);
        core.attrs.retain(outcome.attrs, 1);
        Some(Path {
            key: outcome.key,
            received: self.received,
            attrs: outcome.attrs,
            path_id,
            stamp: core.now_s,
            source: self.slot,
            kind: self.kind,
            flags: outcome.flags,
        })
    }

    /// Gives back the references the importer holds.
    pub fn finish(self, core: &mut Core) {
        if let Some(outcome) = self.outcomes.first() {
            self.policy.count_hits(outcome.rule, self.hits);
        }
        for outcome in &self.outcomes {
            core.release(outcome.attrs);
        }
        core.release(self.received);
    }

    fn decide(&mut self, prefix: IpNet, core: &mut Core) -> Option<Outcome> {
        let session = &core.peers.get(self.slot)?.session;
        let subject = subject(prefix, &self.shown, session);
        if let Some(rule) = self.policy.deciding_rule(subject)
            && let Some(known) = self.outcomes.iter().find(|known| known.rule == rule)
        {
            self.policy.count_hits(rule, 1);
            return Some(*known);
        }
        let verdict = self.policy.eval(subject);
        let external = session.kind == PeerKind::External;
        let attrs = self.result(&verdict, external, core)?;
        let hot = core.attrs.hot(attrs);
        let mut flags = PathFlags::default();
        flags.set(PathFlags::FILTERED, !verdict.accept);
        flags.set(
            PathFlags::UNRESOLVED,
            !core.next_hops.is_reachable(hot.next_hop),
        );
        let outcome = Outcome {
            rule: verdict.rule,
            attrs,
            key: hot.key,
            flags,
        };
        self.outcomes.push(outcome);
        Some(outcome)
    }

    /// Interns the attributes after policy.
    fn result(&self, verdict: &Verdict, external: bool, core: &mut Core) -> Option<AttrId> {
        if !verdict.accept {
            core.attrs.retain(self.received, 1);
            return Some(self.received);
        }
        let set = verdict.changed.as_ref().unwrap_or(&self.shown);
        let leaving = external && set.communities().any(|one| one == GRACEFUL_SHUTDOWN);
        let set = match leaving {
            true => {
                let mut edit = set.edit();
                edit.set_local_pref(Some(0));
                Arc::new(edit.finish())
            }
            false => match &verdict.changed {
                Some(changed) => Arc::new(changed.clone()),
                None if self.shown_as_received(core) => {
                    core.attrs.retain(self.received, 1);
                    return Some(self.received);
                }
                None => Arc::clone(&self.shown),
            },
        };
        core.attrs.intern(&set, &mut core.next_hops)
    }

    fn shown_as_received(&self, core: &Core) -> bool {
        let received = core.attrs.get(self.received);
        received.is_some_and(|set| Arc::ptr_eq(set, &self.shown))
    }
}

/// The attributes that import policy sees of a set as received.
pub(crate) fn shown(set: &Arc<AttrSet>, session: &PeerSession) -> Arc<AttrSet> {
    match otc_to_add(set, session) {
        None => Arc::clone(set),
        Some(asn) => {
            let mut edit = set.edit();
            edit.set_otc(Some(asn));
            Arc::new(edit.finish())
        }
    }
}

/// A route from `session` as import policy sees it.
pub(crate) fn subject<'a>(prefix: IpNet, attrs: &'a AttrSet, session: &PeerSession) -> Subject<'a> {
    Subject {
        prefix,
        attrs,
        neighbor: Some(session.address),
        origin_source: None,
        rpki: RpkiState::NotFound,
        prepend_asn: session.asn,
        // "self" is about what we announce. Taken at its word here, it would make us the next
        // hop of our own route, which no kernel can follow.
        own_next_hop: None,
    }
}
