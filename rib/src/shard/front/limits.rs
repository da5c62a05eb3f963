//! The limit of prefixes, over the sum of the shards.
//!
//! A peer that withdraws one prefix and announces another in one UPDATE never has more than it
//! may, but the sum over shards would say so if one shard had taken its part and another had not.
//! So counts bear the round of the order that made them, and are added up only for rounds that all
//! shards have done: then the sum is one the peer really had.

use proto_codec::afi::Family;

use super::lane::Lane;
use super::told::Audience;
use crate::peer::PeerSlot;
use crate::shard::mail::Count;

/// Takes the counts of all rounds that are done everywhere; answers the peers that have too many.
pub fn judge(lanes: &mut [Lane], audience: &mut Audience) -> Vec<(PeerSlot, Family)> {
    if lanes.iter().all(|lane| lane.counts.is_empty()) {
        return Vec::new();
    }
    let done = lanes.iter().map(Lane::done_round).min().unwrap_or(0);
    let mut counts: Vec<(usize, Count)> = Vec::new();
    for (shard, lane) in lanes.iter_mut().enumerate() {
        while let Some(count) = lane.counts.pop_front_if(|count| count.round <= done) {
            counts.push((shard, count));
        }
    }
    counts.sort_by_key(|(_, count)| count.round);
    let mut exceeded = Vec::new();
    for round in counts.chunk_by(|(_, one), (_, two)| one.round == two.round) {
        for (shard, count) in round {
            audience.count(*shard, count);
        }
        for (_, count) in round {
            let family = audience.exceeds(count.slot, count.generation);
            exceeded.extend(family.map(|family| (count.slot, family)));
        }
    }
    exceeded
}
