//! From a captured packet to the IP datagram in it.
//!
//! Lengths in headers are believed only as far as octets are there, so a packet cut off by the
//! capture yields what was captured of its payload. Padding behind the IP packet is cut by the IP
//! length, except where that is zero (segmentation offload). Of a fragmented packet only the first
//! fragment is looked into.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The payload of an IP packet, with what its header said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// Protocol, or the last next header.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// What it carries, extension headers taken off.
    pub payload: &'a [u8],
}

/// Finds the IP datagram in a packet of link-layer type `link`.
#[must_use]
pub fn datagram(link: u32, data: &[u8]) -> Option<Datagram<'_>> {
    match link {
        // BSD loopback: the address family in the order of the capturing host, which is not known;
        // the version in the IP header tells more.
        0 | 108 => of_ip(data.get(4..)?),
        1 => of_ethertype(u16_at(data, 12)?, data.get(14..)?),
        12 | 14 | 101 | 228 | 229 => of_ip(data),
        113 => of_ethertype(u16_at(data, 14)?, data.get(16..)?),
        276 => of_ethertype(u16_at(data, 0)?, data.get(20..)?),
        _ => None,
    }
}

pub(super) fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?
        .first_chunk()
        .map(|octets| u16::from_be_bytes(*octets))
}

fn of_ethertype(mut kind: u16, mut data: &[u8]) -> Option<Datagram<'_>> {
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
        kind = u16_at(data, 2)?;
        data = data.get(4..)?;
    }
    matches!(kind, 0x0800 | 0x86dd)
        .then(|| of_ip(data))
        .flatten()
}

fn of_ip(data: &[u8]) -> Option<Datagram<'_>> {
    match data.first()? >> 4 {
        4 => of_ipv4(data),
        6 => of_ipv6(data),
        _ => None,
    }
}

fn of_ipv4(data: &[u8]) -> Option<Datagram<'_>> {
    let header_len = usize::from(data.first()? & 0x0f) * 4;
    let total = usize::from(u16_at(data, 2)?);
    let fragment_offset = u16_at(data, 6)? & 0x1fff;
    if fragment_offset != 0 || header_len < 20 {
        return None;
    }
    let source: [u8; 4] = *data.get(12..)?.first_chunk()?;
    let destination: [u8; 4] = *data.get(16..)?.first_chunk()?;
    let packet = if total == 0 {
        data
    } else {
        data.get(..total).unwrap_or(data)
    };
    Some(Datagram {
        source: Ipv4Addr::from(source).into(),
        destination: Ipv4Addr::from(destination).into(),
        protocol: *data.get(9)?,
        hop_limit: *data.get(8)?,
        payload: packet.get(header_len..)?,
    })
}

fn of_ipv6(data: &[u8]) -> Option<Datagram<'_>> {
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
    Some(Datagram {
        source: Ipv6Addr::from(source).into(),
        destination: Ipv6Addr::from(destination).into(),
        protocol: next,
        hop_limit: *data.get(7)?,
        payload,
    })
}
