//! All workloads by key, in the order in which `make bench` runs them.
//!
//! A shape is built only when it is its turn, because some hold a gibibyte of encoded messages. The
//! scale is in percent of the full size: 10 for `make bench-quick`, 1 for the smoke test.

use super::bench::Shape;
use super::shapes::full_table::FullTable;

/// The keys of all shapes.
pub const KEYS: &[&str] = &["s1"];

/// The shape of that key at `percent` of its full size.
pub fn build(key: &str, percent: usize) -> Option<Box<dyn Shape>> {
    let part = |whole: usize| whole * percent / 100;
    Some(match key {
        "s1" => Box::new(FullTable::new(part(1_000_000))),
        _ => return None,
    })
}
