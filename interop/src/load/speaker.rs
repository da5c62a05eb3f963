//! Sessions of the load tool: opened one by one, then read all together by one thread.
//!
//! A receiver does as little as it can while the clock runs: it finds message boundaries, counts
//! the prefixes of IPv4 UPDATEs and, where asked to, keeps the octets for the check afterwards.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::player::wire::{self, HEADER_LEN, kind};

const READ_LEN: usize = 1 << 18;
/// Nothing new for this long: what has not come will not come.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Opens a session from `local` and confirms it; returns when the daemon has confirmed, too.
///
/// # Errors
/// Those of the socket, and what the daemon sent instead of OPEN and KEEPALIVE.
pub fn open(local: Ipv4Addr, daemon: SocketAddr, asn: u32) -> io::Result<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match try_open(local, daemon, asn) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn try_open(local: Ipv4Addr, daemon: SocketAddr, asn: u32) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(local.into(), 0).into())?;
    socket.connect_timeout(&daemon.into(), Duration::from_secs(5))?;
    let mut stream: TcpStream = socket.into();
    stream.set_nodelay(true)?;
    let capabilities = [
        wire::multiprotocol(1, 1),
        wire::capability(65, &asn.to_be_bytes()),
    ];
    stream.write_all(&wire::open(asn, 180, local.octets(), &capabilities))?;
    expect(&mut stream, kind::OPEN)?;
    stream.write_all(&wire::keepalive())?;
    expect(&mut stream, kind::KEEPALIVE)?;
    Ok(stream)
}

fn expect(stream: &mut TcpStream, wanted: u8) -> io::Result<()> {
    let mut header = [0_u8; HEADER_LEN];
    stream.read_exact(&mut header)?;
    let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let mut body = vec![0_u8; len.saturating_sub(HEADER_LEN)];
    stream.read_exact(&mut body)?;
    if header[18] == wanted {
        return Ok(());
    }
    let text = format!(
        "message of type {} instead of {wanted}: {body:02x?}",
        header[18]
    );
    Err(io::Error::other(text))
}

/// What one receiver has got.
#[derive(Debug, Default)]
pub struct Tally {
    /// Prefixes announced to it.
    pub announced: usize,
    /// Octets of whole messages, where they are kept.
    pub record: Option<Vec<u8>>,
    carry: Vec<u8>,
}

impl Tally {
    /// A tally that keeps what it gets.
    pub fn recording() -> Self {
        Self {
            record: Some(Vec::new()),
            ..Self::default()
        }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.carry.extend_from_slice(chunk);
        let mut at = 0;
        while let Some(header) = self.carry.get(at..at + HEADER_LEN) {
            let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let kind = header[18];
            let Some(body) = self.carry.get(at + HEADER_LEN..at + len) else {
                break;
            };
            if kind == kind::UPDATE {
                self.announced += announced(body);
            }
            assert!(kind != kind::NOTIFICATION, "NOTIFICATION {body:02x?}");
            at += len;
        }
        if let Some(record) = &mut self.record {
            record.extend_from_slice(&self.carry[..at]);
        }
        self.carry.drain(..at);
    }
}

/// Prefixes in the NLRI field of an UPDATE.
fn announced(body: &[u8]) -> usize {
    let len_at = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let withdrawn = len_at(0);
    let mut at = 4 + withdrawn + len_at(2 + withdrawn);
    let mut count = 0;
    while let Some(len) = body.get(at) {
        at += 1 + usize::from(len.div_ceil(8));
        count += 1;
    }
    count
}

/// Reads all `streams` until each of the tallies has `wanted` prefixes, and tells when that was.
///
/// # Errors
/// A session that ended, or how many prefixes were missing when nothing more came.
pub fn receive(
    streams: &mut [TcpStream],
    tallies: &mut [Tally],
    wanted: usize,
) -> Result<Instant, String> {
    let mut chunk = vec![0_u8; READ_LEN];
    for stream in streams.iter() {
        stream
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
    }
    let mut last = Instant::now();
    loop {
        let mut complete = true;
        for (stream, tally) in streams.iter_mut().zip(tallies.iter_mut()) {
            match stream.read(&mut chunk) {
                Ok(0) => return Err(format!("closed after {} prefixes", tally.announced)),
                Ok(read) => {
                    let before = tally.announced;
                    tally.push(&chunk[..read]);
                    if tally.announced > before {
                        last = Instant::now();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.to_string()),
            }
            complete &= tally.announced >= wanted;
        }
        if complete {
            return Ok(last);
        }
        if last.elapsed() > SILENCE_MAX {
            let least = tallies.iter().map(|tally| tally.announced).min();
            return Err(format!("{least:?} of {wanted} prefixes"));
        }
        let mut polled: Vec<PollFd<'_>> = streams
            .iter()
            .map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN))
            .collect();
        poll(&mut polled, PollTimeout::from(1000_u16)).map_err(|error| error.to_string())?;
    }
}
