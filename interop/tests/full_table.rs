//! A real full table and a real day of updates through the running daemon.
//!
//! An MRT player feeds 1.3 million prefixes with real lengths and attributes; a strict receiver
//! compares every one of them with a model of what external BGP demands. Then 1.39 million real
//! updates are replayed at full speed, and the receiver's table must equal the model's at the end.
//! Skipped by name where the data is absent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use interop::player::daemon::Daemon;
use interop::player::feed::{self, Feeder};
use interop::player::rib_file::{self, Attributes};
use interop::player::session::Seen;
use interop::player::strict::Reading;
use interop::player::{Player, cases, namespace, wire};
use ipnet::IpNet;

const NAME: &str = "full_table_and_a_day_of_updates";
const DAEMON: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const DAEMON_V6: &str = "fd00::1";
const DAEMON_ASN: u32 = 4_200_000_001;
const RECEIVER_ASN: u32 = 4_200_000_003;
const FEEDER: Feeder = Feeder {
    asn: 4_200_000_002,
    // Of the link's network, but no address of this namespace: a daemon takes no route through
    // itself.
    next_hop: Ipv4Addr::new(10, 1, 1, 9),
    next_hop_v6: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, 9),
};
const FEEDER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 1);
const PATIENCE: Duration = Duration::from_secs(180);

type Model = BTreeMap<IpNet, Attributes>;

#[test]
fn full_table_and_a_day_of_updates() {
    let dir = cases::shared().join("data/full-table");
    let table = dir.join("rib.20260511.real-prefixes.synth-attrs.mrt.bz2");
    let updates = dir.join("ris-as3333-20260511.mutations4.txt.xz");
    if !table.is_file() || !updates.is_file() {
        return eprintln!("SKIPPED {NAME}: no full table in {}", dir.display());
    }
    if !namespace::entered(NAME) {
        return;
    }
    for net in ["10.1.0.1/16", "10.1.1.1/32", "10.1.2.1/32", "fd00::1/64"] {
        namespace::run("ip", &["address", "add", net, "dev", "lo"]);
    }
    let routes = rib_file::read(&table).expect("the MRT file is well-formed");
    let (bytes, messages) = FEEDER.announce(&routes);
    let mut model: Model = routes.iter().cloned().collect();
    eprintln!("table: {} prefixes in {messages} UPDATEs", model.len());

    let daemon = Daemon::start("full-table", &config());
    let receiver = speak(RECEIVER, RECEIVER_ASN);
    let mut feeder = speak(FEEDER_ADDRESS, FEEDER.asn);
    let begin = Instant::now();
    feeder.send(&bytes).expect("the daemon reads");
    settle(&mut feeder, &receiver, model.len());
    report("full table", begin, &daemon);
    compare(&receiver.seen(), &model);

    let paths: Vec<Attributes> = routes
        .iter()
        .filter(|(net, _)| matches!(net, IpNet::V4(_)))
        .map(|(_, attributes)| attributes.clone())
        .collect();
    let (bytes, count) = replay(&updates, &paths, &mut model);
    let begin = Instant::now();
    feeder.send(&bytes).expect("the daemon reads");
    settle(&mut feeder, &receiver, model.len());
    report(&format!("{count} updates"), begin, &daemon);
    compare(&receiver.seen(), &model);
}

fn config() -> String {
    let neighbor = |address: Ipv4Addr, asn: u32| {
        format!(
            "\n[[neighbor]]\naddress = \"{address}\"\nasn = {asn}\npassive = true\n\
             families = [\"ipv4-unicast\", \"ipv6-unicast\"]\nreject-as-sets = false\n\
             import = \"accept-all\"\nexport = \"accept-all\"\n"
        )
    };
    format!(
        "[router]\nasn = {DAEMON_ASN}\nrouter-id = \"{DAEMON}\"\nlisten = [\"{DAEMON}:179\"]\n{}{}",
        neighbor(FEEDER_ADDRESS, FEEDER.asn),
        neighbor(RECEIVER, RECEIVER_ASN)
    )
}

fn speak(local: Ipv4Addr, asn: u32) -> Player {
    let reading = Reading {
        four_octet_as: true,
        external: true,
    };
    let daemon = SocketAddr::new(DAEMON.into(), 179);
    let mut player = Player::connect(local.into(), daemon, reading).expect("the daemon listens");
    let capabilities = [
        wire::multiprotocol(1, 1),
        wire::multiprotocol(2, 1),
        wire::capability(65, &asn.to_be_bytes()),
    ];
    let open = wire::open(asn, 180, local.octets(), &capabilities);
    player.establish(&open).expect("the session comes up");
    player
}

