//! What each change of a file costs a session.
//!
//! The eleven changes that operators make while sessions are up, measured on other daemons, each
//! reset at least one of them; here none resets. What must reset is named beforehand.

use bgpd::config::{self, Change, Config, Host, HostAddress, Impact, Plan};

const BASE: &str = r#"
[router]
asn = 64512
router-id = "10.0.0.11"

[kernel]

[[policy]]
name = "in"
rules = [{ match = { prefix = "10.0.0.0/8 le 24" }, then = "accept" }]

[[policy]]
name = "out"
rules = [{ match = { origin-source = "pod-cidr" }, then = "accept" }]

[[neighbor]]
address = "10.0.0.1"
description = "tor one"
asn = 64500
hold-time = "90s"
max-prefixes = 1000
families = "ipv4-unicast"
add-path = "off"
graceful-restart = "off"
next-hop-self = false
import = "in"
export = "out"

[[neighbor]]
address = "10.0.0.2"
asn = "internal"

[[listen-range]]
prefix = "10.1.0.0/24"
asn = "internal"

[[advertise]]
kind = "pod-cidr"
prefixes = "10.244.1.0/24"

[[pool]]
name = "web"
addresses = "10.0.50.0/24"
"#;

fn parse(text: &str) -> Config {
    let host = Host {
        addresses: vec![HostAddress {
            interface: "eth0".to_owned(),
            loopback: false,
            address: "10.0.0.11".parse().expect("address"),
        }],
        node_name: "node1".to_owned(),
        cores: 1,
    };
    config::parse("bgpd.toml", text, &host)
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config
}

/// The plan of replacing `from` by `to` in the base file.
fn plan(from: &str, to: &str) -> Plan {
    assert!(
        from.is_empty() || BASE.contains(from),
        "{from} is not in the base file"
    );
    let new = match from {
        "" => format!("{BASE}\n{to}"),
        _ => BASE.replacen(from, to, 1),
    };
    Plan::between(&parse(BASE), &parse(&new))
}

fn changes(plan: &Plan) -> Vec<(Option<String>, &str, Impact)> {
    let show = |c: &Change| c.neighbor.map(|addr| addr.to_string());
    plan.changes
        .iter()
        .map(|c| (show(c), c.what.as_str(), c.impact))
        .collect()
}

/// One of the eleven: what is replaced in the base file, and what the plan must say of it.
struct Case {
    name: &'static str,
    from: &'static str,
    to: &'static str,
    neighbor: Option<&'static str>,
    what: &'static str,
    impact: Impact,
}

