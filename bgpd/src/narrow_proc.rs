//! For tests: `/proc` as a hardened unit sees it.
//!
//! `ProcSubset=pid` in the unit mounts `/proc` with `subset=pid`: processes are there and nothing
//! else. What a daemon reads elsewhere under `/proc` is then missing, which no test on an open
//! machine shows. A thread leaves for a mount namespace of its own, where `/proc` is that narrow,
//! and does the reading there. Who may not mount is skipped, by name.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Runs `look` where `/proc` is narrow.
pub(crate) fn run(name: &str, look: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| match narrow() {
            Ok(()) => look(),
            Err(error) => eprintln!("SKIPPED {name}: no /proc of its own: {error}"),
        });
        thread.join().expect("it is as expected");
    });
}

fn narrow() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::empty(),
        Some("subset=pid"),
    )
}
