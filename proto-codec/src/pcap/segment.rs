//! From a captured packet to the TCP segment in it.
//!
//! The IP datagram around it is found by [`datagram`]; here only the TCP header is read. A segment
//! cut off by the capture yields what was captured of its payload.

use std::net::SocketAddr;

use super::datagram::{Datagram, datagram, u16_at};

const TCP: u8 = 6;

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// Sequence number of the first octet, or of the SYN.
    pub sequence: u32,
    /// SYN is set.
    pub syn: bool,
    /// FIN or RST is set.
    pub last: bool,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Finds the TCP segment in a packet of link-layer type `link`.
#[must_use]
pub fn segment(link: u32, data: &[u8]) -> Option<Segment<'_>> {
    of_datagram(&datagram(link, data)?)
}

/// Finds the TCP segment in an IP datagram.
#[must_use]
pub fn of_datagram<'a>(around: &Datagram<'a>) -> Option<Segment<'a>> {
    let data = around.payload;
    if around.protocol != TCP {
        return None;
    }
    let sequence = u32::from_be_bytes(*data.get(4..)?.first_chunk()?);
    let header_len = usize::from(data.get(12)? >> 4) * 4;
    let flags = *data.get(13)?;
    if header_len < 20 {
        return None;
    }
    Some(Segment {
        source: SocketAddr::new(around.source, u16_at(data, 0)?),
        destination: SocketAddr::new(around.destination, u16_at(data, 2)?),
        sequence,
        syn: flags & 0x02 != 0,
        last: flags & 0x05 != 0,
        payload: data.get(header_len..).unwrap_or_default(),
    })
}
