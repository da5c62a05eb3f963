//! Long answers in a pager.
//!
//! `$PAGER`, or `less -FRX`, which shows a short answer and goes away. Without either the answer is
//! printed as it is.

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};

use proto_codec::control::Request;

use crate::grammar::Command as Line;

/// Whether the answer to a command is for reading: what has no end or does something is not.
pub fn is_wanted(command: &Line) -> bool {
    match command {
        Line::Ask(requests) => !requests
            .iter()
            .any(|request| request.changes() || matches!(request, Request::Monitor { .. })),
        Line::Decode { .. } | Line::Convert(_) | Line::List => true,
        Line::Check(_) | Line::Cleanup { .. } | Line::Exit => false,
    }
}

/// Runs `command` with its output in the pager; the status is that of the command.
pub fn run(mut command: Command) -> io::Result<ExitStatus> {
    let Some(mut pager) = start() else {
        return command.status();
    };
    let Some(input) = pager.stdin.take() else {
        return command.status();
    };
    let status = command
        .stdout(Stdio::from(input))
        .spawn()
        .and_then(|mut child| {
            // The command's copy of the pipe must be the only one, or the pager never sees the end.
            drop(command);
            child.wait()
        });
    pager.wait()?;
    status
}

fn start() -> Option<Child> {
    let own = std::env::var("PAGER")
        .ok()
        .filter(|pager| !pager.trim().is_empty());
    let mut command = match own {
        Some(line) => {
            let mut words = line.split_whitespace();
            let mut command = Command::new(words.next()?);
            command.args(words);
            command
        }
        None => {
            let mut command = Command::new("less");
            command.arg("-FRX");
            command
        }
    };
    command.stdin(Stdio::piped()).spawn().ok()
}
