//! MRT records (RFC 6396, RFC 8050): what route collectors and daemons archive.
//!
//! Read here: TABLE_DUMP (12), TABLE_DUMP_V2 (13) with its ADD-PATH subtypes, BGP4MP (16) and
//! BGP4MP_ET (17) with their AS4, LOCAL and ADD-PATH subtypes, and the deprecated BGP (5) of old
//! archives. A stream is cut into records with [`Header::decode`]; [`decode`] reads the body.
//!
//! The reading is tolerant, unlike that of `bgp`: an archive is evidence, and its reader wants to
//! see what is there. A field beyond the end of its container reads as zero, an attribute longer
//! than its block ends the block, a prefix list stops where it no longer makes sense. These are
//! the rules of the common tool `bgpdump`, so that our line format can equal its output. Only what
//! cannot be placed at all is an [`MrtError`], with its offset in the record.
//!
//! Bounds: [`RECORD_LEN_MAX`]; every list is bounded by the octets it is read from.

mod attributes;
mod bgp4mp;
mod cursor;
mod table_dump;
#[cfg(test)]
mod tests;

pub use attributes::{AsPathData, Attributes, MpReach, MpUnreach, NlriPrefix, UnknownAttribute};
pub use bgp4mp::{Body, Message, StateChange, Update};
pub use table_dump::{PeerEntry, PeerIndexTable, RibEntry, RibPrefix, TableDump};

/// Octets of a record header before the body.
pub const HEADER_LEN: usize = 12;

/// Longest record that is read: 64 MiB, a thousand times the largest seen in public archives. A
/// longer one is taken for something that is not MRT.
pub const RECORD_LEN_MAX: u32 = 64 << 20;

const TYPE_BGP: u16 = 5;
const TYPE_TABLE_DUMP: u16 = 12;
const TYPE_TABLE_DUMP_V2: u16 = 13;
const TYPE_BGP4MP: u16 = 16;
const TYPE_BGP4MP_ET: u16 = 17;

/// The header of a record (RFC 6396 §2).
///
/// ```text
///  0                   1                   2                   3
///  |                           Timestamp                           |
///  |             Type              |            Subtype            |
///  |                             Length                            |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Seconds since 1970.
    pub time_s: u32,
    /// Type of the record.
    pub kind: u16,
    /// Its subtype; the meaning depends on the type.
    pub subtype: u16,
    /// Octets that follow the header, the microseconds of an extended record included.
    pub len: u32,
}

impl Header {
    /// Reads a header.
    #[must_use]
    pub fn decode(octets: &[u8; HEADER_LEN]) -> Self {
        let mut cursor = cursor::Cursor::new(octets);
        Self {
            time_s: cursor.u32(),
            kind: cursor.u16(),
            subtype: cursor.u16(),
            len: cursor.u32(),
        }
    }

    /// Whether four octets of microseconds come before the body (RFC 6396 §3).
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.kind == TYPE_BGP4MP_ET
    }

    /// Name of the type, as `TABLE_DUMP_V2`; `None` when it is not read here.
    #[must_use]
    pub fn type_name(&self) -> Option<&'static str> {
        Some(match self.kind {
            TYPE_BGP => "BGP",
            TYPE_TABLE_DUMP => "TABLE_DUMP",
            TYPE_TABLE_DUMP_V2 => "TABLE_DUMP_V2",
            TYPE_BGP4MP => "BGP4MP",
            TYPE_BGP4MP_ET => "BGP4MP_ET",
            _ => return None,
        })
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// One path of a table, the old form.
    TableDump(Box<TableDump>),
    /// The peers that the following prefixes refer to by number.
    PeerIndex(PeerIndexTable),
    /// A prefix with its paths.
    Rib(RibPrefix),
    /// A session changed state.
    StateChange(StateChange),
    /// A BGP message.
    Message(Message<'a>),
}

/// Why a record is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at octet {offset} of the record")]
pub struct MrtError {
    /// What is wrong.
    pub kind: MrtErrorKind,
    /// Where, counted from the start of the body.
    pub offset: usize,
}

impl MrtError {
    fn new(kind: MrtErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MrtErrorKind {
    /// A type that is not read here.
    #[error("record type {0} is not known")]
    Type(u16),
    /// A subtype that is not read here.
    #[error("subtype {0} of this record type is not known")]
    Subtype(u16),
    /// An address family other than IPv4 and IPv6.
    #[error("address family {0}, 1 or 2 expected")]
    AddressFamily(u16),
    /// A state change whose length fits no form of it.
    #[error("state change of {0} octets")]
    Length(usize),
    /// The marker of the BGP message is not all ones.
    #[error("BGP marker is not all ones")]
    Marker,
    /// Neither UPDATE, OPEN, NOTIFICATION nor KEEPALIVE.
    #[error("BGP message type {0} is not archived in a known form")]
    MessageType(u8),
}

/// Reads the body of a record: the octets after the header, and after the microseconds of an
/// extended record.
///
/// # Errors
/// [`MrtError`]; skip the record and go on with the next.
pub fn decode<'a>(header: &Header, body: &'a [u8]) -> Result<Record<'a>, MrtError> {
    match header.kind {
        TYPE_BGP => bgp4mp::decode_legacy(header.subtype, body),
        TYPE_TABLE_DUMP => {
            table_dump::decode_v1(header.subtype, body).map(|it| Record::TableDump(Box::new(it)))
        }
        TYPE_TABLE_DUMP_V2 => table_dump::decode_v2(header.subtype, body),
        TYPE_BGP4MP | TYPE_BGP4MP_ET => bgp4mp::decode(header.subtype, body),
        other => Err(MrtError::new(MrtErrorKind::Type(other), 0)),
    }
}
