//! `virtual_routes`: routes that are present while master.
//!
//! keepalived takes nearly all of iproute's words; ours takes a prefix with a gateway or a link.

use ipnet::IpNet;

use super::Context;
use crate::convert::keepalived::blocks::Node;

/// Reads the block.
pub fn read(block: &Node, context: &mut Context<'_>) -> Vec<String> {
    context.report.taken(block.line(), "routes = [...]");
    let mut found = Vec::new();
    for line in block.inside() {
        match route(line) {
            Ok(text) => {
                context.report.taken(line.whole(), "");
                found.push(text);
            }
            Err(cause) => context.report.refused(
                line.whole(),
                cause,
                "make it a fixed route of the host, or set it in `notify`",
            ),
        }
    }
    found
}

fn route(line: &Node) -> Result<String, String> {
    let mut prefix = None;
    let mut via = None;
    let mut dev = None;
    let mut words = line.words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "via" | "gw" => via = words.next(),
            "dev" | "oif" => dev = words.next(),
            "inet" | "inet6" | "to" | "no_track" => {}
            "scope" if dev.is_some() => {
                words.next();
            }
            _ if prefix.is_none() => prefix = Some(network(word)?),
            _ => return Err(format!("`{word}` is nothing that our routes have")),
        }
    }
    let prefix = prefix.ok_or("no prefix")?;
    let gateway = via.map(|via| format!(" via {via}")).unwrap_or_default();
    let link = dev.map(|dev| format!(" dev {dev}")).unwrap_or_default();
    match via.map(str::parse::<std::net::IpAddr>) {
        Some(Err(_)) => Err("no gateway behind `via`".to_owned()),
        None if dev.is_none() => Err("neither a gateway nor a link".to_owned()),
        _ => Ok(format!("{prefix}{gateway}{link}")),
    }
}

fn network(word: &str) -> Result<String, String> {
    if word == "default" {
        return Ok("0.0.0.0/0".to_owned());
    }
    if let Ok(net) = word.parse::<IpNet>() {
        return Ok(net.trunc().to_string());
    }
    match word.parse::<std::net::IpAddr>() {
        Ok(address) => Ok(IpNet::from(address).to_string()),
        Err(_) => Err(format!("`{word}` is nothing that our routes have")),
    }
}
