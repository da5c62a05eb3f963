//! Socket options that no safe crate offers: TCP-MD5 keys and the TTL rules of a neighbor.
//!
//! [`set_md5_key`] gives a socket the TCP-MD5 key (RFC 2385) of one address or of a whole prefix
//! (listen ranges). A listener needs the key of every neighbor that has one; a dialling socket
//! needs its neighbor's before it connects. Segments without the right signature are dropped by
//! the kernel, so a wrong key looks like silence and ends in a timeout, never in an error.
//!
//! [`set_ttl`] and [`set_ttl_min`] apply what the configuration says about distance: GTSM
//! (RFC 5082) sends with TTL 255 and lets the kernel drop whatever comes from further away; plain
//! eBGP sends with TTL 1, multihop with the number of hops. Both work the same for IPv4 and IPv6.
//!
//! This file is the crate's only room for `unsafe`: one call of `setsockopt` with a typed value.
//! libc has the option numbers; the key structure is spelled out here from `linux/tcp.h`.

#![allow(
    unsafe_code,
    reason = "setsockopt with kernel structures that no safe crate wraps"
)]

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

use ipnet::IpNet;
use socket2::{Domain, SockRef};

/// Longest TCP-MD5 key the kernel takes (TCP_MD5SIG_MAXKEYLEN).
pub const MD5_KEY_LEN_MAX: usize = 80;

/// `linux/tcp.h`: set a key with flags.
const TCP_MD5SIG_EXT: libc::c_int = 32;
/// `linux/tcp.h`: the key is for a prefix, not for one address.
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;

/// `struct tcp_md5sig` of `linux/tcp.h`; its `sockaddr_storage` is only ever an address here.
#[repr(C)]
struct TcpMd5Sig {
    address: SockaddrStorage,
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    ifindex: libc::c_int,
    key: [u8; MD5_KEY_LEN_MAX],
}

/// `sockaddr_storage` filled by hand: family, then the bytes of `sockaddr_in` or `sockaddr_in6`.
#[repr(C, align(8))]
struct SockaddrStorage {
    family: libc::sa_family_t,
    data: [u8; 126],
}

const _: () = assert!(size_of::<TcpMd5Sig>() == 216, "layout of struct tcp_md5sig");

/// Sets the TCP-MD5 key for segments to and from `peer`; `None` removes it.
///
/// A full-length prefix is a key for one address. On an IPv6 socket an IPv4 peer is meant as its
/// mapped address. Errors: `InvalidInput` for a key longer than [`MD5_KEY_LEN_MAX`]; `NotFound`
/// when a key that was not set is removed; what the kernel says otherwise (a kernel without
/// CONFIG_TCP_MD5SIG says ENOPROTOOPT, and the neighbor cannot be served as configured).
pub fn set_md5_key(socket: &impl AsFd, peer: IpNet, key: Option<&[u8]>) -> io::Result<()> {
    let key = key.unwrap_or_default();
    let mut padded = [0; MD5_KEY_LEN_MAX];
    let Some(room) = padded.get_mut(..key.len()) else {
        let text = format!(
            "TCP-MD5 key of {} octets, at most {MD5_KEY_LEN_MAX}",
            key.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    room.copy_from_slice(key);
    let v6_socket = SockRef::from(socket).domain()? == Domain::IPV6;
    let whole = peer.prefix_len() == peer.max_prefix_len();
    let request = TcpMd5Sig {
        address: SockaddrStorage::of(peer.network(), v6_socket),
        flags: if whole { 0 } else { TCP_MD5SIG_FLAG_PREFIX },
        prefix_len: if whole { 0 } else { peer.prefix_len() },
        key_len: u16::try_from(key.len()).unwrap_or(u16::MAX),
        ifindex: 0,
        key: padded,
    };
    // The plain option exists in every kernel with TCP-MD5, prefixes only since 4.13.
    let option = if whole {
        libc::TCP_MD5SIG
    } else {
        TCP_MD5SIG_EXT
    };
    set_option(socket, libc::IPPROTO_TCP, option, &request)
}

/// Sets the TTL (IPv4) or hop limit (IPv6) of what the socket sends: 1 for directly connected
/// eBGP, the number of hops for multihop, 255 for GTSM and iBGP. A listener sends its SYN-ACKs
/// with 255, because neighbors that use GTSM judge that very packet.
pub fn set_ttl(socket: &impl AsFd, ttl: u8) -> io::Result<()> {
    let sock = SockRef::from(socket);
    if sock.domain()? == Domain::IPV6 {
        sock.set_unicast_hops_v6(u32::from(ttl))
    } else {
        sock.set_ttl_v4(u32::from(ttl))
    }
}

/// Lets the kernel drop what arrives with a lower TTL or hop limit (GTSM, RFC 5082 §3): 255 for a
/// neighbor on the same link, `256 - hops` for one `hops` away. 0 = no minimum.
pub fn set_ttl_min(socket: &impl AsFd, ttl_min: u8) -> io::Result<()> {
    let value = libc::c_int::from(ttl_min);
    if SockRef::from(socket).domain()? == Domain::IPV6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &value)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &value)
    }
}

impl SockaddrStorage {
    /// The address with port 0, in the family of the socket.
    fn of(address: IpAddr, v6_socket: bool) -> SockaddrStorage {
        let mut data = [0; 126];
        // sockaddr_in: port (2), address (4). sockaddr_in6: port (2), flow (4), address (16).
        let family = match (address, v6_socket) {
            (IpAddr::V4(v4), false) => {
                data[2..6].copy_from_slice(&v4.octets());
                libc::AF_INET
            }
            (IpAddr::V4(v4), true) => {
                data[6..22].copy_from_slice(&v4.to_ipv6_mapped().octets());
                libc::AF_INET6
            }
            (IpAddr::V6(v6), _) => {
                data[6..22].copy_from_slice(&Ipv6Addr::octets(&v6));
                libc::AF_INET6
            }
        };
        SockaddrStorage {
            family: libc::sa_family_t::try_from(family).unwrap_or(0),
            data,
        }
    }
}

/// `setsockopt` with a value of a type that the kernel reads as plain bytes.
fn set_option<T>(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the descriptor is borrowed from a live socket for the whole call; `value` points to
    // `len` readable bytes of an integer or a repr(C) structure without padding, which the kernel
    // only reads and copies before it returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
#[path = "sockopt_tests.rs"]
mod tests;
