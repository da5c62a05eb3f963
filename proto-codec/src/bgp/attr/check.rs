//! Length and value of an attribute against its row.
//!
//! [`check_value`] is what the table's [`Length`] and [`Check`] columns mean. Each check sees the
//! value alone, so a length inside it can never reach beyond, and answers with the place in the
//! value where it failed. AS_PATH is walked by hand: it is in every message that is not cached.

use super::table::{Check, Length, Row};
use super::tlv::{check_aigp, check_prefix_sid, check_tunnels};
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
