//! What a connection is to send next: messages of the session first, then UPDATEs.
//!
//! The tables hand out segments of whole messages, shared by all neighbors of an update group.
//! They are counted here, message by message, because a neighbor whose socket takes nothing shows
//! in what was handed out and not written. End-of-RIB comes as a segment of its own, and is kept
//! back while the objects of a cluster are not known (see `complete`).

use bytes::Bytes;
use proto_codec::afi::Family;
use proto_codec::bgp::HEADER_LEN;

use super::Speaker;
use super::port::ConnId;

impl Speaker {
    /// The next bytes for a connection: messages of the session first, then UPDATEs.
    pub fn poll_transmit(&mut self, key: ConnId) -> Option<Bytes> {
        let conn = self.conns.get_mut(key)?;
        let entry = self.peers.get_mut(conn.slot)?;
        if let Some(message) = entry.peer.poll_transmit(key) {
            return Some(message);
        }
        let up = entry.up.as_mut().filter(|up| up.conn == key)?;
        while let Some(segment) = self.rib.poll_transmit(conn.slot) {
            let told = messages_of(&segment);
            let ends = told.end_of_rib.into_iter().flatten();
            if self.holds_end_of_rib && told.is_end_of_rib() {
                ends.for_each(|family| up.hold_end_of_rib(family));
                continue;
            }
            conn.updates_out += told.count;
            ends.for_each(|family| up.note_end_of_rib_sent(family));
            return Some(segment);
        }
        if self.holds_end_of_rib {
            return None;
        }
        let message = up.take_end_of_rib()?;
        conn.updates_out += 1;
        Some(message)
    }
}

/// What a segment of whole messages holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Messages {
    count: u64,
    end_of_rib: [Option<Family>; 2],
}

impl Messages {
    /// One message, and it is End-of-RIB: the tables put it into a segment of its own.
    fn is_end_of_rib(&self) -> bool {
        self.count == 1 && self.end_of_rib.iter().any(Option::is_some)
    }
}

/// Bodies of End-of-RIB (RFC 4724 §2): an empty UPDATE, and an empty MP_UNREACH_NLRI.
const END_OF_RIB: [(Family, &[u8]); 2] = [
    (Family::Ipv4Unicast, &[0, 0, 0, 0]),
    (Family::Ipv6Unicast, &[0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]),
];

fn messages_of(mut segment: &[u8]) -> Messages {
    let mut messages = Messages::default();
    while let Some([hi, lo]) = segment.get(16..18) {
        let len = usize::from(u16::from_be_bytes([*hi, *lo])).max(HEADER_LEN);
        messages.count += 1;
        let body = segment.get(HEADER_LEN..len);
        for (slot, (family, end)) in messages.end_of_rib.iter_mut().zip(END_OF_RIB) {
            if body == Some(end) {
                *slot = Some(family);
            }
        }
        segment = segment.get(len..).unwrap_or_default();
    }
    messages
}
