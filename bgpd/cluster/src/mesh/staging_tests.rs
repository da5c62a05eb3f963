//! Each step of a move, and what holds it up.

use super::*;
use crate::{SessionFact, Stage, Standing};

fn at(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn neighbor(last: u8, role: NeighborRole) -> Neighbor {
    let mut neighbor = Neighbor::new(at(last), PeerAsn::Internal, "Node x");
    neighbor.role = role;
    neighbor.route_reflector_client = role == NeighborRole::Client;
    neighbor
}

/// A session that is up and in sync.
fn up(role: NeighborRole, stage: Stage, retires: bool) -> SessionFact {
    SessionFact {
        is_up: true,
        is_in_sync: true,
        standing: Some(Standing {
            role,
            stage,
            retires,
        }),
        ..SessionFact::default()
    }
}

/// `.1` reflects for us; `.2` is another node, with this fact.
fn leaving(reflector: SessionFact, other: SessionFact) -> Option<Neighbor> {
    let facts = Facts {
        sessions: [(at(1), reflector), (at(2), other)].into(),
        stays: vec![at(1)],
        ..Facts::default()
    };
    let wanted = vec![neighbor(1, NeighborRole::Reflector)];
    let others = [
        neighbor(2, NeighborRole::Mesh),
        neighbor(3, NeighborRole::Mesh),
    ];
    let mut staged = stage(wanted, &others, &facts);
    assert_eq!(staged[0].address, at(1), "the reflector is always there");
    if !reflector.is_late {
        assert!(staged.iter().all(|it| it.address != at(3)), "never new");
    }
    staged.drain(1..).find(|it| it.address == at(2))
}

fn synced() -> SessionFact {
    up(NeighborRole::Reflector, Stage::Stays, false)
}

/// A session that is to end, with what is known of it in words.
fn ends(words: &str) -> SessionFact {
    let has = |word| words.split(' ').any(|it| it == word);
    SessionFact {
        is_up: !has("away"),
        is_in_sync: !has("away"),
        is_covered: has("covered"),
        peer_retires: has("they"),
        has_waited: has("waited"),
        is_late: has("late"),
        ..up(NeighborRole::Mesh, Stage::Ends, has("we"))
    }
}

#[test]
fn a_mesh_session_ends_only_when_both_ends_can_do_without() {
    let rows = [
        ("a route is here by it alone", "", Some(false)),
        ("we can do without", "covered", Some(true)),
        ("they can, we have not said so", "covered they", Some(true)),
        ("we have said so, they have not", "covered we", Some(true)),
        ("a new route is not here twice yet", "we they", Some(true)),
        ("both have said so", "covered we they", None),
        ("they say nothing for long", "covered we waited", None),
        ("it is down for a moment", "covered we away", Some(true)),
        ("it is down for long", "covered we away late", None),
        ("it has ended it", "covered we they away", None),
    ];
    for (name, words, kept) in rows {
        let found = leaving(synced(), ends(words));
        assert_eq!(found.as_ref().map(|it| it.retires), kept, "{name}");
        let how = found.map(|it| (it.role, it.stage));
        let ends = kept.map(|_| (NeighborRole::Mesh, Stage::Ends));
        assert_eq!(how, ends, "{name}");
    }
}

#[test]
fn without_a_reflector_in_sync_nobody_can_do_without() {
    let late = SessionFact {
        is_late: true,
        ..SessionFact::default()
    };
    for reflector in [SessionFact::default(), late, ends("away")] {
        for words in ["covered", "covered we", "covered we they"] {
            let found = leaving(reflector, ends(words));
            assert_eq!(found.map(|it| it.retires), Some(false), "{words}");
        }
    }
}

#[test]
fn a_node_that_no_reflector_answers_asks_the_others() {
    let wanted = vec![neighbor(1, NeighborRole::Reflector)];
    let others = [neighbor(2, NeighborRole::Mesh)];
    let look = |is_up, is_late| {
        let reflector = SessionFact {
            is_late,
            is_in_sync: is_up,
            is_up,
            ..up(NeighborRole::Reflector, Stage::Stays, false)
        };
        let facts = Facts {
            sessions: [(at(1), reflector)].into(),
            ..Facts::default()
        };
        stage(wanted.clone(), &others, &facts)
    };
    assert_eq!(look(false, false).len(), 1, "it is waited for");
    assert_eq!(look(true, false).len(), 1);
    let alone = look(false, true);
    assert_eq!(alone.len(), 2);
    let how = (alone[1].role, alone[1].stage, alone[1].retires);
    assert_eq!(how, (NeighborRole::Mesh, Stage::Ends, false));
}

#[test]
fn a_mesh_without_successor_ends_after_a_wait() {
    let rows = [
        ("covered", true),
        ("covered we they", true),
        ("away", true),
        ("away late", false),
        ("waited", false),
    ];
    for (words, kept) in rows {
        let facts = Facts {
            sessions: [(at(2), ends(words))].into(),
            ..Facts::default()
        };
        let router = vec![neighbor(1, NeighborRole::Configured)];
        let staged = stage(router, &[neighbor(2, NeighborRole::Mesh)], &facts);
        assert_eq!(staged.len() == 2, kept, "{words}");
    }
}

#[test]
fn coverage_that_was_judged_before_counts_for_nothing() {
    let first = SessionFact {
        is_covered: true,
        ..up(NeighborRole::Mesh, Stage::Stays, false)
    };
    assert_eq!(leaving(synced(), first).map(|it| it.retires), Some(false));
}

#[test]
fn a_neighbor_that_was_none_stays_none() {
    let configured = up(NeighborRole::Configured, Stage::Stays, false);
    assert_eq!(leaving(synced(), configured), None);
    assert_eq!(leaving(synced(), SessionFact::default()), None);
}

#[test]
fn coverage_by_a_session_that_stays_no_longer_counts_for_nothing() {
    let covered = SessionFact {
        is_covered: true,
        ..ends("")
    };
    let facts = Facts {
        sessions: [(at(1), synced()), (at(2), covered)].into(),
        stays: vec![at(1), at(9)],
        ..Facts::default()
    };
    let wanted = vec![neighbor(1, NeighborRole::Reflector)];
    let staged = stage(wanted, &[neighbor(2, NeighborRole::Mesh)], &facts);
    assert!(!staged[1].retires, ".9 was counted and is to end too");
}

/// What we are to `.1`, a node of the mesh that is to be, whose session stands as `fact`.
fn back(fact: SessionFact) -> Neighbor {
    let mesh = up(NeighborRole::Mesh, Stage::Stays, false);
    let facts = Facts {
        sessions: [(at(1), fact), (at(2), mesh)].into(),
        stays: vec![at(2)],
        ..Facts::default()
    };
    let wanted = vec![
        neighbor(1, NeighborRole::Mesh),
        neighbor(2, NeighborRole::Mesh),
    ];
    stage(wanted, &[], &facts).remove(0)
}

#[test]
fn a_reflector_goes_on_until_each_client_can_do_without() {
    let client = |stage| up(NeighborRole::Client, stage, false);
    let first = back(client(Stage::Stays));
    assert_eq!(
        (first.role, first.stage),
        (NeighborRole::Client, Stage::Released)
    );
    assert!(first.route_reflector_client);
    assert_eq!(back(client(Stage::Released)).stage, Stage::Released);
    for released in [
        SessionFact {
            peer_retires: true,
            ..client(Stage::Released)
        },
        SessionFact {
            has_waited: true,
            ..client(Stage::Released)
        },
        SessionFact {
            is_up: false,
            ..client(Stage::Released)
        },
    ] {
        let last = back(released);
        assert_eq!((last.role, last.stage), (NeighborRole::Mesh, Stage::Stays));
        assert!(!last.route_reflector_client);
    }
}

#[test]
fn a_client_says_when_it_can_do_without_its_reflector() {
    let reflector = |stage| SessionFact {
        reflects: true,
        ..up(NeighborRole::Reflector, stage, false)
    };
    let first = back(reflector(Stage::Stays));
    assert_eq!(
        (first.stage, first.retires),
        (Stage::StopsReflecting, false)
    );
    let second = back(reflector(Stage::StopsReflecting));
    assert_eq!(
        (second.stage, second.retires),
        (Stage::StopsReflecting, false)
    );
    let third = back(SessionFact {
        is_covered: true,
        ..reflector(Stage::StopsReflecting)
    });
    assert_eq!((third.stage, third.retires), (Stage::StopsReflecting, true));
    let last = back(up(NeighborRole::Reflector, Stage::StopsReflecting, true));
    assert_eq!((last.role, last.stage), (NeighborRole::Mesh, Stage::Stays));
    assert!(!last.retires, "what it sends counts again");
}
