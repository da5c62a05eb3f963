//! Who is measured, how it is started and stopped, and what it used of the machine.
//!
//! `wayfare-bgpd` is the one built beside this program; the peers come from the image of the
//! interop lab, BIRD 2 unpacked there beside BIRD 3. What they are told is in [`super::dialect`]. A
//! daemon is started in the foreground, so that all of its processes are descendants of the one we
//! started: that is how its processor time and memory are summed and how it is ended, by process
//! id.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::dialect::{self, Setup};
use super::ground::{Ground, LOCAL};
use crate::node::Node;
use crate::player::daemon::{Usage, usage};
use crate::wait;

const CONFIG: &str = "/run/node/load.conf";
const CONTROL: &str = "/run/node/load.ctl";
const LOG: &str = "load.log";
/// BIRD 2 beside BIRD 3: `interop/images/mkpeers.sh` unpacks it there.
const BIRD2: &str = "/usr/local/lib/bird2/usr/sbin";
/// From the start to the first answer.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A daemon to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// `wayfare-bgpd`, with `engine.threads` where given.
    Wayfare(Option<u16>),
    /// BIRD 3 of the image, with two threads.
    Bird3,
    /// BIRD 2 of the image.
    Bird2,
    /// A BIRD of the machine: the path of the program.
    HostBird(String),
    /// FRR's bgpd alone, without zebra.
    Frr,
    /// GoBGP.
    Gobgp,
    /// OpenBGPD.
    Openbgpd,
}

impl Daemon {
    /// Ours and all of the image's.
    pub fn all() -> Vec<Self> {
        let ours = Self::Wayfare(None);
        let birds = [Self::Bird2, Self::Bird3];
        let others = [Self::Frr, Self::Openbgpd, Self::Gobgp];
        [ours].into_iter().chain(birds).chain(others).collect()
    }

    /// One of `wayfare`, `wayfare:THREADS`, `bird3`, `bird2`, `frr`, `gobgp`, `openbgpd`, or the
    /// absolute path of a BIRD.
    ///
    /// # Errors
    /// The word, when it is none of these.
    pub fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "wayfare" => Self::Wayfare(None),
            "bird3" => Self::Bird3,
            "bird2" => Self::Bird2,
            "frr" => Self::Frr,
            "gobgp" => Self::Gobgp,
            "openbgpd" => Self::Openbgpd,
            path if path.starts_with('/') => Self::HostBird(path.to_owned()),
            other => match other.strip_prefix("wayfare:").map(str::parse) {
                Some(Ok(threads)) => Self::Wayfare(Some(threads)),
                _ => return Err(format!("no daemon {other}")),
            },
        })
    }

    /// Its name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Wayfare(None) => "wayfare-bgpd".to_owned(),
            Self::Wayfare(Some(1)) => "wayfare-bgpd, 1 thread".to_owned(),
            Self::Wayfare(Some(threads)) => format!("wayfare-bgpd, {threads} threads"),
            Self::Bird3 => "BIRD 3".to_owned(),
            Self::Bird2 => "BIRD 2".to_owned(),
            Self::HostBird(path) => path.clone(),
            Self::Frr => "FRR".to_owned(),
            Self::Gobgp => "GoBGP".to_owned(),
            Self::Openbgpd => "OpenBGPD".to_owned(),
        }
    }

    /// Whether it is ours, in whatever configuration.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Wayfare(_))
    }

    /// What it says of its version, or why it is not there.
    ///
    /// # Errors
    /// Nothing answered: the daemon is left out of the benchmark.
    pub fn version(&self, node: &Node) -> Result<String, String> {
        let bird2 = format!("{BIRD2}/bird");
        let (program, arguments): (&str, &[&str]) = match self {
            Self::Wayfare(_) => ("wayfare-bgpd", &["--version"]),
            Self::Bird3 => ("bird", &["--version"]),
            Self::Bird2 => (&bird2, &["--version"]),
            Self::HostBird(path) => {
                let output = Command::new(path).arg("--version").output();
                let output = output.map_err(|error| format!("{path}: {error}"))?;
                return first_line(&[output.stdout, output.stderr].concat());
            }
            Self::Frr => ("/usr/lib/frr/bgpd", &["--version"]),
            Self::Gobgp => ("gobgpd", &["--version"]),
            Self::Openbgpd => ("/usr/sbin/bgpd", &["-V"]),
        };
        let output = node.run(program, arguments);
        first_line(&[output.stdout, output.stderr].concat())
    }

    /// Starts it in the ground's node; returns when it takes sessions.
    ///
    /// # Errors
    /// It did not answer in time: with the last of its log.
    pub fn start(&self, ground: &Ground, setup: &Setup) -> Result<Running, String> {
        let node = &ground.node;
        // What the run before left is no sign of life.
        let _ = fs::remove_file(node.path(&format!("/run/node/{LOG}")));
        let _ = fs::remove_file(node.path(CONTROL));
        node.write(CONFIG, dialect::config(self, setup));
        let child = self.spawn(node);
        let running = Running {
            child,
            node: node.clone(),
        };
        let ready = wait::poll(START_LIMIT, || self.ready(node, setup.neighbors.len()));
        match ready {
            Ok(_) => Ok(running),
            Err(why) => Err(format!("{}: {why}\n{}", self.name(), running.log())),
        }
    }

    fn spawn(&self, node: &Node) -> Child {
        let bird2 = format!("{BIRD2}/bird");
        match self {
            Self::Wayfare(_) => node.spawn(LOG, "/opt/wayfare/wayfare-bgpd", &["--config", CONFIG]),
            Self::Bird3 => node.spawn(LOG, "bird", &["-f", "-c", CONFIG, "-s", CONTROL]),
            Self::Bird2 => node.spawn(LOG, &bird2, &["-f", "-c", CONFIG, "-s", CONTROL]),
            Self::HostBird(path) => {
                let log = File::create(node.path(&format!("/run/node/{LOG}")));
                Command::new("nsenter")
                    .args(["-t", &node.pid().to_string(), "-n", path, "-f", "-c"])
                    .arg(node.path(CONFIG))
                    .arg("-s")
                    .arg(node.path(CONTROL))
                    .stdout(Stdio::null())
                    .stderr(log.expect("the node's tmpfs is writable"))
                    .spawn()
                    .expect("nsenter is part of util-linux")
            }
            Self::Frr => {
                node.sh("mkdir -p /run/frr; chown frr:frr /run/frr; chmod 775 /run/frr");
                node.spawn(LOG, "/usr/lib/frr/bgpd", &["-Z", "-A", "127.0.0.1"])
            }
            Self::Gobgp => {
                let quiet = ["-f", CONFIG, "-l", "warn"];
                node.spawn(LOG, "gobgpd", &quiet)
            }
            Self::Openbgpd => {
                node.sh(&format!("chmod 600 {CONFIG}; mkdir -p /run/openbgpd"));
                node.spawn(LOG, "/usr/sbin/bgpd", &["-d", "-f", CONFIG])
            }
        }
    }

    /// Asks whether it has read its configuration and knows all of its neighbors.
    fn ready(&self, node: &Node, neighbors: usize) -> Result<(), String> {
        match self {
            Self::Wayfare(_) => node.output("/opt/wayfare/wayfare", &["show", "version"])?,
            Self::Bird3 | Self::Bird2 => {
                node.output("birdc", &["-s", CONTROL, "show", "status"])?
            }
            Self::HostBird(_) => {
                let socket = node.path(CONTROL);
                std::os::unix::net::UnixStream::connect(socket).map_err(|e| e.to_string())?;
                String::new()
            }
            Self::Frr => {
                // As typed, not as a file: after a file bgpd holds all neighbors back for seconds.
                let typed =
                    format!("{{ echo configure; cat {CONFIG}; echo end; }} | vtysh -d bgpd");
                node.output("sh", &["-c", &typed])?;
                let running = ["-d", "bgpd", "-c", "show running-config"];
                let text = node.output("vtysh", &running)?;
                counted(&text, "remote-as", neighbors)?
            }
            Self::Gobgp => counted(&node.output("gobgp", &["neighbor"])?, "10.98.", neighbors)?,
            Self::Openbgpd => counted(&node.output("bgpctl", &["show"])?, "10.98.", neighbors)?,
        };
        Ok(())
    }
}

