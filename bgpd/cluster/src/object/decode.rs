//! From the API's JSON to the flat kinds of `core`.
//!
//! The `Raw` types mirror the API's nesting and name only what is kept, so serde skips the rest
//! without storing it. Null is the same as absent everywhere. What cannot be understood (a policy
//! or type that no version of Kubernetes has, an address that is none) puts the object in
//! quarantine with its path: to guess would be to announce what nobody asked for. Text that
//! Kubernetes itself does not check (`spec.loadBalancerIP`, addresses of a node that are names)
//! is left out instead.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::core::{
    ConfigMap, Endpoint, EndpointSlice, Ingress, Namespace, Node, NodeAddress, Policy, SecretData,
    Service, ServiceCidr, ServiceType, Taint,
};
use super::read::{address, fault, nullable, range, read, service_label};
use super::{Kind, Meta, Object};
use crate::Fault;

/// The label by which a slice names its service.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Reads an object of one of the kinds of Kubernetes.
///
/// # Errors
/// What is wrong with it, at which path.
pub(super) fn decode(kind: Kind, json: &[u8]) -> Result<Object, Fault> {
    match kind {
        Kind::Node => raw(kind, json).and_then(node).map(Object::Node),
        Kind::Service => raw(kind, json).and_then(service).map(Object::Service),
        Kind::EndpointSlice => slice(read(kind, json)?).map(Object::EndpointSlice),
        Kind::ServiceCidr => raw(kind, json)
            .and_then(service_cidr)
            .map(Object::ServiceCidr),
        Kind::Namespace => {
            let Raw { metadata: meta, .. } = raw::<Nothing, Nothing>(kind, json)?;
            Ok(Object::Namespace(Namespace { meta }))
        }
        Kind::ConfigMap => read(kind, json).and_then(config_map),
        Kind::Secret => read(kind, json).and_then(secret),
        Kind::Metallb(_) | Kind::Calico(_) => {
            Err(Fault::unreadable(kind, "not a kind of Kubernetes"))
        }
    }
}

/// An object with metadata, spec and status.
#[derive(Deserialize)]
struct Raw<Spec: Default, Status: Default> {
    metadata: Meta,
    #[serde(default, deserialize_with = "nullable")]
    #[serde(bound(deserialize = "Spec: Deserialize<'de>"))]
    spec: Spec,
    #[serde(default, deserialize_with = "nullable")]
    #[serde(bound(deserialize = "Status: Deserialize<'de>"))]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Nothing {}

fn raw<Spec, Status>(kind: Kind, json: &[u8]) -> Result<Raw<Spec, Status>, Fault>
where
    Spec: Default + DeserializeOwned,
    Status: Default + DeserializeOwned,
{
    let raw: Raw<Spec, Status> = read(kind, json)?;
    named(kind, &raw.metadata)?;
    Ok(raw)
}

fn named(kind: Kind, meta: &Meta) -> Result<(), Fault> {
    if meta.name.is_empty() {
        return Err(fault(kind, &meta.object_name(), "metadata.name", "no name"));
    }
    Ok(())
}

/// Reads each of a list; the first that is not one is the fault.
fn each<T>(
    (kind, meta): (Kind, &Meta),
    path: &str,
    texts: &[Box<str>],
    parse: fn(&str) -> Option<T>,
) -> Result<Vec<T>, Fault> {
    let mut values = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match parse(text) {
            Some(value) => values.push(value),
            None => {
                let path = format!("{path}[{index}]");
                return Err(wrong((kind, meta), &path, text));
            }
        }
    }
    Ok(values)
}

