//! What one speaker has received: octets as they came, and when each part of them came.
//!
//! The buffer is made (and thereby touched, page by page) before the clock starts, so that reading
//! costs no page faults while it runs. It doubles when the guess was too low.

use std::io::{self, Read};
use std::time::Instant;

use crate::player::wire::{HEADER_LEN, kind};

/// Room for one read: what a socket's buffer may hold at most times.
const READ_LEN: usize = 1 << 18;

/// Octets received by one speaker.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: Vec<u8>,
    filled: usize,
    framed: usize,
    reads: Vec<(usize, Instant)>,
    /// Prefixes announced so far, repetitions included.
    pub announced: usize,
    /// Prefixes withdrawn so far.
    pub withdrawn: usize,
}

/// What a message tells the session that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) kind: u8,
}

impl Inbox {
    /// An inbox for about this many octets.
    pub(super) fn new(octets: usize) -> Self {
        // Every page is written once, which `vec![0; n]` alone does not do.
        let mut buffer = vec![0; octets + READ_LEN];
        buffer.iter_mut().step_by(4096).for_each(|octet| *octet = 1);
        Self {
            buffer,
            ..Self::default()
        }
    }

    /// Forgets everything: another session begins.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
        self.framed = 0;
        self.reads.clear();
        self.announced = 0;
        self.withdrawn = 0;
    }

    /// Reads once from `source`; the number of octets, 0 at its end.
    pub(super) fn fill(&mut self, source: &mut impl Read, now: Instant) -> io::Result<usize> {
        if self.buffer.len() < self.filled + READ_LEN {
            self.buffer.resize(self.buffer.len() * 2 + READ_LEN, 0);
        }
        let read = source.read(&mut self.buffer[self.filled..])?;
        self.filled += read;
        self.reads.push((self.filled, now));
        Ok(read)
    }

    /// The next whole message that has not been looked at.
    pub(super) fn next(&mut self) -> Option<Arrived> {
        let rest = &self.buffer[self.framed..self.filled];
        let header = rest.get(..HEADER_LEN)?;
        let len = usize::from(u16::from_be_bytes([header[16], header[17]])).max(HEADER_LEN);
        let kind = header[18];
        let body = rest.get(HEADER_LEN..len)?;
        if kind == kind::UPDATE {
            let (withdrawn, announced) = prefixes(body);
            self.announced += announced;
            self.withdrawn += withdrawn;
        }
        self.framed += len;
        Some(Arrived { kind })
    }

    /// The octets of all whole messages so far.
    pub fn octets(&self) -> &[u8] {
        &self.buffer[..self.framed]
    }

    /// When the octet before `offset` was read.
    pub fn time_of(&self, offset: usize) -> Option<Instant> {
        let at = self.reads.partition_point(|(end, _)| *end < offset);
        self.reads.get(at).map(|(_, when)| *when)
    }

    /// Octets received, whole messages or not.
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// How many prefixes have been announced or withdrawn by then.
    pub fn changes(&self) -> usize {
        self.announced + self.withdrawn
    }
}

/// Prefixes in the first and the last field of an UPDATE (RFC 4271 §4.3).
fn prefixes(body: &[u8]) -> (usize, usize) {
    let section = |at: usize| match body.get(at..at + 2) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    };
    let withdrawn = section(0);
    let announced = 4 + withdrawn + section(2 + withdrawn);
    let field = |from: usize, to: usize| body.get(from..to).map_or(0, count);
    (field(2, 2 + withdrawn), field(announced, body.len()))
}

fn count(field: &[u8]) -> usize {
    let mut at = 0;
    let mut count = 0;
    while let Some(len) = field.get(at) {
        at += 1 + usize::from(len.div_ceil(8));
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::wire;

    #[test]
    fn prefixes_are_counted_and_reads_have_times() {
        let nlri = [24, 192, 0, 2, 25, 198, 51, 100, 0, 0];
        let octets = wire::update(&[16, 10, 1], &wire::attribute(0x40, 1, &[0]), &nlri);
        let mut inbox = Inbox::new(100);
        let start = Instant::now();
        let (first, rest) = octets.split_at(30);
        inbox.fill(&mut &first[..], start).expect("a slice is read");
        assert_eq!(inbox.next(), None);
        let later = start + std::time::Duration::from_secs(1);
        inbox.fill(&mut &rest[..], later).expect("a slice is read");
        assert_eq!(inbox.next(), Some(Arrived { kind: kind::UPDATE }));
        assert_eq!((inbox.withdrawn, inbox.announced), (1, 3));
        assert_eq!(inbox.octets(), octets);
        assert_eq!(inbox.time_of(30), Some(start));
        assert_eq!(inbox.time_of(31), Some(later));
    }
}
