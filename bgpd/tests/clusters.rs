//! A router in front of three clusters: `[[cluster]]`.
//!
//! All nodes of all clusters have one AS, which is what two clusters made from one recipe have.
//! What each must and must not see is read from the RIBs of whole speakers.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::fmt::Write as _;
use std::time::Duration;

use bgpd::config::{Host, parse};
use ipnet::IpNet;
use lab::Lab;

const MINUTE: Duration = Duration::from_secs(60);
const ROUTER: &str = "10.0.0.254";
const UPSTREAM: &str = "10.0.0.253";
const ACCEPT: &str = "import = \"accept-all\"\nexport = \"accept-all\"\n";
/// Cluster, node, what the node announces: its own, and what it must not.
const NODES: [(&str, &str, &str, &str); 6] = [
    ("a", "10.0.0.11", "10.1.1.0/24", "10.2.9.0/24"),
    ("a", "10.0.0.12", "10.1.2.0/24", "0.0.0.0/0"),
    ("b", "10.0.0.21", "10.2.1.0/24", "10.1.1.0/24"),
    ("b", "10.0.0.22", "10.2.2.0/24", "192.0.2.0/24"),
    ("c", "10.0.0.31", "10.3.1.0/24", "10.1.0.0/16"),
    ("c", "10.0.0.32", "10.3.2.0/24", "198.51.100.0/24"),
];
const NODE_ASN: u32 = 64512;

fn speaker(asn: u32, router_id: &str, rest: &str) -> String {
    format!("[router]\nasn = {asn}\nrouter-id = \"{router_id}\"\n[kernel]\n{rest}")
}

fn neighbor(address: &str, asn: u32, rest: &str) -> String {
    format!("[[neighbor]]\naddress = \"{address}\"\nasn = {asn}\n{rest}")
}

/// A node marks its routes with the community of another cluster, which must not help it.
fn node(address: &str, own: &str, foreign: &str) -> String {
    let rest = neighbor(ROUTER, 64500, &format!("allow-own-as = 5\n{ACCEPT}"))
        + &format!(
            "[[advertise]]\nkind = \"network\"\nprefixes = [\"{own}\", \"{foreign}\"]\n\
             community = [\"64500:3\", \"64500:77\"]\n"
        );
    speaker(NODE_ASN, address, &rest)
}

fn router(clusters: &str) -> String {
    let mut rest = neighbor(UPSTREAM, 64499, ACCEPT) + clusters;
    for (at, name) in ["a", "b", "c"].iter().enumerate() {
        let number = at + 1;
        write!(
            rest,
            "[[peer-group]]\nname = \"{name}\"\nasn = {NODE_ASN}\n\
             [[cluster]]\nname = \"{name}\"\npeer-group = \"{name}\"\n\
             community = \"64500:{number}\"\nprefixes = [\"10.{number}.0.0/16\"]\n"
        )
        .expect("text");
    }
    for (name, address, _, _) in NODES {
        let group = format!("peer-group = \"{name}\"\n");
        write!(rest, "[[neighbor]]\naddress = \"{address}\"\n{group}").expect("text");
    }
    speaker(64500, ROUTER, &rest)
}

/// The prefixes that a speaker has learned, the wanted ones being there for sure.
fn seen(lab: &Lab, at: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for number in 0..=3 {
        for low in 0..=9 {
            for prefix in [
                format!("10.{number}.{low}.0/24"),
                format!("10.{number}.0.0/16"),
            ] {
                all.extend(learned(lab, at, &prefix).then_some(prefix));
            }
        }
    }
    for prefix in [
        "0.0.0.0/0",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
    ] {
        all.extend(learned(lab, at, prefix).then(|| prefix.to_owned()));
    }
    all.dedup();
    all
}

fn learned(lab: &Lab, at: usize, prefix: &str) -> bool {
    let prefix: IpNet = prefix.parse().expect("a prefix");
    let route = lab.nodes[at].speaker.rib().lookup(prefix);
    let paths = route.map(|route| route.paths).unwrap_or_default();
    paths
        .iter()
        .any(|path| !path.attrs.as_path().to_string().is_empty())
}

