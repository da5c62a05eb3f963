//! Made-up peers and what they send: the same octets on every machine.
//!
//! Benches, the instruction gate and the scale model draw their input from here, so that their
//! figures are about one and the same table: the real mix of prefix lengths, five to eight
//! prefixes to an attribute set unless asked otherwise, AS paths of three to six hops, up to three
//! communities. Everything follows from the numbers passed in; there is no clock and no random
//! seed.
#![allow(dead_code, reason = "each program that includes this uses its part")]

use std::net::{IpAddr, Ipv4Addr};

use bytes::{Bytes, BytesMut};
use proto_codec::afi::V4;
use proto_codec::bgp::{
    AttrEdit, AttrSet, DecodeContext, EncodeContext, NextHop, Origin, encode_announce,
    encode_withdraw,
};
use proto_codec::prefix::Prefix4;
use rib::{PeerKind, PeerSession, PeerSlot, Rib, RibConfig};

/// Our AS.
pub const ASN: u32 = 65000;
/// Octets of one read of a socket.
pub const READ_OCTETS: usize = 256 << 10;
/// Prefixes that [`prefix`] keeps apart.
pub const PREFIXES_MAX: u32 = 1 << 20;

/// A small generator of our own (xorshift64): it must not change with a dependency.
pub struct Roll(u64);

impl Roll {
    /// A sequence of its own for each `seed`.
    pub fn new(seed: u32) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ (u64::from(seed) << 17))
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn below_u32(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(u64::from(limit))).unwrap_or(0)
    }
}

/// What a peer sends.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Prefixes `first..first + prefixes` of [`prefix`].
    pub prefixes: u32,
    /// The first of them.
    pub first: u32,
    /// Which peer: another number is another AS, next hop and other paths.
    pub peer: u32,
    /// An iBGP peer.
    pub internal: bool,
    /// Prefixes to an attribute set; 0 for five to eight.
    pub per_set: u32,
    /// AS hops on top of the usual: a path nobody prefers.
    pub extra_hops: u32,
    /// Another version of the same routes, with other attributes.
    pub version: u32,
}

impl Shape {
    /// An external peer with the usual mix.
    pub fn new(prefixes: u32, peer: u32) -> Self {
        Self {
            prefixes,
            first: 0,
            peer,
            internal: false,
            per_set: 0,
            extra_hops: 0,
            version: 0,
        }
    }

    /// Prefixes of the next attribute set.
    pub fn count(&self, roll: &mut Roll) -> u32 {
        match self.per_set {
            0 => 5 + roll.below_u32(4),
            fixed => fixed,
        }
    }

    /// Where its random numbers begin.
    pub fn roll(&self) -> Roll {
        Roll::new(self.peer ^ (self.version << 16))
    }

    /// The attributes of the next set.
    pub fn attrs(&self, roll: &mut Roll) -> AttrSet {
        let next_hop = NextHop::V4(Ipv4Addr::from(0xc000_0201 + self.peer));
        let mut edit = AttrEdit::new(Origin::Igp, next_hop);
        let own = if self.internal { 0 } else { asn(self.peer) };
        let mut path: Vec<u32> = Some(own).filter(|asn| *asn > 0).into_iter().collect();
        let hops = 2 + roll.below_u32(4) + self.extra_hops;
        path.extend((0..hops).map(|_| 1_000 + roll.below_u32(60_000)));
        edit.set_as_path(&path);
        for _ in 0..roll.below(4) {
            edit.add_community(1_000_000 + roll.below_u32(0x7000_0000));
        }
        if self.internal {
            edit.set_local_pref(Some(100));
        }
        edit.finish()
    }
}

impl Shape {
    /// Appends whole UPDATEs that announce this to one buffer, as a socket would deliver them.
    pub fn encode_into(&self, out: &mut BytesMut) {
        let mut roll = self.roll();
        let (mut at, end) = (self.first, self.first + self.prefixes);
        while at < end {
            let attrs = self.attrs(&mut roll);
            let count = self.count(&mut roll).min(end - at);
            let mut nlri = (at..at + count).map(|n| (0, prefix(n))).peekable();
            while nlri.peek().is_some() {
                encode_announce::<V4>(&EncodeContext::default(), &attrs, &mut nlri, out)
                    .expect("these attributes fit a message");
            }
            at += count;
        }
    }
}

/// The AS of an external peer.
pub fn asn(peer: u32) -> u32 {
    65_001 + peer
}

/// The n-th prefix: 60 % of length 24, the rest from 20 to 22, scattered over the address space.
pub fn prefix(n: u32) -> Prefix4 {
    let length = match n % 10 {
        0..6 => 24,
        6 | 7 => 22,
        8 => 21,
        _ => 20,
    };
    // An odd factor permutes the numbers below 2^20, so places are distinct, and scattered.
    let place = n.wrapping_mul(0x9e37_79b1) & (PREFIXES_MAX - 1);
    let addr = match length {
        24 => 0x1000_0000 + (place << 8),
        _ => 0x4000_0000 + (place << 12),
    };
    Prefix4::new(Ipv4Addr::from(addr), length)
}

/// Whole UPDATEs that announce what `shape` says.
pub fn announcements(shape: &Shape) -> Vec<Bytes> {
    let mut octets = BytesMut::new();
    shape.encode_into(&mut octets);
    let mut messages = Vec::new();
    while let Some(length) = octets.get(16..18) {
        let length = u16::from_be_bytes([length[0], length[1]]);
        messages.push(octets.split_to(usize::from(length)).freeze());
    }
    messages
}

/// Whole UPDATEs that withdraw `prefixes` prefixes from `first` on.
pub fn withdrawals(first: u32, prefixes: u32) -> Vec<Bytes> {
    let mut messages = Vec::new();
    let mut out = BytesMut::new();
    let mut nlri = (first..first + prefixes).map(|n| (0, prefix(n))).peekable();
    while encode_withdraw::<V4>(&EncodeContext::default(), &mut nlri, &mut out) > 0 {
        messages.push(out.split().freeze());
    }
    messages
}

/// How the messages of `shape`'s peer are read.
pub fn decode_context(shape: &Shape) -> DecodeContext {
    DecodeContext {
        ebgp: !shape.internal,
        local_asn: ASN,
        peer_asn: if shape.internal { ASN } else { asn(shape.peer) },
        ..DecodeContext::default()
    }
}

/// A router without kernel and policy.
pub fn router() -> RibConfig {
    RibConfig {
        seed: 1,
        ..RibConfig::new(Ipv4Addr::new(10, 0, 0, 254), ASN)
    }
}

/// The slot of a peer.
pub fn slot(peer: u32) -> PeerSlot {
    PeerSlot(u16::try_from(peer).expect("few peers"))
}

/// An external session.
pub fn external(peer: u32, rib: &Rib) -> PeerSession {
    let address = IpAddr::V4(Ipv4Addr::from(0x0a01_0000 + peer));
    PeerSession::new(slot(peer), address, asn(peer), rib.config())
}

/// A client of ours as a route reflector.
pub fn client(peer: u32, rib: &Rib) -> PeerSession {
    let address = IpAddr::V4(Ipv4Addr::from(0x0a01_0000 + peer));
    PeerSession {
        kind: PeerKind::InternalClient,
        ..PeerSession::new(slot(peer), address, ASN, rib.config())
    }
}
