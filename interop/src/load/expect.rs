//! What has to arrive, and the comparison with what did: every prefix, attributes included.
//!
//! An [`Expected`] is a table from prefix to attributes and next hop. A [`Checker`] replays the
//! kept octets of one receiver message by message, as a router would take them in, and knows at
//! every moment how many prefixes are as they should be. When all are, it also knows with which
//! octet the last one became so; that is where the clock is stopped. It goes on where it left off,
//! so that a look that comes too early costs little.
//!
//! Attributes are read by the strict reader of [`crate::player::strict`], once for each distinct
//! block of octets, and compared in canonical form (sorted by type, communities as a set). The next
//! hop towards an external receiver may be the daemon's own or stay as it came, since all speakers
//! are on one network (RFC 4271 §5.1.3); a reflector has to leave it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::dialect::ASN;
use super::ground::LOCAL;
use crate::player::feed;
use crate::player::rib_file::Attribute;
use crate::player::strict::{Reading, Table};
use crate::player::wire::{self, HEADER_LEN, kind};

/// Multiplies: keys are addresses, which differ in their upper halves.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for part in octets.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// One path as it has to arrive.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    block: u32,
    next_hop: Ipv4Addr,
}

/// What all receivers of a run have to get, but for what [`Checker::except`] takes out.
#[derive(Debug)]
pub struct Expected {
    external: bool,
    index: Map<u64, u32>,
    nets: Vec<Ipv4Net>,
    wanted: Vec<Wanted>,
    blocks: Map<Vec<u8>, u32>,
}

fn key(net: Ipv4Net) -> u64 {
    u64::from(u32::from(net.network())) << 8 | u64::from(net.prefix_len())
}

/// Attributes in the form they are compared in; next hops are compared apart.
fn canonical<'a>(attributes: impl Iterator<Item = (u8, u8, &'a [u8])>) -> Vec<u8> {
    let mut octets = Vec::new();
    for (flags, code, value) in attributes {
        let value = feed::normal(code, value);
        let len = u16::try_from(value.len()).expect("attributes fit a message");
        octets.extend_from_slice(&[flags & 0xe0, code]);
        octets.extend_from_slice(&len.to_be_bytes());
        octets.extend_from_slice(&value);
    }
    octets
}

impl Expected {
    /// An empty table; `external` says of which kind the receivers' sessions are.
    pub fn new(external: bool) -> Self {
        Self {
            external,
            index: Map::default(),
            nets: Vec::new(),
            wanted: Vec::new(),
            blocks: Map::default(),
        }
    }

    /// Registers a set of attributes, as they arrive, ascending by type; its number is for
    /// [`Expected::insert`].
    pub fn block(&mut self, attributes: &[Attribute]) -> u32 {
        let parts = attributes.iter();
        let octets = canonical(parts.map(|(flags, code, value)| (*flags, *code, &value[..])));
        let next = u32::try_from(self.blocks.len()).expect("fewer sets than prefixes");
        *self.blocks.entry(octets).or_insert(next)
    }

    /// `net` has to arrive with that set and next hop. Repeated, the later one holds.
    pub fn insert(&mut self, net: IpNet, block: u32, next_hop: Ipv4Addr) {
        let IpNet::V4(net) = net else { return };
        let wanted = Wanted { block, next_hop };
        let next = u32::try_from(self.nets.len()).expect("fewer prefixes than 2^32");
        let at = *self.index.entry(key(net)).or_insert(next);
        if at == next {
            self.nets.push(net);
            self.wanted.push(wanted);
        } else {
            self.wanted[at as usize] = wanted;
        }
    }

    /// How many prefixes.
    pub fn len(&self) -> usize {
        self.nets.len()
    }

    /// The prefixes.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.nets.iter().copied().map(IpNet::V4)
    }

    /// Whether nothing has to arrive.
    pub fn is_empty(&self) -> bool {
        self.nets.is_empty()
    }
}

