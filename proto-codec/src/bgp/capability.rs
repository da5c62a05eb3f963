//! Capabilities of the OPEN message (RFC 5492 §4): the types, and how they read to people.
//!
//! A capability is a code, a length and a value; [`Capability`] has a variant for each one the
//! suite acts on or prints, and keeps every other as it came. The wire form is in `wire`, apart
//! from the meaning. Values that a later RFC may extend (roles, ADD-PATH modes) are kept even when
//! unknown, because an unknown value is no error in an OPEN. Names a peer sends are shown with
//! control characters replaced: they end in logs and terminals.

use std::fmt;

use super::notification::printable;
use crate::afi::AfiSafi;

mod wire;
pub use wire::{decode_capabilities, encode_capability};

/// One capability.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Capability {
    /// 1: a family is spoken, RFC 4760 §8.
    Multiprotocol(AfiSafi),
    /// 2: ROUTE-REFRESH, RFC 2918 §2.
    RouteRefresh,
    /// 5: NLRI of a family with a next hop of another AFI, RFC 8950 §4.
    ExtendedNextHop(Vec<(AfiSafi, u16)>),
    /// 6: messages up to 65,535 octets, RFC 8654 §3.
    ExtendedMessage,
    /// 9: the sender's role in the peering, RFC 9234 §4.1.
    Role(Role),
    /// 64: RFC 4724 §3 with the N bit of RFC 8538 §2.
    GracefulRestart(GracefulRestart),
    /// 65: the sender's AS number, RFC 6793 §3.
    FourOctetAs(u32),
    /// 69: RFC 7911 §4.
    AddPath(Vec<(AfiSafi, AddPathMode)>),
    /// 70: demarcated refreshes, RFC 7313 §3.1.
    EnhancedRouteRefresh,
    /// 71: RFC 9494 §3.1.
    LongLivedGracefulRestart(Vec<LlgrFamily>),
    /// 73: host and domain name, draft-walton-bgp-hostname-capability.
    Fqdn {
        /// Host name as it came.
        host: Vec<u8>,
        /// Domain name as it came, often empty.
        domain: Vec<u8>,
    },
    /// 75: draft-ietf-idr-bgp-software-version.
    SoftwareVersion(Vec<u8>),
    /// Any other, kept as it came.
    Unknown {
        /// Capability code.
        code: u8,
        /// Capability value.
        value: Vec<u8>,
    },
}

/// The role a speaker takes, RFC 9234 §4.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// 0
    Provider,
    /// 1
    RouteServer,
    /// 2
    RouteServerClient,
    /// 3
    Customer,
    /// 4
    Peer,
    /// Not assigned.
    Unknown(u8),
}

impl Role {
    /// The octet on the wire.
    pub const fn value(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
            Self::Unknown(value) => value,
        }
    }

    /// Any octet, assigned or not.
    pub const fn from_value(value: u8) -> Self {
        match value {
            0 => Self::Provider,
            1 => Self::RouteServer,
            2 => Self::RouteServerClient,
            3 => Self::Customer,
            4 => Self::Peer,
            other => Self::Unknown(other),
        }
    }

    /// Whether two speakers may peer with these roles, RFC 9234 §4.2 table 2.
    pub const fn matches(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Provider, Self::Customer)
                | (Self::Customer, Self::Provider)
                | (Self::RouteServer, Self::RouteServerClient)
                | (Self::RouteServerClient, Self::RouteServer)
                | (Self::Peer, Self::Peer)
        )
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider => f.write_str("provider"),
            Self::RouteServer => f.write_str("rs-server"),
            Self::RouteServerClient => f.write_str("rs-client"),
            Self::Customer => f.write_str("customer"),
            Self::Peer => f.write_str("peer"),
            Self::Unknown(value) => write!(f, "role {value}"),
        }
    }
}

/// The third field of an ADD-PATH tuple, RFC 7911 §4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AddPathMode {
    /// 1: able to receive several paths.
    Receive,
    /// 2: able to send several paths.
    Send,
    /// 3: both.
    Both,
}

impl AddPathMode {
    /// The octet on the wire.
    pub const fn value(self) -> u8 {
        match self {
            Self::Receive => 1,
            Self::Send => 2,
            Self::Both => 3,
        }
    }

    /// `None` for values RFC 7911 does not define.
    pub const fn from_value(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Receive),
            2 => Some(Self::Send),
            3 => Some(Self::Both),
            _ => None,
        }
    }

    /// Whether it includes receiving.
    pub const fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::Both)
    }

    /// Whether it includes sending.
    pub const fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Both)
    }
}

impl fmt::Display for AddPathMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Receive => "receive",
            Self::Send => "send",
            Self::Both => "both",
        })
    }
}

/// Graceful restart, RFC 4724 §3.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct GracefulRestart {
    /// R bit: the sender has restarted.
    pub restarting: bool,
    /// N bit of RFC 8538 §2: NOTIFICATION and hold timer are covered too.
    pub notification: bool,
    /// Seconds the session may take to come back, 0 to 4095.
    pub restart_time_s: u16,
    /// Families covered.
    pub families: Vec<GracefulRestartFamily>,
}

/// A family of the graceful restart capability.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GracefulRestartFamily {
    /// The family.
    pub afi_safi: AfiSafi,
    /// F bit: forwarding state was kept over the restart.
    pub forwarding: bool,
}

