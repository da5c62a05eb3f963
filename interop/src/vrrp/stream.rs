//! A client's stream: an echo request each millisecond to the virtual address, and what came back.
//!
//! It goes on until the act is over and a while longer, so that no change happens behind its end.
//! And it watches itself: a stream with a pause of its own ([`PAUSE_MAX`]) or with much less than
//! was due has not seen what happened meanwhile. Such a run says nothing, for or against; the lab
//! is run again, a few times ([`crate::lab::STARVED`]).

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, recv, send};
use socket2::{Domain, Protocol, Socket, Type};

use super::Group;
use crate::failover::pace::{TICK, realtime, sleep_until};
use crate::failover::stream::in_namespace;
use crate::lab::STARVED;
use crate::node::Node;
use crate::wait;

/// Answers before anything happens.
const WARM: u64 = 50;
/// The stream goes on for so long after the act, or for four intervals: an election that follows
/// from it is seen.
const TAIL: Duration = Duration::from_millis(500);
/// For the last answers.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// The least an election takes in these labs is a skew of 61 ms (priority 100, adverts of 100 ms):
/// none fits in here.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// What must have been sent of what was due, in parts of a hundred.
const SENT_MIN: u128 = 25;
/// Ends a blocked read, so that threads see that they are to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Ours among the echo requests of a node.
const ID: [u8; 2] = *b"wf";

/// A stream under way.
#[derive(Debug)]
pub struct Stream {
    tail: Duration,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Vec<Instant>>,
    receiver: JoinHandle<BTreeSet<u64>>,
}

impl Stream {
    /// Starts one from `client` to the group's address; returns once somebody answers.
    ///
    /// # Panics
    /// Nobody does, or the kernel gives no socket.
    #[must_use]
    pub fn start(client: &Node, group: &Group) -> Self {
        let address: IpAddr = group.address().parse().expect("an address");
        let socket = in_namespace(client, move || open(address)).expect("a socket for echoes");
        let receiving = socket.try_clone().expect("a second descriptor");
        let stop = Arc::new(AtomicBool::new(false));
        let (sent, answers) = (
            Arc::new(AtomicU64::new(u64::MAX)),
            Arc::new(AtomicU64::new(0)),
        );
        let (ask, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let sender = std::thread::spawn(move || {
            let all = send_all(&socket, address.is_ipv6(), &ask);
            count.store(all.len() as u64, Ordering::Release);
            all
        });
        let count = Arc::clone(&answers);
        let receiver = std::thread::spawn(move || receive(&receiving, &sent, &count));
        let stream = Self {
            tail: TAIL.max(Duration::from_millis(u64::from(group.interval_ms) * 4)),
            stop,
            sender,
            receiver,
        };
        wait::until("somebody answers the stream", 10, || {
            match answers.load(Ordering::Relaxed) {
                WARM.. => Ok(()),
                few => Err(format!("{few} answers")),
            }
        });
        stream
    }

    /// Goes on for a while, ends it and waits for the last answers.
    ///
    /// # Panics
    /// A thread has.
    #[must_use]
    pub fn finish(self) -> Echoes {
        std::thread::sleep(self.tail);
        self.stop.store(true, Ordering::Release);
        let sent = self.sender.join().expect("the sender ends");
        let answered = self.receiver.join().expect("the receiver ends");
        Echoes::of(&sent, &answered)
    }
}

fn open(address: IpAddr) -> io::Result<Socket> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    // Connected: nobody else's packets come in.
    socket.connect(&SocketAddr::new(address, 0).into())?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    Ok(socket)
}

fn send_all(socket: &Socket, ipv6: bool, stop: &AtomicBool) -> Vec<Instant> {
    realtime();
    let mut sent = Vec::with_capacity(8192);
    let mut due = Instant::now();
    while !stop.load(Ordering::Acquire) {
        sleep_until(due);
        let octets = request(sent.len() as u64, ipv6);
        // What the kernel does not take, because nobody is there to take it, is lost.
        let _ = send(socket.as_raw_fd(), &octets, MsgFlags::MSG_DONTWAIT);
        let now = Instant::now();
        sent.push(now);
        // What was missed is not sent in a burst: the pause is what counts.
        due = (due + TICK).max(now);
    }
    sent
}

