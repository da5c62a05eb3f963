//! `show ip route`: the kernel's routes beside those that were asked for.
//!
//! FRR's codes and lines. `q` is a route asked for and not confirmed, `r` one the kernel refused; a
//! route that is held and no longer asked for has neither `>` nor `*`.

use std::io::{self, Write};

use proto_codec::control::view::{IpRoute, IpRouteHop, IpRouteState, RouteSource};
use proto_codec::control::{Head, Tail, View};
use serde_json::{Value, json};

use super::format::age;
use super::json::Stream;
use super::{Renderer, unexpected};

const CODES: &str = "\
Codes: K - kernel route, C - connected, L - local, S - static, B - BGP,
       > - selected route, * - FIB route, q - queued, r - rejected
";

/// The text form.
#[derive(Debug)]
pub struct Text {
    single: bool,
    ipv6: bool,
    started: bool,
}

impl Text {
    /// `single`: one prefix was asked for and is shown in full.
    pub fn new(single: bool, ipv6: bool) -> Self {
        Self {
            single,
            ipv6,
            started: false,
        }
    }
}

fn code(source: RouteSource) -> char {
    match source {
        RouteSource::Bgp => 'B',
        RouteSource::Connected => 'C',
        RouteSource::Local => 'L',
        RouteSource::Static => 'S',
        RouteSource::Kernel => 'K',
    }
}

fn source_name(source: RouteSource) -> &'static str {
    match source {
        RouteSource::Bgp => "bgp",
        RouteSource::Connected => "connected",
        RouteSource::Local => "local",
        RouteSource::Static => "static",
        RouteSource::Kernel => "kernel",
    }
}

fn marks(state: IpRouteState) -> &'static str {
    match state {
        IpRouteState::Installed => ">*",
        IpRouteState::Queued => ">q",
        IpRouteState::Rejected => ">r",
        IpRouteState::Stale => "  ",
    }
}

fn state_name(state: IpRouteState) -> &'static str {
    match state {
        IpRouteState::Installed => "Installed",
        IpRouteState::Queued => "Queued",
        IpRouteState::Rejected => "Rejected",
        IpRouteState::Stale => "Stale",
    }
}

/// Where one next hop leads: `via 10.0.0.2, eth0, weight 1`.
fn hop_text(hop: &IpRouteHop) -> String {
    let interface = hop.interface.as_deref();
    let weight = hop.weight;
    match (hop.gateway, interface) {
        (Some(gateway), Some(name)) => format!("via {gateway}, {name}, weight {weight}"),
        (Some(gateway), None) => format!("via {gateway}, weight {weight}"),
        (None, Some(name)) => format!("is directly connected, {name}, weight {weight}"),
        (None, None) => format!("is directly connected, weight {weight}"),
    }
}

fn write_line(out: &mut dyn Write, route: &IpRoute) -> io::Result<()> {
    let (sign, marks) = (code(route.source), marks(route.state));
    let cost = match route.source {
        RouteSource::Connected | RouteSource::Local => String::new(),
        _ => format!("[{}/{}] ", route.distance, route.metric),
    };
    let head = format!("{sign}{marks} {} {cost}", route.prefix);
    let since = route
        .age_ms
        .map_or_else(String::new, |ms| format!(", {}", age(ms)));
    if route.discard {
        return writeln!(out, "{head}unreachable (blackhole), weight 1{since}");
    }
    for (index, hop) in route.next_hops.iter().enumerate() {
        if index == 0 {
            writeln!(out, "{head}{}{since}", hop_text(hop))?;
        } else {
            let width = head.chars().count().saturating_sub(marks.len() + 1);
            let installed = if route.state == IpRouteState::Installed {
                "*"
            } else {
                " "
            };
            writeln!(out, "  {installed}{:width$}{}{since}", "", hop_text(hop))?;
        }
    }
    if route.next_hops.is_empty() {
        writeln!(out, "{head}inactive{since}")?;
    }
    Ok(())
}

