//! `show bgp neighbors json`: FRR's object per neighbor, under its address.
//!
//! Names and nesting are FRR's. What FRR knows and this suite does not (conditional advertisement,
//! path limits, thread states) is left out rather than invented.

use std::io::{self, Write};

use proto_codec::control::view::{FamilyState, Neighbor, PeerState};
use proto_codec::control::{Head, View};
use serde_json::{Map, Value, json};

use super::format::{age, family_key};
use super::json::Stream;
use super::summary::state_name;
use super::{Renderer, unexpected};

/// The JSON form.
#[derive(Debug, Default)]
pub struct Json {
    stream: Stream,
}

impl Renderer for Json {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::Neighbor(neighbor) = view else {
            return unexpected(&view);
        };
        if !self.stream.is_open() {
            self.stream.open_object(out, None)?;
        }
        let value = neighbor_json(&neighbor);
        self.stream
            .tree(out, Some(&neighbor.address.to_string()), &value)
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.stream.is_open() {
            self.stream.open_object(out, None)?;
        }
        self.stream.close(out)
    }
}

fn neighbor_json(neighbor: &Neighbor) -> Value {
    let mut fields = identity(neighbor);
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    let established = neighbor.state == PeerState::Established;
    if established {
        put("neighborCapabilities", capabilities(neighbor));
        put("gracefulRestartInfo", restart(neighbor));
    }
    put("messageStats", messages(neighbor));
    let prefixes = &neighbor.prefixes;
    if prefixes.own_range > 0 {
        put("insideOwnRanges", json!(prefixes.own_range));
    }
    put(
        "prefixStats",
        json!({
            "inboundFiltered": prefixes.filtered,
            "aspathLoop": prefixes.as_path_loop,
            "originatorLoop": prefixes.originator_loop,
            "clusterLoop": prefixes.cluster_loop,
            "invalidNextHop": prefixes.invalid_next_hop,
            "withdrawn": prefixes.treat_as_withdraw,
            "attributesDiscarded": prefixes.attributes_discarded,
        }),
    );
    let families = neighbor.families.iter();
    let families = families.map(|family| (family_key(family.family).to_owned(), of_family(family)));
    put("addressFamilyInfo", Value::Object(families.collect()));
    put("connectionsEstablished", json!(neighbor.established_count));
    put("connectionsDropped", json!(neighbor.dropped_count));
    for (key, value) in last_reset(neighbor) {
        put(key, value);
    }
    if let Some(hops) = neighbor.hops_max {
        let key = if neighbor.internal {
            "internal"
        } else {
            "external"
        };
        put(&format!("{key}BgpNbrMaxHopsAway"), json!(hops));
    }
    if let Some(connection) = &neighbor.connection {
        put("hostLocal", json!(connection.local.ip()));
        put("portLocal", json!(connection.local.port()));
        put("hostForeign", json!(connection.remote.ip()));
        put("portForeign", json!(connection.remote.port()));
    }
    put(
        "connectRetryTimer",
        json!(neighbor.timers.connect_retry_ms / 1000),
    );
    if let Some(ms) = neighbor.timers.next_connect_ms {
        put("nextConnectTimerDueInMsecs", json!(ms));
    }
    if neighbor.authenticated {
        put("authenticationEnabled", json!(1));
    }
    // Ours: FRR resets the session at once instead.
    if !neighbor.pending_changes.is_empty() {
        put("pendingChanges", json!(neighbor.pending_changes));
    }
    Value::Object(fields)
}

