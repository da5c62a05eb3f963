//! Cuts a TCP stream into messages and checks their headers (RFC 4271 §6.1).
//!
//! [`Framer`] owns what has been read and not yet taken. A frame leaves as `Bytes` split off the
//! buffer: nothing is copied. The marker, the type and the length are checked as soon as they are
//! there, so a peer that announces an impossible length is refused before it is waited for. The
//! buffer never holds more than what was pushed; the caller reads only when [`Framer::next_frame`]
//! has said `None`, which bounds it by one message plus one read. The limit is 4096 octets until
//! RFC 8654 is negotiated; OPEN and KEEPALIVE keep it even then (§4).

use bytes::{Buf, Bytes, BytesMut};

use super::notification::{Notification, code};
use super::{HEADER_LEN, MESSAGE_LEN_MAX, MessageType};
use crate::error::{DecodeError, ErrorKind};

/// Bytes in, whole messages out.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    max_len: usize,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// With the limit of RFC 4271.
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            max_len: MESSAGE_LEN_MAX,
        }
    }

    /// Sets the largest message accepted from now on: 4096 or 65535.
    pub fn set_max_len(&mut self, max_len: usize) {
        self.max_len = max_len;
    }

    /// Adds what was read. Takes the buffer over when nothing is waiting, else copies.
    pub fn push(&mut self, read: BytesMut) {
        if self.buffer.is_empty() {
            self.buffer = read;
        } else {
            self.buffer.extend_from_slice(&read);
        }
    }

    /// Adds a copy of what was read.
    pub fn push_slice(&mut self, read: &[u8]) {
        self.buffer.extend_from_slice(read);
    }

    /// The buffer itself, to read into without a copy. Only append.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Octets waiting.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole message, header included; `None` when more must be read first. After an error
    /// the stream has no meaning any more: send the NOTIFICATION and close.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(header) = self.buffer.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let (_, len) = check_header(header, self.max_len)?;
        if self.buffer.len() < len {
            // Room for the rest in one go, so that the read loop does not grow it piecemeal.
            self.buffer.reserve(len - self.buffer.len());
            return Ok(None);
        }
        Ok(Some(self.buffer.split_to(len).freeze()))
    }

    /// Gives back the room of what has been taken. Frames are parts of one allocation, which would
    /// stay as large as the largest read: a quarter of a MiB for each of a thousand quiet peers.
    pub fn shrink(&mut self) {
        self.buffer = BytesMut::from(self.buffer.as_ref());
    }

    /// Drops everything waiting.
    pub fn clear(&mut self) {
        self.buffer.advance(self.buffer.len());
    }
}

/// Checks a header and returns the type and the length of the whole message. Used by [`Framer`]
/// and by whoever has messages cut already (MRT files, captures).
pub fn check_header(
    header: &[u8; HEADER_LEN],
    max_len: usize,
) -> Result<(MessageType, usize), DecodeError> {
    let [marker @ .., len_hi, len_lo, kind] = header;
    if let Some(at) = marker.iter().position(|octet| *octet != 0xff) {
        return Err(DecodeError::reset(
            ErrorKind::Marker,
            at,
            Notification::new(code::HEADER, 1),
        ));
    }
    let len = u16::from_be_bytes([*len_hi, *len_lo]);
    let known = MessageType::from_code(*kind);
    let (min, max) = length_range(known, max_len);
    if len < min || len > max {
        // An unknown type with a plausible length is a type error; with an implausible one, a
        // length error: RFC 4271 §6.1 lists them in this order.
        let notification = Notification::with_data(code::HEADER, 2, &len.to_be_bytes());
        return Err(DecodeError::reset(
            ErrorKind::MessageLength {
                found: len,
                min,
                max,
            },
            16,
            notification,
        ));
    }
    let Some(known) = known else {
        let notification = Notification::with_data(code::HEADER, 3, &[*kind]);
        return Err(DecodeError::reset(
            ErrorKind::MessageType(*kind),
            18,
            notification,
        ));
    };
    Ok((known, usize::from(len)))
}

fn length_range(kind: Option<MessageType>, max_len: usize) -> (u16, u16) {
    let max = u16::try_from(max_len).unwrap_or(u16::MAX);
    let standard = u16::try_from(MESSAGE_LEN_MAX).unwrap_or(u16::MAX);
    let min = u16::try_from(kind.map_or(HEADER_LEN, MessageType::len_min)).unwrap_or(u16::MAX);
    match kind {
        Some(MessageType::Keepalive) => (min, min),
        // RFC 8654 §4: OPEN and KEEPALIVE stay within 4096 octets.
        Some(MessageType::Open) => (min, max.min(standard)),
        // A ROUTE-REFRESH of the wrong length is the refresh decoder's to refuse (7/1, RFC 7313
        // §5), as long as the stream can be cut at all.
        Some(MessageType::RouteRefresh) => (19, max),
        _ => (min, max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::KEEPALIVE;

    #[test]
    fn what_waits_outlives_the_room_of_what_was_taken() {
        let mut framer = Framer::new();
        framer.push_slice(&KEEPALIVE.repeat(10_000));
        framer.push_slice(&KEEPALIVE[..5]);
        while framer.next_frame().unwrap().is_some() {}
        framer.shrink();
        assert!(
            framer.buffer.capacity() < 64,
            "{}",
            framer.buffer.capacity()
        );
        framer.push_slice(&KEEPALIVE[5..]);
        assert_eq!(framer.next_frame().unwrap().unwrap(), KEEPALIVE.as_slice());
    }

    fn refused(mutate: impl Fn(&mut [u8])) -> (u8, u8, Vec<u8>, usize) {
        let mut message = KEEPALIVE;
        mutate(&mut message);
        let mut framer = Framer::new();
        framer.push_slice(&message);
        let error = framer.next_frame().unwrap_err();
        let n = error.notification().unwrap();
        (n.code, n.subcode, n.data.to_vec(), error.offset)
    }

    #[test]
    fn header_errors_of_rfc4271_6_1() {
        assert_eq!(refused(|m| m[3] = 0), (1, 1, vec![], 3));
        assert_eq!(refused(|m| m[17] = 20), (1, 2, vec![0, 20], 16));
        assert_eq!(refused(|m| m[17] = 18), (1, 2, vec![0, 18], 16));
        assert_eq!(refused(|m| m[18] = 9), (1, 3, vec![9], 18));
        assert_eq!(
            refused(|m| (m[16], m[18]) = (0x10, 2)),
            (1, 2, vec![0x10, 19], 16)
        );
    }

    #[test]
    fn messages_come_out_whole_however_they_come_in() {
        let mut stream = Vec::new();
        for _ in 0..3 {
            stream.extend_from_slice(&KEEPALIVE);
        }
        let mut framer = Framer::new();
        let mut frames = 0;
        for octet in stream {
            framer.push(BytesMut::from(&[octet][..]));
            while let Some(frame) = framer.next_frame().unwrap() {
                assert_eq!(frame, KEEPALIVE[..]);
                frames += 1;
            }
        }
        assert_eq!((frames, framer.buffered()), (3, 0));
    }

    #[test]
    fn extended_messages_only_when_negotiated() {
        let mut message = vec![0xff; 5000];
        message[16..19].copy_from_slice(&[0x13, 0x88, 2]);
        let mut framer = Framer::new();
        framer.push_slice(&message);
        assert!(framer.next_frame().is_err());
        let mut framer = Framer::new();
        framer.set_max_len(crate::bgp::EXTENDED_MESSAGE_LEN_MAX);
        framer.push_slice(&message);
        assert_eq!(framer.next_frame().unwrap().unwrap().len(), 5000);
    }
}
