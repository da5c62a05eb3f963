//! Numbers and times as keepalived reads them.
//!
//! Times are seconds with decimals. What is out of range keepalived logs and replaces; so do we,
//! and say with what.

use std::time::Duration;

/// A decimal number of seconds, to the microsecond.
pub fn seconds(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = match whole {
        "" => 0,
        whole => whole.parse().ok().filter(|it| *it <= u64::from(u32::MAX))?,
    };
    let padded = format!("{part:0<6}");
    let micros: u64 = padded.get(..6)?.parse().ok()?;
    Some(Duration::from_secs(whole) + Duration::from_micros(micros))
}

/// The interval of adverts that keepalived would use: rounded to what the version can say.
pub fn advert_interval(wanted: Duration, version: u8) -> Duration {
    let (step, least, most) = match version {
        2 => (1_000, 1_000, 255_000),
        _ => (10, 10, 40_950),
    };
    let ms = u64::try_from(wanted.as_micros()).unwrap_or(u64::MAX);
    let step_us = step * 1000;
    let rounded = ms.saturating_add(step_us / 2) / step_us * step;
    Duration::from_millis(rounded.clamp(least, most))
}

/// `true` and `false` in keepalived's words; no word means true.
pub fn flag(word: &str) -> Option<bool> {
    match word {
        "" | "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_decimals() {
        assert_eq!(seconds("1"), Some(Duration::from_secs(1)));
        assert_eq!(seconds("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(seconds(".5"), Some(Duration::from_millis(500)));
        assert_eq!(seconds("1s"), None);
        assert_eq!(seconds("."), None);
        assert_eq!(seconds("99999999999999999999"), None);
    }

    #[test]
    fn intervals_are_rounded_as_keepalived_rounds() {
        let of = |text, version| advert_interval(seconds(text).unwrap(), version).as_millis();
        assert_eq!(of("1.4", 2), 1000);
        assert_eq!(of("1.5", 2), 2000);
        assert_eq!(of("0.1", 2), 1000);
        assert_eq!(of("300", 2), 255_000);
        assert_eq!(of("0.015", 3), 20);
        assert_eq!(of("300", 3), 40_950);
    }
}
