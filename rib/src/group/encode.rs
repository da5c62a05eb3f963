//! From pending entries to a segment.
//!
//! Pending entries are taken in batches and sorted by attribute set and source, so that all
//! prefixes of a set leave in the same messages whatever order they came in; a batch is large
//! enough that hardly a set is split. Attributes are rewritten once per set and batch. A set
//! that fits no message of this group's size (RFC 4271 §4: 4,096 octets, or RFC 8654) is not sent;
//! what the peers had of those prefixes is withdrawn, as RFC 8654 §4 asks, and counted.

use std::iter::Peekable;

use bytes::BytesMut;
use proto_codec::afi::AddressFamily;
use proto_codec::bgp::{AttrSet, Block, Outgoing, encode_announce, encode_block, encode_withdraw};

use super::adjout::Recount;
use super::log::{Range, SEGMENT_OCTETS, Segment, Visible};
use super::{Env, Group, OutId};
use crate::attr::OutAttr;
use crate::peer::PeerSlot;

/// Entries sorted at a time. Feeds arrive packed by attribute set, so a batch of this size splits
/// few sets; sorting it takes about a millisecond.
const BATCH_ENTRIES: usize = 32 << 10;
/// Entries for which an idle group keeps room.
const KEPT_ENTRIES: usize = 256;
/// Octets to expect of one entry, with its share of the attributes.
const ENTRY_OCTETS: usize = 24;
/// Octets of a small message.
const MESSAGE_OCTETS: usize = 512;
/// Entries of one attribute set encoded before the size of the segment is looked at again.
const RUN_ENTRIES: usize = 8 << 10;

/// An entry with what it is sorted by. Of a withdrawal, the source is the one told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub attr: OutAttr,
    pub source: PeerSlot,
    pub id: OutId,
}

/// Pending entries that were taken to be encoded.
#[derive(Debug, Default)]
pub(super) struct Batch {
    items: Vec<Item>,
    at: usize,
    /// The entries being written, kept for its allocation.
    run: Vec<Item>,
    /// Buffer that segments are cut from; small ones share an allocation.
    buffer: BytesMut,
}

impl Batch {
    /// Entries that were not dealt with.
    fn left(&self) -> usize {
        self.items.len().saturating_sub(self.at)
    }

    /// Whether every entry was dealt with.
    pub fn is_done(&self) -> bool {
        self.at >= self.items.len()
    }
}

/// Messages and who may see them, while they are being written.
pub(super) struct Writer {
    pub buffer: BytesMut,
    /// Where attributes are rewritten.
    room: Vec<u8>,
    ranges: Vec<Range>,
}

impl Writer {
    /// Closes a range at the end of what is written.
    fn visible(&mut self, visible: Visible) {
        let end = self.buffer.len();
        match self.ranges.last_mut() {
            Some(last) if last.visible == visible => last.end = end,
            Some(last) if last.end == end => {}
            None if end == 0 => {}
            _ => self.ranges.push(Range { end, visible }),
        }
    }
}

impl Group {
    /// Encodes pending entries until a segment is full or nothing is pending.
    pub(super) fn encode_segment<A: AddressFamily>(&mut self, env: &Env<'_, A>) {
        while self.log_is_full() {
            self.drop_oldest_segment();
        }
        let mut writer = Writer {
            buffer: std::mem::take(&mut self.batch.buffer),
            room: Vec::new(),
            ranges: Vec::new(),
        };
        let waiting = self.adj.pending.len() + self.batch.left();
        let guess = waiting.saturating_mul(ENTRY_OCTETS) + MESSAGE_OCTETS;
        writer.buffer.reserve(guess.min(SEGMENT_OCTETS));
        let seq = self.log_newest() + 1;
        while writer.buffer.len() < SEGMENT_OCTETS && (!self.batch.is_done() || self.refill()) {
            let mut run = std::mem::take(&mut self.batch.run);
            self.next_run(&mut run);
            match run.first().map(|item| item.attr) {
                None => {}
                Some(OutAttr::NONE) => self.withdraw_run(&run, seq, env, &mut writer),
                Some(_) => self.announce_run(&run, seq, env, &mut writer),
            }
            self.batch.run = run;
        }
        self.tombstones.sweep(&self.adj);
        let bytes = writer.buffer.split().freeze();
        self.batch.buffer = writer.buffer;
        if self.batch.is_done() && self.adj.pending.is_empty() {
            self.batch.items.clear();
            self.batch.items.shrink_to(KEPT_ENTRIES);
            self.batch.run.clear();
            self.batch.run.shrink_to(KEPT_ENTRIES);
            // Segments hold on to it as long as they need it; an idle group holds nothing.
            self.batch.buffer = BytesMut::new();
        }
        if !bytes.is_empty() {
            self.stats.segments += 1;
            self.push_segment(Segment {
                bytes,
                ranges: writer.ranges,
                readers: 0,
            });
        }
    }

