//! The reconciler and a fake kernel with faults, in any order.
//!
//! Changes, lost links and addresses, foreign deletes and overwrites, refused requests, lost
//! notifications, answers that come late, restarts: when all has come to rest the kernel must
//! hold exactly what an oracle computes from scratch, foreign routes must be untouched (the fake
//! kernel sees to that), nothing may be left over, and nothing may be written any more.

#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/drive.rs"]
mod drive;
#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "kernel/fake.rs"]
mod fake;

use std::time::Duration;

use drive::{Driven, METRIC, discard, hop, net, nothing, unicast};
use fake::{FakeKernel, Way};
use proptest::prelude::*;

/// Something that happens.
#[derive(Debug, Clone)]
enum Act {
    Want(usize, Vec<usize>),
    /// The same for so many prefixes, as when a peer comes or goes.
    WantMany(usize, Vec<usize>),
    Discard(usize),
    Unwant(usize),
    Carrier(u32, bool),
    Up(u32, bool),
    Unplug(u32),
    Address(u32, bool),
    ForeignDelete(usize),
    ForeignReplace(usize),
    ForeignNextHop(usize),
    Static(bool),
    Refuse(usize),
    Deafen,
    Turn(usize),
    SlowTurn(usize, usize),
    Pass(u64),
    Resync,
    Restart,
}

const PREFIXES: [&str; 7] = [
    "10.1.0.0/24",
    "10.1.1.0/24",
    "10.1.0.0/16",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "10.9.9.9/32",
    // Connected while link 2 is up.
    "fd00:2::/64",
];

/// Connected, recursive over the static route, and unreachable ones.
const GATEWAYS: [&str; 6] = [
    "fd00:1::2",
    "fd00:2::2",
    "fd00:3::2",
    "fd00:1::3",
    "fd77::1",
    "fd99::1",
];

fn act() -> impl Strategy<Value = Act> {
    let prefix = 0..PREFIXES.len();
    let via = proptest::collection::btree_set(0..GATEWAYS.len(), 1..4);
    prop_oneof![
        6 => (prefix.clone(), via.clone())
            .prop_map(|(p, via)| Act::Want(p, via.into_iter().collect())),
        3 => (3..PREFIXES.len(), via.clone())
            .prop_map(|(n, via)| Act::WantMany(n, via.into_iter().collect())),
        1 => prefix.clone().prop_map(Act::Discard),
        2 => prefix.clone().prop_map(Act::Unwant),
        2 => (1..4_u32, any::<bool>()).prop_map(|(link, on)| Act::Carrier(link, on)),
        2 => (1..4_u32, any::<bool>()).prop_map(|(link, on)| Act::Up(link, on)),
        1 => (1..4_u32).prop_map(Act::Unplug),
        1 => (1..4_u32, any::<bool>()).prop_map(|(link, there)| Act::Address(link, there)),
        2 => prefix.clone().prop_map(Act::ForeignDelete),
        1 => prefix.prop_map(Act::ForeignReplace),
        2 => (0..8_usize).prop_map(Act::ForeignNextHop),
        1 => any::<bool>().prop_map(Act::Static),
        1 => (1..5_usize).prop_map(Act::Refuse),
        1 => Just(Act::Deafen),
        4 => (1..5_usize).prop_map(Act::Turn),
        2 => (1..5_usize, 0..PREFIXES.len()).prop_map(|(max, p)| Act::SlowTurn(max, p)),
        2 => (1..90_u64).prop_map(Act::Pass),
        1 => Just(Act::Resync),
        1 => Just(Act::Restart),
    ]
}

fn perform(driven: &mut Driven, act: &Act) {
    match act {
        Act::Want(prefix, via) => {
            let gateways: Vec<&str> = via.iter().map(|n| GATEWAYS[*n]).collect();
            driven.want(unicast(PREFIXES[*prefix], &gateways));
        }
        Act::WantMany(count, via) => {
            let gateways: Vec<&str> = via.iter().map(|n| GATEWAYS[*n]).collect();
            for prefix in PREFIXES.iter().take(*count) {
                driven.want(unicast(prefix, &gateways));
            }
        }
        Act::Discard(prefix) => driven.want(discard(PREFIXES[*prefix])),
        Act::Unwant(prefix) => driven.want(nothing(PREFIXES[*prefix])),
        Act::Carrier(link, on) if driven.kernel.links[link].up => {
            driven.kernel.set_carrier(*link, *on);
        }
        Act::Carrier(..) => {}
        Act::Up(link, on) => driven.kernel.set_up(*link, *on),
        Act::Unplug(link) => driven.kernel.replug(*link),
        Act::Address(link, there) => driven.kernel.set_address(*link, *there),
        Act::ForeignDelete(prefix) => {
            driven.kernel.foreign_delete(net(PREFIXES[*prefix]), METRIC);
        }
        Act::ForeignReplace(prefix) => {
            let place = (net(PREFIXES[*prefix]), METRIC);
            let ours = driven.kernel.routes.get(&place);
            if ours.is_some_and(|route| route.protocol == fake::OURS) && !driven.kernel.deaf {
                driven.kernel.foreign_replace(place.0, METRIC, Way::Discard);
            }
        }
        Act::ForeignNextHop(nth) => {
            let id = driven.kernel.next_hops.keys().nth(*nth).copied();
            id.into_iter()
                .for_each(|id| driven.kernel.foreign_delete_next_hop(id));
        }
        Act::Static(true)
            if driven
                .kernel
                .routes
                .contains_key(&(net("fd00:3::/64"), 256)) =>
        {
            let recursive = hop("fd00:3::9", 3);
            driven.kernel.foreign_add(net("fd77::/64"), 5, recursive);
        }
        Act::Static(_) => driven.kernel.foreign_delete(net("fd77::/64"), 5),
        Act::Refuse(count) => driven.kernel.refuse += count,
        Act::Deafen => {
            driven.hear();
            driven.kernel.deaf = true;
        }
        Act::Turn(max) => {
            driven.turn_with(*max, |_| {});
        }
        Act::SlowTurn(max, prefix) => {
            driven.turn_with(*max, |driven| {
                driven.kernel.foreign_delete(net(PREFIXES[*prefix]), METRIC);
                driven.hear();
                driven.want(unicast(PREFIXES[*prefix], &[GATEWAYS[*max % 3]]));
            });
        }
        Act::Pass(seconds) => driven.pass(Duration::from_secs(*seconds)),
        Act::Resync => driven.fib.resync_complete(driven.now),
        Act::Restart => driven.restart(),
    }
}

fn settle_and_check(driven: &mut Driven) {
    driven.kernel.refuse = 0;
    if driven.kernel.deaf {
        driven.fib.overrun(driven.now);
    }
    driven.fib.resync_complete(driven.now);
    driven.pass(Duration::from_secs(900));
    // What was written over while nobody listened is the other's until it leaves.
    driven.check();
    driven.check_no_litter();
    let writes = driven.kernel.writes;
    driven.pass(Duration::from_secs(900));
    assert_eq!(driven.kernel.writes, writes, "it does not come to rest");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_ends_up_as_wanted(acts in proptest::collection::vec(act(), 1..60)) {
        let mut driven = Driven::new(FakeKernel::with_links(3));
        for act in &acts {
            perform(&mut driven, act);
        }
        settle_and_check(&mut driven);
    }
}
