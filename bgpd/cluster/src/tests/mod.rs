//! Tests of the whole: objects in, announcements out. One row per line of the rules.

mod aggregate;
mod cluster;
mod defects;
mod endpoints;
mod golden;
mod merge;
mod random;
mod rules;
mod sources;
