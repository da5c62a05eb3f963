//! Tests of the peer machine, and the bench they share.
//!
//! [`Bench`] drives one [`Peer`] by hand: it holds the clock, plays the neighbor's messages and
//! collects what the machine wants done. `table` goes through every (state, event) pair, the other
//! files through one subject each; `sim` lets two peers talk over a model network.

mod admin;
mod collision;
mod fuzz;
mod judge;
mod restart;
mod sim;
mod table;
mod time;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto_codec::afi::AfiSafi;
use proto_codec::bgp::notification::CeaseSubcode;
use proto_codec::bgp::{Capability, KEEPALIVE, Notification, Open};

use super::*;

pub const LOCAL_ASN: u32 = 64512;
pub const REMOTE_ASN: u32 = 64500;
pub const OPEN_CODE: u8 = 2;

pub fn local_id() -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 11)
}

/// Lower than [`local_id`]: our dial survives a collision.
pub fn low_id() -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 1)
}

/// Higher than [`local_id`]: the peer's dial survives a collision.
pub fn high_id() -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 99)
}

pub fn config() -> PeerConfig {
    PeerConfig::new(LOCAL_ASN, local_id(), AsnRule::Exact(REMOTE_ASN))
}

/// The OPEN of an ordinary neighbor.
pub fn remote_open() -> Open {
    Open {
        asn: REMOTE_ASN,
        hold_time_s: 90,
        router_id: low_id(),
        capabilities: vec![
            Capability::Multiprotocol(AfiSafi::IPV4_UNICAST),
            Capability::RouteRefresh,
            Capability::FourOctetAs(REMOTE_ASN),
        ],
    }
}

pub fn shutdown(message: &str) -> Notification {
    Notification::cease_with_message(CeaseSubcode::AdministrativeShutdown, message)
}

pub fn reset() -> Notification {
    Notification::cease(CeaseSubcode::AdministrativeReset)
}

/// A message of any type with this body.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut all = vec![0xff; 16];
    let len = u16::try_from(19 + body.len()).expect("a short body");
    all.extend_from_slice(&len.to_be_bytes());
    all.push(kind);
    all.extend_from_slice(body);
    all
}

/// The smallest UPDATE: an End-of-RIB.
pub fn update() -> Vec<u8> {
    message(2, &[0, 0, 0, 0])
}

pub fn ends() -> (SocketAddr, SocketAddr) {
    let local = SocketAddr::new(local_id().into(), 40000);
    (local, SocketAddr::new(low_id().into(), 179))
}

/// One peer, its clock, and what it wants done.
pub struct Bench {
    pub peer: Peer,
    pub now: Instant,
    /// Every action so far; tests look at and clear it.
    pub actions: Vec<Action>,
}

impl Bench {
    pub fn new(config: PeerConfig) -> Bench {
        Bench {
            peer: Peer::new(config, 7, 1),
            now: Instant::now(),
            actions: Vec::new(),
        }
    }

    /// A started peer.
    pub fn started(config: PeerConfig) -> Bench {
        let mut bench = Bench::new(config);
        bench.command(Command::Start);
        bench
    }

    /// A peer whose dial led to this state, and the connection.
    pub fn dialled(config: PeerConfig, state: State) -> (Bench, ConnId) {
        let mut bench = Bench::started(config);
        let conn = bench.peer.dial.expect("a dial");
        bench.open(conn, Direction::Outbound);
        if state > State::OpenSent {
            bench.frame(conn, &remote_open().to_bytes());
        }
        if state > State::OpenConfirm {
            bench.frame(conn, &KEEPALIVE);
        }
        assert_eq!(bench.peer.state(), state);
        bench.sent(conn);
        bench.actions.clear();
        (bench, conn)
    }

    pub fn established() -> (Bench, ConnId) {
        Bench::dialled(config(), State::Established)
    }

    pub fn collect(&mut self) {
        while let Some(action) = self.peer.poll_action() {
            self.actions.push(action);
        }
    }

    pub fn command(&mut self, command: Command) {
        self.peer.handle_command(self.now, command);
        self.collect();
    }

    pub fn conn(&mut self, conn: ConnId, event: ConnEvent) {
        self.peer.handle_conn(self.now, conn, event);
        self.collect();
    }

    pub fn open(&mut self, conn: ConnId, direction: Direction) {
        let (local, remote) = ends();
        self.conn(
            conn,
            ConnEvent::Opened {
                direction,
                local,
                remote,
            },
        );
    }

    /// The neighbor's dial arrives.
    pub fn accept(&mut self) -> ConnId {
        let conn = self.peer.accept_id();
        self.open(conn, Direction::Inbound);
        conn
    }

    pub fn frame(&mut self, conn: ConnId, frame: &[u8]) -> bool {
        let disposition = self.peer.handle_frame(self.now, conn, frame);
        let consumed = disposition == Disposition::Consumed;
        self.collect();
        consumed
    }

    /// Lets time pass, handling each timeout when it is due.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.peer.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.peer.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// Jumps to the time of this timer and handles it; false when it does not run.
    pub fn expire(&mut self, timer: Timer) -> bool {
        let Some(at) = self.peer.timer(timer) else {
            return false;
        };
        self.now = self.now.max(at);
        self.peer.handle_timeout(self.now);
        self.collect();
        true
    }

    /// Everything the connection has to send now.
    pub fn sent(&mut self, conn: ConnId) -> Vec<Bytes> {
        std::iter::from_fn(|| self.peer.poll_transmit(conn)).collect()
    }

    /// The NOTIFICATION at the end of the last `Close`, if any.
    pub fn farewell(&self) -> Option<Notification> {
        let mut closes = self.actions.iter().rev().filter_map(|action| match action {
            Action::Close { farewell, .. } => Some(farewell.clone()),
            _ => None,
        });
        last_notification(&closes.next()?)
    }

    pub fn closed(&self, conn: ConnId) -> bool {
        let close = |a: &Action| matches!(a, Action::Close { conn: id, .. } if *id == conn);
        self.actions.iter().any(close)
    }

    pub fn downs(&self) -> Vec<&Down> {
        let actions = self.actions.iter();
        actions
            .filter_map(|a| {
                if let Action::Down(down) = a {
                    Some(&**down)
                } else {
                    None
                }
            })
            .collect()
    }

    pub fn ups(&self) -> Vec<&Established> {
        let actions = self.actions.iter();
        actions
            .filter_map(|a| {
                if let Action::Up(up) = a {
                    Some(&**up)
                } else {
                    None
                }
            })
            .collect()
    }

    pub fn transitions(&self) -> Vec<&Transition> {
        let actions = self.actions.iter();
        actions
            .filter_map(|a| {
                if let Action::Transition(t) = a {
                    Some(&**t)
                } else {
                    None
                }
            })
            .collect()
    }
}

/// The NOTIFICATION at the end of a block of messages.
pub fn last_notification(mut block: &[u8]) -> Option<Notification> {
    let mut last = None;
    while block.len() >= 19 {
        let len = usize::from(u16::from_be_bytes([block[16], block[17]]));
        last = (block[18] == 3).then(|| Notification::decode(&block[19..len]).expect("ours"));
        block = &block[len..];
    }
    last
}

/// Code and subcode.
pub fn code(notification: Option<Notification>) -> Option<(u8, u8)> {
    notification.map(|n| (n.code, n.subcode))
}
