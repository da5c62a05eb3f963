//! Octets by hand, every refusal with its reason, and what the announcements look like.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::announce::announcement;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v4() -> Envelope {
    Envelope::multicast(ip("10.0.0.1"))
}

fn v6() -> Envelope {
    Envelope::multicast(ip("fe80::1"))
}

fn draft(addresses: &[IpAddr]) -> Draft<'_> {
    Draft {
        version: Version::V3,
        vrid: 5,
        priority: 200,
        interval: Duration::from_millis(1000),
        auth: Auth::None,
        checksum: ChecksumForm::Rfc5798,
        addresses,
    }
}

fn encode(draft: &Draft<'_>, envelope: &Envelope) -> Vec<u8> {
    let mut out = Vec::new();
    Advert::encode(draft, envelope, &mut out);
    out
}

/// Puts the right checksum into a message that was changed by hand.
fn resum(message: &mut [u8], envelope: &Envelope) {
    let version_2 = message[0] >> 4 == 2;
    message[6..8].copy_from_slice(&[0, 0]);
    let sum = match version_2 {
        true => checksum::plain(message, 0),
        false => checksum::with_pseudo_header(message, 0, envelope),
    };
    message[6..8].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn both_readings_of_the_checksum_are_written_and_told_apart() {
    let addresses = [ip("10.0.0.50")];
    // With the pseudo header: ea8f of the pseudo header, 1039c of the message.
    let with = encode(&draft(&addresses), &v4());
    assert_eq!(with, [0x31, 5, 200, 1, 0, 100, 0x11, 0xd3, 10, 0, 0, 50]);
    let mut draft = draft(&addresses);
    draft.checksum = ChecksumForm::Rfc9568;
    let without = encode(&draft, &v4());
    assert_eq!(without[6..8], [0xfc, 0x62]);
    for (message, form) in [
        (with, ChecksumForm::Rfc5798),
        (without, ChecksumForm::Rfc9568),
    ] {
        let advert = Advert::decode(&message, &v4()).unwrap();
        assert_eq!(advert.checksum, form);
        assert_eq!(advert.interval, Duration::from_secs(1));
        assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), addresses);
    }
}

#[test]
fn version_2_carries_its_word_under_the_checksum() {
    let addresses = [ip("10.0.0.50"), ip("10.0.0.51")];
    let draft = Draft {
        version: Version::V2,
        auth: Auth::Pass(*b"secret\0\0"),
        ..draft(&addresses)
    };
    let message = encode(&draft, &v4());
    assert_eq!(message[..6], [0x21, 5, 200, 2, 1, 1]);
    assert_eq!(&message[16..], b"secret\0\0");
    let advert = Advert::decode(&message, &v4()).unwrap();
    assert_eq!(advert.auth, Auth::Pass(*b"secret\0\0"));
    assert_eq!(advert.interval, Duration::from_secs(1));
    let mut other = message.clone();
    other[16] = b'S';
    let flaw = Advert::decode(&other, &v4()).unwrap_err();
    assert_eq!(flaw.name(), "checksum");
}

#[test]
fn an_ipv6_list_needs_its_pseudo_header_and_a_link_local_head() {
    let addresses = [ip("fe80::50"), ip("2001:db8::50")];
    let message = encode(&draft(&addresses), &v6());
    assert_eq!(message.len(), 40);
    let advert = Advert::decode(&message, &v6()).unwrap();
    assert_eq!(advert.addresses.len(), 2);
    let elsewhere = Envelope {
        source: ip("fe80::2"),
        ..v6()
    };
    assert_eq!(
        Advert::decode(&message, &elsewhere).unwrap_err().name(),
        "checksum"
    );
    let message = encode(&draft(&addresses[1..]), &v6());
    let flaw = Advert::decode(&message, &v6()).unwrap_err();
    assert_eq!(flaw.name(), "not-link-local");
    // Between unicast peers no link is shared.
    let unicast = Envelope {
        destination: ip("2001:db8::2"),
        ..v6()
    };
    let message = encode(&draft(&addresses[1..]), &unicast);
    assert!(Advert::decode(&message, &unicast).is_ok());
}

