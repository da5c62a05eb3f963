//! TLVs inside attributes: AIGP (RFC 7311), Prefix-SID (RFC 8669, RFC 9252), Tunnel Encapsulation
//! (RFC 9012).
//!
//! Only structure is looked at: that lengths add up and that what has a fixed size has it. What a
//! tunnel or a segment identifier says is nobody's business here, but a structure that does not
//! add up must not be passed on to the next router. An error stands at the first octet of the TLV
//! that failed, because a length that is wrong says nothing about where.

use nom::Parser;
use nom::combinator::{all_consuming, map_opt, verify};
use nom::multi::{length_data, many0_count, many1_count};
use nom::number::complete::{be_u8, be_u16};

use crate::error::ErrorKind;
use crate::input::{Parsed, Stop, consumed};

/// Applies a parser until the value ends; a TLV it refuses is the error.
fn all<'a, T>(
    value: &'a [u8],
    one: impl Parser<&'a [u8], Output = T, Error = Stop>,
) -> Result<(), (ErrorKind, usize)> {
    match all_consuming(many0_count(one)).parse(value) {
        Ok(_) => Ok(()),
        Err(stop) => {
            let at = consumed(value, &stop);
            Err((ErrorKind::Length(value.len() - at), at))
        }
    }
}

/// The length includes the three octets of the head; the metric (type 1) has eight more.
fn aigp_tlv(input: &[u8]) -> Parsed<'_, (u8, &[u8])> {
    let len = map_opt(be_u16, |len: u16| len.checked_sub(3));
    verify((be_u8, length_data(len)), |(kind, value): &(u8, &[u8])| {
        *kind != 1 || value.len() == 8
    })
    .parse(input)
}

/// RFC 7311 §3.
pub(crate) fn check_aigp(value: &[u8]) -> Result<(), (ErrorKind, usize)> {
    all(value, aigp_tlv)
}

/// The metric of the first AIGP TLV.
pub(crate) fn aigp_metric(value: &[u8]) -> Option<u64> {
    let mut left = value;
    loop {
        let (rest, (kind, value)) = aigp_tlv(left).ok()?;
        if kind == 1 {
            return value
                .first_chunk::<8>()
                .map(|octets| u64::from_be_bytes(*octets));
        }
        left = rest;
    }
}

/// One octet of type, two of length.
fn wide_tlv(input: &[u8]) -> Parsed<'_, (u8, &[u8])> {
    (be_u8, length_data(be_u16)).parse(input)
}

/// RFC 8669 §3 and §6. Types nobody has heard of are passed on unread.
pub(crate) fn check_prefix_sid(value: &[u8]) -> Result<(), (ErrorKind, usize)> {
    if value.is_empty() {
        return Err((ErrorKind::Length(0), 0));
    }
    all(
        value,
        verify(wide_tlv, |(kind, value): &(u8, &[u8])| match kind {
            1 => value.len() == 7,                                        // Label-Index
            3 => value.len() >= 8 && (value.len() - 2).is_multiple_of(6), // Originator SRGB
            5 | 6 => srv6_service(value).is_ok(),
            _ => true,
        }),
    )
}

/// RFC 9252 §2 and §3.1: a reserved octet, then at least one sub-TLV; SID information (1) has 21
/// octets and its own sub-TLVs.
fn srv6_service(value: &[u8]) -> Parsed<'_, (u8, usize)> {
    let sub_tlv = verify(wide_tlv, |(kind, value): &(u8, &[u8])| {
        *kind != 1 || value.len() >= 21
    });
    all_consuming((be_u8, many1_count(sub_tlv))).parse(value)
}

/// RFC 9012 §2: tunnels, each with sub-TLVs.
pub(crate) fn check_tunnels(value: &[u8]) -> Result<(), (ErrorKind, usize)> {
    all(
        value,
        verify(
            (be_u16, length_data(be_u16)),
            |(_, tunnel): &(u16, &[u8])| all(tunnel, sub_tlv).is_ok(),
        ),
    )
}

/// The length has one octet for types under 128, else two.
fn sub_tlv(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, kind) = be_u8.parse(input)?;
    if kind < 128 {
        length_data(be_u8).parse(input)
    } else {
        length_data(be_u16).parse(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aigp_finds_its_metric_behind_other_tlvs() {
        let value = [9, 0, 4, 7, 1, 0, 11, 0, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(check_aigp(&value), Ok(()));
        assert_eq!(aigp_metric(&value), Some(256));
        for (bad, at) in [
            (&[1, 0, 2][..], 0),
            (&[1, 0, 10, 0, 0, 0, 0, 0, 0, 0], 0),
            (&[9, 0, 3, 9], 3),
        ] {
            assert_eq!(
                check_aigp(bad),
                Err((ErrorKind::Length(bad.len() - at), at))
            );
        }
    }

    #[test]
    fn prefix_sid_sizes_of_rfc8669_3_and_rfc9252_3_1() {
        let tlv = |kind: u8, value: &[u8]| {
            let len = u16::try_from(value.len()).unwrap().to_be_bytes();
            [&[kind], &len[..], value].concat()
        };
        assert!(check_prefix_sid(&tlv(1, &[0; 7])).is_ok());
        assert!(check_prefix_sid(&tlv(1, &[0; 6])).is_err());
        assert!(check_prefix_sid(&tlv(3, &[0; 14])).is_ok());
        assert!(check_prefix_sid(&tlv(3, &[0; 2])).is_err());
        let service = |len| [&[0][..], &tlv(1, &vec![0; len])].concat();
        assert!(check_prefix_sid(&tlv(5, &service(21))).is_ok());
        assert!(check_prefix_sid(&tlv(5, &service(20))).is_err());
        assert!(check_prefix_sid(&tlv(6, &[0])).is_err());
        assert!(check_prefix_sid(&tlv(200, &[])).is_ok());
    }

    #[test]
    fn tunnel_sub_tlvs_have_two_widths_of_length() {
        assert!(check_tunnels(&[0, 7, 0, 3, 4, 1, 9]).is_ok());
        assert!(check_tunnels(&[0, 7, 0, 4, 128, 0, 1, 9]).is_ok());
        assert_eq!(
            check_tunnels(&[0, 7, 0, 0, 0, 7, 0, 3, 4, 2, 9]).map_err(|e| e.1),
            Err(4)
        );
        assert!(check_tunnels(&[0, 7, 0]).is_err());
    }
}
