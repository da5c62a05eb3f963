//! Messages and state changes in an archive: BGP4MP (RFC 6396 §4.4, RFC 8050 §3) and the
//! deprecated BGP type (§B.2).
//!
//! ```text
//!  |         Peer AS number        |        Local AS number        |   two or four octets each
//!  |        Interface Index        |         Address Family        |
//!  |                         Peer IP address                       |   4 or 16 octets
//!  |                        Local IP address                       |
//!  |                    BGP message, or two states                 |
//! ```
//!
//! Two faults of early Zebra are read as what they mean: an OPEN without interface and addresses
//! (both fields are the first octets of the marker), and a state change of eight octets.

use std::net::{IpAddr, Ipv4Addr};

use super::attributes::{Attributes, Form, NlriPrefix, read_prefixes};
use super::cursor::Cursor;
use super::{MrtError, MrtErrorKind, Record};

const MARKER: [u8; 16] = [0xff; 16];
const BGP_HEADER_LEN: usize = 19;
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A session changed state. States are numbered as RFC 6396 §4.4.1 does: 1 Idle to 6 Established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The record is of the deprecated BGP type.
    pub legacy: bool,
    /// AS of the peer.
    pub peer_asn: u32,
    /// AS of the collector; 0 in the deprecated form, which has none.
    pub local_asn: u32,
    /// Address of the peer.
    pub peer: IpAddr,
    /// Address of the collector.
    pub local: IpAddr,
    /// State before.
    pub old: u16,
    /// State after.
    pub new: u16,
}

/// A BGP message and the session it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The record is of the deprecated BGP type.
    pub legacy: bool,
    /// The collector sent it (the LOCAL subtypes).
    pub sent: bool,
    /// NLRI carry path identifiers.
    pub add_path: bool,
    /// AS numbers in the message are four octets wide.
    pub four_octet_as: bool,
    /// AS of the peer.
    pub peer_asn: u32,
    /// AS of the collector.
    pub local_asn: u32,
    /// Address of the peer.
    pub peer: IpAddr,
    /// Address of the collector.
    pub local: IpAddr,
    /// The BGP message from its marker on; empty in the deprecated form, which has no header.
    pub frame: &'a [u8],
    /// The message.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An OPEN; read it from the frame.
    Open,
    /// An UPDATE.
    Update(Box<Update>),
    /// A NOTIFICATION; read it from the frame.
    Notification,
    /// A KEEPALIVE.
    Keepalive,
}

/// An UPDATE, read tolerantly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Withdrawn IPv4 prefixes of the classic field.
    pub withdrawn: Vec<NlriPrefix>,
    /// Attributes, the multiprotocol ones among them.
    pub attributes: Attributes,
    /// Announced IPv4 prefixes of the classic field.
    pub announced: Vec<NlriPrefix>,
}

impl Update {
    fn decode(cursor: &mut Cursor<'_>, form: Form) -> Self {
        let withdrawn_len = usize::from(cursor.u16());
        let withdrawn = read_prefixes(&mut cursor.sub(withdrawn_len), form.add_path);
        let attributes = Attributes::decode(cursor, form);
        let announced = read_prefixes(cursor, form.add_path);
        Self {
            withdrawn,
            attributes,
            announced,
        }
    }
}

/// What the subtypes of BGP4MP mean for a message.
#[derive(Clone, Copy)]
struct Shape {
    four_octet_as: bool,
    sent: bool,
    add_path: bool,
}

fn shape_of(subtype: u16) -> Option<Shape> {
    let (four_octet_as, sent, add_path) = match subtype {
        1 => (false, false, false),
        4 => (true, false, false),
        6 => (false, true, false),
        7 => (true, true, false),
        8 => (false, false, true),
        9 => (true, false, true),
        10 => (false, true, true),
        11 => (true, true, true),
        _ => return None,
    };
    Some(Shape {
        four_octet_as,
        sent,
        add_path,
    })
}

pub(super) fn decode(subtype: u16, body: &[u8]) -> Result<Record<'_>, MrtError> {
    match subtype {
        0 => decode_state(body, false).map(Record::StateChange),
        5 => decode_state(body, true).map(Record::StateChange),
        other => match shape_of(other) {
            Some(shape) => decode_message(body, shape).map(Record::Message),
            None => Err(MrtError::new(MrtErrorKind::Subtype(other), 0)),
        },
    }
}