fn write_full(out: &mut dyn Write, route: &IpRoute) -> io::Result<()> {
    writeln!(out, "Routing entry for {}", route.prefix)?;
    let IpRoute {
        distance, metric, ..
    } = route;
    let best = if route.state == IpRouteState::Stale {
        ""
    } else {
        ", best"
    };
    let source = source_name(route.source);
    writeln!(
        out,
        "  Known via \"{source}\", distance {distance}, metric {metric}{best}"
    )?;
    if let Some(ms) = route.age_ms {
        writeln!(out, "  Last update {} ago", age(ms))?;
    }
    writeln!(out, "  Table {}, protocol {}", route.table, route.protocol)?;
    writeln!(out, "  Status: {}", state_name(route.state))?;
    if route.discard {
        writeln!(out, "  * unreachable (blackhole), weight 1")?;
    }
    for hop in &route.next_hops {
        let interface = hop.interface.as_deref();
        let via = interface.map_or_else(String::new, |name| format!(", via {name}"));
        match hop.gateway {
            Some(gateway) => writeln!(out, "  * {gateway}{via}, weight {}", hop.weight)?,
            None => writeln!(out, "  * directly connected{via}, weight {}", hop.weight)?,
        }
    }
    writeln!(out)
}

impl Renderer for Text {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::IpRoute(route) = view else {
            return unexpected(&view);
        };
        if self.single {
            return write_full(out, &route);
        }
        if !std::mem::replace(&mut self.started, true) {
            let family = if self.ipv6 { "IPv6" } else { "IPv4" };
            writeln!(out, "{CODES}\n{family} unicast VRF default:")?;
        }
        write_line(out, &route)
    }

    fn tail(&mut self, out: &mut dyn Write, _: Tail) -> io::Result<()> {
        if self.single && !self.started {
            return Ok(());
        }
        out.flush()
    }
}

/// The JSON form.
#[derive(Debug, Default)]
pub struct Json {
    stream: Stream,
    /// Routes of the prefix that is being gathered; a prefix may have several.
    pending: Option<(String, Vec<Value>)>,
}

impl Json {
    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.pending.take() {
            Some((prefix, routes)) => self.stream.value(out, Some(&prefix), &Value::Array(routes)),
            None => Ok(()),
        }
    }
}

fn route_json(route: &IpRoute) -> Value {
    let installed = route.state == IpRouteState::Installed;
    let hops = route.next_hops.iter().map(|hop| {
        let mut fields = json!({"fib": installed, "active": true, "weight": hop.weight});
        match hop.gateway {
            Some(gateway) => {
                fields["ip"] = json!(gateway);
                fields["afi"] = json!(if gateway.is_ipv4() { "ipv4" } else { "ipv6" });
            }
            None => fields["directlyConnected"] = json!(true),
        }
        if let Some(name) = &hop.interface {
            fields["interfaceName"] = json!(name);
        }
        fields
    });
    let mut hops: Vec<Value> = hops.collect();
    if route.discard {
        hops.push(json!({"fib": installed, "unreachable": true, "blackhole": true, "weight": 1}));
    }
    let mut fields = json!({
        "prefix": route.prefix.to_string(),
        "prefixLen": route.prefix.prefix_len(),
        "protocol": source_name(route.source),
        "vrfId": 0,
        "vrfName": "default",
        "distance": route.distance,
        "metric": route.metric,
        "table": route.table,
        "protocolNumber": route.protocol,
        "nexthops": hops,
    });
    if route.state != IpRouteState::Stale {
        fields["selected"] = json!(true);
    }
    match route.state {
        IpRouteState::Installed => fields["installed"] = json!(true),
        IpRouteState::Queued => fields["queued"] = json!(true),
        IpRouteState::Rejected => fields["rejected"] = json!(true),
        IpRouteState::Stale => fields["stale"] = json!(true),
    }
    if let Some(ms) = route.age_ms {
        fields["uptime"] = json!(age(ms));
    }
    fields
}

impl Renderer for Json {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::IpRoute(route) = view else {
            return unexpected(&view);
        };
        if !self.stream.is_open() {
            self.stream.open_object(out, None)?;
        }
        let prefix = route.prefix.to_string();
        match &mut self.pending {
            Some((last, routes)) if *last == prefix => routes.push(route_json(&route)),
            _ => {
                self.flush(out)?;
                self.pending = Some((prefix, vec![route_json(&route)]));
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.stream.is_open() {
            self.stream.open_object(out, None)?;
        }
        self.flush(out)?;
        self.stream.close(out)
    }
}
