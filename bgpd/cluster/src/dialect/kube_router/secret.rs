//! Passwords in base64, as kube-router has them in flags and annotations.
//!
//! Standard alphabet with padding (RFC 4648 §4). The octets are the key as they are, a newline that
//! `echo` left at the end included, since that is what the router was told too. A text that cannot
//! be decoded is never shown: it may be the password itself.

use crate::Secret;

/// Longest TCP-MD5 key Linux takes (`TCP_MD5SIG_MAXKEYLEN`).
const KEY_LEN_MAX: usize = 80;

/// Decodes a password.
///
/// # Errors
/// Not base64, or no key of TCP-MD5.
pub(super) fn password(object: &str, text: &str) -> Result<Secret, String> {
    let key = decode(text).ok_or("a password is not base64: printf PASSWORD | base64")?;
    match key.len() {
        0 => Err("a password is empty".to_owned()),
        len if len > KEY_LEN_MAX => Err(format!("a password has {len} octets, 80 at most")),
        _ => Ok(Secret {
            object: object.into(),
            key,
        }),
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut groups = text.chunks_exact(4).peekable();
    while let Some(group) = groups.next() {
        let padding = group.iter().rev().take_while(|&&c| c == b'=').count();
        if padding > 2 || (padding > 0 && groups.peek().is_some()) {
            return None;
        }
        let mut bits = 0_u32;
        for &c in group.iter().take(4 - padding) {
            bits = (bits << 6) | u32::from(sextet(c)?);
        }
        bits <<= 6 * padding;
        let octets = bits.to_be_bytes();
        out.extend(octets.iter().skip(1).take(3 - padding));
    }
    Some(out)
}

fn sextet(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648_section_10() {
        for (text, octets) in [
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("U2VjdXJlUGFzc3dvcmQK", "SecurePassword\n"),
        ] {
            let secret = password("flag", text).expect(text);
            assert_eq!(secret.key, octets.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_told() {
        for text in [
            "",
            "Zg",
            "Zg=",
            "Z===",
            "Zg==Zg==",
            "Sup3r-Secret",
            "Zm9v\n",
        ] {
            let fault = password("flag", text).expect_err(text);
            assert!(text.is_empty() || !fault.contains(text), "{fault}");
        }
        assert!(password("flag", &"Zm9v".repeat(27)).is_err(), "81 octets");
    }
}
