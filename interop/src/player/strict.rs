//! A strict reader of UPDATEs: what a daemon under test sends must be beyond reproach.
//!
//! Every message is read with all checks of RFC 4271 §4.3, RFC 4760 §3 and RFC 7606: section
//! lengths, prefix lengths, attribute flags and lengths, no duplicates, mandatory attributes
//! present. The first breach is an error that names it; the [`Table`] keeps what was announced,
//! with the attributes as canonical octets (sorted by type, MP_REACH reduced to its next hop).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What the sender of the messages negotiated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// AS numbers take four octets (RFC 6793).
    pub four_octet_as: bool,
    /// The session is external: LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST must not be sent.
    pub external: bool,
}

/// One announced path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The next hop, from NEXT_HOP or MP_REACH_NLRI.
    pub next_hop: IpAddr,
    /// The attributes, sorted by type, without next hop and MP attributes: `flags type len2 value`.
    pub attributes: Arc<[u8]>,
}

impl Entry {
    /// The flags and value of the attribute of type `code`.
    pub fn attribute(&self, code: u8) -> Option<(u8, &[u8])> {
        let mut rest = &self.attributes[..];
        while let [flags, kind, hi, lo, tail @ ..] = rest {
            let (value, next) = tail.split_at(usize::from(u16::from_be_bytes([*hi, *lo])));
            if *kind == code {
                return Some((*flags, value));
            }
            rest = next;
        }
        None
    }
}

/// What a daemon announced to us: its Adj-RIB-Out as its peer sees it.
#[derive(Debug, Default)]
pub struct Table {
    /// Prefix to path.
    pub routes: BTreeMap<IpNet, Entry>,
    /// UPDATEs read.
    pub updates: u64,
    /// End-of-RIB markers seen, IPv4 and IPv6 (RFC 4724 §2).
    pub end_of_rib: [bool; 2],
    last: Option<Arc<[u8]>>,
}

type Attributes<'a> = BTreeMap<u8, (u8, &'a [u8])>;

impl Table {
    /// Reads the body of an UPDATE.
    ///
    /// # Errors
    /// The first breach of the RFCs, in words.
    pub fn read(&mut self, body: &[u8], reading: Reading) -> Result<(), String> {
        self.updates += 1;
        let (withdrawn, rest) = section(body, "withdrawn routes")?;
        let (attributes, announced) = section(rest, "path attributes")?;
        let attributes = split_attributes(attributes)?;
        if body == [0, 0, 0, 0] {
            self.end_of_rib[0] = true;
        }
        for net in prefixes(withdrawn, false)? {
            self.routes.remove(&net);
        }
        if let Some((_, value)) = attributes.get(&15) {
            self.read_unreach(value)?;
        }
        let reach = attributes
            .get(&14)
            .map(|(_, value)| read_reach(value))
            .transpose()?;
        let announced = prefixes(announced, false)?;
        if announced.is_empty() && reach.is_none() {
            return Ok(());
        }
        let canonical = self.canonical(&attributes, reading)?;
        if !announced.is_empty() {
            let (_, next_hop) = attributes.get(&3).ok_or("NLRI without NEXT_HOP")?;
            let octets: [u8; 4] = (*next_hop)
                .try_into()
                .map_err(|_| "NEXT_HOP is not 4 octets".to_owned())?;
            self.insert(announced, IpAddr::V4(Ipv4Addr::from(octets)), &canonical);
        }
        if let Some((next_hop, nets)) = reach {
            self.insert(nets, next_hop, &canonical);
        }
        Ok(())
    }

    fn insert(&mut self, nets: Vec<IpNet>, next_hop: IpAddr, attributes: &Arc<[u8]>) {
        for net in nets {
            self.routes.insert(
                net,
                Entry {
                    next_hop,
                    attributes: attributes.clone(),
                },
            );
        }
    }

    fn read_unreach(&mut self, value: &[u8]) -> Result<(), String> {
        let [0, afi @ (1 | 2), 1, nlri @ ..] = value else {
            return Err(format!(
                "MP_UNREACH_NLRI for a family we did not offer: {value:02x?}"
            ));
        };
        if nlri.is_empty() {
            self.end_of_rib[usize::from(*afi) - 1] = true;
        }
        for net in prefixes(nlri, *afi == 2)? {
            self.routes.remove(&net);
        }
        Ok(())
    }

