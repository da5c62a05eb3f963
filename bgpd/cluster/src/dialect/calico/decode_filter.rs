//! From JSON to a BGPFilter.
//!
//! A filter is refused whole when one value of it is bad, and a neighbor that names a refused
//! filter exchanges nothing: a filter is there to keep routes back, and to leave one of its rules
//! out would let them through.

use ipnet::IpNet;
use serde::Deserialize;

use super::decode::{Bad, bad, net, word_fault};
use super::objects::{BgpFilter, FilterRule, Operation, Operator};
use crate::object::{Meta, nullable};

/// Most operations of a rule, as in Calico's schema.
const OPERATIONS_MAX: usize = 10;
/// Longest name of an interface of Linux (IFNAMSIZ less the end), and so of a pattern.
const INTERFACE_LEN_MAX: usize = 15;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct FilterSpec {
    #[serde(rename = "importV4", deserialize_with = "nullable")]
    import_v4: Vec<RuleSpec>,
    #[serde(rename = "importV6", deserialize_with = "nullable")]
    import_v6: Vec<RuleSpec>,
    #[serde(rename = "exportV4", deserialize_with = "nullable")]
    export_v4: Vec<RuleSpec>,
    #[serde(rename = "exportV6", deserialize_with = "nullable")]
    export_v6: Vec<RuleSpec>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RuleSpec {
    cidr: Option<String>,
    prefix_length: Option<LengthSpec>,
    match_operator: Option<String>,
    source: Option<String>,
    interface: Option<Box<str>>,
    peer_type: Option<String>,
    communities: Option<CommunitySpec>,
    as_path_prefix: Option<Vec<u32>>,
    priority: Option<u32>,
    action: Option<String>,
    operations: Option<Vec<OperationSpec>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LengthSpec {
    min: Option<u8>,
    max: Option<u8>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CommunitySpec {
    #[serde(deserialize_with = "nullable")]
    values: Vec<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OperationSpec {
    add_community: Option<ValueSpec<String>>,
    #[serde(rename = "prependASPath")]
    prepend_as_path: Option<PrependSpec>,
    set_priority: Option<ValueSpec<u32>>,
}

#[derive(Deserialize)]
struct ValueSpec<T> {
    value: T,
}

#[derive(Deserialize)]
struct PrependSpec {
    prefix: Vec<u32>,
}

pub(super) fn filter(meta: Meta, spec: FilterSpec) -> Result<BgpFilter, Bad> {
    let rules = |list: Vec<RuleSpec>, name: &str, is_ipv6: bool| {
        let list = list.into_iter().enumerate();
        list.map(|(at, one)| rule(one, &format!("spec.{name}[{at}]"), is_ipv6))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(BgpFilter {
        import: [
            rules(spec.import_v4, "importV4", false)?,
            rules(spec.import_v6, "importV6", true)?,
        ],
        export: [
            rules(spec.export_v4, "exportV4", false)?,
            rules(spec.export_v6, "exportV6", true)?,
        ],
        meta,
    })
}

fn rule(spec: RuleSpec, path: &str, is_ipv6: bool) -> Result<FilterRule, Bad> {
    let prefix = prefix(spec.cidr, spec.match_operator, path)?;
    if prefix.is_some_and(|(_, net)| matches!(net, IpNet::V6(_)) != is_ipv6) {
        return bad(
            &format!("{path}.cidr"),
            "write a prefix of the family of the list",
        );
    }
    let lengths = spec.prefix_length.unwrap_or_default();
    let most = if is_ipv6 { 128 } else { 32 };
    let too_long = |length: Option<u8>| length.is_some_and(|length| length > most);
    if too_long(lengths.min) || too_long(lengths.max) {
        let text = format!("write lengths up to {most}");
        return bad(&format!("{path}.prefixLength"), &text);
    }
    let internal = match spec.peer_type.as_deref() {
        None | Some("") => None,
        Some("iBGP") => Some(true),
        Some("eBGP") => Some(false),
        Some(word) => return word_fault(&format!("{path}.peerType"), word, "iBGP or eBGP"),
    };
    let accept = match spec.action.as_deref() {
        Some("Accept") => true,
        Some("Reject") => false,
        other => {
            let word = other.unwrap_or_default();
            return word_fault(&format!("{path}.action"), word, "Accept or Reject");
        }
    };
    let is_learned = match spec.source.as_deref() {
        None | Some("") => false,
        Some("RemotePeers") => true,
        Some(word) => return word_fault(&format!("{path}.source"), word, "RemotePeers"),
    };
    let communities = spec.communities.unwrap_or_default().values;
    if let Some(wrong) = communities.iter().find(|text| parts(text).is_none()) {
        return word_fault(&format!("{path}.communities"), wrong, "A:B or A:B:C");
    }
    let interface = spec.interface.filter(|name| !name.is_empty());
    if let Some(name) = &interface
        && name.chars().count() > INTERFACE_LEN_MAX
    {
        let path = format!("{path}.interface");
        return bad(&path, "interfaces have 15 letters at most");
    }
    let operations = spec.operations.unwrap_or_default();
    if operations.len() > OPERATIONS_MAX {
        return bad(&format!("{path}.operations"), "write ten at most");
    }
    let operations = operations.into_iter().enumerate();
    let operations =
        operations.map(|(at, one)| operation(one, &format!("{path}.operations[{at}]")));
    Ok(FilterRule {
        prefix,
        lengths: (lengths.min, lengths.max),
        is_learned,
        interface,
        internal,
        communities,
        as_path_prefix: spec.as_path_prefix.unwrap_or_default(),
        priority: spec.priority,
        accept,
        operations: operations.collect::<Result<_, _>>()?,
    })
}

fn prefix(
    cidr: Option<String>,
    operator: Option<String>,
    path: &str,
) -> Result<Option<(Operator, IpNet)>, Bad> {
    let cidr = cidr.filter(|cidr| !cidr.is_empty());
    let operator = operator.filter(|operator| !operator.is_empty());
    let (cidr, operator) = match (cidr, operator) {
        (None, None) => return Ok(None),
        (Some(cidr), Some(operator)) => (cidr, operator),
        _ => return bad(path, "cidr and matchOperator go together"),
    };
    let operator = match operator.as_str() {
        "Equal" => Operator::Equal,
        "NotEqual" => Operator::NotEqual,
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        word => {
            let path = format!("{path}.matchOperator");
            return word_fault(&path, word, "Equal, NotEqual, In or NotIn");
        }
    };
    Ok(Some((operator, net(&cidr, || format!("{path}.cidr"))?)))
}

fn operation(spec: OperationSpec, path: &str) -> Result<Operation, Bad> {
    match (spec.add_community, spec.prepend_as_path, spec.set_priority) {
        (Some(community), None, None) => match parts(&community.value) {
            Some(_) => Ok(Operation::AddCommunity(community.value.into())),
            None => word_fault(
                &format!("{path}.addCommunity"),
                &community.value,
                "A:B or A:B:C",
            ),
        },
        (None, Some(path), None) => Ok(Operation::Prepend(path.prefix)),
        (None, None, Some(priority)) => Ok(Operation::SetPriority(priority.value)),
        _ => bad(
            path,
            "write one of addCommunity, prependASPath and setPriority",
        ),
    }
}

/// The parts of a community: two of 16 bits, or three of 32 (RFC 8092 §4).
pub(super) fn parts(text: &str) -> Option<Vec<u32>> {
    let parts: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    let parts = parts?;
    let short = parts.iter().all(|part| *part <= u32::from(u16::MAX));
    (parts.len() == 3 || parts.len() == 2 && short).then_some(parts)
}
