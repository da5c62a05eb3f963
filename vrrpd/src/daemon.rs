//! The life of the process: start, run, reload, stop.
//!
//! The configuration first (78), then the control socket, which is also the lock against a second
//! daemon on it, and the name that one daemon per network namespace can have (1), then netlink and
//! the routers. What is missing later (a link, a capability, an
//! address to send from) is a fault of the instances concerned and heals by itself. A reload,
//! whoever asks for it, is one function; any error leaves the running configuration as it is. Its
//! files are read on a thread of their own, one reload at a time: a directory of users or a file
//! system that does not answer keeps the next reload waiting, and no advert.

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ctl::config::Diagnostics;
use ctl::notify;
use ctl::server::{Access, Server};
use ctl::signals::Signals;
use ctl::sole::Sole;
use proto_codec::control::Hello;

use crate::args::{Args, LogFormat};
use crate::config::{self, Config, Impact, Loaded, Need, Plan};
use crate::control;
use crate::dirs;
use crate::io::caps;
use crate::io::chronicle::Chronicle;
use crate::io::driver::{Driver, Waits};
use crate::io::estate::EstateFile;
use crate::io::notices::Notices;
use crate::io::realtime;
use crate::io::shared::{Shared, epoch_ms};
use crate::metrics;
use crate::node::{Entry, Node};
use crate::track;

/// Exit code of a bad configuration (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;
/// How long programs of `notify` may still run after all have handed over (15 s at most); together
/// less than the unit's `TimeoutStopSec=` of 20 s.
const NOTIFY_TIME: Duration = Duration::from_secs(4);
/// How long a process that leaves for a successor waits for its disk, and for its scripts to end:
/// nobody advertises meanwhile.
const LEAVE_TIME: Duration = Duration::from_millis(5);
/// How long the log may still be written when everything is over.
const FLUSH_TIME: Duration = Duration::from_millis(200);
/// Exit code of a failure at run time.
pub const EXIT_FAILED: u8 = 1;