/// Echo request (RFC 792, RFC 4443 §4.1) with its number behind the header.
fn request(number: u64, ipv6: bool) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[0] = if ipv6 { 128 } else { 8 };
    octets[4..6].copy_from_slice(&ID);
    octets[8..].copy_from_slice(&number.to_be_bytes());
    if !ipv6 {
        // In version 6 the kernel knows the pseudo-header, and sums.
        let words = octets
            .chunks(2)
            .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
        let mut sum: u32 = words.sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let sum = !u16::try_from(sum).unwrap_or_default();
        octets[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    octets
}

/// The number of an answer; version 4 comes with its header.
fn number(packet: &[u8]) -> Option<u64> {
    let message = match packet.first()? >> 4 {
        4 => packet.get(usize::from(packet[0] & 15) * 4..)?,
        _ => packet,
    };
    let ours = matches!(message.first()?, 0 | 129) && message.get(4..6)? == ID;
    let octets = message.get(8..16)?.try_into().ok()?;
    ours.then(|| u64::from_be_bytes(octets))
}

/// Until `sent` is known and that many have been answered, or nobody answers any more.
fn receive(socket: &Socket, sent: &AtomicU64, count: &AtomicU64) -> BTreeSet<u64> {
    realtime();
    let mut answered = BTreeSet::new();
    let mut octets = [0; 128];
    let mut end = None;
    loop {
        let all = sent.load(Ordering::Acquire);
        if all != u64::MAX {
            let end = *end.get_or_insert_with(|| Instant::now() + ANSWER_WAIT);
            if answered.len() as u64 >= all || Instant::now() >= end {
                return answered;
            }
        }
        // Nothing within a look, or a word of the kernel's about a packet that is lost anyway.
        let Ok(len) = recv(socket.as_raw_fd(), &mut octets, MsgFlags::empty()) else {
            continue;
        };
        answered.extend(number(&octets[..len]));
        count.store(answered.len() as u64, Ordering::Relaxed);
    }
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echoes {
    /// Requests sent.
    pub sent: usize,
    /// Those that nobody answered.
    pub lost: usize,
    /// The longest time in which the stream itself sent nothing.
    pub pause: Duration,
    /// From the first to the last.
    pub span: Duration,
}

impl Echoes {
    fn of(sent: &[Instant], answered: &BTreeSet<u64>) -> Self {
        let pauses = sent.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        let ends = sent.first().zip(sent.last());
        Self {
            sent: sent.len(),
            lost: sent.len().saturating_sub(answered.len()),
            pause: pauses.max().unwrap_or(Duration::MAX),
            span: ends.map_or(Duration::ZERO, |(first, last)| last.duration_since(*first)),
        }
    }

    /// Whether the stream was too thin to see what happened.
    #[must_use]
    pub fn starved(&self) -> bool {
        let due = self.span.as_millis() / TICK.as_millis();
        self.pause > PAUSE_MAX || (self.sent as u128) * 100 < due * SENT_MIN
    }

    /// Demands that no more than `lost_max` packets were lost.
    ///
    /// # Panics
    /// More were; or the stream has not seen enough to say so, and the lab is run again.
    #[track_caller]
    pub fn demand(&self, what: &str, lost_max: usize) {
        eprintln!("MEASURED {what}: {self}");
        assert!(!self.starved(), "{STARVED}: {what}: {self}");
        assert!(self.lost <= lost_max, "{what}: {self}");
    }
}

impl fmt::Display for Echoes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            lost,
            pause,
            span,
        } = self;
        write!(
            f,
            "{lost} of {sent} packets lost in {span:.0?}, longest pause {pause:.1?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echoes(at_ms: &[u64], answered: &[u64]) -> Echoes {
        let start = Instant::now();
        let sent: Vec<_> = at_ms
            .iter()
            .map(|at| start + Duration::from_millis(*at))
            .collect();
        Echoes::of(&sent, &answered.iter().copied().collect())
    }

    #[test]
    fn a_stream_that_was_not_there_proves_nothing() {
        let all: Vec<u64> = (0..1000).collect();
        let good = echoes(&all, &all);
        assert_eq!((good.sent, good.lost, good.starved()), (1000, 0, false));
        assert_eq!(echoes(&all, &all[1..]).lost, 1);
        // Fifty packets where four thousand were due; then as many as one likes, but for a while.
        let thin: Vec<u64> = (0..50).map(|at| at * 80).collect();
        assert!(echoes(&thin, &all[..50]).starved());
        let slow: Vec<u64> = (0..200).map(|at| at * 5).collect();
        assert!(echoes(&slow, &all[..200]).starved());
        let paused: Vec<u64> = (0..500).chain(560..1000).collect();
        assert!(echoes(&paused, &all[..940]).starved());
        assert!(echoes(&[], &[]).starved());
    }

    #[test]
    fn requests_are_summed_and_answers_are_known() {
        let mut octets = request(0x0102_0304, false);
        let words = octets
            .chunks(2)
            .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        assert_eq!(number(&octets), None, "a request is no answer");
        octets[0] = 0;
        let mut packet = vec![0x45; 20];
        packet.extend_from_slice(&octets);
        assert_eq!(number(&packet), Some(0x0102_0304));
        octets[0] = 129;
        assert_eq!(number(&octets), Some(0x0102_0304));
    }
}