/// Attributes of reflected routes: what came, with ORIGINATOR_ID and CLUSTER_LIST (RFC 4456 §8).
pub fn reflected(attributes: &[Attribute], originator: Ipv4Addr) -> Vec<Attribute> {
    let mut found = attributes.to_vec();
    found.push((0x80, 9, originator.octets().to_vec()));
    found.push((0x80, 10, LOCAL.octets().to_vec()));
    found.sort_by_key(|(_, code, _)| *code);
    found
}

/// Attributes as the daemon passes them on to an external neighbor; `path` is the AS_PATH with
/// which they were sent to it.
pub fn passed_on(attributes: &[Attribute], path: &[u8]) -> Vec<Attribute> {
    let kept = attributes
        .iter()
        .filter(|(_, code, _)| !matches!(code, 4 | 5 | 9 | 10));
    kept.map(|(flags, code, value)| match code {
        2 => (*flags, 2, feed::prepend(path, ASN)),
        _ => (*flags, *code, value.clone()),
    })
    .collect()
}

/// Distinct blocks of received octets, each read once, shared by all receivers of a run.
#[derive(Debug, Default)]
pub struct Blocks(Map<Box<[u8]>, Block>);

#[derive(Clone, Copy, Debug)]
struct Block {
    /// Number in [`Expected`], none where nothing like it is expected.
    number: Option<u32>,
    next_hop: Ipv4Addr,
}

impl Blocks {
    fn read(&mut self, octets: &[u8], expected: &Expected) -> Result<Block, String> {
        if let Some(block) = self.0.get(octets) {
            return Ok(*block);
        }
        // The strict reader takes whole UPDATEs; the default route stands for whatever follows.
        let update = wire::update(&[], octets, &[0]);
        let reading = Reading {
            four_octet_as: true,
            external: expected.external,
        };
        let mut table = Table::default();
        table.read(&update[HEADER_LEN..], reading)?;
        let entry = table.routes.into_values().next().ok_or("no route read")?;
        let IpAddr::V4(next_hop) = entry.next_hop else {
            return Err(format!("next hop {} of an IPv4 route", entry.next_hop));
        };
        let parts = (1..=255).filter_map(|code| {
            let (flags, value) = entry.attribute(code)?;
            Some((flags, code, value))
        });
        let number = expected.blocks.get(&canonical(parts)).copied();
        let block = Block { number, next_hop };
        self.0.insert(octets.into(), block);
        Ok(block)
    }
}

const ABSENT: u8 = 0;
const RIGHT: u8 = 1;
const WRONG: u8 = 2;

/// One receiver's table, as it follows from its octets.
#[derive(Debug)]
pub struct Checker {
    state: Vec<u8>,
    /// Prefixes that this receiver has announced itself, with the path that is expected.
    own: Vec<bool>,
    missing: usize,
    read: usize,
    complete_at: Option<usize>,
    last_wrong: Option<String>,
}

impl Checker {
    /// A receiver that has nothing yet and has to get everything.
    pub fn new(expected: &Expected) -> Self {
        Self {
            state: vec![ABSENT; expected.len()],
            own: Vec::new(),
            missing: expected.len(),
            read: 0,
            complete_at: None,
            last_wrong: None,
        }
    }

    /// The receiver has announced the best path for `nets` itself. In the end it has nobody else's:
    /// either nothing came, or its own path came back, which a router knows by the ORIGINATOR_ID
    /// and drops (RFC 4456 §8).
    #[must_use]
    pub fn except(mut self, expected: &Expected, nets: impl IntoIterator<Item = IpNet>) -> Self {
        self.own.resize(expected.len(), false);
        for net in nets {
            let IpNet::V4(net) = net else { continue };
            if let Some(at) = expected.index.get(&key(net)) {
                let at = *at as usize;
                if !std::mem::replace(&mut self.own[at], true) {
                    self.missing -= 1;
                }
            }
        }
        self
    }

