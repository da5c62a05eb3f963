//! What a virtual router is told to be, and the durations that follow from it.
//!
//! RFC 9568 §6.1 counts in centiseconds; here everything is a `Duration` and divided last, because
//! integer centiseconds make the skew of a 10 ms interval zero and let all backups fire together.

use std::net::IpAddr;
use std::time::Duration;

use proto_codec::vrrp::{Auth, ChecksumForm, PRIORITY_OWNER, Version};

use super::signing::Signing;

/// The settings of one virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Virtual router, 1 to 255.
    pub vrid: u8,
    /// Protocol version.
    pub version: Version,
    /// 1 to 254, or 255 for the owner of the addresses.
    pub priority: u8,
    /// Advertisement interval: version 3 in steps of 10 ms, version 2 whole seconds.
    pub interval: Duration,
    /// Whether a better router takes over from a worse one that works.
    pub preempt: bool,
    /// How long a worse master is left alone after it was first heard.
    pub preempt_delay: Duration,
    /// How long nothing is done after the start.
    pub start_delay: Duration,
    /// The virtual addresses, of one family.
    pub addresses: Vec<IpAddr>,
    /// The checksum that is sent for version 3 over IPv4.
    pub checksum: ChecksumForm,
    /// Version 2 only.
    pub auth: Auth,
    /// Version 3 only: adverts carry an HMAC.
    pub signing: Option<Signing>,
    /// The addresses are at the virtual router's MAC address, not the interface's.
    pub virtual_mac: bool,
    /// Empty: multicast.
    pub unicast_peers: Vec<IpAddr>,
}

impl Settings {
    /// Whether the virtual addresses are IPv6.
    #[must_use]
    pub fn ipv6(&self) -> bool {
        self.addresses.first().is_some_and(IpAddr::is_ipv6)
    }

    /// Whether this router owns the addresses (RFC 9568 §6.1).
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.priority == PRIORITY_OWNER
    }

    /// Skew_Time: RFC 9568 §6.1 for version 3, RFC 3768 §6.1 for version 2, where it does not
    /// depend on the interval. `priority` is the effective one.
    #[must_use]
    pub fn skew(&self, priority: u8, master_interval: Duration) -> Duration {
        let unit = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => master_interval,
        };
        unit * (256 - u32::from(priority)) / 256
    }

    /// Active_Down_Interval of RFC 9568 §6.1, Master_Down_Interval of RFC 3768 §6.1.
    #[must_use]
    pub fn down_interval(&self, priority: u8, master_interval: Duration) -> Duration {
        3 * master_interval + self.skew(priority, master_interval)
    }

    /// Active_Adver_Interval from what a master sends: version 2 never learns.
    #[must_use]
    pub fn learned(&self, theirs: Duration) -> Duration {
        match self.version {
            Version::V2 => self.interval,
            Version::V3 => theirs,
        }
    }

    /// Longest skew any backup can have, whatever its priority.
    #[must_use]
    pub fn skew_max(&self) -> Duration {
        self.skew(0, self.interval)
    }
}
