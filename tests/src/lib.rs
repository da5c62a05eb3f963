//! Workspace-wide tests of the Wayfare suite.
//!
//! Most of what is here stands in `tests/`. `tidy` checks the house rules; `kernel_*` look at the
//! kernel's tables from outside; the others compare whole daemons with models. Tests of one crate
//! live in that crate. The library holds what `make bench-check` judges by: profiles of callgrind
//! and the baseline they are compared with.

pub mod baseline;
pub mod callgrind;
