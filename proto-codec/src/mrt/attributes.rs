//! Path attributes as an archive holds them.
//!
//! Differences from the strict reader of `bgp`: unknown and malformed attributes never make the
//! rest unreadable; the abbreviated MP_REACH_NLRI of TABLE_DUMP_V2 (RFC 6396 §4.3.4: length and
//! next hop only) is told from the full one by its first octet, which in a full one is the high
//! octet of the AFI and so zero; AS4_PATH and AS4_AGGREGATOR (RFC 6793 §4.2.3) are merged into
//! their two-octet forms when the record holds two-octet AS numbers.

use std::net::{IpAddr, Ipv4Addr};

use super::cursor::Cursor;

const EXTENDED_LENGTH: u8 = 0x10;
const AS_TRANS: u32 = 23456;
const AS_SET: u8 = 1;
const AS_SEQUENCE: u8 = 2;
const AS_CONFED_SEQUENCE: u8 = 3;
const AS_CONFED_SET: u8 = 4;

/// A prefix of an NLRI field, as it stands there: host bits kept, length not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NlriPrefix {
    /// Path identifier, in records with ADD-PATH.
    pub path_id: Option<u32>,
    /// Length in bits; nothing keeps it from exceeding the family's.
    pub len: u8,
    /// The address, left-aligned.
    pub octets: [u8; 16],
    /// The seventeenth octet of a prefix that is longer than any address.
    pub surplus: Option<u8>,
}

/// MP_REACH_NLRI (RFC 4760 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MpReach {
    /// Address family; 2 for the abbreviated form.
    pub afi: u16,
    /// Subsequent address family; 1 for the abbreviated form.
    pub safi: u8,
    /// Length of the next hop field.
    pub next_hop_len: u8,
    /// The (global) next hop, when the length is 4, 16 or 32.
    pub next_hop: Option<IpAddr>,
    /// The prefixes; none in the abbreviated form.
    pub nlri: Vec<NlriPrefix>,
}

/// MP_UNREACH_NLRI (RFC 4760 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MpUnreach {
    /// Address family.
    pub afi: u16,
    /// Subsequent address family.
    pub safi: u8,
    /// The prefixes.
    pub nlri: Vec<NlriPrefix>,
}

/// An attribute that is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAttribute {
    /// Flags.
    pub flags: u8,
    /// Type code.
    pub type_code: u8,
    /// Value.
    pub value: Vec<u8>,
}

/// The attributes of a path. What is absent is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    present: u32,
    /// ORIGIN: 0 IGP, 1 EGP, 2 INCOMPLETE, or whatever stands there.
    pub origin: Option<u8>,
    /// AS_PATH, AS4_PATH merged in.
    pub as_path: Option<AsPathData>,
    /// NEXT_HOP.
    pub next_hop: Option<Ipv4Addr>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR, AS4_AGGREGATOR merged in.
    pub aggregator: Option<(u32, Ipv4Addr)>,
    /// COMMUNITIES.
    pub communities: Option<Vec<u32>>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<[u32; 3]>,
    /// EXTENDED COMMUNITIES.
    pub ext_communities: Vec<[u8; 8]>,
    /// ORIGINATOR_ID.
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST.
    pub cluster_list: Vec<Ipv4Addr>,
    /// MP_REACH_NLRI, one per family.
    pub reach: Vec<MpReach>,
    /// MP_UNREACH_NLRI, one per family.
    pub unreach: Vec<MpUnreach>,
    /// Everything else.
    pub unknown: Vec<UnknownAttribute>,
}

/// How the octets of a record's attributes are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) four_octet_as: bool,
    pub(super) add_path: bool,
}

#[derive(Default)]
struct Transition {
    as4_path: Option<AsPathData>,
    as4_aggregator: Option<(u32, Ipv4Addr)>,
}

impl Attributes {
    /// Whether an attribute of this type code (1 to 32) was present, however malformed.
    #[must_use]
    pub fn has(&self, type_code: u8) -> bool {
        bit(type_code).is_some_and(|bit| self.present & bit != 0)
    }

    /// The announcement of a family.
    #[must_use]
    pub fn reach_of(&self, afi: u16, safi: u8) -> Option<&MpReach> {
        self.reach
            .iter()
            .find(|reach| reach.afi == afi && reach.safi == safi)
    }

