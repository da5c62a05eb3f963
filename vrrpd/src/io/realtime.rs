//! Real time, where the system allows it: a busy machine must not make a master late.
//!
//! The two threads that adverts and addresses hang on ask for the lowest real-time priority, which
//! still comes before everything ordinary; and, where nothing limits locked memory, for pages that
//! stay once they are there. Both are asked for and not demanded: `LimitRTPRIO=` and
//! `LimitMEMLOCK=infinity` of the unit grant them without a capability, and whoever does not want
//! them leaves the limits out. Other threads and child processes (checks, notify) stay ordinary.
//!
//! Memory is never locked against a limit: the next allocation beyond it would fail.

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::sockopt;

/// The lowest of real-time priorities.
const PRIORITY: i32 = 1;

/// Asks for real time for the calling thread.
///
/// # Errors
/// The system does not allow it.
pub fn enter() -> io::Result<()> {
    sockopt::set_round_robin(PRIORITY)
}

/// Asks for everything, for the main thread, and says what was not given.
pub fn enter_and_tell() {
    if let Err(error) = enter() {
        tracing::info!(
            "no real-time scheduling ({error}): a busy machine may delay adverts; \
             LimitRTPRIO={PRIORITY} of the unit allows it"
        );
    }
    let unlimited =
        getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    if unlimited && let Err(error) = sockopt::lock_memory() {
        tracing::info!("memory is not locked: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(stat: &str) -> Option<String> {
        // The 41st field of proc_pid_stat(5), counted from behind the name.
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_whitespace().nth(38).map(str::to_owned)
    }

    /// A child is ordinary, whether or not this thread may be more.
    #[test]
    fn children_are_ordinary() {
        let allowed = enter().is_ok();
        let own = std::fs::read_to_string("/proc/thread-self/stat").expect("procfs");
        let wanted = if allowed { "2" } else { "0" };
        assert_eq!(policy(&own).as_deref(), Some(wanted));
        let child = std::process::Command::new("cat")
            .arg("/proc/self/stat")
            .output()
            .expect("cat runs");
        let child = String::from_utf8_lossy(&child.stdout).into_owned();
        assert_eq!(policy(&child).as_deref(), Some("0"), "{child}");
    }
}
