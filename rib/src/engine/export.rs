//! What a group should be told of a destination.
//!
//! Three questions in order, each with its reason for `explain`: may a path of this source go to
//! this kind of peer at all ([`may_go`]: RFC 4271 §9.2 split horizon, RFC 4456 §6 reflection,
//! RFC 1997 well-known communities, RFC 9234 §5 leaks, the neighbors a route of ours is restricted
//! to), does export policy accept it, and with which attributes.
//!
//! The answer depends on attributes and source, and on the prefix only where policy looks at it, so
//! an [`Exporter`] remembers the last answer: changed destinations come in runs of one set.

use ipnet::IpNet;
use proto_codec::prefix::PrefixKey;
use smallvec::SmallVec;
use std::sync::Arc;

use super::core::Core;
use super::plane::RibFamily;
use crate::attr::{AttrId, Hot, OutAttr, SourceOfPath};
use crate::decision::select;
use crate::dest::Dest;
use crate::group::{GroupKey, Wish};
use crate::origin::LocalTag;
use crate::path::{Path, PathKind};
use crate::peer::{AddPathTx, PeerKind, PeerSlot, Role};
use crate::policy::{RpkiState, Subject};

/// Why a path is not told to a kind of peer, before policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// It came over iBGP and goes over iBGP, and neither end is a client (RFC 4456 §6).
    IbgpSplitHorizon,
    /// NO_ADVERTISE.
    NoAdvertise,
    /// NO_EXPORT, or NO_EXPORT_SUBCONFED.
    NoExport,
    /// ONLY_TO_CUSTOMER, and the peer is none.
    OnlyToCustomer,
    /// It starts here and is restricted to other neighbors.
    OtherNeighbors,
}

impl Withheld {
    /// In words, for `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Withheld::IbgpSplitHorizon => "learned over iBGP, not told over iBGP",
            Withheld::NoAdvertise => "community no-advertise",
            Withheld::NoExport => "community no-export",
            Withheld::OnlyToCustomer => "only-to-customer, and the neighbor is no customer",
            Withheld::OtherNeighbors => "restricted to other neighbors",
        }
    }
}

/// Whether a path may go to the peers of a group at all.
pub(crate) fn may_go(
    key: &GroupKey,
    path: &Path,
    source: SourceOfPath,
    hot: Hot,
) -> Result<(), Withheld> {
    let to = key.rewrite.kind;
    if path.kind == PathKind::Internal && to == PeerKind::Internal && !source.client {
        return Err(Withheld::IbgpSplitHorizon);
    }
    if path.kind == PathKind::Local
        && let Some(restrict) = LocalTag::from_path_id(path.path_id).restrict()
        && !key.restricts.contains(&restrict)
    {
        return Err(Withheld::OtherNeighbors);
    }
    if hot.no_advertise() {
        return Err(Withheld::NoAdvertise);
    }
    if to == PeerKind::External {
        if hot.no_export() {
            return Err(Withheld::NoExport);
        }
        // RFC 9234 §5, egress 2: not to a provider, a lateral peer or a route server.
        let upwards = matches!(
            key.rewrite.role,
            Some(Role::Customer | Role::Peer | Role::RouteServerClient)
        );
        if upwards && hot.has_otc() {
            return Err(Withheld::OnlyToCustomer);
        }
    }
    Ok(())
}

/// An answer that holds for every prefix, or for those one rule decides.
#[derive(Clone, Copy, Debug)]
struct Known {
    rule: Option<u16>,
    attr: OutAttr,
}

/// Answers for one group.
#[derive(Debug)]
pub(crate) struct Exporter {
    key: Arc<GroupKey>,
    /// What the answers below are about.
    of: Option<(AttrId, PeerSlot, u32)>,
    allowed: bool,
    /// The one answer to all prefixes, where the prefix plays no part.
    always: Option<OutAttr>,
    /// Answers so far, by deciding rule; changed attributes hold a reference.
    known: SmallVec<[Known; 2]>,
    /// References of answers that were given but are no longer known.
    spent: SmallVec<[AttrId; 2]>,
    hits: u64,
}

impl Exporter {
    pub fn new(key: &Arc<GroupKey>) -> Self {
        Self {
            key: Arc::clone(key),
            of: None,
            allowed: false,
            always: None,
            known: SmallVec::new(),
            spent: SmallVec::new(),
            hits: 0,
        }
    }