fn identity(neighbor: &Neighbor) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("neighborAddr", json!(neighbor.address));
    put("remoteAs", json!(neighbor.remote_asn));
    put("localAs", json!(neighbor.local_asn));
    let link = if neighbor.internal {
        "nbrInternalLink"
    } else {
        "nbrExternalLink"
    };
    put(link, json!(true));
    let role = |role: &Option<String>| json!(role.as_deref().unwrap_or("undefined"));
    put("localRole", role(&neighbor.local_role));
    put("remoteRole", role(&neighbor.remote_role));
    if let Some(text) = &neighbor.description {
        put("nbrDesc", json!(text));
    }
    if let Some(name) = &neighbor.peer_group {
        put("peerGroup", json!(name));
    }
    if let Some(object) = &neighbor.object {
        put("clusterObject", json!(object));
    }
    if let Some(why) = &neighbor.held {
        put("keptDown", json!(why));
    }
    if neighbor.dynamic {
        put("dynamicPeer", json!(true));
    }
    put(
        "hostname",
        json!(neighbor.hostname.as_deref().unwrap_or("Unknown")),
    );
    put("bgpVersion", json!(4));
    let remote = neighbor.remote_router_id;
    put(
        "remoteRouterId",
        json!(remote.map_or("0.0.0.0".to_owned(), |id| id.to_string())),
    );
    put("localRouterId", json!(neighbor.local_router_id));
    put("bgpState", json!(state_name(neighbor.state)));
    if let (Some(ms), PeerState::Established) = (neighbor.uptime_ms, neighbor.state) {
        put("bgpTimerUpMsec", json!(ms));
        put("bgpTimerUpString", json!(age(ms)));
    }
    if let Some(epoch_ms) = neighbor.established_epoch_ms {
        put("bgpTimerUpEstablishedEpoch", json!(epoch_ms / 1000));
    }
    let timers = &neighbor.timers;
    if let Some(ms) = timers.last_read_ms {
        put("bgpTimerLastRead", json!(ms));
    }
    if let Some(ms) = timers.last_write_ms {
        put("bgpTimerLastWrite", json!(ms));
    }
    put(
        "bgpTimerConfiguredHoldTimeMsecs",
        json!(timers.configured_hold_ms),
    );
    put(
        "bgpTimerConfiguredKeepAliveIntervalMsecs",
        json!(timers.configured_keepalive_ms),
    );
    put("bgpTimerHoldTimeMsecs", json!(timers.hold_ms));
    put("bgpTimerKeepAliveIntervalMsecs", json!(timers.keepalive_ms));
    fields
}

fn exchange(advertised: bool, received: bool) -> Option<&'static str> {
    match (advertised, received) {
        (true, true) => Some("advertisedAndReceived"),
        (true, false) => Some("advertised"),
        (false, true) => Some("received"),
        (false, false) => None,
    }
}

/// `Enhanced Route Refresh` becomes `enhancedRouteRefresh`; `4 Byte AS` is FRR's `4byteAs`.
fn capability_key(name: &str) -> String {
    if name == "4 Byte AS" {
        return "4byteAs".to_owned();
    }
    let mut key = String::new();
    for (index, word) in name.split_whitespace().enumerate() {
        let lower = word.to_lowercase();
        let mut letters = lower.chars();
        match letters.next() {
            Some(first) if index > 0 => key.extend(first.to_uppercase()),
            Some(first) => key.push(first),
            None => {}
        }
        key.extend(letters);
    }
    key
}

fn capabilities(neighbor: &Neighbor) -> Value {
    let mut fields = Map::new();
    for capability in &neighbor.capabilities {
        if let Some(text) = exchange(capability.advertised, capability.received) {
            fields.insert(capability_key(&capability.name), json!(text));
        }
    }
    let (mut add_path, mut protocols) = (Map::new(), Map::new());
    for family in &neighbor.families {
        let key = family_key(family.family);
        let state = family.add_path;
        if state != Default::default() {
            let value = json!({
                "rxAdvertisedAndReceived": state.rx_advertised && state.rx_received,
                "rxAdvertised": state.rx_advertised,
                "rxReceived": state.rx_received,
                "txAdvertisedAndReceived": state.tx_advertised && state.tx_received,
                "txAdvertised": state.tx_advertised,
                "txReceived": state.tx_received,
            });
            add_path.insert(key.to_owned(), value);
        }
        if let Some(text) = exchange(family.advertised, family.received) {
            let mut value = Map::new();
            value.insert(text.to_owned(), json!(true));
            protocols.insert(key.to_owned(), Value::Object(value));
        }
    }
    if !add_path.is_empty() {
        fields.insert("addPath".to_owned(), Value::Object(add_path));
    }
    fields.insert(
        "multiprotocolExtensions".to_owned(),
        Value::Object(protocols),
    );
    Value::Object(fields)
}

