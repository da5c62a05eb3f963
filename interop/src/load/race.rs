//! One run against the clock: from a first octet or an event until everybody has what they need.
//!
//! The race ends when nothing has come for [`QUIET`] and all receivers are found complete; its end
//! is the moment at which the last octet that was needed was read, so the quiet does not count. A
//! look that comes too early (a daemon that pauses, a best path that is still to change) only means
//! another quiet to wait for. The daemon's processor time is taken at the end of the quiet, so that
//! work put off a little is work all the same.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use super::bench::{Failure, Sample};
use super::daemon::Running;
use super::expect::{Blocks, Checker, Expected};
use super::fleet::Fleet;

/// Nothing new for so long: worth a look whether all is there.
pub const QUIET: Duration = Duration::from_millis(200);

/// Processor time of this program so far.
pub fn tool_cpu_s() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return f64::NAN;
    };
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// The receivers of a run and what they have to get.
#[derive(Debug)]
pub struct Finish<'a> {
    /// What has to arrive.
    pub expected: &'a Expected,
    /// Speaker numbers and their checkers.
    pub receivers: Vec<(usize, Checker)>,
    /// Distinct attribute blocks seen so far; kept between the stages of a run.
    pub blocks: Blocks,
    /// Processor time of the tool's own looks so far: not a cost of the run.
    pub looking_cpu_s: f64,
}

impl<'a> Finish<'a> {
    /// Receivers that all have to get all of `expected`.
    pub fn new(expected: &'a Expected, receivers: impl IntoIterator<Item = usize>) -> Self {
        let receivers = receivers.into_iter();
        Self {
            expected,
            receivers: receivers
                .map(|index| (index, Checker::new(expected)))
                .collect(),
            blocks: Blocks::default(),
            looking_cpu_s: 0.0,
        }
    }

    /// [`Finish::reach`], and the figures of the run.
    ///
    /// # Errors
    /// Those of [`Finish::reach`].
    pub fn run(
        &mut self,
        fleet: &mut Fleet,
        (clock, limit): (Clock, Duration),
        (daemon, paths): (&Running, usize),
    ) -> Result<Sample, Failure> {
        let looking = self.looking_cpu_s;
        let end = self
            .reach(fleet, clock.begin, limit)
            .map_err(|failure| match failure {
                Failure::Wrong(why) => Failure::Wrong(format!("{why}\n{}", daemon.log())),
                slow => slow,
            })?;
        let mut sample = clock.stop(end, daemon, paths);
        sample.tool_cpu_s -= self.looking_cpu_s - looking;
        Ok(sample)
    }

    /// Drives `fleet` until all receivers are complete; when the last of them was.
    ///
    /// # Errors
    /// `limit` from `begin` passed, a session ended, or something arrived that must not.
    pub fn reach(
        &mut self,
        fleet: &mut Fleet,
        begin: Instant,
        limit: Duration,
    ) -> Result<Instant, Failure> {
        let mut looked: Option<Instant> = None;
        loop {
            fleet.turn(Duration::from_millis(50))?;
            let (now, last) = (Instant::now(), fleet.last_update);
            let quiet = now.saturating_duration_since(last.max(begin)) >= QUIET;
            if quiet && fleet.all_sent() && looked != Some(last) {
                looked = Some(last);
                if let Some(end) = self.look(fleet)? {
                    return Ok(end.max(begin));
                }
            }
            if now.saturating_duration_since(begin) > limit {
                return Err(Failure::TooSlow(self.complaint(fleet)));
            }
        }
    }

    /// Takes in what has come so far, so that it need not be done while a clock runs.
    ///
    /// # Errors
    /// Something arrived that must not.
    pub fn catch_up(&mut self, fleet: &Fleet) -> Result<(), String> {
        self.look(fleet).map(|_| ())
    }

    fn look(&mut self, fleet: &Fleet) -> Result<Option<Instant>, String> {
        let before = tool_cpu_s();
        let mut end: Option<Instant> = None;
        let mut complete = true;
        for (index, checker) in &mut self.receivers {
            let inbox = fleet.inbox(*index);
            checker.advance(inbox.octets(), self.expected, &mut self.blocks)?;
            match checker.complete_at() {
                Some(offset) => end = end.max(inbox.time_of(offset)),
                None => complete = false,
            }
        }
        self.looking_cpu_s += tool_cpu_s() - before;
        Ok(end.filter(|_| complete))
    }

    fn complaint(&mut self, fleet: &Fleet) -> String {
        if let Err(why) = self.look(fleet) {
            return why;
        }
        let mut behind = self
            .receivers
            .iter()
            .filter(|(_, one)| one.complete_at().is_none());
        let first = behind
            .next()
            .map(|(index, one)| (index, one.complaint(self.expected)));
        format!(
            "{} of {} receivers incomplete, {} sessions up, {} retries; {first:?}",
            behind.count() + usize::from(first.is_some()),
            self.receivers.len(),
            fleet.up(),
            fleet.retries
        )
    }
}

/// Figures at the clock's start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When it started.
    pub begin: Instant,
    daemon_cpu_s: f64,
    tool_cpu_s: f64,
}

impl Clock {
    /// Starts the clock.
    pub fn start(daemon: &Running) -> Self {
        Self {
            daemon_cpu_s: daemon.usage().cpu_s,
            tool_cpu_s: tool_cpu_s(),
            begin: Instant::now(),
        }
    }

    /// The figures of a run that ended at `end`.
    pub fn stop(self, end: Instant, daemon: &Running, paths: usize) -> Sample {
        let used = daemon.usage();
        Sample {
            wall_s: (end - self.begin).as_secs_f64(),
            cpu_s: used.cpu_s - self.daemon_cpu_s,
            peak_mib: used.peak_kib as f64 / 1024.0,
            tool_cpu_s: tool_cpu_s() - self.tool_cpu_s,
            paths: paths as u64,
            extra: Vec::new(),
        }
    }
}
