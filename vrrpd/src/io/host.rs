//! What the driver needs of the host, and Linux as it gives it.
//!
//! [`Host`] is the seam between deciding and doing: the driver's order of acts is tested with a
//! host that only writes down what it is told, in virtual time and without privileges. [`Linux`]
//! is the real one: netlink for pictures and changes, the [`Keeper`] thread for addresses, raw
//! sockets for adverts, a packet socket for announcements.
//!
//! Nothing here waits, but for the answer to where a route leads, which the kernel gives without
//! its great lock.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use proto_codec::vrrp::Envelope;
use rib::netlink::hosts::{HostAddresses, HostChange, HostLink, HostWatch, snapshot};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::holder::{ADDRESS_PROTOCOL, Put};
use super::keeper::{self, Answer, Keeper, Order, Picture};
use super::segment::{Outgoing, Segment};
use super::sockopt::{FrameSocket, Readable};

/// Takes a packet that was read: link, what the IP header says, VRRP message.
pub type Take<'t> = &'t mut dyn FnMut(u32, &Envelope, &[u8]);

/// Where adverts of one link and family come and go.
pub trait Wire: fmt::Debug {
    /// Whether something may have come since the last [`Wire::read`]. The runtime says so one turn
    /// late at times: before timers are judged, ask the socket itself.
    fn has_rung(&self) -> bool {
        true
    }

    /// Hands up to `most` packets to `take`; `true` when more may be there.
    fn read(&self, most: usize, take: Take<'_>) -> bool;

    /// Sends adverts in their order; what does not leave comes back with its place and the reason.
    fn send(&self, batch: &[Outgoing]) -> Vec<(usize, io::Error)>;
}

/// The kernel, as the driver sees it.
pub trait Host: fmt::Debug {
    /// All links and addresses, now; this waits, so it is for the start only.
    ///
    /// # Errors
    /// They cannot be read.
    fn picture(&mut self) -> io::Result<Picture>;

    /// Whether something may have changed since the last [`Host::changes`], as [`Wire::has_rung`].
    fn has_rung(&self) -> bool {
        true
    }

    /// What changed since the last call, by whom ever but us.
    ///
    /// # Errors
    /// The watch fails for good.
    fn changes(&mut self) -> io::Result<Vec<HostChange>>;

    /// The link of the route to `address`.
    fn link_towards(&mut self, address: IpAddr) -> Option<u32>;

    /// Takes addresses off before anything else is done; this waits, so it is for the start only.
    fn clean(&mut self, list: &[Put]);

    /// Gives the address thread an order; the answer comes through [`Host::answer`]. `false`: it
    /// has ended.
    fn order(&mut self, order: Order) -> bool;

    /// The next answer of the address thread.
    fn answer(&mut self) -> Option<Answer>;

    /// Opens the socket for adverts of one link and family.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, or the link has just gone.
    fn open(&mut self, link: &HostLink, ipv6: bool) -> io::Result<Box<dyn Wire>>;

    /// Sends an Ethernet frame over a link.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, or as `sendto(2)`.
    fn send_frame(&mut self, link: u32, frame: &[u8]) -> io::Result<()>;
}

/// The real one.
#[derive(Debug)]
pub struct Linux {
    /// Cleans at the start, then answers questions about routes.
    questions: HostAddresses,
    keeper: Keeper,
    watch: HostWatch,
    rung: Rc<Cell<bool>>,
    waker: JoinHandle<()>,
    frames: Option<FrameSocket>,
    wake: Arc<Notify>,
}

impl Drop for Linux {
    fn drop(&mut self) {
        self.waker.abort();
    }
}

impl Linux {
    /// Opens what can only be opened once; `wake` is woken whenever there is something to read.
    ///
    /// # Errors
    /// Netlink or a thread are not to be had: nothing can be done without.
    pub fn open(wake: &Arc<Notify>) -> io::Result<Self> {
        let writer = HostAddresses::open(ADDRESS_PROTOCOL)?;
        let watch = HostWatch::open(&writer)?;
        // A second descriptor of the same socket, for a task that only waits.
        let bell = Rc::new(Readable::new(watch.as_fd().try_clone_to_owned()?)?);
        let rung = Rc::new(Cell::new(true));
        let waker = tokio::task::spawn_local(ring(bell, Rc::clone(&rung), Arc::clone(wake)));
        Ok(Self {
            questions: HostAddresses::open(ADDRESS_PROTOCOL)?,
            keeper: Keeper::spawn(writer, Arc::clone(wake))?,
            watch,
            rung,
            waker,
            frames: None,
            wake: Arc::clone(wake),
        })
    }
}

/// Notes that `bell` has something to read, and wakes `wake`.
pub(super) async fn ring<T: AsFd>(bell: Rc<Readable<T>>, rung: Rc<Cell<bool>>, wake: Arc<Notify>) {
    while bell.wait().await {
        rung.set(true);
        wake.notify_one();
    }
}

impl Host for Linux {
    fn picture(&mut self) -> io::Result<Picture> {
        snapshot()
    }

    fn has_rung(&self) -> bool {
        self.rung.get()
    }

    fn changes(&mut self) -> io::Result<Vec<HostChange>> {
        self.rung.set(false);
        self.watch.read()
    }

    fn link_towards(&mut self, address: IpAddr) -> Option<u32> {
        self.questions.link_towards(address).ok().flatten()
    }

    fn clean(&mut self, list: &[Put]) {
        keeper::remove(&mut self.questions, list);
    }

    fn order(&mut self, order: Order) -> bool {
        self.keeper.order(order)
    }

    fn answer(&mut self) -> Option<Answer> {
        self.keeper.answer()
    }

    fn open(&mut self, link: &HostLink, ipv6: bool) -> io::Result<Box<dyn Wire>> {
        Ok(Box::new(Segment::open(link, ipv6, &self.wake)?))
    }

    fn send_frame(&mut self, link: u32, frame: &[u8]) -> io::Result<()> {
        let frames = match self.frames.take() {
            Some(frames) => frames,
            None => FrameSocket::open()?,
        };
        self.frames.insert(frames).send(link, frame)
    }
}
