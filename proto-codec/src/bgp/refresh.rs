//! ROUTE-REFRESH (RFC 2918 §3) with the subtypes of RFC 7313 §3.
//!
//! ```text
//! |        AFI (16)               |  Subtype (8)  |   SAFI (8)    |
//! ```
//! A body of four octets is the message; more of it is only legal for a plain request, where it is
//! the ORF of RFC 5291 §4, which this suite never offers: it is left unread. A demarcation of
//! another length is refused with 7/1 (RFC 7313 §5). Unknown subtypes are ignored by the caller
//! (same place).

use bytes::{Bytes, BytesMut};

use super::notification::{Notification, code};
use super::{HEADER_LEN, MessageType, finish_message, start_message};
use crate::afi::AfiSafi;
use crate::error::{DecodeError, ErrorKind};

/// The third octet, RFC 7313 §3.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RefreshSubtype {
    /// 0: send me your Adj-RIB-Out again.
    Request,
    /// 1: what follows is a whole refresh.
    Begin,
    /// 2: the refresh is complete; what was not repeated is stale.
    End,
    /// Any other: to be ignored.
    Unknown(u8),
}

impl RefreshSubtype {
    /// The octet on the wire.
    pub const fn value(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
            Self::Unknown(value) => value,
        }
    }

    /// Any octet has a meaning, if only "unknown".
    pub const fn from_value(value: u8) -> Self {
        match value {
            0 => Self::Request,
            1 => Self::Begin,
            2 => Self::End,
            other => Self::Unknown(other),
        }
    }
}

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RouteRefresh {
    /// The family it is about; may be one that was not negotiated.
    pub afi_safi: AfiSafi,
    /// Request or demarcation.
    pub subtype: RefreshSubtype,
}

impl RouteRefresh {
    /// A plain request.
    pub const fn request(afi_safi: AfiSafi) -> Self {
        Self {
            afi_safi,
            subtype: RefreshSubtype::Request,
        }
    }

    /// Decodes the body. On a reset, data is the whole message as RFC 7313 §5 asks.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let Some((&[afi_hi, afi_lo, subtype, safi], rest)) = body.split_first_chunk::<4>() else {
            return Err(Self::bad_length(body));
        };
        let subtype = RefreshSubtype::from_value(subtype);
        if matches!(subtype, RefreshSubtype::Begin | RefreshSubtype::End) && !rest.is_empty() {
            return Err(Self::bad_length(body));
        }
        let afi_safi = AfiSafi {
            afi: u16::from_be_bytes([afi_hi, afi_lo]),
            safi,
        };
        Ok(Self { afi_safi, subtype })
    }

    fn bad_length(body: &[u8]) -> DecodeError {
        let mut message = BytesMut::new();
        let start = start_message(MessageType::RouteRefresh, &mut message);
        message.extend_from_slice(body);
        finish_message(start, &mut message);
        DecodeError::reset(
            ErrorKind::RefreshLength(body.len()),
            HEADER_LEN + body.len().min(4),
            Notification::with_data(code::ROUTE_REFRESH, 1, &message),
        )
    }

    /// Appends the whole message.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = start_message(MessageType::RouteRefresh, out);
        let [hi, lo] = self.afi_safi.afi.to_be_bytes();
        out.extend_from_slice(&[hi, lo, self.subtype.value(), self.afi_safi.safi]);
        finish_message(start, out);
    }

    /// The whole message.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demarcation_of_another_length_is_7_1_with_the_message_as_data() {
        for subtype in [1, 2] {
            let error = RouteRefresh::decode(&[0, 1, subtype, 1, 0]).unwrap_err();
            let n = error.notification().unwrap();
            assert_eq!((n.code, n.subcode, n.data.len()), (7, 1, 24));
        }
        assert!(RouteRefresh::decode(&[0, 1, 0, 1, 9, 9]).is_ok());
        assert!(RouteRefresh::decode(&[0, 1, 0]).is_err());
    }

    #[test]
    fn every_subtype_comes_back() {
        for value in 0..=255 {
            let refresh = RouteRefresh {
                afi_safi: AfiSafi::IPV6_UNICAST,
                subtype: RefreshSubtype::from_value(value),
            };
            assert_eq!(RouteRefresh::decode(&refresh.to_bytes()[19..]), Ok(refresh));
        }
    }
}
