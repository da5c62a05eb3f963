//! Waiting for the outside world: a condition, a deadline, and a reason when it does not come.
//!
//! Labs deal with other people's timers, so nothing here is simulated. No test sleeps for a fixed
//! time: it names the condition it needs and the longest it may take, and the poll returns the
//! moment the condition holds. The one sleep of the crate is the pause between two looks, short
//! against anything a router does and long enough not to starve the routers of their two cores.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// Pause between two looks. It grows from the first to the second so that short waits stay short.
const POLL_MIN: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(150);

/// Polls until `look` returns `Ok`, and returns how long it took and what it returned.
///
/// # Errors
/// The last reason `look` gave, once `limit` is over.
pub fn poll<T, E: Display>(
    limit: Duration,
    mut look: impl FnMut() -> Result<T, E>,
) -> Result<(T, Duration), String> {
    let start = Instant::now();
    let mut pause = POLL_MIN;
    loop {
        match look() {
            Ok(value) => return Ok((value, start.elapsed())),
            Err(reason) if start.elapsed() >= limit => {
                return Err(format!("not within {limit:?}: {reason}"));
            }
            Err(_) => thread::sleep(pause),
        }
        pause = (pause * 2).min(POLL_MAX);
    }
}

/// Like [`poll`], for tests: panics with `what` and the last reason when time is up.
#[track_caller]
pub fn until<T, E: Display>(what: &str, seconds: u64, look: impl FnMut() -> Result<T, E>) -> T {
    match poll(Duration::from_secs(seconds), look) {
        Ok((value, _)) => value,
        Err(reason) => panic!("{what}: {reason}"),
    }
}

/// Like [`until`] for a plain yes or no.
#[track_caller]
pub fn until_true(what: &str, seconds: u64, mut look: impl FnMut() -> bool) {
    until(what, seconds, || {
        if look() { Ok(()) } else { Err("still not so") }
    });
}
