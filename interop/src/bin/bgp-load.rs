//! `bgp-load`: the benchmark. Loads BGP daemons in turns and prints what each took.
//!
//! `make bench` and `make bench-quick` are this program with everything. `wayfare-bgpd` is the one
//! built beside it: build both with `--release`. The peers come from the image of the interop
//! tests, and it needs what they need.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use interop::lab;
use interop::load::daemon::Daemon;
use interop::load::ground::Ground;
use interop::load::record::Record;
use interop::load::{catalog, report, runner};

const USAGE: &str = "usage: bgp-load [OPTION VALUE]...
  --shape LIST     of the shapes, in this order (default: all)
  --daemon LIST    of wayfare, wayfare:THREADS, bird2, bird3, frr, openbgpd, gobgp and absolute
                   paths of a BIRD (default: wayfare and all peers of the image)
  --runs N         of each daemon and shape, in turns (5)
  --scale PERCENT  of the full size (100)
  --limit SECONDS  for one run (default: what the shape allows, mostly 60)
  --json FILE      the record to write (target/bench.json)
  --keep yes       adds to the record that is there
  --markdown FILE  fills the marked blocks of these notes at the end
  --from FILE      runs nothing: the notes from this record";

struct Options {
    shapes: Vec<String>,
    daemons: Vec<Daemon>,
    runs: usize,
    percent: usize,
    limit: Duration,
    json: PathBuf,
    keep: bool,
    markdown: Option<PathBuf>,
    from: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match parse(&arguments) {
        Ok(options) => match &options.from {
            Some(record) => render(record, &options),
            None => run(&options, &arguments),
        },
        Err(why) => Err(format!(
            "{why}\n{USAGE}\nshapes: {}",
            catalog::KEYS.join(",")
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bgp-load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        shapes: catalog::KEYS.iter().map(|key| (*key).to_owned()).collect(),
        daemons: Daemon::all(),
        runs: 5,
        percent: 100,
        limit: Duration::MAX,
        json: PathBuf::from("target/bench.json"),
        keep: false,
        markdown: None,
        from: None,
    };
    let number = |word: &str| word.parse().map_err(|_| format!("{word}: no number"));
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("{pair:?}: an option without a value"));
        };
        match name.as_str() {
            "--shape" => options.shapes = value.split(',').map(str::to_owned).collect(),
            "--daemon" => {
                options.daemons = value
                    .split(',')
                    .map(Daemon::parse)
                    .collect::<Result<_, _>>()?;
            }
            "--runs" => options.runs = number(value)?,
            "--scale" => options.percent = number(value)?,
            "--limit" => options.limit = Duration::from_secs(number(value)? as u64),
            "--json" => options.json = value.into(),
            "--keep" => options.keep = value == "yes",
            "--markdown" => options.markdown = Some(value.into()),
            "--from" => options.from = Some(value.into()),
            other => return Err(format!("no option {other}")),
        }
    }
    for key in &options.shapes {
        if !catalog::KEYS.contains(&key.as_str()) {
            return Err(format!("no shape {key}"));
        }
    }
    Ok(options)
}

fn run(options: &Options, arguments: &[String]) -> Result<(), String> {
    let mut lab = lab::enter_program()?;
    let ground = Ground::new(&mut lab, options.limit);
    let mut present = Vec::new();
    let mut versions = Vec::new();
    for daemon in &options.daemons {
        match daemon.version(&ground.node) {
            Ok(version) => {
                println!("{}: {version}", daemon.name());
                versions.push((daemon.name(), version));
                present.push(daemon.clone());
            }
            Err(why) => println!("{}: left out: {why}", daemon.name()),
        }
    }
    let options_shown = arguments.chunks(2).filter(|pair| {
        let name = pair.first().map(String::as_str);
        !matches!(name, Some("--json" | "--markdown"))
    });
    let command = format!(
        "bgp-load {}",
        options_shown.collect::<Vec<_>>().concat().join(" ")
    );
    let mut record = match options.keep {
        true => Record::read(&options.json)?,
        false => Record::new(command.trim(), &versions),
    };
    for key in &options.shapes {
        let shape = catalog::build(key, options.percent).ok_or_else(|| format!("no {key}"))?;
        let outcome = runner::run(shape.as_ref(), &present, options.runs, &ground);
        println!("\n{}: {}", outcome.key, report::markdown(&outcome));
        record.add(&outcome);
        record.write(&options.json)?;
    }
    println!("{}", record.bars());
    match &options.markdown {
        Some(notes) => record.fill(notes),
        None => Ok(()),
    }
}

fn render(from: &std::path::Path, options: &Options) -> Result<(), String> {
    let record = Record::read(from)?;
    println!("{}", record.bars());
    match &options.markdown {
        Some(notes) => record.fill(notes),
        None => Ok(()),
    }
}
