//! S6: the real update stream of a day at full speed on top of the real table.
//!
//! First the table is loaded, then the day's announcements and withdrawals follow, each in an
//! UPDATE of its own; a daemon may tell its receiver the outcome without the detours. In the end
//! the receiver has to have the model's table: every prefix, every attribute, and nothing that was
//! withdrawn. The figures of the run are those of the churn; loading the table is told beside it.
//!
//! With `kernel` the daemon also writes what it selects into the routing table of its own network
//! namespace, and the run is over when that holds exactly the model's prefixes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::full_table::SESSIONS_LIMIT;
use super::{Source, grouped, octets_of};
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::{Daemon, Running};
use crate::load::dialect::Setup;
use crate::load::expect::{Checker, Expected};
use crate::load::fleet::{Fleet, Speaker};
use crate::load::ground::Ground;
use crate::load::race::{Clock, Finish};
use crate::load::recording::Recording;
use crate::node::Node;

/// Between two looks at the number of routes in the kernel.
const KERNEL_LOOK: Duration = Duration::from_millis(20);

/// The workload, made ready.
#[derive(Debug)]
pub struct Churn {
    kernel: bool,
    recording: Result<Recording, String>,
}

impl Churn {
    /// With `percent` of the recording.
    pub fn new(kernel: bool, percent: usize) -> Self {
        let recording = Recording::read(Source::external(0), percent);
        if let Err(why) = &recording {
            println!("SKIPPED s6: {why}");
        }
        Self { kernel, recording }
    }

    fn race(
        &self,
        recording: &Recording,
        daemon: &Running,
        ground: &Ground,
    ) -> Result<Sample, Failure> {
        let (from, to) = (Source::external(0), Source::external(1));
        let receives = octets_of(recording.before.len()) + recording.changes.len();
        let speakers = [
            Speaker::new(from.address, from.asn, octets_of(1000)),
            Speaker::new(to.address, to.asn, receives),
        ];
        let mut fleet =
            Fleet::new(&speakers, daemon.address()).map_err(|error| error.to_string())?;
        fleet.establish(SESSIONS_LIMIT)?;
        // The link's network and the machine's own addresses are routes, too.
        let own = kernel_prefixes(&ground.node)?;
        let mut finish = Finish::new(&recording.before, [1]);
        let clock = Clock::start(daemon);
        fleet.send(0, recording.table.clone());
        let paths = recording.before.len();
        let mut load = finish.run(&mut fleet, (clock, self.limit()), (daemon, paths))?;
        if self.kernel {
            self.wait_for_kernel((&mut load, clock), (paths, own), daemon, &ground.node)?;
        }

        let mut finish = Finish::new(&recording.after, []);
        let checker =
            Checker::new(&recording.after).except(&recording.after, recording.gone.iter().copied());
        finish.receivers.push((1, checker));
        let clock = Clock::start(daemon);
        fleet.send(0, recording.changes.clone());
        let left = recording.left();
        let mut churn = finish.run(&mut fleet, (clock, self.limit()), (daemon, left))?;
        if self.kernel {
            self.wait_for_kernel((&mut churn, clock), (left, own), daemon, &ground.node)?;
            check_kernel(&ground.node, &recording.after, &recording.gone)?;
            churn.extra.push(("kernel routes", left as f64));
        }
        churn.extra.push(("table s", load.wall_s));
        churn.extra.push(("table CPU s", load.cpu_s));
        churn.extra.push(("table MiB", load.peak_mib));
        churn
            .extra
            .push(("CPU µs/change", churn.cpu_s * 1e6 / recording.count as f64));
        Ok(churn)
    }

