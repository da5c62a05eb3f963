//! One lab: a private set of namespaces with a switch in the middle and nodes around it.
//!
//! A test calls [`enter`]. On the first pass that re-runs the same test binary, for this one test,
//! inside `unshare` (a threaded process cannot make a user namespace for itself) and reports what
//! came back; on the second pass, inside, it runs the test's body. `--kill-child` ties every
//! process of the lab to its top: when that ends, whatever the reason, the kernel takes down nodes,
//! links and mounts. Nothing of a lab exists in the machine's own namespaces.
//!
//! Node `i` has `10.99.0.i/24` and `fd99::i/64` on `eth0`; the lab's own process sits on the switch
//! with `10.99.0.254` and `fd99::254`, so that a [`crate::player`] can speak from there. Duplicate
//! address detection, multicast snooping, redirects and reverse-path filtering are off: each of
//! them has cost somebody a second or a packet.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use crate::node::Node;
use crate::rootfs::{Privilege, Rootfs};
use crate::wait;

/// Set inside the lab's namespaces; its value is the directory the lab mounts its layers on.
const INSIDE: &str = "WAYFARE_LAB";
/// In what a test says last: the machine kept its tools from seeing what happened. The lab is run
/// again then, because what a run did not see it cannot judge.
pub const STARVED: &str = "STARVED";
/// How often a lab is run at most.
const TRIES: usize = 3;
/// A lab that has not ended by then is taken down and counted as failed.
const LAB_LIMIT: Duration = Duration::from_secs(150);
/// Directories of which one is covered by the lab's tmpfs.
const MOUNT_POINTS: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];
/// The lab's own view of the peers' root, for the tools it runs beside the nodes. `$1` is where the
/// layers go, `$2` the root.
const MOUNT_ROOT: &str = r#"
mount -t tmpfs tmpfs "$1"
mkdir -p "$1/.lab/u" "$1/.lab/w" "$1/.lab/m"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/.lab/u,workdir=$1/.lab/w" "$1/.lab/m"
mount -t proc proc "$1/.lab/m/proc"
"#;

/// The lab's own seat on `br0`.
pub const OWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 254);

/// Runs `body` inside a lab. `test` is the name of the calling test within its binary.
///
/// # Panics
/// When the body panics inside, so that the test fails outside too.
pub fn enter(test: &str, body: impl FnOnce(&mut Lab)) {
    enter_within(LAB_LIMIT, test, body);
}

/// [`enter`] for a scenario that is known to take longer.
pub fn enter_within(limit: Duration, test: &str, body: impl FnOnce(&mut Lab)) {
    if env::var_os(INSIDE).is_some() {
        let mut lab = Lab::new(test);
        body(&mut lab);
        return;
    }
    let rootfs = match Rootfs::find() {
        Ok(rootfs) => rootfs,
        Err(why) => return eprintln!("SKIPPED {test}: {why}"),
    };
    let exe = env::current_exe().expect("a running test knows its binary");
    let arguments = ["--exact", test, "--nocapture", "--test-threads=1"];
    let mut outcome = rerun(&rootfs, &exe, &arguments, limit);
    for _ in 1..TRIES {
        let Some(why) = starved(&outcome) else {
            break;
        };
        eprintln!("MEASURED {test}: run again: {why}");
        outcome = rerun(&rootfs, &exe, &arguments, limit);
    }
    match outcome {
        Ok((status, output)) => {
            for line in output
                .lines()
                .filter(|l| l.contains("SKIPPED") || l.contains("MEASURED"))
            {
                eprintln!("{line}");
            }
            assert!(
                status.success(),
                "{test} failed inside the lab ({status}):\n{output}"
            );
            // A name that is no test's runs nothing and fails nothing.
            assert!(
                output.contains("1 passed"),
                "{test} is not the name of this test function:\n{output}"
            );
        }
        Err(why) => panic!("{test}: {why}"),
    }
}

/// What a run says that failed for want of the machine.
fn starved(outcome: &Result<(ExitStatus, String), String>) -> Option<String> {
    let (status, output) = outcome.as_ref().ok()?;
    let mut lines = output.lines().filter(|_| !status.success());
    lines
        .find(|line| line.starts_with(STARVED))
        .map(ToOwned::to_owned)
}

