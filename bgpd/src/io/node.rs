//! The speaker and everything around it, shared by the local tasks of one thread.
//!
//! A [`Node`] is what a task holds. Its one rule is kept by its shape: the speaker can only be
//! reached through [`Node::step`] and [`Node::peek`], whose closures cannot wait, so a borrow
//! never spans an `await` and two tasks never want the speaker at once. `step` wakes the driver,
//! because the closure may have produced actions; `peek` does not, for the writers that only
//! take out what is ready and for queries that only look.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::conn::ConnHandle;
use super::events::{EventHub, epoch_ms};
use super::kernel::KernelPort;
use super::listener::Listeners;
use super::listings::Turns;
use super::reader::READ_LEN_MAX;
use crate::speaker::Speaker;
use crate::speaker::port::ConnId;
use crate::state::StateFile;

/// The speaker, its connections and its listeners.
#[derive(Debug)]
pub struct Node {
    speaker: RefCell<Speaker>,
    /// The one read buffer; see `reader`.
    scratch: RefCell<Box<[u8]>>,
    /// Open connections and dial attempts.
    pub conns: RefCell<BTreeMap<ConnId, ConnHandle>>,
    /// Closed connections that still flush and drain; see `conn`.
    pub lingering: Cell<usize>,
    /// What operators get of this thread.
    pub operators: Turns,
    /// Listening sockets.
    pub listeners: Listeners,
    /// The kernel thread.
    pub kernel: KernelPort,
    /// Where pool addresses in use are kept over a restart.
    pub pool_state: StateFile,
    /// The log and the monitors.
    pub events: EventHub,
    /// Signalled after every step.
    pub wake: Notify,
    /// Readers that wait because the tables have enough to do, in their order.
    turns: Notify,
    steps: Cell<u64>,
    /// The planner of the cluster's objects.
    #[cfg(feature = "kubernetes")]
    planner: std::cell::OnceCell<crate::planning::PlannerHandle>,
    config_epoch_ms: Cell<u64>,
}

impl Node {
    /// Wraps a speaker for the tasks of this thread.
    #[must_use]
    pub fn new(speaker: Speaker, kernel: KernelPort, pool_state: StateFile) -> Rc<Self> {
        Rc::new(Self {
            speaker: RefCell::new(speaker),
            scratch: RefCell::new(vec![0; READ_LEN_MAX].into_boxed_slice()),
            conns: RefCell::new(BTreeMap::new()),
            lingering: Cell::new(0),
            operators: Turns::default(),
            listeners: Listeners::default(),
            kernel,
            pool_state,
            events: EventHub::default(),
            wake: Notify::new(),
            turns: Notify::new(),
            steps: Cell::new(0),
            #[cfg(feature = "kubernetes")]
            planner: std::cell::OnceCell::new(),
            config_epoch_ms: Cell::new(epoch_ms()),
        })
    }

    /// The planner of the cluster's objects, if there is one.
    #[cfg(feature = "kubernetes")]
    #[must_use]
    pub fn planner(&self) -> Option<&crate::planning::PlannerHandle> {
        self.planner.get()
    }

    /// Makes the planner known to who answers operators.
    #[cfg(feature = "kubernetes")]
    pub fn set_planner(&self, planner: crate::planning::PlannerHandle) {
        // There is one start, so nobody was there before.
        let _ = self.planner.set(planner);
    }

    /// Gives the speaker an input and lets the driver carry out what follows from it.
    pub fn step<R>(&self, input: impl FnOnce(&mut Speaker, Instant) -> R) -> R {
        self.steps.set(self.steps.get().wrapping_add(1));
        let answer = input(&mut self.speaker.borrow_mut(), Instant::now());
        self.wake.notify_one();
        answer
    }

    /// Takes something out of the speaker, or looks at it, without waking the driver.
    pub fn peek<R>(&self, look: impl FnOnce(&mut Speaker, Instant) -> R) -> R {
        look(&mut self.speaker.borrow_mut(), Instant::now())
    }

    /// How many inputs there were: the driver sees by it whether more came while it yielded.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Reads what the socket has, up to the size of the buffer, and hands it to the speaker.
    ///
    /// # Errors
    /// As `read(2)`; `WouldBlock` when nothing was there.
    pub fn read_into_speaker(&self, conn: ConnId, stream: &TcpStream) -> io::Result<usize> {
        let mut scratch = self.scratch.borrow_mut();
        let read_len = stream.try_read(&mut scratch)?;
        if let Some(bytes) = scratch.get(..read_len)
            && read_len > 0
        {
            self.step(|speaker, now| {
                self.operators.note_traffic(now);
                speaker.handle_bytes(now, conn, bytes);
            });
        }
        Ok(read_len)
    }

    /// Waits until the tables can take more. Readers get their turns in the order they came, one
    /// read each, so that none of them starves another.
    pub async fn turn(&self) {
        while self.peek(|speaker, _| speaker.is_congested()) {
            self.turns.notified().await;
        }
    }

    /// Lets the next reader have its turn, if there is room.
    pub fn pass_turn(&self) {
        if !self.peek(|speaker, _| speaker.is_congested()) {
            self.turns.notify_one();
        }
    }

    /// Tells the writer of a connection that there may be something to send.
    pub fn wake_writer(&self, conn: ConnId) {
        if let Some(handle) = self.conns.borrow().get(&conn) {
            handle.wake.notify_one();
        }
    }

    /// Ends a connection, or an attempt at one.
    pub fn close(&self, conn: ConnId, farewell: Bytes, abort: bool) {
        if let Some(handle) = self.conns.borrow().get(&conn) {
            handle.close(farewell, abort);
        }
    }

    /// When the configuration in force was read, in milliseconds since 1970.
    #[must_use]
    pub fn config_epoch_ms(&self) -> Option<u64> {
        Some(self.config_epoch_ms.get())
    }

    /// A configuration has just been put in force.
    pub fn config_loaded(&self) {
        self.config_epoch_ms.set(epoch_ms());
        #[cfg(feature = "kubernetes")]
        super::cluster::set_options(self.planner(), self);
    }

    /// Writes the state of every session to the log (SIGUSR1).
    pub fn dump(&self) {
        self.peek(|speaker, now| {
            for entry in speaker.peers().iter() {
                let up = entry
                    .up
                    .as_ref()
                    .map(|up| now.saturating_duration_since(up.since));
                tracing::info!(
                    neighbor = %entry.address,
                    state = %entry.peer.state(),
                    up_s = up.map(|up| up.as_secs()),
                    "dump"
                );
            }
        });
    }
}
