//! Routes that come and go with addresses of this host.
//!
//! They carry the writer's protocol number, and nothing of another number is ever replaced or
//! deleted: a route is added only where its place (prefix, metric, table) is free, and a deletion
//! names the number. A route must not outlive who put it there. IPv6 routes have a lifetime; IPv4
//! routes have none, but the kernel takes one out with the address that is its preferred source, so
//! the caller gives them a source that expires.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::fib::TABLE_MAIN;
use crate::fib::model::{ObservedRoute, OpError, errno};
use crate::netlink::decode;
use crate::netlink::dump::Dumper;
use crate::netlink::encode::{
    AF_INET, AF_INET6, Dump, RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_PRIORITY, RTA_TABLE, RTN_UNICAST,
};
use crate::netlink::wire::{
    NLM_F_CREATE, NLM_F_EXCL, NLMSG_ERROR, RTM_DELROUTE, RTM_NEWROUTE, answer, messages,
};

use super::HostAddresses;

const RTA_PREFSRC: u16 = 7;
const RTA_EXPIRES: u16 = 23;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_NOWHERE: u8 = 255;

/// A route as this host's kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRoute {
    /// The destination.
    pub prefix: IpNet,
    /// Through which router, of the same family.
    pub gateway: Option<IpAddr>,
    /// Over which link; `None`: that of the gateway.
    pub link: Option<u32>,
    /// What the host's own packets are sent from; a deletion does not look at it.
    pub source: Option<IpAddr>,
    /// `None`: the kernel's default, 0 with IPv4 and 1024 with IPv6.
    pub metric: Option<u32>,
    /// The routing table.
    pub table: u32,
}

impl HostRoute {
    fn ipv6(&self) -> bool {
        self.prefix.addr().is_ipv6()
    }

    /// The metric it has in the kernel.
    fn metric_there(&self) -> u32 {
        match self.metric {
            Some(0) | None if self.ipv6() => 1024,
            metric => metric.unwrap_or(0),
        }
    }

    /// Whether `there` is this route, whatever its source.
    fn is(&self, there: &ObservedRoute) -> bool {
        let place = (there.prefix, there.table, there.metric);
        place == (self.prefix, self.table, self.metric_there())
            && there.hops.first().is_some_and(|hop| {
                hop.gateway == self.gateway && self.link.is_none_or(|link| link == hop.interface)
            })
    }

    fn observed(there: &ObservedRoute) -> Self {
        let hop = there.hops.first();
        Self {
            prefix: there.prefix,
            gateway: hop.and_then(|hop| hop.gateway),
            link: hop.map(|hop| hop.interface),
            source: None,
            metric: Some(there.metric),
            table: there.table,
        }
    }
}

/// What became of a route that was to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutePut {
    /// It was not there and is now.
    Added,
    /// Its place is taken: by itself, or by somebody else's.
    Taken,
    /// Refused.
    Refused(OpError),
}

impl HostAddresses {
    /// Adds a route where its place is free; an IPv6 route for `valid_s` seconds.
    ///
    /// # Errors
    /// The socket fails.
    pub fn put_route(&mut self, route: &HostRoute, valid_s: u32) -> io::Result<RoutePut> {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let (errno, text) = self.route(RTM_NEWROUTE, flags, route, Some(valid_s))?;
        Ok(match errno {
            0 => RoutePut::Added,
            libc::EEXIST => RoutePut::Taken,
            errno => RoutePut::Refused(OpError { errno, text }),
        })
    }

    /// Lets an IPv6 route that is there live for `valid_s` seconds more. The kernel takes the same
    /// route once more as its refreshment, and says that it exists.
    ///
    /// # Errors
    /// The socket fails.
    pub fn refresh_route(&mut self, route: &HostRoute, valid_s: u32) -> io::Result<()> {
        if route.ipv6() {
            self.route(RTM_NEWROUTE, NLM_F_CREATE, route, Some(valid_s))?;
        }
        Ok(())
    }

