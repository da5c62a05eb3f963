//! Scripts that fail, write for ever, do not end, or leave children.

use std::path::Path;
use std::time::Duration;

use super::super::{Check, Kept, Outcome, Probe, ask as ask_check};
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
    let mut kept = Kept::default();
    ask_check(&check, Path::new("/nonexistent"), &mut kept).await
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
    let left = Left::default();
    // As long as it takes until the child has been started, and then not one moment.
    let started = async {
        while std::fs::read_to_string(&file).map_or(true, |text| !text.ends_with('\n')) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = run(&late, &left) => panic!("it sleeps"),
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

/// Whoever cannot be ended is waited for: a run that is late does not become many.
#[tokio::test]
async fn nothing_is_run_beside_what_cannot_be_ended() {
    use std::os::unix::process::CommandExt;
    let mut sleeper = std::process::Command::new("sleep")
        .arg("1000")
        .process_group(0)
        .spawn()
        .expect("it sleeps");
    let group = Pid::from_raw(sleeper.id().try_into().expect("a process"));
    let left = Left::default();
    left.0.set(Some(group));
    let script = shell("exit 0");
    let outcome = ask(&script, &left).await;
    assert!(
        !outcome.good && outcome.text.starts_with("not run: "),
        "{outcome:?}"
    );
    sleeper.kill().expect("it is ours");
    sleeper.wait().expect("it ends");
    assert_eq!(ask(&script, &left).await, Outcome::good("exit 0"));
}

/// The daemon may be spared when memory runs out; what it starts is not.
#[tokio::test]
async fn a_script_is_not_spared_when_memory_runs_out() {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").expect("procfs");
    let outcome = run_for(
        shell("cat /proc/self/oom_score_adj"),
        Duration::from_secs(60),
    )
    .await;
    let spared = own.trim().parse::<i32>().expect("a number") < 0;
    let wanted = if spared { "0" } else { own.trim() };
    assert_eq!(outcome.text, format!("exit 0: {wanted}"));
}

/// A child that keeps the pipe open is not waited for.
#[tokio::test]
async fn what_is_left_behind_is_not_waited_for() {
    let outcome = run_for(shell("sleep 20 & echo done"), Duration::from_secs(10)).await;
    assert_eq!(outcome.text, "exit 0: done");
}
