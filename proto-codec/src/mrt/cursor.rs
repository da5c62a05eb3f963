//! A forgiving reader: what lies beyond the end reads as zero.
//!
//! Archives hold cut-off messages on purpose (early Zebra wrote the first 4 KiB only). Reading on
//! with zeros keeps every field that is there; [`Cursor::remaining`] tells where it ended. The
//! strict reader of `bgp` is the one for the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self {
            rest: octets,
            offset: 0,
        }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next `len` octets, or as many as there are.
    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        self.offset += head.len();
        head
    }

    pub(super) fn sub(&mut self, len: usize) -> Self {
        let offset = self.offset;
        Self {
            rest: self.take(len),
            offset,
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        for (to, from) in octets.iter_mut().zip(self.take(N)) {
            *to = *from;
        }
        octets
    }

    pub(super) fn u8(&mut self) -> u8 {
        let [octet] = self.array();
        octet
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// An AS number of four octets, or of two.
    pub(super) fn asn(&mut self, four_octets: bool) -> u32 {
        if four_octets {
            self.u32()
        } else {
            u32::from(self.u16())
        }
    }

    pub(super) fn ipv4(&mut self) -> Ipv4Addr {
        Ipv4Addr::from(self.array::<4>())
    }

    pub(super) fn ip(&mut self, is_ipv6: bool) -> IpAddr {
        if is_ipv6 {
            IpAddr::V6(Ipv6Addr::from(self.array::<16>()))
        } else {
            IpAddr::V4(self.ipv4())
        }
    }
}
