//! What a daemon answers: the greeting, and the stream of replies to one request.
//!
//! A stream is `Head? Row* (Tail | Error)`. `Head` holds what belongs above a table (router id,
//! version of the table), rows hold one fact each, and `Tail` holds totals known only at the end.
//! An `Error` may come after rows: the renderer prints what it has and then the error.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::request::Family;
use super::view::View;

/// Version of this protocol. It rises only when an old CLI would misread a new daemon.
pub const PROTOCOL: u32 = 1;

/// First frame of a connection, from the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// [`PROTOCOL`] of the daemon.
    pub protocol: u32,
    /// Release of the daemon, as `0.1.0`.
    pub version: String,
    /// `bgpd` or `vrrpd`.
    pub daemon: String,
}

impl Hello {
    /// The greeting of `daemon` at release `version`.
    #[must_use]
    pub fn new(daemon: &str, version: &str) -> Self {
        Self {
            protocol: PROTOCOL,
            version: version.to_owned(),
            daemon: daemon.to_owned(),
        }
    }
}

/// One frame of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// What belongs above the rows.
    Head(Head),
    /// One fact.
    Row(Box<View>),
    /// The end: totals.
    Tail(Tail),
    /// The end: it could not be answered, or not to the end.
    Error(Fault),
}

/// What belongs above the rows of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The family the rows belong to, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// BGP identifier.
    pub router_id: Ipv4Addr,
    /// Local AS.
    pub asn: u32,
    /// Rises with each change of the table.
    pub table_version: u64,
    /// LOCAL_PREF of paths that carry none.
    pub default_local_pref: u32,
    /// Wall clock of the daemon, milliseconds since 1970; ages in rows are relative to it.
    pub now_epoch_ms: u64,
    /// Name of the host, for the `hostname` fields.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
}

/// Totals at the end of an answer. What does not apply stays zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tail {
    /// Prefixes sent as rows.
    pub routes: u64,
    /// Paths of the whole table.
    pub paths: u64,
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{text}")]
pub struct Fault {
    /// The class, for exit codes and scripts.
    pub kind: FaultKind,
    /// A sentence for the operator: what is wrong and what to do.
    pub text: String,
}

impl Fault {
    /// A fault of `kind` with `text`.
    #[must_use]
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// What was asked for does not exist.
    #[must_use]
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(FaultKind::NotFound, text)
    }
}

/// The class of a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// No such neighbor, prefix, pool.
    NotFound,
    /// The caller may not do this.
    Denied,
    /// The request is understood but cannot be done now (a session is down).
    Refused,
    /// The configuration file has faults; the text names them all.
    BadConfig,
    /// The daemon is busy or stopping; asking again later may work.
    Busy,
    /// This daemon has no such request (a `bgpd` command sent to `vrrpd`, or an older release).
    Unsupported,
}
