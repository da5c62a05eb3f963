//! What annotations say of a node.
//!
//! kube-router reads those of its own node once, at its start; here they count as soon as they are
//! seen. One that cannot be read is a fault of its own and counts as absent, where kube-router does
//! not start at all: the rest of the node goes on.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::values;
use crate::object::{Meta, Node};
use crate::{Fault, Severity};

/// What kube-router's annotations begin with.
const PREFIX: &str = "kube-router.io/";

/// What a node is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reflection {
    /// Nothing special.
    #[default]
    None,
    /// `rr.server`: it reflects, for the cluster of this identifier.
    Server(Ipv4Addr),
    /// `rr.client`: it speaks to servers alone.
    Client,
}

/// How faults of an object are told.
pub(super) struct Faults<'a> {
    /// The object, as `Node n1`.
    pub(super) object: Box<str>,
    /// Where they go.
    pub(super) out: &'a mut Vec<Fault>,
}

impl Faults<'_> {
    /// An annotation that is left out.
    pub(super) fn error(&mut self, name: &str, text: &str) {
        self.push(name, Severity::Error, text);
    }

    /// An annotation that works, but perhaps not as meant.
    pub(super) fn warn(&mut self, name: &str, text: &str) {
        self.push(name, Severity::Warning, text);
    }

    fn push(&mut self, name: &str, severity: Severity, text: &str) {
        self.out.push(Fault {
            object: self.object.clone(),
            path: format!("metadata.annotations[{PREFIX}{name}]").into(),
            severity,
            text: text.into(),
        });
    }
}

/// The value of one of kube-router's annotations.
pub(super) fn of<'a>(meta: &'a Meta, name: &str) -> Option<&'a str> {
    let (_, value) = meta
        .annotations
        .iter()
        .find(|(key, _)| key.strip_prefix(PREFIX).is_some_and(|rest| rest == name))?;
    Some(value)
}

/// An annotation that is true or false; what Go cannot read as either is false.
pub(super) fn flag(meta: &Meta, name: &str) -> Option<bool> {
    of(meta, name).map(|value| values::boolean(value).unwrap_or(false))
}

/// `node.asn`.
///
/// # Errors
/// It is there and cannot be read.
pub(super) fn asn(node: &Node) -> Result<Option<u32>, String> {
    match of(&node.meta, "node.asn") {
        None => Ok(None),
        Some(text) => values::asn(text.trim()).map(Some),
    }
}

/// `rr.server`, else `rr.client`.
///
/// # Errors
/// The identifier cannot be read, and in which annotation.
pub(super) fn reflection(node: &Node) -> Result<Reflection, (&'static str, String)> {
    let name = "rr.server";
    if let Some(text) = of(&node.meta, name) {
        let id = cluster_id(text).ok_or_else(|| (name, id_fault(text)))?;
        return Ok(Reflection::Server(id));
    }
    let name = "rr.client";
    match of(&node.meta, name) {
        None => Ok(Reflection::None),
        Some(text) if cluster_id(text).is_some() => Ok(Reflection::Client),
        Some(text) => Err((name, id_fault(text))),
    }
}

fn id_fault(text: &str) -> String {
    format!("`{text}` is no cluster identifier: a number or an IPv4 address")
}

/// A number of 32 bits, or the same as an IPv4 address.
fn cluster_id(text: &str) -> Option<Ipv4Addr> {
    let text = text.trim();
    match text.parse::<u32>() {
        Ok(0) => None,
        Ok(number) => Some(Ipv4Addr::from(number)),
        Err(_) => text
            .parse()
            .ok()
            .filter(|id: &Ipv4Addr| !id.is_unspecified()),
    }
}

/// The address other nodes know it by: the first `InternalIP`, else the first `ExternalIP`.
pub(super) fn primary(node: &Node) -> Option<IpAddr> {
    let of_kind = |kind: &str| {
        let mut all = node.addresses.iter();
        all.find(|one| &*one.kind == kind).map(|one| one.address)
    };
    of_kind("InternalIP").or_else(|| of_kind("ExternalIP"))
}