    /// Takes the next batch of pending entries; `false` when there are none.
    fn refill(&mut self) -> bool {
        let take = self.adj.pending.len().min(BATCH_ENTRIES);
        let adj = &self.adj;
        self.batch.at = 0;
        self.batch.items.clear();
        self.batch.items.reserve(take);
        let items = adj.pending.iter().take(take).filter_map(|id| {
            let entry = adj.get(*id)?;
            let source = match entry.attr {
                OutAttr::NONE => entry.told().unwrap_or(PeerSlot::NONE),
                _ => entry.source(),
            };
            Some(Item {
                attr: entry.attr,
                source,
                id: *id,
            })
        });
        self.batch.items.extend(items);
        self.adj.pending.drain(..take);
        if self.adj.pending.is_empty() {
            self.adj.pending = Vec::new();
        }
        self.batch.items.sort_unstable();
        take > 0
    }

    /// The next entries of one attribute set and source. Entries that changed since the batch was
    /// made go back to wait for the next one.
    fn next_run(&mut self, run: &mut Vec<Item>) {
        run.clear();
        while let Some(item) = self.batch.items.get(self.batch.at) {
            let same = |first: &Item| first.attr == item.attr && first.source == item.source;
            if run.len() >= RUN_ENTRIES || !run.first().is_none_or(same) {
                break;
            }
            self.batch.at += 1;
            let Some(entry) = self.adj.get(item.id) else {
                continue;
            };
            let unchanged = entry.attr == item.attr
                && (item.attr == OutAttr::NONE || entry.source() == item.source);
            if unchanged {
                run.push(*item);
            } else {
                self.adj.pending.push(item.id);
            }
        }
    }

    fn seen_by_all_but(&self, source: PeerSlot) -> Visible {
        match self.has_member(source) {
            true => Visible::Except(source),
            false => Visible::All,
        }
    }

    fn announce_run<A: AddressFamily>(
        &mut self,
        run: &[Item],
        seq: u32,
        env: &Env<'_, A>,
        writer: &mut Writer,
    ) {
        let Some(first) = run.first() else {
            return;
        };
        let visible = self.seen_by_all_but(first.source);
        let sent = self.announce(run, env, &mut writer.buffer, &mut writer.room);
        writer.visible(visible);
        let (fits, too_large) = run.split_at_checked(sent).unwrap_or((run, &[]));
        // Whoever sent the new path still has the old one from us.
        let replaced_own = |item: &&Item| {
            let told = self.adj.get(item.id).and_then(|entry| entry.told());
            told.is_some_and(|told| told != item.source)
        };
        if visible != Visible::All {
            let own: Vec<Item> = fits.iter().filter(replaced_own).copied().collect();
            self.withdraw(&own, env, &mut writer.buffer);
            writer.visible(Visible::Only(first.source));
        }
        let mut recount = Recount::default();
        for item in fits {
            self.adj.tell(item.id, seq, true, &mut recount);
        }
        self.adj.recount(&mut recount);
        self.drop_unsendable(too_large, seq, env, writer);
    }

