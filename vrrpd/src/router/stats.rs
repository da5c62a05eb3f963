//! Counters of one virtual router; names follow RFC 8347 where it has them.
//!
//! They only rise, for as long as the instance exists; a reload of its settings keeps them. Every
//! advert that arrives is in exactly one of "received" and "discarded".

use std::collections::BTreeMap;

/// What was counted since the instance exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Adverts sent, per destination.
    pub adverts_sent: u64,
    /// Adverts that passed every check.
    pub adverts_received: u64,
    /// Of those sent, with priority 0.
    pub priority_zero_sent: u64,
    /// Of those received, with priority 0.
    pub priority_zero_received: u64,
    /// Version 3 over IPv4 received in the form that we do not send.
    pub other_checksum_received: u64,
    /// How often the state changed.
    pub transitions: u64,
    /// How often this router became master.
    pub became_master: u64,
    /// Announcements asked for, one for all addresses.
    pub announcements: u64,
    /// Changes of state by the state entered and the name of the reason.
    pub transitions_by: BTreeMap<(&'static str, &'static str), u64>,
    /// How often this process found that it had stood still.
    pub late: u64,
    /// Adverts that did not leave this host.
    pub unsent: u64,
    /// Discarded adverts by reason.
    pub discarded: BTreeMap<&'static str, u64>,
}

impl Stats {
    /// All discarded adverts.
    #[must_use]
    pub fn discarded_total(&self) -> u64 {
        self.discarded.values().sum()
    }
}
