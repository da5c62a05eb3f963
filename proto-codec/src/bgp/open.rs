//! OPEN (RFC 4271 §4.2 and §6.2), with the extended parameters of RFC 9072.
//!
//! ```text
//! | Version (8) | My AS (16) | Hold Time (16) | BGP Identifier (32) | Opt Len (8) | …
//! ```
//! Decoding checks what the message alone can tell: version, AS numbers (0, and a two-octet number
//! that contradicts the four-octet one), hold time 1 or 2, identifier 0 (RFC 6286 §2.1),
//! parameters and capabilities. Whether the AS and the identifier are the expected ones is the
//! session's to check. The AS number of [`Open`] is the four-octet one when the peer sent it (RFC
//! 6793 §3). OPEN is decoded before a peer is authenticated by anything but TCP, so nothing here
//! allocates more than the message's size.

use std::net::Ipv4Addr;

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::capability::{Capability, decode_capabilities, encode_capability};
use super::notification::{Notification, code};
use super::{AS_TRANS, HEADER_LEN, MessageType, finish_message, put_u16_at, start_message};
use crate::error::{DecodeError, ErrorKind};
use crate::input::{Stop, consumed, offset_in};

/// The parameter type of capabilities, RFC 5492 §4.
const PARAMETER_CAPABILITIES: u8 = 2;
/// The parameter type that announces the extended format, RFC 9072 §2.
const PARAMETER_EXTENDED: u8 = 255;

/// An OPEN message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// The sender's AS: that of capability 65, else the header's.
    pub asn: u32,
    /// Proposed hold time: 0 (no keepalives) or at least 3.
    pub hold_time_s: u16,
    /// BGP Identifier, never 0.0.0.0.
    pub router_id: Ipv4Addr,
    /// In the order sent, repeated ones included.
    pub capabilities: Vec<Capability>,
}

fn open_error(subcode: u8, kind: ErrorKind, offset: usize) -> DecodeError {
    DecodeError::reset(kind, offset, Notification::new(code::OPEN, subcode))
}

impl Open {
    /// Decodes the body. Every error is a reset with the subcode of RFC 4271 §6.2.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (left, (version, my_as, hold_time_s, router_id)) = (be_u8, be_u16, be_u16, be_u32)
            .parse(body)
            .map_err(|stop: nom::Err<Stop>| {
                open_error(
                    0,
                    ErrorKind::Truncated("OPEN"),
                    HEADER_LEN + consumed(body, &stop),
                )
            })?;
        if version != 4 {
            // RFC 4271 §6.2: data is the largest version supported, in two octets.
            let notification = Notification::with_data(code::OPEN, 1, &[0, 4]);
            return Err(DecodeError::reset(
                ErrorKind::Version(version),
                HEADER_LEN,
                notification,
            ));
        }
        if matches!(hold_time_s, 1 | 2) {
            return Err(open_error(
                6,
                ErrorKind::HoldTime(hold_time_s),
                HEADER_LEN + 3,
            ));
        }
        if router_id == 0 {
            return Err(open_error(3, ErrorKind::Identifier, HEADER_LEN + 5));
        }
        let base = HEADER_LEN + offset_in(body, left);
        let capabilities = decode_parameters(left, base)?;
        let asn = resolve_asn(my_as, &capabilities)?;
        Ok(Self {
            asn,
            hold_time_s,
            router_id: router_id.into(),
            capabilities,
        })
    }

    /// Appends the whole message. Capabilities go in one parameter; when they need more than 255
    /// octets, in the extended format.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = start_message(MessageType::Open, out);
        out.put_u8(4);
        out.put_u16(u16::try_from(self.asn).unwrap_or(AS_TRANS));
        out.put_u16(self.hold_time_s);
        out.put_u32(self.router_id.to_bits());
        let mut capabilities = BytesMut::new();
        for capability in &self.capabilities {
            encode_capability(capability, &mut capabilities);
        }
        match u8::try_from(capabilities.len()) {
            Ok(0) => out.put_u8(0),
            Ok(len @ ..=253) => out.extend_from_slice(&[len + 2, PARAMETER_CAPABILITIES, len]),
            _ => {
                out.extend_from_slice(&[
                    255,
                    PARAMETER_EXTENDED,
                    0,
                    0,
                    PARAMETER_CAPABILITIES,
                    0,
                    0,
                ]);
                let at = out.len();
                let len = u16::try_from(capabilities.len()).unwrap_or(u16::MAX);
                put_u16_at(out, at - 2, len);
                put_u16_at(out, at - 5, len.saturating_add(3));
            }
        }
        out.extend_from_slice(&capabilities);
        finish_message(start, out);
    }

    /// The whole message.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.freeze()
    }
}

