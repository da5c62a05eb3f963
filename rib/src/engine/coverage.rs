//! What would be lost with a peer: the question before a session that is not needed is ended.
//!
//! A node that leaves a full mesh for reflectors keeps each session until every route that came
//! over it is also here by a peer that stays (see `bgpd`'s `cluster::mesh`). One pass over the
//! tables answers that for all peers at once; it looks at flags and at few attributes, and asks no
//! decision, because any usable path keeps packets flowing.

use proto_codec::afi::Family;

use super::Rib;
use super::core::Core;
use super::plane::{RibFamily, for_family};
use crate::attr::AttrId;
use crate::path::{Path, PathKind};
use crate::peer::PeerSlot;

/// GRACEFUL_SHUTDOWN (RFC 8326 §4.1).
const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

/// The peers that do not count as leaving, each list in the order of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staying {
    /// With everything they send.
    pub all: Vec<PeerSlot>,
    /// With what they do not reflect.
    pub own: Vec<PeerSlot>,
}

/// What a peer alone has, in prefixes with a usable path of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Prefixes it sends.
    pub routes: u32,
    /// Those of them that neither a peer that stays sends nor we originate.
    pub alone: u32,
    /// Prefixes it reflects for others (ORIGINATOR_ID, RFC 4456 §8), usable or not.
    pub reflected: u32,
    /// Those of them that nobody who stays sends.
    pub reflected_alone: u32,
    /// Prefixes it sends without GRACEFUL_SHUTDOWN.
    pub plain: u32,
}

impl Coverage {
    /// Together with another part of the tables.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            routes: self.routes + other.routes,
            alone: self.alone + other.alone,
            reflected: self.reflected + other.reflected,
            reflected_alone: self.reflected_alone + other.reflected_alone,
            plain: self.plain + other.plain,
        }
    }
}

/// What is remembered of one attribute set: neighbors send many routes with few of them.
#[derive(Clone, Copy)]
struct Marks {
    reflected: bool,
    plain: bool,
}

impl Rib {
    /// What each peer alone has, by slot.
    #[must_use]
    pub fn coverage(&self, stays: &Staying) -> Vec<Coverage> {
        let len = self.peers().map(|session| session.slot.index() + 1).max();
        let mut found = vec![Coverage::default(); len.unwrap_or(0)];
        for family in Family::ALL {
            for_family!(family, A => self.cover::<A>(stays, &mut found));
        }
        found
    }

    fn cover<A: RibFamily>(&self, stays: &Staying, found: &mut [Coverage]) {
        let table = &A::plane(&self.planes).table;
        let mut last: Option<(AttrId, Marks)> = None;
        for id in table.ids() {
            let Some(dest) = table.get(id) else {
                continue;
            };
            let usable = || dest.paths().iter().filter(|path| path.is_valid());
            let safe = usable().any(|path| {
                let among = |list: &[PeerSlot]| list.binary_search(&path.source).is_ok();
                path.kind == PathKind::Local
                    || among(&stays.all)
                    || (among(&stays.own) && !marks_of(path, &self.core).reflected)
            });
            let mut learned = dest.paths().iter();
            while let Some(path) = learned.find(|path| path.kind != PathKind::Local) {
                let marks = match last {
                    Some((attrs, marks)) if attrs == path.received => marks,
                    _ => marks_of(path, &self.core),
                };
                last = Some((path.received, marks));
                let Some(count) = found.get_mut(path.source.index()) else {
                    continue;
                };
                // Ignored ones are refused here and yet reflected there.
                count.reflected += u32::from(marks.reflected);
                if !path.is_valid() {
                    continue;
                }
                count.routes += 1;
                count.alone += u32::from(!safe);
                count.reflected_alone += u32::from(marks.reflected && !safe);
                count.plain += u32::from(marks.plain);
            }
        }
    }
}

fn marks_of(path: &Path, core: &Core) -> Marks {
    let set = core.attrs.get(path.received);
    Marks {
        reflected: set.is_some_and(|set| set.originator_id().is_some()),
        plain: set.is_none_or(|set| !set.communities().any(|it| it == GRACEFUL_SHUTDOWN)),
    }
}
