//! A program, run as whom it is for, and ended in time.
//!
//! It gets a process group of its own, so that what it starts can be ended with it; no input; an
//! environment of nothing but a path; and `/` to stand in. What it writes is read and thrown away
//! but for the end, whose last line is shown: a script that writes for ever fills nothing. Exit
//! code 0 is good.
//!
//! The daemon's capabilities are not handed on, nor its standing when memory runs out. Another user
//! needs CAP_SETUID and CAP_SETGID, and CAP_KILL to end what is late; see the unit. Without the
//! last a script that is late lives on, and is not run again before it has ended ([`Left`]).

use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;

use crate::config::check::ScriptProbe;
use crate::io::sockopt::as_anybody;
use crate::node::checks::Outcome;
use crate::trust;

/// Octets of output that are kept: the last.
const TAIL_MAX: usize = 1 << 10;
/// Characters of the last line that are shown.
const LINE_MAX: usize = 160;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The process group of a run that could not be ended.
#[derive(Default)]
pub(super) struct Left(Cell<Option<Pid>>);

impl Left {
    /// Whether it is still there; its own processes are, and nobody here may end them.
    fn lives(&self) -> bool {
        let lives = |group| killpg(group, None) != Err(Errno::ESRCH);
        self.0.set(self.0.get().filter(|group| lives(*group)));
        self.0.get().is_some()
    }
}

/// Ends a process group when it is dropped: the check timed out or is not wanted any more.
struct Group<'a>(Option<Pid>, &'a Left);

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = killpg(group, Signal::SIGKILL)
        {
            tracing::warn!(%group, %error, "a script that is late cannot be ended");
            self.1.0.set(Some(group));
        }
    }
}

pub(super) async fn ask(script: &ScriptProbe, left: &Left) -> Outcome {
    if left.lives() {
        return Outcome::bad("not run: the last run was late, cannot be ended, and still runs");
    }
    match run(script, left).await {
        Ok((status, output)) => {
            let line = last_line(&output);
            let text = match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit {code}{line}"),
                (None, Some(signal)) => format!("ended by signal {signal}{line}"),
                (None, None) => format!("ended{line}"),
            };
            match status.success() {
                true => Outcome::good(text),
                false => Outcome::bad(text),
            }
        }
        Err(text) => Outcome::bad(text),
    }
}

async fn run(script: &ScriptProbe, left: &Left) -> Result<(ExitStatus, Vec<u8>), String> {
    let [program, arguments @ ..] = script.command.as_slice() else {
        return Err("no program".to_owned());
    };
    let failed = |error: std::io::Error| {
        let user = script.user.as_ref();
        let hint = match (error.kind(), user) {
            (std::io::ErrorKind::PermissionDenied, Some(user)) => {
                format!(" (as {}: needs CAP_SETUID and CAP_SETGID)", user.name)
            }
            _ => String::new(),
        };
        format!("cannot be run: {error}{hint}")
    };
    let user = script.user.as_ref().map(|user| user.uid);
    if let Err(why) = trust::judge(program.as_ref(), user) {
        return Err(format!("cannot be run: {why}"));
    }
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(failed)?)
        .stderr(writer);
    if let Some(user) = &script.user
        && user.uid != nix::unistd::geteuid().as_raw()
    {
        command.uid(user.uid).gid(user.gid);
    }
    as_anybody(command.as_std_mut());
    let mut child = command.spawn().map_err(failed)?;
    // It holds the ends that are written to; the pipe would never end.
    drop(command);
    let leader = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(leader.map(Pid::from_raw), left);
    let mut output = Receiver::from_owned_fd(reader.into()).map_err(failed)?;
    let mut tail = Vec::new();
    let status = loop {
        tokio::select! {
            biased;
            more = read_tail(&mut output, &mut tail) => {
                if !more {
                    // Nobody writes any more; the end may still take a while.
                    break child.wait().await;
                }
            }
            status = child.wait() => {
                // What is in the pipe already; not what somebody left behind may write later.
                drain(&output, &mut tail);
                break status;
            }
        }
    };
    group.0 = None;
    Ok((status.map_err(failed)?, tail))
}

/// Reads on; `false` at the end.
async fn read_tail(output: &mut Receiver, tail: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4096];
    match output.read(&mut piece).await {
        Ok(0) | Err(_) => false,
        Ok(read) => {
            keep_end(tail, &piece[..read]);
            true
        }
    }
}

fn drain(output: &Receiver, tail: &mut Vec<u8>) {
    let mut piece = [0; 4096];
    // At most what a pipe holds.
    for _ in 0..16 {
        match output.try_read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(read) => keep_end(tail, &piece[..read]),
        }
    }
}

fn keep_end(tail: &mut Vec<u8>, piece: &[u8]) {
    tail.extend_from_slice(piece);
    let over = tail.len().saturating_sub(TAIL_MAX);
    tail.drain(..over);
}

/// `: the last line with something in it`, printable.
fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    let Some(line) = line else {
        return String::new();
    };
    let clean = line.chars().map(|c| if c.is_control() { '?' } else { c });
    format!(": {}", clean.take(LINE_MAX).collect::<String>())
}

#[cfg(test)]
mod tests;