    /// Takes in what has come since the last time; `octets` are all of them, in whole messages.
    ///
    /// # Errors
    /// A breach of the RFCs, or a prefix that nobody announced.
    pub fn advance(
        &mut self,
        octets: &[u8],
        expected: &Expected,
        blocks: &mut Blocks,
    ) -> Result<(), String> {
        while let Some(rest) = octets.get(self.read..)
            && let Some(header) = rest.get(..HEADER_LEN)
        {
            let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let body = rest.get(HEADER_LEN..len).ok_or("message cut short")?;
            self.read += len;
            if header[18] == kind::UPDATE {
                self.update(body, expected, blocks)?;
            }
            match self.missing {
                0 => self.complete_at = self.complete_at.or(Some(self.read)),
                _ => self.complete_at = None,
            }
        }
        Ok(())
    }

    fn update(&mut self, body: &[u8], expect: &Expected, seen: &mut Blocks) -> Result<(), String> {
        let section = |at: usize| match body.get(at..at + 2) {
            Some(&[high, low]) => Ok(usize::from(u16::from_be_bytes([high, low]))),
            _ => Err("UPDATE cut short"),
        };
        let withdrawn_end = 2 + section(0)?;
        let attributes_end = withdrawn_end + 2 + section(withdrawn_end)?;
        let withdrawn = body.get(2..withdrawn_end).ok_or("UPDATE cut short")?;
        let attributes = body.get(withdrawn_end + 2..attributes_end);
        let attributes = attributes.ok_or("UPDATE cut short")?;
        each(withdrawn, |net| {
            match expect.index.get(&key(net)) {
                Some(at) => self.set(*at as usize, ABSENT),
                None => return Err(format!("withdrawn {net}, which nobody announced")),
            }
            Ok(())
        })?;
        let announced = &body[attributes_end..];
        if announced.is_empty() {
            return Ok(());
        }
        let block = seen.read(attributes, expect)?;
        each(announced, |net| {
            let at = expect.index.get(&key(net));
            let at = *at.ok_or_else(|| format!("{net}, which nobody announced"))? as usize;
            let wanted = expect.wanted[at];
            let hop = block.next_hop;
            let hop_ok = hop == wanted.next_hop || expect.external && hop == LOCAL;
            match block.number == Some(wanted.block) && hop_ok {
                true => self.set(at, RIGHT),
                false => {
                    self.set(at, WRONG);
                    if self.last_wrong.is_none() || self.missing < 10 {
                        self.last_wrong = Some(format!("{net} via {hop}: {attributes:02x?}"));
                    }
                }
            }
            Ok(())
        })
    }

    fn set(&mut self, at: usize, to: u8) {
        let own = self.own.get(at) == Some(&true);
        let good = |state: u8| state == RIGHT || own && state == ABSENT;
        let from = std::mem::replace(&mut self.state[at], to);
        match (good(from), good(to)) {
            (true, false) => self.missing += 1,
            (false, true) => self.missing -= 1,
            _ => {}
        }
    }

    /// The offset behind the octet with which the table became complete; none while it is not.
    pub fn complete_at(&self) -> Option<usize> {
        self.complete_at
    }

    /// What is missing or wrong, in words.
    pub fn complaint(&self, expected: &Expected) -> String {
        let count = |state: u8| self.state.iter().filter(|one| **one == state).count();
        let absent = self.state.iter().position(|state| *state == ABSENT);
        let absent = absent.map(|at| expected.nets[at].to_string());
        format!(
            "{} of {} prefixes missing or wrong ({} wrong; absent: {}; wrong: {})",
            self.missing,
            expected.len(),
            count(WRONG),
            absent.unwrap_or_default(),
            self.last_wrong.as_deref().unwrap_or_default()
        )
    }
}

