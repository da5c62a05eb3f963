//! Writes the seeds of the fuzz corpus: `cargo run -p proto-codec --example fuzz_seeds`.
//!
//! One small valid input per shape a decoder knows: every capability in an OPEN, every attribute
//! in an UPDATE for each kind of session, both families, withdrawals, End-of-RIB, every subtype; a
//! VRRP advert of every form.
//! The fuzzer finds the malformed ones from there. What long runs add is kept beside the seeds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use proto_codec::bgp::capability::{
    AddPathMode, GracefulRestart, GracefulRestartFamily, LlgrFamily, Role, encode_capability,
};
use proto_codec::bgp::notification::CeaseSubcode;
use proto_codec::bgp::{
    AttrEdit, AttrSet, Capability, EncodeContext, ExtCommunity, KEEPALIVE, LargeCommunity, NextHop,
    Notification, Open, Origin, RefreshSubtype, RouteRefresh, encode_announce, encode_end_of_rib,
    encode_withdraw,
};
use proto_codec::vrrp::trailer::{Stamp, sign};
use proto_codec::vrrp::{Advert, Auth, ChecksumForm, Draft, Envelope, Version};
use proto_codec::{AfiSafi, Family, Prefix4, Prefix6, V4, V6};

fn write(target: &str, name: &str, octets: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    std::fs::create_dir_all(&dir).expect("the corpus is writable");
    let file: PathBuf = dir.join(format!("seed-{name}"));
    std::fs::write(file, octets).expect("the corpus is writable");
}

fn capabilities() -> Vec<Capability> {
    let (v4, v6) = (AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST);
    let family = |afi_safi| GracefulRestartFamily {
        afi_safi,
        forwarding: true,
    };
    vec![
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
            restarting: true,
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
        Capability::Unknown {
            code: 3,
            value: vec![0, 1, 0, 1, 1, 64, 3],
        },
        Capability::Unknown {
            code: 200,
            value: vec![1, 2, 3],
        },
    ]
}

fn opens() {
    let mut all = BytesMut::new();
    for capability in capabilities() {
        let mut one = BytesMut::new();
        encode_capability(&capability, &mut one);
        write("capability", &format!("{}", capability.code()), &one);
        all.extend_from_slice(&one);
    }
    write("capability", "all", &all);
    let mut open = Open {
        asn: 4_200_000_000,
        hold_time_s: 90,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        capabilities: capabilities(),
    };
    write("open", "all", &open.to_bytes()[19..]);
    open.capabilities.push(Capability::Unknown {
        code: 201,
        value: vec![0; 250],
    });
    write("open", "extended", &open.to_bytes()[19..]);
    open.capabilities.clear();
    open.asn = 65001;
    write("open", "bare", &open.to_bytes()[19..]);
    let refresh = RouteRefresh::request(AfiSafi::IPV4_UNICAST).to_bytes();
    let stream = [&open.to_bytes()[..], &KEEPALIVE, &refresh].concat();
    write("framer", "session", &stream);
}

fn small_messages() {
    for (name, notification) in [
        ("hold", Notification::hold_timer_expired()),
        ("shutdown", {
            let subcode = CeaseSubcode::AdministrativeShutdown;
            Notification::cease_with_message(subcode, "maintenance at 22:00")
        }),
        ("hard-reset", {
            let inner = Notification::cease(CeaseSubcode::PeerDeconfigured);
            Notification::hard_reset(&inner)
        }),
        ("version", Notification::with_data(2, 1, &[0, 4])),
    ] {
        write("notification", name, &notification.to_bytes()[19..]);
    }
    for value in 0..4 {
        let subtype = RefreshSubtype::from_value(value);
        let afi_safi = AfiSafi::IPV6_UNICAST;
        let message = RouteRefresh { afi_safi, subtype }.to_bytes();
        write("refresh", &value.to_string(), &message[19..]);
    }
}

