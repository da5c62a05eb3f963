//! Messages to the service manager (`sd_notify(3)`).
//!
//! All of them are advice: without a service manager they do nothing, and a manager that does not
//! listen is no reason to stop. systemd 253 and later follow a reload through RELOADING and
//! MONOTONIC_USEC; older ones ignore both.

use std::time::Duration;

use sd_notify::NotifyState;

/// The daemon serves: sockets are bound, the configuration is in force.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// A reload has begun; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// The daemon is stopping.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Stopping takes this long from now on; else the manager kills after its own time.
pub fn extend_stop(time: Duration) {
    let us = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(us)]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    send(&[NotifyState::Status(line)]);
}

/// Feeds the watchdog. Only the main loop may call this, or a hang would go unnoticed.
pub fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// How often to call [`watchdog`]: half of what the manager allows, or `None` without one.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn send(states: &[NotifyState<'_>]) {
    // Without a listener there is nobody to tell.
    let _ = sd_notify::notify(states);
}
