//! Input of the structured decoders: nom over a slice that still knows where it stands.
//!
//! nom's own error says which slice was left when a parser gave up; [`Stop`] keeps only its
//! length. As every parser works on a tail of the message, the absolute offset is the message's
//! length minus what was left, and no position needs to be carried along. Frames are cut by length
//! before any parser runs, therefore only nom's `complete` parsers are used: "incomplete" means
//! malformed here.

use nom::error::{ErrorKind, ParseError};

/// Why a structured parser stopped: how many octets of its input were left then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stop {
    pub left: usize,
}

impl ParseError<&[u8]> for Stop {
    fn from_error_kind(input: &[u8], _kind: ErrorKind) -> Self {
        Self { left: input.len() }
    }

    fn append(_input: &[u8], _kind: ErrorKind, other: Self) -> Self {
        other
    }
}

/// The answer of a parser over a slice.
pub(crate) type Parsed<'a, T> = nom::IResult<&'a [u8], T, Stop>;

/// Octets of `whole` in front of the point where the parser stopped.
pub(crate) fn consumed(whole: &[u8], stop: &nom::Err<Stop>) -> usize {
    match stop {
        nom::Err::Error(stop) | nom::Err::Failure(stop) => whole.len().saturating_sub(stop.left),
        nom::Err::Incomplete(_) => whole.len(),
    }
}

/// Octets of `whole` in front of its tail `rest`.
pub(crate) fn offset_in(whole: &[u8], rest: &[u8]) -> usize {
    whole.len().saturating_sub(rest.len())
}