    /// What a group without ADD-PATH should be told of a destination. The attributes are alive
    /// until the next call; whoever keeps them takes a reference.
    #[inline]
    pub fn best<A: RibFamily>(&mut self, dest: &Dest<A::Prefix>, core: &mut Core) -> Option<Wish> {
        let path = dest.best()?;
        if self.is_about(path) {
            // Changed destinations come in runs of one set: this is the usual way out.
            if let Some(attr) = self.always {
                self.hits += 1;
                attr.id()?;
                return Some(wish_of(path, attr));
            }
        } else {
            self.release_spent(core);
        }
        let path = match path.kind {
            PathKind::Local => own_choice(&self.key, dest, core)?,
            _ => path,
        };
        self.wish::<A>(dest.key, path, core)
    }

    /// What a group with ADD-PATH should be told of a destination, best path first. The attributes
    /// of a wish are alive until the next call; whoever keeps it takes a reference.
    pub fn wishes<A: RibFamily>(
        &mut self,
        dest: &Dest<A::Prefix>,
        core: &mut Core,
    ) -> SmallVec<[Wish; 2]> {
        self.release_spent(core);
        let mut wishes = SmallVec::new();
        let most = match self.key.add_path {
            AddPathTx::Off => 1,
            AddPathTx::Best(most) => usize::from(most),
            AddPathTx::All => usize::MAX,
        };
        for index in ranked(dest, core, most) {
            if let Some(path) = dest.paths().get(index)
                && is_for(&self.key, dest, path, core)
                && let Some(wish) = self.wish::<A>(dest.key, path, core)
            {
                wishes.push(wish);
            }
        }
        wishes
    }

    /// Whether the answers so far are about such paths.
    #[inline]
    fn is_about(&self, path: &Path) -> bool {
        self.of == Some((path.attrs, path.source, tag_of(path)))
    }

    fn release_spent(&mut self, core: &mut Core) {
        for id in self.spent.drain(..) {
            core.release(id);
        }
    }

    fn wish<A: RibFamily>(
        &mut self,
        prefix: A::Prefix,
        path: &Path,
        core: &mut Core,
    ) -> Option<Wish> {
        if !self.is_about(path) {
            self.forget();
            self.of = Some((path.attrs, path.source, tag_of(path)));
            let source = core.peers.source(path.source);
            let hot = core.attrs.hot(path.attrs);
            self.allowed = may_go(&self.key, path, source, hot).is_ok();
        }
        if !self.allowed {
            return None;
        }
        let known = match self.known.first() {
            Some(known) if !self.key.export.uses_prefix => {
                self.hits += 1;
                *known
            }
            _ => self.decide(prefix.to_net(), path, core)?,
        };
        // Of routes that start here a peer may have another one with the next prefix.
        if !self.key.export.uses_prefix && path.kind != PathKind::Local {
            self.always = Some(known.attr);
        }
        known.attr.id()?;
        Some(wish_of(path, known.attr))
    }

    fn decide(&mut self, prefix: IpNet, path: &Path, core: &mut Core) -> Option<Known> {
        let set = Arc::clone(core.attrs.get(path.attrs)?);
        let policy = Arc::clone(&self.key.export);
        let subject = subject(&self.key, prefix, path, &set, core);
        if !self.known.is_empty()
            && let Some(rule) = policy.deciding_rule(subject)
            && let Some(known) = self.known.iter().find(|known| known.rule == rule)
        {
            policy.count_hits(rule, 1);
            return Some(*known);
        }
        let verdict = policy.eval(subject);
        let attr = match (verdict.accept, verdict.changed) {
            (false, _) => OutAttr::NONE,
            (true, None) => {
                core.attrs.retain(path.attrs, 1);
                OutAttr::new(path.attrs, verdict.keep_next_hop, verdict.keep_med)
            }
            (true, Some(changed)) => {
                let id = core.attrs.intern(&Arc::new(changed), &mut core.next_hops)?;
                OutAttr::new(id, verdict.keep_next_hop, verdict.keep_med)
            }
        };
        let known = Known {
            rule: verdict.rule,
            attr,
        };
        self.known.push(known);
        Some(known)
    }

