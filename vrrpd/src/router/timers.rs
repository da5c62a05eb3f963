//! The deadlines of a virtual router. All of them are instants: what ran late is visible.
//!
//! RFC 9568 knows two timers, of which a state has one. Ours are more, because letting go of
//! addresses and announcing them again outlive a state's own timer. The pace of announcements is
//! decided here.

use std::time::{Duration, Instant};

/// After a transition the addresses are announced at once and again after these: a switch may
/// drop the first, and a client may come up late.
const ANNOUNCE_AFTER: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];
/// When the old holder of a virtual MAC has surely heard of the new one and is silent.
const ANNOUNCE_OVER_OLD: Duration = Duration::from_millis(20);
/// Then at this pace, for neighbours that forgot or were told otherwise.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);

/// One deadline per thing that can be due.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// The start delay ends.
    pub start: Option<Instant>,
    /// Adver_Timer (Master).
    pub advert: Option<Instant>,
    /// Active_Down_Timer (Backup).
    pub down: Option<Instant>,
    /// The addresses are taken off (after Master).
    pub let_go: Option<Instant>,
    /// The addresses are announced again (Master).
    pub announce: Option<Instant>,
    announced: usize,
}

impl Timers {
    /// The next deadline.
    pub fn next(&self) -> Option<Instant> {
        [
            self.start,
            self.advert,
            self.down,
            self.let_go,
            self.announce,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A burst of announcements begins: the first is made by the caller. From a virtual MAC there
    /// is one more: what the old holder answered before it heard of us turned switches back.
    pub fn begin_announcing(&mut self, now: Instant, virtual_mac: bool) {
        self.announced = 0;
        match virtual_mac {
            false => self.announce_again(now),
            true => self.announce = Some(now + ANNOUNCE_OVER_OLD),
        }
    }

    /// One of the burst was made; sets the next.
    pub fn announce_again(&mut self, now: Instant) {
        let wait = ANNOUNCE_AFTER.get(self.announced);
        self.announced += 1;
        self.announce = Some(now + wait.copied().unwrap_or(ANNOUNCE_EVERY));
    }

    /// A burst of announcements begins at `at`.
    pub fn announce_from(&mut self, at: Instant) {
        self.announced = 0;
        self.announce = Some(at);
    }

    /// The addresses were announced by somebody before us: only the slow pace is left.
    pub fn announce_on(&mut self, now: Instant) {
        self.announced = ANNOUNCE_AFTER.len();
        self.announce_again(now);
    }

    /// Nothing is due any more but letting go, and the start where it is delayed.
    pub fn stop(&mut self) {
        self.advert = None;
        self.down = None;
        self.announce = None;
    }
}

/// Takes a timer that is due; `Some` holds when it was due.
pub(super) fn take_due(timer: &mut Option<Instant>, now: Instant) -> Option<Instant> {
    timer.take_if(|due| *due <= now)
}
