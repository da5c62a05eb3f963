//! BFDProfile: the timers of BFD that peers name.
//!
//! Receive and transmit interval and the multiplier are handed on with the neighbor; unset values
//! are FRR's (300 ms, 300 ms, 3), which MetalLB runs on. Echo mode, passive mode and the least TTL
//! are read and checked, and a neighbor that asks for them gets a warning.

use std::time::Duration;

use super::read::{Table, Wrong};

/// The timers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BfdProfile {
    pub(super) receive_ms: Option<u32>,
    pub(super) transmit_ms: Option<u32>,
    pub(super) multiplier: Option<u32>,
    pub(super) echo_ms: Option<u32>,
    pub(super) echo_mode: bool,
    pub(super) passive_mode: bool,
    pub(super) minimum_ttl: Option<u32>,
}

/// The names of the fields, which differ between the custom resource and the old ConfigMap.
pub(super) struct Names {
    receive: &'static str,
    transmit: &'static str,
    multiplier: &'static str,
    echo: &'static str,
    echo_mode: &'static str,
    passive_mode: &'static str,
    minimum_ttl: &'static str,
}

/// The names in the custom resource.
pub(super) const RESOURCE: Names = Names {
    receive: "receiveInterval",
    transmit: "transmitInterval",
    multiplier: "detectMultiplier",
    echo: "echoInterval",
    echo_mode: "echoMode",
    passive_mode: "passiveMode",
    minimum_ttl: "minimumTtl",
};

/// The names in the ConfigMap.
pub(super) const CONFIG_MAP: Names = Names {
    receive: "receive-interval",
    transmit: "transmit-interval",
    multiplier: "detect-multiplier",
    echo: "echo-interval",
    echo_mode: "echo-mode",
    passive_mode: "passive-mode",
    minimum_ttl: "minimum-ttl",
};

impl BfdProfile {
    /// Reads the timers; bounds are MetalLB's.
    pub(super) fn read(table: &mut Table<'_>, names: &Names) -> Result<Self, Wrong> {
        let mut within = |key, least: u32, most: u32| match table.number(key, most)? {
            Some(value) if value < least => Err(table.wrong(
                key,
                format!("{value} is out of range; write {least} to {most}"),
            )),
            value => Ok(value),
        };
        Ok(Self {
            receive_ms: within(names.receive, 10, 60_000)?,
            transmit_ms: within(names.transmit, 10, 60_000)?,
            multiplier: within(names.multiplier, 2, 255)?,
            echo_ms: within(names.echo, 10, 60_000)?,
            minimum_ttl: within(names.minimum_ttl, 1, 254)?,
            echo_mode: table.flag(names.echo_mode)?.unwrap_or(false),
            passive_mode: table.flag(names.passive_mode)?.unwrap_or(false),
        })
    }

    /// Transmit and receive interval and multiplier, as a neighbor has them.
    pub(super) fn timers(&self) -> (Duration, Duration, u8) {
        let interval = |ms: Option<u32>| Duration::from_millis(u64::from(ms.unwrap_or(300)));
        let multiplier = u8::try_from(self.multiplier.unwrap_or(3)).unwrap_or(u8::MAX);
        (
            interval(self.transmit_ms),
            interval(self.receive_ms),
            multiplier,
        )
    }

    /// The fields that are set and that we do not have.
    pub(super) fn beyond(&self) -> Vec<&'static str> {
        let mut beyond = Vec::new();
        if self.echo_mode {
            beyond.push("echo mode");
        }
        if self.passive_mode {
            beyond.push("passive mode");
        }
        if self.minimum_ttl.is_some() {
            beyond.push("minimum TTL");
        }
        beyond
    }
}