#[test]
fn clusters_of_one_as_do_not_see_each_other() {
    let mut lab = Lab::new();
    let rest = neighbor(ROUTER, 64500, ACCEPT)
        + "[[advertise]]\nkind = \"network\"\nprefixes = [\"203.0.113.0/24\"]\n";
    let upstream = lab.add(UPSTREAM, &speaker(64499, UPSTREAM, &rest));
    let at_router = lab.add(ROUTER, &router(""));
    let nodes: Vec<usize> = NODES
        .iter()
        .map(|(_, address, own, foreign)| lab.add(address, &node(address, own, foreign)))
        .collect();
    let all = [
        "10.1.1.0/24",
        "10.1.2.0/24",
        "10.2.1.0/24",
        "10.2.2.0/24",
        "10.3.1.0/24",
        "10.3.2.0/24",
    ];
    assert!(lab.run_until(MINUTE, |lab| {
        all.iter().all(|prefix| learned(lab, upstream, prefix))
            && nodes.iter().all(|at| learned(lab, *at, "203.0.113.0/24"))
    }));
    lab.run_for(MINUTE);
    assert_eq!(
        seen(&lab, upstream),
        all,
        "upstream gets all, and nothing foreign"
    );
    for ((name, address, own, _), at) in NODES.iter().zip(&nodes) {
        let of_cluster = NODES.iter().filter(|(other, ..)| other == name);
        let mut wanted: Vec<&str> = of_cluster.map(|(_, _, prefix, _)| *prefix).collect();
        wanted.retain(|prefix| prefix != own);
        wanted.push("203.0.113.0/24");
        assert_eq!(seen(&lab, *at), wanted, "{name} {address}");
    }
    let prefix = "10.2.1.0/24".parse().expect("a prefix");
    let route = lab.nodes[at_router]
        .speaker
        .rib()
        .lookup(prefix)
        .expect("it is there");
    let mut communities: Vec<u32> = route.paths[0].attrs.communities().collect();
    communities.sort_unstable();
    assert_eq!(
        communities,
        [64500 << 16 | 2, 64500 << 16 | 77],
        "its own, no other cluster's"
    );
}

#[test]
fn policies_of_members_are_guarded_too() {
    let rest = r#"
[[policy]]
name = "p"
rules = [{ match = { community = ["1:1"] }, set = { community-set = ["2:2"] }, then = "accept" }]

[[peer-group]]
name = "g"
asn = 1
export = "p"

[[neighbor]]
address = "10.0.0.1"
peer-group = "g"
import = "p"

[[neighbor]]
address = "10.0.0.2"
peer-group = "g"
import = "reject-all"

[[listen-range]]
prefix = "10.9.0.0/24"
peer-group = "g"

[[cluster]]
name = "x"
peer-group = "g"
community = "5:5"
prefixes = ["10.0.0.0/8"]
"#;
    let loaded = parse("bgpd.toml", &speaker(64500, ROUTER, rest), &Host::default());
    let config = loaded.unwrap_or_else(|faults| panic!("{faults}")).config;
    let policy = |name: &str| {
        let mut all = config.policies.iter();
        all.find(|policy| policy.name == name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let rules = &policy("cluster:x:import:p").rules;
    assert_eq!(rules.len(), 3);
    assert_eq!(
        rules[2].set.community_add,
        ["5:5"],
        "after whatever the policy sets"
    );
    assert_eq!(policy("cluster:x:import").rules.len(), 3);
    assert_eq!(
        policy("cluster:x:export:p").rules.len(),
        1,
        "there is no other cluster"
    );
    let named = |at: usize| format!("{:?}", config.neighbors[at].settings.import);
    assert!(named(0).contains("cluster:x:import:p"), "{}", named(0));
    assert!(named(1).contains("reject-all"), "{}", named(1));
    let range = format!("{:?}", config.listen_ranges[0].settings.import);
    assert!(range.contains("cluster:x:import"), "{range}");
}
