//! One virtual router as a step machine: no socket, no clock, no task.
//!
//! [`Router`] is fed adverts, timeouts, faults and operator commands, each with `now`; it yields
//! [`Action`]s (send, take the addresses, let them go, announce them), [`Event`]s for people and
//! one deadline. It implements RFC 9568 §6 and, for version 2, RFC 3768 §6; every pair of state
//! and event stands in a table of its tests.
//!
//! What it promises beyond the RFCs:
//! - an advert that fails any check of the receive ladder changes no timer and no state; it is
//!   counted by its reason and named with its sender;
//! - timers are kept in nanoseconds: at 10 ms the skew of priority 100 is 6.09 ms, not 0;
//! - make before break: whoever hands over keeps answering until the successor has been heard,
//!   and whoever takes over takes the addresses and tells the link before its first advert;
//! - a master that was stopped for longer than its backups wait notices before it sends anything
//!   and steps back; a backup that was stopped does not mistake that for a dead master;
//! - what looks wrong with the segment (a second master, another interval, checksum, password or
//!   address list) is kept with who, since when and how often.
//!
//! What it refuses: to become master while anything is at fault or held by the operator.

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

mod advertise;
mod conflict;
mod event;
mod ladder;
mod machine;
mod settings;
mod signing;
mod stats;
mod timers;

pub use conflict::{Conflict, ConflictKind};
pub use event::{Action, Event, Fault, State, Why};
pub use ladder::Discard;
pub use machine::health::Health;
pub use machine::inherit::{Gap, Legacy};
pub use machine::{Master, Patience, Router};
pub use settings::Settings;
pub use signing::{Key, Mode, Refusal, Signing};
pub use stats::Stats;
