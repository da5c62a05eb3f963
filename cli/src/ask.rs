//! Asks daemons and renders what they say.
//!
//! Most commands concern one daemon. Those that concern all (`show version`, `reload`, `monitor
//! log` …) ask every daemon that runs: an answer is labelled when there is more than one, so that a
//! host with bgpd alone prints what it always did. In JSON the label is a key of an object around
//! the answers, or a member of each line of `monitor`.
//!
//! A daemon that does not run is no failure as long as another does; one that says no is, after
//! the others have been asked too.

use std::io::{self, Write};
use std::sync::mpsc;

use ctl::client::{Client, ClientError, Item};
use proto_codec::control::{FaultKind, MonitorTopic, Request};
use serde_json::Value;

use crate::render::{Renderer, renderer};
use crate::run::{Daemon, EXIT_UNREACHABLE, Failure, Settings};

/// Items of a monitor on their way to the terminal; a reader that is slow holds up the sockets.
const MONITOR_QUEUE: usize = 64;

/// Asks whom `requests` concern and prints the answers as one.
///
/// # Errors
/// What to print on standard error, and the exit code.
pub fn ask(
    requests: &[Request],
    json: bool,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if requests.is_empty() {
        return Ok(());
    }
    let mut clients = connect(requests, settings)?;
    let endless = requests
        .iter()
        .any(|request| matches!(request, Request::Monitor { .. }));
    for (_, client) in &clients {
        client.set_patient(endless)?;
    }
    match clients.as_mut_slice() {
        [(_, only)] => ask_one(only, requests, json, out),
        _ if endless => follow(clients, json, out),
        _ if json => ask_each_json(&mut clients, requests, out),
        _ => ask_each(&mut clients, requests, out),
    }
}

/// The daemons to ask: those that run, of all that the command concerns.
fn connect(requests: &[Request], settings: &Settings) -> Result<Vec<(Daemon, Client)>, Failure> {
    let whom: &[Daemon] = if requests.iter().any(Request::is_vrrp) {
        &[Daemon::Vrrpd]
    } else if requests.iter().any(Request::is_common) && !settings.names_one() {
        &[Daemon::Bgpd, Daemon::Vrrpd]
    } else {
        &[Daemon::Bgpd]
    };
    let mut found = Vec::new();
    let mut absent = Vec::new();
    for daemon in whom {
        match Client::connect(&settings.socket_of(*daemon)) {
            Ok(client) => found.push((*daemon, client)),
            Err(error) if error.is_absent() => absent.push(format!("% {error}")),
            // It runs, and cannot be asked: silence would look like a host without it.
            Err(error) => return Err(error.into()),
        }
    }
    match found.is_empty() {
        true => Err(Failure::new(EXIT_UNREACHABLE, absent.join("\n"))),
        false => Ok(found),
    }
}

/// A thing that one of several answers does not know (a family that a neighbor does not have) is a
/// failure only when no answer knows it.
fn ask_one(
    client: &mut Client,
    requests: &[Request],
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(mut renderer) = renderer(requests, json) else {
        return Ok(());
    };
    let mut missing = None;
    let mut answered = false;
    for request in requests {
        match answer(client, request, renderer.as_mut(), out) {
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

/// One answer after the other, each below the name of its daemon.
fn ask_each(
    clients: &mut [(Daemon, Client)],
    requests: &[Request],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut worst = None;
    for (daemon, client) in clients {
        // A comment to those who read metrics, a heading to the others.
        let mark = match requests.first() {
            Some(Request::ShowMetrics) => "# ",
            _ => "",
        };
        writeln!(out, "{mark}{}:", daemon.name())?;
        out.flush()?;
        let outcome = ask_one(client, requests, false, out);
        remember(&mut worst, *daemon, outcome);
    }
    worst.map_or(Ok(()), Err)
}

/// An object with a member per daemon that answers.
fn ask_each_json(
    clients: &mut [(Daemon, Client)],
    requests: &[Request],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut worst = None;
    let mut all = serde_json::Map::new();
    for (daemon, client) in clients {
        let mut text = Vec::new();
        let outcome = ask_one(client, requests, true, &mut text);
        if let Ok(value) = serde_json::from_slice::<Value>(&text) {
            all.insert(daemon.name().to_owned(), value);
        }
        remember(&mut worst, *daemon, outcome);
    }
    writeln!(out, "{:#}", Value::Object(all))?;
    worst.map_or(Ok(()), Err)
}

/// Keeps the failure with the highest exit code; what each said is told under its name.
fn remember(worst: &mut Option<Failure>, daemon: Daemon, outcome: Result<(), Failure>) {
    let Err(failure) = outcome else {
        return;
    };
    let text = match failure.text.is_empty() {
        true => String::new(),
        false => format!("{}: {}", daemon.name(), failure.text),
    };
    *worst = Some(match worst.take() {
        None => Failure::new(failure.code, text),
        Some(before) => Failure::new(
            before.code.max(failure.code),
            format!("{}\n{text}", before.text),
        ),
    });
}

/// `monitor log` of several daemons: lines as they come, whoever writes them. It ends when all have
/// ended, or when nobody reads any more.
fn follow(clients: Vec<(Daemon, Client)>, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let request = Request::Monitor {
        topic: MonitorTopic::Log,
    };
    let (sender, receiver) = mpsc::sync_channel(MONITOR_QUEUE);
    for (daemon, mut client) in clients {
        let (sender, request) = (sender.clone(), request.clone());
        // It ends with its socket or with this process; nobody waits for it.
        std::thread::spawn(move || {
            let mut answer = match client.call(&request) {
                Ok(answer) => answer,
                Err(error) => return drop(sender.send((daemon, Err(error)))),
            };
            loop {
                let (item, over) = match answer.next() {
                    Ok(Some(item)) => (Ok(item), false),
                    Ok(None) => return,
                    Err(error) => (Err(error), true),
                };
                if sender.send((daemon, item)).is_err() || over {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut worst = None;
    for (daemon, item) in receiver {
        let view = match item {
            Ok(Item::Row(view)) => view,
            Ok(_) => continue,
            Err(error) => {
                remember(&mut worst, daemon, Err(error.into()));
                continue;
            }
        };
        let Some(mut renderer) = renderer(std::slice::from_ref(&request), json) else {
            break;
        };
        let mut line = Vec::new();
        renderer.row(&mut line, *view)?;
        match (json, serde_json::from_slice::<Value>(&line)) {
            (true, Ok(Value::Object(mut members))) => {
                members.insert("daemon".to_owned(), daemon.name().into());
                writeln!(out, "{}", Value::Object(members))?;
            }
            _ => {
                write!(out, "{:<5} ", daemon.name())?;
                out.write_all(&line)?;
            }
        }
        out.flush()?;
    }
    worst.map_or(Ok(()), Err)
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
