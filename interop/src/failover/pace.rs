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

    /// Ends it: the worst lateness from `since` on.
    #[must_use]
    pub fn finish(self, since: Instant) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let late = self.thread.join().unwrap_or_default();
        let late = late.into_iter().filter(|(due, by)| *due + *by >= since);
        late.map(|(_, by)| by).max().unwrap_or_default()
    }
}
