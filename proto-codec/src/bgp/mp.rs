//! MP_REACH_NLRI and the heads of both MP attributes (RFC 4760, RFC 2545, RFC 8950).
//!
//! An MP attribute carries prefixes, so an error in its structure leaves no way to know which
//! routes it was about: the session is reset with 3/9 (RFC 7606 §7.11), with 3/10 when the
//! prefixes are at fault (§5.3). A next hop that is readable but no host's address costs only the
//! routes of the attribute. Families that were not negotiated are checked for structure and
//! skipped; of flow specifications (RFC 8955) that includes where each one ends.

use std::net::{Ipv4Addr, Ipv6Addr};

use nom::Parser;
use nom::combinator::map;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16};

use super::attr::block::MpAttr;
use super::attr::{NextHop, table};
use super::nlri::Nlri;
use super::update::{DecodeContext, prefixes, update_error};
use crate::afi::{AfiSafi, Family};
use crate::error::{DecodeError, ErrorKind};
use crate::input::{Parsed, Stop};

/// Flow specifications, RFC 8955 §4 and §8.
const SAFI_FLOW: u8 = 133;
const SAFI_FLOW_VPN: u8 = 134;

/// Prefixes and where their next hop comes from.
pub(crate) struct Routes<'a> {
    pub nlri: Nlri<'a>,
    pub next_hop: HopSource<'a>,
}

pub(crate) enum HopSource<'a> {
    /// NEXT_HOP.
    Attribute,
    /// MP_REACH_NLRI: its octets, what they mean, and where they stand. `None`: no unicast
    /// address, or not to be used on this session.
    Mp(&'a [u8], Option<NextHop>, usize),
}

/// The family in front of an MP attribute's value.
pub(crate) fn family_of(value: &[u8]) -> Parsed<'_, AfiSafi> {
    map((be_u16, be_u8), |(afi, safi)| AfiSafi { afi, safi }).parse(value)
}

/// RFC 7606 §3 c with §7.11: wrong flags of an MP attribute reset.
pub(crate) fn check_flags(type_code: u8, mp: &MpAttr<'_>) -> Result<(), DecodeError> {
    let Some(row) = table::find(type_code) else {
        return Ok(());
    };
    table::check_flags(row, mp.flags).map_err(|kind| update_error(9, kind, mp.at))
}

/// MP_REACH_NLRI, RFC 4760 §3. `None` for a family that was not negotiated.
pub(crate) fn reach<'a>(
    mp: MpAttr<'a>,
    ctx: &DecodeContext,
) -> Result<Option<Routes<'a>>, DecodeError> {
    check_flags(14, &mp)?;
    let bad = |kind, inside| update_error(9, kind, mp.at + inside);
    // RFC 4760 §3: the reserved octet is ignored, but it is there.
    let head = (family_of, length_data(be_u8), be_u8).parse(mp.value);
    let (octets, (pair, hop, _)) =
        head.map_err(|_: nom::Err<Stop>| bad(ErrorKind::Length(mp.value.len()), 0))?;
    let Some(family) = Family::from_afi_safi(pair).filter(|family| family.pick(ctx.families))
    else {
        let octets_at = mp.at + mp.value.len() - octets.len();
        check_skipped(pair, octets, octets_at)?;
        return Ok(None);
    };
    let next_hop = match (family, hop.len()) {
        (Family::Ipv4Unicast, 4) => hop.first_chunk::<4>().and_then(|hop| mp_hop4(*hop)),
        // RFC 8950 §4: without the capability the peer must not send this; the routes are unusable.
        (Family::Ipv4Unicast, 16 | 32) if !ctx.ext_next_hop => None,
        (_, 16 | 32) => mp_hop6(hop),
        _ => {
            let kind = ErrorKind::NextHopLength {
                family: pair,
                len: u8::try_from(hop.len()).unwrap_or(u8::MAX),
            };
            return Err(bad(kind, 3));
        }
    };
    let nlri_at = mp.at + mp.value.len() - octets.len();
    let nlri = prefixes(family, (octets, nlri_at), ctx)?;
    Ok(Some(Routes {
        nlri,
        next_hop: HopSource::Mp(hop, next_hop, mp.at + 4),
    }))
}

/// The NLRI of a family that is passed over, as far as its structure is known: a flow specification
/// begins with its length (RFC 8955 §4.1), one octet below 240 or twelve bits behind four ones.
/// One of no octets, or of more than there are, cannot be cut out (RFC 7606 §5.3). Its components
/// are the business of those who negotiated the family.
pub(crate) fn check_skipped(pair: AfiSafi, octets: &[u8], at: usize) -> Result<(), DecodeError> {
    if !matches!(pair.safi, SAFI_FLOW | SAFI_FLOW_VPN) {
        return Ok(());
    }
    let mut left = octets;
    while let [first, rest @ ..] = left {
        let bad = |kind| update_error(10, kind, at + octets.len() - left.len());
        let (len, rest) = match (*first, rest) {
            (0xf0.., [low, rest @ ..]) => {
                (usize::from(*first & 0x0f) << 8 | usize::from(*low), rest)
            }
            (len, rest) => (usize::from(len), rest),
        };
        if len == 0 {
            return Err(bad(ErrorKind::Length(0)));
        }
        left = rest
            .get(len..)
            .ok_or_else(|| bad(ErrorKind::PrefixTruncated))?;
    }
    Ok(())
}

fn mp_hop4(octets: [u8; 4]) -> Option<NextHop> {
    Some(Ipv4Addr::from(octets))
        .filter(is_unicast4)
        .map(NextHop::V4)
}

/// RFC 2545 §3: a global address, or one and a link-local one. Peers without a global address send
/// the link-local one alone, twice, or behind `::`.
fn mp_hop6(octets: &[u8]) -> Option<NextHop> {
    let (first, rest) = octets.split_first_chunk::<16>()?;
    let first = Ipv6Addr::from(*first);
    let second = rest
        .first_chunk::<16>()
        .map(|octets| Ipv6Addr::from(*octets))
        .filter(Ipv6Addr::is_unicast_link_local);
    match second {
        Some(link_local) if first.is_unspecified() || first == link_local => Some(NextHop::V6 {
            global: link_local,
            link_local: None,
        }),
        link_local => {
            let unusable = first.is_unspecified() || first.is_multicast() || first.is_loopback();
            (!unusable).then_some(NextHop::V6 {
                global: first,
                link_local,
            })
        }
    }
}

/// RFC 4271 §6.3 and RFC 7606 §7.3: an address of a host: not 0/8, 127/8, multicast or class E.
pub(crate) fn is_unicast4(addr: &Ipv4Addr) -> bool {
    let [first, ..] = addr.octets();
    !matches!(first, 0 | 127 | 224..)
}
