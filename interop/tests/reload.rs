//! Reload under a running session: the eleven kinds of change that operators make, one after the
//! other, none of which may reset it, and the ones that must, which the plan names beforehand.
//!
//! FRR and BIRD reset for three and four of the eleven, GoBGP even for a description. What is only
//! spoken in an OPEN waits for the next session here, and `reload --check` says so.

use interop::capture::Capture;
use interop::lab::{self, Lab};
use interop::node::Node;
use interop::peers::{Kind, Router, wayfare};
use interop::speaker::{Neighbor, Speaker};
use interop::wait;
use serde_json::Value;

const PEER: &str = "10.99.0.2";
const BASE: &str = r#"
[router]
asn = 65001
router-id = "10.99.0.1"

[kernel]

[[policy]]
name = "prefer"
rules = [{ set = { local-pref = 250 }, then = "accept" }]

[[policy]]
name = "tagged"
rules = [{ set = { community-add = ["65001:77"] }, then = "accept" }]

[[neighbor]]
address = "10.99.0.2"
asn = 65002
hold-time = "90s"
connect-retry = "1s"
families = ["ipv4-unicast"]
import = "accept-all"
export = "accept-all"

[[advertise]]
kind = "network"
prefixes = ["198.51.100.0/24"]
"#;

/// A change: its name, the line of the file it replaces, what stands there afterwards, and the
/// impact the plan must name for the neighbor (or for the daemon).
type Change = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const CHANGES: [Change; 11] = [
    (
        "description",
        "asn = 65002\n",
        "asn = 65002\ndescription = \"top of rack\"\n",
        &["hitless"],
    ),
    (
        "hold time",
        "hold-time = \"90s\"",
        "hold-time = \"60s\"",
        &["nextSession", "hitless"],
    ),
    (
        "prefix limit",
        "connect-retry = \"1s\"\n",
        "connect-retry = \"1s\"\nmax-prefixes = 5000\n",
        &["hitless"],
    ),
    (
        "import policy",
        "import = \"accept-all\"",
        "import = \"prefer\"",
        &["softIn"],
    ),
    (
        "export policy",
        "export = \"accept-all\"",
        "export = \"tagged\"",
        &["softOut"],
    ),
    (
        "new network",
        "prefixes = [\"198.51.100.0/24\"]",
        "prefixes = [\"198.51.100.0/24\", \"192.0.2.0/24\"]",
        &["hitless"],
    ),
    (
        "unrelated neighbor",
        "[[advertise]]",
        "[[neighbor]]\naddress = \"10.99.0.99\"\nasn = 65099\n\n[[advertise]]",
        &["hitless"],
    ),
    (
        "next-hop-self",
        "hold-time = \"60s\"\n",
        "hold-time = \"60s\"\nnext-hop-self = true\n",
        &["softOut", "hitless"],
    ),
    (
        "graceful restart",
        "max-prefixes = 5000\n",
        "max-prefixes = 5000\ngraceful-restart = \"full\"\n",
        &["nextSession"],
    ),
    (
        "add-path",
        "max-prefixes = 5000\n",
        "max-prefixes = 5000\nadd-path = \"send\"\n",
        &["nextSession"],
    ),
    (
        "IPv6 family",
        "families = [\"ipv4-unicast\"]",
        "families = [\"ipv4-unicast\", \"ipv6-unicast\"]",
        &["nextSession"],
    ),
];

fn start(lab: &mut Lab) -> (Node, Router, Capture) {
    let dut = lab.node("dut");
    let peer_node = lab.node("bird");
    let capture = Capture::start(&dut, "eth0");
    dut.write(wayfare::CONFIG, BASE);
    wayfare::start(&dut);
    let (one, two) = (Lab::address(1), Lab::address(2));
    let speaker = Speaker::new(65002, two)
        .network("203.0.113.0/24")
        .neighbor(Neighbor::new(two, one, 65001));
    let peer = Router::start(Kind::Bird, &peer_node, speaker);
    peer.wait_established(one);
    peer.wait_route("198.51.100.0/24");
    (dut, peer, capture)
}

/// How many OPENs we have sent: one per session.
fn sessions(capture: &Capture) -> usize {
    capture.count("ip.src == 10.99.0.1 && bgp.type == 1")
}

