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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use crate::claim::Claim;
use crate::dialect::AddressKind;
use crate::{Announcement, Fault, Severity};

/// All claims, and the result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// By the prefix asked for, and for aggregates also by the address itself.
    claims: BTreeMap<IpNet, Vec<Arc<Claim>>>,
    networks: BTreeMap<IpNet, Vec<Announcement>>,
    /// Aggregates that are announced address by address.
    split: BTreeSet<IpNet>,
    routes: BTreeMap<IpNet, Vec<Announcement>>,
    faults: BTreeMap<IpNet, Vec<Fault>>,
    touched: BTreeSet<IpNet>,
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
            self.claims
                .entry(prefix)
                .or_default()
                .push(Arc::clone(claim));
            self.touched.insert(prefix);
        }
    }

    pub(crate) fn remove(&mut self, claim: &Arc<Claim>) {
        for prefix in places(claim) {
            if let Some(claims) = self.claims.get_mut(&prefix) {
                claims.retain(|other| !Arc::ptr_eq(other, claim));
                if claims.is_empty() {
                    self.claims.remove(&prefix);
                }
            }
            self.touched.insert(prefix);
        }
    }

    /// Replaces the routes of the node itself.
    pub(crate) fn set_networks<'a>(&mut self, networks: impl Iterator<Item = &'a Announcement>) {
        let mut by_prefix: BTreeMap<IpNet, Vec<Announcement>> = BTreeMap::new();
        for network in networks {
            let prefix = network.prefix.trunc();
            by_prefix.entry(prefix).or_default().push(network.clone());
        }
        let before = std::mem::take(&mut self.networks);
        for prefix in before.keys().chain(by_prefix.keys()) {
            if before.get(prefix) != by_prefix.get(prefix) {
                self.touched.insert(*prefix);
            }
        }
        self.networks = by_prefix;
    }

    /// Everything is to be settled again.
    pub(crate) fn touch_all(&mut self) {
        self.touched.extend(self.claims.keys());
    }

    /// Settles what was touched.
    pub(crate) fn settle(&mut self, force_aggregates: bool) -> Settled {
        let mut touched = std::mem::take(&mut self.touched);
        let mut hosts = Vec::new();
        for prefix in &touched {
            let claims = self.claims.get_mut(prefix);
            if let Some(claims) = claims {
                claims.sort_by(|a, b| a.rank(b));
            }
            let members = self.members(prefix);
            let splits = !force_aggregates
                && members.clone().any(|member| !is_safe(member))
                && members.clone().any(|member| member.is_eligible);
            let flips = self.split.contains(prefix) != splits;
            if flips {
                hosts.extend(members.map(|member| member.host));
                match splits {
                    true => self.split.insert(*prefix),
                    false => self.split.remove(prefix),
                };
            }
        }
        touched.extend(hosts);
        let mut settled = Settled::default();
        for prefix in touched {
            let (routes, faults) = self.merged(prefix);
            if self.routes.get(&prefix).map_or(&[][..], Vec::as_slice) != routes {
                settled.routes.insert(prefix, routes.clone());
            }
            settled.faults |= store(&mut self.faults, prefix, faults);
            store(&mut self.routes, prefix, routes);
        }
        settled
    }

    /// The claims that ask for this prefix as an aggregate.
    fn members(&self, prefix: &IpNet) -> impl Iterator<Item = &Arc<Claim>> + Clone + use<'_> {
        let prefix = *prefix;
        let claims = self.claims.get(&prefix).map_or(&[][..], Vec::as_slice);
        let claims = claims.iter();
        claims.filter(move |claim| claim.prefix == prefix && claim.is_aggregate())
    }

    /// What is announced for a prefix, and what is wrong there.
    fn merged(&self, prefix: IpNet) -> (Vec<Announcement>, Vec<Fault>) {
        let mut merge = Merge {
            prefix,
            routes: Vec::new(),
            faults: Vec::new(),
        };
        for network in self.networks.get(&prefix).into_iter().flatten() {
            merge.add(network.clone());
        }
        let claims = self.claims.get(&prefix).map_or(&[][..], Vec::as_slice);
        for claim in claims {
            let is_split = claim.is_aggregate() && self.split.contains(&claim.prefix);
            let is_here = (claim.prefix == prefix) != is_split;
            if claim.is_eligible && is_here {
                merge.add(Announcement {
                    prefix,
                    source: claim.source.clone(),
                    neighbors: claim.neighbors.clone(),
                    marks: claim.marks.clone(),
                    discard: false,
                    objects: vec![claim.owner.text.clone()],
                });
            }
        }
        if self.split.contains(&prefix) {
            merge.faults.extend(self.split_fault(&prefix));
        }
        merge.faults.extend(duplicates(prefix, claims));
        merge.faults.sort();
        merge.faults.dedup();
        merge.routes.sort();
        (merge.routes, merge.faults)
    }

    fn split_fault(&self, prefix: &IpNet) -> Option<Fault> {
        let culprit = self.members(prefix).find(|member| !is_safe(member))?;
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
        self.routes.values().flatten()
    }

    /// What is announced for a prefix.
    pub(crate) fn route(&self, prefix: &IpNet) -> &[Announcement] {
        self.routes.get(prefix).map_or(&[], Vec::as_slice)
    }

    /// Who asks for a prefix, best first.
    pub(crate) fn claims(&self, prefix: &IpNet) -> &[Arc<Claim>] {
        self.claims.get(prefix).map_or(&[], Vec::as_slice)
    }

    /// Because of whom an aggregate is announced address by address; `None`: it is not.
    pub(crate) fn culprit(&self, prefix: &IpNet) -> Option<&Arc<Claim>> {
        if !self.split.contains(prefix) {
            return None;
        }
        self.members(prefix).find(|member| !is_safe(member))
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.values().flatten()
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

/// Stores a list under a prefix, nothing where it is empty; whether that is a change.
fn store<T: PartialEq>(map: &mut BTreeMap<IpNet, Vec<T>>, prefix: IpNet, list: Vec<T>) -> bool {
    let before = if list.is_empty() {
        return map.remove(&prefix).is_some();
    } else {
        map.get(&prefix) != Some(&list)
    };
    map.insert(prefix, list);
    before
}

/// Announcements of one prefix, made from claims in the order of their rank.
struct Merge {
    prefix: IpNet,
    routes: Vec<Announcement>,
    faults: Vec<Fault>,
}

impl Merge {
    fn add(&mut self, mut new: Announcement) {
        let prefix = self.prefix;
        let Some(mut wanted) = new.neighbors.take() else {
            let rest = self.routes.iter_mut().find(|have| have.neighbors.is_none());
            match rest {
                Some(rest) => join(rest, &new, &mut self.faults, prefix),
                None => self.routes.push(new),
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
