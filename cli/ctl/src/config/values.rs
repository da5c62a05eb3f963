//! The values that any configuration holds: durations, addresses, prefixes, paths.
//!
//! Each type reads itself and says, when it cannot, what to write instead. Addresses with host
//! bits in a prefix are refused with the prefix that was probably meant: silently masking them
//! hides a mistyped length.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use super::read::{Field, Value};

impl Value for Duration {
    fn read(field: &Field<'_>) -> Option<Self> {
        if let DeValue::Integer(integer) = field.value.get_ref() {
            let cure = format!("write \"{}s\"", integer.as_str());
            return field.wrong_kind("a duration with a unit", &cure);
        }
        let cure = "write a number and ms, s, m or h, such as \"90s\"";
        let text = field.text("a duration", cure)?;
        match parse_duration(text) {
            Some(duration) => Some(duration),
            None => field.fault(format!("\"{text}\" is no duration"), cure),
        }
    }
}

/// `90s`, `300ms`, `1m30s`: numbers with units, added up.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit_ms: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(Duration::from_millis(number.checked_mul(unit_ms)?))?;
    }
    Some(total)
}

/// A duration as the file writes it, in the largest unit that divides it.
pub fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) && ms > 180_000 => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

impl Value for IpAddr {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write an address such as \"10.0.0.1\" or \"2001:db8::1\"";
        let text = field.text("an address", cure)?;
        if let Ok(net) = text.parse::<IpNet>() {
            let cure = format!("write \"{}\"", net.addr());
            return field.fault(
                format!("`{}` takes an address without length", field.key),
                &cure,
            );
        }
        text.parse()
            .ok()
            .or_else(|| field.fault(format!("\"{text}\" is no address"), cure))
    }
}

impl Value for Ipv4Addr {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write four numbers from 0 to 255, such as \"10.0.0.1\"";
        let text = field.text("an IPv4 address", cure)?;
        text.parse()
            .ok()
            .or_else(|| field.fault(format!("\"{text}\" is no IPv4 address"), cure))
    }
}

impl Value for SocketAddr {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write address and port, such as \"0.0.0.0:179\" or \"[::]:179\"";
        let text = field.text("an address with a port", cure)?;
        text.parse()
            .ok()
            .or_else(|| field.fault(format!("\"{text}\" is no address with a port"), cure))
    }
}

impl Value for PathBuf {
    fn read(field: &Field<'_>) -> Option<Self> {
        String::read(field).map(PathBuf::from)
    }
}

impl Value for IpNet {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write a prefix such as \"10.0.0.0/24\" or \"2001:db8::/32\"";
        let text = field.text("a prefix", cure)?;
        parse_net(text)
            .or_else(|(message, cure)| field.fault(message, &cure).ok_or(()))
            .ok()
    }
}

/// A prefix without host bits, or what is wrong and what to write.
pub fn parse_net(text: &str) -> Result<IpNet, (String, String)> {
    if let Ok(net) = text.parse::<IpNet>() {
        if net.trunc() != net {
            let message = format!("{text} has bits set after /{}", net.prefix_len());
            return Err((message, format!("write \"{}\"", net.trunc())));
        }
        return Ok(net);
    }
    if let Ok(addr) = text.parse::<IpAddr>() {
        let cure = format!("write \"{}\"", IpNet::from(addr));
        return Err((format!("\"{text}\" has no prefix length"), cure));
    }
    let cure = match text.split_once('/') {
        Some((addr, _)) => match addr.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => "the length of an IPv4 prefix is 0 to 32",
            Ok(IpAddr::V6(_)) => "the length of an IPv6 prefix is 0 to 128",
            Err(_) => "write a prefix such as \"10.0.0.0/24\" or \"2001:db8::/32\"",
        },
        None => "write a prefix such as \"10.0.0.0/24\" or \"2001:db8::/32\"",
    };
    Err((format!("\"{text}\" is no prefix"), cure.to_owned()))
}
