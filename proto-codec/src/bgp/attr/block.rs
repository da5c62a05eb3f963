//! A message's path attributes: found, validated against the table, made canonical.
//!
//! Two passes. [`scan`] only walks the headers: it finds the MP attributes (whose prefixes are
//! decoded elsewhere), the pieces around them (the cache key) and whether the last attribute runs
//! over the end. When the block is not in the cache, [`parse`] looks up each attribute's row and
//! obeys it. The result borrows from the message; only what must be rewritten (two-octet paths,
//! duplicate large communities) is owned. Duplicates of an attribute are dropped but the first
//! (RFC 7606 §3 g).

use std::borrow::Cow;
use std::net::Ipv4Addr;

use smallvec::SmallVec;

use super::as_path::AsPath;
use super::check::{PathRules, check_value};
use super::read::Attributes;
use super::table::{self, Action, Row, Scope};
use super::{AttrSet, NextHop, RawAttr, as4, flag};
use crate::bgp::notification::{Notification, code};
use crate::bgp::update::DecodeContext;
use crate::error::{AttrError, DecodeError, ErrorKind, Reaction};

/// An MP attribute and where its value stands in the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MpAttr<'a> {
    pub flags: u8,
    pub value: &'a [u8],
    pub at: usize,
}

/// What walking the headers gives.
#[derive(Debug, Default)]
pub(crate) struct Scan<'a> {
    /// Everything but the MP attributes.
    pub pieces: [&'a [u8]; 3],
    pub mp_reach: Option<MpAttr<'a>>,
    pub mp_unreach: Option<MpAttr<'a>>,
    /// Offset of an attribute that is cut off (RFC 7606 §4).
    pub overrun: Option<usize>,
}

/// Walks the headers of `block`, which stands at `base` in the message. The only error is an MP
/// attribute that comes twice (RFC 7606 §3 g).
pub(crate) fn scan(block: &[u8], base: usize) -> Result<Scan<'_>, DecodeError> {
    let mut scan = Scan::default();
    let mut attributes = Attributes { octets: block };
    let (mut piece, mut piece_start) = (0, 0);
    let mut at = 0;
    while let Some(attr) = attributes.next() {
        let end = block.len() - attributes.octets.len();
        let slot = match attr.type_code {
            14 => Some(&mut scan.mp_reach),
            15 => Some(&mut scan.mp_unreach),
            _ => None,
        };
        if let Some(slot) = slot {
            let value_at = base + end - attr.value.len();
            if slot.is_some() {
                let notification = Notification::new(code::UPDATE, 1);
                return Err(DecodeError::reset(
                    ErrorKind::Duplicate,
                    base + at,
                    notification,
                ));
            }
            *slot = Some(MpAttr {
                flags: attr.flags,
                value: attr.value,
                at: value_at,
            });
            if let Some(place) = scan.pieces.get_mut(piece) {
                *place = block.get(piece_start..at).unwrap_or_default();
            }
            (piece, piece_start) = (piece + 1, end);
        }
        at = end;
    }
    if let Some(place) = scan.pieces.get_mut(piece) {
        *place = block.get(piece_start..).unwrap_or_default();
    }
    scan.overrun = (at < block.len()).then_some(base + at);
    Ok(scan)
}

/// Type code, flags, value.
type Kept<'a> = (u8, u8, Cow<'a, [u8]>);

/// Attributes that passed, and the errors of those that did not.
#[derive(Debug, Default)]
pub(crate) struct Parsed<'a> {
    attrs: SmallVec<[Kept<'a>; 12]>,
    /// NEXT_HOP, syntactically valid, and the offset of its value.
    pub next_hop: Option<(Ipv4Addr, usize)>,
    pub errors: Vec<AttrError>,
}

fn rules(ctx: &DecodeContext) -> PathRules {
    PathRules {
        four_octet: ctx.four_octet_as,
        accept_sets: !ctx.reject_as_sets,
    }
}

