//! Adverts as whole Ethernet frames, for sending them from the virtual MAC.
//!
//! RFC 9568 §7.2 wants the virtual MAC as the source of an advert, so that switches learn where the
//! master is, and the primary address of the interface as its IP source. An IP socket offers that
//! combination for IPv4 only, and leaves the frame to the link it is bound to; a frame says both.
//! Only multicast adverts are framed: the MAC address of a unicast peer is the kernel's to find.
//!
//! ```text
//! Ethernet | 01005e 000012 | virtual MAC | 0800 |        or | 3333 00000012 | virtual MAC | 86dd |
//! IPv4     | 45 c0 len 2 | 0000 0000 | ff 70 sum 2 | source 4 | 224.0.0.18 |
//! IPv6     | 6c00 0000 len 2 | 70 ff | source 16 | ff02::12 |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::announce::Mac;
use super::{GROUP_V4, GROUP_V6, HOP_LIMIT, PROTOCOL, checksum};

/// The Ethernet addresses of the groups (RFC 1112 §6.4, RFC 2464 §7).
const GROUP_V4_MAC: Mac = [0x01, 0x00, 0x5e, 0, 0, 0x12];
const GROUP_V6_MAC: Mac = [0x33, 0x33, 0, 0, 0, 0x12];
/// Network control (RFC 4594 §3.1), as other routers mark adverts.
const CLASS: u8 = 0xc0;
const IPV4_HEADER: usize = 20;

/// Appends the frame that carries `message` from `source` and `mac` to the group.
pub fn advert_frame(source: IpAddr, mac: Mac, message: &[u8], out: &mut Vec<u8>) {
    match source {
        IpAddr::V4(source) => ipv4(source, mac, message, out),
        IpAddr::V6(source) => ipv6(source, mac, message, out),
    }
}

fn ipv4(source: Ipv4Addr, mac: Mac, message: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&GROUP_V4_MAC);
    out.extend_from_slice(&mac);
    out.extend_from_slice(&[0x08, 0x00]);
    let len = u16::try_from(IPV4_HEADER + message.len()).unwrap_or(u16::MAX);
    let mut header = vec![0x45, CLASS];
    header.extend_from_slice(&len.to_be_bytes());
    header.extend_from_slice(&[0, 0, 0, 0, HOP_LIMIT, PROTOCOL, 0, 0]);
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&GROUP_V4.octets());
    let sum = checksum::plain(&header, 0);
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    out.extend_from_slice(&header);
    out.extend_from_slice(message);
}

fn ipv6(source: Ipv6Addr, mac: Mac, message: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&GROUP_V6_MAC);
    out.extend_from_slice(&mac);
    out.extend_from_slice(&[0x86, 0xdd, 0x60 | (CLASS >> 4), (CLASS & 0x0f) << 4, 0, 0]);
    let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[PROTOCOL, HOP_LIMIT]);
    out.extend_from_slice(&source.octets());
    out.extend_from_slice(&GROUP_V6.octets());
    out.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::datagram;

    const ETHERNET: u32 = 1;

    /// RFC 9568 §7.2: source MAC the virtual one, source address the primary one, protocol 112,
    /// hop limit 255.
    #[test]
    fn a_framed_advert_is_what_the_reader_of_captures_sees() {
        for source in ["10.99.0.1", "fe80::1"] {
            let source: IpAddr = source.parse().expect("an address");
            let mut frame = Vec::new();
            advert_frame(source, [0, 0, 0x5e, 0, 1, 51], b"advert", &mut frame);
            assert_eq!(&frame[6..12], [0, 0, 0x5e, 0, 1, 51]);
            let found = datagram(ETHERNET, &frame).expect("a datagram of protocol 112");
            assert_eq!(found.source, source);
            assert_eq!(found.hop_limit, HOP_LIMIT);
            assert_eq!(found.payload, b"advert");
            assert!(found.destination.is_multicast());
        }
    }

    /// RFC 791 §3.1: over header and checksum the sum is all ones.
    #[test]
    fn the_header_checksum_is_right() {
        let mut frame = Vec::new();
        let source = Ipv4Addr::new(10, 99, 0, 1);
        ipv4(source, [0; 6], b"1234", &mut frame);
        let header = &frame[14..34];
        let words = header.chunks_exact(2);
        let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
