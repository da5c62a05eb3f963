//! The raw socket of one link and family: adverts in and out.
//!
//! One socket serves all virtual routers of a link and family, and the group is joined once, so
//! that an advert costs one reception however many instances there are (FRR opens one per instance
//! and handles n² packets). IPv4 headers are written here, so that the source is the address under
//! the checksum; IPv6 names its source per message.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use nix::errno::Errno;
use nix::libc::in6_pktinfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
    SockaddrStorage, recvmmsg, sendmmsg, setsockopt, sockopt,
};
use proto_codec::pcap::datagram;
use proto_codec::vrrp::{Envelope, GROUP_V4, GROUP_V6, HOP_LIMIT, PROTOCOL};
use rib::netlink::hosts::HostLink;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::host::{Take, Wire, ring};
use super::sockopt::Readable;
use crate::node::SlotId;

/// Longest advert: 255 IPv6 addresses, an authentication trailer, and room for IP options.
const PACKET_LEN_MAX: usize = 4352;
/// Packets read or sent by one system call.
const BATCH: usize = 32;
/// Room for the adverts of 255 virtual routers at once, several times; they are charged with the
/// pages they lie in, not with their few octets, and the system's default holds just 255.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Link type "raw IP" of the packet reader.
const RAW_IP: u32 = 101;
/// Network control (RFC 4594 §3.1), as other routers mark adverts.
const CLASS: u8 = 0xc0;

/// An advert on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whose it is.
    pub id: SlotId,
    /// The address under its checksum.
    pub source: IpAddr,
    /// The group or a unicast peer.
    pub destination: IpAddr,
    /// The VRRP message.
    pub message: Bytes,
}

/// A raw socket of protocol 112.
#[derive(Debug)]
pub struct Segment {
    link: u32,
    ipv6: bool,
    socket: Rc<Readable<Socket>>,
    /// Something came since it was read to its end.
    rung: Rc<Cell<bool>>,
    waker: JoinHandle<()>,
    inbox: RefCell<Inbox>,
}

/// Where packets are read to.
#[derive(Debug)]
struct Inbox {
    headers: MultiHeaders<SockaddrStorage>,
    octets: Vec<u8>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.waker.abort();
    }
}

