//! The life of the process: start, run, reload, stop.
//!
//! The order of the start is the order of what can go wrong: the configuration first (78), then
//! the control socket, which is also the lock against a second daemon (1), then the kernel thread,
//! the sessions and the listening sockets, which heal by themselves. READY is told when neighbors
//! can connect, not when they have: a router that waits for its neighbors to be "ready" would
//! never boot.
//!
//! A reload, whoever asks for it, is one function: load, prepare, commit. Any error before the
//! commit leaves the running configuration as it is.

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ctl::notify;
use ctl::server::{Access, Server};
use ctl::signals::Signals;
use proto_codec::control::Hello;
use tokio::sync::Notify;

use crate::args::{Args, LogFormat};
use crate::config::{self, Diagnostics, Host, Loaded, Plan};
use crate::control;
use crate::engine::Engine;
use crate::io::cluster::{ClusterPort, Early};
use crate::io::driver::{Driver, Sources};
use crate::io::kernel::KernelPort;
use crate::io::node::Node;
use crate::origin::PoolState;
#[cfg(feature = "kubernetes")]
use crate::planning::{self, News};
use crate::speaker::{Environment, ReloadError, Speaker, rib_config};
use crate::state::StateFile;

/// Exit code of a bad configuration (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;
/// Exit code of a failure at run time.
pub const EXIT_FAILED: u8 = 1;
/// How often the service watchdog is fed where nothing else is to be done.
#[cfg(feature = "kubernetes")]
const WATCHDOG: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs `wayfare-bgpd` from its arguments to its exit code.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let host = Host::probe();
    let loaded = match config::load(&args.config, &host) {
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
        return ExitCode::SUCCESS;
    }
    ctl::log::init(match args.log_format {
        LogFormat::Text => ctl::log::LogFormat::Text,
        LogFormat::Json => ctl::log::LogFormat::Json,
    });
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(|error| format!("no runtime: {error}"))
        .and_then(|runtime| {
            let local = tokio::task::LocalSet::new();
            let outcome = local.block_on(&runtime, run(args, loaded, host));
            drop(local);
            // Tasks that are left (monitors, retries) hold nothing that must be finished.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("wayfare-bgpd: {text}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn run(args: &Args, loaded: Loaded, host: Host) -> Result<(), String> {
    let hello = Hello::new("bgpd", env!("CARGO_PKG_VERSION"));
    let server = Server::bind(&args.socket, hello, Access::from_system())
        .map_err(|error| error.to_string())?;
    let mut signals = Signals::new().map_err(|error| format!("signal handlers: {error}"))?;
    let (loaded, early) = match loaded.config.router.asn {
        0 => {
            notify::ready();
            notify::status("waiting for the cluster to say our AS");
            let Some((asn, early)) = asn_of_cluster(&loaded, &mut signals).await? else {
                return Ok(());
            };
            let loaded = config::load_with(&args.config, &host, Some(asn));
            (loaded.map_err(|f| f.render(false))?, Some(early))
        }
        _ => (loaded, None),
    };
    let (kernel, kernel_events) = KernelPort::start(loaded.config.kernel.as_ref());
    let state_file = StateFile::from_environment();
    let pool_state = state_file.load().unwrap_or_else(|error| {
        let path = state_file.path().display();
        tracing::error!(%path, %error, "pool addresses in use are forgotten");
        PoolState::default()
    });
    let env = Environment {
        host,
        seed: seed(),
        pool_state,
    };
    let wake = Arc::new(Notify::new());
    let threads = usize::from(loaded.config.engine.threads);
    let tables = Engine::on_threads(rib_config(&loaded.config, &env), threads, &wake)
        .map_err(|error| format!("no thread for the tables: {error}"))?;
    let mut speaker = Speaker::with_tables(Instant::now(), loaded.config, env, tables)
        .map_err(|error| format!("{}: {error}", args.config.display()))?;
    if speaker.config().kubernetes.is_some() && state_file.is_drained() {
        speaker.drain(Instant::now(), true);
        speaker.drain_goes_on(Instant::now());
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        asn = speaker.config().router.asn,
        router_id = %speaker.config().router.router_id,
        neighbors = speaker.peers().len(),
        threads,
        "wayfare-bgpd started"
    );
    let node = Node::new(speaker, kernel, state_file);
    let path = args.config.clone();
    tokio::task::spawn_local(control::serve(Rc::clone(&node), server, path.clone()));
    tokio::task::spawn_local(control::metrics::serve(Rc::clone(&node)));
    let hook = Box::new(move |node: &Rc<Node>| reload_and_log(node, &path));
    let cluster = ClusterPort::start(&node, early);
    let cluster = cluster.map_err(|error| format!("[kubernetes]: {error}"))?;
    #[cfg(feature = "kubernetes")]
    tokio::task::spawn_local(crate::report::run(Rc::clone(&node)));
    let sources = Sources {
        cluster,
        kernel: kernel_events,
        signals,
        tables: wake,
    };
    let mut driver = Driver::new(node, sources, hook);
    notify::ready();
    driver.run().await?;
    tracing::info!("wayfare-bgpd stopped");
    Ok(())
}

/// What the cluster says our AS is, as soon as it says so, and who said it; `None` when the daemon
/// is to stop.
#[cfg(feature = "kubernetes")]
async fn asn_of_cluster(
    loaded: &Loaded,
    signals: &mut Signals,
) -> Result<Option<(u32, Early)>, String> {
    let Some(table) = &loaded.config.kubernetes else {
        return Err("no AS is configured".to_owned());
    };
    tracing::info!("[router] has no asn: waiting for the cluster to say it");
    let config = planning::configured(table, cluster::Facts::default());
    let mut planner = planning::start(config).map_err(|error| error.to_string())?;
    let mut known = News::default();
    let mut watchdog = tokio::time::interval(notify::watchdog_interval().unwrap_or(WATCHDOG));
    loop {
        tokio::select! {
            newer = planner.next() => {
                known.merge(newer.ok_or("the planner of the cluster's objects has died")?);
                let asn = known.wish.as_ref().and_then(|wish| wish.router.asn);
                if let Some(asn) = asn.filter(|asn| *asn != 0) {
                    tracing::info!(asn, "the cluster says our AS");
                    return Ok(Some((asn, Early { planner, news: known })));
                }
                if known.is_complete {
                    tracing::warn!("no object says our AS: write asn under [router]");
                }
            }
            _ = watchdog.tick() => notify::watchdog(),
            signal = signals.next() => {
                if signal == ctl::signals::Signal::Stop {
                    return Ok(None);
                }
            }
        }
    }
}

#[cfg(not(feature = "kubernetes"))]
async fn asn_of_cluster(_: &Loaded, _: &mut Signals) -> Result<Option<(u32, Early)>, String> {
    Err("this build reads no cluster: write asn under [router]".to_owned())
}

/// Why a reload did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ReloadFailure {
    /// The file is wrong; all of its faults.
    #[error("{0}")]
    Config(Diagnostics),
    /// It cannot be put in force.
    #[error("{0}")]
    Prepare(#[from] ReloadError),
}

/// Reads the file and puts it in force, or says what it would change.
///
/// # Errors
/// The running configuration stays as it is.
pub fn reload(node: &Rc<Node>, path: &Path, check_only: bool) -> Result<Plan, ReloadFailure> {
    let host = Host::probe();
    // What the cluster said at the start holds until the next one.
    let asn = node.peek(|speaker, _| speaker.config().router.asn);
    let loaded = config::load_with(path, &host, Some(asn)).map_err(ReloadFailure::Config)?;
    for line in loaded.warnings.lines() {
        tracing::warn!("{line}");
    }
    if check_only {
        return node.peek(|speaker, _| Ok(speaker.prepare(loaded.config)?.plan));
    }
    notify::reloading();
    let outcome = node.step(|speaker, now| {
        let prepared = speaker.prepare(loaded.config)?;
        speaker.set_host(now, host);
        Ok(speaker.commit(now, prepared))
    });
    if outcome.is_ok() {
        node.config_loaded();
    }
    notify::ready();
    outcome
}

fn reload_and_log(node: &Rc<Node>, path: &Path) {
    match reload(node, path, false) {
        Ok(plan) => {
            for change in &plan.changes {
                tracing::info!(impact = ?change.impact, "{}", change.what);
            }
        }
        Err(ReloadFailure::Config(faults)) => {
            for line in faults.lines() {
                tracing::error!("{line}");
            }
            tracing::error!("reload refused: the running configuration stays");
        }
        Err(error) => tracing::error!(%error, "reload refused: the running configuration stays"),
    }
}

/// Every session needs a descriptor: take all the system grants.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, "descriptor limit stays low");
    }
}

/// Randomness from the system's hasher keys: jitter and hash tables need no more than that.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn wants_colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
