//! Runs one command: from words to output and exit code.
//!
//! Exit codes are the contract's: 0 done, 1 the command failed, 2 not understood, 69 the daemon
//! cannot be reached, 78 bad configuration; and 65, lines of a configuration were not converted. A
//! reader that goes away (`| head`) is not a failure.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command as Process;

use ctl::client::ClientError;
use proto_codec::control::FaultKind;

use crate::args::options_last;
use crate::ask::ask;
use crate::check;
use crate::cleanup;
use crate::convert;
use crate::decode;
use crate::filter::{Filtered, split};
use crate::grammar::{Command, Outcome, help, parse};

/// The command failed.
pub const EXIT_FAILED: u8 = 1;
/// The command is not understood.
pub const EXIT_USAGE: u8 = 2;
/// The daemon cannot be reached.
pub const EXIT_UNREACHABLE: u8 = 69;
/// The configuration is bad.
pub const EXIT_CONFIG: u8 = 78;

/// The daemons' binaries, found beside this one or in PATH.
const BGPD: &str = "wayfare-bgpd";
const VRRPD: &str = "wayfare-vrrpd";

/// Why a command did not do what it should.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What to tell the operator; empty when it has been told.
    pub text: String,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// Whether the reader of the output went away.
    fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(0, "");
        }
        Self::new(EXIT_FAILED, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::of_output(&error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Fault(fault) if fault.kind == FaultKind::BadConfig => {
                return Self::new(EXIT_CONFIG, fault.text.trim_end());
            }
            ClientError::Fault(_) => EXIT_FAILED,
            _ => EXIT_UNREACHABLE,
        };
        Self::new(code, format!("% {error}"))
    }
}

/// What commands run with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The daemon's socket, or the directory of all; `None`: where each daemon has it.
    pub socket: Option<PathBuf>,
    /// Print JSON for every command.
    pub json: bool,
}

impl Settings {
    /// The socket of `daemon`, unless `--socket` names one file for whatever is asked. A directory
    /// is where all daemons have theirs.
    pub fn socket_of(&self, daemon: Daemon) -> PathBuf {
        match &self.socket {
            Some(path) if path.is_dir() => path.join(daemon.socket_name()),
            Some(path) => path.clone(),
            None => daemon.socket().into(),
        }
    }

    /// Whether `--socket` names the one daemon to ask, whatever is asked.
    pub fn names_one(&self) -> bool {
        self.socket.as_deref().is_some_and(|path| !path.is_dir())
    }
}

/// A daemon of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// `wayfare-bgpd`.
    Bgpd,
    /// `wayfare-vrrpd`.
    Vrrpd,
}

impl Daemon {
    /// Its short name, as in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bgpd => "bgpd",
            Self::Vrrpd => "vrrpd",
        }
    }

    fn socket(self) -> &'static str {
        match self {
            Self::Bgpd => ctl::BGPD_SOCKET,
            Self::Vrrpd => ctl::VRRPD_SOCKET,
        }
    }

    fn socket_name(self) -> &'static str {
        match self {
            Self::Bgpd => "bgpd.sock",
            Self::Vrrpd => "vrrpd.sock",
        }
    }
}

/// Whether the shell goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another command may follow.
    Continue,
    /// The operator wants to leave.
    Leave,
}

/// Runs the command in `words` and writes to `out`.
///
/// # Errors
/// What to print on standard error, and the exit code.
pub fn run(words: Vec<String>, settings: &Settings, out: &mut dyn Write) -> Result<Next, Failure> {
    let (words, filters) =
        split(&words).map_err(|text| Failure::new(EXIT_USAGE, format!("% {text}")))?;
    let words = options_last(words);
    if let Some(text) = help_for(&words) {
        out.write_all(text.as_bytes())?;
        return Ok(Next::Continue);
    }
    let outcome = parse(&words).map_err(|it| Failure::new(EXIT_USAGE, it.to_string()))?;
    let mut filtered = Filtered::new(out, filters);
    let next = execute(outcome, settings, &mut filtered);
    let finished = filtered.finish();
    let next = next?;
    finished?;
    Ok(next)
}

/// The help text, when the last word ends in a question mark.
pub fn help_for(words: &[String]) -> Option<String> {
    let (last, before) = words.split_last()?;
    let partial = last.strip_suffix('?')?;
    Some(help::render(&help::entries(before, partial)))
}

fn execute(outcome: Outcome, settings: &Settings, out: &mut dyn Write) -> Result<Next, Failure> {
    match outcome.command {
        Command::Ask(requests) => {
            ask(&requests, outcome.json || settings.json, settings, out)?;
        }
        Command::Check(file) => check_file(&file, out)?,
        Command::Cleanup { whose, config } => {
            cleanup::run(whose, config.as_deref(), settings, out)?;
        }
        Command::Convert(wanted) => convert::run(&wanted, out)?,
        Command::Decode { kind, file, format } => {
            let format = if outcome.json || settings.json {
                decode::Format::Json
            } else {
                format
            };
            decode::run(kind, &file, format, out).map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Failure::of_output(&error),
                _ => Failure::new(EXIT_FAILED, format!("% {file}: {error}")),
            })?;
        }
        Command::List => {
            for row in crate::grammar::table::ROWS {
                writeln!(out, "  {}", row.pattern)?;
            }
        }
        Command::Exit => return Ok(Next::Leave),
    }
    Ok(Next::Continue)
}

/// Manifests are read here; a configuration by the daemon that it is for.
fn check_file(file: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    if !check::is_manifest(&text) {
        return daemon(checker_of(&text), &["--check", "--config", file]);
    }
    match check::run(file, &text, out) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(EXIT_CONFIG, "")),
        Err(error) => Err(Failure::of_output(&error)),
    }
}

/// Whose file it is: only a vrrpd.toml has instances. What cannot be read is bgpd's to complain of.
fn checker_of(text: &str) -> &'static str {
    let sections = ["[[instance]]", "[[sync-group]]"];
    let vrrp = text
        .lines()
        .any(|line| sections.iter().any(|it| line.trim_start().starts_with(it)));
    if vrrp { VRRPD } else { BGPD }
}

/// Runs a daemon's binary with `args`; its messages go to the operator as they are.
fn daemon(name: &str, args: &[&str]) -> Result<(), Failure> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(|dir| dir.join(name)));
    let program = beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| name.into());
    let status = Process::new(&program)
        .args(args)
        .status()
        .map_err(|error| {
            let program = program.display();
            Failure::new(EXIT_FAILED, format!("% {program} cannot be run: {error}"))
        })?;
    if status.success() {
        return Ok(());
    }
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(EXIT_FAILED);
    Err(Failure::new(code, ""))
}
