//! The ADVERTISEMENT, the only message of VRRP.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Type  |     VRID      |   Priority    |     Count     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Reserve| Max advertise interval|           Checksum            |   version 3, centiseconds
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Auth type   | Interval (s)  |           Checksum            |   version 2
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  addresses, 4 or 16 octets each; version 2: 8 octets of authentication data behind them
//! ```
//!
//! The view borrows: a router hears thousands of adverts per second that say what the last one
//! said, and compares lists without an allocation. Interval and authentication are read into
//! types; what a state machine must judge (interval other than ours, password) is left to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::checksum::{self, ChecksumForm};
use super::trailer::{TRAILER_LEN, Trailer};
use super::{ADDRESSES_MAX, Envelope, Flaw, Version};

/// Octets before the addresses.
const HEADER_LEN: usize = 8;
/// Octets of authentication data in version 2, whatever its type.
pub const PASS_LEN: usize = 8;
const TYPE_ADVERTISEMENT: u8 = 1;
const AUTH_NONE: u8 = 0;
const AUTH_PASS: u8 = 1;
const AUTH_HEADER: u8 = 2;
/// Longest interval of version 3, in centiseconds: 12 bits.
const CENTISECONDS_MAX: u16 = 0x0fff;

/// How a version 2 advert proves its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all: version 3, and version 2 as RFC 3768 wants it.
    #[default]
    None,
    /// A word in clear text (RFC 2338 §5.3.6.2), padded with zeros.
    Pass([u8; PASS_LEN]),
}

/// The addresses of an advert, as they stand in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressList<'a> {
    octets: &'a [u8],
    ipv6: bool,
}

impl<'a> AddressList<'a> {
    /// The addresses in the order of the message.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> + 'a {
        let (v4, v6) = match self.ipv6 {
            false => (self.octets.as_chunks::<4>().0, Default::default()),
            true => (Default::default(), self.octets.as_chunks::<16>().0),
        };
        let v4 = v4.iter().map(|octets| Ipv4Addr::from(*octets).into());
        v4.chain(v6.iter().map(|octets| Ipv6Addr::from(*octets).into()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.octets.len() / address_len(self.ipv6)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.octets.is_empty()
    }
}

/// A decoded advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert<'a> {
    /// Version.
    pub version: Version,
    /// Virtual router, 1 to 255; 0 is possible on the wire and belongs to nobody.
    pub vrid: u8,
    /// 0 lets go, 255 owns the addresses.
    pub priority: u8,
    /// Advertisement interval: 10 ms to 40.95 s in version 3, 1 to 255 s in version 2. Version 2
    /// may hold 0, which differs from every configured one.
    pub interval: Duration,
    /// Version 2 only.
    pub auth: Auth,
    /// The reading that the checksum follows; only version 3 over IPv4 has two.
    pub checksum: ChecksumForm,
    /// At least one.
    pub addresses: AddressList<'a>,
}

/// An advert to write.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Version.
    pub version: Version,
    /// Virtual router.
    pub vrid: u8,
    /// Priority.
    pub priority: u8,
    /// Interval, rounded down to the unit of the version and kept in its range.
    pub interval: Duration,
    /// Version 2 only.
    pub auth: Auth,
    /// Version 3 over IPv4 only.
    pub checksum: ChecksumForm,
    /// Of one family, the one of the envelope; others are left out.
    pub addresses: &'a [IpAddr],
}

impl<'a> Advert<'a> {
    /// Reads an advert. `message` is the payload of the IP packet as its header bounds it.
    ///
    /// # Errors
    /// The first [`Flaw`] in the order of the receive ladder: discard and count.
    pub fn decode(message: &'a [u8], envelope: &Envelope) -> Result<Self, Flaw> {
        Self::read(message, envelope, false).map(|(advert, _)| advert)
    }

    /// As [`Advert::decode`], for a router that shares keys with its peers: an advert that exactly
    /// a trailer follows comes with it, another one without.
    ///
    /// # Errors
    /// As [`Advert::decode`].
    pub fn decode_signed(
        message: &'a [u8],
        envelope: &Envelope,
    ) -> Result<(Self, Option<Trailer<'a>>), Flaw> {
        Self::read(message, envelope, true)
    }

    fn read(
        message: &'a [u8],
        envelope: &Envelope,
        signed: bool,
    ) -> Result<(Self, Option<Trailer<'a>>), Flaw> {
        let found = message.len();
        let Some((header, body)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Err(Flaw::Truncated { found });
        };
        let [
            kind,
            vrid,
            priority,
            count,
            auth_type,
            interval,
            sum_high,
            sum_low,
        ] = *header;
        let ipv6 = envelope.source.is_ipv6();
        let version = version_of(kind, ipv6)?;
        if count == 0 {
            return Err(Flaw::NoAddresses);
        }
        let addresses_len = usize::from(count) * address_len(ipv6);
        let auth_len = match version {
            Version::V2 => PASS_LEN,
            Version::V3 => 0,
        };
        let expected = HEADER_LEN + addresses_len + auth_len;
        let has_trailer = signed && found == expected + TRAILER_LEN;
        let (Some((octets, rest)), true) = (
            body.split_at_checked(addresses_len),
            found == expected || has_trailer,
        ) else {
            return Err(Flaw::Length {
                count,
                expected,
                found,
            });
        };
        let sum = u16::from_be_bytes([sum_high, sum_low]);
        // Over IPv6 it covers the trailer too.
        let summed = message.get(..if ipv6 { found } else { expected });
        let checksum = check(summed.unwrap_or(message), sum, version, envelope)?;
        let addresses = AddressList { octets, ipv6 };
        let (auth, interval) = match version {
            Version::V2 => (
                auth_of(auth_type, rest)?,
                Duration::from_secs(u64::from(interval)),
            ),
            Version::V3 => (
                Auth::None,
                centiseconds(u16::from_be_bytes([auth_type, interval]))?,
            ),
        };
        begins_on_the_link(addresses, envelope)?;
        let advert = Self {
            version,
            vrid,
            priority,
            interval,
            auth,
            checksum,
            addresses,
        };
        let trailer = has_trailer.then(|| Trailer::split(message, expected));
        Ok((advert, trailer.flatten()))
    }

