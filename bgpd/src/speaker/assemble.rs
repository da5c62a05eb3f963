//! From a resolved configuration to what the parts want to be told.
//!
//! The configuration speaks of neighbors, the session machine of capabilities and timers, the RIB
//! of established sessions, the socket layer of hop limits and keys. This module holds the
//! translations and nothing else, as pure functions, so that `reload` compares what they yield
//! instead of comparing keys of the file: two configurations that assemble alike are the same.
//!
//! Where a default depends on the kind of session it is decided here: eBGP talks to a directly
//! connected router and sends TTL 1 (RFC 4271 §5.1.3 takes that for granted) unless multihop or
//! GTSM (RFC 5082) is asked for; iBGP runs over any distance.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use proto_codec::afi::Family;
use proto_codec::bgp::DecodeContext;
use rib::{AddPathTx, PeerKind, PeerSession, PeerSlot, Policy};

use super::port::{Md5Key, SocketOptions};
use crate::config::{
    AsnRule, GracefulRestart, Host, Neighbor, NeighborAddress, NeighborOrigin, Role, Router,
};
use crate::session::{self, AddPathOffer, Established, GracefulRestartOffer, Offer, PeerConfig};

/// Longest pause between two attempts to connect. A neighbor that is gone for an hour is back
/// within a minute of its return.
const CONNECT_RETRY_MAX: Duration = Duration::from_secs(60);

/// What the session machine of a neighbor is told. `restarting` says that the tables of our last
/// life are not back yet (the R bit of RFC 4724 §3).
#[must_use]
pub fn peer_config(
    router: &Router,
    neighbor: &Neighbor,
    host_name: &str,
    restarting: bool,
) -> PeerConfig {
    let settings = &neighbor.settings;
    let rule = match settings.asn {
        AsnRule::Exact(asn) => session::AsnRule::Exact(asn),
        AsnRule::Internal => session::AsnRule::Internal,
        AsnRule::External => session::AsnRule::External,
    };
    let asn = settings.local_asn.unwrap_or(router.asn);
    let mut config = PeerConfig::new(asn, router.router_id, rule);
    config.passive = settings.passive;
    config.hold_time_s = whole_seconds(settings.hold_time);
    config.keepalive = Some(settings.keepalive).filter(|keepalive| !keepalive.is_zero());
    config.connect_retry = settings.connect_retry;
    config.connect_retry_max = settings.connect_retry.max(CONNECT_RETRY_MAX);
    config.role_strict = settings.role_strict;
    if neighbor.origin == NeighborOrigin::Dynamic {
        config.open_wait = super::admission::OPEN_WAIT;
    }
    config.offer = offer(neighbor, host_name, restarting);
    config
}

fn offer(neighbor: &Neighbor, host_name: &str, restarting: bool) -> Offer {
    let settings = &neighbor.settings;
    let add_path = AddPathOffer {
        receive: settings.add_path.receive,
        send: settings.add_path.send,
    };
    let mut offer = Offer {
        families: settings.families,
        extended_next_hop: settings.extended_next_hop,
        graceful_restart: graceful_restart(neighbor, restarting),
        role: settings.role.map(session_role),
        ..Offer::default()
    };
    for family in Family::ALL {
        if let (Some(slot), Some(true)) = (
            offer.add_path.get_mut(family.index()),
            settings.families.get(family.index()),
        ) {
            *slot = add_path;
        }
    }
    if !host_name.is_empty() {
        offer.fqdn = Some((host_name.to_owned(), String::new()));
    }
    offer
}

/// A helper lists no families: it promises to keep the neighbor's routes and claims nothing for
/// itself (RFC 4724 §3).
fn graceful_restart(neighbor: &Neighbor, restarting: bool) -> Option<GracefulRestartOffer> {
    let settings = &neighbor.settings;
    let families = match settings.graceful_restart {
        GracefulRestart::Off => return None,
        GracefulRestart::Helper => [None; 2],
        // The routes stay in the kernel while we are away, so forwarding state is preserved.
        GracefulRestart::Full => settings.families.map(|on| on.then_some(true)),
    };
    Some(GracefulRestartOffer {
        restart_time_s: whole_seconds(settings.graceful_restart_time).min(4095),
        restarting: restarting && settings.graceful_restart == GracefulRestart::Full,
        notification: true,
        families,
    })
}

fn whole_seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}

/// Hop limits and key of a neighbor's connections.
#[must_use]
pub fn socket_options(neighbor: &Neighbor) -> SocketOptions {
    let settings = &neighbor.settings;
    let (ttl, ttl_min) = match (settings.ttl_security, settings.ebgp_multihop) {
        // RFC 5082 §3: send 255, accept what lost at most `hops - 1` on the way.
        (Some(hops), _) => (Some(255), Some(255 - hops.saturating_sub(1).min(254))),
        (None, Some(hops)) => (Some(hops), None),
        (None, None) if settings.internal => (Some(64), None),
        (None, None) => (Some(1), None),
    };
    let md5_key = settings
        .password
        .as_ref()
        .map(|password| Md5Key::new(&password.key));
    SocketOptions {
        ttl,
        ttl_min,
        md5_key,
    }
}

