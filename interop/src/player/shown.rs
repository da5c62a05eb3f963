//! The attributes of a route in one shape, whoever shows them: the wire, BIRD or FRR.
//!
//! Each implementation prints what it holds in words of its own: well-known communities by name,
//! sets with commas or blanks, extended communities by type. [`Facts`] is what they agree on, with
//! everything that has no order sorted, so that a table can be compared with a model by `==`. What
//! a receiver adds for itself (LOCAL_PREF, weight, timestamps) is no fact about the route.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::rib_file::Attribute;

/// What a route is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Where it leads; the global address for IPv6.
    pub next_hop: Option<IpAddr>,
    /// `IGP`, `EGP` or `incomplete`.
    pub origin: String,
    /// `64500 64501 {64502 64503}`.
    pub as_path: String,
    /// MED, if there is one.
    pub med: Option<u32>,
    /// ATOMIC_AGGREGATE is there.
    pub atomic_aggregate: bool,
    /// AGGREGATOR: AS number and address.
    pub aggregator: Option<(u32, Ipv4Addr)>,
    /// `64500:1`.
    pub communities: BTreeSet<String>,
    /// `64500:1:2`.
    pub large_communities: BTreeSet<String>,
    /// `rt:64500:1`, `ro:…`, others as `0x…:0x…`.
    pub extended_communities: BTreeSet<String>,
}

/// Names that FRR prints instead of numbers (RFC 1997, 7999, 8326, 9494 and the IANA registry).
const NAMED: [(&str, &str); 15] = [
    ("internet", "0:0"),
    ("graceful-shutdown", "65535:0"),
    ("accept-own", "65535:1"),
    ("route-filter-translated-v4", "65535:2"),
    ("route-filter-v4", "65535:3"),
    ("route-filter-translated-v6", "65535:4"),
    ("route-filter-v6", "65535:5"),
    ("llgr-stale", "65535:6"),
    ("no-llgr", "65535:7"),
    ("accept-own-nexthop", "65535:8"),
    ("blackhole", "65535:666"),
    ("no-export", "65535:65281"),
    ("no-advertise", "65535:65282"),
    ("local-AS", "65535:65283"),
    ("no-peer", "65535:65284"),
];

impl Facts {
    /// From attributes as they are on the wire, with 4-octet AS numbers.
    pub fn from_wire(attributes: &[Attribute], next_hop: IpAddr) -> Self {
        let mut facts = Self {
            next_hop: Some(next_hop),
            ..Self::default()
        };
        for (_, code, value) in attributes {
            match code {
                1 => facts.origin = origin_word(value.first().copied()),
                2 => facts.as_path = path_text(value),
                4 => facts.med = numbers(value).first().copied(),
                6 => facts.atomic_aggregate = true,
                7 => facts.aggregator = aggregator(value),
                8 => facts.communities = members(value, 4, two),
                16 => facts.extended_communities = members(value, 8, extended),
                32 => {
                    facts.large_communities = members(value, 12, |v| {
                        let parts: Vec<String> = numbers(v).iter().map(u32::to_string).collect();
                        parts.join(":")
                    });
                }
                _ => {}
            }
        }
        facts
    }

    /// From the indented lines below a route in BIRD's `show route all`.
    pub fn read_bird(&mut self, line: &str) {
        let Some((key, value)) = line.trim().split_once(':') else {
            return;
        };
        let value = value.trim();
        match key.trim_start_matches("BGP.").trim_start_matches("bgp_") {
            "next_hop" => self.next_hop = value.split(' ').next().and_then(|v| v.parse().ok()),
            "origin" => self.origin = value.replace("Incomplete", "incomplete"),
            "as_path" | "path" => self.as_path = canonical_path(value),
            "med" => self.med = value.parse().ok(),
            "atomic_aggr" => self.atomic_aggregate = true,
            "aggregator" => {
                let parts = value.split_once(" AS");
                self.aggregator =
                    parts.and_then(|(id, asn)| Some((asn.parse().ok()?, id.parse().ok()?)));
            }
            "community" => self.communities = tuples(value),
            "large_community" => self.large_communities = tuples(value),
            "ext_community" => {
                let known = tuples(value).into_iter();
                self.extended_communities =
                    known.map(|text| text.replace("generic:", "")).collect();
            }
            _ => {}
        }
    }

