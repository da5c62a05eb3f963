//! A test run again inside a network namespace of its own.
//!
//! Addresses and port 179 belong to the test alone there, and nothing it does reaches the host.
//! `unshare` is executed, not called: a user namespace can only be made by a process with one
//! thread, and a test harness has many. Works as root, and without where the kernel allows user
//! namespaces.

use std::process::Command;

const INSIDE: &str = "WAYFARE_TEST_NAMESPACE";

/// Whether [`entered`] has been passed.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// True inside the namespace. Outside, runs the test `name` of this executable inside and panics
/// if it fails there; the caller then returns, its work done.
pub fn entered(name: &str) -> bool {
    if is_inside() {
        run("ip", &["link", "set", "lo", "up"]);
        return true;
    }
    let this = std::env::current_exe().expect("the running test has a path");
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    // Its own /proc, for the process ids of its own children.
    command.args(["--net", "--pid", "--fork", "--mount-proc"]);
    command.args(["--kill-child", "--"]);
    command
        .arg(this)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1");
    let status = command.status().expect("util-linux's unshare is there");
    assert!(status.success(), "{name} failed inside its namespace");
    false
}

/// Runs a command that must succeed.
pub fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
