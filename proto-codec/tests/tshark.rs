//! Wireshark's opinion of what we write: no "Malformed", no warning, and the same reading.
//!
//! The messages are put into a capture file in the temporary directory, one TCP segment each, and
//! tshark dissects them. It must see every message with its type, complain about none, and read the
//! prefixes, paths and communities that went in. Skipped by name where tshark is not installed.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use bytes::BytesMut;
use proto_codec::bgp::capability::{
    AddPathMode, GracefulRestart, GracefulRestartFamily, LlgrFamily, Role,
};
use proto_codec::bgp::notification::CeaseSubcode;
use proto_codec::bgp::{
    AttrEdit, AttrSet, Capability, EncodeContext, KEEPALIVE, LargeCommunity, NextHop, Notification,
    Open, Origin, RefreshSubtype, RouteRefresh, encode_announce, encode_end_of_rib,
    encode_withdraw,
};
use proto_codec::{AfiSafi, Family, Prefix4, Prefix6, V4, V6};

/// A capture of raw IPv4 packets (link type 101), one per message, from port 179 to 40000.
fn capture(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 262_144, 101] {
        file.extend_from_slice(&word.to_be_bytes());
    }
    let mut sequence = 1u32;
    for (n, message) in messages.iter().enumerate() {
        let len = u16::try_from(40 + message.len()).unwrap();
        let mut packet = vec![0x45, 0];
        packet.extend_from_slice(&len.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        packet.extend_from_slice(&[0, 179, 0x9c, 0x40]);
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend_from_slice(message);
        let captured = u32::try_from(packet.len()).unwrap();
        for word in [u32::try_from(n).unwrap(), 0, captured, captured] {
            file.extend_from_slice(&word.to_be_bytes());
        }
        file.extend_from_slice(&packet);
        sequence += u32::from(len) - 40;
    }
    file
}

struct Dissected {
    path: std::path::PathBuf,
    asn_len: &'static str,
}

impl Dissected {
    fn new(name: &str, asn_len: &'static str, messages: &[Vec<u8>]) -> Self {
        let file = format!("wayfare-tshark-{}-{name}.pcap", std::process::id());
        let path = std::env::temp_dir().join(file);
        fs::write(&path, capture(messages)).unwrap();
        Self { path, asn_len }
    }

    /// Lines of the fields asked for, tab between fields, comma between values.
    fn fields(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        let mut command = Command::new("tshark");
        command
            .arg("-r")
            .arg(&self.path)
            .args(["-o", "tcp.analyze_sequence_numbers:FALSE"]);
        command.args(["-o", &format!("bgp.asn_len:{}", self.asn_len)]);
        command.args(["-Y", filter, "-T", "fields"]);
        command.args(fields.iter().flat_map(|field| ["-e", field]));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text.lines().map(str::to_owned).collect()
    }