fn wrong((kind, meta): (Kind, &Meta), path: &str, text: &str) -> Fault {
    let shown: String = text.chars().take(80).collect();
    let reason = format!("\"{shown}\" is not understood");
    fault(kind, &meta.object_name(), path, &reason)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSpec {
    #[serde(deserialize_with = "nullable", rename = "podCIDR")]
    pod_cidr: Box<str>,
    #[serde(deserialize_with = "nullable", rename = "podCIDRs")]
    pod_cidrs: Vec<Box<str>>,
    #[serde(deserialize_with = "nullable")]
    taints: Vec<RawTaint>,
    #[serde(deserialize_with = "nullable")]
    unschedulable: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTaint {
    #[serde(deserialize_with = "nullable")]
    key: Box<str>,
    #[serde(deserialize_with = "nullable")]
    value: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    #[serde(deserialize_with = "nullable")]
    addresses: Vec<RawAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAddress {
    #[serde(deserialize_with = "nullable", rename = "type")]
    kind: Box<str>,
    #[serde(deserialize_with = "nullable")]
    address: Box<str>,
}

fn node(raw: Raw<NodeSpec, NodeStatus>) -> Result<Node, Fault> {
    let (meta, spec) = (raw.metadata, raw.spec);
    let at = (Kind::Node, &meta);
    let pod_cidrs = match (&*spec.pod_cidrs, &*spec.pod_cidr) {
        ([], "") => Vec::new(),
        ([], _) => each(at, "spec.podCIDR", &[spec.pod_cidr], range)?,
        (cidrs, _) => each(at, "spec.podCIDRs", cidrs, range)?,
    };
    let addresses = raw.status.addresses.into_iter().filter_map(|raw| {
        Some(NodeAddress {
            // Host names stand in the same list.
            address: address(&raw.address)?,
            kind: raw.kind,
        })
    });
    Ok(Node {
        addresses: addresses.collect(),
        pod_cidrs,
        taints: spec
            .taints
            .into_iter()
            .map(|RawTaint { key, value }| Taint { key, value })
            .collect(),
        unschedulable: spec.unschedulable,
        meta,
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: Option<Box<str>>,
    #[serde(deserialize_with = "nullable", rename = "clusterIP")]
    cluster_ip: Box<str>,
    #[serde(deserialize_with = "nullable", rename = "clusterIPs")]
    cluster_ips: Vec<Box<str>>,
    #[serde(deserialize_with = "nullable", rename = "externalIPs")]
    external_ips: Vec<Box<str>>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<Box<str>>,
    load_balancer_class: Option<Box<str>>,
    external_traffic_policy: Option<Box<str>>,
    internal_traffic_policy: Option<Box<str>>,
    #[serde(deserialize_with = "nullable")]
    health_check_node_port: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    #[serde(deserialize_with = "nullable")]
    load_balancer: RawLoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawLoadBalancer {
    #[serde(deserialize_with = "nullable")]
    ingress: Vec<RawIngress>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawIngress {
    #[serde(deserialize_with = "nullable")]
    ip: Box<str>,
    ip_mode: Option<Box<str>>,
}

fn service(raw: Raw<ServiceSpec, ServiceStatus>) -> Result<Service, Fault> {
    let (meta, spec) = (raw.metadata, raw.spec);
    let at = (Kind::Service, &meta);
    let mut cluster_ips = spec.cluster_ips;
    if cluster_ips.is_empty() {
        cluster_ips.push(spec.cluster_ip);
    }
    let is_headless = cluster_ips.iter().any(|address| &**address == "None");
    cluster_ips.retain(|address| !address.is_empty() && &**address != "None");
    let kind = match spec.kind.as_deref() {
        None | Some("" | "ClusterIP") => ServiceType::ClusterIp,
        Some("NodePort") => ServiceType::NodePort,
        Some("LoadBalancer") => ServiceType::LoadBalancer,
        Some("ExternalName") => ServiceType::ExternalName,
        Some(other) => return Err(wrong(at, "spec.type", other)),
    };
    let port = spec.health_check_node_port;
    let Ok(port) = u16::try_from(port) else {
        return Err(wrong(at, "spec.healthCheckNodePort", &port.to_string()));
    };
    let (external, internal) = (spec.external_traffic_policy, spec.internal_traffic_policy);
    Ok(Service {
        kind,
        cluster_ips: each(at, "spec.clusterIPs", &cluster_ips, address)?,
        is_headless,
        external_ips: each(at, "spec.externalIPs", &spec.external_ips, address)?,
        load_balancer_ip: spec.load_balancer_ip.as_deref().and_then(address),
        load_balancer_class: spec.load_balancer_class.filter(|class| !class.is_empty()),
        external_policy: policy(at, "spec.externalTrafficPolicy", external.as_deref())?,
        internal_policy: policy(at, "spec.internalTrafficPolicy", internal.as_deref())?,
        health_check_node_port: (port != 0).then_some(port),
        ingress: ingress(at, &raw.status.load_balancer.ingress)?,
        meta,
    })
}

fn policy(at: (Kind, &Meta), path: &str, text: Option<&str>) -> Result<Policy, Fault> {
    match text {
        None | Some("" | "Cluster") => Ok(Policy::Cluster),
        Some("Local") => Ok(Policy::Local),
        Some(other) => Err(wrong(at, path, other)),
    }
}

fn ingress(at: (Kind, &Meta), raw: &[RawIngress]) -> Result<Vec<Ingress>, Fault> {
    let mut list = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        if raw.ip.is_empty() {
            continue;
        }
        let path = || format!("status.loadBalancer.ingress[{index}]");
        let Some(address) = address(&raw.ip) else {
            return Err(wrong(at, &format!("{}.ip", path()), &raw.ip));
        };
        let is_proxied = match raw.ip_mode.as_deref() {
            None | Some("" | "VIP") => false,
            Some("Proxy") => true,
            Some(other) => return Err(wrong(at, &format!("{}.ipMode", path()), other)),
        };
        list.push(Ingress {
            address,
            is_proxied,
        });
    }
    Ok(list)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSlice {
    metadata: SliceMeta,
    #[serde(default, deserialize_with = "nullable")]
    address_type: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    endpoints: Vec<RawEndpoint>,
}

/// A slice's labels are many and the same on all: only the service's name is kept.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SliceMeta {
    #[serde(deserialize_with = "nullable")]
    namespace: Box<str>,
    #[serde(deserialize_with = "nullable")]
    name: Box<str>,
    #[serde(deserialize_with = "service_label")]
    labels: BTreeMap<Box<str>, Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawEndpoint {
    node_name: Option<Box<str>>,
    #[serde(deserialize_with = "nullable")]
    conditions: Conditions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

fn slice(raw: RawSlice) -> Result<EndpointSlice, Fault> {
    let mut labels = raw.metadata.labels;
    let meta = Meta {
        namespace: raw.metadata.namespace,
        name: raw.metadata.name,
        ..Meta::default()
    };
    named(Kind::EndpointSlice, &meta)?;
    let is_ipv6 = match &*raw.address_type {
        "IPv4" => Some(false),
        "IPv6" => Some(true),
        "FQDN" => None,
        other => return Err(wrong((Kind::EndpointSlice, &meta), "addressType", other)),
    };
    let endpoints = raw.endpoints.into_iter().map(|raw| Endpoint {
        node: raw.node_name.filter(|name| !name.is_empty()),
        ready: raw.conditions.ready,
        serving: raw.conditions.serving,
        terminating: raw.conditions.terminating,
    });
    Ok(EndpointSlice {
        service: labels.remove(SERVICE_NAME).filter(|name| !name.is_empty()),
        is_ipv6,
        endpoints: endpoints.collect(),
        meta,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceCidrSpec {
    #[serde(deserialize_with = "nullable")]
    cidrs: Vec<Box<str>>,
}

fn service_cidr(raw: Raw<ServiceCidrSpec, Nothing>) -> Result<ServiceCidr, Fault> {
    let meta = raw.metadata;
    let cidrs: Vec<IpNet> = each(
        (Kind::ServiceCidr, &meta),
        "spec.cidrs",
        &raw.spec.cidrs,
        range,
    )?;
    Ok(ServiceCidr { cidrs, meta })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawData {
    metadata: Meta,
    #[serde(default, deserialize_with = "nullable")]
    data: BTreeMap<Box<str>, Option<Box<str>>>,
    #[serde(default, deserialize_with = "nullable")]
    string_data: BTreeMap<Box<str>, Option<Box<str>>>,
    #[serde(default, deserialize_with = "nullable", rename = "type")]
    kind: Box<str>,
}

fn config_map(raw: RawData) -> Result<Object, Fault> {
    named(Kind::ConfigMap, &raw.metadata)?;
    let data = raw.data.into_iter();
    Ok(Object::ConfigMap(ConfigMap {
        meta: raw.metadata,
        data: data
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect(),
    }))
}

fn secret(raw: RawData) -> Result<Object, Fault> {
    let meta = raw.metadata;
    named(Kind::Secret, &meta)?;
    let mut data = BTreeMap::new();
    for (key, text) in raw.data {
        let Some(octets) = base64(text.as_deref().unwrap_or_default()) else {
            let path = format!("data.{key}");
            // The text itself is never shown.
            let text = "not base64";
            return Err(fault(Kind::Secret, &meta.object_name(), &path, text));
        };
        data.insert(key, octets);
    }
    for (key, text) in raw.string_data {
        let octets = text.unwrap_or_default().into_string().into_bytes();
        data.insert(key, octets);
    }
    Ok(Object::Secret(SecretData {
        meta,
        kind: raw.kind,
        data,
    }))
}

/// RFC 4648 §4, white space allowed, padding not demanded.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().filter(|octet| !octet.is_ascii_whitespace());
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    let mut is_padded = false;
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                is_padded = true;
                continue;
            }
            _ => return None,
        };
        if is_padded {
            return None;
        }
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).unwrap_or_default());
        }
    }
    Some(out)
}
