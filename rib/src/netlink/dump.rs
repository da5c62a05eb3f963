//! Dumps, one datagram at a time, so that a dump of a full table holds nothing up.
//!
//! An audit is a list of dumps. Links, addresses and next hop objects are short and read in one
//! go; then each table's routes stream in while the event loop keeps turning. A dump that the
//! kernel marks as inconsistent still says what was true of each row; what was missed is found
//! by notifications or the next audit, so it is not repeated.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use crate::fib::model::{Source, errno};
use crate::fib::{Fib, KernelConfig, TABLE_MAIN};

use super::decode;
use super::encode::{AF_INET, AF_INET6, Dump, dump_request};
use super::socket::Netlink;
use super::wire::{
    Message, NLM_F_REPLACE, NLMSG_DONE, NLMSG_ERROR, RTM_DELADDR, RTM_DELLINK, RTM_DELNEXTHOP,
    RTM_DELROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNEXTHOP, RTM_NEWROUTE, Writer, answer, messages,
};

/// "Not supported": what a kernel without next hop objects answers.
const EOPNOTSUPP: i32 = 95;

#[derive(Debug)]
pub(super) struct Dumper {
    pub(super) socket: Netlink,
    out: Writer,
    seq: u32,
    /// Route dumps to come; the first is running.
    left: VecDeque<Dump>,
}

impl Dumper {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Netlink::for_requests()?,
            out: Writer::default(),
            seq: 1,
            left: VecDeque::new(),
        })
    }

    /// A route dump is running: the socket is to be polled.
    pub(super) fn running(&self) -> bool {
        !self.left.is_empty()
    }

    /// Reads everything but routes, and asks for the first routes.
    pub(super) fn start(&mut self, fib: &mut Fib, now: Instant) -> io::Result<()> {
        fib.audit_begin(now);
        for dump in [Dump::Links, Dump::Addresses, Dump::NextHops] {
            let error = self.read_all(dump, |message| feed(fib, now, message, true))?;
            if dump == Dump::NextHops && error == EOPNOTSUPP {
                fib.without_next_hop_objects();
            }
        }
        fib.audit_objects_end(now);
        self.left = route_dumps(fib.config()).into();
        self.request_next()
    }

    fn request_next(&mut self) -> io::Result<()> {
        if let Some(dump) = self.left.front().copied() {
            self.request(dump)?;
        }
        Ok(())
    }

    fn request(&mut self, dump: Dump) -> io::Result<()> {
        self.seq = self.seq.wrapping_add(1);
        dump_request(&mut self.out, dump, self.seq);
        self.socket.send(self.out.bytes())
    }

    /// Takes one datagram of the running dump. True: the last dump ended just now.
    pub(super) fn step(&mut self, fib: &mut Fib, now: Instant) -> io::Result<bool> {
        let seq = self.seq;
        let mut ended = false;
        let Some(bytes) = self.socket.try_receive()? else {
            return Ok(false);
        };
        for message in messages(bytes).filter(|message| message.seq == seq) {
            ended |= matches!(message.kind, NLMSG_DONE | NLMSG_ERROR);
            feed(fib, now, &message, true);
        }
        if !ended {
            return Ok(false);
        }
        self.left.pop_front();
        if self.left.is_empty() {
            return Ok(true);
        }
        self.request_next()?;
        Ok(false)
    }

    /// Reads a whole dump; the errno it ended with, 0 for none.
    pub(super) fn read_all(
        &mut self,
        dump: Dump,
        mut row: impl FnMut(&Message<'_>),
    ) -> io::Result<i32> {
        self.request(dump)?;
        let seq = self.seq;
        loop {
            for message in messages(self.socket.receive()?) {
                if message.seq != seq {
                    continue;
                }
                if matches!(message.kind, NLMSG_DONE | NLMSG_ERROR) {
                    let (errno, _) = answer(&message);
                    // A table nobody has used yet does not exist: no rows.
                    return Ok(if errno == errno::ENOENT { 0 } else { errno });
                }
                row(&message);
            }
        }
    }
}

fn route_dumps(config: &KernelConfig) -> Vec<Dump> {
    let mut dumps = Vec::new();
    for family in [AF_INET, AF_INET6] {
        dumps.push(Dump::Routes(family, Some(TABLE_MAIN)));
        if config.table != TABLE_MAIN {
            dumps.push(Dump::Routes(family, Some(config.table)));
        }
    }
    dumps
}

/// Hands a row of a dump or a notification to the reconciler.
pub(super) fn feed(fib: &mut Fib, now: Instant, message: &Message<'_>, dump: bool) {
    let source = match message.port {
        _ if dump => Source::Dump,
        0 => Source::Kernel,
        _ => Source::Foreign {
            replaced: message.flags & NLM_F_REPLACE != 0,
        },
    };
    let body = message.body;
    match message.kind {
        RTM_NEWLINK => {
            if let Some(link) = decode::link(body) {
                fib.link(now, link);
            }
        }
        RTM_DELLINK => {
            if let Some(link) = decode::link(body) {
                fib.link_gone(now, link.index);
            }
        }
        RTM_NEWADDR | RTM_DELADDR => {
            if let Some((index, address)) = decode::interface_address(body) {
                fib.address(now, index, address, message.kind == RTM_NEWADDR);
            }
        }
        RTM_NEWNEXTHOP => {
            if let Some(next_hop) = decode::next_hop(body) {
                fib.next_hop(now, &next_hop, source);
            }
        }
        RTM_DELNEXTHOP => {
            if let Some(next_hop) = decode::next_hop(body) {
                fib.next_hop_gone(now, next_hop.id, source);
            }
        }
        RTM_NEWROUTE => {
            if let Some(route) = decode::route(body) {
                fib.route(now, route, source);
            }
        }
        RTM_DELROUTE => {
            if let Some(route) = decode::route(body) {
                fib.route_gone(now, &route, source);
            }
        }
        _ => {}
    }
}
