//! FRR 10: `mgmtd` first, then `zebra` and `bgpd`, then the configuration as typed.
//!
//! The profile is `datacenter`, whose connect timer and advertisement interval suit a lab, and
//! RFC 8212's demand for policies is switched off, since the scenarios' policies are ours to test.
//! Tables are read as JSON; `show bgp … detail json` is the one form that has every attribute.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Family, Implementation};
use crate::node::Node;
use crate::speaker::{Neighbor, Path, Speaker, numbers};
use crate::wait;

pub(crate) struct Frr;

/// The daemons keep their output open; a file spares the caller from waiting for its end.
const START: &str = "
exec >/run/node/frr-start.log 2>&1
mkdir -p /run/frr
chown frr:frr /run/frr && chmod 775 /run/frr
cd /usr/lib/frr
./mgmtd -d -A 127.0.0.1
./zebra -d -A 127.0.0.1 -s 90000000
./bgpd -d -A 127.0.0.1
";

/// As typed, not as a file: after a file (`vtysh -f`) bgpd holds all neighbors back for four
/// seconds, in case more is to come.
const CONFIGURE: &str = "{ echo configure; cat /run/node/frr.conf; echo end; } | vtysh";

impl Implementation for Frr {
    fn configure(&self, node: &Node, speaker: &Speaker) {
        node.write("/run/node/frr.conf", config(node, speaker));
    }

    fn start(&self, node: &Node, _speaker: &Speaker) {
        node.sh(START);
        wait::until("vtysh takes the configuration", 20, || {
            node.output("sh", &["-c", CONFIGURE])?;
            let running = vtysh(node, "show running-config")?;
            if running.contains("router bgp") {
                Ok(())
            } else {
                Err(running)
            }
        });
    }

    fn programs(&self) -> &'static [&'static str] {
        &["bgpd", "zebra", "mgmtd"]
    }

    fn established(&self, node: &Node, _speaker: &Speaker) -> Result<BTreeSet<IpAddr>, String> {
        let summary = vtysh_json(node, "show bgp summary json")?;
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
        let family = Family::of(prefix).word();
        let shown = vtysh_json(node, &format!("show bgp {family} unicast {prefix} json"))?;
        let paths = shown["paths"].as_array().cloned().unwrap_or_default();
        Ok(paths.iter().map(path).collect())
    }

    fn prefixes(&self, node: &Node, family: Family) -> Result<BTreeSet<IpNet>, String> {
        let shown = vtysh_json(node, &format!("show bgp {} unicast json", family.word()))?;
        let routes = shown["routes"].as_object().cloned().unwrap_or_default();
        Ok(routes
            .keys()
            .filter_map(|prefix| prefix.parse().ok())
            .collect())
    }

    fn refresh_in(&self, node: &Node, _speaker: &Speaker, neighbor: IpAddr) -> Result<(), String> {
        vtysh(node, &format!("clear bgp {neighbor} soft in")).map(|_| ())
    }

    fn shut(&self, node: &Node, speaker: &Speaker, peer: IpAddr, why: &str) -> Result<(), String> {
        let router = format!("router bgp {}", speaker.asn);
        let command = format!("neighbor {peer} shutdown message {why}");
        node.output("vtysh", &["-c", "configure", "-c", &router, "-c", &command])
            .map(|_| ())
    }

    fn neighbor_text(
        &self,
        node: &Node,
        _speaker: &Speaker,
        peer: IpAddr,
    ) -> Result<String, String> {
        let shown = vtysh(node, &format!("show bgp neighbors {peer}"))?;
        Ok(shown + &node.read("/run/frr/frr.log"))
    }
}

/// One command of `vtysh`.
pub fn vtysh(node: &Node, command: &str) -> Result<String, String> {
    node.output("vtysh", &["-c", command])
}

/// One command of `vtysh` whose answer is JSON.
pub fn vtysh_json(node: &Node, command: &str) -> Result<Value, String> {
    node.json("vtysh", &["-c", command])
}

fn config(node: &Node, speaker: &Speaker) -> String {
    let mut text = format!(
        "frr defaults datacenter\nhostname {}\nlog file /run/frr/frr.log\n",
        node.name()
    );
    for (index, network) in speaker.networks.iter().enumerate() {
        let _ = writeln!(text, "route-map NET{index} permit 10");
        for (words, values) in [
            ("community", &network.communities),
            ("large-community", &network.large_communities),
            ("extcommunity rt", &network.route_targets),
        ] {
            if !values.is_empty() {
                let _ = writeln!(text, " set {words} {}", values.join(" "));
            }
        }
        if let Some(med) = network.med {
            let _ = writeln!(text, " set metric {med}");
        }
        text += "exit\n";
    }
    let _ = writeln!(
        text,
        "router bgp {}\n bgp router-id {}",
        speaker.asn, speaker.router_id
    );
    text += " no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n";
    text += " no bgp network import-check\n no bgp reject-as-sets\n";
    text += " bgp bestpath as-path multipath-relax\n";
    // A crash is to be seen at once, not after a restart time.
    text += " bgp log-neighbor-changes\n bgp graceful-restart-disable\n";
    for neighbor in &speaker.neighbors {
        text += &session(neighbor);
    }
    for (index, range) in speaker.listen_ranges.iter().enumerate() {
        let _ = writeln!(text, " neighbor DYN{index} peer-group");
        let _ = writeln!(text, " neighbor DYN{index} remote-as {}", range.asn);
        let _ = writeln!(
            text,
            " bgp listen range {} peer-group DYN{index}",
            range.prefix
        );
    }
    for family in [Family::V4, Family::V6] {
        text += &address_family(speaker, family);
    }
    for neighbor in &speaker.neighbors {
        let _ = writeln!(text, " no neighbor {} shutdown", neighbor.address);
    }
    text
}

