//! From the words of a line to the requests they stand for.
//!
//! The rows of the table name these functions. What a word can only mean beside another (an IPv6
//! prefix after `ip`) is judged here, in a sentence for the operator; whether a word may stand
//! where it stands is the pattern's business. A line about both address families becomes one
//! request per family, because an answer is of one kind.

use ipnet::IpNet;
use proto_codec::control::{
    AdjKind, ClearTarget, Family, KubernetesKind, MonitorTopic, PathFilter, Request, SoftDirection,
    TableFilter, VrrpOrder,
};

use super::matcher::Line;
use super::slot::Slot;
use super::table::{Command, DecodeKind, Kernel};
use crate::decode::Format;

pub(super) fn one(request: Request) -> Result<Command, String> {
    Ok(Command::Ask(vec![request]))
}

/// The family that was named; `show ip bgp` names IPv4.
pub(super) fn family(line: &Line) -> Option<Family> {
    if line.has("ipv6") {
        Some(Family::Ipv6Unicast)
    } else if line.has("ipv4") || line.has("ip") {
        Some(Family::Ipv4Unicast)
    } else {
        None
    }
}

pub(super) fn families(line: &Line) -> Vec<Family> {
    family(line).map_or_else(
        || vec![Family::Ipv4Unicast, Family::Ipv6Unicast],
        |one| vec![one],
    )
}

pub(super) fn address(line: &Line) -> Option<std::net::IpAddr> {
    line.value(Slot::Address)?.parse().ok()
}

/// A prefix with `true`, or an address as a host prefix with `false`.
pub(super) fn target(line: &Line) -> Option<(IpNet, bool)> {
    if let Some(prefix) = line.value(Slot::Prefix) {
        return prefix
            .parse::<IpNet>()
            .ok()
            .map(|prefix| (prefix.trunc(), true));
    }
    address(line).map(|address| (IpNet::from(address), false))
}

pub(super) fn fits(prefix: IpNet, family: Family) -> Result<(), String> {
    match (prefix, family) {
        (IpNet::V4(_), Family::Ipv4Unicast) | (IpNet::V6(_), Family::Ipv6Unicast) => Ok(()),
        (IpNet::V4(_), _) => Err("an IPv6 prefix or address is expected after `ipv6`".to_owned()),
        (IpNet::V6(_), _) => Err("an IPv4 prefix or address is expected after `ip`".to_owned()),
    }
}

pub(super) fn show_bgp(line: &Line) -> Result<Command, String> {
    let Some((prefix, exact)) = target(line) else {
        let table = |family| Request::ShowBgpTable {
            family,
            filter: TableFilter::default(),
        };
        return Ok(Command::Ask(
            families(line).into_iter().map(table).collect(),
        ));
    };
    let named = family(line);
    let own = if prefix.addr().is_ipv4() {
        Family::Ipv4Unicast
    } else {
        Family::Ipv6Unicast
    };
    fits(prefix, named.unwrap_or(own))?;
    if line.has("longer-prefixes") {
        let filter = TableFilter {
            within: Some(prefix),
        };
        return one(Request::ShowBgpTable {
            family: own,
            filter,
        });
    }
    let paths = if line.has("bestpath") {
        PathFilter::Best
    } else if line.has("multipath") {
        PathFilter::Multipath
    } else {
        PathFilter::All
    };
    one(Request::ShowBgpPrefix {
        prefix,
        exact,
        paths,
    })
}

pub(super) fn neighbor_routes(line: &Line) -> Result<Command, String> {
    let address = address(line).ok_or("an address is expected")?;
    let kind = if line.has("received-routes") {
        AdjKind::Received
    } else if line.has("advertised-routes") {
        AdjKind::Advertised
    } else {
        AdjKind::Accepted
    };
    let request = |family| Request::ShowNeighborRoutes {
        address,
        kind,
        family,
    };
    Ok(Command::Ask(
        families(line).into_iter().map(request).collect(),
    ))
}

