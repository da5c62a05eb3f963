//! Netlink sockets: one that listens, one that writes, one that dumps.
//!
//! They are apart so that answers, notifications and dumps never mix. The listening socket has a
//! filter that drops, inside the kernel, what our own writing socket caused: writing a full table
//! would otherwise flood it with a million echoes and lose what matters (zebra does the same).
//!
//! A large receive buffer makes lost notifications rare. `SO_RCVBUFFORCE` needs a capability in
//! the initial user namespace, so without root `SO_RCVBUF` takes what the system allows; losses
//! are noticed (`ENOBUFS`) and repaired by an audit either way.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::sys::{Socket, SocketAddr};
use socket2::{SockFilter, SockRef};

const NETLINK_ROUTE: isize = 0;
const NETLINK_NETFILTER: isize = 12;
/// Multicast groups of rtnetlink: link, IPv4 address and route, IPv6 address and route, nexthop.
const GROUPS: [u32; 6] = [1, 5, 7, 9, 11, 32];
/// Those of links and addresses alone.
const HOST_GROUPS: [u32; 3] = [1, 5, 9];
/// The listening socket's buffer: notifications of some ten thousand route changes.
const LISTEN_BUFFER: usize = 32 << 20;
/// The others' buffers: more than all errors of a batch, and dumps in large pieces.
const ANSWER_BUFFER: usize = 4 << 20;
/// Longest datagram. The kernel makes dumps of at most 32 KiB, notifications much smaller.
const DATAGRAM: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    port: u32,
    buf: Vec<u8>,
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Netlink {
    /// A socket for requests: writes or dumps.
    pub(super) fn for_requests() -> io::Result<Self> {
        Self::for_requests_to(NETLINK_ROUTE)
    }

    /// The same, to the packet filter.
    pub(super) fn for_filter() -> io::Result<Self> {
        Self::for_requests_to(NETLINK_NETFILTER)
    }

    fn for_requests_to(protocol: isize) -> io::Result<Self> {
        let netlink = Self::open(protocol, ANSWER_BUFFER)?;
        netlink.socket.connect(&SocketAddr::new(0, 0))?;
        // Both exist since Linux 4.12 and 4.20; without them errors have no text, and dumps
        // contain other tables too, which are skipped anyway.
        let _ = netlink.socket.set_ext_ack(true);
        let _ = netlink.socket.set_cap_ack(true);
        let _ = netlink.socket.set_netlink_get_strict_chk(true);
        Ok(netlink)
    }

    /// A socket that hears of every change not caused by the socket with port `mute`.
    pub(super) fn for_listening(mute: u32) -> io::Result<Self> {
        Self::listening(LISTEN_BUFFER, &GROUPS, mute)
    }

    /// The same for links and addresses alone.
    pub(super) fn for_hosts(mute: u32) -> io::Result<Self> {
        Self::listening(ANSWER_BUFFER, &HOST_GROUPS, mute)
    }

    /// The same for links and the routes of one family, whoever changed them.
    pub(super) fn for_routes(ipv6: bool) -> io::Result<Self> {
        let routes = if ipv6 { 11 } else { 7 };
        Self::listening(ANSWER_BUFFER, &[1, routes], u32::MAX)
    }

    fn listening(buffer: usize, groups: &[u32], mute: u32) -> io::Result<Self> {
        let netlink = Self::open(NETLINK_ROUTE, buffer)?;
        SockRef::from(&netlink).attach_filter(&mute_port(mute))?;
        for group in groups.iter().copied() {
            match netlink.socket.add_membership(group) {
                // Before Linux 5.3 there are no next hop objects to hear of.
                Err(error) if group == 32 && error.raw_os_error() == Some(libc::EINVAL) => {}
                other => other?,
            }
        }
        netlink.socket.set_non_blocking(true)?;
        Ok(netlink)
    }

    fn open(protocol: isize, buffer: usize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        if setsockopt(&socket, sockopt::RcvBufForce, &buffer).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &buffer)?;
        }
        let port = socket.bind_auto()?.port_number();
        Ok(Self {
            socket,
            port,
            buf: Vec::with_capacity(DATAGRAM),
        })
    }

    pub(super) fn port(&self) -> u32 {
        self.port
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(bytes, 0).map(|_| ())
    }

    /// The next datagram; waits for it unless the socket is a listening one.
    pub(super) fn receive(&mut self) -> io::Result<&[u8]> {
        self.receive_with(0)
    }

    /// The next datagram if there is one.
    pub(super) fn try_receive(&mut self) -> io::Result<Option<&[u8]>> {
        match self.receive_with(libc::MSG_DONTWAIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn receive_with(&mut self, flags: i32) -> io::Result<&[u8]> {
        self.buf.clear();
        let size = loop {
            match self.socket.recv(&mut self.buf, flags | libc::MSG_TRUNC) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if size > self.buf.len() {
            // Cannot be with what the kernel sends today; treated as a loss, not as an end.
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        }
        Ok(&self.buf)
    }
}

/// Classic BPF over the netlink header: drop messages whose port is `mute`, keep all others.
fn mute_port(mute: u32) -> [SockFilter; 4] {
    // BPF loads words in network byte order; netlink has the host's.
    let port = u32::from_be_bytes(mute.to_ne_bytes());
    [
        SockFilter::new(0x20, 0, 0, 12),
        SockFilter::new(0x15, 0, 1, port),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ]
}
