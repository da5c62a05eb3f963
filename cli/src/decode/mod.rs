//! `wayfare decode`: reads what the daemons speak and prints it.

pub mod bgpdump;
pub mod mrt;
pub mod source;

/// How a decoded thing is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
    /// The lines of `bgpdump -m`.
    Bgpdump,
}
