//! What the RIB needs to know about a peer and about itself.
//!
//! A [`PeerSession`] is handed in when a session reaches Established and is immutable until it
//! goes down; only the policies may be replaced while it is up. It carries facts (who, which
//! families, what was negotiated), never configuration to be interpreted: groups, defaults and
//! capabilities are resolved by the caller.
//!
//! A [`PeerSlot`] names the session inside the RIB. The caller assigns slots, reuses them only
//! after `peer_down`, and keeps them below [`PeerSlot::MAX`]; two slots above it are ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proto_codec::bgp::EncodeContext;
pub use proto_codec::bgp::capability::Role;

use crate::policy::Policy;

/// A peer inside the RIB; small and dense, so per-peer state is an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerSlot(pub u16);

impl PeerSlot {
    /// The highest slot a caller may use: 32,000 sessions. The top bit of the 16 is a mark in
    /// the Adj-RIB-Out.
    pub const MAX: PeerSlot = PeerSlot(32_000);
    /// The source of routes that start here.
    pub const LOCAL: PeerSlot = PeerSlot(0x7ffe);
    /// No peer at all; sorts behind all others.
    pub(crate) const NONE: PeerSlot = PeerSlot(0x7fff);

    /// The slot as an array index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How a peer stands to us, which decides what it may be told (RFC 4271 §9.2, RFC 4456 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKind {
    /// Another AS.
    External,
    /// Our AS, not a client of ours.
    Internal,
    /// Our AS and a client we reflect for.
    InternalClient,
}

impl PeerKind {
    /// Whether the peer is in our AS.
    pub fn is_internal(self) -> bool {
        !matches!(self, PeerKind::External)
    }
}

/// How many paths of a prefix the peer is told (RFC 7911).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AddPathTx {
    /// The best path alone, without path identifiers.
    #[default]
    Off,
    /// The best `n` usable paths, each with a path identifier.
    Best(u16),
    /// All usable paths.
    All,
}

/// An established session.
#[derive(Clone, Debug)]
pub struct PeerSession {
    /// Its name inside the RIB.
    pub slot: PeerSlot,
    /// Address of the peer.
    pub address: IpAddr,
    /// Interface the peer is on, when its address or next hop is link-local.
    pub interface: Option<u32>,
    /// BGP Identifier of the peer.
    pub router_id: Ipv4Addr,
    /// AS of the peer.
    pub asn: u32,
    /// How it stands to us.
    pub kind: PeerKind,
    /// The AS we are towards this peer.
    pub local_asn: u32,
    /// Our IPv4 address towards this peer, for next-hop-self.
    pub local_v4: Option<Ipv4Addr>,
    /// Our global IPv6 address towards this peer.
    pub local_v6: Option<Ipv6Addr>,
    /// Our link-local address on a shared link (RFC 2545 §3).
    pub local_link_local: Option<Ipv6Addr>,
    /// Families negotiated, indexed as `Family::index`.
    pub families: [bool; 2],
    /// How messages to this peer are encoded.
    pub encode: EncodeContext,
    /// What of ADD-PATH we send, per family; `Off` unless negotiated.
    pub add_path_tx: [AddPathTx; 2],
    /// Set our own address as next hop towards an iBGP peer. (eBGP: always, unless policy says
    /// `unchanged`.)
    pub next_hop_self: bool,
    /// Leave the next hop as it was received, towards an eBGP peer too.
    pub next_hop_keep: bool,
    /// How often our own AS may be in AS_PATH (RFC 4271 §9.1.2 says never).
    pub allow_own_as: u8,
    /// Refuse routes whose first AS is not the peer's (RFC 4271 §6.3).
    pub enforce_first_as: bool,
    /// What it reflects from now on is kept out of use: the peer has been told that we can do
    /// without, and may stop at any moment. What is in use already stays.
    pub ignore_reflected: bool,
    /// Most prefixes per family the peer may announce (RFC 4271 §6.7).
    pub max_prefixes: Option<u32>,
    /// Our role, when configured (RFC 9234).
    pub role: Option<Role>,
    /// Decides what is accepted.
    pub import: Arc<Policy>,
    /// Decides what is announced.
    pub export: Arc<Policy>,
}

/// What the RIB is told once, at start.
#[derive(Clone, Debug)]
pub struct RibConfig {
    /// Our BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Our AS.
    pub asn: u32,
    /// Our cluster, when we reflect (RFC 4456 §7).
    pub cluster_id: Ipv4Addr,
    /// Most next hops of one route; 1 = no multipath.
    pub multipath: u16,
    /// Multipath over different AS paths of equal length.
    pub multipath_relax: bool,
    /// LOCAL_PREF of a route that came without one.
    pub default_local_pref: u32,
    /// Ask for the state of next hops and hold paths invalid until it is known. Without it,
    /// every next hop counts as reachable (no kernel, a pure route reflector).
    pub track_next_hops: bool,
    /// Addresses of this router: a route whose next hop is one of them is refused
    /// (RFC 4271 §5.1.3).
    pub own_addresses: Vec<IpAddr>,
    /// Segments (of about 64 KiB) an update group keeps for members that are behind; who is
    /// further behind catches up alone.
    pub log_segments: usize,
    /// Routes are handed out for the kernel (`poll_fib`).
    pub fib: bool,
    /// Seeds the hash tables.
    pub seed: u64,
}

impl RibConfig {
    /// A router that keeps no next hops, writes no kernel routes and uses one path.
    pub fn new(router_id: Ipv4Addr, asn: u32) -> Self {
        Self {
            router_id,
            asn,
            cluster_id: router_id,
            multipath: 1,
            multipath_relax: false,
            default_local_pref: 100,
            track_next_hops: false,
            own_addresses: Vec::new(),
            log_segments: crate::group::LOG_SEGMENTS,
            fib: false,
            seed: 0,
        }
    }
}

impl PeerSession {
    /// A session of one address with everything optional off: accepts and announces all, IPv4
    /// and IPv6 unicast.
    pub fn new(slot: PeerSlot, address: IpAddr, asn: u32, local: &RibConfig) -> Self {
        let kind = match asn == local.asn {
            true => PeerKind::Internal,
            false => PeerKind::External,
        };
        let router_id = match address {
            IpAddr::V4(addr) => addr,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        Self {
            slot,
            address,
            interface: None,
            router_id,
            asn,
            kind,
            local_asn: local.asn,
            local_v4: Some(local.router_id),
            local_v6: None,
            local_link_local: None,
            families: [true; 2],
            encode: EncodeContext::default(),
            add_path_tx: [AddPathTx::Off; 2],
            next_hop_self: false,
            next_hop_keep: false,
            allow_own_as: 0,
            enforce_first_as: true,
            ignore_reflected: false,
            max_prefixes: None,
            role: None,
            import: Policy::accept_all(),
            export: Policy::accept_all(),
        }
    }
}
