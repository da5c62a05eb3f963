//! Decoded UPDATEs of many peers for one shard.
//!
//! What a shard gets is what it would have read from the peers if they had sent it its prefixes
//! only: runs of NLRI as they stand on the wire, with the attribute set they share. Copying the
//! octets of a prefix is cheaper than making a key of it, and the shard takes them with the very
//! function that takes an UPDATE when there are no shards.

use std::sync::Arc;

use proto_codec::afi::Family;
use proto_codec::bgp::{Announce, AttrSet, Nlri, Update};
use smallvec::smallvec;

use super::block::shard_of_piece;
use crate::peer::PeerSlot;

/// UPDATEs in the order they came.
#[derive(Debug, Default)]
pub struct Batch {
    runs: Vec<Run>,
    octets: Vec<u8>,
}

/// Prefixes of one peer and family to which the same happens.
#[derive(Debug)]
struct Run {
    slot: PeerSlot,
    family: Family,
    add_path: bool,
    what: What,
    /// Octets of NLRI.
    len: usize,
}

#[derive(Debug)]
enum What {
    Withdraw,
    Announce(Arc<AttrSet>),
    EndOfRib,
}

impl What {
    fn is_same(&self, other: &What) -> bool {
        match (self, other) {
            (What::Withdraw, What::Withdraw) => true,
            (What::Announce(one), What::Announce(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Batch {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Octets of NLRI in it.
    #[must_use]
    pub fn octets_len(&self) -> usize {
        self.octets.len()
    }

    /// Peers it has something of; one may be named more than once.
    pub fn slots(&self) -> impl Iterator<Item = PeerSlot> + '_ {
        let mut last = None;
        self.runs
            .iter()
            .map(|run| run.slot)
            .filter(move |slot| last.replace(*slot) != Some(*slot))
    }

    /// Hands out every run of the batch as an UPDATE of its own.
    pub fn for_each(&self, mut take: impl FnMut(PeerSlot, &Update<'_>)) {
        let mut octets = self.octets.as_slice();
        for run in &self.runs {
            let Some((own, rest)) = octets.split_at_checked(run.len) else {
                return;
            };
            octets = rest;
            if let Some(update) = run.update(own) {
                take(run.slot, &update);
            }
        }
    }

    fn push(&mut self, run: Run, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        if let Some(last) = self.runs.last_mut()
            && (last.slot, last.family, last.add_path) == (run.slot, run.family, run.add_path)
            && last.what.is_same(&run.what)
        {
            last.len += octets.len();
            return;
        }
        self.runs.push(Run {
            len: octets.len(),
            ..run
        });
    }
}

impl Run {
    /// The UPDATE it stands for; `None` never, since the octets were valid when they were read.
    fn update<'a>(&self, octets: &'a [u8]) -> Option<Update<'a>> {
        let nlri = || Nlri::new(self.family, self.add_path, octets).ok();
        let mut update = Update::default();
        match &self.what {
            What::Withdraw => update.withdraw = smallvec![nlri()?],
            What::Announce(attrs) => {
                update.announce = smallvec![Announce {
                    nlri: nlri()?,
                    attrs: Arc::clone(attrs),
                }];
            }
            What::EndOfRib => update.end_of_rib = Some(self.family),
        }
        Some(update)
    }
}

/// Puts the parts of an UPDATE into the batches of its shards.
pub(super) fn split<'a>(
    slot: PeerSlot,
    update: &Update<'_>,
    batches: impl Iterator<Item = &'a mut Batch>,
) {
    let mut batches: smallvec::SmallVec<[&mut Batch; 16]> = batches.collect();
    for nlri in &update.withdraw {
        deal(slot, nlri, || What::Withdraw, &mut batches);
    }
    for announce in &update.announce {
        let what = || What::Announce(Arc::clone(&announce.attrs));
        deal(slot, &announce.nlri, what, &mut batches);
    }
    if let Some(family) = update.end_of_rib {
        for batch in &mut batches {
            let run = Run {
                slot,
                family,
                add_path: false,
                what: What::EndOfRib,
                len: 0,
            };
            batch.push(run, &[]);
        }
    }
}

/// Deals the prefixes of one section out: one run per shard that has any of them.
fn deal(slot: PeerSlot, nlri: &Nlri<'_>, what: impl Fn() -> What, batches: &mut [&mut Batch]) {
    let v4 = nlri.family() == Family::Ipv4Unicast;
    let shards = batches.len();
    let mut open: u64 = 0;
    for piece in nlri.pieces() {
        let shard = shard_of_piece(&piece, v4, shards);
        let Some(batch) = batches.get_mut(shard) else {
            continue;
        };
        let bit = 1 << shard;
        if open & bit == 0 {
            open |= bit;
            let run = Run {
                slot,
                family: nlri.family(),
                add_path: nlri.add_path(),
                what: what(),
                len: 0,
            };
            batch.push(run, piece.wire);
        } else {
            batch.extend(piece.wire);
        }
    }
}

impl Batch {
    /// Adds to the last run.
    fn extend(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        if let Some(last) = self.runs.last_mut() {
            last.len += octets.len();
        }
    }
}
