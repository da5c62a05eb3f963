//! From JSON to Calico's objects.
//!
//! What the API server stores was checked against a schema, a manifest was not: every value is
//! judged here, and an object with one bad value is refused whole with the path of that value.
//! Half an object would be worse than none: a BGPFilter without one of its rules lets routes
//! through, a BGPPeer without its password speaks in the clear. `null` stands for an absent
//! value, as `kubectl` writes it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decode_filter::{FilterSpec, filter};
use super::objects::{
    BgpConfiguration, BgpPeer, BlockAffinity, CalicoNode, Encapsulation, HopMode, IpPool, Kind,
    Object, PrefixAdvertisement, Programs, SecretRef,
};
use crate::Fault;
use crate::object::{self, Meta, nullable};

/// What to write for an AS number.
const ASN_CURE: &str = "write a number from 1 to 4294967295, or A.B";

/// Where a value is bad, and why.
pub(super) type Bad = (String, String);

#[derive(Deserialize)]
struct Wire<S: Default> {
    #[serde(default)]
    metadata: Meta,
    #[serde(default = "S::default", deserialize_with = "nullable")]
    #[serde(bound(deserialize = "S: Default + Deserialize<'de>"))]
    spec: S,
}

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    /// What is wrong with it, at which path.
    pub fn decode(kind: Kind, json: &[u8]) -> Result<Self, Fault> {
        match kind {
            Kind::BgpConfiguration => {
                read(kind, json, configuration).map(|object| Self::BgpConfiguration(object.into()))
            }
            Kind::BgpPeer => read(kind, json, peer).map(|object| Self::BgpPeer(object.into())),
            Kind::BgpFilter => read::<FilterSpec, _>(kind, json, filter).map(Self::BgpFilter),
            Kind::IpPool => read(kind, json, pool).map(Self::IpPool),
            Kind::BlockAffinity => read(kind, json, affinity).map(Self::BlockAffinity),
            Kind::Node => read(kind, json, node).map(Self::Node),
        }
    }
}

fn read<S, T>(
    kind: Kind,
    json: &[u8],
    build: impl FnOnce(Meta, S) -> Result<T, Bad>,
) -> Result<T, Fault>
where
    S: Default + DeserializeOwned,
{
    let kind = object::Kind::Calico(kind);
    let wire: Wire<S> = object::read(kind, json)?;
    let name = wire.metadata.object_name();
    build(wire.metadata, wire.spec).map_err(|(path, text)| object::fault(kind, &name, &path, &text))
}

#[derive(Default, Deserialize)]
pub(super) struct CidrSpec {
    cidr: String,
}

#[derive(Default, Deserialize)]
struct NamedCommunity {
    name: Box<str>,
    value: Box<str>,
}