/// A family of the long-lived graceful restart capability, RFC 9494 §3.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LlgrFamily {
    /// The family.
    pub afi_safi: AfiSafi,
    /// F bit: forwarding state was kept over the restart.
    pub forwarding: bool,
    /// Seconds stale routes may be held, 0 to 16,777,215.
    pub stale_time_s: u32,
}

impl Capability {
    /// The capability code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => 1,
            Self::RouteRefresh => 2,
            Self::ExtendedNextHop(_) => 5,
            Self::ExtendedMessage => 6,
            Self::Role(_) => 9,
            Self::GracefulRestart(_) => 64,
            Self::FourOctetAs(_) => 65,
            Self::AddPath(_) => 69,
            Self::EnhancedRouteRefresh => 70,
            Self::LongLivedGracefulRestart(_) => 71,
            Self::Fqdn { .. } => 73,
            Self::SoftwareVersion(_) => 75,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// The name of a capability code in the IANA registry, for codes in use.
    pub const fn name(code: u8) -> Option<&'static str> {
        Some(match code {
            1 => "multiprotocol",
            2 => "route-refresh",
            3 => "outbound-route-filtering",
            5 => "extended-next-hop",
            6 => "extended-message",
            7 => "bgpsec",
            8 => "multiple-labels",
            9 => "role",
            64 => "graceful-restart",
            65 => "4-octet-as",
            67 => "dynamic-capability",
            68 => "multisession",
            69 => "add-path",
            70 => "enhanced-route-refresh",
            71 => "long-lived-graceful-restart",
            72 => "routing-policy-distribution",
            73 => "fqdn",
            74 => "bfd-strict-mode",
            75 => "software-version",
            76 => "paths-limit",
            77 => "link-local-next-hop",
            128 => "route-refresh-cisco",
            _ => return None,
        })
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut item: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (n, one) in items.iter().enumerate() {
        f.write_str(if n == 0 { " " } else { ", " })?;
        item(f, one)?;
    }
    Ok(())
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::name(self.code()) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "capability {}", self.code())?,
        }
        match self {
            Self::Multiprotocol(family) => write!(f, " {family}"),
            Self::RouteRefresh | Self::ExtendedMessage | Self::EnhancedRouteRefresh => Ok(()),
            Self::ExtendedNextHop(tuples) => list(f, tuples, |f, (family, next_hop_afi)| {
                write!(f, "{family} via afi {next_hop_afi}")
            }),
            Self::Role(role) => write!(f, " {role}"),
            Self::GracefulRestart(restart) => {
                write!(f, " {} s", restart.restart_time_s)?;
                let flags = [
                    (restart.restarting, " restarting"),
                    (restart.notification, " N"),
                ];
                for (_, word) in flags.iter().filter(|(set, _)| *set) {
                    f.write_str(word)?;
                }
                list(f, &restart.families, |f, family| {
                    let kept = if family.forwarding { " forwarding" } else { "" };
                    write!(f, "{}{kept}", family.afi_safi)
                })
            }
            Self::FourOctetAs(asn) => write!(f, " {asn}"),
            Self::AddPath(tuples) => {
                list(f, tuples, |f, (family, mode)| write!(f, "{family} {mode}"))
            }
            Self::LongLivedGracefulRestart(families) => list(f, families, |f, family| {
                write!(f, "{} {} s", family.afi_safi, family.stale_time_s)
            }),
            Self::Fqdn { host, domain } => {
                write!(f, " {}", printable(host))?;
                match domain.as_slice() {
                    [] => Ok(()),
                    domain => write!(f, ".{}", printable(domain)),
                }
            }
            Self::SoftwareVersion(version) => write!(f, " {}", printable(version)),
            Self::Unknown { value, .. } => write_hex(f, value),
        }
    }
}

/// ` 0x` and the octets; nothing for none.
fn write_hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    if !octets.is_empty() {
        f.write_str(" 0x")?;
    }
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_read_well_and_harmlessly() {
        let shown = |capability: Capability| capability.to_string();
        assert_eq!(
            shown(Capability::Multiprotocol(AfiSafi::IPV6_UNICAST)),
            "multiprotocol ipv6-unicast"
        );
        let fqdn = Capability::Fqdn {
            host: b"\x1b[2J".to_vec(),
            domain: b"lan".to_vec(),
        };
        assert_eq!(shown(fqdn), "fqdn \u{fffd}[2J.lan");
        let unknown = Capability::Unknown {
            code: 200,
            value: vec![1, 0xab],
        };
        assert_eq!(shown(unknown), "capability 200 0x01ab");
        let restart = Capability::GracefulRestart(GracefulRestart {
            restarting: true,
            notification: true,
            restart_time_s: 120,
            families: vec![GracefulRestartFamily {
                afi_safi: AfiSafi::IPV4_UNICAST,
                forwarding: true,
            }],
        });
        assert_eq!(
            shown(restart),
            "graceful-restart 120 s restarting N ipv4-unicast forwarding"
        );
    }

    #[test]
    fn roles_match_as_in_table_2_of_rfc9234() {
        for value in 0..=5 {
            let role = Role::from_value(value);
            let partners: Vec<u8> = (0..=5)
                .filter(|other| role.matches(Role::from_value(*other)))
                .collect();
            let expected: &[u8] = match value {
                0 => &[3],
                1 => &[2],
                2 => &[1],
                3 => &[0],
                4 => &[4],
                _ => &[],
            };
            assert_eq!(partners, expected);
        }
    }
}
