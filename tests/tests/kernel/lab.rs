//! A network namespace for each kernel test, and eyes in it that are not ours.
//!
//! A user namespace can only be entered by a process with one thread, which a test binary never
//! is. So each test starts its own binary again under `unshare`, with only that test; the inner
//! run has a fresh network namespace, empty but for loopback, and full rights in it, as root and
//! as an ordinary user alike. Where user namespaces are not allowed and we are not root, the
//! test says by name that it was skipped.
//!
//! What the kernel holds is read through iproute2's JSON, as any other user of the table would.

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rib::fib::{FibChange, FibNextHop, FibRoute, KernelConfig, KernelEvent, KernelStats};
use rib::netlink::KernelHandle;
use serde_json::Value;

/// Set for the inner run to the name of its test.
const INSIDE: &str = "WAYFARE_NAMESPACE_TEST";
/// Long enough for a loaded machine; a test that gets there has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `body` in a namespace of its own; `name` is the name of the calling test.
pub fn in_namespace(name: &str, body: impl FnOnce()) {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        ip("link set lo up");
        body();
        return;
    }
    let Some(flags) = ["-Urnm", "-nm"]
        .into_iter()
        .find(|flags| can_unshare(flags))
    else {
        eprintln!("SKIPPED {name}: no user namespaces here and not root");
        return;
    };
    let exe = std::env::current_exe().expect("the test binary has a path");
    let status = Command::new("unshare")
        .arg(flags)
        .arg(exe)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .status()
        .expect("unshare of util-linux");
    assert!(status.success(), "{name} failed inside its namespace");
}

