//! `wayfare decode`: reads what the daemons speak and prints it.
//!
//! Input is untrusted and may be huge: records and messages are read one at a time, what cannot be
//! read is reported on standard error with its place, and the rest goes on.

pub mod bgpdump;
pub mod hex;
pub mod message;
pub mod mrt;
pub mod pcap;
pub mod record;
pub mod source;
pub mod vrrp;

use std::io::{self, Write};

use crate::grammar::DecodeKind;

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

/// Decodes `file` and prints it to `out`.
///
/// # Errors
/// The file cannot be read, or the output not written.
pub fn run(kind: DecodeKind, file: &str, format: Format, out: &mut dyn Write) -> io::Result<()> {
    let mut input = source::open(file)?;
    let mut report = io::stderr().lock();
    match kind {
        DecodeKind::Mrt => mrt::decode(&mut input, format, out, &mut report).map(drop),
        DecodeKind::Pcap => pcap::decode(&mut input, format, out, &mut report),
        DecodeKind::Hex => hex::decode(&mut input, format, out),
    }
}
