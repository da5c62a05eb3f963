//! Values in commands: what fits where, and how help names it.
//!
//! A slot accepts by form only (an address is an address whether a neighbor has it or not); what a
//! value means is the daemon's to judge. Names in help follow vtysh (`A.B.C.D/M`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// An IPv4 or IPv6 address.
    Address,
    /// A prefix in `ADDRESS/LENGTH` form.
    Prefix,
    /// A name: pool, peer group.
    Name,
    /// An object in a namespace.
    Object,
    /// A file, or `-`.
    File,
    /// A directory.
    Dir,
    /// The name of an interface.
    Interface,
    /// A virtual router id.
    Vrid,
    /// `*`.
    Star,
    /// Anything.
    Text,
}

const ALL: [(Slot, &str, &str); 10] = [
    (Slot::Address, "ADDRESS", "IPv4 or IPv6 address"),
    (
        Slot::Prefix,
        "PREFIX",
        "prefix as 203.0.113.0/24 or 2001:db8::/32",
    ),
    (Slot::Name, "NAME", "a name from the configuration"),
    (
        Slot::Object,
        "NAMESPACE/NAME",
        "an object of the cluster, as default/web",
    ),
    (Slot::File, "FILE", "a file; - reads standard input"),
    (
        Slot::Dir,
        "DIR",
        "a directory; it is made where it is missing",
    ),
    (Slot::Interface, "INTERFACE", "the name of an interface"),
    (Slot::Vrid, "VRID", "virtual router id, 1 to 255"),
    (Slot::Star, "*", "all of them"),
    (Slot::Text, "TEXT", "text to look for"),
];

impl Slot {
    /// The slot a word of a pattern stands for.
    pub fn from_name(name: &str) -> Option<Self> {
        ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// How patterns, help and the manual name it.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// One line of help.
    pub fn help(self) -> &'static str {
        ALL.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// Whether `text` has the form of it.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Address => text.parse::<IpAddr>().is_ok(),
            Self::Prefix => text.parse::<IpNet>().is_ok(),
            Self::Star => text == "*",
            Self::Name => !text.is_empty() && !text.starts_with('-') && !looks_like_address(text),
            Self::Object => text
                .split_once('/')
                .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains('/')),
            Self::Interface => !text.is_empty() && !text.starts_with('-'),
            Self::Vrid => text.parse::<u8>().is_ok_and(|vrid| vrid > 0),
            Self::Dir => !text.is_empty() && !text.starts_with("--"),
            Self::File => text == "-" || !text.starts_with("--"),
            Self::Text => true,
        }
    }

    /// Why `text` has not the form of it, when it looks as if it should.
    pub fn complaint(self, text: &str) -> Option<String> {
        if !looks_like_address(text) {
            return None;
        }
        let (address, length) = text
            .split_once('/')
            .map_or((text, None), |(a, l)| (a, Some(l)));
        match (self, length) {
            (Self::Prefix, None) => None,
            (Self::Prefix, Some(length)) => {
                let bits = if address.parse::<Ipv4Addr>().is_ok() {
                    32
                } else if address.parse::<Ipv6Addr>().is_ok() {
                    128
                } else {
                    return Some(format!("`{address}` is not an address"));
                };
                Some(format!(
                    "`{length}` is not a prefix length: 0 to {bits} expected"
                ))
            }
            (Self::Address, Some(_)) => Some("an address without a length is expected".to_owned()),
            (Self::Address, None) => Some(format!("`{address}` is not an address")),
            _ => None,
        }
    }
}

/// Whether somebody who wrote this meant an address or a prefix.
fn looks_like_address(text: &str) -> bool {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    (digits && text.contains(['.', '/', ':'])) || text.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_by_form() {
        assert!(Slot::Address.accepts("2001:db8::1"));
        assert!(!Slot::Address.accepts("10.0.0.0/8"));
        assert!(Slot::Prefix.accepts("10.0.0.0/8"));
        assert!(!Slot::Prefix.accepts("10.0.0.1"));
        assert!(!Slot::Name.accepts("10.0.0.1"));
        assert!(Slot::File.accepts("-"));
    }

    #[test]
    fn a_near_miss_is_explained() {
        assert!(
            Slot::Prefix
                .complaint("10.0.0.0/33")
                .unwrap()
                .contains("0 to 32")
        );
        assert!(
            Slot::Address
                .complaint("10.0.0.256")
                .unwrap()
                .contains("not an address")
        );
        assert!(Slot::Address.complaint("summary").is_none());
    }
}
