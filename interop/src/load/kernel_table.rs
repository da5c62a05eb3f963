//! The kernel's routing table of a node, seen and written without any daemon.
//!
//! Two uses. As the baseline of S8: `RTM_NEWROUTE` messages made before the clock starts, each
//! naming a next-hop group, many to a datagram, only the last of each datagram acknowledged: as
//! fast as one thread can ask the kernel. And as the eyes of S8: single lookups while a daemon
//! writes, and a dump of the whole table afterwards.
//!
//! Nothing of `rib::netlink` is used here, so that what it does is not checked by itself. A socket
//! belongs to the network namespace of the thread that opened it, so [`RouteTable::open`] enters
//! the node with a thread of its own and brings the socket back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use ipnet::Ipv4Net;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};

use crate::node::Node;

/// Protocol number of the baseline's routes: nobody's.
pub const PROTOCOL: u8 = 99;
const METRIC: u32 = 20;
const TABLE_MAIN: u32 = 254;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
const REPLACE: u16 = 0x100;
const RTA_DST: u16 = 1;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_NH_ID: u16 = 30;
/// Answer with the route that matched instead of the path a packet would take.
const FIB_MATCH: u32 = 0x2000;
const HEADER: usize = 16;

/// The gateways of one route, in order.
pub type Gateways = Vec<Ipv4Addr>;

/// A netlink socket in a node's network namespace.
#[derive(Debug)]
pub struct RouteTable {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl RouteTable {
    /// Opens the socket in the network namespace of process `pid`.
    ///
    /// # Errors
    /// The process is gone, or its namespace is not ours to enter.
    pub fn open(pid: u32) -> io::Result<Self> {
        let inside = move || -> io::Result<OwnedFd> {
            setns(
                File::open(format!("/proc/{pid}/ns/net"))?,
                CloneFlags::CLONE_NEWNET,
            )?;
            let family = AddressFamily::Netlink;
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(family, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
            // More than the answers of a datagram ever need; without the right to it, less.
            let _ = setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20));
            let _ = setsockopt(&socket, sockopt::SndBufForce, &(4 << 20));
            Ok(socket)
        };
        let joined = std::thread::spawn(inside).join();
        let socket = joined.map_err(|_| io::Error::other("the opening thread failed"))??;
        let buffer = vec![0; 1 << 20];
        Ok(Self { socket, buffer })
    }

    /// Sends a datagram whose last message asks for an acknowledgement, and waits for that.
    ///
    /// # Errors
    /// That of the socket, or the first error the kernel answered.
    pub fn ask(&mut self, datagram: &[u8], last_seq: u32) -> io::Result<()> {
        send(self.socket.as_raw_fd(), datagram, MsgFlags::empty())?;
        self.answer(last_seq)
    }

