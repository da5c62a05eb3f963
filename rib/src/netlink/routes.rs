//! Whether the main table has a route to a prefix, and when to look again.
//!
//! For checks of the VRRP daemon. [`has_route`] reads the table once; [`RouteWatch`] says when
//! that may have become another answer: a route of the prefix came or went, a link changed (the
//! kernel takes IPv4 routes with their link and tells nobody), or notifications were lost.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::IpNet;

use crate::fib::TABLE_MAIN;
use crate::fib::model::ObservedKind;

use super::decode;
use super::dump::Dumper;
use super::encode::{AF_INET, AF_INET6, Dump};
use super::socket::Netlink;
use super::wire::{RTM_DELLINK, RTM_DELROUTE, RTM_NEWLINK, RTM_NEWROUTE, messages};

/// Whether the main table has a unicast route to exactly `prefix`.
///
/// # Errors
/// Netlink cannot be used.
pub fn has_route(prefix: IpNet) -> io::Result<bool> {
    let family = match prefix {
        IpNet::V4(_) => AF_INET,
        IpNet::V6(_) => AF_INET6,
    };
    let mut found = false;
    Dumper::open()?.read_all(Dump::Routes(family, Some(TABLE_MAIN)), |message| {
        if message.kind == RTM_NEWROUTE && !found {
            found = decode::route(message.body).is_some_and(|route| {
                route.prefix == prefix
                    && route.table == TABLE_MAIN
                    && route.kind == ObservedKind::Unicast
            });
        }
    })?;
    Ok(found)
}

/// Hears of what may change the answer of [`has_route`].
#[derive(Debug)]
pub struct RouteWatch {
    socket: Netlink,
    prefix: IpNet,
}

impl RouteWatch {
    /// A watch for `prefix`. To be polled for reading; open it before the first look.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn open(prefix: IpNet) -> io::Result<Self> {
        Ok(Self {
            socket: Netlink::for_routes(prefix.addr().is_ipv6())?,
            prefix,
        })
    }

    /// Reads what is there; `true`: look again.
    ///
    /// # Errors
    /// The socket fails for good.
    pub fn read(&mut self) -> io::Result<bool> {
        let mut again = false;
        loop {
            match self.socket.try_receive() {
                Ok(Some(bytes)) => {
                    again |= messages(bytes).any(|message| match message.kind {
                        RTM_NEWLINK | RTM_DELLINK => true,
                        RTM_NEWROUTE | RTM_DELROUTE => decode::route(message.body)
                            .is_some_and(|route| route.prefix == self.prefix),
                        _ => false,
                    });
                }
                Ok(None) => return Ok(again),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => again = true,
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for RouteWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
