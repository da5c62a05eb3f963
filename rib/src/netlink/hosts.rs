//! Addresses of this host: put on interfaces for a limited time, taken off, watched.
//!
//! For virtual addresses that must not outlive their daemon: [`HostAddresses::put`] gives each a
//! lifetime in the kernel, to be refreshed by calling it again, and a protocol number
//! (`IFA_PROTO`, Linux 5.18; older kernels ignore it). IPv6 addresses are usable at once (no
//! duplicate address detection: another router may just be letting go of them) and are never
//! chosen as the source of the host's own connections (preferred lifetime 0).
//!
//! [`HostRoute`]s come and go with such addresses, and never outlive them.
//!
//! [`HostWatch`] hears of links and addresses that somebody else changed: what its writer caused
//! is muted in the kernel, so a removal that is heard was not ours.

mod routes;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::IpNet;

use crate::fib::model::{OpError, errno};

use super::decode;
use super::dump::Dumper;
use super::encode::{AF_INET, AF_INET6, Dump, RTA_DST, RTA_OIF};
use super::socket::Netlink;
use super::wire::{
    Message, NLM_F_CREATE, NLM_F_REPLACE, NLMSG_ERROR, RTM_DELADDR, RTM_DELLINK, RTM_GETROUTE,
    RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, Writer, answer, attrs, messages, u8_at, u32_at,
};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;
const IFLA_ADDRESS: u16 = 1;
/// Requests of one datagram: some 100 octets each.
const BATCH_MAX: usize = 256;

pub use routes::{HostRoute, RoutePut, TABLE_DEFAULT};

/// A link with what sending frames over it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLink {
    /// The kernel's index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Administratively up and with carrier.
    pub usable: bool,
    /// Its Ethernet address, where it has one.
    pub mac: Option<[u8; 6]>,
}

/// An address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The link's index.
    pub index: u32,
    /// The address with the length of its subnet, host bits kept.
    pub network: IpNet,
    /// Who put it there (`IFA_PROTO`); 0 where the kernel does not say.
    pub protocol: u8,
    /// It can be sent from: neither tentative nor a duplicate.
    pub usable: bool,
}

/// What the watch heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostChange {
    /// A link is new or changed.
    Link(HostLink),
    /// A link is gone, and its addresses with it.
    LinkGone(u32),
    /// An address is new or changed.
    Address(HostAddress),
    /// An address is gone.
    AddressGone(HostAddress),
    /// Notifications were lost: take a new [`snapshot`].
    Lost,
}

/// Links and addresses as they are now.
///
/// # Errors
/// A netlink socket cannot be used.
pub fn snapshot() -> io::Result<(Vec<HostLink>, Vec<HostAddress>)> {
    let (mut links, mut addresses) = (Vec::new(), Vec::new());
    let mut dumper = Dumper::open()?;
    for dump in [Dump::Links, Dump::Addresses] {
        dumper.read_all(dump, |message| match change(message) {
            Some(HostChange::Link(link)) => links.push(link),
            Some(HostChange::Address(address)) => addresses.push(address),
            _ => {}
        })?;
    }
    Ok((links, addresses))
}

fn change(message: &Message<'_>) -> Option<HostChange> {
    match message.kind {
        RTM_NEWLINK => {
            let link = decode::link(message.body)?;
            let mac = attrs(message.body, 16).find(|(kind, _)| *kind == IFLA_ADDRESS);
            Some(HostChange::Link(HostLink {
                index: link.index,
                usable: link.up && link.carrier,
                name: link.name,
                mac: mac.and_then(|(_, value)| value.try_into().ok()),
            }))
        }
        RTM_DELLINK => decode::link(message.body).map(|link| HostChange::LinkGone(link.index)),
        RTM_NEWADDR => address(message.body).map(HostChange::Address),
        RTM_DELADDR => address(message.body).map(HostChange::AddressGone),
        _ => None,
    }
}

fn address(body: &[u8]) -> Option<HostAddress> {
    let (index, network) = decode::interface_address(body)?;
    let mut flags = u32::from(u8_at(body, 2)?);
    let mut protocol = 0;
    for (kind, value) in attrs(body, 8) {
        match kind {
            IFA_FLAGS => flags = u32_at(value, 0)?,
            IFA_PROTO => protocol = u8_at(value, 0)?,
            _ => {}
        }
    }
    Some(HostAddress {
        index,
        network,
        protocol,
        usable: flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) == 0,
    })
}

/// Puts addresses on links and takes them off. Calls wait for the kernel's answer.
#[derive(Debug)]
pub struct HostAddresses {
    socket: Netlink,
    out: Writer,
    seq: u32,
    protocol: u8,
}

impl HostAddresses {
    /// A writer of addresses that carry `protocol`.
    ///
    /// # Errors
    /// A netlink socket cannot be opened.
    pub fn open(protocol: u8) -> io::Result<Self> {
        Ok(Self {
            socket: Netlink::for_requests()?,
            out: Writer::default(),
            seq: 0,
            protocol,
        })
    }

    /// Puts `(link, address)` pairs there, or refreshes them, for `valid_s` seconds. Refusals come
    /// back with their place in the list.
    ///
    /// # Errors
    /// The socket fails.
    pub fn put(
        &mut self,
        list: &[(u32, IpNet)],
        valid_s: u32,
    ) -> io::Result<Vec<(usize, OpError)>> {
        self.write(list, Some(valid_s))
    }

    /// Takes `(link, address)` pairs off; what is not there is no fault.
    ///
    /// # Errors
    /// The socket fails.
    pub fn remove(&mut self, list: &[(u32, IpNet)]) -> io::Result<Vec<(usize, OpError)>> {
        let mut refused = self.write(list, None)?;
        let gone = [libc::EADDRNOTAVAIL, errno::ENODEV];
        refused.retain(|(_, error)| !gone.contains(&error.errno));
        Ok(refused)
    }

