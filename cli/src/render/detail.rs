//! `show bgp PREFIX`: a prefix with everything known of its paths.
//!
//! The block is FRR's. The JSON has FRR's names and, beside `metric` and `locPrf`, the names `med`
//! and `localpref` that this suite's contract promises.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use proto_codec::control::view::{AttrView, Path, PathKind, RouteDetail};
use proto_codec::control::{Head, View};
use serde_json::{Map, Value, json};

use super::format::{
    age, community, community_in_list, date, ext_community, large_community, origin,
};
use super::json::Stream;
use super::table::{metric, next_hops_json};
use super::{Renderer, unexpected};

/// The text form.
#[derive(Debug, Default)]
pub struct Text {
    head: Option<Head>,
}

impl Renderer for Text {
    fn head(&mut self, _: &mut dyn Write, head: Head) -> io::Result<()> {
        self.head = Some(head);
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::RouteDetail(route) = view else {
            return unexpected(&view);
        };
        let RouteDetail {
            prefix,
            version,
            path_count,
            ..
        } = &route;
        writeln!(
            out,
            "BGP routing table entry for {prefix}, version {version}"
        )?;
        let best = match route.paths.iter().position(|path| path.best) {
            Some(index) => format!("best #{}, table default", index + 1),
            None => "no best path".to_owned(),
        };
        writeln!(out, "Paths: ({path_count} available, {best})")?;
        let router_id = self.head.as_ref().map(|head| head.router_id);
        for path in &route.paths {
            write_path(out, path, router_id)?;
        }
        Ok(())
    }
}

fn write_path(out: &mut dyn Write, path: &Path, router_id: Option<Ipv4Addr>) -> io::Result<()> {
    let none = AttrView::default();
    let attrs = path.attrs.as_deref().unwrap_or(&none);
    let as_path = if path.as_path.is_empty() {
        "Local"
    } else {
        &path.as_path
    };
    write!(out, "  {as_path}")?;
    if let Some((asn, address)) = attrs.aggregator {
        write!(out, ", (aggregated by {asn} {address})")?;
    }
    if path.stale {
        write!(out, ", (stale)")?;
    }
    if path.rejected {
        write!(out, ", (rejected by policy)")?;
    }
    writeln!(out)?;
    write_origin(out, path, attrs, router_id)?;
    writeln!(out, "      {}", properties(path, attrs).join(", "))?;
    write_attributes(out, attrs)?;
    if path.path_id_rx != 0 || path.path_id_tx != 0 {
        let (rx, tx) = (path.path_id_rx, path.path_id_tx);
        writeln!(out, "      AddPath ID: RX {rx}, TX-All {tx}")?;
    }
    if !attrs.advertised_to.is_empty() {
        writeln!(
            out,
            "      Advertised to: {}",
            joined(attrs.advertised_to.iter())
        )?;
    }
    if let Some(source) = &attrs.origin_source {
        writeln!(out, "      Source: {source}")?;
    }
    if let Some(epoch_ms) = attrs.last_update_epoch_ms {
        writeln!(out, "      Last update: {}", date(epoch_ms))?;
    }
    Ok(())
}

/// `NEXTHOP (metric N) from PEER (ROUTER-ID)`.
fn write_origin(
    out: &mut dyn Write,
    path: &Path,
    attrs: &AttrView,
    router_id: Option<Ipv4Addr>,
) -> io::Result<()> {
    let metric = match attrs.igp_metric {
        _ if !path.valid => " (inaccessible)".to_owned(),
        Some(metric) if metric > 0 => format!(" (metric {metric})"),
        _ => String::new(),
    };
    let (peer, peer_id) = match path.peer {
        Some(peer) => (peer.address, Some(peer.router_id)),
        None if path.next_hop.is_ipv6() => ("::".parse().unwrap_or(path.next_hop), router_id),
        None => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), router_id),
    };
    let peer_id = peer_id.unwrap_or(Ipv4Addr::UNSPECIFIED);
    writeln!(out, "    {}{metric} from {peer} ({peer_id})", path.next_hop)?;
    if let Some(local) = path.next_hop_link_local {
        writeln!(out, "    ({local}) (used)")?;
    }
    Ok(())
}

fn properties(path: &Path, attrs: &AttrView) -> Vec<String> {
    let mut all = vec![format!("Origin {}", origin(path.origin))];
    let mut number = |name: &str, value: Option<u32>| {
        all.extend(value.map(|value| format!("{name} {value}")));
    };
    number("metric", metric(path));
    number("localpref", path.local_pref);
    number("weight", (path.weight > 0).then_some(path.weight));
    all.push(if path.valid { "valid" } else { "invalid" }.to_owned());
    all.push(
        match path.kind {
            PathKind::Local => "sourced, local",
            PathKind::External => "external",
            PathKind::Internal => "internal",
        }
        .to_owned(),
    );
    all.extend(attrs.otc.map(|asn| format!("otc {asn}")));
    if attrs.atomic_aggregate {
        all.push("atomic-aggregate".to_owned());
    }
    if path.multipath {
        all.push("multipath".to_owned());
    }
    if path.best {
        let reason = path
            .reason
            .as_deref()
            .map_or_else(String::new, |text| format!(" ({text})"));
        all.push(format!("best{reason}"));
    }
    all
}

