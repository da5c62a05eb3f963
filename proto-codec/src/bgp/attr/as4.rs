//! Two-octet peers (RFC 6793): AS_TRANS, AS4_PATH and AS4_AGGREGATOR, in and out.
//!
//! Inside the suite every AS number has four octets. From an old peer, AS_PATH is widened and,
//! when AS4_PATH came along and counts no more hops than AS_PATH, the tail of the path is replaced
//! by it (§4.2.3). When AGGREGATOR and AS4_AGGREGATOR both came and the former names an AS other
//! than AS_TRANS, both AS4 attributes are ignored. To an old peer, numbers that do not fit become
//! AS_TRANS and the true values go along in AS4_PATH and AS4_AGGREGATOR (§4.2.2). AS4_PATH never
//! carries confederation segments (§3).

use super::as_path::{AsPath, SegmentKind};
use super::check::segment;
use super::{AttrSet, RawAttr, flag, put_attr};
use crate::bgp::AS_TRANS;

const OPTIONAL_TRANSITIVE: u8 = flag::OPTIONAL | flag::TRANSITIVE;

/// A validated path of two-octet numbers as one of four-octet numbers.
pub(crate) fn widen(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len() * 2);
    let mut left = path;
    while let Some((kind, numbers, rest)) = segment(left, 2) {
        let (numbers, _) = numbers.as_chunks::<2>();
        out.extend_from_slice(&[kind, u8::try_from(numbers.len()).unwrap_or(u8::MAX)]);
        for [hi, lo] in numbers {
            out.extend_from_slice(&[0, 0, *hi, *lo]);
        }
        left = rest;
    }
    out
}

/// RFC 6793 §4.2.3: the leading hops of `path` that `as4_path` lacks, then `as4_path`. `None` when
/// `as4_path` has more hops and must be ignored. Both have four-octet numbers.
pub(crate) fn merge(path: &[u8], as4_path: &[u8]) -> Option<Vec<u8>> {
    let mut lead = AsPath::from_wire(path)
        .hop_count()
        .checked_sub(AsPath::from_wire(as4_path).hop_count())?;
    let mut out = Vec::with_capacity(path.len());
    for segment in AsPath::from_wire(path).segments() {
        // A confederation segment counts nothing and belongs to the hops behind it: it is kept as
        // long as there are leading hops to come or it leads.
        let take = match segment.kind {
            SegmentKind::Sequence => segment.asns().len().min(lead),
            SegmentKind::Set => segment.asns().len() * lead.min(1),
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => segment.asns().len(),
        };
        if take == 0 {
            break;
        }
        lead -= match segment.kind {
            SegmentKind::Sequence => take,
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        };
        out.extend_from_slice(&[segment.kind.value(), u8::try_from(take).unwrap_or(u8::MAX)]);
        out.extend(segment.asns().take(take).flat_map(u32::to_be_bytes));
    }
    append_joined(&mut out, as4_path);
    Some(out)
}

// Joins a sequence to a sequence before it while the count fits, so that a merged path reads the
// same as the original: two segments where there was one would not be equal to it.
fn append_joined(out: &mut Vec<u8>, tail: &[u8]) {
    let last = AsPath::from_wire(out).segments().last();
    let last = last.map(|segment| (segment.kind, segment.asns().len()));
    let joined = match (last, segment(tail, 4)) {
        (Some((SegmentKind::Sequence, before)), Some((2, numbers, rest))) => {
            u8::try_from(before + numbers.len() / 4)
                .ok()
                .map(|count| (before, count, numbers, rest))
        }
        _ => None,
    };
    let Some((before, count, numbers, rest)) = joined else {
        out.extend_from_slice(tail);
        return;
    };
    let count_at = out.len() - before * 4 - 1;
    if let Some(octet) = out.get_mut(count_at) {
        *octet = count;
    }
    out.extend_from_slice(numbers);
    out.extend_from_slice(rest);
}

/// Whether AGGREGATOR (two-octet form), beside an AS4_AGGREGATOR, forbids the use of the AS4
/// attributes, RFC 6793 §4.2.3.
pub(crate) fn aggregator_overrides(aggregator: &[u8]) -> bool {
    aggregator
        .first_chunk::<2>()
        .is_some_and(|asn| u16::from_be_bytes(*asn) != AS_TRANS)
}

/// AGGREGATOR of two octets AS and four octets identifier, in the four-octet form.
pub(crate) fn widen_aggregator(aggregator: &[u8]) -> Option<[u8; 8]> {
    let [hi, lo, a, b, c, d] = *aggregator.first_chunk::<6>()?;
    Some([0, 0, hi, lo, a, b, c, d])
}

/// The attributes of `set` for a two-octet peer, ascending.
pub(crate) fn narrow_block(set: &AttrSet) -> Vec<u8> {
    let mut out = Vec::with_capacity(set.wire_block().len() + 16);
    let as4 = as4_attributes(set);
    let mut as4 = as4.iter().peekable();
    for attr in set.attributes() {
        while let Some((type_code, value)) = as4.next_if(|(code, _)| *code < attr.type_code) {
            put_attr(
                RawAttr {
                    flags: OPTIONAL_TRANSITIVE,
                    type_code: *type_code,
                    value,
                },
                &mut out,
            );
        }
        match attr.type_code {
            2 => {
                let value = narrow_path(set.as_path());
                put_attr(
                    RawAttr {
                        value: &value,
                        ..attr
                    },
                    &mut out,
                );
            }
            7 => {
                let value = narrow_aggregator(attr.value);
                put_attr(
                    RawAttr {
                        value: &value,
                        ..attr
                    },
                    &mut out,
                );
            }
            _ => {
                put_attr(attr, &mut out);
            }
        }
    }
    for (type_code, value) in as4 {
        put_attr(
            RawAttr {
                flags: OPTIONAL_TRANSITIVE,
                type_code: *type_code,
                value,
            },
            &mut out,
        );
    }
    out
}

fn as4_attributes(set: &AttrSet) -> Vec<(u8, Vec<u8>)> {
    let mut attrs = Vec::new();
    let wide = |asn: u32| u16::try_from(asn).is_err();
    let wide_aggregator = set.aggregator().is_some_and(|(asn, _)| wide(asn));
    if set.as_path().asns().any(wide) {
        let mut value = Vec::new();
        for segment in set
            .as_path()
            .segments()
            .filter(|segment| !segment.kind.is_confed())
        {
            let count = u8::try_from(segment.asns().len()).unwrap_or(u8::MAX);
            value.extend_from_slice(&[segment.kind.value(), count]);
            value.extend(segment.asns().flat_map(u32::to_be_bytes));
        }
        attrs.push((17, value));
    }
    if let Some(value) = set.value(7).filter(|_| wide_aggregator) {
        attrs.push((18, value.to_vec()));
    }
    attrs
}

fn narrow(asn: u32) -> [u8; 2] {
    u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes()
}

fn narrow_path(path: AsPath<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.octets().len() / 2 + 8);
    for segment in path.segments() {
        let count = u8::try_from(segment.asns().len()).unwrap_or(u8::MAX);
        out.extend_from_slice(&[segment.kind.value(), count]);
        out.extend(segment.asns().flat_map(narrow));
    }
    out
}

fn narrow_aggregator(value: &[u8]) -> Vec<u8> {
    match value.split_first_chunk::<4>() {
        Some((asn, id)) => [&narrow(u32::from_be_bytes(*asn)), id].concat(),
        None => value.to_vec(),
    }
}
