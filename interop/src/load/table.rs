//! A table to load daemons with: as many IPv4 prefixes as asked for, in the mix of lengths that
//! the default-free zone has, 5 to 8 of them with the same attributes.
//!
//! Everything follows from the number of prefixes: each run and each daemon gets the same octets.
//! Prefixes of one attribute set are neighbors in the address space, as those of one origin AS
//! are; the sets come in no order.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use crate::player::rib_file::{Attribute, Attributes};
use crate::player::wire;

/// Prefixes of each length among 1,000, after the table of a large European peer in May 2026.
const LENGTHS: [(u8, u32); 9] = [
    (16, 13),
    (17, 8),
    (18, 13),
    (19, 24),
    (20, 44),
    (21, 50),
    (22, 112),
    (23, 104),
    (24, 632),
];

/// A small generator with good enough bits (Marsaglia's xorshift), the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero for ever.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Puts `items` into an order by chance (Fisher and Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let sides = u32::try_from(last + 1).expect("fewer items than addresses");
            items.swap(last, self.roll(sides) as usize);
        }
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 32) % u64::from(sides)).expect("smaller than the sides")
    }
}

/// `count` prefixes with attributes.
pub fn build(count: usize) -> Vec<(IpNet, Attributes)> {
    let mut dice = Dice::new(0);
    let mut sets: Vec<Vec<(IpNet, Attributes)>> = Vec::new();
    let mut address = u32::from(Ipv4Addr::new(1, 0, 0, 0));
    let mut left = count;
    while left > 0 {
        let size = (5 + dice.roll(4) as usize).min(left);
        left -= size;
        let attributes: Attributes = Arc::new(attributes(&mut dice));
        let set = (0..size).map(|_| (prefix(&mut address, &mut dice), attributes.clone()));
        sets.push(set.collect());
    }
    dice.shuffle(&mut sets);
    sets.concat()
}

/// The next prefix behind `address`, of a length by chance.
fn prefix(address: &mut u32, dice: &mut Dice) -> IpNet {
    let mut chance = dice.roll(1000);
    let mut len = 24;
    for (candidate, share) in LENGTHS {
        if chance < share {
            len = candidate;
            break;
        }
        chance -= share;
    }
    let size = 1_u32 << (32 - len);
    let mut aligned = address.next_multiple_of(size);
    // Networks that no router takes from another, or that the lab itself is in.
    if matches!(aligned >> 24, 10 | 127) {
        aligned = (aligned | 0x00ff_ffff) + 1;
    }
    *address = aligned.wrapping_add(size);
    let net = Ipv4Net::new(Ipv4Addr::from(aligned), len).expect("a length below 32");
    IpNet::V4(net)
}

/// Attributes like real ones: a path of 2 to 6 hops, communities on two of three, MED on some.
fn attributes(dice: &mut Dice) -> Vec<Attribute> {
    let hops = 2 + dice.roll(5);
    let path: Vec<u32> = (0..hops).map(|_| 1000 + dice.roll(60_000)).collect();
    let mut found = vec![(0x40, 1, vec![0]), (0x40, 2, wire::as_sequence(&path))];
    if dice.roll(10) == 0 {
        found.push((0x80, 4, dice.roll(100).to_be_bytes().to_vec()));
    }
    let communities = match dice.roll(3) {
        0 => 0,
        _ => 1 + dice.roll(6),
    };
    if communities > 0 {
        let values = (0..communities).map(|_| (1000 + dice.roll(60_000)) << 16 | dice.roll(5000));
        let value: Vec<u8> = values.flat_map(u32::to_be_bytes).collect();
        found.push((0xc0, 8, value));
    }
    found
}

/// The parts of a table with the same attributes: where each begins and ends.
pub fn sets(table: &[(IpNet, Attributes)]) -> Vec<&[(IpNet, Attributes)]> {
    table.chunk_by(|(_, a), (_, b)| Arc::ptr_eq(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_table_has_distinct_prefixes_in_the_real_mix() {
        let table = build(100_000);
        let nets: BTreeSet<IpNet> = table.iter().map(|(net, _)| *net).collect();
        assert_eq!(nets.len(), 100_000);
        let long = nets.iter().filter(|net| net.prefix_len() == 24).count();
        assert!((62_000..65_000).contains(&long), "{long}");
        assert!(
            nets.last()
                .is_some_and(|net| net.addr() < Ipv4Addr::new(224, 0, 0, 0))
        );
        let sets: BTreeSet<*const Vec<Attribute>> =
            table.iter().map(|(_, set)| Arc::as_ptr(set)).collect();
        assert!((12_500..20_000).contains(&sets.len()), "{}", sets.len());
        assert_eq!(super::sets(&table).len(), sets.len());
    }

    #[test]
    fn a_table_is_the_same_each_time() {
        assert_eq!(build(3_000), build(3_000));
    }
}
