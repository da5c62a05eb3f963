//! `virtual_ipaddress` and `virtual_ipaddress_excluded`.
//!
//! A line is an address with a length and options. Ours are put on the instance's interface with
//! flags of their own (no duplicate address detection, a short lifetime, never the source of the
//! host's own connections), so most options say nothing new. An address on another interface is
//! refused: who holds it would be decided on a segment where nobody hears the adverts.

use std::net::IpAddr;

use super::Context;
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::draft::Vip;

/// An address and its line.
#[derive(Clone, Debug)]
pub struct Written {
    /// The address.
    pub vip: Vip,
    /// Its line.
    pub node: Node,
    /// It was in the excluded block.
    pub excluded: bool,
    /// Options that say nothing new.
    pub without: String,
}

/// The address at the start of a line, with its length.
pub fn parse(word: &str) -> Option<Vip> {
    let (address, length) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (word, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv6() { 128 } else { 32 };
    (length.unwrap_or(0) <= most).then_some(Vip { address, length })
}

/// Reads a block of addresses of an instance on `interface`.
pub fn read(block: &Node, interface: Option<&str>, context: &mut Context<'_>) -> Vec<Written> {
    let excluded = block.keyword() == "virtual_ipaddress_excluded";
    context.report.taken(block.line(), "addresses = [...]");
    let mut found: Vec<Written> = Vec::new();
    for line in block.inside() {
        let Some(vip) = usable(line, context) else {
            continue;
        };
        let Some(without) = options(line, interface, context) else {
            continue;
        };
        found.push(Written {
            without,
            vip,
            node: line.clone(),
            excluded,
        });
    }
    found
}

fn usable(line: &Node, context: &mut Context<'_>) -> Option<Vip> {
    let Some(vip) = parse(line.keyword()) else {
        let cause = "no address";
        let cure = "write 10.0.0.1 or 10.0.0.1/24";
        context.report.refused(line.whole(), cause, cure);
        return None;
    };
    let net = ipnet::IpNet::new(vip.address, vip.length.unwrap_or(32)).ok();
    let whole = |net: ipnet::IpNet| {
        vip.length.is_some()
            && net.prefix_len() < net.max_prefix_len() - 1
            && net.network() == net.addr()
    };
    let address = vip.address;
    let odd = address.is_multicast() || address.is_unspecified() || address.is_loopback();
    if odd || net.is_some_and(whole) {
        let cause = "not an address of a host";
        let cure = "write one of the subnet";
        context.report.refused(line.whole(), cause, cure);
        return None;
    }
    Some(vip)
}

/// Judges what stands behind the address: the options that are left out; `None`: the address cannot
/// be taken.
fn options(line: &Node, interface: Option<&str>, context: &mut Context<'_>) -> Option<String> {
    let mut dropped = Vec::new();
    let mut words = line.words.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "dev" => {
                let dev = words.next().unwrap_or_default();
                if interface.is_some_and(|own| own != dev) {
                    let cause = format!(
                        "an instance holds addresses on its own interface, and {dev} is another"
                    );
                    let cure = format!(
                        "write an instance on {dev} on all routers, and a [[sync-group]] of both"
                    );
                    context.report.refused(line.whole(), cause, cure);
                    return None;
                }
            }
            "peer" => {
                let cause = "no point-to-point addresses";
                let cure = "write the address alone";
                context.report.refused(line.whole(), cause, cure);
                return None;
            }
            "label" | "scope" | "brd" | "broadcast" | "preferred_lft" => {
                words.next();
                dropped.push(word);
            }
            "home" | "-nodad" | "nodad" | "mngtmpaddr" | "noprefixroute" | "autojoin"
            | "no_track" | "use_vmac" => dropped.push(word),
            _ => {
                let cause = format!("keepalived knows no `{word}` for an address");
                context.report.refused(line.whole(), cause, "remove it");
                return None;
            }
        }
    }
    Some(dropped.join(", "))
}
