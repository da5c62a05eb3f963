//! Prefixes of a hash table in order, a run at a time.
//!
//! The first rows of a listing should not wait until a million prefixes are sorted, and a listing
//! should not hold a million prefixes while somebody reads it in a pager. So a sample of the table
//! says where to cut the space of prefixes into *runs* of about [`RUN_KEYS`]; one pass over the
//! table collects the next few runs, each is sorted when it is reached, and when all of them have
//! been handed out the next pass follows. A pass is mostly comparisons, a few nanoseconds per
//! destination, and there are at most [`PASSES`] of them.
//!
//! Every step is bounded (a slice of a pass, the sort of one run), and a prefix that comes back
//! under another index during a pass is still listed once.

use proto_codec::afi::AddressFamily;

use crate::dest::Dest;
use crate::table::{DestId, Table};

/// Destinations looked at in one step of a pass: about a tenth of a millisecond.
const SLICE: u32 = 16 << 10;
/// Destinations in the sample.
const SAMPLES: u32 = 2048;
/// Prefixes of a run, about: sorting them takes a third of a millisecond.
const RUN_KEYS: usize = 8 << 10;
/// Runs collected in one pass, at least.
const PASS_RUNS_MIN: usize = 16;
/// Passes over a large table.
const PASSES: usize = 8;

/// Where a listing stands.
#[derive(Debug)]
pub(super) struct Runs<A: AddressFamily> {
    /// Ascending: run `n` ends before `cuts[n]`; there is one run more than cuts. `None` before
    /// the sample.
    cuts: Option<Vec<A::Prefix>>,
    /// Runs before this one have been handed out or are in `collected`.
    next_run: usize,
    /// Runs of the pass under way or just ended, the last first.
    collected: Vec<Vec<A::Prefix>>,
    /// Where the pass goes on.
    at: DestId,
    passing: bool,
    /// What is left of the run that is being handed out.
    current: std::vec::IntoIter<A::Prefix>,
}

impl<A: AddressFamily> Default for Runs<A> {
    fn default() -> Self {
        Self {
            cuts: None,
            next_run: 0,
            collected: Vec::new(),
            at: 0,
            passing: false,
            current: Vec::new().into_iter(),
        }
    }
}

impl<A: AddressFamily> Runs<A> {
    /// Does one step unless there are prefixes to hand out; whether there are some now.
    pub fn prepare(
        &mut self,
        table: &Table<A>,
        inside: impl Fn(A::Prefix) -> bool,
        wanted: impl Fn(&Dest<A::Prefix>) -> bool,
    ) -> bool {
        if self.current.len() > 0 {
            return true;
        }
        let Some(cuts) = &self.cuts else {
            self.cuts = Some(sample(table, inside));
            return false;
        };
        if self.passing {
            let end = table.ids().end;
            let (from, to) = (self.at, end.min(self.at.saturating_add(SLICE)));
            let first_run = self.next_run;
            let runs = self.collected.len();
            let low = first_run.checked_sub(1).and_then(|run| cuts.get(run));
            let here = cuts.get(first_run..).unwrap_or_default();
            let high = here.get(runs.saturating_sub(1));
            let here = here.get(..runs.saturating_sub(1)).unwrap_or(here);
            for dest in (from..to).filter_map(|id| table.get(id)) {
                let key = dest.key;
                let before = low.is_some_and(|low| key < *low);
                if before || high.is_some_and(|high| key >= *high) || !wanted(dest) {
                    continue;
                }
                let run = here.partition_point(|cut| *cut <= key);
                // The last run is first in the list.
                let slot = runs.checked_sub(run + 1);
                if let Some(keys) = slot.and_then(|slot| self.collected.get_mut(slot)) {
                    keys.push(key);
                }
            }
            self.at = to;
            if to >= end {
                self.passing = false;
                self.next_run = first_run + runs;
            }
            return false;
        }
        if let Some(mut keys) = self.collected.pop() {
            keys.sort_unstable();
            keys.dedup();
            self.current = keys.into_iter();
            return self.current.len() > 0;
        }
        let left = (cuts.len() + 1).saturating_sub(self.next_run);
        let runs = PASS_RUNS_MIN
            .max((cuts.len() + 1).div_ceil(PASSES))
            .min(left);
        self.collected.resize_with(runs, Vec::new);
        (self.at, self.passing) = (0, runs > 0);
        false
    }

