//! A small reader of FRRConfiguration in JSON: as much of it as MetalLB's goldens use.
//!
//! A neighbor is told the prefixes it is allowed, each with the communities and the LOCAL_PREF
//! whose lists name it. A password by reference counts as the one that our fixtures put into every
//! secret.

use std::net::IpAddr;

use serde_json::Value;

use crate::frr::prefix;
use crate::{Carried, Expected, Peer};

/// Reads a configuration.
pub fn read(text: &str) -> Expected {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let bgp = &value["spec"]["bgp"];
    let mut expected = Expected::default();
    for router in list(&bgp["routers"]) {
        if let Some(id) = router["id"].as_str() {
            expected.router_ids.insert(id.to_owned());
        }
        let vrf = router["vrf"].as_str().unwrap_or("").to_owned();
        for neighbor in list(&router["neighbors"]) {
            let address: IpAddr = parsed(&neighbor["address"]).expect("an address");
            let peer = peer(neighbor, number(&router["asn"]), address);
            expected.peers.insert((vrf.clone(), address), peer);
        }
    }
    for profile in list(&bgp["bfdProfiles"]) {
        let value = |key: &str, default| profile[key].as_u64().unwrap_or(default);
        let multiplier = u8::try_from(value("detectMultiplier", 3)).expect("a small number");
        let timers = (
            value("transmitInterval", 300),
            value("receiveInterval", 300),
            multiplier,
        );
        let name = profile["name"].as_str().expect("a name").to_owned();
        expected.profiles.insert(name, timers);
    }
    expected
}

fn peer(neighbor: &Value, my_asn: u32, address: IpAddr) -> Peer {
    let text = |key: &str| neighbor[key].as_str().map(str::to_owned);
    let seconds = |key: &str| {
        let text = neighbor[key].as_str()?;
        text.strip_suffix('s')?.parse().ok()
    };
    let asn = neighbor["asn"].as_u64().map(|asn| asn.to_string());
    let secret = neighbor["passwordSecret"]["name"].as_str();
    let mut peer = Peer {
        my_asn,
        remote: asn.or_else(|| text("dynamicASN")).expect("an AS"),
        is_multihop: neighbor["ebgpMultiHop"].as_bool().unwrap_or(false),
        port: neighbor["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok()),
        timers: seconds("holdTime").zip(seconds("keepaliveTime")),
        connect_s: seconds("connectTime"),
        password: text("password").or_else(|| secret.map(|_| "password".to_owned())),
        source: parsed(&neighbor["sourceaddress"]),
        graceful_restart: neighbor["enableGracefulRestart"].as_bool().unwrap_or(false),
        bfd_profile: text("bfdProfile"),
        families: [address.is_ipv4(), address.is_ipv6()],
        ..Peer::default()
    };
    let told = &neighbor["toAdvertise"];
    let names = |list_of: &Value, net| {
        let mut prefixes = list(&list_of["prefixes"]).iter();
        prefixes.any(|text| prefix(text.as_str().expect("a prefix"), true) == net)
    };
    for text in list(&told["allowed"]["prefixes"]) {
        let net = prefix(text.as_str().expect("a prefix"), true);
        let mut carried = Carried::default();
        for entry in list(&told["withCommunity"]) {
            let value = entry["community"].as_str().expect("a community");
            if names(entry, net) {
                let plain = value.strip_prefix("large:").unwrap_or(value);
                carried.communities.insert(plain.to_owned());
            }
        }
        for entry in list(&told["withLocalPref"]) {
            if names(entry, net) {
                carried.local_pref = Some(number(&entry["localPref"]));
            }
        }
        peer.routes.insert(net, carried);
    }
    peer
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|n| u32::try_from(n).ok())
        .expect("a number")
}

fn parsed<T: std::str::FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}
