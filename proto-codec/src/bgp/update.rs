//! UPDATE (RFC 4271 §4.3, RFC 4760, RFC 7606): from octets to routes.
//!
//! ```text
//! | Withdrawn Len (16) | Withdrawn … | Attributes Len (16) | Attributes … | NLRI … |
//! ```
//! [`decode_update`] returns what the caller has to do and nothing else: which prefixes are
//! announced with which attributes, which are withdrawn, whether a family's End-of-RIB was
//! reached. RFC 7606 is applied before it returns: routes to be treated as withdrawn are among the
//! withdrawn ones, discarded attributes are gone, and `errors` only reports. An error return means
//! the session must be reset, and happens only where prefixes cannot be found or trusted (RFC 7606
//! §3 j, §5.2, §5.3, §7.11).
//!
//! Families that were not negotiated are skipped (RFC 4760 §7 lets us), with a report. Policy is
//! not here: loops, our own address as next hop and roles are checked by who knows the router.

use std::net::Ipv4Addr;
use std::sync::Arc;

use nom::Parser;
use nom::multi::length_data;
use nom::number::complete::be_u16;
use smallvec::SmallVec;

use super::HEADER_LEN;
use super::attr::block::{self, MpAttr, Parsed, Scan};
use super::attr::cache::{AttrCache, BlockKey};
use super::attr::{AttrSet, NextHop};
use super::mp::{HopSource, Routes, check_flags, check_skipped, family_of, is_unicast4, reach};
use super::nlri::Nlri;
use super::notification::{Notification, code};
use crate::afi::{AfiSafi, Family};
use crate::error::{AttrError, DecodeError, ErrorKind, Reaction};
use crate::input::{Stop, consumed};

/// How a peer's UPDATEs are to be read. Made by [`super::Negotiated::decode_context`]; the last
/// three fields are configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodeContext {
    /// AS numbers in AS_PATH and AGGREGATOR have four octets.
    pub four_octet_as: bool,
    /// The peer is of another AS.
    pub ebgp: bool,
    /// Our AS.
    pub local_asn: u32,
    /// The peer's AS.
    pub peer_asn: u32,
    /// Path identifiers come with the prefixes, by [`Family::index`].
    pub add_path_rx: [bool; 2],
    /// Families negotiated, by [`Family::index`].
    pub families: [bool; 2],
    /// IPv4 unicast with IPv6 next hops was negotiated, RFC 8950.
    pub ext_next_hop: bool,
    /// AIGP is accepted, RFC 7311 §3.4.
    pub aigp: bool,
    /// AS_SET makes the routes count as withdrawn, RFC 9774 §3.
    pub reject_as_sets: bool,
    /// The leftmost AS must be the peer's, RFC 4271 §6.3. For external peers only; a `peer_asn` of
    /// 0 turns it off as well.
    pub enforce_first_as: bool,
}

impl Default for DecodeContext {
    /// An external four-octet peer, both families, no ADD-PATH.
    fn default() -> Self {
        Self {
            four_octet_as: true,
            ebgp: true,
            local_asn: 0,
            peer_asn: 0,
            add_path_rx: [false; 2],
            families: [true; 2],
            ext_next_hop: false,
            aigp: false,
            reject_as_sets: true,
            enforce_first_as: true,
        }
    }
}

/// Prefixes that share attributes and next hop.
#[derive(Clone, Debug)]
pub struct Announce<'a> {
    /// The prefixes.
    pub nlri: Nlri<'a>,
    /// What all of them have.
    pub attrs: Arc<AttrSet>,
}

/// A decoded UPDATE. Withdrawals come before announcements (RFC 4271 §4.3).
#[derive(Clone, Debug, Default)]
pub struct Update<'a> {
    /// At most one per family.
    pub announce: SmallVec<[Announce<'a>; 2]>,
    /// Withdrawn, or treated as such.
    pub withdraw: SmallVec<[Nlri<'a>; 2]>,
    /// RFC 4724 §2.
    pub end_of_rib: Option<Family>,
    /// What was wrong and what was done about it.
    pub errors: Vec<AttrError>,
}

impl Update<'_> {
    /// The strongest reaction among the errors.
    pub fn worst(&self) -> Option<&Reaction> {
        self.errors
            .iter()
            .map(|error| &error.reaction)
            .max_by_key(|reaction| reaction.severity())
    }
}

