//! `make demo`: routers, nodes, a control plane, live on the terminal; `--headless` = pass or fail.
//!
//! The program re-runs itself inside a lab's namespaces, so it needs no root where the kernel
//! allows user namespaces, and leaves nothing behind. Exit status 0 when every step passed.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use interop::demo::screen::{self, Progress};
use interop::demo::script::STEPS;
use interop::demo::stage::Stage;
use interop::lab;

/// Live, the eye gets this long before each step.
const PAUSE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let headless = std::env::args().any(|a| a == "--headless") || !std::io::stdout().is_terminal();
    let started = Instant::now();
    let lab = match lab::enter_program() {
        Ok(lab) => lab,
        Err(why) => {
            eprintln!("demo: {why}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "demo: peers from Debian {}",
        lab.rootfs().suite.trim_end_matches(':')
    );
    let stage = Stage::build(lab);
    println!(
        "demo: 8 nodes and all daemons started in {:.2} s",
        started.elapsed().as_secs_f64()
    );
    let passed = if headless {
        play(&stage, &Progress::default(), None)
    } else {
        live(&stage)
    };
    println!(
        "demo: {} after {:.1} s",
        verdict(passed),
        started.elapsed().as_secs_f64()
    );
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn verdict(passed: bool) -> &'static str {
    if passed { "PASS" } else { "FAIL" }
}

/// Plays all steps, stops at the first that fails. With `quit`, somebody watches: steps are not
/// printed but paced, and end when it is set.
fn play(stage: &Stage, progress: &Progress, quit: Option<&AtomicBool>) -> bool {
    for (title, step) in STEPS {
        if let Some(quit) = quit {
            std::thread::park_timeout(PAUSE);
            if quit.load(Ordering::Relaxed) {
                return false;
            }
        }
        let outcome = step(stage);
        let passed = outcome.is_ok();
        if quit.is_none() {
            let (mark, figure) = match &outcome {
                Ok(figure) => ("ok  ", figure),
                Err(why) => ("FAIL", why),
            };
            println!("{mark} {title}: {figure}");
        }
        if let Ok(mut done) = progress.lock() {
            done.push(outcome);
        }
        if !passed {
            return false;
        }
    }
    true
}

/// Plays beside the drawing, which ends with `q`; the outcome is repeated as text afterwards.
fn live(stage: &Stage) -> bool {
    let progress: Progress = Arc::new(Mutex::new(Vec::new()));
    let quit = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let player = scope.spawn(|| play(stage, &progress, Some(&quit)));
        screen::show(stage, &progress);
        quit.store(true, Ordering::Relaxed);
        player.thread().unpark();
    });
    let done = progress.lock().map(|done| done.clone()).unwrap_or_default();
    for ((title, _), outcome) in STEPS.iter().zip(&done) {
        match outcome {
            Ok(figure) => println!("ok   {title}: {figure}"),
            Err(why) => println!("FAIL {title}: {why}"),
        }
    }
    done.iter().all(Result::is_ok)
}
