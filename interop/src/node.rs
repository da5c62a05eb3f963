//! One node: a container over the shared root, driven from outside by `nsenter`.
//!
//! The node's first process is a shell that only reaps; everything else is put in by [`Node::run`]
//! and its kin, which enter the node's network, mount, process and host-name namespaces. Writes go
//! to an overlay in memory, so every node sees a pristine root and its files vanish with it. Files
//! are written and read through `/proc/PID/root`, which spares a process per file.
//!
//! The programs of this checkout (`wayfare-bgpd`, `wayfare`) appear at `/opt/wayfare`, bound from
//! the directory where the test binary itself was built, or from `WAYFARE_BIN`.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::rootfs::Rootfs;
use crate::wait;

/// Lines of each log that a failed test prints.
const LAST_WORDS_LINES: usize = 40;

/// What the node's shell does before it hands over to the reaper. `$1` root, `$2` layer directory,
/// `$3` our programs, `$4` host name.
const START: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/u,workdir=$2/w" "$2/m"
cd "$2/m"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys || true
for d in run tmp srv opt; do mount -t tmpfs tmpfs $d; done
for d in etc/frr var/lib/frr var/tmp/frr var/log; do
    [ ! -d $d ] || mount -t tmpfs tmpfs $d
done
mkdir -p run/lock run/node run/wayfare opt/wayfare
[ ! -d "$3" ] || mount --bind "$3" opt/wayfare
pivot_root . mnt
hostname "$4"
ip link set lo up
for f in all default; do
    echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter
    echo 0 > /proc/sys/net/ipv4/conf/$f/send_redirects
    echo 0 > /proc/sys/net/ipv6/conf/$f/accept_dad
done
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 1 > /proc/sys/net/ipv4/fib_multipath_hash_policy
umount -l /mnt
: > /run/ready
trap : TERM INT
sleep infinity &
wait
"#;

#[derive(Debug)]
struct Inner {
    name: String,
    index: u8,
    pid: u32,
    holder: Mutex<Child>,
}

/// A handle to a node; clones name the same node.
#[derive(Clone, Debug)]
pub struct Node(Arc<Inner>);

impl Node {
    /// Starts a node and waits until it can be entered.
    pub(crate) fn start(rootfs: &Rootfs, work: &Path, name: &str, index: u8) -> Node {
        let layers = work.join(name);
        for layer in ["u", "w", "m"] {
            fs::create_dir_all(layers.join(layer)).expect("the lab's tmpfs is writable");
        }
        let holder = Command::new("unshare")
            .args([
                "-n",
                "-m",
                "-u",
                "-p",
                "--fork",
                "--kill-child",
                "--propagation",
                "private",
            ])
            .args(["sh", "-c", START, "node"])
            .args([rootfs.path.as_os_str(), layers.as_os_str()])
            .args([program_dir().as_os_str(), OsStr::new(name)])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("unshare is part of util-linux");
        let unshare = holder.id();
        let pid = wait::until("the node's first process", 10, || {
            let children = format!("/proc/{unshare}/task/{unshare}/children");
            let text = fs::read_to_string(children).map_err(|e| e.to_string())?;
            text.trim().parse::<u32>().map_err(|e| e.to_string())
        });
        wait::until_true("the node's root", 20, || {
            Path::new(&format!("/proc/{pid}/root/run/ready")).exists()
        });
        let holder = Mutex::new(holder);
        Node(Arc::new(Inner {
            name: name.to_owned(),
            index,
            pid,
            holder,
        }))
    }

    /// The node's name, also its host name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its number in the lab, from 1: the last part of its addresses.
    pub fn index(&self) -> u8 {
        self.0.index
    }

