//! The routes: their records, the line of those to be written, and who has to wait.
//!
//! Of most prefixes there is nothing to say beyond the record ([`super::records`]). What only few
//! of them have (a refusal, a fight with somebody else, a second route that lies around) is kept
//! beside it, by prefix.
//!
//! A prefix has two possible places in our table, one for each metric: that of unicast routes and
//! that of discards. A record follows one of them; what else of ours lies around (the old place
//! after a change of kind or metric, or somebody's mistake) is in the list of extras and goes
//! once the record's own place is as it should be: make before break.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::api::{DISCARD_METRIC, KernelConfig};
use super::records::{Flag, Record, Records, RouteId};
use super::sets::Want;

pub(super) use super::records::Placed;

/// Restores of one prefix that happen at once; from then on the pause doubles, so that two
/// daemons that both insist on a prefix do not keep a processor busy.
const RESTORES_AT_ONCE: u8 = 3;
const RESTORE_PAUSE_LAST: Duration = Duration::from_secs(60);
/// After this long without meddling a prefix is at peace again.
const PEACE_S: u32 = 120;
/// First and longest pause before a refused route is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// One of the two places of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Unicast,
    Discard,
}

impl Slot {
    pub(super) fn metric(self, config: &KernelConfig) -> u32 {
        match self {
            Self::Unicast => config.metric,
            Self::Discard => DISCARD_METRIC,
        }
    }

    pub(super) fn of_want(want: Want) -> Option<Self> {
        match want {
            Want::Nothing => None,
            Want::Discard => Some(Self::Discard),
            Want::Set(_) => Some(Self::Unicast),
        }
    }

    pub(super) fn of_metric(metric: u32, config: &KernelConfig) -> Option<Self> {
        if metric == config.metric {
            Some(Self::Unicast)
        } else {
            (metric == DISCARD_METRIC).then_some(Self::Discard)
        }
    }
}

/// How often a prefix was restored, and when last, in seconds since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Fight {
    restores: u8,
    restored_s: u32,
}

#[derive(Debug)]
pub(super) struct Routes {
    pub(super) records: Records,
    queue: VecDeque<RouteId>,
    later: BTreeSet<(Instant, IpNet)>,
    failing: BTreeMap<IpNet, u32>,
    /// Prefixes that somebody meddled with.
    fights: BTreeMap<IpNet, Fight>,
    /// Further routes of ours in the kernel: prefix and metric.
    pub(super) extras: BTreeSet<(IpNet, u32)>,
    started: Instant,
    pub(super) wanted: usize,
    pub(super) placed: usize,
    pub(super) stale: usize,
}

