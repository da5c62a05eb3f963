//! One small record for each prefix: what it should be, what the kernel has, and whether it is in
//! line to be written.
//!
//! A full table is a million of these, so a record is 28 bytes and knows sets and groups by
//! number only. The map is ordered: dumps resume at a prefix, and nothing depends on a hash.
//!
//! A prefix has two possible places in our table, one for each metric: that of unicast routes and
//! that of discards. A record follows one of them; what else of ours lies around (the old place
//! after a change of kind or metric, or somebody's mistake) is in the list of extras and goes
//! once the record's own place is as it should be: make before break.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::api::{DISCARD_METRIC, KernelConfig};
use super::sets::Want;

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

/// What the kernel has at a record's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    Nothing,
    /// Something of ours with other content, or what someone put over ours: to be overwritten.
    Unknown(Slot),
    Discard,
    /// As [`super::sets::Target::At`].
    At(u32),
}

impl Placed {
    pub(super) fn slot(self) -> Option<Slot> {
        match self {
            Self::Nothing => None,
            Self::Unknown(slot) => Some(slot),
            Self::Discard => Some(Slot::Discard),
            Self::At(_) => Some(Slot::Unicast),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) want: Want,
    pub(super) placed: Placed,
    /// Of an earlier run, and nobody has asked for it yet.
    pub(super) stale: bool,
    /// In the list of its set's waiting routes.
    pub(super) parked: bool,
    /// Equals the audit's mark if the running dump has shown it.
    pub(super) seen: u8,
    queued: bool,
    /// Waits out a fight: not written before its time, unless something else is wanted.
    pub(super) held: bool,
    restores: u8,
    /// When it was restored last, in seconds since the start.
    restored_s: u32,
}

impl Record {
    fn new() -> Self {
        Self {
            want: Want::Nothing,
            placed: Placed::Nothing,
            stale: false,
            parked: false,
            seen: 0,
            queued: false,
            held: false,
            restores: 0,
            restored_s: 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Routes {
    pub(super) map: BTreeMap<IpNet, Record>,
    queue: VecDeque<IpNet>,
    later: BTreeSet<(Instant, IpNet)>,
    failing: BTreeMap<IpNet, u32>,
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
            map: BTreeMap::new(),
            queue: VecDeque::new(),
            later: BTreeSet::new(),
            failing: BTreeMap::new(),
            extras: BTreeSet::new(),
            started: now,
            wanted: 0,
            placed: 0,
            stale: 0,
        }
    }

    pub(super) fn get(&self, prefix: IpNet) -> Option<&Record> {
        self.map.get(&prefix)
    }

    pub(super) fn record(&mut self, prefix: IpNet) -> &mut Record {
        self.map.entry(prefix).or_insert_with(Record::new)
    }

    /// Sets what a prefix should be and returns what it was to be before.
    pub(super) fn want(&mut self, prefix: IpNet, want: Want) -> Want {
        let record = self.map.entry(prefix).or_insert_with(Record::new);
        let before = std::mem::replace(&mut record.want, want);
        record.parked = false;
        record.held = false;
        self.wanted -= usize::from(before != Want::Nothing);
        self.wanted += usize::from(want != Want::Nothing);
        before
    }

    /// Sets what the kernel has and returns what it had before.
    pub(super) fn place(&mut self, prefix: IpNet, placed: Placed) -> Placed {
        let record = self.map.entry(prefix).or_insert_with(Record::new);
        let before = std::mem::replace(&mut record.placed, placed);
        self.placed -= usize::from(before != Placed::Nothing);
        self.placed += usize::from(placed != Placed::Nothing);
        before
    }

    pub(super) fn set_stale(&mut self, prefix: IpNet, stale: bool) -> bool {
        let record = self.map.entry(prefix).or_insert_with(Record::new);
        let before = std::mem::replace(&mut record.stale, stale);
        self.stale -= usize::from(before);
        self.stale += usize::from(stale);
        before
    }

    /// Drops the record if it says nothing any more.
    pub(super) fn forget_empty(&mut self, prefix: IpNet) {
        let empty = |r: &Record| {
            r.want == Want::Nothing && r.placed == Placed::Nothing && !r.queued && !r.stale
        };
        if self.map.get(&prefix).is_some_and(empty) {
            self.map.remove(&prefix);
            self.failing.remove(&prefix);
        }
    }

    // The line of those to be written.

    pub(super) fn enqueue(&mut self, prefix: IpNet) {
        if let Some(record) = self.map.get_mut(&prefix)
            && !record.held
            && !std::mem::replace(&mut record.queued, true)
        {
            self.queue.push_back(prefix);
        }
    }

    pub(super) fn next(&mut self) -> Option<IpNet> {
        let prefix = self.queue.pop_front()?;
        if let Some(record) = self.map.get_mut(&prefix) {
            record.queued = false;
        }
        Some(prefix)
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
    pub(super) fn restore(&mut self, prefix: IpNet, now: Instant) {
        let since = now.saturating_duration_since(self.started).as_secs();
        let now_s = u32::try_from(since).unwrap_or(u32::MAX);
        let Some(record) = self.map.get_mut(&prefix) else {
            return;
        };
        if now_s.saturating_sub(record.restored_s) > PEACE_S {
            record.restores = 0;
        }
        record.restored_s = now_s;
        record.restores = record.restores.saturating_add(1);
        if record.restores <= RESTORES_AT_ONCE {
            self.enqueue(prefix);
            return;
        }
        record.held = true;
        let doublings = u32::from(record.restores - RESTORES_AT_ONCE - 1).min(16);
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
            if let Some(record) = self.map.get_mut(&prefix) {
                record.held = false;
            }
            self.enqueue(prefix);
        }
    }
}