    fn write(
        &mut self,
        list: &[(u32, IpNet)],
        valid_s: Option<u32>,
    ) -> io::Result<Vec<(usize, OpError)>> {
        let mut refused = Vec::new();
        for (batch_at, batch) in list.chunks(BATCH_MAX).enumerate() {
            self.out.clear();
            let first = self.seq.wrapping_add(1);
            for (index, network) in batch {
                self.seq = self.seq.wrapping_add(1);
                self.encode(*index, *network, valid_s);
            }
            // The kernel answers every refusal, in order; the end of the batch answers for the
            // rest, so that a thousand refreshes do not cost a thousand answers.
            self.out.want_ack();
            self.socket.send(self.out.bytes())?;
            let mut answered = false;
            while !answered {
                for message in messages(self.socket.receive()?) {
                    let place = message.seq.wrapping_sub(first);
                    let place = usize::try_from(place).unwrap_or(usize::MAX);
                    if message.kind != NLMSG_ERROR || place >= batch.len() {
                        continue;
                    }
                    answered |= message.seq == self.seq;
                    let (errno, text) = answer(&message);
                    if errno != 0 {
                        refused.push((batch_at * BATCH_MAX + place, OpError { errno, text }));
                    }
                }
            }
        }
        Ok(refused)
    }

    fn encode(&mut self, index: u32, network: IpNet, valid_s: Option<u32>) {
        let (family, octets) = match network.addr() {
            IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
            IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
        };
        let mut header = vec![family, network.prefix_len(), 0, 0];
        header.extend_from_slice(&index.to_ne_bytes());
        let (kind, flags) = match valid_s {
            Some(_) => (RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE),
            None => (RTM_DELADDR, 0),
        };
        self.out.begin(kind, flags, self.seq, &header);
        self.out.attr(IFA_LOCAL, &octets);
        self.out.attr(IFA_ADDRESS, &octets);
        if let Some(valid) = valid_s {
            let ipv6 = family == AF_INET6;
            let preferred = if ipv6 { 0 } else { valid };
            // struct ifa_cacheinfo: preferred, valid, created, updated.
            let lifetimes = [preferred, valid, 0, 0].map(u32::to_ne_bytes);
            self.out.attr(IFA_CACHEINFO, lifetimes.as_flattened());
            if ipv6 {
                self.out.attr_u32(IFA_FLAGS, IFA_F_NODAD);
            }
            self.out.attr(IFA_PROTO, &[self.protocol]);
        }
        self.out.end();
    }

    /// The link that packets to `address` leave through; `None` without a route, or when the
    /// address is our own.
    ///
    /// # Errors
    /// The socket fails.
    pub fn link_towards(&mut self, address: IpAddr) -> io::Result<Option<u32>> {
        let route = self.way_to(address, None)?;
        Ok(route.and_then(|(own, link)| link.filter(|_| !own)))
    }

    /// Whether packets to `address` that come over `link` are ours to take. The kernel answers a
    /// new IPv6 address and makes its route later, in a worker of its own.
    ///
    /// # Errors
    /// The socket fails.
    pub fn is_in_force(&mut self, link: u32, address: IpAddr) -> io::Result<bool> {
        let route = self.way_to(address, Some(link))?;
        Ok(route.is_some_and(|(own, _)| own))
    }

    /// Whether it is our own address, and the link of the route to it.
    fn way_to(
        &mut self,
        address: IpAddr,
        over: Option<u32>,
    ) -> io::Result<Option<(bool, Option<u32>)>> {
        const RTN_LOCAL: u8 = 2;
        let (family, len, octets) = match address {
            IpAddr::V4(v4) => (AF_INET, 32, v4.octets().to_vec()),
            IpAddr::V6(v6) => (AF_INET6, 128, v6.octets().to_vec()),
        };
        self.seq = self.seq.wrapping_add(1);
        self.out.clear();
        let header = [family, len, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.out.begin(RTM_GETROUTE, 0, self.seq, &header);
        self.out.attr(RTA_DST, &octets);
        if let Some(link) = over {
            self.out.attr_u32(RTA_OIF, link);
        }
        self.out.end();
        self.socket.send(self.out.bytes())?;
        loop {
            for message in messages(self.socket.receive()?) {
                if message.seq != self.seq {
                    continue;
                }
                if message.kind != RTM_NEWROUTE {
                    return Ok(None);
                }
                let own = u8_at(message.body, 7) == Some(RTN_LOCAL);
                let oif = attrs(message.body, 12).find(|(kind, _)| *kind == RTA_OIF);
                return Ok(Some((own, oif.and_then(|(_, value)| u32_at(value, 0)))));
            }
        }
    }
}

/// Hears of changes of links and addresses.
#[derive(Debug)]
pub struct HostWatch(Netlink);

impl HostWatch {
    /// A watch that does not hear what `writer` does. To be polled for reading.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn open(writer: &HostAddresses) -> io::Result<Self> {
        Netlink::for_hosts(writer.socket.port()).map(Self)
    }

    /// Reads what is there; empty when nothing is.
    ///
    /// # Errors
    /// The socket fails for good.
    pub fn read(&mut self) -> io::Result<Vec<HostChange>> {
        let mut changes = Vec::new();
        loop {
            match self.0.try_receive() {
                Ok(Some(bytes)) => changes.extend(messages(bytes).filter_map(|one| change(&one))),
                Ok(None) => return Ok(changes),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    changes.push(HostChange::Lost);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for HostWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
