//! What an operator can type: one table, from which everything else follows.
//!
//! [`table`] lists the commands in the notation of [`pattern`]. From it come the parser with its
//! abbreviations ([`matcher`]), the `?` help and completion ([`help`]), error messages that point
//! at the wrong word ([`mistake`]) and the manual page ([`manual`]). A command that is not in the
//! table does not exist anywhere, and one that is in it is documented everywhere.

mod build;
pub mod help;
pub mod manual;
pub mod matcher;
pub mod mistake;
pub mod pattern;
pub mod slot;
pub mod table;

pub use matcher::{Line, Outcome, parse};
pub use table::{Command, DecodeKind, Kernel};
