//! `wayfare-bgpd` of this checkout, read through `wayfare … json` like any operator would.
//!
//! The file is written from the same neutral words as everybody's, in the contract's keys only, so
//! every scenario is also a test of the documented configuration. eBGP neighbors get `accept-all`
//! both ways, which RFC 8212 demands to be said.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Family, Implementation, frr};
use crate::node::Node;
use crate::speaker::{AddPath, Neighbor, Network, Path, Speaker};
use crate::wait;

pub(crate) struct Wayfare;

/// Where a node's configuration is.
pub const CONFIG: &str = "/run/node/bgpd.conf";

impl Implementation for Wayfare {
    fn configure(&self, node: &Node, speaker: &Speaker) {
        write(node, speaker, &config(speaker));
    }

    fn start(&self, node: &Node, _speaker: &Speaker) {
        start(node);
    }

    fn programs(&self) -> &'static [&'static str] {
        &["wayfare-bgpd"]
    }

    fn established(&self, node: &Node, _speaker: &Speaker) -> Result<BTreeSet<IpAddr>, String> {
        let summary = show(node, "show bgp summary")?;
        let mut up = BTreeSet::new();
        for family in ["ipv4Unicast", "ipv6Unicast"] {
            let Some(peers) = summary[family]["peers"].as_object() else {
                continue;
            };
            let established = peers
                .iter()
                .filter(|(_, peer)| peer["state"] == "Established");
            up.extend(established.filter_map(|(address, _)| address.parse::<IpAddr>().ok()));
        }
        Ok(up)
    }

    fn paths(&self, node: &Node, prefix: &IpNet) -> Result<Vec<Path>, String> {
        let shown = show(
            node,
            &format!("show bgp {} unicast {prefix}", Family::of(prefix).word()),
        )?;
        let paths = shown["paths"].as_array().cloned().unwrap_or_default();
        Ok(paths.iter().map(frr::path).collect())
    }

    fn prefixes(&self, node: &Node, family: Family) -> Result<BTreeSet<IpNet>, String> {
        let shown = show(node, &format!("show bgp {} unicast", family.word()))?;
        let routes = shown["routes"].as_object().cloned().unwrap_or_default();
        Ok(routes
            .keys()
            .filter_map(|prefix| prefix.parse().ok())
            .collect())
    }

    fn refresh_in(&self, node: &Node, _speaker: &Speaker, neighbor: IpAddr) -> Result<(), String> {
        wayfare(node, &format!("clear bgp {neighbor} soft in")).map(|_| ())
    }

    fn shut(&self, node: &Node, _speaker: &Speaker, _peer: IpAddr, _: &str) -> Result<(), String> {
        // The contract has no command for one neighbor with a message; a stop says farewell to all.
        node.signal("TERM", "wayfare-bgpd");
        Ok(())
    }

    fn neighbor_text(
        &self,
        node: &Node,
        _speaker: &Speaker,
        peer: IpAddr,
    ) -> Result<String, String> {
        let shown = wayfare(node, &format!("show bgp neighbors {peer}"))?;
        Ok(shown + &node.read("/run/node/bgpd.log"))
    }
}

/// Writes `text` as the node's configuration, and the key files `speaker` asks for.
pub fn write(node: &Node, speaker: &Speaker, text: &str) {
    node.write(CONFIG, text);
    for (index, neighbor) in speaker.neighbors.iter().enumerate() {
        if let Some(key) = &neighbor.password {
            node.write(&key_file(index), key);
            node.sh(&format!("chmod 600 {}", key_file(index)));
        }
    }
}

/// Starts the daemon on the configuration already written; returns once it answers.
pub fn start(node: &Node) {
    // The daemon belongs to the node; nobody waits for it here.
    drop(node.spawn(
        "bgpd.log",
        "/opt/wayfare/wayfare-bgpd",
        &["--config", CONFIG],
    ));
    wait::until("wayfare-bgpd answers", 15, || {
        show(node, "show bgp summary")
    });
}

/// Runs one operator command.
pub fn wayfare(node: &Node, command: &str) -> Result<String, String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    node.output("/opt/wayfare/wayfare", &words)
}

/// Runs one `show` command and parses its JSON.
pub fn show(node: &Node, command: &str) -> Result<Value, String> {
    let mut words: Vec<&str> = command.split_whitespace().collect();
    words.push("json");
    node.json("/opt/wayfare/wayfare", &words)
}

