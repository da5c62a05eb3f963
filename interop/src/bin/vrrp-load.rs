//! `vrrp-load`: the benchmark of virtual addresses. Lets masters die and prints what it cost.
//!
//! `make bench-vrrp` is this program with everything. `wayfare-vrrpd` is the one built beside it:
//! build both with `--release`. The peers come from the image of the interop tests, and it needs
//! what they need. It exits with 1 when a bar is missed or could not be judged.

use std::path::PathBuf;
use std::process::ExitCode;

use interop::failover::cases::Case;
use interop::failover::figures::Outcome;
use interop::failover::ground::Ground;
use interop::failover::pair::Pair;
use interop::failover::rounds::{self, Order};
use interop::failover::scale::Scale;
use interop::failover::table;
use interop::lab;
use interop::load::record::Record;

const USAGE: &str = "usage: vrrp-load [OPTION VALUE]...
  --case LIST      of the cases (default: all)
  --daemon LIST    of wayfare, keepalived, frr, and BETTER/WORSE such as wayfare/keepalived
                   (default: wayfare,keepalived,frr)
  --interval LIST  of milliseconds between adverts (1000,100,10)
  --runs N         of each daemon, case and interval, in turns (5)
  --json FILE      the record to write (target/bench-vrrp.json)
  --keep yes       adds to the record that is there
  --markdown FILE  fills the marked blocks of these notes at the end
  --from FILE      runs nothing: the notes from this record";

struct Options {
    order: Order,
    json: PathBuf,
    keep: bool,
    markdown: Option<PathBuf>,
    from: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match parse(&arguments) {
        Ok(options) => match &options.from {
            Some(record) => Record::read(record),
            None => run(&options, &arguments),
        }
        .and_then(|record| tell(&record, &options)),
        Err(why) => Err(format!("{why}\n{USAGE}\ncases: {}", keys().join(","))),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("vrrp-load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn keys() -> Vec<&'static str> {
    let cases = Case::ALL.into_iter().map(Case::key);
    cases
        .chain(Scale::ALL.into_iter().map(Scale::key))
        .collect()
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        order: Order {
            cases: Case::ALL.to_vec(),
            scales: Scale::ALL.to_vec(),
            pairs: Pair::all(),
            intervals_ms: vec![1000, 100, 10],
            runs: 5,
        },
        json: PathBuf::from("target/bench-vrrp.json"),
        keep: false,
        markdown: None,
        from: None,
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("{pair:?}: an option without a value"));
        };
        let order = &mut options.order;
        match name.as_str() {
            "--case" => choose(order, value)?,
            "--daemon" => order.pairs = list(value, Pair::parse)?,
            "--interval" => order.intervals_ms = list(value, number)?,
            "--runs" => order.runs = number(value)?,
            "--json" => options.json = value.into(),
            "--keep" => options.keep = value == "yes",
            "--markdown" => options.markdown = Some(value.into()),
            "--from" => options.from = Some(value.into()),
            other => return Err(format!("no option {other}")),
        }
    }
    Ok(options)
}

fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(one).collect()
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word}: no number"))
}

fn choose(order: &mut Order, text: &str) -> Result<(), String> {
    let words: Vec<&str> = text.split(',').collect();
    if let Some(word) = words.iter().find(|word| !keys().contains(word)) {
        return Err(format!("no case {word}"));
    }
    order.cases.retain(|case| words.contains(&case.key()));
    order.scales.retain(|scale| words.contains(&scale.key()));
    Ok(())
}

fn run(options: &Options, arguments: &[String]) -> Result<Record, String> {
    let mut lab = lab::enter_program()?;
    let ground = Ground::new(&mut lab);
    let mut order = options.order.clone();
    let mut versions = Vec::new();
    order
        .pairs
        .retain(|pair| match pair.better.version(&ground.a) {
            Ok(version) => {
                println!("{}: {version}", pair.name());
                versions.push((pair.name(), version));
                true
            }
            Err(why) => {
                println!("{}: left out: {why}", pair.name());
                false
            }
        });
    let shown = arguments.chunks(2).filter(|pair| {
        let name = pair.first().map(String::as_str);
        !matches!(name, Some("--json" | "--markdown"))
    });
    let command = format!("vrrp-load {}", shown.collect::<Vec<_>>().concat().join(" "));
    let mut record = match options.keep {
        true => Record::read(&options.json)?,
        false => Record::new(command.trim(), &versions).with_blocks("vrrp-"),
    };
    let mut keep = |outcome: Outcome| {
        println!("\n{}: {}", outcome.key, table::markdown(&outcome));
        record.put(&outcome.key, table::record(&outcome));
        record.write(&options.json)
    };
    for outcome in rounds::failover(&lab, &ground, &order) {
        keep(outcome)?;
    }
    for scale in &order.scales {
        keep(rounds::scale(&lab, &ground, &order, *scale))?;
    }
    Ok(record)
}

/// Prints the bars and fills the notes; whether all bars are met.
fn tell(record: &Record, options: &Options) -> Result<bool, String> {
    println!("{}", record.bars());
    if let Some(notes) = &options.markdown {
        record.fill(notes)?;
    }
    Ok(record.all_met())
}