    /// Waits until the kernel has as many routes as it must, and puts the time into the sample.
    fn wait_for_kernel(
        &self,
        (sample, clock): (&mut Sample, Clock),
        (wanted, own): (usize, usize),
        daemon: &Running,
        node: &Node,
    ) -> Result<(), Failure> {
        loop {
            let found = kernel_prefixes(node)?.saturating_sub(own);
            let now = Instant::now();
            if found == wanted {
                let whole = clock.stop(now, daemon, wanted);
                sample.wall_s = sample.wall_s.max(whole.wall_s);
                (sample.cpu_s, sample.peak_mib) = (whole.cpu_s, whole.peak_mib);
                return Ok(());
            }
            if clock.begin.elapsed() > self.limit() {
                let text = format!("{found} routes of {wanted} in the kernel");
                return Err(Failure::TooSlow(text));
            }
            std::thread::sleep(KERNEL_LOOK);
        }
    }
}

impl Shape for Churn {
    fn key(&self) -> String {
        let key = if self.kernel { "s6-kernel" } else { "s6" };
        key.to_owned()
    }

    fn title(&self) -> String {
        let Ok(recording) = &self.recording else {
            return "churn: left out, there is no recording".to_owned();
        };
        let (changes, prefixes) = (grouped(recording.count), grouped(recording.before.len()));
        let kernel = if self.kernel {
            ", written to the kernel"
        } else {
            ""
        };
        format!("churn: {changes} real changes on top of a real table of {prefixes}{kernel}")
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn suits(&self, daemon: &Daemon) -> bool {
        let birds = matches!(daemon, Daemon::Bird2 | Daemon::Bird3);
        let without_kernel = matches!(daemon, Daemon::Frr) && !self.kernel;
        self.recording.is_ok() && (daemon.is_ours() || birds || without_kernel)
    }

    fn runs_max(&self) -> usize {
        3
    }

    fn bars(&self) -> Vec<Bar> {
        vec![Bar::peer(Metric::Cpu, 1.0 / 2.0, "BIRD")]
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let recording = self.recording.as_ref().map_err(Clone::clone)?;
        let neighbors = [Source::external(0), Source::external(1)];
        let setup = Setup {
            neighbors: neighbors.map(|one| (one.address, one.asn)).to_vec(),
            kernel: self.kernel,
            as_sets: true,
            ..Setup::default()
        };
        let result = daemon
            .start(ground, &setup)
            .map_err(Failure::from)
            .and_then(|running| self.race(recording, &running, ground));
        if self.kernel {
            // The daemon was killed: what it wrote is still there. A million routes go at once
            // with what they lead through; the link is then laid again.
            let down = "ip nexthop flush; ip link set bench0 down";
            let up = "ip -force -batch /run/node/link 2>/dev/null || true";
            ground.node.sh(&format!("{down}; {up}"));
        }
        result
    }
}

/// Prefixes in the main table, by the kernel's own count.
fn kernel_prefixes(node: &Node) -> Result<usize, String> {
    let text = node.read_proc("net/fib_triestat")?;
    let main = text.split("Main:").nth(1).unwrap_or(&text);
    let line = main
        .lines()
        .find_map(|line| line.trim().strip_prefix("Prefixes:"));
    let count = line.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| format!("no count of prefixes: {text}"))
}

/// The kernel has exactly the prefixes that are left.
fn check_kernel(node: &Node, after: &Expected, gone: &[IpNet]) -> Result<(), String> {
    let text = node.output("ip", &["-4", "route", "show"])?;
    let words = text
        .lines()
        .filter(|line| line.contains("proto") && !line.contains("kernel"));
    let words = words.filter_map(|line| line.split_whitespace().next());
    let mut found = BTreeSet::new();
    for word in words {
        let net = match (word, word.contains('/')) {
            ("default", _) => "0.0.0.0/0".parse(),
            (_, true) => word.parse::<IpNet>(),
            (_, false) => format!("{word}/32").parse(),
        };
        found.insert(net.map_err(|_| format!("`ip route` shows {word}"))?);
    }
    let gone: BTreeSet<IpNet> = gone.iter().copied().collect();
    let wanted = after.nets().filter(|net| !gone.contains(net));
    let missing: Vec<IpNet> = wanted.filter(|net| !found.remove(net)).take(3).collect();
    match (missing.is_empty(), found.first()) {
        (true, None) => Ok(()),
        (_, extra) => Err(format!("kernel: missing {missing:?}, too many {extra:?}")),
    }
}