pub(crate) fn update_error(subcode: u8, kind: ErrorKind, offset: usize) -> DecodeError {
    DecodeError::reset(kind, offset, Notification::new(code::UPDATE, subcode))
}

/// The three sections, each with its offset in the message.
struct Sections<'a> {
    withdrawn: (&'a [u8], usize),
    attrs: (&'a [u8], usize),
    nlri: (&'a [u8], usize),
}

fn split(body: &[u8]) -> Result<Sections<'_>, DecodeError> {
    // RFC 4271 §6.3: lengths that exceed the message are a Malformed Attribute List.
    let bad = |stop: nom::Err<Stop>| {
        update_error(
            1,
            ErrorKind::SectionLength,
            HEADER_LEN + consumed(body, &stop),
        )
    };
    let section = |octets| length_data(be_u16).parse(octets).map_err(bad);
    let (rest, withdrawn) = section(body)?;
    let (nlri, attrs) = section(rest)?;
    let attrs_at = HEADER_LEN + 4 + withdrawn.len();
    Ok(Sections {
        withdrawn: (withdrawn, HEADER_LEN + 2),
        attrs: (attrs, attrs_at),
        nlri: (nlri, attrs_at + attrs.len()),
    })
}

pub(crate) fn prefixes<'a>(
    family: Family,
    (octets, at): (&'a [u8], usize),
    ctx: &DecodeContext,
) -> Result<Nlri<'a>, DecodeError> {
    Nlri::new(family, family.pick(ctx.add_path_rx), octets)
        .map_err(|(kind, inside)| update_error(10, kind, at + inside))
}

/// Decodes the body of an UPDATE. An error means reset the session with the NOTIFICATION it
/// carries. `cache` must have been used with this context alone.
pub fn decode_update<'a>(
    body: &'a [u8],
    ctx: &DecodeContext,
    cache: &mut AttrCache,
) -> Result<Update<'a>, DecodeError> {
    let sections = split(body)?;
    let (attrs, attrs_at) = sections.attrs;
    let scan = block::scan(attrs, attrs_at)?;
    let mut update = Update::default();
    if sections.nlri.0.is_empty() && sections.withdrawn.0.is_empty() && attrs.is_empty() {
        update.end_of_rib = Some(Family::Ipv4Unicast).filter(|family| family.pick(ctx.families));
        return Ok(update);
    }
    let withdrawn = prefixes(Family::Ipv4Unicast, sections.withdrawn, ctx)?;
    let nlri = prefixes(Family::Ipv4Unicast, sections.nlri, ctx)?;
    update.unreach(&scan, (withdrawn, nlri), ctx)?;
    let only_unreach = scan.pieces.iter().all(|piece| piece.is_empty()) && scan.mp_reach.is_none();
    if only_unreach && nlri.is_empty() {
        return Ok(update);
    }
    let mp_reach = scan
        .mp_reach
        .map(|mp| reach(mp, ctx))
        .transpose()?
        .flatten();
    if scan.mp_reach.is_some() && mp_reach.is_none() {
        update.not_negotiated(14, scan.mp_reach);
    }
    let mut routes: SmallVec<[Routes<'a>; 2]> = SmallVec::new();
    if !nlri.is_empty() {
        if Family::Ipv4Unicast.pick(ctx.families) {
            routes.push(Routes {
                nlri,
                next_hop: HopSource::Attribute,
            });
        } else {
            let kind = ErrorKind::FamilyNotNegotiated(AfiSafi::IPV4_UNICAST);
            update.report(0, kind, sections.nlri.1);
        }
    }
    routes.extend(mp_reach.filter(|routes| !routes.nlri.is_empty()));
    update.announce_routes(&scan, &routes, sections.attrs, (ctx, cache))?;
    Ok(update)
}