fn can_unshare(flags: &str) -> bool {
    let mut command = Command::new("unshare");
    command.args([flags, "true"]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs `ip` with words separated by blanks; it must succeed.
pub fn ip(words: &str) -> String {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .expect("ip of iproute2");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs many `ip` commands in one process; errors of single ones do not matter.
pub fn batch(commands: impl Iterator<Item = String>) {
    let mut child = Command::new("ip")
        .args(["-force", "-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("ip of iproute2");
    let mut stdin = child.stdin.take().expect("piped above");
    for command in commands {
        writeln!(stdin, "{command}").expect("ip reads its input");
    }
    drop(stdin);
    child.wait().expect("ip ends");
}

/// Runs `ip -j` and parses what it prints.
pub fn ip_json(words: &str) -> Vec<Value> {
    let text = ip(&format!("-j {words}"));
    if text.trim().is_empty() {
        return Vec::new();
    }
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("ip -j {words}: {e}: {text}"))
}

/// A veth pair `vN`/`wN` with 10.0.N.1/24 and fd00:N::1/64 on `vN`; taking `wN` down takes the
/// carrier from `vN`, as pulling the cable would. Returns when the carrier is there: the kernel
/// says so a moment after the far end came up, and changes the routes of the link then. There are
/// no link-local addresses, whose routes come a second later still.
pub fn cable(n: u8) {
    ip(&format!("link add v{n} type veth peer name w{n}"));
    ip(&format!("link set v{n} addrgenmode none"));
    ip(&format!("link set w{n} addrgenmode none"));
    ip(&format!("addr add 10.0.{n}.1/24 dev v{n}"));
    ip(&format!("addr add fd00:{n}::1/64 dev v{n} nodad"));
    ip(&format!("link set v{n} up"));
    ip(&format!("link set w{n} up"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while ip(&format!("-d route show table all dev v{n}")).contains("linkdown")
        || !ip(&format!("link show v{n}")).contains("LOWER_UP")
    {
        assert!(Instant::now() < deadline, "v{n} has no carrier");
    }
}

pub fn unicast(prefix: &str, gateways: &[&str]) -> FibChange {
    let mut via: Vec<FibNextHop> = gateways
        .iter()
        .map(|gateway| FibNextHop {
            gateway: gateway.parse().expect("an address"),
            interface: None,
            device: None,
            weight: 1,
        })
        .collect();
    via.sort();
    FibChange {
        prefix: prefix.parse().expect("a prefix"),
        route: Some(FibRoute::Unicast(via.into())),
    }
}

pub fn discard(prefix: &str) -> FibChange {
    let prefix = prefix.parse().expect("a prefix");
    let route = Some(FibRoute::Discard);
    FibChange { prefix, route }
}

pub fn nothing(prefix: &str) -> FibChange {
    let prefix = prefix.parse().expect("a prefix");
    FibChange {
        prefix,
        route: None,
    }
}

/// A running kernel thread with its events.
pub struct Kernel {
    pub handle: KernelHandle,
    events: Receiver<KernelEvent>,
}

impl Kernel {
    pub fn of(handle: KernelHandle, events: Receiver<KernelEvent>) -> Self {
        Self { handle, events }
    }

    /// Starts and waits until the first dump is in; returns how many routes were adopted.
    pub fn start(config: &KernelConfig) -> (Self, usize) {
        let (sender, events) = channel();
        let handle = KernelHandle::spawn(config.clone(), move |event| {
            // The test may have ended.
            let _ = sender.send(event);
        });
        let handle = handle.expect("netlink sockets");
        let kernel = Self { handle, events };
        let adopted = kernel.wait("ready", |event| match event {
            KernelEvent::Ready { adopted } => Some(*adopted),
            _ => None,
        });
        (kernel, adopted)
    }

    /// The first event to come that `want` takes.
    pub fn wait<T>(&self, what: &str, mut want: impl FnMut(&KernelEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                let stats = self.handle.stats();
                panic!("no {what}; events: {seen:#?}; {stats:#?}");
            };
            if let Some(found) = want(&event) {
                return found;
            }
            seen.push(event);
        }
    }

    /// Waits until everything asked for is written.
    pub fn installed(&self) -> (usize, Duration) {
        self.wait("installed", |event| match event {
            KernelEvent::Installed { written, took, .. } => Some((*written, *took)),
            _ => None,
        })
    }

    /// The next event, if there is one within that time.
    pub fn event_within(&self, time: Duration) -> Option<KernelEvent> {
        self.events.recv_timeout(time).ok()
    }

    /// Looks at the counters after each event, and now and then, until `done`.
    pub fn until(&self, what: &str, done: impl Fn(&KernelStats) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.handle.stats()) {
            assert!(
                Instant::now() < deadline,
                "no {what}; {:#?}",
                self.handle.stats()
            );
            let _ = self.events.recv_timeout(Duration::from_millis(1));
        }
    }

    /// Hands over changes and waits until they are written.
    pub fn put(&self, changes: Vec<FibChange>) -> (usize, Duration) {
        self.handle.update(changes).expect("a running thread");
        self.installed()
    }
}

/// Processor time the kernel thread has spent, in user and kernel mode. On a machine that does
/// much else it says more about speed than the clock on the wall.
pub fn thread_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let of_kernel = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let spent = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let nanos = spent.split_whitespace().next()?.parse().ok()?;
        (name.trim() == "kernel").then(|| Duration::from_nanos(nanos))
    });
    of_kernel.sum()
}

/// The destinations of `ip route show` with these words, in its order.
pub fn destinations(words: &str) -> Vec<String> {
    let routes = ip_json(&format!("route show {words}"));
    let dst = |route: &Value| route["dst"].as_str().map(str::to_owned);
    routes.iter().filter_map(dst).collect()
}

/// The gateways of one route of our protocol, sorted.
pub fn gateways(prefix: &str) -> Vec<String> {
    let family = if prefix.contains(':') { "-6 " } else { "" };
    let routes = ip_json(&format!("{family}route show {prefix} proto 186"));
    let mut found: Vec<String> = routes
        .iter()
        .flat_map(|route| match route["nexthops"].as_array() {
            Some(hops) => hops.clone(),
            None => vec![route.clone()],
        })
        .filter_map(|hop| {
            let gateway = hop["gateway"].as_str().or(hop["via"]["host"].as_str());
            gateway.map(str::to_owned)
        })
        .collect();
    found.sort_by_key(|gateway| gateway.parse::<IpAddr>().ok());
    found
}

/// `ip monitor` in the background; what it printed is read line by line.
pub struct Monitor {
    child: Child,
    lines: Receiver<String>,
}

impl Monitor {
    pub fn start(what: &str) -> Self {
        let mut child = Command::new("ip")
            .args(["monitor", what])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip of iproute2");
        let stdout = child.stdout.take().expect("piped above");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let monitor = Self { child, lines };
        // It listens once it tells of a change made for this purpose.
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            ip("route replace blackhole 203.0.113.255/32 metric 7");
            ip("route del blackhole 203.0.113.255/32 metric 7");
            if monitor.line(Duration::from_millis(50)).is_some() {
                break;
            }
        }
        monitor.until_mark();
        monitor
    }

    fn line(&self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }

    /// All lines up to a change made now.
    pub fn until_mark(&self) -> Vec<String> {
        ip("route add blackhole 203.0.113.254/32 metric 7");
        ip("route del blackhole 203.0.113.254/32 metric 7");
        let mut lines = Vec::new();
        loop {
            let line = self.line(PATIENCE).expect("the monitor sees the mark");
            if line.contains("Deleted") && line.contains("203.0.113.254") {
                return lines;
            }
            if !line.contains("203.0.113.25") {
                lines.push(line);
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