    /// The withdrawal of a family.
    #[must_use]
    pub fn unreach_of(&self, afi: u16, safi: u8) -> Option<&MpUnreach> {
        self.unreach
            .iter()
            .find(|unreach| unreach.afi == afi && unreach.safi == safi)
    }

    /// Reads a length field and the block of attributes it announces.
    pub(super) fn decode(cursor: &mut Cursor<'_>, form: Form) -> Self {
        let len = usize::from(cursor.u16());
        let mut block = cursor.sub(len);
        let mut attributes = Self::default();
        let mut transition = Transition::default();
        while !block.is_empty() {
            attributes.read_one(&mut block, form, &mut transition);
        }
        if !form.four_octet_as {
            attributes.merge(transition);
        }
        attributes
    }

    fn read_one(&mut self, block: &mut Cursor<'_>, form: Form, transition: &mut Transition) {
        let flags = block.u8();
        let type_code = block.u8();
        let len = if flags & EXTENDED_LENGTH != 0 {
            usize::from(block.u16())
        } else {
            usize::from(block.u8())
        };
        let mut value = block.sub(len);
        if value.remaining() != len {
            return;
        }
        self.present |= bit(type_code).unwrap_or(0);
        match type_code {
            1 => self.origin = Some(value.u8()),
            2 => self.as_path = Some(AsPathData::new(value.take(len), form.four_octet_as)),
            3 => self.next_hop = Some(value.ipv4()),
            4 => self.med = Some(value.u32()),
            5 => self.local_pref = Some(value.u32()),
            6 => self.atomic_aggregate = true,
            7 => self.aggregator = Some((value.asn(form.four_octet_as), value.ipv4())),
            8 => self.communities = Some((0..len / 4).map(|_| value.u32()).collect()),
            9 => self.originator_id = Some(value.ipv4()),
            10 => self.cluster_list = (0..len / 4).map(|_| value.ipv4()).collect(),
            14 => self.read_reach(&mut value, form.add_path),
            15 => self.read_unreach(&mut value, form.add_path),
            16 => self.ext_communities = (0..len / 8).map(|_| value.array()).collect(),
            17 => transition.as4_path = Some(AsPathData::new(value.take(len), true)),
            18 => transition.as4_aggregator = Some((value.u32(), value.ipv4())),
            32 => {
                let large = |value: &mut Cursor<'_>| [value.u32(), value.u32(), value.u32()];
                self.large_communities = (0..len / 12).map(|_| large(&mut value)).collect();
            }
            _ => {
                let value = value.take(len).to_vec();
                self.unknown.push(UnknownAttribute {
                    flags,
                    type_code,
                    value,
                });
            }
        }
    }

    fn read_reach(&mut self, value: &mut Cursor<'_>, add_path: bool) {
        if value.peek().unwrap_or(0) != 0 {
            let (next_hop_len, next_hop) = read_next_hop(value);
            let nlri = Vec::new();
            self.reach.push(MpReach {
                afi: 2,
                safi: 1,
                next_hop_len,
                next_hop,
                nlri,
            });
            return;
        }
        let (afi, safi) = (value.u16(), value.u8());
        if !is_unicast_or_multicast(afi, safi) || self.reach_of(afi, safi).is_some() {
            return;
        }
        let (next_hop_len, next_hop) = read_next_hop(value);
        // SNPAs of RFC 2858; RFC 4760 made the field reserved and zero.
        for _ in 0..value.u8() {
            let len = usize::from(value.u8());
            value.take(len);
        }
        let nlri = read_prefixes(value, add_path);
        self.reach.push(MpReach {
            afi,
            safi,
            next_hop_len,
            next_hop,
            nlri,
        });
    }

    fn read_unreach(&mut self, value: &mut Cursor<'_>, add_path: bool) {
        let (afi, safi) = (value.u16(), value.u8());
        if is_unicast_or_multicast(afi, safi) && self.unreach_of(afi, safi).is_none() {
            let nlri = read_prefixes(value, add_path);
            self.unreach.push(MpUnreach { afi, safi, nlri });
        }
    }

    /// RFC 6793 §4.2.3: the four-octet forms count only while AGGREGATOR, if there, is AS_TRANS,
    /// and while AS_PATH is not shorter than AS4_PATH.
    fn merge(&mut self, transition: Transition) {
        if let (Some((asn, _)), Some(four)) = (self.aggregator, transition.as4_aggregator) {
            if asn != AS_TRANS {
                return;
            }
            self.aggregator = Some(four);
        }
        if let (Some(path), Some(four)) = (&self.as_path, &transition.as4_path)
            && let Some(merged) = path.merged_with(four)
        {
            self.as_path = Some(merged);
        }
    }
}

