//! Netlink framing: messages in a datagram, attributes in a message.
//!
//! ```text
//!  0                   1                   2                   3
//! +-------------------------------+-------------------------------+
//! |                            length                             |   nlmsghdr, host byte order
//! |             type              |             flags             |
//! |                        sequence number                        |
//! |                     port id of the sender                     |
//! +---------------------------------------------------------------+
//! |     family header (rtmsg, nhmsg, ifinfomsg, ifaddrmsg)        |
//! |     attributes: length u16, type u16, value, pad to 4         |
//! ```
//!
//! Written by hand because the crates at hand lack next hop objects, allocate a vector per route
//! and send one message per datagram; a full table wants some hundred messages per system call
//! from one reused buffer. What cannot be read is skipped: the kernel is trusted, but newer ones
//! may say more than we know.

/// This is a request.
pub(super) const NLM_F_REQUEST: u16 = 0x01;
/// Answer even if all went well.
pub(super) const NLM_F_ACK: u16 = 0x04;
/// Replace what is there.
pub(super) const NLM_F_REPLACE: u16 = 0x100;
/// Fail if there is something.
pub(super) const NLM_F_EXCL: u16 = 0x200;
/// Create what is not there.
pub(super) const NLM_F_CREATE: u16 = 0x400;
/// `NLM_F_ROOT | NLM_F_MATCH`.
pub(super) const NLM_F_DUMP: u16 = 0x300;
/// The error message holds attributes (extended ack).
const NLM_F_ACK_TLVS: u16 = 0x200;
/// The error message holds only the header of the request.
const NLM_F_CAPPED: u16 = 0x100;

pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_GETLINK: u16 = 18;
pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;
pub(super) const RTM_GETADDR: u16 = 22;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_GETROUTE: u16 = 26;
pub(super) const RTM_NEWNEXTHOP: u16 = 104;
pub(super) const RTM_DELNEXTHOP: u16 = 105;
pub(super) const RTM_GETNEXTHOP: u16 = 106;

const HEADER: usize = 16;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// Nested and byte order bits of an attribute's type.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Messages under construction, for one `send`.
#[derive(Debug, Default)]
pub(super) struct Writer {
    buf: Vec<u8>,
    start: usize,
}

impl Writer {
    pub(super) fn clear(&mut self) {
        self.buf.clear();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Starts a message; `header` is its family header.
    pub(super) fn begin(&mut self, kind: u16, flags: u16, seq: u32, header: &[u8]) {
        self.start = self.buf.len();
        self.buf.extend_from_slice(&[0; 4]);
        self.buf.extend_from_slice(&kind.to_ne_bytes());
        self.buf
            .extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.buf.extend_from_slice(&seq.to_ne_bytes());
        self.buf.extend_from_slice(&[0; 4]);
        self.buf.extend_from_slice(header);
    }

    /// Appends a message that is ready.
    pub(super) fn whole(&mut self, message: &[u8]) {
        self.start = self.buf.len();
        self.buf.extend_from_slice(message);
    }

    pub(super) fn attr(&mut self, kind: u16, value: &[u8]) {
        let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.buf.extend_from_slice(&len.to_ne_bytes());
        self.buf.extend_from_slice(&kind.to_ne_bytes());
        self.buf.extend_from_slice(value);
        self.buf.resize(self.buf.len().next_multiple_of(4), 0);
    }

    pub(super) fn attr_u32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_ne_bytes());
    }

    /// Ends the message begun last.
    pub(super) fn end(&mut self) {
        let len = u32::try_from(self.buf.len() - self.start).unwrap_or(u32::MAX);
        if let Some(place) = self.buf.get_mut(self.start..self.start + 4) {
            place.copy_from_slice(&len.to_ne_bytes());
        }
    }

    /// Asks for an acknowledgement of the message begun last.
    pub(super) fn want_ack(&mut self) {
        let place = self.start + 6..self.start + 8;
        if let Some(flags) = self.buf.get_mut(place)
            && let Ok(bytes) = <[u8; 2]>::try_from(&*flags)
        {
            let with_ack = u16::from_ne_bytes(bytes) | NLM_F_ACK;
            flags.copy_from_slice(&with_ack.to_ne_bytes());
        }
    }
}

