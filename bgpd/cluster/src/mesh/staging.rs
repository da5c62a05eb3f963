//! From one topology to the next without losing a route at any node.
//!
//! Nodes see a change of the topology at different times, so nobody may act on the wish alone. The
//! rule is that **a session ends when both of its ends can do without it, and each end says so**:
//!
//! 1. What is new comes up at once. Whoever becomes a reflector begins to reflect at once, which
//!    takes no session down.
//! 2. A session that is to end goes on ([`Stage::Ends`]). This node can do without it when its
//!    wanted sessions are in sync and every route that came over it is also here by one of those.
//!    Then it *retires* the session: what it sends there carries GRACEFUL_SHUTDOWN and LOCAL_PREF
//!    0 from now on, which at the same time moves traffic away (RFC 8326).
//! 3. When both ends have retired it, the session is removed. bgpd looks once more whether nothing
//!    is lost at that moment, and keeps the routes of a session that the other end has removed
//!    until they are covered or a short time is over.
//! 4. A reflector that is none any more goes on reflecting to each client ([`Stage::Released`])
//!    until that client says in the same way that it can do without
//!    ([`Stage::StopsReflecting`] on its side).
//!
//! Where reflectors are wanted and none of them is in sync although they were waited for, a node
//! asks all others for a session ([`Stage::Ends`] as well), which those in the same need ask for
//! too. Where no other session between nodes is wanted at all (a mesh that is switched off for
//! routers outside), those there are end after five minutes.
//!
//! Nobody waits for ever. A session that stays down for a minute is removed if nothing of it is
//! needed; a wanted neighbor that does not come up in that time is waited for no longer; a
//! neighbor that never says anything (another implementation) is left after five minutes, if
//! nothing of it is needed here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::{Facts, Neighbor, NeighborRole, SessionFact, Stage};

/// What is to be configured now, on the way to `wanted`: sorted by address, each address once.
/// `others` are the nodes that are no neighbors (any more), as they would be in the mesh: those we
/// have a session with may have to stay for a while. Neighbors in neither list are gone, and so
/// are their sessions.
#[must_use]
pub fn stage(wanted: Vec<Neighbor>, others: &[Neighbor], facts: &Facts) -> Vec<Neighbor> {
    let mut staged: BTreeMap<IpAddr, Neighbor> = BTreeMap::new();
    for neighbor in wanted {
        let fact = fact_of(facts, neighbor.address);
        staged.insert(neighbor.address, toward(neighbor, &fact));
    }
    let view = Judgement::of(&staged, facts);
    for neighbor in staged.values_mut() {
        if neighbor.stage == Stage::StopsReflecting {
            neighbor.retires = view.may_retire(&fact_of(facts, neighbor.address), neighbor);
        }
    }
    for other in others {
        if staged.contains_key(&other.address) {
            continue;
        }
        if let Some(kept) = view.kept(other.clone(), &fact_of(facts, other.address)) {
            staged.insert(kept.address, kept);
        }
    }
    staged.into_values().collect()
}

fn fact_of(facts: &Facts, address: IpAddr) -> SessionFact {
    facts.sessions.get(&address).copied().unwrap_or_default()
}

fn role_of(fact: &SessionFact) -> Option<NeighborRole> {
    fact.standing.map(|standing| standing.role)
}

fn stage_of(fact: &SessionFact) -> Option<Stage> {
    fact.standing.map(|standing| standing.stage)
}

/// A neighbor that is wanted, on the way from what it is now to what it is to be.
fn toward(mut neighbor: Neighbor, fact: &SessionFact) -> Neighbor {
    match (role_of(fact), neighbor.role) {
        (Some(NeighborRole::Reflector), NeighborRole::Mesh) if fact.is_up && !is_quiet(fact) => {
            neighbor.role = NeighborRole::Reflector;
            neighbor.stage = Stage::StopsReflecting;
        }
        (Some(NeighborRole::Client), NeighborRole::Mesh) if fact.is_up && !is_released(fact) => {
            neighbor.role = NeighborRole::Client;
            neighbor.route_reflector_client = true;
            neighbor.stage = Stage::Released;
        }
        _ => {}
    }
    neighbor
}

