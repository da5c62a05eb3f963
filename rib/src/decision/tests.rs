//! The decision process, step by step.
//!
//! Each case differs in one step only (and is worse in the steps behind it), so the step that
//! decides is the one under test. Every case is also run with the paths the other way round:
//! the outcome must not depend on the order they are in.

use std::sync::Arc;

use proto_codec::bgp::{AttrEdit, NextHop, Origin};

use super::*;
use crate::hash::Seed;
use crate::path::PathFlags;
use crate::route::NextHopState;

/// A candidate in the words of the test.
#[derive(Clone)]
struct Candidate {
    source: u16,
    kind: PathKind,
    path: Vec<u32>,
    origin: Origin,
    local_pref: u32,
    med: Option<u32>,
    next_hop: u8,
    originator: Option<u8>,
    clusters: usize,
    path_id: u32,
    flags: PathFlags,
}

fn candidate(source: u16) -> Candidate {
    Candidate {
        source,
        kind: PathKind::External,
        path: vec![65001, 7],
        origin: Origin::Igp,
        local_pref: 100,
        med: None,
        next_hop: 1,
        originator: None,
        clusters: 0,
        path_id: 0,
        flags: PathFlags::default(),
    }
}

struct Bench {
    attrs: Interner,
    next_hops: NextHops,
    sources: Vec<Option<SourceFacts>>,
}

impl Bench {
    fn new() -> Self {
        let source = |n: u8| {
            Some(SourceFacts {
                router_id: [10, 0, 0, 100 - n].into(),
                address: [10, 0, 0, n].into(),
            })
        };
        Self {
            attrs: Interner::new(100),
            next_hops: NextHops::new(true, &Seed::new(1)),
            sources: (0..8).map(source).collect(),
        }
    }

    fn path(&mut self, candidate: &Candidate) -> Path {
        let next_hop = NextHop::V4([192, 0, 2, candidate.next_hop].into());
        let mut edit = AttrEdit::new(candidate.origin, next_hop);
        edit.set_as_path(&candidate.path);
        edit.set_local_pref(Some(candidate.local_pref));
        edit.set_med(candidate.med);
        if let Some(last) = candidate.originator {
            edit.set_originator_id([10, 0, 0, last].into());
        }
        for _ in 0..candidate.clusters {
            edit.prepend_cluster_list([1, 1, 1, 1].into());
        }
        let id = self
            .attrs
            .intern(&Arc::new(edit.finish()), &mut self.next_hops)
            .unwrap();
        let state = NextHopState {
            reachable: true,
            igp_metric: u32::from(candidate.next_hop),
        };
        self.next_hops.set_state(next_hop.addr(), state);
        let key = self.attrs.hot(id).key;
        Path {
            key: if candidate.kind == PathKind::Local {
                key.local()
            } else {
                key
            },
            received: id,
            attrs: id,
            path_id: candidate.path_id,
            stamp: 0,
            source: PeerSlot(candidate.source),
            kind: candidate.kind,
            flags: candidate.flags,
        }
    }

    fn select(&mut self, candidates: &[Candidate], current: Option<usize>) -> Option<Selection> {
        let paths: Vec<Path> = candidates.iter().map(|one| self.path(one)).collect();
        let facts = Facts {
            attrs: &self.attrs,
            next_hops: &self.next_hops,
            sources: &self.sources,
        };
        select(&paths, current, facts)
    }
}

/// `better` must win for `reason`, whichever comes first.
fn wins(better: &Candidate, worse: &Candidate, reason: Reason) {
    for (list, best) in [
        ([better.clone(), worse.clone()], 0),
        ([worse.clone(), better.clone()], 1),
    ] {
        let selection = Bench::new().select(&list, None).unwrap();
        assert_eq!((selection.best, selection.reason), (best, reason));
    }
}

/// The usual candidate, changed.
fn but(source: u16, change: impl FnOnce(&mut Candidate)) -> Candidate {
    let mut one = candidate(source);
    change(&mut one);
    one
}

/// The same over iBGP.
fn internal(source: u16, change: impl FnOnce(&mut Candidate)) -> Candidate {
    let mut one = but(source, change);
    one.kind = PathKind::Internal;
    one
}

