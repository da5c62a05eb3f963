//! BIRD 3: one `protocol bgp` per neighbor, named `n1`, `n2`, … in the order of the speaker's list.
//!
//! Two things BIRD wants to be told: interface addresses come in through `protocol direct`, else
//! iBGP next hops never resolve; and an iBGP session counts as multihop unless marked `direct`, in
//! which case it does not know which IPv6 address to send as next hop of an IPv4 session.
//!
//! `birdc` has no structured output, so the text of `show route all` is parsed: a route line
//! (unindented or with the prefix left blank for further paths), then its attributes indented.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Family, Implementation};
use crate::node::Node;
use crate::speaker::{Neighbor, Network, Path, Speaker, numbers};
use crate::wait;

pub(crate) struct Bird;

const CONTROL: [&str; 2] = ["-s", "/run/node/bird.ctl"];

impl Implementation for Bird {
    fn configure(&self, node: &Node, speaker: &Speaker) {
        node.write("/run/node/bird.conf", config(speaker));
    }

    fn start(&self, node: &Node, _speaker: &Speaker) {
        node.sh("bird -c /run/node/bird.conf -s /run/node/bird.ctl -P /run/node/bird.pid");
        wait::until("birdc answers", 10, || birdc(node, &["show", "status"]));
    }

    fn programs(&self) -> &'static [&'static str] {
        &["bird"]
    }

    fn established(&self, node: &Node, speaker: &Speaker) -> Result<BTreeSet<IpAddr>, String> {
        let text = birdc(node, &["show", "protocols", "all"])?;
        let mut up = BTreeSet::new();
        let mut established = false;
        for line in text.lines() {
            if let Some(state) = line.trim().strip_prefix("BGP state:") {
                established = state.trim() == "Established";
            }
            if let Some(address) = line.trim().strip_prefix("Neighbor address:") {
                let address = address.trim().split('%').next().unwrap_or_default();
                if established && let Ok(address) = address.parse() {
                    up.insert(address);
                }
            }
        }
        // A configured name that BIRD does not list means the configuration was not taken.
        if text.is_empty() && !speaker.neighbors.is_empty() {
            return Err("birdc lists no protocol".to_owned());
        }
        Ok(up)
    }

    fn paths(&self, node: &Node, prefix: &IpNet) -> Result<Vec<Path>, String> {
        let text = match birdc(node, &["show", "route", "all", &prefix.to_string()]) {
            Err(why) if why.contains("Network not found") => return Ok(Vec::new()),
            other => other?,
        };
        Ok(parse_routes(&text)
            .into_iter()
            .map(|(_, path)| path)
            .collect())
    }

    fn prefixes(&self, node: &Node, family: Family) -> Result<BTreeSet<IpNet>, String> {
        let table = if family == Family::V4 {
            "master4"
        } else {
            "master6"
        };
        let text = birdc(
            node,
            &[
                "show",
                "route",
                "table",
                table,
                "where",
                "source",
                "~",
                "[RTS_BGP,RTS_STATIC]",
            ],
        )?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect())
    }

    fn refresh_in(&self, node: &Node, speaker: &Speaker, neighbor: IpAddr) -> Result<(), String> {
        birdc(node, &["reload", "bgp", "in", &name_of(speaker, neighbor)?]).map(|_| ())
    }

    fn shut(&self, node: &Node, speaker: &Speaker, peer: IpAddr, why: &str) -> Result<(), String> {
        let name = name_of(speaker, peer)?;
        birdc(node, &["disable", &name, &format!("\"{why}\"")]).map(|_| ())
    }

    fn neighbor_text(
        &self,
        node: &Node,
        speaker: &Speaker,
        peer: IpAddr,
    ) -> Result<String, String> {
        let shown = birdc(
            node,
            &["show", "protocols", "all", &name_of(speaker, peer)?],
        )?;
        Ok(shown + &node.read("/run/node/bird.log"))
    }
}

/// Runs one command of `birdc`, restricted to its answer.
pub fn birdc(node: &Node, words: &[&str]) -> Result<String, String> {
    let mut arguments = CONTROL.to_vec();
    arguments.extend(words);
    let text = node.output("birdc", &arguments)?;
    Ok(text
        .lines()
        .skip(1)
        .map(|line| format!("{line}\n"))
        .collect())
}

fn name_of(speaker: &Speaker, neighbor: IpAddr) -> Result<String, String> {
    let position = speaker.neighbors.iter().position(|n| n.address == neighbor);
    position
        .map(|i| format!("n{}", i + 1))
        .ok_or_else(|| format!("no neighbor {neighbor}"))
}

fn config(speaker: &Speaker) -> String {
    let mut text = format!(
        "log \"/run/node/bird.log\" all;\nrouter id {};\nprotocol device {{ scan time 1; }}\n\
         protocol direct {{ ipv4; ipv6; interface \"eth*\"; }}\n",
        speaker.router_id
    );
    for (family, v6) in [("ipv4", false), ("ipv6", true)] {
        if speaker.kernel {
            let merge = match speaker.multipath {
                0 | 1 => String::new(),
                paths => format!(" merge paths yes limit {paths};"),
            };
            let _ = writeln!(
                text,
                "protocol kernel {{ {family} {{ import none; export where source = RTS_BGP; \
                 }};{merge} }}"
            );
        }
        let routes: Vec<String> = speaker
            .networks
            .iter()
            .filter(|n| matches!(n.prefix, IpNet::V6(_)) == v6)
            .map(static_route)
            .collect();
        if !routes.is_empty() {
            let routes = routes.join(" ");
            let _ = writeln!(text, "protocol static {{ {family}; {routes} }}");
        }
    }
    for (index, neighbor) in speaker.neighbors.iter().enumerate() {
        let _ = writeln!(
            text,
            "protocol bgp n{} {{ neighbor {} as {}; {} }}",
            index + 1,
            neighbor.address,
            neighbor.asn,
            session(speaker, neighbor)
        );
    }
    for (index, range) in speaker.listen_ranges.iter().enumerate() {
        let neighbor =
            Neighbor::new(speaker.router_id, range.prefix.network(), range.asn).passive();
        let _ = writeln!(
            text,
            "protocol bgp r{} {{ neighbor range {} as {}; dynamic name \"d{}x\"; {} }}",
            index + 1,
            range.prefix,
            range.asn,
            index + 1,
            session(speaker, &neighbor)
        );
    }
    text
}

