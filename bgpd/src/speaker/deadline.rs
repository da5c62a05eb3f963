//! One heap of deadlines for everything in the speaker that waits.
//!
//! Thousands of peers have one next deadline each. The heap answers "when is the next one?" and
//! "what is due now?" without visiting the others. Moving a deadline, which happens on every
//! message, must be cheap: the common move is *later* (a hold timer restarted), and then nothing is
//! pushed; the old heap entry comes up, is found early and goes back in with its new time. So a
//! busy session costs one map write per message and one heap operation per hold time.
//!
//! What is taken away stays in the heap until its time comes. Connections that come and go by the
//! thousand would fill it, so it is swept when most of it is left over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Instant;

/// A heap up to this size is never swept.
const HEAP_LEN_MIN: usize = 1024;

/// Deadlines by key, the earliest first.
#[derive(Debug)]
pub struct Deadlines<K> {
    /// The truth.
    by_key: BTreeMap<K, Entry>,
    /// At least one entry per key, at or before its deadline. Later duplicates are dropped lazily.
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    due: Instant,
    /// The earliest heap entry of this key.
    queued: Instant,
}

impl<K: Ord + Copy> Default for Deadlines<K> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            heap: BinaryHeap::new(),
        }
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// Sets, moves or (with `None`) takes away the deadline of `key`.
    pub fn set(&mut self, key: K, due: Option<Instant>) {
        let Some(due) = due else {
            self.by_key.remove(&key);
            return;
        };
        match self.by_key.get_mut(&key) {
            Some(entry) if entry.queued <= due => entry.due = due,
            Some(entry) => {
                (entry.due, entry.queued) = (due, due);
                self.push(due, key);
            }
            None => {
                self.by_key.insert(key, Entry { due, queued: due });
                self.push(due, key);
            }
        }
    }

    fn push(&mut self, due: Instant, key: K) {
        self.heap.push(Reverse((due, key)));
        if self.heap.len() > HEAP_LEN_MIN.max(4 * self.by_key.len()) {
            let live = self.by_key.iter();
            self.heap = live
                .map(|(key, entry)| Reverse((entry.queued, *key)))
                .collect();
        }
    }

    /// Whether `key` has a deadline.
    pub fn is_set(&self, key: K) -> bool {
        self.by_key.contains_key(&key)
    }

    /// The earliest deadline.
    pub fn next(&mut self) -> Option<Instant> {
        self.settle().map(|(due, _)| due)
    }

    /// Takes out one key whose deadline has come. The owner sets its next one afterwards.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (due, key) = self.settle()?;
        if due > now {
            return None;
        }
        self.heap.pop();
        self.by_key.remove(&key);
        Some(key)
    }

    /// Brings the true earliest entry to the top of the heap.
    fn settle(&mut self) -> Option<(Instant, K)> {
        loop {
            let &Reverse((queued, key)) = self.heap.peek()?;
            match self.by_key.get_mut(&key) {
                Some(entry) if entry.queued == queued => {
                    if entry.due == queued {
                        return Some((queued, key));
                    }
                    entry.queued = entry.due;
                    let due = entry.due;
                    self.heap.pop();
                    self.heap.push(Reverse((due, key)));
                }
                // Taken away, or queued again at an earlier time: this one is left over.
                _ => {
                    self.heap.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(base: Instant, ms: u64) -> Instant {
        base + Duration::from_millis(ms)
    }

    #[test]
    fn keys_come_out_in_the_order_of_their_deadlines() {
        let base = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.set(1, Some(at(base, 30)));
        deadlines.set(2, Some(at(base, 10)));
        deadlines.set(3, Some(at(base, 20)));
        assert_eq!(deadlines.next(), Some(at(base, 10)));
        assert_eq!(deadlines.pop_due(at(base, 5)), None);
        assert_eq!(deadlines.pop_due(at(base, 30)), Some(2));
        assert_eq!(deadlines.pop_due(at(base, 30)), Some(3));
        assert_eq!(deadlines.pop_due(at(base, 30)), Some(1));
        assert_eq!(deadlines.pop_due(at(base, 30)), None);
    }

    #[test]
    fn a_deadline_moves_both_ways_and_goes_away() {
        let base = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.set(1, Some(at(base, 10)));
        deadlines.set(1, Some(at(base, 50)));
        assert_eq!(deadlines.pop_due(at(base, 20)), None, "moved later");
        assert_eq!(deadlines.next(), Some(at(base, 50)));
        deadlines.set(1, Some(at(base, 30)));
        assert_eq!(deadlines.next(), Some(at(base, 30)), "moved earlier");
        deadlines.set(1, None);
        assert_eq!(deadlines.next(), None);
        deadlines.set(1, Some(at(base, 50)));
        assert_eq!(
            deadlines.pop_due(at(base, 40)),
            None,
            "old entries do not fire"
        );
        assert_eq!(deadlines.pop_due(at(base, 50)), Some(1));
    }

    #[test]
    fn a_timer_restarted_often_does_not_grow_the_heap() {
        let base = Instant::now();
        let mut deadlines = Deadlines::default();
        for ms in 0..10_000 {
            deadlines.set(1, Some(at(base, 90_000 + ms)));
        }
        assert_eq!(deadlines.heap.len(), 1);
    }

    #[test]
    fn keys_that_come_and_go_do_not_grow_the_heap() {
        let base = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.set(7, Some(at(base, 50)));
        for ms in 0..100_000 {
            deadlines.set(1, Some(at(base, 15_000 + ms)));
            deadlines.set(1, None);
        }
        assert!(deadlines.heap.len() <= HEAP_LEN_MIN);
        assert_eq!(deadlines.pop_due(at(base, 60)), Some(7));
        assert_eq!(deadlines.next(), None);
    }
}
