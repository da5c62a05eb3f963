//! What engine threads add in the thread of the sockets: dealing prefixes out to shards.
//!
//! The shards here carry everything out at once by doing nothing, so a line is the splitting of
//! UPDATEs, the copies of octets and the batches, without queues and without tables.

use divan::Bencher;
use divan::counter::ItemsCount;
use proto_codec::bgp::Update;
use rib::Rib;
use rib::shard::{Mail, Question, Report, Sharded, Transport};

use crate::feed::{self, Shape};
use crate::stage::{PREFIXES, announced};

/// What 256 KiB hold.
const UPDATES_OF_A_READ: usize = 2_700;

/// Shards that take everything and say they have done it.
#[derive(Debug)]
struct Sink(Vec<Report>);

impl Transport for Sink {
    fn shards(&self) -> usize {
        self.0.len()
    }

    fn send(&mut self, shard: usize, mail: Mail) -> Result<(), Mail> {
        if let Mail::Order(order) = mail {
            self.0[shard].handled += 1;
            self.0[shard].round = order.round;
        }
        Ok(())
    }

    fn receive(&mut self, shard: usize) -> Option<Report> {
        let report = std::mem::take(&mut self.0[shard]);
        (report.handled > 0).then_some(report)
    }

    fn ask(&self, _: Vec<(usize, Question)>) -> bool {
        true
    }
}

fn deal(bencher: Bencher<'_, '_>, shards: usize) {
    let updates: Vec<Update<'static>> = announced(&Shape::new(PREFIXES, 0));
    let mut front = Sharded::new(Box::new(Sink(
        (0..shards).map(|_| Report::default()).collect(),
    )));
    front.peer_up(feed::external(0, &Rib::new(feed::router())));
    front.absorb();
    bencher.counter(ItemsCount::new(PREFIXES)).bench_local(|| {
        for read in updates.chunks(UPDATES_OF_A_READ) {
            for update in read {
                front.update(feed::slot(0), update);
            }
            front.settle();
            front.absorb();
        }
        assert!(!front.is_congested());
    });
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn deal_to_2_shards(bencher: Bencher<'_, '_>) {
    deal(bencher, 2);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn deal_to_8_shards(bencher: Bencher<'_, '_>) {
    deal(bencher, 8);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn deal_to_62_shards(bencher: Bencher<'_, '_>) {
    deal(bencher, 62);
}
