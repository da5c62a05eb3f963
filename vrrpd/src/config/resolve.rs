//! From the file as written to a configuration: defaults, and what is wrong or doubtful.
//!
//! Each instance is judged alone first and then beside the others. Warnings (lints) are for files
//! that run but not as most people mean them: a password that keepalived would cut, a failover
//! slower than five seconds.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use ctl::config::{At, Sink, duration_text};
use ipnet::IpNet;
use proto_codec::vrrp::{ADDRESSES_MAX, Auth, ChecksumForm, PRIORITY_OWNER, Version};

use super::auth;
use super::group;
use super::metrics;
use super::model::{Config, Instance, Place};
use super::notify;
use super::raw::{Raw, RawInstance};
use super::routes;
use super::track;
use crate::router::Settings;

/// Priority of a backup that is told nothing else (RFC 9568 §5.2.4).
const PRIORITY_DEFAULT: u8 = 100;
/// Interval when none is given (RFC 9568 §6.1).
const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// Longest interval of version 3: 12 bits of centiseconds.
const INTERVAL_V3_MAX_MS: u128 = 40_950;
/// A dead master that is noticed later than this is probably not meant.
const DETECTION_SLOW: Duration = Duration::from_secs(5);

pub(super) fn resolve(raw: &Raw, directory: &Path, sink: &Sink) -> Config {
    let resolved: Vec<(Instance, &RawInstance)> = raw
        .instances
        .iter()
        .filter_map(|one| Some((instance(one, directory, sink)?, one)))
        .collect();
    beside_each_other(&resolved, sink);
    routes::beside_each_other(&resolved, sink);
    let instances: Vec<Instance> = resolved.into_iter().map(|(one, _)| one).collect();
    let groups = group::resolve(&raw.groups, &instances, directory, sink);
    Config {
        instances,
        groups,
        metrics: metrics::resolve(raw.metrics.as_ref(), sink),
    }
}

fn value<T: Copy>(at: Option<&At<T>>, default: T) -> T {
    at.map_or(default, |at| at.value)
}

fn instance(raw: &RawInstance, directory: &Path, sink: &Sink) -> Option<Instance> {
    let networks = networks(raw, sink);
    let version = raw.version.as_ref().map_or(Version::V3, |at| at.value.0);
    // Without a readable address the rest is judged as for IPv4; the instance is dropped below.
    let first = networks
        .first()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpNet::addr);
    if let (Some(at), Version::V2, IpAddr::V6(_)) = (&raw.version, version, first) {
        sink.error(&at.span, "VRRP version 2 has no IPv6", "write version = 3");
    }
    let priority = priority(raw, sink);
    let settings = Settings {
        vrid: vrid(raw, first, sink),
        version,
        priority,
        interval: interval(raw, version, sink),
        preempt: value(raw.preempt.as_ref(), true),
        preempt_delay: value(raw.preempt_delay.as_ref(), Duration::ZERO),
        start_delay: value(raw.start_delay.as_ref(), Duration::ZERO),
        addresses: networks.iter().map(IpNet::addr).collect(),
        checksum: raw
            .checksum
            .as_ref()
            .map_or(ChecksumForm::default(), |at| at.value.0),
        auth: auth::password(raw, version, directory, sink),
        signing: auth::signing(raw, version, directory, sink),
        virtual_mac: value(raw.virtual_mac.as_ref(), false) && priority != PRIORITY_OWNER,
        unicast_peers: unicast_peers(raw, first, sink),
    };
    if let Some(at) = &raw.checksum
        && (version == Version::V2 || first.is_ipv6())
    {
        sink.warning(
            &at.span,
            "`checksum` means nothing here: only version 3 over IPv4 has two readings",
            "remove it",
        );
    }
    lint(raw, &settings, sink);
    let place = match &raw.interface {
        Some(at) => Place::Interface(at.value.clone()),
        None => Place::RouteTo(towards(raw, &networks, sink).unwrap_or(first)),
    };
    let track = track::resolve(&raw.track, &settings, directory, sink);
    let name = raw.name.as_ref()?.value.clone();
    (!networks.is_empty()).then_some(Instance {
        name,
        place,
        settings,
        networks,
        track,
        routes: routes::resolve(raw.routes.as_ref(), first.is_ipv6(), sink),
        notify: notify::resolve(raw.notify.as_ref(), directory, sink),
        accept: value(raw.accept.as_ref(), true),
    })
}