fn write_attributes(out: &mut dyn Write, attrs: &AttrView) -> io::Result<()> {
    let mut line = |name: &str, text: String| {
        if text.is_empty() {
            Ok(())
        } else {
            writeln!(out, "      {name}: {text}")
        }
    };
    line(
        "Community",
        joined(attrs.communities.iter().map(|value| community(*value))),
    )?;
    line(
        "Extended Community",
        joined(
            attrs
                .ext_communities
                .iter()
                .map(|value| ext_community(*value)),
        ),
    )?;
    line(
        "Large Community",
        joined(
            attrs
                .large_communities
                .iter()
                .map(|value| large_community(*value)),
        ),
    )?;
    let clusters = joined(attrs.cluster_list.iter());
    match attrs.originator_id {
        Some(id) if clusters.is_empty() => line("Originator", id.to_string())?,
        Some(id) => line("Originator", format!("{id}, Cluster list: {clusters}"))?,
        None => line("Cluster list", clusters)?,
    }
    line(
        "AIGP metric",
        attrs
            .aigp
            .map_or_else(String::new, |metric| metric.to_string()),
    )?;
    for unknown in &attrs.unknown {
        let text = format!(
            "type {}, flags {:#04x}, 0x{}",
            unknown.type_code, unknown.flags, unknown.value
        );
        line("Unknown attribute", text)?;
    }
    Ok(())
}

fn joined<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The JSON form.
#[derive(Debug, Default)]
pub struct Json {
    now_epoch_ms: u64,
    router_id: Option<Ipv4Addr>,
    host: String,
    stream: Stream,
}

impl Renderer for Json {
    fn head(&mut self, _: &mut dyn Write, head: Head) -> io::Result<()> {
        self.now_epoch_ms = head.now_epoch_ms;
        self.router_id = Some(head.router_id);
        self.host = head.host;
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::RouteDetail(route) = view else {
            return unexpected(&view);
        };
        let paths: Vec<Value> = route
            .paths
            .iter()
            .map(|path| self.path(&route, path))
            .collect();
        let value = json!({
            "prefix": route.prefix.to_string(),
            "version": route.version,
            "paths": paths,
            "pathCount": route.path_count,
            "multiPathCount": route.multipath_count,
            "flags": {
                "bestPathExists": route.paths.iter().any(|path| path.best),
                "fibInstalled": route.fib_installed,
            },
        });
        self.stream.tree(out, None, &value)
    }
}

impl Json {
    fn path(&self, route: &RouteDetail, path: &Path) -> Value {
        let none = AttrView::default();
        let attrs = path.attrs.as_deref().unwrap_or(&none);
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        put("aspath", as_path_json(&path.as_path));
        put("origin", json!(origin(path.origin)));
        if let Some(med) = metric(path) {
            put("metric", json!(med));
            put("med", json!(med));
        }
        if let Some(local_pref) = path.local_pref {
            put("locPrf", json!(local_pref));
            put("localpref", json!(local_pref));
        }
        if path.weight > 0 {
            put("weight", json!(path.weight));
        }
        put("valid", json!(path.valid));
        put("version", json!(route.version));
        let flags = [
            ("sourced", path.kind == PathKind::Local),
            ("local", path.kind == PathKind::Local),
            ("atomicAggregate", attrs.atomic_aggregate),
            ("multipath", path.multipath),
            ("stale", path.stale),
            ("rejected", path.rejected),
        ];
        for (key, _) in flags.iter().filter(|flag| flag.1) {
            put(key, json!(true));
        }
        if path.best {
            put(
                "bestpath",
                json!({"overall": true, "selectionReason": path.reason}),
            );
        }
        for (key, value) in attributes_json(attrs) {
            put(key, value);
        }
        put("addpathRxId", json!(path.path_id_rx));
        put("addpathTxId", json!(path.path_id_tx));
        if !attrs.advertised_to.is_empty() {
            let to = attrs
                .advertised_to
                .iter()
                .map(|peer| (peer.to_string(), json!({})));
            put("advertisedTo", Value::Object(to.collect()));
        }
        if let Some(epoch_ms) = attrs.last_update_epoch_ms {
            let string = date(epoch_ms);
            put(
                "lastUpdate",
                json!({"epoch": epoch_ms / 1000, "string": string}),
            );
            put(
                "lastUpdateStr",
                json!(age(self.now_epoch_ms.saturating_sub(epoch_ms))),
            );
        }
        put("nexthops", self.next_hops(path, attrs));
        put("peer", self.peer(path));
        Value::Object(fields)
    }

