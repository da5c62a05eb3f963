//! How long to wait before the next attempt, and the seeded randomness behind it.
//!
//! Two delays grow while things go wrong: the ConnectRetryTimer after failed dials, and the
//! IdleHoldTimer after sessions that ended in an error (DampPeerOscillations, RFC 4271 §8.1.1).
//! Both double from a base to a cap and fall back to the base once a session has been
//! Established for long enough ([`Backoff::reset`]), so one bad night does not slow down the
//! next morning. Each delay is multiplied by a random factor from 0.75 to 1.0 (RFC 4271 §10),
//! which keeps a rack of nodes that lost the same router from dialling in step.
//!
//! The generator is SplitMix64 with the seed passed in: the same seed gives the same session,
//! which is what the simulation relies on. Nothing here is secret, so it need not be strong.

use std::time::Duration;

/// A small seeded generator for jitter.
#[derive(Clone, Debug)]
pub struct Jitter {
    state: u64,
}

impl Jitter {
    /// A generator that repeats itself for the same seed.
    pub fn new(seed: u64) -> Jitter {
        Jitter { state: seed }
    }

    /// The next 64 bits (SplitMix64).
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `base` times a factor from 0.75 to 1.0 (RFC 4271 §10).
    pub fn apply(&mut self, base: Duration) -> Duration {
        let quarter = base / 4;
        // 16 bits of randomness: steps far finer than any timer's resolution.
        let share = u32::from(u16::try_from(self.next_u64() & 0xffff).unwrap_or(0));
        base - quarter.saturating_mul(share) / 0xffff
    }
}

/// A delay that doubles from `base` to `max` with each failure.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// A backoff that starts at `base`; a `max` below `base` counts as `base`.
    pub fn new(base: Duration, max: Duration) -> Backoff {
        Backoff {
            base,
            max: max.max(base),
            failures: 0,
        }
    }

    /// The delay before the next attempt, without jitter; counts one failure.
    pub fn next_delay(&mut self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = (self.failures + 1).min(31);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Takes new bounds and keeps the count of failures.
    pub fn set_bounds(&mut self, base: Duration, max: Duration) {
        self.base = base;
        self.max = max.max(base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_three_quarters_and_one_rfc4271_10() {
        let mut jitter = Jitter::new(7);
        let base = Duration::from_secs(120);
        let all: Vec<Duration> = (0..10_000).map(|_| jitter.apply(base)).collect();
        assert!(all.iter().all(|&d| d >= base * 3 / 4 && d <= base));
        assert!(
            all.iter().any(|&d| d < base * 77 / 100),
            "the low end is reached"
        );
        assert!(
            all.iter().any(|&d| d > base * 98 / 100),
            "the high end is reached"
        );
    }

    #[test]
    fn jitter_repeats_for_the_same_seed() {
        let (mut a, mut b) = (Jitter::new(3), Jitter::new(3));
        for _ in 0..100 {
            assert_eq!(a.next_u64(), b.next_u64());
        }
    }

    #[test]
    fn backoff_doubles_to_the_cap_and_forgets() {
        let mut backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));
        let delays: Vec<u64> = (0..6).map(|_| backoff.next_delay().as_secs()).collect();
        assert_eq!(delays, [5, 10, 20, 40, 60, 60]);
        for _ in 0..100 {
            assert_eq!(backoff.next_delay().as_secs(), 60);
        }
        backoff.reset();
        assert_eq!(backoff.next_delay().as_secs(), 5);
    }

    #[test]
    fn a_cap_below_the_base_is_the_base() {
        let mut backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(1));
        assert_eq!(backoff.next_delay().as_secs(), 5);
        assert_eq!(backoff.next_delay().as_secs(), 5);
    }
}
