//! GoBGP 4: one TOML file, networks added through its API once it answers.
//!
//! GoBGP has no kernel table and resolves no next hops. Over an IPv4 session it announces IPv6
//! prefixes with an IPv4-mapped next hop, which no kernel can use; scenarios that need the route in
//! a kernel give it an IPv6 session. `gobgp -j` numbers session states; 6 is Established.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Family, Implementation};
use crate::node::Node;
use crate::speaker::{Neighbor, Network, Path, Speaker};
use crate::wait;

pub(crate) struct Gobgp;

/// `session_state` of an Established neighbor.
const ESTABLISHED: u64 = 6;

impl Implementation for Gobgp {
    fn configure(&self, node: &Node, speaker: &Speaker) {
        node.write("/run/node/gobgpd.conf", config(speaker));
    }

    fn start(&self, node: &Node, speaker: &Speaker) {
        // The daemon belongs to the node; nobody waits for it here.
        drop(node.spawn("gobgpd.log", "gobgpd", &["-f", "/run/node/gobgpd.conf"]));
        wait::until("gobgp answers", 15, || node.output("gobgp", &["global"]));
        for network in &speaker.networks {
            let words = add_words(speaker, network);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            wait::until("gobgp takes a network", 5, || node.output("gobgp", &words));
        }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["gobgpd"]
    }

    fn established(&self, node: &Node, _speaker: &Speaker) -> Result<BTreeSet<IpAddr>, String> {
        let neighbors = node.json("gobgp", &["neighbor", "-j"])?;
        let neighbors = neighbors.as_array().cloned().unwrap_or_default();
        Ok(neighbors
            .iter()
            .map(|neighbor| &neighbor["state"])
            .filter(|state| state["session_state"].as_u64() == Some(ESTABLISHED))
            .filter_map(|state| state["neighbor_address"].as_str()?.parse().ok())
            .collect())
    }

    fn paths(&self, node: &Node, prefix: &IpNet) -> Result<Vec<Path>, String> {
        let family = Family::of(prefix).word();
        let text = node.output(
            "gobgp",
            &["global", "rib", &prefix.to_string(), "-a", family, "-j"],
        );
        let text = match text {
            Err(why) if why.contains("not in table") => return Ok(Vec::new()),
            other => other?,
        };
        if text.contains("not in table") || text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let shown: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        let paths = match &shown {
            Value::Object(table) => table
                .values()
                .filter_map(Value::as_array)
                .flatten()
                .cloned()
                .collect(),
            Value::Array(paths) => paths.clone(),
            _ => Vec::new(),
        };
        Ok(paths.iter().map(path).collect())
    }

    fn prefixes(&self, node: &Node, family: Family) -> Result<BTreeSet<IpNet>, String> {
        let text = node.output("gobgp", &["global", "rib", "-a", family.word(), "-j"])?;
        if !text.trim_start().starts_with('{') {
            return Ok(BTreeSet::new());
        }
        let shown: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        let table = shown.as_object().cloned().unwrap_or_default();
        Ok(table
            .keys()
            .filter_map(|prefix| prefix.parse().ok())
            .collect())
    }

    fn refresh_in(&self, node: &Node, _speaker: &Speaker, neighbor: IpAddr) -> Result<(), String> {
        // `softresetin` re-reads GoBGP's own Adj-RIB-In; the request to the peer is this one.
        let neighbor = neighbor.to_string();
        node.output(
            "gobgp",
            &["neighbor", &neighbor, "softresetin", "-a", "ipv4"],
        )
        .map(|_| ())
    }

    fn shut(&self, node: &Node, _speaker: &Speaker, peer: IpAddr, why: &str) -> Result<(), String> {
        let peer = peer.to_string();
        node.output("gobgp", &["neighbor", &peer, "shutdown", "--reason", why])
            .map(|_| ())
    }

    fn neighbor_text(
        &self,
        node: &Node,
        _speaker: &Speaker,
        peer: IpAddr,
    ) -> Result<String, String> {
        let shown = node.output("gobgp", &["neighbor", &peer.to_string()])?;
        Ok(shown + &node.read("/run/node/gobgpd.log"))
    }
}

fn config(speaker: &Speaker) -> String {
    let mut text = format!(
        "[global.config]\n  as = {}\n  router-id = \"{}\"\n",
        speaker.asn, speaker.router_id
    );
    if speaker.multipath > 1 {
        text += "[global.use-multiple-paths.config]\n  enabled = true\n";
    }
    for neighbor in &speaker.neighbors {
        text += &session(speaker, neighbor);
    }
    for (index, range) in speaker.listen_ranges.iter().enumerate() {
        let _ = write!(
            text,
            "[[peer-groups]]\n  [peer-groups.config]\n    peer-group-name = \"dyn{index}\"\n    \
             peer-as = {}\n  [[peer-groups.afi-safis]]\n    [peer-groups.afi-safis.config]\n      \
             afi-safi-name = \"ipv4-unicast\"\n  [[peer-groups.afi-safis]]\n    \
             [peer-groups.afi-safis.config]\n      afi-safi-name = \"ipv6-unicast\"\n\
             [[dynamic-neighbors]]\n  [dynamic-neighbors.config]\n    prefix = \"{}\"\n    \
             peer-group = \"dyn{index}\"\n",
            range.asn, range.prefix
        );
    }
    text
}