    /// Withdraws what peers had of routes whose new attributes cannot be told.
    fn drop_unsendable<A: AddressFamily>(
        &mut self,
        items: &[Item],
        seq: u32,
        env: &Env<'_, A>,
        writer: &mut Writer,
    ) {
        if items.is_empty() {
            return;
        }
        self.stats.unsendable += u64::try_from(items.len()).unwrap_or(0);
        let told = |item: &&Item| {
            self.adj
                .get(item.id)
                .is_some_and(|entry| entry.told().is_some())
        };
        let had: Vec<Item> = items.iter().filter(told).copied().collect();
        self.withdraw(&had, env, &mut writer.buffer);
        writer.visible(Visible::All);
        let mut recount = Recount::default();
        for item in items {
            if self.adj.tell(item.id, seq, false, &mut recount) {
                self.tombstones.push(seq, item.id);
            }
        }
        self.adj.recount(&mut recount);
    }

    fn withdraw_run<A: AddressFamily>(
        &mut self,
        run: &[Item],
        seq: u32,
        env: &Env<'_, A>,
        writer: &mut Writer,
    ) {
        let Some(told) = run.first().map(|first| first.source) else {
            return;
        };
        if told != PeerSlot::NONE {
            let visible = self.seen_by_all_but(told);
            self.withdraw(run, env, &mut writer.buffer);
            writer.visible(visible);
        }
        let mut recount = Recount::default();
        for item in run {
            if self.adj.tell(item.id, seq, true, &mut recount) {
                self.tombstones.push(seq, item.id);
            } else if self.adj.get(item.id).is_some_and(|entry| entry.seq == 0) {
                // It came and went before anybody was told, and nobody is yet to forget it.
                self.freed.extend(self.adj.free(item.id));
            }
        }
        self.adj.recount(&mut recount);
    }

    /// Encodes the routes of one attribute set and source; returns how many were written, fewer
    /// than all if the attributes fit no message. `room` is kept for its allocation.
    pub(super) fn announce<A: AddressFamily>(
        &self,
        run: &[Item],
        env: &Env<'_, A>,
        out: &mut BytesMut,
        room: &mut Vec<u8>,
    ) -> usize {
        let Some(first) = run.first() else {
            return 0;
        };
        let set = first.attr.id().and_then(|id| env.attrs.get(id));
        let how = set.and_then(|set| {
            let source = (env.sources)(first.source);
            let how = self.key.rewrite.changes(first.attr, set, source)?;
            room.clear();
            set.write_as(&how, room).then_some(how)
        });
        let Some(Outgoing { next_hop, .. }) = how else {
            return 0;
        };
        // What a two-octet peer gets is made from the set as a four-octet peer would get it.
        let narrow = !self.key.encode.four_octet_as;
        let rewritten = narrow.then(|| AttrSet::from_block(room, next_hop));
        let block = Block {
            octets: room,
            next_hop,
        };
        let mut sent = 0;
        let mut nlri = self.nlri(run, env);
        while nlri.peek().is_some() {
            let written = match &rewritten {
                Some(set) => encode_announce::<A>(&self.key.encode, set, &mut nlri, out),
                None => encode_block::<A>(&self.key.encode, block, &mut nlri, out),
            };
            match written {
                Ok(count) if count > 0 => sent += count,
                _ => break,
            }
        }
        sent
    }

    /// Encodes withdrawals.
    pub(super) fn withdraw<A: AddressFamily>(
        &self,
        run: &[Item],
        env: &Env<'_, A>,
        out: &mut BytesMut,
    ) {
        let mut nlri = self.nlri(run, env);
        while nlri.peek().is_some() {
            if encode_withdraw::<A>(&self.key.encode, &mut nlri, out) == 0 {
                break;
            }
        }
    }

    fn nlri<'a, A: AddressFamily>(
        &'a self,
        run: &'a [Item],
        env: &'a Env<'_, A>,
    ) -> Peekable<impl Iterator<Item = (u32, A::Prefix)> + 'a> {
        run.iter()
            .filter_map(|item| {
                let prefix = env.table.key(self.adj.dest(item.id))?;
                Some((self.adj.tx_path_id(item.id), prefix))
            })
            .peekable()
    }
}
