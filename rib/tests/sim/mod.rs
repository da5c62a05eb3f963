//! Shards and their front in one thread, with mail that is carried when the dice say so.
//!
//! Letter boxes are tiny, so that whatever can be full is full all the time. The scheduler picks a
//! shard, the front, a reader or the kernel side at random; a seed makes the same run again.

pub mod parts;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;
use rib::route::{FibRoute, NextHopState};
use rib::shard::{Mail, Question, Report, Shard, Sharded, Transport};
use rib::{PeerSlot, RibConfig};

use crate::lab::{Lab, LabPeer};

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

/// One shard and its boxes.
#[derive(Debug)]
struct Desk {
    shard: Shard,
    inbox: VecDeque<Mail>,
    outbox: VecDeque<Report>,
}

impl Desk {
    /// Carries up to `mails` in, lets the shard work once, and takes its reports.
    fn work(&mut self, mails: usize) -> bool {
        for _ in 0..mails {
            let Some(mail) = self.inbox.pop_front() else {
                break;
            };
            self.shard.push(mail);
        }
        let worked = self.shard.step();
        while let Some(report) = self.shard.poll_report() {
            self.outbox.push_back(report);
        }
        worked
    }
}

type Desks = Rc<RefCell<Vec<Desk>>>;

/// The simulated post.
#[derive(Debug)]
struct Post {
    desks: Desks,
    room: usize,
}

impl Transport for Post {
    fn shards(&self) -> usize {
        self.desks.borrow().len()
    }

    fn send(&mut self, shard: usize, mail: Mail) -> Result<(), Mail> {
        let inbox = &mut self.desks.borrow_mut()[shard].inbox;
        if inbox.len() >= self.room {
            return Err(mail);
        }
        inbox.push_back(mail);
        Ok(())
    }

    fn receive(&mut self, shard: usize) -> Option<Report> {
        self.desks.borrow_mut()[shard].outbox.pop_front()
    }

    fn ask(&self, questions: Vec<(usize, Question)>) -> bool {
        for (shard, question) in questions {
            question(self.desks.borrow()[shard].shard.rib());
        }
        true
    }
}

/// The front, its shards, and what the outside has learned.
pub struct World {
    pub front: Sharded,
    desks: Desks,
    /// What peers know; the RIB of this lab is not used.
    pub lab: Lab,
    pub kernel: BTreeMap<IpNet, FibRoute>,
    /// Next hops that are watched.
    pub watched: BTreeMap<IpAddr, bool>,
    /// What the kernel says of them.
    pub states: BTreeMap<IpAddr, NextHopState>,
    /// Peers said to have too many prefixes.
    pub exceeded: Vec<PeerSlot>,
}

impl World {
    pub fn new(config: &RibConfig, shards: usize, room: usize) -> Self {
        let desk = |_| Desk {
            shard: Shard::new(config.clone()),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
        };
        let desks: Desks = Rc::new(RefCell::new((0..shards).map(desk).collect()));
        let post = Post {
            desks: Rc::clone(&desks),
            room,
        };
        Self {
            front: Sharded::new(Box::new(post)),
            desks,
            lab: Lab::new(config.clone()),
            kernel: BTreeMap::new(),
            watched: BTreeMap::new(),
            states: BTreeMap::new(),
            exceeded: Vec::new(),
        }
    }

    pub fn peer(&mut self, slot: PeerSlot) -> &mut LabPeer {
        self.lab.peer(slot)
    }

    /// Something happens somewhere.
    pub fn tick(&mut self, dice: &mut Dice) {
        let shards = self.front.shards();
        match dice.roll(8) {
            0..4 => {
                let shard = dice.roll(shards);
                let mails = dice.roll(3);
                self.desks.borrow_mut()[shard].work(mails);
            }
            4 => self.absorb(),
            5 => {
                let slot = dice.roll(self.lab.peers.len());
                self.read(slot, 1 + dice.roll(3));
            }
            6 => drop(self.take_fib(1 + dice.roll(4))),
            _ => drop(self.take_interest()),
        }
    }

    pub fn absorb(&mut self) {
        self.front.absorb();
        while let Some((slot, _)) = self.front.poll_exceeded() {
            self.exceeded.push(slot);
        }
    }

    /// Lets a peer read; whether there was anything.
    fn read(&mut self, slot: usize, polls: usize) -> bool {
        let mut read = false;
        for _ in 0..polls {
            let slot = PeerSlot(u16::try_from(slot).unwrap());
            if !self.lab.peers[slot.index()].up {
                return false;
            }
            let Some(bytes) = self.front.poll_transmit(slot) else {
                return read;
            };
            self.peer(slot).receive(&bytes);
            read = true;
        }
        read
    }

    fn take_fib(&mut self, changes: usize) -> bool {
        for taken in 0..changes {
            let Some(change) = self.front.poll_fib() else {
                return taken > 0;
            };
            match change.route {
                Some(route) => self.kernel.insert(change.prefix, route),
                None => self.kernel.remove(&change.prefix),
            };
        }
        true
    }

    fn take_interest(&mut self) -> bool {
        let Some((addr, on)) = self.front.poll_next_hop_interest() else {
            return false;
        };
        assert_ne!(self.watched.insert(addr, on), Some(on), "{addr} told twice");
        if let (true, Some(state)) = (on, self.states.get(&addr)) {
            self.front.next_hop_changed(addr, *state);
        }
        true
    }

    /// Goes on until nobody has anything to do. Whoever has something to read is named.
    pub fn rest(&mut self) {
        loop {
            self.front.settle();
            self.absorb();
            let mut busy = false;
            for desk in self.desks.borrow_mut().iter_mut() {
                busy |= !desk.inbox.is_empty() | desk.work(usize::MAX);
                busy |= !desk.outbox.is_empty();
            }
            self.absorb();
            while let Some(slot) = self.front.poll_ready() {
                busy = true;
                while self.read(slot.index(), 1) {}
            }
            busy |= self.take_fib(3) | self.take_interest();
            if !busy {
                break;
            }
        }
        assert!(
            !self.front.is_congested(),
            "there is room when all is quiet"
        );
        for slot in 0..self.lab.peers.len() {
            assert!(
                !self.read(slot, 1),
                "peer {slot} was not named and had octets"
            );
        }
    }
}
