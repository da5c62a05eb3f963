//! A real full table through the daemon into BIRD and FRR: both hold every prefix, and the
//! attributes of 10,000 sampled routes are what an external hop makes of them (RFC 4271 §5.1).
//!
//! The table stands beside the checkout; the test is skipped by name where it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use interop::lab::{self, Lab};
use interop::peers::{Kind, Router, bird, frr, wayfare};
use interop::player::feed::Feeder;
use interop::player::rib_file::{self, Attributes};
use interop::rootfs;
use interop::scenario::speak;
use interop::speaker::{Neighbor, Path, Speaker};
use interop::wait;
use ipnet::IpNet;

const NAME: &str = "full_table_into_bird_and_frr";
const TABLE: &str = "full-table/rib.20260511.real-prefixes.synth-attrs.mrt.bz2";
const FEEDER: u8 = 201;
/// Numbers that no path of the real table holds, else loop detection would take those out.
const DUT_ASN: u32 = 4_200_000_001;
const FEEDER_ASN: u32 = 4_200_000_101;
const SAMPLES: usize = 10_000;
/// Seconds for the table to reach a router; FRR needs most of it.
const PATIENCE: u64 = 240;

#[test]
fn full_table_into_bird_and_frr() {
    let Some(file) = rootfs::shared_data(TABLE) else {
        return eprintln!("SKIPPED {NAME}: no {TABLE} beside the checkout (WAYFARE_SHARED)");
    };
    lab::enter_within(Duration::from_secs(600), NAME, |lab| {
        let routes = rib_file::read(&file).expect("the MRT file is well-formed");
        play(lab, &routes);
    });
}

fn play(lab: &mut Lab, routes: &[(IpNet, Attributes)]) {
    let feeder = Feeder {
        asn: FEEDER_ASN,
        next_hop: Lab::address(FEEDER),
        next_hop_v6: Lab::address6(FEEDER),
    };
    lab.own_address(IpAddr::V6(feeder.next_hop_v6));
    let (bytes, _) = feeder.announce(routes);
    let wanted = |v6: bool| {
        routes
            .iter()
            .filter(|(net, _)| net.addr().is_ipv6() == v6)
            .count()
    };
    let (v4, v6) = (wanted(false), wanted(true));

    let (dut, bird, frr) = start(lab);
    let mut player = speak(lab, FEEDER, Lab::address(1).into(), FEEDER_ASN, true);
    let started = Instant::now();
    player.send(&bytes).expect("the daemon reads");
    wait_for_tables(&bird, (v4, v6), bird_counts);
    report(&dut, "BIRD", v4 + v6, started);
    wait_for_tables(&frr, (v4, v6), frr_counts);
    report(&dut, "FRR", v4 + v6, started);

    let started = Instant::now();
    let step = routes.len() / SAMPLES;
    let sample: BTreeMap<IpNet, Path> = routes
        .iter()
        .step_by(step)
        .take(SAMPLES)
        .map(|(net, attributes)| (*net, expected(&feeder, attributes)))
        .collect();
    assert_eq!(sample.len(), SAMPLES);
    compare("BIRD", &sample, &bird_sample(&bird, &sample));
    compare("FRR", &sample, &frr_sample(&frr, &sample));
    let took = started.elapsed().as_secs_f64();
    eprintln!("MEASURED {SAMPLES} sampled routes equal at BIRD and FRR, read in {took:.1} s");
}

