//! The kernel thread: its commands and its event loop.
//!
//! One turn: take the commands that wait, read what the kernel told, let the reconciler decide,
//! deliver events, write one batch. Reading comes before writing, so a dead link is acted upon
//! after at most one batch, however many routes are in line.
//!
//! If a socket fails, all are closed and opened again after a pause; the audit that follows is
//! the same as at the start, so nothing depends on what was lost in between.

use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::fib::{Fib, FibChange, KernelConfig, KernelEvent, RoutePage, RouteQuery};

use super::batch::{BATCH_MAX, BatchWriter};
use super::cleanup::retire;
use super::dump::{Dumper, feed};
use super::handle::Shown;
use super::socket::Netlink;
use super::wire::messages;

/// Datagrams read from the listening socket in one turn, so that a storm of notifications leaves
/// room for commands and writes.
const HEARD_MAX: usize = 2048;
/// Commands taken in one turn, for the same reason: all that fit the queue, which is some
/// milliseconds. What is wanted is heard to the end before a route is written, as the end may be
/// that a whole group moves.
const COMMANDS_A_TURN: usize = 256;
/// How long a shutdown may go on writing what is in line.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);
/// Pause before failed sockets are opened again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// What the daemon asks of the thread.
pub(super) enum Command {
    Update(Vec<FibChange>),
    ResyncComplete,
    Track(IpAddr, bool),
    Reconfigure(KernelConfig),
    Routes(RouteQuery, Box<dyn FnOnce(RoutePage) + Send>),
    Shutdown,
}

/// The thread's ends of what it shares with the handle.
pub(super) struct Inbox {
    pub(super) commands: Receiver<Command>,
    pub(super) woken: UnixStream,
    pub(super) shown: Arc<Shown>,
}

#[derive(Debug)]
struct Sockets {
    listener: Netlink,
    writer: BatchWriter,
    dumper: Dumper,
}

impl Sockets {
    fn open() -> io::Result<Self> {
        let writer = BatchWriter::open()?;
        Ok(Self {
            listener: Netlink::for_listening(writer.port())?,
            writer,
            dumper: Dumper::open()?,
        })
    }
}

struct Worker<F> {
    fib: Fib,
    sockets: Sockets,
    inbox: Inbox,
    on_event: F,
    /// Configurations whose routes go once those of the new one are written: more than one when
    /// they change faster than that.
    retired: Vec<KernelConfig>,
    ends_at: Option<Instant>,
    broken_until: Option<Instant>,
    /// Commands wait whose wake-up bytes are read already.
    more_commands: bool,
}

/// Opens the sockets here, where the caller sees a failure, and starts the thread.
pub(super) fn spawn(
    config: KernelConfig,
    inbox: Inbox,
    on_event: impl FnMut(KernelEvent) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let mut worker = Worker {
        fib: Fib::new(config, Instant::now()),
        sockets: Sockets::open()?,
        inbox,
        on_event,
        retired: Vec::new(),
        ends_at: None,
        broken_until: None,
        more_commands: false,
    };
    std::thread::Builder::new()
        .name("kernel".into())
        .spawn(move || worker.run())
}

