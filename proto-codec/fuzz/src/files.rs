//! What must hold for any octets of an archive, a capture or a control connection: shared by the
//! fuzz targets and the property tests.
//!
//! Readers of files are tolerant, so "refused" is rarely the answer; what must hold is that
//! nothing is made up: no more prefixes than octets to hold them, no more payload than was pushed,
//! and a request that is understood means the same when it is written again.

use std::collections::BTreeMap;

use proto_codec::control::{Reply, Request, frame};
use proto_codec::mrt::{self, Attributes, Body, Header, Record};
use proto_codec::pcap::{Capture, Stream, segment};

/// Any octets as a record body; the first two choose type and subtype.
pub fn archive(data: &[u8]) {
    let [kind, subtype, body @ ..] = data else {
        return;
    };
    let kind = [5, 12, 13, 16, 17][usize::from(kind % 5)];
    let header = Header {
        time_s: 0,
        kind,
        subtype: u16::from(subtype % 13),
        len: 0,
    };
    match mrt::decode(&header, body) {
        Ok(Record::TableDump(route)) => attributes(&route.attributes, body.len()),
        Ok(Record::PeerIndex(table)) => assert!(table.peers.len() <= body.len()),
        Ok(Record::Rib(rib)) => {
            assert!(rib.entries.len() <= body.len());
            for entry in &rib.entries {
                attributes(&entry.attributes, body.len());
            }
        }
        Ok(Record::StateChange(_)) => {}
        Ok(Record::Message(message)) => {
            assert!(message.frame.len() <= body.len());
            if let Body::Update(update) = &message.body {
                assert!(update.announced.len() + update.withdrawn.len() <= body.len());
                attributes(&update.attributes, body.len());
            }
        }
        Err(error) => assert!(error.offset <= body.len(), "{error}"),
    }
}

fn attributes(attributes: &Attributes, len: usize) {
    let prefixes: usize = attributes.reach.iter().map(|reach| reach.nlri.len()).sum();
    assert!(prefixes <= len);
    if let Some(path) = &attributes.as_path {
        let asns: usize = path
            .segments()
            .flatten()
            .map(|segment| segment.1.len())
            .sum();
        assert!(asns <= len);
        assert_eq!(
            path.is_well_formed(),
            path.segments().all(|segment| segment.is_some())
        );
    }
}

/// Any octets as a capture file.
pub fn capture(data: &[u8]) {
    let mut capture = Capture::new();
    let mut streams: BTreeMap<_, Stream> = BTreeMap::new();
    let (mut pushed, mut out) = (0, 0);
    for octets in data.chunks(97) {
        capture.push(octets);
        while let Ok(Some(packet)) = capture.next_packet() {
            assert!(packet.data.len() <= data.len());
            let Some(found) = segment(packet.link, &packet.data) else {
                continue;
            };
            pushed += found.payload.len();
            let stream = streams
                .entry((found.source, found.destination))
                .or_default();
            let chunks = stream.push(found.sequence, found.syn, found.payload);
            out += chunks.iter().map(|chunk| chunk.data.len()).sum::<usize>();
        }
    }
    for stream in streams.values_mut() {
        out += stream
            .finish()
            .iter()
            .map(|chunk| chunk.data.len())
            .sum::<usize>();
    }
    assert!(out <= pushed, "{out} octets out of {pushed}");
}

/// Any octets on a control connection.
pub fn control(data: &[u8]) {
    let Ok(Some((body, used))) = frame::split(data) else {
        return;
    };
    assert_eq!(used, body.len() + frame::LENGTH_LEN);
    if let Ok(request) = frame::decode::<Request>(body) {
        let mut wire = Vec::new();
        frame::encode(&request, &mut wire).expect("a request that was read fits a frame");
        let (body, _) = frame::split(&wire).expect("ours").expect("whole");
        assert_eq!(frame::decode::<Request>(body).expect("ours"), request);
    }
    let _ = frame::decode::<Reply>(body);
}
