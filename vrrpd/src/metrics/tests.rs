//! Every way in which a segment can be split is named in the row of `show vrrp`, in the events and
//! in the metrics: with whom, since when, and why. And whatever there is reads back strictly.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ctl::metrics::{exposition, strict};
use proto_codec::control::view::{VrrpConflict, VrrpInstance};
use proto_codec::vrrp::{Advert, Auth, ChecksumForm, Draft, Envelope, Version};
use rib::netlink::hosts::{HostAddress, HostLink};

use super::{Facts, families};
use crate::config::parse;
use crate::control::show;
use crate::node::checks::Outcome;
use crate::node::{Hosts, Node, Output};
use crate::router::Event;

const PEER: &str = "10.0.0.9";
const OURS: [&str; 2] = ["10.0.0.50", "10.0.0.51"];

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn hosts() -> Hosts {
    let link = |index, name: &str| HostLink {
        index,
        name: name.to_owned(),
        usable: true,
        mac: Some([2, 0, 0, 0, 0, 1]),
    };
    let address = |index, text: &str| HostAddress {
        index,
        network: text.parse().expect("an address"),
        protocol: 0,
        usable: true,
    };
    let links = vec![link(2, "eth0"), link(3, "eth\"1")];
    let addresses = vec![address(2, "10.0.0.2/24"), address(3, "10.1.0.2/24")];
    Hosts::new(links, addresses, 112)
}

/// A backup of priority 100 on eth0 with vrid 50, and what `more` says of it.
fn node(now: Instant, more: &str) -> Node {
    let [first, second] = OURS;
    let text = format!(
        "[[instance]]\nname = \"vip\"\ninterface = \"eth0\"\naddresses = [\"{first}\", \
         \"{second}\"]\n{more}"
    );
    let mut node = Node::default();
    let config = parse("vrrpd.toml", &text).expect("a good file").config;
    node.apply(now, config);
    node.set_hosts(now, hosts(), &mut |_| None);
    node
}

/// What a peer sends that agrees with us; cases change one thing of it.
struct Theirs {
    version: Version,
    priority: u8,
    interval: Duration,
    auth: Auth,
    checksum: ChecksumForm,
    addresses: Vec<IpAddr>,
    source: IpAddr,
}

impl Default for Theirs {
    fn default() -> Self {
        Self {
            version: Version::V3,
            priority: 200,
            interval: Duration::from_secs(1),
            auth: Auth::None,
            checksum: ChecksumForm::Rfc5798,
            addresses: OURS.map(ip).to_vec(),
            source: ip(PEER),
        }
    }
}

fn hear(node: &mut Node, now: Instant, theirs: &Theirs) {
    let envelope = Envelope::multicast(theirs.source);
    let draft = Draft {
        version: theirs.version,
        vrid: 50,
        priority: theirs.priority,
        interval: theirs.interval,
        auth: theirs.auth,
        checksum: theirs.checksum,
        addresses: &theirs.addresses,
    };
    let mut message = Vec::new();
    Advert::encode(&draft, &envelope, &mut message);
    node.handle_packet(now, 2, &envelope, &message);
}

fn told(node: &mut Node) -> Vec<String> {
    let outputs = std::iter::from_fn(|| node.poll_output());
    let texts = outputs.filter_map(|(_, output)| match output {
        Output::Tell(Event::Conflict(conflict)) => Some(conflict.to_string()),
        _ => None,
    });
    texts.collect()
}

fn row(node: &Node, now: Instant) -> VrrpInstance {
    let one = node.slots().next().expect("one instance");
    show::row(node, one, now)
}