impl<F: FnMut(KernelEvent)> Worker<F> {
    fn run(&mut self) {
        loop {
            if let Err(error) = self.turn() {
                self.broken(&error);
            }
            let now = Instant::now();
            if self
                .ends_at
                .is_some_and(|at| at <= now || !self.fib.has_work())
            {
                return;
            }
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        self.wait()?;
        let now = Instant::now();
        self.take_commands(now);
        if self.broken_until.is_some_and(|at| at > now) {
            return Ok(());
        }
        if self.broken_until.take().is_some() {
            self.sockets = Sockets::open()?;
            self.fib.audit_cancel();
            self.fib.overrun(now);
        }
        self.listen(now)?;
        self.fib.handle_timeout(now);
        self.audit(now)?;
        self.fib.settle();
        self.deliver();
        if self.fib.config().watch_only {
            self.finish_retired()?;
        }
        self.write()?;
        self.deliver();
        Ok(())
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let broken = self.broken_until.is_some();
        let due = self.fib.has_work() || self.fib.wants_audit(now);
        let busy = self.more_commands || (due && !broken);
        let wake = if broken {
            self.broken_until
        } else {
            self.fib.poll_timeout()
        };
        let pause = match wake.map(|at| at.saturating_duration_since(now)) {
            _ if busy => PollTimeout::ZERO,
            // Rounded up, so as not to wake just before the deadline and spin.
            Some(pause) => {
                let millis = u32::try_from(pause.as_millis() + 1).unwrap_or(u32::MAX);
                PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![readable(self.inbox.woken.as_fd())];
        if !broken {
            fds.push(readable(self.sockets.listener.as_fd()));
            if self.sockets.dumper.running() {
                fds.push(readable(self.sockets.dumper.socket.as_fd()));
            }
        }
        match poll(&mut fds, pause) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn take_commands(&mut self, now: Instant) {
        let mut bytes = [0; 64];
        while matches!((&self.inbox.woken).read(&mut bytes), Ok(read) if read == bytes.len()) {}
        self.more_commands = true;
        for _ in 0..COMMANDS_A_TURN {
            match self.inbox.commands.try_recv() {
                Ok(command) => self.command(now, command),
                Err(ended) => {
                    self.more_commands = false;
                    if ended == TryRecvError::Disconnected {
                        self.ends_at.get_or_insert(now + SHUTDOWN_MAX);
                    }
                    return;
                }
            }
        }
    }

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Update(changes) => {
                for change in &changes {
                    self.fib.apply(now, change);
                }
            }
            Command::ResyncComplete => self.fib.resync_complete(now),
            Command::Track(addr, on) => self.fib.track(addr, on),
            Command::Reconfigure(config) => {
                let old = self.fib.config().clone();
                if !self.fib.reconfigure(now, config.clone()) {
                    self.fib = self.fib.rebuilt(config, now);
                    // What was never written needs no removal.
                    self.retired.extend(Some(old).filter(|old| !old.watch_only));
                }
            }
            Command::Routes(query, reply) => reply(self.fib.page(&query)),
            Command::Shutdown => self.ends_at = Some(now + SHUTDOWN_MAX),
        }
    }

    fn listen(&mut self, now: Instant) -> io::Result<()> {
        for _ in 0..HEARD_MAX {
            match self.sockets.listener.try_receive() {
                Ok(Some(bytes)) => {
                    for message in messages(bytes) {
                        feed(&mut self.fib, now, &message, false);
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.fib.overrun(now);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn audit(&mut self, now: Instant) -> io::Result<()> {
        if self.fib.wants_audit(now) {
            self.sockets.dumper.start(&mut self.fib, now)?;
        }
        if self.sockets.dumper.running() && self.sockets.dumper.step(&mut self.fib, now)? {
            self.fib.audit_end(Instant::now());
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.fib.has_work() {
            return Ok(());
        }
        let config = self.fib.config().clone();
        let ops = self.fib.poll_batch(Instant::now(), BATCH_MAX);
        if ops.is_empty() {
            return self.finish_retired();
        }
        let result = self.sockets.writer.write(ops, &config);
        let now = Instant::now();
        match result {
            Ok(errors) => {
                self.fib.batch_done(now, errors);
                Ok(())
            }
            Err(error) => {
                // Unknown outcomes: taken as done, then compared.
                self.fib.batch_done(now, Vec::new());
                Err(error)
            }
        }
    }

    fn finish_retired(&mut self) -> io::Result<()> {
        while let Some(old) = self.retired.last() {
            // Forgotten only when done: after a broken socket it is tried again.
            retire(old, self.fib.config())?;
            self.retired.pop();
        }
        Ok(())
    }

    fn deliver(&mut self) {
        let mut interfaces = false;
        while let Some(event) = self.fib.poll_event() {
            interfaces |= matches!(event, KernelEvent::Interface(_) | KernelEvent::Ready { .. });
            if interfaces {
                // Whoever hears of a change finds it in what is shown.
                self.publish(true);
            }
            (self.on_event)(event);
        }
        self.publish(false);
    }

    fn publish(&self, interfaces: bool) {
        let shown = &self.inbox.shown;
        shown.stats.store(Arc::new(self.fib.stats()));
        if interfaces {
            shown.interfaces.store(Arc::new(self.fib.interfaces()));
        }
    }

    fn broken(&mut self, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        (self.on_event)(KernelEvent::Disconnected { errno });
        self.broken_until = Some(Instant::now() + REOPEN_PAUSE);
    }
}
