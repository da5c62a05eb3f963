//! What a new master tells the link: whose MAC address the virtual addresses have now.
//!
//! IPv4: a gratuitous ARP, written as a request with sender and target alike (RFC 9568 §6.4.1 with
//! errata 7947 and 7949; RFC 5227 §3). From a virtual MAC it is a reply: the old holder may still
//! hear a request, and some answer it (keepalived does) from the same virtual MAC, which turns
//! switches back to the old port until the next advert. IPv6: an unsolicited neighbor advertisement
//! to all nodes with Router and Override set and Solicited clear (RFC 9568 §6.4.1, RFC 4861 §4.4).
//! Both are whole Ethernet frames: the sender address of the frame matters as much as its content,
//! since switches learn from it.
//!
//! ```text
//! Ethernet  | dst 6 | src 6 | type 2 |
//! ARP       | 0001 0800 06 04 0001 | mac 6 | ip 4 | 00.. 6 | ip 4 |
//! IPv6      | 6000 0000 | len 2 | 3a | ff | src 16 | dst 16 |
//! ND        | 88 00 sum 2 | flags 4 | target 16 | 02 01 mac 6 |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum;

/// An Ethernet address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
/// The Ethernet address of [`ALL_NODES`].
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;

/// The frame that tells the link that `address` is at `mac`.
pub fn announcement(address: IpAddr, mac: Mac, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => gratuitous_arp(address, mac, out),
        IpAddr::V6(address) => unsolicited_advertisement(address, mac, out),
    }
}

/// Whether a MAC address is one of the virtual routers' (RFC 9568 §7.3).
fn is_virtual(mac: Mac) -> bool {
    matches!(mac, [0, 0, 0x5e, 0, 1 | 2, _])
}

fn gratuitous_arp(address: Ipv4Addr, mac: Mac, out: &mut Vec<u8>) {
    out.extend_from_slice(&BROADCAST);
    out.extend_from_slice(&mac);
    // The target's hardware address means nothing in a request; in a gratuitous reply it is the
    // sender's, by which receivers know it.
    let (operation, target) = match is_virtual(mac) {
        false => (1, [0; 6]),
        true => (2, mac),
    };
    out.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, operation]);
    out.extend_from_slice(&mac);
    out.extend_from_slice(&address.octets());
    out.extend_from_slice(&target);
    out.extend_from_slice(&address.octets());
}

fn unsolicited_advertisement(address: Ipv6Addr, mac: Mac, out: &mut Vec<u8>) {
    let mut body = vec![136, 0, 0, 0];
    // Router and Override.
    body.extend_from_slice(&[0xa0, 0, 0, 0]);
    body.extend_from_slice(&address.octets());
    body.extend_from_slice(&[2, 1]);
    body.extend_from_slice(&mac);
    let sum = checksum::icmpv6(&body, (address, ALL_NODES), ICMPV6);
    if let Some(field) = body.get_mut(2..4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    out.extend_from_slice(&ALL_NODES_MAC);
    out.extend_from_slice(&mac);
    out.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[ICMPV6, 255]);
    out.extend_from_slice(&address.octets());
    out.extend_from_slice(&ALL_NODES.octets());
    out.extend_from_slice(&body);
}