    /// Its first process, as the lab sees it.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// A file of the node, as a path outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.0.pid))
    }

    /// Writes a file in the node; its directories are made.
    pub fn write(&self, inside: &str, text: impl AsRef<[u8]>) {
        let path = self.path(inside);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("the node's overlay is writable");
        }
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Reads a file of the node, empty when it is not there.
    pub fn read(&self, inside: &str) -> String {
        let bytes = fs::read(self.path(inside)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A file of the node's own `/proc` (`net/netstat`), which a process of its namespaces reads.
    ///
    /// # Errors
    /// When the node is gone.
    pub fn read_proc(&self, name: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{name}", self.0.pid);
        fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))
    }

    /// A command inside the node, to be started by the caller.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "-t",
                &self.0.pid.to_string(),
                "-n",
                "-m",
                "-u",
                "-p",
                "-r",
                "-w",
            ])
            .arg(program)
            .env("PATH", "/opt/wayfare:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("WAYFARE_LAB");
        command
    }

    /// Runs a command to its end, whatever that is.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::null());
        command
            .output()
            .unwrap_or_else(|e| panic!("nsenter {program}: {e}"))
    }

    /// Standard output of a command that must succeed, else what went wrong.
    ///
    /// # Errors
    /// Exit status and both outputs, as text for a waiting loop or a panic.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let output = self.run(program, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let line = arguments.join(" ");
        Err(format!(
            "{}: {program} {line}: {}: {text}{errors}",
            self.name(),
            output.status
        ))
    }

    /// Like [`Node::output`], parsed as JSON.
    pub fn json(&self, program: &str, arguments: &[&str]) -> Result<Value, String> {
        let text = self.output(program, arguments)?;
        serde_json::from_str(&text).map_err(|e| {
            let head: String = text.chars().take(300).collect();
            format!(
                "{}: {program} {}: {e}: {head}",
                self.name(),
                arguments.join(" ")
            )
        })
    }

    /// Runs a shell script that must succeed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        match self.output("sh", &["-ec", script]) {
            Ok(text) => text,
            Err(why) => panic!("{why}"),
        }
    }

    /// Starts a program that stays; its output goes to `/run/node/LOG`.
    pub fn spawn(&self, log: &str, program: &str, arguments: &[&str]) -> Child {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(&format!("/run/node/{log}")))
            .expect("the node's tmpfs is writable");
        let errors = file.try_clone().expect("a file handle can be doubled");
        let mut command = self.command(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors);
        command
            .spawn()
            .unwrap_or_else(|e| panic!("nsenter {program}: {e}"))
    }

    /// Kills every process of the given program names, as a crash would; no farewell is sent.
    pub fn kill(&self, names: &[&str]) {
        for name in names {
            self.signal("KILL", name);
        }
    }

    /// Sends a signal to the processes whose program name is `name`.
    pub fn signal(&self, signal: &str, name: &str) {
        self.run("pkill", &[&format!("-{signal}"), "-x", name]);
    }

    /// Whether a process of that program name lives: any thread of it. A killed process whose first
    /// thread is gone already still holds its sockets and locks until the last one ends.
    pub fn has_process(&self, name: &str) -> bool {
        let script = "for pid in $(pgrep -x \"$0\"); do \
             grep -hs '^State:' /proc/$pid/task/*/status; done | grep -qv '[ZX] '";
        self.run("sh", &["-c", script, name]).status.success()
    }

    /// Takes the whole node down: power off. Its links vanish with it.
    pub fn power_off(&self) {
        let mut holder = self
            .0
            .holder
            .lock()
            .expect("no one panics while holding it");
        let _ = holder.kill();
        let _ = holder.wait();
    }

    /// The kernel's routes as `ip -j route` prints them; `arguments` such as `-6` or a table.
    pub fn routes(&self, arguments: &str) -> Result<Vec<Value>, String> {
        let mut words = vec!["-j"];
        let (options, rest): (Vec<&str>, Vec<&str>) = arguments
            .split_whitespace()
            .partition(|word| word.starts_with('-'));
        words.extend(options);
        words.extend(["route", "show"]);
        words.extend(rest);
        match self.json("ip", &words)? {
            Value::Array(routes) => Ok(routes),
            other => Err(format!("ip route: {other}")),
        }
    }

    /// Tails of the logs in `/run/node`, for a failed test.
    pub fn last_words(&self) -> String {
        let mut words = format!("== {}", self.name());
        let Ok(entries) = fs::read_dir(self.path("/run/node")) else {
            return words;
        };
        let mut logs: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "log" || e == "conf"))
            .collect();
        logs.sort();
        for log in logs {
            let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines.len().saturating_sub(LAST_WORDS_LINES);
            let file = log
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            words += &format!("\n-- {file}\n{}", lines[tail..].join("\n"));
        }
        words
    }
}

/// The directory of our programs: `WAYFARE_BIN`, else where this very program was built.
pub fn program_dir() -> PathBuf {
    if let Some(dir) = env::var_os("WAYFARE_BIN") {
        return PathBuf::from(dir);
    }
    let exe = env::current_exe().unwrap_or_default();
    let dir = exe.parent().unwrap_or(Path::new("/"));
    if dir.ends_with("deps") {
        dir.parent().unwrap_or(dir).to_owned()
    } else {
        dir.to_owned()
    }
}
