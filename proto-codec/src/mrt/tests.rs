//! Records built by hand: what each form yields, and that no truncation or bit flip stops a reader.

use super::*;

fn header(kind: u16, subtype: u16) -> Header {
    Header {
        time_s: 0,
        kind,
        subtype,
        len: 0,
    }
}

fn update_body(attributes: &[u8], announced: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0];
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(announced);
    body
}

/// A BGP4MP message of the two-octet form around a BGP message body.
fn bgp4mp(kind: u8, message: &[u8]) -> Vec<u8> {
    let mut body = vec![0xfd, 0xe9, 0xfd, 0xea, 0, 0, 0, 1, 10, 0, 0, 1, 10, 0, 0, 2];
    body.extend([0xff; 16]);
    body.extend(u16::try_from(message.len() + 19).unwrap().to_be_bytes());
    body.push(kind);
    body.extend(message);
    body
}

fn sample_update() -> Vec<u8> {
    // ORIGIN EGP; AS_PATH 65001 AS_TRANS; NEXT_HOP; AS4_PATH 100000.
    let attributes = [
        &[0x40, 1, 1, 1][..],
        &[0x40, 2, 6, 2, 2, 0xfd, 0xe9, 0x5b, 0xa0],
        &[0x40, 3, 4, 10, 0, 0, 9],
        &[0xc0, 17, 6, 2, 1, 0, 1, 0x86, 0xa0],
    ]
    .concat();
    bgp4mp(2, &update_body(&attributes, &[24, 203, 0, 113]))
}

fn update_of(record: Record<'_>) -> Update {
    match record {
        Record::Message(Message {
            body: Body::Update(update),
            ..
        }) => *update,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_update_is_read_and_its_as4_path_merged() {
    // RFC 6793 §4.2.3: the leading ASes that AS4_PATH does not cover, then AS4_PATH.
    let body = sample_update();
    let update = update_of(decode(&header(16, 1), &body).unwrap());
    let path = update.attributes.as_path.as_ref().unwrap();
    let asns: Vec<u32> = path
        .segments()
        .flat_map(|segment| segment.unwrap().1)
        .collect();
    assert_eq!(asns, [65001, 100_000]);
    assert_eq!(update.attributes.origin, Some(1));
    assert_eq!(update.announced[0].len, 24);
    assert!(update.attributes.has(17));
}

#[test]
fn the_frame_is_the_message_from_its_marker() {
    let body = bgp4mp(4, &[]);
    let Record::Message(message) = decode(&header(16, 1), &body).unwrap() else {
        panic!()
    };
    assert_eq!(message.frame.len(), 19);
    assert_eq!(message.body, Body::Keepalive);
    assert_eq!(message.peer.to_string(), "10.0.0.1");
    assert_eq!(message.local_asn, 65002);
}

#[test]
fn an_abbreviated_next_hop_is_told_from_a_full_one() {
    // RFC 6396 §4.3.4: only length and next hop are there.
    let next_hop = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut attributes = vec![0x80, 14, 17, 16];
    attributes.extend(next_hop);
    let mut body = vec![0, 0, 0, 7, 32, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 9];
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(&attributes);
    let Record::Rib(rib) = decode(&header(13, 4), &body).unwrap() else {
        panic!()
    };
    assert_eq!(rib.sequence, 7);
    let reach = rib.entries[0].attributes.reach_of(2, 1).unwrap();
    assert_eq!(reach.next_hop.unwrap().to_string(), "2001:db8::1");
    assert!(reach.nlri.is_empty());
}

#[test]
fn peers_have_addresses_and_as_numbers_of_both_widths() {
    let mut body = vec![10, 0, 0, 9, 0, 1, b'v', 0, 2];
    body.extend([0, 1, 1, 1, 1, 10, 0, 0, 1, 0xfd, 0xe9]);
    body.extend([3, 2, 2, 2, 2]);
    body.extend([
        0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x86, 0xa0,
    ]);
    let Record::PeerIndex(table) = decode(&header(13, 1), &body).unwrap() else {
        panic!()
    };
    assert_eq!(table.view, "v");
    let peers: Vec<_> = table
        .peers
        .iter()
        .map(|peer| (peer.address.to_string(), peer.asn))
        .collect();
    assert_eq!(
        peers,
        [
            ("10.0.0.1".to_owned(), 65001),
            ("2001:db8::2".to_owned(), 100_000)
        ]
    );
}

#[test]
fn an_open_without_addresses_is_read_as_zebra_meant_it() {
    let mut body = vec![0xfd, 0xe9, 0xfd, 0xea];
    body.extend([0xff; 16]);
    body.extend([0, 29, 1, 4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1, 0]);
    let Record::Message(message) = decode(&header(16, 1), &body).unwrap() else {
        panic!()
    };
    assert_eq!(message.body, Body::Open);
    assert_eq!(message.peer.to_string(), "0.0.0.0");
}

#[test]
fn what_cannot_be_placed_is_refused_with_its_offset() {
    let error = |kind, subtype, body: &[u8]| decode(&header(kind, subtype), body).unwrap_err();
    assert_eq!(error(99, 0, &[]).kind, MrtErrorKind::Type(99));
    assert_eq!(error(16, 77, &[]).kind, MrtErrorKind::Subtype(77));
    let mut body = bgp4mp(2, &[]);
    body[16] = 0;
    assert_eq!(
        error(16, 1, &body),
        MrtError {
            kind: MrtErrorKind::Marker,
            offset: 16
        }
    );
    let refresh = bgp4mp(5, &[0, 1, 0, 1]);
    assert_eq!(
        error(16, 1, &refresh),
        MrtError {
            kind: MrtErrorKind::MessageType(5),
            offset: 34
        }
    );
    assert_eq!(error(16, 0, &[0; 21]).kind, MrtErrorKind::AddressFamily(0));
}

#[test]
fn no_truncation_and_no_bit_flip_stops_the_reader() {
    let update = sample_update();
    for len in 0..update.len() {
        let _ = decode(&header(16, 1), &update[..len]);
        let _ = decode(&header(16, 9), &update[..len]);
        for kind in [5, 12, 13] {
            for subtype in 0..12 {
                let _ = decode(&header(kind, subtype), &update[..len]);
            }
        }
    }
    for bit in 0..update.len() * 8 {
        let mut flipped = update.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = decode(&header(16, 1), &flipped);
        let _ = decode(&header(16, 4), &flipped);
    }
}
