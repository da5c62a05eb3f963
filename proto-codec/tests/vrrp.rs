//! VRRP adverts: any octets, every truncation, every flipped bit, the kept corpus, and Wireshark's
//! opinion of what we write.
//!
//! The checks over any octets are those of the fuzz target. tshark reads version 3 over IPv4 with
//! a pseudo header unless told otherwise, so it is asked twice. Skipped by name where it is not
//! installed.

#[path = "../fuzz/src/vrrp.rs"]
mod vrrp;

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use proptest::prelude::*;
use proto_codec::vrrp::{Advert, Auth, ChecksumForm, Draft, Envelope, PROTOCOL, Version};

fn any_address(ipv6: bool) -> BoxedStrategy<IpAddr> {
    match ipv6 {
        false => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        true => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    }
}

/// An envelope and a message for it, whatever the draft was.
fn any_message() -> impl Strategy<Value = (Envelope, Vec<u8>)> {
    let form = prop_oneof![Just(ChecksumForm::Rfc5798), Just(ChecksumForm::Rfc9568)];
    let parts = (any::<[u8; 2]>(), 1u64..4096, any::<bool>(), form);
    let lists = any::<bool>().prop_flat_map(|ipv6| {
        let list = prop::collection::vec(any_address(ipv6), 1..20);
        (any_address(ipv6), list)
    });
    (parts, lists, any::<bool>(), any::<[u8; 8]>()).prop_map(|(parts, lists, pass, word)| {
        let ([vrid, priority], units, two, checksum) = parts;
        let (source, mut addresses) = lists;
        let version = match two && source.is_ipv4() {
            true => Version::V2,
            false => Version::V3,
        };
        if source.is_ipv6() {
            addresses.insert(0, "fe80::50".parse().expect("an address"));
        }
        let interval = match version {
            Version::V2 => Duration::from_secs(units % 255 + 1),
            Version::V3 => Duration::from_millis(units * 10),
        };
        let auth = match (version, pass) {
            (Version::V2, true) => Auth::Pass(word),
            _ => Auth::None,
        };
        let draft = Draft {
            version,
            vrid,
            priority,
            interval,
            auth,
            checksum,
            addresses: &addresses,
        };
        let envelope = Envelope::multicast(source);
        let mut out = Vec::new();
        Advert::encode(&draft, &envelope, &mut out);
        let advert = Advert::decode(&out, &envelope).expect("what we write we read");
        assert_eq!((advert.vrid, advert.priority), (vrid, priority));
        assert_eq!((advert.interval, advert.auth), (interval, auth));
        assert!(advert.addresses.iter().eq(addresses.iter().copied()));
        (envelope, out)
    })
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(data in prop::collection::vec(any::<u8>(), 0..600)) {
        vrrp::advert(&data);
    }

    #[test]
    fn octets_that_begin_well_are_read_or_refused(
        head in prop::sample::select(vec![[0, 0x31], [1, 0x31], [0, 0x21]]),
        count in 0u8..4,
        rest in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        vrrp::advert(&[&head[..], &[1, 100, count], &rest].concat());
    }

    /// Truncated anywhere it is refused; with one bit flipped too, unless that bit is all that
    /// the two readings of the checksum disagree on.
    #[test]
    fn no_damage_is_believed(
        (envelope, message) in any_message(),
        bit in any::<prop::sample::Index>(),
    ) {
        for len in 0..message.len() {
            prop_assert!(Advert::decode(&message[..len], &envelope).is_err(), "cut at {}", len);
        }
        let at = bit.index(message.len() * 8);
        let mut damaged = message.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        let form = |message| Advert::decode(message, &envelope).map(|advert| advert.checksum);
        prop_assert_ne!(form(&damaged), form(&message), "bit {}", at);
    }
}

#[test]
fn the_corpus_still_passes() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/vrrp");
    let mut seeds = 0;
    for entry in std::fs::read_dir(dir).expect("the corpus is part of the source") {
        vrrp::advert(&std::fs::read(entry.expect("readable").path()).expect("readable"));
        seeds += 1;
    }
    assert!(seeds > 0, "{dir} is empty");
}

