//! Random numbers that are the same in every run with the same seed.
//!
//! Everything in the simulated cluster that varies (delays, orders, which service comes next) is
//! drawn from one of these, so a run that fails fails again, and the seed in the message of the
//! failure is all that is needed to look at it. The generator is xorshift, as in the laboratory of
//! `bgpd`; it need not be good, only the same everywhere.

/// A source of numbers.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }

    /// An index of a list of this length.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}
