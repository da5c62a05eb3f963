//! Out of the table: offer to the groups, pack and encode, hand to the members.
//!
//! `offer` is `settle` after a table came in; `encode` is what the first member of a group that
//! reads pays; `read_shared` what each further member pays, whom nothing is encoded for.

use divan::Bencher;
use rib::{PeerSession, Rib};

use crate::feed::{self, Shape};
use crate::stage::{PREFIXES, announced, drain, feed_all, per_prefix, router};

/// A router that has taken a table in and has `receivers` who are up to date with nothing.
fn taken_in(receivers: u32, per_set: u32) -> impl FnMut() -> Rib {
    let updates = announced(&Shape {
        per_set,
        ..Shape::new(PREFIXES, 0)
    });
    move || {
        let mut rib = router(1 + receivers);
        for peer in 0..=receivers {
            drain(&mut rib, feed::slot(peer));
        }
        feed_all(&mut rib, feed::slot(0), &updates);
        rib
    }
}

fn settled(receivers: u32, per_set: u32) -> impl FnMut() -> Rib {
    let mut make = taken_in(receivers, per_set);
    move || {
        let mut rib = make();
        rib.settle();
        rib
    }
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn offer(bencher: Bencher<'_, '_>) {
    per_prefix(bencher, PREFIXES, taken_in(1, 0), Rib::settle);
}

/// Ten groups instead of one; per prefix and group it is a tenth of this.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn offer_to_10_groups(bencher: Bencher<'_, '_>) {
    let updates = announced(&Shape::new(PREFIXES, 0));
    let make = || {
        let mut rib = router(1);
        for peer in 1..10 {
            // Another AS of ours towards the peer is another group.
            let session = PeerSession {
                local_asn: 64_000 + peer,
                ..feed::external(peer, &rib)
            };
            rib.peer_up(session);
            drain(&mut rib, feed::slot(peer));
        }
        feed_all(&mut rib, feed::slot(0), &updates);
        rib
    };
    per_prefix(bencher, PREFIXES, make, Rib::settle);
}

fn encode(bencher: Bencher<'_, '_>, per_set: u32) {
    let work = |rib: &mut Rib| {
        divan::black_box(drain(rib, feed::slot(1)));
    };
    per_prefix(bencher, PREFIXES, settled(1, per_set), work);
}

/// Five to eight prefixes to a message.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn encode_of_6(bencher: Bencher<'_, '_>) {
    encode(bencher, 0);
}

/// Full messages.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn encode_full(bencher: Bencher<'_, '_>) {
    encode(bencher, PREFIXES);
}

/// What a hundred members pay together for what was encoded for one of them; per prefix and
/// member it is a hundredth of this. They take turns of one segment, as sockets do.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn read_shared_by_100(bencher: Bencher<'_, '_>) {
    let mut make = settled(101, 0);
    let encoded = move || {
        let mut rib = make();
        drain(&mut rib, feed::slot(1));
        rib
    };
    let work = |rib: &mut Rib| {
        for peer in 2..102 {
            divan::black_box(drain(rib, feed::slot(peer)));
        }
    };
    per_prefix(bencher, PREFIXES, encoded, work);
}
