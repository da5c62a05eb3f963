//! The OPEN we send, and the judgement on the OPEN we receive.
//!
//! [`build`] turns a [`PeerConfig`] into an OPEN. [`judge`] checks the peer's against the same
//! configuration: the decoder has already refused what is wrong in itself (version, AS 0, hold
//! times 1 and 2, identifier 0, parameters), so what is left is what only this speaker can know:
//!
//! - bad peer AS, 2/2 (RFC 4271 §6.2): not the one the neighbor is configured with;
//! - bad BGP identifier, 2/3 (RFC 6286 §2.2): an internal peer with our own identifier;
//! - unacceptable hold time, 2/6: shorter than the operator allows;
//! - unsupported capability, 2/7 (RFC 5492 §5): one we require is missing, or no family is left;
//! - role mismatch, 2/11 (RFC 9234 §4.2): the roles do not fit, conflict, or one is missing in
//!   strict mode.
//!
//! A missing four-octet AS capability is no error (RFC 6793 §4.1): the session runs with two.

use proto_codec::afi::{AfiSafi, Family};
use proto_codec::bgp::capability::{
    AddPathMode, Capability, GracefulRestart, GracefulRestartFamily, encode_capability,
};
use proto_codec::bgp::notification::code;
use proto_codec::bgp::{Negotiated, Notification, Open};

use bytes::BytesMut;

use super::config::{AddPathOffer, GracefulRestartOffer, PeerConfig};

/// OPEN Message Error subcodes used here (RFC 4271 §4.5, RFC 5492 §5, RFC 9234 §4.2).
mod subcode {
    pub const BAD_PEER_AS: u8 = 2;
    pub const BAD_IDENTIFIER: u8 = 3;
    pub const UNACCEPTABLE_HOLD_TIME: u8 = 6;
    pub const UNSUPPORTED_CAPABILITY: u8 = 7;
    pub const ROLE_MISMATCH: u8 = 11;
}

/// The OPEN for a neighbor.
pub(super) fn build(config: &PeerConfig) -> Open {
    Open {
        asn: config.local_asn,
        hold_time_s: config.hold_time_s,
        router_id: config.router_id,
        capabilities: capabilities(config),
    }
}

/// What another OPEN would say beyond or instead of the one that was sent, in words; empty when
/// they mean the same. That we have just restarted (the R bit, RFC 4724 §3) is news, not a setting.
pub(super) fn differences(sent: &Open, wanted: &Open) -> Vec<String> {
    let settled = |open: &Open| -> Vec<Capability> {
        let mut list = open.capabilities.clone();
        for capability in &mut list {
            if let Capability::GracefulRestart(restart) = capability {
                restart.restarting = false;
            }
        }
        list
    };
    let mut said = Vec::new();
    if sent.hold_time_s != wanted.hold_time_s {
        said.push(format!("hold time {} s", wanted.hold_time_s));
    }
    let (before, after) = (settled(sent), settled(wanted));
    let added = after.iter().filter(|offer| !before.contains(offer));
    said.extend(added.map(ToString::to_string));
    // One that is offered with another value is named by the new one.
    let replaced = |old: &Capability| {
        let several = matches!(old, Capability::Multiprotocol(_));
        after.contains(old) || (!several && after.iter().any(|new| new.code() == old.code()))
    };
    let gone = before.iter().filter(|offer| !replaced(offer));
    said.extend(gone.map(|offer| format!("no {offer}")));
    said
}

/// The capabilities we offer, in the order of their codes.
fn capabilities(config: &PeerConfig) -> Vec<Capability> {
    let offer = &config.offer;
    let offered = || {
        Family::ALL
            .into_iter()
            .filter(|&family| config.offers(family))
    };
    let mut list: Vec<Capability> = offered()
        .map(|family| Capability::Multiprotocol(family.afi_safi()))
        .collect();
    if offer.route_refresh {
        list.push(Capability::RouteRefresh);
    }
    if offer.extended_next_hop {
        // RFC 8950 §4: next hops of AFI 2 for IPv4 unicast.
        list.push(Capability::ExtendedNextHop(vec![(
            AfiSafi::IPV4_UNICAST,
            2,
        )]));
    }
    if offer.extended_messages {
        list.push(Capability::ExtendedMessage);
    }
    // RFC 9234 §4.1: roles are for eBGP; towards an internal peer the capability is not sent.
    list.extend(
        offer
            .role
            .filter(|_| external(config))
            .map(Capability::Role),
    );
    list.extend(
        offer
            .graceful_restart
            .as_ref()
            .map(|gr| graceful_restart(config, gr)),
    );
    if offer.four_octet_as {
        list.push(Capability::FourOctetAs(config.local_asn));
    }
    let add_path: Vec<_> = Family::ALL
        .into_iter()
        .zip(offer.add_path)
        .filter(|(family, _)| config.offers(*family))
        .filter_map(|(family, offer)| Some((family.afi_safi(), add_path_mode(offer)?)))
        .collect();
    if !add_path.is_empty() {
        list.push(Capability::AddPath(add_path));
    }
    if offer.enhanced_refresh {
        list.push(Capability::EnhancedRouteRefresh);
    }
    if let Some((host, domain)) = &offer.fqdn {
        let (host, domain) = (host.clone().into_bytes(), domain.clone().into_bytes());
        list.push(Capability::Fqdn { host, domain });
    }
    list
}

