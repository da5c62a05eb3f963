//! Looking up: one exact prefix, and the longest match of an address.
//!
//! Both return what an operator is shown, so they include the making of a view; what a line has
//! more than `lookup_exact` is the search over lengths. The table has four of them (a real one has
//! seventeen, and an address outside of it is looked for at each).

use std::net::{IpAddr, Ipv4Addr};

use divan::Bencher;
use divan::counter::ItemsCount;
use proto_codec::prefix::PrefixKey;
use rib::Rib;

use crate::feed::{self, Roll, Shape};
use crate::stage::{PREFIXES, announced, feed_all, router};

const LOOKUPS: u32 = 10_000;

fn table() -> Rib {
    let mut rib = router(1);
    feed_all(
        &mut rib,
        feed::slot(0),
        &announced(&Shape::new(PREFIXES, 0)),
    );
    rib
}

/// Prefixes in no order.
fn numbers() -> Vec<u32> {
    let mut roll = Roll::new(7);
    let limit = u64::from(PREFIXES);
    (0..LOOKUPS)
        .map(|_| u32::try_from(roll.below(limit)).expect("below"))
        .collect()
}

fn longest(bencher: Bencher<'_, '_>, addresses: &[IpAddr]) {
    let rib = table();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        for address in addresses {
            divan::black_box(rib.longest_match(*address));
        }
    });
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn lookup_exact(bencher: Bencher<'_, '_>) {
    let rib = table();
    let nets: Vec<_> = numbers()
        .into_iter()
        .map(|n| feed::prefix(n).to_net())
        .collect();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        for net in &nets {
            divan::black_box(rib.lookup(*net));
        }
    });
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn lookup_longest(bencher: Bencher<'_, '_>) {
    let addresses: Vec<IpAddr> = numbers()
        .into_iter()
        .map(|n| feed::prefix(n).to_net().addr())
        .collect();
    longest(bencher, &addresses);
}

/// No route covers the address.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn lookup_longest_absent(bencher: Bencher<'_, '_>) {
    let addresses: Vec<IpAddr> = numbers()
        .into_iter()
        .map(|n| IpAddr::V4(Ipv4Addr::from(0xc000_0000 + n)))
        .collect();
    longest(bencher, &addresses);
}
