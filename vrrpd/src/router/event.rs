//! States, what a router asks for, and what it tells.
//!
//! Actions are for machines and come in an order that matters; events are for people and carry
//! their reason as a value, so that log, history and views cannot disagree. Names follow RFC 8347
//! where it has them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::conflict::Conflict;
use super::ladder::Discard;

/// State of a virtual router (RFC 9568 §6.2). RFC 9568 says Active where operators, RFC 3768 and
/// every other daemon say Master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Takes no part.
    Initialize,
    /// Watches the master.
    Backup,
    /// Answers for the addresses.
    Master,
}

impl State {
    /// A stable word for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Master => "master",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "Initialize",
            Self::Backup => "Backup",
            Self::Master => "Master",
        })
    }
}

/// Why a router cannot take part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The interface does not exist (yet).
    NoInterface(String),
    /// The interface has no carrier or is set down.
    InterfaceDown(String),
    /// The interface has no address to send from.
    NoPrimaryAddress(String),
    /// The sockets cannot be used; the text of the system.
    Socket(String),
    /// Another instance of this host has this vrid on the same link; which.
    SameId(String),
    /// A virtual address is on the interface and somebody else put it there.
    NotOurs(String),
    /// The kernel does not take a virtual address; which, and its text.
    Refused(String),
    /// The link that carries the virtual MAC cannot be had; the text of the system.
    VirtualMac(String),
    /// `accept = false` cannot be kept; the text of the system.
    Filter(String),
    /// The operator holds it (`vrrp hold`).
    Held,
    /// Another member of its sync group is at fault.
    Group {
        /// The group.
        group: String,
        /// The other member.
        member: String,
        /// What is wrong with that one.
        text: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface(name) => write!(f, "interface {name} does not exist"),
            Self::InterfaceDown(name) => write!(f, "interface {name} is down"),
            Self::NoPrimaryAddress(name) => write!(f, "interface {name} has no address"),
            Self::Socket(text) => write!(f, "sockets: {text}"),
            Self::SameId(other) => write!(
                f,
                "instance {other} has the same vrid on this segment: write another `vrid`"
            ),
            Self::NotOurs(address) => write!(
                f,
                "{address} is on the interface already and not ours: take it off, or write \
                 priority = 255 where it is this router's own"
            ),
            Self::Refused(text) => write!(f, "the kernel refuses {text}"),
            Self::VirtualMac(text) => write!(f, "virtual MAC: {text}"),
            Self::Filter(text) => write!(f, "`accept = false` cannot be kept: {text}"),
            Self::Held => f.write_str("held by the operator"),
            Self::Group {
                group,
                member,
                text,
            } => write!(f, "with {member} of group {group}: {text}"),
        }
    }
}

/// Why the state changed; the words of RFC 8347's events where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The router starts as a backup.
    Startup,
    /// It starts as the owner of the addresses.
    Owner,
    /// Nothing was heard of the master for the down interval.
    MasterTimeout,
    /// The master let go (priority 0).
    MasterReleased(IpAddr),
    /// The master is worse and preemption is on.
    Preempt(IpAddr),
    /// A better master was heard.
    HigherPriority {
        /// Who.
        peer: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// A master of equal priority and higher address was heard.
    HigherAddress(IpAddr),
    /// Something is at fault.
    Fault(Fault),
    /// A check without weight is bad: which, and what it found.
    Unhealthy(String),
    /// It is bad here, and nobody better answers.
    LastResort,
    /// This process did not run for so long that backups have taken over.
    Late(Duration),
    /// Another member of its sync group is backup.
    Group {
        /// The group.
        group: String,
        /// The other member.
        member: String,
        /// Why that one is.
        text: String,
    },
    /// The operator asked.
    Operator,
    /// The daemon stops, or the instance is removed.
    Shutdown,
}

impl Why {
    /// A stable word for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Owner => "owner",
            Self::MasterTimeout => "master-timeout",
            Self::MasterReleased(_) => "master-released",
            Self::Preempt(_) => "preempt",
            Self::HigherPriority { .. } => "higher-priority",
            Self::HigherAddress(_) => "higher-address",
            Self::Fault(_) => "fault",
            Self::Unhealthy(_) => "unhealthy",
            Self::LastResort => "last-resort",
            Self::Late(_) => "late",
            Self::Group { .. } => "group",
            Self::Operator => "operator",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup => f.write_str("startup"),
            Self::Owner => f.write_str("startup as owner of the addresses"),
            Self::MasterTimeout => f.write_str("no advert within the master down interval"),
            Self::MasterReleased(peer) => write!(f, "master {peer} released"),
            Self::Preempt(peer) => write!(f, "preempts {peer}"),
            Self::HigherPriority { peer, priority } => {
                write!(f, "{peer} has priority {priority}")
            }
            Self::HigherAddress(peer) => write!(f, "{peer} has equal priority, higher address"),
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::Unhealthy(check) => f.write_str(check),
            Self::LastResort => f.write_str("last resort: no healthy router answers"),
            Self::Late(gap) => write!(f, "this process stood still for {} ms", gap.as_millis()),
            Self::Group {
                group,
                member,
                text,
            } => write!(f, "with {member} of group {group}: {text}"),
            Self::Operator => f.write_str("operator"),
            Self::Shutdown => f.write_str("shutdown"),
        }
    }
}

/// What the world around has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put the virtual addresses on the interface, and keep them there.
    Take,
    /// Keep those that another process left there: nobody has to wait for that.
    Keep,
    /// Tell the link where the addresses are: gratuitous ARP or unsolicited advertisement.
    Announce,
    /// Send an advert.
    Send {
        /// The group or a unicast peer.
        destination: IpAddr,
        /// The VRRP message, without IP header.
        message: Bytes,
    },
    /// Take the virtual addresses off.
    LetGo,
}

/// What people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The state changed.
    Transition {
        /// Before.
        from: State,
        /// Now.
        to: State,
        /// The reason.
        why: Why,
    },
    /// Adverts were discarded; told at most once per [`super::conflict::TOLD_EVERY`] and reason.
    Discarded {
        /// Sender of the last.
        source: IpAddr,
        /// The reason.
        reason: Discard,
        /// How many since the last event.
        count: u64,
    },
    /// Adverts did not leave this host; told at most once per [`super::conflict::TOLD_EVERY`].
    Unsent {
        /// The text of the system, for the last.
        reason: String,
        /// How many since the last event.
        count: u64,
    },
    /// Something is wrong with the segment.
    Conflict(Conflict),
    /// It is no longer.
    Resolved(Conflict),
    /// The verdict of a check changed: in words, and whether it is good now.
    Checked {
        /// Which, and what it found.
        text: String,
        /// It is good now.
        good: bool,
    },
    /// The down timer ran out while this process stood still; it waits once more.
    Excused(Duration),
}
