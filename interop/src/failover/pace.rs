//! The tool's own punctuality: real-time threads, and a canary that tells of starvation.
//!
//! Threads that send, answer and listen ask for real-time priority (through `chrt`, for want of a
//! safe system call) and go on without where it is refused. The canary is a thread of ordinary
//! priority that does nothing but wake each millisecond and note by how much it was late: when it
//! was not let run, a daemon would not have been either, and the run proves nothing.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two packets of the stream, and between two looks of the canary.
pub const TICK: Duration = Duration::from_millis(1);
/// Above everything ordinary, below what keeps a machine alive.
const PRIORITY: &str = "40";

/// Asks for real-time priority for the calling thread; says whether it has it.
pub fn realtime() -> bool {
    let thread = nix::unistd::gettid().to_string();
    let status = Command::new("chrt")
        .args(["-f", "-p", PRIORITY, &thread])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Sleeps until `due`; comes back with by how much it was late.
pub fn sleep_until(due: Instant) -> Duration {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
    Instant::now().saturating_duration_since(due)
}

/// A thread that says how late an ordinary thread was let run.
#[derive(Debug)]
pub struct Canary {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Instant, Duration)>>,
}

impl Canary {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut late = Vec::new();
            while !ask.load(Ordering::Relaxed) {
                let due = Instant::now() + TICK;
                let by = sleep_until(due);
                if by > TICK {
                    late.push((due, by));
                }
            }
            late
        });
        Self { stop, thread }
    }

    /// Ends it: what it noted from `since` on.
    #[must_use]
    pub fn finish(self, since: Instant) -> Starved {
        self.stop.store(true, Ordering::Relaxed);
        let mut late = self.thread.join().unwrap_or_default();
        late.retain(|(due, by)| *due + *by >= since);
        Starved(late)
    }
}

/// When an ordinary thread was due, and by how much it was late; only what is worth noting.
#[derive(Clone, Debug, Default)]
pub struct Starved(Vec<(Instant, Duration)>);

impl Starved {
    /// The worst.
    #[must_use]
    pub fn worst(&self) -> Duration {
        let late = self.0.iter().map(|(_, by)| *by);
        late.max().unwrap_or_default()
    }

    /// Whether a thread was late by more than `most` at some moment between the two.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant, most: Duration) -> bool {
        let mut late = self.0.iter().filter(|(_, by)| *by > most);
        late.any(|(due, by)| *due <= to && *due + *by >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starvation_is_found_where_it_was() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let starved = Starved(vec![(start + ms(10), ms(5)), (start + ms(30), ms(2))]);
        assert_eq!(starved.worst(), ms(5));
        let between = |from, to, most| starved.between(start + ms(from), start + ms(to), ms(most));
        assert!(between(0, 12, 3) && between(12, 13, 3) && between(15, 20, 3));
        assert!(!between(0, 9, 3) && !between(16, 40, 3) && between(16, 40, 1));
    }
}