/// The address whose subnet or route shows the interface: every interface has a link-local subnet.
fn towards(raw: &RawInstance, networks: &[IpNet], sink: &Sink) -> Option<IpAddr> {
    let local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let found = networks
        .iter()
        .map(IpNet::addr)
        .find(|address| !local(address));
    if let (None, false, Some(at)) = (found, networks.is_empty(), &raw.addresses) {
        sink.error(
            &at.span,
            "a link-local address is on no particular interface",
            "write `interface`, or add an address that only one interface has a subnet for",
        );
    }
    found
}

/// The virtual addresses: one family, no repetition, at most what one advert holds.
fn networks(raw: &RawInstance, sink: &Sink) -> Vec<IpNet> {
    let Some(list) = &raw.addresses else {
        return Vec::new();
    };
    let Some(first) = list.value.first() else {
        if raw.addresses_empty {
            sink.error(
                &list.span,
                "no address: a virtual router needs at least one",
                "write addresses = [\"10.0.50.20\"]",
            );
        }
        return Vec::new();
    };
    let ipv6 = first.value.0.addr().is_ipv6();
    for (at, one) in list.value.iter().enumerate() {
        let address = one.value.0.addr();
        if address.is_ipv6() != ipv6 {
            sink.error(
                &one.span,
                format!("{address} is of another family than the first address"),
                "write two instances, one for IPv4 and one for IPv6",
            );
        }
        let before = list.value.iter().take(at);
        if before.map(|one| one.value.0.addr()).any(|it| it == address) {
            sink.error(&one.span, format!("{address} is there twice"), "remove one");
        }
    }
    if list.value.len() > ADDRESSES_MAX {
        sink.error(
            &list.span,
            format!("{} addresses, one advert holds 255", list.value.len()),
            "split them over several instances",
        );
    }
    let multicast = raw
        .unicast_peers
        .as_ref()
        .is_none_or(|at| at.value.is_empty());
    if let IpAddr::V6(v6) = first.value.0.addr()
        && multicast
        && !v6.is_unicast_link_local()
    {
        sink.error(
            &first.span,
            "the first IPv6 address must be link-local (RFC 9568 §5.2.9)",
            "begin the list with a link-local one, such as \"fe80::50\", the same on all routers",
        );
    }
    list.value.iter().map(|one| one.value.0).collect()
}

/// The vrid given, or the last octet of the first address: routers of one group agree on it without
/// being told, and groups of one subnet differ.
fn vrid(raw: &RawInstance, first: IpAddr, sink: &Sink) -> u8 {
    if let Some(at) = &raw.vrid {
        if at.value == 0 {
            sink.error(&at.span, "`vrid` is 0", "write a number from 1 to 255");
        }
        return at.value;
    }
    let last = match first {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    };
    match last {
        0 => u8::MAX,
        last => last,
    }
}

fn priority(raw: &RawInstance, sink: &Sink) -> u8 {
    if let Some(at) = raw.priority.as_ref().filter(|at| at.value == 0) {
        sink.error(
            &at.span,
            "priority 0 means that a master lets go",
            "write a number from 1 to 254, or 255 where the addresses are this router's own",
        );
    }
    value(raw.priority.as_ref(), PRIORITY_DEFAULT)
}

fn interval(raw: &RawInstance, version: Version, sink: &Sink) -> Duration {
    let Some(at) = &raw.interval else {
        return INTERVAL_DEFAULT;
    };
    let ms = at.value.as_millis();
    let text = duration_text(at.value);
    let fault = match version {
        Version::V2 if ms % 1000 != 0 || !(1..=255).contains(&(ms / 1000)) => Some((
            format!("{text} is no interval of version 2"),
            "version 2 takes whole seconds from 1s to 255s; version 3 goes down to 10ms",
        )),
        Version::V3 if ms % 10 != 0 || !(10..=INTERVAL_V3_MAX_MS).contains(&ms) => Some((
            format!("{text} is no interval of version 3"),
            "write a multiple of 10ms from 10ms to 40950ms",
        )),
        _ => None,
    };
    if let Some((message, cure)) = fault {
        sink.error(&at.span, message, cure);
        return INTERVAL_DEFAULT;
    }
    at.value
}

