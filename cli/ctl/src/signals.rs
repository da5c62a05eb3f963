//! Signals as an async stream.
//!
//! SIGHUP asks for a reload, SIGTERM and SIGINT for a graceful stop, SIGUSR1 for a dump of the
//! state to the log. A second stop request while the first is under way is delivered too: the
//! daemon decides that it means "now". SIGPIPE is ignored by the Rust runtime already.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What the operator asked for by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGUSR1.
    Dump,
}

/// The signals of a daemon.
#[derive(Debug)]
pub struct Signals {
    hangup: Stream,
    terminate: Stream,
    interrupt: Stream,
    user: Stream,
}

impl Signals {
    /// Starts to listen. From here on these signals no longer kill the process.
    ///
    /// # Errors
    /// The handlers cannot be installed; without them a daemon must not start.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next signal. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.user.recv() => Signal::Dump,
        }
    }
}

/// Keeps SIGINT from ending this process until it is dropped; children are not shielded.
#[derive(Debug)]
pub struct InterruptShield {
    _runtime: tokio::runtime::Runtime,
    _interrupts: Stream,
}

/// Shields an interactive program from Ctrl-C, which then only reaches the command it runs.
///
/// # Errors
/// The handler cannot be installed.
pub fn shield_from_interrupt() -> io::Result<InterruptShield> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let guard = runtime.enter();
    let interrupts = signal(SignalKind::interrupt())?;
    drop(guard);
    Ok(InterruptShield {
        _runtime: runtime,
        _interrupts: interrupts,
    })
}
