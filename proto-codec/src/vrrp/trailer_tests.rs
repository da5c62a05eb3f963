//! The wire images of the draft's appendix, and every octet of them changed.

use std::time::Duration;

use super::super::{Advert, Auth, ChecksumForm, Draft};
use super::*;

/// Key 00 to 1f, vrid 51, priority 200, sequence 0x6800000080000000; over IPv4 from 198.51.100.10
/// with the checksum of RFC 9568, over IPv6 from fe80::10 to fe80::20.
const IPV4: &str = "3133c80100644402c0000264010100006800000080000000\
                    1b84bc4e8e43892dc6d98448f8ee2265";
const IPV6: &str = "3133c8010064a2e9fe800000000000000000000000000100010100006800000080000000\
                    c8c56146ebfd66ee10ec4d8186461b78";
const SEQUENCE: u64 = 0x6800_0000_8000_0000;

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|one| u8::try_from(one.to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn key() -> Vec<u8> {
    (0..32).collect()
}

fn envelope(source: &str, destination: &str) -> Envelope {
    Envelope {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        hop_limit: 255,
    }
}

fn images() -> [(Vec<u8>, Envelope, IpAddr); 2] {
    [
        (
            octets(IPV4),
            envelope("198.51.100.10", "224.0.0.18"),
            "192.0.2.100".parse().unwrap(),
        ),
        (
            octets(IPV6),
            envelope("fe80::10", "fe80::20"),
            "fe80::100".parse().unwrap(),
        ),
    ]
}

#[test]
fn the_images_of_the_draft_are_read_and_written() {
    for (image, envelope, address) in images() {
        let (advert, trailer) = Advert::decode_signed(&image, &envelope).unwrap();
        let trailer = trailer.expect("a trailer");
        assert_eq!((advert.vrid, advert.priority), (51, 200));
        assert_eq!((trailer.key_id, trailer.sequence), (1, SEQUENCE));
        assert!(trailer.is_well_formed());
        assert!(trailer.verify(&key(), Version::V3, 51, envelope.source));

        let addresses = [address];
        let draft = Draft {
            version: Version::V3,
            vrid: 51,
            priority: 200,
            interval: Duration::from_secs(1),
            auth: Auth::None,
            checksum: ChecksumForm::Rfc9568,
            addresses: &addresses,
        };
        let key = key();
        let stamp = Stamp {
            key_id: 1,
            key: &key,
            sequence: SEQUENCE,
        };
        let mut out = vec![0xee; 3];
        Advert::encode(&draft, &envelope, &mut out);
        sign(&mut out, 3, Version::V3, &envelope, &stamp);
        assert_eq!(out[3..], image);
    }
}

/// Whatever is changed on the way is seen: by the advert's own rungs, by the form of the trailer,
/// by an unknown key, or by the code. Only the checksum may differ, as the kernel writes it.
#[test]
fn no_octet_can_be_changed() {
    for (image, envelope, _) in images() {
        for at in 0..image.len() {
            let mut changed = image.clone();
            changed[at] ^= 1;
            // Somebody who tampers puts the checksum right.
            if !(CHECKSUM_AT..CHECKSUM_AT + 2).contains(&at) {
                let ends = match envelope.source.is_ipv6() {
                    true => image.len(),
                    false => image.len() - TRAILER_LEN,
                };
                changed[6..8].fill(0);
                let sum = match envelope.source.is_ipv6() {
                    true => checksum::with_pseudo_header(&changed[..ends], 0, &envelope),
                    false => checksum::plain(&changed[..ends], 0),
                };
                changed[6..8].copy_from_slice(&sum.to_be_bytes());
            }
            let accepted =
                Advert::decode_signed(&changed, &envelope).is_ok_and(|(advert, tail)| {
                    tail.is_some_and(|tail| {
                        tail.is_well_formed()
                            && tail.key_id == 1
                            && tail.verify(&key(), advert.version, 51, envelope.source)
                    })
                });
            assert!(!accepted, "octet {at} changed and nobody saw it");
        }
    }
}

#[test]
fn another_sender_router_or_key_does_not_verify() {
    for (image, envelope, address) in images() {
        let (_, trailer) = Advert::decode_signed(&image, &envelope).unwrap();
        let trailer = trailer.unwrap();
        assert!(!trailer.verify(&key(), Version::V3, 52, envelope.source));
        assert!(!trailer.verify(&key(), Version::V2, 51, envelope.source));
        assert!(!trailer.verify(&key(), Version::V3, 51, address));
        assert!(!trailer.verify(&[0; 32], Version::V3, 51, envelope.source));
    }
}

#[test]
fn without_keys_a_trailer_is_a_wrong_length() {
    for (image, envelope, _) in images() {
        let refused = Advert::decode(&image, &envelope);
        assert!(matches!(refused, Err(super::super::Flaw::Length { .. })));
        let cut = &image[..image.len() - 1];
        assert!(Advert::decode_signed(cut, &envelope).is_err());
    }
}
