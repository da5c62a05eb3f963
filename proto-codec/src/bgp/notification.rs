//! NOTIFICATION: why a session ends (RFC 4271 §4.5 and §6, RFC 4486, 6608, 8538, 9003, 9384, 9687).
//!
//! [`Notification`] is code, subcode and data, nothing interpreted, because data is diagnostic and
//! any octets are legal in it. What has meaning is offered by methods: the shutdown communication
//! of RFC 9003 §2 (UTF-8, bounded by its own length octet *and* by the data, control characters
//! shown harmlessly) and the Hard Reset of RFC 8538 §3.1, which carries another NOTIFICATION
//! inside. Names of codes and subcodes follow the IANA registry, as FRR and BIRD print them.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{MessageType, finish_message, start_message};
use crate::error::{DecodeError, ErrorKind};

/// Error codes, RFC 4271 §4.5, RFC 7313 §5, RFC 9687 §4.1.
pub mod code {
    #![allow(missing_docs)]
    pub const HEADER: u8 = 1;
    pub const OPEN: u8 = 2;
    pub const UPDATE: u8 = 3;
    pub const HOLD_TIMER_EXPIRED: u8 = 4;
    pub const FSM: u8 = 5;
    pub const CEASE: u8 = 6;
    pub const ROUTE_REFRESH: u8 = 7;
    pub const SEND_HOLD_TIMER_EXPIRED: u8 = 8;
}

/// Cease subcodes, RFC 4486 §3, RFC 8538 §5, RFC 9384 §3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
#[allow(missing_docs)]
pub enum CeaseSubcode {
    MaximumPrefixes = 1,
    AdministrativeShutdown = 2,
    PeerDeconfigured = 3,
    AdministrativeReset = 4,
    ConnectionRejected = 5,
    OtherConfigurationChange = 6,
    ConnectionCollision = 7,
    OutOfResources = 8,
    HardReset = 9,
    BfdDown = 10,
}

impl CeaseSubcode {
    /// The octet on the wire.
    pub const fn value(self) -> u8 {
        self as u8
    }
}

/// Longest shutdown communication, RFC 9003 §2 (RFC 8203 had 128).
pub const SHUTDOWN_MESSAGE_LEN_MAX: usize = 255;

/// A NOTIFICATION message.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode; 0 is "unspecific".
    pub subcode: u8,
    /// Diagnostic octets; any content.
    pub data: Bytes,
}

impl Notification {
    /// Without data.
    pub fn new(code: u8, subcode: u8) -> Self {
        Self {
            code,
            subcode,
            data: Bytes::new(),
        }
    }

    /// With data, copied. Data that would push the message over 4096 octets is cut.
    pub fn with_data(code: u8, subcode: u8, data: &[u8]) -> Self {
        let room = super::MESSAGE_LEN_MAX - MessageType::Notification.len_min();
        Self {
            code,
            subcode,
            data: Bytes::copy_from_slice(data.get(..room).unwrap_or(data)),
        }
    }

    /// CEASE without a message.
    pub fn cease(subcode: CeaseSubcode) -> Self {
        Self::new(code::CEASE, subcode.value())
    }

    /// CEASE with a shutdown communication, RFC 9003 §2. Cut at 255 octets, on a character
    /// boundary. For subcodes other than administrative shutdown and reset the message is left
    /// out.
    pub fn cease_with_message(subcode: CeaseSubcode, message: &str) -> Self {
        let carries = matches!(
            subcode,
            CeaseSubcode::AdministrativeShutdown | CeaseSubcode::AdministrativeReset
        );
        if !carries || message.is_empty() {
            return Self::cease(subcode);
        }
        let mut len = message.len().min(SHUTDOWN_MESSAGE_LEN_MAX);
        while !message.is_char_boundary(len) {
            len -= 1;
        }
        let text = message.as_bytes().get(..len).unwrap_or_default();
        let mut data = vec![u8::try_from(len).unwrap_or(u8::MAX)];
        data.extend_from_slice(text);
        Self::with_data(code::CEASE, subcode.value(), &data)
    }

