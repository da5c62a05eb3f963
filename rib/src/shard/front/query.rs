//! Questions about tables that are somewhere else.
//!
//! A question goes to the shards that know, ahead of all commands, and the caller waits for the
//! step a shard is at: a few milliseconds when it is busy. Counters of all peers come with one
//! question and serve all callers until something changes, so a summary of a thousand neighbors
//! asks each shard once. A scan merges what the shards list: each lists in order, a few hundred
//! rows ahead of what was shown.
//!
//! A shard that does not answer in the transport's time counts as one that knows nothing; an
//! operator is better served with a part than with a daemon that hangs.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::mpsc;

use ipnet::IpNet;
use proto_codec::afi::Family;

use super::Sharded;
use crate::engine::{
    Coverage, ExplainStep, PeerStats, Rib, RouteView, ScanCursor, SharedStats, Staying, TableStats,
};
use crate::peer::PeerSlot;
use crate::shard::{Question, shard_of};

/// Rows a shard lists ahead.
const ROWS_AHEAD: usize = 512;

/// Counters of all shards together.
#[derive(Debug, Default)]
struct Snapshot {
    peers: Vec<Option<PeerStats>>,
    tables: [TableStats; 2],
    shared: SharedStats,
}

/// The counters as they were last asked for, while nothing has changed since.
#[derive(Debug, Default)]
pub struct Snapshots(RefCell<Option<Snapshot>>);

impl Snapshots {
    /// Something has changed.
    #[inline]
    pub fn forget(&mut self) {
        let last = self.0.get_mut();
        if last.is_some() {
            *last = None;
        }
    }
}

/// How far one shard is with a scan.
#[derive(Debug)]
pub(crate) struct ScanPart {
    /// Away while the shard has it.
    cursor: Option<ScanCursor>,
    rows: VecDeque<RouteView>,
    done: bool,
}

/// What a shard did for a scan.
struct Step {
    cursor: ScanCursor,
    rows: Vec<RouteView>,
    done: bool,
}

