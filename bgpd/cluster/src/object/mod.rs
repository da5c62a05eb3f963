//! What is read of each kind of object, and how it is recognised.
//!
//! An object arrives as JSON (the API server) or as a document of YAML that was turned into JSON
//! (manifests). [`Object::decode`] keeps the fields that some rule looks at and drops the rest, so
//! ten thousand objects cost megabytes and not hundreds, and an update of a field nobody reads
//! compares equal and causes no work. An object that cannot be read is quarantined alone: it is
//! kept as its [`Fault`], and all others go on working.
//!
//! Kinds of a dialect live with the dialect (`dialect::metallb`, `dialect::calico`); here are the
//! kinds of Kubernetes itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::Fault;
use crate::dialect::{calico, metallb};

mod core;
mod decode;
mod read;
#[cfg(test)]
mod tests;

pub use self::read::{
    OBJECT_OCTETS_MAX, address, fault, is_read_annotation, nullable, range, read,
};

pub use self::core::{
    ConfigMap, Endpoint, EndpointSlice, Ingress, Namespace, Node, NodeAddress, Policy, SecretData,
    Service, ServiceCidr, ServiceType, Taint,
};

/// Names an object among those of its kind; cluster-wide kinds have an empty namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The namespace, empty for a cluster-wide kind.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

impl ObjectName {
    /// The name of an object in a namespace (empty: cluster-wide).
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.namespace, &*self.name) {
            ("", name) => f.write_str(name),
            (namespace, name) => write!(f, "{namespace}/{name}"),
        }
    }
}

/// A kind of object that some rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Node. Calico's own `projectcalico.org/v3` Node is [`Kind::Calico`].
    Node,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Namespace.
    Namespace,
    /// `networking.k8s.io/v1` ServiceCIDR (Kubernetes 1.33 and later).
    ServiceCidr,
    /// `v1` ConfigMap; read by name only.
    ConfigMap,
    /// `v1` Secret; read by name only.
    Secret,
    /// A kind of MetalLB (`metallb.io`).
    Metallb(metallb::Kind),
    /// A kind of Calico (`projectcalico.org`, `crd.projectcalico.org`).
    Calico(calico::Kind),
}

impl Kind {
    /// Its name in the API, as `EndpointSlice`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node | Self::Calico(calico::Kind::Node) => "Node",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Namespace => "Namespace",
            Self::ServiceCidr => "ServiceCIDR",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Metallb(kind) => kind.name(),
            Self::Calico(calico::Kind::BgpPeer) => "BGPPeer",
            Self::Calico(calico::Kind::BgpConfiguration) => "BGPConfiguration",
            Self::Calico(calico::Kind::BgpFilter) => "BGPFilter",
            Self::Calico(calico::Kind::IpPool) => "IPPool",
            Self::Calico(calico::Kind::BlockAffinity) => "BlockAffinity",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which object: kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind.
    pub kind: Kind,
    /// Its name among those of the kind.
    pub name: ObjectName,
}

/// What every object has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Its namespace, empty for a cluster-wide kind.
    #[serde(deserialize_with = "nullable")]
    pub namespace: Box<str>,
    /// Its name.
    #[serde(deserialize_with = "nullable")]
    pub name: Box<str>,
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Annotations; decoding keeps only those of a prefix that some rule reads.
    #[serde(deserialize_with = "read::annotations")]
    pub annotations: BTreeMap<Box<str>, Box<str>>,
    /// RFC 3339, so that text compares as time; the older object wins a conflict.
    pub creation_timestamp: Option<Box<str>>,
    /// Set once it is being deleted.
    pub deletion_timestamp: Option<Box<str>>,
}

impl Meta {
    /// Its name among those of its kind.
    #[must_use]
    pub fn object_name(&self) -> ObjectName {
        ObjectName {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// An object, reduced to what is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A node of the cluster.
    Node(Node),
    /// A service.
    Service(Service),
    /// Some endpoints of a service.
    EndpointSlice(EndpointSlice),
    /// A namespace, for its labels.
    Namespace(Namespace),
    /// Ranges of cluster addresses.
    ServiceCidr(ServiceCidr),
    /// MetalLB's old configuration.
    ConfigMap(ConfigMap),
    /// A password.
    Secret(SecretData),
    /// An object of MetalLB.
    Metallb(metallb::Object),
    /// An object of Calico.
    Calico(calico::Object),
}

impl Kind {
    /// The kind that `apiVersion` and `kind` name; `None` for what no rule looks at.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        match (group, kind) {
            ("", "Node") => Some(Self::Node),
            ("", "Service") => Some(Self::Service),
            ("", "Namespace") => Some(Self::Namespace),
            ("", "ConfigMap") => Some(Self::ConfigMap),
            ("", "Secret") => Some(Self::Secret),
            ("discovery.k8s.io", "EndpointSlice") => Some(Self::EndpointSlice),
            ("networking.k8s.io", "ServiceCIDR") => Some(Self::ServiceCidr),
            ("metallb.io", kind) => metallb::Kind::of(kind).map(Self::Metallb),
            ("projectcalico.org" | "crd.projectcalico.org", kind) => {
                calico::Kind::of(kind).map(Self::Calico)
            }
            _ => None,
        }
    }
}

impl Object {
    /// Reads an object of a known kind.
    ///
    /// # Errors
    /// The fault that puts it in quarantine: what is wrong, and at which path of the object.
    pub fn decode(kind: Kind, json: &[u8]) -> Result<Self, Fault> {
        match kind {
            Kind::Metallb(kind) => metallb::Object::decode(kind, json).map(Self::Metallb),
            Kind::Calico(kind) => calico::Object::decode(kind, json).map(Self::Calico),
            _ => self::decode::decode(kind, json),
        }
    }

    /// Which object it is.
    #[must_use]
    pub fn key(&self) -> Key {
        let (kind, meta) = match self {
            Self::Node(object) => (Kind::Node, &object.meta),
            Self::Service(object) => (Kind::Service, &object.meta),
            Self::EndpointSlice(object) => (Kind::EndpointSlice, &object.meta),
            Self::Namespace(object) => (Kind::Namespace, &object.meta),
            Self::ServiceCidr(object) => (Kind::ServiceCidr, &object.meta),
            Self::ConfigMap(object) => (Kind::ConfigMap, &object.meta),
            Self::Secret(object) => (Kind::Secret, &object.meta),
            Self::Metallb(object) => (Kind::Metallb(object.kind()), object.meta()),
            Self::Calico(object) => (Kind::Calico(object.kind()), object.meta()),
        };
        Key {
            kind,
            name: meta.object_name(),
        }
    }
}
