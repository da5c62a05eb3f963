//! A path's attributes as one value: canonical octets plus the fields decisions need.
//!
//! [`AttrSet`] holds one boxed slice: the attributes in ascending type order, in the form a
//! four-octet peer gets them (RFC 4271 §5, Appendix F.4), followed by the octets of an IPv6 next
//! hop if there is one. Two sets are equal when their octets are; the hash is computed once. The
//! fields the decision process reads on every comparison are beside it, so that it never parses.
//! Encoding for a peer that needs no rewrite is a copy of the slice.
//!
//! A set is always well-formed: it is made by the decoder, which has validated every attribute
//! against [`table`], or by [`edit::AttrEdit`]. MP_REACH_NLRI and MP_UNREACH_NLRI are never part
//! of it (they carry prefixes), nor are AS4_PATH and AS4_AGGREGATOR (they are merged), nor unknown
//! non-transitive attributes (they must not go on). Unknown transitive ones are kept with the
//! Partial bit set.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub mod as4;
pub mod as_path;
pub(crate) mod block;
pub mod cache;
pub(crate) mod check;
pub mod community;
pub mod edit;
pub mod outgoing;
pub mod read;
pub mod table;
pub(crate) mod tlv;

use as_path::AsPath;
use edit::AttrEdit;

/// Bit of [`AttrSet::present`] that marks a set some attribute of which exceeded 65,535 octets: it
/// can be held, but no peer can be told.
const OVERSIZE: u64 = 1 << 63;

// Seeded per process, so that no peer can craft colliding sets. Order never depends on the hash.
static HASH_SEED: LazyLock<foldhash::fast::RandomState> = LazyLock::new(Default::default);

/// ORIGIN, RFC 4271 §5.1.1. The order is that of preference: IGP first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// 0
    Igp,
    /// 1
    Egp,
    /// 2
    Incomplete,
}

impl Origin {
    /// The octet on the wire.
    pub const fn value(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }

    /// `None` over 2.
    pub const fn from_value(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Igp),
            1 => Some(Self::Egp),
            2 => Some(Self::Incomplete),
            _ => None,
        }
    }

    /// The column of `show bgp`: `i`, `e` or `?`.
    pub const fn letter(self) -> char {
        match self {
            Self::Igp => 'i',
            Self::Egp => 'e',
            Self::Incomplete => '?',
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Igp => "IGP",
            Self::Egp => "EGP",
            Self::Incomplete => "incomplete",
        })
    }
}

/// Where packets of the route go next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NextHop {
    /// From NEXT_HOP or from an IPv4 MP_REACH_NLRI.
    V4(Ipv4Addr),
    /// From MP_REACH_NLRI, RFC 2545 §3 and RFC 8950 §3. A peer that has no global address sends its
    /// link-local one alone: then it is in `global` and `link_local` is `None`.
    V6 {
        /// The global address; link-local when that is all there is.
        global: Ipv6Addr,
        /// The second address, when the peer shares a link with us.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// The address to resolve: the global one of an IPv6 pair.
    pub const fn addr(&self) -> IpAddr {
        match self {
            Self::V4(addr) => IpAddr::V4(*addr),
            Self::V6 { global, .. } => IpAddr::V6(*global),
        }
    }

    /// The link-local address, wherever it stands.
    pub const fn link_local(&self) -> Option<Ipv6Addr> {
        match self {
            Self::V6 {
                link_local: Some(addr),
                ..
            } => Some(*addr),
            Self::V6 {
                global,
                link_local: None,
            } if global.is_unicast_link_local() => Some(*global),
            _ => None,
        }
    }
}

impl From<IpAddr> for NextHop {
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Self::V4(addr),
            IpAddr::V6(global) => Self::V6 {
                global,
                link_local: None,
            },
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.addr())?;
        match self {
            Self::V6 {
                link_local: Some(addr),
                ..
            } => write!(f, " {addr}"),
            _ => Ok(()),
        }
    }
}

/// One attribute as it is in the canonical octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawAttr<'a> {
    /// Attribute flags without the Extended Length bit, RFC 4271 §4.3.
    pub flags: u8,
    /// Attribute type code.
    pub type_code: u8,
    /// Attribute value.
    pub value: &'a [u8],
}

/// Attribute flags, RFC 4271 §4.3.
pub mod flag {
    #![allow(missing_docs)]
    pub const OPTIONAL: u8 = 0x80;
    pub const TRANSITIVE: u8 = 0x40;
    pub const PARTIAL: u8 = 0x20;
    pub const EXTENDED_LENGTH: u8 = 0x10;
}

/// The attributes of a path. Made by the decoder or by [`AttrEdit::finish`].
#[derive(Clone)]
pub struct AttrSet {
    hash: u64,
    octets: Box<[u8]>,
    /// Bit n: attribute n (under 63) is there.
    present: u64,
    med: u32,
    local_pref: u32,
    /// Neighbor AS (leftmost of a leading AS_SEQUENCE) and origin AS; 0 when there is none.
    first_as: u32,
    origin_as: u32,
    /// Octets of the attributes; behind them an IPv6 next hop of 0, 16 or 32 octets.
    block_len: u32,
    as_path_at: u32,
    as_path_len: u32,
    hop_count: u16,
    origin: Origin,
}