impl<'a> Update<'a> {
    fn report(&mut self, type_code: u8, kind: ErrorKind, offset: usize) {
        self.errors.push(AttrError {
            type_code,
            kind,
            offset,
            reaction: Reaction::Discard,
        });
    }

    fn not_negotiated(&mut self, type_code: u8, mp: Option<MpAttr<'_>>) {
        let Some((mp, family)) = mp.and_then(|mp| Some((mp, family_of(mp.value).ok()?.1))) else {
            return;
        };
        self.report(type_code, ErrorKind::FamilyNotNegotiated(family), mp.at);
    }

    /// Withdrawn Routes and MP_UNREACH_NLRI, with the End-of-RIB that the latter can be.
    fn unreach(
        &mut self,
        scan: &Scan<'a>,
        (withdrawn, announced): (Nlri<'a>, Nlri<'a>),
        ctx: &DecodeContext,
    ) -> Result<(), DecodeError> {
        if !withdrawn.is_empty() && Family::Ipv4Unicast.pick(ctx.families) {
            self.withdraw.push(withdrawn);
        }
        let Some(mp) = scan.mp_unreach else {
            return Ok(());
        };
        check_flags(15, &mp)?;
        let (rest, pair) = family_of(mp.value)
            .map_err(|_| update_error(9, ErrorKind::Length(mp.value.len()), mp.at))?;
        let Some(family) = Family::from_afi_safi(pair).filter(|family| family.pick(ctx.families))
        else {
            check_skipped(pair, rest, mp.at + 3)?;
            self.not_negotiated(15, Some(mp));
            return Ok(());
        };
        let nlri = prefixes(family, (rest, mp.at + 3), ctx)?;
        let alone = withdrawn.is_empty()
            && announced.is_empty()
            && scan.mp_reach.is_none()
            && scan.pieces.iter().all(|piece| piece.is_empty());
        if !nlri.is_empty() {
            self.withdraw.push(nlri);
        } else if alone {
            self.end_of_rib = Some(family);
        }
        Ok(())
    }

