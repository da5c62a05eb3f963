//! The timers of a peer and of a connection, as data.
//!
//! A timer here is an entry in an array indexed by [`Timer`]: setting one is an assignment, and
//! the driver sleeps until [`TimerTable::next`] and then asks for what has expired. Nothing in
//! this module knows the time of day; every instant is handed in.
//!
//! The peer holds one table for what concerns the neighbor as a whole (ConnectRetry, IdleHold,
//! the stability mark that forgives earlier failures), each connection one for what concerns
//! that TCP connection (Hold, Keepalive, SendHold, the collision wait). One type serves both:
//! an empty slot costs sixteen bytes, a second type would cost a reader's attention.
//!
//! Implements the timers of RFC 4271 §8.1.3 and §10 except DelayOpen, which only matters for
//! peers that cannot listen, and the SendHoldTimer of RFC 9687 §4.

use std::time::{Duration, Instant};

/// Hold time while waiting for the peer's OPEN: "a large value", RFC 4271 §8.2.2 suggests 4 min.
pub const OPEN_SENT_HOLD: Duration = Duration::from_secs(240);

/// What the hold timer is extended by when input is waiting on the socket, as BIRD does: the
/// peer is alive, we are the slow side.
pub const CONGESTION_GRACE: Duration = Duration::from_secs(10);

/// Shortest send-hold time (RFC 9687 §4.3: the greater of 8 minutes and twice the hold time).
pub const SEND_HOLD_MIN: Duration = Duration::from_secs(480);

/// How long the losing connection of a collision waits in OpenConfirm for the winning one to
/// show an OPEN. Long enough for a round trip around the world under load, short enough that a
/// peer whose other connection is dead comes up before anyone looks.
pub const COLLISION_WAIT: Duration = Duration::from_secs(3);

/// How long after reaching Established a new connection still counts as a late collision and not
/// as the peer's restart: longer than any SYN under way when the session came up.
pub const COLLISION_TAIL: Duration = Duration::from_secs(10);

/// Shortest time between two dials, whatever the configuration says.
pub const CONNECT_RETRY_MIN: Duration = Duration::from_millis(100);

/// One timer of the peer machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// RFC 4271 ConnectRetryTimer: when to dial again.
    ConnectRetry,
    /// RFC 4271 IdleHoldTimer: when a damped peer may start again.
    IdleHold,
    /// The session has lasted long enough to forget earlier failures.
    Stable,
    /// RFC 4271 HoldTimer: silence of the peer.
    Hold,
    /// RFC 4271 KeepaliveTimer: our next KEEPALIVE.
    Keepalive,
    /// RFC 9687 SendHoldTimer: our own bytes do not get out.
    SendHold,
    /// The losing connection of a collision has waited long enough for the winner.
    CollisionWait,
}

impl Timer {
    /// Every timer, in the order in which those expired at the same instant are handled.
    pub const ALL: [Timer; 7] = [
        Timer::Hold,
        Timer::SendHold,
        Timer::Keepalive,
        Timer::CollisionWait,
        Timer::Stable,
        Timer::IdleHold,
        Timer::ConnectRetry,
    ];
}

/// Deadlines indexed by [`Timer`].
#[derive(Clone, Debug, Default)]
pub struct TimerTable {
    deadlines: [Option<Instant>; Timer::ALL.len()],
}

impl TimerTable {
    /// Starts or restarts a timer.
    pub fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(slot) = self.deadlines.get_mut(timer as usize) {
            *slot = Some(at);
        }
    }

    /// Stops a timer; stopping one that does not run is fine.
    pub fn stop(&mut self, timer: Timer) {
        if let Some(slot) = self.deadlines.get_mut(timer as usize) {
            *slot = None;
        }
    }

    /// When the timer expires; `None` while it does not run.
    pub fn get(&self, timer: Timer) -> Option<Instant> {
        self.deadlines.get(timer as usize).copied().flatten()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Takes one timer that has expired, in the order of [`Timer::ALL`]; call until `None`.
    pub fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let timer = Timer::ALL
            .into_iter()
            .find(|&t| self.get(t).is_some_and(|at| at <= now))?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_its_own_slot() {
        let now = Instant::now();
        for timer in Timer::ALL {
            let mut table = TimerTable::default();
            table.set(timer, now);
            let set = Timer::ALL.into_iter().filter(|&t| table.get(t).is_some());
            assert_eq!(set.collect::<Vec<_>>(), [timer]);
        }
    }

    #[test]
    fn expired_timers_come_out_once_and_next_is_the_earliest() {
        let now = Instant::now();
        let mut table = TimerTable::default();
        table.set(Timer::ConnectRetry, now + Duration::from_secs(5));
        table.set(Timer::Hold, now + Duration::from_secs(1));
        assert_eq!(table.next(), Some(now + Duration::from_secs(1)));
        assert_eq!(table.take_expired(now), None);
        let later = now + Duration::from_secs(9);
        assert_eq!(table.take_expired(later), Some(Timer::Hold));
        assert_eq!(table.take_expired(later), Some(Timer::ConnectRetry));
        assert_eq!(table.take_expired(later), None);
        assert_eq!(table.next(), None);
    }
}