fn start(lab: &mut Lab) -> (Router, Router, Router) {
    let local = Lab::address(1);
    let mut dut = Speaker::new(DUT_ASN, local);
    dut.kernel = false;
    let mut plan = Vec::new();
    for (index, kind) in [(2, Kind::Bird), (3, Kind::Frr)] {
        let asn = DUT_ASN + u32::from(index);
        dut = dut.neighbor(Neighbor::new(local, Lab::address(index), asn));
        let mut speaker = Speaker::new(asn, Lab::address(index)).neighbor(Neighbor::new(
            Lab::address(index),
            local,
            DUT_ASN,
        ));
        speaker.kernel = false;
        plan.push((kind, speaker));
    }
    let feeder = Neighbor::new(local, Lab::address(FEEDER), FEEDER_ASN).passive();
    let dut = dut.neighbor(feeder);
    let dut_node = lab.node("dut");
    // The table holds AS_SETs, which RFC 9774 has a router refuse unless told otherwise.
    let text =
        wayfare::config(&dut).replace("[[neighbor]]", "[[neighbor]]\nreject-as-sets = false");
    wayfare::write(&dut_node, &dut, &text);
    wayfare::start(&dut_node);
    let plan = plan
        .into_iter()
        .map(|(kind, speaker)| (kind, lab.node(kind.name()), speaker))
        .collect();
    let mut routers = Router::start_all(plan).into_iter();
    let (bird, frr) = (routers.next().expect("two"), routers.next().expect("two"));
    for router in [&bird, &frr] {
        router.wait_established(local);
    }
    (
        Router {
            kind: Kind::Wayfare,
            node: dut_node,
            speaker: dut,
        },
        bird,
        frr,
    )
}

fn wait_for_tables(
    router: &Router,
    wanted: (usize, usize),
    counts: fn(&Router) -> Result<(usize, usize), String>,
) {
    let what = format!("{} holds every prefix", router.node.name());
    wait::until(&what, PATIENCE, || match counts(router)? {
        found if found == wanted => Ok(()),
        found => Err(format!("{found:?} of {wanted:?}")),
    });
}

/// Routes of both families in BIRD, from `show route count` of each table.
fn bird_counts(router: &Router) -> Result<(usize, usize), String> {
    let count = |table: &str| -> Result<usize, String> {
        let words = ["show", "route", "table", table, "protocol", "n1", "count"];
        let text = bird::birdc(&router.node, &words)?;
        text.split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .ok_or(text)
    };
    Ok((count("master4")?, count("master6")?))
}

/// Prefixes received by FRR.
fn frr_counts(router: &Router) -> Result<(usize, usize), String> {
    let summary = frr::vtysh_json(&router.node, "show bgp summary json")?;
    let received = |family: &str| {
        let count = &summary[family]["peers"]["10.99.0.1"]["pfxRcd"];
        count
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(summary.to_string())
    };
    Ok((received("ipv4Unicast")?, received("ipv6Unicast")?))
}

fn report(dut: &Router, who: &str, routes: usize, started: Instant) {
    let took = started.elapsed().as_secs_f64();
    let pid = dut.node.sh("pgrep -x wayfare-bgpd");
    let status = dut.node.sh(&format!("cat /proc/{}/status", pid.trim()));
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap_or_default().trim();
    eprintln!("MEASURED {routes} routes to {who}: {took:.1} s, daemon's peak memory {peak}");
}

/// What an external hop makes of the attributes, in the neutral shape.
fn expected(feeder: &Feeder, attributes: &Attributes) -> Path {
    let mut path = Path::default();
    for (_, code, value) in feeder.expected(attributes, DUT_ASN) {
        match code {
            1 => path.origin = ["IGP", "EGP", "incomplete"][usize::from(value[0])].to_owned(),
            2 => path.as_path = as_numbers(&value),
            8 => path.communities = joined(&value, 2, 4),
            32 => path.large_communities = joined(&value, 4, 12),
            _ => {}
        }
    }
    path
}

/// The AS numbers of all segments, flattened.
fn as_numbers(mut value: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let [_, count, rest @ ..] = value {
        let (segment, next) = rest.split_at(usize::from(*count) * 4);
        numbers.extend(segment.chunks(4).map(number));
        value = next;
    }
    numbers
}

/// Communities of `size` octets in parts of `part` octets, `1:2:3`.
fn joined(value: &[u8], part: usize, size: usize) -> BTreeSet<String> {
    let text = |community: &[u8]| {
        let parts: Vec<String> = community
            .chunks(part)
            .map(|p| number(p).to_string())
            .collect();
        parts.join(":")
    };
    value.chunks(size).map(text).collect()
}

fn number(octets: &[u8]) -> u32 {
    octets
        .iter()
        .fold(0, |sum, octet| sum << 8 | u32::from(*octet))
}

