//! Workspace-wide tests of the Wayfare suite.
//!
//! The library is empty on purpose: what is here stands in `tests/`. `tidy` checks the house rules;
//! `kernel_*` look at the kernel's tables from outside; the others compare whole daemons with
//! models. Tests of one crate live in that crate.
