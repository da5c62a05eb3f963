//! The thread that writes addresses into the kernel, so that adverts never wait for it.
//!
//! A netlink request is carried out inside the call that sends it, under a lock that the whole
//! host shares: on a busy one (hundreds of containers come and go) that takes tenths of a second.
//! So orders go to this thread through a queue and answers come back through another; between them
//! the daemon sends its adverts.
//!
//! The thread never acts on its own account: addresses of a main loop that hangs expire. Nor does
//! it act late: an order to put something that has waited for [`LATE`], because the whole process
//! stood still, is handed back undone. Whoever gave it may no longer want it.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rib::netlink::hosts::{HostAddress, HostAddresses, HostLink, HostRoute, snapshot};
use tokio::sync::Notify;

use super::accept::Gate;
use super::holder::Put;
use super::realtime;
use super::routes;
use super::vmac::Vmacs;
use crate::node::{Carriers, WantedCarrier};

/// An order to put addresses or routes that is older than this is not carried out.
pub const LATE: Duration = Duration::from_millis(500);

/// Longest wait for the routes of new IPv6 addresses, and the time between two looks. The kernel's
/// worker needs the lock that all links of the host share; until it had it, nothing comes in.
const IN_FORCE_WITHIN: Duration = Duration::from_millis(200);
const IN_FORCE_LOOK: Duration = Duration::from_micros(100);

/// What the thread is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Put addresses on links, or refresh them.
    Put {
        /// Comes back with the answer.
        ticket: u64,
        /// When it was given.
        given: Instant,
        /// How long they live without another order, in seconds.
        lifetime_s: u32,
        /// The addresses.
        list: Vec<Put>,
    },
    /// Take addresses off.
    Remove(Vec<Put>),
    /// Take a picture of links and addresses.
    Look,
    /// Put routes there, or refresh them.
    PutRoutes {
        /// When it was given.
        given: Instant,
        /// The routes.
        list: Vec<routes::Wanted>,
    },
    /// Take routes out.
    RemoveRoutes(Vec<HostRoute>),
    /// Take out all routes of ours but these: an earlier process left them.
    CleanRoutes(Vec<HostRoute>),
    /// Have these links and closed addresses and no others, and look whether they still are as
    /// they were made.
    Carry {
        /// The links of virtual MACs.
        wanted: Vec<WantedCarrier>,
        /// What nothing is taken for.
        closed: BTreeSet<IpAddr>,
        /// Somebody may have removed or changed a link.
        look: bool,
    },
}

/// All links and addresses of the host.
pub type Picture = (Vec<HostLink>, Vec<HostAddress>);

/// What became of an order.
#[derive(Debug)]
pub enum Answer {
    /// To [`Order::Put`].
    Put {
        /// Of the order.
        ticket: u64,
        /// What is refused, and why; `None`: too late, nothing was done.
        refused: Option<Vec<(Put, String)>>,
    },
    /// To [`Order::Look`].
    Seen(io::Result<Picture>),
    /// To [`Order::PutRoutes`]; `None`: too late, nothing was done.
    Routes(Option<Vec<(HostRoute, routes::Fate)>>),
    /// To [`Order::Carry`].
    Carried {
        /// What became of the links.
        carriers: Carriers,
        /// Why the addresses cannot be closed.
        gate: Result<(), String>,
    },
}

/// The daemon's side of the thread. Dropping it lets the thread finish what it was told.
#[derive(Debug)]
pub struct Keeper {
    orders: Option<Sender<Order>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread, which writes through `writer` and wakes `wake` with every answer.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn spawn(writer: HostAddresses, wake: Arc<Notify>) -> io::Result<Self> {
        let (orders, inbox) = channel();
        let (outbox, answers) = channel();
        let thread = std::thread::Builder::new()
            .name("addresses".into())
            .spawn(move || {
                // Addresses expire if they are late; the main thread says if it is not allowed.
                let _ = realtime::enter();
                work(writer, &inbox, &outbox, &wake);
            })?;
        Ok(Self {
            orders: Some(orders),
            answers,
            thread: Some(thread),
        })
    }

    /// Gives an order. `false`: the thread has ended, and nothing can be written any more.
    pub fn order(&self, order: Order) -> bool {
        let orders = self.orders.as_ref();
        orders.is_some_and(|orders| orders.send(order).is_ok())
    }

