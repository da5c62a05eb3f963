//! What was wrong, where, and what the RFC says to do about it.
//!
//! A decoder that cannot go on returns [`DecodeError`]; its reaction is always
//! [`Reaction::Reset`]: the caller sends the NOTIFICATION it carries and closes. Errors inside
//! path attributes that RFC 7606 lets the session survive are collected as [`AttrError`] beside
//! the decoded UPDATE, which already is what the reaction demands (routes moved to the withdrawn
//! ones, attributes left out), so the caller only counts and logs. Offsets count from the first
//! octet of the message header.

use std::fmt;

use crate::afi::AfiSafi;
use crate::bgp::attr::table::attribute_name;
use crate::bgp::notification::Notification;

/// What to do about malformed input, weakest first (RFC 7606 §2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// Attribute discard: the attribute is left out, the routes stay.
    Discard,
    /// Treat-as-withdraw: the routes of the message count as withdrawn.
    TreatAsWithdraw,
    /// Session reset: send this NOTIFICATION and close.
    Reset(Notification),
}

impl Reaction {
    /// 0 for the weakest; the strongest of several errors in a message wins (RFC 7606 §3 h).
    pub fn severity(&self) -> u8 {
        match self {
            Self::Discard => 0,
            Self::TreatAsWithdraw => 1,
            Self::Reset(_) => 2,
        }
    }
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discard => f.write_str("attribute discarded"),
            Self::TreatAsWithdraw => f.write_str("treated as withdraw"),
            Self::Reset(n) => write!(f, "session reset {}/{}", n.code, n.subcode),
        }
    }
}

/// What was expected and what was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it; the fields are what they print.
pub enum ErrorKind {
    #[error("header marker is not all ones")]
    Marker,
    #[error("message length {found} outside {min} to {max}")]
    MessageLength { found: u16, min: u16, max: u16 },
    #[error("unknown message type {0}")]
    MessageType(u8),
    #[error("message ends inside {0}")]
    Truncated(&'static str),
    #[error("unsupported BGP version {0}")]
    Version(u8),
    #[error("peer AS 0 or contradicting AS numbers (header {header}, capability {capability})")]
    PeerAs { header: u32, capability: u32 },
    #[error("BGP identifier 0.0.0.0")]
    Identifier,
    #[error("hold time of {0} s: 0 or at least 3 allowed")]
    HoldTime(u16),
    #[error("unsupported optional parameter {0}")]
    OptionalParameter(u8),
    #[error(
        "optional parameters are {expected} octets by their length field, {found} in the message"
    )]
    OptionalParametersLength { expected: usize, found: usize },
    #[error("capability {code} malformed (length {len})")]
    Capability { code: u8, len: u8 },
    #[error("withdrawn routes or path attributes longer than the message")]
    SectionLength,
    #[error("prefix length {len} over {max}")]
    PrefixLength { len: u8, max: u8 },
    #[error("prefix cut off")]
    PrefixTruncated,
    #[error("attribute header or value runs past the attributes")]
    AttributeOverrun,
    #[error("flags {found:#04x}, expected {expected:#04x}")]
    Flags { found: u8, expected: u8 },
    #[error("length {0} not allowed")]
    Length(usize),
    #[error("value {0} not allowed")]
    Value(u32),
    #[error("segment type {0} not allowed")]
    SegmentType(u8),
    #[error("segment empty or longer than the attribute")]
    SegmentLength,
    #[error("AS_SET or AS_CONFED_SET (RFC 9774)")]
    AsSet,
    #[error("path starts with AS {found}, the peer's is {expected}")]
    FirstAs { found: u32, expected: u32 },
    #[error("AS 0 (RFC 7607)")]
    AsZero,
    #[error("next hop is no unicast address")]
    NextHop,
    #[error("next hop length {len} does not fit {family}")]
    NextHopLength { family: AfiSafi, len: u8 },
    #[error("appears more than once")]
    Duplicate,
    #[error("mandatory attribute missing")]
    Missing,
    #[error("unrecognized well-known attribute")]
    UnrecognizedWellKnown,
    #[error("not expected from this peer")]
    NotFromThisPeer,
    #[error("{0} was not negotiated")]
    FamilyNotNegotiated(AfiSafi),
    #[error("errors in a message without reachable routes (RFC 7606 §5.2)")]
    MissingNlri,
    #[error("ROUTE-REFRESH length {0}")]
    RefreshLength(usize),
}

/// A message that ends the session (or, in a file, the message's usefulness).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// What was wrong.
    pub kind: ErrorKind,
    /// The octet of the message, counted from the first octet of the header.
    pub offset: usize,
    /// Always [`Reaction::Reset`] unless a caller made the error itself.
    pub reaction: Reaction,
}

impl DecodeError {
    pub(crate) fn reset(kind: ErrorKind, offset: usize, notification: Notification) -> Self {
        Self {
            kind,
            offset,
            reaction: Reaction::Reset(notification),
        }
    }

    /// The NOTIFICATION to send, if the reaction is a reset.
    pub fn notification(&self) -> Option<&Notification> {
        match &self.reaction {
            Reaction::Reset(notification) => Some(notification),
            _ => None,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at octet {}: {}",
            self.kind, self.offset, self.reaction
        )
    }
}

impl std::error::Error for DecodeError {}

/// An error in a path attribute (or its absence) that the session survives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttrError {
    /// The attribute's type code; 0 when the error is in no single attribute.
    pub type_code: u8,
    /// What was wrong.
    pub kind: ErrorKind,
    /// The octet of the message, counted from the first octet of the header.
    pub offset: usize,
    /// What was done about it: [`Reaction::Discard`] or [`Reaction::TreatAsWithdraw`].
    pub reaction: Reaction,
}

impl fmt::Display for AttrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match attribute_name(self.type_code) {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "attribute {}", self.type_code)?,
        }
        write!(
            f,
            ": {} at octet {}: {}",
            self.kind, self.offset, self.reaction
        )
    }
}
