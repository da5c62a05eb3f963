//! The wire form of capabilities (RFC 5492 §4): code, length, value, any number in a row.
//!
//! A value is parsed by a parser that sees only its own octets, so a wrong length can never reach
//! into the next capability. A length a capability's RFC does not allow refuses the OPEN (2/0),
//! because what the peer meant is not known and guessing would negotiate something. One exception:
//! an ADD-PATH tuple with an undefined mode makes that capability count as not understood (RFC
//! 7911 §4); it is then kept as unknown.

use bytes::{BufMut, BytesMut};
use nom::bytes::complete::take;
use nom::combinator::{all_consuming, map, rest, verify};
use nom::multi::{length_data, many0};
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32};
use nom::{Parser, sequence::preceded};

use super::{AddPathMode, Capability, GracefulRestart, GracefulRestartFamily, LlgrFamily, Role};
use crate::afi::AfiSafi;
use crate::error::ErrorKind;
use crate::input::{Parsed, Stop, offset_in};

/// Decodes capabilities until `octets` ends. An error carries the offset in `octets`.
pub fn decode_capabilities(
    octets: &[u8],
    into: &mut Vec<Capability>,
) -> Result<(), (ErrorKind, usize)> {
    let mut left = octets;
    while !left.is_empty() {
        let at = offset_in(octets, left);
        let (after, (code, value)) = (be_u8, length_data(be_u8))
            .parse(left)
            .map_err(|_: nom::Err<Stop>| (ErrorKind::Truncated("capability"), at))?;
        let len = u8::try_from(value.len()).unwrap_or(u8::MAX);
        let (_, capability) = capability_value(code, value).map_err(|stop| {
            let inside = crate::input::consumed(value, &stop);
            (ErrorKind::Capability { code, len }, at + 2 + inside)
        })?;
        into.push(capability);
        left = after;
    }
    Ok(())
}

fn capability_value(code: u8, value: &[u8]) -> Parsed<'_, Capability> {
    match code {
        1 => all_consuming(map((be_u16, be_u8, be_u8), |(afi, _, safi)| {
            Capability::Multiprotocol(AfiSafi { afi, safi })
        }))
        .parse(value),
        2 => empty(value, Capability::RouteRefresh),
        3 => orf(value),
        5 => all_consuming(map(many0((be_u16, be_u16, be_u16)), |tuples| {
            Capability::ExtendedNextHop(tuples.into_iter().map(ext_next_hop).collect())
        }))
        .parse(value),
        6 => empty(value, Capability::ExtendedMessage),
        9 => {
            all_consuming(map(be_u8, |role| Capability::Role(Role::from_value(role)))).parse(value)
        }
        64 => all_consuming(map(graceful_restart, Capability::GracefulRestart)).parse(value),
        65 => all_consuming(map(be_u32, Capability::FourOctetAs)).parse(value),
        69 => add_path(value),
        70 => empty(value, Capability::EnhancedRouteRefresh),
        71 => all_consuming(map(
            many0(llgr_family),
            Capability::LongLivedGracefulRestart,
        ))
        .parse(value),
        73 => fqdn(value),
        // draft-ietf-idr-bgp-software-version §2: a length octet and the text; what follows is
        // ignored.
        75 => map(
            (length_data(be_u8), rest),
            |(version, _): (&[u8], &[u8])| Capability::SoftwareVersion(version.to_vec()),
        )
        .parse(value),
        _ => Ok((&[], unknown(code, value))),
    }
}

fn unknown(code: u8, value: &[u8]) -> Capability {
    Capability::Unknown {
        code,
        value: value.to_vec(),
    }
}

fn empty(value: &[u8], capability: Capability) -> Parsed<'_, Capability> {
    all_consuming(map(take(0usize), move |_: &[u8]| capability.clone())).parse(value)
}

// The SAFI of RFC 8950 §4 has two octets; one that does not fit stays something we do not speak.
fn ext_next_hop((afi, safi, next_hop_afi): (u16, u16, u16)) -> (AfiSafi, u16) {
    (
        AfiSafi {
            afi,
            safi: u8::try_from(safi).unwrap_or(0),
        },
        next_hop_afi,
    )
}

fn afi_safi(input: &[u8]) -> Parsed<'_, AfiSafi> {
    map((be_u16, be_u8), |(afi, safi)| AfiSafi { afi, safi }).parse(input)
}

fn graceful_restart(input: &[u8]) -> Parsed<'_, GracefulRestart> {
    let family = map((afi_safi, be_u8), |(afi_safi, flags)| {
        GracefulRestartFamily {
            afi_safi,
            forwarding: flags & 0x80 != 0,
        }
    });
    map((be_u16, many0(family)), |(head, families)| {
        GracefulRestart {
            restarting: head & 0x8000 != 0,
            notification: head & 0x4000 != 0,
            restart_time_s: head & 0x0fff,
            families,
        }
    })
    .parse(input)
}

fn llgr_family(input: &[u8]) -> Parsed<'_, LlgrFamily> {
    map(
        (afi_safi, be_u8, be_u24),
        |(afi_safi, flags, stale_time_s)| LlgrFamily {
            afi_safi,
            forwarding: flags & 0x80 != 0,
            stale_time_s,
        },
    )
    .parse(input)
}