/// Whether a reflector that is none any more reflects nothing.
fn is_quiet(fact: &SessionFact) -> bool {
    stage_of(fact) == Some(Stage::StopsReflecting) && !fact.reflects
}

/// Whether a client of ours does not need what we reflect any more.
fn is_released(fact: &SessionFact) -> bool {
    stage_of(fact) == Some(Stage::Released) && (fact.peer_retires || fact.has_waited)
}

/// Whether a session stays, and with everything that comes over it.
fn stays_with_all(stage: Stage) -> bool {
    matches!(stage, Stage::Stays | Stage::Released)
}

/// What this node knows of the sessions it wants.
struct Judgement {
    /// They are in sync, as far as they can be waited for.
    ready: bool,
    /// What was said of coverage still holds: all that counted then counts now.
    holds: bool,
    /// Some session between nodes is wanted.
    is_replaced: bool,
    /// Reflectors are wanted, and none is in sync although it was waited for.
    is_alone: bool,
}

impl Judgement {
    fn of(staged: &BTreeMap<IpAddr, Neighbor>, facts: &Facts) -> Self {
        let stays = |address: &IpAddr| {
            staged
                .get(address)
                .is_some_and(|it| stays_with_all(it.stage) && it.role != NeighborRole::Configured)
        };
        let wanted = || staged.keys().filter(|address| stays(address));
        let known = |address: &IpAddr| fact_of(facts, *address);
        let any = wanted().any(|address| known(address).is_in_sync);
        let all = wanted().all(|address| {
            let fact = known(address);
            fact.is_in_sync || fact.is_late
        });
        let is_reflector = |it: &&Neighbor| {
            it.role == NeighborRole::Reflector && it.stage != Stage::StopsReflecting
        };
        let mut reflectors = staged.values().filter(is_reflector).peekable();
        let is_alone = reflectors.peek().is_some()
            && reflectors.all(|it| {
                let fact = known(&it.address);
                fact.is_late && !fact.is_up
            });
        Self {
            ready: any && all,
            holds: facts.stays.iter().all(stays),
            is_replaced: wanted().next().is_some(),
            is_alone,
        }
    }

    /// Whether we may say that we do not need what comes over a session. What was said is taken
    /// back only when wanted sessions fail: a route that is new, and is here by one way a moment
    /// before the other, is no reason to send everything again.
    fn may_retire(&self, fact: &SessionFact, neighbor: &Neighbor) -> bool {
        let said = fact.standing.is_some_and(|standing| standing.retires);
        self.ready && self.is_judged(fact, neighbor) && (fact.is_covered || said)
    }

    fn is_judged(&self, fact: &SessionFact, neighbor: &Neighbor) -> bool {
        self.holds && stage_of(fact) == Some(neighbor.stage)
    }

    /// A session that is to end, unless it may end now.
    fn kept(&self, mut neighbor: Neighbor, fact: &SessionFact) -> Option<Neighbor> {
        let role = role_of(fact).filter(|role| *role != NeighborRole::Configured);
        let role = role.or_else(|| self.is_alone.then_some(NeighborRole::Mesh))?;
        neighbor.role = role;
        neighbor.route_reflector_client = role == NeighborRole::Client;
        neighbor.stage = Stage::Ends;
        neighbor.retires = self.may_retire(fact, &neighbor);
        // What we say must have been said before anybody acts on it.
        let said = fact.standing.is_some_and(|standing| standing.retires);
        let is_away = !fact.is_up && fact.is_late;
        let may_end = fact.peer_retires || fact.has_waited || is_away;
        let ends = match self.is_replaced {
            true => neighbor.retires && said && fact.is_covered && may_end,
            false => stage_of(fact) == Some(Stage::Ends) && (fact.has_waited || is_away),
        };
        (!ends).then_some(neighbor)
    }
}
