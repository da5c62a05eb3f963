//! Communities as text: values to add and patterns to match or remove.
//!
//! A community is `ASN:VALUE`, one number, or a well-known name (RFC 1997, RFC 7999, RFC 8326,
//! RFC 9494); a pattern may have `*` for a part. A large community (RFC 8092) has three parts. An
//! extended community (RFC 4360) is `rt:…` or `soo:…` with `ASN:VALUE` or `ADDRESS:VALUE` behind
//! it, or all eight octets as 16 hexadecimal digits.

use std::net::Ipv4Addr;

/// NO_EXPORT (RFC 1997).
pub const NO_EXPORT: u32 = 0xffff_ff01;
/// NO_ADVERTISE (RFC 1997).
pub const NO_ADVERTISE: u32 = 0xffff_ff02;
/// NO_EXPORT_SUBCONFED, `local-AS` in FRR (RFC 1997).
pub const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;
/// GRACEFUL_SHUTDOWN (RFC 8326).
pub const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

/// Names FRR prints and takes.
const WELL_KNOWN: &[(&str, u32)] = &[
    ("graceful-shutdown", GRACEFUL_SHUTDOWN),
    ("accept-own", 0xffff_0001),
    ("llgr-stale", 0xffff_0006),
    ("no-llgr", 0xffff_0007),
    ("blackhole", 0xffff_029a),
    ("no-export", NO_EXPORT),
    ("no-advertise", NO_ADVERTISE),
    ("local-as", NO_EXPORT_SUBCONFED),
    ("no-export-subconfed", NO_EXPORT_SUBCONFED),
    ("no-peer", 0xffff_ff04),
    ("internet", 0),
];

/// A community pattern: the bits of `mask` must equal those of `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommunityPattern {
    value: u32,
    mask: u32,
}

impl CommunityPattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { value: 0, mask: 0 });
        }
        let Some((high, low)) = text.split_once(':') else {
            return parse_community(text).map(|value| Self {
                value,
                mask: u32::MAX,
            });
        };
        let (high, high_mask) = half(high)?;
        let (low, low_mask) = half(low)?;
        Some(Self {
            value: high << 16 | low,
            mask: high_mask << 16 | low_mask,
        })
    }

    /// Whether `community` fits.
    pub fn matches(self, community: u32) -> bool {
        community & self.mask == self.value
    }
}

fn half(text: &str) -> Option<(u32, u32)> {
    match text {
        "*" => Some((0, 0)),
        number => Some((u32::from(number.parse::<u16>().ok()?), 0xffff)),
    }
}

/// Parses one community value (RFC 1997): `ASN:VALUE`, one number, or a well-known name.
#[must_use]
pub fn parse_community(text: &str) -> Option<u32> {
    let known = WELL_KNOWN.iter().find(|(name, _)| *name == text);
    if let Some((_, value)) = known {
        return Some(*value);
    }
    match text.split_once(':') {
        Some((high, low)) => {
            let high = u32::from(high.parse::<u16>().ok()?);
            Some(high << 16 | u32::from(low.parse::<u16>().ok()?))
        }
        None => text.parse().ok(),
    }
}

/// A large community pattern; `None` is any value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargePattern([Option<u32>; 3]);

impl LargePattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').map(|part| match part {
            "*" => Some(None),
            number => number.parse::<u32>().ok().map(Some),
        });
        let pattern = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(Self(pattern))
    }

    /// Whether a large community of these three parts fits.
    pub fn matches(self, parts: [u32; 3]) -> bool {
        self.0
            .iter()
            .zip(parts)
            .all(|(want, have)| want.is_none_or(|want| want == have))
    }
}

/// Parses one large community value (RFC 8092), `ASN:VALUE:VALUE`.
#[must_use]
pub fn parse_large(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split(':').map(|part| part.parse::<u32>().ok());
    let value = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(value)
}

/// Parses one extended community value.
pub(crate) fn parse_extended(text: &str) -> Option<[u8; 8]> {
    let lower = text.to_ascii_lowercase();
    let (sub_type, rest) = match lower.split_once(':') {
        Some(("rt", rest)) => (0x02, rest),
        Some(("soo", rest)) => (0x03, rest),
        Some(_) => return None,
        None => return hex(lower.trim_start_matches("0x")),
    };
    let (admin, value) = rest.rsplit_once(':')?;
    if let Ok(addr) = admin.parse::<Ipv4Addr>() {
        let [a, b, c, d] = addr.octets();
        let [v0, v1] = value.parse::<u16>().ok()?.to_be_bytes();
        return Some([0x01, sub_type, a, b, c, d, v0, v1]);
    }
    if let Ok(asn) = admin.parse::<u16>() {
        let [a, b] = asn.to_be_bytes();
        let [v0, v1, v2, v3] = value.parse::<u32>().ok()?.to_be_bytes();
        return Some([0x00, sub_type, a, b, v0, v1, v2, v3]);
    }
    let [a, b, c, d] = admin.parse::<u32>().ok()?.to_be_bytes();
    let [v0, v1] = value.parse::<u16>().ok()?.to_be_bytes();
    Some([0x02, sub_type, a, b, c, d, v0, v1])
}

fn hex(digits: &str) -> Option<[u8; 8]> {
    let all_hex = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let value = all_hex.then(|| u64::from_str_radix(digits, 16).ok())??;
    Some(value.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_parse_as_numbers_names_and_patterns() {
        assert_eq!(parse_community("64500:100"), Some(64500 << 16 | 100));
        assert_eq!(parse_community("no-export"), Some(NO_EXPORT));
        assert_eq!(parse_community("4294967041"), Some(NO_EXPORT));
        for bad in ["65536:1", "1:65536", "1:2:3", "", "nope", "*:*"] {
            assert_eq!(parse_community(bad), None, "{bad}");
        }
        let any = CommunityPattern::parse("64500:*").unwrap();
        assert!(any.matches(64500 << 16 | 9) && !any.matches(64501 << 16 | 9));
        assert!(CommunityPattern::parse("*").unwrap().matches(7));
        assert!(CommunityPattern::parse("*:9").unwrap().matches(9));
        assert!(CommunityPattern::parse("x:9").is_none());
    }

    #[test]
    fn large_and_extended_communities_parse() {
        assert_eq!(parse_large("1:2:3"), Some([1, 2, 3]));
        assert_eq!(parse_large("1:2"), None);
        assert_eq!(parse_large("1:2:3:4"), None);
        assert!(LargePattern::parse("1:*:3").unwrap().matches([1, 77, 3]));
        assert!(!LargePattern::parse("1:*:3").unwrap().matches([1, 77, 4]));
        assert_eq!(
            parse_extended("rt:64500:100"),
            Some([0, 2, 0xfb, 0xf4, 0, 0, 0, 100])
        );
        assert_eq!(
            parse_extended("soo:10.0.0.1:7"),
            Some([1, 3, 10, 0, 0, 1, 0, 7])
        );
        assert_eq!(parse_extended("rt:65536:7"), Some([2, 2, 0, 1, 0, 0, 0, 7]));
        assert_eq!(
            parse_extended("0002fbf400000064"),
            parse_extended("rt:64500:100")
        );
        assert_eq!(parse_extended("rt:1"), None);
        assert_eq!(parse_extended("+002fbf400000064"), None);
    }
}