/// Sends two sentinels, one after the other, and takes them back: then all before has arrived.
fn settle(feeder: &mut Player, receiver: &Player, prefixes: usize) {
    let path: Attributes = vec![(0x40, 1, vec![0]), (0x40, 2, wire::as_sequence(&[64500]))].into();
    let sentinels = ["198.51.100.0/25", "198.51.100.128/25"]
        .map(|text| text.parse::<IpNet>().expect("a prefix"));
    for sentinel in sentinels {
        let (bytes, _) = FEEDER.announce(&[(sentinel, path.clone())]);
        feeder.send(&bytes).expect("the daemon reads");
        let arrived = |seen: &Seen| seen.table.routes.contains_key(&sentinel);
        let came = receiver.wait_for(PATIENCE, arrived);
        let prefixes = receiver.seen().table.routes.len();
        assert!(came, "{prefixes} prefixes came; {:?}", receiver.ended());
    }
    feeder
        .send(&feed::withdraw(&sentinels))
        .expect("the daemon reads");
    let gone = |seen: &Seen| {
        !sentinels
            .iter()
            .any(|net| seen.table.routes.contains_key(net))
    };
    assert!(receiver.wait_for(PATIENCE, gone), "{:?}", receiver.ended());
    let all = |seen: &Seen| seen.table.routes.len() == prefixes;
    assert!(
        receiver.wait_for(PATIENCE, all),
        "{} prefixes of {prefixes}",
        receiver.seen().table.routes.len()
    );
}

/// Every prefix, next hop and attribute at the receiver is what external BGP demands.
fn compare(seen: &Seen, model: &Model) {
    let next_hop_v6: Ipv6Addr = DAEMON_V6.parse().expect("an address");
    let mut differences = Vec::new();
    for (net, attributes) in model {
        let Some(entry) = seen.table.routes.get(net) else {
            differences.push(format!("{net} is missing"));
            continue;
        };
        let hop_ok = match net {
            IpNet::V4(_) => entry.next_hop == IpAddr::V4(DAEMON),
            IpNet::V6(_) => entry.next_hop == IpAddr::V6(next_hop_v6),
        };
        let expected = FEEDER.expected(attributes, DAEMON_ASN);
        let same = expected.iter().all(|(flags, code, value)| {
            entry.attribute(*code).is_some_and(|(got_flags, got)| {
                got_flags == *flags && feed::normal(*code, got) == *value
            })
        });
        let extra = [4, 5, 9, 10]
            .iter()
            .any(|code| entry.attribute(*code).is_some());
        if !hop_ok || !same || extra {
            differences.push(format!("{net}: {entry:02x?}, expected {expected:02x?}"));
        }
    }
    assert_eq!(
        seen.table.routes.len(),
        model.len(),
        "prefixes that were not announced"
    );
    let first: Vec<_> = differences.iter().take(10).collect();
    assert!(
        differences.is_empty(),
        "{} routes differ: {first:#?}",
        differences.len()
    );
    eprintln!("MEASURED {} routes equal in every attribute", model.len());
}

/// UPDATEs of the recorded day, one prefix each as they happened, applied to the model too.
fn replay(file: &std::path::Path, paths: &[Attributes], model: &mut Model) -> (Vec<u8>, usize) {
    let output = std::process::Command::new("xz")
        .arg("-dc")
        .arg(file)
        .output();
    let output = output.expect("xz-utils is installed");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut bytes = Vec::new();
    let mut count = 0;
    for (index, line) in text.lines().enumerate() {
        let (kind, net) = line.split_once(' ').expect("`A prefix` or `W prefix`");
        let net: IpNet = net.parse().expect("a prefix");
        if kind == "A" {
            // A real announcement changes the path: take another one of the same table.
            let path = &paths[index.wrapping_mul(7919) % paths.len()];
            bytes.extend(FEEDER.announce(&[(net, path.clone())]).0);
            model.insert(net, path.clone());
        } else {
            bytes.extend(feed::withdraw(&[net]));
            model.remove(&net);
        }
        count += 1;
    }
    assert!(count > 0, "the recording is not empty");
    (bytes, count)
}

fn report(what: &str, begin: Instant, daemon: &Daemon) {
    let usage = daemon.usage();
    eprintln!(
        "MEASURED {what}: {:.2} s, daemon CPU so far {:.2} s, peak RSS {} MiB",
        begin.elapsed().as_secs_f64(),
        usage.cpu_s,
        usage.peak_kib / 1024
    );
}
