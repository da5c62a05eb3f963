//! `show vrrp` and `show vrrp history` for people. Their JSON is the view itself.
//!
//! One line per virtual router; what keeps it from its work and what looks wrong with its segment
//! stands below it, because nobody looks for that elsewhere.

use std::io::{self, Write};

use proto_codec::control::view::{VrrpCheck, VrrpEvent, VrrpInstance, VrrpStranger};
use proto_codec::control::{Head, Tail, View};

use super::format::{age, timestamp};
use super::{Renderer, unexpected};

/// The text form: rows are kept until the end, so that columns fit.
#[derive(Debug)]
pub struct Text {
    rows: Vec<VrrpInstance>,
    strangers: Vec<VrrpStranger>,
    /// Counters and timers too: one virtual router was asked for.
    full: bool,
}

impl Text {
    /// `full` adds the details of each.
    pub fn new(full: bool) -> Self {
        Self {
            rows: Vec::new(),
            strangers: Vec::new(),
            full,
        }
    }
}

impl Renderer for Text {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &mut dyn Write, view: View) -> io::Result<()> {
        match view {
            View::VrrpInstance(row) => self.rows.push(*row),
            View::VrrpStranger(row) => self.strangers.push(row),
            other => return unexpected(&other),
        }
        Ok(())
    }

    fn tail(&mut self, out: &mut dyn Write, _: Tail) -> io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "no virtual router is configured");
        }
        let width = |text: fn(&VrrpInstance) -> usize, least: usize| {
            self.rows.iter().map(text).max().unwrap_or(0).max(least)
        };
        let name = width(|row| row.name.len(), 4);
        let interface = width(|row| row.interface.len(), 9);
        let peer = width(|row| master(row).len(), 6);
        writeln!(
            out,
            "{:name$}  {:interface$}  VRID  Ver  {:10}  Prio  Interval  {:peer$}  Addresses",
            "Name", "Interface", "State", "Master"
        )?;
        for row in &self.rows {
            writeln!(
                out,
                "{:name$}  {:interface$}  {:>4}  {:>3}  {:10}  {:>4}  {:>5} ms  {:peer$}  {}",
                row.name,
                dash(&row.interface),
                row.vrid,
                row.version,
                format!("{:?}", row.state),
                row.effective_priority,
                row.advertise_interval_ms,
                master(row),
                row.addresses.join(" ")
            )?;
            notes(out, row)?;
            if self.full {
                details(out, row)?;
            }
        }
        self.strangers(out)
    }
}

impl Text {
    /// What a typing error in `vrid` looks like from the other side.
    fn strangers(&self, out: &mut dyn Write) -> io::Result<()> {
        for one in &self.strangers {
            let family = if one.ipv6 { "IPv6" } else { "IPv4" };
            writeln!(
                out,
                "heard, and not configured here: vrid {} ({family}) on {} from {} ({} adverts, the \
                 last {} ago)",
                one.vrid,
                one.interface,
                one.peer,
                one.count,
                age(one.last_ms)
            )?;
        }
        Ok(())
    }
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn master(row: &VrrpInstance) -> String {
    row.master_address
        .map_or_else(|| "-".to_owned(), |address| address.to_string())
}

/// What is wrong, and what the operator has ordered.
fn notes(out: &mut dyn Write, row: &VrrpInstance) -> io::Result<()> {
    if let Some(group) = &row.sync_group {
        match row.sync_group_state {
            Some(state) => writeln!(out, "  sync group {group}: all {state:?}")?,
            None => writeln!(out, "  sync group {group}: members differ")?,
        }
    }
    for fault in &row.faults {
        writeln!(out, "  fault: {fault}")?;
    }
    for one in row.checks.iter().filter(|one| one.state == "bad") {
        writeln!(
            out,
            "  check {} is bad ({}): {}{}",
            one.check,
            one.weight,
            one.last_result,
            held(one)
        )?;
    }
    for problem in &row.route_problems {
        writeln!(out, "  route {problem}")?;
    }
    if row.released {
        writeln!(out, "  released: leaves the master alone until resume")?;
    }
    for one in &row.conflicts {
        writeln!(
            out,
            "  conflict {}: {} {} ({} times in {})",
            one.kind,
            one.peer,
            one.detail,
            one.count,
            age(one.since_ms)
        )?;
    }
    Ok(())
}

/// A check that keeps failing and recovering counts as good only after a while.
fn held(one: &VrrpCheck) -> String {
    one.held_ms.map_or_else(String::new, |left| {
        format!(
            "; counts as good in {} s if it stays so",
            left.div_ceil(1000)
        )
    })
}

fn details(out: &mut dyn Write, row: &VrrpInstance) -> io::Result<()> {
    let counters = &row.counters;
    writeln!(
        out,
        "  in this state for {}, {} transitions, {} times master, {} the addresses",
        age(row.state_ms),
        row.transitions,
        counters.became_master,
        if row.holds_addresses {
            "holds"
        } else {
            "does not hold"
        }
    )?;
    writeln!(
        out,
        "  configured priority {}, preempt {}, sends from {}, virtual MAC {}, checksum {}",
        row.priority,
        if row.preempt { "on" } else { "off" },
        row.primary_address
            .map_or_else(|| "-".to_owned(), |address| address.to_string()),
        row.virtual_mac,
        row.checksum
    )?;
    for route in &row.routes {
        writeln!(out, "  while master: route {route}")?;
    }
    if !row.unicast_peers.is_empty() {
        let peers: Vec<_> = row.unicast_peers.iter().map(ToString::to_string).collect();
        writeln!(out, "  unicast to {}", peers.join(" "))?;
    }
    let micros = row.down_interval_us;
    writeln!(
        out,
        "  waits {}.{:03} ms for a master that advertises every {} ms",
        micros / 1000,
        micros % 1000,
        row.master_interval_ms
    )?;
    writeln!(
        out,
        "  adverts: {} sent ({} with priority 0), {} received ({} with priority 0); {} \
         announcements",
        counters.adverts_sent,
        counters.priority_zero_sent,
        counters.adverts_received,
        counters.priority_zero_received,
        counters.announcements
    )?;
    for one in &row.checks {
        writeln!(
            out,
            "  check {} ({}): {} for {}, {} good and {} bad answers, bad {} times; last: {}",
            one.check,
            one.weight,
            one.state,
            age(one.since_ms),
            one.passed,
            one.failed,
            one.falls,
            dash(&one.last_result)
        )?;
    }
    for (reason, count) in &counters.discarded {
        writeln!(out, "  discarded for {reason}: {count}")?;
    }
    Ok(())
}

/// The text form of `show vrrp history`.
#[derive(Debug, Default)]
pub struct HistoryText {
    rows: u64,
}

impl Renderer for HistoryText {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::VrrpEvent(VrrpEvent {
            epoch_ms,
            name,
            text,
        }) = view
        else {
            return unexpected(&view);
        };
        self.rows += 1;
        writeln!(out, "{} {name}: {text}", timestamp(epoch_ms))
    }

    fn tail(&mut self, out: &mut dyn Write, _: Tail) -> io::Result<()> {
        if self.rows == 0 {
            writeln!(out, "nothing has happened since the daemon started")?;
        }
        Ok(())
    }
}
