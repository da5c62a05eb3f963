//! The verdict of `make bench-check`: profiles of callgrind against the baseline.
//!
//! `bench-check BASELINE MADE_WITH PROFILE…` compares, `bench-check --bless …` writes the baseline.
//! A profile's file name, up to its first dot, is the name of its scenario. Leaves with 1 when the
//! check fails and with 2 when it cannot be made.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::path::Path;
use std::process::ExitCode;

use wayfare_tests::baseline::Baseline;
use wayfare_tests::callgrind::Profile;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let bless = args.first().is_some_and(|arg| arg == "--bless");
    if bless {
        args.remove(0);
    }
    match check(&args, bless) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            println!("bench-check: {error}");
            ExitCode::from(2)
        }
    }
}

fn check(args: &[String], bless: bool) -> Result<bool, String> {
    let [file, made_with, profiles @ ..] = args else {
        return Err("bench-check [--bless] BASELINE MADE_WITH PROFILE…".to_owned());
    };
    let mut now = Baseline {
        made_with: made_with.clone(),
        ..Baseline::default()
    };
    for path in profiles {
        let profile = Profile::parse(&read(path)?).map_err(|error| format!("{path}: {error}"))?;
        let name = Path::new(path).file_name().unwrap_or_default();
        let name = name.to_string_lossy();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        now.scenarios.insert(name, profile);
    }
    let before = match std::fs::exists(file) {
        Ok(true) => Baseline::parse(&read(file)?).map_err(|error| format!("{file}: {error}"))?,
        _ => Baseline::default(),
    };
    let (text, passes) = before.compare(&now);
    print!("{text}");
    if bless {
        std::fs::write(file, now.to_text()).map_err(|error| format!("{file}: {error}"))?;
        println!("bench-check: {file} written");
    }
    Ok(passes || bless)
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
