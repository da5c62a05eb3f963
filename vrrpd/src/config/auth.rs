//! `auth-file`, `auth-mode`, `auth-window`: what proves the sender of an advert.
//!
//! Version 2 has a password of eight octets in clear text. Version 3 has the HMAC trailer of
//! keepalived 2.4 (`auth_hmac`): the file holds a key per line, `ID KEY`, where the key is text of
//! 32 to 64 octets or `hex:` and as many octets in hexadecimal digits; the first one signs, all
//! verify, so that a new key can be handed out before it is used. Keys are named in messages by
//! their line, never by their content.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ctl::config::{At, Sink, duration_text};
use proto_codec::vrrp::trailer::{KEY_MAX, KEY_MIN};
use proto_codec::vrrp::{Auth, PASS_LEN, Version};

use super::raw::RawInstance;
use crate::router::{Key, Signing};

/// Longest window: a minute-old advert proves nothing, and clocks are kept better than that.
const WINDOW_MAX: Duration = Duration::from_secs(300);

/// The password of version 2: the first eight octets, as keepalived cuts it.
pub(super) fn password(raw: &RawInstance, version: Version, directory: &Path, sink: &Sink) -> Auth {
    let Some(at) = raw.auth_file.as_ref().filter(|_| version == Version::V2) else {
        return Auth::None;
    };
    for span in signing_only(raw) {
        sink.error(
            span,
            "version 2 has a password and no signatures",
            "remove it, or write version = 3 on all routers",
        );
    }
    let Some(text) = read(at, directory, "the file holds the password alone", sink) else {
        return Auth::None;
    };
    let word = text.trim_ascii_end();
    if word.is_empty() {
        let message = format!("{} is empty", directory.join(&at.value).display());
        sink.error(&at.span, message, "the file holds the password alone");
    }
    if word.len() > PASS_LEN {
        let message = format!("the password has {} octets, 8 are sent", word.len());
        sink.warning(
            &at.span,
            message,
            "shorten it, so that nobody relies on the rest",
        );
    }
    let mut padded = [0; PASS_LEN];
    for (slot, octet) in padded.iter_mut().zip(word) {
        *slot = *octet;
    }
    Auth::Pass(padded)
}

/// How adverts of version 3 are signed.
pub(super) fn signing(
    raw: &RawInstance,
    version: Version,
    directory: &Path,
    sink: &Sink,
) -> Option<Signing> {
    if version == Version::V2 {
        return None;
    }
    let Some(at) = &raw.auth_file else {
        for span in signing_only(raw) {
            sink.error(
                span,
                "nothing is signed without `auth-file`",
                "write auth-file = \"/etc/wayfare/vrrp.key\", or remove this",
            );
        }
        return None;
    };
    let cure = "write a line such as: 1 hex:0001...1f (32 to 64 octets), the same on all routers";
    let text = read(at, directory, cure, sink)?;
    let found = keys(&String::from_utf8_lossy(&text));
    let keys = match found {
        Ok(keys) => keys,
        Err(fault) => {
            let message = format!("{}: {fault}", directory.join(&at.value).display());
            sink.error(&at.span, message, cure);
            return None;
        }
    };
    let interval = raw.interval.as_ref();
    let interval = interval.map_or(Duration::from_secs(1), |at| at.value);
    Some(Signing {
        keys,
        mode: raw
            .auth_mode
            .as_ref()
            .map(|at| at.value.0)
            .unwrap_or_default(),
        window: window(raw, interval, sink),
    })
}

fn window(raw: &RawInstance, interval: Duration, sink: &Sink) -> Option<Duration> {
    let Some(at) = &raw.auth_window else {
        return Some(Signing::window_default(interval));
    };
    let whole = at.value.subsec_nanos() == 0 && at.value <= WINDOW_MAX;
    if !whole {
        sink.error(
            &at.span,
            format!("{} is no window", duration_text(at.value)),
            "write whole seconds up to 300s, or \"0s\" to compare no clocks",
        );
    }
    (!at.value.is_zero()).then_some(at.value)
}

fn signing_only(raw: &RawInstance) -> impl Iterator<Item = &std::ops::Range<usize>> {
    let mode = raw.auth_mode.as_ref().map(|at| &at.span);
    mode.into_iter()
        .chain(raw.auth_window.as_ref().map(|at| &at.span))
}

fn read(at: &At<PathBuf>, directory: &Path, cure: &str, sink: &Sink) -> Option<Vec<u8>> {
    let path = directory.join(&at.value);
    match std::fs::read(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            sink.error(&at.span, message, cure);
            None
        }
    }
}

/// The keys of a file, in its order.
fn keys(text: &str) -> Result<Vec<Key>, String> {
    let mut keys: Vec<Key> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = at + 1;
        let (id, key) = match line.split_once(char::is_whitespace) {
            Some((id, key)) => match id.parse::<u8>() {
                Ok(id @ 1..) => (id, key.trim()),
                _ => {
                    return Err(format!(
                        "line {number} does not begin with a key id, 1 to 255"
                    ));
                }
            },
            None => (1, line),
        };
        let octets = match key.strip_prefix("hex:") {
            Some(digits) => hex(digits).ok_or(format!("line {number} has no hexadecimal key"))?,
            None => key.as_bytes().to_vec(),
        };
        let length = octets.len();
        let key = Key::new(id, octets).ok_or(format!(
            "the key in line {number} has {length} octets, {KEY_MIN} to {KEY_MAX} are needed"
        ))?;
        if keys.iter().any(|one| one.id == id) {
            return Err(format!("line {number}: there is a key {id} already"));
        }
        keys.push(key);
    }
    match keys.is_empty() {
        true => Err("there is no key in it".to_owned()),
        false => Ok(keys),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = digits.chars().map(|one| one.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines_and_faults_name_the_line() {
        let text = "# handed out 2026\n2 hex:000102030405060708090a0b0c0d0e0f1011121314151617\
                    18191a1b1c1d1e1f\n\n1 thirty-two octets of text, or more.\n";
        let found = keys(text).expect("two keys");
        assert_eq!(found.iter().map(|key| key.id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(Some(&found[0]), Key::new(2, (0..32).collect()).as_ref());
        assert!(!format!("{found:?}").contains("octets"), "a key is shown");
        for (text, fault) in [
            ("", "no key in it"),
            ("1 short", "line 1 has 5 octets"),
            ("1 hex:zz", "line 1 has no hexadecimal key"),
            (
                "0 thirty-two octets of text, or more.",
                "line 1 does not begin with a key id",
            ),
            (
                "#\n1 thirty-two octets of text, or more.\n1 thirty-two octets of text, or more.",
                "line 3: there is a key 1 already",
            ),
        ] {
            let error = keys(text).expect_err("a fault");
            assert!(error.contains(fault), "{error}");
        }
    }
}
