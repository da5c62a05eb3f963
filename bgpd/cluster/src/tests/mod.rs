//! Tests of the whole: objects in, announcements out. One row per line of the rules.

mod cluster;
mod first;
