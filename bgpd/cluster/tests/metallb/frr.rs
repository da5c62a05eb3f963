//! A small reader of FRR configuration: as much of it as MetalLB's goldens use.
//!
//! It evaluates the outbound route map of each neighbor over the `network` statements of its
//! router, entry by entry: an entry matches when the prefix list of its family permits exactly
//! this prefix; it then sets what it sets and, without `on-match next`, permits. Nothing
//! matched: denied.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{Carried, Expected, Peer};

#[derive(Default)]
struct Entry {
    /// Family (IPv6?) and prefix list.
    matches: Vec<(bool, String)>,
    communities: Vec<String>,
    local_pref: Option<u32>,
    goes_on: bool,
}

#[derive(Default)]
struct Reader {
    /// By family and name: the prefixes permitted.
    lists: BTreeMap<(bool, String), Vec<IpNet>>,
    maps: BTreeMap<String, BTreeMap<u32, Entry>>,
    /// By VRF and AS: what the router has.
    networks: BTreeMap<(String, u32), Vec<IpNet>>,
    out: BTreeMap<(String, IpAddr), String>,
    expected: Expected,
}

/// The prefix as it counts. MetalLB's Go tests write `172.16.1.10/24` for one address, which no
/// configuration can give: the host is meant. In frr-k8s' tests FRR's own rule holds: bits are cut.
pub fn prefix(text: &str, hosts_are_meant: bool) -> IpNet {
    let net: IpNet = text.parse().expect("a prefix");
    match hosts_are_meant && net.addr() != net.network() {
        true => IpNet::from(net.addr()),
        false => net.trunc(),
    }
}

/// Reads a configuration.
pub fn read(text: &str, hosts_are_meant: bool) -> Expected {
    let mut reader = Reader::default();
    let mut map = (String::new(), 0);
    let mut router = (String::new(), 0);
    let mut family = [false; 2];
    let mut profile = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        reader.policy(&words, &mut map, hosts_are_meant);
        match words.as_slice() {
            ["router", "bgp", asn, vrf @ ..] => {
                let vrf = vrf.last().copied().unwrap_or("").to_owned();
                router = (vrf, asn.parse().expect("an AS"));
            }
            ["bgp", "router-id", id] => {
                reader.expected.router_ids.insert((*id).to_owned());
            }
            ["address-family", ip, "unicast"] => family = [*ip == "ipv4", *ip == "ipv6"],
            ["network", what] => {
                let networks = reader.networks.entry(router.clone()).or_default();
                networks.push(prefix(what, hosts_are_meant));
            }
            ["neighbor", address, rest @ ..] => {
                let address: IpAddr = address.parse().expect("an address");
                neighbor(&mut reader, &router, address, (rest, family));
            }
            ["profile", name] => {
                profile = (*name).to_owned();
                reader
                    .expected
                    .profiles
                    .insert(profile.clone(), (300, 300, 3));
            }
            [
                key @ ("transmit-interval" | "receive-interval" | "detect-multiplier"),
                value,
            ] => {
                let value: u64 = value.parse().expect("a number");
                let timers = reader
                    .expected
                    .profiles
                    .get_mut(&profile)
                    .expect("a profile");
                match *key {
                    "transmit-interval" => timers.0 = value,
                    "receive-interval" => timers.1 = value,
                    _ => timers.2 = u8::try_from(value).expect("a small number"),
                }
            }
            _ => {}
        }
    }
    reader.finish()
}

fn entry<'a>(reader: &'a mut Reader, (name, number): &(String, u32)) -> &'a mut Entry {
    let entries = reader.maps.entry(name.clone()).or_default();
    entries.entry(*number).or_default()
}

fn neighbor(
    reader: &mut Reader,
    (vrf, asn): &(String, u32),
    address: IpAddr,
    (rest, family): (&[&str], [bool; 2]),
) {
    let key = (vrf.clone(), address);
    if let ["route-map", name, "out"] = rest {
        reader.out.insert(key.clone(), (*name).to_owned());
    }
    let peer: &mut Peer = reader.expected.peers.entry(key).or_default();
    peer.my_asn = *asn;
    match rest {
        ["remote-as", remote] => peer.remote = (*remote).to_owned(),
        ["ebgp-multihop"] => peer.is_multihop = true,
        ["port", port] => peer.port = port.parse().ok(),
        ["timers", "connect", time] => peer.connect_s = time.parse().ok(),
        ["timers", keepalive, hold] => {
            let number = |text: &str| text.parse().expect("seconds");
            peer.timers = Some((number(hold), number(keepalive)));
        }
        ["password", password] => peer.password = Some((*password).to_owned()),
        ["update-source", source] => peer.source = source.parse().ok(),
        ["graceful-restart"] => peer.graceful_restart = true,
        ["bfd", "profile", name] => peer.bfd_profile = Some((*name).to_owned()),
        ["activate"] => {
            peer.families[0] |= family[0];
            peer.families[1] |= family[1];
        }
        _ => {}
    }
}

impl Reader {
    /// A line of a prefix list or a route map; `map` is the entry that it stands in.
    fn policy(&mut self, words: &[&str], map: &mut (String, u32), hosts_are_meant: bool) {
        match words {
            [
                ip @ ("ip" | "ipv6"),
                "prefix-list",
                name,
                "seq",
                _,
                action,
                what,
            ] => {
                let key = (*ip == "ipv6", (*name).to_owned());
                let list = self.lists.entry(key).or_default();
                if *action == "permit" {
                    list.push(prefix(what, hosts_are_meant));
                }
            }
            ["route-map", name, _, number] => {
                *map = ((*name).to_owned(), number.parse().expect("a number"));
                let entries = self.maps.entry(map.0.clone()).or_default();
                entries.entry(map.1).or_default();
            }
            ["match", ip, "address", "prefix-list", name] => {
                let entry = entry(self, map);
                entry.matches.push((*ip == "ipv6", (*name).to_owned()));
            }
            ["set", "local-preference", value] => {
                entry(self, map).local_pref = value.parse().ok();
            }
            ["set", "community" | "large-community", value, "additive"] => {
                entry(self, map).communities.push((*value).to_owned());
            }
            ["on-match", "next"] => entry(self, map).goes_on = true,
            _ => {}
        }
    }

    fn finish(mut self) -> Expected {
        let mut expected = std::mem::take(&mut self.expected);
        for ((vrf, address), peer) in &mut expected.peers {
            let networks = self.networks.get(&(vrf.clone(), peer.my_asn));
            for net in networks.into_iter().flatten() {
                let is_ipv6 = net.network().is_ipv6();
                let map = self.out.get(&(vrf.clone(), *address));
                let is_spoken = peer.families[usize::from(is_ipv6)];
                if let (true, Some(map)) = (is_spoken, map)
                    && let Some(carried) = self.evaluate(map, *net)
                {
                    peer.routes.insert(*net, carried);
                }
            }
        }
        expected
    }

    fn evaluate(&self, map: &str, net: IpNet) -> Option<Carried> {
        let is_ipv6 = net.network().is_ipv6();
        let mut carried = Carried::default();
        for entry in self.maps.get(map)?.values() {
            let permits = |(family, name): &(bool, String)| {
                let list = self.lists.get(&(is_ipv6, name.clone()));
                *family == is_ipv6 && list.is_some_and(|list| list.contains(&net))
            };
            if !entry.matches.iter().all(permits) {
                continue;
            }
            carried
                .communities
                .extend(entry.communities.iter().cloned());
            carried.local_pref = entry.local_pref.or(carried.local_pref);
            if !entry.goes_on {
                return Some(carried);
            }
        }
        None
    }
}