fn attributes(path: &[u32]) -> AttrSet {
    let hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let mut edit = AttrEdit::new(Origin::Igp, hop);
    edit.set_as_path(path)
        .set_med(Some(10))
        .set_local_pref(Some(100))
        .set_otc(Some(65200));
    edit.set_atomic_aggregate(true)
        .set_aggregator(4_200_000_000, Ipv4Addr::new(10, 0, 0, 9));
    edit.add_community(0xffff_ff01)
        .add_community(65200 << 16 | 1);
    edit.add_ext_community(ExtCommunity([0, 2, 0xfe, 0xb0, 0, 0, 0, 1]));
    edit.add_large_community(LargeCommunity {
        global: 65200,
        local1: 1,
        local2: 2,
    });
    edit.set_originator_id(Ipv4Addr::new(10, 0, 0, 1));
    edit.prepend_cluster_list(Ipv4Addr::new(10, 0, 0, 2))
        .set_aigp(Some(77));
    edit.finish()
}

fn updates() {
    // The first octet picks the session, as `check::context` in the fuzz crate does.
    for pick in 0..5u8 {
        let encode = EncodeContext {
            four_octet_as: !matches!(pick, 2 | 4),
            add_path_tx: [pick == 3; 2],
            ext_next_hop: pick >= 3,
            ..EncodeContext::default()
        };
        let put = |name: &str, body: &[u8]| {
            write(
                "update",
                &format!("{pick}-{name}"),
                &[&[pick], &body[19..]].concat(),
            );
        };
        let set = attributes(&[65200, 4_200_000_001, 3]);
        let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let link_local = Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
        let set6 = set
            .edit()
            .set_next_hop(NextHop::V6 { global, link_local })
            .finish();
        let v4 = [
            (1, Prefix4::new(Ipv4Addr::new(198, 51, 100, 0), 24)),
            (2, Prefix4::DEFAULT),
        ];
        let v6 = [
            (1, Prefix6::new(global, 48)),
            (2, Prefix6::new(global, 128)),
        ];
        let mut out = BytesMut::new();
        encode_announce::<V4>(&encode, &set, &mut v4.into_iter().peekable(), &mut out)
            .expect("it fits");
        put("v4", &out);
        out.clear();
        encode_announce::<V6>(&encode, &set6, &mut v6.into_iter().peekable(), &mut out)
            .expect("it fits");
        put("v6", &out);
        out.clear();
        encode_withdraw::<V4>(&encode, &mut v4.into_iter().peekable(), &mut out);
        put("withdraw4", &out);
        out.clear();
        encode_withdraw::<V6>(&encode, &mut v6.into_iter().peekable(), &mut out);
        put("withdraw6", &out);
        for family in Family::ALL {
            out.clear();
            encode_end_of_rib(family, &mut out);
            put(&format!("end-{family}"), &out);
        }
    }
}

fn adverts() {
    let v4 = [[10, 0, 0, 50].into(), [10, 0, 0, 51].into()];
    let v6 = ["fe80::50", "2001:db8::50"].map(|text| text.parse().expect("an address"));
    let pass = Auth::Pass(*b"secret\0\0");
    let (two, three) = (Version::V2, Version::V3);
    let (with, without) = (ChecksumForm::Rfc5798, ChecksumForm::Rfc9568);
    for (name, pick, version, auth, checksum) in [
        ("v2", 0, two, Auth::None, with),
        ("v2-pass", 0, two, pass, with),
        ("v3-rfc5798", 0, three, Auth::None, with),
        ("v3-rfc9568", 0, three, Auth::None, without),
        ("v3-ipv6", 1, three, Auth::None, with),
    ] {
        let (source, addresses): (IpAddr, &[IpAddr]) = match pick {
            0 => ([10, 0, 0, 1].into(), &v4),
            _ => ("fe80::1".parse().expect("an address"), &v6),
        };
        let draft = Draft {
            version,
            vrid: 51,
            priority: 150,
            interval: Duration::from_secs(1),
            auth,
            checksum,
            addresses,
        };
        let mut out = vec![pick];
        Advert::encode(&draft, &Envelope::multicast(source), &mut out);
        write("vrrp", name, &out);
        if version == three {
            let stamp = Stamp {
                key_id: 1,
                key: &[1; 32],
                sequence: 0x6800_0000_8000_0000,
            };
            let envelope = Envelope::multicast(source);
            sign(&mut out, 1, version, &envelope, &stamp);
            write("vrrp", &format!("{name}-signed"), &out);
        }
    }
}

fn main() {
    adverts();
    opens();
    small_messages();
    updates();
}
