//! The thread that writes addresses into the kernel, so that adverts never wait for it.
//!
//! A netlink request is carried out inside the call that sends it, under a lock that the whole
//! host shares: on a busy one (hundreds of containers come and go) that takes tenths of a second.
//! So orders go to this thread through a queue and answers come back through another; between them
//! the daemon sends its adverts.
//!
//! The thread never acts on its own account: addresses of a main loop that hangs expire. Nor does
//! it act late: an order to put addresses that has waited for [`LATE`], because the whole process
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
use super::holder::{LIFETIME_S, Put};
use super::realtime;
use super::routes;
use super::vmac::Vmacs;
use crate::node::{Carriers, WantedCarrier};

/// An order to put addresses that is older than this is not carried out.
pub const LATE: Duration = Duration::from_millis(500);

/// What the thread is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Put addresses on links, or refresh them.
    Put {
        /// Comes back with the answer.
        ticket: u64,
        /// When it was given.
        given: Instant,
        /// The addresses.
        list: Vec<Put>,
    },
    /// Take addresses off.
    Remove(Vec<Put>),
    /// Take a picture of links and addresses.
    Look,
    /// Put routes there, or refresh them.
    PutRoutes(Vec<routes::Wanted>),
    /// Take routes out.
    RemoveRoutes(Vec<HostRoute>),
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
    /// To [`Order::PutRoutes`].
    Routes(Vec<(HostRoute, routes::Fate)>),
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

fn work(
    mut writer: HostAddresses,
    inbox: &Receiver<Order>,
    outbox: &Sender<Answer>,
    wake: &Notify,
) {
    let (mut vmacs, mut gate) = (Vmacs::default(), Gate::default());
    while let Ok(order) = inbox.recv() {
        let answer = match order {
            Order::Put {
                ticket,
                given,
                list,
            } => {
                let late = given.elapsed() >= LATE;
                let refused = (!late).then(|| put(&mut writer, &mut vmacs, &list));
                Answer::Put { ticket, refused }
            }
            Order::Remove(list) => {
                vmacs.before_remove(&list);
                remove(&mut writer, &list);
                continue;
            }
            Order::Look => Answer::Seen(snapshot()),
            Order::PutRoutes(list) => Answer::Routes(routes::put(&mut writer, list)),
            Order::RemoveRoutes(list) => {
                routes::take_out(&mut writer, &list);
                continue;
            }
            Order::Carry {
                wanted,
                closed,
                look,
            } => Answer::Carried {
                carriers: vmacs.sync(&wanted, look),
                gate: gate.sync(&closed),
            },
        };
        if outbox.send(answer).is_err() {
            return;
        }
        wake.notify_one();
    }
}

fn put(writer: &mut HostAddresses, vmacs: &mut Vmacs, list: &[Put]) -> Vec<(Put, String)> {
    let mut refused = vmacs.before_put(list);
    // An address on a link that is down would be no help to anybody.
    let list: Vec<Put> = list
        .iter()
        .filter(|one| !refused.iter().any(|(other, _)| other == *one))
        .copied()
        .collect();
    match writer.put(&list, LIFETIME_S) {
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
    refused
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