/// Where a neighbor is dialled, and on which interface when its address needs one. `None` while
/// nobody knows the address.
#[must_use]
pub fn remote(neighbor: &Neighbor) -> Option<(SocketAddr, Option<String>)> {
    let port = neighbor.settings.port;
    match &neighbor.address {
        NeighborAddress::Address(address) => Some((SocketAddr::new(*address, port), None)),
        NeighborAddress::LinkLocal(address, interface) => {
            let socket = SocketAddrV6::new(*address, port, 0, 0);
            Some((SocketAddr::V6(socket), Some(interface.clone())))
        }
        NeighborAddress::Interface(_) => None,
    }
}

/// Whether the session only makes sense over a link that is up: eBGP without multihop.
#[must_use]
pub fn single_hop(neighbor: &Neighbor) -> bool {
    let settings = &neighbor.settings;
    !settings.internal
        && settings.ebgp_multihop.is_none()
        && settings.ttl_security.unwrap_or(1) == 1
}

/// The compiled policies of a neighbor.
#[derive(Debug, Clone)]
pub struct Policies {
    /// What is accepted.
    pub import: Arc<Policy>,
    /// What is sent.
    pub export: Arc<Policy>,
}

impl Policies {
    /// Whether they are the very same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.import, &other.import) && Arc::ptr_eq(&self.export, &other.export)
    }
}

/// How the UPDATEs of a session are read.
#[must_use]
pub fn decode_context(neighbor: &Neighbor, established: &Established) -> DecodeContext {
    DecodeContext {
        enforce_first_as: neighbor.settings.enforce_first_as,
        reject_as_sets: neighbor.settings.reject_as_sets,
        ..established.negotiated.decode_context()
    }
}

/// What the RIB is told when a session is up.
#[must_use]
pub fn peer_session(
    slot: PeerSlot,
    neighbor: &Neighbor,
    established: &Established,
    host: &Host,
    policies: Policies,
) -> PeerSession {
    let settings = &neighbor.settings;
    let negotiated = &established.negotiated;
    let local = established.local.ip();
    let (local_v4, local_v6) = own_next_hops(neighbor, local, host);
    PeerSession {
        slot,
        address: established.remote.ip(),
        interface: scope_of(established.remote),
        router_id: established.remote_open.router_id,
        asn: established.remote_open.asn,
        kind: match (settings.internal, settings.route_reflector_client) {
            (false, _) => PeerKind::External,
            (true, false) => PeerKind::Internal,
            (true, true) => PeerKind::InternalClient,
        },
        local_asn: negotiated.local_asn,
        local_v4,
        local_v6,
        local_link_local: link_local_beside(local, host),
        families: negotiated.families,
        encode: negotiated.encode_context(),
        add_path_tx: negotiated
            .add_path_tx
            .map(|on| if on { AddPathTx::All } else { AddPathTx::Off }),
        next_hop_self: settings.next_hop_self,
        next_hop_keep: settings.next_hop_keep,
        allow_own_as: settings.allow_own_as,
        enforce_first_as: settings.enforce_first_as,
        ignore_reflected: super::staging::ignores_reflected(neighbor),
        max_prefixes: settings.max_prefixes,
        role: settings.role.map(rib_role),
        import: policies.import,
        export: policies.export,
    }
}

fn scope_of(remote: SocketAddr) -> Option<u32> {
    match remote {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
        _ => None,
    }
}

/// The addresses we name as next hop towards a neighbor: configured, else the session's own for
/// its family and an address of the same interface for the other.
fn own_next_hops(
    neighbor: &Neighbor,
    local: IpAddr,
    host: &Host,
) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let settings = &neighbor.settings;
    let mut v4 = settings.next_hop_v4;
    let mut v6 = settings.next_hop_v6;
    match local {
        IpAddr::V4(address) => v4 = v4.or(Some(address)),
        IpAddr::V6(address) if !address.is_unicast_link_local() => v6 = v6.or(Some(address)),
        IpAddr::V6(_) => {}
    }
    for address in beside(local, host) {
        match address {
            IpAddr::V4(address) if v4.is_none() => v4 = Some(address),
            IpAddr::V6(address) if v6.is_none() && !address.is_unicast_link_local() => {
                v6 = Some(address);
            }
            _ => {}
        }
    }
    // A link without global addresses: the link-local one is all there is to name (RFC 2545 §3 has
    // no form for it; everybody takes it in the place of the global one).
    if let (None, IpAddr::V6(address)) = (v6, local) {
        v6 = Some(address);
    }
    (v4, v6)
}

