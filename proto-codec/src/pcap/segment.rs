//! From a captured packet to the TCP segment in it.
//!
//! Lengths in headers are believed only as far as octets are there, so a packet cut off by the
//! capture yields what was captured of its payload. Padding behind the IP packet is cut by the IP
//! length, except where that is zero (segmentation offload).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
    match link {
        0 => of_family(u32::from_ne_bytes(*data.first_chunk()?), data.get(4..)?),
        1 => of_ethertype(u16_at(data, 12)?, data.get(14..)?),
        12 | 14 | 101 | 228 | 229 => of_ip(data),
        108 => of_family(u32::from_be_bytes(*data.first_chunk()?), data.get(4..)?),
        113 => of_ethertype(u16_at(data, 14)?, data.get(16..)?),
        276 => of_ethertype(u16_at(data, 0)?, data.get(20..)?),
        _ => None,
    }
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?
        .first_chunk()
        .map(|octets| u16::from_be_bytes(*octets))
}

/// BSD loopback: the address family in the order of the capturing host, which is not known; the
/// version in the IP header tells more.
fn of_family(_family: u32, data: &[u8]) -> Option<Segment<'_>> {
    of_ip(data)
}

fn of_ethertype(mut kind: u16, mut data: &[u8]) -> Option<Segment<'_>> {
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
        kind = u16_at(data, 2)?;
        data = data.get(4..)?;
    }
    matches!(kind, 0x0800 | 0x86dd)
        .then(|| of_ip(data))
        .flatten()
}

fn of_ip(data: &[u8]) -> Option<Segment<'_>> {
    match data.first()? >> 4 {
        4 => of_ipv4(data),
        6 => of_ipv6(data),
        _ => None,
    }
}

fn of_ipv4(data: &[u8]) -> Option<Segment<'_>> {
    let header_len = usize::from(data.first()? & 0x0f) * 4;
    let total = usize::from(u16_at(data, 2)?);
    let fragment_offset = u16_at(data, 6)? & 0x1fff;
    if *data.get(9)? != TCP || fragment_offset != 0 || header_len < 20 {
        return None;
    }
    let source: [u8; 4] = *data.get(12..)?.first_chunk()?;
    let destination: [u8; 4] = *data.get(16..)?.first_chunk()?;
    let packet = if total == 0 {
        data
    } else {
        data.get(..total).unwrap_or(data)
    };
    let addresses = (
        Ipv4Addr::from(source).into(),
        Ipv4Addr::from(destination).into(),
    );
    of_tcp(packet.get(header_len..)?, addresses)
}

fn of_ipv6(data: &[u8]) -> Option<Segment<'_>> {
    let payload_len = usize::from(u16_at(data, 4)?);
    let source: [u8; 16] = *data.get(8..)?.first_chunk()?;
    let destination: [u8; 16] = *data.get(24..)?.first_chunk()?;
    let payload = data.get(40..)?;
    let mut payload = if payload_len == 0 {
        payload
    } else {
        payload.get(..payload_len).unwrap_or(payload)
    };
    let mut next = *data.get(6)?;
    // Hop-by-hop, routing, fragment (the first only), destination options.
    while matches!(next, 0 | 43 | 44 | 60) {
        let len = match next {
            44 if u16_at(payload, 2)? & 0xfff8 != 0 => return None,
            44 => 8,
            _ => (usize::from(*payload.get(1)?) + 1) * 8,
        };
        next = *payload.first()?;
        payload = payload.get(len..)?;
    }
    let addresses = (
        Ipv6Addr::from(source).into(),
        Ipv6Addr::from(destination).into(),
    );
    (next == TCP).then(|| of_tcp(payload, addresses)).flatten()
}

fn of_tcp(data: &[u8], (source, destination): (IpAddr, IpAddr)) -> Option<Segment<'_>> {
    let sequence = u32::from_be_bytes(*data.get(4..)?.first_chunk()?);
    let header_len = usize::from(data.get(12)? >> 4) * 4;
    let flags = *data.get(13)?;
    if header_len < 20 {
        return None;
    }
    Some(Segment {
        source: SocketAddr::new(source, u16_at(data, 0)?),
        destination: SocketAddr::new(destination, u16_at(data, 2)?),
        sequence,
        syn: flags & 0x02 != 0,
        last: flags & 0x05 != 0,
        payload: data.get(header_len..).unwrap_or_default(),
    })
}
