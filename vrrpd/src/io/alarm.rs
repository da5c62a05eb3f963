//! An alarm with the precision of the kernel's timers.
//!
//! The runtime's own timers count milliseconds and round up; a backup that waits 36.1 ms at an
//! interval of 10 ms should not wait 38. A timerfd is woken by the kernel and costs one system
//! call per change; so one that is set for an earlier time than asked for stays as it is, goes off
//! once in vain and is set then. The deadline of a backup moves on with every advert it hears.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::sockopt::Readable;

/// Wakes at an instant.
#[derive(Debug)]
pub struct Alarm {
    timer: Readable<TimerFd>,
    /// When it will go off.
    set_for: Cell<Option<Instant>>,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Self {
            timer: Readable::new(timer)?,
            set_for: Cell::new(None),
        })
    }

    /// Waits until `due`. Cancel-safe: the next call goes on from there.
    pub async fn wait_until(&self, due: Instant) {
        loop {
            let now = Instant::now();
            let goes_off = self.set_for.get().filter(|at| *at > now && *at <= due);
            if goes_off.is_none() && !self.set(now, due) {
                // Cannot be with a valid duration; the runtime's timer is late by a millisecond.
                return tokio::time::sleep(due.saturating_duration_since(now)).await;
            }
            let readable = self.timer.wait().await;
            if Instant::now() >= due || !readable {
                return;
            }
        }
    }

    fn set(&self, now: Instant, due: Instant) -> bool {
        // Zero would disarm it.
        let left = due.saturating_duration_since(now);
        let left = left.max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
        let set = self
            .timer
            .get()
            .set(expiration, TimerSetTimeFlags::empty())
            .is_ok();
        self.set_for.set(set.then_some(due));
        set
    }
}