#[test]
fn eleven_changes_reset_nothing() {
    lab::enter("eleven_changes_reset_nothing", |lab| {
        let (dut, peer, capture) = start(lab);
        let before = sessions(&capture);
        let mut config = BASE.to_owned();
        for (name, old, new, impacts) in CHANGES {
            assert!(config.contains(old), "{name}: the text to change is there");
            config = config.replacen(old, new, 1);
            dut.write(wayfare::CONFIG, &config);
            let plan = plan(&dut);
            let named: Vec<&str> = plan.iter().filter_map(|c| c["impact"].as_str()).collect();
            assert!(!named.is_empty(), "{name}: the plan is empty");
            assert!(
                named.iter().any(|impact| impacts.contains(impact)),
                "{name}: the plan says {named:?}, expected one of {impacts:?}"
            );
            assert!(
                !named.contains(&"sessionReset"),
                "{name}: the plan announces a reset"
            );
            wayfare::wayfare(&dut, "reload").unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(
                wayfare::wayfare(&dut, "show bgp summary").map(|_| ()),
                Ok(()),
                "{name}"
            );
            assert_eq!(
                peer.is_established(Lab::address(1)),
                Ok(true),
                "{name}: session lost"
            );
            assert_eq!(sessions(&capture), before, "{name}: the session was reset");
        }
        check_effects(&dut, &peer);
        assert_eq!(sessions(&capture), before, "a session was reset");
        assert!(plan(&dut).is_empty(), "nothing is left to change");

        // What waited for the next session is there once there is one.
        wayfare::wayfare(&dut, &format!("clear bgp {PEER}")).expect("the daemon takes it");
        wait::until_true("the next session", 20, || sessions(&capture) > before);
        peer.wait_established(Lab::address(1));
        let hold = "ip.src == 10.99.0.1 && bgp.open.holdtime == 60";
        wait::until_true("the new hold time", 10, || capture.count(hold) > 0);
        assert_eq!(
            capture.complaints("10.99.0.1".parse().expect("an address")),
            [""; 0]
        );
    });
}

/// The changes that act at once did.
fn check_effects(dut: &Node, peer: &Router) {
    peer.wait_route("192.0.2.0/24");
    wait::until("the export policy", 10, || {
        let path = peer.wait_route("198.51.100.0/24");
        if path.communities.contains("65001:77") {
            Ok(())
        } else {
            Err(format!("{path:?}"))
        }
    });
    wait::until("the import policy", 10, || {
        let shown = wayfare::show(dut, "show bgp ipv4 unicast 203.0.113.0/24")?;
        let preference = &shown["paths"][0]["localpref"];
        let preference = if preference.is_null() {
            &shown["paths"][0]["locPrf"]
        } else {
            preference
        };
        if preference == 250 {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    });
}

#[test]
fn resets_are_named_beforehand() {
    lab::enter("resets_are_named_beforehand", |lab| {
        let (dut, peer, capture) = start(lab);
        let before = sessions(&capture);
        dut.write("/run/node/tor.key", "a-key");
        dut.sh("chmod 600 /run/node/tor.key");
        let config = BASE.replacen(
            "asn = 65002\n",
            "asn = 65002\npassword-file = \"/run/node/tor.key\"\n",
            1,
        );
        dut.write(wayfare::CONFIG, config);
        let plan = plan(&dut);
        let reset = plan
            .iter()
            .find(|change| change["impact"] == "sessionReset");
        let reset = reset.unwrap_or_else(|| panic!("no reset in the plan: {plan:?}"));
        assert_eq!(reset["neighbor"], PEER, "the plan names the neighbor");
        assert_eq!(sessions(&capture), before, "--check changes nothing");
        assert_eq!(
            peer.is_established(Lab::address(1)),
            Ok(true),
            "--check changes nothing"
        );
        wayfare::wayfare(&dut, "reload").expect("a valid file");
        peer.wait_down(Lab::address(1), 10);
    });
}

#[test]
fn a_bad_file_changes_nothing() {
    lab::enter("a_bad_file_changes_nothing", |lab| {
        let (dut, peer, capture) = start(lab);
        let before = sessions(&capture);
        let bad = BASE
            .replacen("198.51.100.0/24", "192.0.2.0/24", 1)
            .replacen("asn = 65002", "asn = 65002\nhold-tme = \"9s\"", 1);
        dut.write(wayfare::CONFIG, bad);
        let why = wayfare::wayfare(&dut, "reload").expect_err("a typo is an error");
        assert!(
            why.contains("hold-tme") && why.contains("hold-time"),
            "no cure in: {why}"
        );
        dut.signal("HUP", "wayfare-bgpd");
        wait::until_true("the log says so", 10, || {
            dut.read("/run/node/bgpd.log").contains("hold-tme")
        });
        assert_eq!(sessions(&capture), before);
        assert!(
            peer.paths("192.0.2.0/24")
                .expect("birdc answers")
                .is_empty()
        );
        peer.wait_route("198.51.100.0/24");

        // A good file by signal alone.
        dut.write(
            wayfare::CONFIG,
            BASE.replacen("198.51.100.0/24", "192.0.2.0/24", 1),
        );
        dut.signal("HUP", "wayfare-bgpd");
        peer.wait_route("192.0.2.0/24");
        peer.wait_no_route("198.51.100.0/24", 10);
        assert_eq!(sessions(&capture), before);
    });
}

/// The changes `reload --check` names.
fn plan(dut: &Node) -> Vec<Value> {
    let shown = wayfare::show(dut, "reload --check").unwrap_or_else(|why| panic!("{why}"));
    let mut changes = Vec::new();
    collect(&shown, &mut changes);
    changes
}

/// Every object that names an impact, wherever the answer keeps its list.
fn collect(value: &Value, changes: &mut Vec<Value>) {
    match value {
        Value::Object(fields) if fields.contains_key("impact") => changes.push(value.clone()),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, changes)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, changes)),
        _ => {}
    }
}