/// A capture of raw IP packets (link type 101) around the messages.
fn capture(messages: &[(Envelope, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, 101] {
        file.extend_from_slice(&word.to_be_bytes());
    }
    for (envelope, message) in messages {
        let mut packet = Vec::new();
        match (envelope.source, envelope.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let len = u16::try_from(20 + message.len()).expect("short");
                packet.extend_from_slice(&[0x45, 0xc0]);
                packet.extend_from_slice(&len.to_be_bytes());
                packet.extend_from_slice(&[0, 0, 0, 0, 255, PROTOCOL, 0, 0]);
                packet.extend_from_slice(&source.octets());
                packet.extend_from_slice(&destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let len = u16::try_from(message.len()).expect("short");
                packet.extend_from_slice(&[0x60, 0, 0, 0]);
                packet.extend_from_slice(&len.to_be_bytes());
                packet.extend_from_slice(&[PROTOCOL, 255]);
                packet.extend_from_slice(&source.octets());
                packet.extend_from_slice(&destination.octets());
            }
            _ => panic!("an envelope has one family"),
        }
        packet.extend_from_slice(message);
        let len = u32::try_from(packet.len()).expect("short");
        for word in [0, 0, len, len] {
            file.extend_from_slice(&word.to_be_bytes());
        }
        file.extend_from_slice(&packet);
    }
    file
}

/// Version, vrid, priority, checksum status and addresses as tshark sees them, a line per packet.
fn dissected(name: &str, messages: &[(Envelope, Vec<u8>)], like_v2: &str) -> Vec<String> {
    let file = format!("wayfare-vrrp-{}-{name}.pcap", std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, capture(messages)).expect("a temporary file");
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&path);
    command.args(["-o", &format!("vrrp.v3_checksum_as_in_v2:{like_v2}")]);
    command.args(["-T", "fields"]);
    for field in [
        "version",
        "virt_rtr_id",
        "prio",
        "checksum.status",
        "ip_addr",
        "ipv6_addr",
    ] {
        command.args(["-e", &format!("vrrp.{field}")]);
    }
    command.args(["-e", "_ws.expert.message"]);
    let output = command.output().expect("tshark runs");
    let _ = std::fs::remove_file(&path);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn wireshark_calls_every_advert_valid() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("SKIPPED wireshark_calls_every_advert_valid: tshark is not installed");
        return;
    }
    let v4: [IpAddr; 2] = [[10, 0, 0, 50].into(), [10, 0, 0, 51].into()];
    let v6: [IpAddr; 2] = ["fe80::50", "2001:db8::50"].map(|text| text.parse().expect("address"));
    let message = |version, auth, checksum, addresses: &[IpAddr]| {
        let source: IpAddr = match addresses[0].is_ipv4() {
            true => [10, 0, 0, 1].into(),
            false => "fe80::1".parse().expect("an address"),
        };
        let envelope = Envelope::multicast(source);
        let draft = Draft {
            version,
            vrid: 51,
            priority: 150,
            interval: Duration::from_secs(1),
            auth,
            checksum,
            addresses,
        };
        let mut out = Vec::new();
        Advert::encode(&draft, &envelope, &mut out);
        (envelope, out)
    };
    use ChecksumForm::{Rfc5798, Rfc9568};
    let pass = Auth::Pass(*b"secret\0\0");
    let usual = [
        message(Version::V2, Auth::None, Rfc5798, &v4),
        message(Version::V2, pass, Rfc5798, &v4),
        message(Version::V3, Auth::None, Rfc5798, &v4),
        message(Version::V3, Auth::None, Rfc5798, &v6),
    ];
    let list4 = "10.0.0.50,10.0.0.51";
    let expected = [
        format!("2\t51\t150\t1\t{list4}"),
        format!("2\t51\t150\t1\t{list4}"),
        format!("3\t51\t150\t1\t{list4}"),
        "3\t51\t150\t1\t\tfe80::50,2001:db8::50".to_owned(),
    ];
    let seen = dissected("usual", &usual, "FALSE");
    assert_eq!(seen, expected);
    let plain = [message(Version::V3, Auth::None, Rfc9568, &v4)];
    assert_eq!(dissected("plain", &plain, "TRUE"), [expected[2].clone()]);
}