impl Sharded {
    /// Asks some shards the same and waits for the answers; those of shards that gave none are
    /// missing.
    fn ask<R: Send + 'static>(
        &self,
        shards: impl Iterator<Item = usize>,
        mut question: impl FnMut(usize) -> Option<Box<dyn FnOnce(&Rib) -> R + Send>>,
    ) -> Vec<(usize, R)> {
        let (sender, answers) = mpsc::channel();
        let mut questions: Vec<(usize, Question)> = Vec::new();
        for shard in shards {
            let Some(look) = question(shard) else {
                continue;
            };
            let sender = sender.clone();
            let question = move |rib: &Rib| {
                // Nobody waits any more when this is late.
                let _ = sender.send((shard, look(rib)));
            };
            questions.push((shard, Box::new(question)));
        }
        if !questions.is_empty() {
            self.post.ask(questions);
        }
        let mut answers: Vec<(usize, R)> = answers.try_iter().collect();
        answers.sort_by_key(|(shard, _)| *shard);
        answers
    }

    fn ask_all<R: Send + 'static>(
        &self,
        look: impl Fn(&Rib) -> R + Clone + Send + 'static,
    ) -> Vec<R> {
        let answers = self.ask(0..self.shards(), |_| Some(Box::new(look.clone())));
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    fn ask_owner<R: Send + 'static>(
        &self,
        prefix: &IpNet,
        look: impl FnOnce(&Rib) -> R + Send + 'static,
    ) -> Option<R> {
        let mut look = Some(look);
        let owner = std::iter::once(shard_of(prefix, self.shards()));
        let answers = self.ask(owner, |_| {
            let look = look.take()?;
            Some(Box::new(look))
        });
        answers.into_iter().next().map(|(_, answer)| answer)
    }

    /// See `Rib::lookup`.
    #[must_use]
    pub fn lookup(&self, prefix: IpNet) -> Option<RouteView> {
        self.ask_owner(&prefix, move |rib| rib.lookup(prefix))?
    }

    /// See `Rib::longest_match`.
    #[must_use]
    pub fn longest_match(&self, addr: IpAddr) -> Option<RouteView> {
        let found = self.ask_all(move |rib| rib.longest_match(addr));
        let found = found.into_iter().flatten();
        found.max_by_key(|route| route.prefix.prefix_len())
    }

    /// See `Rib::advertised_to`.
    #[must_use]
    pub fn advertised_to(&self, prefix: IpNet) -> Vec<PeerSlot> {
        let told = self.ask_owner(&prefix, move |rib| rib.advertised_to(prefix));
        told.unwrap_or_default()
    }

    /// See `Rib::explain`.
    #[must_use]
    pub fn explain(&self, prefix: IpNet, to: Option<PeerSlot>) -> Vec<ExplainStep> {
        let steps = self.ask_owner(&prefix, move |rib| rib.explain(prefix, to));
        steps.unwrap_or_default()
    }

    /// See `Rib::peer_stats`. The number of the group is that of the first shard.
    #[must_use]
    pub fn peer_stats(&self, slot: PeerSlot) -> Option<PeerStats> {
        self.counters(|all| all.peers.get(slot.index()).copied().flatten())
    }

    /// See `Rib::coverage`.
    #[must_use]
    pub fn coverage(&self, stays: &Staying) -> Vec<Coverage> {
        let stays = stays.clone();
        let answers = self.ask_all(move |rib| rib.coverage(&stays));
        let mut all: Vec<Coverage> = Vec::new();
        for part in answers {
            all.resize(all.len().max(part.len()), Coverage::default());
            for (sum, more) in all.iter_mut().zip(part) {
                *sum = sum.plus(more);
            }
        }
        all
    }

    /// See `Rib::table_stats`.
    #[must_use]
    pub fn table_stats(&self, family: Family) -> TableStats {
        self.counters(|all| family.pick(all.tables))
    }

    /// See `Rib::shared_stats`. An attribute set in two shards is two sets; an update group with a
    /// part in each shard is one group.
    #[must_use]
    pub fn shared_stats(&self) -> SharedStats {
        let next_hops = self.hops.len();
        let shared = self.counters(|all| all.shared);
        SharedStats {
            next_hops: shared.next_hops.max(next_hops),
            ..shared
        }
    }

    fn counters<R>(&self, look: impl Fn(&Snapshot) -> R) -> R {
        let mut last = self.snapshots.0.borrow_mut();
        look(last.get_or_insert_with(|| self.count_all()))
    }

    fn count_all(&self) -> Snapshot {
        type Counters = (Vec<(PeerSlot, PeerStats)>, [TableStats; 2], SharedStats);
        let answers = self.ask_all(|rib: &Rib| -> Counters {
            let slots = rib.peers().map(|session| session.slot);
            let peers = slots.filter_map(|slot| Some((slot, rib.peer_stats(slot)?)));
            (
                peers.collect(),
                Family::ALL.map(|family| rib.table_stats(family)),
                rib.shared_stats(),
            )
        });
        let mut all = Snapshot::default();
        for (peers, tables, shared) in answers {
            for (slot, stats) in peers {
                if all.peers.len() <= slot.index() {
                    all.peers.resize(slot.index() + 1, None);
                }
                if let Some(sum) = all.peers.get_mut(slot.index()) {
                    *sum = Some(sum.map_or(stats, |sum| sum.plus(&stats)));
                }
            }
            let [v4, v6] = all.tables;
            let [more_v4, more_v6] = tables;
            all.tables = [v4.plus(&more_v4), v6.plus(&more_v6)];
            all.shared = all.shared.plus(&shared);
        }
        all
    }

    /// See `Rib::scan`.
    pub fn scan(
        &self,
        cursor: &mut ScanCursor,
        max: usize,
        mut row: impl FnMut(RouteView),
    ) -> bool {
        if cursor.parts.is_empty() {
            let parts = (0..self.shards()).map(|_| ScanPart {
                cursor: Some(cursor.again()),
                rows: VecDeque::new(),
                done: false,
            });
            cursor.parts = parts.collect();
        }
        let parts = &mut cursor.parts;
        self.list(parts);
        for _ in 0..max {
            // The next row is known when every shard has one or has no more.
            if parts.iter().any(|part| part.rows.is_empty() && !part.done) {
                return false;
            }
            let heads = parts.iter_mut().filter(|part| !part.rows.is_empty());
            let first = heads.min_by_key(|part| part.rows.front().map(|row| row.prefix));
            match first.and_then(|part| part.rows.pop_front()) {
                Some(view) => row(view),
                None => return true,
            }
        }
        parts.iter().all(|part| part.rows.is_empty() && part.done)
    }

    /// Has every shard whose rows are used up list more.
    fn list(&self, parts: &mut [ScanPart]) {
        let answers = self.ask(0..parts.len(), |shard| {
            let part = parts.get_mut(shard)?;
            if part.done || !part.rows.is_empty() {
                return None;
            }
            let Some(mut cursor) = part.cursor.take() else {
                // The shard never gave it back: it is gone, and so are its rows.
                part.done = true;
                return None;
            };
            Some(Box::new(move |rib: &Rib| {
                let mut rows = Vec::new();
                let done = rib.scan(&mut cursor, ROWS_AHEAD, |view| rows.push(view));
                Step { cursor, rows, done }
            }))
        });
        for (shard, step) in answers {
            if let Some(part) = parts.get_mut(shard) {
                part.cursor = Some(step.cursor);
                part.rows.extend(step.rows);
                part.done = step.done;
            }
        }
    }
}
