//! BGP-4 on the wire: header, message types, sizes.
//!
//! A message is a 19-octet header and a body (RFC 4271 §4.1). [`frame::Framer`] cuts the stream
//! into messages and checks the header; each body has its own decoder: [`open::Open`],
//! [`update::decode_update`], [`notification::Notification`], [`refresh::RouteRefresh`]. KEEPALIVE
//! is the header alone. Decoders of bodies take the octets behind the header; offsets in errors
//! count from the header's first octet all the same.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |                      Marker (16 octets of ones)               |
//! |          Length               |      Type     |  body …
//! ```

pub mod attr;
pub mod capability;
pub mod frame;
pub(crate) mod mp;
pub mod negotiated;
pub mod nlri;
pub mod notification;
pub mod open;
pub mod pack;
pub mod refresh;
pub mod update;

pub use attr::as_path::{AsPath, Segment, SegmentKind};
pub use attr::cache::AttrCache;
pub use attr::community::{Community, ExtCommunity, LargeCommunity};
pub use attr::edit::AttrEdit;
pub use attr::outgoing::Outgoing;
pub use attr::{AttrSet, NextHop, Origin, RawAttr};
pub use capability::Capability;
pub use frame::Framer;
pub use negotiated::Negotiated;
pub use nlri::{Nlri, Piece};
pub use notification::Notification;
pub use open::Open;
pub use pack::{
    Block, EncodeContext, PackError, encode_announce, encode_block, encode_end_of_rib,
    encode_withdraw,
};
pub use refresh::{RefreshSubtype, RouteRefresh};
pub use update::{Announce, DecodeContext, Update, decode_attributes, decode_update};

/// Octets of the header.
pub const HEADER_LEN: usize = 19;
/// Largest message without RFC 8654.
pub const MESSAGE_LEN_MAX: usize = 4096;
/// Largest message with RFC 8654.
pub const EXTENDED_MESSAGE_LEN_MAX: usize = 65535;
/// The number that stands for an AS that does not fit two octets, RFC 6793 §9.
pub const AS_TRANS: u16 = 23456;
/// The TCP port of BGP.
pub const PORT: u16 = 179;

/// A whole KEEPALIVE message, RFC 4271 §4.4.
pub const KEEPALIVE: [u8; HEADER_LEN] = {
    let mut message = [0xff; HEADER_LEN];
    message[16] = 0;
    message[17] = 19;
    message[18] = 4;
    message
};

/// The type octet of the header, RFC 4271 §4.1 and RFC 2918 §3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MessageType {
    /// 1
    Open,
    /// 2
    Update,
    /// 3
    Notification,
    /// 4
    Keepalive,
    /// 5
    RouteRefresh,
}

impl MessageType {
    /// `None` for a type this suite does not know.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Open),
            2 => Some(Self::Update),
            3 => Some(Self::Notification),
            4 => Some(Self::Keepalive),
            5 => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// The octet on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    /// The shortest legal message of this type, header included (RFC 4271 §6.1, RFC 2918 §3).
    pub const fn len_min(self) -> usize {
        match self {
            Self::Open => 29,
            Self::Update => 23,
            Self::Notification => 21,
            Self::Keepalive => 19,
            Self::RouteRefresh => 23,
        }
    }
}

/// Starts a message in `out`; the length is filled in by [`finish_message`]. Returns its start.
pub(crate) fn start_message(kind: MessageType, out: &mut bytes::BytesMut) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0xff; 16]);
    out.extend_from_slice(&[0, 0, kind.code()]);
    start
}

/// Writes the length of the message that began at `start`. Callers keep messages under 64 KiB; a
/// longer one would get a saturated length instead of a wrapped one.
pub(crate) fn finish_message(start: usize, out: &mut bytes::BytesMut) {
    let len = u16::try_from(out.len().saturating_sub(start)).unwrap_or(u16::MAX);
    put_u16_at(out, start + 16, len);
}

/// Overwrites two octets written before.
pub(crate) fn put_u16_at(out: &mut bytes::BytesMut, at: usize, value: u16) {
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}
