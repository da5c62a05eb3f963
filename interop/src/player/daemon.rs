//! `wayfare-bgpd` as a child process, in the network namespace of the test.
//!
//! The binary is the one that cargo built beside the test, or `WAYFARE_BGPD`. Configuration,
//! control socket and log live in a directory of the test's own that goes away with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    dir: PathBuf,
}

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu_s: f64,
    /// Peak resident set, in KiB.
    pub peak_kib: u64,
}

/// The binary `name` of this workspace, built in the same profile as the running test.
///
/// # Panics
/// If it has not been built: the message says how to.
pub fn binary(name: &str) -> PathBuf {
    let variable = name.to_uppercase().replace('-', "_");
    if let Some(path) = std::env::var_os(&variable) {
        return path.into();
    }
    let this = std::env::current_exe().expect("the running test has a path");
    let found = this
        .ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join(name))
        .find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: cargo build --workspace --bins first"))
}

impl Daemon {
    /// Starts `wayfare-bgpd` with this configuration and waits for its control socket.
    ///
    /// # Panics
    /// If it ends or stays silent: with its log.
    pub fn start(name: &str, config: &str) -> Self {
        let dir = fresh_directory(name);
        std::fs::write(dir.join("bgpd.toml"), config).expect("the directory is writable");
        let log = File::create(dir.join("log")).expect("the directory is writable");
        let child = Command::new(binary("wayfare-bgpd"))
            .arg("--config")
            .arg(dir.join("bgpd.toml"))
            .arg("--socket")
            .arg(dir.join("bgpd.sock"))
            .env("STATE_DIRECTORY", &dir)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon's binary can be executed");
        let mut daemon = Self { child, dir };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(daemon.socket()).is_err() {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                panic!("wayfare-bgpd ended with {status}:\n{}", daemon.log());
            }
            assert!(
                Instant::now() < deadline,
                "no control socket:\n{}",
                daemon.log()
            );
            std::thread::yield_now();
        }
        daemon
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("bgpd.sock")
    }

    /// Directory of configuration, socket and log.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The daemon's log up to now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Still running?
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time and peak memory since the start, from /proc.
    pub fn usage(&self) -> Usage {
        usage(self.child.id())
    }

    /// Runs `wayfare` with these words against this daemon and gives its standard output.
    ///
    /// # Panics
    /// If the command fails: with its standard error.
    pub fn cli(&self, words: &[&str]) -> String {
        let output = Command::new(binary("wayfare"))
            .arg("--socket")
            .arg(self.socket())
            .args(words)
            .output()
            .expect("the CLI's binary can be executed");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "wayfare {words:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A directory nobody else uses: process ids repeat, in their namespaces and after a crash.
fn fresh_directory(name: &str) -> PathBuf {
    let candidates = (0_u32..).map(|n| std::env::temp_dir().join(format!("wayfare-{name}-{n}")));
    for dir in candidates {
        match std::fs::create_dir(&dir) {
            Ok(()) => return dir,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("{}: {error}", dir.display()),
        }
    }
    unreachable!("some number is free")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of wayfare-bgpd\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// CPU time and peak memory of a process, from /proc; zeros once it is gone.
pub fn usage(pid: u32) -> Usage {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    // utime and stime are fields 14 and 15; the first after the name is field 3.
    let ticks: f64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib = peak.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Usage {
        cpu_s: ticks / 100.0,
        peak_kib: peak_kib.unwrap_or_default(),
    }
}
