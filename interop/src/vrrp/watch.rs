//! What a segment showed: who advertised, who announced, and whose kernel held the addresses.
//!
//! One thread reads three things and writes one list. The wire: every frame that comes into a port
//! of the switch, stamped by the kernel, so that a frame belongs to a node by the port it came
//! through, whatever it claims. The kernels: netlink sockets in the namespaces of the nodes tell
//! of each address and link the moment it changes; nothing is asked of a daemon, and nothing is
//! polled. And itself: a pause in which this thread did not run is noted, because what happened
//! within cannot be told apart. No octet is decoded by code of the daemon under test.
//!
//! Times are since 1970, as the kernel stamps them.

use std::cell::RefCell;
use std::fs::File;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, NetlinkAddr, SockFlag, SockProtocol,
    SockType, bind, recv, recvmsg, setsockopt, socket, sockopt,
};

use crate::failover::pace::realtime;
use crate::lab::Lab;
use crate::node::Node;

/// The thread looks whether it is to stop this often; without a stop it just waits.
const TURN_MS: u16 = 20;
/// A turn that came later than this was held up by the machine.
const PAUSE_MIN: Duration = Duration::from_millis(45);
/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 1 | 0x10 | 0x100;
/// `PACKET_OUTGOING`: the copy of a frame that leaves.
const OUTGOING: u8 = 4;
const VRRP: u8 = 112;

/// How a kernel shows that its node is master.
#[derive(Clone, Debug)]
pub enum Sign {
    /// It has this address.
    Address(IpAddr),
    /// The link of this name is not held down.
    LinkUp(String),
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An advert with this priority left the node.
    Advert(u8),
    /// The node told the link where this address is: gratuitous ARP or unsolicited advertisement.
    Announced(IpAddr),
    /// Its kernel began or ceased to hold the addresses.
    Holds(bool),
    /// The watch itself did not run, for so long, until then.
    Pause(Duration),
}

/// A fact with its time and the place of its node among those watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Since 1970.
    pub at: Duration,
    /// Which node; the first for a pause.
    pub node: usize,
    /// What.
    pub fact: Fact,
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    seen: RefCell<Vec<Seen>>,
    /// The thread has real time where it is allowed: it must never wait for a reader.
    more: Receiver<Seen>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches `nodes`, each with what shows that it is master. To be started before the daemons:
    /// it takes for granted that nobody holds anything.
    #[must_use]
    pub fn start(nodes: &[(&Node, Sign)]) -> Self {
        let sides = nodes
            .iter()
            .map(|(node, sign)| Side::open(node, sign.clone()))
            .collect();
        let (note, more) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let mut watcher = Watcher {
            wire: open_wire(),
            sides,
            note,
            last: now(),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            realtime();
            while !stopped.load(Ordering::Relaxed) {
                watcher.turn();
            }
        });
        Self {
            seen: RefCell::default(),
            more,
            stop,
            thread: Some(thread),
        }
    }

    /// All that was seen since `from`, in the order of its time.
    #[must_use]
    pub fn since(&self, from: Duration) -> Vec<Seen> {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.more.try_iter());
        seen.sort_by_key(|one| one.at);
        seen.iter().filter(|one| one.at >= from).cloned().collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, and then it has said so.
            let _ = thread.join();
        }
    }
}

/// The time, as facts have it.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// One node.
#[derive(Debug)]
struct Side {
    netlink: OwnedFd,
    /// The switch's port towards it.
    port: usize,
    sign: Sign,
    holds: bool,
}

impl Side {
    fn open(node: &Node, sign: Sign) -> Self {
        let port = Lab::port(node, "eth0");
        let port = nix::net::if_::if_nametoindex(port.as_str()).expect("the node is attached");
        let namespace = format!("/proc/{}/ns/net", node.pid());
        // A thread of its own enters the node's network and leaves the socket behind.
        let opened = std::thread::spawn(move || -> std::io::Result<OwnedFd> {
            setns(File::open(namespace)?, CloneFlags::CLONE_NEWNET)?;
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let protocol = SockProtocol::NetlinkRoute;
            let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
            setsockopt(&fd, sockopt::RcvBuf, &(4 << 20))?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
            Ok(fd)
        });
        let netlink = opened.join().expect("it does not panic");
        Self {
            netlink: netlink.expect("a node's netlink can be watched"),
            port: usize::try_from(port).unwrap_or(0),
            sign,
            holds: false,
        }
    }

    /// What a netlink message means for the sign.
    fn judge(&self, kind: u16, body: &[u8]) -> Option<bool> {
        let header = match kind {
            16 | 17 => 16, // RTM_NEWLINK, RTM_DELLINK: struct ifinfomsg
            20 | 21 => 8,  // RTM_NEWADDR, RTM_DELADDR: struct ifaddrmsg
            _ => return None,
        };
        let attributes: Vec<(u16, &[u8])> = attributes(body.get(header..)?);
        let find = |wanted| attributes.iter().find(|(kind, _)| *kind == wanted);
        match &self.sign {
            Sign::Address(address) if header == 8 => {
                // IFA_LOCAL, else IFA_ADDRESS.
                let (_, octets) = find(2).or_else(|| find(1))?;
                let octets = octets.to_vec();
                let found = match address {
                    IpAddr::V4(v4) => octets == v4.octets(),
                    IpAddr::V6(v6) => octets == v6.octets(),
                };
                found.then_some(kind == 20)
            }
            Sign::LinkUp(name) if header == 16 => {
                let (_, found) = find(3)?; // IFLA_IFNAME
                if !found.starts_with(name.as_bytes()) {
                    return None;
                }
                let held_down = find(39).is_some_and(|(_, value)| value.first() == Some(&1));
                let up = body.get(8).is_some_and(|flags| flags & 1 == 1);
                Some(kind == 16 && up && !held_down)
            }
            _ => None,
        }
    }
}

