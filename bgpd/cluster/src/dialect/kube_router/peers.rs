//! The routers outside that a node's annotations name.
//!
//! `peers` is a list in YAML; the older lists between commas count where it is absent. Both count
//! only where the flags name no router, as with kube-router. An entry that cannot be read is left
//! out alone; one whose password cannot be read stays without a session, never without a password.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value};

use super::annotations::{Faults, of};
use super::flags::Flags;
use super::secret::password;
use super::values;
use crate::Secret;
use crate::object::Node;

/// A router outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) asn: u32,
    pub(super) port: Option<u16>,
    pub(super) local: Option<IpAddr>,
    pub(super) password: Option<Secret>,
    pub(super) password_missing: bool,
    pub(super) bfd: Option<(Duration, Duration, u8)>,
}

impl Peer {
    fn new(address: IpAddr, asn: u32) -> Self {
        Self {
            address,
            asn,
            port: None,
            local: None,
            password: None,
            password_missing: false,
            bfd: None,
        }
    }
}

/// Those of the flags.
pub(super) fn of_flags(flags: &Flags) -> Vec<Peer> {
    let bfd = (flags.bfd_transmit, flags.bfd_receive, flags.bfd_multiplier);
    let peers = flags.peers.iter().map(|peer| Peer {
        port: peer.port,
        password: peer.password.clone(),
        bfd: flags.bfd.then_some(bfd),
        ..Peer::new(peer.address, peer.asn)
    });
    peers.collect()
}

/// Those of the annotations.
pub(super) fn of_node(node: &Node, faults: &mut Faults<'_>) -> Vec<Peer> {
    match of(&node.meta, "peers") {
        Some(text) => of_yaml(text, faults),
        None => of_lists(node, faults),
    }
}

fn of_yaml(text: &str, faults: &mut Faults<'_>) -> Vec<Peer> {
    let name = "peers";
    let list: Vec<Value> = match serde_saphyr::from_str(text) {
        Ok(list) => list,
        Err(_) => {
            // The parser's own words quote the text, and passwords are in it.
            faults.error(name, "not a list in YAML of remoteip, remoteasn, …");
            return Vec::new();
        }
    };
    let mut peers = Vec::new();
    for (at, entry) in list.iter().enumerate() {
        let Value::Object(entry) = entry else {
            faults.error(name, &format!("entry {at}: not remoteip, remoteasn, …"));
            continue;
        };
        match of_entry(entry, at, faults) {
            Ok(peer) => peers.push(peer),
            Err(text) => faults.error(name, &format!("entry {at}: {text}")),
        }
    }
    peers
}

fn of_entry(
    entry: &Map<String, Value>,
    at: usize,
    faults: &mut Faults<'_>,
) -> Result<Peer, String> {
    let text = |key: &str| entry.get(key).map(plain);
    let address = text("remoteip").ok_or("remoteip is missing")?;
    let asn = text("remoteasn").ok_or("remoteasn is missing")?;
    let mut peer = Peer::new(values::address(&address)?, values::asn(&asn)?);
    peer.port = text("port").map(|port| values::port(&port)).transpose()?;
    peer.local = match text("localip").as_deref() {
        None | Some("") => None,
        Some(text) => Some(values::address(text)?),
    };
    if let Some(text) = text("password").filter(|text| !text.is_empty()) {
        match password(&faults.object, &text) {
            Ok(secret) => peer.password = Some(secret),
            Err(text) => {
                faults.error("peers", &format!("entry {at}: {text}; no session is made"));
                peer.password_missing = true;
            }
        }
    }
    if let Some(Value::Object(bfd)) = entry.get("bfd") {
        peer.bfd = of_bfd(bfd)?;
    }
    let known = [
        "remoteip",
        "remoteasn",
        "localip",
        "password",
        "port",
        "bfd",
    ];
    for key in entry.keys().filter(|key| !known.contains(&key.as_str())) {
        faults.warn("peers", &format!("entry {at}: `{key}` is not known"));
    }
    Ok(peer)
}

fn of_bfd(bfd: &Map<String, Value>) -> Result<Option<(Duration, Duration, u8)>, String> {
    let is_on = bfd.get("enabled").map(plain).unwrap_or_default();
    let interval = |key: &str| match bfd.get(key).map(plain) {
        None => Ok(Duration::from_secs(1)),
        Some(text) => values::milliseconds(&text).map_err(|text| format!("bfd.{key}: {text}")),
    };
    let transmit = interval("desired_min_tx_interval")?;
    let receive = interval("required_min_rx_interval")?;
    let multiplier = match bfd.get("detection_multiplier").map(plain) {
        None => 3,
        Some(text) => values::multiplier(&text).map_err(|text| format!("bfd: {text}"))?,
    };
    if let Some(port) = bfd.get("port").map(plain) {
        values::bfd_port(&port)?;
    }
    Ok((values::boolean(&is_on) == Some(true)).then_some((transmit, receive, multiplier)))
}

/// A scalar of YAML as its text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The five lists between commas; nothing is made of lists of unequal length.
fn of_lists(node: &Node, faults: &mut Faults<'_>) -> Vec<Peer> {
    let (Some(asns), Some(ips)) = (of(&node.meta, "peer.asns"), of(&node.meta, "peer.ips")) else {
        return Vec::new();
    };
    let asns = values::list(asns, values::asn).map_err(|text| ("peer.asns", text));
    let ips = values::list(ips, values::address).map_err(|text| ("peer.ips", text));
    let mut peers: Vec<Peer> = match (ips, asns) {
        (Ok(ips), Ok(asns)) if ips.len() == asns.len() => {
            let pairs = ips.into_iter().zip(asns);
            pairs.map(|(ip, asn)| Peer::new(ip, asn)).collect()
        }
        (Ok(ips), Ok(asns)) => {
            let text = format!("{} for {} in peer.ips", asns.len(), ips.len());
            faults.error("peer.asns", &text);
            return Vec::new();
        }
        (Err((name, text)), _) | (_, Err((name, text))) => {
            faults.error(name, &text);
            return Vec::new();
        }
    };
    let mut further = |name: &str, put: fn(&mut Peer, &str, &str) -> Result<(), String>| {
        let Some(list) = of(&node.meta, name).filter(|list| !list.is_empty()) else {
            return;
        };
        let list: Vec<&str> = list.split(',').map(str::trim).collect();
        if list.len() != peers.len() {
            let text = format!("{} for {} in peer.ips", list.len(), peers.len());
            faults.error(name, &text);
            peers.clear();
            return;
        }
        let object = faults.object.clone();
        for (peer, text) in peers
            .iter_mut()
            .zip(list)
            .filter(|(_, text)| !text.is_empty())
        {
            if let Err(text) = put(peer, text, &object) {
                faults.error(name, &format!("{}: {text}", peer.address));
            }
        }
    };
    further("peer.ports", |peer, text, _| {
        peer.port = Some(values::port(text)?);
        Ok(())
    });
    further("peer.localips", |peer, text, _| {
        peer.local = Some(values::address(text)?);
        Ok(())
    });
    further("peer.passwords", |peer, text, object| {
        peer.password_missing = true;
        peer.password = Some(password(object, text)?);
        peer.password_missing = false;
        Ok(())
    });
    peers
}
