//! The trailer that authenticates an advert (draft-cassen-vrrp-auth-hmac, keepalived 2.4).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Scheme (1)    |    Key id     |         Reserved (0)          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                Seconds since 1970, UTC                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Fraction of a second, 1/65536|           Counter             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |            HMAC-SHA256, its first 16 octets                   |
//! ```
//!
//! It stands behind the advert and is no part of it: the number of addresses says where the advert
//! ends. The code covers a header of its own (family, version, virtual router, source), the advert
//! with its checksum read as zero, and the trailer up to the code. The destination is not covered,
//! so one signature serves every unicast peer. The checksum of IPv4 ends before the trailer, the
//! one of IPv6 covers it, because there the kernel of keepalived's host computes it.
//!
//! Here are octets alone. Which key, which clock and whether a sequence number was seen before
//! belong to the virtual router.

#[cfg(test)]
#[path = "trailer_tests.rs"]
mod tests;

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Envelope, Version, checksum};

/// Octets of the trailer.
pub const TRAILER_LEN: usize = 28;

/// Shortest key, in octets.
pub const KEY_MIN: usize = 32;

/// Longest key, in octets: one block of SHA-256.
pub const KEY_MAX: usize = 64;

const SCHEME_HMAC_SHA256: u8 = 1;
const CODE_LEN: usize = 16;
/// Octets before the code.
const PREFIX_LEN: usize = TRAILER_LEN - CODE_LEN;
/// Where an advert has its checksum.
const CHECKSUM_AT: usize = 6;

/// What a signature is made with.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Which of the keys that the routers share.
    pub key_id: u8,
    /// The key, [`KEY_MIN`] to [`KEY_MAX`] octets.
    pub key: &'a [u8],
    /// Seconds in the upper half, then the fraction, then the counter. Grows with every advert.
    pub sequence: u64,
}

/// A trailer as received; nothing about it is proven before [`Trailer::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer<'a> {
    scheme: u8,
    /// The key it claims.
    pub key_id: u8,
    reserved: [u8; 2],
    /// The sequence number it claims.
    pub sequence: u64,
    /// The advert it stands behind.
    advert: &'a [u8],
    prefix: &'a [u8; PREFIX_LEN],
    code: &'a [u8; CODE_LEN],
}

impl<'a> Trailer<'a> {
    /// Splits a message whose advert has `advert_len` octets; `None` when exactly a trailer does
    /// not follow.
    pub(super) fn split(message: &'a [u8], advert_len: usize) -> Option<Self> {
        let (advert, trailer) = message.split_at_checked(advert_len)?;
        let (prefix, code) = trailer.split_first_chunk::<PREFIX_LEN>()?;
        let code: &[u8; CODE_LEN] = code.try_into().ok()?;
        let [scheme, key_id, high, low, sequence @ ..] = prefix;
        Some(Self {
            scheme: *scheme,
            key_id: *key_id,
            reserved: [*high, *low],
            sequence: u64::from_be_bytes(*sequence),
            advert,
            prefix,
            code,
        })
    }

    /// Whether it is of the one scheme that is spoken, with its reserved octets zero.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.scheme == SCHEME_HMAC_SHA256 && self.reserved == [0, 0]
    }

    /// The seconds of its sequence number.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        u32::try_from(self.sequence >> 32).unwrap_or(u32::MAX)
    }

    /// Whether `key` made it for this advert and this sender, in constant time.
    #[must_use]
    pub fn verify(&self, key: &[u8], version: Version, vrid: u8, source: IpAddr) -> bool {
        let header = header(version, vrid, source);
        code(key, &header, self.advert, self.prefix)
            .is_some_and(|mac| mac.verify_truncated_left(self.code).is_ok())
    }
}

/// Signs the advert that begins at `start` in `out`, appends the trailer, and for IPv6 writes the
/// checksum again, which covers it.
pub fn sign(
    out: &mut Vec<u8>,
    start: usize,
    version: Version,
    envelope: &Envelope,
    by: &Stamp<'_>,
) {
    let Some(&[_, vrid, ..]) = out.get(start..) else {
        return;
    };
    let mut prefix = [0; PREFIX_LEN];
    let [scheme, key_id, _, _, sequence @ ..] = &mut prefix;
    *scheme = SCHEME_HMAC_SHA256;
    *key_id = by.key_id;
    *sequence = by.sequence.to_be_bytes();
    let header = header(version, vrid, envelope.source);
    let advert = out.get(start..).unwrap_or_default();
    // A code of zeros is refused by every receiver; HMAC takes keys of any length.
    let full = code(by.key, &header, advert, &prefix).map(|mac| mac.finalize().into_bytes());
    let truncated = full
        .as_ref()
        .and_then(|full| full.first_chunk::<CODE_LEN>());
    out.extend_from_slice(&prefix);
    out.extend_from_slice(truncated.unwrap_or(&[0; CODE_LEN]));
    let Some(message) = out.get_mut(start..).filter(|_| envelope.source.is_ipv6()) else {
        return;
    };
    let field = CHECKSUM_AT..CHECKSUM_AT + 2;
    if let Some(field) = message.get_mut(field.clone()) {
        field.fill(0);
    }
    let sum = checksum::with_pseudo_header(message, 0, envelope);
    if let Some(field) = message.get_mut(field) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

/// What the code covers before the advert: it binds family, version, virtual router and sender.
fn header(version: Version, vrid: u8, source: IpAddr) -> [u8; 20] {
    let mut header = [0; 20];
    let [family, number, id, _, address @ ..] = &mut header;
    (*number, *id) = (version.number(), vrid);
    match source {
        IpAddr::V4(v4) => {
            *family = 4;
            let octets = v4.octets();
            for (slot, octet) in address.iter_mut().zip(octets) {
                *slot = octet;
            }
        }
        IpAddr::V6(v6) => {
            *family = 6;
            *address = v6.octets();
        }
    }
    header
}

fn code(key: &[u8], header: &[u8], advert: &[u8], prefix: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    let (before, rest) = advert.split_at_checked(CHECKSUM_AT)?;
    let (_, behind) = rest.split_at_checked(2)?;
    mac.update(header);
    mac.update(before);
    mac.update(&[0; 2]);
    mac.update(behind);
    mac.update(prefix);
    mac.update(&[0; CODE_LEN]);
    Some(mac)
}
