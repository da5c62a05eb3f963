//! A table as a router would send it: UPDATEs packed by attributes, ready before the clock starts.
//!
//! [`Feeder`] says who speaks; [`Feeder::announce`] packs prefixes with the same attributes into as
//! few messages as fit 4096 octets. [`expected`] is the model of what a daemon must make of the
//! same path when it passes it on to an external peer (RFC 4271 §5.1): its AS prepended, MED gone,
//! everything else as it came.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::rib_file::{Attribute, Attributes};
use super::wire;

/// Octets of attributes and NLRI that fit an UPDATE: 4096 without header and two lengths.
const ROOM: usize = 4096 - wire::HEADER_LEN - 4;

/// Who sends the table.
#[derive(Clone, Copy, Debug)]
pub struct Feeder {
    /// Its AS number: prepended to every path, as an external router does.
    pub asn: u32,
    /// Next hop of IPv4 routes.
    pub next_hop: Ipv4Addr,
    /// Next hop of IPv6 routes.
    pub next_hop_v6: Ipv6Addr,
}

impl Feeder {
    /// UPDATEs that announce `routes`, packed, and their number.
    pub fn announce(&self, routes: &[(IpNet, Attributes)]) -> (Vec<u8>, usize) {
        let mut order: Vec<(bool, &Attributes, Vec<IpNet>)> = Vec::new();
        let mut index: HashMap<(bool, *const Vec<Attribute>), usize> = HashMap::new();
        for (net, attributes) in routes {
            let v6 = matches!(net, IpNet::V6(_));
            let at = *index
                .entry((v6, Arc::as_ptr(attributes)))
                .or_insert_with(|| {
                    order.push((v6, attributes, Vec::new()));
                    order.len() - 1
                });
            order[at].2.push(*net);
        }
        let mut out = Vec::new();
        let mut count = 0;
        for (v6, attributes, nets) in order {
            count += self.pack(v6, attributes, &nets, &mut out);
        }
        (out, count)
    }

    fn pack(&self, v6: bool, attrs: &Attributes, nets: &[IpNet], out: &mut Vec<u8>) -> usize {
        let before = self.attributes(attrs, 1..=2);
        let after = self.attributes(attrs, 4..=255);
        // MP_REACH_NLRI takes 4 octets of header and 21 before its NLRI; NEXT_HOP takes 7.
        let fixed = before.len() + after.len() + if v6 { 25 } else { 7 };
        let mut count = 0;
        let mut nlri = Vec::new();
        for (at, net) in nets.iter().enumerate() {
            nlri.extend(wire::nlri(*net));
            let next = nets
                .get(at + 1)
                .map_or(usize::MAX - ROOM, |net| wire::nlri(*net).len());
            if fixed + nlri.len() + next > ROOM {
                out.extend(self.update(v6, &before, &after, &nlri));
                nlri.clear();
                count += 1;
            }
        }
        count
    }

    fn update(&self, v6: bool, before: &[u8], after: &[u8], nlri: &[u8]) -> Vec<u8> {
        if !v6 {
            let next_hop = wire::attribute(0x40, 3, &self.next_hop.octets());
            return wire::update(&[], &[before, &next_hop, after].concat(), nlri);
        }
        let mut value = vec![0, 2, 1, 16];
        value.extend_from_slice(&self.next_hop_v6.octets());
        value.push(0);
        value.extend_from_slice(nlri);
        let reach = wire::attribute(0x80, 14, &value);
        wire::update(&[], &[before, after, &reach].concat(), &[])
    }

    fn attributes(&self, attrs: &Attributes, codes: std::ops::RangeInclusive<u8>) -> Vec<u8> {
        let chosen = attrs.iter().filter(|(_, code, _)| codes.contains(code));
        chosen
            .flat_map(|(flags, code, value)| match code {
                2 => wire::attribute(*flags, 2, &prepend(value, self.asn)),
                _ => wire::attribute(*flags, *code, value),
            })
            .collect()
    }

    /// The attributes with which `daemon_asn` passes this feeder's path on to an external peer:
    /// in the form of `strict::Entry`, with communities in ascending order.
    pub fn expected(&self, attrs: &Attributes, daemon_asn: u32) -> Vec<Attribute> {
        let path_of = |value: &[u8]| prepend(&prepend(value, self.asn), daemon_asn);
        let mut found = Vec::new();
        for (flags, code, value) in attrs.iter() {
            match code {
                2 => found.push((*flags, 2, path_of(value))),
                4 | 5 | 9 | 10 => {}
                _ => found.push((*flags, *code, normal(*code, value))),
            }
        }
        found
    }
}

/// UPDATEs that withdraw `nets`.
pub fn withdraw(nets: &[IpNet]) -> Vec<u8> {
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
        nets.iter().partition(|net| matches!(net, IpNet::V4(_)));
    let mut out = Vec::new();
    for part in v4.chunks(700) {
        let nlri: Vec<u8> = part.iter().flat_map(|net| wire::nlri(*net)).collect();
        out.extend(wire::update(&nlri, &[], &[]));
    }
    for part in v6.chunks(200) {
        let mut value = vec![0, 2, 1];
        value.extend(part.iter().flat_map(|net| wire::nlri(*net)));
        out.extend(wire::update(&[], &wire::attribute(0x80, 15, &value), &[]));
    }
    out
}

/// An AS_PATH value with `asn` put in front (RFC 4271 §5.1.2 b).
pub fn prepend(path: &[u8], asn: u32) -> Vec<u8> {
    let mut out = vec![2, 1];
    out.extend_from_slice(&asn.to_be_bytes());
    match path {
        [2, count, rest @ ..] if *count < 255 => {
            out[1] = count + 1;
            out.extend_from_slice(rest);
        }
        _ => out.extend_from_slice(path),
    }
    out
}

/// Community attributes are sets: ascending and without repetition. Others stay as they are.
pub fn normal(code: u8, value: &[u8]) -> Vec<u8> {
    let size = match code {
        8 => 4,
        16 => 8,
        32 => 12,
        _ => return value.to_vec(),
    };
    let mut members: Vec<&[u8]> = value.chunks(size).collect();
    members.sort_unstable();
    members.dedup();
    members.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_one_path_share_a_message() {
        let path: Attributes = Arc::new(vec![
            (0x40, 1, vec![0]),
            (0x40, 2, wire::as_sequence(&[64500])),
        ]);
        let nets = ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"];
        let routes: Vec<_> = nets
            .iter()
            .map(|net| (net.parse().expect("a prefix"), path.clone()))
            .collect();
        let feeder = Feeder {
            asn: 64501,
            next_hop: Ipv4Addr::new(10, 0, 0, 1),
            next_hop_v6: Ipv6Addr::LOCALHOST,
        };
        assert_eq!(feeder.announce(&routes).1, 2);
    }

    #[test]
    fn a_full_sequence_gets_a_new_one_in_front() {
        let full = wire::as_sequence(&[64500; 255]);
        assert_eq!(&prepend(&full, 1)[..8], [2, 1, 0, 0, 0, 1, 2, 255]);
        assert_eq!(prepend(&[], 1), [2, 1, 0, 0, 0, 1]);
    }
}
