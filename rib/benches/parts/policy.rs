//! What import policy adds to an insert.
//!
//! Each line is `insert_new` under a policy, so less the line of `accept_all` it is what the
//! policy costs. Attribute sets have five to eight prefixes: what does not look at the prefix is
//! evaluated once per set.

use std::sync::Arc;

use divan::Bencher;
use proto_codec::prefix::PrefixKey;
use rib::policy::{MatchDef, PolicyDef, PrefixMatch, RuleDef, SetDef, Then};
use rib::{PeerSession, Policy, Rib};

use crate::feed::{self, Shape};
use crate::stage::{PREFIXES, announced, feed_all, per_prefix};

fn under(bencher: Bencher<'_, '_>, policy: Arc<Policy>) {
    let updates = announced(&Shape::new(PREFIXES, 0));
    let make = || {
        let mut rib = Rib::new(feed::router());
        let session = PeerSession {
            import: Arc::clone(&policy),
            ..feed::external(0, &rib)
        };
        rib.peer_up(session);
        rib
    };
    let work = |rib: &mut Rib| feed_all(rib, feed::slot(0), &updates);
    per_prefix(bencher, PREFIXES, make, work);
}

/// One rule that rejects what matches, then everything is accepted.
fn rejecting(matches: MatchDef) -> Arc<Policy> {
    let reject = RuleDef {
        matches,
        ..RuleDef::default()
    };
    let accept = RuleDef {
        then: Then::Accept,
        ..RuleDef::default()
    };
    compiled(vec![reject, accept])
}

fn compiled(rules: Vec<RuleDef>) -> Arc<Policy> {
    let name = "bench".to_owned();
    Arc::new(Policy::compile(&PolicyDef { name, rules }).expect("well-formed"))
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn accept_all(bencher: Bencher<'_, '_>) {
    under(bencher, Policy::accept_all());
}

/// A thousand prefixes, of which one in a hundred routes is one.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn prefix_list_of_1000(bencher: Bencher<'_, '_>) {
    let prefix = |n: u32| PrefixMatch {
        net: feed::prefix(n * 100).to_net(),
        ge: None,
        le: Some(25),
    };
    let matches = MatchDef {
        prefix: (0..1_000).map(prefix).collect(),
        ..MatchDef::default()
    };
    under(bencher, rejecting(matches));
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn as_path_regex(bencher: Bencher<'_, '_>) {
    let matches = MatchDef {
        as_path: vec!["_(1[0-9]{3}|2[0-4][0-9]{2})_.*_7777$".to_owned()],
        ..MatchDef::default()
    };
    under(bencher, rejecting(matches));
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn communities_of_10(bencher: Bencher<'_, '_>) {
    let matches = MatchDef {
        community: (0..10).map(|n| format!("64500:{n}")).collect(),
        ..MatchDef::default()
    };
    under(bencher, rejecting(matches));
}

/// Every set is changed, so there are twice as many of them.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn set_local_pref_and_community(bencher: Bencher<'_, '_>) {
    let set = SetDef {
        local_pref: Some(200),
        community_add: vec!["64500:1".to_owned()],
        ..SetDef::default()
    };
    let rule = RuleDef {
        set,
        then: Then::Accept,
        ..RuleDef::default()
    };
    under(bencher, compiled(vec![rule]));
}
