//! Packets that nobody should heed, at both routers, while adverts are listened to.
//!
//! They come from the segment, to the VRRP group, each from another sender and each wrong in
//! another way; whoever took one for good would give up its mastership, because all of them claim
//! a higher priority. What is measured is the distance between two adverts of the master, by the
//! kernel's stamps, and how often the segment hears another master than before.
//!
//! A change of the master is never put down to the machine: it is what must not happen. A flood
//! that was thinner than asked for proves nothing and is repeated.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::figures::{Failure, Sample};
use super::pace::{Canary, Starved, TICK, sleep_until};
use super::session::Session;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The tool's own address on the first segment.
const STATION: Ipv4Addr = Ipv4Addr::new(10, 101, 0, 254);
/// How long a flood lasts.
const LENGTH: Duration = Duration::from_secs(10);
/// A thread that is late by more may stand for a daemon that is.
const STARVED_MAX: Duration = Duration::from_millis(2);
/// What must have been sent of what was asked for.
const SENT_MIN: f64 = 0.9;
/// How many ways to be wrong [`packet`] knows.
const KINDS: u32 = 12;

/// Floods both routers and says what became of the master's adverts.
///
/// # Errors
/// The machine was not quiet, or the flood could not be sent.
pub fn run(session: &Session<'_>, rate: u32) -> Result<Sample, Failure> {
    let canary = Canary::start();
    let flood = Flood::start(session.address(), session.plan.interval_ms, rate);
    let flood = flood.map_err(|error| format!("no flood: {error}"))?;
    let at = Instant::now();
    thread::sleep(LENGTH);
    let sent = flood.finish();
    let starved = canary.finish(at);
    let heard = session.ear.since(at);
    let mut masters: Vec<Ipv4Addr> = heard.iter().map(|one| one.from).collect();
    masters.dedup();
    let of_a: Vec<Instant> = heard
        .iter()
        .filter(|one| one.from == session.address_a())
        .map(|one| one.at)
        .collect();
    let (jitter_ms, judged) = jitter_ms(&of_a, session.plan.interval(), &starved);
    let due = LENGTH.as_secs_f64() / session.plan.interval().as_secs_f64();
    let seen = Seen {
        transitions: masters.len().saturating_sub(1),
        jitter_ms,
        adverts: of_a.len(),
        judged,
        sent,
        asked: LENGTH.as_secs_f64() * f64::from(rate),
        late: starved.worst(),
    };
    let Sample(mut figures) = judge(&seen)?;
    figures.push(("adverts due", due.round()));
    Ok(Sample(figures))
}

/// What a flood showed.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Changes of the master.
    transitions: usize,
    /// The worst distance of two adverts from an interval.
    jitter_ms: f64,
    /// Adverts of the better router.
    adverts: usize,
    /// Distances of those that say something about the daemon.
    judged: usize,
    /// Packets of the flood.
    sent: u32,
    /// As many as that were asked for.
    asked: f64,
    /// How late an idle thread was.
    late: Duration,
}

/// The figures, unless the tool or the machine spoilt them.
fn judge(seen: &Seen) -> Result<Sample, Failure> {
    if seen.transitions == 0 {
        if f64::from(seen.sent) < seen.asked * SENT_MIN {
            let why = format!("only {} of {} packets were sent", seen.sent, seen.asked);
            return Err(Failure::Noise(why));
        }
        if seen.judged < seen.adverts / 3 {
            return Err(Failure::Noise(format!(
                "an idle thread was late at most adverts, up to {:?}",
                seen.late
            )));
        }
    }
    Ok(Sample(vec![
        ("jitter ms", seen.jitter_ms),
        ("transitions", seen.transitions as f64),
        ("of a", seen.adverts as f64),
        ("judged", seen.judged as f64),
        ("packets", f64::from(seen.sent)),
    ]))
}

/// The worst distance of two adverts from an interval, and how many distances it was chosen from.
/// Those at whose ends an ordinary thread was not let run say nothing about a daemon. A row without
/// distances has an infinite jitter: nothing was sent under the flood.
fn jitter_ms(adverts: &[Instant], interval: Duration, starved: &Starved) -> (f64, usize) {
    if adverts.len() < 2 {
        return (f64::INFINITY, adverts.len());
    }
    let disturbed = |at: Instant| {
        let from = at.checked_sub(interval / 5).unwrap_or(at);
        starved.between(from, at, STARVED_MAX)
    };
    let pairs = adverts
        .windows(2)
        .filter(|pair| !pair.iter().any(|at| disturbed(*at)));
    let off = pairs.map(|pair| {
        let gap = pair[1].saturating_duration_since(pair[0]);
        gap.abs_diff(interval).as_secs_f64() * 1e3
    });
    off.fold((0.0, 0), |(worst, count), off| (off.max(worst), count + 1))
}

/// A flood under way.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u32>,
}

