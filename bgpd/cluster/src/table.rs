//! All claims by prefix, and what becomes of them: one set of announcements per prefix.
//!
//! Only prefixes that a change touched are settled again. What is promised:
//!
//! - The result depends on the claims alone, never on the order in which they came.
//! - A route is announced while at least one claim of it is eligible (services may share an
//!   address), and lists every object that asks for it, first the one whose marks count.
//! - Announcements of one prefix have disjoint neighbors. A claim for named neighbors gets those
//!   that no better claim has; a claim for all gets the rest.
//! - An aggregate is announced only where it swallows nothing: if one of its addresses must be
//!   served on this node (policy Local) and is not, its eligible addresses are announced one by
//!   one instead, on this node. The other nodes decide for themselves. `force_aggregates` ends
//!   this. An address that no node serves (policy Cluster, no endpoints) splits nothing: the
//!   aggregate takes no packet from a better place.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::claim::Claim;
use crate::dialect::AddressKind;
use crate::{Announcement, Fault, Severity};

/// All claims, and the result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    slots: BTreeMap<IpNet, Slot>,
    /// Prefixes to be settled, each once.
    touched: Vec<IpNet>,
}

/// A prefix.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// Who asks for this prefix, or for an aggregate on account of this address.
    claims: Vec<Arc<Claim>>,
    /// Routes of the node itself.
    networks: Vec<Announcement>,
    /// As an aggregate it is announced address by address.
    is_split: bool,
    is_touched: bool,
    routes: Box<[Announcement]>,
    faults: Box<[Fault]>,
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.claims.is_empty()
            && self.networks.is_empty()
            && self.routes.is_empty()
            && self.faults.is_empty()
    }

    /// The claims that ask for this prefix as an aggregate.
    fn members(&self, prefix: IpNet) -> impl Iterator<Item = &Arc<Claim>> + Clone {
        let claims = self.claims.iter();
        claims.filter(move |claim| claim.prefix == prefix && claim.is_aggregate())
    }
}

/// What settling changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settled {
    pub routes: BTreeMap<IpNet, Vec<Announcement>>,
    pub faults: bool,
}

impl Table {
    pub(crate) fn insert(&mut self, claim: &Arc<Claim>) {
        for prefix in places(claim) {
            self.touch(prefix).claims.push(Arc::clone(claim));
        }
    }

    pub(crate) fn remove(&mut self, claim: &Arc<Claim>) {
        for prefix in places(claim) {
            let claims = &mut self.touch(prefix).claims;
            claims.retain(|other| !Arc::ptr_eq(other, claim));
        }
    }

    /// Puts a claim in the place of one that differs only in whether it is eligible.
    pub(crate) fn replace(&mut self, old: &Arc<Claim>, new: &Arc<Claim>) {
        for prefix in places(new) {
            for claim in &mut self.touch(prefix).claims {
                if Arc::ptr_eq(claim, old) {
                    *claim = Arc::clone(new);
                }
            }
        }
    }

