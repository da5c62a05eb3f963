//! Operations as netlink messages, and the requests for dumps.
//!
//! Every message about a route or next hop carries our protocol number. For a deletion that is
//! what protects others: the kernel deletes only what matches prefix, table, metric and protocol.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::fib::KernelConfig;
use crate::fib::model::{Hop, KernelOp, Member, RouteTarget};

use super::wire::{
    NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, RTM_DELNEXTHOP,
    RTM_DELROUTE, RTM_GETADDR, RTM_GETLINK, RTM_GETNEXTHOP, RTM_GETROUTE, RTM_NEWNEXTHOP,
    RTM_NEWROUTE, Writer,
};

pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;
pub(super) const RTN_UNICAST: u8 = 1;
pub(super) const RTN_BLACKHOLE: u8 = 6;
/// Scope of a deletion: any.
const RT_SCOPE_NOWHERE: u8 = 255;
pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_PRIORITY: u16 = 6;
pub(super) const RTA_MULTIPATH: u16 = 9;
pub(super) const RTA_TABLE: u16 = 15;
pub(super) const RTA_VIA: u16 = 18;
pub(super) const RTA_NH_ID: u16 = 30;
pub(super) const NHA_ID: u16 = 1;
pub(super) const NHA_GROUP: u16 = 2;
pub(super) const NHA_OIF: u16 = 5;
pub(super) const NHA_GATEWAY: u16 = 6;
/// Headers of 16 and 12 octets, four attributes of 8.
const SHORT_ROUTE: usize = 60;
/// The gateway counts as a neighbor on the link whatever addresses the link has.
pub(super) const RTNH_F_ONLINK: u32 = 4;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

