//! The view of `show bgp neighbors`: everything known about one neighbor.
//!
//! What was negotiated is only meaningful while the session is Established; the daemon leaves the
//! received half of each capability false otherwise.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::summary::PeerState;
use crate::control::Family;

/// A neighbor in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Neighbor {
    /// Its address.
    pub address: IpAddr,
    /// Its AS: as configured, or as its OPEN said.
    pub remote_asn: u32,
    /// Our AS towards it.
    pub local_asn: u32,
    /// Same AS as ours.
    pub internal: bool,
    /// We reflect to it.
    #[serde(default)]
    pub route_reflector_client: bool,
    /// `description`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `peer-group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_group: Option<String>,
    /// FQDN capability it sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// It came in through a listen range.
    #[serde(default)]
    pub dynamic: bool,
    /// RFC 9234 roles: ours and its own, in the RFC's lower-case words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_role: Option<String>,
    /// See `local_role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_role: Option<String>,
    /// State of the session.
    pub state: PeerState,
    /// BGP identifier it sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_router_id: Option<Ipv4Addr>,
    /// Ours.
    pub local_router_id: Ipv4Addr,
    /// Time Established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// When it became Established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub established_epoch_ms: Option<u64>,
    /// Timers.
    pub timers: Timers,
    /// Capabilities without a value, in the order they are shown. Names are FRR's:
    /// `4 Byte AS`, `Extended Message`, `Route refresh`, `Enhanced Route Refresh`, `Role`.
    pub capabilities: Vec<CapabilityState>,
    /// Graceful restart (RFC 4724).
    #[serde(default)]
    pub restart: RestartState,
    /// Messages by type.
    pub messages: MessageCounters,
    /// What was dropped and why.
    pub prefixes: PrefixCounters,
    /// Per family.
    pub families: Vec<FamilyState>,
    /// Times it became Established.
    pub established_count: u64,
    /// Times it left Established.
    pub dropped_count: u64,
    /// Why the session went down last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reset: Option<LastReset>,
    /// Most hops away it may be (GTSM or multihop); `None`: no limit (iBGP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hops_max: Option<u8>,
    /// The TTL is checked (GTSM, RFC 5082) rather than only sent.
    #[serde(default)]
    pub ttl_security: bool,
    /// TCP-MD5 is configured.
    #[serde(default)]
    pub authenticated: bool,
    /// Settings that the running session does not have yet, in words: they wait for the next one
    /// (`clear bgp`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_changes: Vec<String>,
    /// Addresses of the TCP connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Endpoint>,
    /// The object of the cluster it comes from; `None`: the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Why its session is kept down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// Timers of a session, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Timers {
    /// Since the last message was read.
    pub last_read_ms: Option<u64>,
    /// Since the last message was written.
    pub last_write_ms: Option<u64>,
    /// Negotiated hold time.
    pub hold_ms: u64,
    /// Keepalive interval in use.
    pub keepalive_ms: u64,
    /// Configured hold time.
    pub configured_hold_ms: u64,
    /// Configured keepalive interval.
    pub configured_keepalive_ms: u64,
    /// Configured connect-retry time.
    pub connect_retry_ms: u64,
    /// Until the next attempt to connect.
    pub next_connect_ms: Option<u64>,
}

/// A capability without a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityState {
    /// FRR's name of it.
    pub name: String,
    /// We sent it.
    pub advertised: bool,
    /// It was received.
    pub received: bool,
}

/// ADD-PATH of one family (RFC 7911).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddPathState {
    /// We offered to receive.
    pub rx_advertised: bool,
    /// It offered to receive.
    pub rx_received: bool,
    /// We offered to send.
    pub tx_advertised: bool,
    /// It offered to send.
    pub tx_received: bool,
}