#[test]
fn each_refusal_has_its_reason() {
    let addresses = [ip("10.0.0.50")];
    let good = encode(&draft(&addresses), &v4());
    let two = encode(
        &Draft {
            version: Version::V2,
            ..draft(&addresses)
        },
        &v4(),
    );
    let changed = |from: &[u8], at: usize, to: u8| {
        let mut message = from.to_vec();
        message[at] = to;
        resum(&mut message, &v4());
        message
    };
    let cases: [(Vec<u8>, &str); 13] = [
        (good[..7].to_vec(), "truncated"),
        (changed(&good, 0, 0x41), "version"),
        (changed(&good, 0, 0x32), "type"),
        (changed(&good, 3, 0), "no-addresses"),
        (changed(&good, 3, 2), "length"),
        ([&good[..], &[0; 4]].concat(), "length"),
        // The length of keepalived's trailer, which is not spoken here.
        ([&good[..], &[0; 28]].concat(), "length"),
        ([&good[..6], &[0, 0], &good[8..]].concat(), "checksum"),
        (changed(&good, 5, 0), "zero-interval"),
        (changed(&two, 4, 2), "auth-type"),
        (changed(&two, 4, 9), "auth-type"),
        (two[..two.len() - 8].to_vec(), "length"),
        (changed(&two, 0, 0x31), "length"),
    ];
    for (message, reason) in cases {
        let flaw = Advert::decode(&message, &v4()).unwrap_err();
        assert_eq!(flaw.name(), reason, "{flaw}: {message:02x?}");
    }
    let two6 = Advert::decode(&two, &v6()).unwrap_err();
    assert_eq!(two6, Flaw::Version(2));
}

#[test]
fn reserved_bits_are_ignored() {
    let addresses = [ip("10.0.0.50")];
    let mut message = encode(&draft(&addresses), &v4());
    message[4] |= 0xf0;
    resum(&mut message, &v4());
    let advert = Advert::decode(&message, &v4()).unwrap();
    assert_eq!(advert.interval, Duration::from_secs(1));
}

#[test]
fn intervals_stay_in_the_range_of_the_version() {
    let addresses = [ip("10.0.0.50")];
    let sent = |version, ms| {
        let draft = Draft {
            version,
            interval: Duration::from_millis(ms),
            ..draft(&addresses)
        };
        let message = encode(&draft, &v4());
        Advert::decode(&message, &v4())
            .unwrap()
            .interval
            .as_millis()
    };
    assert_eq!(sent(Version::V3, 10), 10);
    assert_eq!(sent(Version::V3, 0), 10);
    assert_eq!(sent(Version::V3, 40_950), 40_950);
    assert_eq!(sent(Version::V3, 50_000), 40_950);
    assert_eq!(sent(Version::V2, 100), 1000);
    assert_eq!(sent(Version::V2, 300_000), 255_000);
}

#[test]
fn a_full_list_is_written_and_read() {
    let many: Vec<IpAddr> = (0..300u32)
        .map(|n| Ipv4Addr::from(0x0a00_0100 + n).into())
        .collect();
    let message = encode(&draft(&many), &v4());
    let advert = Advert::decode(&message, &v4()).unwrap();
    assert_eq!(advert.addresses.len(), ADDRESSES_MAX);
    assert!(advert.addresses.iter().eq(many[..255].iter().copied()));
}

#[test]
fn a_new_master_is_announced_in_both_families() {
    let mac = virtual_mac(5, false);
    let mut arp = Vec::new();
    announcement(ip("10.0.0.50"), mac, &mut arp);
    assert_eq!(arp.len(), 42);
    assert_eq!(arp[..6], [0xff; 6]);
    assert_eq!(arp[6..12], mac);
    assert_eq!(arp[28..32], arp[38..42], "sender is target");
    let mut na = Vec::new();
    announcement(ip("2001:db8::50"), virtual_mac(5, true), &mut na);
    assert_eq!(na.len(), 14 + 40 + 32);
    assert_eq!(na[14 + 40], 136);
    // Router and Override, not Solicited.
    assert_eq!(na[14 + 40 + 4], 0xa0);
    let pseudo = checksum::icmpv6(
        &na[54..],
        ("2001:db8::50".parse().unwrap(), "ff02::1".parse().unwrap()),
        58,
    );
    assert!(checksum::same(pseudo, 0), "a right sum cancels itself");
}

/// Only 0 and 0xffff mean the same sum. Found by fuzzing: the complement of the right checksum was
/// taken for it.
#[test]
fn the_complement_of_the_checksum_is_wrong() {
    let addresses = [ip("10.0.0.50")];
    for checksum in [ChecksumForm::Rfc5798, ChecksumForm::Rfc9568] {
        let mut message = encode(
            &Draft {
                checksum,
                ..draft(&addresses)
            },
            &v4(),
        );
        message[6] ^= 0xff;
        message[7] ^= 0xff;
        let refused = Advert::decode(&message, &v4());
        assert!(matches!(refused, Err(Flaw::Checksum { .. })), "{refused:?}");
    }
    assert!(checksum::same(0, 0xffff) && checksum::same(0xffff, 0));
}