    fn assert_no_complaint(&self, types: &[u8]) {
        let expected: Vec<String> = types.iter().map(u8::to_string).collect();
        assert_eq!(self.fields("bgp", &["bgp.type"]), expected);
        // 0x600000 is "warning".
        let filter = "_ws.malformed or _ws.expert.severity >= 0x600000";
        let complaints = self.fields(filter, &["frame.number", "_ws.expert.message"]);
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

impl Drop for Dissected {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn installed(test: &str) -> bool {
    let found = Command::new("tshark").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED {test}: tshark is not installed");
    }
    found
}

fn attributes() -> AttrSet {
    let hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let mut edit = AttrEdit::new(Origin::Egp, hop);
    edit.set_as_path(&[65200, 4_200_000_001])
        .set_med(Some(10))
        .set_local_pref(Some(150));
    edit.set_atomic_aggregate(true)
        .set_aggregator(4_200_000_001, Ipv4Addr::new(10, 0, 0, 9));
    edit.add_community(65200 << 16 | 100)
        .add_community(0xffff_ff01);
    edit.add_ext_community("RT:65200:7".parse().unwrap());
    edit.add_large_community(LargeCommunity {
        global: 4_200_000_001,
        local1: 1,
        local2: 2,
    });
    edit.set_originator_id(Ipv4Addr::new(10, 0, 0, 1));
    edit.prepend_cluster_list(Ipv4Addr::new(10, 0, 0, 2))
        .set_aigp(Some(77))
        .set_otc(Some(65200));
    edit.finish()
}

/// No default route: Wireshark would take its zero length for a path identifier's octet.
fn v4() -> [(u32, Prefix4); 3] {
    let prefix = |a, b, len| Prefix4::new(Ipv4Addr::new(a, b, 100, 0), len);
    [
        (11, prefix(198, 51, 24)),
        (12, prefix(203, 0, 24)),
        (13, prefix(10, 20, 25)),
    ]
}

fn v6() -> [(u32, Prefix6); 2] {
    let addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6);
    [(21, Prefix6::new(addr, 48)), (22, Prefix6::new(addr, 128))]
}

/// Announcements, withdrawals and End-of-RIB of both families.
fn updates(ctx: &EncodeContext) -> Vec<Vec<u8>> {
    let set = attributes();
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let link_local = Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    let set6 = set
        .edit()
        .set_next_hop(NextHop::V6 { global, link_local })
        .finish();
    let mut messages = Vec::new();
    let mut written = |write: &mut dyn FnMut(&mut BytesMut)| {
        let mut out = BytesMut::new();
        write(&mut out);
        messages.push(out.to_vec());
    };
    written(&mut |out| {
        let mut nlri = v4().into_iter().peekable();
        assert_eq!(encode_announce::<V4>(ctx, &set, &mut nlri, out), Ok(3));
    });
    written(&mut |out| {
        let mut nlri = v6().into_iter().peekable();
        assert_eq!(encode_announce::<V6>(ctx, &set6, &mut nlri, out), Ok(2));
    });
    written(&mut |out| {
        encode_withdraw::<V4>(ctx, &mut v4().into_iter().peekable(), out);
    });
    written(&mut |out| {
        encode_withdraw::<V6>(ctx, &mut v6().into_iter().peekable(), out);
    });
    for family in Family::ALL {
        written(&mut |out| encode_end_of_rib(family, out));
    }
    messages
}

fn open() -> Open {
    let (v4, v6) = (AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST);
    let family = |afi_safi| GracefulRestartFamily {
        afi_safi,
        forwarding: true,
    };
    Open {
        asn: 4_200_000_000,
        hold_time_s: 90,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        capabilities: vec![
            Capability::Multiprotocol(v4),
            Capability::Multiprotocol(v6),
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::ExtendedMessage,
            Capability::ExtendedNextHop(vec![(v4, 2)]),
            Capability::Role(Role::Customer),
            Capability::FourOctetAs(4_200_000_000),
            Capability::AddPath(vec![(v4, AddPathMode::Both), (v6, AddPathMode::Receive)]),
            Capability::GracefulRestart(GracefulRestart {
                restarting: false,
                notification: true,
                restart_time_s: 120,
                families: vec![family(v4), family(v6)],
            }),
            Capability::LongLivedGracefulRestart(vec![LlgrFamily {
                afi_safi: v4,
                forwarding: true,
                stale_time_s: 86400,
            }]),
            Capability::Fqdn {
                host: b"node1".to_vec(),
                domain: b"example.net".to_vec(),
            },
            Capability::SoftwareVersion(b"wayfare/0.1".to_vec()),
        ],
    }
}

#[test]
fn wireshark_reads_every_message_without_a_complaint() {
    if !installed("wireshark_reads_every_message_without_a_complaint") {
        return;
    }
    let inner = Notification::cease_with_message(CeaseSubcode::AdministrativeShutdown, "bye");
    let mut long = open();
    long.capabilities.push(Capability::Unknown {
        code: 201,
        value: vec![7; 200],
    });
    let refresh = |subtype| {
        RouteRefresh {
            afi_safi: AfiSafi::IPV6_UNICAST,
            subtype,
        }
        .to_bytes()
        .to_vec()
    };
    let mut messages = vec![
        open().to_bytes().to_vec(),
        long.to_bytes().to_vec(),
        KEEPALIVE.to_vec(),
        refresh(RefreshSubtype::Request),
        refresh(RefreshSubtype::Begin),
        refresh(RefreshSubtype::End),
    ];
    messages.extend(updates(&EncodeContext::default()));
    messages.push(inner.to_bytes().to_vec());
    messages.push(Notification::hold_timer_expired().to_bytes().to_vec());
    let dissected = Dissected::new("all", "4 octet", &messages);
    dissected.assert_no_complaint(&[1, 1, 4, 5, 5, 5, 2, 2, 2, 2, 2, 2, 3, 3]);
    let opens = dissected.fields("bgp.type == 1", &["bgp.cap.4as", "bgp.open.holdtime"]);
    // Older versions do not look into the extended parameters of the second OPEN.
    assert_eq!(opens[0], "4200000000\t90");
    let seen = dissected.fields(
        "bgp.update.path_attribute.origin",
        &[
            "bgp.update.path_attribute.as_path_segment.as4",
            "bgp.update.path_attribute.local_pref",
            "bgp.update.path_attribute.multi_exit_disc",
            "bgp.nlri_prefix",
            "bgp.mp_reach_nlri_ipv6_prefix",
        ],
    );
    let path = "65200,4200000001\t150\t10";
    let expected = [
        format!("{path}\t198.51.100.0,203.0.100.0,10.20.100.0\t"),
        format!("{path}\t\t2001:db8:1::,2001:db8:1:2:3:4:5:6"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn wireshark_reads_path_identifiers_and_two_octet_sessions() {
    if !installed("wireshark_reads_path_identifiers_and_two_octet_sessions") {
        return;
    }
    let ctx = EncodeContext {
        add_path_tx: [true; 2],
        ..EncodeContext::default()
    };
    // Wireshark learns of ADD-PATH from nothing but the look of the prefixes.
    let dissected = Dissected::new("add-path", "4 octet", &updates(&ctx)[..2]);
    dissected.assert_no_complaint(&[2, 2]);
    let ctx = EncodeContext {
        four_octet_as: false,
        ..EncodeContext::default()
    };
    let dissected = Dissected::new("two-octet", "2 octet", &updates(&ctx));
    dissected.assert_no_complaint(&[2; 6]);
    let paths = dissected.fields(
        "bgp.update.path_attribute.origin",
        &[
            "bgp.update.path_attribute.as_path_segment.as2",
            "bgp.update.path_attribute.as_path_segment.as4",
        ],
    );
    let mut seen = BTreeMap::new();
    for line in paths {
        *seen.entry(line).or_insert(0) += 1;
    }
    assert_eq!(
        seen,
        BTreeMap::from([("65200,23456\t65200,4200000001".to_owned(), 2)])
    );
}