/// Its pod CIDRs: `pod-cidrs`, else `pod-cidr`, else the specification's.
pub(super) fn pod_cidrs(node: &Node, faults: &mut Faults<'_>) -> Vec<IpNet> {
    for name in ["pod-cidrs", "pod-cidr"] {
        let Some(text) = of(&node.meta, name) else {
            continue;
        };
        match values::ranges(text) {
            Ok(ranges) if !ranges.is_empty() => return ranges,
            Ok(_) => faults.error(name, "it is empty; the node's own podCIDRs count"),
            Err(text) => faults.error(name, &format!("{text}; the node's own podCIDRs count")),
        }
    }
    node.pod_cidrs.clone()
}

/// `bgp-local-addresses`.
pub(super) fn local_addresses(node: &Node, faults: &mut Faults<'_>) -> Vec<IpAddr> {
    let name = "bgp-local-addresses";
    let text = of(&node.meta, name).unwrap_or_default();
    values::list(text, values::address).unwrap_or_else(|text| {
        faults.error(name, &format!("{text}; all addresses are listened on"));
        Vec::new()
    })
}

/// `node.bgp.customimportreject`.
pub(super) fn import_reject(node: &Node, faults: &mut Faults<'_>) -> Vec<IpNet> {
    let name = "node.bgp.customimportreject";
    let text = of(&node.meta, name).unwrap_or_default();
    let mut ranges = Vec::new();
    // One that is wrong must not let the others in.
    for one in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        match values::ranges(one) {
            Ok(more) => ranges.extend(more),
            Err(text) => faults.error(name, &format!("{text}; the others count")),
        }
    }
    ranges
}

/// `node.bgp.communities`, as policies have them.
pub(super) fn communities(node: &Node, faults: &mut Faults<'_>) -> Vec<String> {
    let name = "node.bgp.communities";
    let text = of(&node.meta, name).unwrap_or_default();
    let mut all = Vec::new();
    for one in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        match community(one) {
            Some(value) => all.push(format!("{}:{}", value >> 16, value & 0xffff)),
            None => {
                let text = format!("`{one}` is no community: 65000:100, a number or a name");
                faults.error(name, &text);
            }
        }
    }
    all
}

/// A community in the forms that GoBGP takes.
fn community(text: &str) -> Option<u32> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    if let Some((high, low)) = text.split_once(':') {
        let (high, low): (u16, u16) = (high.parse().ok()?, low.parse().ok()?);
        return Some(u32::from(high) << 16 | u32::from(low));
    }
    // The names of GoBGP, from the registry of well-known communities.
    let value = match text {
        "internet" => 0,
        "planned-shut" => 0xffff_0000,
        "accept-own" => 0xffff_0001,
        "route-filter-translated-v4" => 0xffff_0002,
        "route-filter-v4" => 0xffff_0003,
        "route-filter-translated-v6" => 0xffff_0004,
        "route-filter-v6" => 0xffff_0005,
        "llgr-stale" => 0xffff_0006,
        "no-llgr" => 0xffff_0007,
        "blackhole" => 0xffff_029a,
        "no-export" => 0xffff_ff01,
        "no-advertise" => 0xffff_ff02,
        "no-export-subconfed" => 0xffff_ff03,
        "no-peer" => 0xffff_ff04,
        _ => return None,
    };
    Some(value)
}

/// `path-prepend.as` and `path-prepend.repeat-n`: which AS, and how often.
pub(super) fn prepend(node: &Node, faults: &mut Faults<'_>) -> Option<(u32, u8)> {
    let (name, count) = ("path-prepend.as", "path-prepend.repeat-n");
    let asn = of(&node.meta, name)?;
    let Some(repeat) = of(&node.meta, count) else {
        faults.error(
            count,
            "absent, although path-prepend.as is there; nothing is prepended",
        );
        return None;
    };
    let asn = match values::number::<u32>(asn) {
        Ok(asn) if asn != 0 => asn,
        _ => {
            faults.error(name, "not an AS; nothing is prepended");
            return None;
        }
    };
    match values::number::<u8>(repeat) {
        Ok(0) => None,
        Ok(repeat) => Some((asn, repeat)),
        Err(text) => {
            faults.error(count, &format!("{text}: 0 to 255; nothing is prepended"));
            None
        }
    }
}