fn session(speaker: &Speaker, neighbor: &Neighbor) -> String {
    let mut text = format!(
        "[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{}\"\n    peer-as = {}\n",
        neighbor.address, neighbor.asn
    );
    if let Some(key) = &neighbor.password {
        let _ = writeln!(text, "    auth-password = \"{key}\"");
    }
    let hold = neighbor.hold_time_s;
    let _ = write!(
        text,
        "  [neighbors.timers.config]\n    connect-retry = 1\n    idle-hold-time-after-reset = 1\n    \
         hold-time = {hold}\n    keepalive-interval = {}\n  [neighbors.transport.config]\n    \
         local-address = \"{}\"\n    passive-mode = {}\n",
        hold / 3,
        neighbor.local,
        neighbor.passive
    );
    if neighbor.ttl_security {
        text += "  [neighbors.ttl-security.config]\n    enabled = true\n    ttl-min = 255\n";
    }
    if neighbor.reflector_client {
        let _ = write!(
            text,
            "  [neighbors.route-reflector.config]\n    route-reflector-client = true\n    \
             route-reflector-cluster-id = \"{}\"\n",
            speaker.router_id
        );
    }
    for (name, wanted) in [
        ("ipv4-unicast", neighbor.ipv4),
        ("ipv6-unicast", neighbor.ipv6),
    ] {
        if !wanted {
            continue;
        }
        let _ = write!(
            text,
            "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \
             \"{name}\"\n    [neighbors.afi-safis.add-paths.config]\n      receive = {}\n      \
             send-max = {}\n",
            neighbor.add_path.receives(),
            if neighbor.add_path.sends() { 8 } else { 0 }
        );
        if let Some(limit) = neighbor.max_prefixes {
            let _ = write!(
                text,
                "    [neighbors.afi-safis.prefix-limit.config]\n      max-prefixes = {limit}\n"
            );
        }
    }
    text
}

fn add_words(speaker: &Speaker, network: &Network) -> Vec<String> {
    let family = Family::of(&network.prefix);
    let mut words: Vec<String> = ["global", "rib", "add", "-a", family.word()]
        .map(str::to_owned)
        .into();
    words.push(network.prefix.to_string());
    words.extend(["origin".to_owned(), "igp".to_owned()]);
    let local = match family {
        Family::V4 => IpAddr::V4(speaker.router_id),
        Family::V6 => {
            let index = speaker.router_id.octets()[3];
            IpAddr::V6(crate::lab::Lab::address6(index))
        }
    };
    words.extend(["nexthop".to_owned(), local.to_string()]);
    for (word, values) in [
        ("community", network.communities.join(",")),
        ("large-community", network.large_communities.join(",")),
        ("rt", network.route_targets.join(",")),
        (
            "med",
            network.med.map(|med| med.to_string()).unwrap_or_default(),
        ),
    ] {
        if !values.is_empty() {
            words.extend([word.to_owned(), values]);
        }
    }
    words
}

fn path(value: &Value) -> Path {
    let mut path = Path {
        best: value["best"].as_bool().unwrap_or(false),
        ..Path::default()
    };
    for attribute in value["attrs"].as_array().into_iter().flatten() {
        take_attribute(&mut path, attribute);
    }
    path
}

/// Attributes by type number; the shapes are those `gobgp -j` prints.
fn take_attribute(path: &mut Path, attribute: &Value) {
    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
    match attribute["type"].as_u64() {
        Some(1) => {
            path.origin = match attribute["value"].as_u64() {
                Some(0) => "IGP",
                Some(1) => "EGP",
                _ => "incomplete",
            }
            .to_owned();
        }
        Some(2) => {
            for segment in attribute["as_paths"].as_array().into_iter().flatten() {
                let asns = segment["asns"].as_array().into_iter().flatten();
                path.as_path.extend(asns.filter_map(number));
            }
        }
        Some(3 | 14) => {
            if let Some(Ok(address)) = attribute["nexthop"].as_str().map(str::parse) {
                path.next_hops = vec![address];
            }
        }
        Some(4) => path.med = number(&attribute["metric"]),
        Some(5) => path.local_pref = number(&attribute["value"]),
        Some(8) => {
            let values = attribute["communities"].as_array().into_iter().flatten();
            path.communities = values
                .filter_map(number)
                .map(|value| format!("{}:{}", value >> 16, value & 0xffff))
                .collect();
        }
        Some(9) => path.originator = attribute["value"].as_str().and_then(|v| v.parse().ok()),
        Some(10) => {
            let values = attribute["value"].as_array().into_iter().flatten();
            path.cluster_list = values.filter_map(|id| id.as_str()?.parse().ok()).collect();
        }
        Some(16) => {
            let values = attribute["value"].as_array().into_iter().flatten();
            path.route_targets = values
                .filter(|value| value["subtype"].as_u64() == Some(2))
                .filter_map(|value| value["value"].as_str().map(str::to_owned))
                .collect();
        }
        Some(32) => {
            let values = attribute["value"].as_array().into_iter().flatten();
            path.large_communities = values
                .filter_map(|value| {
                    let part = |name: &str| value[name].as_u64();
                    let (a, b, c) = (part("ASN")?, part("LocalData1")?, part("LocalData2")?);
                    Some(format!("{a}:{b}:{c}"))
                })
                .collect();
        }
        _ => {}
    }
}
