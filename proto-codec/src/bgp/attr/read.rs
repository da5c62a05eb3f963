//! Reading an attribute set: one accessor per attribute.
//!
//! The hot ones (origin, path length, MED, local preference, neighbor AS) are fields; the others
//! walk the canonical octets, a handful of headers, guarded by the presence bits so that asking
//! for what is not there costs nothing. Lists are iterators over the octets: nothing is allocated.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::as_path::AsPath;
use super::community::{Community, ExtCommunity, LargeCommunity};
use super::table::is_known;
use super::{AttrSet, NextHop, Origin, RawAttr, flag};

impl AttrSet {
    /// ORIGIN.
    #[inline]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// AS_PATH with four-octet numbers, AS4_PATH merged in.
    pub fn as_path(&self) -> AsPath<'_> {
        AsPath::from_wire(self.path_octets())
    }

    /// Length of the path as RFC 4271 §9.1.2.2 (a) and RFC 5065 §5.3 count it.
    #[inline]
    pub const fn hop_count(&self) -> u16 {
        self.hop_count
    }

    /// The AS the route was learned from, for MED comparison (RFC 4271 §9.1.2.2 (c)).
    #[inline]
    pub const fn first_as(&self) -> Option<u32> {
        if self.first_as == 0 {
            None
        } else {
            Some(self.first_as)
        }
    }

    /// The AS the route started in.
    #[inline]
    pub const fn origin_as(&self) -> Option<u32> {
        if self.origin_as == 0 {
            None
        } else {
            Some(self.origin_as)
        }
    }

    /// The next hop, from whichever attribute it came.
    pub fn next_hop(&self) -> NextHop {
        let tail = self
            .octets
            .get(self.wire_block().len()..)
            .unwrap_or_default();
        match tail.split_first_chunk::<16>() {
            Some((global, rest)) => NextHop::V6 {
                global: Ipv6Addr::from(*global),
                link_local: rest
                    .first_chunk::<16>()
                    .map(|octets| Ipv6Addr::from(*octets)),
            },
            None => NextHop::V4(self.ipv4(3).unwrap_or(Ipv4Addr::UNSPECIFIED)),
        }
    }

    /// MULTI_EXIT_DISC.
    #[inline]
    pub const fn med(&self) -> Option<u32> {
        if self.has(4) { Some(self.med) } else { None }
    }

    /// LOCAL_PREF.
    #[inline]
    pub const fn local_pref(&self) -> Option<u32> {
        if self.has(5) {
            Some(self.local_pref)
        } else {
            None
        }
    }

    /// Whether ATOMIC_AGGREGATE is there.
    pub const fn atomic_aggregate(&self) -> bool {
        self.has(6)
    }

    /// AGGREGATOR: AS and identifier.
    pub fn aggregator(&self) -> Option<(u32, Ipv4Addr)> {
        let (asn, addr) = self.value(7)?.split_first_chunk::<4>()?;
        Some((
            u32::from_be_bytes(*asn),
            Ipv4Addr::from(*addr.first_chunk::<4>()?),
        ))
    }

    /// COMMUNITIES, RFC 1997, in the order received.
    pub fn communities(&self) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
        self.chunks::<4>(8).map(u32::from_be_bytes)
    }

    /// EXTENDED COMMUNITIES, RFC 4360.
    pub fn ext_communities(&self) -> impl ExactSizeIterator<Item = [u8; 8]> + Clone + '_ {
        self.chunks::<8>(16)
    }

    /// IPv6 address specific extended communities, RFC 5701.
    pub fn ipv6_ext_communities(&self) -> impl ExactSizeIterator<Item = [u8; 20]> + Clone + '_ {
        self.chunks::<20>(25)
    }

    /// LARGE_COMMUNITY, RFC 8092, duplicates removed (§5).
    pub fn large_communities(&self) -> impl ExactSizeIterator<Item = LargeCommunity> + Clone + '_ {
        self.chunks::<12>(32).map(LargeCommunity::from_wire)
    }

    /// ORIGINATOR_ID, RFC 4456 §8.
    pub fn originator_id(&self) -> Option<Ipv4Addr> {
        self.ipv4(9)
    }

    /// CLUSTER_LIST, RFC 4456 §8, nearest reflector first.
    pub fn cluster_list(&self) -> impl ExactSizeIterator<Item = Ipv4Addr> + Clone + '_ {
        self.chunks::<4>(10).map(Ipv4Addr::from)
    }

    /// The metric of the first AIGP TLV, RFC 7311 §3.
    pub fn aigp(&self) -> Option<u64> {
        super::tlv::aigp_metric(self.value(26)?)
    }

    /// ONLY_TO_CUSTOMER, RFC 9234 §5.
    pub fn otc(&self) -> Option<u32> {
        self.value(35)?
            .first_chunk::<4>()
            .map(|asn| u32::from_be_bytes(*asn))
    }

    /// Every attribute, ascending, NEXT_HOP of an IPv4 next hop included.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes {
            octets: self.wire_block(),
        }
    }

    /// Attributes that have no accessor here: unknown transitive ones and those passed through.
    pub fn others(&self) -> impl Iterator<Item = RawAttr<'_>> + Clone {
        self.attributes().filter(|attr| !is_known(attr.type_code))
    }

    /// Whether an attribute under 63 is there.
    pub(crate) const fn has(&self, type_code: u8) -> bool {
        type_code < 63 && self.present & (1 << type_code) != 0
    }

    /// The value of an attribute.
    pub fn value(&self, type_code: u8) -> Option<&[u8]> {
        if type_code < 63 && !self.has(type_code) {
            return None;
        }
        self.attributes()
            .find(|attr| attr.type_code == type_code)
            .map(|attr| attr.value)
    }

    fn ipv4(&self, type_code: u8) -> Option<Ipv4Addr> {
        self.value(type_code)?
            .first_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets))
    }

    fn chunks<const N: usize>(
        &self,
        type_code: u8,
    ) -> impl ExactSizeIterator<Item = [u8; N]> + Clone + '_ {
        let (chunks, _) = self.value(type_code).unwrap_or_default().as_chunks::<N>();
        chunks.iter().copied()
    }
}

