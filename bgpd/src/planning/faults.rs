//! Which faults of objects are worth a line in the log, found beside the planner.
//!
//! Whoever may write a service may write a thousand that are wrong, and change them for ever. The
//! daemon's thread therefore hears only what it is to say: faults that were not there before, of
//! one object once in [`OBJECT_EVERY`], and of all together [`SAID`] in [`SPAN`]; the rest is
//! counted. `show kubernetes` has them all.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use cluster::Fault;

/// Faults said in a span.
const SAID: usize = 20;
/// How long a span is.
const SPAN: Duration = Duration::from_secs(10);
/// Pause between two lines about one object.
const OBJECT_EVERY: Duration = Duration::from_secs(60);

/// What is to be said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FaultNews {
    /// These, each.
    pub said: Vec<Fault>,
    /// So many more.
    pub more: usize,
}

impl FaultNews {
    /// Whether nothing is to be said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in what is newer.
    pub fn merge(&mut self, newer: Self) {
        self.said.extend(newer.said);
        self.more += newer.more;
    }
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct FaultLog {
    /// Digests of the faults there are.
    present: BTreeSet<u64>,
    objects: BTreeMap<Box<str>, Instant>,
    span: Option<Instant>,
    left: usize,
    /// Not said, and not yet counted aloud.
    unsaid: usize,
}

impl FaultLog {
    /// Looks at all faults there are now.
    pub fn look<'a>(&mut self, now: Instant, all: impl Iterator<Item = &'a Fault>) -> FaultNews {
        let mut is_first = false;
        if self.span.is_none_or(|since| now >= since + SPAN) {
            (self.span, self.left, is_first) = (Some(now), SAID, true);
            self.objects.retain(|_, at| now < *at + OBJECT_EVERY);
        }
        let mut present = BTreeSet::new();
        let mut new: Vec<&Fault> = Vec::new();
        for fault in all {
            let mut digest = DefaultHasher::new();
            fault.hash(&mut digest);
            let digest = digest.finish();
            if present.insert(digest) && !self.present.contains(&digest) {
                new.push(fault);
            }
        }
        self.present = present;
        let mut news = FaultNews::default();
        new.sort_unstable();
        for fault in new {
            let is_fresh = self.objects.get(&fault.object);
            let is_fresh = is_fresh.is_none_or(|at| *at == now || now >= *at + OBJECT_EVERY);
            if is_fresh && self.left > 0 {
                self.left -= 1;
                self.objects.insert(fault.object.clone(), now);
                news.said.push(fault.clone());
            } else {
                self.unsaid += 1;
            }
        }
        // Counted aloud once in a span.
        if is_first {
            news.more = std::mem::take(&mut self.unsaid);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::Severity;

    fn fault(object: u32, text: u32) -> Fault {
        Fault {
            object: format!("Service shop/{object}").into(),
            path: "".into(),
            severity: Severity::Error,
            text: format!("{text}").into(),
        }
    }

    #[test]
    fn a_fault_is_said_once_and_one_object_does_not_fill_the_log() {
        let (mut log, start) = (FaultLog::default(), Instant::now());
        let both = [fault(1, 1), fault(2, 1)];
        assert_eq!(log.look(start, both.iter()).said, both);
        assert!(log.look(start, both.iter()).is_empty());
        let mut said = 0;
        for n in 2..602 {
            let at = start + Duration::from_millis(100) * n;
            let news = log.look(at, [both[0].clone(), fault(2, n)].iter());
            said += news.said.len() + usize::from(news.more > 0);
        }
        assert!(
            said <= 8,
            "one line about the object, and one of counting per span: {said}"
        );
    }

    #[test]
    fn many_at_once_are_counted() {
        let (mut log, start) = (FaultLog::default(), Instant::now());
        let many: Vec<Fault> = (0..5000).map(|n| fault(n, 0)).collect();
        let news = log.look(start, many.iter());
        assert_eq!((news.said.len(), news.more), (SAID, 5000 - SAID));
        let later = start + SPAN;
        assert!(log.look(later, many.iter()).is_empty());
        assert!(log.objects.len() <= SAID);
    }
}