    /// Replaces the routes of the node itself.
    pub(crate) fn set_networks<'a>(&mut self, networks: impl Iterator<Item = &'a Announcement>) {
        let mut new: BTreeMap<IpNet, Vec<Announcement>> = BTreeMap::new();
        for network in networks {
            let prefix = network.prefix.trunc();
            new.entry(prefix).or_default().push(network.clone());
        }
        let old = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.networks.is_empty());
        let gone: Vec<IpNet> = old.map(|(prefix, _)| *prefix).collect();
        for prefix in gone {
            if !new.contains_key(&prefix) {
                self.touch(prefix).networks = Vec::new();
            }
        }
        for (prefix, networks) in new {
            let slot = self.slots.get(&prefix);
            if slot.is_none_or(|slot| slot.networks != networks) {
                self.touch(prefix).networks = networks;
            }
        }
    }

    /// Everything is to be settled again.
    pub(crate) fn touch_all(&mut self) {
        for (prefix, slot) in &mut self.slots {
            if !slot.is_touched {
                slot.is_touched = true;
                self.touched.push(*prefix);
            }
        }
    }

    fn touch(&mut self, prefix: IpNet) -> &mut Slot {
        let slot = self.slots.entry(prefix).or_default();
        if !slot.is_touched {
            slot.is_touched = true;
            self.touched.push(prefix);
        }
        slot
    }

    /// Settles what was touched.
    pub(crate) fn settle(&mut self, force_aggregates: bool) -> Settled {
        let mut hosts = Vec::new();
        for prefix in &self.touched {
            let Some(slot) = self.slots.get_mut(prefix) else {
                continue;
            };
            slot.claims.sort_by(|a, b| a.rank(b));
            let members = slot.members(*prefix);
            let splits = !force_aggregates
                && members.clone().any(|member| !is_safe(member))
                && members.clone().any(|member| member.is_eligible);
            if slot.is_split != splits {
                hosts.extend(members.map(|member| member.host));
                slot.is_split = splits;
            }
        }
        for host in hosts {
            self.touch(host);
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        let mut settled = Settled::default();
        let mut changed = Vec::new();
        for prefix in touched {
            let (routes, faults) = self.merged(prefix);
            let Some(slot) = self.slots.get_mut(&prefix) else {
                continue;
            };
            slot.is_touched = false;
            if *slot.routes != *routes {
                changed.push((prefix, routes.clone()));
                slot.routes = routes.into();
            }
            if *slot.faults != *faults {
                settled.faults = true;
                slot.faults = faults.into();
            }
            if slot.is_empty() {
                self.slots.remove(&prefix);
            }
        }
        settled.routes = changed.into_iter().collect();
        settled
    }

    /// What is announced for a prefix, and what is wrong there.
    fn merged(&self, prefix: IpNet) -> (Vec<Announcement>, Vec<Fault>) {
        let mut merge = Merge {
            prefix,
            routes: Vec::new(),
            faults: Vec::new(),
        };
        let Some(slot) = self.slots.get(&prefix) else {
            return (merge.routes, merge.faults);
        };
        for network in &slot.networks {
            merge.add(network.clone());
        }
        for claim in &slot.claims {
            let is_split = claim.is_aggregate() && self.is_split(&claim.prefix);
            let is_here = (claim.prefix == prefix) != is_split;
            if claim.is_eligible && is_here {
                merge.claim(claim);
            }
        }
        if slot.is_split {
            merge.faults.extend(self.split_fault(&prefix));
        }
        merge.faults.extend(duplicates(prefix, &slot.claims));
        merge.faults.sort();
        merge.faults.dedup();
        merge.routes.sort();
        (merge.routes, merge.faults)
    }

    fn is_split(&self, prefix: &IpNet) -> bool {
        self.slots.get(prefix).is_some_and(|slot| slot.is_split)
    }

    fn split_fault(&self, prefix: &IpNet) -> Option<Fault> {
        let culprit = self.culprit(prefix)?;
        Some(warning(
            &culprit.owner.text,
            &format!(
                "{} must be served on this node (policy Local) and is not: the aggregate {prefix} \
                 is announced address by address here",
                culprit.host.addr()
            ),
        ))
    }

    /// All routes, by prefix.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &Announcement> {
        self.slots.values().flat_map(|slot| &slot.routes)
    }

    /// What is announced for a prefix.
    pub(crate) fn route(&self, prefix: &IpNet) -> &[Announcement] {
        self.slots.get(prefix).map_or(&[], |slot| &slot.routes)
    }

    /// Who asks for a prefix, best first.
    pub(crate) fn claims(&self, prefix: &IpNet) -> &[Arc<Claim>] {
        self.slots.get(prefix).map_or(&[], |slot| &slot.claims)
    }

    /// Because of whom an aggregate is announced address by address; `None`: it is not.
    pub(crate) fn culprit(&self, prefix: &IpNet) -> Option<&Arc<Claim>> {
        let slot = self.slots.get(prefix).filter(|slot| slot.is_split)?;
        slot.members(*prefix).find(|member| !is_safe(member))
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.slots.values().flat_map(|slot| &slot.faults)
    }
}

/// Where a claim is looked for.
fn places(claim: &Claim) -> impl Iterator<Item = IpNet> {
    let host = claim.is_aggregate().then_some(claim.host);
    std::iter::once(claim.prefix).chain(host)
}

/// Whether an aggregate may swallow this address here.
fn is_safe(member: &Claim) -> bool {
    member.is_eligible || !member.is_local
}

