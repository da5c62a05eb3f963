//! The way to one shard: what waits to be sent, and what is under way.
//!
//! Orders leave while fewer than [`COMMANDS_AHEAD`] are under way; the rest waits here, in order.
//! Urgent mail waits only when the transport is full of urgent mail. Each is tried again with
//! every report that comes in, and a shard with mail under way will report.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::fib::FibChange;
use crate::route::NextHopState;
use crate::shard::mail::{Command, Count, Mail, Order, Report, Urgent};
use crate::shard::{Batch, COMMANDS_AHEAD, Question, Transport};

/// The transport, and what every order bears.
#[derive(Debug)]
pub struct Post {
    transport: Box<dyn Transport>,
    /// Rounds begun.
    pub round: u64,
    /// Seconds, as the caller told last.
    pub now_s: u32,
}

impl Post {
    pub fn new(transport: Box<dyn Transport>) -> Self {
        Self {
            transport,
            round: 0,
            now_s: 0,
        }
    }

    pub fn receive(&mut self, shard: usize) -> Option<Report> {
        self.transport.receive(shard)
    }

    pub fn ask(&self, questions: Vec<(usize, Question)>) -> bool {
        self.transport.ask(questions)
    }
}

/// What the front keeps per shard.
#[derive(Debug)]
pub struct Lane {
    shard: usize,
    /// UPDATEs for the next order.
    pub batch: Batch,
    /// Next hops for the next order.
    pub states: Vec<(IpAddr, NextHopState)>,
    orders: VecDeque<Order>,
    urgent: VecDeque<Urgent>,
    under_way: u32,
    done_round: u64,
    /// Something was ordered that needs settling.
    unsettled: bool,
    /// Routes for the kernel that nobody has taken yet.
    pub fib: VecDeque<FibChange>,
    /// Counts of peers with a limit, waiting for those of other shards.
    pub counts: VecDeque<Count>,
}

impl Lane {
    pub fn new(shard: usize) -> Self {
        Self {
            shard,
            batch: Batch::default(),
            states: Vec::new(),
            orders: VecDeque::new(),
            urgent: VecDeque::new(),
            under_way: 0,
            done_round: 0,
            unsettled: false,
            fib: VecDeque::new(),
            counts: VecDeque::new(),
        }
    }

    pub fn is_congested(&self) -> bool {
        !self.orders.is_empty()
    }

    /// The round up to which the shard has done everything.
    pub fn done_round(&self) -> u64 {
        match self.under_way == 0 && self.orders.is_empty() {
            true => u64::MAX,
            false => self.done_round,
        }
    }

    pub fn acknowledge(&mut self, handled: u32, round: u64) {
        self.under_way = self.under_way.saturating_sub(handled);
        self.done_round = round;
    }

    /// Queues a command of the current round.
    pub fn order(&mut self, command: Command, post: &mut Post) {
        self.unsettled = true;
        self.queue(command, post);
    }

    fn queue(&mut self, command: Command, post: &mut Post) {
        self.orders.push_back(Order {
            round: post.round,
            now_s: post.now_s,
            command,
        });
        self.pump(post);
    }

    /// Makes an order of the UPDATEs collected.
    pub fn flush(&mut self, post: &mut Post) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.order(Command::Batch(batch), post);
        }
    }

    /// Makes an order of the next hops collected.
    pub fn tell_states(&mut self, post: &mut Post) {
        if !self.states.is_empty() {
            let states = std::mem::take(&mut self.states);
            self.order(Command::NextHops(states), post);
        }
    }

    /// Has the shard settle, if there is anything to settle.
    pub fn settle(&mut self, post: &mut Post) {
        self.tell_states(post);
        if !std::mem::take(&mut self.unsettled) {
            return;
        }
        self.queue(Command::Settle, post);
    }

    /// Sends what does not wait behind orders. Credit goes before requests for octets, of which
    /// there may be thousands: a shard without credit cannot even say that it has room.
    pub fn urge(&mut self, urgent: Urgent, post: &mut Post) {
        match urgent {
            Urgent::Report | Urgent::Fib => self.urgent.push_front(urgent),
            Urgent::Pull { .. } | Urgent::Ask(_) => self.urgent.push_back(urgent),
        }
        self.pump(post);
    }

    /// Sends what there is room for.
    pub fn pump(&mut self, post: &mut Post) {
        while let Some(urgent) = self.urgent.pop_front() {
            if let Err(mail) = post.transport.send(self.shard, Mail::Urgent(urgent)) {
                if let Mail::Urgent(urgent) = mail {
                    self.urgent.push_front(urgent);
                }
                return;
            }
        }
        while self.under_way < COMMANDS_AHEAD
            && let Some(order) = self.orders.pop_front()
        {
            if let Err(mail) = post.transport.send(self.shard, Mail::Order(order)) {
                if let Mail::Order(order) = mail {
                    self.orders.push_front(order);
                }
                return;
            }
            self.under_way += 1;
        }
    }
}
