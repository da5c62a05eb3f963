//! What overlaps that must not: listen ranges, pools, advertised prefixes.
//!
//! An address belongs to one pool, or two services could be given the same one; a connection
//! belongs to one listen range, or its settings would depend on the order of the file. An
//! aggregate wider than its pool would overlap with somebody else's addresses, so it is refused
//! here too. Everything is found on sorted lists.

use std::collections::BTreeSet;

use ctl::config::{At, Sink};
use ipnet::IpNet;

use super::model::AddressRange;
use super::raw::{Raw, RawPool};
use crate::origin::blocks;

pub(super) fn check_ranges(raw: &Raw, sink: &Sink) {
    let mut ranges: Vec<_> = raw.ranges.iter().map(|range| &range.prefix).collect();
    ranges.sort_by_key(|at| (at.value, at.span.start));
    // A prefix sorts before what it contains, and what it contains follows it without a gap.
    let mut outer: Option<&At<IpNet>> = None;
    for at in ranges {
        match outer {
            Some(outer) if outer.value.contains(&at.value) => {
                let later = if at.span.start > outer.span.start {
                    at
                } else {
                    outer
                };
                let message = format!("listen ranges {} and {} overlap", outer.value, at.value);
                sink.error(&later.span, message, "remove or shrink one of them");
            }
            _ => outer = Some(at),
        }
    }
    let listens = raw
        .router
        .as_ref()
        .and_then(|router| router.listen.as_ref());
    if listens.is_some_and(|list| list.value.is_empty())
        && let Some(range) = raw.ranges.first()
    {
        let message = "a listen range does nothing while `listen` is empty";
        sink.error(
            &range.prefix.span,
            message,
            "remove the range, or listen on an address",
        );
    }
}

pub(super) fn check_pools(pools: &[RawPool], sink: &Sink) {
    let mut all: Vec<(&At<AddressRange>, &str)> = Vec::new();
    for pool in pools {
        check_aggregation(pool, sink);
        all.extend(
            pool.addresses
                .value
                .iter()
                .map(|at| (at, pool.name.value.as_str())),
        );
        if pool.addresses.value.is_empty() {
            let cure = "write addresses = [\"10.0.50.0/24\"]";
            sink.error(&pool.addresses.span, "the pool has no addresses", cure);
        }
    }
    all.sort_by_key(|(at, _)| (at.value, at.span.start));
    // The run that reaches furthest of those that begin before.
    let mut furthest: Option<(&At<AddressRange>, &str)> = None;
    for (at, pool) in all {
        if let Some((other, name)) = furthest
            && other.value.overlaps(&at.value)
        {
            let later = if at.span.start > other.span.start {
                at
            } else {
                other
            };
            let message = match name == pool {
                true => format!("{} and {} overlap", other.value, at.value),
                false => format!(
                    "{} of pool `{name}` and {} of pool `{pool}` overlap",
                    other.value, at.value
                ),
            };
            sink.error(
                &later.span,
                message,
                "an address belongs to one pool: shrink one of them",
            );
        }
        if furthest.is_none_or(|(other, _)| other.value.last < at.value.last) {
            furthest = Some((at, pool));
        }
    }
}

/// An aggregate that is wider than the pool would announce addresses of somebody else.
fn check_aggregation(pool: &RawPool, sink: &Sink) {
    for (length, most, v4) in [
        (&pool.aggregation_length, 32, true),
        (&pool.aggregation_length_v6, 128, false),
    ] {
        let Some(length) = length else { continue };
        if length.value > most {
            let message = format!("aggregation length {} is more than {most}", length.value);
            sink.error(
                &length.span,
                message,
                &format!("write a length up to {most}"),
            );
            continue;
        }
        let runs = pool
            .addresses
            .value
            .iter()
            .filter(|at| at.value.first.is_ipv4() == v4);
        let widest = |run: AddressRange| blocks(run).map(|block| block.prefix_len()).min();
        let least = runs
            .filter_map(|at| Some((widest(at.value)?, at.value)))
            .max();
        if let Some((widest, run)) = least.filter(|(widest, _)| length.value < *widest) {
            let message = format!(
                "aggregation length {} is shorter than /{widest}, the widest prefix in {run}: \
                 the aggregate would take in addresses outside of the pool",
                length.value
            );
            sink.error(&length.span, message, &format!("write {widest} or more"));
        }
    }
}

pub(super) fn check_advertised_twice(raw: &Raw, sink: &Sink) {
    let mut seen = BTreeSet::new();
    for at in raw.advertise.iter().flat_map(|block| &block.prefixes.value) {
        if !seen.insert(at.value) {
            let message = format!("{} is advertised twice", at.value);
            sink.error(&at.span, message, "keep it in one [[advertise]] block");
        }
    }
}
