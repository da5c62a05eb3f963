//! The client's stream: a packet each millisecond to the virtual address, and who answered it.
//!
//! A responder in each router sends every packet back with its name on it. Sockets are opened
//! inside the nodes' network namespaces and used by real-time threads of the tool, so no process
//! has to be started and the clock is one. A packet is lost when nobody has answered it
//! [`ANSWER_WAIT`] after the last was sent; the answers also say when another router took over.
//!
//! The sender notes by how much each packet left late, the receiver how long each answer took. A
//! stream that was late itself is worthless: [`Traffic::late`] is looked at before anything else.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use super::pace::{TICK, realtime, sleep_until};
use crate::node::Node;

/// Where responders listen.
pub(super) const PORT: u16 = 7007;
/// After the last packet.
const ANSWER_WAIT: Duration = Duration::from_millis(100);
/// Ends a blocked read, so that threads see that they are to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A quarter of a second's packets fit in the kernel's default; more is taken where allowed.
const BUFFER: usize = 4 << 20;

/// Opens a UDP socket inside the network namespace of `node`.
///
/// # Errors
/// Those of the kernel.
pub fn socket_in(node: &Node, port: u16) -> io::Result<UdpSocket> {
    in_namespace(node, move || {
        let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
        // Granted in part by default; a short one only matters when the machine stands still.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER);
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        Ok(socket)
    })
}

/// Runs `make` in a thread that has entered the network namespace of `node`.
///
/// # Errors
/// Those of `make`, or the namespace cannot be entered.
pub fn in_namespace<T: Send + 'static>(
    node: &Node,
    make: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let namespace = File::open(format!("/proc/{}/ns/net", node.pid()))?;
    let thread = thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        make()
    });
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread ended early")))
}

/// Answers in the name of a router until dropped.
#[derive(Debug)]
pub struct Responder(Arc<AtomicBool>);

impl Responder {
    /// Starts it in `node`; `name` is put on each answer.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn start(node: &Node, name: u8) -> io::Result<Self> {
        let socket = socket_in(node, PORT)?;
        let stop = Arc::new(AtomicBool::new(false));
        let ask = Arc::clone(&stop);
        thread::spawn(move || {
            realtime();
            let mut octets = [0; 16];
            while !ask.load(Ordering::Relaxed) {
                let Ok((_, from)) = socket.recv_from(&mut octets) else {
                    continue;
                };
                octets[8] = name;
                // An answer that cannot be sent is a packet lost, which is what is counted.
                let _ = socket.send_to(&octets[..9], from);
            }
        });
        Ok(Self(stop))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the threads of a stream share with who looks on.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    last: AtomicU8,
    answers: AtomicU64,
}

/// A packet that was answered.
#[derive(Clone, Copy, Debug)]
struct Answer {
    sequence: usize,
    who: u8,
    at: Instant,
}

/// A stream under way.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    sender: JoinHandle<Vec<(Instant, Duration)>>,
    receiver: JoinHandle<Vec<Answer>>,
}

impl Stream {
    /// Starts one from `client` to `address`.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn start(client: &Node, address: Ipv4Addr) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let sending = socket_in(client, 0)?;
        let receiving = sending.try_clone()?;
        let (for_sender, for_receiver) = (Arc::clone(&shared), Arc::clone(&shared));
        let to = SocketAddrV4::new(address, PORT);
        Ok(Self {
            shared,
            sender: thread::spawn(move || send(&sending, to, &for_sender)),
            receiver: thread::spawn(move || receive(&receiving, &for_receiver)),
        })
    }

    /// Who answered last; 0 for nobody yet.
    #[must_use]
    pub fn last(&self) -> u8 {
        self.shared.last.load(Ordering::Relaxed)
    }

    /// How many answers there are.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::Relaxed)
    }

    /// Ends it and waits for the last answers.
    #[must_use]
    pub fn finish(self) -> Traffic {
        self.shared.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap_or_default();
        let received = self.receiver.join().unwrap_or_default();
        let mut answers = vec![None; sent.len()];
        for one in received {
            if let Some(place @ None) = answers.get_mut(one.sequence) {
                *place = Some((one.who, one.at));
            }
        }
        Traffic { sent, answers }
    }
}

fn send(socket: &UdpSocket, to: SocketAddrV4, shared: &Shared) -> Vec<(Instant, Duration)> {
    realtime();
    let mut sent = Vec::with_capacity(8192);
    let mut due = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        let late = sleep_until(due);
        let sequence = sent.len() as u64;
        // With no neighbor the kernel may say so here; the packet counts as lost all the same.
        let _ = socket.send_to(&sequence.to_be_bytes(), to);
        sent.push((due, late));
        due += TICK;
    }
    sent
}