fn add_path(value: &[u8]) -> Parsed<'_, Capability> {
    let (left, tuples) = all_consuming(many0((afi_safi, be_u8))).parse(value)?;
    let known: Option<Vec<_>> = tuples
        .into_iter()
        .map(|(family, mode)| Some((family, AddPathMode::from_value(mode)?)))
        .collect();
    Ok((
        left,
        known.map_or_else(|| unknown(69, value), Capability::AddPath),
    ))
}

fn fqdn(value: &[u8]) -> Parsed<'_, Capability> {
    all_consuming(map(
        (length_data(be_u8), length_data(be_u8)),
        |(host, domain): (&[u8], &[u8])| Capability::Fqdn {
            host: host.to_vec(),
            domain: domain.to_vec(),
        },
    ))
    .parse(value)
}

// RFC 5291 §5: checked so that a malformed one is refused, then kept as unknown: ORF is not
// offered.
fn orf(value: &[u8]) -> Parsed<'_, Capability> {
    let entry = preceded(
        (be_u16, be_u8, be_u8),
        length_data(map(verify(be_u8, |n| *n <= 127), |n| n * 2)),
    );
    let (left, _) = all_consuming(many0(entry)).parse(value)?;
    Ok((left, unknown(3, value)))
}

/// Appends code, length and value. A value over 255 octets cannot be said and is left out whole;
/// only lists of more than 36 families would get there.
pub fn encode_capability(capability: &Capability, out: &mut BytesMut) {
    let mut value = BytesMut::new();
    encode_value(capability, &mut value);
    if let Ok(len) = u8::try_from(value.len()) {
        out.put_u8(capability.code());
        out.put_u8(len);
        out.extend_from_slice(&value);
    }
}

fn put_family(family: AfiSafi, value: &mut BytesMut) {
    value.put_u16(family.afi);
    value.put_u8(family.safi);
}

fn encode_value(capability: &Capability, value: &mut BytesMut) {
    match capability {
        Capability::Multiprotocol(family) => {
            value.put_u16(family.afi);
            value.put_u8(0);
            value.put_u8(family.safi);
        }
        Capability::RouteRefresh
        | Capability::ExtendedMessage
        | Capability::EnhancedRouteRefresh => {}
        Capability::ExtendedNextHop(tuples) => {
            for (family, next_hop_afi) in tuples {
                value.put_u16(family.afi);
                value.put_u16(u16::from(family.safi));
                value.put_u16(*next_hop_afi);
            }
        }
        Capability::Role(role) => value.put_u8(role.value()),
        Capability::GracefulRestart(restart) => {
            let flags = u16::from(restart.restarting) << 15 | u16::from(restart.notification) << 14;
            value.put_u16(flags | restart.restart_time_s.min(0x0fff));
            for family in &restart.families {
                put_family(family.afi_safi, value);
                value.put_u8(u8::from(family.forwarding) << 7);
            }
        }
        Capability::FourOctetAs(asn) => value.put_u32(*asn),
        Capability::AddPath(tuples) => {
            for (family, mode) in tuples {
                put_family(*family, value);
                value.put_u8(mode.value());
            }
        }
        Capability::LongLivedGracefulRestart(families) => {
            for family in families {
                put_family(family.afi_safi, value);
                value.put_u8(u8::from(family.forwarding) << 7);
                value.put_uint(u64::from(family.stale_time_s.min(0x00ff_ffff)), 3);
            }
        }
        Capability::Fqdn { host, domain } => {
            put_text(host, 64, value);
            put_text(domain, 64, value);
        }
        Capability::SoftwareVersion(version) => put_text(version, 64, value),
        Capability::Unknown { value: octets, .. } => value.extend_from_slice(octets),
    }
}

// Both drafts bound their texts by 64 octets; what is longer is cut.
fn put_text(text: &[u8], max: usize, value: &mut BytesMut) {
    let text = text.get(..max).unwrap_or(text);
    value.put_u8(u8::try_from(text.len()).unwrap_or(0));
    value.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(octets: &[u8]) -> Result<Vec<Capability>, (ErrorKind, usize)> {
        let mut into = Vec::new();
        decode_capabilities(octets, &mut into).map(|()| into)
    }

    #[test]
    fn lengths_the_rfcs_do_not_allow_are_refused() {
        let bad: [&[u8]; 13] = [
            &[1, 3, 0, 1, 0],
            &[2, 1, 0],
            &[3, 5, 0, 1, 0, 1, 255],
            &[5, 5, 0, 1, 0, 1, 0],
            &[6, 1, 0],
            &[9, 0],
            &[64, 1, 0],
            &[65, 3, 0, 0, 1],
            &[65, 0, 1, 4, 0, 1, 0, 1, 65, 1],
            &[69, 3, 0, 1, 1],
            &[71, 3, 0, 1, 1],
            &[73, 3, 255, 65, 66],
            &[75, 2, 255, 65],
        ];
        for octets in bad {
            assert!(decode(octets).is_err(), "{octets:?}");
        }
        // A length that runs over the end of the parameter.
        assert_eq!(
            decode(&[200, 2, 1]),
            Err((ErrorKind::Truncated("capability"), 0))
        );
    }

    #[test]
    fn values_nobody_defined_are_kept() {
        assert_eq!(
            decode(&[75, 1, 0]),
            Ok(vec![Capability::SoftwareVersion(vec![])])
        );
        assert_eq!(
            decode(&[69, 4, 0, 1, 1, 9]),
            Ok(vec![Capability::Unknown {
                code: 69,
                value: vec![0, 1, 1, 9]
            }])
        );
    }
}
