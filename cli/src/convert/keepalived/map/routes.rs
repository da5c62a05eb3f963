//! `virtual_routes`: routes that are present while master.
//!
//! keepalived takes nearly all of iproute's words; ours takes a prefix with a gateway, a link, a
//! source, a metric and a table. A route is of the family of its instance, and no two are at the
//! same place of a table.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Context;
use crate::convert::keepalived::blocks::Node;

/// A route and its line.
#[derive(Clone, Debug)]
pub struct Route {
    /// In our words.
    pub text: String,
    /// Its family.
    pub ipv6: bool,
    /// Its line.
    pub node: Node,
    /// What differs; empty: nothing.
    differs: String,
}

/// Prefix, metric and table: what makes two routes one.
pub type Place = (IpNet, u32, u32);

/// The table that is written by leaving it out.
const MAIN: u32 = 254;
const CURE: &str = "make it a fixed route of the host, or set it in `notify`";

/// Reads the block.
pub fn read(block: &Node, context: &mut Context<'_>) -> Vec<Route> {
    context.report.taken(block.line(), "routes = [...]");
    let mut found = Vec::new();
    for line in block.inside() {
        match route(line) {
            Ok((text, place, differs)) if context.routes.insert(place) => found.push(Route {
                text,
                ipv6: place.0.addr().is_ipv6(),
                node: line.clone(),
                differs,
            }),
            Ok(_) => context.report.refused(
                line.whole(),
                "there is a route at this place already",
                "give one of them another metric or table",
            ),
            Err(cause) => context.report.refused(line.whole(), cause, CURE),
        }
    }
    found
}

/// The routes of one family, the rest having no instance to be bound to.
pub fn of_family(routes: Vec<Route>, ipv6: bool, context: &mut Context<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for route in routes {
        let span = route.node.whole();
        if route.ipv6 == ipv6 {
            match route.differs.is_empty() {
                true => context.report.taken(span, ""),
                false => context.report.changed(span, route.differs),
            }
            found.push(route.text);
        } else {
            let cause = "of another family than the addresses of the instance";
            context.report.refused(span, cause, CURE);
        }
    }
    found
}

fn route(line: &Node) -> Result<(String, Place, String), String> {
    let (mut prefix, mut via, mut src) = (None, None, None);
    let mut dev = None;
    let mut without = Vec::new();
    let (mut metric, mut table) = (None, None);
    let mut words = line.words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("nothing behind `{word}`"));
        match word {
            "via" | "gw" => via = Some(address(value()?)?),
            "src" => src = Some(address(value()?)?),
            "dev" | "oif" => dev = Some(value()?),
            "metric" | "priority" | "preference" => metric = Some(number(value()?)?),
            "table" => match value()? {
                "main" => {}
                id => table = Some(number(id)?).filter(|id| *id != MAIN),
            },
            "scope" => without.push(format!("without scope {}", value()?)),
            "no_track" => without.push("put back when somebody takes it out".to_owned()),
            "inet" | "inet6" | "to" => {}
            _ if prefix.is_none() => prefix = Some(word),
            _ => return Err(format!("`{word}` is nothing that our routes have")),
        }
    }
    let ipv6 = via.or(src).is_some_and(|address| address.is_ipv6());
    let net = network(prefix.ok_or("no prefix")?, ipv6)?;
    let alike = |address: Option<IpAddr>| {
        address.is_none_or(|address| address.is_ipv6() == net.addr().is_ipv6())
    };
    if !alike(via) || !alike(src) || matches!(table, Some(0 | 255)) {
        return Err("the parts of it do not belong together".to_owned());
    }
    if via.is_none() && dev.is_none() {
        return Err("neither a gateway nor a link".to_owned());
    }
    let parts = [
        via.map(|via| format!(" via {via}")),
        dev.map(|dev| format!(" dev {dev}")),
        src.map(|src| format!(" src {src}")),
        metric.map(|metric| format!(" metric {metric}")),
        table.map(|table| format!(" table {table}")),
    ];
    let place = (net, metric.unwrap_or_default(), table.unwrap_or(MAIN));
    let rest: String = parts.into_iter().flatten().collect();
    if src.is_none() && net.addr().is_ipv4() {
        without.push("the first virtual address is its source, if no `src` is written".to_owned());
    }
    Ok((format!("{net}{rest}"), place, without.join("; ")))
}

fn address(word: &str) -> Result<IpAddr, String> {
    word.parse().map_err(|_| format!("`{word}` is no address"))
}

fn number(word: &str) -> Result<u32, String> {
    let range = 0..=u32::from(u16::MAX);
    let parsed = word.parse().ok().filter(|it| range.contains(it));
    parsed.ok_or(format!("`{word}` is no number from 0 to 65535"))
}

fn network(word: &str, ipv6: bool) -> Result<IpNet, String> {
    if word == "default" {
        let everything = if ipv6 { "::/0" } else { "0.0.0.0/0" };
        return everything.parse().map_err(|_| String::new());
    }
    if let Ok(net) = word.parse::<IpNet>() {
        return Ok(net.trunc());
    }
    match word.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => Err(format!("`{word}` is nothing that our routes have")),
    }
}