    /// Hard Reset around another CEASE or error, RFC 8538 §3.1.
    pub fn hard_reset(inner: &Self) -> Self {
        let mut data = vec![inner.code, inner.subcode];
        data.extend_from_slice(&inner.data);
        Self::with_data(code::CEASE, CeaseSubcode::HardReset.value(), &data)
    }

    /// Hold Timer Expired.
    pub fn hold_timer_expired() -> Self {
        Self::new(code::HOLD_TIMER_EXPIRED, 0)
    }

    /// Send Hold Timer Expired, RFC 9687 §4.1.
    pub fn send_hold_timer_expired() -> Self {
        Self::new(code::SEND_HOLD_TIMER_EXPIRED, 0)
    }

    /// FSM error with the state's subcode of RFC 6608 §3: 1 OpenSent, 2 OpenConfirm, 3 Established.
    pub fn fsm_error(subcode: u8) -> Self {
        Self::new(code::FSM, subcode)
    }

    /// Whether this is a Hard Reset: graceful restart does not apply (RFC 8538 §3.1).
    pub fn is_hard_reset(&self) -> bool {
        self.code == code::CEASE && self.subcode == CeaseSubcode::HardReset.value()
    }

    /// The NOTIFICATION inside a Hard Reset. `None` for others or when its data is too short.
    pub fn inner(&self) -> Option<Self> {
        let (&[code, subcode], _) = self.data.split_first_chunk::<2>()?;
        self.is_hard_reset().then(|| Self {
            code,
            subcode,
            data: self.data.slice(2..),
        })
    }

    /// The shutdown communication of RFC 9003 §2: what fits the data even when its length octet
    /// claims more, invalid UTF-8 and control characters replaced, so that it can go to a log or
    /// terminal.
    pub fn shutdown_message(&self) -> Option<String> {
        if self.code != code::CEASE || !matches!(self.subcode, 2 | 4) {
            return None;
        }
        let (&len, text) = self.data.split_first()?;
        let text = text.get(..usize::from(len)).unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        Some(printable(text).into_owned())
    }