/// Replaces the calling program by itself inside the lab's namespaces; returns only when already
/// there. For programs (the demo); tests use [`enter`].
pub fn enter_program() -> Result<Lab, String> {
    if env::var_os(INSIDE).is_some() {
        return Ok(Lab::new("demo"));
    }
    let rootfs = Rootfs::find().map_err(|why| why.to_string())?;
    let exe = env::current_exe().map_err(|e| e.to_string())?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let status = inside(&rootfs, &exe)
        .args(&arguments)
        .status()
        .map_err(|e| format!("unshare: {e}"))?;
    std::process::exit(status.code().unwrap_or(1));
}

fn inside(rootfs: &Rootfs, exe: &Path) -> Command {
    let covered = MOUNT_POINTS
        .iter()
        .find(|dir| {
            Path::new(dir).is_dir() && !rootfs.path.starts_with(dir) && !exe.starts_with(dir)
        })
        .unwrap_or(&"/mnt");
    let mut command = Command::new("unshare");
    command
        .args(rootfs.privilege.unshare_options())
        .args(["-n", "-m", "-p", "-f", "--mount-proc", "--kill-child"])
        .args(["--propagation", "private", "--"])
        .arg(exe)
        .envs(rootfs.to_environment())
        .env("RUST_BACKTRACE", "0") // the harness frames say nothing about a router
        .env(INSIDE, covered);
    command
}

fn rerun(
    rootfs: &Rootfs,
    exe: &Path,
    arguments: &[&str],
    limit: Duration,
) -> Result<(ExitStatus, String), String> {
    let mut child = inside(rootfs, exe)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("unshare: {e}"))?;
    let readers: Vec<_> = [
        child
            .stdout
            .take()
            .map(|s| Box::new(s) as Box<dyn Read + Send>),
        child
            .stderr
            .take()
            .map(|s| Box::new(s) as Box<dyn Read + Send>),
    ]
    .into_iter()
    .flatten()
    .map(|mut stream| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // A stream that breaks ends the output; the exit status still tells the outcome.
            let _ = stream.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    })
    .collect();
    let ended = wait::poll(limit, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        Ok(None) => Err("the lab is still running".to_owned()),
        Err(e) => Err(e.to_string()),
    });
    if ended.is_err() {
        // Killing `unshare` kills the lab's first process (`--kill-child`), and that all others.
        let _ = child.kill();
        let _ = child.wait();
    }
    let output: String = readers
        .into_iter()
        .filter_map(|reader| reader.join().ok())
        .collect();
    match ended {
        Ok((status, _)) => Ok((status, output)),
        Err(why) => Err(format!("{why}\n{output}")),
    }
}

/// The inside of a lab, owned by the body of the test.
pub struct Lab {
    rootfs: Rootfs,
    work: PathBuf,
    nodes: Vec<Node>,
    name: String,
}

