//! All workloads by key, in the order in which `make bench` runs them.
//!
//! A shape is built only when it is its turn, because some hold a gibibyte of encoded messages. The
//! scale is in percent of the full size: 10 for `make bench-quick`, 1 for the smoke test.

use std::time::Duration;

use super::bench::Shape;
use super::shapes::best_path::BestPath;
use super::shapes::churn::Churn;
use super::shapes::cold_start::ColdStart;
use super::shapes::failover::Failover;
use super::shapes::fan_out::FanOut;
use super::shapes::full_table::FullTable;
use super::shapes::kernel_failover::KernelFailover;
use super::shapes::kernel_write::KernelWrite;
use super::shapes::show::Show;

/// How long the clients of a cold start take to connect where they do not do it at once.
const SPREAD: Duration = Duration::from_secs(2);

/// The keys of all shapes.
pub const KEYS: &[&str] = &[
    "s1",
    "s2",
    "s3",
    "s4-500",
    "s4-500-spread",
    "s4-1000",
    "s4-1000-spread",
    "s5",
    "s6",
    "s6-kernel",
    "s7",
    "s8-100k",
    "s8-1m",
    "s8-failover",
];

/// The shape of that key at `percent` of its full size.
pub fn build(key: &str, percent: usize) -> Option<Box<dyn Shape>> {
    let part = |whole: usize| whole * percent / 100;
    Some(match key {
        "s1" => Box::new(FullTable::new(part(1_000_000))),
        "s2" => Box::new(BestPath::new(part(200_000))),
        "s3" => Box::new(FanOut::new(part(100_000), 100)),
        "s4-500" => Box::new(ColdStart::new(part(500), Duration::ZERO)),
        "s4-500-spread" => Box::new(ColdStart::new(part(500), SPREAD)),
        "s4-1000" => Box::new(ColdStart::new(part(1000), Duration::ZERO)),
        "s4-1000-spread" => Box::new(ColdStart::new(part(1000), SPREAD)),
        "s5" => Box::new(Failover::new(part(1_000_000))),
        "s6" => Box::new(Churn::new(false, percent)),
        "s6-kernel" => Box::new(Churn::new(true, percent)),
        "s7" => Box::new(Show::new(part(1_000_000))),
        "s8-100k" => Box::new(KernelWrite::new(part(100_000))),
        "s8-1m" => Box::new(KernelWrite::new(part(1_000_000))),
        "s8-failover" => Box::new(KernelFailover::new(part(100_000))),
        _ => return None,
    })
}