    fn next_hops(&self, path: &Path, attrs: &AttrView) -> Value {
        let mut hops = next_hops_json(path, &self.host);
        for hop in hops.as_array_mut().into_iter().flatten() {
            hop["metric"] = json!(attrs.igp_metric.unwrap_or(0));
            hop["accessible"] = json!(path.valid);
        }
        hops
    }

    fn peer(&self, path: &Path) -> Value {
        match path.peer {
            Some(peer) => json!({
                "peerId": peer.address,
                "routerId": peer.router_id,
                "type": if path.kind == PathKind::Internal { "internal" } else { "external" },
            }),
            None => json!({
                "peerId": if path.next_hop.is_ipv6() { "::" } else { "0.0.0.0" },
                "routerId": self.router_id,
            }),
        }
    }
}

fn attributes_json(attrs: &AttrView) -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    if let Some((asn, address)) = attrs.aggregator {
        all.push(("aggregatorAs", json!(asn)));
        all.push(("aggregatorId", json!(address)));
    }
    if !attrs.communities.is_empty() {
        let list: Vec<_> = attrs
            .communities
            .iter()
            .map(|one| community_in_list(*one))
            .collect();
        let string = joined(attrs.communities.iter().map(|value| community(*value)));
        all.push(("community", json!({"string": string, "list": list})));
    }
    if !attrs.ext_communities.is_empty() {
        let string = joined(
            attrs
                .ext_communities
                .iter()
                .map(|value| ext_community(*value)),
        );
        all.push(("extendedCommunity", json!({"string": string})));
    }
    if !attrs.large_communities.is_empty() {
        let list: Vec<_> = attrs
            .large_communities
            .iter()
            .map(|value| large_community(*value))
            .collect();
        all.push((
            "largeCommunity",
            json!({"string": list.join(" "), "list": list}),
        ));
    }
    if let Some(id) = attrs.originator_id {
        all.push(("originatorId", json!(id)));
    }
    if !attrs.cluster_list.is_empty() {
        all.push(("clusterList", json!({"list": attrs.cluster_list})));
    }
    all.extend(attrs.aigp.map(|metric| ("aigpMetric", json!(metric))));
    all.extend(attrs.otc.map(|asn| ("otc", json!(asn))));
    if !attrs.unknown.is_empty() {
        let unknown = attrs
            .unknown
            .iter()
            .map(|one| json!({"type": one.type_code, "flags": one.flags, "value": one.value}));
        all.push(("unknownAttributes", unknown.collect()));
    }
    all.extend(
        attrs
            .origin_source
            .as_ref()
            .map(|source| ("source", json!(source))),
    );
    all
}

/// String, segments and length, read back from FRR's spelling: `{}` sets, `()` and `[]`
/// confederation sequences and sets.
fn as_path_json(text: &str) -> Value {
    let mut segments: Vec<(&str, Vec<u32>)> = Vec::new();
    let mut kind = "as-sequence";
    let mut start_new = true;
    let mut number = String::new();
    for c in text.chars().chain(std::iter::once(' ')) {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        if let Ok(asn) = std::mem::take(&mut number).parse() {
            if std::mem::take(&mut start_new) {
                segments.push((kind, Vec::new()));
            }
            if let Some(segment) = segments.last_mut() {
                segment.1.push(asn);
            }
        }
        let opened = match c {
            '{' => "as-set",
            '(' => "as-confed-sequence",
            '[' => "as-confed-set",
            '}' | ')' | ']' => "as-sequence",
            _ => continue,
        };
        (kind, start_new) = (opened, true);
    }
    let length: usize = segments
        .iter()
        .map(|(kind, asns)| match *kind {
            "as-sequence" => asns.len(),
            "as-set" => 1,
            _ => 0,
        })
        .sum();
    let list: Vec<Value> = segments
        .iter()
        .map(|(kind, asns)| json!({"type": kind, "list": asns}))
        .collect();
    let string = if text.is_empty() { "Local" } else { text };
    json!({"string": string, "segments": list, "length": length})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_read_back_from_the_text() {
        let value = as_path_json("65001 65002 {7,8} 9");
        assert_eq!(value["length"], 4);
        assert_eq!(value["segments"][1]["type"], "as-set");
        assert_eq!(value["segments"][1]["list"], json!([7, 8]));
        assert_eq!(value["segments"][2]["list"], json!([9]));
        assert_eq!(as_path_json("")["string"], "Local");
    }
}
