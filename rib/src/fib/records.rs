//! One small record for each prefix: what it should be and what the kernel has.
//!
//! A full table is a million of these, so a record is 16 bytes in one array, found through a hash
//! index of 5 bytes a slot; it knows sets and groups by number only. A record keeps its number
//! while it lives, and new ones follow each other in the array, so that a table that is written in
//! the order it came in is walked in the order it lies in memory.
//!
//! The array is in no order that means anything. Whoever wants one (a listing for `show`) sorts
//! the part it needs; see [`Records::ascending`]. The hash finds, it never decides an order.
//!
//! An IPv4 prefix is in the record itself. An IPv6 address has four times the size and most tables
//! have few of them, so it stands in an array of its own.

use std::hash::BuildHasher;
use std::net::{Ipv4Addr, Ipv6Addr};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::routes::Slot;
use super::sets::{SetId, Want};

/// Number of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RouteId(u32);

impl RouteId {
    fn place(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What the kernel has at a record's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    Nothing,
    /// Something of ours with other content, or what someone put over ours: to be overwritten.
    Unknown(Slot),
    Discard,
    /// As [`super::sets::Target::At`].
    At(u32),
}

impl Placed {
    pub(super) fn slot(self) -> Option<Slot> {
        match self {
            Self::Nothing => None,
            Self::Unknown(slot) => Some(slot),
            Self::Discard => Some(Slot::Discard),
            Self::At(_) => Some(Slot::Unicast),
        }
    }

    /// Ids of groups begin far above the numbers that stand for the rest.
    fn pack(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Discard => 1,
            Self::Unknown(Slot::Unicast) => 2,
            Self::Unknown(Slot::Discard) => 3,
            Self::At(at) => at,
        }
    }

    fn unpack(word: u32) -> Self {
        match word {
            0 => Self::Nothing,
            1 => Self::Discard,
            2 => Self::Unknown(Slot::Unicast),
            3 => Self::Unknown(Slot::Discard),
            at => Self::At(at),
        }
    }
}

/// The least number that [`Placed::At`] can hold.
pub(super) const PLACE_MIN: u32 = 4;

/// What is true of a record, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag(u8);

impl Flag {
    /// Of an earlier run, and nobody has asked for it yet.
    pub(super) const STALE: Flag = Flag(1);
    /// In the list of its set's waiting routes.
    pub(super) const PARKED: Flag = Flag(2);
    /// In line to be written.
    pub(super) const QUEUED: Flag = Flag(4);
    /// Waits out a fight: not written before its time, unless something else is wanted.
    pub(super) const HELD: Flag = Flag(8);
    const V6: Flag = Flag(16);
    const FREE: Flag = Flag(32);
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// An IPv4 address, or where the IPv6 address stands; of a free record the next free one.
    word: u32,
    want: u32,
    placed: u32,
    len: u8,
    flags: u8,
    /// Equals the audit's mark if the running dump has shown it.
    pub(super) seen: u8,
    /// Equals the audit's mark if something newer than the running dump is known.
    pub(super) touched: u8,
}

impl Record {
    pub(super) fn want(&self) -> Want {
        match self.want {
            0 => Want::Nothing,
            1 => Want::Discard,
            id => Want::Set(SetId::from_number(id)),
        }
    }

    pub(super) fn set_want(&mut self, want: Want) {
        self.want = match want {
            Want::Nothing => 0,
            Want::Discard => 1,
            Want::Set(id) => id.number(),
        };
    }

    pub(super) fn placed(&self) -> Placed {
        Placed::unpack(self.placed)
    }

    pub(super) fn set_placed(&mut self, placed: Placed) {
        self.placed = placed.pack();
    }

    pub(super) fn is(&self, flag: Flag) -> bool {
        self.flags & flag.0 != 0
    }

    /// Sets or clears a flag and returns what it was.
    pub(super) fn mark(&mut self, flag: Flag, on: bool) -> bool {
        let before = self.is(flag);
        self.flags = if on {
            self.flags | flag.0
        } else {
            self.flags & !flag.0
        };
        before
    }

    /// Nothing is wanted, nothing is there, nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.want == 0
            && self.placed == 0
            && self.flags & (Flag::QUEUED.0 | Flag::STALE.0 | Flag::FREE.0) == 0
    }
}

/// Elements in an array with a list of the free places.
#[derive(Debug, Default)]
struct Wide {
    addresses: Vec<Ipv6Addr>,
    free: Vec<u32>,
}

impl Wide {
    fn get(&self, at: u32) -> Ipv6Addr {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.addresses
            .get(at)
            .copied()
            .unwrap_or(Ipv6Addr::UNSPECIFIED)
    }

    fn put(&mut self, address: Ipv6Addr) -> u32 {
        if let Some(at) = self.free.pop() {
            let place = usize::try_from(at).unwrap_or(usize::MAX);
            if let Some(place) = self.addresses.get_mut(place) {
                *place = address;
            }
            return at;
        }
        self.addresses.push(address);
        u32::try_from(self.addresses.len() - 1).unwrap_or(u32::MAX)
    }
}

