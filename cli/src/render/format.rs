//! Small formats that FRR prints everywhere: ages, dates, sizes, communities.
//!
//! Dates are in UTC: what a daemon prints should not depend on where the operator sits.

use std::fmt::Write as _;

use proto_codec::control::Family;

const DAY_S: u64 = 86_400;

/// The title of a family's block, as `IPv4 Unicast`.
pub fn family_title(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "IPv4 Unicast",
        Family::Ipv6Unicast => "IPv6 Unicast",
    }
}

/// The JSON key of a family, as `ipv4Unicast`.
pub fn family_key(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4Unicast",
        Family::Ipv6Unicast => "ipv6Unicast",
    }
}

/// An age in the column form: `00:01:05`, `1d02h03m`, `01w2d03h`, `01y02w3d`.
pub fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = (seconds / DAY_S, seconds % DAY_S);
    let (hours, minutes) = (rest / 3600, rest / 60 % 60);
    if days == 0 {
        format!("{hours:02}:{minutes:02}:{:02}", rest % 60)
    } else if days < 7 {
        format!("{days}d{hours:02}h{minutes:02}m")
    } else if days < 365 {
        format!("{:02}w{}d{hours:02}h", days / 7, days % 7)
    } else {
        let in_year = days % 365;
        format!("{:02}y{:02}w{}d", days / 365, in_year / 7, in_year % 7)
    }
}

/// An age in columns, `never` when there is none.
pub fn age_or_never(ms: Option<u64>) -> String {
    ms.map_or_else(|| "never".to_owned(), age)
}

/// A date as `ctime(3)` prints it, in UTC: `Fri Nov 20 06:18:27 2026`.
pub fn date(epoch_ms: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = epoch_ms / 1000;
    let (days, rest) = (seconds / DAY_S, seconds % DAY_S);
    let weekday = DAYS[(days % 7) as usize];
    let (year, month, day) = civil(days);
    let month = MONTHS[month as usize - 1];
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{weekday} {month} {day:>2} {hours:02}:{minutes:02}:{seconds:02} {year}")
}

/// A time as ISO 8601 with milliseconds.
pub fn timestamp(epoch_ms: u64) -> String {
    let seconds = epoch_ms / 1000;
    let (year, month, day) = civil(seconds / DAY_S);
    let rest = seconds % DAY_S;
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    let ms = epoch_ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01, by eras of 400 years from March 0000.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// A size as FRR rounds it: `1120 bytes`, `210 KiB`, `12 MiB`.
pub fn size(bytes: u64) -> String {
    let rounded = |unit: u64| (bytes + unit / 2) / unit;
    if bytes >> 20 > 10 {
        format!("{} MiB", rounded(1 << 20))
    } else if bytes >> 10 > 10 {
        format!("{} KiB", rounded(1 << 10))
    } else {
        format!("{bytes} bytes")
    }
}

/// Well-known communities: value, name, name in JSON lists.
const WELL_KNOWN: [(u32, &str, &str); 14] = [
    (0xffff_0000, "graceful-shutdown", "gracefulShutdown"),
    (0xffff_0001, "accept-own", "acceptOwn"),
    (
        0xffff_0002,
        "route-filter-translated-v4",
        "routeFilterTranslatedV4",
    ),
    (0xffff_0003, "route-filter-v4", "routeFilterV4"),
    (
        0xffff_0004,
        "route-filter-translated-v6",
        "routeFilterTranslatedV6",
    ),
    (0xffff_0005, "route-filter-v6", "routeFilterV6"),
    (0xffff_0006, "llgr-stale", "llgrStale"),
    (0xffff_0007, "no-llgr", "noLlgr"),
    (0xffff_0008, "accept-own-nexthop", "acceptOwnNexthop"),
    (0xffff_029a, "blackhole", "blackhole"),
    (0xffff_ff01, "no-export", "noExport"),
    (0xffff_ff02, "no-advertise", "noAdvertise"),
    (0xffff_ff03, "local-AS", "localAs"),
    (0xffff_ff04, "no-peer", "noPeer"),
];

/// A community as FRR prints it.
pub fn community(value: u32) -> String {
    match WELL_KNOWN.iter().find(|row| row.0 == value) {
        Some(row) => row.1.to_owned(),
        None => format!("{}:{}", value >> 16, value & 0xffff),
    }
}

/// A community as FRR writes it in a JSON list.
pub fn community_in_list(value: u32) -> String {
    match WELL_KNOWN.iter().find(|row| row.0 == value) {
        Some(row) => row.2.to_owned(),
        None => community(value),
    }
}

/// A large community.
pub fn large_community((global, first, second): (u32, u32, u32)) -> String {
    format!("{global}:{first}:{second}")
}

/// An extended community (RFC 4360): route targets and origins in words, others in hexadecimal.
pub fn ext_community(value: [u8; 8]) -> String {
    let [kind, subtype, a, b, c, d, e, f] = value;
    let name = match subtype {
        2 => "RT",
        3 => "SoO",
        _ => "",
    };
    let low = u16::from_be_bytes([e, f]);
    match kind & 0x3f {
        0 if !name.is_empty() => {
            let (asn, number) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
            format!("{name}:{asn}:{number}")
        }
        1 if !name.is_empty() => format!("{name}:{a}.{b}.{c}.{d}:{low}"),
        2 if !name.is_empty() => format!("{name}:{}:{low}", u32::from_be_bytes([a, b, c, d])),
        _ => hex(&value),
    }
}

/// Octets as `0x…`.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold("0x".to_owned(), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// ORIGIN in words.
pub fn origin(code: u8) -> &'static str {
    match code {
        0 => "IGP",
        1 => "EGP",
        _ => "incomplete",
    }
}

/// ORIGIN in the column.
pub fn origin_sign(code: u8) -> char {
    match code {
        0 => 'i',
        1 => 'e',
        _ => '?',
    }
}

/// `1 route`, `2 routes`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_follow_the_column_form() {
        assert_eq!(age(38_999), "00:00:38");
        assert_eq!(age((26 * 3600 + 180) * 1000), "1d02h03m");
        assert_eq!(age((9 * DAY_S + 3 * 3600) * 1000), "01w2d03h");
        assert_eq!(age((365 + 17) * DAY_S * 1000), "01y02w3d");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(1_795_155_506_000), "Fri Nov 20 06:18:26 2026");
        assert_eq!(date(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(date(951_782_400_000), "Tue Feb 29 00:00:00 2000");
        assert_eq!(timestamp(1_795_155_506_042), "2026-11-20T06:18:26.042Z");
    }

    #[test]
    fn sizes_are_rounded_as_frr_does() {
        assert_eq!(size(1120), "1120 bytes");
        assert_eq!(size(214_872), "210 KiB");
        assert_eq!(size(12 << 20), "12 MiB");
    }

    #[test]
    fn communities_have_names() {
        assert_eq!(community(0xfde9_0064), "65001:100");
        assert_eq!(community(0xffff_ff01), "no-export");
        assert_eq!(
            ext_community([0, 2, 0xfd, 0xe9, 0, 0, 0, 100]),
            "RT:65001:100"
        );
        assert_eq!(
            ext_community([0x40, 4, 0, 0, 0, 0, 0, 1]),
            "0x4004000000000001"
        );
    }
}
