//! The segments of an update group: messages encoded once, shared by all members.
//!
//! A segment is up to [`SEGMENT_OCTETS`] of whole UPDATE messages in one buffer. Members hold the
//! number of the segment they are at; what they are handed is a slice of the shared buffer. A
//! [`Range`] says who may see which messages: a member does not get its own routes back, and is
//! told alone to forget what a route of its own replaced.
//!
//! The log is bounded. When it is full the oldest segment goes, and members that have not read it
//! are detached: they catch up from the Adj-RIB-Out, so a peer that reads one kilobyte a second
//! costs no more memory than one that reads as fast as it can.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::peer::PeerSlot;

/// Octets at which a segment is closed; one message more may fit behind.
pub(crate) const SEGMENT_OCTETS: usize = 64 << 10;
/// Segments kept at most, unless configured otherwise.
pub(crate) const LOG_SEGMENTS: usize = 64;
/// Octets kept at most.
pub(crate) const LOG_OCTETS_MAX: usize = 4 << 20;

/// Who may see a range of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visible {
    /// Every member.
    All,
    /// All but one: the routes are its own.
    Except(PeerSlot),
    /// One alone.
    Only(PeerSlot),
}

impl Visible {
    fn to(self, member: PeerSlot) -> bool {
        match self {
            Visible::All => true,
            Visible::Except(other) => other != member,
            Visible::Only(one) => one == member,
        }
    }
}

/// The octets up to `end` (from the end of the range before) and who may see them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub end: usize,
    pub visible: Visible,
}

/// Some encoded messages.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    pub bytes: Bytes,
    pub ranges: Vec<Range>,
    /// Attached members that have not read it to its end.
    pub readers: usize,
}

impl Segment {
    /// The next run of messages `member` may see from range `at` on, and the range behind it.
    pub fn visible_from(&self, mut at: usize, member: PeerSlot) -> (Option<Bytes>, usize) {
        let end_of = |index: usize| match index.checked_sub(1) {
            None => 0,
            Some(before) => self.ranges.get(before).map_or(0, |range| range.end),
        };
        let sees = |index: usize| {
            self.ranges
                .get(index)
                .is_some_and(|range| range.visible.to(member))
        };
        while at < self.ranges.len() && !sees(at) {
            at += 1;
        }
        let start = end_of(at);
        while sees(at) {
            at += 1;
        }
        let end = end_of(at);
        let run = (start < end && end <= self.bytes.len()).then(|| self.bytes.slice(start..end));
        (run, at)
    }
}

/// The segments of a group, oldest first, numbered from 1 without gaps.
#[derive(Debug)]
pub(crate) struct Log {
    segments: VecDeque<Segment>,
    /// Number of the newest segment ever made.
    newest: u32,
    octets: usize,
    segments_max: usize,
}

impl Log {
    /// An empty log of at most `segments_max` segments.
    pub fn new(segments_max: usize) -> Self {
        Self {
            segments: VecDeque::new(),
            newest: 0,
            octets: 0,
            segments_max: segments_max.max(1),
        }
    }

    /// Segments kept at most.
    pub fn segments_max(&self) -> usize {
        self.segments_max
    }

    /// Number of the newest segment; 0 before the first.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// Number of the oldest segment that is still there; one past the newest if none is.
    pub fn oldest(&self) -> u32 {
        let len = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        (self.newest + 1).saturating_sub(len)
    }

    /// Whether it holds no segment.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Octets held.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Whether another segment would exceed the bounds.
    pub fn is_full(&self) -> bool {
        self.segments.len() >= self.segments_max || self.octets >= LOG_OCTETS_MAX
    }

    /// Appends a segment.
    pub fn push(&mut self, segment: Segment) {
        self.octets += segment.bytes.len();
        self.newest += 1;
        self.segments.push_back(segment);
    }

    /// The segment of a number.
    pub fn get(&self, seq: u32) -> Option<&Segment> {
        let at = seq.checked_sub(self.oldest())?;
        self.segments.get(usize::try_from(at).ok()?)
    }

    /// Counts a reader of every segment from `seq` on, in or out.
    pub fn count_reader(&mut self, seq: u32, joins: bool) {
        let skip = seq.saturating_sub(self.oldest());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        for segment in self.segments.iter_mut().skip(skip) {
            segment.readers = if joins {
                segment.readers + 1
            } else {
                segment.readers.saturating_sub(1)
            };
        }
    }

    /// Notes that a member read segment `seq` to its end.
    pub fn finished(&mut self, seq: u32) {
        let at = seq.checked_sub(self.oldest()).map(usize::try_from);
        if let Some(Ok(at)) = at
            && let Some(segment) = self.segments.get_mut(at)
        {
            segment.readers = segment.readers.saturating_sub(1);
        }
    }

    /// Whether every attached member has read the oldest segment.
    pub fn oldest_is_read(&self) -> bool {
        self.segments
            .front()
            .is_some_and(|segment| segment.readers == 0)
    }

    /// Drops the oldest segment.
    pub fn drop_oldest(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            self.octets = self.octets.saturating_sub(segment.bytes.len());
        }
        if self.segments.is_empty() {
            self.segments = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_sees_what_is_not_its_own() {
        let range = |end, visible| Range { end, visible };
        let (one, two) = (PeerSlot(1), PeerSlot(2));
        let segment = Segment {
            bytes: Bytes::from_static(b"aabbccddee"),
            ranges: vec![
                range(2, Visible::All),
                range(4, Visible::Except(one)),
                range(6, Visible::Only(two)),
                range(8, Visible::All),
                range(10, Visible::Except(two)),
            ],
            readers: 0,
        };
        let all = |member| {
            let (mut at, mut seen) = (0, Vec::new());
            while let (Some(run), next) = segment.visible_from(at, member) {
                seen.push(run);
                at = next;
            }
            seen
        };
        assert_eq!(all(one), ["aa", "ddee"]);
        assert_eq!(all(two), ["aabbccdd"]);
        assert_eq!(all(PeerSlot(3)), ["aabb", "ddee"]);
    }

    #[test]
    fn numbers_have_no_gaps() {
        let mut log = Log::new(LOG_SEGMENTS);
        assert_eq!((log.oldest(), log.newest()), (1, 0));
        for _ in 0..3 {
            log.push(Segment::default());
        }
        log.count_reader(2, true);
        assert!(log.oldest_is_read());
        log.drop_oldest();
        assert_eq!((log.oldest(), log.newest()), (2, 3));
        assert!(!log.oldest_is_read());
        log.finished(2);
        assert!(log.oldest_is_read());
        assert!(log.get(1).is_none() && log.get(3).is_some() && log.get(4).is_none());
    }
}
