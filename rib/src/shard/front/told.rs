//! What peers are told, put together from what every shard tells them.
//!
//! Each peer has one queue of octets. A shard is asked for more when it has said that there is
//! more, one request at a time, and only as long as what is here and what was asked for is less
//! than [`PEER_AHEAD`]: a peer that does not read costs no more than that. Shards take turns, so
//! that none runs ahead of its group because another has much to say.
//!
//! **Markers.** End-of-RIB (RFC 4724 §2) says that the whole table has been told. Each shard says
//! so of its part, behind the octets of that part; the message for the peer goes to the end of its
//! queue when the last one has, and so behind all of them. BoRR (RFC 7313 §4) is put there
//! before any shard is asked to begin, EoRR when all have ended. A refresh that is asked for
//! before End-of-RIB, or during another refresh, waits.

use std::collections::VecDeque;

use bytes::Bytes;
use proto_codec::afi::Family;
use proto_codec::bgp::RefreshSubtype;
use smallvec::SmallVec;

use super::all_of;
use crate::peer::{PeerSession, PeerSlot};
use crate::shard::mail::{Count, Told};
use crate::shard::worker::{end_of_rib, refresh_marker};
use crate::shard::{PEER_AHEAD, PULL_LEN};

/// All peers.
#[derive(Debug)]
pub struct Audience {
    shards: usize,
    members: Vec<Member>,
    ready: VecDeque<PeerSlot>,
}

/// A peer.
#[derive(Debug, Default)]
struct Member {
    /// Sessions of this slot so far.
    generation: u32,
    is_up: bool,
    /// It was named by `poll_ready` and has not run out of octets.
    busy: bool,
    queue: VecDeque<Bytes>,
    queued_len: usize,
    /// Shards that have more for it.
    more: u64,
    /// Shards that were asked and have not answered.
    asked: u64,
    /// The shard to be asked next.
    turn: usize,
    families: [Dump; 2],
    limit: Option<u32>,
    is_over: bool,
    /// Paths in the Adj-RIB-In, by shard.
    received: Vec<[u32; 2]>,
}

/// How far the dumps of one family are.
#[derive(Debug, Default, Clone, Copy)]
struct Dump {
    negotiated: bool,
    /// Shards that have told their part of the initial table.
    told: u64,
    /// End-of-RIB has been sent.
    is_told: bool,
    refresh: Refresh,
}

/// A refresh with markers.
#[derive(Debug, Default, Clone, Copy)]
enum Refresh {
    #[default]
    None,
    /// Asked for before End-of-RIB.
    Waiting,
    Running {
        /// Shards that have ended.
        ended: u64,
        /// Another one was asked for.
        again: bool,
    },
}

