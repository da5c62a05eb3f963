//! What is known of one kind: the names and digests of its objects, and which feed has them.
//!
//! A list is compared with what is known and never clears it: an object that the list shows again
//! with the same digest is no news, and one that it lacks is gone only once the list is complete.
//! Objects of the last run are known too, but no feed has them until it shows them.
//!
//! A kind may have two feeds (two API groups that serve the same objects). The feed of the higher
//! rank says what an object is; the other's word counts while only it has the object.

use std::collections::BTreeMap;

use cluster::object::ObjectName;

/// Feeds of one kind, at most.
const RANKS_MAX: u8 = 8;

/// What is known of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    digest: u64,
    /// A bit for each feed that has it.
    has: u8,
    /// A bit for each feed whose running list showed it.
    seen: u8,
    /// The feed whose word it is.
    rank: u8,
}

/// What becomes of an object that a feed has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was not this feed's word, or not known.
    Nothing,
    /// It is gone.
    Gone,
    /// The feed of this rank still has it and is to be listed again, for its word counts now.
    Falls(u8),
}

/// What is known of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    known: BTreeMap<ObjectName, Known>,
    /// How many of them no feed has.
    stale: usize,
}

impl Shelf {
    /// An object of the last run.
    pub fn restore(&mut self, name: ObjectName, digest: u64) {
        let known = Known {
            digest,
            has: 0,
            seen: 0,
            rank: 0,
        };
        if self.known.insert(name, known).is_none() {
            self.stale += 1;
        }
    }

    /// A feed shows an object. Whether that is news.
    pub fn put(&mut self, rank: u8, name: &ObjectName, digest: u64) -> bool {
        let bit = bit(rank);
        let Some(known) = self.known.get_mut(name) else {
            let known = Known {
                digest,
                has: bit,
                seen: bit,
                rank,
            };
            self.known.insert(name.clone(), known);
            return true;
        };
        let is_outranked = known.has != 0 && known.rank > rank;
        self.stale -= usize::from(known.has == 0);
        known.has |= bit;
        known.seen |= bit;
        if is_outranked {
            return false;
        }
        known.rank = rank;
        std::mem::replace(&mut known.digest, digest) != digest
    }

    /// Whether this is what the object is, and this feed's word.
    pub fn is_word_of(&self, rank: u8, name: &ObjectName, digest: u64) -> bool {
        let known = self.known.get(name);
        known.is_some_and(|known| known.rank == rank && known.digest == digest)
    }

    /// A feed has an object no more.
    pub fn remove(&mut self, rank: u8, name: &ObjectName) -> Loss {
        let Some(known) = self.known.get_mut(name) else {
            return Loss::Nothing;
        };
        self.stale -= usize::from(known.has == 0);
        known.has &= !bit(rank);
        if known.has == 0 {
            self.known.remove(name);
            return Loss::Gone;
        }
        if known.rank != rank {
            return Loss::Nothing;
        }
        known.rank = (0..RANKS_MAX)
            .rfind(|r| known.has & bit(*r) != 0)
            .unwrap_or(0);
        // Whatever the other feed shows is news.
        known.digest = !known.digest;
        Loss::Falls(known.rank)
    }

    /// An object that no feed has is given up.
    pub fn forget(&mut self, name: &ObjectName) {
        if let Some(known) = self.known.remove(name) {
            self.stale -= usize::from(known.has == 0);
        }
    }

    /// A list begins; of one name if `only`.
    pub fn begin(&mut self, rank: u8, only: Option<&ObjectName>) {
        for (name, known) in &mut self.known {
            if only.is_none_or(|only| only == name) {
                known.seen &= !bit(rank);
            }
        }
    }

    /// What the feed had and its list, now complete, did not show; of one name if `only`.
    pub fn missing(&self, rank: u8, only: Option<&ObjectName>) -> Vec<ObjectName> {
        let bit = bit(rank);
        self.names(only, |known| known.has & bit != 0 && known.seen & bit == 0)
    }

    /// What no feed has: objects of the last run that were not seen since.
    pub fn stale(&self, only: Option<&ObjectName>) -> Vec<ObjectName> {
        self.names(only, |known| known.has == 0)
    }

    /// How many are known, and how many of them are stale.
    pub fn count(&self, only: Option<&ObjectName>) -> (usize, usize) {
        match only {
            Some(name) => (
                usize::from(self.known.contains_key(name)),
                self.stale(only).len(),
            ),
            None => (self.known.len(), self.stale),
        }
    }

    fn names(&self, only: Option<&ObjectName>, is_it: impl Fn(&Known) -> bool) -> Vec<ObjectName> {
        self.known
            .iter()
            .filter(|(name, known)| only.is_none_or(|only| only == *name) && is_it(known))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

fn bit(rank: u8) -> u8 {
    1 << (rank % RANKS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ObjectName {
        ObjectName::new("", name)
    }

    #[test]
    fn a_list_that_shows_the_same_is_no_news_and_what_it_lacks_is_missing() {
        let mut shelf = Shelf::default();
        shelf.begin(0, None);
        assert!(shelf.put(0, &name("a"), 1));
        assert!(shelf.put(0, &name("b"), 1));
        assert!(shelf.missing(0, None).is_empty());
        shelf.begin(0, None);
        assert!(!shelf.put(0, &name("a"), 1));
        assert!(shelf.put(0, &name("c"), 1));
        assert_eq!(shelf.missing(0, None), [name("b")]);
        assert_eq!(shelf.remove(0, &name("b")), Loss::Gone);
        assert_eq!(shelf.count(None), (2, 0));
    }

    #[test]
    fn objects_of_the_last_run_are_stale_until_they_are_shown() {
        let mut shelf = Shelf::default();
        shelf.restore(name("a"), 1);
        shelf.restore(name("b"), 1);
        assert_eq!(shelf.count(None), (2, 2));
        shelf.begin(0, None);
        assert!(!shelf.put(0, &name("a"), 1), "the same as in the last run");
        assert!(shelf.missing(0, None).is_empty());
        assert_eq!(shelf.stale(None), [name("b")]);
        assert_eq!(shelf.stale(Some(&name("a"))), []);
    }

    #[test]
    fn a_list_of_one_object_says_nothing_about_others() {
        let mut shelf = Shelf::default();
        let (a, b) = (name("a"), name("b"));
        shelf.begin(0, Some(&a));
        shelf.put(0, &a, 1);
        shelf.begin(0, Some(&b));
        shelf.put(0, &b, 1);
        shelf.begin(0, Some(&a));
        assert_eq!(shelf.missing(0, None), [a]);
    }

    #[test]
    fn of_two_feeds_the_higher_rank_says_what_an_object_is() {
        let mut shelf = Shelf::default();
        let a = name("a");
        assert!(shelf.put(0, &a, 1));
        assert!(shelf.put(1, &a, 2), "the higher rank differs");
        assert!(!shelf.put(0, &a, 3), "the lower is not asked");
        assert!(!shelf.put(1, &a, 2));
        assert_eq!(shelf.remove(1, &a), Loss::Falls(0));
        assert!(shelf.put(0, &a, 3), "its word counts now");
        assert_eq!(shelf.remove(1, &a), Loss::Nothing);
        assert_eq!(shelf.remove(0, &a), Loss::Gone);
        assert_eq!(shelf.remove(0, &a), Loss::Nothing);
    }
}