fn read(node: &Node, now: Instant) -> Vec<strict::Sample> {
    let facts = Facts {
        rows: node.slots().map(|one| show::row(node, one, now)).collect(),
        strangers: node.strangers().iter().cloned().collect(),
        unknown_vrid: node.unknown_vrid(),
        uptime: Duration::from_secs(7),
        config_epoch_ms: 1_700_000_000_123,
    };
    let mut text = String::new();
    for family in families(&facts) {
        exposition(&family, &mut text);
    }
    strict::read(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

/// Hears `theirs` three times within two seconds; the conflict as shown a second later.
#[track_caller]
fn split(more: &str, theirs: &Theirs, kind: &str, because: &str) {
    let start = Instant::now();
    let mut node = node(start, more);
    // Master first, where two of them are the point.
    while let Some(due) = node
        .poll_timeout()
        .filter(|due| *due < start + Duration::from_secs(4))
    {
        node.handle_timeout(due);
    }
    let mut events = Vec::new();
    let began = start + Duration::from_secs(4);
    for half_seconds in 0..3 {
        let now = began + Duration::from_millis(500 * half_seconds);
        hear(&mut node, now, theirs);
        events.extend(told(&mut node));
    }
    let now = began + Duration::from_secs(2);
    let shown = row(&node, now);
    let found: Option<&VrrpConflict> = shown.conflicts.iter().find(|one| one.kind == kind);
    let conflict = found.unwrap_or_else(|| panic!("{kind} in {:?}", shown.conflicts));
    assert_eq!(conflict.peer, theirs.source, "{kind}: with whom");
    assert_eq!(conflict.since_ms, 2000, "{kind}: since when");
    assert_eq!(conflict.count, 3, "{kind}: how often");
    assert!(
        conflict.detail.contains(because),
        "{kind}: {}",
        conflict.detail
    );
    let named = events.iter().filter(|text| text.contains(because));
    assert_eq!(named.count(), 1, "{kind}: told once: {events:?}");
    let samples = read(&node, now);
    let value = |name: &str| {
        let mut those = samples.iter().filter(|one| one.name == name);
        let it = those.find(|one| {
            one.label("kind") == kind && one.label("peer") == theirs.source.to_string()
        });
        it.unwrap_or_else(|| panic!("{kind}: {name}")).value
    };
    assert!((value("wayfare_vrrp_conflict") - 3.0).abs() < 0.1);
    assert!((value("wayfare_vrrp_conflict_seconds") - 2.0).abs() < 0.1);
}

/// One-way links, and a peer that refuses what we send: it is master and does not hear us.
#[test]
fn a_second_master_is_named() {
    let theirs = Theirs {
        priority: 50,
        ..Theirs::default()
    };
    split("", &theirs, "two-masters", "does not hear us");
    let theirs = Theirs {
        priority: 255,
        // The lower address loses, so that we stay master and hear it again.
        source: ip("10.0.0.1"),
        ..Theirs::default()
    };
    split("priority = 255\n", &theirs, "two-owners", "claims to own");
}

#[test]
fn another_interval_is_named_in_both_versions() {
    let theirs = Theirs {
        interval: Duration::from_millis(300),
        ..Theirs::default()
    };
    split(
        "",
        &theirs,
        "interval-differs",
        "every 300 ms, we every 1000",
    );
    let theirs = Theirs {
        version: Version::V2,
        interval: Duration::from_secs(3),
        ..Theirs::default()
    };
    split("version = 2\n", &theirs, "interval", "interval 3 s differs");
}

#[test]
fn another_version_is_named() {
    let theirs = Theirs {
        version: Version::V2,
        ..Theirs::default()
    };
    split("", &theirs, "version", "speaks version 2");
    let theirs = Theirs::default();
    split("version = 2\n", &theirs, "version", "speaks version 3");
}

#[test]
fn another_form_of_the_checksum_is_named() {
    let theirs = Theirs {
        checksum: ChecksumForm::Rfc9568,
        ..Theirs::default()
    };
    split(
        "",
        &theirs,
        "checksum-differs",
        "a strict router refuses ours",
    );
    let theirs = Theirs::default();
    let more = "checksum = \"rfc9568\"\n";
    split(
        more,
        &theirs,
        "checksum-differs",
        "keepalived and FRR refuse",
    );
}

#[test]
fn another_password_is_named() {
    let theirs = Theirs {
        version: Version::V2,
        auth: Auth::Pass(*b"secret\0\0"),
        ..Theirs::default()
    };
    split("version = 2\n", &theirs, "auth", "authentication differs");
}

#[test]
fn another_list_is_named_and_told_from_another_group() {
    let theirs = Theirs {
        addresses: vec![ip(OURS[0]), ip("10.0.0.60")],
        ..Theirs::default()
    };
    split("", &theirs, "addresses-differ", "10.0.0.50 10.0.0.60");
    let theirs = Theirs {
        addresses: vec![ip("10.0.0.60")],
        ..Theirs::default()
    };
    split(
        "",
        &theirs,
        "duplicate-vrid",
        "none of our addresses: 10.0.0.60",
    );
}

/// All addresses of the host, not only the one that adverts are sent from.
#[test]
fn our_own_addresses_are_nobody_elses() {
    for own in ["10.0.0.2", "10.1.0.2"] {
        let theirs = Theirs {
            source: ip(own),
            ..Theirs::default()
        };
        split("", &theirs, "own-address", "loop or duplicate");
    }
}

/// What a typing error in `vrid` looks like from the other side.
#[test]
fn a_vrid_that_is_not_here_is_shown_with_its_sender() {
    let now = Instant::now();
    let mut node = node(now, "vrid = 51\n");
    hear(&mut node, now, &Theirs::default());
    hear(&mut node, now, &Theirs::default());
    let samples = read(&node, now);
    let total = samples
        .iter()
        .find(|one| one.name == "wayfare_vrrp_unknown_vrid_total");
    assert!(total.is_some_and(|one| (one.value - 2.0).abs() < 0.1));
    let adverts = samples
        .iter()
        .find(|one| one.name == "wayfare_vrrp_unknown_vrid_adverts")
        .expect("named");
    assert_eq!(adverts.label("vrid"), "50");
    assert_eq!(adverts.label("peer"), PEER);
    assert_eq!(adverts.label("interface"), "eth0");
}

/// Names are the operator's and may hold what the format uses; every family is as it has to be.
#[test]
fn whatever_there_is_reads_back_strictly() {
    let now = Instant::now();
    let second = "[[instance]]\nname = \"b\\\" \\\\ c\"\ninterface = \"eth\\\"1\"\n\
                  addresses = [\"10.1.0.50\"]\npriority = 200\n\
                  [[instance]]\nname = \"nowhere\"\ninterface = \"eth9\"\n\
                  addresses = [\"10.2.0.50\"]\ntrack = [{ tcp = \"127.0.0.1:9\" }]\n";
    let mut node = node(now, second);
    let later = now + Duration::from_secs(5);
    node.handle_timeout(later);
    while node.poll_output().is_some() {}
    let samples = read(&node, later);
    let master = samples.iter().find(|one| {
        let wanted = one.label("name") == "b\" \\ c" && one.label("state") == "master";
        one.name == "wayfare_vrrp_state" && wanted
    });
    assert!(master.is_some_and(|one| (one.value - 1.0).abs() < 0.1));
    let by = samples.iter().find(|one| {
        one.name == "wayfare_vrrp_transitions_total" && one.label("reason") == "master-timeout"
    });
    assert_eq!(by.map(|one| one.label("to")), Some("master"));
    let faults = samples
        .iter()
        .find(|one| one.name == "wayfare_vrrp_faults" && one.label("name") == "nowhere");
    assert!(faults.is_some_and(|one| one.value > 0.5));
    let check = samples
        .iter()
        .find(|one| one.name == "wayfare_vrrp_check_state" && one.label("state") == "unknown");
    assert!(check.is_some_and(|one| one.label("check").contains("127.0.0.1:9")));
}

/// The query of a URL and the arguments of a program may be secrets: neither the exporter nor the
/// history nor who looks is shown them, and checks that differ in nothing else are told apart.
#[test]
fn checks_are_named_without_what_may_be_a_secret() {
    let now = Instant::now();
    let second = "[[instance]]\nname = \"b\"\ninterface = \"eth0\"\nvrid = 51\n\
                  addresses = [\"10.0.0.52\"]\ntrack = [\n\
                  { http = \"http://127.0.0.1/a?key=s3cret\" },\n\
                  { script = \"/bin/true s3cret\", fall = 1, weight = -10 },\n\
                  { script = [\"/bin/true\", \"s3cret too\"], fall = 1, weight = -10 },\n]\n";
    let mut node = node(now, second);
    let slots = node.slots();
    let tracked = slots.flat_map(|(_, slot)| slot.instance.track.iter());
    let checks: Vec<_> = tracked.map(|one| one.check.clone()).collect();
    for check in &checks {
        node.check_answered(now, check, Outcome::bad("exit 1"));
    }
    let samples = read(&node, now);
    let states = samples
        .iter()
        .filter(|one| one.name == "wayfare_vrrp_check_state" && one.label("state") == "bad");
    let mut names: Vec<_> = states.map(|one| one.label("check")).collect();
    names.sort_unstable();
    let wanted = [
        "http://127.0.0.1/a",
        "script /bin/true #1",
        "script /bin/true #2",
    ];
    assert_eq!(names, wanted);
    let rows: Vec<_> = node.slots().map(|one| show::row(&node, one, now)).collect();
    let shown = format!("{rows:?}");
    assert!(
        shown.contains("script /bin/true #2") && !shown.contains("s3cret"),
        "{shown}"
    );
    let outputs = std::iter::from_fn(|| node.poll_output());
    let told: String = outputs.map(|(_, output)| format!("{output:?}\n")).collect();
    assert!(told.contains("check script /bin/true #1 failed"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

/// A thousand instances are copied in portions, and their families made elsewhere; what one portion
/// costs the thread of the adverts is bounded whatever there is.
#[test]
fn a_thousand_rows_are_taken_in_portions() {
    let text: String = (0..1000)
        .map(|at| {
            format!(
                "[[instance]]\nname = \"i{at}\"\ninterface = \"e{}\"\nvrid = {}\n\
                 addresses = [\"10.{}.{}.1\"]\n",
                at / 250,
                at % 250 + 1,
                at / 250,
                at % 250
            )
        })
        .collect();
    let config = parse("vrrpd.toml", &text).expect("a good file").config;
    let mut node = Node::default();
    node.apply(Instant::now(), config);
    let shared = crate::io::shared::Shared::new(node, "vrrpd.toml".into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let families = runtime.block_on(super::gather(&shared));
    let priority = families
        .iter()
        .find(|one| one.name == "wayfare_vrrp_priority");
    assert_eq!(priority.map(|one| one.samples.len()), Some(1000));
}
