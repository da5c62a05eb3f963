//! Runs one command: from words to output and exit code.
//!
//! Exit codes are the contract's: 0 done, 1 the command failed, 2 not understood, 69 the daemon
//! cannot be reached, 78 bad configuration; and 65, lines of a configuration were not converted. A
//! reader that goes away (`| head`) is not a failure.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use ctl::client::{Client, ClientError, Item};
use proto_codec::control::{FaultKind, Request};

use crate::args::options_last;
use crate::cleanup;
use crate::convert;
use crate::decode;
use crate::filter::{Filtered, split};
use crate::grammar::{Command, Outcome, help, parse};
use crate::render::{Renderer, renderer};

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
    /// The daemon's socket; `None`: where the daemon of the command has it.
    pub socket: Option<PathBuf>,
    /// Print JSON for every command.
    pub json: bool,
}

impl Settings {
    /// Where bgpd listens.
    pub fn bgpd(&self) -> &Path {
        self.socket
            .as_deref()
            .unwrap_or(Path::new(ctl::BGPD_SOCKET))
    }

    /// Where the daemon that answers `requests` listens.
    fn of(&self, requests: &[Request]) -> &Path {
        match &self.socket {
            Some(path) => path,
            None if requests.iter().any(Request::is_vrrp) => Path::new(ctl::VRRPD_SOCKET),
            None => self.bgpd(),
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
        Command::Check(file) => daemon(checker_of(&file), &["--check", "--config", &file])?,
        Command::Cleanup { config } => cleanup::run(config.as_deref(), settings.bgpd(), out)?,
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

/// Asks the daemon and renders what it says. A thing that one of several answers does not know
/// (a family that a neighbor does not have) is a failure only when no answer knows it.
fn ask(
    requests: &[Request],
    json: bool,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(mut renderer) = renderer(requests, json) else {
        return Ok(());
    };
    let mut client = Client::connect(settings.of(requests))?;
    let endless = requests
        .iter()
        .any(|request| matches!(request, Request::Monitor { .. }));
    client.set_patient(endless)?;
    let mut missing = None;
    let mut answered = false;
    for request in requests {
        match answer(&mut client, request, renderer.as_mut(), out) {
            Ok(()) => answered = true,
            Err(Problem::Client(ClientError::Fault(fault)))
                if fault.kind == FaultKind::NotFound =>
            {
                missing = Some(fault);
            }
            Err(Problem::Client(error)) => return Err(error.into()),
            Err(Problem::Output(error)) => return Err(error.into()),
        }
    }
    match missing {
        Some(fault) if !answered => match requests.first().filter(|_| json).and_then(absent) {
            Some(text) => Ok(writeln!(out, "{text}")?),
            None => Err(ClientError::Fault(fault).into()),
        },
        _ => Ok(renderer.finish(out)?),
    }
}

/// What FRR prints as JSON for a thing to show that does not exist. Programs read this, and
/// an answer that is no JSON would be a failure to them.
fn absent(request: &Request) -> Option<&'static str> {
    match request {
        Request::ShowBgpPrefix { .. } => Some("{}"),
        Request::ShowBgpNeighbors { .. } => Some("{\"bgpNoSuchNeighbor\":true}"),
        Request::ShowNeighborRoutes { .. } => {
            Some("{\"warning\":\"No such neighbor in this view/vrf\"}")
        }
        _ => None,
    }
}

enum Problem {
    Client(ClientError),
    Output(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn answer(
    client: &mut Client,
    request: &Request,
    renderer: &mut dyn Renderer,
    out: &mut dyn Write,
) -> Result<(), Problem> {
    let mut answer = client.call(request).map_err(Problem::Client)?;
    while let Some(item) = answer.next().map_err(Problem::Client)? {
        match item {
            Item::Head(head) => renderer.head(out, head)?,
            Item::Row(view) => renderer.row(out, *view)?,
            Item::Tail(tail) => renderer.tail(out, tail)?,
        }
    }
    Ok(())
}

/// Whose file it is: only a vrrpd.toml has instances. What cannot be read is bgpd's to complain of.
fn checker_of(file: &str) -> &'static str {
    let text = std::fs::read_to_string(file).unwrap_or_default();
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
