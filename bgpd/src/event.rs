//! What happened, as values: the one source for the log, `monitor` and the tests.
//!
//! The speaker emits [`Event`]s and knows nothing of formats. Whoever drives it stamps them with
//! wall-clock time, writes them to the log at the level [`Event::level`] gives and keeps the last
//! [`RING_LEN`] for monitors. A monitor that is too slow is told how many it missed; it never
//! holds up the daemon.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::session::State;

/// Events kept for monitors: seconds of a busy start, hours of a quiet day. A monitor that falls
/// further behind loses the oldest and is told so.
pub const RING_LEN: usize = 4096;

/// Something worth a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session changed state.
    Session {
        /// Whose.
        neighbor: IpAddr,
        /// Before.
        from: State,
        /// After; equal to `from` when something was refused.
        to: State,
        /// The RFC event and what ended, in words.
        cause: String,
    },
    /// A connection from somebody we do not talk to.
    Refused {
        /// Who.
        remote: SocketAddr,
        /// Why not.
        reason: &'static str,
    },
    /// A message was wrong in a way the session survives (RFC 7606).
    Malformed {
        /// From whom.
        neighbor: IpAddr,
        /// Attribute, offset and reaction.
        text: String,
    },
    /// A neighbor, or what it does, needs the operator's attention.
    Attention {
        /// The neighbor, if it is one.
        neighbor: Option<IpAddr>,
        /// The sentence.
        text: String,
    },
    /// Something went as it should and is worth knowing.
    Notice {
        /// The neighbor, if it is one.
        neighbor: Option<IpAddr>,
        /// The sentence.
        text: String,
    },
    /// A prefix has a new best path, or none.
    Route {
        /// Which.
        prefix: IpNet,
        /// What it is now.
        text: String,
    },
}

/// How loud an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something needs attention.
    Warn,
    /// The life of the daemon.
    Info,
    /// Detail.
    Debug,
}

impl Event {
    /// How loud it is.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Session { .. } if self.is_up_or_down() => Level::Info,
            Self::Session { .. } | Self::Refused { .. } | Self::Route { .. } => Level::Debug,
            Self::Malformed { .. } | Self::Attention { .. } => Level::Warn,
            Self::Notice { .. } => Level::Info,
        }
    }

    /// Whether a session became Established or left it.
    #[must_use]
    pub fn is_up_or_down(&self) -> bool {
        match self {
            Self::Session { from, to, .. } => {
                from != to && [*from, *to].contains(&State::Established)
            }
            _ => false,
        }
    }

    /// The neighbor it is about.
    #[must_use]
    pub fn neighbor(&self) -> Option<IpAddr> {
        match self {
            Self::Session { neighbor, .. } | Self::Malformed { neighbor, .. } => Some(*neighbor),
            Self::Refused { remote, .. } => Some(remote.ip()),
            Self::Attention { neighbor, .. } | Self::Notice { neighbor, .. } => *neighbor,
            Self::Route { .. } => None,
        }
    }

    /// The prefix it is about.
    #[must_use]
    pub fn prefix(&self) -> Option<IpNet> {
        match self {
            Self::Route { prefix, .. } => Some(*prefix),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session {
                from, to, cause, ..
            } if from == to => write!(f, "{from}: {cause}"),
            Self::Session {
                from, to, cause, ..
            } => write!(f, "{from} -> {to}: {cause}"),
            Self::Refused { remote, reason } => {
                write!(f, "connection from {remote} refused: {reason}")
            }
            Self::Malformed { text, .. }
            | Self::Attention { text, .. }
            | Self::Notice { text, .. }
            | Self::Route { text, .. } => f.write_str(text),
        }
    }
}

/// An event with its number and wall-clock time.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// Counts up from 0 without gaps.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub epoch_ms: u64,
    /// What happened.
    pub event: Event,
}

/// The last events, for readers with a cursor.
#[derive(Debug, Default)]
pub struct EventRing {
    ring: VecDeque<Stamped>,
    next_seq: u64,
}

impl EventRing {
    /// Keeps an event; the oldest goes when there are too many.
    pub fn push(&mut self, epoch_ms: u64, event: Event) {
        if self.ring.len() == RING_LEN {
            self.ring.pop_front();
        }
        self.ring.push_back(Stamped {
            seq: self.next_seq,
            epoch_ms,
            event,
        });
        self.next_seq += 1;
    }

    /// Where a new reader starts: behind everything there is.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.next_seq
    }

    /// The events from `cursor` on, which moves behind them, and how many were lost before.
    pub fn read(&self, cursor: &mut u64) -> (u64, Vec<Stamped>) {
        let first = self
            .ring
            .front()
            .map_or(self.next_seq, |stamped| stamped.seq);
        let lost = first.saturating_sub(*cursor);
        let from = usize::try_from((*cursor).max(first) - first).unwrap_or(usize::MAX);
        *cursor = self.next_seq;
        (lost, self.ring.iter().skip(from).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(text: &str) -> Event {
        Event::Notice {
            neighbor: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_reader_gets_what_came_after_it_started_and_learns_what_it_missed() {
        let mut ring = EventRing::default();
        ring.push(1, notice("before"));
        let mut cursor = ring.end();
        ring.push(2, notice("after"));
        let (lost, events) = ring.read(&mut cursor);
        assert_eq!((lost, events.len()), (0, 1));
        assert_eq!(events[0].event.to_string(), "after");
        for _ in 0..RING_LEN + 3 {
            ring.push(3, notice("flood"));
        }
        let (lost, events) = ring.read(&mut cursor);
        assert_eq!((lost, events.len()), (3, RING_LEN));
        assert_eq!(ring.read(&mut cursor).1.len(), 0);
    }
}
