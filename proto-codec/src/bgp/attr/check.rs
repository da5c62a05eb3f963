//! Length and value of an attribute against its row.
//!
//! [`check_value`] is what the table's [`Length`] and [`Check`] columns mean. Each check sees the
//! value alone, so a length inside it can never reach beyond, and answers with the place in the
//! value where it failed. The TLV walkers look at structure only: what the TLVs say is nobody's
//! business here, but a structure that does not add up must not be passed on to the next router.

use super::table::{Check, Length, Row};
use crate::error::ErrorKind;

/// How AS_PATH is read: width of numbers and whether sets are welcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PathRules {
    pub four_octet: bool,
    pub accept_sets: bool,
}

/// Checks length and value. The error comes with its offset in the value.
pub(crate) fn check_value(
    row: &Row,
    value: &[u8],
    rules: PathRules,
) -> Result<(), (ErrorKind, usize)> {
    let fits = match row.length {
        Length::Exact(len) => value.len() == len,
        Length::MultipleOf(len) => !value.is_empty() && value.len().is_multiple_of(len),
        Length::Aggregator => value.len() == if rules.four_octet { 8 } else { 6 },
        Length::Any => true,
    };
    if !fits {
        return Err((ErrorKind::Length(value.len()), 0));
    }
    match row.check {
        Check::None => Ok(()),
        Check::Origin => match value.first() {
            Some(0..=2) => Ok(()),
            other => Err((
                ErrorKind::Value(other.map_or(0, |octet| u32::from(*octet))),
                0,
            )),
        },
        Check::AsPath => {
            // AS4_PATH has four-octet numbers on every session (RFC 6793 §3).
            let rules = PathRules {
                four_octet: rules.four_octet || row.code == 17,
                ..rules
            };
            check_as_path(value, rules)
        }
        Check::Aggregator => {
            let id_at = value.len().saturating_sub(4);
            let zero = value.iter().take(id_at).all(|octet| *octet == 0);
            if zero {
                Err((ErrorKind::AsZero, 0))
            } else {
                Ok(())
            }
        }
        Check::Aigp => check_aigp(value),
        Check::PrefixSid => check_prefix_sid(value),
        Check::TunnelEncap => check_tunnels(value),
        Check::Refused => Err((ErrorKind::NotFromThisPeer, 0)),
    }
}

/// RFC 7606 §7.2, RFC 7607 §2, RFC 9774 §3, RFC 5065 §5 (we are in no confederation).
fn check_as_path(path: &[u8], rules: PathRules) -> Result<(), (ErrorKind, usize)> {
    let width = if rules.four_octet { 4 } else { 2 };
    let mut left = path;
    while !left.is_empty() {
        let at = path.len() - left.len();
        let (kind, numbers, rest) = segment(left, width).ok_or((ErrorKind::SegmentLength, at))?;
        match kind {
            2 => {}
            1 if rules.accept_sets => {}
            1 | 4 => return Err((ErrorKind::AsSet, at)),
            other => return Err((ErrorKind::SegmentType(other), at)),
        }
        let zero = match width {
            4 => numbers.as_chunks::<4>().0.contains(&[0; 4]),
            _ => numbers.as_chunks::<2>().0.contains(&[0; 2]),
        };
        if zero {
            return Err((ErrorKind::AsZero, at));
        }
        left = rest;
    }
    Ok(())
}

/// The first segment of `path`: type, numbers, the rest. `None` when empty or cut off.
pub(crate) fn segment(path: &[u8], width: usize) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, count], rest) = path.split_first_chunk::<2>()?;
    if count == 0 {
        return None;
    }
    let (numbers, rest) = rest.split_at_checked(usize::from(count) * width)?;
    Some((kind, numbers, rest))
}

