//! One feeder, one receiver, a million prefixes: what the engine alone costs.
//!
//! UPDATEs are encoded before the clock starts (a length mix like the real table's, about six
//! prefixes per attribute set), then decoded, taken in, settled in batches as a socket would
//! deliver them, and read by the receiver. Prints time per prefix for each stage and the resident
//! memory. `cargo run --release -p rib --example load [PREFIXES] [FEEDERS] [RECEIVERS]`
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proto_codec::afi::V4;
use proto_codec::bgp::{
    AttrCache, AttrEdit, DecodeContext, EncodeContext, HEADER_LEN, NextHop, Origin, decode_update,
    encode_announce,
};
use proto_codec::prefix::Prefix4;
use rib::{PeerSession, PeerSlot, Rib, RibConfig};

const ASN: u32 = 65000;
/// Octets taken in between two calls of `settle`, as a reader with a 256 KiB buffer would.
const READ_OCTETS: usize = 256 << 10;

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>());
    let mut next = |default| args.next().and_then(Result::ok).unwrap_or(default);
    let (prefixes, feeders, receivers) = (next(1_000_000), next(1), next(1));
    let feeds: Vec<Vec<Bytes>> = (0..feeders).map(|n| feed(prefixes, n)).collect();
    let before = rss_kib();
    let mut rib = Rib::new(RibConfig {
        seed: 1,
        ..RibConfig::new(Ipv4Addr::new(10, 0, 0, 254), ASN)
    });
    for n in 0..feeders + receivers {
        rib.peer_up(session(n, &rib));
    }
    let mut spent = Spent::default();
    let (start, cpu) = (Instant::now(), cpu_ns());
    let mut position = vec![0; feeds.len()];
    let mut caches: Vec<AttrCache> = feeds.iter().map(|_| AttrCache::new()).collect();
    loop {
        let mut fed = false;
        for (n, messages) in (0u32..).zip(&feeds) {
            let n_index = n as usize;
            let (at, cache) = (&mut position[n_index], &mut caches[n_index]);
            fed |= turn(&mut rib, n, messages, at, (cache, &mut spent));
        }
        spent.settle += timed(|| rib.settle());
        for n in feeders..feeders + receivers {
            spent.transmit += timed(|| {
                while let Some(bytes) = rib.poll_transmit(slot(n)) {
                    spent.sent += bytes.len();
                }
            });
        }
        if !fed {
            break;
        }
    }
    let wall = start.elapsed();
    let cpu = Duration::from_nanos(cpu_ns() - cpu);
    report(
        &rib,
        &spent,
        (wall, cpu),
        f64::from(prefixes * feeders),
        before,
    );
    let cpu = cpu_ns();
    let down = timed(|| {
        rib.peer_down(slot(0), false);
        rib.settle();
        for n in feeders..feeders + receivers {
            while rib.poll_transmit(slot(n)).is_some() {}
        }
    });
    let cpu = Duration::from_nanos(cpu_ns() - cpu);
    let resident = (rss_kib() - before) / 1024;
    println!("peer down  CPU {cpu:?} (wall {down:?}), resident {resident} MiB");
}

#[derive(Default)]
struct Spent {
    decode: Duration,
    update: Duration,
    settle: Duration,
    transmit: Duration,
    sent: usize,
}

/// Takes in as much as one read of a socket would give; whether there was anything.
fn turn(
    rib: &mut Rib,
    n: u32,
    messages: &[Bytes],
    at: &mut usize,
    spent: (&mut AttrCache, &mut Spent),
) -> bool {
    let (cache, spent) = spent;
    let context = DecodeContext {
        local_asn: ASN,
        peer_asn: 65001 + n,
        ..DecodeContext::default()
    };
    let mut octets = 0;
    let mut batch = Vec::new();
    while let Some(message) = messages.get(*at)
        && octets < READ_OCTETS
    {
        octets += message.len();
        batch.push(message);
        *at += 1;
    }
    spent.update += timed(|| {
        for message in &batch {
            if let Ok(update) = decode_update(&message[HEADER_LEN..], &context, cache) {
                rib.update(slot(n), &update);
            }
        }
    });
    !batch.is_empty()
}