impl AttrSet {
    /// Builds a set from validated attributes in ascending type order, duplicates gone.
    pub(crate) fn build<'a>(
        attrs: impl Iterator<Item = RawAttr<'a>> + Clone,
        next_hop: NextHop,
    ) -> Self {
        // Exact, so that boxing the octets does not move them.
        let size: usize = attrs.clone().map(|attr| wire_len(attr.value.len())).sum();
        let hop_len = match next_hop {
            NextHop::V4(_) => wire_len(4),
            NextHop::V6 { link_local, .. } => 16 * (1 + usize::from(link_local.is_some())),
        };
        let mut octets = Vec::with_capacity(size + hop_len);
        let mut set = Self {
            hash: 0,
            octets: Box::default(),
            present: 0,
            med: 0,
            local_pref: 0,
            first_as: 0,
            origin_as: 0,
            block_len: 0,
            as_path_at: 0,
            as_path_len: 0,
            hop_count: 0,
            origin: Origin::Incomplete,
        };
        let v4 = match next_hop {
            NextHop::V4(addr) => Some(addr.octets()),
            NextHop::V6 { .. } => None,
        };
        let mut next_hop_due = v4.as_ref();
        for attr in attrs.filter(|attr| attr.type_code != 3) {
            if attr.type_code >= 3 {
                set.put_next_hop(next_hop_due.take(), &mut octets);
            }
            set.put(attr, &mut octets);
        }
        set.put_next_hop(next_hop_due, &mut octets);
        set.block_len = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        if let NextHop::V6 { global, link_local } = next_hop {
            octets.extend_from_slice(&global.octets());
            octets.extend(link_local.iter().flat_map(Ipv6Addr::octets));
        }
        set.octets = octets.into_boxed_slice();
        let path = AsPath::from_wire(set.path_octets());
        let (hop_count, first_as, origin_as) =
            (path.hop_count(), path.first_as(), path.origin_as());
        set.hop_count = u16::try_from(hop_count).unwrap_or(u16::MAX);
        set.first_as = first_as.unwrap_or(0);
        set.origin_as = origin_as.unwrap_or(0);
        set.hash = HASH_SEED.hash_one((&*set.octets, set.block_len));
        set
    }

    fn put_next_hop(&mut self, addr: Option<&[u8; 4]>, octets: &mut Vec<u8>) {
        if let Some(value) = addr {
            self.put(
                RawAttr {
                    flags: flag::TRANSITIVE,
                    type_code: 3,
                    value,
                },
                octets,
            );
        }
    }

    fn put(&mut self, attr: RawAttr<'_>, octets: &mut Vec<u8>) {
        if u16::try_from(attr.value.len()).is_err() {
            self.present |= OVERSIZE;
            return;
        }
        let number = || {
            attr.value
                .first_chunk::<4>()
                .map_or(0, |four| u32::from_be_bytes(*four))
        };
        let value_at = put_attr(attr, octets);
        match attr.type_code {
            1 => {
                let value = attr.value.first().copied().unwrap_or(2);
                self.origin = Origin::from_value(value).unwrap_or(Origin::Incomplete);
            }
            2 => {
                self.as_path_at = u32::try_from(value_at).unwrap_or(u32::MAX);
                self.as_path_len = u32::try_from(attr.value.len()).unwrap_or(0);
            }
            4 => self.med = number(),
            5 => self.local_pref = number(),
            _ => {}
        }
        if attr.type_code < 63 {
            self.present |= 1 << attr.type_code;
        }
    }

    fn path_octets(&self) -> &[u8] {
        let at = usize::try_from(self.as_path_at).unwrap_or(usize::MAX);
        let len = usize::try_from(self.as_path_len).unwrap_or(usize::MAX);
        self.octets
            .get(at..at.saturating_add(len))
            .unwrap_or_default()
    }

    /// An edit that starts from this set.
    pub fn edit(&self) -> AttrEdit {
        AttrEdit::from_set(self)
    }

    /// The content's hash, computed once; differs between processes.
    #[inline]
    pub const fn content_hash(&self) -> u64 {
        self.hash
    }

    /// The attributes as a four-octet peer would get them, NEXT_HOP of an IPv4 next hop included.
    #[inline]
    pub fn wire_block(&self) -> &[u8] {
        let len = usize::try_from(self.block_len).unwrap_or(usize::MAX);
        self.octets.get(..len).unwrap_or(&self.octets)
    }

    /// Whether an attribute grew beyond what any message can say.
    pub(crate) const fn is_oversize(&self) -> bool {
        self.present & OVERSIZE != 0
    }

    /// Octets of heap memory this set holds.
    pub fn heap_len(&self) -> usize {
        self.octets.len()
    }
}

/// Octets of an attribute with a value of this length.
const fn wire_len(value_len: usize) -> usize {
    value_len + if value_len > 255 { 4 } else { 3 }
}

/// Appends one attribute in wire form and returns where its value starts.
pub(crate) fn put_attr(attr: RawAttr<'_>, octets: &mut Vec<u8>) -> usize {
    let flags = attr.flags & !flag::EXTENDED_LENGTH;
    match u8::try_from(attr.value.len()) {
        Ok(len) => octets.extend_from_slice(&[flags, attr.type_code, len]),
        Err(_) => {
            let [hi, lo] = u16::try_from(attr.value.len())
                .unwrap_or(u16::MAX)
                .to_be_bytes();
            octets.extend_from_slice(&[flags | flag::EXTENDED_LENGTH, attr.type_code, hi, lo]);
        }
    }
    let at = octets.len();
    octets.extend_from_slice(attr.value);
    at
}

impl PartialEq for AttrSet {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.block_len == other.block_len
            && self.octets == other.octets
            && self.is_oversize() == other.is_oversize()
    }
}

impl Eq for AttrSet {}

impl Hash for AttrSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for AttrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttrSet({self})")
    }
}

#[cfg(test)]
mod tests;