/// Everything from the parameters' length octet on. `base` is its offset in the message.
fn decode_parameters(octets: &[u8], base: usize) -> Result<Vec<Capability>, DecodeError> {
    let truncated = |offset| open_error(0, ErrorKind::Truncated("optional parameters"), offset);
    let Some((&len, mut left)) = octets.split_first() else {
        return Err(truncated(base));
    };
    let mut expected = usize::from(len);
    // RFC 9072 §2: it is the first parameter's type that tells, whatever the length octet says,
    // unless that says there are none.
    let extended = len != 0 && left.first() == Some(&PARAMETER_EXTENDED);
    if extended {
        let Some((&[_, hi, lo], after)) = left.split_first_chunk::<3>() else {
            return Err(truncated(base + octets.len()));
        };
        expected = usize::from(u16::from_be_bytes([hi, lo]));
        left = after;
    }
    if expected != left.len() {
        let kind = ErrorKind::OptionalParametersLength {
            expected,
            found: left.len(),
        };
        return Err(open_error(0, kind, base));
    }
    let mut capabilities = Vec::new();
    while !left.is_empty() {
        let at = base + offset_in(octets, left);
        let (after, (kind, value)) =
            parameter(left, extended).map_err(|stop| truncated(at + consumed(left, &stop)))?;
        if kind != PARAMETER_CAPABILITIES {
            return Err(open_error(4, ErrorKind::OptionalParameter(kind), at));
        }
        let value_at = base + offset_in(octets, after) - value.len();
        decode_capabilities(value, &mut capabilities)
            .map_err(|(kind, inside)| open_error(0, kind, value_at + inside))?;
        left = after;
    }
    Ok(capabilities)
}

fn parameter(input: &[u8], extended: bool) -> crate::input::Parsed<'_, (u8, &[u8])> {
    let (input, kind) = be_u8.parse(input)?;
    let (input, len) = if extended {
        be_u16.parse(input)?
    } else {
        nom::combinator::map(be_u8, u16::from).parse(input)?
    };
    let (input, value) = take(usize::from(len)).parse(input)?;
    Ok((input, (kind, value)))
}

/// RFC 6793 §3 and §4.1, RFC 7607 §2. Offsets point at My Autonomous System.
fn resolve_asn(my_as: u16, capabilities: &[Capability]) -> Result<u32, DecodeError> {
    let header = u32::from(my_as);
    let capability = capabilities
        .iter()
        .rev()
        .find_map(|capability| match capability {
            Capability::FourOctetAs(asn) => Some(*asn),
            _ => None,
        });
    let asn = capability.unwrap_or(header);
    let contradicts = my_as != AS_TRANS && header != asn;
    if asn == 0 || my_as == 0 || contradicts {
        let kind = ErrorKind::PeerAs {
            header,
            capability: capability.unwrap_or(0),
        };
        return Err(open_error(2, kind, HEADER_LEN + 1));
    }
    Ok(asn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::afi::AfiSafi;

    fn sample() -> Open {
        Open {
            asn: 4_200_000_000,
            hold_time_s: 90,
            router_id: Ipv4Addr::new(10, 0, 0, 1),
            capabilities: vec![
                Capability::Multiprotocol(AfiSafi::IPV4_UNICAST),
                Capability::FourOctetAs(4_200_000_000),
            ],
        }
    }

    fn refused(body: &[u8]) -> (u8, u8, Vec<u8>) {
        let error = Open::decode(body).unwrap_err();
        let n = error.notification().unwrap();
        (n.code, n.subcode, n.data.to_vec())
    }

    #[test]
    fn extended_parameters_when_and_only_when_needed() {
        let mut open = sample();
        assert_eq!(open.to_bytes()[28], 14);
        assert_eq!(Open::decode(&open.to_bytes()[19..]), Ok(open.clone()));
        open.capabilities.push(Capability::Unknown {
            code: 200,
            value: vec![7; 250],
        });
        let message = open.to_bytes();
        assert_eq!(message[28..30], [255, 255]);
        assert_eq!(Open::decode(&message[19..]), Ok(open));
    }

    #[test]
    fn errors_of_rfc4271_6_2() {
        let good = sample().to_bytes()[19..].to_vec();
        let with = |at: usize, octets: &[u8]| {
            let mut body = good.clone();
            body[at..at + octets.len()].copy_from_slice(octets);
            refused(&body)
        };
        assert_eq!(with(0, &[3]), (2, 1, vec![0, 4]));
        assert_eq!(with(1, &[0, 0]), (2, 2, vec![]));
        assert_eq!(with(1, &[0, 7]), (2, 2, vec![]));
        assert_eq!(with(3, &[0, 2]), (2, 6, vec![]));
        assert_eq!(with(5, &[0, 0, 0, 0]), (2, 3, vec![]));
        assert_eq!(with(9, &[13]), (2, 0, vec![]));
        assert_eq!(with(10, &[99]), (2, 4, vec![]));
        assert_eq!(with(11, &[200]), (2, 0, vec![]));
    }
}