    fn forget(&mut self) {
        if let Some(known) = self.known.first() {
            self.key.export.count_hits(known.rule, self.hits);
        }
        self.hits = 0;
        self.always = None;
        let ids = self.known.drain(..).filter_map(|known| known.attr.id());
        self.spent.extend(ids);
    }

    /// Gives back the references held.
    pub fn finish(mut self, core: &mut Core) {
        self.forget();
        for id in self.spent {
            core.release(id);
        }
    }
}

/// The path of ours that the peers of a group are told: one that is meant for them, else one that
/// is for everybody; where there are several, the best of them. So each neighbor gets a prefix with
/// the marks that were made for it, whichever of our paths the router itself calls best.
pub(crate) fn own_choice<'d, P>(
    key: &GroupKey,
    dest: &'d Dest<P>,
    core: &Core,
) -> Option<&'d Path> {
    let own = |path: &&Path| path.kind == PathKind::Local && path.is_valid();
    let of = |path: &Path| LocalTag::from_path_id(path.path_id).restrict();
    let mut own = dest.paths().iter().filter(own);
    let meant = |path: &&Path| of(path).is_some_and(|set| key.restricts.contains(&set));
    let mut found: SmallVec<[&Path; 2]> = own.clone().filter(meant).collect();
    if found.is_empty() {
        found = own.by_ref().filter(|path| of(path).is_none()).collect();
    }
    if let [only] = *found {
        return Some(only);
    }
    let paths: SmallVec<[Path; 4]> = found.iter().map(|path| **path).collect();
    let best = select(&paths, None, core.facts())?.best;
    found.get(best).copied()
}

/// Whether a path is for the peers of a group, as far as our own paths of the prefix decide it.
fn is_for<P>(key: &GroupKey, dest: &Dest<P>, path: &Path, core: &Core) -> bool {
    path.kind != PathKind::Local
        || own_choice(key, dest, core).is_some_and(|own| own.path_id == path.path_id)
}

/// Of a local path the identifier says who may have it and where it came from.
#[inline]
fn tag_of(path: &Path) -> u32 {
    match path.kind {
        PathKind::Local => path.path_id,
        _ => 0,
    }
}

#[inline]
fn wish_of(path: &Path, attr: OutAttr) -> Wish {
    Wish {
        attr,
        source: path.source,
        path_id: path.path_id,
    }
}

/// A path as export policy sees it.
pub(crate) fn subject<'a>(
    key: &GroupKey,
    prefix: IpNet,
    path: &Path,
    attrs: &'a proto_codec::bgp::AttrSet,
    core: &'a Core,
) -> Subject<'a> {
    let origin_source = match path.kind {
        PathKind::Local => core.origins.name(path.path_id),
        _ => None,
    };
    Subject {
        prefix,
        attrs,
        neighbor: key.neighbor,
        origin_source,
        is_learned: path.kind != PathKind::Local,
        rpki: RpkiState::NotFound,
        prepend_asn: key.rewrite.local_asn,
        own_next_hop: key.rewrite.own_next_hop(),
    }
}

/// The first `most` usable paths of a destination, best first: the decision process run on what is
/// left each time. Where all are wanted only the best is set before the others: to rank thousands
/// of path identifiers would cost the square of their number, and says nothing to the peer.
fn ranked<P>(dest: &Dest<P>, core: &Core, most: usize) -> SmallVec<[usize; 8]> {
    if most >= dest.paths().len() {
        let best = dest.best_index();
        let paths = dest.paths().iter().enumerate();
        let others = paths.filter(|(index, path)| path.is_valid() && Some(*index) != best);
        return best
            .into_iter()
            .chain(others.map(|(index, _)| index))
            .collect();
    }
    let mut left: SmallVec<[(usize, Path); 8]> = dest
        .paths()
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, path)| path.is_valid())
        .collect();
    let mut order = SmallVec::new();
    let mut current = dest.best_index();
    while !left.is_empty() && order.len() < most {
        let paths: SmallVec<[Path; 8]> = left.iter().map(|(_, path)| *path).collect();
        let best_at = current.and_then(|best| left.iter().position(|(index, _)| *index == best));
        let Some(selection) = select(&paths, best_at, core.facts()) else {
            break;
        };
        let (index, _) = left.remove(selection.best);
        order.push(index);
        current = None;
    }
    order
}
