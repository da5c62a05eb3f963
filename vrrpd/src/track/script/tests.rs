//! Scripts that fail, write for ever, do not end, or leave children.

use std::path::Path;
use std::time::Duration;

use super::super::{Check, Outcome, Probe, ask as ask_check, tls};
use super::*;

fn shell(text: &str) -> ScriptProbe {
    ScriptProbe {
        command: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        user: None,
    }
}

async fn run_for(script: ScriptProbe, patience: Duration) -> Outcome {
    let check = Check {
        probe: Probe::Script(script),
        interval: patience,
        timeout: patience,
        rise: 1,
        fall: 1,
    };
    let mut trust = tls::Trust::default();
    ask_check(&check, Path::new("/nonexistent"), &mut trust).await
}

#[tokio::test]
async fn exit_code_and_last_line_are_shown() {
    for (text, good, said) in [
        ("exit 0", true, "exit 0"),
        ("echo fine", true, "exit 0: fine"),
        ("echo one; echo two >&2; echo; exit 3", false, "exit 3: two"),
        ("printf 'a\\033[1mb'", true, "exit 0: a?[1mb"),
        ("kill -9 $$", false, "ended by signal 9"),
        (
            "echo $HOME-$PATH",
            true,
            "exit 0: -/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:",
        ),
    ] {
        let outcome = run_for(shell(text), Duration::from_secs(60)).await;
        let got = (outcome.good, outcome.text.starts_with(said));
        assert_eq!(got, (good, true), "{text}: {}", outcome.text);
    }
    let absent = ScriptProbe {
        command: vec!["/nonexistent/check".to_owned()],
        user: None,
    };
    let outcome = run_for(absent, Duration::from_secs(60)).await;
    assert!(
        outcome.text.starts_with("cannot be run: No such file"),
        "{}",
        outcome.text
    );
}

/// More than any pipe holds: it neither blocks nor fills memory.
#[tokio::test]
async fn much_output_is_read_and_forgotten() {
    let much = shell(
        "i=0; while [ $i -lt 4000 ]; do echo $i $(printf %0100d 0); i=$((i+1)); done 2>&1; echo end",
    );
    let outcome = run_for(much, Duration::from_secs(60)).await;
    assert_eq!(outcome.text, "exit 0: end");
}

/// Who is late is ended with everything it has started, and what it started first says who it is.
#[tokio::test]
async fn who_is_late_is_ended_with_its_children() {
    let directory = std::env::temp_dir().join(format!("wayfare-late-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("pid");
    let late = shell(&format!("sleep 1000 & echo $! > {}; wait", file.display()));
    // As long as it takes until the child has been started, and then not one moment.
    let started = async {
        while std::fs::read_to_string(&file).map_or(true, |text| !text.ends_with('\n')) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = run(&late) => panic!("it sleeps"),
        () = started => {}
    }
    let text = std::fs::read_to_string(&file).expect("written");
    let child = Pid::from_raw(text.trim().parse().expect("a number"));
    // It is nobody's child now and goes when init or a subreaper looks after it: dead is enough.
    let dead = || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
    };
    while !dead() {
        tokio::task::yield_now().await;
    }
    std::fs::remove_dir_all(&directory).expect("removed");
    let outcome = run_for(shell("sleep 1000"), Duration::from_millis(50)).await;
    assert_eq!(outcome.text, "did not end within 50ms: killed");
}

/// A child that keeps the pipe open is not waited for.
#[tokio::test]
async fn what_is_left_behind_is_not_waited_for() {
    let outcome = run_for(shell("sleep 20 & echo done"), Duration::from_secs(10)).await;
    assert_eq!(outcome.text, "exit 0: done");
}
