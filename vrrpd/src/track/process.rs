//! A process by its name: found in `/proc`, then waited for by a descriptor.
//!
//! While one runs nothing is searched: the kernel tells the moment it ends (pidfd, Linux 5.3), and
//! only then is another of that name looked for. A zombie does not run. The name is what the kernel
//! calls the process (15 octets), or the file name of its first argument.
//!
//! Where `/proc` hides the processes of others (`ProtectProc=invisible` of the unit), they are not
//! found; the answer says so.

use std::os::fd::OwnedFd;
use std::path::Path;

use tokio::time::sleep;

use super::Mail;
use crate::io::sockopt::{Readable, pidfd};
use crate::node::checks::Outcome;

/// The kernel's name of a process is cut here.
const COMM_MAX: usize = 15;

pub(super) async fn watch(mail: &Mail, name: &str) {
    let mut running: Option<(i32, Readable<OwnedFd>)> = None;
    loop {
        if running.is_none() {
            running = find(name);
        }
        mail.send(match &running {
            Some((pid, _)) => Outcome::good(format!("runs as process {pid}")),
            None => Outcome::bad("none runs, or /proc hides it (ProtectProc= of the unit)"),
        })
        .await;
        match &running {
            None => sleep(mail.check.interval).await,
            Some((_, ended)) => {
                tokio::select! {
                    () = sleep(mail.check.interval) => {}
                    _ = ended.wait() => running = None,
                }
            }
        }
    }
}

/// A process of this name that has not ended.
fn find(name: &str) -> Option<(i32, Readable<OwnedFd>)> {
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| is_called(*pid, name)).find_map(|pid| {
        let ended = pidfd(pid).ok()?;
        // Between the two another process may have got the number.
        let same = is_called(pid, name);
        Some((pid, Readable::new(ended).ok()?)).filter(|_| same)
    })
}

fn is_called(pid: i32, name: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // "pid (name) state ...", and a name may hold anything.
    let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else {
        return false;
    };
    let state = stat[close + 1..].trim_start().chars().next();
    if matches!(state, Some('Z' | 'X') | None) {
        return false;
    }
    let comm = &stat[open + 1..close];
    if name.len() <= COMM_MAX && comm == name {
        return true;
    }
    let Ok(words) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let first = words.split(|octet| *octet == 0).next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let file = Path::new(first.as_ref()).file_name();
    file.is_some_and(|file| file == name)
}
