//! Who holds one of the places on the control socket, and who has to make room.
//!
//! A place is taken for as long as a connection lasts, and a connection may last: a monitor, a
//! pager in front of a person, a program that asks once an hour. So there is no idle limit. When
//! all places are taken, a newcomer displaces somebody instead, and nobody can shut others out by
//! holding on to what he does not use:
//!
//! - whoever may do less goes first: a viewer never displaces an administrator, and root always
//!   finds a place unless administrators hold all of them and are at work;
//! - among equals, a user with many places yields to one with few;
//! - then the connection goes that has been without progress for longest, not before
//!   [`IDLE_TIME_MIN`]: sixty programs that start in the same instant do not chase each other.
//!
//! Progress is an octet that the client sent or took. The displaced connection is closed at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::access::Right;

/// A connection of an equal that was active this recently is left alone.
pub(super) const IDLE_TIME_MIN: Duration = Duration::from_millis(250);

/// All places and their holders.
#[derive(Debug)]
pub(super) struct Places {
    count_max: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    taken: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    caller: Caller,
    progress: Instant,
    displaced: Arc<Notify>,
}

/// Who wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// What it may do.
    pub right: Right,
    /// Whose it is.
    pub uid: u32,
}

/// What came of asking for a place.
#[derive(Debug)]
pub(super) enum Seat {
    /// Here it is; `Some` is who had to go for it.
    Taken(Place, Option<Caller>),
    /// Not now: all holders are equals or better and were active just now.
    Full,
}

/// A place, held until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    displaced: Arc<Notify>,
}

impl Places {
    pub fn new(count_max: usize) -> Arc<Self> {
        Arc::new(Self {
            count_max,
            state: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Takes a place for `caller`, displacing somebody if there is none.
    pub fn take(self: &Arc<Self>, caller: Caller, now: Instant) -> Seat {
        let mut state = self.lock();
        let mut gone = None;
        if state.taken.len() >= self.count_max {
            let Some(id) = state.victim(caller, now) else {
                return Seat::Full;
            };
            if let Some(holder) = state.taken.remove(&id) {
                holder.displaced.notify_one();
                gone = Some(holder.caller);
            }
        }
        let id = state.next_id;
        state.next_id += 1;
        let displaced = Arc::new(Notify::new());
        let holder = Holder {
            caller,
            progress: now,
            displaced: Arc::clone(&displaced),
        };
        state.taken.insert(id, holder);
        let places = Arc::clone(self);
        let place = Place {
            places,
            id,
            displaced,
        };
        Seat::Taken(place, gone)
    }

    /// Resolves when somebody has left since the last call.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every step, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who has to make room for `caller`, if anybody.
    fn victim(&self, caller: Caller, now: Instant) -> Option<u64> {
        let mut share: BTreeMap<u32, usize> = BTreeMap::new();
        for holder in self.taken.values() {
            *share.entry(holder.caller.uid).or_default() += 1;
        }
        let share_of = |uid| share.get(&uid).copied().unwrap_or(0);
        let last = |holder: &Holder| {
            let places = Reverse(share_of(holder.caller.uid));
            (holder.caller.right, places, holder.progress)
        };
        let (id, holder) = self.taken.iter().min_by_key(|(_, holder)| last(holder))?;
        let idle = now.saturating_duration_since(holder.progress);
        let yields = holder.caller.right < caller.right
            || (holder.caller.right == caller.right
                && (idle >= IDLE_TIME_MIN
                    || share_of(holder.caller.uid) > share_of(caller.uid) + 1));
        yields.then_some(*id)
    }
}

impl Place {
    /// The client sent or took something.
    pub fn progress(&self, now: Instant) {
        if let Some(holder) = self.places.lock().taken.get_mut(&self.id) {
            holder.progress = now;
        }
    }

    /// Resolves when somebody else was given this place.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.places.lock().taken.remove(&self.id).is_some() {
            self.places.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Caller = Caller {
        right: Right::Admin,
        uid: 0,
    };

    fn viewer(uid: u32) -> Caller {
        let right = Right::View;
        Caller { right, uid }
    }

    fn stranger(uid: u32) -> Caller {
        let right = Right::None;
        Caller { right, uid }
    }

    fn full_of(callers: &[Caller], now: Instant) -> (Arc<Places>, Vec<Place>) {
        let places = Places::new(callers.len());
        let held = callers
            .iter()
            .map(|caller| match places.take(*caller, now) {
                Seat::Taken(place, None) => place,
                other => panic!("{other:?}"),
            });
        let held = held.collect();
        (places, held)
    }

    /// Who goes for `newcomer`; the newcomer leaves again.
    fn displaced(places: &Arc<Places>, newcomer: Caller, now: Instant) -> Option<Caller> {
        match places.take(newcomer, now) {
            Seat::Taken(_, gone) => gone,
            Seat::Full => None,
        }
    }

    #[test]
    fn who_may_do_less_goes_first_however_active() {
        let now = Instant::now();
        let all = [ROOT, stranger(9), viewer(7), ROOT];
        let (places, _held) = full_of(&all, now);
        assert_eq!(displaced(&places, viewer(8), now), Some(stranger(9)));
        let (places, _held) = full_of(&[ROOT, viewer(7)], now);
        assert_eq!(displaced(&places, ROOT, now), Some(viewer(7)));
    }

    #[test]
    fn nobody_displaces_one_who_may_do_more() {
        let now = Instant::now();
        let (places, _held) = full_of(&[ROOT, ROOT, ROOT], now);
        let later = now + IDLE_TIME_MIN * 100;
        assert!(matches!(places.take(viewer(7), later), Seat::Full));
        assert!(matches!(places.take(stranger(9), later), Seat::Full));
    }

    #[test]
    fn one_user_with_many_places_yields_to_another() {
        let now = Instant::now();
        let (places, _held) = full_of(&[viewer(7), viewer(8), viewer(8), viewer(8)], now);
        assert_eq!(displaced(&places, viewer(9), now), Some(viewer(8)));
    }

    #[test]
    fn among_equals_the_longest_idle_goes_and_the_active_stay() {
        let now = Instant::now();
        let (places, held) = full_of(&[ROOT, ROOT, ROOT], now);
        assert!(
            matches!(places.take(ROOT, now), Seat::Full),
            "all just came"
        );
        let later = now + IDLE_TIME_MIN;
        held[0].progress(later);
        let Seat::Taken(_place, Some(ROOT)) = places.take(ROOT, later) else {
            panic!("nobody made room");
        };
        let taken: Vec<u64> = places.lock().taken.keys().copied().collect();
        assert_eq!(
            taken,
            [0, 2, 3],
            "the second was first in the line of the idle"
        );
    }

    #[test]
    fn a_place_is_free_when_its_connection_ends() {
        let now = Instant::now();
        let (places, mut held) = full_of(&[ROOT, ROOT], now);
        held.pop();
        assert!(matches!(places.take(viewer(7), now), Seat::Taken(_, None)));
    }
}
