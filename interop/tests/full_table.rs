//! A real full table and a real day of updates through the running daemon.
//!
//! An MRT player feeds 1.3 million prefixes with real lengths and attributes. A strict receiver
//! compares every one of them with a model of what external BGP demands; BIRD and FRR, in a lab
//! where the peers' image is there, must hold every prefix, and 10,000 of them are compared with
//! the model attribute by attribute. Then 1.39 million real updates are replayed at full speed, and
//! all three tables must equal the model's at the end. Skipped by name where the data is absent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use interop::lab::{self, Lab};
use interop::peers::{Family, Kind, Router};
use interop::player::daemon::Daemon;
use interop::player::feed::{self, Feeder};
use interop::player::holders::Holder;
use interop::player::rib_file::{self, Attributes};
use interop::player::session::Seen;
use interop::player::shown::Facts;
use interop::player::strict::Reading;
use interop::player::{Player, cases, namespace, wire};
use interop::rootfs::Rootfs;
use interop::speaker::{Neighbor, Speaker};
use interop::wait;
use ipnet::IpNet;

const NAME: &str = "full_table_and_a_day_of_updates";
const DAEMON: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const DAEMON_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
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
/// The daemon on the lab's switch, where BIRD and FRR are.
const DAEMON_IN_LAB: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 254);
const DAEMON_IN_LAB_V6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 0x254);
const BIRD_ASN: u32 = 65101;
const FRR_ASN: u32 = 65102;
const PATIENCE: Duration = Duration::from_secs(180);
const SAMPLES: usize = 10_000;

type Model = BTreeMap<IpNet, Attributes>;

#[test]
fn full_table_and_a_day_of_updates() {
    let dir = cases::shared().join("data/full-table");
    let table = dir.join("rib.20260511.real-prefixes.synth-attrs.mrt.bz2");
    let updates = dir.join("ris-as3333-20260511.mutations4.txt.xz");
    if !table.is_file() || !updates.is_file() {
        return eprintln!("SKIPPED {NAME}: no full table in {}", dir.display());
    }
    let in_lab = Rootfs::from_environment().is_some();
    if !namespace::is_inside() && !in_lab {
        if let Err(why) = Rootfs::find() {
            eprintln!("SKIPPED {NAME}: BIRD and FRR as receivers: {why}");
        } else {
            return lab::enter_within(2 * PATIENCE, NAME, |_| ());
        }
    }
    if in_lab {
        lab::enter_within(2 * PATIENCE, NAME, |lab| play(&table, &updates, Some(lab)));
    } else if namespace::entered(NAME) {
        play(&table, &updates, None);
    }
}

fn play(table: &Path, updates: &Path, mut lab: Option<&mut Lab>) {
    for words in [
        "address add 10.1.0.1/16 dev lo",
        "address add 10.1.1.1/32 dev lo",
        "address add 10.1.2.1/32 dev lo",
        "address add fd00::1/64 dev lo",
    ] {
        match &lab {
            Some(lab) => lab.ip(words),
            None => namespace::run("ip", &words.split(' ').collect::<Vec<_>>()),
        }
    }
    let routers = lab.as_mut().map(|lab| routers(lab)).unwrap_or_default();
    let routes = rib_file::read(table).expect("the MRT file is well-formed");
    let (bytes, messages) = FEEDER.announce(&routes);
    let mut model: Model = routes.iter().cloned().collect();
    eprintln!("table: {} prefixes in {messages} UPDATEs", model.len());

    let daemon = Daemon::start("full-table", &config(&routers));
    let receiver = speak(RECEIVER, RECEIVER_ASN);
    let mut feeder = speak(FEEDER_ADDRESS, FEEDER.asn);
    for router in &routers {
        router.wait_established(DAEMON_IN_LAB);
    }
    let begin = Instant::now();
    feeder.send(&bytes).expect("the daemon reads");
    settle(&mut feeder, &receiver, model.len());
    report("full table", begin, &daemon);
    compare(&receiver.seen(), &model);
    compare_holders(&routers, &model, begin);

    let paths: Vec<Attributes> = routes
        .iter()
        .filter(|(net, _)| matches!(net, IpNet::V4(_)))
        .map(|(_, attributes)| attributes.clone())
        .collect();
    let (bytes, count) = replay(updates, &paths, &mut model);
    let begin = Instant::now();
    feeder.send(&bytes).expect("the daemon reads");
    settle(&mut feeder, &receiver, model.len());
    report(&format!("{count} updates"), begin, &daemon);
    compare(&receiver.seen(), &model);
    compare_holders(&routers, &model, begin);
}

/// BIRD and FRR as external receivers that take AS_SETs and write no kernel routes.
fn routers(lab: &mut Lab) -> Vec<Router> {
    let mut plan = Vec::new();
    for (kind, name, asn) in [(Kind::Bird, "bird", BIRD_ASN), (Kind::Frr, "frr", FRR_ASN)] {
        if kind == Kind::Frr && !lab.can_drop_privileges() {
            eprintln!("SKIPPED {NAME}: FRR as receiver: needs a range of user ids (uidmap)");
            continue;
        }
        let node = lab.node(name);
        let local = Lab::address(node.index());
        let mut speaker = Speaker::new(asn, local);
        speaker.kernel = false;
        let neighbor = Neighbor::new(local, DAEMON_IN_LAB, DAEMON_ASN);
        plan.push((kind, node, speaker.neighbor(neighbor)));
    }
    let routers = Router::start_all(plan);
    for router in &routers {
        if router.kind == Kind::Bird {
            let config = "/run/node/bird.conf";
            let text = router.node.read(config);
            let text = text.replace("hold time", "allow as sets; hold time");
            router.node.write(config, text);
            router.node.sh("birdc -s /run/node/bird.ctl configure");
        } else {
            let as_number = format!("router bgp {FRR_ASN}");
            let words = [
                "configure",
                "bgp no-rib",
                &as_number,
                "no bgp reject-as-sets",
            ];
            let script: Vec<&str> = words.iter().flat_map(|word| ["-c", *word]).collect();
            let done = router.node.output("vtysh", &script);
            done.expect("FRR takes the settings");
        }
    }
    routers
}

