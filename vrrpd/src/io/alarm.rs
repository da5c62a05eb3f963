//! An alarm with the precision of the kernel's timers.
//!
//! The runtime's own timers count milliseconds and round up; a backup that waits 36.1 ms at an
//! interval of 10 ms should not wait 38. A timerfd is woken by the kernel and costs one system
//! call per change.

use std::io;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::sockopt::Readable;

/// Wakes at an instant.
#[derive(Debug)]
pub struct Alarm(Readable<TimerFd>);

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Self(Readable::new(timer)?))
    }

    /// Waits until `due`. Cancel-safe: the next call sets it anew.
    pub async fn wait_until(&self, due: Instant) {
        let left = due.saturating_duration_since(Instant::now());
        // Zero would disarm it.
        let left = left.max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
        let set = self.0.get().set(expiration, TimerSetTimeFlags::empty());
        if set.is_err() {
            // Cannot be with a valid duration; the runtime's timer is late by a millisecond.
            return tokio::time::sleep(left).await;
        }
        while Instant::now() < due && self.0.wait().await {}
    }
}