#[derive(Default, Deserialize)]
struct AdvertisementSpec {
    #[serde(default, deserialize_with = "nullable")]
    cidr: String,
    #[serde(default, deserialize_with = "nullable")]
    communities: Vec<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasswordSpec {
    secret_key_ref: Option<KeyRef>,
}

#[derive(Default, Deserialize)]
struct KeyRef {
    #[serde(default, deserialize_with = "nullable")]
    name: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    key: Box<str>,
}

impl PasswordSpec {
    fn secret(self) -> Option<SecretRef> {
        self.secret_key_ref
            .map(|KeyRef { name, key }| SecretRef { name, key })
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigurationSpec {
    node_to_node_mesh_enabled: Option<bool>,
    as_number: Option<Value>,
    #[serde(rename = "serviceClusterIPs")]
    service_cluster_ips: Option<Vec<CidrSpec>>,
    #[serde(rename = "serviceExternalIPs")]
    service_external_ips: Option<Vec<CidrSpec>>,
    #[serde(rename = "serviceLoadBalancerIPs")]
    service_load_balancer_ips: Option<Vec<CidrSpec>>,
    service_load_balancer_aggregation: Option<String>,
    communities: Option<Vec<NamedCommunity>>,
    prefix_advertisements: Option<Vec<AdvertisementSpec>>,
    listen_port: Option<u16>,
    bind_mode: Option<String>,
    node_mesh_password: Option<PasswordSpec>,
    node_mesh_max_restart_time: Option<String>,
    program_cluster_routes: Option<String>,
    #[serde(rename = "ipv4NormalRoutePriority")]
    ipv4_normal_route_priority: Option<u32>,
    #[serde(rename = "ipv6NormalRoutePriority")]
    ipv6_normal_route_priority: Option<u32>,
    #[serde(rename = "localWorkloadPeeringIPV4")]
    local_workload_peering_ipv4: Option<String>,
    #[serde(rename = "localWorkloadPeeringIPV6")]
    local_workload_peering_ipv6: Option<String>,
}

fn configuration(meta: Meta, spec: ConfigurationSpec) -> Result<BgpConfiguration, Bad> {
    let ranges = |list: Option<Vec<CidrSpec>>, path: &str| -> Result<Vec<IpNet>, Bad> {
        let list = list.unwrap_or_default().into_iter().enumerate();
        list.map(|(at, one)| net(&one.cidr, || format!("spec.{path}[{at}].cidr")))
            .collect()
    };
    let advertisements = spec.prefix_advertisements.unwrap_or_default();
    let advertisements = advertisements.into_iter().enumerate().map(|(at, one)| {
        Ok(PrefixAdvertisement {
            cidr: net(&one.cidr, || {
                format!("spec.prefixAdvertisements[{at}].cidr")
            })?,
            communities: one.communities,
        })
    });
    let named = spec.communities.unwrap_or_default().into_iter();
    let program = spec.program_cluster_routes.as_deref().map(|word| {
        let programs = |ipip, plain| Ok(Programs { ipip, plain });
        match word {
            "Disabled" => programs(false, false),
            "Enabled" => programs(true, true),
            "EnabledIPIPOnly" => programs(true, false),
            "EnabledNoEncapOnly" => programs(false, true),
            _ => word_fault("spec.programClusterRoutes", word, "Enabled or Disabled"),
        }
    });
    Ok(BgpConfiguration {
        mesh: spec.node_to_node_mesh_enabled,
        asn: asn(spec.as_number, "spec.asNumber")?,
        cluster_ranges: ranges(spec.service_cluster_ips, "serviceClusterIPs")?,
        external_ranges: ranges(spec.service_external_ips, "serviceExternalIPs")?,
        load_balancer_ranges: ranges(spec.service_load_balancer_ips, "serviceLoadBalancerIPs")?,
        is_unaggregated: spec.service_load_balancer_aggregation.as_deref() == Some("Disabled"),
        communities: named.map(|one| (one.name, one.value)).collect(),
        advertisements: advertisements.collect::<Result<_, Bad>>()?,
        listen_port: spec.listen_port.filter(|port| *port != 0),
        binds_node_ip: spec.bind_mode.as_deref() == Some("NodeIP"),
        mesh_password: spec.node_mesh_password.and_then(PasswordSpec::secret),
        mesh_restart_time: span(
            spec.node_mesh_max_restart_time,
            "spec.nodeMeshMaxRestartTime",
        )?,
        programs: program.transpose()?,
        priority: [
            spec.ipv4_normal_route_priority,
            spec.ipv6_normal_route_priority,
        ],
        workload_peering: [
            addr(
                spec.local_workload_peering_ipv4,
                "spec.localWorkloadPeeringIPV4",
            )?,
            addr(
                spec.local_workload_peering_ipv6,
                "spec.localWorkloadPeeringIPV6",
            )?,
        ],
        meta,
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PeerSpec {
    node: Option<Box<str>>,
    node_selector: Option<Box<str>>,
    #[serde(rename = "peerIP")]
    peer_ip: Option<String>,
    peer_selector: Option<Box<str>>,
    local_workload_selector: Option<Box<str>>,
    as_number: Option<Value>,
    #[serde(rename = "localASNumber")]
    local_as_number: Option<Value>,
    next_hop_mode: Option<String>,
    keep_original_next_hop: Option<bool>,
    password: Option<PasswordSpec>,
    source_address: Option<String>,
    max_restart_time: Option<String>,
    keepalive_time: Option<String>,
    #[serde(rename = "numAllowedLocalASNumbers")]
    num_allowed_local_as_numbers: Option<u8>,
    ttl_security: Option<u8>,
    reachable_by: Option<String>,
    filters: Option<Vec<Box<str>>>,
    reverse_peering: Option<String>,
}

fn peer(meta: Meta, spec: PeerSpec) -> Result<BgpPeer, Bad> {
    let given = |text: Option<Box<str>>| text.filter(|text| !text.is_empty());
    let next_hop = match spec.next_hop_mode.as_deref() {
        None | Some("" | "Auto") => HopMode::Auto,
        Some("Self") => HopMode::SelfAddr,
        Some("Keep") => HopMode::Keep,
        Some(word) => return word_fault("spec.nextHopMode", word, "Auto, Self or Keep"),
    };
    let peer = spec.peer_ip.filter(|text| !text.is_empty());
    let peer = peer.map(|text| address_and_port(&text)).transpose()?;
    let reachable_by = addr(spec.reachable_by, "spec.reachableBy")?;
    if let (Some((peer, _)), Some(gateway)) = (peer, reachable_by)
        && peer.is_ipv4() != gateway.is_ipv4()
    {
        return bad(
            "spec.reachableBy",
            "write an address of the family of spec.peerIP",
        );
    }
    Ok(BgpPeer {
        node: given(spec.node),
        node_selector: given(spec.node_selector),
        peer,
        peer_selector: given(spec.peer_selector),
        workload_selector: given(spec.local_workload_selector),
        asn: asn(spec.as_number, "spec.asNumber")?,
        local_asn: asn(spec.local_as_number, "spec.localASNumber")?,
        next_hop,
        keeps_next_hop: spec.keep_original_next_hop == Some(true),
        password: spec.password.and_then(PasswordSpec::secret),
        uses_node_address: spec.source_address.as_deref() != Some("None"),
        restart_time: span(spec.max_restart_time, "spec.maxRestartTime")?,
        keepalive: span(spec.keepalive_time, "spec.keepaliveTime")?,
        allow_own_as: spec.num_allowed_local_as_numbers.unwrap_or(0),
        ttl_security: spec.ttl_security.filter(|hops| *hops != 0),
        reachable_by,
        filters: spec.filters.unwrap_or_default(),
        is_one_way: spec.reverse_peering.as_deref() == Some("Manual"),
        meta,
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PoolSpec {
    cidr: String,
    ipip_mode: Option<String>,
    vxlan_mode: Option<String>,
    #[serde(rename = "disableBGPExport")]
    disable_bgp_export: Option<bool>,
    allowed_uses: Option<Vec<String>>,
}

fn pool(meta: Meta, spec: PoolSpec) -> Result<IpPool, Bad> {
    let mode = |word: Option<String>, path: &str| match word.as_deref() {
        None | Some("" | "Never") => Ok(Encapsulation::Never),
        Some("Always") => Ok(Encapsulation::Always),
        Some("CrossSubnet") => Ok(Encapsulation::CrossSubnet),
        Some(word) => word_fault(path, word, "Never, Always or CrossSubnet"),
    };
    let uses = spec.allowed_uses.unwrap_or_default();
    Ok(IpPool {
        cidr: net(&spec.cidr, || "spec.cidr".into())?,
        ipip: mode(spec.ipip_mode, "spec.ipipMode")?,
        vxlan: mode(spec.vxlan_mode, "spec.vxlanMode")?,
        is_unexported: spec.disable_bgp_export == Some(true),
        is_for_services: !uses.is_empty() && uses.iter().all(|one| one == "LoadBalancer"),
        meta,
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AffinitySpec {
    #[serde(deserialize_with = "nullable")]
    cidr: String,
    #[serde(deserialize_with = "nullable")]
    node: Box<str>,
    state: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    // A string in the older group, a boolean in the newer one.
    deleted: Option<Value>,
}

fn affinity(meta: Meta, spec: AffinitySpec) -> Result<BlockAffinity, Bad> {
    let deleted = match spec.deleted {
        Some(Value::Bool(deleted)) => deleted,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    let state = matches!(spec.state.as_deref(), None | Some("" | "confirmed"));
    let of_host = matches!(spec.kind.as_deref(), None | Some("" | "host"));
    Ok(BlockAffinity {
        cidr: net(&spec.cidr, || "spec.cidr".into())?,
        node: spec.node,
        is_confirmed: state && of_host && !deleted,
        meta,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    bgp: Option<NodeBgp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeBgp {
    ipv4_address: Option<String>,
    ipv6_address: Option<String>,
    as_number: Option<Value>,
    #[serde(rename = "routeReflectorClusterID")]
    route_reflector_cluster_id: Option<Box<str>>,
}

fn node(meta: Meta, spec: NodeSpec) -> Result<CalicoNode, Bad> {
    let bgp = spec.bgp.unwrap_or_default();
    let address = |text: Option<String>, path: &str| {
        let text = text.filter(|text| !text.is_empty());
        text.map(|text| interface(&text).map_err(|text| (path.to_owned(), text)))
            .transpose()
    };
    Ok(CalicoNode {
        addresses: [
            address(bgp.ipv4_address, "spec.bgp.ipv4Address")?,
            address(bgp.ipv6_address, "spec.bgp.ipv6Address")?,
        ],
        asn: asn(bgp.as_number, "spec.bgp.asNumber")?,
        cluster_id: bgp.route_reflector_cluster_id.filter(|id| !id.is_empty()),
        has_wireguard: [false; 2],
        meta,
    })
}

pub(super) fn bad<T>(path: &str, text: &str) -> Result<T, Bad> {
    Err((path.to_owned(), text.to_owned()))
}

pub(super) fn word_fault<T>(path: &str, word: &str, words: &str) -> Result<T, Bad> {
    Err((
        path.to_owned(),
        format!("\"{word}\" is not known; write {words}"),
    ))
}

/// A prefix; host bits are dropped, as Calico does.
pub(super) fn net(text: &str, path: impl FnOnce() -> String) -> Result<IpNet, Bad> {
    let net = interface(text).map_err(|text| (path(), text))?;
    Ok(net.trunc())
}

/// An address with the length of its subnet, else alone.
pub(super) fn interface(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from).ok();
    let parsed = text.parse::<IpNet>().ok().or_else(alone);
    parsed.ok_or_else(|| format!("\"{text}\" is no address with a length, such as 10.0.0.0/16"))
}

/// An AS number as Calico takes it: a number, digits, or `A.B` (RFC 5396 §2).
pub(super) fn asn_text(text: &str) -> Option<u32> {
    let asn = match text.split_once('.') {
        None => text.parse::<u32>().ok()?,
        Some((high, low)) => {
            u32::from(high.parse::<u16>().ok()?) << 16 | u32::from(low.parse::<u16>().ok()?)
        }
    };
    Some(asn)
}

fn asn(value: Option<Value>, path: &str) -> Result<Option<u32>, Bad> {
    let read = |number: Option<u32>| match number {
        Some(number) => Ok(Some(number).filter(|number| *number != 0)),
        None => bad(path, ASN_CURE),
    };
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => read(number.as_u64().and_then(|n| n.try_into().ok())),
        Some(Value::String(text)) => read(asn_text(&text)),
        Some(_) => bad(path, ASN_CURE),
    }
}

fn addr(text: Option<String>, path: &str) -> Result<Option<IpAddr>, Bad> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| {
        let wrong = || (path.to_owned(), format!("\"{text}\" is no address"));
        text.parse().map_err(|_| wrong())
    })
    .transpose()
}

/// `ADDRESS`, `IPV4:PORT` or `[IPV6]:PORT`.
fn address_and_port(text: &str) -> Result<(IpAddr, Option<u16>), Bad> {
    if let Ok(address) = text.parse() {
        return Ok((address, None));
    }
    match text.parse::<SocketAddr>() {
        Ok(both) if both.port() != 0 => Ok((both.ip(), Some(both.port()))),
        _ => bad("spec.peerIP", "write ADDRESS, IPV4:PORT or [IPV6]:PORT"),
    }
}

fn span(text: Option<String>, path: &str) -> Result<Option<Duration>, Bad> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| {
        let wrong = || {
            (
                path.to_owned(),
                format!("\"{text}\" is no time, such as 120s"),
            )
        };
        duration(&text).ok_or_else(wrong)
    })
    .transpose()
}

/// A span of time as Go writes it: `1h30m`, `1.5s`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic());
        let (unit, after) = after.split_at_checked(letters.unwrap_or(after.len()))?;
        let seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * seconds;
        sum = sum.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_as_go_writes_them() {
        let read = |text| duration(text).map(|span| span.as_millis());
        assert_eq!(read("10s"), Some(10_000));
        assert_eq!(read("1m30s"), Some(90_000));
        assert_eq!(read("1.5h"), Some(5_400_000));
        assert_eq!(read("250ms"), Some(250));
        assert_eq!(["10", "s", "1d", "-1s"].map(duration), [None; 4]);
    }

    #[test]
    fn as_numbers_are_read_in_all_three_forms() {
        let read = |text: &str| asn(serde_json::from_str(text).ok(), "p").ok().flatten();
        assert_eq!(read("64512"), Some(64512));
        assert_eq!(read("\"64512\""), Some(64512));
        assert_eq!(read("\"1.10\""), Some(65546));
        assert!(asn(Some(Value::String("AS1".into())), "p").is_err());
    }
}
