//! Who says on the wire that an address is where: every ARP message, every neighbor message.
//!
//! Frames are read at the switch's ports, so each belongs to the node it came from whatever it says
//! of itself. A [`Claim`] is what a neighbor or a switch could learn from it: the address, the MAC
//! address it is said to be at, and the source of the frame. Unicast replies, which a client alone
//! gets, are seen too. No octet is decoded by code of the daemon under test.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
    sockopt,
};

use crate::lab::Lab;
use crate::node::Node;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// The thread looks whether it is to stop this often.
const TURN_MS: u16 = 20;
/// `PACKET_OUTGOING`: the copy of a frame that leaves.
const OUTGOING: u8 = 4;
const VRRP: u8 = 112;
const ICMPV6: u8 = 58;

/// The kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Somebody is asked for, in the name of the address.
    ArpRequest,
    /// A request for the address itself.
    GratuitousRequest,
    /// An answer, asked for or not.
    ArpReply,
    /// A neighbor solicitation from the address.
    Solicitation,
    /// A neighbor advertisement of the address.
    Advertisement,
    /// A VRRP advert from the address.
    Advert,
}

/// What a frame says about an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which of the watched nodes sent it.
    pub node: usize,
    /// The kind of message.
    pub how: How,
    /// The address.
    pub address: IpAddr,
    /// Where it is said to be; without a word about it, the source of the frame.
    pub mac: Mac,
    /// The source of the frame: what switches learn.
    pub source: Mac,
    /// The Router flag of an advertisement.
    pub router: bool,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |mac: Mac| mac.map(|octet| format!("{octet:02x}")).join(":");
        let (mac, source) = (text(self.mac), text(self.source));
        let (node, how, address) = (self.node, self.how, self.address);
        write!(
            f,
            "node {node} {how:?}: {address} is at {mac}, from {source}"
        )
    }
}

/// A running observer.
#[derive(Debug)]
pub struct Truth {
    claims: Arc<Mutex<Vec<Claim>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Truth {
    /// Listens to what `nodes` send over their `eth0`.
    #[must_use]
    pub fn start(nodes: &[&Node]) -> Self {
        let index = |node: &&Node| {
            let port = Lab::port(node, "eth0");
            let index = nix::net::if_::if_nametoindex(port.as_str());
            usize::try_from(index.expect("the node is attached")).unwrap_or(0)
        };
        let ports: Vec<usize> = nodes.iter().map(index).collect();
        let wire = open();
        let claims = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (heard, stopped) = (Arc::clone(&claims), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                read(&wire, &ports, &heard);
            }
        });
        Self {
            claims,
            stop,
            thread: Some(thread),
        }
    }

    /// What was said since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Claim> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut claims)
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, and then it has said so.
            let _ = thread.join();
        }
    }
}

fn open() -> OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::EthAll;
    let fd = socket(AddressFamily::Packet, SockType::Raw, flags, protocol);
    let fd = fd.expect("the lab may listen to its own links");
    setsockopt(&fd, sockopt::RcvBuf, &(8 << 20)).expect("a larger buffer is only a wish");
    fd
}

fn read(wire: &OwnedFd, ports: &[usize], heard: &Mutex<Vec<Claim>>) {
    let _ = poll(
        &mut [PollFd::new(wire.as_fd(), PollFlags::POLLIN)],
        PollTimeout::from(TURN_MS),
    );
    let mut buffer = [0; 2048];
    while let Ok((len, Some(from))) = recvfrom::<LinkAddr>(wire.as_raw_fd(), &mut buffer) {
        let node = ports.iter().position(|port| *port == from.ifindex());
        if let (Some(node), true) = (node, from.pkttype() != OUTGOING)
            && let Some(claim) = claim(node, buffer.get(..len).unwrap_or_default())
        {
            let mut claims = heard.lock().unwrap_or_else(PoisonError::into_inner);
            claims.push(claim);
        }
    }
}

fn claim(node: usize, frame: &[u8]) -> Option<Claim> {
    let source: Mac = frame.get(6..12)?.try_into().ok()?;
    let packet = frame.get(14..)?;
    let made = |how: How, address: IpAddr, mac: Option<Mac>| Claim {
        node,
        how,
        address,
        mac: mac.unwrap_or(source),
        source,
        router: how == How::Advertisement && packet.get(44).is_some_and(|flags| flags & 0x80 != 0),
    };
    match frame.get(12..14)? {
        [0x08, 0x06] => {
            let (sender, target) = (ipv4(packet, 14)?, ipv4(packet, 24)?);
            let how = match packet.get(7)? {
                2 => How::ArpReply,
                _ if sender == target => How::GratuitousRequest,
                _ => How::ArpRequest,
            };
            let mac: Mac = packet.get(8..14)?.try_into().ok()?;
            // A probe names no sender (RFC 5227 §1.1).
            (sender != IpAddr::from(Ipv4Addr::UNSPECIFIED)).then(|| made(how, sender, Some(mac)))
        }
        [0x08, 0x00] if packet.get(9) == Some(&VRRP) => {
            Some(made(How::Advert, ipv4(packet, 12)?, None))
        }
        [0x86, 0xdd] if packet.get(6) == Some(&VRRP) => {
            Some(made(How::Advert, ipv6(packet, 8)?, None))
        }
        [0x86, 0xdd] if packet.get(6) == Some(&ICMPV6) => {
            let option = |kind: u8| -> Option<Mac> {
                let found = packet.get(64..72)?;
                (found.first() == Some(&kind)).then(|| found.get(2..8)?.try_into().ok())?
            };
            match packet.get(40)? {
                135 => Some(made(How::Solicitation, ipv6(packet, 8)?, option(1))),
                136 => Some(made(How::Advertisement, ipv6(packet, 48)?, option(2))),
                _ => None,
            }
        }
        _ => None,
    }
}

fn ipv4(packet: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets).into())
}

fn ipv6(packet: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(octets).into())
}
