//! What the benchmark is made of: a [`Shape`] is one workload, a [`Sample`] one run of it, a
//! [`Bar`] what the project demands of itself there.
//!
//! A shape prepares everything that is not the daemon's work before the clock (tables, encoded
//! messages, expectations) when it is built, and again nothing when it is run. A run starts the
//! daemon afresh, stops the clock itself, and returns an error unless what arrived is exactly what
//! is expected: prefix by prefix, attributes included. [`super::runner`] takes care of rounds,
//! limits and medians, [`super::report`] of tables and verdicts; a shape knows of neither.

use std::time::Duration;

use super::daemon::Daemon;
use super::ground::Ground;

/// One workload.
pub trait Shape {
    /// Its short name, as `--shape` takes it and as the marked blocks of the notes use it: `s1`.
    fn key(&self) -> String;

    /// What happens, in one line, sizes included.
    fn title(&self) -> String;

    /// From the clock's start: who needs longer is shown as "over" and not run again.
    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Whether the shape can be put to this daemon at all.
    fn suits(&self, _daemon: &Daemon) -> bool {
        true
    }

    /// Most runs of each daemon, where one run says enough.
    fn runs_max(&self) -> usize {
        usize::MAX
    }

    /// What is demanded of `wayfare-bgpd`.
    fn bars(&self) -> Vec<Bar>;

    /// Runs the workload once, on a daemon started for it.
    ///
    /// # Errors
    /// Why there is no figure: too slow, or what arrived is not what is expected.
    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure>;
}

/// What one run took.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// From the first octet sent (or the event) to the last octet that was needed.
    pub wall_s: f64,
    /// User and system time of the daemon's processes over the same span.
    pub cpu_s: f64,
    /// Sum of the peak resident sets of the daemon's processes since its start.
    pub peak_mib: f64,
    /// Processor time of the load tool while the clock ran.
    pub tool_cpu_s: f64,
    /// Paths that the daemon holds when all is there: the divisor of "octets per path".
    pub paths: u64,
    /// Figures of this shape alone: name (with unit) and value. Their medians are shown, too.
    pub extra: Vec<(&'static str, f64)>,
}

impl Sample {
    /// An extra figure by name.
    pub fn extra(&self, name: &str) -> Option<f64> {
        let mut extra = self.extra.iter();
        extra.find(|(known, _)| *known == name).map(|(_, v)| *v)
    }
}

/// Why a run has no figures.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The limit passed first; in words how far it got.
    TooSlow(String),
    /// It failed, or what arrived is wrong.
    Wrong(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

/// Which figure a bar is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// [`Sample::wall_s`].
    Wall,
    /// [`Sample::cpu_s`].
    Cpu,
    /// [`Sample::peak_mib`].
    Peak,
    /// One of [`Sample::extra`].
    Extra(&'static str),
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Against {
    /// The smallest figure of all peers in the same run.
    BestPeer,
    /// The figure of the peers whose name starts like this, the smallest of them.
    Peer(&'static str),
    /// A fixed number, in the figure's own unit.
    Fixed,
}

/// "At most `factor` times …" of `wayfare-bgpd`'s own figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Of which figure.
    pub metric: Metric,
    /// The factor; for [`Against::Fixed`] the bound itself.
    pub factor: f64,
    /// Of whose figure.
    pub against: Against,
}

impl Bar {
    /// "At most `factor` × the best peer's."
    pub const fn best(metric: Metric, factor: f64) -> Self {
        let against = Against::BestPeer;
        Self {
            metric,
            factor,
            against,
        }
    }

    /// "At most `factor` × the figure of the peer whose name starts with `name`."
    pub const fn peer(metric: Metric, factor: f64, name: &'static str) -> Self {
        let against = Against::Peer(name);
        Self {
            metric,
            factor,
            against,
        }
    }

    /// "At most `bound`."
    pub const fn fixed(metric: Metric, bound: f64) -> Self {
        Self {
            metric,
            factor: bound,
            against: Against::Fixed,
        }
    }
}
