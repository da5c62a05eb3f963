//! A router in front of three clusters, `[[cluster]]`, with other people's daemons as their nodes.
//!
//! All nodes of all clusters have one AS; each announces a prefix of its own cluster, one of
//! another's, and the default route. What each holds is compared prefix by prefix, before and after
//! a cluster is taken away by a reload.

use std::collections::BTreeSet;
use std::fmt::Write;

use interop::kubernetes::rig::table;
use interop::lab::{self, Lab};
use interop::node::Node;
use interop::peers::{Kind, Router, wayfare};
use interop::speaker::{Neighbor, Network, Speaker};
use interop::wait;
use ipnet::IpNet;

const ROUTER_ASN: u32 = 64500;
const NODE_ASN: u32 = 64512;
const UPSTREAM_ASN: u32 = 64499;
const PATIENCE_S: u64 = 30;

/// The nodes of each cluster, behind the router and the upstream: indexes 3 to 8.
const NODES: [(&str, Kind, &str, &str); 6] = [
    ("a", Kind::Bird, "10.1.1.0/24", "10.2.9.0/24"),
    ("a", Kind::Frr, "10.1.2.0/24", "0.0.0.0/0"),
    ("b", Kind::Bird, "10.2.1.0/24", "10.1.1.0/24"),
    ("b", Kind::Frr, "10.2.2.0/24", "192.0.2.0/24"),
    ("c", Kind::Bird, "10.3.1.0/24", "10.1.0.0/16"),
    ("c", Kind::Frr, "10.3.2.0/24", "198.51.100.0/24"),
];

fn address(at: usize) -> std::net::Ipv4Addr {
    Lab::address(u8::try_from(at).expect("a small lab"))
}

fn config(clusters: &[&str]) -> String {
    let mut text = format!(
        "[router]\nasn = {ROUTER_ASN}\nrouter-id = \"{}\"\n\n[kernel]\n\n[[neighbor]]\n\
         address = \"{}\"\nasn = {UPSTREAM_ASN}\nconnect-retry = \"1s\"\n\
         import = \"accept-all\"\nexport = \"accept-all\"\n",
        address(1),
        address(2)
    );
    for name in clusters {
        let number = 1 + ["a", "b", "c"]
            .iter()
            .position(|it| it == name)
            .expect("a cluster");
        let _ = write!(
            text,
            "\n[[peer-group]]\nname = \"{name}\"\nasn = {NODE_ASN}\nconnect-retry = \"1s\"\n\
             \n[[cluster]]\nname = \"{name}\"\npeer-group = \"{name}\"\n\
             community = \"{ROUTER_ASN}:{number}\"\nprefixes = [\"10.{number}.0.0/16\"]\n"
        );
    }
    for (at, (name, ..)) in NODES.iter().enumerate() {
        if clusters.contains(name) {
            let address = address(at + 3);
            let _ = write!(
                text,
                "\n[[neighbor]]\naddress = \"{address}\"\npeer-group = \"{name}\"\n"
            );
        }
    }
    text
}

/// A speaker beside the router, announcing these.
fn beside(node: &Node, asn: u32, networks: &[&str]) -> Speaker {
    let local = Lab::address(node.index());
    let neighbor = Neighbor::new(local, address(1), ROUTER_ASN);
    let speaker = Speaker::new(asn, local).neighbor(neighbor);
    // Another cluster's community must not help a node.
    let marks = match asn {
        NODE_ASN => vec![format!("{ROUTER_ASN}:3")],
        _ => Vec::new(),
    };
    let each = networks.iter().map(|prefix| Network {
        communities: marks.clone(),
        ..Network::new(prefix)
    });
    each.fold(speaker, Speaker::network_with)
}

/// Waits until a router holds exactly these beside what it announces itself.
#[track_caller]
fn expect(step: &str, router: &Router, own: &[&str], learned: &[&str]) {
    let parse = |text: &&str| -> IpNet { text.parse().expect("a prefix") };
    let wanted: BTreeSet<IpNet> = own.iter().chain(learned).map(parse).collect();
    let what = format!("{step}: table of {}", router.node.name());
    wait::until(&what, PATIENCE_S, || {
        let found = table(router)?;
        match found == wanted {
            true => Ok(()),
            false => Err(format!("{found:?}, wanted {wanted:?}")),
        }
    });
}

#[test]
fn clusters_behind_one_router_do_not_see_each_other() {
    lab::enter("clusters_behind_one_router_do_not_see_each_other", |lab| {
        let router = lab.node("router");
        let upstream = lab.node("upstream");
        let speaker = beside(&upstream, UPSTREAM_ASN, &["203.0.113.0/24"]);
        let mut starts = vec![(Kind::Frr, upstream, speaker)];
        for (at, (name, kind, own, foreign)) in NODES.iter().enumerate() {
            let node = lab.node(&format!("{name}{at}"));
            let speaker = beside(&node, NODE_ASN, &[own, foreign]);
            starts.push((*kind, node, speaker));
        }
        router.write(wayfare::CONFIG, config(&["a", "b", "c"]));
        wayfare::start(&router);
        let all = Router::start_all(starts);
        for one in &all {
            one.wait_established(address(1));
        }

        let own = |at: usize| [NODES[at].2, NODES[at].3];
        let of = |clusters: &[&str]| -> Vec<&str> {
            let members = NODES.iter().filter(|(name, ..)| clusters.contains(name));
            members.map(|(_, _, prefix, _)| *prefix).collect()
        };
        expect("all", &all[0], &["203.0.113.0/24"], &of(&["a", "b", "c"]));
        // One AS: a node refuses its neighbors' routes itself (RFC 4271 §9.1.2), so all that may
        // come from the router is what is of nobody's cluster.
        for at in 0..NODES.len() {
            expect("all", &all[at + 1], &own(at), &["203.0.113.0/24"]);
        }
        let shown = wayfare::wayfare(&router, "show bgp 10.2.1.0/24").expect("shown");
        assert!(
            shown.contains("64500:2") && !shown.contains("64500:3"),
            "{shown}"
        );
        // The same on the wire: nothing of another cluster is even offered.
        for (at, (name, ..)) in NODES.iter().enumerate() {
            let command = format!("show bgp neighbors {} advertised-routes", address(at + 3));
            let offered = wayfare::wayfare(&router, &command).expect("shown");
            for (_, _, prefix, _) in NODES.iter().filter(|(other, ..)| other != name) {
                assert!(
                    !offered.contains(prefix),
                    "{prefix} is offered to {name}:\n{offered}"
                );
            }
            assert!(offered.contains("203.0.113.0/24"), "{offered}");
        }

        router.write(wayfare::CONFIG, config(&["a", "c"]));
        wayfare::wayfare(&router, "reload").expect("reloaded");
        expect("without b", &all[0], &["203.0.113.0/24"], &of(&["a", "c"]));
        expect("without b", &all[1], &own(0), &["203.0.113.0/24"]);
        expect("without b", &all[3], &own(2), &[]);
    });
}