fn receive(socket: &UdpSocket, shared: &Shared) -> Vec<Answer> {
    realtime();
    let mut answers = Vec::with_capacity(8192);
    let mut octets = [0; 16];
    let mut end = None;
    loop {
        let now = Instant::now();
        if end.is_none() && shared.stop.load(Ordering::Relaxed) {
            end = Some(now + ANSWER_WAIT);
        }
        if end.is_some_and(|end| now >= end) {
            return answers;
        }
        let Ok(9) = socket.recv(&mut octets) else {
            continue;
        };
        let Ok(sequence) = <[u8; 8]>::try_from(&octets[..8]) else {
            continue;
        };
        let who = octets[8];
        answers.push(Answer {
            sequence: u64::from_be_bytes(sequence) as usize,
            who,
            at: Instant::now(),
        });
        shared.last.store(who, Ordering::Relaxed);
        shared.answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// What became of a stream.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// When each packet was due, and by how much it left late.
    sent: Vec<(Instant, Duration)>,
    /// Who answered it first, and when.
    answers: Vec<Option<(u8, Instant)>>,
}

impl Traffic {
    /// Packets sent from `since` on that nobody answered. A packet on its way at `since` counts.
    #[must_use]
    pub fn lost(&self, since: Instant) -> usize {
        let from = since.checked_sub(TICK).unwrap_or(since);
        let pairs = self.sent.iter().zip(&self.answers);
        let lost = pairs.filter(|((due, _), answer)| *due >= from && answer.is_none());
        lost.count()
    }

    /// The longest row of lost packets.
    #[must_use]
    pub fn longest_gap(&self) -> usize {
        let (_, longest) = self.answers.iter().fold((0, 0), |(row, longest), answer| {
            let row = if answer.is_none() { row + 1 } else { 0 };
            (row, longest.max(row))
        });
        longest
    }

    /// How often another router answered than the one before.
    #[must_use]
    pub fn switches(&self) -> usize {
        let mut who: Vec<u8> = self.answers.iter().flatten().map(|(who, _)| *who).collect();
        who.dedup();
        who.len().saturating_sub(1)
    }

    /// From `since` to the first packet after it that `who` answered.
    #[must_use]
    pub fn first_by(&self, who: u8, since: Instant) -> Option<Duration> {
        let pairs = self.sent.iter().zip(&self.answers);
        let mut found = pairs.filter_map(|((due, _), answer)| {
            let (router, _) = (*answer)?;
            (router == who && *due >= since).then(|| due.duration_since(since))
        });
        found.next()
    }

    /// The worst of the tool's own delays from `since` on: packets sent late, answers that came
    /// late.
    #[must_use]
    pub fn late(&self, since: Instant) -> Duration {
        let pairs = self.sent.iter().zip(&self.answers);
        let late = pairs.filter(|((due, _), _)| *due >= since);
        let worst = late.map(|((due, late), answer)| {
            let travelled = answer.map(|(_, at)| at.saturating_duration_since(*due));
            (*late).max(travelled.unwrap_or_default())
        });
        worst.max().unwrap_or_default()
    }

    /// How many packets were sent.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` and `b` answered, `.` nobody.
    fn traffic(text: &str, start: Instant) -> Traffic {
        let due = |index: usize| start + TICK * u32::try_from(index).expect("few");
        Traffic {
            sent: (0..text.len())
                .map(|index| (due(index), Duration::ZERO))
                .collect(),
            answers: text
                .bytes()
                .enumerate()
                .map(|(index, who)| (who != b'.').then(|| (who, due(index) + TICK / 4)))
                .collect(),
        }
    }

    #[test]
    fn losses_gaps_and_switches_are_counted() {
        let start = Instant::now();
        let seen = traffic("aaa.aa...bbb", start);
        assert_eq!(seen.lost(start), 4);
        assert_eq!(seen.lost(start + TICK * 5), 3);
        assert_eq!(seen.longest_gap(), 3);
        assert_eq!(seen.switches(), 1);
        assert_eq!(seen.first_by(b'b', start + TICK * 5), Some(TICK * 4));
        assert_eq!(seen.first_by(b'c', start), None);
        assert_eq!(seen.late(start), TICK / 4);
        assert_eq!(seen.sent(), 12);
    }

    #[test]
    fn a_late_sender_is_seen() {
        let start = Instant::now();
        let mut seen = traffic("aaaa", start);
        seen.sent[1].1 = TICK * 7;
        assert_eq!(seen.late(start), TICK * 7);
        assert_eq!(seen.late(start + TICK * 2), TICK / 4);
    }
}