#[test]
fn each_step_decides_before_those_behind_it() {
    let other = candidate(2);
    let local = but(1, |one| (one.kind, one.local_pref) = (PathKind::Local, 1));
    wins(
        &local,
        &but(2, |one| one.local_pref = 500),
        Reason::LocalRoute,
    );
    let preferred = but(1, |one| {
        (one.local_pref, one.path) = (200, vec![1, 2, 3, 4])
    });
    wins(&preferred, &other, Reason::LocalPref);
    let short = but(1, |one| {
        (one.path, one.origin) = (vec![65001], Origin::Incomplete)
    });
    wins(&short, &other, Reason::AsPath);
    let egp = but(2, |one| (one.origin, one.med) = (Origin::Egp, Some(0)));
    wins(&but(1, |one| one.med = Some(9)), &egp, Reason::Origin);
    let low_med = internal(1, |one| one.med = Some(5));
    wins(&low_med, &but(2, |one| one.med = Some(6)), Reason::Med);
    wins(&candidate(1), &but(2, |one| one.med = Some(1)), Reason::Med);
    let external = but(1, |one| one.next_hop = 9);
    wins(&external, &internal(1, |_| ()), Reason::PeerType);
    let far = internal(7, |one| one.next_hop = 9);
    wins(&internal(1, |_| ()), &far, Reason::IgpMetric);
}

#[test]
fn the_last_steps_tell_equal_paths_apart() {
    wins(&candidate(2), &candidate(1), Reason::RouterId);
    let of = |source, last| internal(source, move |one| one.originator = Some(last));
    wins(&of(1, 3), &of(1, 4), Reason::RouterId);
    let reflected = |clusters| Candidate {
        clusters,
        ..of(1, 3)
    };
    wins(&reflected(1), &reflected(2), Reason::ClusterLength);
    wins(&of(2, 3), &of(3, 3), Reason::NeighborAddress);
    let numbered = |path_id| but(1, move |one| one.path_id = path_id);
    wins(&numbered(1), &numbered(2), Reason::PathId);
}

/// RFC 4271 §9.1.2: a path whose next hop is not reachable is no candidate; nor one that policy
/// refused.
#[test]
fn unusable_paths_are_no_candidates() {
    let unusable = |flag| {
        let mut flags = PathFlags::default();
        flags.set(flag, true);
        Candidate {
            local_pref: 900,
            flags,
            ..candidate(1)
        }
    };
    let list = [
        unusable(PathFlags::FILTERED),
        unusable(PathFlags::UNRESOLVED),
        candidate(2),
    ];
    let selection = Bench::new().select(&list, None).unwrap();
    assert_eq!((selection.best, selection.reason), (2, Reason::OnlyPath));
    assert_eq!(Bench::new().select(&list[..2], None), None);
    assert_eq!(Bench::new().select(&[], None), None);
}

/// The example of RFC 3345: pairwise comparison would go round in circles.
#[test]
fn med_is_compared_within_a_neighbor_as_whatever_the_order() {
    let path = |source, asn, med, next_hop| Candidate {
        kind: PathKind::Internal,
        path: vec![asn, 7],
        med: Some(med),
        next_hop,
        ..candidate(source)
    };
    let list = [
        path(1, 65001, 20, 1),
        path(2, 65002, 10, 2),
        path(3, 65001, 10, 3),
    ];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let list = order.map(|index: usize| list[index].clone());
        let selection = Bench::new().select(&list, None).unwrap();
        assert_eq!(list[selection.best].source, 2, "{order:?}");
        assert_eq!(selection.reason, Reason::IgpMetric);
    }
}

/// RFC 5004 §3: the path in use stays, among external paths only.
#[test]
fn the_current_path_stays_among_external_ones() {
    let list = [candidate(1), candidate(2)];
    let selection = Bench::new().select(&list, Some(0)).unwrap();
    assert_eq!((selection.best, selection.reason), (0, Reason::OlderPath));
    let internal = list.map(|one| Candidate {
        kind: PathKind::Internal,
        ..one
    });
    let selection = Bench::new().select(&internal, Some(0)).unwrap();
    assert_eq!((selection.best, selection.reason), (1, Reason::RouterId));
    let beaten = [
        candidate(1),
        Candidate {
            local_pref: 200,
            ..candidate(2)
        },
    ];
    assert_eq!(Bench::new().select(&beaten, Some(0)).unwrap().best, 1);
}

#[test]
fn equal_paths_are_those_left_after_the_igp_metric() {
    let list = [
        candidate(1),
        candidate(2),
        Candidate {
            next_hop: 9,
            ..candidate(3)
        },
        Candidate {
            kind: PathKind::Internal,
            ..candidate(4)
        },
    ];
    let selection = Bench::new().select(&list, None).unwrap();
    assert_eq!(selection.equal.as_slice(), [0, 1]);
}
