//! Every packet of ours, as tshark sees it.
//!
//! tshark shares no code with us and checks what receivers check: lengths, checksums, the fields of
//! each version. Ours runs in every form of the protocol, alone with a backup of its own kind, from
//! its first announcement to its farewell with priority 0; what leaves its interface is captured
//! and judged. For version 3 over IPv4 there are two readings of the checksum: tshark is told which
//! one is sent, and must call the packets bad when told the other.

use interop::capture::Capture;
use interop::lab::enter;
use interop::node::Node;
use interop::vrrp::{Group, wait_master};
use interop::wait;

/// The two readings of the checksum, and no suspicion about an address that two nodes announce in
/// turn, which is what it is for. What tshark takes for its own default changed over time.
const PLAIN: &[&str] = &["vrrp.v3_checksum_as_in_v2:TRUE", CALM];
const PSEUDO_HEADER: &[&str] = &["vrrp.v3_checksum_as_in_v2:FALSE", CALM];
const CALM: &str = "arp.detect_duplicate_ips:FALSE";

/// Frames of the first node, by its MAC address in the lab.
const OWN: &str = "eth.src == 02:00:00:00:30:01";
/// Gratuitous ARP (RFC 9568 errata 7947 and 7949; RFC 5227).
const ARP: &str = "arp.opcode == 1 && arp.src.hw_mac == 02:00:00:00:30:01 && \
                   eth.dst == ff:ff:ff:ff:ff:ff";
/// Unsolicited neighbor advertisement: Router and Override, not Solicited.
const NA: &str = "icmpv6.checksum.status == 1 && ipv6.hlim == 255 && icmpv6.nd.na.flag.r == 1 && \
                  icmpv6.nd.na.flag.s == 0 && icmpv6.nd.na.flag.o == 1 && \
                  icmpv6.opt.linkaddr == 02:00:00:00:30:01";
/// Where adverts belong, whatever they say.
const PLACE: &str = "(ip.ttl == 255 || ipv6.hlim == 255) && vrrp.type == 1 && \
                     vrrp.virt_rtr_id == 50";

/// A form of the protocol.
struct Form {
    name: &'static str,
    group: Group,
    /// What an advert must be in the eyes of tshark, besides faultless.
    advert: &'static str,
    priority: u8,
}

