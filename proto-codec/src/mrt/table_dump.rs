//! Tables in an archive: TABLE_DUMP (RFC 6396 §4.2) and TABLE_DUMP_V2 (§4.3, RFC 8050 §4).
//!
//! The old form holds one path per record; AS numbers are two octets wide, or four in the
//! subtypes 3 and 4 that some collectors wrote before version 2 existed. The new form holds a
//! prefix with all of its paths; each path names its peer by the number it has in the PEER_INDEX
//! record at the start of the file, and AS numbers are always four octets wide.
//!
//! RIB_GENERIC and the multicast tables are refused as unknown subtypes: nothing in the suite
//! speaks those families.

use std::net::{IpAddr, Ipv4Addr};

use super::attributes::{Attributes, Form};
use super::cursor::Cursor;
use super::{MrtError, MrtErrorKind, Record};

/// One path of a table (TABLE_DUMP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDump {
    /// Number of the view.
    pub view: u16,
    /// Number of the record; wraps.
    pub sequence: u16,
    /// Address of the prefix.
    pub prefix: IpAddr,
    /// Its length; not judged.
    pub prefix_len: u8,
    /// When the path was received.
    pub originated_s: u32,
    /// The peer it came from.
    pub peer: IpAddr,
    /// Its AS.
    pub peer_asn: u32,
    /// The record is one of the subtypes with four-octet AS numbers.
    pub four_octet_as: bool,
    /// Its attributes.
    pub attributes: Attributes,
}

/// The peers of a table (PEER_INDEX_TABLE).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIndexTable {
    /// BGP identifier of the collector.
    pub collector: Option<Ipv4Addr>,
    /// Name of the view; often empty.
    pub view: String,
    /// The peers, by number.
    pub peers: Vec<PeerEntry>,
}

/// A peer of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerEntry {
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: u32,
}

/// A prefix with its paths (RIB_IPV4_UNICAST, RIB_IPV6_UNICAST and their ADD-PATH forms).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RibPrefix {
    /// Number of the record.
    pub sequence: u32,
    /// Address of the prefix.
    pub prefix: IpAddr,
    /// Its length; not judged.
    pub prefix_len: u8,
    /// The record is one of the ADD-PATH subtypes.
    pub add_path: bool,
    /// Its paths.
    pub entries: Vec<RibEntry>,
}

/// A path of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RibEntry {
    /// Number of the peer in the [`PeerIndexTable`].
    pub peer_index: u16,
    /// When the path was received.
    pub originated_s: u32,
    /// Path identifier, in the ADD-PATH forms.
    pub path_id: Option<u32>,
    /// Its attributes.
    pub attributes: Attributes,
}

pub(super) fn decode_v1(subtype: u16, body: &[u8]) -> Result<TableDump, MrtError> {
    let (is_ipv6, four_octet_as) = match subtype {
        1 => (false, false),
        2 => (true, false),
        3 => (false, true),
        4 => (true, true),
        other => return Err(MrtError::new(MrtErrorKind::Subtype(other), 0)),
    };
    let mut cursor = Cursor::new(body);
    let view = cursor.u16();
    let sequence = cursor.u16();
    let prefix = cursor.ip(is_ipv6);
    let prefix_len = cursor.u8();
    let _status = cursor.u8();
    let originated_s = cursor.u32();
    let peer = cursor.ip(is_ipv6);
    let peer_asn = cursor.asn(four_octet_as);
    let attributes = Attributes::decode(
        &mut cursor,
        Form {
            four_octet_as,
            add_path: false,
        },
    );
    Ok(TableDump {
        view,
        sequence,
        prefix,
        prefix_len,
        originated_s,
        peer,
        peer_asn,
        four_octet_as,
        attributes,
    })
}

pub(super) fn decode_v2<'a>(subtype: u16, body: &[u8]) -> Result<Record<'a>, MrtError> {
    match subtype {
        1 => Ok(Record::PeerIndex(decode_peers(body))),
        2 => Ok(Record::Rib(decode_rib(body, false, false))),
        4 => Ok(Record::Rib(decode_rib(body, true, false))),
        8 => Ok(Record::Rib(decode_rib(body, false, true))),
        10 => Ok(Record::Rib(decode_rib(body, true, true))),
        other => Err(MrtError::new(MrtErrorKind::Subtype(other), 0)),
    }
}

fn decode_peers(body: &[u8]) -> PeerIndexTable {
    let mut cursor = Cursor::new(body);
    let collector = Some(cursor.ipv4());
    let view_len = usize::from(cursor.u16());
    let view = String::from_utf8_lossy(cursor.take(view_len)).into_owned();
    let count = cursor.u16();
    let mut peers = Vec::new();
    for _ in 0..count {
        if cursor.is_empty() {
            break;
        }
        let kind = cursor.u8();
        let router_id = cursor.ipv4();
        let address = cursor.ip(kind & 1 != 0);
        let asn = cursor.asn(kind & 2 != 0);
        peers.push(PeerEntry {
            router_id,
            address,
            asn,
        });
    }
    PeerIndexTable {
        collector,
        view,
        peers,
    }
}

fn decode_rib(body: &[u8], is_ipv6: bool, add_path: bool) -> RibPrefix {
    let mut cursor = Cursor::new(body);
    let sequence = cursor.u32();
    let prefix_len = cursor.u8();
    let mut octets = [0; 16];
    let present = cursor.take(usize::from(prefix_len.div_ceil(8)));
    for (to, from) in octets.iter_mut().zip(present) {
        *to = *from;
    }
    let prefix = Cursor::new(&octets).ip(is_ipv6);
    let count = cursor.u16();
    let mut entries = Vec::new();
    for _ in 0..count {
        if cursor.is_empty() {
            break;
        }
        let peer_index = cursor.u16();
        let originated_s = cursor.u32();
        let path_id = add_path.then(|| cursor.u32());
        let form = Form {
            four_octet_as: true,
            add_path,
        };
        let attributes = Attributes::decode(&mut cursor, form);
        entries.push(RibEntry {
            peer_index,
            originated_s,
            path_id,
            attributes,
        });
    }
    RibPrefix {
        sequence,
        prefix,
        prefix_len,
        add_path,
        entries,
    }
}