fn check_aigp(value: &[u8]) -> Result<(), (ErrorKind, usize)> {
    let mut left = value;
    while !left.is_empty() {
        let at = value.len() - left.len();
        let bad = (ErrorKind::Length(left.len()), at);
        let Some(&[kind, hi, lo]) = left.first_chunk::<3>() else {
            return Err(bad);
        };
        let len = usize::from(u16::from_be_bytes([hi, lo]));
        // Type 1 has exactly eight octets of metric behind its head.
        if len < 3 || (kind == 1 && len != 11) {
            return Err((ErrorKind::Length(len), at));
        }
        left = left.get(len..).ok_or(bad)?;
    }
    Ok(())
}

/// The metric of the first AIGP TLV.
pub(crate) fn aigp_metric(value: &[u8]) -> Option<u64> {
    let mut left = value;
    loop {
        let (&[kind, hi, lo], _) = left.split_first_chunk::<3>()?;
        let len = usize::from(u16::from_be_bytes([hi, lo])).max(3);
        if kind == 1 {
            return left
                .get(3..)?
                .first_chunk::<8>()
                .map(|octets| u64::from_be_bytes(*octets));
        }
        left = left.get(len..)?;
    }
}

/// RFC 8669 §3 and §6, RFC 9252 §2. Types we have never heard of are passed on unread.
fn check_prefix_sid(value: &[u8]) -> Result<(), (ErrorKind, usize)> {
    if value.is_empty() {
        return Err((ErrorKind::Length(0), 0));
    }
    let mut left = value;
    while !left.is_empty() {
        let at = value.len() - left.len();
        let bad = (ErrorKind::Length(left.len()), at);
        let (kind, tlv, rest) = wide_tlv(left).ok_or(bad)?;
        let fits = match kind {
            1 => tlv.len() == 7,                                      // Label-Index
            3 => tlv.len() >= 8 && (tlv.len() - 2).is_multiple_of(6), // Originator SRGB
            5 | 6 => srv6_service_fits(tlv),
            _ => true,
        };
        if !fits {
            return Err((ErrorKind::Length(tlv.len()), at));
        }
        left = rest;
    }
    Ok(())
}

/// One octet of type, two of length: type, value, the rest.
fn wide_tlv(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, hi, lo], rest) = octets.split_first_chunk::<3>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([hi, lo])))?;
    Some((kind, value, rest))
}

/// RFC 9252 §2 and §3.1: a reserved octet, then at least one sub-TLV; SID information (1) has 21
/// octets and sub-sub-TLVs.
fn srv6_service_fits(tlv: &[u8]) -> bool {
    let Some((_, mut left)) = tlv.split_first() else {
        return false;
    };
    let mut count = 0;
    while !left.is_empty() {
        match wide_tlv(left) {
            Some((1, information, _)) if information.len() < 21 => return false,
            Some((_, _, rest)) => left = rest,
            None => return false,
        }
        count += 1;
    }
    count > 0
}

fn check_tunnels(value: &[u8]) -> Result<(), (ErrorKind, usize)> {
    let mut left = value;
    while !left.is_empty() {
        let at = value.len() - left.len();
        let bad = (ErrorKind::Length(left.len()), at);
        let Some((&[_, _, hi, lo], rest)) = left.split_first_chunk::<4>() else {
            return Err(bad);
        };
        let len = usize::from(u16::from_be_bytes([hi, lo]));
        let (tunnel, rest) = rest.split_at_checked(len).ok_or(bad)?;
        check_sub_tlvs(tunnel)
            .map_err(|inside| (ErrorKind::Length(tunnel.len()), at + 4 + inside))?;
        left = rest;
    }
    Ok(())
}

// RFC 9012 §2: the length has one octet for types under 128, else two.
fn check_sub_tlvs(tunnel: &[u8]) -> Result<(), usize> {
    let mut left = tunnel;
    while let Some((&kind, rest)) = left.split_first() {
        let at = tunnel.len() - left.len();
        let after = if kind < 128 {
            rest.split_first()
                .and_then(|(len, rest)| rest.get(usize::from(*len)..))
        } else {
            rest.split_first_chunk::<2>()
                .and_then(|(len, rest)| rest.get(usize::from(u16::from_be_bytes(*len))..))
        };
        left = after.ok_or(at)?;
    }
    Ok(())
}
