//! One BGP message in words: what it says, or what is wrong with it, where, and what an RFC wants
//! done about it.
//!
//! The same description serves text and JSON. How a message is to be read depends on what its two
//! speakers agreed on; where their OPENs were not seen, the reading with the fewest errors is taken
//! (four-octet or two-octet AS numbers, with or without path identifiers).

use std::io::{self, Write};

use proto_codec::bgp::frame::check_header;
use proto_codec::bgp::{
    AttrCache, AttrSet, DecodeContext, EXTENDED_MESSAGE_LEN_MAX, HEADER_LEN, MessageType, Nlri,
    Notification, Open, RouteRefresh, Update, decode_update,
};
use proto_codec::{DecodeError, Family};
use serde_json::{Map, Value, json};

use crate::render::format::{family_key, hex};

/// The context of a message whose session is not known: nothing is refused that some session would
/// accept.
pub fn unknown_session() -> DecodeContext {
    DecodeContext {
        ebgp: false,
        families: [true; 2],
        ext_next_hop: true,
        aigp: true,
        reject_as_sets: false,
        enforce_first_as: false,
        ..DecodeContext::default()
    }
}

/// Describes the message `frame` starts with. `context` is what was agreed, if that is known.
pub fn describe(frame: &[u8], context: Option<&DecodeContext>) -> Value {
    let Some(header) = frame.first_chunk::<HEADER_LEN>() else {
        let len = frame.len();
        return json!({"error": format!("{len} octets, a header has {HEADER_LEN}")});
    };
    let (kind, len) = match check_header(header, EXTENDED_MESSAGE_LEN_MAX) {
        Ok(found) => found,
        Err(error) => return error_json(&error),
    };
    let Some(body) = frame.get(HEADER_LEN..len) else {
        let there = frame.len();
        return json!({"length": len, "error": format!("cut off: {there} octets are there")});
    };
    let mut fields = Map::new();
    fields.insert("type".to_owned(), json!(type_name(kind)));
    fields.insert("length".to_owned(), json!(len));
    let content = match kind {
        MessageType::Open => Open::decode(body).map(|open| open_json(&open)),
        MessageType::Update => Ok(update_json(body, context)),
        MessageType::Notification => Notification::decode(body).map(|it| notification_json(&it)),
        MessageType::Keepalive => Ok(json!({})),
        MessageType::RouteRefresh => RouteRefresh::decode(body).map(|refresh| {
            json!({
                "family": refresh.afi_safi.to_string(),
                "subtype": format!("{:?}", refresh.subtype),
            })
        }),
    };
    if let Value::Object(content) = content.unwrap_or_else(|error| error_json(&error)) {
        fields.extend(content);
    }
    Value::Object(fields)
}

fn type_name(kind: MessageType) -> &'static str {
    match kind {
        MessageType::Open => "OPEN",
        MessageType::Update => "UPDATE",
        MessageType::Notification => "NOTIFICATION",
        MessageType::Keepalive => "KEEPALIVE",
        MessageType::RouteRefresh => "ROUTE-REFRESH",
    }
}

fn error_json(error: &DecodeError) -> Value {
    json!({
        "error": error.kind.to_string(),
        "offset": error.offset,
        "reaction": error.reaction.to_string(),
    })
}

fn open_json(open: &Open) -> Value {
    let capabilities: Vec<String> = open.capabilities.iter().map(ToString::to_string).collect();
    json!({
        "asn": open.asn,
        "holdTime": open.hold_time_s,
        "routerId": open.router_id,
        "capabilities": capabilities,
    })
}

fn notification_json(notification: &Notification) -> Value {
    let mut fields = json!({
        "code": notification.code,
        "subcode": notification.subcode,
        "meaning": notification.to_string(),
    });
    match notification.shutdown_message() {
        Some(text) => fields["message"] = json!(text),
        None if !notification.data.is_empty() => fields["data"] = json!(hex(&notification.data)),
        None => {}
    }
    fields
}

/// The readings to try, the likeliest first.
fn readings(context: Option<&DecodeContext>) -> Vec<DecodeContext> {
    if let Some(context) = context {
        return vec![context.clone()];
    }
    let mut all = Vec::new();
    for add_path_rx in [[false; 2], [true; 2]] {
        for four_octet_as in [true, false] {
            all.push(DecodeContext {
                four_octet_as,
                add_path_rx,
                ..unknown_session()
            });
        }
    }
    all
}

fn update_json(body: &[u8], context: Option<&DecodeContext>) -> Value {
    let mut best: Option<(usize, Value)> = None;
    for context in readings(context) {
        let (faults, value) = match decode_update(body, &context, &mut AttrCache::new()) {
            Ok(update) => (update.errors.len(), read_update_json(&update)),
            Err(error) => (usize::MAX, error_json(&error)),
        };
        if faults == 0 {
            return value;
        }
        if best.as_ref().is_none_or(|(fewest, _)| faults < *fewest) {
            best = Some((faults, value));
        }
    }
    best.map_or(Value::Null, |found| found.1)
}

