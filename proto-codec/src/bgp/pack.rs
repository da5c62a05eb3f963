//! Filling UPDATEs: as many prefixes of one attribute set as the peer's message size allows.
//!
//! The encoders append one whole message to `out` per call and take prefixes from a peekable
//! iterator, so a prefix that does not fit stays for the next call. IPv4 routes with an IPv4 next
//! hop go in the message's own NLRI field; all others in MP_REACH_NLRI, which comes first (RFC
//! 7606 §5.1), alone with the attributes. Withdrawals never share a message with announcements.
//! When the attributes leave no room for one prefix the route cannot be told to this peer, and the
//! caller must withdraw it there: dropping it silently would leave a stale route behind.

use std::borrow::Cow;
use std::iter::Peekable;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};

use super::attr::{AttrSet, NextHop, as4, flag, put_attr};
use super::{HEADER_LEN, MessageType, finish_message, put_u16_at, start_message};
use crate::afi::{AddressFamily, AfiSafi, Family};
use crate::prefix::PrefixKey;

/// How UPDATEs to a peer are written. Peers with equal contexts can share every octet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EncodeContext {
    /// AS numbers have four octets.
    pub four_octet_as: bool,
    /// Path identifiers go with the prefixes, by [`Family::index`].
    pub add_path_tx: [bool; 2],
    /// IPv4 unicast may have IPv6 next hops, RFC 8950.
    pub ext_next_hop: bool,
    /// Largest message: 4096 or 65535.
    pub max_len: usize,
}

impl Default for EncodeContext {
    fn default() -> Self {
        Self {
            four_octet_as: true,
            add_path_tx: [false; 2],
            ext_next_hop: false,
            max_len: super::MESSAGE_LEN_MAX,
        }
    }
}

/// Why a route cannot be told to a peer. The caller withdraws it there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PackError {
    /// No room for a prefix behind the attributes.
    #[error("attributes of {len} octets do not fit a message of {max}")]
    AttrsTooLarge {
        /// Octets the attributes take.
        len: usize,
        /// The largest message.
        max: usize,
    },
    /// An IPv4 route with an IPv6 next hop for a peer without RFC 8950.
    #[error("peer takes no IPv6 next hop for IPv4 routes")]
    NextHopFamily,
}

/// The attributes in the form this peer reads.
fn block<'s>(ctx: &EncodeContext, attrs: &'s AttrSet) -> Cow<'s, [u8]> {
    if ctx.four_octet_as {
        Cow::Borrowed(attrs.wire_block())
    } else {
        Cow::Owned(as4::narrow_block(attrs))
    }
}

/// The next hop field of MP_REACH_NLRI, or nothing when NEXT_HOP says it.
fn mp_next_hop(
    family: Family,
    ctx: &EncodeContext,
    next_hop: NextHop,
) -> Result<Option<([u8; 32], usize)>, PackError> {
    let field = |global: Ipv6Addr, link_local: Option<Ipv6Addr>| {
        let mut octets = [0u8; 32];
        let (first, second) = octets.split_at_mut(16);
        first.copy_from_slice(&global.octets());
        second.copy_from_slice(&link_local.unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
        (octets, if link_local.is_some() { 32 } else { 16 })
    };
    match (family, next_hop) {
        (Family::Ipv4Unicast, NextHop::V4(_)) => Ok(None),
        (Family::Ipv4Unicast, NextHop::V6 { .. }) if !ctx.ext_next_hop => {
            Err(PackError::NextHopFamily)
        }
        (_, NextHop::V6 { global, link_local }) => Ok(Some(field(global, link_local))),
        // RFC 4760 leaves it open; every implementation sends the mapped form.
        (Family::Ipv6Unicast, NextHop::V4(addr)) => Ok(Some(field(addr.to_ipv6_mapped(), None))),
    }
}

/// Attributes as they stand in a message: in the form the peer reads, NEXT_HOP of an IPv4 next hop
/// included.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// All attributes but the MP ones.
    pub octets: &'a [u8],
    /// The next hop.
    pub next_hop: NextHop,
}

/// Appends one UPDATE with as many of the prefixes as fit and returns how many; 0 and nothing
/// appended when there is none. On an error nothing is appended and no prefix taken.
pub fn encode_announce<A: AddressFamily>(
    ctx: &EncodeContext,
    attrs: &AttrSet,
    nlri: &mut Peekable<impl Iterator<Item = (u32, A::Prefix)>>,
    out: &mut BytesMut,
) -> Result<usize, PackError> {
    let octets = block(ctx, attrs);
    if attrs.is_oversize() && nlri.peek().is_some() {
        return Err(too_large(ctx, &octets));
    }
    let block = Block {
        octets: &octets,
        next_hop: attrs.next_hop(),
    };
    encode_block::<A>(ctx, block, nlri, out)
}

fn too_large(ctx: &EncodeContext, block: &[u8]) -> PackError {
    PackError::AttrsTooLarge {
        len: block.len(),
        max: ctx.max_len,
    }
}