fn unicast_peers(raw: &RawInstance, first: IpAddr, sink: &Sink) -> Vec<IpAddr> {
    let Some(list) = &raw.unicast_peers else {
        return Vec::new();
    };
    for one in &list.value {
        if one.value.is_ipv6() != first.is_ipv6() {
            let message = format!("{} is of another family than the addresses", one.value);
            sink.error(
                &one.span,
                message,
                "name peers by addresses of the same family",
            );
        } else if one.value.is_multicast() {
            let message = format!("{} is no unicast address", one.value);
            sink.error(&one.span, message, "leave the key out to use multicast");
        }
    }
    list.value.iter().map(|one| one.value).collect()
}

fn lint(raw: &RawInstance, settings: &Settings, sink: &Sink) {
    let span = raw
        .interval
        .as_ref()
        .map_or(&raw.header.span, |at| &at.span);
    let detection = settings.down_interval(settings.priority, settings.interval);
    if detection > DETECTION_SLOW {
        let message = format!(
            "a dead master is noticed after {:.1} s",
            detection.as_secs_f64()
        );
        sink.warning(span, message, "write a shorter `advertise-interval`");
    }
    if let (Auth::Pass(_), Some(at), true) = (
        settings.auth,
        &raw.auth_file,
        settings.unicast_peers.is_empty(),
    ) {
        sink.warning(
            &at.span,
            "the password is multicast in clear text: it keeps mistakes out, not people",
            "use it for old peers only",
        );
    }
    if let Some(at) = &raw.preempt_delay
        && !settings.preempt
    {
        sink.warning(
            &at.span,
            "`preempt-delay` means nothing without preemption",
            "remove it, or write preempt = true",
        );
    }
    if let Some(at) = raw.accept.as_ref().filter(|at| !at.value)
        && settings.is_owner()
    {
        sink.warning(
            &at.span,
            "an owner (priority 255) accepts what is sent to its addresses (RFC 9568 §6.1)",
            "remove `accept`, or write a priority below 255",
        );
    }
    if let Some(at) = raw.virtual_mac.as_ref().filter(|at| at.value)
        && settings.is_owner()
    {
        sink.warning(
            &at.span,
            "an owner's addresses stay on its interface, and so at that one's MAC address",
            "remove `virtual-mac`, or write a priority below 255",
        );
    }
    if let Some(at) = raw.preempt.as_ref().filter(|at| !at.value)
        && settings.is_owner()
    {
        sink.warning(
            &at.span,
            "an owner (priority 255) always preempts (RFC 9568 §6.1)",
            "remove `preempt`, or write a priority below 255",
        );
    }
}

/// Names, addresses and virtual router ids that meet.
fn beside_each_other(list: &[(Instance, &RawInstance)], sink: &Sink) {
    let mut names = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for (at, (one, raw)) in list.iter().enumerate() {
        let name_span = raw.name.as_ref().map_or(&raw.header.span, |at| &at.span);
        if names.insert(one.name.as_str(), ()).is_some() {
            let message = format!("there is an instance `{}` already", one.name);
            sink.error(name_span, message, "give this one another name");
        }
        for (address, network) in one.settings.addresses.iter().zip(&one.networks) {
            // The same link-local address on two interfaces is two addresses.
            let key = (*address, one.place.clone());
            let other = addresses.insert(key, (at, one.name.as_str()));
            // Twice in its own list has been said.
            if let Some((_, other)) = other.filter(|(before, _)| *before != at) {
                let span = raw.addresses.as_ref().map_or(name_span, |at| &at.span);
                let message = format!("{} is in instance `{other}` too", network.addr());
                sink.error(span, message, "an address belongs to one instance");
            }
        }
        let place = match &one.place {
            Place::Interface(name) => Some(name.as_str()),
            Place::RouteTo(_) => None,
        };
        let key = (place, one.settings.vrid, one.settings.ipv6());
        if let Some(other) = ids.insert(key, one.name.as_str()) {
            let span = raw.vrid.as_ref().map_or(name_span, |at| &at.span);
            let message = format!(
                "vrid {} is that of instance `{other}` on the same segment",
                one.settings.vrid
            );
            let cure = "write another `vrid`, the same on all routers of this instance";
            match place {
                Some(_) => sink.error(span, message, cure),
                // Only the routes tell whether they meet.
                None => sink.warning(span, message, cure),
            }
        }
    }
}
