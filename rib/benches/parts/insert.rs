//! Into the table and out of it: intern, insert, withdraw, purge.
//!
//! Nobody is told anything here (no `settle`, except in a purge, which implies one), so decisions
//! are made and exports are not. `intern_*` are UPDATEs of a single prefix that is there already,
//! so that what differs among the three is how the attribute set is found; `insert_one_set` has
//! next to no interning, so that `insert_new` less `insert_one_set` is a sixth of a new set.

use divan::Bencher;
use divan::counter::ItemsCount;
use rib::Rib;

use crate::feed::{self, Shape};
use crate::stage::{PREFIXES, announced, decoded, feed_all, per_prefix, router};

/// Updates of a single prefix.
const SINGLE: u32 = 10_000;

fn filled(peers: u32, prefixes: u32) -> impl FnMut() -> Rib {
    let feeds: Vec<_> = (0..peers)
        .map(|peer| announced(&Shape::new(prefixes, peer)))
        .collect();
    move || {
        let mut rib = router(peers + 1);
        for (peer, updates) in (0..).zip(&feeds) {
            feed_all(&mut rib, feed::slot(peer), updates);
        }
        rib
    }
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn insert_new(bencher: Bencher<'_, '_>) {
    let updates = announced(&Shape::new(PREFIXES, 0));
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &updates);
    per_prefix(bencher, PREFIXES, || router(1), work);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn insert_one_set(bencher: Bencher<'_, '_>) {
    let shape = Shape {
        per_set: PREFIXES,
        ..Shape::new(PREFIXES, 0)
    };
    let updates = announced(&shape);
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &updates);
    per_prefix(bencher, PREFIXES, || router(1), work);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn insert_unchanged(bencher: Bencher<'_, '_>) {
    let updates = announced(&Shape::new(PREFIXES, 0));
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &updates);
    per_prefix(bencher, PREFIXES, filled(1, PREFIXES), work);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn insert_replace(bencher: Bencher<'_, '_>) {
    let updates = announced(&Shape {
        version: 1,
        ..Shape::new(PREFIXES, 0)
    });
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &updates);
    per_prefix(bencher, PREFIXES, filled(1, PREFIXES), work);
}

fn nth_path(bencher: Bencher<'_, '_>, nth: u32) {
    let prefixes = PREFIXES / nth;
    let updates = announced(&Shape::new(prefixes, nth - 1));
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(nth - 1), &updates);
    per_prefix(bencher, prefixes, filled(nth - 1, prefixes), work);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn insert_path_2(bencher: Bencher<'_, '_>) {
    nth_path(bencher, 2);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn insert_path_10(bencher: Bencher<'_, '_>) {
    nth_path(bencher, 10);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn insert_path_100(bencher: Bencher<'_, '_>) {
    nth_path(bencher, 100);
}

/// `from` is in the table when `to` comes, the same prefixes one to an UPDATE.
fn intern(bencher: Bencher<'_, '_>, from: Shape, to: Shape) {
    let (before, after) = (announced(&from), announced(&to));
    let make = || {
        let mut rib = router(1);
        feed_all(&mut rib, feed::slot(0), &before);
        rib
    };
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &after);
    per_prefix(bencher, SINGLE, make, work);
}

const ONE_BY_ONE: Shape = Shape {
    prefixes: SINGLE,
    first: 0,
    peer: 0,
    internal: false,
    per_set: 1,
    extra_hops: 0,
    version: 0,
};

/// Another attribute set each, never seen.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn intern_miss(bencher: Bencher<'_, '_>) {
    let version = 1;
    intern(
        bencher,
        ONE_BY_ONE,
        Shape {
            version,
            ..ONE_BY_ONE
        },
    );
}

/// A set that is known, parsed anew: equal octets elsewhere.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn intern_hit(bencher: Bencher<'_, '_>) {
    intern(bencher, ONE_BY_ONE, ONE_BY_ONE);
}

/// The very set that is known, as the cache of the decoder hands it out.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn intern_hit_same_pointer(bencher: Bencher<'_, '_>) {
    let updates = announced(&ONE_BY_ONE);
    let make = || {
        let mut rib = router(1);
        feed_all(&mut rib, feed::slot(0), &updates);
        rib
    };
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &updates);
    per_prefix(bencher, SINGLE, make, work);
}

fn withdraw(bencher: Bencher<'_, '_>, peers: u32) {
    let shape = Shape::new(PREFIXES, 0);
    let updates = decoded(
        feed::withdrawals(0, PREFIXES),
        &feed::decode_context(&shape),
    );
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &updates);
    per_prefix(bencher, PREFIXES, filled(peers, PREFIXES), work);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn withdraw_only_path(bencher: Bencher<'_, '_>) {
    withdraw(bencher, 1);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn withdraw_one_of_2(bencher: Bencher<'_, '_>) {
    withdraw(bencher, 2);
}

/// The session goes, with all its routes.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn purge_only_path(bencher: Bencher<'_, '_>) {
    let work = |rib: &mut Rib| rib.peer_down(feed::slot(0), false);
    per_prefix(bencher, PREFIXES, filled(1, PREFIXES), work);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn purge_one_of_2(bencher: Bencher<'_, '_>) {
    let work = |rib: &mut Rib| rib.peer_down(feed::slot(0), false);
    per_prefix(bencher, PREFIXES, filled(2, PREFIXES), work);
}

/// Withdrawals from a peer that has no path there: the search for the prefix and nothing else.
fn find(bencher: Bencher<'_, '_>, prefixes: u32, first: u32) {
    let shape = Shape {
        per_set: prefixes,
        ..Shape::new(prefixes, 0)
    };
    let table = announced(&shape);
    let mut rib = router(2);
    feed_all(&mut rib, feed::slot(0), &table);
    let context = feed::decode_context(&shape);
    let updates = decoded(feed::withdrawals(first, prefixes), &context);
    bencher
        .counter(ItemsCount::new(prefixes))
        .bench_local(|| feed_all(&mut rib, feed::slot(1), &updates));
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn find_present(bencher: Bencher<'_, '_>) {
    find(bencher, PREFIXES, 0);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn find_absent(bencher: Bencher<'_, '_>) {
    find(bencher, PREFIXES, PREFIXES);
}

/// A million prefixes: what the published figures of prefix containers are about.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn find_present_of_1m(bencher: Bencher<'_, '_>) {
    find(bencher, 1_000_000, 0);
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn insert_one_set_of_1m(bencher: Bencher<'_, '_>) {
    const MILLION: u32 = 1_000_000;
    let shape = Shape {
        per_set: MILLION,
        ..Shape::new(MILLION, 0)
    };
    let updates = announced(&shape);
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &updates);
    per_prefix(bencher, MILLION, || router(1), work);
}
