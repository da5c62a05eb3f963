//! `wayfare convert keepalived` judged by the wire (test 13 of the design).
//!
//! Each file of the field runs twice in a node of its own, with the links that it names: keepalived
//! with the original, then ours with the conversion. Both are captured, and for each virtual router
//! an independent decoder must see the same source, destination, version, vrid, priority, interval,
//! addresses and password. One of them loses a tracked link on the way: both must tell the segment
//! the same new priorities.
//!
//! The files lie beside the checkout; where they are absent the test is skipped by name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use interop::lab::{Lab, enter_within};
use interop::node::Node;
use interop::rootfs::shared_data;
use interop::vrrp::{start_keepalived, start_ours};
use interop::wait;

/// Where the files are, under the shared data.
const SAMPLES: &str = "keepalived/acassen+keepalived/doc/samples/keepalived.conf";
const INSTALLED: &str = "keepalived/acassen+keepalived/keepalived/etc/keepalived/keepalived.conf";
const HARBOR: &str =
    "keepalived/kubesphere+kubekey/scripts/harbor_keepalived/keepalived-backup.conf";
/// What tshark prints of an advert, and what is compared.
const FIELDS: [&str; 13] = [
    "vrrp.virt_rtr_id",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "vrrp.version",
    "vrrp.prio",
    "vrrp.addr_count",
    "vrrp.auth_type",
    "vrrp.adver_int",
    "vrrp.short_adver_int",
    "vrrp.ip_addr",
    "vrrp.auth_string",
    "vrrp.checksum",
];
/// Checks have answered and weights are counted this long after the first advert.
const SETTLED_S: f64 = 7.0;

/// A file and the node it runs in.
struct Case {
    name: String,
    node: Node,
    /// Virtual routers in it.
    routers: usize,
    /// A link that is tracked with a weight.
    tracked: Option<&'static str>,
}

/// What was seen of each virtual router: its adverts in order, with their times.
type Adverts = BTreeMap<String, Vec<(f64, String)>>;

/// File, virtual routers in it, and the link to be lost.
fn files() -> Vec<(String, PathBuf, usize, Option<&'static str>)> {
    let samples = [
        ("sample", 1, None),
        ("vrrp", 4, None),
        ("vrrp.sync", 9, None),
        ("vrrp.lvs_syncd", 3, None),
        ("vrrp.static_ipaddress", 1, None),
        ("vrrp.localcheck", 9, Some("eth2")),
        ("conditional_conf", 1, None),
    ];
    let samples = samples.map(|(name, routers, tracked)| {
        let path = format!("{SAMPLES}.{name}");
        (name.to_owned(), path, routers, tracked)
    });
    let others = [
        ("installed", INSTALLED.to_owned(), 1, None),
        ("installed.in", format!("{INSTALLED}.sample.in"), 1, None),
        ("harbor", HARBOR.to_owned(), 1, None),
    ];
    let others = others.map(|(name, path, routers, lost)| (name.to_owned(), path, routers, lost));
    samples
        .into_iter()
        .chain(others)
        .filter_map(|(name, path, routers, lost)| Some((name, shared_data(&path)?, routers, lost)))
        .collect()
}

#[test]
fn the_wire_does_not_change_with_the_daemon() {
    let found = files();
    if found.len() < 10 {
        eprintln!("SKIPPED the_wire_does_not_change_with_the_daemon: no shared data");
        return;
    }
    let test = "the_wire_does_not_change_with_the_daemon";
    enter_within(Duration::from_secs(280), test, |lab| {
        let cases: Vec<Case> = found
            .iter()
            .enumerate()
            .map(|(at, file)| case(lab, at, file))
            .collect();
        let theirs = act(&cases, "theirs", start_keepalived, |node| {
            node.signal("TERM", "keepalived");
            wait::until_true("keepalived ends", 20, || !node.has_process("keepalived"));
        });
        let ours = act(&cases, "ours", start_ours, |node| {
            node.signal("TERM", "wayfare-vrrpd");
        });
        for ((case, theirs), ours) in cases.iter().zip(theirs).zip(ours) {
            for line in &theirs {
                eprintln!("COMPARED {}: {}", case.name, line.replace('\t', " "));
            }
            assert_eq!(ours, theirs, "{}", case.name);
        }
    });
}