    /// Checks every attribute and gives the canonical octets, shared with the message before.
    fn canonical(&mut self, attrs: &Attributes<'_>, reading: Reading) -> Result<Arc<[u8]>, String> {
        for code in [1, 2] {
            if !attrs.contains_key(&code) {
                return Err(format!("mandatory attribute {code} is missing"));
            }
        }
        if !reading.external && !attrs.contains_key(&5) {
            return Err("LOCAL_PREF is missing on an internal session".to_owned());
        }
        let mut bytes = Vec::new();
        for (&code, &(flags, value)) in attrs {
            check_attribute(code, flags, value, reading)?;
            if matches!(code, 3 | 14 | 15) {
                continue;
            }
            let len = u16::try_from(value.len()).map_err(|_| "attribute too long".to_owned())?;
            bytes.extend_from_slice(&[flags & 0xe0, code]);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(value);
        }
        if let Some(last) = &self.last
            && last[..] == bytes[..]
        {
            return Ok(last.clone());
        }
        let shared: Arc<[u8]> = bytes.into();
        self.last = Some(shared.clone());
        Ok(shared)
    }
}

fn section<'a>(bytes: &'a [u8], what: &str) -> Result<(&'a [u8], &'a [u8]), String> {
    let [hi, lo, rest @ ..] = bytes else {
        return Err(format!("no length of {what}"));
    };
    let len = usize::from(u16::from_be_bytes([*hi, *lo]));
    rest.split_at_checked(len)
        .ok_or_else(|| format!("{what}: {len} octets of {}", rest.len()))
}

fn split_attributes(mut bytes: &[u8]) -> Result<Attributes<'_>, String> {
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let (flags, code, len, rest) = match bytes {
            [flags, code, hi, lo, rest @ ..] if flags & 0x10 != 0 => (
                *flags,
                *code,
                usize::from(u16::from_be_bytes([*hi, *lo])),
                rest,
            ),
            [flags, code, len, rest @ ..] if flags & 0x10 == 0 => {
                (*flags, *code, usize::from(*len), rest)
            }
            _ => return Err(format!("attribute header cut short: {bytes:02x?}")),
        };
        let (value, rest) = rest
            .split_at_checked(len)
            .ok_or_else(|| format!("attribute {code}: {len} octets of {}", rest.len()))?;
        if found.insert(code, (flags, value)).is_some() {
            return Err(format!("attribute {code} twice"));
        }
        bytes = rest;
    }
    Ok(found)
}

fn prefixes(mut bytes: &[u8], v6: bool) -> Result<Vec<IpNet>, String> {
    let mut found = Vec::new();
    while let [len, rest @ ..] = bytes {
        let max = if v6 { 128 } else { 32 };
        if *len > max {
            return Err(format!("prefix length {len}"));
        }
        let octets = usize::from(*len).div_ceil(8);
        let (value, rest) = rest
            .split_at_checked(octets)
            .ok_or_else(|| format!("prefix /{len} cut short"))?;
        let mut full = [0_u8; 16];
        full[..octets].copy_from_slice(value);
        let net = if v6 {
            Ipv6Net::new(Ipv6Addr::from(full), *len).map(IpNet::V6)
        } else {
            Ipv4Net::new(Ipv4Addr::new(full[0], full[1], full[2], full[3]), *len).map(IpNet::V4)
        };
        let net = net.map_err(|error| error.to_string())?;
        if net.network() != net.addr() {
            return Err(format!("{net} has host bits"));
        }
        found.push(net);
        bytes = rest;
    }
    Ok(found)
}

