//! The checks of the fuzz targets.
//!
//! They are shared with the property tests of the codec crate (`tests/properties.rs` includes the
//! same file), so that what a long run finds can be replayed by a test.

pub mod check;
pub mod files;
pub mod vrrp;