/// All sampled routes from BIRD in one walk over each table: the sample becomes a prefix set of its
/// configuration, since a question for one prefix walks the whole table too.
fn bird_sample(router: &Router, sample: &BTreeMap<IpNet, Path>) -> BTreeMap<IpNet, Path> {
    let mut config = router.node.read("/run/node/bird.conf");
    for (name, v6) in [("SAMPLE4", false), ("SAMPLE6", true)] {
        let nets = sample.keys().filter(|net| net.addr().is_ipv6() == v6);
        let nets: Vec<String> = nets.map(IpNet::to_string).collect();
        config += &format!("define {name} = [ {} ];\n", nets.join(",\n"));
    }
    router.node.write("/run/node/bird.conf", config);
    bird::birdc(&router.node, &["configure"]).expect("BIRD takes the sample");
    let mut found = BTreeMap::new();
    for (table, name) in [("master4", "SAMPLE4"), ("master6", "SAMPLE6")] {
        let words = [
            "show", "route", "table", table, "all", "where", "net", "~", name,
        ];
        let text = bird::birdc(&router.node, &words).expect("birdc answers");
        found.extend(
            bird::parse_routes(&text)
                .into_iter()
                .filter_map(|(n, path)| Some((n?, path))),
        );
    }
    found
}

/// All sampled routes from one `vtysh`.
fn frr_sample(router: &Router, sample: &BTreeMap<IpNet, Path>) -> BTreeMap<IpNet, Path> {
    let line = |net: &IpNet| {
        let family = if net.addr().is_ipv6() { "ipv6" } else { "ipv4" };
        format!("show bgp {family} unicast {net} json\n")
    };
    let lines: String = sample.keys().map(line).collect();
    let text = typed(router, "vtysh", &[], &lines);
    // Prompts and echoes stand between the objects; an object starts a line.
    let mut found = BTreeMap::new();
    for piece in text.split("\n{\n").skip(1) {
        let object = format!("{{\n{piece}");
        let mut stream = serde_json::Deserializer::from_str(&object).into_iter();
        let Some(Ok(shown)) = stream.next() else {
            continue;
        };
        let shown: serde_json::Value = shown;
        let net = shown["prefix"].as_str().and_then(|text| text.parse().ok());
        if let (Some(net), Some(path)) = (net, shown["paths"].get(0)) {
            found.insert(net, frr::path(path));
        }
    }
    found
}

/// What a tool prints to the lines typed at it.
fn typed(router: &Router, program: &str, arguments: &[&str], lines: &str) -> String {
    let mut child = router
        .node
        .command(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nsenter is part of util-linux");
    let mut stdin = child.stdin.take().expect("piped");
    let lines = lines.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child
        .wait_with_output()
        .expect("the tool ends with its input");
    writer
        .join()
        .expect("the writer does not panic")
        .expect("the tool reads its input");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Equal, or cut short where BIRD does: `birdc` prints about 1 kB of a long list and no more.
fn same_communities(seen: &BTreeSet<String>, expected: &BTreeSet<String>) -> bool {
    const BIRD_CUTS_AFTER: usize = 40;
    let cut = seen.len() >= BIRD_CUTS_AFTER && seen.is_subset(expected);
    cut || seen == expected
}

fn compare(who: &str, sample: &BTreeMap<IpNet, Path>, found: &BTreeMap<IpNet, Path>) {
    let next_hop = |net: &IpNet| -> IpAddr {
        match net {
            IpNet::V4(_) => IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)),
            IpNet::V6(_) => IpAddr::V6(Lab::address6(1)),
        }
    };
    let mut differences = Vec::new();
    for (net, path) in sample {
        let Some(seen) = found.get(net) else {
            differences.push(format!("{net} is missing"));
            continue;
        };
        let same = seen.as_path == path.as_path
            && seen.origin == path.origin
            && same_communities(&seen.communities, &path.communities)
            && seen.large_communities == path.large_communities
            && seen.med.unwrap_or(0) == 0
            && seen.next_hops.first() == Some(&next_hop(net));
        if !same {
            differences.push(format!("{net}: {seen:?}, expected {path:?}"));
        }
    }
    let first: Vec<_> = differences.iter().take(5).collect();
    assert!(
        differences.is_empty(),
        "{who}: {} differ: {first:#?}",
        differences.len()
    );
}
