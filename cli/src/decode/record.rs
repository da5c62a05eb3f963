//! Text and JSON of an MRT record.
//!
//! JSON is one object per line and record; text is a line for the record and indented lines for
//! what it holds. Attributes are read tolerantly, as everything from an archive.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto_codec::mrt::{
    Attributes, Body, Header, Message, NlriPrefix, PeerIndexTable, Record, RibPrefix, Update,
};
use serde_json::{Map, Value, json};

use super::Format;
use super::message::{describe, write_text};
use super::mrt::Stamp;
use crate::render::format::{community, ext_community, hex, large_community, timestamp};

/// Prints a record.
pub fn print(
    out: &mut dyn Write,
    format: Format,
    (header, stamp): (&Header, &Stamp),
    record: &Record<'_>,
    peers: &PeerIndexTable,
) -> io::Result<()> {
    let epoch_ms = u64::from(stamp.time_s) * 1000 + u64::from(stamp.micros.unwrap_or(0)) / 1000;
    let kind = header.type_name().unwrap_or("unknown");
    let (what, fields) = describe_record(record, peers);
    if format == Format::Json {
        let mut line = json!({"time": timestamp(epoch_ms), "record": kind, "kind": what});
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields);
        }
        return writeln!(out, "{line}");
    }
    writeln!(out, "{} {kind} {what}", timestamp(epoch_ms))?;
    write_text(out, &fields, 1)
}

fn describe_record(record: &Record<'_>, peers: &PeerIndexTable) -> (&'static str, Value) {
    match record {
        Record::TableDump(route) => {
            let path = json!({
                "prefix": format!("{}/{}", route.prefix, route.prefix_len),
                "peer": route.peer,
                "peerAs": route.peer_asn,
                "originated": route.originated_s,
                "attributes": attributes_json(&route.attributes),
            });
            ("path", path)
        }
        Record::PeerIndex(table) => {
            let peers = table
                .peers
                .iter()
                .map(|peer| format!("{} AS{}", peer.address, peer.asn));
            let peers: Vec<String> = peers.collect();
            let (collector, view) = (table.collector, &table.view);
            (
                "peers",
                json!({"collector": collector, "view": view, "peers": peers}),
            )
        }
        Record::Rib(prefix) => ("prefix", rib_json(prefix, peers)),
        Record::StateChange(change) => (
            "state change",
            json!({
                "peer": change.peer,
                "peerAs": change.peer_asn,
                "old": state_name(change.old),
                "new": state_name(change.new),
            }),
        ),
        Record::Message(message) => message_json(message),
    }
}

fn state_name(state: u16) -> String {
    const NAMES: [&str; 6] = [
        "Idle",
        "Connect",
        "Active",
        "OpenSent",
        "OpenConfirm",
        "Established",
    ];
    let name = usize::from(state)
        .checked_sub(1)
        .and_then(|index| NAMES.get(index));
    name.map_or_else(|| state.to_string(), |name| (*name).to_owned())
}

fn rib_json(prefix: &RibPrefix, peers: &PeerIndexTable) -> Value {
    let paths = prefix.entries.iter().map(|entry| {
        let mut path = match peers.peers.get(usize::from(entry.peer_index)) {
            Some(peer) => json!({"peer": peer.address, "peerAs": peer.asn}),
            None => json!({"peerIndex": entry.peer_index}),
        };
        if let Some(id) = entry.path_id {
            path["id"] = json!(id);
        }
        path["originated"] = json!(entry.originated_s);
        path["attributes"] = attributes_json(&entry.attributes);
        path
    });
    json!({
        "prefix": format!("{}/{}", prefix.prefix, prefix.prefix_len),
        "sequence": prefix.sequence,
        "paths": paths.collect::<Vec<_>>(),
    })
}

