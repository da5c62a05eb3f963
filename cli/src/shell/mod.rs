//! The interactive shell: `wayfare` without a command.
//!
//! The same words as one-shot commands, with a prompt, history, TAB, `?` without Enter, and a
//! pager. Each command runs as a child process of the shell (this program with the words as
//! arguments): Ctrl-C then ends the command and not the shell, and a pager that is left early
//! costs nothing. What needs no process (help, mistakes, leaving) is done in place.
//!
//! Without a terminal on standard input the lines are read and run one after the other.

mod complete;
mod history;
mod pager;

use std::io::{self, BufRead, IsTerminal};
use std::process::Command as Process;
use std::sync::{Arc, Mutex};

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler, KeyCode,
    KeyEvent, Modifiers, RepeatCount,
};

use crate::args::{options_last, split_line};
use crate::filter;
use crate::grammar::{Command, parse};
use crate::run::{EXIT_FAILED, EXIT_USAGE, Failure, Settings, help_for};
use complete::Assistant;

/// Runs the shell until the operator leaves. The exit code is that of the last command.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    if io::stdin().is_terminal() {
        interactive(settings)
    } else {
        from_input(settings)
    }
}

fn from_input(settings: &Settings) -> Result<(), Failure> {
    let mut last = Ok(());
    for line in io::stdin().lock().lines() {
        match execute(&line?, settings, false) {
            Ok(Step::Leave) => return last,
            Ok(Step::Continue) => last = Ok(()),
            Err(failure) => {
                eprintln!("{}", failure.text);
                last = Err(Failure::new(failure.code, ""));
            }
        }
    }
    last
}

fn interactive(settings: &Settings) -> Result<(), Failure> {
    let failed = |error: ReadlineError| Failure::new(EXIT_FAILED, format!("% {error}"));
    // From here on Ctrl-C reaches the command that runs, not the shell.
    let _shield = ctl::signals::shield_from_interrupt()?;
    let config = Config::builder()
        .completion_type(rustyline::CompletionType::List)
        .auto_add_history(false)
        .build();
    let mut editor: Editor<Assistant, DefaultHistory> =
        Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Assistant::new(settings)));
    let asked = Arc::new(Mutex::new(None));
    let question = KeyEvent(KeyCode::Char('?'), Modifiers::NONE);
    let handler = EventHandler::Conditional(Box::new(Question {
        asked: Arc::clone(&asked),
    }));
    editor.bind_sequence(question, handler);
    let mut past = history::History::open();
    for line in past.lines() {
        editor.add_history_entry(line).map_err(failed)?;
    }
    println!(
        "Wayfare {}. `?` lists what fits, `exit` leaves.",
        env!("CARGO_PKG_VERSION")
    );
    let prompt = format!("{}# ", host_name());
    let mut initial = String::new();
    loop {
        let line = match editor.readline_with_initial(&prompt, (&initial, "")) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                initial.clear();
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        initial.clear();
        let question = asked.lock().ok().and_then(|mut asked| asked.take());
        if let Some(line) = question {
            print!(
                "{}",
                editor
                    .helper()
                    .map_or_else(String::new, |it| it.explain(&line))
            );
            initial = line;
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        editor.add_history_entry(&line).map_err(failed)?;
        past.add(&line);
        match execute(&line, settings, true) {
            Ok(Step::Leave) => return Ok(()),
            Ok(Step::Continue) => {}
            Err(failure) if failure.text.is_empty() => {}
            Err(failure) => eprintln!("{}", failure.text),
        }
    }
}

enum Step {
    Continue,
    Leave,
}

/// Runs a line: what needs no process in place, the rest as a child, through the pager if asked.
fn execute(line: &str, settings: &Settings, paged: bool) -> Result<Step, Failure> {
    let words = split_line(line);
    if words.is_empty() || line.trim_start().starts_with(['#', '!']) {
        return Ok(Step::Continue);
    }
    let usage = |text: String| Failure::new(EXIT_USAGE, text);
    let (command, _) = filter::split(&words).map_err(|text| usage(format!("% {text}")))?;
    if let Some(text) = help_for(&command) {
        print!("{text}");
        return Ok(Step::Continue);
    }
    let outcome = parse(&options_last(command)).map_err(|mistake| usage(mistake.to_string()))?;
    if outcome.command == Command::Exit {
        return Ok(Step::Leave);
    }
    let mut child = Process::new(std::env::current_exe()?);
    if let Some(socket) = &settings.socket {
        child.arg("--socket").arg(socket);
    }
    if settings.json {
        child.arg("--json");
    }
    child.args(&words);
    let status = if paged && pager::is_wanted(&outcome.command) {
        pager::run(child)?
    } else {
        child.status()?
    };
    match status.code() {
        Some(0) | None => Ok(Step::Continue),
        // The child has said why.
        Some(code) => Err(Failure::new(u8::try_from(code).unwrap_or(EXIT_FAILED), "")),
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().split('.').next().unwrap_or_default().to_owned();
    if name.is_empty() {
        "wayfare".to_owned()
    } else {
        name
    }
}

/// `?` asks for help about the line so far instead of standing in it.
struct Question {
    asked: Arc<Mutex<Option<String>>>,
}

impl ConditionalEventHandler for Question {
    fn handle(
        &self,
        _: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let line = context.line();
        let quoted = line.matches(['"', '\'']).count() % 2 == 1;
        if quoted || context.pos() != line.len() || line.contains('|') {
            return None;
        }
        *self.asked.lock().ok()? = Some(line.to_owned());
        Some(Cmd::AcceptLine)
    }
}