impl Lab {
    fn new(name: &str) -> Lab {
        let work = PathBuf::from(env::var_os(INSIDE).expect("set by the outer pass"));
        let rootfs = Rootfs::from_environment().expect("set by the outer pass");
        let lab = Lab {
            rootfs,
            work,
            nodes: Vec::new(),
            name: name.to_owned(),
        };
        let mounted = Command::new("sh")
            .args(["-ec", MOUNT_ROOT, "lab"])
            .args([&lab.work, &lab.rootfs.path])
            .status()
            .expect("every system has sh");
        assert!(mounted.success(), "no layers on {}", lab.work.display());
        for (path, value) in [
            ("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "8192"),
            ("/proc/sys/net/ipv6/conf/default/accept_dad", "0"),
            ("/proc/sys/net/ipv6/conf/default/accept_ra", "0"),
        ] {
            // The first belongs to the machine and not to the namespace: only root may, and only
            // labs of many nodes need it.
            let _ = fs::write(path, value);
        }
        lab.ip("link set lo up");
        lab.lan("br0");
        lab.ip("addr add 10.99.0.254/24 dev br0");
        lab.ip("addr add fd99::254/64 dev br0 nodad");
        lab
    }

    /// The root the nodes run on.
    pub fn rootfs(&self) -> &Rootfs {
        &self.rootfs
    }

    /// Adds one more switch. `br0` is there from the start.
    pub fn lan(&self, name: &str) {
        self.ip(&format!("link add {name} type bridge mcast_snooping 0"));
        self.ip(&format!("link set {name} up"));
    }

    /// Runs `ip ARGUMENTS` in the lab's own namespace (the switches' side of all links).
    #[track_caller]
    pub fn ip(&self, arguments: &str) {
        let output = self
            .root_command("ip")
            .args(arguments.split_whitespace())
            .output();
        let output = output.expect("chroot is part of coreutils");
        assert!(
            output.status.success(),
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A program of the peers' root, in the lab's own namespaces. The host needs no iproute2.
    pub fn root_command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.work.join(".lab/m")).arg(program);
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Starts a node and connects it to `br0` as `eth0`.
    pub fn node(&mut self, name: &str) -> Node {
        self.node_on("br0", name)
    }

    /// The same with another switch, for segments beside each other. Addresses differ all the same.
    pub fn node_on(&mut self, lan: &str, name: &str) -> Node {
        let index = u8::try_from(self.nodes.len() + 1).expect("a lab has fewer than 200 nodes");
        let node = Node::start(&self.rootfs, &self.work, name, index);
        self.nodes.push(node.clone());
        self.attach(
            &node,
            lan,
            "eth0",
            &[
                format!("{}/24", Lab::address(index)),
                format!("{}/64", Lab::address6(index)),
            ],
        );
        node
    }

    /// Connects a node to a switch: interface `dev` inside, with `addresses`.
    pub fn attach(&self, node: &Node, lan: &str, dev: &str, addresses: &[String]) {
        let port = Lab::port(node, dev);
        let index = node.index();
        let lan_byte = lan.bytes().next_back().unwrap_or(b'0');
        self.ip(&format!(
            "link add {port} type veth peer name {dev} address 02:00:00:00:{lan_byte:02x}:{index:02x} \
             netns {}",
            node.pid()
        ));
        self.ip(&format!("link set {port} master {lan} up"));
        let mut script = format!("sysctl -qw net.ipv6.conf.{dev}.accept_dad=0\n");
        for address in addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            script += &format!("ip addr add {address} dev {dev} {nodad}\n");
        }
        script += &format!("ip link set {dev} up\n");
        node.sh(&script);
    }

    /// The switch's side of a node's link, for cutting it: `lab.ip("link set PORT down")`.
    pub fn port(node: &Node, dev: &str) -> String {
        format!("{}.{}", dev.trim_start_matches("eth"), node.name())
    }

    /// IPv4 address of node `index` on `br0`.
    pub fn address(index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, 0, index)
    }

    /// IPv6 address of node `index` on `br0`: the same digits as in IPv4.
    pub fn address6(index: u8) -> Ipv6Addr {
        let digits = u16::from_str_radix(&index.to_string(), 16).unwrap_or(0xff);
        Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, digits)
    }

    /// Gives the lab's own process one more address on `br0`, for a player that speaks from it.
    pub fn own_address(&self, address: IpAddr) {
        match address {
            IpAddr::V4(a) => self.ip(&format!("addr add {a}/24 dev br0")),
            IpAddr::V6(a) => self.ip(&format!("addr add {a}/64 dev br0 nodad")),
        }
    }

    /// Runs `ip -batch` in the lab's namespace; for many commands at once.
    pub fn ip_batch(&self, lines: &str) -> Output {
        let mut child = self
            .root_command("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chroot is part of coreutils");
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(lines.as_bytes())
                .expect("ip reads its batch");
        }
        child.wait_with_output().expect("ip ends")
    }

    /// Whether programs that drop privileges to another user can run (FRR, OpenBGPD).
    pub fn can_drop_privileges(&self) -> bool {
        self.rootfs.privilege != Privilege::Single
    }
}

impl Drop for Lab {
    /// A failed lab tells what its routers thought, since nobody can look afterwards.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- lab {}: last words of its nodes", self.name);
            for node in &self.nodes {
                eprintln!("{}", node.last_words());
            }
        }
    }
}
