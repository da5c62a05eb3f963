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
    /// Paths that hold a reference each, not yet added to the counts.
    uses: u32,
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

    /// The path for one prefix. It counts as one that holds references of its own; they are added
    /// to the counts by [`finish`](Self::finish), all at once, until when the importer keeps the
    /// sets alive. `None` when no attribute set can be made any more.
    #[inline]
    pub fn path(
        &mut self,
        prefix: impl Fn() -> IpNet,
        path_id: u32,
        core: &mut Core,
    ) -> Option<Path> {
        let at = match self.outcomes.first() {
            Some(_) if !self.policy.uses_prefix => {
                self.hits += 1;
                0
            }
            _ => self.decide(prefix(), core)?,
        };
        let outcome = self.outcomes.get_mut(at)?;
        outcome.uses += 1;
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

    /// A path that was handed out is not kept.
    pub fn take_back(&mut self, path: &Path) {
        let same = |outcome: &&mut Outcome| outcome.attrs == path.attrs && outcome.uses > 0;
        if let Some(outcome) = self.outcomes.iter_mut().find(same) {
            outcome.uses -= 1;
        }
    }

    /// Counts the references of the paths handed out and gives back those the importer holds.
    pub fn finish(self, core: &mut Core) {
        if let Some(outcome) = self.outcomes.first() {
            self.policy.count_hits(outcome.rule, self.hits);
        }
        let mut uses = 0;
        for outcome in &self.outcomes {
            uses += outcome.uses;
            core.attrs.retain(outcome.attrs, outcome.uses);
            core.release(outcome.attrs);
        }
        core.attrs.retain(self.received, uses);
        core.release(self.received);
    }

    /// Which of the outcomes is that of a prefix.
    fn decide(&mut self, prefix: IpNet, core: &mut Core) -> Option<usize> {
        let session = &core.peers.get(self.slot)?.session;
        let subject = subject(prefix, &self.shown, session);
        if !self.outcomes.is_empty()
            && let Some(rule) = self.policy.deciding_rule(subject)
            && let Some(at) = self.outcomes.iter().position(|known| known.rule == rule)
        {
            self.policy.count_hits(rule, 1);
            return Some(at);
        }
        let verdict = self.policy.eval(subject);
        let external = session.kind == PeerKind::External;
        let ignored = session.ignore_reflected && self.shown.originator_id().is_some();
        let attrs = self.result(&verdict, external, core)?;
        let hot = core.attrs.hot(attrs);
        let mut flags = PathFlags::default();
        flags.set(PathFlags::FILTERED, !verdict.accept || ignored);
        flags.set(
            PathFlags::UNRESOLVED,
            !core.next_hops.is_reachable(hot.next_hop),
        );
        let outcome = Outcome {
            rule: verdict.rule,
            attrs,
            key: hot.key,
            flags,
            uses: 0,
        };
        self.outcomes.push(outcome);
        Some(self.outcomes.len() - 1)
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
        is_learned: true,
        rpki: RpkiState::NotFound,
        prepend_asn: session.asn,
        // "self" is about what we announce. Taken at its word here, it would make us the next
        // hop of our own route, which no kernel can follow.
        own_next_hop: None,
    }
}