    /// Writes `draft` behind `out`, which is where the IP header ends, with the checksum for
    /// `envelope`. At most [`ADDRESSES_MAX`] addresses are written.
    pub fn encode(draft: &Draft<'_>, envelope: &Envelope, out: &mut Vec<u8>) {
        let start = out.len();
        let ipv6 = envelope.source.is_ipv6();
        let fitting = || {
            let same_family = |address: &&IpAddr| address.is_ipv6() == ipv6;
            draft
                .addresses
                .iter()
                .filter(same_family)
                .take(ADDRESSES_MAX)
        };
        let count = u8::try_from(fitting().count()).unwrap_or(u8::MAX);
        out.push(draft.version.number() << 4 | TYPE_ADVERTISEMENT);
        out.extend_from_slice(&[draft.vrid, draft.priority, count]);
        match draft.version {
            Version::V2 => {
                let seconds = u8::try_from(draft.interval.as_secs()).unwrap_or(u8::MAX);
                let auth_type = match draft.auth {
                    Auth::None => AUTH_NONE,
                    Auth::Pass(_) => AUTH_PASS,
                };
                out.extend_from_slice(&[auth_type, seconds.max(1)]);
            }
            Version::V3 => {
                let units = u16::try_from(draft.interval.as_millis() / 10).unwrap_or(u16::MAX);
                let units = units.clamp(1, CENTISECONDS_MAX);
                out.extend_from_slice(&units.to_be_bytes());
            }
        }
        out.extend_from_slice(&[0, 0]);
        for address in fitting() {
            match address {
                IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
            }
        }
        if draft.version == Version::V2 {
            let data = match draft.auth {
                Auth::None => [0; PASS_LEN],
                Auth::Pass(word) => word,
            };
            out.extend_from_slice(&data);
        }
        let Some(message) = out.get_mut(start..) else {
            return;
        };
        let sum = match (draft.version, ipv6, draft.checksum) {
            (Version::V2, ..) | (Version::V3, false, ChecksumForm::Rfc9568) => {
                checksum::plain(message, 0)
            }
            _ => checksum::with_pseudo_header(message, 0, envelope),
        };
        if let Some(field) = message.get_mut(6..8) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// The version of an ADVERTISEMENT from its first octet.
fn version_of(kind: u8, ipv6: bool) -> Result<Version, Flaw> {
    let version = match kind >> 4 {
        2 if !ipv6 => Version::V2,
        3 => Version::V3,
        other => return Err(Flaw::Version(other)),
    };
    match kind & 0x0f {
        TYPE_ADVERTISEMENT => Ok(version),
        other => Err(Flaw::Type(other)),
    }
}

fn address_len(ipv6: bool) -> usize {
    if ipv6 { 16 } else { 4 }
}

/// The reading that `found` follows, RFC 9568 §5.2.8.
fn check(
    message: &[u8],
    found: u16,
    version: Version,
    envelope: &Envelope,
) -> Result<ChecksumForm, Flaw> {
    let plain = checksum::plain(message, found);
    if version == Version::V2 {
        return match checksum::same(plain, found) {
            true => Ok(ChecksumForm::default()),
            false => Err(Flaw::Checksum {
                found,
                expected: plain,
            }),
        };
    }
    let expected = checksum::with_pseudo_header(message, found, envelope);
    if checksum::same(expected, found) {
        return Ok(ChecksumForm::Rfc5798);
    }
    if envelope.source.is_ipv4() && checksum::same(plain, found) {
        return Ok(ChecksumForm::Rfc9568);
    }
    Err(Flaw::Checksum { found, expected })
}

/// RFC 9568 §5.2.9: IPv6 lists of multicast adverts begin with a link-local address. Unicast peers
/// share no link, so no address of it can be asked for.
fn begins_on_the_link(addresses: AddressList<'_>, envelope: &Envelope) -> Result<(), Flaw> {
    match addresses.iter().next() {
        Some(IpAddr::V6(first))
            if envelope.destination.is_multicast() && !first.is_unicast_link_local() =>
        {
            Err(Flaw::NotLinkLocal(first))
        }
        _ => Ok(()),
    }
}

fn auth_of(kind: u8, data: &[u8]) -> Result<Auth, Flaw> {
    match (kind, data.first_chunk::<PASS_LEN>()) {
        (AUTH_NONE, _) => Ok(Auth::None),
        (AUTH_PASS, Some(word)) => Ok(Auth::Pass(*word)),
        (AUTH_HEADER, _) => Err(Flaw::AuthHeader),
        (other, _) => Err(Flaw::AuthType(other)),
    }
}

/// The interval of version 3; the four reserved bits are ignored (RFC 9568 §5.2.6).
fn centiseconds(field: u16) -> Result<Duration, Flaw> {
    match field & CENTISECONDS_MAX {
        0 => Err(Flaw::ZeroInterval),
        units => Ok(Duration::from_millis(u64::from(units) * 10)),
    }
}