/// One received message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) seq: u32,
    /// Port of the process whose request caused it; 0: the kernel itself.
    pub(super) port: u32,
    pub(super) body: &'a [u8],
}

/// The messages of a datagram.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let len = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let message = Message {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            seq: u32_at(bytes, 8)?,
            port: u32_at(bytes, 12)?,
            body: bytes.get(HEADER..len)?,
        };
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

/// The attributes behind a family header of `skip` bytes.
pub(super) fn attrs(body: &[u8], skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = body.get(skip..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The answer in an `NLMSG_ERROR` or `NLMSG_DONE`: positive errno (0 = success) and text.
pub(super) fn answer(message: &Message<'_>) -> (i32, Option<String>) {
    let code = u32_at(message.body, 0).map_or(0, u32::cast_signed);
    let errno = code.saturating_neg();
    if message.flags & NLM_F_ACK_TLVS == 0 || errno == 0 {
        return (errno, None);
    }
    let skip = match message.kind {
        NLMSG_ERROR if message.flags & NLM_F_CAPPED == 0 => {
            let echoed = u32_at(message.body, 4).unwrap_or(0);
            4 + usize::try_from(echoed).unwrap_or(0).next_multiple_of(4)
        }
        NLMSG_ERROR => 4 + HEADER,
        _ => 4,
    };
    let mut found = attrs(message.body, skip);
    let text = found.find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG);
    (errno, text.map(|(_, value)| text_of(value)))
}

/// A string attribute without its terminating zero.
pub(super) fn text_of(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0);
    let value = value.get(..end.unwrap_or(value.len())).unwrap_or(value);
    String::from_utf8_lossy(value).into_owned()
}

pub(super) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let raw = bytes.get(at..at + 2)?;
    Some(u16::from_ne_bytes(raw.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(raw.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut writer = Writer::default();
        writer.begin(RTM_NEWROUTE, NLM_F_CREATE, 7, &[1, 2, 3, 4]);
        writer.attr(5, b"abc");
        writer.attr_u32(6, 0xdead_beef);
        writer.end();
        writer.begin(RTM_DELROUTE, 0, 8, &[]);
        writer.end();
        writer.want_ack();
        let got: Vec<_> = messages(writer.bytes()).collect();
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].kind, got[0].seq), (RTM_NEWROUTE, 7));
        assert_eq!(got[0].flags, NLM_F_CREATE | NLM_F_REQUEST);
        let values: Vec<_> = attrs(got[0].body, 4).collect();
        let number = 0xdead_beef_u32.to_ne_bytes();
        assert_eq!(values, [(5, &b"abc"[..]), (6, &number[..])]);
        assert_eq!((got[1].kind, got[1].seq), (RTM_DELROUTE, 8));
        assert_eq!(got[1].flags, NLM_F_ACK | NLM_F_REQUEST);
    }

    #[test]
    fn a_cut_datagram_yields_only_whole_messages() {
        let mut writer = Writer::default();
        for seq in 0..3 {
            writer.begin(RTM_NEWROUTE, 0, seq, &[0; 12]);
            writer.attr_u32(1, seq);
            writer.end();
        }
        let bytes = writer.bytes();
        for end in 0..bytes.len() {
            let whole = end / (bytes.len() / 3);
            assert_eq!(messages(&bytes[..end]).count(), whole, "cut at {end}");
        }
        for (kind, value) in (0..40).flat_map(|end| attrs(&bytes[..end], 16)) {
            let _ = (kind, value);
        }
    }

    #[test]
    fn errors_carry_number_and_words() {
        let mut writer = Writer::default();
        let header = (-113_i32).to_ne_bytes();
        writer.begin(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 9, &header);
        writer.buf.extend_from_slice(&[0; HEADER]);
        writer.attr(NLMSGERR_ATTR_MSG, b"Nexthop has invalid gateway\0");
        writer.end();
        let message = messages(writer.bytes()).next().expect("whole message");
        let text = Some("Nexthop has invalid gateway".to_owned());
        assert_eq!(answer(&message), (113, text));
    }
}
