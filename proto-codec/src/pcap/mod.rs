//! Captured packets: the pcap and pcapng file formats, and the TCP segments inside.
//!
//! [`Capture`] takes the octets of a file as they are read and yields packets; [`datagram()`]
//! finds the IP datagram in one and [`segment()`] the TCP segment; [`Stream`] puts the segments of
//! one direction in order. Link layers:
//! Ethernet (with VLAN tags), Linux cooked (v1, v2), raw IP, BSD loopback. Formats:
//! draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng (section header, interface description,
//! enhanced and simple packet blocks; others are skipped).
//!
//! What it refuses: files that are neither, and packets above [`PACKET_LEN_MAX`]. IP fragments
//! other than the first and encrypted or tunnelled packets are not looked into; they count as
//! packets without a segment. Every buffer is bounded.

mod capture;
mod datagram;
mod segment;
mod stream;
#[cfg(test)]
mod tests;

pub use capture::{Capture, Packet, PcapError};
pub use datagram::{Datagram, datagram};
pub use segment::{Segment, of_datagram, segment};
pub use stream::{Chunk, Stream};

/// Longest packet that is read: 1 MiB, four times the largest a Linux capture holds (GRO).
pub const PACKET_LEN_MAX: usize = 1 << 20;