/// The link-local address of the session's interface (RFC 2545 §3).
fn link_local_beside(local: IpAddr, host: &Host) -> Option<Ipv6Addr> {
    beside(local, host).find_map(|address| match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
        _ => None,
    })
}

/// All addresses of the interface that holds `local`.
fn beside(local: IpAddr, host: &Host) -> impl Iterator<Item = IpAddr> + '_ {
    let interface = host
        .addresses
        .iter()
        .find(|own| own.address == local)
        .map(|own| own.interface.as_str());
    host.addresses
        .iter()
        .filter(move |own| Some(own.interface.as_str()) == interface)
        .map(|own| own.address)
}

fn rib_role(role: Role) -> rib::Role {
    match role {
        Role::Provider => rib::Role::Provider,
        Role::RouteServer => rib::Role::RouteServer,
        Role::RouteServerClient => rib::Role::RouteServerClient,
        Role::Customer => rib::Role::Customer,
        Role::Peer => rib::Role::Peer,
    }
}

fn session_role(role: Role) -> proto_codec::bgp::capability::Role {
    use proto_codec::bgp::capability::Role as Wire;
    match role {
        Role::Provider => Wire::Provider,
        Role::RouteServer => Wire::RouteServer,
        Role::RouteServerClient => Wire::RouteServerClient,
        Role::Customer => Wire::Customer,
        Role::Peer => Wire::Peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HostAddress, parse};

    fn neighbor(keys: &str) -> Neighbor {
        let text = format!(
            "[router]\nasn = 64500\nrouter-id = \"10.0.0.1\"\n\
             [[neighbor]]\naddress = \"10.0.0.2\"\n{keys}\n"
        );
        let loaded = parse("test.toml", &text, &Host::default());
        let mut config = loaded.expect("a good configuration").config;
        config.neighbors.remove(0)
    }

    fn limits(keys: &str) -> (Option<u8>, Option<u8>) {
        let options = socket_options(&neighbor(keys));
        (options.ttl, options.ttl_min)
    }

    /// RFC 5082 §3: 255 on the way out, and no more hops than allowed on the way in.
    #[test]
    fn hop_limits_follow_the_kind_of_session() {
        assert_eq!(limits("asn = 64501"), (Some(1), None));
        assert_eq!(limits("asn = 64501\nebgp-multihop = 4"), (Some(4), None));
        assert_eq!(limits("asn = \"internal\""), (Some(64), None));
        assert_eq!(
            limits("asn = 64501\nttl-security = 1"),
            (Some(255), Some(255))
        );
        assert_eq!(
            limits("asn = 64501\nttl-security = 3"),
            (Some(255), Some(253))
        );
        assert_eq!(
            limits("asn = 64501\nttl-security = 254"),
            (Some(255), Some(2))
        );
    }

    #[test]
    fn only_ebgp_to_the_next_router_hangs_on_its_link() {
        assert!(single_hop(&neighbor("asn = 64501")));
        assert!(single_hop(&neighbor("asn = 64501\nttl-security = 1")));
        assert!(!single_hop(&neighbor("asn = 64501\nttl-security = 2")));
        assert!(!single_hop(&neighbor("asn = 64501\nebgp-multihop = 2")));
        assert!(!single_hop(&neighbor("asn = \"internal\"")));
    }

    fn host(addresses: &[(&str, &str)]) -> Host {
        let addresses = addresses.iter().map(|(interface, address)| HostAddress {
            interface: (*interface).to_owned(),
            loopback: false,
            address: address.parse().expect("an address"),
        });
        Host {
            addresses: addresses.collect(),
            ..Host::default()
        }
    }

    /// RFC 4760 §3, RFC 2545 §3: the other family's next hop is on the same interface.
    #[test]
    fn own_next_hops_come_from_the_session_and_its_interface() {
        let host = host(&[
            ("eth0", "10.0.0.1"),
            ("eth1", "2001:db8:1::1"),
            ("eth0", "fe80::1"),
            ("eth0", "2001:db8::1"),
        ]);
        let local: IpAddr = "10.0.0.1".parse().expect("an address");
        let (v4, v6) = own_next_hops(&neighbor("asn = 64501"), local, &host);
        assert_eq!(v4.map(IpAddr::V4), Some(local));
        assert_eq!(v6, "2001:db8::1".parse().ok());
        assert_eq!(link_local_beside(local, &host), "fe80::1".parse().ok());
    }

    #[test]
    fn a_link_without_global_addresses_names_its_link_local_one() {
        let host = host(&[("eth0", "fe80::1")]);
        let local: IpAddr = "fe80::1".parse().expect("an address");
        let (v4, v6) = own_next_hops(&neighbor("asn = 64501"), local, &host);
        assert_eq!((v4, v6), (None, "fe80::1".parse().ok()));
    }
}