fn config(routers: &[Router]) -> String {
    let neighbor = |address: Ipv4Addr, asn: u32| {
        format!(
            "\n[[neighbor]]\naddress = \"{address}\"\nasn = {asn}\npassive = true\n\
             families = [\"ipv4-unicast\", \"ipv6-unicast\"]\nreject-as-sets = false\n\
             import = \"accept-all\"\nexport = \"accept-all\"\n"
        )
    };
    let mut listen = format!("\"{DAEMON}:179\"");
    let mut neighbors = neighbor(FEEDER_ADDRESS, FEEDER.asn) + &neighbor(RECEIVER, RECEIVER_ASN);
    for router in routers {
        neighbors += &neighbor(router.speaker.router_id, router.speaker.asn);
    }
    if !routers.is_empty() {
        listen += &format!(", \"{DAEMON_IN_LAB}:179\"");
    }
    // As in the other labs, the environment may ask for shards.
    let threads = std::env::var("WAYFARE_THREADS");
    let engine = threads.map_or_else(
        |_| String::new(),
        |threads| format!("\n[engine]\nthreads = {threads}\n"),
    );
    format!(
        "[router]\nasn = {DAEMON_ASN}\nrouter-id = \"{DAEMON}\"\nlisten = [{listen}]\n{engine}{neighbors}"
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
    let mut differences = Vec::new();
    for (net, attributes) in model {
        let Some(entry) = seen.table.routes.get(net) else {
            differences.push(format!("{net} is missing"));
            continue;
        };
        let hop_ok = match net {
            IpNet::V4(_) => entry.next_hop == IpAddr::V4(DAEMON),
            IpNet::V6(_) => entry.next_hop == IpAddr::V6(DAEMON_V6),
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

/// BIRD and FRR hold exactly the model's prefixes, and the sampled ones with its attributes.
fn compare_holders(routers: &[Router], model: &Model, begin: Instant) {
    let mut facts = BTreeMap::new();
    for (net, attributes) in model.iter().step_by(model.len() / SAMPLES) {
        let expected = FEEDER.expected(attributes, DAEMON_ASN);
        let next_hop = match net {
            IpNet::V4(_) => IpAddr::V4(DAEMON_IN_LAB),
            IpNet::V6(_) => IpAddr::V6(DAEMON_IN_LAB_V6),
        };
        facts.insert(*net, Facts::from_wire(&expected, next_hop));
    }
    let is_v4 = |net: &&IpNet| matches!(net, IpNet::V4(_));
    let (v4, v6): (Vec<&IpNet>, Vec<&IpNet>) = model.keys().partition(is_v4);
    std::thread::scope(|scope| {
        for router in routers {
            let holder = match router.kind {
                Kind::Bird => Holder::Bird(router.node.clone()),
                _ => Holder::Frr(router.node.clone()),
            };
            let (v4, v6, facts) = (&v4, &v6, &facts);
            scope.spawn(move || {
                let name = holder.name();
                wait::until(&format!("{name}: all prefixes"), PATIENCE.as_secs(), || {
                    counted(&holder, [v4.len(), v6.len()])
                });
                let arrived = begin.elapsed().as_secs_f64();
                wait::until(&format!("{name}: the model's table"), 30, || {
                    holds(&holder, v4, v6, facts)
                });
                eprintln!(
                    "MEASURED {name} has all after {arrived:.2} s: {} IPv4, {} IPv6 prefixes, \
                     {} sampled equal in every attribute",
                    v4.len(),
                    v6.len(),
                    facts.len()
                );
            });
        }
    });
}

fn counted(holder: &Holder, expected: [usize; 2]) -> Result<(), String> {
    let found = [holder.count(Family::V4)?, holder.count(Family::V6)?];
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?} of {expected:?}")),
    }
}

fn holds(
    holder: &Holder,
    v4: &[&IpNet],
    v6: &[&IpNet],
    facts: &BTreeMap<IpNet, Facts>,
) -> Result<(), String> {
    for (family, expected) in [(Family::V4, v4), (Family::V6, v6)] {
        let mut found = holder.prefixes(family)?;
        found.sort_unstable();
        if !found.iter().eq(expected.iter().copied()) {
            let strange = found.iter().zip(expected).find(|(a, b)| a != *b);
            let (found, expected) = (found.len(), expected.len());
            return Err(format!(
                "{found} prefixes of {expected}, first other: {strange:?}"
            ));
        }
    }
    let nets: Vec<IpNet> = facts.keys().copied().collect();
    let found = holder.sample(&nets)?;
    let differ: Vec<String> = facts
        .iter()
        .filter(|(net, expected)| found.get(net) != Some(expected))
        .map(|(net, expected)| format!("{net}: {:?}\nexpected {expected:?}", found.get(net)))
        .collect();
    match differ.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} of {} differ: {first}",
            differ.len(),
            nets.len()
        )),
    }
}

/// UPDATEs of the recorded day, one prefix each as they happened, applied to the model too.
fn replay(file: &Path, paths: &[Attributes], model: &mut Model) -> (Vec<u8>, usize) {
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