fn key_file(index: usize) -> String {
    format!("/run/node/key{index}")
}

/// The contract's TOML for a speaker.
pub fn config(speaker: &Speaker) -> String {
    let mut text = format!(
        "[router]\nasn = {}\nrouter-id = \"{}\"\n",
        speaker.asn, speaker.router_id
    );
    let threads = speaker
        .threads
        .map(|threads| threads.to_string())
        .or_else(|| std::env::var("WAYFARE_THREADS").ok());
    if let Some(threads) = threads {
        let _ = write!(text, "\n[engine]\nthreads = {threads}\n");
    }
    if speaker.kernel {
        let _ = write!(
            text,
            "\n[kernel]\nmultipath = {}\n",
            speaker.multipath.max(1)
        );
    }
    text += &networks(speaker);
    for (index, neighbor) in speaker.neighbors.iter().enumerate() {
        let _ = writeln!(text, "\n[[neighbor]]\naddress = \"{}\"", neighbor.address);
        let _ = writeln!(text, "local-address = \"{}\"", neighbor.local);
        if neighbor.password.is_some() {
            let _ = writeln!(text, "password-file = \"{}\"", key_file(index));
        }
        text += &session(speaker, neighbor);
    }
    for (index, range) in speaker.listen_ranges.iter().enumerate() {
        let neighbor = Neighbor::new(speaker.router_id, range.prefix.network(), range.asn);
        let _ = writeln!(text, "\n[[peer-group]]\nname = \"dyn{index}\"");
        text += &session(speaker, &neighbor);
        let prefix = range.prefix;
        let _ = writeln!(
            text,
            "\n[[listen-range]]\nprefix = \"{prefix}\"\npeer-group = \"dyn{index}\""
        );
    }
    if !speaker.mesh.is_empty() {
        let members: Vec<String> = speaker.mesh.iter().map(|m| format!("\"{m}\"")).collect();
        let _ = writeln!(
            text,
            "\n[[peer-group]]\nname = \"nodes\"\nasn = \"internal\"\nconnect-retry = \"1s\"\n\
             families = [\"ipv4-unicast\", \"ipv6-unicast\"]\n\n[mesh]\nmembers = [{}]\n\
             peer-group = \"nodes\"",
            members.join(", ")
        );
    }
    text
}

fn networks(speaker: &Speaker) -> String {
    let mut text = String::new();
    for Network {
        prefix,
        communities,
        ..
    } in &speaker.networks
    {
        let _ = writeln!(
            text,
            "\n[[advertise]]\nkind = \"network\"\nprefixes = [\"{prefix}\"]"
        );
        if !communities.is_empty() {
            let quoted: Vec<String> = communities.iter().map(|c| format!("\"{c}\"")).collect();
            let _ = writeln!(text, "community = [{}]", quoted.join(", "));
        }
    }
    text
}

fn session(speaker: &Speaker, neighbor: &Neighbor) -> String {
    let mut families = Vec::new();
    families.extend(neighbor.ipv4.then_some("\"ipv4-unicast\""));
    families.extend(neighbor.ipv6.then_some("\"ipv6-unicast\""));
    let mut text = format!(
        "asn = {}\nfamilies = [{}]\nhold-time = \"{}s\"\nconnect-retry = \"1s\"\n",
        neighbor.asn,
        families.join(", "),
        neighbor.hold_time_s
    );
    if speaker.is_external(neighbor) {
        text += "import = \"accept-all\"\nexport = \"accept-all\"\n";
    }
    for (wanted, line) in [
        (neighbor.ttl_security, "ttl-security = 1"),
        (neighbor.reflector_client, "route-reflector-client = true"),
        (neighbor.next_hop_self, "next-hop-self = true"),
        (neighbor.passive, "passive = true"),
        (neighbor.add_path == AddPath::Send, "add-path = \"send\""),
        (
            neighbor.add_path == AddPath::Receive,
            "add-path = \"receive\"",
        ),
        (neighbor.add_path == AddPath::Both, "add-path = \"both\""),
    ] {
        if wanted {
            let _ = writeln!(text, "{line}");
        }
    }
    if let Some(limit) = neighbor.max_prefixes {
        let _ = writeln!(text, "max-prefixes = {limit}");
    }
    text
}