pub(super) fn family_of(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// Appends one operation.
pub(super) fn operation(out: &mut Writer, op: &KernelOp, config: &KernelConfig, seq: u32) {
    match op {
        KernelOp::PutNextHop { id, hop } => {
            let [a, b, c, d] = flags_of(hop).to_ne_bytes();
            let header = [family_of(hop.gateway), 0, config.protocol, 0, a, b, c, d];
            out.begin(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, seq, &header);
            out.attr_u32(NHA_ID, *id);
            out.attr_u32(NHA_OIF, hop.interface);
            address(out, NHA_GATEWAY, hop.gateway);
        }
        KernelOp::PutGroup {
            id,
            members,
            must_exist,
        } => {
            let flags = if *must_exist {
                NLM_F_REPLACE
            } else {
                NLM_F_CREATE | NLM_F_REPLACE
            };
            let header = [0, 0, config.protocol, 0, 0, 0, 0, 0];
            out.begin(RTM_NEWNEXTHOP, flags, seq, &header);
            out.attr_u32(NHA_ID, *id);
            let mut group = Vec::with_capacity(members.len() * 8);
            for (member, weight) in members {
                group.extend_from_slice(&member.to_ne_bytes());
                // The kernel counts shares from 0.
                group.extend_from_slice(&[weight.saturating_sub(1), 0, 0, 0]);
            }
            out.attr(NHA_GROUP, &group);
        }
        KernelOp::DeleteNextHop { id } => {
            out.begin(RTM_DELNEXTHOP, 0, seq, &[0; 8]);
            out.attr_u32(NHA_ID, *id);
        }
        KernelOp::PutRoute {
            prefix,
            metric,
            target,
            replace,
        } => {
            let flags = if *replace { NLM_F_REPLACE } else { NLM_F_EXCL };
            if let (IpNet::V4(net), RouteTarget::Group(group)) = (prefix, target) {
                let header = (NLM_F_CREATE | flags, seq);
                return out.whole(&short_route(*net, (*metric, *group), header, config));
            }
            let kind = match target {
                RouteTarget::Discard => RTN_BLACKHOLE,
                _ => RTN_UNICAST,
            };
            let mut header = route_header(*prefix, config, 0, kind);
            header[8..].copy_from_slice(&route_flags(target).to_ne_bytes());
            out.begin(RTM_NEWROUTE, NLM_F_CREATE | flags, seq, &header);
            place(out, *prefix, *metric, config);
            match target {
                RouteTarget::Group(id) => out.attr_u32(RTA_NH_ID, *id),
                RouteTarget::Paths(members) => paths(out, *prefix, members),
                RouteTarget::Discard => {}
            }
        }
        KernelOp::DeleteRoute { prefix, metric } => {
            let header = route_header(*prefix, config, RT_SCOPE_NOWHERE, 0);
            out.begin(RTM_DELROUTE, 0, seq, &header);
            place(out, *prefix, *metric, config);
        }
    }
    out.end();
}

/// The message of most routes there are, an IPv4 prefix through a group, put together on the stack:
/// writing a full table is little else.
fn short_route(
    net: Ipv4Net,
    (metric, group): (u32, u32),
    (flags, seq): (u16, u32),
    config: &KernelConfig,
) -> [u8; SHORT_ROUTE] {
    let mut message = [0; SHORT_ROUTE];
    let header = route_header(IpNet::V4(net), config, 0, RTN_UNICAST);
    let attrs = [
        (RTA_DST, net.addr().octets()),
        (RTA_TABLE, config.table.to_ne_bytes()),
        (RTA_PRIORITY, metric.to_ne_bytes()),
        (RTA_NH_ID, group.to_ne_bytes()),
    ];
    let len = u32::try_from(SHORT_ROUTE).unwrap_or(u32::MAX);
    message[..4].copy_from_slice(&len.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_NEWROUTE.to_ne_bytes());
    message[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    message[8..12].copy_from_slice(&seq.to_ne_bytes());
    message[16..28].copy_from_slice(&header);
    for (place, (kind, value)) in message[28..].as_chunks_mut::<8>().0.iter_mut().zip(attrs) {
        place[..2].copy_from_slice(&8_u16.to_ne_bytes());
        place[2..4].copy_from_slice(&kind.to_ne_bytes());
        place[4..].copy_from_slice(&value);
    }
    message
}

fn route_header(prefix: IpNet, config: &KernelConfig, scope: u8, kind: u8) -> [u8; 12] {
    let family = family_of(prefix.addr());
    let len = prefix.prefix_len();
    // The table goes into an attribute: the byte here is too small for it.
    [
        family,
        len,
        0,
        0,
        0,
        config.protocol,
        scope,
        kind,
        0,
        0,
        0,
        0,
    ]
}

fn place(out: &mut Writer, prefix: IpNet, metric: u32, config: &KernelConfig) {
    address(out, RTA_DST, prefix.addr());
    out.attr_u32(RTA_TABLE, config.table);
    out.attr_u32(RTA_PRIORITY, metric);
}

fn address(out: &mut Writer, kind: u16, addr: IpAddr) {
    match addr {
        IpAddr::V4(v4) => out.attr(kind, &v4.octets()),
        IpAddr::V6(v6) => out.attr(kind, &v6.octets()),
    }
}

/// The gateway as a route of this prefix names it: another family's goes into `RTA_VIA`
/// (RFC 8950).
fn gateway(prefix: IpNet, hop: &Hop) -> (u16, Vec<u8>) {
    let octets = match hop.gateway {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    if hop.gateway.is_ipv4() == prefix.addr().is_ipv4() {
        return (RTA_GATEWAY, octets);
    }
    let mut via = u16::from(family_of(hop.gateway)).to_ne_bytes().to_vec();
    via.extend_from_slice(&octets);
    (RTA_VIA, via)
}

fn flags_of(hop: &Hop) -> u32 {
    if hop.is_onlink { RTNH_F_ONLINK } else { 0 }
}

/// What a route says of its one next hop; where there are more, each has flags of its own.
fn route_flags(target: &RouteTarget) -> u32 {
    match target {
        RouteTarget::Paths(members) if members.len() == 1 => {
            members.first().map(|m| flags_of(&m.hop))
        }
        _ => None,
    }
    .unwrap_or(0)
}

/// Next hops written into the route, for kernels without next hop objects.
fn paths(out: &mut Writer, prefix: IpNet, members: &[Member]) {
    if let [only] = members {
        let (kind, value) = gateway(prefix, &only.hop);
        out.attr(kind, &value);
        out.attr_u32(RTA_OIF, only.hop.interface);
        return;
    }
    let mut list = Vec::new();
    for member in members {
        let (kind, value) = gateway(prefix, &member.hop);
        let attr = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        let padded = attr.next_multiple_of(4);
        list.extend_from_slice(&(8 + padded).to_ne_bytes());
        let [flags, ..] = flags_of(&member.hop).to_le_bytes();
        list.extend_from_slice(&[flags, member.weight.saturating_sub(1)]);
        list.extend_from_slice(&member.hop.interface.to_ne_bytes());
        list.extend_from_slice(&attr.to_ne_bytes());
        list.extend_from_slice(&kind.to_ne_bytes());
        list.extend_from_slice(&value);
        list.resize(list.len() + usize::from(padded - attr), 0);
    }
    out.attr(RTA_MULTIPATH, &list);
}

/// What can be dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dump {
    Links,
    Addresses,
    NextHops,
    /// Routes of a family; of one table, or of all (`None`).
    Routes(u8, Option<u32>),
    /// Routes of a family with a protocol number, of all tables.
    RoutesOf(u8, u8),
}

pub(super) fn dump_request(out: &mut Writer, dump: Dump, seq: u32) {
    out.clear();
    match dump {
        Dump::Links => {
            out.begin(RTM_GETLINK, NLM_F_DUMP, seq, &[0; 16]);
            out.attr_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        }
        Dump::Addresses => out.begin(RTM_GETADDR, NLM_F_DUMP, seq, &[0; 8]),
        Dump::NextHops => out.begin(RTM_GETNEXTHOP, NLM_F_DUMP, seq, &[0; 8]),
        Dump::Routes(family, table) => {
            let header = [family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            out.begin(RTM_GETROUTE, NLM_F_DUMP, seq, &header);
            if let Some(table) = table {
                out.attr_u32(RTA_TABLE, table);
            }
        }
        Dump::RoutesOf(family, protocol) => {
            let header = [family, 0, 0, 0, 0, protocol, 0, 0, 0, 0, 0, 0];
            out.begin(RTM_GETROUTE, NLM_F_DUMP, seq, &header);
        }
    }
    out.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(gateway: &str) -> Hop {
        Hop {
            gateway: gateway.parse().unwrap(),
            interface: 9,
            is_onlink: true,
        }
    }

    fn written(op: &KernelOp) -> Vec<u8> {
        let mut out = Writer::default();
        operation(&mut out, op, &KernelConfig::default(), 1);
        out.bytes().to_vec()
    }

    /// `ip nexthop add id 5 via 10.0.1.2 dev IF9 onlink`, and what comes back of it.
    #[test]
    fn the_far_end_of_a_tunnel_is_a_next_hop_on_its_link() {
        let hop = far("10.0.1.2");
        let octets = written(&KernelOp::PutNextHop { id: 5, hop });
        let [family, scope, protocol, reserved] = [AF_INET, 0, 186, 0];
        let mut expected = vec![family, scope, protocol, reserved];
        expected.extend(4_u32.to_ne_bytes());
        assert_eq!(octets[16..24], expected);
        let mut attrs = Vec::new();
        for (kind, value) in [
            (NHA_ID, 5_u32.to_ne_bytes()),
            (NHA_OIF, 9_u32.to_ne_bytes()),
            (NHA_GATEWAY, [10, 0, 1, 2]),
        ] {
            attrs.extend(8_u16.to_ne_bytes());
            attrs.extend(kind.to_ne_bytes());
            attrs.extend(value);
        }
        assert_eq!(octets[24..], attrs);
        let seen = crate::netlink::decode::next_hop(&octets[16..]).unwrap();
        assert_eq!(seen.content, crate::fib::model::NextHopContent::Single(hop));
    }

    /// `RTNH_F_ONLINK` is in the header of a route with one next hop, else with each next hop.
    #[test]
    fn routes_with_next_hops_of_their_own_say_onlink_too() {
        let put = |members: Vec<Member>| {
            written(&KernelOp::PutRoute {
                prefix: "10.8.1.0/26".parse().unwrap(),
                metric: 20,
                target: RouteTarget::Paths(members.into()),
                replace: true,
            })
        };
        let member = |hop| Member { hop, weight: 1 };
        let near = Hop {
            is_onlink: false,
            ..far("10.0.0.3")
        };
        assert_eq!(
            put(vec![member(far("10.0.1.2"))])[24..28],
            4_u32.to_ne_bytes()
        );
        assert_eq!(put(vec![member(near)])[24..28], [0; 4]);
        let both = put(vec![member(near), member(far("10.0.1.2"))]);
        assert_eq!(both[24..28], [0; 4]);
        // Three attributes of 8 octets and the header of the list, then 16 octets for each.
        let list = &both[28 + 24 + 4..];
        assert_eq!((list[2], list[16 + 2]), (0, 4), "{list:?}");
    }

    /// The short way writes what the long way would.
    #[test]
    fn a_short_route_is_a_route() {
        let config = KernelConfig {
            table: 1000,
            ..KernelConfig::default()
        };
        let prefix: IpNet = "10.244.7.0/24".parse().unwrap();
        let op = KernelOp::PutRoute {
            prefix,
            metric: 20,
            target: RouteTarget::Group(0xba00_0001),
            replace: true,
        };
        let mut short = Writer::default();
        operation(&mut short, &op, &config, 7);
        let mut long = Writer::default();
        let header = route_header(prefix, &config, 0, RTN_UNICAST);
        long.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, 7, &header);
        place(&mut long, prefix, 20, &config);
        long.attr_u32(RTA_NH_ID, 0xba00_0001);
        long.end();
        assert_eq!(short.bytes(), long.bytes());
        short.want_ack();
        long.want_ack();
        assert_eq!(short.bytes(), long.bytes());
    }
}
