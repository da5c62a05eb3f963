//! BGPPeer, `metallb.io/v1beta1` and `v1beta2`, and a peer of the old ConfigMap: read and checked.
//!
//! The checks are MetalLB's, with two bounds widened: a port may be any (MetalLB's schema stops at
//! 16384), and so may a 32-bit AS. What MetalLB's FRR would do and we do not (unnumbered sessions,
//! VRFs) is kept here as it was asked for; `neighbor` refuses it by name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::read::{Table, Wrong};
use super::selector;
use crate::{PeerAsn, Selector};

/// The most octets of a TCP-MD5 key that Linux takes (`TCP_MD5SIG_MAXKEYLEN`).
pub(super) const KEY_LEN_MAX: usize = 80;

/// A password that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden(pub(super) Box<str>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hidden({} octets)", self.0.len())
    }
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remote {
    Address(IpAddr),
    /// Unnumbered, over this interface.
    Interface(Box<str>),
}

/// A peer as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) my_asn: u32,
    pub(super) asn: PeerAsn,
    pub(super) local_asn: Option<u32>,
    pub(super) remote: Remote,
    pub(super) source_address: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) hold_time: Option<Duration>,
    pub(super) keepalive: Option<Duration>,
    pub(super) connect_time: Option<Duration>,
    pub(super) router_id: Option<Ipv4Addr>,
    pub(super) node_selectors: Vec<Selector>,
    pub(super) password: Option<Hidden>,
    /// Name of the secret, and the namespace when it is written.
    pub(super) password_secret: Option<(Box<str>, Option<Box<str>>)>,
    pub(super) bfd_profile: Option<Box<str>>,
    pub(super) graceful_restart: bool,
    pub(super) multihop: bool,
    pub(super) vrf: Option<Box<str>>,
    pub(super) disable_mp: bool,
    pub(super) dual_stack: bool,
}

impl Peer {
    /// Reads the `spec` of a custom resource.
    pub(super) fn read(spec: &mut Table<'_>, unknown: &mut Vec<Box<str>>) -> Result<Self, Wrong> {
        let my_asn = asn(spec, "myASN")?;
        let Some(my_asn) = my_asn else {
            return Err(spec.wrong("myASN", "missing; write the AS of this end"));
        };
        let asn = remote_asn(spec, my_asn)?;
        let remote = remote(spec)?;
        let source_address = source_address(spec, "sourceAddress", &remote)?;
        let multihop = spec.flag("ebgpMultiHop")?.unwrap_or(false);
        no_multihop_inside(spec, "ebgpMultiHop", (multihop, asn, my_asn))?;
        let times = (spec.duration("holdTime")?, spec.duration("keepaliveTime")?);
        let (hold_time, keepalive) = timers(spec, ("holdTime", "keepaliveTime"), times)?;
        let connect_time = spec.duration("connectTime")?;
        if let Some(time) = connect_time
            && (time.subsec_nanos() != 0 || !(1..=65_535).contains(&time.as_secs()))
        {
            let text = "out of range; write whole seconds, \"1s\" to \"65535s\"";
            return Err(spec.wrong("connectTime", text));
        }
        let password = spec.text("password")?;
        let mut secret = spec.table("passwordSecret")?;
        let secret_namespace = secret.text("namespace")?.map(Into::into);
        let secret_name = secret.text("name")?;
        secret.unknown(unknown);
        if password.is_some() && secret_name.is_some() {
            let text = "stands beside passwordSecret; keep one of the two, best the secret";
            return Err(spec.wrong("password", text));
        }
        Ok(Self {
            my_asn,
            asn,
            local_asn: self::asn(spec, "localASN")?,
            remote,
            source_address,
            port: port(spec, "peerPort")?,
            hold_time,
            keepalive,
            connect_time,
            router_id: spec.parsed("routerID", "an IPv4 address")?,
            node_selectors: selector::list(spec, "nodeSelectors", unknown)?,
            password: password.map(|text| Hidden(text.into())),
            password_secret: secret_name.map(|name| (name.into(), secret_namespace)),
            bfd_profile: spec.text("bfdProfile")?.map(Into::into),
            graceful_restart: spec.flag("enableGracefulRestart")?.unwrap_or(false),
            multihop,
            vrf: spec.text("vrf")?.map(Into::into),
            disable_mp: spec.flag("disableMP")?.unwrap_or(false),
            dual_stack: spec.flag("dualStackAddressFamily")?.unwrap_or(false),
        })
    }