/// Validates every attribute but the MP ones.
pub(crate) fn parse<'a>(block: &'a [u8], base: usize, ctx: &DecodeContext) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    let mut seen = [0u8; 256];
    let mut attributes = Attributes { octets: block };
    let mut at = base;
    while let Some(attr) = attributes.next() {
        let end = base + block.len() - attributes.octets.len();
        if !matches!(attr.type_code, 14 | 15) {
            parsed.take(attr, (at, end - attr.value.len()), &mut seen, ctx);
        }
        at = end;
    }
    if !attributes.octets.is_empty() {
        let type_code = attributes.octets.get(1).copied().unwrap_or(0);
        parsed.error(type_code, ErrorKind::AttributeOverrun, at, Action::Withdraw);
    }
    if !ctx.four_octet_as {
        parsed.merge_as4();
    }
    parsed.check_first_as(base, ctx);
    parsed.attrs.sort_by_key(|(type_code, ..)| *type_code);
    parsed
}

impl<'a> Parsed<'a> {
    fn error(&mut self, type_code: u8, kind: ErrorKind, offset: usize, action: Action) {
        let reaction = match action {
            Action::Discard => Reaction::Discard,
            // The MP attributes are not parsed here, and no other row resets.
            Action::Withdraw | Action::Reset => Reaction::TreatAsWithdraw,
        };
        self.errors.push(AttrError {
            type_code,
            kind,
            offset,
            reaction,
        });
    }

    /// Notes that a mandatory attribute is missing, RFC 7606 §3 d.
    pub fn missing(&mut self, type_code: u8, offset: usize) {
        self.error(type_code, ErrorKind::Missing, offset, Action::Withdraw);
    }

    /// `places`: offsets of the attribute and of its value.
    fn take(
        &mut self,
        attr: RawAttr<'a>,
        places: (usize, usize),
        seen: &mut [u8; 256],
        ctx: &DecodeContext,
    ) {
        let (at, value_at) = places;
        if let Some(times) = seen.get_mut(usize::from(attr.type_code)) {
            *times = times.saturating_add(1);
            // Told once per type: a message of nothing but duplicates must not become a report
            // longer than itself.
            match *times {
                1 => {}
                2 => {
                    return self.error(attr.type_code, ErrorKind::Duplicate, at, Action::Discard);
                }
                _ => return,
            }
        }
        let Some(row) = table::find(attr.type_code) else {
            return self.take_unknown(attr, at);
        };
        if !welcome(row, ctx) {
            return self.error(row.code, ErrorKind::NotFromThisPeer, at, Action::Discard);
        }
        if let Err(kind) = table::check_flags(row, attr.flags) {
            return self.error(row.code, kind, at, row.bad_flags);
        }
        if let Err((kind, inside)) = check_value(row, attr.value, rules(ctx)) {
            return self.error(row.code, kind, value_at + inside, row.malformed);
        }
        let value = match attr.type_code {
            3 => {
                let octets = attr.value.first_chunk::<4>();
                self.next_hop = octets.map(|octets| (Ipv4Addr::from(*octets), value_at));
                return;
            }
            2 if !ctx.four_octet_as => Cow::Owned(as4::widen(attr.value)),
            32 => distinct_large(attr.value),
            _ => Cow::Borrowed(attr.value),
        };
        // Tunnel encapsulation and Prefix-SID are checked but not used: like an unknown attribute
        // they are passed on as partial (RFC 4271 §5).
        let partial = if table::is_known(attr.type_code) || matches!(attr.type_code, 17 | 18) {
            0
        } else {
            flag::PARTIAL
        };
        self.attrs
            .push((attr.type_code, attr.flags | partial, value));
    }

    /// RFC 4271 §9 (and §6.3 with RFC 7606 §3 for the well-known ones).
    fn take_unknown(&mut self, attr: RawAttr<'a>, at: usize) {
        if attr.flags & flag::OPTIONAL == 0 {
            let kind = ErrorKind::UnrecognizedWellKnown;
            return self.error(attr.type_code, kind, at, Action::Withdraw);
        }
        // Unrecognized non-transitive ones are "quietly ignored".
        if attr.flags & flag::TRANSITIVE != 0 {
            // The low bits of flags are unused and must be sent as zero (§4.3).
            let flags = (attr.flags & 0xe0) | flag::PARTIAL;
            self.attrs
                .push((attr.type_code, flags, Cow::Borrowed(attr.value)));
        }
    }

