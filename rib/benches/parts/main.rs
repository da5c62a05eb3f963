//! What the parts of the engine cost, per prefix.
//!
//! `cargo bench -p rib`, or `make bench-micro` for a table in nanoseconds. Everything is measured
//! through the public interface of the crate, with UPDATEs decoded beforehand: what a part costs
//! that cannot be called alone (interning, a step of the decision) is the difference of two lines,
//! which the names say. Nothing is made public for the sake of a bench.

#[path = "../feed/mod.rs"]
mod feed;

mod deal;
mod decide;
mod export;
mod insert;
mod policy;
mod read;
mod stage;

fn main() {
    divan::main();
}
