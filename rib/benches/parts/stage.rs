//! What the benches share: updates decoded beforehand and a router to feed them to.
//!
//! An `Update` borrows the octets of its message, so the messages of a bench live as long as the
//! process: they are made once per bench, not per sample.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use proto_codec::bgp::{AttrCache, DecodeContext, HEADER_LEN, Update, decode_update};
use rib::{PeerSlot, Rib};

use crate::feed::{self, Shape};

/// Prefixes of one sample: enough to leave the caches of a processor, as a table does.
pub const PREFIXES: u32 = 100_000;

/// Updates, ready to be taken in.
pub type Updates = Vec<Update<'static>>;

/// Decodes messages for good.
pub fn decoded(messages: Vec<Bytes>, context: &DecodeContext) -> Updates {
    let mut cache = AttrCache::new();
    messages
        .into_iter()
        .map(|message| {
            let octets: &'static [u8] = Box::leak(Box::<[u8]>::from(&message[HEADER_LEN..]));
            decode_update(octets, context, &mut cache).expect("well-formed")
        })
        .collect()
}

/// What a peer of this shape announces.
pub fn announced(shape: &Shape) -> Updates {
    decoded(feed::announcements(shape), &feed::decode_context(shape))
}

/// A router with external peers, who are sent nothing as long as nobody reads.
pub fn router(peers: u32) -> Rib {
    let mut rib = Rib::new(feed::router());
    for peer in 0..peers {
        let session = feed::external(peer, &rib);
        rib.peer_up(session);
    }
    rib
}

/// Takes updates in.
pub fn feed_all(rib: &mut Rib, slot: PeerSlot, updates: &[Update<'static>]) {
    for update in updates {
        rib.update(slot, update);
    }
}

/// Reads everything a peer is to be told; returns the octets.
pub fn drain(rib: &mut Rib, slot: PeerSlot) -> usize {
    let mut octets = 0;
    while let Some(bytes) = rib.poll_transmit(slot) {
        octets += bytes.len();
    }
    octets
}

/// Measures `work` on a router made anew for each sample; giving it back is not measured.
pub fn per_prefix(
    bencher: Bencher<'_, '_>,
    prefixes: u32,
    make: impl FnMut() -> Rib,
    work: impl FnMut(&mut Rib),
) {
    bencher
        .counter(ItemsCount::new(prefixes))
        .with_inputs(make)
        .bench_local_refs(work);
}
