//! The raw socket of one link and family: adverts in and out.
//!
//! One socket serves all virtual routers of a link and family, and the group is joined once, so
//! that an advert costs one reception however many instances there are (FRR opens one per instance
//! and handles n² packets). IPv4 headers are written here, so that the source is the address under
//! the checksum; IPv6 names its source per message.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::rc::Rc;

use nix::errno::Errno;
use nix::libc::in6_pktinfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recv, recvmsg, sendmsg,
    sendto, setsockopt, sockopt,
};
use proto_codec::pcap::datagram;
use proto_codec::vrrp::{Envelope, GROUP_V4, GROUP_V6, HOP_LIMIT, PROTOCOL};
use rib::netlink::hosts::HostLink;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::sockopt::Readable;

/// Longest advert: 255 IPv6 addresses, and room for IP options.
const PACKET_LEN_MAX: usize = 8192;
/// Link type "raw IP" of the packet reader.
const RAW_IP: u32 = 101;
/// Network control (RFC 4594 §3.1), as other routers mark adverts.
const CLASS: u8 = 0xc0;

/// A raw socket of protocol 112.
#[derive(Debug)]
pub struct Segment {
    link: u32,
    socket: Rc<Readable<Socket>>,
    waker: JoinHandle<()>,
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
    pub fn open(link: &HostLink, ipv6: bool, wake: &Rc<Notify>) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(PROTOCOL));
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
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
        let waker =
            tokio::task::spawn_local(wake_when_readable(Rc::clone(&socket), Rc::clone(wake)));
        Ok(Self {
            link: link.index,
            socket,
            waker,
        })
    }

    /// Hands up to `most` packets to `take`; `true` when more may be there.
    pub fn read(&self, most: usize, mut take: impl FnMut(u32, &Envelope, &[u8])) -> bool {
        let mut buffer = [0; PACKET_LEN_MAX];
        let socket = self.socket.get();
        let ipv6 = socket.domain().is_ok_and(|domain| domain == Domain::IPV6);
        for _ in 0..most {
            let outcome = match ipv6 {
                false => self.read_v4(&mut buffer, &mut take),
                true => self.read_v6(&mut buffer, &mut take),
            };
            match outcome {
                Ok(()) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return false,
                Err(error) => {
                    // ENETDOWN and the like: the watch of the links tells more.
                    tracing::debug!(link = self.link, %error, "reading adverts");
                    return false;
                }
            }
        }
        true
    }

    fn read_v4(
        &self,
        buffer: &mut [u8],
        take: &mut impl FnMut(u32, &Envelope, &[u8]),
    ) -> nix::Result<()> {
        let fd = self.socket.get().as_raw_fd();
        let len = recv(fd, buffer, MsgFlags::MSG_DONTWAIT)?;
        let packet = buffer.get(..len).unwrap_or_default();
        if let Some(found) = datagram(RAW_IP, packet) {
            let envelope = Envelope {
                source: found.source,
                destination: found.destination,
                hop_limit: found.hop_limit,
            };
            take(self.link, &envelope, found.payload);
        }
        Ok(())
    }

    fn read_v6(
        &self,
        buffer: &mut [u8],
        take: &mut impl FnMut(u32, &Envelope, &[u8]),
    ) -> nix::Result<()> {
        let fd = self.socket.get().as_raw_fd();
        let mut control = nix::cmsg_space!(in6_pktinfo, nix::libc::c_int);
        let mut slices = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut control), flags)?;
        let (mut destination, mut hop_limit) = (None, 0);
        for one in message.cmsgs()? {
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
        let (source, len) = (message.address, message.bytes);
        if let (Some(source), Some(destination)) = (source, destination) {
            let envelope = Envelope {
                source: source.ip().into(),
                destination: destination.into(),
                hop_limit,
            };
            take(self.link, &envelope, buffer.get(..len).unwrap_or_default());
        }
        Ok(())
    }

    /// Sends a VRRP message.
    ///
    /// # Errors
    /// The link is down, or its queue is full: the next advert is not far.
    pub fn send(&self, source: IpAddr, destination: IpAddr, message: &[u8]) -> io::Result<()> {
        let fd = self.socket.get().as_raw_fd();
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let packet = ipv4_packet(source, destination, message);
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                sendto(fd, &packet, &to, MsgFlags::MSG_DONTWAIT)?;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut info: in6_pktinfo = in6_pktinfo {
                    ipi6_addr: nix::libc::in6_addr { s6_addr: [0; 16] },
                    ipi6_ifindex: self.link,
                };
                info.ipi6_addr.s6_addr = source.octets();
                let on_link = destination.is_multicast() || destination.is_unicast_link_local();
                let scope = if on_link { self.link } else { 0 };
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, scope));
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                let flags = MsgFlags::MSG_DONTWAIT;
                sendmsg(fd, &[IoSlice::new(message)], &control, flags, Some(&to))?;
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }
}

/// The kernel fills in length, identification and checksum.
fn ipv4_packet(source: Ipv4Addr, destination: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, CLASS, 0, 0, 0, 0, 0, 0, HOP_LIMIT, PROTOCOL, 0, 0];
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    packet.extend_from_slice(message);
    packet
}

async fn wake_when_readable(socket: Rc<Readable<Socket>>, wake: Rc<Notify>) {
    while socket.wait().await {
        wake.notify_one();
    }
}
