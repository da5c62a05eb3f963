//! Taking everything of ours out of the kernel, and looking at interfaces, without a thread.
//!
//! [`cleanup`] goes by the protocol number alone: routes in every table (the configuration may
//! have named another one before), then groups, then next hop objects. It works when the daemon
//! is not running and leaves nothing of ours, whatever state an earlier run ended in.

use std::io;
use std::time::Instant;

use crate::fib::model::{KernelOp, NextHopContent, ObservedNextHop, ObservedRoute, OpError, errno};
use crate::fib::{CleanupReport, Fib, Interface, KernelConfig};

use super::batch::{BATCH_MAX, BatchWriter};
use super::decode;
use super::dump::{Dumper, feed};
use super::encode::{AF_INET, AF_INET6, Dump};
use super::wire::{RTM_NEWNEXTHOP, RTM_NEWROUTE};

/// Deletes every route, next hop group and next hop object with the configuration's protocol
/// number, in all tables of this network namespace. The daemon must not be running.
///
/// # Errors
/// The netlink sockets cannot be used. Single refusals (no permission) are counted in the report.
pub fn cleanup(config: &KernelConfig) -> io::Result<CleanupReport> {
    let mut report = CleanupReport::default();
    remove_routes(config, None, &mut report)?;
    remove_next_hops(config, &mut report)?;
    Ok(report)
}

/// What is left of a configuration that has been replaced while running.
pub(super) fn retire(old: &KernelConfig, new: &KernelConfig) -> io::Result<CleanupReport> {
    let mut report = CleanupReport::default();
    if new.watch_only || (old.table, old.protocol) != (new.table, new.protocol) {
        remove_routes(old, Some(old.table), &mut report)?;
    }
    if new.watch_only || old.protocol != new.protocol {
        remove_next_hops(old, &mut report)?;
    }
    Ok(report)
}

/// The interfaces with their addresses, as of now.
///
/// # Errors
/// A netlink socket cannot be opened.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let now = Instant::now();
    let mut fib = Fib::new(KernelConfig::default(), now);
    let mut dumper = Dumper::open()?;
    for dump in [Dump::Links, Dump::Addresses] {
        dumper.read_all(dump, |message| feed(&mut fib, now, message, true))?;
    }
    Ok(fib.interfaces())
}

fn remove_routes(
    config: &KernelConfig,
    table: Option<u32>,
    report: &mut CleanupReport,
) -> io::Result<()> {
    let mut dumper = Dumper::open()?;
    let mut ours: Vec<ObservedRoute> = Vec::new();
    for family in [AF_INET, AF_INET6] {
        dumper.read_all(Dump::Routes(family, table), |message| {
            let route = decode::route(message.body).filter(|_| message.kind == RTM_NEWROUTE);
            let wanted = |r: &ObservedRoute| {
                r.protocol == config.protocol && table.is_none_or(|table| r.table == table)
            };
            ours.extend(route.filter(wanted));
        })?;
    }
    ours.sort_by_key(|route| route.table);
    for of_table in ours.chunk_by(|a, b| a.table == b.table) {
        let table = of_table.first().map_or(config.table, |route| route.table);
        let config = KernelConfig {
            table,
            ..config.clone()
        };
        let ops = of_table.iter().map(|route| KernelOp::DeleteRoute {
            prefix: route.prefix,
            metric: route.metric,
        });
        report.routes += remove(ops.collect(), &config, report)?;
    }
    Ok(())
}

fn remove_next_hops(config: &KernelConfig, report: &mut CleanupReport) -> io::Result<()> {
    let mut ours: Vec<ObservedNextHop> = Vec::new();
    // A kernel without next hop objects answers an error and has none.
    Dumper::open()?.read_all(Dump::NextHops, |message| {
        let next_hop = decode::next_hop(message.body);
        let next_hop = next_hop.filter(|_| message.kind == RTM_NEWNEXTHOP);
        ours.extend(next_hop.filter(|n| n.protocol == config.protocol));
    })?;
    let delete = |groups: bool| -> Vec<KernelOp> {
        let is_group = |n: &ObservedNextHop| matches!(n.content, NextHopContent::Group(_));
        let chosen = ours.iter().filter(|n| is_group(n) == groups);
        chosen
            .map(|n| KernelOp::DeleteNextHop { id: n.id })
            .collect()
    };
    report.groups += remove(delete(true), config, report)?;
    report.next_hops += remove(delete(false), config, report)?;
    Ok(())
}

/// Sends deletions and returns how many went; what was gone already counts neither way.
fn remove(
    ops: Vec<KernelOp>,
    config: &KernelConfig,
    report: &mut CleanupReport,
) -> io::Result<usize> {
    let mut writer = BatchWriter::open()?;
    let mut removed = 0;
    for batch in ops.chunks(BATCH_MAX) {
        let errors = writer.write(batch, config)?;
        let gone =
            |(_, error): &&(usize, OpError)| matches!(error.errno, errno::ESRCH | errno::ENOENT);
        let already = errors.iter().filter(gone).count();
        report.refused += errors.len() - already;
        removed += batch.len() - errors.len();
    }
    Ok(removed)
}