    /// From one path of FRR's `show bgp … PREFIX json`.
    pub fn from_frr(path: &Value) -> Self {
        let words = |key: &str| -> Vec<String> {
            let text = path[key]["string"].as_str().unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        let named = |word: String| {
            let known = NAMED.iter().find(|(name, _)| *name == word);
            known.map_or(word, |(_, number)| (*number).to_owned())
        };
        let number = |key: &str| path[key].as_u64().and_then(|n| u32::try_from(n).ok());
        let hops = path["nexthops"].as_array().cloned().unwrap_or_default();
        let global = hops.iter().filter_map(|hop| hop["ip"].as_str());
        let id = path["aggregatorId"].as_str().and_then(|id| id.parse().ok());
        Self {
            next_hop: global
                .filter(|ip| !ip.starts_with("fe80"))
                .find_map(|ip| ip.parse().ok()),
            origin: path["origin"].as_str().unwrap_or_default().to_owned(),
            as_path: canonical_path(path["aspath"]["string"].as_str().unwrap_or_default()),
            med: number("metric").or_else(|| number("med")),
            atomic_aggregate: path["atomicAggregate"] == true,
            aggregator: number("aggregatorAs").zip(id),
            communities: words("community").into_iter().map(named).collect(),
            large_communities: words("largeCommunity").into_iter().collect(),
            extended_communities: words("extendedCommunity")
                .iter()
                .map(|word| word.replace("RT:", "rt:").replace("SoO:", "ro:"))
                .collect(),
        }
    }
}

fn origin_word(value: Option<u8>) -> String {
    let word = match value {
        Some(0) => "IGP",
        Some(1) => "EGP",
        _ => "incomplete",
    };
    word.to_owned()
}

fn numbers(value: &[u8]) -> Vec<u32> {
    let quads = value.chunks_exact(4);
    quads
        .map(|quad| quad.iter().fold(0, |n, octet| n << 8 | u32::from(*octet)))
        .collect()
}

fn two(value: &[u8]) -> String {
    let number = numbers(value).first().copied().unwrap_or_default();
    format!("{}:{}", number >> 16, number & 0xffff)
}

fn members(value: &[u8], size: usize, text: impl Fn(&[u8]) -> String) -> BTreeSet<String> {
    value.chunks_exact(size).map(text).collect()
}

fn aggregator(value: &[u8]) -> Option<(u32, Ipv4Addr)> {
    let [asn, id] = numbers(value)[..] else {
        return None;
    };
    Some((asn, Ipv4Addr::from(id)))
}

/// RFC 4360 §4 and §5, RFC 5668: route targets and origins by their parts, others by number.
fn extended(value: &[u8]) -> String {
    let &[kind, sub, a, b, c, d, e, f] = value else {
        return String::new();
    };
    let name = match sub {
        2 => "rt",
        3 => "ro",
        _ => "",
    };
    match (kind, name) {
        (0, "rt" | "ro") => {
            let [_, number] = [0, u32::from_be_bytes([c, d, e, f])];
            format!("{name}:{}:{number}", u16::from_be_bytes([a, b]))
        }
        (1, "rt" | "ro") => {
            let address = Ipv4Addr::new(a, b, c, d);
            format!("{name}:{address}:{}", u16::from_be_bytes([e, f]))
        }
        (2, "rt" | "ro") => {
            let asn = u32::from_be_bytes([a, b, c, d]);
            format!("{name}:{asn}:{}", u16::from_be_bytes([e, f]))
        }
        _ => format!(
            "0x{:x}:0x{:x}",
            u32::from_be_bytes([kind, sub, a, b]),
            u32::from_be_bytes([c, d, e, f])
        ),
    }
}

fn path_text(mut value: &[u8]) -> String {
    let mut text = String::new();
    while let [kind, count, rest @ ..] = value {
        let (asns, rest) = rest.split_at((usize::from(*count) * 4).min(rest.len()));
        let words: Vec<String> = numbers(asns).iter().map(u32::to_string).collect();
        let words = words.join(" ");
        let _ = match kind {
            1 => write!(text, " {{{words}}}"),
            _ => write!(text, " {words}"),
        };
        value = rest;
    }
    canonical_path(&text)
}

/// Blanks between everything, the members of a set in ascending order.
fn canonical_path(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for (index, part) in text.split(['{', '}']).enumerate() {
        let words = part.split([' ', ',']).filter(|word| !word.is_empty());
        if index % 2 == 0 {
            out.extend(words.map(str::to_owned));
        } else {
            let mut set: Vec<u32> = words.filter_map(|word| word.parse().ok()).collect();
            set.sort_unstable();
            let set: Vec<String> = set.iter().map(u32::to_string).collect();
            out.push(format!("{{{}}}", set.join(" ")));
        }
    }
    out.join(" ")
}

/// `(64500,1) (64500,2)` and `(64500, 1, 2)` with colons.
fn tuples(value: &str) -> BTreeSet<String> {
    let inside = value
        .split(')')
        .map(|part| part.trim().trim_start_matches('('));
    inside
        .filter(|part| !part.is_empty())
        .map(|part| part.replace(", ", ":").replace(',', ":"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;

    /// The same route as three witnesses tell it.
    #[test]
    fn the_wire_bird_and_frr_agree() {
        let mut path = wire::as_sequence(&[64500, 4_200_000_000]);
        path.extend([1, 2, 0, 0, 0, 9, 0, 0, 0, 7]);
        let attributes: Vec<Attribute> = vec![
            (0x40, 1, vec![2]),
            (0x40, 2, path),
            (0xc0, 7, vec![0, 0, 0xfb, 0xf4, 192, 0, 2, 1]),
            (0xc0, 8, vec![0xff, 0xff, 2, 0x9a, 0xfb, 0xf4, 0, 1]),
            (
                0xc0,
                16,
                vec![0, 2, 0xfb, 0xf4, 0, 0, 0, 5, 2, 3, 0, 1, 0, 0, 0, 6],
            ),
            (0xc0, 32, vec![0, 0, 0xfb, 0xf4, 0, 0, 0, 1, 0, 0, 0, 2]),
        ];
        let wire = Facts::from_wire(&attributes, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        let mut bird = Facts::default();
        for line in [
            "\tbgp_origin: Incomplete",
            "\tbgp_path: 64500 4200000000 {7 9}",
            "\tbgp_next_hop: 10.0.0.1",
            "\tbgp_aggregator: 192.0.2.1 AS64500",
            "\tbgp_community: (64500,1) (65535,666)",
            "\tbgp_ext_community: (rt, 64500, 5) (ro, 65536, 6)",
            "\tbgp_large_community: (64500, 1, 2)",
        ] {
            bird.read_bird(line);
        }
        assert_eq!(wire, bird);
        let frr = serde_json::json!({
            "origin": "incomplete", "aspath": {"string": "64500 4200000000 {9,7}"},
            "aggregatorAs": 64500, "aggregatorId": "192.0.2.1",
            "community": {"string": "blackhole 64500:1"},
            "extendedCommunity": {"string": "RT:64500:5 SoO:65536:6"},
            "largeCommunity": {"string": "64500:1:2"},
            "nexthops": [{"ip": "10.0.0.1"}],
        });
        assert_eq!(wire, Facts::from_frr(&frr));
    }
}
