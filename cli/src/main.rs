//! `wayfare`, the operator CLI.
//!
//! One-shot commands (`wayfare show bgp summary`), several with `-c`, or a shell when there is
//! neither. Two hidden words serve packaging and shells: `man` prints the manual page, and
//! `complete-words WORD...` prints what may come next.

mod args;
mod ask;
mod check;
mod cleanup;
mod convert;
mod decode;
mod filter;
mod grammar;
mod render;
mod run;
mod shell;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use args::Args;
use clap::Parser;
use run::{EXIT_USAGE, Failure, Next, Settings};

fn main() -> ExitCode {
    let mut args = Args::parse();
    if let Err(text) = args.sort_words() {
        eprintln!("% {text}");
        return ExitCode::from(EXIT_USAGE);
    }
    let settings = Settings {
        socket: args.socket.clone(),
        json: args.json,
    };
    // Not locked: the shell prints too while this buffer is empty.
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout());
    let result = dispatch(&args, &settings, &mut out);
    let flushed = out.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.text.is_empty() {
                eprintln!("{}", failure.text);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(args: &Args, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    match args.words.first().map(String::as_str) {
        Some("man") if args.words.len() == 1 => {
            return Ok(out.write_all(grammar::manual::page().as_bytes())?);
        }
        Some("complete-words") => return complete(&args.words[1..], out),
        _ => {}
    }
    for command in &args.commands {
        if run::run(args::split_line(command), settings, out)? == Next::Leave {
            return Ok(());
        }
    }
    if !args.words.is_empty() {
        run::run(args.words.clone(), settings, out)?;
    } else if args.commands.is_empty() {
        shell::run(settings)?;
    }
    Ok(())
}

/// Prints what may stand in place of the last word, one per line with its help.
fn complete(words: &[String], out: &mut dyn Write) -> Result<(), Failure> {
    let (partial, before) = words
        .split_last()
        .map_or(("", words), |(last, rest)| (last, rest));
    for entry in grammar::help::entries(before, partial) {
        if entry.slot.is_none() && entry.name != "<cr>" {
            writeln!(out, "{}\t{}", entry.name, entry.help)?;
        }
    }
    Ok(())
}