    fn remove(&mut self, type_code: u8) -> Option<Cow<'a, [u8]>> {
        let at = self
            .attrs
            .iter()
            .position(|(code, ..)| *code == type_code)?;
        Some(self.attrs.remove(at).2)
    }

    fn replace(&mut self, type_code: u8, value: Vec<u8>) {
        if let Some(found) = self.attrs.iter_mut().find(|(code, ..)| *code == type_code) {
            found.2 = Cow::Owned(value);
        }
    }

    fn value(&self, type_code: u8) -> Option<&[u8]> {
        self.attrs
            .iter()
            .find(|(code, ..)| *code == type_code)
            .map(|(.., value)| &**value)
    }

    /// RFC 6793 §4.2.3, whatever order the attributes came in.
    fn merge_as4(&mut self) {
        let (as4_path, as4_aggregator) = (self.remove(17), self.remove(18));
        let aggregator = self.value(7);
        // Only an AS4_AGGREGATOR beside an AGGREGATOR that needs none tells of an old speaker that
        // aggregated behind the new ones.
        let ignore = as4_aggregator.is_some() && aggregator.is_some_and(as4::aggregator_overrides);
        let mut wide = aggregator.and_then(as4::widen_aggregator);
        if let (false, Some(value)) = (ignore, as4_aggregator) {
            wide = wide.and(value.first_chunk::<8>().copied());
        }
        if let Some(wide) = wide {
            self.replace(7, wide.to_vec());
        }
        if let (false, Some(as4_path), Some(path)) = (ignore, as4_path, self.value(2))
            && let Some(merged) = as4::merge(path, &as4_path)
        {
            self.replace(2, merged);
        }
    }

    /// RFC 4271 §6.3 with the reaction of RFC 7606 §7.2. An empty path fails too: it is what an
    /// internal peer sends.
    fn check_first_as(&mut self, base: usize, ctx: &DecodeContext) {
        if !(ctx.ebgp && ctx.enforce_first_as) || ctx.peer_asn == 0 {
            return;
        }
        let Some(path) = self.value(2) else { return };
        let found = AsPath::from_wire(path).first_as().unwrap_or(0);
        if found != ctx.peer_asn {
            let kind = ErrorKind::FirstAs {
                found,
                expected: ctx.peer_asn,
            };
            self.error(2, kind, base, Action::Withdraw);
        }
    }

    /// Whether an attribute passed.
    pub fn has(&self, type_code: u8) -> bool {
        self.attrs.iter().any(|(code, ..)| *code == type_code)
    }

    /// The set, with the next hop of the routes it is for.
    pub fn build(&self, next_hop: NextHop) -> AttrSet {
        let attrs = self.attrs.iter().map(|(type_code, flags, value)| RawAttr {
            flags: *flags & 0xe0,
            type_code: *type_code,
            value,
        });
        AttrSet::build(attrs, next_hop)
    }
}

fn welcome(row: &Row, ctx: &DecodeContext) -> bool {
    match row.scope {
        Scope::Any => true,
        Scope::Internal => !ctx.ebgp,
        Scope::TwoOctet => !ctx.four_octet_as,
        Scope::Aigp => ctx.aigp,
        Scope::Nobody => false,
    }
}

/// RFC 8092 §5: duplicates are removed silently.
fn distinct_large(value: &[u8]) -> Cow<'_, [u8]> {
    let (items, _) = value.as_chunks::<12>();
    let mut sorted: SmallVec<[&[u8; 12]; 16]> = items.iter().collect();
    sorted.sort_unstable();
    if !sorted.array_windows::<2>().any(|[a, b]| a == b) {
        return Cow::Borrowed(value);
    }
    let mut seen = std::collections::BTreeSet::new();
    let kept: Vec<u8> = items
        .iter()
        .filter(|item| seen.insert(**item))
        .flatten()
        .copied()
        .collect();
    Cow::Owned(kept)
}