fn restart(neighbor: &Neighbor) -> Value {
    let restart = &neighbor.restart;
    let marks = |chosen: fn(&FamilyState) -> bool| {
        let chosen = neighbor.families.iter().filter(|family| chosen(family));
        Value::Object(
            chosen
                .map(|one| (family_key(one.family).to_owned(), json!(true)))
                .collect(),
        )
    };
    json!({
        "endOfRibSend": marks(|family| family.end_of_rib_sent),
        "endOfRibRecv": marks(|family| family.end_of_rib_received),
        "localGrMode": restart.local_mode,
        "remoteGrMode": restart.remote_mode,
        "rBit": restart.restart_bit,
        "nBit": restart.notification_bit,
        "timers": {
            "configuredRestartTimer": restart.configured_restart_s,
            "receivedRestartTimer": restart.received_restart_s,
        },
    })
}

fn messages(neighbor: &Neighbor) -> Value {
    let messages = &neighbor.messages;
    let mut fields = Map::new();
    let mut put = |key: String, number: u64| fields.insert(key, json!(number));
    put("depthInq".to_owned(), messages.in_queue);
    put("depthOutq".to_owned(), messages.out_queue);
    let rows = [
        ("opens", messages.opens),
        ("notifications", messages.notifications),
        ("updates", messages.updates),
        ("keepalives", messages.keepalives),
        ("routeRefresh", messages.route_refreshes),
        ("total", messages.total()),
    ];
    for (name, (sent, received)) in rows {
        put(format!("{name}Sent"), sent);
        put(format!("{name}Recv"), received);
    }
    Value::Object(fields)
}

fn of_family(family: &FamilyState) -> Value {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    if let Some(group) = family.update_group {
        put("updateGroupId", json!(group));
        put("subGroupId", json!(group));
    }
    if family.reflector_client {
        put("routeReflectorClient", json!(true));
    }
    if family.next_hop_self {
        put("routerAlwaysNextHop", json!(true));
    }
    put("commAttriSentToNbr", json!("standardAndextendedAndlarge"));
    if family.import_blocked {
        put(
            "inboundEbgpRequiresPolicy",
            json!("Inbound updates discarded due to missing policy"),
        );
    }
    if family.export_blocked {
        let text = "Outbound updates discarded due to missing policy";
        put("outboundEbgpRequiresPolicy", json!(text));
    }
    if let Some(name) = &family.import_policy {
        put("inboundPathPolicyConfig", json!(true));
        put("routeMapForIncomingAdvertisements", json!(name));
    }
    if let Some(name) = &family.export_policy {
        put("outboundPathPolicyConfig", json!(true));
        put("routeMapForOutgoingAdvertisements", json!(name));
    }
    if let Some(most) = family.prefixes_max {
        put("prefixAllowedMax", json!(most));
    }
    put("receivedPrefixCounter", json!(family.prefixes_received));
    put("acceptedPrefixCounter", json!(family.prefixes_accepted));
    put("sentPrefixCounter", json!(family.prefixes_sent));
    if family.stale > 0 {
        put("stalePrefixCounter", json!(family.stale));
    }
    Value::Object(fields)
}

fn last_reset(neighbor: &Neighbor) -> Vec<(&'static str, Value)> {
    let Some(reset) = &neighbor.last_reset else {
        return Vec::new();
    };
    let mut all = vec![
        ("lastResetTimerMsecs", json!(reset.ago_ms)),
        ("lastResetDueTo", json!(reset.reason)),
    ];
    if let Some((code, subcode)) = reset.notification {
        all.push((
            "lastErrorCodeSubcode",
            json!(format!("{code:02X}{subcode:02X}")),
        ));
        let text = reset.notification_text.as_deref().unwrap_or_default();
        all.push(("lastNotificationReason", json!(text)));
        all.push(("lastNotificationSent", json!(reset.sent)));
    }
    if let Some(text) = &reset.message {
        all.push(("lastShutdownDescription", json!(text)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_names_become_frrs_keys() {
        assert_eq!(capability_key("4 Byte AS"), "4byteAs");
        assert_eq!(
            capability_key("Enhanced Route Refresh"),
            "enhancedRouteRefresh"
        );
        assert_eq!(capability_key("Extended Message"), "extendedMessage");
    }
}
