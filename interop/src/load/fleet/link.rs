//! One speaker's session: connect, OPEN, KEEPALIVE, then whatever there is to send and to receive.
//!
//! The handshake is RFC 4271 §8 without timers: we connect, both say OPEN and confirm it. Families
//! other than IPv4 unicast are not offered, nor is graceful restart.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use nix::sys::epoll::EpollFlags;
use socket2::{Domain, SockRef, Socket, Type};

use super::Speaker;
use super::inbox::Inbox;
use crate::load::dialect::HOLD_TIME_S;
use crate::player::wire::{self, kind};

/// At most this much of one speaker's octets per event, so that others get their turn.
const WRITE_LEN: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Connects at that time.
    Idle(Instant),
    /// Waits for the connection, then for OPEN and KEEPALIVE.
    Connecting,
    OpenSent,
    OpenConfirm,
    Up,
    /// Ended by the run itself; stays so.
    Gone,
}

/// What is still to be written: shared octets, and how far into the first of them we are.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    parts: std::collections::VecDeque<Arc<[u8]>>,
    at: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn push(&mut self, octets: Arc<[u8]>) {
        if !octets.is_empty() {
            self.parts.push_back(octets);
        }
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.at = 0;
    }

    fn write(&mut self, target: &mut impl Write) -> io::Result<()> {
        let mut left = WRITE_LEN;
        while let Some(part) = self.parts.front() {
            let rest = &part[self.at..];
            let piece = &rest[..rest.len().min(left)];
            let written = match target.write(piece) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.at += written;
            left -= written;
            if self.at == part.len() {
                self.parts.pop_front();
                self.at = 0;
            }
            if left == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) speaker: Speaker,
    pub(super) state: State,
    pub(super) socket: Option<TcpStream>,
    pub(super) inbox: Inbox,
    pub(super) out: Outgoing,
}

impl Link {
    pub(super) fn new(speaker: Speaker) -> Self {
        let inbox = Inbox::new(speaker.receives);
        Self {
            speaker,
            state: State::Gone,
            socket: None,
            inbox,
            out: Outgoing::default(),
        }
    }

    pub(super) fn connect(&mut self, daemon: SocketAddr) -> io::Result<&TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SocketAddr::new(self.speaker.address.into(), 0).into())?;
        match socket.connect(&daemon.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        self.inbox.clear();
        self.out.clear();
        self.state = State::Connecting;
        Ok(self.socket.insert(socket.into()))
    }

    pub(super) fn retry(&mut self, at: Instant) {
        self.socket = None;
        self.out.clear();
        self.state = State::Idle(at);
    }

    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.state = State::Gone;
        self.out.clear();
        let Some(socket) = self.socket.take() else {
            return Ok(());
        };
        // To close with a linger time of zero is to reset.
        SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO))
    }

    pub(super) fn wants_to_write(&self) -> bool {
        self.state == State::Connecting || !self.out.is_empty()
    }

    /// Queues a KEEPALIVE where nothing else is under way; whether it did.
    pub(super) fn keep_alive(&mut self) -> bool {
        let idle = self.state == State::Up && self.out.is_empty();
        if idle {
            self.out.push(wire::keepalive().into());
        }
        idle
    }

    /// Handles readiness; whether UPDATEs came.
    pub(super) fn handle(&mut self, flags: EpollFlags, now: Instant) -> Result<bool, String> {
        if self.state == State::Connecting {
            self.connected()?;
        }
        let mut updates = false;
        if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            updates = self.read(now)?;
        }
        if flags.contains(EpollFlags::EPOLLOUT) || !self.out.is_empty() {
            let Some(socket) = &mut self.socket else {
                return Ok(updates);
            };
            self.out.write(socket).map_err(|error| error.to_string())?;
        }
        Ok(updates)
    }

    fn connected(&mut self) -> Result<(), String> {
        let socket = self.socket.as_ref().ok_or("no socket")?;
        if let Some(error) = socket.take_error().map_err(|error| error.to_string())? {
            return Err(error.to_string());
        }
        let Speaker { address, asn, .. } = self.speaker;
        let capabilities = [
            wire::multiprotocol(1, 1),
            wire::capability(65, &asn.to_be_bytes()),
        ];
        let open = wire::open(asn, HOLD_TIME_S, address.octets(), &capabilities);
        self.out.push(open.into());
        self.state = State::OpenSent;
        Ok(())
    }

    fn read(&mut self, now: Instant) -> Result<bool, String> {
        let socket = self.socket.as_mut().ok_or("no socket")?;
        match self.inbox.fill(socket, now) {
            Ok(0) => return Err(self.ended("closed")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(self.ended(&error.to_string())),
        }
        let mut updates = false;
        while let Some(message) = self.inbox.next() {
            match (self.state, message.kind) {
                (State::Up, kind::UPDATE) => updates = true,
                (State::OpenSent, kind::OPEN) => {
                    self.out.push(wire::keepalive().into());
                    self.state = State::OpenConfirm;
                }
                (State::OpenConfirm, kind::KEEPALIVE) => {
                    self.out.push(self.speaker.greeting.clone());
                    self.state = State::Up;
                }
                (State::Up, kind::KEEPALIVE | kind::ROUTE_REFRESH) => {}
                (state, kind) => {
                    let from = self.inbox.octets().len().saturating_sub(64);
                    let end = &self.inbox.octets()[from..];
                    return Err(format!("message of type {kind} in {state:?}: …{end:02x?}"));
                }
            }
        }
        Ok(updates)
    }

    fn ended(&self, why: &str) -> String {
        format!("{why} after {} prefixes", self.inbox.changes())
    }
}