/// Next hop and prefixes of MP_REACH_NLRI (RFC 4760 §3, RFC 2545 §3, RFC 8950 §4).
fn read_reach(value: &[u8]) -> Result<(IpAddr, Vec<IpNet>), String> {
    let [0, afi @ (1 | 2), 1, hop_len, rest @ ..] = value else {
        return Err(format!(
            "MP_REACH_NLRI for a family we did not offer: {value:02x?}"
        ));
    };
    let (hop, rest) = rest
        .split_at_checked(usize::from(*hop_len))
        .ok_or_else(|| "MP_REACH_NLRI next hop cut short".to_owned())?;
    let next_hop = match hop.len() {
        4 if *afi == 1 => IpAddr::V4(Ipv4Addr::new(hop[0], hop[1], hop[2], hop[3])),
        16 | 32 => {
            let mut octets = [0_u8; 16];
            octets.copy_from_slice(&hop[..16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        len => return Err(format!("MP_REACH_NLRI next hop of {len} octets")),
    };
    let [0, nlri @ ..] = rest else {
        return Err("MP_REACH_NLRI reserved octet is not 0".to_owned());
    };
    Ok((next_hop, prefixes(nlri, *afi == 2)?))
}

/// Flags, length and value of one attribute as a sender must build them.
fn check_attribute(code: u8, flags: u8, value: &[u8], reading: Reading) -> Result<(), String> {
    let bad = |what: &str| {
        Err(format!(
            "attribute {code}: {what}: {flags:02x} {value:02x?}"
        ))
    };
    let kind = flags & 0xc0;
    let expected_kind = match code {
        1 | 2 | 3 | 5 | 6 => 0x40,
        4 | 9 | 10 | 14 | 15 | 26 => 0x80,
        7 | 8 | 16 | 17 | 18 | 25 | 32 | 35 => 0xc0,
        // Unknown to us: only optional transitive ones may travel, and then with Partial set.
        _ if flags & 0xe0 == 0xe0 => return Ok(()),
        _ => return bad("not known to the sender, must be optional transitive partial"),
    };
    if kind != expected_kind || (expected_kind != 0xc0 && flags & 0x20 != 0) {
        return bad("flags");
    }
    if flags & 0x0f != 0 {
        return bad("unused flag bits");
    }
    if reading.external && matches!(code, 5 | 9 | 10 | 26) {
        return bad("must not leave the AS");
    }
    let aggregator = if reading.four_octet_as { 8 } else { 6 };
    let length_ok = match code {
        1 => matches!(value, [0..=2]),
        2 => as_path_ok(value, reading.four_octet_as),
        17 => as_path_ok(value, true),
        3 | 4 | 5 | 9 | 35 => value.len() == 4,
        6 => value.is_empty(),
        7 => value.len() == aggregator,
        8 | 10 => !value.is_empty() && value.len().is_multiple_of(4),
        16 => !value.is_empty() && value.len().is_multiple_of(8),
        18 => value.len() == 8,
        25 => !value.is_empty() && value.len().is_multiple_of(20),
        32 => !value.is_empty() && value.len().is_multiple_of(12),
        _ => true,
    };
    if length_ok {
        Ok(())
    } else {
        bad("malformed value")
    }
}

fn as_path_ok(mut value: &[u8], four_octets: bool) -> bool {
    let size = if four_octets { 4 } else { 2 };
    while !value.is_empty() {
        let [kind, count, rest @ ..] = value else {
            return false;
        };
        if !(1..=4).contains(kind) || *count == 0 {
            return false;
        }
        let Some((asns, rest)) = rest.split_at_checked(usize::from(*count) * size) else {
            return false;
        };
        if asns
            .chunks(size)
            .any(|asn| asn.iter().all(|octet| *octet == 0))
        {
            return false;
        }
        value = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;

    fn update(extra: &[u8]) -> Vec<u8> {
        let mut attrs = wire::attribute(0x40, 1, &[0]);
        attrs.extend(wire::attribute(0x40, 2, &wire::as_sequence(&[65001])));
        attrs.extend(wire::attribute(0x40, 3, &[10, 0, 0, 1]));
        attrs.extend_from_slice(extra);
        wire::update(&[], &attrs, &[24, 192, 0, 2])[wire::HEADER_LEN..].to_vec()
    }

    fn read(body: &[u8]) -> Result<Table, String> {
        let mut table = Table::default();
        table
            .read(
                body,
                Reading {
                    four_octet_as: true,
                    external: true,
                },
            )
            .map(|()| table)
    }

    #[test]
    fn a_good_update_is_kept() {
        let table = read(&update(&[])).expect("well-formed");
        let entry = &table.routes[&"192.0.2.0/24".parse().expect("a prefix")];
        assert_eq!(entry.next_hop, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(
            entry.attribute(2),
            Some((0x40, &[2, 1, 0, 0, 0xfd, 0xe9][..]))
        );
    }

    #[test]
    fn breaches_are_named() {
        for (extra, word) in [
            (wire::attribute(0x40, 1, &[0]), "twice"),
            (wire::attribute(0x80, 8, &[0; 4]), "flags"),
            (wire::attribute(0xc0, 8, &[0; 3]), "malformed"),
            (wire::attribute(0xc0, 99, &[0; 3]), "partial"),
            (wire::attribute(0x40, 5, &[0; 4]), "leave the AS"),
        ] {
            let error = read(&update(&extra)).expect_err("malformed");
            assert!(error.contains(word), "{error}");
        }
    }
}