pub(super) fn show_route(line: &Line) -> Result<Command, String> {
    let family = if line.has("ipv6") {
        Family::Ipv6Unicast
    } else {
        Family::Ipv4Unicast
    };
    let prefix = target(line).map(|found| found.0);
    if let Some(prefix) = prefix {
        fits(prefix, family)?;
    }
    one(Request::ShowIpRoute {
        family,
        bgp_only: line.has("bgp"),
        prefix,
    })
}

pub(super) fn show_vrrp(line: &Line) -> Result<Command, String> {
    let interface = line.value(Slot::Interface).map(str::to_owned);
    let vrid = line.value(Slot::Vrid).and_then(|text| text.parse().ok());
    one(Request::ShowVrrp { interface, vrid })
}

pub(super) fn vrrp(line: &Line) -> Result<Command, String> {
    let name = line.value(Slot::Name).ok_or("a name is expected")?;
    let order = if line.has("release") {
        VrrpOrder::Release
    } else if line.has("hold") {
        VrrpOrder::Hold
    } else {
        VrrpOrder::Resume
    };
    one(Request::Vrrp {
        name: name.to_owned(),
        order,
    })
}

pub(super) fn show_kubernetes(line: &Line) -> Result<Command, String> {
    let kinds = [
        ("services", KubernetesKind::Services),
        ("nodes", KubernetesKind::Nodes),
        ("pools", KubernetesKind::Pools),
    ];
    let named = kinds.into_iter().find(|(word, _)| line.has(word));
    one(named.map_or(Request::ShowKubernetes, |(_, kind)| {
        Request::ShowKubernetesObjects { kind }
    }))
}

pub(super) fn explain_service(line: &Line) -> Result<Command, String> {
    let object = line
        .value(Slot::Object)
        .and_then(|text| text.split_once('/'));
    let (namespace, name) = object.ok_or("a service is expected, as default/web")?;
    one(Request::ExplainService {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

pub(super) fn explain(line: &Line) -> Result<Command, String> {
    let (prefix, _) = target(line).ok_or("a prefix or an address is expected")?;
    let to = line
        .has("to")
        .then(|| line.last(Slot::Address)?.parse().ok())
        .flatten();
    one(Request::ExplainRoute { prefix, to })
}

pub(super) fn clear(line: &Line) -> Result<Command, String> {
    let target = if line.value(Slot::Star).is_some() {
        ClearTarget::All
    } else if let Some(name) = line.value(Slot::Name) {
        ClearTarget::PeerGroup(name.to_owned())
    } else {
        ClearTarget::Neighbor(address(line).ok_or("an address is expected")?)
    };
    let soft = line.has("soft").then(|| {
        if line.has("in") {
            SoftDirection::In
        } else if line.has("out") {
            SoftDirection::Out
        } else {
            SoftDirection::Both
        }
    });
    one(Request::ClearBgp { target, soft })
}

pub(super) fn decode(line: &Line) -> Result<Command, String> {
    let kind = if line.has("mrt") {
        DecodeKind::Mrt
    } else if line.has("pcap") {
        DecodeKind::Pcap
    } else {
        DecodeKind::Hex
    };
    let format = if line.has("bgpdump") {
        Format::Bgpdump
    } else if line.has("json") {
        Format::Json
    } else {
        Format::Text
    };
    let file = line.value(Slot::File).unwrap_or_default().to_owned();
    Ok(Command::Decode { kind, file, format })
}

pub(super) fn monitor(line: &Line) -> Result<Command, String> {
    let topic = if line.has("bgp") {
        MonitorTopic::Bgp
    } else if line.has("routes") {
        MonitorTopic::Routes
    } else if line.has("vrrp") {
        MonitorTopic::Vrrp
    } else {
        MonitorTopic::Log
    };
    one(Request::Monitor { topic })
}

pub(super) fn cleanup(line: &Line) -> Result<Command, String> {
    let whose = if line.has("vrrp") {
        Kernel::Vrrp
    } else if line.has("bgp") {
        Kernel::Bgp
    } else {
        Kernel::All
    };
    let config = line.value(Slot::File).map(str::to_owned);
    Ok(Command::Cleanup { whose, config })
}
