//! What a peer machine is told about its neighbor, and what a change of it means.
//!
//! [`PeerConfig`] holds the facts the session itself needs: who we are, whom we expect, timers,
//! and the capabilities we offer. Policies, next hops and prefix limits are the business of the
//! RIB and never come here. The speaker builds it from the resolved configuration.
//!
//! [`PeerConfig::changes`] compares two of them field by field and sorts the differences into
//! what holds from now on, what waits for the next OPEN, and what the running session
//! contradicts. The machine never resets a session because of a configuration: OpenBGPD defers
//! capability changes silently and FRR resets at once; we defer and say so, and the operator
//! chooses the moment (`clear bgp`).

use std::net::Ipv4Addr;
use std::time::Duration;

use proto_codec::afi::Family;
use proto_codec::bgp::capability::Role;

use super::timers::OPEN_SENT_HOLD;

/// Whom we accept as the remote AS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsnRule {
    /// Exactly this AS.
    Exact(u32),
    /// Our own AS (iBGP).
    Internal,
    /// Any AS but our own (eBGP).
    External,
    /// Any AS.
    Any,
}

impl AsnRule {
    /// Whether `remote` satisfies the rule for a speaker in `local`.
    pub fn accepts(self, local: u32, remote: u32) -> bool {
        match self {
            AsnRule::Exact(asn) => remote == asn,
            AsnRule::Internal => remote == local,
            AsnRule::External => remote != local,
            AsnRule::Any => true,
        }
    }
}

/// What to do with a new connection of a peer whose session is Established (RFC 4271 §6.8,
/// RFC 4724 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EstablishedCollision {
    /// Refuse the new connection, unless the peer negotiated graceful restart: then it has
    /// restarted faster than we noticed, and the new connection takes over.
    #[default]
    ReplaceIfGraceful,
    /// Always refuse the new connection.
    Refuse,
}

/// ADD-PATH directions offered for one family (RFC 7911 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddPathOffer {
    /// We can receive several paths.
    pub receive: bool,
    /// We would send several paths.
    pub send: bool,
}

/// The graceful restart capability we offer (RFC 4724 §3, RFC 8538 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GracefulRestartOffer {
    /// How long the peer should keep our routes, 0 to 4095 s.
    pub restart_time_s: u16,
    /// The R bit: we have just restarted and the peer must not wait for our End-of-RIB.
    pub restarting: bool,
    /// The N bit: NOTIFICATIONs other than a hard reset keep routes too.
    pub notification: bool,
    /// Families whose forwarding state survives our restart, indexed by [`Family`]; `None` =
    /// family not listed, `Some(f)` = listed with this F bit. A helper lists none.
    pub families: [Option<bool>; 2],
}

/// The capabilities of our OPEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Families, indexed by [`Family::index`] (RFC 4760).
    pub families: [bool; 2],
    /// Four-octet AS numbers (RFC 6793). Off only to test against old speakers.
    pub four_octet_as: bool,
    /// Route refresh (RFC 2918).
    pub route_refresh: bool,
    /// Enhanced route refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Extended messages (RFC 8654).
    pub extended_messages: bool,
    /// IPv4 routes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// ADD-PATH per family (RFC 7911).
    pub add_path: [AddPathOffer; 2],
    /// Graceful restart (RFC 4724).
    pub graceful_restart: Option<GracefulRestartOffer>,
    /// Our role towards this neighbor (RFC 9234).
    pub role: Option<Role>,
    /// Host and domain name for `show` at the other end (FQDN capability).
    pub fqdn: Option<(String, String)>,
}

impl Default for Offer {
    fn default() -> Offer {
        Offer {
            families: [true, false],
            four_octet_as: true,
            route_refresh: true,
            enhanced_refresh: true,
            extended_messages: true,
            extended_next_hop: false,
            add_path: [AddPathOffer::default(); 2],
            graceful_restart: None,
            role: None,
            fqdn: None,
        }
    }
}

/// Damping of an oscillating peer (DampPeerOscillations, RFC 4271 §8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// Idle hold after the first failure.
    pub idle_hold: Duration,
    /// Cap of the doubling.
    pub idle_hold_max: Duration,
}

impl Default for Damping {
    /// One second, at most a minute: a crashed router is back within that anyway.
    fn default() -> Damping {
        Damping {
            idle_hold: Duration::from_secs(1),
            idle_hold_max: Duration::from_secs(60),
        }
    }
}

/// Everything the machine of one neighbor is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Our AS towards this neighbor.
    pub local_asn: u32,
    /// Our BGP identifier.
    pub router_id: Ipv4Addr,
    /// Whom we accept.
    pub remote_asn: AsnRule,
    /// Never dial, only accept.
    pub passive: bool,
    /// Hold time we propose in seconds: 0 (no keepalives) or 3 to 65535.
    pub hold_time_s: u16,
    /// Smallest hold time of the peer we accept (RFC 4271 §4.2 allows refusing); 0 always is.
    pub hold_time_min_s: u16,
    /// How long the peer may take to its OPEN, and from there to its KEEPALIVE if the hold time is
    /// not shorter.
    pub open_wait: Duration,
    /// Longest keepalive interval; a third of the agreed hold time if that is shorter.
    pub keepalive: Option<Duration>,
    /// First delay between dials; doubles up to `connect_retry_max`.
    pub connect_retry: Duration,
    /// Cap of the delay between dials.
    pub connect_retry_max: Duration,
    /// Idle hold after errors; `None` = start again at once.
    pub damping: Option<Damping>,
    /// How long a session must last to be forgiven its earlier failures.
    pub stable_after: Duration,
    /// Send-hold time; `None` = RFC 9687's default, zero = off.
    pub send_hold: Option<Duration>,
    /// Capabilities we offer.
    pub offer: Offer,
    /// Codes of capabilities without which we refuse the peer with 2/7 (RFC 5492 §5).
    pub required_capabilities: Vec<u8>,
    /// Refuse a peer that sends no role (RFC 9234 §4.2 strict mode).
    pub role_strict: bool,
    /// What a new connection means while Established.
    pub established_collision: EstablishedCollision,
}