impl Segment {
    /// Opens the socket on `link`, joins the group, and wakes `wake` whenever something came.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, or the link has just gone.
    pub fn open(link: &HostLink, ipv6: bool, wake: &Arc<Notify>) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(PROTOCOL));
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        socket.bind_device(Some(link.name.as_bytes()))?;
        if ipv6 {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
            socket.set_multicast_hops_v6(u32::from(HOP_LIMIT))?;
            socket.set_unicast_hops_v6(u32::from(HOP_LIMIT))?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_if_v6(link.index)?;
            socket.set_tclass_v6(u32::from(CLASS))?;
            socket.join_multicast_v6(&GROUP_V6, link.index)?;
        } else {
            socket.set_header_included_v4(true)?;
            socket.set_multicast_loop_v4(false)?;
            let by_index = InterfaceIndexOrAddress::Index(link.index);
            socket.join_multicast_v4_n(&GROUP_V4, &by_index)?;
        }
        let socket = Rc::new(Readable::new(socket)?);
        let rung = Rc::new(Cell::new(true));
        let bell = ring(Rc::clone(&socket), Rc::clone(&rung), Arc::clone(wake));
        let waker = tokio::task::spawn_local(bell);
        let control = ipv6.then(|| nix::cmsg_space!(in6_pktinfo, nix::libc::c_int));
        Ok(Self {
            link: link.index,
            ipv6,
            socket,
            rung,
            waker,
            inbox: RefCell::new(Inbox {
                headers: MultiHeaders::preallocate(BATCH, control),
                octets: vec![0; BATCH * PACKET_LEN_MAX],
            }),
        })
    }

    fn fd(&self) -> RawFd {
        self.socket.get().as_raw_fd()
    }

    /// Reads one batch; how many packets it had.
    fn read_batch(&self, take: Take<'_>) -> nix::Result<usize> {
        let mut inbox = self.inbox.borrow_mut();
        let Inbox { headers, octets } = &mut *inbox;
        let chunks = octets.chunks_mut(PACKET_LEN_MAX);
        let mut slices: Vec<_> = chunks.map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let messages = recvmmsg(self.fd(), headers, slices.iter_mut(), flags, None)?;
        let mut count = 0;
        for message in messages {
            count += 1;
            let packet = message.iovs().next().unwrap_or_default();
            match self.ipv6 {
                false => self.take_v4(packet, &mut *take),
                true => self.take_v6(&message, packet, &mut *take),
            }
        }
        Ok(count)
    }

    fn take_v4(&self, packet: &[u8], take: Take<'_>) {
        if let Some(found) = datagram(RAW_IP, packet) {
            let envelope = Envelope {
                source: found.source,
                destination: found.destination,
                hop_limit: found.hop_limit,
            };
            take(self.link, &envelope, found.payload);
        }
    }

    fn take_v6(&self, message: &RecvMsg<'_, '_, SockaddrStorage>, packet: &[u8], take: Take<'_>) {
        let (mut destination, mut hop_limit) = (None, 0);
        for one in message.cmsgs().into_iter().flatten() {
            match one {
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                }
                ControlMessageOwned::Ipv6HopLimit(limit) => {
                    hop_limit = u8::try_from(limit).unwrap_or_default();
                }
                _ => {}
            }
        }
        let source = message.address.as_ref();
        let source = source.and_then(SockaddrStorage::as_sockaddr_in6);
        if let (Some(source), Some(destination)) = (source, destination) {
            let envelope = Envelope {
                source: source.ip().into(),
                destination: destination.into(),
                hop_limit,
            };
            take(self.link, &envelope, packet);
        }
    }

    /// Sends what it can of `batch`, which is of one source; how many left.
    fn send_some(&self, batch: &[Outgoing]) -> nix::Result<usize> {
        match batch.first().map(|one| one.source) {
            Some(IpAddr::V4(_)) => self.send_v4(batch),
            Some(IpAddr::V6(source)) => self.send_v6(source, batch),
            None => Ok(0),
        }
    }

    fn send_v4(&self, batch: &[Outgoing]) -> nix::Result<usize> {
        let (mut headers, mut to) = (Vec::new(), Vec::new());
        for one in batch {
            let (IpAddr::V4(source), IpAddr::V4(destination)) = (one.source, one.destination)
            else {
                break;
            };
            headers.push(ipv4_header(source, destination));
            to.push(Some(SockaddrIn::from(SocketAddrV4::new(destination, 0))));
        }
        let packets = headers.iter().zip(batch);
        let slices: Vec<[IoSlice<'_>; 2]> = packets
            .map(|(header, one)| [IoSlice::new(header), IoSlice::new(&one.message)])
            .collect();
        let mut room = MultiHeaders::preallocate(slices.len(), None);
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmmsg(self.fd(), &mut room, &slices, &to, [], flags).map(Iterator::count)
    }

    fn send_v6(&self, source: Ipv6Addr, batch: &[Outgoing]) -> nix::Result<usize> {
        let info = in6_pktinfo {
            ipi6_addr: nix::libc::in6_addr {
                s6_addr: source.octets(),
            },
            ipi6_ifindex: self.link,
        };
        let mut to = Vec::new();
        for one in batch {
            let IpAddr::V6(destination) = one.destination else {
                break;
            };
            let on_link = destination.is_multicast() || destination.is_unicast_link_local();
            let scope = if on_link { self.link } else { 0 };
            let to_one = SocketAddrV6::new(destination, 0, 0, scope);
            to.push(Some(SockaddrIn6::from(to_one)));
        }
        let packets = batch.iter().take(to.len());
        let slices: Vec<[IoSlice<'_>; 1]> =
            packets.map(|one| [IoSlice::new(&one.message)]).collect();
        let mut room = MultiHeaders::preallocate(slices.len(), Some(nix::cmsg_space!(in6_pktinfo)));
        let control = [ControlMessage::Ipv6PacketInfo(&info)];
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmmsg(self.fd(), &mut room, &slices, &to, control, flags).map(Iterator::count)
    }
}

impl Wire for Segment {
    fn has_rung(&self) -> bool {
        self.rung.get()
    }

    fn read(&self, most: usize, take: Take<'_>) -> bool {
        self.rung.set(false);
        let mut left = most;
        while left > 0 {
            match self.read_batch(&mut *take) {
                // The kernel gave all it had: asking again would only say so.
                Ok(count) if count < BATCH => return false,
                Ok(count) => left = left.saturating_sub(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return false,
                Err(error) => {
                    // ENETDOWN and the like: the watch of the links tells more.
                    tracing::debug!(link = self.link, %error, "reading adverts");
                    return false;
                }
            }
        }
        self.rung.set(true);
        true
    }

    fn send(&self, batch: &[Outgoing]) -> Vec<(usize, io::Error)> {
        let mut unsent = Vec::new();
        let mut at = 0;
        while let Some(first) = batch.get(at) {
            let rest = batch.get(at..).unwrap_or_default();
            let alike = |one: &&Outgoing| one.source == first.source;
            let len = rest.iter().take(BATCH).take_while(alike).count();
            match self.send_some(rest.get(..len).unwrap_or_default()) {
                Ok(sent) if sent > 0 => at += sent,
                Ok(_) => {
                    unsent.push((at, io::ErrorKind::InvalidInput.into()));
                    at += 1;
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    unsent.push((at, error.into()));
                    at += 1;
                }
            }
        }
        unsent
    }
}

/// The kernel fills in length, identification and checksum.
fn ipv4_header(source: Ipv4Addr, destination: Ipv4Addr) -> [u8; 20] {
    let mut header = [
        0x45, CLASS, 0, 0, 0, 0, 0, 0, HOP_LIMIT, PROTOCOL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    header[12..16].copy_from_slice(&source.octets());
    header[16..].copy_from_slice(&destination.octets());
    header
}
