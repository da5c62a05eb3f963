//! A router's daemon: configured, started, stopped, killed, counted.
//!
//! Processes are found by their names among those of the node's network namespace, so it does not
//! matter who started them or how often they forked, and are signalled directly: an event must not
//! wait for a helper program to start.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::dialect;
use super::pair::Kind;
use super::plan::Plan;
use crate::node::Node;

/// How long a daemon may take to end when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// One of the two routers and what runs on it.
#[derive(Debug)]
pub struct Router {
    /// Where.
    pub node: Node,
    /// What.
    pub kind: Kind,
    plan: Plan,
    children: Vec<Child>,
}

/// What a daemon's processes take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Time on a processor since the start.
    pub cpu_s: f64,
    /// Resident memory.
    pub rss_mib: f64,
    /// The same with shared pages counted in parts.
    pub pss_mib: f64,
}

impl Router {
    /// Prepares the node and writes the configuration; nothing runs yet.
    #[must_use]
    pub fn new(node: &Node, kind: Kind, plan: Plan, priority: u8) -> Self {
        node.sh(dialect::settings(kind));
        node.write(dialect::file(kind), dialect::text(kind, plan, priority));
        batch(node, &dialect::links(kind, plan));
        Self {
            node: node.clone(),
            kind,
            plan,
            children: Vec::new(),
        }
    }

    /// Starts the daemon, and what it needs beside it unless that runs.
    pub fn start(&mut self) {
        let file = dialect::file(self.kind);
        match self.kind {
            Kind::Wayfare => self.spawn("/opt/wayfare/wayfare-vrrpd", &["--config", file]),
            Kind::Keepalived => {
                let pids = ["-p", "/run/node/ka.pid", "-r", "/run/node/ka-vrrp.pid"];
                let words = [&["-n", "--vrrp", "-f", file][..], &pids].concat();
                self.spawn("/usr/sbin/keepalived", &words);
            }
            Kind::Frr => {
                if self.pids("zebra").is_empty() {
                    self.node.sh(FRR);
                }
                let words = ["-A", "127.0.0.1", "-f", file];
                self.spawn("/usr/lib/frr/vrrpd", &words);
            }
        }
    }

    fn spawn(&mut self, program: &str, words: &[&str]) {
        let child = self.node.spawn("daemon.log", program, words);
        self.children.push(child);
    }

    /// Process ids of `program` in this node.
    #[must_use]
    pub fn pids(&self, program: &str) -> Vec<i32> {
        let space = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let mine = space(self.node.pid());
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let named = pids.filter(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == program && mine.is_some() && space(*pid) == mine
        });
        named.filter_map(|pid| i32::try_from(pid).ok()).collect()
    }

    /// Whether the daemon runs: `nsenter`, which has started it, ends with it.
    pub fn runs(&mut self) -> bool {
        self.children
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        !self.children.is_empty()
    }

    /// Lets a daemon that stands still go on. `nsenter` stands still with what it has started.
    pub fn resume(&self) {
        let nsenter = self.children.iter().map(Child::id);
        let nsenter = nsenter.filter_map(|pid| i32::try_from(pid).ok());
        for pid in self.all_pids().into_iter().chain(nsenter) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
    }

    /// The program that speaks VRRP.
    #[must_use]
    pub fn main(&self) -> &'static str {
        self.kind.programs().first().copied().unwrap_or_default()
    }

    /// Sends a signal to the processes that speak VRRP.
    pub fn signal(&self, signal: Signal) {
        for pid in self.pids(self.main()) {
            // One that has just ended needs no signal.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// All process ids of the daemon.
    #[must_use]
    pub fn all_pids(&self) -> Vec<i32> {
        let programs = self.kind.programs().iter();
        programs.flat_map(|program| self.pids(program)).collect()
    }

    /// Waits until the daemon has ended.
    ///
    /// # Errors
    /// It has not.
    pub fn wait_end(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while self.runs() {
            if start.elapsed() > STOP_LIMIT {
                return Err(format!("{} has not ended", self.kind.name()));
            }
            // As soon as a supervisor would know: a restart is measured from here.
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Kills everything and takes out of the kernel what was left there.
    pub fn clear(&mut self) {
        for pid in self.all_pids() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.resume();
        for child in &mut self.children {
            let _ = child.wait();
        }
        self.children.clear();
        batch(&self.node, &dialect::leftovers(self.kind, self.plan));
    }

    /// Takes away what a killed daemon left behind, so that the next start finds a clean host.
    pub fn sweep(&self) {
        let lines = dialect::leftovers(self.kind, self.plan);
        batch(&self.node, &lines);
        batch(&self.node, &dialect::links(self.kind, self.plan));
    }

    /// What all its processes take now.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.all_pids()
            .into_iter()
            .fold(Cost::default(), |sum, pid| {
                let one = cost(pid);
                Cost {
                    cpu_s: sum.cpu_s + one.cpu_s,
                    rss_mib: sum.rss_mib + one.rss_mib,
                    pss_mib: sum.pss_mib + one.pss_mib,
                }
            })
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        let text = self.node.read("/run/node/daemon.log");
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// The daemons that vrrpd talks to. They keep their output open, so it goes to a file.
const FRR: &str = "
exec >/run/node/frr-start.log 2>&1
mkdir -p /run/frr /var/tmp/frr /var/lib/frr
chown frr:frr /run/frr /var/tmp/frr /var/lib/frr
cd /usr/lib/frr
./mgmtd -d -A 127.0.0.1
./zebra -d -A 127.0.0.1 -s 90000000
";

/// Lines of `ip -batch`, those that fail left out.
fn batch(node: &Node, lines: &str) {
    if !lines.is_empty() {
        node.write("/run/node/links", lines);
        node.run("ip", &["-force", "-batch", "/run/node/links"]);
    }
}

/// A process: time on a processor to the nanosecond, and memory.
fn cost(pid: i32) -> Cost {
    let base = PathBuf::from(format!("/proc/{pid}"));
    let threads = fs::read_dir(base.join("task")).into_iter().flatten();
    let cpu_ns = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    let rollup = fs::read_to_string(base.join("smaps_rollup")).unwrap_or_default();
    let mib = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    };
    Cost {
        cpu_s: cpu_ns.sum::<f64>() / 1e9,
        rss_mib: mib("Rss:"),
        pss_mib: mib("Pss:"),
    }
}