#[derive(Debug)]
pub(super) struct Records {
    records: Vec<Record>,
    free: Option<RouteId>,
    wide: Wide,
    index: HashTable<RouteId>,
    hash: RandomState,
}

impl Records {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            free: None,
            wide: Wide::default(),
            index: HashTable::new(),
            // Prefixes come from peers, who must not be able to choose ones that collide.
            hash: RandomState::default(),
        }
    }

    pub(super) fn find(&self, prefix: IpNet) -> Option<RouteId> {
        let hash = self.hash.hash_one(key(prefix));
        let is = |id: &RouteId| self.prefix(*id) == Some(prefix);
        self.index.find(hash, is).copied()
    }

    /// The record of a prefix, made if there is none.
    pub(super) fn enter(&mut self, prefix: IpNet) -> RouteId {
        if let Some(id) = self.find(prefix) {
            return id;
        }
        let (word, wide) = match prefix {
            IpNet::V4(net) => (net.addr().to_bits(), false),
            IpNet::V6(net) => (self.wide.put(net.addr()), true),
        };
        let record = Record {
            word,
            want: 0,
            placed: 0,
            len: prefix.prefix_len(),
            flags: if wide { Flag::V6.0 } else { 0 },
            seen: 0,
            touched: 0,
        };
        let id = self.allocate(record);
        let (records, wide, hash) = (&self.records, &self.wide, &self.hash);
        let rehash = |id: &RouteId| {
            let prefix = prefix_of(records, wide, *id);
            prefix.map_or(0, |prefix| hash.hash_one(key(prefix)))
        };
        let hash = self.hash.hash_one(key(prefix));
        self.index.insert_unique(hash, id, rehash);
        id
    }

    fn allocate(&mut self, record: Record) -> RouteId {
        if let Some(id) = self.free
            && let Some(place) = self.records.get_mut(id.place())
        {
            self.free = Some(RouteId(place.word)).filter(|next| next.0 != u32::MAX);
            *place = record;
            return id;
        }
        self.records.push(record);
        RouteId(u32::try_from(self.records.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn remove(&mut self, id: RouteId) {
        let Some(prefix) = self.prefix(id) else {
            return;
        };
        let hash = self.hash.hash_one(key(prefix));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        let next = self.free.map_or(u32::MAX, |id| id.0);
        if let Some(record) = self.records.get_mut(id.place()) {
            if record.is(Flag::V6) {
                self.wide.free.push(record.word);
            }
            record.word = next;
            record.flags = Flag::FREE.0;
            self.free = Some(id);
        }
        if self.index.is_empty() {
            // The last of a full table is gone: its memory goes too.
            *self = Self::new();
        }
    }

    pub(super) fn get(&self, id: RouteId) -> Option<&Record> {
        self.records.get(id.place()).filter(|r| !r.is(Flag::FREE))
    }

    pub(super) fn get_mut(&mut self, id: RouteId) -> Option<&mut Record> {
        let record = self.records.get_mut(id.place());
        record.filter(|r| !r.is(Flag::FREE))
    }

    pub(super) fn prefix(&self, id: RouteId) -> Option<IpNet> {
        prefix_of(&self.records, &self.wide, id)
    }

    /// All records, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RouteId, &Record)> {
        let all = (0..).map(RouteId).zip(&self.records);
        all.filter(|(_, record)| !record.is(Flag::FREE))
    }

    /// Up to `max` prefixes of one family behind `after`, ascending: one walk over all records.
    pub(super) fn ascending(&self, ipv4: bool, after: Option<IpNet>, max: usize) -> Vec<IpNet> {
        let mut found: Vec<IpNet> = Vec::new();
        let of_family = self
            .iter()
            .filter(|(_, record)| record.is(Flag::V6) != ipv4);
        for prefix in of_family.filter_map(|(id, _)| self.prefix(id)) {
            if after.is_none_or(|after| after < prefix) {
                found.push(prefix);
            }
            if found.len() >= max.saturating_mul(2).max(2) {
                found.select_nth_unstable(max);
                found.truncate(max);
            }
        }
        found.sort_unstable();
        found.truncate(max);
        found
    }
}

fn prefix_of(records: &[Record], wide: &Wide, id: RouteId) -> Option<IpNet> {
    let record = records.get(id.place()).filter(|r| !r.is(Flag::FREE))?;
    if record.is(Flag::V6) {
        let net = Ipv6Net::new(wide.get(record.word), record.len);
        return net.ok().map(IpNet::V6);
    }
    let net = Ipv4Net::new(Ipv4Addr::from_bits(record.word), record.len);
    net.ok().map(IpNet::V4)
}

/// What is hashed of a prefix.
fn key(prefix: IpNet) -> (u128, u8) {
    match prefix {
        IpNet::V4(net) => (net.addr().to_bits().into(), net.prefix_len()),
        // No IPv4 length reaches that far.
        IpNet::V6(net) => (net.addr().to_bits(), u8::MAX - net.prefix_len()),
    }
}
