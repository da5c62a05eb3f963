//! Wire codecs of the Wayfare suite: bytes to types and back.
//!
//! The crate does no I/O, keeps no clock and starts nothing. Every decoder takes a borrowed slice
//! and answers with a value or a [`DecodeError`] that names the octet (absolute in the message)
//! and the reaction the RFC demands, so the caller obeys instead of guessing. Any bytes may come
//! in: no decoder panics, indexes, narrows with `as`, or allocates more than a small multiple of
//! its input.
//!
//! RFCs implemented: 1997, 2338 (PASS), 2545, 2918, 3768, 4271, 4360, 4456, 4486, 4724, 4760, 5492,
//! 5701, 5798, 6286, 6608, 6793, 7311, 7313, 7606, 7607, 7911, 8092, 8203, 8538, 8654, 8950, 9003,
//! 9072, 9234, 9494, 9568, 9687, 9774.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::unreachable
    )
)]

pub mod afi;
pub mod bgp;
pub mod control;
pub mod error;
pub(crate) mod input;
pub mod mrt;
pub mod pcap;
pub mod prefix;
pub mod vrrp;

pub use afi::{AddressFamily, AfiSafi, Family, V4, V6};
pub use error::{AttrError, DecodeError, ErrorKind, Reaction};
pub use prefix::{Prefix4, Prefix6, PrefixKey};