/// A change of the neighbor 10.0.0.1.
const fn case(
    name: &'static str,
    edit: [&'static str; 2],
    what: &'static str,
    impact: Impact,
) -> Case {
    let [from, to] = edit;
    Case {
        name,
        from,
        to,
        neighbor: Some("10.0.0.1"),
        what,
        impact,
    }
}

const ELEVEN: [Case; 11] = [
    case(
        "description",
        ["tor one", "tor 1"],
        "description tor one -> tor 1",
        Impact::Hitless,
    ),
    case(
        "hold time",
        ["\"90s\"", "\"30s\""],
        "hold-time 90s -> 30s",
        Impact::NextSession,
    ),
    case(
        "prefix limit",
        ["= 1000", "= 2000"],
        "max-prefixes 1000 -> 2000",
        Impact::Hitless,
    ),
    case(
        "import policy",
        ["le 24", "le 26"],
        "import policy in changed",
        Impact::SoftIn,
    ),
    case(
        "export policy",
        [
            "\"pod-cidr\" }, then = \"accept\"",
            "\"pod-cidr\" }, then = \"reject\"",
        ],
        "export policy out changed",
        Impact::SoftOut,
    ),
    Case {
        name: "new originated network",
        from: "",
        to: "[[advertise]]\nkind = \"network\"\nprefixes = \"10.9.0.0/16\"",
        neighbor: None,
        what: "network 10.9.0.0/16 added",
        impact: Impact::Hitless,
    },
    Case {
        name: "add an unrelated peer",
        from: "",
        to: "[[neighbor]]\naddress = \"10.0.0.3\"\nasn = \"internal\"",
        neighbor: Some("10.0.0.3"),
        what: "added",
        impact: Impact::Hitless,
    },
    case(
        "next-hop-self",
        ["next-hop-self = false", "next-hop-self = true"],
        "next-hop-self false -> true",
        Impact::SoftOut,
    ),
    case(
        "graceful restart on",
        ["graceful-restart = \"off\"", "graceful-restart = \"full\""],
        "graceful-restart off -> full",
        Impact::NextSession,
    ),
    case(
        "add-path send on",
        ["add-path = \"off\"", "add-path = \"send\""],
        "add-path off -> send",
        Impact::NextSession,
    ),
    case(
        "add the IPv6 family",
        [
            "families = \"ipv4-unicast\"",
            "families = [\"ipv4-unicast\", \"ipv6-unicast\"]",
        ],
        "families ipv4-unicast -> ipv4-unicast+ipv6-unicast",
        Impact::NextSession,
    ),
];

#[test]
fn the_eleven_changes_reset_no_session() {
    for Case {
        name,
        from,
        to,
        neighbor,
        what,
        impact,
    } in ELEVEN
    {
        let plan = plan(from, to);
        let expected = (neighbor.map(str::to_owned), what, impact);
        let got = changes(&plan);
        assert!(got.contains(&expected), "{name}: {got:?}");
        assert_eq!(plan.resets().count(), 0, "{name}: {got:?}");
        assert!(
            plan.to_string().ends_with("no session resets\n"),
            "{name}: {plan}"
        );
        // Nobody but the neighbor in question is touched.
        let others = got
            .iter()
            .filter(|(n, _, _)| n.is_some() && n.as_deref() != neighbor);
        assert_eq!(others.count(), 0, "{name}: {got:?}");
    }
}

#[test]
fn hold_time_also_moves_the_keepalive_that_follows_from_it() {
    let plan = plan("\"90s\"", "\"30s\"");
    let what: Vec<_> = plan
        .changes
        .iter()
        .map(|change| change.what.as_str())
        .collect();
    assert_eq!(what, ["hold-time 90s -> 30s", "keepalive 30s -> 10s"]);
}

#[test]
fn what_identifies_a_session_resets_it_and_is_named() {
    let cases = [
        (
            "asn = 64500",
            "asn = 64501",
            "10.0.0.1",
            "asn 64500 -> 64501",
        ),
        (
            "max-prefixes = 1000",
            "max-prefixes = 1000\nlocal-address = \"10.0.0.11\"",
            "10.0.0.1",
            "local-address none -> 10.0.0.11",
        ),
        (
            "max-prefixes = 1000",
            "max-prefixes = 1000\nttl-security = 1",
            "10.0.0.1",
            "ttl-security none -> 1",
        ),
        (
            "max-prefixes = 1000",
            "max-prefixes = 1000\nshutdown = true",
            "10.0.0.1",
            "shutdown false -> true",
        ),
        (
            "[[neighbor]]\naddress = \"10.0.0.2\"\nasn = \"internal\"",
            "",
            "10.0.0.2",
            "removed",
        ),
    ];
    for (from, to, neighbor, what) in cases {
        let plan = plan(from, to);
        let resets: Vec<_> = plan.resets().collect();
        assert_eq!(resets.len(), 1, "{plan}");
        assert_eq!(
            resets[0].neighbor.map(|addr| addr.to_string()).as_deref(),
            Some(neighbor)
        );
        assert_eq!(resets[0].what, what);
        assert!(plan.to_string().contains("THE SESSION RESETS"), "{plan}");
    }
    let range = "[[listen-range]]\nprefix = \"10.1.0.0/24\"\nasn = \"internal\"";
    let plan = plan(range, "");
    let resets: Vec<_> = plan.resets().map(|change| change.what.as_str()).collect();
    assert_eq!(
        resets,
        ["listen-range 10.1.0.0/24 removed: its sessions end"]
    );
}

#[test]
fn who_this_router_is_takes_a_restart_and_says_so() {
    for (from, to, what) in [
        ("asn = 64512", "asn = 64513", "router asn 64512 -> 64513"),
        (
            "router-id = \"10.0.0.11\"",
            "router-id = \"10.0.0.12\"\ncluster-id = \"10.0.0.11\"",
            "router-id 10.0.0.11 -> 10.0.0.12",
        ),
        (
            "[kernel]",
            "cluster-id = \"10.0.0.9\"\n[kernel]",
            "cluster-id 10.0.0.11 -> 10.0.0.9",
        ),
        (
            "[kernel]",
            "",
            "kernel: table 254 metric 20 multipath 64 protocol 186 -> nothing written",
        ),
        (
            "[kernel]",
            "default-local-pref = 50\n[kernel]",
            "default-local-pref 100 -> 50",
        ),
    ] {
        let plan = plan(from, to);
        let restarts: Vec<_> = plan.restarts().map(|change| change.what.as_str()).collect();
        assert_eq!(restarts, [what], "{plan}");
        assert!(
            plan.to_string()
                .contains("1 change takes a restart of the daemon"),
            "{plan}"
        );
    }
}

#[test]
fn what_of_a_cluster_is_made_at_the_start_says_so() {
    let of = |keys: &str| format!("{BASE}[kubernetes]\nfrom = \"dir:///m\"\n{keys}");
    let rows = [
        (
            "gate = \"off\"",
            "kubernetes: gate changed",
            Impact::Restart,
        ),
        (
            "proxy-health = \"http://127.0.0.1:1/\"",
            "kubernetes: proxy-health changed",
            Impact::Restart,
        ),
        (
            "sync-time = \"5s\"",
            "kubernetes: sync-time changed",
            Impact::Restart,
        ),
        (
            "status = true",
            "kubernetes: status changed",
            Impact::Restart,
        ),
        (
            "events = true",
            "kubernetes: events changed",
            Impact::Restart,
        ),
        (
            "drain-time = \"5s\"",
            "kubernetes: rules changed",
            Impact::Hitless,
        ),
    ];
    for (key, what, impact) in rows {
        let plan = Plan::between(&parse(&of("")), &parse(&of(key)));
        assert_eq!(changes(&plan), [(None, what, impact)], "{key}");
    }
}

#[test]
fn what_means_the_same_is_no_change() {
    for (from, to) in [
        (
            "max-prefixes = 1000",
            "max-prefixes = 1_000\nport = 179\nconnect-retry = \"5000ms\"",
        ),
        ("[kernel]", "[kernel]\ntable = 254\nprotocol = 186"),
        (
            "asn = 64512\n",
            "asn = 64512\nlisten = [\"0.0.0.0:179\", \"[::]:179\"]\n",
        ),
        (
            "address = \"10.0.0.2\"\nasn = \"internal\"",
            "address = \"10.0.0.2\"\nasn = 64512",
        ),
        (
            "hold-time = \"90s\"",
            "hold-time = \"1m30s\"\nkeepalive = \"30s\"",
        ),
        (
            "prefixes = \"10.244.1.0/24\"",
            "prefixes = [\"10.244.1.0/24\"]",
        ),
    ] {
        let plan = plan(from, to);
        assert!(plan.is_empty(), "{from} -> {to}: {plan}");
        assert_eq!(plan.to_string(), "nothing changes\n");
    }
    // Moving everything into a group only changes the group's name.
    let grouped = BASE.replace(
        "asn = 64500\nhold-time = \"90s\"\nmax-prefixes = 1000",
        "peer-group = \"tor\"",
    ) + "[[peer-group]]\nname = \"tor\"\nasn = 64500\nhold-time = \"90s\"\nmax-prefixes = 1000";
    let plan = Plan::between(&parse(BASE), &parse(&grouped));
    assert_eq!(plan.changes.len(), 1, "{plan}");
    assert_eq!(plan.changes[0].what, "peer-group none -> tor");
    assert_eq!(plan.changes[0].impact, Impact::Hitless);
}

#[test]
fn pools_kernel_and_listeners_change_without_a_session_noticing() {
    for (from, to, what) in [
        ("10.0.50.0/24", "10.0.51.0/24", "pool web changed"),
        ("name = \"web\"", "name = \"shop\"", "pool shop added"),
        (
            "[kernel]",
            "[kernel]\ntable = 100",
            "kernel: table 254 metric 20 multipath 64 protocol 186 -> \
             table 100 metric 20 multipath 64 protocol 186",
        ),
        ("[kernel]", "[metrics]\n[kernel]", "metrics changed"),
    ] {
        let plan = plan(from, to);
        assert!(
            plan.changes.iter().any(|change| change.what == what),
            "{plan}"
        );
        assert_eq!(plan.resets().count(), 0, "{plan}");
    }
}

#[test]
fn a_plan_is_json_too() {
    let json = serde_json::to_value(plan("\"90s\"", "\"30s\"")).expect("plain data");
    assert_eq!(
        json["changes"][0],
        serde_json::json!({
            "what": "hold-time 90s -> 30s",
            "impact": "nextSession",
            "neighbor": "10.0.0.1",
        })
    );
}