fn slot(n: u32) -> PeerSlot {
    PeerSlot(u16::try_from(n).unwrap_or(0))
}

fn session(n: u32, rib: &Rib) -> PeerSession {
    let address = IpAddr::V4(Ipv4Addr::from(0x0a01_0000 + n));
    PeerSession::new(slot(n), address, 65001 + n, rib.config())
}

/// Whole UPDATEs for `prefixes` prefixes, about six to an attribute set.
fn feed(prefixes: u32, feeder: u32) -> Vec<Bytes> {
    let mut messages = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15u64 ^ u64::from(feeder);
    let mut roll = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut made = 0;
    let mut out = BytesMut::new();
    while made < prefixes {
        let mut edit = AttrEdit::new(
            Origin::Igp,
            NextHop::V4(Ipv4Addr::from(0xc000_0201 + feeder)),
        );
        let hops = 2 + roll(4);
        let mut path = vec![65001 + feeder];
        path.extend((0..hops).map(|_| 1000 + u32::try_from(roll(70_000)).unwrap_or(0)));
        edit.set_as_path(&path);
        for _ in 0..roll(4) {
            edit.add_community(u32::try_from(roll(1 << 32)).unwrap_or(0) & 0x7fff_ffff);
        }
        let attrs = edit.finish();
        let count = (5 + u32::try_from(roll(4)).unwrap_or(0)).min(prefixes - made);
        let list: Vec<(u32, Prefix4)> = (made..made + count).map(|n| (0, prefix(n))).collect();
        let mut nlri = list.into_iter().peekable();
        while nlri.peek().is_some() {
            let context = EncodeContext::default();
            if encode_announce::<V4>(&context, &attrs, &mut nlri, &mut out).is_err() {
                return messages;
            }
            messages.push(out.split().freeze());
        }
        made += count;
    }
    messages
}

/// The n-th prefix: 60 % of length 24, the rest from 16 to 23, scattered over the address space.
fn prefix(n: u32) -> Prefix4 {
    let length = match n % 10 {
        0..6 => 24,
        6 | 7 => 22,
        8 => 21,
        _ => 20,
    };
    // An odd factor permutes the numbers below 2^20, so places are distinct, and scattered.
    let place = n.wrapping_mul(0x9e37_79b1) & 0xf_ffff;
    let addr = match length {
        24 => 0x1000_0000 + (place << 8),
        _ => 0x4000_0000 + (place << 12),
    };
    Prefix4::new(Ipv4Addr::from(addr), length)
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn report(rib: &Rib, spent: &Spent, times: (Duration, Duration), routes: f64, before: u64) {
    let each = |time: Duration| time.as_secs_f64() * 1e9 / routes;
    let family = proto_codec::afi::Family::Ipv4Unicast;
    let stats = rib.table_stats(family);
    let shared = rib.shared_stats();
    println!(
        "routes     {routes}, {} prefixes, {} attribute sets",
        stats.prefixes, shared.attr_sets
    );
    let (wall, cpu) = times;
    println!(
        "CPU        {cpu:?}, {:.0} ns per route (wall {wall:?})",
        each(cpu)
    );
    println!(
        "  decode+update {:.0}, settle {:.0}",
        each(spent.decode + spent.update),
        each(spent.settle)
    );
    println!(
        "  transmit      {:.0}, {} octets",
        each(spent.transmit),
        spent.sent
    );
    println!(
        "memory     table and out {} MiB, attributes {} MiB, resident {} MiB",
        stats.memory >> 20,
        shared.attr_memory >> 20,
        (rss_kib() - before) / 1024
    );
}

/// Time this process has been running on a processor: a busy machine does not distort it.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = stat.split(' ').next().and_then(|time| time.parse().ok());
    first.unwrap_or(0)
}

/// Resident memory of this process.
fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
