//! The file as it was written: every field optional and with its place.
//!
//! Nothing is defaulted or compared here. A value that cannot be read is recorded and absent.
//! Sections and keys of one feature are read beside what judges them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ctl::config::{At, Field, Many, Table, Value};
use ipnet::IpNet;
use proto_codec::vrrp::{ChecksumForm, Version};
use toml::de::DeValue;

use super::group::{self, RawGroup};
use super::metrics::{self, RawMetrics};
use super::track::{self, RawTrack};
use crate::router::Mode;

/// A whole file.
pub(super) struct Raw {
    pub instances: Vec<RawInstance>,
    pub groups: Vec<RawGroup>,
    pub metrics: Option<RawMetrics>,
}

/// `[[instance]]`.
pub(super) struct RawInstance {
    pub header: At<()>,
    pub name: Option<At<String>>,
    pub interface: Option<At<String>>,
    pub vrid: Option<At<u8>>,
    pub version: Option<At<VersionWord>>,
    pub priority: Option<At<u8>>,
    pub interval: Option<At<Duration>>,
    pub preempt: Option<At<bool>>,
    pub preempt_delay: Option<At<Duration>>,
    pub start_delay: Option<At<Duration>>,
    pub addresses: Option<At<Many<AddressWord>>>,
    /// The list is written, and nothing is in it.
    pub addresses_empty: bool,
    pub accept: Option<At<bool>>,
    pub unicast_peers: Option<At<Many<IpAddr>>>,
    pub virtual_mac: Option<At<bool>>,
    pub checksum: Option<At<ChecksumWord>>,
    pub auth_file: Option<At<PathBuf>>,
    pub notify: Option<At<PathBuf>>,
    pub routes: Option<At<Many<String>>>,
    pub auth_mode: Option<At<ModeWord>>,
    pub auth_window: Option<At<Duration>>,
    pub track: RawTrack,
}

/// `version`.
pub(super) struct VersionWord(pub Version);

/// `checksum`.
pub(super) struct ChecksumWord(pub ChecksumForm);

/// `auth-mode`.
pub(super) struct ModeWord(pub Mode);

/// A virtual address, with or without the length of its subnet.
#[derive(Clone, Copy)]
pub(super) struct AddressWord(pub IpNet);

/// Reads all sections; unknown keys and wrong values are in the table's sink afterwards.
pub(super) fn read(top: Table<'_>) -> Raw {
    let instances = top
        .tables("instance")
        .into_iter()
        .map(read_instance)
        .collect();
    let groups = group::read(&top);
    let metrics = top.table("metrics").map(metrics::read);
    top.finish();
    Raw {
        instances,
        groups,
        metrics,
    }
}

fn read_instance(table: Table<'_>) -> RawInstance {
    let instance = RawInstance {
        header: At {
            value: (),
            span: table.span().clone(),
        },
        name: table.require("name", "write name = \"control-plane\""),
        interface: table.get("interface"),
        vrid: table.get("vrid"),
        version: table.get("version"),
        priority: table.get("priority"),
        interval: table.get("advertise-interval"),
        preempt: table.get("preempt"),
        preempt_delay: table.get("preempt-delay"),
        start_delay: table.get("start-delay"),
        addresses: table.require("addresses", "write addresses = [\"10.0.50.20\"]"),
        addresses_empty: table.field("addresses").is_some_and(
            |field| matches!(field.value.get_ref(), DeValue::Array(list) if list.is_empty()),
        ),
        accept: table.get("accept"),
        unicast_peers: table.get("unicast-peers"),
        virtual_mac: table.get("virtual-mac"),
        checksum: table.get("checksum"),
        auth_file: table.get("auth-file"),
        notify: table.get("notify"),
        routes: table.get("routes"),
        auth_mode: table.get("auth-mode"),
        auth_window: table.get("auth-window"),
        track: track::read(&table),
    };
    table.finish();
    instance
}

impl Value for VersionWord {
    fn read(field: &Field<'_>) -> Option<Self> {
        match u8::read(field)? {
            2 => Some(Self(Version::V2)),
            3 => Some(Self(Version::V3)),
            other => field.fault(
                format!("there is no VRRP version {other}"),
                "write 2 or 3, without quotes",
            ),
        }
    }
}

impl Value for ChecksumWord {
    fn read(field: &Field<'_>) -> Option<Self> {
        let words = [ChecksumForm::Rfc5798, ChecksumForm::Rfc9568].map(|form| (form.word(), form));
        field.word(&words).map(Self)
    }
}

impl Value for ModeWord {
    fn read(field: &Field<'_>) -> Option<Self> {
        field.word(&Mode::WORDS).map(Self)
    }
}

impl Value for AddressWord {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write \"10.0.50.20\", or \"10.0.50.20/24\" with the length of its subnet";
        let text = field.text("an address", cure)?;
        let net = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let Some(net) = net else {
            return field.fault(format!("\"{text}\" is no address"), cure);
        };
        let address = net.addr();
        if address.is_multicast() || address.is_unspecified() || address.is_loopback() {
            return field.fault(format!("{address} cannot be a virtual address"), cure);
        }
        if net.prefix_len() == 0 {
            // It would bring a route to everywhere.
            return field.fault(format!("{net} is in no subnet"), cure);
        }
        if net.prefix_len() < net.max_prefix_len() - 1 && net.network() == address {
            let message = format!("{net} is a network, not an address in it");
            return field.fault(message, cure);
        }
        Some(Self(net))
    }
}
