//! What the driver and the operator's tasks share: the node, behind a door that cannot be held
//! open across a wait.
//!
//! `step` is for inputs and wakes the driver, because actions may follow; `peek` is for looking
//! and for what the driver itself does. Their closures cannot wait, so a borrow never spans one.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Mutex, Notify, broadcast};

use super::chronicle::Chronicle;
use crate::node::{Entry, Node};
use crate::track::Runner;

/// Where `now` comes from: the monotonic clock, or a test's.
pub type Clock = Box<dyn Fn() -> Instant>;

/// Events a monitor may be behind before it misses some.
pub const EVENTS_KEPT: usize = 256;

/// The node and what surrounds it.
pub struct Shared {
    clock: Clock,
    node: RefCell<Node>,
    /// Wakes the driver.
    pub wake: Arc<Notify>,
    /// The configuration file.
    pub config_path: PathBuf,
    /// Told when a configuration was put in force.
    pub reloaded: Notify,
    /// Whose turn it is to read a configuration.
    pub loading: Arc<Mutex<()>>,
    /// When the process started.
    pub started: Instant,
    events: broadcast::Sender<Entry>,
    config_epoch_ms: Cell<u64>,
    /// The configuration changed: places and sockets are to be looked at again.
    replaced: Cell<bool>,
    /// Runs the checks, once it is there.
    runner: RefCell<Option<Runner>>,
    /// Keeps the history on disk.
    chronicle: RefCell<Option<Chronicle>>,
}

impl Shared {
    /// Wraps a node for the tasks of this thread.
    #[must_use]
    pub fn new(node: Node, config_path: PathBuf) -> Rc<Self> {
        Self::with_clock(node, config_path, Box::new(Instant::now))
    }

    /// The same in another time.
    #[must_use]
    pub fn with_clock(node: Node, config_path: PathBuf, clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            node: RefCell::new(node),
            wake: Arc::new(Notify::new()),
            config_path,
            reloaded: Notify::new(),
            loading: Arc::default(),
            events: broadcast::Sender::new(EVENTS_KEPT),
            started: clock(),
            clock,
            config_epoch_ms: Cell::new(epoch_ms()),
            replaced: Cell::new(true),
            runner: RefCell::new(None),
            chronicle: RefCell::new(None),
        })
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Gives the node an input; the driver carries out what follows.
    pub fn step<R>(&self, input: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let answer = input(&mut self.node.borrow_mut(), self.now());
        self.wake.notify_one();
        answer
    }

    /// Looks at the node, or takes something out, without waking the driver.
    pub fn peek<R>(&self, look: impl FnOnce(&mut Node, Instant) -> R) -> R {
        look(&mut self.node.borrow_mut(), self.now())
    }

    /// Tells the node what time of day it is.
    pub fn tell_time(&self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.peek(|node, now| node.set_clock(now, since.unwrap_or_default()));
    }

    /// Keeps what happened, and tells those who watch. Nobody is waited for.
    pub fn note(&self, entry: Entry) {
        if self.events.receiver_count() > 0 {
            // Nobody left in between: then nobody misses it.
            let _ = self.events.send(entry.clone());
        }
        if let Some(chronicle) = &mut *self.chronicle.borrow_mut() {
            chronicle.add(entry.clone());
        }
        self.peek(|node, _| node.history_mut().push(entry));
    }

    /// Goes on with a history that began earlier.
    pub fn go_on(&self, chronicle: Chronicle, past: Vec<Entry>) {
        self.peek(|node, _| {
            let history = node.history_mut();
            past.into_iter().for_each(|entry| history.push(entry));
        });
        *self.chronicle.borrow_mut() = Some(chronicle);
    }

    /// Has the rest of the history written, within a second.
    pub fn close(&self) {
        *self.chronicle.borrow_mut() = None;
    }

    /// The same, and ends the checks, within so little time each: a successor waits.
    pub fn leave(&self, patience: Duration) {
        if let Some(chronicle) = &mut *self.chronicle.borrow_mut() {
            chronicle.hurry(patience);
        }
        if let Some(runner) = &mut *self.runner.borrow_mut() {
            runner.hurry(patience);
        }
        self.close();
        *self.runner.borrow_mut() = None;
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Entry> {
        self.events.subscribe()
    }

    /// A configuration has just been put in force.
    pub fn config_loaded(&self) {
        self.config_epoch_ms.set(epoch_ms());
        self.replaced.set(true);
        self.run_checks();
        self.reloaded.notify_one();
        self.wake.notify_one();
    }

    /// Who runs checks from now on.
    pub fn set_runner(&self, runner: Runner) {
        self.runner.replace(Some(runner));
        self.run_checks();
    }

    /// The checks of the configuration in force are run, and no others.
    fn run_checks(&self) {
        if let Some(runner) = &mut *self.runner.borrow_mut() {
            runner.set(self.node.borrow().checks().to_run().cloned().collect());
        }
    }

    /// Whether a configuration was put in force since the last call.
    pub fn take_replaced(&self) -> bool {
        self.replaced.take()
    }

    /// When the configuration in force was read.
    #[must_use]
    pub fn config_epoch_ms(&self) -> u64 {
        self.config_epoch_ms.get()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn epoch_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
