//! One program at a time, in a thread of its own.
//!
//! Starting a program takes a millisecond or more, which an advert may not have to wait for. The
//! program is a process group of its own with a clean environment and no descriptors but its
//! output; it is killed with its children after [`DEADLINE`]. Its output goes to the log, up to
//! [`OUTPUT_MAX`] octets. What it leaves running in the background is left alone.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::queue::Notice;
use crate::trust;

/// Longest run of a program.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Output of one run that is logged.
const OUTPUT_MAX: usize = 4096;

/// How often a silent program is looked at.
const LOOK_EVERY_MS: u8 = 10;

/// What of our environment a program may see.
const KEPT: [&str; 4] = ["PATH", "LANG", "TZ", "HOME"];

/// Starts the program of a notice.
///
/// # Errors
/// It is not to be trusted, or cannot be started; the next notice may do better.
pub fn start(notice: &Notice) -> io::Result<(Child, PipeReader)> {
    // It may be another file than when the configuration was read.
    trust::judge(&notice.program, None).map_err(io::Error::other)?;
    let (reader, writer) = io::pipe()?;
    let (group, name) = &notice.subject;
    let mut command = Command::new(&notice.program);
    command
        .arg(if *group { "GROUP" } else { "INSTANCE" })
        .arg(name)
        .arg(notice.word.name())
        .arg(notice.priority.to_string())
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .envs(
            KEPT.iter()
                .filter_map(|key| Some((key, std::env::var_os(key)?))),
        )
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    for (key, value) in &notice.details {
        command.env(format!("WAYFARE_{key}"), value);
    }
    Ok((command.spawn()?, reader))
}

/// Waits for its end, and kills it when that is late or when `stop` says so. Comes back with what
/// it wrote and how it ended; `None`: it was killed.
///
/// # Errors
/// It cannot be waited for.
pub fn wait(
    child: &mut Child,
    output: &mut PipeReader,
    stop: impl Fn() -> bool,
) -> io::Result<(Vec<u8>, Option<ExitStatus>)> {
    let late = Instant::now() + DEADLINE;
    let mut text = Vec::new();
    let mut open = true;
    loop {
        open = open && read(output, &mut text, LOOK_EVERY_MS)?;
        if let Some(status) = child.try_wait()? {
            // What it wrote last; more may come for ever from what it left in the background.
            while open && text.len() < OUTPUT_MAX && readable(output, 0)? {
                open = read(output, &mut text, 0)?;
            }
            return Ok((text, Some(status)));
        }
        if Instant::now() >= late || stop() {
            kill(child.id());
            child.wait()?;
            return Ok((text, None));
        }
        if !open {
            // Its output is closed; it is not.
            poll(&mut [], PollTimeout::from(LOOK_EVERY_MS))?;
        }
    }
}

/// Kills a program and what it started.
pub(super) fn kill(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        // It may have ended meanwhile.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn readable(output: &PipeReader, wait_ms: u8) -> io::Result<bool> {
    let mut wanted = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    match poll(&mut wanted, PollTimeout::from(wait_ms)) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads what is there, keeps what still fits, and says whether more may come.
fn read(output: &mut PipeReader, text: &mut Vec<u8>, wait_ms: u8) -> io::Result<bool> {
    if !readable(output, wait_ms)? {
        return Ok(true);
    }
    let mut buffer = [0; 1024];
    let length = output.read(&mut buffer)?;
    let room = OUTPUT_MAX.saturating_sub(text.len());
    text.extend(buffer.iter().take(length.min(room)));
    Ok(length > 0)
}

/// How it ended, in words; `None`: well.
#[must_use]
pub fn ending(status: Option<ExitStatus>) -> Option<String> {
    let Some(status) = status else {
        return Some(format!("killed: longer than {} s", DEADLINE.as_secs()));
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exit code {code}")),
        (None, Some(signal)) => Some(format!("ended by signal {signal}")),
        (None, None) => Some("ended".to_owned()),
    }
}
