//! Which shard a prefix belongs to.
//!
//! Prefixes are dealt out by blocks: all of one /16 go to one shard, all of one /40 with IPv6.
//! Small blocks would spread the load better and tear more UPDATEs apart, because origins and
//! their transits announce neighboring prefixes with the same attributes. The figures for a real
//! table are in `docs/benchmarks.md`, section "More cores".
//!
//! The mixture is fixed, not seeded: a peer that knew it could aim at one shard by announcing one
//! /16 only, but a peer that wants to keep us busy has cheaper means, and with fixed blocks the
//! same table gives the same load each time. Multiplying by the golden ratio spreads consecutive
//! blocks, which is how registries hand them out, as evenly as can be.

use ipnet::IpNet;
use proto_codec::bgp::Piece;

/// Bits that make a block of IPv4 prefixes.
pub const BLOCK_V4: u8 = 16;
/// Bits that make a block of IPv6 prefixes.
pub const BLOCK_V6: u8 = 40;

/// The shard of a prefix among `shards`.
#[must_use]
pub fn shard_of(prefix: &IpNet, shards: usize) -> usize {
    match prefix {
        IpNet::V4(net) => deal::<BLOCK_V4>(&net.network().octets(), net.prefix_len(), shards),
        IpNet::V6(net) => deal::<BLOCK_V6>(&net.network().octets(), net.prefix_len(), shards),
    }
}

/// The shard of a prefix as it stands on the wire.
#[inline]
pub(super) fn shard_of_piece(piece: &Piece<'_>, v4: bool, shards: usize) -> usize {
    if v4 {
        deal::<BLOCK_V4>(piece.addr, piece.len, shards)
    } else {
        deal::<BLOCK_V6>(piece.addr, piece.len, shards)
    }
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn deal<const BITS: u8>(addr: &[u8], len: u8, shards: usize) -> usize {
    // Address octets from the top of a word; those that are not there are zero.
    let word = match addr.first_chunk::<4>() {
        Some(&[a, b, c, d]) if BITS <= 32 => u64::from(u32::from_be_bytes([a, b, c, d])) << 32,
        _ => {
            let shift = |(place, octet): (u32, &u8)| u64::from(*octet) << (56 - 8 * place);
            (0..8).zip(addr).map(shift).sum()
        }
    };
    // Host bits are dropped as everywhere: what is compared is the network.
    let bits = u32::from(len.min(BITS));
    let block = if bits == 0 {
        0
    } else {
        word >> (64 - bits) << (64 - bits)
    };
    let mixed = (block >> (64 - u32::from(BITS))).wrapping_mul(GOLDEN) >> 32;
    let dealt = (mixed * u64::try_from(shards).unwrap_or(1)) >> 32;
    usize::try_from(dealt).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto_codec::afi::Family;
    use proto_codec::bgp::Nlri;

    fn of(text: &str, shards: usize) -> usize {
        shard_of(&text.parse().expect("a prefix"), shards)
    }

    #[test]
    fn a_block_is_of_one_shard() {
        for shards in 1..=8 {
            assert_eq!(of("10.1.0.0/16", shards), of("10.1.255.0/24", shards));
            assert_eq!(of("10.1.0.0/16", shards), of("10.1.7.9/32", shards));
            let v6 = of("2001:db8:100::/40", shards);
            assert_eq!(v6, of("2001:db8:1ff::/48", shards));
            assert!(of("0.0.0.0/0", shards) < shards && of("::/0", shards) < shards);
        }
        assert_eq!(of("192.0.2.0/24", 1), 0);
    }

    #[test]
    fn shards_are_equally_large() {
        for shards in [2, 3, 4, 8, 16] {
            let mut sizes = vec![0; shards];
            for block in 0..=u16::MAX {
                let [a, b] = block.to_be_bytes();
                sizes[of(&format!("{a}.{b}.0.0/16"), shards)] += 1;
            }
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(most - least <= 65_536 / shards / 100, "{sizes:?}");
        }
    }

    /// Bits behind the length are of no significance on the wire (RFC 4271 §4.3).
    #[test]
    fn the_wire_says_the_same_as_the_prefix() {
        let wire: &[u8] = &[12, 0xac, 0x1f, 24, 192, 0, 2, 0, 32, 10, 9, 8, 7, 7, 0xff];
        let nlri = Nlri::new(Family::Ipv4Unicast, false, wire).expect("good");
        for (piece, (_, net)) in nlri.pieces().zip(nlri.nets()) {
            assert_eq!(shard_of_piece(&piece, true, 7), shard_of(&net, 7), "{net}");
        }
        assert_eq!(nlri.pieces().count(), 5);
        let wire: &[u8] = &[0, 0, 0, 9, 29, 0x20, 1, 0xd, 0xbf, 0, 0, 0, 1, 0];
        let nlri = Nlri::new(Family::Ipv6Unicast, true, wire).expect("good");
        for (piece, (_, net)) in nlri.pieces().zip(nlri.nets()) {
            assert_eq!(shard_of_piece(&piece, false, 7), shard_of(&net, 7), "{net}");
        }
    }
}
