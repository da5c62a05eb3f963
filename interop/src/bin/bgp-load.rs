//! `bgp-load`: the benchmark. Loads BGP daemons in turns and prints what each took.
//!
//! ```text
//! bgp-load [--shape s1,s3] [--daemon wayfare,bird2,/usr/sbin/bird] [--runs N] [--scale PERCENT]
//! ```
//!
//! `wayfare-bgpd` is the one built beside this program: build both with `--release`. The peers come
//! from the image of the interop tests, and this needs what they need. `make bench` runs
//! everything.

use std::process::ExitCode;
use std::time::Duration;

use interop::lab;
use interop::load::daemon::Daemon;
use interop::load::ground::Ground;
use interop::load::{catalog, report, runner};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bgp-load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str, default: usize| match value(name) {
        Some(text) => text
            .parse()
            .map_err(|_| format!("{name} {text}: no number")),
        None => Ok(default),
    };
    let (runs, percent) = (number("--runs", 5)?, number("--scale", 100)?);
    let limit = Duration::from_secs(number("--limit", 60)? as u64);
    let daemons = match value("--daemon") {
        Some(words) => words
            .split(',')
            .map(Daemon::parse)
            .collect::<Result<_, _>>()?,
        None => Daemon::all(),
    };
    let ground = Ground::new(lab::enter_program()?, limit);
    let mut present = Vec::new();
    for daemon in daemons {
        match daemon.version(&ground.node) {
            Ok(version) => {
                println!("{}: {version}", daemon.name());
                present.push(daemon);
            }
            Err(why) => println!("{}: left out: {why}", daemon.name()),
        }
    }
    let keys = value("--shape").unwrap_or_else(|| catalog::KEYS.join(","));
    for key in keys.split(',') {
        let shape = catalog::build(key, percent).ok_or_else(|| format!("no shape {key}"))?;
        let outcome = runner::run(shape.as_ref(), &present, runs, &ground);
        println!("\n{}: {}", outcome.key, report::markdown(&outcome));
    }
    Ok(())
}