impl Routes {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            records: Records::new(),
            queue: VecDeque::new(),
            later: BTreeSet::new(),
            failing: BTreeMap::new(),
            fights: BTreeMap::new(),
            extras: BTreeSet::new(),
            started: now,
            wanted: 0,
            placed: 0,
            stale: 0,
        }
    }

    pub(super) fn get(&self, prefix: IpNet) -> Option<&Record> {
        self.records.get(self.records.find(prefix)?)
    }

    /// Sets what a prefix should be and returns what it was to be before.
    pub(super) fn want(&mut self, id: RouteId, want: Want) -> Want {
        let Some(record) = self.records.get_mut(id) else {
            return Want::Nothing;
        };
        let before = record.want();
        record.set_want(want);
        record.mark(Flag::PARKED, false);
        record.mark(Flag::HELD, false);
        self.wanted -= usize::from(before != Want::Nothing);
        self.wanted += usize::from(want != Want::Nothing);
        before
    }

    /// Sets what the kernel has and returns what it had before.
    pub(super) fn place(&mut self, id: RouteId, placed: Placed) -> Placed {
        let Some(record) = self.records.get_mut(id) else {
            return Placed::Nothing;
        };
        let before = record.placed();
        record.set_placed(placed);
        self.placed -= usize::from(before != Placed::Nothing);
        self.placed += usize::from(placed != Placed::Nothing);
        before
    }

    pub(super) fn set_stale(&mut self, id: RouteId, stale: bool) -> bool {
        let record = self.records.get_mut(id);
        let before = record.is_some_and(|record| record.mark(Flag::STALE, stale));
        self.stale -= usize::from(before);
        self.stale += usize::from(stale);
        before
    }

    /// Drops the record if it says nothing any more; then tells which it was.
    pub(super) fn forget_empty(&mut self, id: RouteId) -> Option<(IpNet, Record)> {
        let record = *self.records.get(id).filter(|record| record.is_empty())?;
        let prefix = self.records.prefix(id)?;
        self.records.remove(id);
        if !self.failing.is_empty() {
            self.failing.remove(&prefix);
        }
        if !self.fights.is_empty() {
            self.fights.remove(&prefix);
        }
        Some((prefix, record))
    }

    // The line of those to be written.

    pub(super) fn enqueue(&mut self, id: RouteId) {
        if let Some(record) = self.records.get_mut(id)
            && !record.is(Flag::HELD)
            && !record.mark(Flag::QUEUED, true)
        {
            self.queue.push_back(id);
        }
    }

    /// The same by prefix, if it has a record.
    pub(super) fn enqueue_prefix(&mut self, prefix: IpNet) {
        if let Some(id) = self.records.find(prefix) {
            self.enqueue(id);
        }
    }

    pub(super) fn next(&mut self) -> Option<RouteId> {
        let id = self.queue.pop_front()?;
        if let Some(record) = self.records.get_mut(id) {
            record.mark(Flag::QUEUED, false);
        }
        Some(id)
    }

    /// Gives back the memory of a long line that has been worked off.
    pub(super) fn shrink(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn failing(&self) -> usize {
        self.failing.len()
    }

    pub(super) fn tries(&self, prefix: IpNet) -> u32 {
        self.failing.get(&prefix).copied().unwrap_or(0)
    }

    /// The kernel refused: the pause until the next try.
    pub(super) fn refused(&mut self, prefix: IpNet, now: Instant) -> Duration {
        let tries = self.failing.entry(prefix).or_default();
        let pause = RETRY_LAST.min(RETRY_FIRST * 2_u32.saturating_pow((*tries).min(16)));
        *tries = tries.saturating_add(1);
        self.later.insert((now + pause, prefix));
        pause
    }

    /// Another protocol has the place: look again after a while, should its leaving go unnoticed.
    pub(super) fn blocked(&mut self, prefix: IpNet, now: Instant) {
        self.later.insert((now + RETRY_LAST, prefix));
    }

    pub(super) fn succeeded(&mut self, prefix: IpNet) {
        if !self.failing.is_empty() {
            self.failing.remove(&prefix);
        }
    }

    /// Someone meddled with the prefix: in line at once, or after a pause if it keeps happening.
    pub(super) fn restore(&mut self, id: RouteId, now: Instant) {
        let since = now.saturating_duration_since(self.started).as_secs();
        let now_s = u32::try_from(since).unwrap_or(u32::MAX);
        let Some(prefix) = self.records.prefix(id) else {
            return;
        };
        let fight = self.fights.entry(prefix).or_default();
        if now_s.saturating_sub(fight.restored_s) > PEACE_S {
            fight.restores = 0;
        }
        fight.restored_s = now_s;
        fight.restores = fight.restores.saturating_add(1);
        let restores = fight.restores;
        if restores <= RESTORES_AT_ONCE {
            self.enqueue(id);
            return;
        }
        if let Some(record) = self.records.get_mut(id) {
            record.mark(Flag::HELD, true);
        }
        let doublings = u32::from(restores - RESTORES_AT_ONCE - 1).min(16);
        let pause = Duration::from_secs(1) * 2_u32.saturating_pow(doublings);
        self.later
            .insert((now + RESTORE_PAUSE_LAST.min(pause), prefix));
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, prefix)) = self.later.first().copied() {
            if at > now {
                return;
            }
            self.later.pop_first();
            if let Some(id) = self.records.find(prefix) {
                if let Some(record) = self.records.get_mut(id) {
                    record.mark(Flag::HELD, false);
                }
                self.enqueue(id);
            }
        }
    }
}