    fn answer(&mut self, last_seq: u32) -> io::Result<()> {
        let mut first = None;
        loop {
            let len = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            for message in messages(&self.buffer[..len]) {
                if message.kind != NLMSG_ERROR {
                    continue;
                }
                let errno = i32::from_ne_bytes(word(message.body, 0)).saturating_neg();
                if errno != 0 && first.is_none() {
                    first = Some(io::Error::from_raw_os_error(errno));
                }
                if message.seq == last_seq {
                    return first.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// A next hop through a gateway on an interface, and a group of it alone.
    ///
    /// # Errors
    /// The kernel refused one of them.
    pub fn make_group(&mut self, ids: (u32, u32), gateway: Ipv4Addr, index: u32) -> io::Result<()> {
        let (hop, group) = ids;
        let mut message = Message::begin(RTM_NEWNEXTHOP, CREATE | ACK, 1);
        message.push(&[2, 0, PROTOCOL, 0, 0, 0, 0, 0]);
        message.attribute(1, &hop.to_ne_bytes());
        message.attribute(5, &index.to_ne_bytes());
        message.attribute(6, &gateway.octets());
        self.ask(&message.end(), 1)?;
        let mut message = Message::begin(RTM_NEWNEXTHOP, CREATE | ACK, 2);
        message.push(&[0, 0, PROTOCOL, 0, 0, 0, 0, 0]);
        message.attribute(1, &group.to_ne_bytes());
        message.attribute(2, &[hop.to_ne_bytes(), [0; 4]].concat());
        self.ask(&message.end(), 2)
    }

    /// Deletes a next hop or group, and with it every route that leads there.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn delete_next_hop(&mut self, id: u32) -> io::Result<()> {
        let mut message = Message::begin(RTM_DELNEXTHOP, ACK, 3);
        message.push(&[0; 8]);
        message.attribute(1, &id.to_ne_bytes());
        self.ask(&message.end(), 3)
    }

    /// Makes a route lead through a gateway, whatever it did before.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn lead(&mut self, net: Ipv4Net, gateway: Ipv4Addr) -> io::Result<()> {
        let mut message = Message::begin(RTM_NEWROUTE, CREATE | REPLACE | ACK, 4);
        message.route(net, PROTOCOL, 1);
        message.attribute(RTA_PRIORITY, &METRIC.to_ne_bytes());
        message.attribute(RTA_GATEWAY, &gateway.octets());
        self.ask(&message.end(), 4)
    }

    /// Sets a link up or down.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_link(&mut self, index: u32, up: bool) -> io::Result<()> {
        let mut message = Message::begin(RTM_NEWLINK, ACK, 7);
        message.push(&[0, 0, 0, 0]);
        message.push(&index.to_ne_bytes());
        message.push(&u32::from(up).to_ne_bytes());
        message.push(&1_u32.to_ne_bytes());
        self.ask(&message.end(), 7)
    }

    /// Takes out what is left of a daemon's routes, with its next hops.
    pub fn clear(&mut self, nets: &[Ipv4Net], protocol: u8) {
        // Deleting what is not there is answered with an error, and all is done as well.
        for (datagram, seq) in requests(nets, None, protocol, 256) {
            let _ = self.ask(&datagram, seq);
        }
        for id in 0..16 {
            let _ = self.delete_next_hop((u32::from(protocol) << 24) + id);
        }
    }

    /// Writes datagrams made by [`requests`], one after the other.
    ///
    /// # Errors
    /// The first error of the socket or the kernel.
    pub fn write(&mut self, datagrams: &[(Vec<u8>, u32)]) -> io::Result<()> {
        for (datagram, last_seq) in datagrams {
            self.ask(datagram, *last_seq)?;
        }
        Ok(())
    }

    /// The route that an address takes: its length and gateways.
    ///
    /// # Errors
    /// The socket failed. That there is no route is no error.
    pub fn lookup(&mut self, address: Ipv4Addr) -> io::Result<Option<(Ipv4Net, Gateways)>> {
        let mut message = Message::begin(RTM_GETROUTE, 0, 5);
        message.push(&[2, 32, 0, 0, 0, 0, 0, 0]);
        message.push(&FIB_MATCH.to_ne_bytes());
        message.attribute(RTA_DST, &address.octets());
        send(self.socket.as_raw_fd(), &message.end(), MsgFlags::empty())?;
        loop {
            let len = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            let mut answers = messages(&self.buffer[..len]);
            if let Some(message) = answers.find(|message| message.seq == 5) {
                return Ok(match message.kind {
                    RTM_NEWROUTE => route(message.body).map(|route| (route.net, route.gateways)),
                    _ => None,
                });
            }
        }
    }

    /// Every IPv4 route of the main table with this protocol number.
    ///
    /// # Errors
    /// The socket failed.
    pub fn dump(&mut self, protocol: u8) -> io::Result<BTreeMap<Ipv4Net, Gateways>> {
        let mut found = BTreeMap::new();
        let mut message = Message::begin(RTM_GETROUTE, DUMP, 6);
        message.push(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        send(self.socket.as_raw_fd(), &message.end(), MsgFlags::empty())?;
        loop {
            let len = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            for message in messages(&self.buffer[..len]).filter(|message| message.seq == 6) {
                match (message.kind, route(message.body)) {
                    (NLMSG_DONE | NLMSG_ERROR, _) => return Ok(found),
                    (_, Some(route)) if route.table == TABLE_MAIN && route.protocol == protocol => {
                        found.insert(route.net, route.gateways);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Routes through `group`, or their deletion, `batch` of them to a datagram, with the number of the
/// message that is acknowledged.
pub fn requests(
    nets: &[Ipv4Net],
    group: Option<u32>,
    protocol: u8,
    batch: usize,
) -> Vec<(Vec<u8>, u32)> {
    let mut seq = 100;
    let datagram = |nets: &[Ipv4Net]| {
        let mut datagram = Vec::with_capacity(nets.len() * 60);
        for (at, net) in nets.iter().enumerate() {
            let ack = if at + 1 == nets.len() { ACK } else { 0 };
            seq += 1;
            let mut message = match group {
                Some(_) => Message::begin(RTM_NEWROUTE, CREATE | EXCLUSIVE | ack, seq),
                None => Message::begin(RTM_DELROUTE, ack, seq),
            };
            message.route(*net, protocol, u8::from(group.is_some()));
            if let Some(group) = group {
                message.attribute(RTA_PRIORITY, &METRIC.to_ne_bytes());
                message.attribute(RTA_NH_ID, &group.to_ne_bytes());
            }
            datagram.extend(message.end());
        }
        (datagram, seq)
    };
    nets.chunks(batch).map(datagram).collect()
}

/// A message under construction.
struct Message(Vec<u8>);

impl Message {
    fn begin(kind: u16, flags: u16, seq: u32) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend(seq.to_ne_bytes());
        bytes.extend([0; 4]);
        Self(bytes)
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let len = u16::try_from(value.len() + 4).expect("a short value");
        self.push(&len.to_ne_bytes());
        self.push(&kind.to_ne_bytes());
        self.push(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Header and place of a route; `kind` 0 is any, for a deletion.
    fn route(&mut self, net: Ipv4Net, protocol: u8, kind: u8) {
        let scope = if kind == 0 { 255 } else { 0 };
        let len = net.prefix_len();
        self.push(&[2, len, 0, 0, 254, protocol, scope, kind, 0, 0, 0, 0]);
        self.attribute(RTA_DST, &net.addr().octets());
    }

    fn end(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).expect("a short message");
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

struct Received<'a> {
    kind: u16,
    seq: u32,
    body: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes
        .get(at..at + 4)
        .and_then(|word| word.try_into().ok())
        .unwrap_or_default()
}

fn half(bytes: &[u8], at: usize) -> u16 {
    let [a, b, ..] = word(bytes, at);
    u16::from_ne_bytes([a, b])
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let len = usize::try_from(u32::from_ne_bytes(word(bytes, 0))).ok()?;
        let message = Received {
            kind: half(bytes, 4),
            seq: u32::from_ne_bytes(word(bytes, 8)),
            body: bytes.get(HEADER..len)?,
        };
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Kind and value of each attribute.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(half(bytes, 0));
        let found = (half(bytes, 2) & 0x3fff, bytes.get(4..len)?);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(found)
    })
}

struct Found {
    net: Ipv4Net,
    table: u32,
    protocol: u8,
    gateways: Gateways,
}

fn route(body: &[u8]) -> Option<Found> {
    let (mut address, mut table) = (Ipv4Addr::UNSPECIFIED, u32::from(*body.get(4)?));
    let mut gateways = Gateways::new();
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            RTA_DST => address = Ipv4Addr::from(word(value, 0)),
            RTA_TABLE => table = u32::from_ne_bytes(word(value, 0)),
            RTA_GATEWAY => gateways.push(Ipv4Addr::from(word(value, 0))),
            RTA_MULTIPATH => gateways.extend(members(value)),
            _ => {}
        }
    }
    gateways.sort_unstable();
    gateways.dedup();
    Some(Found {
        net: Ipv4Net::new(address, body[1]).ok()?,
        table,
        protocol: body[5],
        gateways,
    })
}

/// Gateways of a list of `struct rtnexthop`.
fn members(mut bytes: &[u8]) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    while let Some(entry) = bytes
        .get(..usize::from(half(bytes, 0)))
        .filter(|e| e.len() >= 8)
    {
        let gateway = attributes(&entry[8..]).find(|(kind, _)| *kind == RTA_GATEWAY);
        found.extend(gateway.map(|(_, value)| Ipv4Addr::from(word(value, 0))));
        bytes = bytes
            .get(entry.len().next_multiple_of(4)..)
            .unwrap_or_default();
    }
    found
}

/// Index of an interface of the node.
pub fn interface(node: &Node, name: &str) -> u32 {
    let text = node.sh(&format!("ip -o link show dev {name}"));
    let index = text.split(':').next().unwrap_or_default();
    index.trim().parse().expect("an index is a number")
}

/// Compares the whole table of a protocol with what it should be.
///
/// # Errors
/// The first difference.
pub fn check(
    kernel: &mut RouteTable,
    protocol: u8,
    nets: &[Ipv4Net],
    gateways: &[Ipv4Addr],
) -> Result<(), String> {
    let found = kernel.dump(protocol).map_err(|error| error.to_string())?;
    if found.len() != nets.len() {
        return Err(format!("{} routes instead of {}", found.len(), nets.len()));
    }
    let leads = |net: &&Ipv4Net| found.get(*net).map(Vec::as_slice) == Some(gateways);
    match nets.iter().find(|net| !leads(net)) {
        Some(net) => {
            let led = found.get(net);
            Err(format!("{net}: {led:?} instead of {gateways:?}"))
        }
        None => Ok(()),
    }
}