impl Flood {
    fn start(address: Ipv4Addr, interval_ms: u32, rate: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
        socket.set_header_included_v4(true)?;
        socket.set_multicast_if_v4(&STATION)?;
        socket.set_multicast_loop_v4(false)?;
        let stop = Arc::new(AtomicBool::new(false));
        let ask = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let to = SocketAddrV4::new(GROUP, 0).into();
            let start = Instant::now();
            let mut sent = 0;
            let mut due = start;
            while !ask.load(Ordering::Relaxed) {
                due += TICK;
                sleep_until(due);
                let wanted = start.elapsed().as_secs_f64() * f64::from(rate);
                while f64::from(sent) < wanted {
                    let octets = packet(sent, address, interval_ms);
                    // A full queue is the flood's own limit; the count says what was sent.
                    if socket.send_to(&octets, &to).is_err() {
                        break;
                    }
                    sent += 1;
                }
            }
            sent
        });
        Ok(Self { stop, thread })
    }

    fn finish(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// The packet `number` of a flood: whole, with its IPv4 header.
fn packet(number: u32, address: Ipv4Addr, interval_ms: u32) -> Vec<u8> {
    let [_, _, high, low] = (number % 50_000).to_be_bytes();
    let source = Ipv4Addr::new(10, 101, 2 + high, low.max(1));
    let kind = number % KINDS;
    let mut message = vec![0x31, 1, 250, 1, 0, 0, 0, 0];
    let interval = u16::try_from(interval_ms / 10).unwrap_or(100);
    message[4..6].copy_from_slice(&interval.to_be_bytes());
    message.extend_from_slice(&address.octets());
    match kind {
        1 => message[3] = 5,
        2 => {
            message.truncate(8);
            message[3] = 0;
        }
        3 => message[4..6].fill(0),
        4 => message[0] = 0x21,
        5 => message[0] = 0x41,
        6 => message[0] = 0x32,
        7 => message[1] = 77,
        _ => {}
    }
    let sum = checksum(source, &message);
    message[6..8].copy_from_slice(&sum.to_be_bytes());
    match kind {
        0 => spoil(source, &mut message),
        8 => message.truncate(6),
        9 => message.clear(),
        _ => {}
    }
    let ttl = match kind {
        10 => 1,
        11 => 254,
        _ => 255,
    };
    // The kernel fills in length, identification and checksum of the header.
    let mut whole = vec![0x45, 0xc0, 0, 0, 0, 0, 0, 0, ttl, 112, 0, 0];
    whole.extend_from_slice(&source.octets());
    whole.extend_from_slice(&GROUP.octets());
    whole.extend_from_slice(&message);
    whole
}

/// Makes the checksum wrong in both readings: what is wrong with the pseudo-header is right without
/// it for one sender in 65,000, and a good advert of priority 250 is to be obeyed.
fn spoil(source: Ipv4Addr, message: &mut [u8]) {
    loop {
        message[6] = message[6].wrapping_add(0x5a);
        if checksum(source, message) != 0 && ones_complement(message) != 0 {
            return;
        }
    }
}

/// With the pseudo-header, as everybody sends it (RFC 5798 §5.2.8).
fn checksum(source: Ipv4Addr, message: &[u8]) -> u16 {
    let len = u16::try_from(message.len()).unwrap_or_default();
    let mut octets = [source.octets(), GROUP.octets()].concat();
    octets.extend_from_slice(&[0, 112]);
    octets.extend_from_slice(&len.to_be_bytes());
    octets.extend_from_slice(message);
    ones_complement(&octets)
}

fn ones_complement(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or_default();
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_the_worst_distance_from_an_interval() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let adverts = [0, 100, 203, 299, 420].map(|at| start + ms(at));
        let (worst, count) = jitter_ms(&adverts, ms(100), &Starved::default());
        assert!((worst - 21.0).abs() < 0.001 && count == 4);
        assert_eq!(
            jitter_ms(&adverts[..1], ms(100), &Starved::default()).0,
            f64::INFINITY
        );
    }

    /// Found by a quiet run: one packet of a flood was a good advert in the other reading.
    #[test]
    fn a_spoilt_checksum_is_right_in_no_reading() {
        let address = Ipv4Addr::new(10, 101, 1, 1);
        for number in (0..600_000).step_by(KINDS as usize) {
            let whole = packet(number, address, 100);
            let source = <[u8; 4]>::try_from(&whole[12..16]).expect("four octets");
            assert!(checksum(source.into(), &whole[20..]) != 0, "{number}");
            assert!(ones_complement(&whole[20..]) != 0, "{number}");
        }
    }

    /// A machine that stands still is no excuse for a second master, and a flood that was not sent
    /// no proof of anything.
    #[test]
    fn a_change_of_the_master_is_never_noise() {
        let good = Seen {
            transitions: 0,
            jitter_ms: 1.0,
            adverts: 100,
            judged: 90,
            sent: 99_000,
            asked: 100_000.0,
            late: Duration::from_millis(1),
        };
        let noise = |seen: Seen| matches!(judge(&seen), Err(Failure::Noise(_)));
        assert!(!noise(good));
        let starved = Seen {
            judged: 3,
            late: Duration::from_millis(500),
            ..good
        };
        assert!(noise(starved));
        let thin = Seen {
            sent: 89_999,
            ..good
        };
        assert!(noise(thin));
        for seen in [good, starved, thin] {
            let seen = Seen {
                transitions: 2,
                ..seen
            };
            let sample = judge(&seen).expect("it counts");
            assert_eq!(sample.get("transitions"), Some(2.0));
        }
    }

    #[test]
    fn packets_differ_in_sender_and_in_what_is_wrong() {
        let address = Ipv4Addr::new(10, 101, 1, 1);
        let all: Vec<_> = (0..1000).map(|n| packet(n, address, 100)).collect();
        let senders: std::collections::BTreeSet<_> =
            all.iter().map(|one| one[12..16].to_vec()).collect();
        assert!(senders.len() > 990);
        // Those with a good checksum are wrong elsewhere.
        let good = |one: &Vec<u8>| {
            let source = <[u8; 4]>::try_from(&one[12..16]).expect("four octets");
            one.len() >= 28 && checksum(source.into(), &one[20..]) == 0
        };
        let plain = |one: &Vec<u8>| {
            one[8] == 255 && one.len() == 32 && one[20..24] == [0x31, 1, 250, 1] && one[25] != 0
        };
        assert!(all.iter().filter(|one| good(one)).count() > 700);
        assert!(!all.iter().any(|one| good(one) && plain(one)));
    }
}