    /// Takes a route of our number out; one that is not there is no fault.
    ///
    /// # Errors
    /// The socket fails.
    pub fn remove_route(&mut self, route: &HostRoute) -> io::Result<Option<OpError>> {
        let (errno, text) = self.route(RTM_DELROUTE, 0, route, None)?;
        let gone = [0, errno::ESRCH, errno::ENODEV];
        Ok((!gone.contains(&errno)).then_some(OpError { errno, text }))
    }

    /// Whether the route is there with our number. The kernel walks all tables for it.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn has_route(&self, route: &HostRoute) -> io::Result<bool> {
        let there = self.own_routes(if route.ipv6() { AF_INET6 } else { AF_INET })?;
        Ok(there.iter().any(|one| route.is(one)))
    }

    /// Takes out every route of our number but those of `kept`. Comes back with where they led to.
    ///
    /// # Errors
    /// The socket fails.
    pub fn remove_other_routes(&mut self, kept: &[HostRoute]) -> io::Result<Vec<IpNet>> {
        let mut removed = Vec::new();
        for family in [AF_INET, AF_INET6] {
            for there in self.own_routes(family)? {
                let gone = !kept.iter().any(|route| route.is(&there))
                    && self.remove_route(&HostRoute::observed(&there))?.is_none();
                removed.extend(gone.then_some(there.prefix));
            }
        }
        Ok(removed)
    }

    fn own_routes(&self, family: u8) -> io::Result<Vec<ObservedRoute>> {
        let mut found = Vec::new();
        Dumper::open()?.read_all(Dump::RoutesOf(family, self.protocol), |message| {
            let one = decode::route(message.body).filter(|_| message.kind == RTM_NEWROUTE);
            // A kernel that does not know the filter gives all.
            found.extend(one.filter(|one| one.protocol == self.protocol));
        })?;
        Ok(found)
    }

    fn route(
        &mut self,
        kind: u16,
        flags: u16,
        route: &HostRoute,
        valid_s: Option<u32>,
    ) -> io::Result<(i32, Option<String>)> {
        self.seq = self.seq.wrapping_add(1);
        self.out.clear();
        let adds = valid_s.is_some();
        let scope = match (adds, route.ipv6(), route.gateway) {
            (false, _, _) => RT_SCOPE_NOWHERE,
            // Straight to the destination.
            (true, false, None) => RT_SCOPE_LINK,
            (true, _, _) => 0,
        };
        let family = if route.ipv6() { AF_INET6 } else { AF_INET };
        let table = u8::try_from(route.table).unwrap_or(0);
        let (len, unicast) = (
            route.prefix.prefix_len(),
            if adds { RTN_UNICAST } else { 0 },
        );
        let header = [
            family,
            len,
            0,
            0,
            table,
            self.protocol,
            scope,
            unicast,
            0,
            0,
            0,
            0,
        ];
        self.out.begin(kind, flags, self.seq, &header);
        self.address(RTA_DST, route.prefix.addr());
        self.out.attr_u32(RTA_TABLE, route.table);
        if let Some(metric) = route.metric {
            self.out.attr_u32(RTA_PRIORITY, metric);
        }
        if let Some(gateway) = route.gateway {
            self.address(RTA_GATEWAY, gateway);
        }
        if let Some(link) = route.link {
            self.out.attr_u32(RTA_OIF, link);
        }
        if let Some(valid) = valid_s {
            if let Some(source) = route.source {
                self.address(RTA_PREFSRC, source);
            }
            if route.ipv6() {
                self.out.attr_u32(RTA_EXPIRES, valid);
            }
        }
        self.out.end();
        self.out.want_ack();
        self.socket.send(self.out.bytes())?;
        loop {
            for message in messages(self.socket.receive()?) {
                if message.kind == NLMSG_ERROR && message.seq == self.seq {
                    return Ok(answer(&message));
                }
            }
        }
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.out.attr(kind, &v4.octets()),
            IpAddr::V6(v6) => self.out.attr(kind, &v6.octets()),
        }
    }
}

/// The table of routes that name none.
pub const TABLE_DEFAULT: u32 = TABLE_MAIN;