/// Runs `wayfare-vrrpd` from its arguments to its exit code.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let loaded = match config::load(&args.config) {
        Ok(loaded) => loaded,
        Err(faults) => {
            eprint!("{}", faults.render(wants_colour()));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if !loaded.warnings.is_empty() {
        eprint!("{}", loaded.warnings.render(wants_colour()));
    }
    if args.check {
        println!("{}: good", args.config.display());
        for need in Need::of(&loaded.config) {
            println!("note: {}", need.text());
        }
        return ExitCode::SUCCESS;
    }
    ctl::log::init(log_format(args));
    realtime::enter_and_tell();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(|error| format!("no runtime: {error}"))
        .and_then(|runtime| {
            let local = tokio::task::LocalSet::new();
            let outcome = local.block_on(&runtime, run(args, loaded));
            drop(local);
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            ctl::log::flush(FLUSH_TIME);
            eprintln!("wayfare-vrrpd: {text}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn run(args: &Args, loaded: Loaded) -> Result<(), String> {
    let hello = Hello::new("vrrpd", env!("CARGO_PKG_VERSION"));
    let server = Server::bind(&args.socket, hello, Access::from_system())
        .map_err(|error| error.to_string())?;
    let sole = Sole::take(ctl::VRRPD_NAME).map_err(|error| format!("{error}; stop it first"))?;
    tokio::task::spawn_local(sole.keep());
    // No other thread runs yet: they inherit what is left.
    caps::give_up();
    if let Err(error) = ctl::log::write_apart(log_format(args)) {
        tracing::warn!(%error, "no thread to write the log: who does not read it holds us up");
    }
    let signals = Signals::new().map_err(|error| format!("signal handlers: {error}"))?;
    let instances = loaded.config.instances.len();
    let shared = Shared::new(Node::default(), args.config.clone());
    let (chronicle, past) = Chronicle::open(dirs::state_file(&args.socket, "history"));
    shared.go_on(chronicle, past);
    shared.note(of_the_daemon("started"));
    warn_of_needs(&loaded.config);
    shared.step(|node, now| node.apply(now, loaded.config));
    let mut waits =
        Waits::new(&shared, signals, begin_reload).map_err(|error| format!("timers: {error}"))?;
    let mut driver = Driver::open(Rc::clone(&shared), EstateFile::beside(&args.socket))
        .map_err(|error| format!("netlink: {error}"))?;
    track::start(&shared, &args.socket);
    driver.notify_through(Notices::new(dirs::runtime_file(&args.socket, "told")));
    tokio::task::spawn_local(control::serve(Rc::clone(&shared), server));
    tokio::task::spawn_local(metrics::serve(Rc::clone(&shared)));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        instances,
        "wayfare-vrrpd started"
    );
    notify::ready();
    driver.run(&mut waits).await;
    if driver.has_left() {
        driver.leave_notices();
        shared.note(of_the_daemon("stopped"));
        shared.leave(LEAVE_TIME);
    } else {
        driver.finish_notices(NOTIFY_TIME).await;
        shared.note(of_the_daemon("stopped"));
        shared.close();
    }
    tracing::info!("wayfare-vrrpd stopped");
    let patience = if driver.has_left() {
        LEAVE_TIME
    } else {
        FLUSH_TIME
    };
    ctl::log::flush(patience);
    Ok(())
}

/// Some checks are bad for ever without what the service manager has to give.
fn warn_of_needs(config: &Config) {
    for need in Need::of(config).into_iter().filter(|it| !it.is_met()) {
        tracing::warn!("{}", need.text());
    }
}

fn log_format(args: &Args) -> ctl::log::LogFormat {
    match args.log_format {
        LogFormat::Text => ctl::log::LogFormat::Text,
        LogFormat::Json => ctl::log::LogFormat::Json,
    }
}

/// The history goes over several processes: where each begins and ends is part of it.
fn of_the_daemon(what: &str) -> Entry {
    Entry {
        epoch_ms: epoch_ms(),
        instance: "daemon".to_owned(),
        text: format!("wayfare-vrrpd {} {what}", env!("CARGO_PKG_VERSION")),
    }
}

/// Reads the file and puts it in force, or says what it would change. The file, and whatever else
/// it names, is read on another thread; who comes meanwhile waits for its turn.
///
/// # Errors
/// The file is wrong; the running configuration stays as it is.
pub async fn reload(shared: &Shared, path: &Path, check_only: bool) -> Result<Plan, Diagnostics> {
    // The turn goes with the reading and not with who asked: that one may leave, and the thread
    // still hang.
    let turn = Arc::clone(&shared.loading).lock_owned().await;
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || (config::load(&file), turn)).await;
    let (loaded, _turn) = read.map_err(|error| refusal(path, &format!("cannot read: {error}")))?;
    let loaded = loaded?;
    for line in loaded.warnings.lines() {
        tracing::warn!("{line}");
    }
    if check_only {
        return Ok(shared.peek(|node, _| Plan::between(node.config(), &loaded.config)));
    }
    if shared.peek(|node, _| node.is_stopping()) {
        return Err(refusal(path, "the daemon is stopping"));
    }
    notify::reloading();
    warn_of_needs(&loaded.config);
    let plan = shared.step(|node, now| node.apply(now, loaded.config));
    shared.config_loaded();
    notify::ready();
    Ok(plan)
}

/// What is wrong is not in the file.
fn refusal(path: &Path, message: &str) -> Diagnostics {
    let mut faults = Diagnostics::new(&path.display().to_string(), "");
    faults.file_error(message, "");
    faults
}

fn begin_reload(shared: &Rc<Shared>) {
    let shared = Rc::clone(shared);
    tokio::task::spawn_local(async move { reload_and_log(&shared).await });
}

async fn reload_and_log(shared: &Shared) {
    match reload(shared, &shared.config_path, false).await {
        Ok(plan) => {
            for change in &plan.changes {
                let cost = match change.impact {
                    Impact::Hitless => "no election",
                    Impact::MayElect => "may elect another master",
                    Impact::Restart => "hands over",
                };
                tracing::info!(instance = change.instance, cost, "{}", change.what);
            }
        }
        Err(faults) => {
            for line in faults.lines() {
                tracing::error!("{line}");
            }
            tracing::error!("reload refused: the running configuration stays");
        }
    }
}

fn wants_colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
