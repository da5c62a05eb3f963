//! The runner: each check once, unchanged ones untouched, unwanted ones ended.

use std::path::PathBuf;

use super::*;
use crate::config::check::ScriptProbe;

fn check(probe: Probe) -> Check {
    Check {
        probe,
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(3600),
        rise: 1,
        fall: 1,
    }
}

fn script(text: &str) -> Check {
    check(Probe::Script(ScriptProbe {
        command: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        user: None,
    }))
}

fn runner() -> (Runner, mpsc::Receiver<Answer>) {
    let (answers, inbox) = mpsc::channel(ANSWERS_MAX);
    let runner = Runner {
        orders: None,
        ended: None,
        patience: END_TIME_MAX,
        answers,
        bgpd: PathBuf::from("/nonexistent/bgpd.sock"),
    };
    (runner, inbox)
}

/// The next answer of `wanted`.
async fn answer_of(inbox: &mut mpsc::Receiver<Answer>, wanted: &Check) -> Outcome {
    loop {
        let (check, outcome) = inbox.recv().await.expect("the thread lives");
        if check == *wanted {
            return outcome;
        }
    }
}

#[tokio::test]
async fn without_checks_there_is_no_thread() {
    let (mut runner, _inbox) = runner();
    runner.set(BTreeSet::new());
    assert!(runner.orders.is_none());
}

#[tokio::test]
async fn a_reload_leaves_unchanged_checks_running_and_ends_the_others() {
    let directory = std::env::temp_dir().join(format!("wayfare-runner-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("runs");
    // Each run leaves a line, and does not end by itself.
    let long = script(&format!("echo $$ >> {}; exec sleep 1000", file.display()));
    let short = script("echo one line");
    let runs = || std::fs::read_to_string(&file).unwrap_or_default();
    let (mut runner, mut inbox) = runner();
    runner.set(BTreeSet::from([long.clone()]));
    while !runs().ends_with('\n') {
        tokio::task::yield_now().await;
    }
    runner.set(BTreeSet::from([long.clone(), short.clone()]));
    for _ in 0..3 {
        let outcome = answer_of(&mut inbox, &short).await;
        assert_eq!(outcome, Outcome::good("exit 0: one line"));
    }
    assert_eq!(runs().lines().count(), 1, "never twice, and not begun anew");
    let process = format!("/proc/{}/stat", runs().trim());
    assert!(std::path::Path::new(&process).exists(), "it sleeps");
    runner.set(BTreeSet::from([short.clone()]));
    // Ended with its task; who reaps it is the runtime.
    let lives = || {
        let stat = std::fs::read_to_string(&process).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while lives() {
        tokio::task::yield_now().await;
    }
    assert!(
        answer_of(&mut inbox, &short).await.good,
        "the other goes on"
    );
    std::fs::remove_dir_all(&directory).expect("removed");
}

/// A file system that hangs costs one thread, however often it is asked; when it answers again, the
/// next question is a new one.
#[tokio::test]
async fn a_look_that_hangs_is_not_begun_again() {
    let (begun, looks) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let look = || {
        let (begun, wait) = (begun.clone(), std::sync::Arc::clone(&wait));
        move || {
            begun.send(()).expect("the test goes on");
            // Until it is let go.
            let _ = wait.lock().map(|wait| wait.recv());
            Outcome::good("exists")
        }
    };
    let mut kept = Kept::default();
    for _ in 0..5 {
        let late = timeout(Duration::from_millis(5), kept.look(look())).await;
        assert!(late.is_err(), "{late:?}");
    }
    looks.recv().expect("one look");
    assert!(looks.try_recv().is_err(), "and no more");
    drop(go);
    assert_eq!(kept.look(look()).await, Outcome::good("exists"));
    assert_eq!(looks.try_iter().count(), 1);
}

/// What is asked of this very process and of files, without a server.
#[tokio::test]
async fn what_this_host_knows_of_itself() {
    let own = std::fs::read_to_string("/proc/self/comm").expect("procfs");
    let runs = check(Probe::Process(own.trim().to_owned()));
    let none = check(Probe::Process("no-such-process".to_owned()));
    let there = check(Probe::File(PathBuf::from("/proc/self/stat")));
    let absent = check(Probe::File(PathBuf::from("/nonexistent/file")));
    let bgp = check(Probe::Bgp {
        neighbor: [10, 0, 0, 1].into(),
        socket: None,
    });
    let (mut runner, mut inbox) = runner();
    let all = [&runs, &none, &there, &absent, &bgp];
    runner.set(all.into_iter().cloned().collect());
    for (check, good, text) in [
        (&runs, true, "runs as process "),
        (&none, false, "none runs"),
        (&there, true, "exists"),
        (&absent, false, "No such file"),
        (&bgp, false, "bgpd at /nonexistent/bgpd.sock: No such file"),
    ] {
        let outcome = answer_of(&mut inbox, check).await;
        let got = (outcome.good, outcome.text.starts_with(text));
        assert_eq!(got, (good, true), "{check}: {}", outcome.text);
    }
}