fn message_json(message: &Message<'_>) -> (&'static str, Value) {
    let mut fields = json!({
        "peer": message.peer,
        "peerAs": message.peer_asn,
        "local": message.local,
        "localAs": message.local_asn,
        "sent": message.sent,
    });
    let kind = match &message.body {
        Body::Update(update) => {
            update_fields(&mut fields, update);
            return ("UPDATE", fields);
        }
        Body::Open => "OPEN",
        Body::Notification => "NOTIFICATION",
        Body::Keepalive => return ("KEEPALIVE", fields),
    };
    if let (Value::Object(fields), Value::Object(content)) =
        (&mut fields, describe(message.frame, None))
    {
        fields.extend(content.into_iter().filter(|(key, _)| key != "type"));
    }
    (kind, fields)
}

fn update_fields(fields: &mut Value, update: &Update) {
    let attributes = attributes_json(&update.attributes);
    if attributes
        .as_object()
        .is_some_and(|fields| !fields.is_empty())
    {
        fields["attributes"] = attributes;
    }
    let mut announced = prefixes_json(&update.announced, 1);
    let mut withdrawn = prefixes_json(&update.withdrawn, 1);
    for reach in &update.attributes.reach {
        announced.extend(prefixes_json(&reach.nlri, reach.afi));
    }
    for unreach in &update.attributes.unreach {
        withdrawn.extend(prefixes_json(&unreach.nlri, unreach.afi));
    }
    if !announced.is_empty() {
        fields["announced"] = Value::Array(announced);
    }
    if !withdrawn.is_empty() {
        fields["withdrawn"] = Value::Array(withdrawn);
    }
}

fn prefixes_json(nlri: &[NlriPrefix], afi: u16) -> Vec<Value> {
    let text = |prefix: &NlriPrefix| {
        let address = if afi == 2 {
            IpAddr::V6(Ipv6Addr::from(prefix.octets))
        } else {
            let [a, b, c, d, ..] = prefix.octets;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        };
        match ipnet::IpNet::new(address, prefix.len) {
            Ok(prefix) => prefix.trunc().to_string(),
            Err(_) => format!("{address}/{}", prefix.len),
        }
    };
    nlri.iter()
        .map(|prefix| match prefix.path_id {
            Some(id) => json!({"prefix": text(prefix), "pathId": id}),
            None => json!(text(prefix)),
        })
        .collect()
}

fn attributes_json(attributes: &Attributes) -> Value {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    if let Some(code) = attributes.origin {
        put("origin", json!(crate::render::format::origin(code)));
    }
    if let Some(path) = &attributes.as_path {
        put("asPath", json!(super::bgpdump::as_path(path)));
    }
    let mp_next_hop = attributes.reach.iter().find_map(|reach| reach.next_hop);
    if let Some(next_hop) = mp_next_hop.or(attributes.next_hop.map(IpAddr::V4)) {
        put("nextHop", json!(next_hop));
    }
    for (key, value) in [
        ("med", attributes.med),
        ("localPref", attributes.local_pref),
    ] {
        if let Some(value) = value {
            put(key, json!(value));
        }
    }
    if attributes.atomic_aggregate {
        put("atomicAggregate", json!(true));
    }
    if let Some((asn, address)) = attributes.aggregator {
        put("aggregator", json!(format!("{asn} {address}")));
    }
    let lists = lists(attributes);
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        put(key, json!(list));
    }
    if let Some(id) = attributes.originator_id {
        put("originatorId", json!(id));
    }
    for other in &attributes.unknown {
        put(
            &format!("attribute{}", other.type_code),
            json!(hex(&other.value)),
        );
    }
    Value::Object(fields)
}

/// The lists of an attribute set, each under its key.
fn lists(attributes: &Attributes) -> [(&'static str, Vec<String>); 4] {
    let large = attributes.large_communities.iter();
    [
        (
            "communities",
            attributes
                .communities
                .iter()
                .flatten()
                .map(|value| community(*value))
                .collect(),
        ),
        (
            "largeCommunities",
            large
                .map(|[a, b, c]| large_community((*a, *b, *c)))
                .collect(),
        ),
        (
            "extCommunities",
            attributes
                .ext_communities
                .iter()
                .map(|it| ext_community(*it))
                .collect(),
        ),
        (
            "clusterList",
            attributes
                .cluster_list
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
    ]
}