fn bit(type_code: u8) -> Option<u32> {
    1_u32.checked_shl(u32::from(type_code.checked_sub(1)?))
}

fn is_unicast_or_multicast(afi: u16, safi: u8) -> bool {
    matches!(afi, 1 | 2) && matches!(safi, 1..=3)
}

fn read_next_hop(value: &mut Cursor<'_>) -> (u8, Option<IpAddr>) {
    let len = value.u8();
    let next_hop = match len {
        4 => Some(value.ip(false)),
        16 => Some(value.ip(true)),
        32 => {
            let global = value.ip(true);
            value.take(16);
            Some(global)
        }
        _ => None,
    };
    (len, next_hop)
}

/// Reads prefixes to the end, or to the first that is cut off.
pub(super) fn read_prefixes(cursor: &mut Cursor<'_>, add_path: bool) -> Vec<NlriPrefix> {
    let mut prefixes = Vec::new();
    while !cursor.is_empty() {
        let path_id = add_path.then(|| cursor.u32());
        let len = cursor.u8();
        let octet_count = usize::from(len.div_ceil(8));
        if cursor.remaining() < octet_count {
            break;
        }
        let present = cursor.take(octet_count);
        let mut octets = [0; 16];
        for (to, from) in octets.iter_mut().zip(present) {
            *to = *from;
        }
        let surplus = present.get(octets.len()).copied();
        prefixes.push(NlriPrefix {
            path_id,
            len,
            octets,
            surplus,
        });
    }
    prefixes
}

/// An AS_PATH as octets; segments are read when asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsPathData {
    octets: Vec<u8>,
    four_octet_as: bool,
}

impl AsPathData {
    fn new(octets: &[u8], four_octet_as: bool) -> Self {
        Self {
            octets: octets.to_vec(),
            four_octet_as,
        }
    }

    /// Whether the octets are segments of known types to the last one.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.segments().all(|segment| segment.is_some())
    }

    /// The segments: type (1 set, 2 sequence, 3 confederation sequence, 4 confederation set) and
    /// AS numbers. `None` stands for the malformed rest.
    pub fn segments(&self) -> impl Iterator<Item = Option<(u8, Vec<u32>)>> {
        let mut cursor = Cursor::new(&self.octets);
        let four = self.four_octet_as;
        std::iter::from_fn(move || {
            if cursor.is_empty() {
                return None;
            }
            let kind = cursor.u8();
            let count = usize::from(cursor.u8());
            let width = if four { 4 } else { 2 };
            if !(AS_SET..=AS_CONFED_SET).contains(&kind) || cursor.remaining() < count * width {
                cursor = Cursor::new(&[]);
                return Some(None);
            }
            Some(Some((kind, (0..count).map(|_| cursor.asn(four)).collect())))
        })
    }

    /// Length for the comparison of RFC 6793 §4.2.3: a set counts one. A malformed path counts
    /// nothing.
    fn hop_count(&self) -> usize {
        self.segments()
            .try_fold(0, |sum, segment| Some(sum + hops(&segment?)))
            .unwrap_or(0)
    }

    /// The leading part of this path that `four` does not cover, then `four`; `None` when this
    /// path is the shorter one.
    fn merged_with(&self, four: &Self) -> Option<Self> {
        let mut missing = self.hop_count().checked_sub(four.hop_count())?;
        let mut octets = Vec::new();
        for mut segment in self.segments().flatten() {
            if missing == 0 {
                break;
            }
            if matches!(segment.0, AS_SEQUENCE | AS_CONFED_SEQUENCE) {
                segment.1.truncate(missing);
            }
            missing = missing.saturating_sub(hops(&segment));
            let (kind, asns) = segment;
            octets.push(kind);
            octets.push(u8::try_from(asns.len()).unwrap_or(u8::MAX));
            octets.extend(asns.iter().flat_map(|asn| asn.to_be_bytes()));
        }
        octets.extend_from_slice(&four.octets);
        Some(Self {
            octets,
            four_octet_as: true,
        })
    }
}

fn hops((kind, asns): &(u8, Vec<u32>)) -> usize {
    if matches!(*kind, AS_SET | AS_CONFED_SET) {
        1
    } else {
        asns.len()
    }
}