fn session(neighbor: &Neighbor) -> String {
    let address = neighbor.address;
    let mut text = format!(" neighbor {address} remote-as {}\n", neighbor.asn);
    // Without a family yet, a start would fail and be retried seconds later.
    let _ = writeln!(text, " neighbor {address} shutdown");
    let hold = neighbor.hold_time_s;
    let _ = writeln!(text, " neighbor {address} timers {} {hold}", hold / 3);
    let _ = writeln!(text, " neighbor {address} timers connect 1");
    let _ = writeln!(text, " neighbor {address} update-source {}", neighbor.local);
    if let Some(key) = &neighbor.password {
        let _ = writeln!(text, " neighbor {address} password {key}");
    }
    if neighbor.ttl_security {
        let _ = writeln!(text, " neighbor {address} ttl-security hops 1");
    }
    if neighbor.passive {
        let _ = writeln!(text, " neighbor {address} passive");
    }
    text
}

fn address_family(speaker: &Speaker, family: Family) -> String {
    let mut text = format!(" address-family {} unicast\n", family.word());
    let _ = writeln!(text, "  maximum-paths {}", speaker.multipath.max(1));
    let _ = writeln!(text, "  maximum-paths ibgp {}", speaker.multipath.max(1));
    for (index, network) in speaker.networks.iter().enumerate() {
        if Family::of(&network.prefix) == family {
            let _ = writeln!(text, "  network {} route-map NET{index}", network.prefix);
        }
    }
    let wanted = |n: &&Neighbor| if family == Family::V4 { n.ipv4 } else { n.ipv6 };
    for neighbor in speaker.neighbors.iter().filter(wanted) {
        let address = neighbor.address;
        let mut words = vec!["activate".to_owned()];
        if neighbor.reflector_client {
            words.push("route-reflector-client".to_owned());
        }
        if neighbor.next_hop_self {
            words.push("next-hop-self".to_owned());
        }
        if neighbor.add_path.sends() {
            words.push("addpath-tx-all-paths".to_owned());
        }
        if !neighbor.add_path.receives() {
            words.push("disable-addpath-rx".to_owned());
        }
        if let Some(limit) = neighbor.max_prefixes {
            words.push(format!("maximum-prefix {limit}"));
        }
        for word in words {
            let _ = writeln!(text, "  neighbor {address} {word}");
        }
    }
    for index in 0..speaker.listen_ranges.len() {
        let _ = writeln!(text, "  neighbor DYN{index} activate");
    }
    text + " exit-address-family\n"
}

/// A path of `show bgp … PREFIX json`; `wayfare show …` uses the same names.
pub fn path(value: &Value) -> Path {
    let words = |value: &Value| -> BTreeSet<String> {
        let text = value["string"].as_str().unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
    let hops = value["nexthops"].as_array().cloned().unwrap_or_default();
    let clusters = value["clusterList"]["list"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Path {
        next_hops: hops
            .iter()
            .filter_map(|hop| hop["ip"].as_str()?.parse::<IpAddr>().ok())
            .filter(|address| !address.to_string().starts_with("fe80:"))
            .collect(),
        as_path: numbers(value["aspath"]["string"].as_str().unwrap_or_default()),
        origin: value["origin"].as_str().unwrap_or_default().to_owned(),
        med: number(&value["med"]).or_else(|| number(&value["metric"])),
        local_pref: number(&value["localpref"]).or_else(|| number(&value["locPrf"])),
        communities: words(&value["community"])
            .iter()
            .map(|word| by_number(word))
            .collect(),
        large_communities: words(&value["largeCommunity"]),
        route_targets: words(&value["extendedCommunity"])
            .iter()
            .filter_map(|word| word.strip_prefix("RT:").map(str::to_owned))
            .collect(),
        originator: value["originatorId"]
            .as_str()
            .and_then(|text| text.parse().ok()),
        cluster_list: clusters
            .iter()
            .filter_map(|id| id.as_str()?.parse().ok())
            .collect(),
        best: value["bestpath"]["overall"].as_bool().unwrap_or(false),
    }
}

/// A well-known community by number, where FRR prints its name.
fn by_number(word: &str) -> String {
    let low = match word {
        "no-export" => 65281,
        "no-advertise" => 65282,
        "local-AS" => 65283,
        "no-peer" => 65284,
        "blackhole" => 666,
        "graceful-shutdown" => 0,
        "accept-own" => 1,
        "llgr-stale" => 6,
        "no-llgr" => 7,
        other => return other.to_owned(),
    };
    format!("65535:{low}")
}