/// Graceful restart of a neighbor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartState {
    /// `Disable`, `Helper` or `Restart`: what is configured here.
    pub local_mode: String,
    /// The same of the other side; `NotApplicable` before an OPEN.
    pub remote_mode: String,
    /// Restart time we send, seconds.
    pub configured_restart_s: u16,
    /// Restart time it sent, seconds.
    pub received_restart_s: u16,
    /// R bit of its capability.
    pub restart_bit: bool,
    /// N bit (RFC 8538).
    pub notification_bit: bool,
}

/// Messages by type, since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageCounters {
    /// OPEN sent, received.
    pub opens: (u64, u64),
    /// NOTIFICATION.
    pub notifications: (u64, u64),
    /// UPDATE.
    pub updates: (u64, u64),
    /// KEEPALIVE.
    pub keepalives: (u64, u64),
    /// ROUTE-REFRESH.
    pub route_refreshes: (u64, u64),
    /// Read but not handled.
    pub in_queue: u64,
    /// Still to be sent.
    pub out_queue: u64,
}

impl MessageCounters {
    /// Sum of all types: sent, received.
    #[must_use]
    pub fn total(&self) -> (u64, u64) {
        [
            self.opens,
            self.notifications,
            self.updates,
            self.keepalives,
            self.route_refreshes,
        ]
        .iter()
        .fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
    }
}

/// Prefixes that were received and not used, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrefixCounters {
    /// Import policy.
    pub filtered: u64,
    /// Our AS in the AS_PATH.
    pub as_path_loop: u64,
    /// Our ORIGINATOR_ID.
    pub originator_loop: u64,
    /// Our cluster id.
    pub cluster_loop: u64,
    /// A next hop that cannot be used.
    pub invalid_next_hop: u64,
    /// Withdrawn because of an error (RFC 7606 treat-as-withdraw).
    pub treat_as_withdraw: u64,
    /// Attributes discarded because of an error.
    pub attributes_discarded: u64,
    /// Announced to us inside the cluster's own ranges, and refused.
    #[serde(default)]
    pub own_range: u64,
}

/// One address family of a neighbor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FamilyState {
    /// The family.
    pub family: Family,
    /// Both sides sent the multiprotocol capability.
    pub negotiated: bool,
    /// It was in our OPEN.
    pub advertised: bool,
    /// It was in its OPEN.
    pub received: bool,
    /// ADD-PATH.
    #[serde(default)]
    pub add_path: AddPathState,
    /// Number of the update group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_group: Option<u64>,
    /// Name of the import policy; `None` with RFC 8212 in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_policy: Option<String>,
    /// Name of the export policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_policy: Option<String>,
    /// RFC 8212 blocks import.
    #[serde(default)]
    pub import_blocked: bool,
    /// RFC 8212 blocks export.
    #[serde(default)]
    pub export_blocked: bool,
    /// `next-hop-self`.
    #[serde(default)]
    pub next_hop_self: bool,
    /// `route-reflector-client`.
    #[serde(default)]
    pub reflector_client: bool,
    /// `max-prefixes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefixes_max: Option<u32>,
    /// Prefixes in the Adj-RIB-In.
    pub prefixes_received: u64,
    /// Of those, accepted by policy.
    pub prefixes_accepted: u64,
    /// Prefixes sent.
    pub prefixes_sent: u64,
    /// We sent End-of-RIB.
    #[serde(default)]
    pub end_of_rib_sent: bool,
    /// End-of-RIB was received.
    #[serde(default)]
    pub end_of_rib_received: bool,
    /// Stale paths kept from before a restart.
    #[serde(default)]
    pub stale: u64,
}

/// Why a session went down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastReset {
    /// How long ago.
    pub ago_ms: u64,
    /// In words: `BGP Notification received`, `Hold timer expired`.
    pub reason: String,
    /// Code and subcode of the NOTIFICATION, if one was sent or received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<(u8, u8)>,
    /// Its meaning in words (`Cease/Administrative Reset`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_text: Option<String>,
    /// We sent it.
    #[serde(default)]
    pub sent: bool,
    /// Shutdown communication (RFC 9003).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Addresses of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Our side.
    pub local: SocketAddr,
    /// Its side.
    pub remote: SocketAddr,
}
