//! `kubernetes-load`: the benchmark of announcements from Kubernetes.
//!
//! `make bench-kubernetes` is this program with everything. `wayfare-bgpd` is the one built beside
//! it: build both with `--release`. The API server is the lab's own, in this process. It exits with
//! 1 when a bar is missed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use interop::kubernetes::load::Ground;
use interop::kubernetes::load::cases::{Case, Size};
use interop::lab;
use interop::load::record::Record;

const USAGE: &str = "usage: kubernetes-load [OPTION VALUE]...
  --case LIST      of event, memory, start, away (default: all)
  --events N       that are measured (2000)
  --starts N       that are measured (5)
  --away SECONDS   that the API server is away (600)
  --json FILE      the record to write (target/bench-kubernetes.json)
  --keep yes       adds to the record that is there
  --markdown FILE  fills the marked blocks of these notes at the end
  --from FILE      runs nothing: the notes from this record";

struct Options {
    cases: Vec<Case>,
    size: Size,
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
        Err(why) => Err(format!("{why}\n{USAGE}")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("kubernetes-load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        cases: Case::ALL.to_vec(),
        size: Size {
            events: 2000,
            starts: 5,
            away: Duration::from_secs(600),
        },
        json: PathBuf::from("target/bench-kubernetes.json"),
        keep: false,
        markdown: None,
        from: None,
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("{pair:?}: an option without a value"));
        };
        match name.as_str() {
            "--case" => options.cases = cases(value)?,
            "--events" => options.size.events = number(value)?,
            "--starts" => options.size.starts = number(value)?,
            "--away" => options.size.away = Duration::from_secs(number(value)?),
            "--json" => options.json = value.into(),
            "--keep" => options.keep = value == "yes",
            "--markdown" => options.markdown = Some(value.into()),
            "--from" => options.from = Some(value.into()),
            other => return Err(format!("no option {other}")),
        }
    }
    Ok(options)
}

fn cases(text: &str) -> Result<Vec<Case>, String> {
    let one = |word: &str| {
        let found = Case::ALL.into_iter().find(|case| case.key() == word);
        found.ok_or_else(|| format!("no case {word}"))
    };
    text.split(',').map(one).collect()
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word}: no number"))
}

fn run(options: &Options, arguments: &[String]) -> Result<Record, String> {
    let ground = Ground::new(lab::enter_program()?);
    let version = ground
        .node
        .output("/opt/wayfare/wayfare-bgpd", &["--version"])?;
    let versions = [("wayfare-bgpd".to_owned(), version.trim().to_owned())];
    let shown = arguments.chunks(2).filter(|pair| {
        let name = pair.first().map(String::as_str);
        !matches!(name, Some("--json" | "--markdown" | "--keep"))
    });
    let words = shown.collect::<Vec<_>>().concat().join(" ");
    let command = format!("kubernetes-load {words}");
    let mut record = match options.keep {
        true => Record::read(&options.json)?,
        false => Record::new(command.trim(), &versions).with_blocks("kubernetes-"),
    };
    for case in &options.cases {
        let found = case.run(&ground, &options.size);
        println!("\n{}: {}", case.key(), found.markdown());
        record.put(case.key(), found.record());
        record.write(&options.json)?;
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