fn static_route(network: &Network) -> String {
    let tuple = |text: &String| text.replace(':', ",");
    let mut set = String::new();
    for community in &network.communities {
        let _ = write!(set, " bgp_community.add(({}));", tuple(community));
    }
    for community in &network.large_communities {
        let _ = write!(set, " bgp_large_community.add(({}));", tuple(community));
    }
    for target in &network.route_targets {
        let _ = write!(set, " bgp_ext_community.add((rt,{}));", tuple(target));
    }
    if let Some(med) = network.med {
        let _ = write!(set, " bgp_med = {med};");
    }
    match set.is_empty() {
        true => format!("route {} blackhole;", network.prefix),
        false => format!("route {} blackhole {{{set} }};", network.prefix),
    }
}

fn session(speaker: &Speaker, neighbor: &Neighbor) -> String {
    let mut text = format!("local {} as {}; ", neighbor.local, speaker.asn);
    text += "direct; connect delay time 1; connect retry time 2; error wait time 1,2; ";
    // The real table holds AS_SETs, which BIRD refuses unless told (RFC 9774).
    text += "allow as sets on; ";
    let _ = write!(text, "hold time {}; ", neighbor.hold_time_s);
    if let Some(key) = &neighbor.password {
        let _ = write!(text, "authentication md5; password \"{key}\"; ");
    }
    for (wanted, words) in [
        (neighbor.ttl_security, "ttl security on; "),
        (neighbor.reflector_client, "rr client; "),
        (neighbor.passive, "passive; "),
    ] {
        text += if wanted { words } else { "" };
    }
    let mut channel = "import all; export where source ~ [RTS_BGP, RTS_STATIC]; ".to_owned();
    if neighbor.next_hop_self {
        channel += "next hop self; ";
    }
    match (neighbor.add_path.receives(), neighbor.add_path.sends()) {
        (true, true) => channel += "add paths on; ",
        (true, false) => channel += "add paths rx; ",
        (false, true) => channel += "add paths tx; ",
        (false, false) => {}
    }
    if let Some(limit) = neighbor.max_prefixes {
        let _ = write!(channel, "receive limit {limit} action disable; ");
    }
    for (family, wanted) in [("ipv4", neighbor.ipv4), ("ipv6", neighbor.ipv6)] {
        if wanted {
            let _ = write!(text, "{family} {{ {channel}}}; ");
        }
    }
    text
}

/// Parses `show route all`: `(prefix, path)` in the order shown.
pub fn parse_routes(text: &str) -> Vec<(Option<IpNet>, Path)> {
    let mut routes: Vec<(Option<IpNet>, Path)> = Vec::new();
    let mut prefix = None;
    for line in text.lines() {
        let is_route = line.contains(" [") && !line.starts_with('\t');
        if is_route {
            if !line.starts_with(' ') {
                prefix = line
                    .split_whitespace()
                    .next()
                    .and_then(|word| word.parse().ok());
            }
            let best = line.contains("] * ") || line.contains("] *");
            routes.push((
                prefix,
                Path {
                    best,
                    ..Path::default()
                },
            ));
        } else if let (Some((_, path)), Some((key, value))) =
            (routes.last_mut(), line.trim().split_once(':'))
        {
            attribute(path, key, value.trim());
        }
    }
    routes
}

fn attribute(path: &mut Path, key: &str, value: &str) {
    let tuples = || -> BTreeSet<String> {
        value
            .split(')')
            .map(|tuple| {
                tuple
                    .trim()
                    .trim_start_matches('(')
                    .replace(", ", ":")
                    .replace(',', ":")
            })
            .filter(|tuple| !tuple.is_empty())
            .collect()
    };
    match key.trim_start_matches("BGP.").trim_start_matches("bgp_") {
        "next_hop" => {
            path.next_hops = value
                .split_whitespace()
                .filter_map(|word| word.parse::<IpAddr>().ok())
                .filter(|address| !address.to_string().starts_with("fe80:"))
                .collect();
        }
        "path" | "as_path" => path.as_path = numbers(value),
        "origin" => {
            path.origin = match value {
                "Incomplete" => "incomplete".to_owned(),
                other => other.to_owned(),
            }
        }
        "med" => path.med = value.parse().ok(),
        "local_pref" => path.local_pref = value.parse().ok(),
        "community" => path.communities = tuples(),
        "large_community" => path.large_communities = tuples(),
        "ext_community" => {
            path.route_targets = tuples()
                .iter()
                .filter_map(|tuple| tuple.strip_prefix("rt:").map(str::to_owned))
                .collect();
        }
        "originator_id" => path.originator = value.parse().ok(),
        "cluster_list" => {
            path.cluster_list = value
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
        }
        _ => {}
    }
}
