//! `routes`: what a master can reach that a backup cannot, in the words of `ip route`.
//!
//! `PREFIX [via GATEWAY] [dev INTERFACE] [src ADDRESS] [metric N] [table N]`, `default` for the
//! prefix of everything. A route is of the family of its instance. Without `via` and `dev` it leads
//! over the interface of the instance.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctl::config::{At, Many, Sink};
use ipnet::IpNet;
use rib::netlink::hosts::TABLE_DEFAULT;

use super::model::Instance;
use super::raw::RawInstance;

const CURE: &str =
    "write \"PREFIX [via GATEWAY] [dev INTERFACE] [src ADDRESS] [metric N] [table N]\"";

/// A route that is there while its instance is master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualRoute {
    /// Its destination.
    pub prefix: IpNet,
    /// Through which router.
    pub via: Option<IpAddr>,
    /// Over which interface.
    pub dev: Option<String>,
    /// What the host's own packets are sent from.
    pub src: Option<IpAddr>,
    /// `None`: the kernel's default.
    pub metric: Option<u32>,
    /// The routing table.
    pub table: u32,
}

impl fmt::Display for VirtualRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(dev) = &self.dev {
            write!(f, " dev {dev}")?;
        }
        if let Some(src) = self.src {
            write!(f, " src {src}")?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        if self.table != TABLE_DEFAULT {
            write!(f, " table {}", self.table)?;
        }
        Ok(())
    }
}

/// The routes of an instance of this family.
pub(super) fn resolve(
    list: Option<&At<Many<String>>>,
    ipv6: bool,
    sink: &Sink,
) -> Vec<VirtualRoute> {
    let list = list.map_or(&[][..], |list| &list.value);
    let parse = |one: &At<String>| match parse(&one.value, ipv6) {
        Ok(route) => Some(route),
        Err(message) => {
            sink.error(&one.span, message, CURE);
            None
        }
    };
    list.iter().filter_map(parse).collect()
}

/// Two routes at one place of one table: the second could never be there.
pub(super) fn beside_each_other(list: &[(Instance, &RawInstance)], sink: &Sink) {
    let mut places: BTreeMap<(IpNet, u32, u32), &str> = BTreeMap::new();
    for (one, raw) in list {
        for route in &one.routes {
            let metric = route.metric.unwrap_or_default();
            let place = (route.prefix, metric, route.table);
            let other = places.insert(place, &one.name);
            if let (Some(other), Some(at)) = (other, &raw.routes) {
                let message = format!("`{route}`: instance `{other}` has a route at this place");
                sink.error(
                    &at.span,
                    message,
                    "give one of them another `metric` or `table`",
                );
            }
        }
    }
}

fn parse(text: &str, ipv6: bool) -> Result<VirtualRoute, String> {
    let mut words = text.split_whitespace();
    let prefix = words.next().ok_or("an empty route")?;
    let mut route = VirtualRoute {
        prefix: destination(prefix, ipv6)?,
        via: None,
        dev: None,
        src: None,
        metric: None,
        table: TABLE_DEFAULT,
    };
    let mut seen = Vec::new();
    while let Some(word) = words.next() {
        if seen.contains(&word) {
            return Err(format!("`{word}` is there twice"));
        }
        seen.push(word);
        let mut value = || words.next().ok_or(format!("`{word}` what?"));
        match word {
            "via" => route.via = Some(address(value()?, ipv6)?),
            "dev" => route.dev = Some(value()?.to_owned()),
            "src" => route.src = Some(address(value()?, ipv6)?),
            "metric" => route.metric = Some(number(value()?)?),
            "table" => route.table = table(value()?)?,
            other => return Err(format!("`{other}` is not understood")),
        }
    }
    Ok(route)
}

fn destination(text: &str, ipv6: bool) -> Result<IpNet, String> {
    let everything: IpAddr = match ipv6 {
        false => Ipv4Addr::UNSPECIFIED.into(),
        true => Ipv6Addr::UNSPECIFIED.into(),
    };
    let parsed = match text {
        "default" => IpNet::new(everything, 0).ok(),
        text => text
            .parse()
            .ok()
            .or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?))),
    };
    let net = parsed.ok_or_else(|| format!("\"{text}\" is no prefix"))?;
    if net.trunc() != net {
        return Err(format!("{net} has host bits: {} is meant?", net.trunc()));
    }
    of_family(net.addr(), ipv6)?;
    Ok(net)
}

fn address(text: &str, ipv6: bool) -> Result<IpAddr, String> {
    let address = text
        .parse()
        .map_err(|_| format!("\"{text}\" is no address"))?;
    of_family(address, ipv6)?;
    Ok(address)
}

fn of_family(address: IpAddr, ipv6: bool) -> Result<(), String> {
    match address.is_ipv6() == ipv6 {
        true => Ok(()),
        false => Err(format!(
            "{address} is of another family than the instance: a sync group keeps one of each together"
        )),
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no number"))
}

fn table(text: &str) -> Result<u32, String> {
    match text {
        "main" => Ok(TABLE_DEFAULT),
        text => match number(text)? {
            0 | 255 => Err(format!("table {text} is not for routes")),
            table => Ok(table),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_written_as_they_are_read() {
        for (text, again) in [
            ("default via 10.0.50.1", "0.0.0.0/0 via 10.0.50.1"),
            ("10.9.0.0/16 dev eth1 metric 5", ""),
            (
                "10.9.0.7/32 via 10.0.0.1 dev eth1 src 10.0.0.50 metric 1 table 100",
                "",
            ),
            ("10.9.0.7 table main", "10.9.0.7/32"),
        ] {
            let route = parse(text, false).expect(text);
            let wanted = if again.is_empty() { text } else { again };
            assert_eq!(route.to_string(), wanted);
        }
        let route = parse("default via fe80::1 dev eth0", true).expect("IPv6");
        assert_eq!(route.to_string(), "::/0 via fe80::1 dev eth0");
    }

    #[test]
    fn what_is_wrong_with_a_route_is_named() {
        for (text, said) in [
            ("", "an empty route"),
            (
                "10.9.0.1/16",
                "10.9.0.1/16 has host bits: 10.9.0.0/16 is meant?",
            ),
            ("10.9.0.0/33", "\"10.9.0.0/33\" is no prefix"),
            ("::/0", ":: is of another family"),
            ("default via", "`via` what?"),
            ("default via router", "\"router\" is no address"),
            ("default via 10.0.0.1 via 10.0.0.2", "`via` is there twice"),
            ("default metric -1", "\"-1\" is no number"),
            ("default table 255", "table 255 is not for routes"),
            ("default scope link", "`scope` is not understood"),
        ] {
            let message = parse(text, false).expect_err(text);
            assert!(message.starts_with(said), "{text}: {message}");
        }
    }
}