/// A field of [`PeerConfig`], for telling the operator what a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigField {
    /// `local_asn`
    LocalAsn,
    /// `router_id`
    RouterId,
    /// `remote_asn`
    RemoteAsn,
    /// `passive`
    Passive,
    /// `hold_time_s`, `hold_time_min_s`
    HoldTime,
    /// `keepalive`
    Keepalive,
    /// `connect_retry`, `connect_retry_max`
    ConnectRetry,
    /// `damping`, `stable_after`
    Damping,
    /// `send_hold`
    SendHold,
    /// `offer`, `required_capabilities`, `role_strict`
    Capabilities,
    /// `established_collision`
    Collision,
}

/// What a change of configuration does to the running session; see [`PeerConfig::changes`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigEffect {
    /// In force from now on.
    pub now: Vec<ConfigField>,
    /// In force from the next OPEN on.
    pub next_session: Vec<ConfigField>,
    /// Contradicted by the running session: reset it (6/6) or live with it until it ends.
    pub reset: Vec<ConfigField>,
}

impl PeerConfig {
    /// A configuration with the defaults of the suite: hold time 90 s, connect retry 5 s up to a
    /// minute, IPv4 unicast, damping on.
    pub fn new(local_asn: u32, router_id: Ipv4Addr, remote_asn: AsnRule) -> PeerConfig {
        PeerConfig {
            local_asn,
            router_id,
            remote_asn,
            passive: false,
            hold_time_s: 90,
            hold_time_min_s: 3,
            open_wait: OPEN_SENT_HOLD,
            keepalive: None,
            connect_retry: Duration::from_secs(5),
            connect_retry_max: Duration::from_secs(60),
            damping: Some(Damping::default()),
            stable_after: Duration::from_secs(60),
            send_hold: None,
            offer: Offer::default(),
            required_capabilities: Vec::new(),
            role_strict: false,
            established_collision: EstablishedCollision::default(),
        }
    }

    /// Whether a family is offered.
    pub fn offers(&self, family: Family) -> bool {
        self.offer
            .families
            .get(family.index())
            .copied()
            .unwrap_or(false)
    }

    /// What replacing `self` by `new` does to a session in which `remote` is the peer's AS
    /// (`None` while there is no session).
    pub fn changes(&self, new: &PeerConfig, remote: Option<u32>) -> ConfigEffect {
        let mut effect = ConfigEffect::default();
        let on_session = remote.is_some();
        let mut differs = |field, changed: bool, contradicts: bool, deferred: bool| {
            let list = match (contradicts, deferred && on_session) {
                _ if !changed => return,
                (true, _) => &mut effect.reset,
                (false, true) => &mut effect.next_session,
                (false, false) => &mut effect.now,
            };
            list.push(field);
        };
        let asn_refused = remote.is_some_and(|asn| !new.remote_asn.accepts(new.local_asn, asn));
        let hold = |c: &PeerConfig| (c.hold_time_s, c.hold_time_min_s);
        let retry = |c: &PeerConfig| (c.connect_retry, c.connect_retry_max);
        let damping = |c: &PeerConfig| (c.damping, c.stable_after);
        let capabilities_differ = self.offer != new.offer
            || self.required_capabilities != new.required_capabilities
            || self.role_strict != new.role_strict;
        let collision_differs = self.established_collision != new.established_collision;
        let local_asn_differs = self.local_asn != new.local_asn;
        let router_id_differs = self.router_id != new.router_id;
        differs(ConfigField::LocalAsn, local_asn_differs, on_session, false);
        differs(ConfigField::RouterId, router_id_differs, on_session, false);
        differs(
            ConfigField::RemoteAsn,
            self.remote_asn != new.remote_asn,
            asn_refused,
            false,
        );
        differs(
            ConfigField::Passive,
            self.passive != new.passive,
            false,
            false,
        );
        differs(ConfigField::HoldTime, hold(self) != hold(new), false, true);
        differs(
            ConfigField::Keepalive,
            self.keepalive != new.keepalive,
            false,
            false,
        );
        differs(
            ConfigField::ConnectRetry,
            retry(self) != retry(new),
            false,
            false,
        );
        differs(
            ConfigField::Damping,
            damping(self) != damping(new),
            false,
            false,
        );
        differs(
            ConfigField::SendHold,
            self.send_hold != new.send_hold,
            false,
            false,
        );
        differs(ConfigField::Capabilities, capabilities_differ, false, true);
        differs(ConfigField::Collision, collision_differs, false, false);
        effect
    }
}