/// Walks attributes in wire form. Stops at the first that is cut off.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    pub(crate) octets: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttr<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawAttr<'a>> {
        let (&[flags, type_code, short], mut rest) = self.octets.split_first_chunk::<3>()?;
        let mut len = usize::from(short);
        if flags & flag::EXTENDED_LENGTH != 0 {
            let (&low, after) = rest.split_first()?;
            (len, rest) = (len << 8 | usize::from(low), after);
        }
        let (value, rest) = rest.split_at_checked(len)?;
        self.octets = rest;
        Some(RawAttr {
            flags: flags & !flag::EXTENDED_LENGTH,
            type_code,
            value,
        })
    }
}

/// The set on one line, for logs and test failures.
impl fmt::Display for AttrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "origin {} path [{}] next-hop {}",
            self.origin,
            self.as_path(),
            self.next_hop()
        )?;
        let numbers = [
            (self.med(), "med"),
            (self.local_pref(), "local-pref"),
            (self.otc(), "otc"),
        ];
        for (value, name) in numbers {
            if let Some(value) = value {
                write!(f, " {name} {value}")?;
            }
        }
        if self.atomic_aggregate() {
            f.write_str(" atomic-aggregate")?;
        }
        if let Some((asn, id)) = self.aggregator() {
            write!(f, " aggregator {asn} {id}")?;
        }
        for community in self.communities() {
            write!(f, " {}", Community(community))?;
        }
        for community in self.ext_communities() {
            write!(f, " {}", ExtCommunity(community))?;
        }
        for community in self.large_communities() {
            write!(f, " {community}")?;
        }
        if let Some(id) = self.originator_id() {
            write!(f, " originator {id}")?;
        }
        for id in self.cluster_list() {
            write!(f, " cluster {id}")?;
        }
        if let Some(metric) = self.aigp() {
            write!(f, " aigp {metric}")?;
        }
        for attr in self.others() {
            write!(
                f,
                " attr {} ({:#04x}, {} octets)",
                attr.type_code,
                attr.flags,
                attr.value.len()
            )?;
        }
        Ok(())
    }
}
