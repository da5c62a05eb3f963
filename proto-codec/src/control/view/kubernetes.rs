//! Views of the Kubernetes source: what is read, what it amounts to, and what is wrong with it.
//!
//! Names are those of Kubernetes (namespace, pool, pod CIDR); states are words, because an operator
//! and a dashboard read them alike.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// How the source as a whole is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesStatus {
    /// The API server's URL, or `dir:///PATH`.
    pub origin: String,
    /// The name of this node's object.
    pub node: String,
    /// Whether that object is there.
    pub has_node: bool,
    /// Whose objects are read.
    pub sources: Vec<String>,
    /// Everything was read completely once.
    pub synced: bool,
    /// For how long nothing has been heard of some kind; absent while all are watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_ms: Option<u64>,
    /// What hinders all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The dataplane gate: `off`, `open`, `closed`, `waiting`.
    pub gate: String,
    /// The node is being drained.
    pub draining: bool,
    /// Prefixes announced from here.
    pub announced: u64,
    /// Neighbors that come from objects.
    pub neighbors: u64,
    /// The snapshot on disk: its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Objects in it.
    pub snapshot_objects: u64,
    /// Its size in octets.
    pub snapshot_bytes: u64,
    /// Why it cannot be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_trouble: Option<String>,
}

/// How the reading of one kind is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesFeed {
    /// The kind, as `nodes` or `bgppeers.metallb.io`.
    pub name: String,
    /// `starting`, `listing`, `watching`, `backoff`, `off`.
    pub state: String,
    /// Why it is not watching: `forbidden`, `absent`, `connect`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
    /// Objects known.
    pub objects: u64,
    /// Of them, of the last run and not seen since.
    pub stale_objects: u64,
    /// Objects that cannot be read.
    pub quarantined: u64,
    /// Everything up to here is known.
    pub resource_version: String,
    /// Complete lists read.
    pub lists: u64,
    /// Watches opened.
    pub watches: u64,
    /// Events of objects.
    pub events: u64,
    /// Errors by reason.
    pub errors: Vec<(String, u64)>,
    /// The last of them, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// What is wrong with an object or a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesFault {
    /// The object, or the file.
    pub object: String,
    /// Where in it; empty for the whole.
    pub path: String,
    /// Nothing of the part named is in force; `false` = it works, but perhaps not as meant.
    pub is_error: bool,
    /// What is wrong and what to write instead.
    pub text: String,
}

/// An address of a service on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesService {
    /// `namespace/name`.
    pub service: String,
    /// The address.
    pub address: IpAddr,
    /// `cluster-ip`, `external-ip`, `load-balancer-ip`.
    pub kind: String,
    /// `Cluster` or `Local`, as the policy for this kind of address says.
    pub policy: String,
    /// Prefixes that are announced because of it.
    pub announced: Vec<IpNet>,
    /// Why none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesNode {
    /// Its name.
    pub name: String,
    /// This node.
    pub is_self: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its part of the pod network.
    pub pod_cidrs: Vec<IpNet>,
    /// What it is to us: `mesh`, `reflector`, `client`, `neighbor`; absent without a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The state of that session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A pool of addresses for services, whoever defines it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesPool {
    /// Its name.
    pub name: String,
    /// Where it is defined: `bgpd.toml`, or the object.
    pub object: String,
    /// Its ranges.
    pub ranges: Vec<String>,
    /// Addresses of it that services on this cluster have.
    pub in_use: u64,
    /// Prefixes of it that are announced from here.
    pub announced: u64,
}