/// Whether the configuration leaves room for an external peer only.
fn external(config: &PeerConfig) -> bool {
    !config
        .remote_asn
        .accepts(config.local_asn, config.local_asn)
}

fn add_path_mode(offer: AddPathOffer) -> Option<AddPathMode> {
    match (offer.receive, offer.send) {
        (true, true) => Some(AddPathMode::Both),
        (true, false) => Some(AddPathMode::Receive),
        (false, true) => Some(AddPathMode::Send),
        (false, false) => None,
    }
}

fn graceful_restart(config: &PeerConfig, offer: &GracefulRestartOffer) -> Capability {
    let families = Family::ALL
        .into_iter()
        .zip(offer.families)
        .filter_map(|(family, kept)| {
            let forwarding = kept.filter(|_| config.offers(family))?;
            Some(GracefulRestartFamily {
                afi_safi: family.afi_safi(),
                forwarding,
            })
        });
    Capability::GracefulRestart(GracefulRestart {
        restarting: offer.restarting,
        notification: offer.notification,
        restart_time_s: offer.restart_time_s.min(0x0fff),
        families: families.collect(),
    })
}

/// What both OPENs agree on, or the NOTIFICATION that refuses the peer.
pub(super) fn judge(
    config: &PeerConfig,
    local: &Open,
    remote: &Open,
) -> Result<Negotiated, Notification> {
    let refuse = |subcode, data: &[u8]| Notification::with_data(code::OPEN, subcode, data);
    if !config.remote_asn.accepts(local.asn, remote.asn) {
        // BIRD and FRR put the AS they saw into the data; so do we.
        return Err(refuse(subcode::BAD_PEER_AS, &remote.asn.to_be_bytes()));
    }
    let internal = remote.asn == local.asn;
    if internal && remote.router_id == local.router_id {
        return Err(refuse(subcode::BAD_IDENTIFIER, &remote.router_id.octets()));
    }
    if remote.hold_time_s != 0 && remote.hold_time_s < config.hold_time_min_s {
        return Err(refuse(
            subcode::UNACCEPTABLE_HOLD_TIME,
            &remote.hold_time_s.to_be_bytes(),
        ));
    }
    if !internal {
        check_roles(config, local, remote)?;
    }
    let missing = missing_capabilities(config, local, remote);
    if !missing.is_empty() {
        // RFC 5492 §5: the data lists what we miss, as capabilities.
        return Err(refuse(subcode::UNSUPPORTED_CAPABILITY, &missing));
    }
    Ok(Negotiated::between(local, remote))
}

/// RFC 9234 §4.2.
fn check_roles(config: &PeerConfig, local: &Open, remote: &Open) -> Result<(), Notification> {
    let fits = match (local.role(), remote.role()) {
        (None, _) => true,
        (Some(_), None) => !config.role_strict,
        (Some(ours), Some(theirs)) => ours.matches(theirs) && !remote.roles_conflict(),
    };
    if fits {
        Ok(())
    } else {
        Err(Notification::new(code::OPEN, subcode::ROLE_MISMATCH))
    }
}

/// The capabilities we cannot do without and the peer did not send, in wire form.
fn missing_capabilities(config: &PeerConfig, local: &Open, remote: &Open) -> Vec<u8> {
    let mut missing = BytesMut::new();
    for &code in config
        .required_capabilities
        .iter()
        .filter(|&&code| !remote.offers(code))
    {
        match local.capabilities.iter().find(|c| c.code() == code) {
            Some(ours) => encode_capability(ours, &mut missing),
            None => missing.extend_from_slice(&[code, 0]),
        }
    }
    let shared = Family::ALL
        .into_iter()
        .any(|f| local.speaks(f) && remote.speaks(f));
    if !shared {
        // A session without a family could carry nothing: FRR and BIRD refuse it the same way.
        for family in Family::ALL
            .into_iter()
            .filter(|&family| local.speaks(family))
        {
            encode_capability(&Capability::Multiprotocol(family.afi_safi()), &mut missing);
        }
    }
    missing.to_vec()
}
