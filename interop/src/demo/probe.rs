//! A client: one echo request per millisecond, and what became of each.
//!
//! It speaks from the lab's own seat on the switch and learns where the address is as any host
//! does: by ARP and by announcements. Each request carries its number; the answer's payload says
//! which one it was, so that late answers count for the right packet. The machine may be busy and
//! the client itself late: requests that could not be sent in time are sent at once and the longest
//! pause between two of them is part of the report, so that nobody takes it for an outage.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// Between two requests.
const EVERY: Duration = Duration::from_millis(1);
/// An answer that takes longer is none: the rack's round trip is some 50 µs.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);
/// Marks our requests among other pings: the identifier of the ICMP header.
const IDENTIFIER: u16 = 0x5741;
/// ICMP header and the number.
const REQUEST_LEN: usize = 16;

/// One request: when it left, whether it was answered.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    answered: bool,
}

/// What a stretch of the stream went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests.
    pub sent: usize,
    /// Requests without an answer.
    pub lost: usize,
    /// The longest row of them, from the first one lost to the next one answered.
    pub outage: Duration,
    /// The longest time between two requests: what the client itself could not see.
    pub blind: Duration,
}

/// The stream; it ends when dropped.
#[derive(Debug)]
pub struct Probe {
    log: Arc<Mutex<Vec<Sent>>>,
    over: Arc<AtomicBool>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Probe {
    /// Begins to ask `target`.
    ///
    /// # Errors
    /// No raw socket is to be had.
    pub fn start(target: Ipv4Addr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let probe = Self {
            log: Arc::default(),
            over: Arc::default(),
        };
        let (log, over) = (Arc::clone(&probe.log), Arc::clone(&probe.over));
        let sender = socket.try_clone()?;
        std::thread::spawn(move || send(&sender, target, &log, &over));
        let (log, over) = (Arc::clone(&probe.log), Arc::clone(&probe.over));
        std::thread::spawn(move || receive(&socket, &log, &over));
        Ok(probe)
    }

    /// Where the stream is now, for a later [`Probe::since`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.log.lock().map_or(0, |log| log.len())
    }

    /// What happened from `mark` until now; waits until the last answers must have come.
    #[must_use]
    pub fn since(&self, mark: usize) -> Report {
        let until = Instant::now();
        while let left = (until + ANSWER_WITHIN).saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            std::thread::park_timeout(left);
        }
        self.report(mark, until)
    }

    /// The last second, for the eye.
    #[must_use]
    pub fn lately(&self) -> Report {
        let until = Instant::now()
            .checked_sub(ANSWER_WITHIN)
            .unwrap_or_else(Instant::now);
        self.report(self.mark().saturating_sub(1200), until)
    }

    fn report(&self, mark: usize, until: Instant) -> Report {
        let Ok(log) = self.log.lock() else {
            return Report::default();
        };
        let stretch: Vec<Sent> = log.get(mark..).unwrap_or_default().to_vec();
        drop(log);
        let end = stretch.partition_point(|one| one.at <= until);
        judge(stretch.get(..end).unwrap_or_default())
    }
}

/// Counts what was lost and in how long a row.
fn judge(stretch: &[Sent]) -> Report {
    let mut report = Report {
        sent: stretch.len(),
        ..Report::default()
    };
    let mut lost_since = None;
    let mut before: Option<Instant> = None;
    for one in stretch {
        if let Some(before) = before.replace(one.at) {
            report.blind = report.blind.max(one.at - before);
        }
        if one.answered {
            lost_since = None;
        } else {
            report.lost += 1;
            // A packet that is lost alone is an outage of a millisecond.
            let since = *lost_since.get_or_insert(one.at);
            report.outage = report.outage.max(one.at - since + EVERY);
        }
    }
    report
}

fn send(socket: &Socket, target: Ipv4Addr, log: &Mutex<Vec<Sent>>, over: &AtomicBool) {
    let to = SocketAddr::new(IpAddr::V4(target), 0).into();
    let mut due = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::park_timeout(left);
            continue;
        }
        let at = Instant::now();
        let number = {
            let Ok(mut log) = log.lock() else {
                return;
            };
            log.push(Sent {
                at,
                answered: false,
            });
            log.len() - 1
        };
        // While nobody answers ARP the kernel may refuse; that is a lost packet like any other.
        let _ = socket.send_to(&request(number), &to);
        due = (due + EVERY).max(at);
    }
}

/// An echo request (RFC 792) with its number twice: in short in the header, in full behind it.
fn request(number: usize) -> [u8; REQUEST_LEN] {
    let number = u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes();
    let mut packet = [0; REQUEST_LEN];
    packet[0] = 8;
    packet[4..6].copy_from_slice(&IDENTIFIER.to_be_bytes());
    packet[6..8].copy_from_slice(&number[6..8]);
    packet[8..].copy_from_slice(&number);
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16));
    packet[2..4].copy_from_slice(&sum.to_be_bytes()[2..4]);
    packet
}

fn receive(socket: &Socket, log: &Mutex<Vec<Sent>>, over: &AtomicBool) {
    use std::io::Read;
    let mut buffer = [0; 256];
    let mut reader = socket;
    while !over.load(Ordering::Relaxed) {
        let Ok(len) = reader.read(&mut buffer) else {
            continue;
        };
        let Some(number) = answered(&buffer[..len]) else {
            continue;
        };
        if let Ok(mut log) = log.lock()
            && let Some(sent) = log.get_mut(number)
        {
            sent.answered = sent.at.elapsed() <= ANSWER_WITHIN;
        }
    }
}

/// The number in an echo reply of ours; `packet` begins with the IPv4 header.
fn answered(packet: &[u8]) -> Option<usize> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let icmp = packet.get(header_len..)?;
    let ours = *icmp.first()? == 0 && icmp.get(4..6)? == IDENTIFIER.to_be_bytes();
    let number: [u8; 8] = icmp.get(8..16)?.try_into().ok()?;
    ours.then(|| usize::try_from(u64::from_be_bytes(number)).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_sums_to_nothing() {
        for number in [0, 1, 65_535, 65_536, 123_456_789] {
            let packet = request(number);
            let sum: u32 = packet
                .chunks(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{number}");
        }
    }

    #[test]
    fn rows_of_lost_packets_are_told_from_single_ones() {
        let start = Instant::now();
        let sent = |(ms, answered)| Sent {
            at: start + Duration::from_millis(ms),
            answered,
        };
        let stretch = [
            (0, true),
            (1, false),
            (2, true),
            (3, false),
            (4, false),
            (9, false),
            (10, true),
        ];
        let report = judge(&stretch.map(sent));
        assert_eq!((report.sent, report.lost), (7, 4));
        assert_eq!(report.outage, Duration::from_millis(7));
        assert_eq!(report.blind, Duration::from_millis(5));
    }
}