    /// The next answer, if there is one.
    pub fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic was told when it happened; what it held expires.
            let _ = thread.join();
        }
    }
}

fn work(writer: HostAddresses, inbox: &Receiver<Order>, outbox: &Sender<Answer>, wake: &Notify) {
    let mut hand = Hand {
        writer,
        vmacs: Vmacs::default(),
        gate: Gate::default(),
        in_force: BTreeSet::new(),
    };
    while let Ok(order) = inbox.recv() {
        let answer = match order {
            Order::Put {
                ticket,
                given,
                lifetime_s,
                list,
            } => {
                let late = given.elapsed() >= LATE;
                let refused = (!late).then(|| hand.put(&list, lifetime_s));
                Answer::Put { ticket, refused }
            }
            Order::Remove(list) => {
                hand.remove(&list);
                continue;
            }
            Order::Look => Answer::Seen(snapshot()),
            Order::PutRoutes { given, list } => {
                let late = given.elapsed() >= LATE;
                Answer::Routes((!late).then(|| routes::put(&mut hand.writer, list)))
            }
            Order::RemoveRoutes(list) => {
                routes::take_out(&mut hand.writer, &list);
                continue;
            }
            Order::CleanRoutes(kept) => {
                routes::clean(&mut hand.writer, &kept);
                continue;
            }
            Order::Carry {
                wanted,
                closed,
                look,
            } => Answer::Carried {
                carriers: hand.vmacs.sync(&wanted, look),
                gate: hand.gate.sync(&closed),
            },
        };
        if outbox.send(answer).is_err() {
            return;
        }
        wake.notify_one();
    }
}

/// What the thread works with.
struct Hand {
    writer: HostAddresses,
    vmacs: Vmacs,
    gate: Gate,
    /// IPv6 addresses that packets come in for.
    in_force: BTreeSet<Put>,
}

impl Hand {
    fn put(&mut self, list: &[Put], lifetime_s: u32) -> Vec<(Put, String)> {
        let mut refused = self.vmacs.before_put(list);
        // An address on a link that is down would be no help to anybody.
        let list: Vec<Put> = list
            .iter()
            .filter(|one| !refused.iter().any(|(other, _)| other == *one))
            .copied()
            .collect();
        match self.writer.put(&list, lifetime_s) {
            Ok(some) => refused.extend(some.into_iter().filter_map(|(at, error)| {
                let reason = io::Error::from_raw_os_error(error.errno);
                let more = error
                    .text
                    .map_or_else(String::new, |text| format!(": {text}"));
                Some((*list.get(at)?, format!("{reason}{more}")))
            })),
            Err(error) => {
                let text = format!("netlink fails: {error}");
                refused.extend(list.iter().map(|one| (*one, text.clone())));
            }
        }
        self.wait_for_routes(&list, &refused);
        refused
    }

    /// The kernel answers a new IPv6 address before it takes packets for it: whoever announces it
    /// earlier invites what is lost.
    fn wait_for_routes(&mut self, list: &[Put], refused: &[(Put, String)]) {
        let until = Instant::now() + IN_FORCE_WITHIN;
        for one in list {
            let (link, address) = (one.0, one.1.addr());
            let known = self.in_force.contains(one);
            if known || address.is_ipv4() || refused.iter().any(|(other, _)| other == one) {
                continue;
            }
            while !self.writer.is_in_force(link, address).unwrap_or(true) && Instant::now() < until
            {
                std::thread::sleep(IN_FORCE_LOOK);
            }
            self.in_force.insert(*one);
        }
    }

    fn remove(&mut self, list: &[Put]) {
        self.in_force.retain(|one| !list.contains(one));
        self.vmacs.before_remove(list);
        remove(&mut self.writer, list);
    }
}

/// Takes addresses off; what stays is told here, because nobody can do anything about it.
pub(super) fn remove(writer: &mut HostAddresses, list: &[Put]) {
    let name = |one: Option<&(u32, IpNet)>| one.map(|(_, network)| network.to_string());
    match writer.remove(list) {
        Ok(refused) => {
            for (at, error) in refused {
                let reason = io::Error::from_raw_os_error(error.errno);
                let network = name(list.get(at));
                tracing::error!(network, %reason, "virtual address stays until it expires");
            }
        }
        Err(error) => tracing::error!(%error, "virtual addresses stay until they expire"),
    }
}