    /// Decodes the body. Too short a body is Bad Message Length (RFC 4271 §6.1); there is no
    /// answer to a NOTIFICATION (§6.4), so the caller closes in either case.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let Some((&[code, subcode], data)) = body.split_first_chunk::<2>() else {
            let kind = ErrorKind::Truncated("NOTIFICATION");
            return Err(DecodeError::reset(
                kind,
                super::HEADER_LEN + body.len(),
                Self::new(1, 2),
            ));
        };
        Ok(Self {
            code,
            subcode,
            data: Bytes::copy_from_slice(data),
        })
    }

    /// Appends the whole message.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = start_message(MessageType::Notification, out);
        out.extend_from_slice(&[self.code, self.subcode]);
        out.extend_from_slice(&self.data);
        finish_message(start, out);
    }

    /// The whole message.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.freeze()
    }

    /// The code's name, as the IANA registry has it.
    pub fn code_name(&self) -> &'static str {
        match self.code {
            1 => "Message Header Error",
            2 => "OPEN Message Error",
            3 => "UPDATE Message Error",
            4 => "Hold Timer Expired",
            5 => "Finite State Machine Error",
            6 => "Cease",
            7 => "ROUTE-REFRESH Message Error",
            8 => "Send Hold Timer Expired",
            _ => "Unknown error",
        }
    }

    /// The subcode's name; `None` for 0 of codes without subcodes and for unassigned ones.
    pub fn subcode_name(&self) -> Option<&'static str> {
        Some(match (self.code, self.subcode) {
            (1, 1) => "Connection Not Synchronized",
            (1, 2) => "Bad Message Length",
            (1, 3) => "Bad Message Type",
            (2, 1) => "Unsupported Version Number",
            (2, 2) => "Bad Peer AS",
            (2, 3) => "Bad BGP Identifier",
            (2, 4) => "Unsupported Optional Parameter",
            (2, 5) => "Authentication Failure",
            (2, 6) => "Unacceptable Hold Time",
            (2, 7) => "Unsupported Capability",
            (2, 11) => "Role Mismatch",
            (3, 1) => "Malformed Attribute List",
            (3, 2) => "Unrecognized Well-known Attribute",
            (3, 3) => "Missing Well-known Attribute",
            (3, 4) => "Attribute Flags Error",
            (3, 5) => "Attribute Length Error",
            (3, 6) => "Invalid ORIGIN Attribute",
            (3, 7) => "AS Routing Loop",
            (3, 8) => "Invalid NEXT_HOP Attribute",
            (3, 9) => "Optional Attribute Error",
            (3, 10) => "Invalid Network Field",
            (3, 11) => "Malformed AS_PATH",
            (5, 1) => "Receive Unexpected Message in OpenSent State",
            (5, 2) => "Receive Unexpected Message in OpenConfirm State",
            (5, 3) => "Receive Unexpected Message in Established State",
            (6, 1) => "Maximum Number of Prefixes Reached",
            (6, 2) => "Administrative Shutdown",
            (6, 3) => "Peer De-configured",
            (6, 4) => "Administrative Reset",
            (6, 5) => "Connection Rejected",
            (6, 6) => "Other Configuration Change",
            (6, 7) => "Connection Collision Resolution",
            (6, 8) => "Out of Resources",
            (6, 9) => "Hard Reset",
            (6, 10) => "BFD Down",
            (7, 1) => "Invalid Message Length",
            _ => return None,
        })
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subcode_name() {
            Some(subcode) => write!(f, "{}/{}", self.code_name(), subcode)?,
            None if self.subcode == 0 => f.write_str(self.code_name())?,
            None => write!(f, "{}/subcode {}", self.code_name(), self.subcode)?,
        }
        write!(f, " ({}/{})", self.code, self.subcode)?;
        if let Some(message) = self.shutdown_message() {
            return write!(f, ": \"{message}\"");
        }
        match self.inner() {
            Some(inner) if !inner.is_hard_reset() => write!(f, ": {inner}"),
            _ => Ok(()),
        }
    }
}

/// Text from a peer made fit for logs and terminals: control characters become U+FFFD.
pub fn printable(octets: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(octets);
    if text.chars().any(char::is_control) {
        return text.replace(char::is_control, "\u{fffd}").into();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shutdown_communication_is_bounded_by_its_data() {
        let n = Notification::decode(b"\x06\x02\xffhello").unwrap();
        assert_eq!(n.shutdown_message().as_deref(), Some("hello"));
        let n = Notification::decode(b"\x06\x02\x03hello").unwrap();
        assert_eq!(n.shutdown_message().as_deref(), Some("hel"));
        let n = Notification::decode(b"\x06\x02\x00").unwrap();
        assert_eq!(n.shutdown_message(), None);
        let n = Notification::decode(b"\x06\x04\x04\x1b[2J").unwrap();
        assert_eq!(n.shutdown_message().as_deref(), Some("\u{fffd}[2J"));
    }

    #[test]
    fn long_message_is_cut_on_a_character_boundary() {
        let n = Notification::cease_with_message(
            CeaseSubcode::AdministrativeShutdown,
            &"ä".repeat(200),
        );
        assert_eq!(n.data.len(), 255);
        assert_eq!(n.shutdown_message(), Some("ä".repeat(127)));
    }

    #[test]
    fn hard_reset_carries_the_other_notification() {
        let inner = Notification::cease_with_message(CeaseSubcode::AdministrativeShutdown, "bye");
        let n = Notification::hard_reset(&inner);
        assert_eq!(n.inner(), Some(inner));
        assert_eq!(
            n.to_string(),
            "Cease/Hard Reset (6/9): Cease/Administrative Shutdown (6/2): \"bye\""
        );
        let decoded = Notification::decode(&n.to_bytes()[19..]).unwrap();
        assert_eq!(decoded, n);
    }
}