/// Time that the threads of a process have been running, to the nanosecond. The process's own
/// figures come in hundredths of a second, which is coarse for the smallest of shapes, but know of
/// threads that have ended: the larger of the two is right.
fn running_s(pid: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0.0;
    };
    let threads = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    threads.sum::<f64>() / 1e9
}

fn counted(text: &str, word: &str, least: usize) -> Result<String, String> {
    let lines = text.lines().filter(|line| line.contains(word)).count();
    match lines >= least {
        true => Ok(String::new()),
        false => Err(format!("{lines} of {least} neighbors: {text}")),
    }
}

fn first_line(output: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().find(|line| !line.trim().is_empty());
    match line {
        Some(line) if line.bytes().any(|byte| byte.is_ascii_digit()) => Ok(line.trim().to_owned()),
        _ => Err(format!("no version: {text}")),
    }
}

/// A running daemon; ended when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    node: Node,
}

impl Running {
    /// What its processes have used so far: processor time and peak memory, both summed.
    pub fn usage(&self) -> Usage {
        let mut whole = Usage::default();
        for pid in self.processes() {
            let used = usage(pid);
            whole.cpu_s += used.cpu_s.max(running_s(pid));
            whole.peak_kib += used.peak_kib;
        }
        whole
    }

    /// The daemon's process ids, as the tool sees them; `nsenter`, which waits for it, left out.
    pub fn processes(&self) -> Vec<u32> {
        let mut found = Vec::new();
        let mut pids = vec![self.child.id()];
        while let Some(pid) = pids.pop() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if !matches!(name.trim(), "nsenter" | "") {
                found.push(pid);
            }
            let children = format!("/proc/{pid}/task/{pid}/children");
            let text = fs::read_to_string(children).unwrap_or_default();
            pids.extend(
                text.split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        found
    }

    /// Where speakers connect to.
    pub fn address(&self) -> std::net::SocketAddr {
        (LOCAL, 179).into()
    }

    /// The end of the daemon's log.
    pub fn log(&self) -> String {
        let text = self.node.read(&format!("/run/node/{LOG}"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let processes = self.processes();
        for pid in &processes {
            if let Ok(pid) = i32::try_from(*pid) {
                // One that is gone already is what we want.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = self.child.wait();
        // A gibibyte takes a while to give back, and the port is free only then.
        let gone = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/statm")).is_err();
        let _ = wait::poll(START_LIMIT, || match processes.iter().all(gone) {
            true => Ok(()),
            false => Err("still there"),
        });
    }
}