    /// Reads a peer of the ConfigMap. Its hold time is 90 s when none is written, its timers count
    /// in whole seconds, and an eBGP peer may always be several hops away: MetalLB's own speaker of
    /// that time never looked, and a session that ran then has to run now.
    pub(super) fn read_old(
        peer: &mut Table<'_>,
        unknown: &mut Vec<Box<str>>,
    ) -> Result<Self, Wrong> {
        let Some(my_asn) = asn(peer, "my-asn")? else {
            return Err(peer.wrong("my-asn", "missing; write the AS of this end"));
        };
        let Some(peer_asn) = asn(peer, "peer-asn")? else {
            return Err(peer.wrong("peer-asn", "missing; write the AS of the router"));
        };
        let asn = PeerAsn::Exact(peer_asn);
        let Some(address) = peer.parsed("peer-address", "an IP address")? else {
            return Err(peer.wrong("peer-address", "missing; write the address of the router"));
        };
        let remote = Remote::Address(address);
        let source_address = source_address(peer, "source-address", &remote)?;
        let multihop = peer.flag("ebgp-multihop")?.unwrap_or(false);
        no_multihop_inside(peer, "ebgp-multihop", (multihop, asn, my_asn))?;
        let whole = |time: Duration| Duration::from_secs(time.as_secs());
        let hold = peer.duration("hold-time")?.map(whole);
        let keepalive = peer.duration("keepalive-time")?.map(whole);
        let times = (hold.or(Some(Duration::from_secs(90))), keepalive);
        let (hold_time, keepalive) = timers(peer, ("hold-time", "keepalive-time"), times)?;
        // The example that MetalLB shipped writes `bfdProfile`, its reader wants `bfd-profile`.
        let example = peer.text("bfdProfile")?;
        let bfd_profile = peer.text("bfd-profile")?.or(example).map(Into::into);
        Ok(Self {
            my_asn,
            asn,
            local_asn: None,
            remote,
            source_address,
            port: port(peer, "peer-port")?,
            hold_time,
            keepalive,
            connect_time: None,
            router_id: peer.parsed("router-id", "an IPv4 address")?,
            node_selectors: selector::list(peer, "node-selectors", unknown)?,
            password: peer.text("password")?.map(|text| Hidden(text.into())),
            password_secret: None,
            bfd_profile,
            graceful_restart: false,
            multihop,
            vrf: None,
            disable_mp: false,
            dual_stack: false,
        })
    }
}

/// An AS; 0 is none, as in MetalLB.
fn asn(table: &mut Table<'_>, key: &'static str) -> Result<Option<u32>, Wrong> {
    Ok(table.number(key, u32::MAX)?.filter(|asn| *asn != 0))
}

fn remote_asn(spec: &mut Table<'_>, my_asn: u32) -> Result<PeerAsn, Wrong> {
    let dynamic = spec.text("dynamicASN")?;
    match (asn(spec, "peerASN")?, dynamic.as_deref()) {
        (Some(_), Some(_)) => {
            Err(spec.wrong("peerASN", "stands beside dynamicASN; keep one of the two"))
        }
        (None, None) => Err(spec.wrong(
            "peerASN",
            "missing; write the AS of the router, or dynamicASN: internal or external",
        )),
        (Some(asn), None) => Ok(PeerAsn::Exact(asn)),
        // Internal means MetalLB's AS, which need not be the router's own of bgpd.
        (None, Some("internal")) => Ok(PeerAsn::Exact(my_asn)),
        (None, Some("external")) => Ok(PeerAsn::External),
        (None, Some(other)) => Err(spec.wrong(
            "dynamicASN",
            format!("\"{other}\" is neither internal nor external"),
        )),
    }
}

fn remote(spec: &mut Table<'_>) -> Result<Remote, Wrong> {
    let address = spec.parsed("peerAddress", "an IP address")?;
    let interface = spec.text("interface")?;
    match (address, interface) {
        (Some(address), None) => Ok(Remote::Address(address)),
        (None, Some(interface)) => Ok(Remote::Interface(interface.into())),
        (None, None) => Err(spec.wrong("peerAddress", "missing; write the address of the router")),
        (Some(_), Some(_)) => Err(spec.wrong(
            "interface",
            "stands beside peerAddress; keep one of the two",
        )),
    }
}

fn source_address(
    table: &mut Table<'_>,
    key: &'static str,
    remote: &Remote,
) -> Result<Option<IpAddr>, Wrong> {
    let source: Option<IpAddr> = table.parsed(key, "an IP address")?;
    match (source, remote) {
        (Some(source), Remote::Address(remote)) if source.is_ipv4() != remote.is_ipv4() => {
            let text = format!("{source} and the peer's {remote} are of two families");
            Err(table.wrong(key, text))
        }
        _ => Ok(source),
    }
}

fn no_multihop_inside(
    table: &Table<'_>,
    key: &str,
    (multihop, asn, my_asn): (bool, PeerAsn, u32),
) -> Result<(), Wrong> {
    if multihop && asn == PeerAsn::Exact(my_asn) {
        let text = "is for eBGP, and the peer is of our own AS (iBGP needs it not); leave it out";
        return Err(table.wrong(key, text));
    }
    Ok(())
}

fn port(table: &mut Table<'_>, key: &'static str) -> Result<Option<u16>, Wrong> {
    let port = table.number(key, u32::from(u16::MAX))?;
    Ok(port
        .filter(|port| *port != 0)
        .and_then(|port| u16::try_from(port).ok()))
}

type Times = (Option<Duration>, Option<Duration>);

/// Hold time and keepalive interval (RFC 4271 §4.2: 0, or at least three seconds); one alone gives
/// the other as a third or threefold, as in MetalLB.
fn timers(table: &Table<'_>, keys: (&str, &str), times: Times) -> Result<Times, Wrong> {
    let (hold, keepalive) = times;
    let Some(hold) = hold.or_else(|| keepalive?.checked_mul(3)) else {
        return Ok((None, None));
    };
    if hold.as_secs() != 0 && hold.as_secs() < 3 || hold.as_secs() > 65_535 {
        let text = "out of range; write \"0s\" or \"3s\" to \"65535s\"";
        return Err(table.wrong(keys.0, text));
    }
    if keepalive.is_some_and(|keepalive| keepalive > hold) {
        let text = format!("is longer than the hold time of {} s", hold.as_secs());
        return Err(table.wrong(keys.1, text));
    }
    Ok((Some(hold), keepalive.or(Some(hold / 3))))
}