/// `struct rtattr` after `struct rtattr`.
fn attributes(mut octets: &[u8]) -> Vec<(u16, &[u8])> {
    let mut list = Vec::new();
    while let Some([a, b, c, d]) = octets.get(..4) {
        let len = usize::from(u16::from_ne_bytes([*a, *b]));
        let Some(value) = octets.get(4..len) else {
            break;
        };
        list.push((u16::from_ne_bytes([*c, *d]) & 0x3fff, value));
        octets = octets.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    list
}

struct Watcher {
    wire: OwnedFd,
    sides: Vec<Side>,
    note: Sender<Seen>,
    last: Duration,
}

impl Watcher {
    fn turn(&mut self) {
        let mut waited: Vec<PollFd<'_>> = vec![PollFd::new(self.wire.as_fd(), PollFlags::POLLIN)];
        for side in &self.sides {
            waited.push(PollFd::new(side.netlink.as_fd(), PollFlags::POLLIN));
        }
        let _ = poll(&mut waited, PollTimeout::from(TURN_MS));
        let now = now();
        let gap = now.saturating_sub(self.last);
        self.last = now;
        if gap >= PAUSE_MIN {
            self.note(now, 0, Fact::Pause(gap));
        }
        self.read_kernels(now);
        self.read_wire();
    }

    fn note(&self, at: Duration, node: usize, fact: Fact) {
        // Nobody reads any more when the watch ends.
        let _ = self.note.send(Seen { at, node, fact });
    }

    fn read_kernels(&mut self, now: Duration) {
        let mut buffer = vec![0; 1 << 16];
        for at in 0..self.sides.len() {
            let fd = self.sides[at].netlink.as_raw_fd();
            while let Ok(len) = recv(fd, &mut buffer, MsgFlags::MSG_DONTWAIT) {
                let mut messages = &buffer[..len];
                // struct nlmsghdr: length, type, flags, sequence, port.
                while messages.len() >= 16 {
                    let len = u32::from_ne_bytes(messages[..4].try_into().expect("four"));
                    let len = usize::try_from(len).expect("it fits");
                    let kind = u16::from_ne_bytes(messages[4..6].try_into().expect("two"));
                    let body = messages.get(16..len).unwrap_or_default();
                    if let Some(holds) = self.sides[at].judge(kind, body)
                        && holds != self.sides[at].holds
                    {
                        self.sides[at].holds = holds;
                        self.note(now, at, Fact::Holds(holds));
                    }
                    messages = messages
                        .get(len.next_multiple_of(4).max(16)..)
                        .unwrap_or_default();
                }
            }
        }
    }

    fn read_wire(&mut self) {
        let fd = self.wire.as_raw_fd();
        let mut buffer = [0; 2048];
        loop {
            let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let Ok(message) = recvmsg::<LinkAddr>(fd, &mut slices, Some(&mut control), flags)
            else {
                return;
            };
            let stamp = message
                .cmsgs()
                .into_iter()
                .flatten()
                .find_map(|one| match one {
                    ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                    _ => None,
                });
            let (len, from) = (message.bytes, message.address);
            let (Some(at), Some(from)) = (stamp, from) else {
                continue;
            };
            let side = self.sides.iter().position(|it| it.port == from.ifindex());
            if let (Some(node), true) = (side, from.pkttype() != OUTGOING)
                && let Some(fact) = read_frame(&buffer[..len])
            {
                self.note(at, node, fact);
            }
        }
    }
}

/// All frames of all links of the lab's own namespace, with the kernel's stamps.
fn open_wire() -> OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::EthAll;
    let fd = socket(AddressFamily::Packet, SockType::Raw, flags, protocol);
    let fd = fd.expect("the lab may listen to its own links");
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true).expect("every kernel stamps");
    setsockopt(&fd, sockopt::RcvBuf, &(8 << 20)).expect("a larger buffer is only a wish");
    fd
}

/// What a frame says, as far as it matters here.
fn read_frame(frame: &[u8]) -> Option<Fact> {
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let packet = frame.get(14..)?;
    match kind {
        0x0800 if packet.get(9) == Some(&VRRP) => {
            let header = usize::from(packet.first()? & 15) * 4;
            Some(Fact::Advert(*packet.get(header + 2)?))
        }
        0x86dd if packet.get(6) == Some(&VRRP) => Some(Fact::Advert(*packet.get(42)?)),
        0x0806 => {
            let address = |at: usize| -> Option<Ipv4Addr> {
                let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(octets))
            };
            let (sender, target) = (address(14)?, address(24)?);
            (sender == target).then_some(Fact::Announced(sender.into()))
        }
        // A neighbor advertisement to all nodes.
        0x86dd if packet.get(6) == Some(&58) && packet.get(40) == Some(&136) => {
            let octets: [u8; 16] = packet.get(48..64)?.try_into().ok()?;
            let all = packet.get(24) == Some(&0xff);
            all.then_some(Fact::Announced(Ipv6Addr::from(octets).into()))
        }
        _ => None,
    }
}
