//! One way to reach a prefix, in 28 octets.
//!
//! A [`Path`] is what an Adj-RIB-In entry and a Loc-RIB candidate share: who sent it, its
//! attributes as received and after import policy, and the start of the decision process
//! precomputed as an integer. Most decisions end inside that integer and never look at an
//! attribute.
//!
//! Paths that import policy refused, or whose next hop is unknown, stay here with a flag: the
//! Adj-RIB-In is kept unfiltered so that a new policy needs no refresh from the peer
//! (RFC 4271 §3.2 keeps the two apart; RFC 2918 is for speakers that do not).

use crate::attr::AttrId;
use crate::peer::PeerSlot;

/// How a path came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathKind {
    /// Learned over eBGP.
    External,
    /// Learned over iBGP.
    Internal,
    /// It starts here.
    Local,
}

/// Marks of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct PathFlags(u8);

impl PathFlags {
    /// Import policy refused it.
    pub const FILTERED: PathFlags = PathFlags(1);
    /// Its next hop is unknown or unreachable (RFC 4271 §9.1.2).
    pub const UNRESOLVED: PathFlags = PathFlags(1 << 1);
    /// Kept from before the peer's restart (RFC 4724 §4.2) or refresh (RFC 7313 §4).
    pub const STALE: PathFlags = PathFlags(1 << 2);
    /// It starts here as an aggregate: the kernel discards what nothing more specific takes.
    pub const DISCARD: PathFlags = PathFlags(1 << 3);
    /// Flags that keep a path out of the decision process.
    const INVALID: PathFlags = PathFlags(Self::FILTERED.0 | Self::UNRESOLVED.0);

    /// `self` with `other` set or cleared.
    pub fn set(&mut self, other: PathFlags, on: bool) {
        if on {
            self.0 |= other.0;
        } else {
            self.0 &= !other.0;
        }
    }

    /// Takes the mark STALE over from `before`.
    pub fn keep_stale(&mut self, before: PathFlags) {
        self.set(Self::STALE, before.any(Self::STALE));
    }

    /// `self` with `other` cleared.
    const fn without(self, other: PathFlags) -> PathFlags {
        PathFlags(self.0 & !other.0)
    }

    /// Whether any of `other` is set.
    #[inline]
    pub const fn any(self, other: PathFlags) -> bool {
        self.0 & other.0 != 0
    }
}

/// Steps a to c of the degree of preference as one integer: a greater one is preferred.
///
/// ```text
///  50      49..18        17..2              1..0
/// +-----+------------+------------------+----------+
/// |local| LOCAL_PREF | 65535 - AS hops  | 2-ORIGIN |
/// +-----+------------+------------------+----------+
/// ```
///
/// The first bit is FRR's weight of 32768: what starts here beats what is learned, whatever its
/// LOCAL_PREF (RFC 4271 leaves the preference of local routes to the router). The rest is
/// RFC 4271 §9.1.1 and §9.1.2.2 a, b.
///
/// Held as two halves, so that a path is aligned to four octets and ends without padding: two
/// million paths are eight megabytes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct DecisionKey {
    low: u32,
    high: u32,
}

/// Which part of two keys differs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyStep {
    Local,
    LocalPref,
    AsPath,
    Origin,
}

impl DecisionKey {
    const LOCAL: u64 = 1 << 50;
    /// Worse than any.
    pub const WORST: DecisionKey = DecisionKey { low: 0, high: 0 };

    fn from_value(value: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        Self {
            low: u32::from_le_bytes([a, b, c, d]),
            high: u32::from_le_bytes([e, f, g, h]),
        }
    }

    #[inline]
    fn value(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }

    /// The key of a learned path. `origin` is 0 IGP, 1 EGP, 2 INCOMPLETE.
    pub fn new(local_pref: u32, as_hops: u32, origin: u8) -> Self {
        let hops = u64::from(as_hops.min(0xffff));
        let origin = u64::from(origin.min(2));
        Self::from_value(u64::from(local_pref) << 18 | (0xffff - hops) << 2 | (2 - origin))
    }

    /// The same for a route that starts here.
    pub fn local(self) -> Self {
        Self::from_value(self.value() | Self::LOCAL)
    }

    /// The first step at which the two differ.
    pub fn differs_at(self, other: Self) -> Option<KeyStep> {
        match self.value() ^ other.value() {
            0 => None,
            diff if diff >= Self::LOCAL => Some(KeyStep::Local),
            diff if diff >= 1 << 18 => Some(KeyStep::LocalPref),
            diff if diff >= 1 << 2 => Some(KeyStep::AsPath),
            _ => Some(KeyStep::Origin),
        }
    }
}

impl Ord for DecisionKey {
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value().cmp(&other.value())
    }
}

impl PartialOrd for DecisionKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// One way to reach a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Start of the decision process, from the attributes after policy.
    pub key: DecisionKey,
    /// Attributes as received.
    pub received: AttrId,
    /// Attributes after import policy; the same as received where policy changed nothing or
    /// refused the path.
    pub attrs: AttrId,
    /// Path identifier as received (RFC 7911), 0 without. Of a local path: see `origin`.
    pub path_id: u32,
    /// When it was received, in the caller's seconds.
    pub stamp: u32,
    /// Who sent it.
    pub source: PeerSlot,
    /// How it came here.
    pub kind: PathKind,
    /// Its marks.
    pub flags: PathFlags,
}

const _: () = assert!(size_of::<Path>() == 28);

impl Path {
    /// Whether the decision process may look at it.
    #[inline]
    pub fn is_valid(&self) -> bool {
        !self.flags.any(PathFlags::INVALID)
    }

    /// Whether import policy refused it.
    pub fn is_filtered(&self) -> bool {
        self.flags.any(PathFlags::FILTERED)
    }

    /// Whether its next hop is not known to be reachable.
    pub fn is_unresolved(&self) -> bool {
        self.flags.any(PathFlags::UNRESOLVED)
    }

    /// Whether nothing but the time of its arrival differs.
    #[inline]
    pub fn says_the_same(&self, other: &Path) -> bool {
        (self.received, self.attrs, self.key) == (other.received, other.attrs, other.key)
            && self.flags.without(PathFlags::STALE) == other.flags.without(PathFlags::STALE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greater_key_is_preferred_step_by_step() {
        let base = DecisionKey::new(100, 3, 0);
        let cases = [
            (DecisionKey::new(0, 9, 2).local(), KeyStep::Local),
            (DecisionKey::new(101, 9, 2), KeyStep::LocalPref),
            (DecisionKey::new(100, 2, 2), KeyStep::AsPath),
        ];
        for (better, step) in cases {
            assert!(better > base, "{step:?}");
            assert_eq!(better.differs_at(base), Some(step));
        }
        assert!(base > DecisionKey::new(100, 3, 1));
        assert_eq!(
            base.differs_at(DecisionKey::new(100, 3, 2)),
            Some(KeyStep::Origin)
        );
        assert_eq!(base.differs_at(base), None);
        assert!(DecisionKey::new(u32::MAX, 0, 0) < DecisionKey::new(0, 70_000, 2).local());
    }
}
