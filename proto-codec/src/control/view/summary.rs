//! Views of `show bgp summary`.
//!
//! The daemon sends, per family, one [`SummaryFamily`] and then a [`PeerSummary`] for each neighbor
//! of that family, neighbors in address order. A neighbor that has the family configured but did
//! not negotiate it is listed with `negotiated: false` (FRR prints `NoNeg`).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::control::Family;

/// The block header of a family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SummaryFamily {
    /// The family.
    pub family: Family,
    /// Version of this family's table.
    pub table_version: u64,
    /// Prefixes in the table.
    pub rib_count: u64,
    /// Octets the table uses.
    pub rib_memory: u64,
    /// Neighbors of the family.
    pub peer_count: u64,
    /// Octets the neighbors use.
    pub peer_memory: u64,
    /// Peer groups configured.
    pub peer_group_count: u64,
    /// Multipath over paths of different neighbor AS.
    pub multipath_relax: bool,
}

/// RFC 4271 §8.2.2 states, and why a neighbor is held in Idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PeerState {
    /// Idle, waiting to be started or backing off.
    Idle,
    /// Idle because an operator shut it down.
    IdleAdmin,
    /// Idle because it sent more prefixes than allowed.
    IdlePrefixLimit,
    /// A TCP connection is being made.
    Connect,
    /// Listening for a connection, or waiting to try again.
    Active,
    /// OPEN sent.
    OpenSent,
    /// OPEN received and accepted.
    OpenConfirm,
    /// Up.
    Established,
}

/// One neighbor in a family's block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerSummary {
    /// The neighbor's address.
    pub address: IpAddr,
    /// Its AS: as configured, or as its OPEN said.
    pub remote_asn: u32,
    /// Our AS towards it.
    pub local_asn: u32,
    /// State of the session.
    pub state: PeerState,
    /// It came in through a listen range.
    #[serde(default)]
    pub dynamic: bool,
    /// The family was negotiated; meaningful while Established.
    pub negotiated: bool,
    /// RFC 8212 holds back everything it sends, because no import policy is configured.
    #[serde(default)]
    pub import_blocked: bool,
    /// RFC 8212 holds back everything we would send, because no export policy is configured.
    #[serde(default)]
    pub export_blocked: bool,
    /// FQDN capability of the neighbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `description` of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Messages received since the daemon started.
    pub messages_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Version of the table this neighbor has been sent.
    pub table_version: u64,
    /// Messages read but not handled.
    #[serde(default)]
    pub in_queue: u64,
    /// Updates it has still to be sent.
    #[serde(default)]
    pub out_queue: u64,
    /// Time in this state (Established) or since it was last left; `None`: never up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// When it last became Established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub established_epoch_ms: Option<u64>,
    /// Prefixes accepted from it.
    pub prefixes_received: u64,
    /// Prefixes sent to it.
    pub prefixes_sent: u64,
    /// Times it became Established.
    pub established_count: u64,
    /// Times it left Established.
    pub dropped_count: u64,
}
