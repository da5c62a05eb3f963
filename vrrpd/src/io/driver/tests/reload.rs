//! A reload whose files do not answer: adverts leave in time, and the next reload waits.
//!
//! A named pipe stands for the directory of users or the file system that hangs: opening it for
//! reading takes until somebody writes. The clock is the test's own, so nothing here depends on
//! how long that is.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::sys::stat::Mode;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::{ONE, TWO, master, ms};
use crate::daemon;

/// A pipe that nobody writes to yet.
fn pipe(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
    // What an earlier run with this number left.
    let _ = std::fs::remove_file(&path);
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    path
}

/// Writes as soon as somebody reads.
async fn write(path: &Path, text: String) {
    let path = path.to_owned();
    let written = tokio::task::spawn_blocking(move || std::fs::write(path, text)).await;
    written.expect("it ends").expect("it is read");
}

#[test]
fn a_configuration_that_does_not_answer_delays_no_advert() {
    let path = pipe("reload");
    let mut lab = master(ONE);
    let shared = Rc::clone(&lab.shared);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let begin = |check_only| {
            let (shared, path) = (Rc::clone(&shared), path.clone());
            spawn_local(async move { daemon::reload(&shared, &path, check_only).await })
        };
        let (first, second) = (begin(false), begin(true));
        for _ in 0..20 {
            yield_now().await;
            assert!(lab.run(ms(100)));
            let acts = lab.acts();
            let sent = acts.iter().filter(|act| *act == "send 100 of 50");
            assert_eq!(sent.count(), 1, "{acts:?}");
        }
        assert!(!first.is_finished() && !second.is_finished());
        // Who has asked only to know, and left, does not make room for another thread.
        second.abort();
        let third = begin(true);
        write(&path, format!("{ONE}{TWO}")).await;
        let plan = first.await.expect("it ends").expect("a good file");
        let added: Vec<_> = plan.changes.iter().map(|one| &one.instance).collect();
        assert_eq!(added, ["b"]);
        assert!(!third.is_finished());
        write(&path, ONE.to_owned()).await;
        let plan = third.await.expect("it ends").expect("a good file");
        assert_eq!(plan.changes.len(), 1, "{plan:?}");
    });
    std::fs::remove_file(&path).expect("removed");
}