/// The same with attributes that are written already.
pub fn encode_block<A: AddressFamily>(
    ctx: &EncodeContext,
    block: Block<'_>,
    nlri: &mut Peekable<impl Iterator<Item = (u32, A::Prefix)>>,
    out: &mut BytesMut,
) -> Result<usize, PackError> {
    if nlri.peek().is_none() {
        return Ok(0);
    }
    let Block { octets, next_hop } = block;
    let mp = mp_next_hop(A::FAMILY, ctx, next_hop)?;
    // The longest prefix is 17 octets and 4 of path identifier; the head of MP_REACH_NLRI 41.
    if octets.len() + HEADER_LEN + 4 > ctx.max_len {
        return Err(too_large(ctx, octets));
    }
    let start = start_message(MessageType::Update, out);
    let end = start + ctx.max_len;
    out.put_u32(0);
    let attrs_at = out.len();
    let count = match mp {
        None => {
            out.extend_from_slice(octets);
            finish_section(attrs_at, out);
            put_prefixes::<A>(ctx, nlri, end, out)
        }
        Some((hop, hop_len)) => {
            out.extend_from_slice(&[flag::OPTIONAL | flag::EXTENDED_LENGTH, 14, 0, 0]);
            let value_at = out.len();
            put_family(A::FAMILY.afi_safi(), out);
            out.put_u8(u8::try_from(hop_len).unwrap_or(16));
            out.extend_from_slice(hop.get(..hop_len).unwrap_or_default());
            out.put_u8(0);
            let room = end.saturating_sub(octets.len());
            let count = put_prefixes::<A>(ctx, nlri, room, out);
            finish_section(value_at, out);
            put_block_without_next_hop(block, out);
            finish_section(attrs_at, out);
            count
        }
    };
    if count == 0 {
        out.truncate(start);
        return Err(too_large(ctx, octets));
    }
    finish_message(start, out);
    Ok(count)
}

/// NEXT_HOP has no place beside MP_REACH_NLRI alone (RFC 4760 §3); it is there when an IPv6 route
/// has an IPv4 next hop.
fn put_block_without_next_hop(block: Block<'_>, out: &mut BytesMut) {
    let octets = block.octets;
    if !matches!(block.next_hop, NextHop::V4(_)) {
        out.extend_from_slice(octets);
        return;
    }
    let mut kept = Vec::with_capacity(octets.len());
    for attr in (super::attr::read::Attributes { octets }) {
        if attr.type_code != 3 {
            put_attr(attr, &mut kept);
        }
    }
    out.extend_from_slice(&kept);
}

/// Appends one UPDATE that withdraws as many of the prefixes as fit and returns how many; 0 and
/// nothing appended when there is none.
pub fn encode_withdraw<A: AddressFamily>(
    ctx: &EncodeContext,
    nlri: &mut Peekable<impl Iterator<Item = (u32, A::Prefix)>>,
    out: &mut BytesMut,
) -> usize {
    if nlri.peek().is_none() {
        return 0;
    }
    let start = start_message(MessageType::Update, out);
    let end = start + ctx.max_len;
    let count = match A::FAMILY {
        Family::Ipv4Unicast => {
            out.put_u16(0);
            let at = out.len();
            let count = put_prefixes::<A>(ctx, nlri, end.saturating_sub(2), out);
            finish_section(at, out);
            out.put_u16(0);
            count
        }
        family => {
            out.put_u32(0);
            let attrs_at = out.len();
            out.extend_from_slice(&[flag::OPTIONAL | flag::EXTENDED_LENGTH, 15, 0, 0]);
            let value_at = out.len();
            put_family(family.afi_safi(), out);
            let count = put_prefixes::<A>(ctx, nlri, end, out);
            finish_section(value_at, out);
            finish_section(attrs_at, out);
            count
        }
    };
    finish_message(start, out);
    count
}

/// Appends the End-of-RIB marker of a family, RFC 4724 §2.
pub fn encode_end_of_rib(family: Family, out: &mut BytesMut) {
    let start = start_message(MessageType::Update, out);
    out.put_u16(0);
    match family {
        Family::Ipv4Unicast => out.put_u16(0),
        family => {
            out.extend_from_slice(&[0, 6, flag::OPTIONAL, 15, 3]);
            put_family(family.afi_safi(), out);
        }
    }
    finish_message(start, out);
}

fn put_family(pair: AfiSafi, out: &mut BytesMut) {
    out.put_u16(pair.afi);
    out.put_u8(pair.safi);
}

/// Fills in the two-octet length in front of a section that starts at `at` and ends here.
fn finish_section(at: usize, out: &mut BytesMut) {
    let len = u16::try_from(out.len().saturating_sub(at)).unwrap_or(u16::MAX);
    put_u16_at(out, at.saturating_sub(2), len);
}

fn put_prefixes<A: AddressFamily>(
    ctx: &EncodeContext,
    nlri: &mut Peekable<impl Iterator<Item = (u32, A::Prefix)>>,
    end: usize,
    out: &mut BytesMut,
) -> usize {
    let add_path = A::FAMILY.pick(ctx.add_path_tx);
    let mut count = 0;
    while let Some((path_id, prefix)) = nlri.peek() {
        let before = out.len();
        if add_path {
            out.put_u32(*path_id);
        }
        prefix.put_wire(out);
        if out.len() > end {
            out.truncate(before);
            break;
        }
        nlri.next();
        count += 1;
    }
    count
}

/// The next hop a session of this local address announces for a family, when it announces itself.
pub fn self_next_hop(
    family: Family,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
) -> Option<NextHop> {
    let v6 = || {
        v6.map(|global| NextHop::V6 {
            global,
            link_local: None,
        })
    };
    match family {
        Family::Ipv4Unicast => v4.map(NextHop::V4).or_else(v6),
        Family::Ipv6Unicast => v6().or(v4.map(NextHop::V4)),
    }
}

#[cfg(test)]
mod tests;
