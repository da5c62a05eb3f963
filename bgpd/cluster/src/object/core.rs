//! The kinds of Kubernetes itself, reduced to the fields that rules look at.
//!
//! The types are flat: what the API nests under `spec` and `status` lies side by side here, since a
//! rule cares for a value and not for who wrote it. Absent lists are empty lists; an absent value
//! is `None` where absence means something of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Meta;

/// A node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// `spec.podCIDRs`, else `spec.podCIDR`.
    pub pod_cidrs: Vec<IpNet>,
    /// `spec.taints`.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`: cordoned.
    pub unschedulable: bool,
    /// `status.addresses`.
    pub addresses: Vec<NodeAddress>,
}

/// One of `status.addresses` that is an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`.
    pub kind: Box<str>,
    /// The address.
    pub address: IpAddr,
}

/// One of `spec.taints`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: Box<str>,
    /// Its value, often empty.
    pub value: Box<str>,
}

/// `spec.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// Reached inside the cluster.
    #[default]
    ClusterIp,
    /// Also on a port of each node.
    NodePort,
    /// Also on addresses given by a load balancer.
    LoadBalancer,
    /// A name elsewhere: nothing of it is announced.
    ExternalName,
}

/// `externalTrafficPolicy`, `internalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Any endpoint of the cluster may answer.
    #[default]
    Cluster,
    /// Only endpoints on this node.
    Local,
}

/// One of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The address; entries with a host name alone are left out.
    pub address: IpAddr,
    /// `ipMode: Proxy`: the address is not kube-proxy's, so never a node's to announce.
    pub is_proxied: bool,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Name, labels, annotations, age.
    pub meta: Meta,
    /// `spec.type`.
    pub kind: ServiceType,
    /// `spec.clusterIPs`, else `spec.clusterIP`; empty for a headless service.
    pub cluster_ips: Vec<IpAddr>,
    /// `clusterIP: None`.
    pub is_headless: bool,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `spec.loadBalancerIP`, deprecated.
    pub load_balancer_ip: Option<IpAddr>,
    /// `spec.loadBalancerClass`.
    pub load_balancer_class: Option<Box<str>>,
    /// `spec.externalTrafficPolicy`.
    pub external_policy: Policy,
    /// `spec.internalTrafficPolicy`.
    pub internal_policy: Policy,
    /// `spec.healthCheckNodePort`; 0 in the API means none.
    pub health_check_node_port: Option<u16>,
    /// `status.loadBalancer.ingress`.
    pub ingress: Vec<Ingress>,
}

/// Some endpoints of a service, of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The name alone; of the labels the service's name is kept, below.
    pub meta: Meta,
    /// Label `kubernetes.io/service-name`; the service is in the same namespace.
    pub service: Option<Box<str>>,
    /// `addressType`: `Some(true)` IPv6, `Some(false)` IPv4, `None` FQDN, which never counts.
    pub is_ipv6: Option<bool>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint: rules look at its conditions and its node only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// `nodeName`.
    pub node: Option<Box<str>>,
    /// `conditions.ready`; absent means true.
    pub ready: Option<bool>,
    /// `conditions.serving`; absent means as `ready`.
    pub serving: Option<bool>,
    /// `conditions.terminating`; absent means false.
    pub terminating: Option<bool>,
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Name and labels.
    pub meta: Meta,
}

/// Ranges that cluster addresses come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceCidr {
    /// Name and age.
    pub meta: Meta,
    /// `spec.cidrs`.
    pub cidrs: Vec<IpNet>,
}

/// A config map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMap {
    /// Name.
    pub meta: Meta,
    /// `data`.
    pub data: BTreeMap<Box<str>, Box<str>>,
}

/// A secret, read by name for a password. `Debug` hides the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData {
    /// Name.
    pub meta: Meta,
    /// `type`, such as `kubernetes.io/basic-auth`.
    pub kind: Box<str>,
    /// `data`, decoded from base64, and `stringData`.
    pub data: BTreeMap<Box<str>, Vec<u8>>,
}

impl std::fmt::Debug for SecretData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&str> = self.data.keys().map(AsRef::as_ref).collect();
        write!(f, "SecretData({}, keys {keys:?})", self.meta.object_name())
    }
}
