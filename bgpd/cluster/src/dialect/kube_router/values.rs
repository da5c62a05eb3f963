//! How the values of kube-router's flags and annotations are read.
//!
//! As Go reads them, since a manifest that worked must go on working: booleans in all of Go's
//! spellings, durations such as `1h30m`, lists between commas with the quotes that some manifests
//! leave in. What kube-router refuses is refused, with what to write instead.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::flags::{ASN_DEFAULT, RouterId};

/// Go's booleans.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

pub(super) fn switch(value: Option<&str>) -> Result<bool, String> {
    match value {
        None => Ok(true),
        Some(value) => boolean(value).ok_or_else(|| "neither true nor false".to_owned()),
    }
}

pub(super) fn text(value: &str) -> Result<Option<Box<str>>, String> {
    Ok((!value.is_empty()).then(|| value.into()))
}

pub(super) fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    let fault = |_| format!("`{value}` is not a number that fits here");
    value.trim().parse().map_err(fault)
}

/// The values between commas; quotes that a shell would have taken are taken off.
pub(super) fn list<T>(value: &str, each: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let plain = value.replace(['"', '\'', '`'], "");
    match plain.trim() {
        "" => Ok(Vec::new()),
        plain => plain.split(',').map(|one| each(one.trim())).collect(),
    }
}

pub(super) fn ranges(value: &str) -> Result<Vec<IpNet>, String> {
    list(value, |one| match one.parse::<IpNet>() {
        Ok(range) => Ok(range.trunc()),
        Err(_) => Err(format!("`{one}` is not a range such as 10.96.0.0/12")),
    })
}

pub(super) fn address(value: &str) -> Result<IpAddr, String> {
    let fault = |_| format!("`{value}` is not an address");
    value.parse().map_err(fault)
}

pub(super) fn metrics_address(value: &str) -> Result<Option<IpAddr>, String> {
    match value {
        "" => Ok(None),
        value => address(value).map(Some),
    }
}

/// An AS that a peer may have (RFC 7607, 6793, 7300). kube-router refuses those for documentation
/// too; labs use them, and nothing is wrong with that.
pub(super) fn asn(value: &str) -> Result<u32, String> {
    let asn: u32 = number(value)?;
    match asn {
        0 | 23456 | 65535 | u32::MAX => Err(format!("AS {asn} is reserved")),
        asn => Ok(asn),
    }
}

pub(super) fn cluster_asn(value: &str) -> Result<u32, String> {
    match number(value)? {
        0 => Ok(ASN_DEFAULT),
        asn @ (64512..=65535 | 4_200_000_000..=4_294_967_294) => Ok(asn),
        asn => Err(format!(
            "AS {asn} is not private: 64512 to 65535 or 4200000000 to 4294967294 (RFC 6996)"
        )),
    }
}

/// A port, from 1.
pub(super) fn port(value: &str) -> Result<u16, String> {
    match number(value)? {
        0 => Err("port 0 is none".to_owned()),
        port => Ok(port),
    }
}

pub(super) fn bfd_port(value: &str) -> Result<(), String> {
    match port(value)? {
        3784 => Ok(()),
        port => Err(format!(
            "port {port}: BFD over one hop is on 3784 (RFC 5881 §4), set that on the router"
        )),
    }
}

pub(super) fn milliseconds(value: &str) -> Result<Duration, String> {
    match number::<u32>(value)? {
        0 => Err("0 ms is no interval".to_owned()),
        milliseconds => Ok(Duration::from_millis(milliseconds.into())),
    }
}

pub(super) fn multiplier(value: &str) -> Result<u8, String> {
    match number(value)? {
        0 => Err("1 to 255".to_owned()),
        multiplier => Ok(multiplier),
    }
}

pub(super) fn hold_time(value: &str) -> Result<Duration, String> {
    match duration(value)? {
        time if time < Duration::from_secs(3) => Err("3s at least".to_owned()),
        time if time > Duration::from_secs(65535) => Err("18h12m15s at most".to_owned()),
        time => Ok(Duration::from_secs(time.as_secs())),
    }
}

pub(super) fn bounded(value: &str, most: u64) -> Result<Duration, String> {
    match duration(value)? {
        time if time > Duration::from_secs(most) => Err(format!("{most}s at most")),
        time => Ok(Duration::from_secs(time.as_secs())),
    }
}

pub(super) fn encap(value: &str) -> Result<bool, String> {
    match value {
        "ipip" => Ok(false),
        "fou" => Ok(true),
        _ => Err("ipip or fou".to_owned()),
    }
}

pub(super) fn overlay(value: &str) -> Result<bool, String> {
    match value {
        "subnet" => Ok(false),
        "full" => Ok(true),
        _ => Err("subnet or full".to_owned()),
    }
}

pub(super) fn router_id(value: &str) -> Result<RouterId, String> {
    match value {
        "" => Ok(RouterId::Unset),
        "generate" => Ok(RouterId::Generate),
        value => match value.parse::<Ipv4Addr>() {
            Ok(id) if !id.is_unspecified() => Ok(RouterId::Given(id)),
            _ => Err("an IPv4 address, or generate".to_owned()),
        },
    }
}

/// Go's durations: `1h30m`, `1.5s`, `300ms`, `0`.
pub(super) fn duration(value: &str) -> Result<Duration, String> {
    let fault = || format!("`{value}` is not a time such as 90s, 5m or 1h30m");
    if value == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = value;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(fault)?;
        let (amount, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(fault()),
        };
        seconds += amount.parse::<f64>().map_err(|_| fault())? * unit;
        rest = tail;
    }
    match value {
        "" => Err(fault()),
        _ => Duration::try_from_secs_f64(seconds).map_err(|_| fault()),
    }
}
