//! Netlink messages as the reconciler's values.
//!
//! Only what decisions need is read. Messages about other things that share a type (bridge ports
//! among links, cached and multicast routes) yield nothing.

use std::net::IpAddr;

use ipnet::IpNet;
use smallvec::SmallVec;

use crate::fib::model::{
    Hop, Link, NextHopContent, ObservedHop, ObservedKind, ObservedNextHop, ObservedRoute,
};

use super::encode::{
    AF_INET, AF_INET6, NHA_GATEWAY, NHA_GROUP, NHA_ID, NHA_OIF, RTA_DST, RTA_GATEWAY,
    RTA_MULTIPATH, RTA_NH_ID, RTA_OIF, RTA_PRIORITY, RTA_TABLE, RTA_VIA, RTN_UNICAST,
    RTNH_F_ONLINK,
};
use super::wire::{attrs, text_of, u8_at, u16_at, u32_at};

const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFF_LOWER_UP: u32 = 1 << 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTM_F_CLONED: u32 = 0x200;
const NHA_GROUP_TYPE: u16 = 3;
const NHA_BLACKHOLE: u16 = 4;
const NHA_FDB: u16 = 11;

pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

pub(super) fn link(body: &[u8]) -> Option<Link> {
    // Family 0: the link itself. AF_BRIDGE messages tell of a port, and their RTM_DELLINK only
    // means that it left its bridge.
    if u8_at(body, 0)? != 0 {
        return None;
    }
    let flags = u32_at(body, 8)?;
    let mut link = Link {
        index: u32_at(body, 4)?,
        name: String::new(),
        up: flags & IFF_UP != 0,
        carrier: flags & IFF_LOWER_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        mtu: 0,
    };
    for (kind, value) in attrs(body, 16) {
        match kind {
            IFLA_IFNAME => link.name = text_of(value),
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(link)
}

/// Interface index and address with subnet length.
pub(super) fn interface_address(body: &[u8]) -> Option<(u32, IpNet)> {
    let len = u8_at(body, 1)?;
    let index = u32_at(body, 4)?;
    let (mut local, mut remote) = (None, None);
    for (kind, value) in attrs(body, 8) {
        match kind {
            // On a point-to-point link IFA_ADDRESS is the other end's.
            IFA_LOCAL => local = address(value),
            IFA_ADDRESS => remote = address(value),
            _ => {}
        }
    }
    let net = IpNet::new(local.or(remote)?, len).ok()?;
    Some((index, net))
}

pub(super) fn route(body: &[u8]) -> Option<ObservedRoute> {
    let family = u8_at(body, 0)?;
    let flags = u32_at(body, 8)?;
    if (family != AF_INET && family != AF_INET6) || flags & RTM_F_CLONED != 0 {
        return None;
    }
    let mut route = ObservedRoute {
        prefix: default_route(family),
        table: u32::from(u8_at(body, 4)?),
        metric: 0,
        protocol: u8_at(body, 5)?,
        kind: match u8_at(body, 7)? {
            RTN_UNICAST => ObservedKind::Unicast,
            6..=9 => ObservedKind::Discard,
            _ => ObservedKind::Other,
        },
        hops: SmallVec::new(),
        next_hop_id: None,
    };
    let (mut gateway, mut interface) = (None, None);
    for (kind, value) in attrs(body, 12) {
        match kind {
            RTA_DST => route.prefix = IpNet::new(address(value)?, u8_at(body, 1)?).ok()?.trunc(),
            RTA_TABLE => route.table = u32_at(value, 0)?,
            RTA_PRIORITY => route.metric = u32_at(value, 0)?,
            RTA_NH_ID => route.next_hop_id = u32_at(value, 0),
            RTA_OIF => interface = u32_at(value, 0),
            RTA_GATEWAY => gateway = address(value),
            RTA_VIA => gateway = value.get(2..).and_then(address),
            RTA_MULTIPATH => route.hops = multipath(value),
            _ => {}
        }
    }
    if let Some(interface) = interface.filter(|_| route.hops.is_empty()) {
        route.hops.push(ObservedHop {
            gateway,
            interface,
            weight: 1,
        });
    }
    Some(route)
}

fn default_route(family: u8) -> IpNet {
    if family == AF_INET {
        IpNet::V4(ipnet::Ipv4Net::default())
    } else {
        IpNet::V6(ipnet::Ipv6Net::default())
    }
}

/// `struct rtnexthop`: length u16, flags u8, share - 1 u8, interface u32, attributes.
fn multipath(mut bytes: &[u8]) -> SmallVec<[ObservedHop; 1]> {
    let mut hops = SmallVec::new();
    while let Some((len, interface)) = u16_at(bytes, 0).zip(u32_at(bytes, 4)) {
        let len = usize::from(len);
        let Some(entry) = bytes.get(..len).filter(|_| len >= 8) else {
            break;
        };
        let mut gateway = None;
        for (kind, value) in attrs(entry, 8) {
            match kind {
                RTA_GATEWAY => gateway = address(value),
                RTA_VIA => gateway = value.get(2..).and_then(address),
                _ => {}
            }
        }
        hops.push(ObservedHop {
            gateway,
            interface,
            weight: u8_at(entry, 3).unwrap_or(0).saturating_add(1),
        });
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    }
    hops
}

pub(super) fn next_hop(body: &[u8]) -> Option<ObservedNextHop> {
    let protocol = u8_at(body, 2)?;
    let (mut id, mut gateway, mut interface, mut group) = (None, None, None, None);
    let mut special = false;
    for (kind, value) in attrs(body, 8) {
        match kind {
            NHA_ID => id = u32_at(value, 0),
            NHA_GATEWAY => gateway = address(value),
            NHA_OIF => interface = u32_at(value, 0),
            NHA_GROUP => group = Some(members(value)),
            NHA_GROUP_TYPE => special |= u16_at(value, 0) != Some(0),
            NHA_BLACKHOLE | NHA_FDB => special = true,
            _ => {}
        }
    }
    let content = match (group, gateway, interface) {
        _ if special => NextHopContent::Other,
        (Some(members), _, _) => NextHopContent::Group(members),
        (None, Some(gateway), Some(interface)) => NextHopContent::Single(Hop {
            gateway,
            interface,
            is_onlink: u32_at(body, 4).unwrap_or(0) & RTNH_F_ONLINK != 0,
        }),
        _ => NextHopContent::Other,
    };
    Some(ObservedNextHop {
        id: id?,
        protocol,
        content,
    })
}

/// `struct nexthop_grp`: id u32, share - 1 u8, three reserved octets.
fn members(value: &[u8]) -> Vec<(u32, u8)> {
    let entries = value.chunks_exact(8);
    let members = entries.filter_map(|entry| {
        let weight = u8_at(entry, 4)?.saturating_add(1);
        Some((u32_at(entry, 0)?, weight))
    });
    members.collect()
}
