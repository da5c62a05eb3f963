//! `bgp-load`: loads a BGP daemon with a full table or a reflector's fan-out and prints what it
//! took, side by side with BIRD, run by run in turn, medians last.
//!
//! ```text
//! bgp-load [--shape s1|s3] [--prefixes N] [--clients N] [--runs N] [--bird PATH]
//! ```
//!
//! `wayfare-bgpd` is the one built beside this program: build both with `--release`. BIRD 3 comes
//! from the peers' image; `--bird` adds a BIRD of this machine. Needs what the interop tests need.

use std::process::ExitCode;

use interop::lab;
use interop::load::daemon::Kind;
use interop::load::shape::{Figures, Load, Shape};

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
    let clients = number("--clients", 100)?;
    let runs = number("--runs", 3)?;
    let (shape, prefixes) = match value("--shape").as_deref() {
        None | Some("s1") => (Shape::FullTable, number("--prefixes", 1_000_000)?),
        Some("s3") => (Shape::FanOut(clients), number("--prefixes", 100_000)?),
        Some(other) => return Err(format!("no shape {other}: s1 or s3")),
    };
    let mut daemons = vec![Kind::Wayfare, Kind::Bird3];
    daemons.extend(value("--bird").map(Kind::HostBird));

    let mut lab = lab::enter_program()?;
    let node = lab.node("daemon");
    let load = Load::new(shape, prefixes);
    lab.own_address("10.99.0.100".parse().expect("an address"));
    for address in load.addresses() {
        lab.own_address(address.into());
    }
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); daemons.len()];
    for run in 1..=runs {
        for (daemon, figures) in daemons.iter().zip(&mut figures) {
            match load.run(daemon, &node) {
                Ok(one) => {
                    print(&format!("{} run {run}", daemon.name()), one);
                    figures.push(one);
                }
                Err(why) => println!("{} run {run}: {why}", daemon.name()),
            }
        }
    }
    println!("{shape:?}, {prefixes} prefixes, medians of {runs} runs:");
    for (daemon, figures) in daemons.iter().zip(&figures) {
        print(&daemon.name(), median(figures));
    }
    Ok(())
}

fn print(name: &str, figures: Figures) {
    println!(
        "{name:<20} wall {:>7.2} s   CPU {:>7.2} s   peak {:>7.1} MiB",
        figures.wall_s, figures.cpu_s, figures.peak_mib
    );
}

fn median(runs: &[Figures]) -> Figures {
    let middle = |of: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Figures {
        wall_s: middle(|one| one.wall_s),
        cpu_s: middle(|one| one.cpu_s),
        peak_mib: middle(|one| one.peak_mib),
    }
}