fn read_update_json(update: &Update<'_>) -> Value {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    if let Some(family) = update.end_of_rib {
        put("endOfRib", json!(family.to_string()));
    }
    if let Some(first) = update.announce.first() {
        put("attributes", attributes_json(&first.attrs));
    }
    if !update.announce.is_empty() {
        let groups = update.announce.iter().map(|group| {
            let mut value = nlri_json(&group.nlri);
            value["nextHop"] = json!(group.attrs.next_hop().to_string());
            value
        });
        put("announced", groups.collect());
    }
    if !update.withdraw.is_empty() {
        put("withdrawn", update.withdraw.iter().map(nlri_json).collect());
    }
    if !update.errors.is_empty() {
        let errors = update.errors.iter().map(|error| {
            json!({
                "error": error.kind.to_string(),
                "attribute": error.type_code,
                "offset": error.offset,
                "reaction": error.reaction.to_string(),
            })
        });
        put("errors", errors.collect());
    }
    Value::Object(fields)
}

fn nlri_json(nlri: &Nlri<'_>) -> Value {
    let key = match nlri.family() {
        Family::Ipv4Unicast => family_key(proto_codec::control::Family::Ipv4Unicast),
        Family::Ipv6Unicast => family_key(proto_codec::control::Family::Ipv6Unicast),
    };
    let prefix = |(id, prefix): &(u32, ipnet::IpNet)| {
        if nlri.add_path() {
            json!({"prefix": prefix.to_string(), "pathId": id})
        } else {
            json!(prefix.to_string())
        }
    };
    json!({"family": key, "prefixes": nlri.nets().iter().map(prefix).collect::<Vec<_>>()})
}

fn attributes_json(attrs: &AttrSet) -> Value {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("origin", json!(attrs.origin().to_string()));
    put("asPath", json!(attrs.as_path().to_string()));
    let numbers = [
        ("med", attrs.med()),
        ("localPref", attrs.local_pref()),
        ("otc", attrs.otc()),
    ];
    for (key, value) in numbers {
        if let Some(value) = value {
            put(key, json!(value));
        }
    }
    if attrs.atomic_aggregate() {
        put("atomicAggregate", json!(true));
    }
    if let Some((asn, address)) = attrs.aggregator() {
        put("aggregator", json!(format!("{asn} {address}")));
    }
    let lists = [
        (
            "communities",
            texts(attrs.communities().map(proto_codec::bgp::Community)),
        ),
        ("largeCommunities", texts(attrs.large_communities())),
        (
            "extCommunities",
            texts(attrs.ext_communities().map(proto_codec::bgp::ExtCommunity)),
        ),
        ("clusterList", texts(attrs.cluster_list())),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        put(key, json!(list));
    }
    if let Some(id) = attrs.originator_id() {
        put("originatorId", json!(id));
    }
    if let Some(metric) = attrs.aigp() {
        put("aigp", json!(metric));
    }
    let others: Vec<Value> = attrs
        .others()
        .map(|one| json!({"type": one.type_code, "flags": one.flags, "value": hex(one.value)}))
        .collect();
    if !others.is_empty() {
        put("others", json!(others));
    }
    Value::Object(fields)
}

fn texts<T: ToString>(items: impl Iterator<Item = T>) -> Vec<String> {
    items.map(|item| item.to_string()).collect()
}

/// Prints a description for people: the members of an object, a line each, indented by `depth`.
pub fn write_text(out: &mut dyn Write, value: &Value, depth: usize) -> io::Result<()> {
    let Value::Object(fields) = value else {
        return Ok(());
    };
    let indent = depth * 2;
    for (key, value) in fields {
        match value {
            Value::Object(_) => {
                writeln!(out, "{:indent$}{key}", "")?;
                write_text(out, value, depth + 1)?;
            }
            Value::Array(items) if items.iter().any(is_deep) => {
                for item in items {
                    writeln!(out, "{:indent$}{key}", "")?;
                    write_text(out, item, depth + 1)?;
                }
            }
            Value::Array(items) => {
                let items = items.iter().map(inline).collect::<Vec<_>>().join(" ");
                writeln!(out, "{:indent$}{key} {items}", "")?;
            }
            other => writeln!(out, "{:indent$}{key} {}", "", inline(other))?,
        }
    }
    Ok(())
}

/// An object that needs lines of its own: more than a prefix and its path identifier.
fn is_deep(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|fields| !fields.contains_key("pathId"))
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).map(inline).unwrap_or_default();
            format!("{}({})", text("prefix"), text("pathId"))
        }
        other => other.to_string(),
    }
}