impl Audience {
    pub fn new(shards: usize) -> Self {
        Self {
            shards,
            members: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    fn get_mut(&mut self, slot: PeerSlot) -> Option<&mut Member> {
        self.members.get_mut(slot.index())
    }

    /// The member of a session that is up.
    fn live(&mut self, slot: PeerSlot, generation: u32) -> Option<&mut Member> {
        let member = self.get_mut(slot)?;
        (member.is_up && member.generation == generation).then_some(member)
    }

    /// A session begins; answers its generation.
    pub fn join(&mut self, session: &PeerSession) -> u32 {
        let index = session.slot.index();
        if self.members.len() <= index {
            self.members.resize_with(index + 1, Member::default);
        }
        let shards = self.shards;
        let Some(member) = self.members.get_mut(index) else {
            return 0;
        };
        let generation = member.generation.wrapping_add(1).max(1);
        *member = Member {
            generation,
            is_up: true,
            limit: session.max_prefixes,
            received: vec![[0; 2]; shards],
            families: session.families.map(|negotiated| Dump {
                negotiated,
                ..Dump::default()
            }),
            ..Member::default()
        };
        generation
    }

    /// A session is over: nothing of it is sent any more.
    pub fn leave(&mut self, slot: PeerSlot) {
        if let Some(member) = self.get_mut(slot) {
            *member = Member {
                generation: member.generation,
                ..Member::default()
            };
        }
    }

    pub fn set_limit(&mut self, slot: PeerSlot, limit: Option<u32>) {
        if let Some(member) = self.get_mut(slot) {
            member.limit = limit;
        }
    }

    /// Notes how many paths a peer has in a shard.
    pub fn count(&mut self, shard: usize, count: &Count) {
        if let Some(member) = self.live(count.slot, count.generation)
            && let Some(received) = member.received.get_mut(shard)
        {
            *received = count.received;
        }
    }

    /// The family in which a peer has more than it may; said once.
    pub fn exceeds(&mut self, slot: PeerSlot, generation: u32) -> Option<Family> {
        let member = self.live(slot, generation)?;
        let limit = u64::from(member.limit?);
        let sum = |family: Family| -> u64 {
            let counts = member.received.iter();
            counts
                .map(|received| u64::from(family.pick(*received)))
                .sum()
        };
        let family = Family::ALL
            .into_iter()
            .find(|family| sum(*family) > limit)?;
        (!std::mem::replace(&mut member.is_over, true)).then_some(family)
    }

    /// A shard has more for a peer; whether that is a live session.
    pub fn note_ready(&mut self, slot: PeerSlot, generation: u32, shard: usize) -> bool {
        match self.live(slot, generation) {
            Some(member) => {
                member.more |= 1 << shard;
                true
            }
            None => false,
        }
    }

    /// The next shard to be asked for octets of a peer, which counts as asked from now on.
    pub fn next_pull(&mut self, slot: PeerSlot) -> Option<(usize, u32)> {
        let shards = self.shards;
        let member = self.get_mut(slot)?;
        let asked = usize::try_from(member.asked.count_ones()).unwrap_or(shards);
        if member.queued_len + asked * PULL_LEN >= PEER_AHEAD {
            return None;
        }
        let willing = member.more & !member.asked;
        let from = member.turn;
        let mut turns = (from..shards).chain(0..from.min(shards));
        let shard = turns.find(|shard| willing >> shard & 1 == 1)?;
        member.asked |= 1 << shard;
        member.turn = shard + 1;
        Some((shard, member.generation))
    }

    /// Takes what a shard tells a peer; answers the families whose refresh is to begin.
    pub fn take(&mut self, shard: usize, told: Told) -> SmallVec<[Family; 2]> {
        let mut begin = SmallVec::new();
        let all = all_of(self.shards);
        let slot = told.slot;
        let Some(member) = self.live(slot, told.generation) else {
            return begin;
        };
        let bit = 1 << shard;
        member.asked &= !bit;
        if told.is_all {
            member.more &= !bit;
        }
        for segment in told.segments {
            member.push(segment);
        }
        for family in Family::ALL {
            let ends = (
                family.pick(told.end_of_rib),
                family.pick(told.end_of_refresh),
            );
            if member.mark(family, bit, ends, all) {
                begin.push(family);
            }
        }
        self.wake(slot);
        begin
    }

    /// Whether a refresh may begin; else it begins when it may.
    pub fn may_refresh(&mut self, slot: PeerSlot, family: Family) -> bool {
        let Some(member) = self.get_mut(slot) else {
            return false;
        };
        let begins = member.ask_refresh(family);
        self.wake(slot);
        begins
    }

    /// Names a peer that has octets again.
    fn wake(&mut self, slot: PeerSlot) {
        if let Some(member) = self.members.get_mut(slot.index())
            && !member.busy
            && !member.queue.is_empty()
        {
            member.busy = true;
            self.ready.push_back(slot);
        }
    }

    pub fn poll_ready(&mut self) -> Option<PeerSlot> {
        while let Some(slot) = self.ready.pop_front() {
            let member = self.members.get(slot.index());
            if member.is_some_and(|member| member.busy) {
                return Some(slot);
            }
        }
        None
    }

    /// The next octets of a peer.
    pub fn pop(&mut self, slot: PeerSlot) -> Option<Bytes> {
        let member = self.get_mut(slot)?;
        let Some(bytes) = member.queue.pop_front() else {
            member.busy = false;
            return None;
        };
        member.queued_len -= bytes.len().min(member.queued_len);
        Some(bytes)
    }
}

impl Member {
    fn push(&mut self, bytes: Bytes) {
        self.queued_len += bytes.len();
        self.queue.push_back(bytes);
    }

    fn dump(&mut self, family: Family) -> &mut Dump {
        let [v4, v6] = &mut self.families;
        match family {
            Family::Ipv4Unicast => v4,
            Family::Ipv6Unicast => v6,
        }
    }

    /// Notes how far a shard is; whether a refresh that waited for it begins now.
    fn mark(
        &mut self,
        family: Family,
        shard: u64,
        (end_of_table, end_of_refresh): (bool, bool),
        all: u64,
    ) -> bool {
        let dump = self.dump(family);
        let mut begins = false;
        if end_of_table {
            dump.told |= shard;
        }
        if dump.told == all && !dump.is_told {
            dump.is_told = true;
            begins = matches!(dump.refresh, Refresh::Waiting);
            self.push(end_of_rib(family));
        }
        let dump = self.dump(family);
        if end_of_refresh && let Refresh::Running { ended, again } = &mut dump.refresh {
            *ended |= shard;
            if *ended == all {
                begins = *again;
                dump.refresh = Refresh::None;
                self.push(refresh_marker(family, RefreshSubtype::End));
            }
        }
        if begins {
            self.begin_refresh(family);
        }
        begins
    }

    /// Somebody wants a refresh; whether it begins at once.
    fn ask_refresh(&mut self, family: Family) -> bool {
        if !self.is_up {
            return false;
        }
        let dump = self.dump(family);
        if !dump.negotiated {
            return false;
        }
        match &mut dump.refresh {
            Refresh::Running { again, .. } => {
                *again = true;
                false
            }
            refresh if !dump.is_told => {
                *refresh = Refresh::Waiting;
                false
            }
            _ => {
                self.begin_refresh(family);
                true
            }
        }
    }

    fn begin_refresh(&mut self, family: Family) {
        self.dump(family).refresh = Refresh::Running {
            ended: 0,
            again: false,
        };
        self.push(refresh_marker(family, RefreshSubtype::Begin));
    }
}
