//! Which routes start here: advertised prefixes and address pools.
//!
//! A pure book-keeper between the configuration and the RIB. It knows which pool addresses are in
//! use, which aggregates follow, and hands the RIB one snapshot of routes per source; the RIB
//! finds the differences. Nothing here opens a file or a socket.