fn form(name: &'static str, group: Group, advert: &'static str) -> Form {
    Form {
        name,
        group,
        advert,
        priority: 200,
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

const V2: &str = "ip.dst == 224.0.0.18 && eth.dst == 01:00:5e:00:00:12 && \
                  vrrp.version == 2 && vrrp.prio == 200 && \
                  vrrp.adver_int == 1 && vrrp.addr_count == 2";
const V3: &str = "ip.dst == 224.0.0.18 && eth.dst == 01:00:5e:00:00:12 && \
                  vrrp.version == 3 && vrrp.prio == 200 && \
                  vrrp.short_adver_int == 10 && vrrp.addr_count == 2";
const V6: &str = "ipv6.dst == ff02::12 && eth.dst == 33:33:00:00:00:12 && \
                  ipv6.src == fe80::/10 && vrrp.version == 3 && vrrp.short_adver_int == 10 && \
                  vrrp.addr_count == 2";

fn forms() -> Vec<Form> {
    let two = |version| Group {
        addresses: texts(&["10.99.0.51/32", "10.99.0.50/32"]),
        ..Group::new(version)
    };
    let six = || Group {
        addresses: texts(&["fe80::50/64", "fd99::50/64"]),
        ..Group::new(3)
    };
    let mut owner = form(
        "owner",
        Group::new(3),
        "vrrp.prio == 255 && vrrp.version == 3",
    );
    owner.group.addresses = texts(&["10.99.0.1/24"]);
    owner.priority = 255;
    vec![
        form("version 2", two(2), V2),
        form(
            "version 2 with a password",
            Group {
                password: Some("s3cret".to_owned()),
                ..two(2)
            },
            "vrrp.auth_type == 1 && vrrp.version == 2",
        ),
        form("version 3", two(3), V3),
        form(
            "version 3, plain checksum",
            Group {
                checksum: "rfc9568",
                ..two(3)
            },
            V3,
        ),
        form("IPv6", six(), V6),
        form(
            "unicast",
            Group {
                unicast: texts(&["10.99.0.1", "10.99.0.2"]),
                ..two(3)
            },
            "ip.dst == 10.99.0.2 && vrrp.version == 3",
        ),
        form(
            "IPv6 unicast",
            Group {
                unicast: texts(&["fd99::1", "fd99::2"]),
                ..six()
            },
            "ipv6.dst == fd99::2 && ipv6.src == fd99::1",
        ),
        owner,
    ]
}

#[test]
fn tshark_finds_nothing_wrong() {
    enter("tshark_finds_nothing_wrong", |lab| {
        let (ours, backup) = (lab.node("ours"), lab.node("backup"));
        for (at, form) in forms().iter().enumerate() {
            let file = format!("form{at}");
            let capture = Capture::of(
                &ours,
                "eth0",
                &file,
                "ip proto 112 or ip6 proto 112 or arp or icmp6",
            );
            whole_life(form, &ours, &backup);
            judge(form, &capture);
        }
    });
}

/// From the first announcement to priority 0.
fn whole_life(form: &Form, ours: &Node, backup: &Node) {
    let group = &form.group;
    group.ours(backup, 100);
    group.ours(ours, form.priority);
    if form.priority == 255 {
        // Its kernel had the address before; what shows is who the backup takes for the master.
        wait::until_true("the owner is heard", 10, || {
            let shown = interop::vrrp::show(backup).unwrap_or_default();
            shown[0]["masterPriority"] == 255
        });
    } else {
        wait_master(group, ours, backup, 15);
    }
    ours.signal("TERM", "wayfare-vrrpd");
    wait::until_true("it ends", 15, || !ours.has_process("wayfare-vrrpd"));
    backup.signal("TERM", "wayfare-vrrpd");
    wait::until_true("it ends", 15, || !backup.has_process("wayfare-vrrpd"));
}

/// A frame of ours that tshark has something to say about, or that is not as it should be; and what
/// there is at all. Each question is a run of tshark, so they are few.
fn judge(form: &Form, capture: &Capture) {
    let Form { name, group, .. } = form;
    let (reading, other) = match group.checksum {
        "rfc9568" => (PLAIN, PSEUDO_HEADER),
        _ => (PSEUDO_HEADER, PLAIN),
    };
    let wrong = format!(
        "{OWN} && (_ws.malformed || _ws.expert.severity >= warning || \
         (vrrp && !(vrrp.checksum.status == 1 && {PLACE} && (vrrp.prio == 0 || {}))) || \
         (arp.isgratuitous && !({ARP})) || (icmpv6.type == 136 && ipv6.dst == ff02::1 && !({NA})))",
        form.advert
    );
    let fields = ["frame.number", "_ws.col.info", "_ws.expert.message"];
    let complaints = capture.fields_preferring(reading, &wrong, &fields);
    assert_eq!(complaints, Vec::<String>::new(), "{name}");
    let there = format!("{OWN} && (vrrp || arp.isgratuitous || icmpv6.type == 136)");
    let fields = [
        "vrrp.prio",
        "arp.src.proto_ipv4",
        "icmpv6.nd.na.target_address",
        "vrrp.checksum.status",
    ];
    let rows = capture.fields_preferring(reading, &there, &fields);
    let count = |at: usize, wanted: &str| {
        let column = rows.iter().map(|row| row.split('\t').nth(at));
        column.filter(|it| *it == Some(wanted)).count()
    };
    assert!(count(3, "1") >= 2, "{name}: adverts in {rows:?}");
    assert!(count(0, "0") >= 1, "{name}: a farewell in {rows:?}");
    for address in &group.addresses {
        let address = address.split('/').next().unwrap_or(address);
        let told = count(1, address) + count(2, address);
        assert!(told > 0, "{name}: {address} announced in {rows:?}");
    }
    if group.version == 3 && !group.ipv6() {
        let fooled = format!("{OWN} && vrrp.checksum.status == 1");
        let fooled = capture.fields_preferring(other, &fooled, &["frame.number"]);
        assert_eq!(fooled, Vec::<String>::new(), "{name}, read the other way");
    }
}
