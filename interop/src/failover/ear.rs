//! Adverts as the segment hears them, each with the kernel's own time stamp.
//!
//! The tool sits on the first link's switch as one more station and joins the VRRP group there. It
//! hears what both routers send, and what a flood sends, which is left out by its sender. The stamp
//! is the kernel's, taken as the packet arrives, so that a busy tool does not blur a jitter.

use std::io::{self, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::pace::realtime;

/// Of VRRP.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const PROTOCOL: i32 = 112;
/// Ends a blocked read.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A flood of ten thousand packets a second must not push an advert out.
const BUFFER: usize = 8 << 20;

/// An advert.
#[derive(Clone, Copy, Debug)]
pub struct Advert {
    /// When it arrived.
    pub at: Instant,
    /// From whom.
    pub from: Ipv4Addr,
    /// Virtual router.
    pub vrid: u8,
    /// The sender's priority; 0 is a farewell.
    pub priority: u8,
}

#[derive(Debug, Default)]
struct Heard {
    adverts: Mutex<Vec<Advert>>,
    more: Condvar,
    stop: AtomicBool,
}

/// Listens until dropped.
#[derive(Debug)]
pub struct Ear(Arc<Heard>);

impl Ear {
    /// Listens on the interface `index` of the calling namespace to what `senders` send.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn open(index: u32, senders: [Ipv4Addr; 2]) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(PROTOCOL)))?;
        socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(index))?;
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let heard = Arc::new(Heard::default());
        let write = Arc::clone(&heard);
        thread::spawn(move || {
            realtime();
            while !write.stop.load(Ordering::Relaxed) {
                let Some(advert) = hear(&socket) else {
                    continue;
                };
                if senders.contains(&advert.from) {
                    let mut adverts = write.adverts.lock().expect("no one panics with it");
                    adverts.push(advert);
                    write.more.notify_all();
                }
            }
        });
        Ok(Self(heard))
    }

    /// Everything heard that arrived at `since` or later.
    #[must_use]
    pub fn since(&self, since: Instant) -> Vec<Advert> {
        let adverts = self.0.adverts.lock().expect("no one panics with it");
        let from = adverts.partition_point(|one| one.at < since);
        adverts.get(from..).unwrap_or_default().to_vec()
    }

    /// Waits for the next advert of `from`.
    ///
    /// # Errors
    /// None came within `limit`.
    pub fn next(&self, from: Ipv4Addr, limit: Duration) -> Result<Advert, String> {
        let start = Instant::now();
        let mut adverts = self.0.adverts.lock().expect("no one panics with it");
        let mut known = adverts.len();
        loop {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(format!("no advert of {from} within {limit:?}"));
            }
            let waited = self.0.more.wait_timeout(adverts, left);
            adverts = waited.expect("no one panics with it").0;
            let new = adverts.get(known..).unwrap_or_default();
            if let Some(found) = new.iter().find(|one| one.from == from) {
                return Ok(*found);
            }
            known = adverts.len();
        }
    }

    /// Forgets everything heard so far.
    pub fn forget(&self) {
        let mut adverts = self.0.adverts.lock().expect("no one panics with it");
        adverts.clear();
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn hear(socket: &Socket) -> Option<Advert> {
    let mut octets = [0; 128];
    let mut parts = [IoSliceMut::new(&mut octets)];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let flags = MsgFlags::empty();
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
    let stamp = message.cmsgs().ok()?.find_map(|one| match one {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
        _ => None,
    });
    let len = message.bytes;
    // The stamp is in wall time; only its distance from now is used.
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let age = wall.ok()?.saturating_sub(stamp?);
    let now = Instant::now();
    let packet = octets.get(..len)?;
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let source = <[u8; 4]>::try_from(packet.get(12..16)?).ok()?;
    let message = packet.get(header..)?;
    Some(Advert {
        at: now.checked_sub(age)?,
        from: source.into(),
        vrid: *message.get(1)?,
        priority: *message.get(2)?,
    })
}