fn is_ipv6(afi: u16, cursor: &Cursor<'_>) -> Result<bool, MrtError> {
    match afi {
        1 => Ok(false),
        2 => Ok(true),
        other => Err(MrtError::new(
            MrtErrorKind::AddressFamily(other),
            cursor.offset(),
        )),
    }
}

fn decode_state(body: &[u8], four_octet_as: bool) -> Result<StateChange, MrtError> {
    let mut cursor = Cursor::new(body);
    let peer_asn = cursor.asn(four_octet_as);
    let local_asn = cursor.asn(four_octet_as);
    let (mut peer, mut local) = (UNSPECIFIED, UNSPECIFIED);
    if body.len() != 8 {
        let _interface = cursor.u16();
        let afi = cursor.u16();
        let v6 = is_ipv6(afi, &cursor)?;
        let fits = if v6 { [44, 48] } else { [20, 24] };
        if !fits.contains(&body.len()) {
            return Err(MrtError::new(
                MrtErrorKind::Length(body.len()),
                cursor.offset(),
            ));
        }
        peer = cursor.ip(v6);
        local = cursor.ip(v6);
    }
    let (old, new) = (cursor.u16(), cursor.u16());
    Ok(StateChange {
        legacy: false,
        peer_asn,
        local_asn,
        peer,
        local,
        old,
        new,
    })
}

fn decode_message(body: &[u8], shape: Shape) -> Result<Message<'_>, MrtError> {
    let mut cursor = Cursor::new(body);
    let peer_asn = cursor.asn(shape.four_octet_as);
    let local_asn = cursor.asn(shape.four_octet_as);
    let before = cursor;
    let interface = cursor.u16();
    let afi = cursor.u16();
    let (mut peer, mut local) = (UNSPECIFIED, UNSPECIFIED);
    if afi == u16::MAX && interface == u16::MAX {
        // Zebra's OPEN: what was read is the marker already.
        cursor = before;
    } else {
        let v6 = is_ipv6(afi, &cursor)?;
        peer = cursor.ip(v6);
        local = cursor.ip(v6);
    }
    let start = cursor;
    if cursor.array::<16>() != MARKER {
        return Err(MrtError::new(MrtErrorKind::Marker, start.offset()));
    }
    let size = usize::from(cursor.u16());
    // A size below that of a header cannot be meant: read all there is.
    let rest = size.checked_sub(BGP_HEADER_LEN - 1).unwrap_or(usize::MAX);
    let frame = { start }.take(rest.saturating_add(BGP_HEADER_LEN - 1));
    let mut message = cursor.sub(rest);
    let form = Form {
        four_octet_as: shape.four_octet_as,
        add_path: shape.add_path,
    };
    let at = message.offset();
    let content = match message.u8() {
        1 => Body::Open,
        2 => Body::Update(Box::new(Update::decode(&mut message, form))),
        3 => Body::Notification,
        4 => Body::Keepalive,
        other => return Err(MrtError::new(MrtErrorKind::MessageType(other), at)),
    };
    let Shape {
        four_octet_as,
        sent,
        add_path,
    } = shape;
    Ok(Message {
        legacy: false,
        sent,
        add_path,
        four_octet_as,
        peer_asn,
        local_asn,
        peer,
        local,
        frame,
        body: content,
    })
}

/// Reads the deprecated type 5: subtypes 1 UPDATE, 3 state change, 7 KEEPALIVE; IPv4 only.
pub(super) fn decode_legacy(subtype: u16, body: &[u8]) -> Result<Record<'_>, MrtError> {
    let mut cursor = Cursor::new(body);
    let peer_asn = u32::from(cursor.u16());
    let peer = cursor.ip(false);
    if subtype == 3 {
        let (old, new) = (cursor.u16(), cursor.u16());
        let (local_asn, local) = (0, UNSPECIFIED);
        return Ok(Record::StateChange(StateChange {
            legacy: true,
            peer_asn,
            local_asn,
            peer,
            local,
            old,
            new,
        }));
    }
    let local_asn = u32::from(cursor.u16());
    let local = cursor.ip(false);
    let form = Form {
        four_octet_as: false,
        add_path: false,
    };
    let content = match subtype {
        1 => Body::Update(Box::new(Update::decode(&mut cursor, form))),
        7 => Body::Keepalive,
        other => return Err(MrtError::new(MrtErrorKind::Subtype(other), 0)),
    };
    Ok(Record::Message(Message {
        legacy: true,
        sent: false,
        add_path: false,
        four_octet_as: false,
        peer_asn,
        local_asn,
        peer,
        local,
        frame: &[],
        body: content,
    }))
}
