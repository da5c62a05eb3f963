//! OpenBGPD 9: one file, one daemon that forks its engine and session process.
//!
//! Debian installs it as `/usr/sbin/bgpd`. The file must belong to root and be closed to others.
//! `bgpctl -j` prints numbers as strings in places; the readers take both.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Family, Implementation};
use crate::node::Node;
use crate::speaker::{Neighbor, Network, Path, Speaker, numbers};
use crate::wait;

pub(crate) struct Openbgpd;

impl Implementation for Openbgpd {
    fn configure(&self, node: &Node, speaker: &Speaker) {
        node.write("/run/node/openbgpd.conf", config(speaker));
        node.sh("chmod 600 /run/node/openbgpd.conf; mkdir -p /run/openbgpd");
    }

    fn start(&self, node: &Node, _speaker: &Speaker) {
        // The daemon belongs to the node; nobody waits for it here.
        let arguments = ["-d", "-v", "-f", "/run/node/openbgpd.conf"];
        drop(node.spawn("openbgpd.log", "/usr/sbin/bgpd", &arguments));
        wait::until("bgpctl answers", 15, || bgpctl(node, &["show"]));
    }

    fn programs(&self) -> &'static [&'static str] {
        &["bgpd"]
    }

    fn established(&self, node: &Node, _speaker: &Speaker) -> Result<BTreeSet<IpAddr>, String> {
        let shown = bgpctl(node, &["show"])?;
        let neighbors = shown["neighbors"].as_array().cloned().unwrap_or_default();
        Ok(neighbors
            .iter()
            .filter(|neighbor| neighbor["state"] == "Established")
            .filter_map(|neighbor| neighbor["remote_addr"].as_str()?.parse().ok())
            .collect())
    }

    fn paths(&self, node: &Node, prefix: &IpNet) -> Result<Vec<Path>, String> {
        let shown = bgpctl(node, &["show", "rib", "detail", &prefix.to_string()])?;
        let rib = shown["rib"].as_array().cloned().unwrap_or_default();
        Ok(rib.iter().map(path).collect())
    }

    fn prefixes(&self, node: &Node, family: Family) -> Result<BTreeSet<IpNet>, String> {
        let family = if family == Family::V4 { "ipv4" } else { "ipv6" };
        let shown = bgpctl(node, &["show", "rib", family])?;
        let rib = shown["rib"].as_array().cloned().unwrap_or_default();
        Ok(rib
            .iter()
            .filter_map(|route| route["prefix"].as_str()?.parse().ok())
            .collect())
    }

    fn refresh_in(&self, node: &Node, _speaker: &Speaker, neighbor: IpAddr) -> Result<(), String> {
        node.output("bgpctl", &["neighbor", &neighbor.to_string(), "refresh"])
            .map(|_| ())
    }

    fn shut(&self, node: &Node, _speaker: &Speaker, peer: IpAddr, why: &str) -> Result<(), String> {
        node.output("bgpctl", &["neighbor", &peer.to_string(), "down", why])
            .map(|_| ())
    }

    fn neighbor_text(
        &self,
        node: &Node,
        _speaker: &Speaker,
        peer: IpAddr,
    ) -> Result<String, String> {
        let shown = node.output("bgpctl", &["show", "neighbor", &peer.to_string()])?;
        Ok(shown + &node.read("/run/node/openbgpd.log"))
    }
}

fn bgpctl(node: &Node, words: &[&str]) -> Result<Value, String> {
    let mut arguments = vec!["-j"];
    arguments.extend(words);
    node.json("bgpctl", &arguments)
}

fn config(speaker: &Speaker) -> String {
    let mut text = format!(
        "AS {}\nrouter-id {}\nfib-update {}\nconnect-retry 1\n",
        speaker.asn,
        speaker.router_id,
        if speaker.kernel { "yes" } else { "no" }
    );
    for network in &speaker.networks {
        let _ = writeln!(text, "network {} {}", network.prefix, set(network));
    }
    for neighbor in &speaker.neighbors {
        let _ = writeln!(text, "neighbor {} {{", neighbor.address);
        let _ = writeln!(text, "  local-address {}", neighbor.local);
        text += &session(speaker, neighbor);
    }
    for (index, range) in speaker.listen_ranges.iter().enumerate() {
        let neighbor =
            Neighbor::new(speaker.router_id, range.prefix.network(), range.asn).passive();
        let _ = writeln!(text, "neighbor {} {{\n  descr dyn{index}", range.prefix);
        text += &session(speaker, &neighbor);
    }
    text + "allow from any\nallow to any\n"
}

fn set(network: &Network) -> String {
    let mut words = String::new();
    for (word, values) in [
        ("community", &network.communities),
        ("large-community", &network.large_communities),
        ("ext-community rt", &network.route_targets),
    ] {
        for value in values {
            let _ = write!(words, "{word} {value} ");
        }
    }
    if let Some(med) = network.med {
        let _ = write!(words, "med {med} ");
    }
    if words.is_empty() {
        words
    } else {
        format!("set {{ {words}}}")
    }
}

fn session(speaker: &Speaker, neighbor: &Neighbor) -> String {
    let mut text = format!(
        "  remote-as {}\n  holdtime {}\n",
        neighbor.asn, neighbor.hold_time_s
    );
    for (wanted, line) in [
        (neighbor.ipv4, "announce IPv4 unicast"),
        (!neighbor.ipv4, "announce IPv4 none"),
        (neighbor.ipv6, "announce IPv6 unicast"),
        (neighbor.ttl_security, "ttl-security yes"),
        (neighbor.reflector_client, "route-reflector"),
        (neighbor.passive, "passive"),
        (
            neighbor.next_hop_self && !speaker.is_external(neighbor),
            "set nexthop self",
        ),
        (neighbor.add_path.receives(), "announce add-path recv yes"),
        (neighbor.add_path.sends(), "announce add-path send all"),
    ] {
        if wanted {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(key) = &neighbor.password {
        let _ = writeln!(text, "  tcp md5sig password {key}");
    }
    if let Some(limit) = neighbor.max_prefixes {
        let _ = writeln!(text, "  max-prefix {limit}");
    }
    text + "}\n"
}

fn path(value: &Value) -> Path {
    let list = |name: &str| -> Vec<String> {
        match &value[name] {
            Value::Array(items) => items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
            Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    let number = |name: &str| match &value[name] {
        Value::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let among = |name: &str| -> Option<&Value> {
        let attributes = value["attributes"].as_array()?;
        attributes
            .iter()
            .map(|attribute| &attribute[name])
            .find(|found| !found.is_null())
    };
    let clusters = among("cluster_list")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    Path {
        next_hops: [&value["exit_nexthop"], &value["true_nexthop"]]
            .into_iter()
            .filter_map(|hop| hop.as_str()?.parse().ok())
            .take(1)
            .collect(),
        as_path: numbers(value["aspath"].as_str().unwrap_or_default()),
        origin: value["origin"].as_str().unwrap_or_default().to_owned(),
        med: number("metric"),
        local_pref: number("localpref"),
        communities: list("communities").into_iter().collect(),
        large_communities: list("large_communities").into_iter().collect(),
        route_targets: list("extended_communities")
            .iter()
            .filter_map(|word| word.strip_prefix("rt ").map(str::to_owned))
            .collect(),
        originator: among("originator").and_then(|id| id.as_str()?.parse().ok()),
        cluster_list: clusters
            .iter()
            .filter_map(|id| id.as_str()?.parse().ok())
            .collect(),
        best: value["best"].as_bool().unwrap_or(false),
    }
}