    /// Gives the routes their attributes, from the cache or by parsing, or withdraws them.
    fn announce_routes(
        &mut self,
        scan: &Scan<'a>,
        routes: &[Routes<'a>],
        (block, base): (&'a [u8], usize),
        (ctx, cache): (&DecodeContext, &mut AttrCache),
    ) -> Result<(), DecodeError> {
        let mut hashes = [0u64; 2];
        let mut cached = scan.overrun.is_none() && !routes.is_empty();
        for (routes, hash) in routes.iter().zip(&mut hashes) {
            let tag = tag(routes);
            let key = key(scan, routes, &tag);
            *hash = cache.hash(&key);
            match cache.get(*hash, &key).filter(|_| cached) {
                Some(attrs) => self.announce.push(Announce {
                    nlri: routes.nlri,
                    attrs,
                }),
                None => cached = false,
            }
        }
        if cached {
            return Ok(());
        }
        self.announce.clear();
        let mut parsed = block::parse(block, base, ctx);
        let hops = self.next_hops(&mut parsed, routes, base);
        let withdraw = parsed
            .errors
            .iter()
            .any(|error| error.reaction == Reaction::TreatAsWithdraw);
        let skipped = self.errors.iter().any(is_skipped_family);
        if withdraw && routes.is_empty() && !skipped {
            // RFC 7606 §5.2: the prefixes this was about may be what got lost.
            let at = parsed.errors.first().map_or(base, |error| error.offset);
            return Err(update_error(1, ErrorKind::MissingNlri, at));
        }
        for ((routes, hop), hash) in routes.iter().zip(hops).zip(hashes) {
            let Some(hop) = hop.filter(|_| !withdraw) else {
                self.withdraw.push(routes.nlri);
                continue;
            };
            let attrs = Arc::new(parsed.build(hop));
            if parsed.errors.is_empty() {
                cache.insert(hash, &key(scan, routes, &tag(routes)), &attrs);
            }
            self.announce.push(Announce {
                nlri: routes.nlri,
                attrs,
            });
        }
        self.errors.append(&mut parsed.errors);
        Ok(())
    }

    /// The next hop of each run of routes; what is missing or wrong is noted in `parsed`. A bad
    /// next hop in MP_REACH_NLRI concerns the routes of that attribute alone.
    fn next_hops(
        &mut self,
        parsed: &mut Parsed<'a>,
        routes: &[Routes<'a>],
        base: usize,
    ) -> SmallVec<[Option<NextHop>; 2]> {
        if !routes.is_empty() {
            for type_code in [1, 2] {
                let failed = parsed
                    .errors
                    .iter()
                    .any(|error| error.type_code == type_code);
                if !parsed.has(type_code) && !failed {
                    parsed.missing(type_code, base);
                }
            }
        }
        let mut hops = SmallVec::new();
        for routes in routes {
            let hop = match routes.next_hop {
                HopSource::Attribute => {
                    let failed = parsed.errors.iter().any(|error| error.type_code == 3);
                    if parsed.next_hop.is_none() && !failed {
                        parsed.missing(3, base);
                    }
                    let hop = parsed.next_hop.map(|(hop, _)| hop).filter(is_unicast4);
                    if let (None, Some((_, at))) = (hop, parsed.next_hop) {
                        self.bad_next_hop(3, at);
                    }
                    hop.map(NextHop::V4)
                }
                HopSource::Mp(_, hop, at) => {
                    if hop.is_none() {
                        self.bad_next_hop(14, at);
                    }
                    hop
                }
            };
            hops.push(hop);
        }
        hops
    }

    fn bad_next_hop(&mut self, type_code: u8, offset: usize) {
        let reaction = Reaction::TreatAsWithdraw;
        self.errors.push(AttrError {
            type_code,
            kind: ErrorKind::NextHop,
            offset,
            reaction,
        });
    }
}

/// Decodes path attributes that stand apart from routes, as in files and monitoring messages, and
/// those of routes of families not carried. The MP attributes are passed over; without NEXT_HOP
/// the next hop is 0.0.0.0. Malformed attributes are left out, whatever their reaction would be,
/// and reported with offsets that count from the first octet of `block`.
pub fn decode_attributes(block: &[u8], ctx: &DecodeContext) -> (AttrSet, Vec<AttrError>) {
    let parsed = block::parse(block, 0, ctx);
    let hop = NextHop::V4(
        parsed
            .next_hop
            .map_or(Ipv4Addr::UNSPECIFIED, |(hop, _)| hop),
    );
    (parsed.build(hop), parsed.errors)
}

/// Whether reachable routes were in the message, but of a family that is not ours to read.
fn is_skipped_family(error: &AttrError) -> bool {
    matches!(error.kind, ErrorKind::FamilyNotNegotiated(_)) && error.type_code != 15
}

/// What tells apart cache entries of the same attributes: the family, and how long the next hop is
/// that stands before them in the key.
fn tag(routes: &Routes<'_>) -> [u8; 2] {
    let family = match routes.nlri.family() {
        Family::Ipv4Unicast => 4,
        Family::Ipv6Unicast => 6,
    };
    match routes.next_hop {
        HopSource::Attribute => [0, 0],
        HopSource::Mp(hop, ..) => [family, u8::try_from(hop.len()).unwrap_or(0)],
    }
}

fn key<'a>(scan: &Scan<'a>, routes: &Routes<'a>, tag: &'a [u8; 2]) -> BlockKey<'a> {
    let hop = match routes.next_hop {
        HopSource::Attribute => &[],
        HopSource::Mp(octets, ..) => octets,
    };
    let [first, second, third] = scan.pieces;
    BlockKey {
        pieces: [tag, hop, first, second, third],
    }
}

#[cfg(test)]
mod tests;
