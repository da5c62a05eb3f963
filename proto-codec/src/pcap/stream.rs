//! One direction of a TCP connection, its octets in order.
//!
//! Segments may come twice, overlapping, or out of order. What is ahead of a gap waits until the
//! gap closes; when more than [`PENDING_MAX`] waits, or at the end of the capture, the gap is
//! given up and reported, because a capture that missed a packet never gets it again.

use std::collections::BTreeMap;

/// Octets that may wait behind a gap: 1 MiB, a usual receive window.
pub const PENDING_MAX: usize = 1 << 20;

/// A run of octets in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Octets missing before these; 0 when they follow what came last.
    pub gap: u64,
    /// The octets.
    pub data: Vec<u8>,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Stream {
    /// Sequence number at position 0, once known.
    base: Option<u32>,
    /// Position of the next octet.
    next: u64,
    pending: BTreeMap<u64, Vec<u8>>,
    pending_len: usize,
}

impl Stream {
    /// Takes a segment and gives back what is now in order.
    pub fn push(&mut self, sequence: u32, syn: bool, payload: &[u8]) -> Vec<Chunk> {
        let first = if syn {
            sequence.wrapping_add(1)
        } else {
            sequence
        };
        if syn || self.base.is_none() {
            if syn && self.base != Some(first) {
                // A new connection of the same addresses and ports.
                *self = Self::default();
            }
            self.base.get_or_insert(first);
        }
        if payload.is_empty() {
            return Vec::new();
        }
        let Some(mut position) = self.position(first) else {
            return Vec::new();
        };
        let mut payload = payload;
        if position < self.next {
            let seen = usize::try_from(self.next - position).unwrap_or(usize::MAX);
            payload = payload.get(seen..).unwrap_or_default();
            position = self.next;
        }
        if !payload.is_empty() {
            let old = self.pending.get(&position).map_or(0, Vec::len);
            if payload.len() > old {
                self.pending_len = (self.pending_len + payload.len()).saturating_sub(old);
                self.pending.insert(position, payload.to_vec());
            }
        }
        let mut ready = self.drain();
        while self.pending_len > PENDING_MAX {
            ready.extend(self.give_up());
        }
        ready
    }

    /// Gives back what waits behind gaps: the capture is over.
    pub fn finish(&mut self) -> Vec<Chunk> {
        let mut ready = Vec::new();
        while !self.pending.is_empty() {
            ready.extend(self.give_up());
        }
        ready
    }

    /// Where a sequence number lies, within half the number space of the next expected one;
    /// `None` when it lies before the start of what was captured.
    fn position(&self, sequence: u32) -> Option<u64> {
        let base = self.base?;
        let expected = base.wrapping_add(u32::try_from(self.next & 0xffff_ffff).ok()?);
        let ahead = sequence.wrapping_sub(expected).cast_signed();
        self.next.checked_add_signed(i64::from(ahead))
    }

    fn drain(&mut self) -> Vec<Chunk> {
        let mut ready = Vec::new();
        while let Some(entry) = self.pending.first_entry() {
            if *entry.key() > self.next {
                break;
            }
            let (position, data) = entry.remove_entry();
            self.pending_len = self.pending_len.saturating_sub(data.len());
            let seen = usize::try_from(self.next - position).unwrap_or(usize::MAX);
            let fresh = data.get(seen..).unwrap_or_default();
            if !fresh.is_empty() {
                self.next += u64::try_from(fresh.len()).unwrap_or(0);
                ready.push(Chunk {
                    gap: 0,
                    data: fresh.to_vec(),
                });
            }
        }
        ready
    }

    fn give_up(&mut self) -> Vec<Chunk> {
        let Some((&position, _)) = self.pending.first_key_value() else {
            return Vec::new();
        };
        let gap = position.saturating_sub(self.next);
        self.next = position;
        let mut ready = self.drain();
        if let Some(first) = ready.first_mut() {
            first.gap = gap;
        }
        ready
    }
}