    /// The next prefix in order, of those that are prepared.
    pub fn pop(&mut self) -> Option<A::Prefix> {
        self.current.next()
    }

    /// Whether there is nothing more to prepare or to hand out.
    pub fn is_done(&self) -> bool {
        let all = self
            .cuts
            .as_ref()
            .is_some_and(|cuts| self.next_run > cuts.len());
        all && self.current.len() == 0 && self.collected.is_empty()
    }
}

/// Where to cut the space of prefixes so that about [`RUN_KEYS`] lie between two cuts.
fn sample<A: AddressFamily>(
    table: &Table<A>,
    inside: impl Fn(A::Prefix) -> bool,
) -> Vec<A::Prefix> {
    let ids = table.ids();
    let stride = (ids.end / SAMPLES).max(1);
    let taken = ids.step_by(usize::try_from(stride).unwrap_or(1));
    let keys = taken.filter_map(|id| table.key(id));
    let mut keys: Vec<A::Prefix> = keys.filter(|key| inside(*key)).collect();
    keys.sort_unstable();
    let expected = keys
        .len()
        .saturating_mul(usize::try_from(stride).unwrap_or(1));
    let runs = expected.div_ceil(RUN_KEYS).max(1);
    let per_run = keys.len().div_ceil(runs).max(1);
    let mut cuts: Vec<A::Prefix> = keys.into_iter().step_by(per_run).skip(1).collect();
    cuts.dedup();
    cuts
}

#[cfg(test)]
mod tests {
    use proto_codec::afi::V4;
    use proto_codec::prefix::Prefix4;

    use super::*;
    use crate::hash::Seed;

    fn listed(table: &mut Table<V4>, mut meanwhile: impl FnMut(&mut Table<V4>)) -> Vec<Prefix4> {
        let (mut runs, mut found) = (Runs::<V4>::default(), Vec::new());
        while !runs.is_done() {
            if runs.prepare(table, |_| true, |_| true) {
                found.extend(std::iter::from_fn(|| runs.pop()).take(700));
            }
            assert!(runs.collected.iter().map(Vec::len).sum::<usize>() < table.len().max(1 << 18));
            meanwhile(table);
        }
        found
    }

    fn key(n: u32) -> Prefix4 {
        let [_, a, b, c] = n.to_be_bytes();
        format!("{a}.{b}.{c}.0/24").parse().unwrap()
    }

    #[test]
    fn every_prefix_is_listed_once_and_in_order() {
        for count in [0, 1, 5000, 300_000_u32] {
            let mut table: Table<V4> = Table::new(Seed::new(1));
            for n in 0..count {
                // In no order: an odd factor makes a permutation.
                table.find_or_insert(key(n.wrapping_mul(0x9e37) % (1 << 24)));
            }
            let found = listed(&mut table, |_| ());
            assert_eq!(found.len(), table.len());
            assert!(found.is_sorted_by(|a, b| a < b), "{count}");
        }
    }

    #[test]
    fn what_comes_and_goes_meanwhile_is_listed_once_at_most() {
        let mut table: Table<V4> = Table::new(Seed::new(1));
        for n in 0..100_000 {
            table.find_or_insert(key(n * 100));
        }
        let mut turn = 0;
        let found = listed(&mut table, |table| {
            turn += 1;
            // One goes and comes back under another index, some are new.
            if let Some(id) = table.find(key(turn * 100)) {
                table.drop_unused(id);
            }
            table.find_or_insert(key(turn * 100 + 1));
            table.find_or_insert(key(turn * 100));
        });
        assert!(found.len() >= 99_000);
        assert!(found.is_sorted_by(|a, b| a < b));
    }
}