/// Calls `handle` with each prefix of an NLRI field.
fn each(
    mut field: &[u8],
    mut handle: impl FnMut(Ipv4Net) -> Result<(), String>,
) -> Result<(), String> {
    while let [len, rest @ ..] = field {
        let octets = usize::from(len.div_ceil(8));
        let (value, rest) = rest.split_at_checked(octets).ok_or("prefix cut short")?;
        let mut address = [0; 4];
        let room = address.get_mut(..octets).ok_or("prefix longer than 32")?;
        room.copy_from_slice(value);
        let net = Ipv4Net::new(address.into(), *len).map_err(|error| error.to_string())?;
        handle(net)?;
        field = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(asns: &[u32]) -> Vec<Attribute> {
        vec![(0x40, 1, vec![0]), (0x40, 2, wire::as_sequence(asns))]
    }

    fn update(asns: &[u32], hop: [u8; 4], nlri: &[u8]) -> Vec<u8> {
        let mut attributes = wire::attribute(0x40, 1, &[0]);
        attributes.extend(wire::attribute(0x40, 2, &wire::as_sequence(asns)));
        attributes.extend(wire::attribute(0x40, 3, &hop));
        wire::update(&[], &attributes, nlri)
    }

    #[test]
    fn the_clock_stops_with_the_last_change_that_was_needed() {
        let mut expected = Expected::new(true);
        let block = expected.block(&path(&[ASN, 1]));
        let hop = Ipv4Addr::new(10, 98, 1, 0);
        expected.insert("10.1.0.0/16".parse().expect("a prefix"), block, hop);
        let (mut blocks, mut checker) = (Blocks::default(), Checker::new(&expected));
        let good = update(&[ASN, 1], LOCAL.octets(), &[16, 10, 1]);
        let other = update(&[ASN, 2], LOCAL.octets(), &[16, 10, 1]);
        let mut octets = [good.clone(), other.clone()].concat();
        let result = checker.advance(&octets, &expected, &mut blocks);
        assert_eq!((result, checker.complete_at()), (Ok(()), None));
        octets.extend(good);
        let complete = octets.len();
        octets.extend(wire::keepalive());
        let result = checker.advance(&octets, &expected, &mut blocks);
        assert_eq!((result, checker.complete_at()), (Ok(()), Some(complete)));
        let stranger = update(&[ASN, 1], LOCAL.octets(), &[16, 10, 2]);
        octets.extend(stranger);
        assert!(checker.advance(&octets, &expected, &mut blocks).is_err());
    }

    #[test]
    fn the_next_hop_is_the_daemons_or_stays() {
        for (external, hop, right) in [
            (true, LOCAL, true),
            (true, Ipv4Addr::new(10, 98, 1, 7), true),
            (true, Ipv4Addr::new(10, 98, 1, 8), false),
        ] {
            let mut expected = Expected::new(external);
            let block = expected.block(&path(&[ASN]));
            let net = "10.1.0.0/16".parse().expect("a prefix");
            expected.insert(net, block, Ipv4Addr::new(10, 98, 1, 7));
            let (mut blocks, mut checker) = (Blocks::default(), Checker::new(&expected));
            let octets = update(&[ASN], hop.octets(), &[16, 10, 1]);
            let result = checker.advance(&octets, &expected, &mut blocks);
            assert_eq!(result, Ok(()));
            assert_eq!(checker.complete_at().is_some(), right, "{hop}");
        }
    }

    #[test]
    fn what_a_receiver_announced_itself_may_come_back_but_no_other_path() {
        let mut expected = Expected::new(true);
        let block = expected.block(&path(&[ASN, 1]));
        let (net, other) = ("10.1.0.0/16", "10.2.0.0/16");
        for net in [net, other] {
            expected.insert(net.parse().expect("a prefix"), block, LOCAL);
        }
        let (mut blocks, checker) = (Blocks::default(), Checker::new(&expected));
        let mut checker = checker.except(&expected, [net.parse().expect("a prefix")]);
        let mut octets = Vec::new();
        for (asn, nlri, complete) in [
            (1, [16, 10, 2], true),
            (1, [16, 10, 1], true),
            (2, [16, 10, 1], false),
        ] {
            octets.extend(update(&[ASN, asn], LOCAL.octets(), &nlri));
            assert_eq!(checker.advance(&octets, &expected, &mut blocks), Ok(()));
            assert_eq!(checker.complete_at().is_some(), complete, "{nlri:?}");
        }
    }
}