/// Announcements of one prefix, made from claims in the order of their rank.
struct Merge {
    prefix: IpNet,
    routes: Vec<Announcement>,
    faults: Vec<Fault>,
}

impl Merge {
    /// Adds a claim. Most that share an aggregate ask for the same, and only add their name.
    fn claim(&mut self, claim: &Claim) {
        if let [have] = &mut self.routes[..]
            && have.neighbors.is_none()
            && claim.neighbors.is_none()
            && have.marks == claim.marks
        {
            // An owner's claims of one prefix follow each other.
            if have.objects.last() != Some(&claim.owner.text) {
                have.objects.push(claim.owner.text.clone());
            }
            return;
        }
        self.add(Announcement {
            prefix: self.prefix,
            source: claim.source.clone(),
            neighbors: claim.neighbors.clone(),
            marks: claim.marks.clone(),
            discard: false,
            objects: vec![claim.owner.text.clone()],
        });
    }

    fn add(&mut self, mut new: Announcement) {
        let prefix = self.prefix;
        let Some(mut wanted) = new.neighbors.take() else {
            let rest = self.routes.iter_mut().find(|have| have.neighbors.is_none());
            match rest {
                Some(rest) => join(rest, &new, &mut self.faults, prefix),
                None => {
                    self.routes.reserve_exact(1);
                    self.routes.push(new);
                }
            }
            return;
        };
        for have in &mut self.routes {
            let Some(named) = &have.neighbors else {
                continue;
            };
            let count = wanted.len();
            wanted.retain(|neighbor| !named.contains(neighbor));
            if wanted.len() < count {
                join(have, &new, &mut self.faults, prefix);
            }
        }
        if wanted.is_empty() {
            return;
        }
        let is_same = |have: &Announcement| have.source == new.source && have.marks == new.marks;
        if let Some(rest) = self.routes.iter_mut().find(|have| have.neighbors.is_none()) {
            // A better claim is for all: that is these neighbors too.
            join(rest, &new, &mut self.faults, prefix);
        } else if let Some(have) = self.routes.iter_mut().find(|have| is_same(have)) {
            let named = have.neighbors.get_or_insert_default();
            named.extend(wanted);
            named.sort_unstable();
            add_objects(have, &new.objects);
            have.discard |= new.discard;
        } else {
            new.neighbors = Some(wanted);
            self.routes.push(new);
        }
    }
}

fn add_objects(have: &mut Announcement, objects: &[Box<str>]) {
    for object in objects {
        if !have.objects.contains(object) {
            have.objects.push(object.clone());
        }
    }
}

fn join(have: &mut Announcement, new: &Announcement, faults: &mut Vec<Fault>, prefix: IpNet) {
    if have.marks != new.marks
        && let (Some(winner), Some(loser)) = (have.objects.first(), new.objects.first())
    {
        let text = if winner == loser {
            format!("asks for several sets of attributes of {prefix}: the first counts")
        } else {
            format!("asks for other attributes of {prefix} than {winner}, which counts")
        };
        faults.push(warning(loser, &text));
    }
    add_objects(have, &new.objects);
    have.discard |= new.discard;
}

/// The alarm about an address that two services have without leave to share it. Two services with
/// one external address are common (other ports) and no alarm.
fn duplicates(prefix: IpNet, claims: &[Arc<Claim>]) -> Option<Fault> {
    let balanced =
        |claim: &&Arc<Claim>| claim.host == prefix && claim.kind == AddressKind::LoadBalancer;
    let first = claims.iter().find(balanced)?;
    let other = claims
        .iter()
        .filter(|claim| claim.host == prefix)
        .find(|claim| {
            let may_share =
                claim.owner.sharing.is_some() && claim.owner.sharing == first.owner.sharing;
            claim.owner.name != first.owner.name && !may_share
        })?;
    let text = format!(
        "{} is also the address of {}, and no allow-shared-ip names both",
        prefix.addr(),
        first.owner.text
    );
    Some(warning(&other.owner.text, &text))
}

fn warning(object: &str, text: &str) -> Fault {
    Fault {
        object: object.into(),
        path: "".into(),
        severity: Severity::Warning,
        text: text.into(),
    }
}
