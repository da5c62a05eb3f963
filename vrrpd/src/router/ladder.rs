//! The receive ladder: whether an advert counts, decided before anything is touched.
//!
//! The order loses the least information: who is addressed, how far it came, what the octets say
//! ([`Flaw`]), and last what only this router can judge. Interval (version 3), address list and
//! the other checksum form are no reason to discard; the machine notes them as conflicts instead,
//! because discarding makes two masters. RFC 3768 §7.1 would drop a differing list; keepalived 2.2
//! did, and adding an address on one router after the other split the pair.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use proto_codec::vrrp::trailer::Trailer;
use proto_codec::vrrp::{Advert, Envelope, Flaw, GROUP_V4, GROUP_V6, HOP_LIMIT, Version};

use super::settings::Settings;
use super::signing::Refusal;

/// Why an advert was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Unicast although we use multicast, multicast although we use unicast, or another group.
    Destination(IpAddr),
    /// A unicast sender that is not configured.
    Stranger,
    /// It crossed a router (RFC 9568 §7.1): TTL or hop limit as received.
    HopLimit(u8),
    /// The octets are wrong.
    Flaw(Flaw),
    /// Speaks the other version.
    Version(u8),
    /// Authentication differs from ours (RFC 2338 §7.1).
    Auth,
    /// Its signature is not accepted.
    Signature(Refusal),
    /// Version 2 with another interval than ours (RFC 3768 §7.1).
    Interval(Duration),
    /// The sender has our own address: a loop, or a duplicate address.
    OwnAddress,
}

impl Discard {
    /// The name of its counter, stable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Destination(_) => "destination",
            Self::Stranger => "unknown-peer",
            Self::HopLimit(_) => "hop-limit",
            Self::Flaw(flaw) => flaw.name(),
            Self::Version(_) => "version",
            Self::Auth => "auth",
            Self::Signature(refusal) => refusal.name(),
            Self::Interval(_) => "interval",
            Self::OwnAddress => "own-address",
        }
    }

    /// Whether only a router of the segment can have sent it. What did not prove that (no hop
    /// limit, another destination, a sender nobody named) may carry any source from anywhere: it is
    /// counted, and is no fact about a peer.
    pub(super) fn is_from_the_segment(&self) -> bool {
        !matches!(
            self,
            Self::Destination(_) | Self::Stranger | Self::HopLimit(_)
        )
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination(to) => write!(f, "sent to {to}, which is not how we speak"),
            Self::Stranger => f.write_str("sender is not among the unicast peers"),
            Self::HopLimit(found) => write!(f, "hop limit {found}, 255 expected"),
            Self::Flaw(flaw) => write!(f, "{flaw}"),
            Self::Version(found) => write!(f, "speaks version {found}"),
            Self::Auth => f.write_str("authentication differs from ours"),
            Self::Signature(refusal) => write!(f, "{refusal}"),
            Self::Interval(found) => {
                write!(f, "interval {} s differs from ours", found.as_secs())
            }
            Self::OwnAddress => f.write_str("sent from our own address: loop or duplicate"),
        }
    }
}

/// Climbs the ladder up to the signature, which needs what the router remembers of its senders.
/// `is_own` knows the addresses of this host.
pub(super) fn judge<'m>(
    settings: &Settings,
    is_own: impl Fn(IpAddr) -> bool,
    envelope: &Envelope,
    message: &'m [u8],
) -> Result<(Advert<'m>, Option<Trailer<'m>>), Discard> {
    let group = match settings.ipv6() {
        false => IpAddr::V4(GROUP_V4),
        true => IpAddr::V6(GROUP_V6),
    };
    if settings.unicast_peers.is_empty() {
        if envelope.destination != group {
            return Err(Discard::Destination(envelope.destination));
        }
        if envelope.hop_limit != HOP_LIMIT {
            return Err(Discard::HopLimit(envelope.hop_limit));
        }
    } else {
        if envelope.destination.is_multicast() {
            return Err(Discard::Destination(envelope.destination));
        }
        if !settings.unicast_peers.contains(&envelope.source) {
            return Err(Discard::Stranger);
        }
    }
    let decoded = match settings.signing {
        None => Advert::decode(message, envelope).map(|advert| (advert, None)),
        Some(_) => Advert::decode_signed(message, envelope),
    };
    let (advert, trailer) = decoded.map_err(Discard::Flaw)?;
    if advert.version != settings.version {
        return Err(Discard::Version(advert.version.number()));
    }
    if settings.version == Version::V2 {
        if advert.auth != settings.auth {
            return Err(Discard::Auth);
        }
        if advert.interval != settings.interval {
            return Err(Discard::Interval(advert.interval));
        }
    }
    if is_own(envelope.source) {
        return Err(Discard::OwnAddress);
    }
    Ok((advert, trailer))
}