/// A node with the links that the file names, each on a segment of its own.
fn case(
    lab: &mut Lab,
    at: usize,
    (name, path, routers, tracked): &(String, PathBuf, usize, Option<&'static str>),
) -> Case {
    let text = std::fs::read_to_string(path).expect("the file is there");
    lab.lan(&format!("c{at}l0"));
    let node = lab.node_on(&format!("c{at}l0"), &format!("c{at}"));
    let words = text.split_whitespace();
    let mut links: Vec<&str> = words
        .filter(|word| ["eth1", "eth2", "eth3", "ens3"].contains(word))
        .collect();
    links.sort_unstable();
    links.dedup();
    for link in links {
        let digit = link.chars().next_back().unwrap_or('9');
        let lan = format!("c{at}l{digit}");
        lab.lan(&lan);
        let address = format!("10.10{digit}.0.{}/24", at + 1);
        lab.attach(&node, &lan, link, &[address]);
    }
    node.write("/run/node/original.conf", &text);
    // Where the kernel has no IPVS, keepalived ends or crashes over its lines.
    let lines = text
        .lines()
        .filter(|line| !line.contains("lvs_sync_daemon"));
    let without: Vec<&str> = lines.collect();
    node.write("/run/node/keepalived.conf", without.join("\n") + "\n");
    // The one script of a file that exists nowhere else.
    node.sh("mkdir -p /srv/conf/keepalived");
    let script = "/srv/conf/keepalived/check_harbor.sh";
    node.sh(&format!(
        "printf '#!/bin/sh\\nexit 0\\n' > {script}; chmod 755 {script}"
    ));
    // What one of them looks for: a process, with the command that asks for it.
    let killall = "#!/bin/sh\nexec pgrep -x \"$2\" > /dev/null\n";
    node.write("/usr/bin/killall", killall);
    node.sh("chmod 755 /usr/bin/killall && cp /usr/bin/sleep /run/haproxy");
    drop(node.spawn("haproxy.log", "/run/haproxy", &["3600"]));
    let convert = [
        "convert",
        "keepalived",
        "/run/node/original.conf",
        "--output",
        "/run/node",
    ];
    let converted = node.run("/opt/wayfare/wayfare", &convert);
    assert!(
        [Some(0), Some(65)].contains(&converted.status.code()),
        "{name}: {converted:?}"
    );
    Case {
        name: name.clone(),
        node,
        routers: *routers,
        tracked: *tracked,
    }
}

/// Runs one daemon in all nodes at once: what each said at last, and after it lost a link.
fn act(
    cases: &[Case],
    capture: &str,
    start: impl Fn(&Node),
    stop: impl Fn(&Node),
) -> Vec<Vec<String>> {
    for case in cases {
        listen(&case.node, capture);
        start(&case.node);
    }
    let said = cases.iter().map(|case| {
        let what = format!("{capture}: {} is master of all", case.name);
        let mut lines = wait::until(&what, 120, || settled(case, capture));
        if let Some(link) = case.tracked {
            case.node.sh(&format!("ip link set {link} down"));
            let what = format!("{capture}: {} tells that {link} is lost", case.name);
            let changed = wait::until(&what, 30, || changed(case, capture, &lines));
            lines.extend(changed);
            case.node.sh(&format!("ip link set {link} up"));
        }
        lines
    });
    let said: Vec<Vec<String>> = said.collect();
    for case in cases {
        stop(&case.node);
    }
    said
}

/// Captures all adverts of the node. Whole packets would leave room for eight in tcpdump's ring,
/// and nine virtual routers speak at once.
fn listen(node: &Node, name: &str) {
    let file = format!("/run/node/{name}.pcap");
    let log = format!("{name}-tcpdump.log");
    let words = [
        "-Z",
        "root",
        "--immediate-mode",
        "-s",
        "512",
        "-U",
        "-n",
        "-i",
        "any",
    ];
    let words = [&words[..], &["-w", &file, "ip proto 112"]].concat();
    drop(node.spawn(&log, "tcpdump", &words));
    wait::until_true("tcpdump listens", 20, || {
        node.read(&format!("/run/node/{log}"))
            .contains("listening on")
    });
}

/// The adverts so far, those that let go left out.
fn adverts(node: &Node, name: &str) -> Adverts {
    let mut command = node.command("tshark");
    let file = format!("/run/node/{name}.pcap");
    command.args(["-n", "-r", &file, "-T", "fields", "-e", "frame.time_epoch"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    command.env("HOME", "/tmp");
    let output = command.output().expect("nsenter is there");
    let mut found = Adverts::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((time, advert)) = line.split_once('\t') else {
            continue;
        };
        let fields: Vec<&str> = advert.split('\t').collect();
        let (Some(vrid), Some(priority)) = (fields.first(), fields.get(5)) else {
            continue;
        };
        if *priority != "0" && !vrid.is_empty() {
            let time = time.parse().unwrap_or(0.0);
            let list = found.entry((*vrid).to_owned()).or_default();
            list.push((time, advert.to_owned()));
        }
    }
    found
}

/// The last advert of each virtual router, once all have spoken long enough and repeat themselves.
fn settled(case: &Case, capture: &str) -> Result<Vec<String>, String> {
    let seen = adverts(&case.node, capture);
    if seen.len() != case.routers {
        let vrids: Vec<&String> = seen.keys().collect();
        return Err(format!("{} of {}: {vrids:?}", seen.len(), case.routers));
    }
    let last = seen.values().map(|list| {
        let first = list.first().map_or(0.0, |it| it.0);
        match list.as_slice() {
            [.., (_, before), (last, said)] if before == said && last - first > SETTLED_S => {
                Ok(said.clone())
            }
            list => Err(format!("not the same for long: {list:?}")),
        }
    });
    last.collect()
}

/// The last adverts of those that say something else than in `before`; both that track the link.
fn changed(case: &Case, capture: &str, before: &[String]) -> Result<Vec<String>, String> {
    let seen = adverts(&case.node, capture);
    let last = seen.values().filter_map(|list| list.last());
    let other: Vec<String> = last
        .map(|(_, said)| said.clone())
        .filter(|said| !before.contains(said))
        .collect();
    match other.len() {
        2 => Ok(other),
        count => Err(format!("{count} of 2 tell: {other:?}")),
    }
}
