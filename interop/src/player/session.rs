//! One BGP session, as told: connect or accept, OPEN, KEEPALIVE, and then whatever the test sends.
//!
//! A thread reads the socket and keeps a [`Table`]; the test waits for conditions on it with a
//! deadline. Keepalives go out from the reader's idle loop, so that a test that computes for a
//! while does not lose its session; while the test itself sends, its messages do as well.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::strict::{Reading, Table};
use super::wire::{self, HEADER_LEN, kind};

/// Longest wait for anything, unless a test says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(20);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const READ_LEN: usize = 1 << 18;

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The daemon sent NOTIFICATION code, subcode, data.
    Notification(u8, u8, Vec<u8>),
    /// The connection was closed without one.
    Closed,
    /// The daemon sent something malformed: the breach in words.
    Malformed(String),
}

/// What the reader thread has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The daemon's table as announced to us.
    pub table: Table,
    /// Body of the daemon's OPEN.
    pub open: Option<Vec<u8>>,
    /// A KEEPALIVE has come: the daemon is in OpenConfirm or later.
    pub established: bool,
    /// ROUTE-REFRESH bodies.
    pub refreshes: Vec<Vec<u8>>,
    /// How it ended, once it has.
    pub ended: Option<Ended>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// Held while octets are written, so that no KEEPALIVE gets into the middle of a message.
    writing: Mutex<()>,
    changed: Condvar,
}

/// One session with the daemon under test.
#[derive(Debug)]
pub struct Player {
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Player {
    /// Connects from `local` to `daemon` and starts reading; nothing is sent yet. A daemon that
    /// does not listen yet is tried again.
    ///
    /// # Errors
    /// Those of the socket calls.
    pub fn connect(local: IpAddr, daemon: SocketAddr, reading: Reading) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(daemon);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(local, 0).into())?;
            match socket.connect_timeout(&daemon.into(), PATIENCE) {
                Ok(()) => return Self::start(socket.into(), reading),
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionRefused
                        && Instant::now() < deadline =>
                {
                    std::thread::yield_now();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn start(stream: TcpStream, reading: Reading) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let shared = Arc::new(Shared::default());
        let reader = Reader {
            stream: stream.try_clone()?,
            shared: shared.clone(),
            reading,
        };
        std::thread::spawn(move || reader.run());
        Ok(Self { stream, shared })
    }

    /// Sends `open`, waits for the daemon's OPEN, confirms it and waits to be confirmed.
    ///
    /// # Errors
    /// How the session ended, if it did; `None` if nothing came in time.
    pub fn establish(&mut self, open: &[u8]) -> Result<(), Option<Ended>> {
        self.send(open).map_err(|_| self.ended())?;
        if !self.wait(|seen| seen.open.is_some()) {
            return Err(self.ended());
        }
        self.send(&wire::keepalive()).map_err(|_| self.ended())?;
        if !self.wait(|seen| seen.established) {
            return Err(self.ended());
        }
        Ok(())
    }

    /// Writes octets as they are.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _writing = self
            .shared
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.stream.write_all(bytes)
    }

    /// Waits until `condition` holds; false when the session ended or time ran out before.
    pub fn wait(&self, condition: impl Fn(&Seen) -> bool) -> bool {
        self.wait_for(PATIENCE, condition)
    }

    /// As [`Self::wait`], with a deadline of the caller's.
    pub fn wait_for(&self, patience: Duration, condition: impl Fn(&Seen) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        let mut seen = self.seen();
        loop {
            if condition(&seen) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if seen.ended.is_some() || left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was seen up to now.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How the session ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.seen().ended.clone()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // The reader thread wakes up by this and ends; a socket already closed is no news.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

struct Reader {
    stream: TcpStream,
    shared: Arc<Shared>,
    reading: Reading,
}

impl Reader {
    fn run(mut self) {
        let mut buffer = Vec::new();
        let mut chunk = vec![0_u8; READ_LEN];
        let mut keepalive_due = Instant::now() + KEEPALIVE_EVERY;
        let _ = self.stream.set_read_timeout(Some(Duration::from_secs(1)));
        loop {
            let read = match self.stream.read(&mut chunk) {
                Ok(0) => return self.end(Ended::Closed),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return self.end(Ended::Closed),
            };
            buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if let Err(ended) = self.consume(&mut buffer) {
                return self.end(ended);
            }
            if Instant::now() >= keepalive_due {
                if self.keep_alive().is_err() {
                    return self.end(Ended::Closed);
                }
                keepalive_due = Instant::now() + KEEPALIVE_EVERY;
            }
        }
    }

    fn keep_alive(&mut self) -> io::Result<()> {
        if !self.lock().established {
            return Ok(());
        }
        match self.shared.writing.try_lock() {
            Ok(_writing) => self.stream.write_all(&wire::keepalive()),
            Err(_) => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, ended: Ended) {
        self.lock().ended.get_or_insert(ended);
        self.shared.changed.notify_all();
    }

    /// Takes whole messages off the buffer.
    fn consume(&self, buffer: &mut Vec<u8>) -> Result<(), Ended> {
        let mut seen = self.lock();
        let mut at = 0;
        while let Some(header) = buffer.get(at..at + HEADER_LEN) {
            let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let marker = header[..16].iter().all(|octet| *octet == 0xff);
            if !marker || len < HEADER_LEN {
                return Err(Ended::Malformed(format!("header {header:02x?}")));
            }
            let Some(message) = buffer.get(at..at + len) else {
                break;
            };
            self.message(&mut seen, message[18], &message[HEADER_LEN..])?;
            at += len;
        }
        buffer.drain(..at);
        drop(seen);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn message(&self, seen: &mut Seen, kind: u8, body: &[u8]) -> Result<(), Ended> {
        match kind {
            kind::OPEN => seen.open = Some(body.to_vec()),
            kind::KEEPALIVE => seen.established = true,
            kind::UPDATE => seen
                .table
                .read(body, self.reading)
                .map_err(Ended::Malformed)?,
            kind::ROUTE_REFRESH => seen.refreshes.push(body.to_vec()),
            kind::NOTIFICATION => {
                let [code, subcode, data @ ..] = body else {
                    return Err(Ended::Malformed(format!("NOTIFICATION {body:02x?}")));
                };
                return Err(Ended::Notification(*code, *subcode, data.to_vec()));
            }
            other => return Err(Ended::Malformed(format!("message type {other}"))),
        }
        Ok(())
    }
}
