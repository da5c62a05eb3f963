//! `show bgp neighbors`: the text block of one neighbor.
//!
//! Sections and sentences are FRR's, in its order, so that scripts which cut lines out of the block
//! keep working. FRR prints the graceful-restart capability twice; once is enough here.

use std::io::{self, Write};

use proto_codec::control::view::{FamilyState, LastReset, Neighbor, PeerState};
use proto_codec::control::{Head, View};

use super::format::{age, family_title};
use super::summary::state_name;
use super::{Renderer, unexpected};

/// The text form.
#[derive(Debug, Default)]
pub struct Text;

impl Renderer for Text {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::Neighbor(neighbor) = view else {
            return unexpected(&view);
        };
        write_identity(out, &neighbor)?;
        write_timers(out, &neighbor)?;
        write_capabilities(out, &neighbor)?;
        write_restart(out, &neighbor)?;
        write_messages(out, &neighbor)?;
        write_prefixes(out, &neighbor)?;
        for family in &neighbor.families {
            write_family(out, family)?;
        }
        write_connection(out, &neighbor)
    }
}

fn write_identity(out: &mut dyn Write, neighbor: &Neighbor) -> io::Result<()> {
    let Neighbor {
        address,
        remote_asn,
        local_asn,
        ..
    } = neighbor;
    let star = if neighbor.dynamic { "*" } else { "" };
    let link = if neighbor.internal {
        "internal"
    } else {
        "external"
    };
    writeln!(
        out,
        "BGP neighbor is {star}{address}, remote AS {remote_asn}, local AS {local_asn}, {link} link"
    )?;
    let role = |role: &Option<String>| role.clone().unwrap_or_else(|| "undefined".to_owned());
    writeln!(out, "  Local Role: {}", role(&neighbor.local_role))?;
    writeln!(out, "  Remote Role: {}", role(&neighbor.remote_role))?;
    if let Some(text) = &neighbor.description {
        writeln!(out, " Description: {text}")?;
    }
    if let Some(name) = &neighbor.hostname {
        writeln!(out, "Hostname: {name}")?;
    }
    if let Some(name) = &neighbor.peer_group {
        writeln!(out, " Member of peer-group {name} for session parameters")?;
    }
    if let Some(object) = &neighbor.object {
        writeln!(out, " From the cluster: {object}")?;
    }
    if let Some(why) = &neighbor.held {
        writeln!(out, " Kept down: {why}")?;
    }
    let remote = neighbor
        .remote_router_id
        .map_or("0.0.0.0".to_owned(), |id| id.to_string());
    let local = neighbor.local_router_id;
    writeln!(
        out,
        "  BGP version 4, remote router ID {remote}, local router ID {local}"
    )?;
    write!(out, "  BGP state = {}", state_name(neighbor.state))?;
    match neighbor.uptime_ms {
        Some(ms) if neighbor.state == PeerState::Established => {
            writeln!(out, ", up for {}", age(ms))
        }
        _ => writeln!(out),
    }
}

fn write_timers(out: &mut dyn Write, neighbor: &Neighbor) -> io::Result<()> {
    let timers = &neighbor.timers;
    let ago = |ms: Option<u64>| ms.map_or("never".to_owned(), age);
    let (read, write) = (ago(timers.last_read_ms), ago(timers.last_write_ms));
    writeln!(out, "  Last read {read}, Last write {write}")?;
    let seconds = |ms: u64| ms / 1000;
    writeln!(
        out,
        "  Hold time is {} seconds, keepalive interval is {} seconds",
        seconds(timers.hold_ms),
        seconds(timers.keepalive_ms)
    )?;
    writeln!(
        out,
        "  Configured hold time is {} seconds, keepalive interval is {} seconds",
        seconds(timers.configured_hold_ms),
        seconds(timers.configured_keepalive_ms)
    )
}

/// `advertised and received`, `advertised`, `received`, or nothing.
fn exchange(advertised: bool, received: bool) -> Option<&'static str> {
    match (advertised, received) {
        (true, true) => Some("advertised and received"),
        (true, false) => Some("advertised"),
        (false, true) => Some("received"),
        (false, false) => None,
    }
}

fn write_capabilities(out: &mut dyn Write, neighbor: &Neighbor) -> io::Result<()> {
    if neighbor.state != PeerState::Established {
        return Ok(());
    }
    writeln!(out, "  Neighbor capabilities:")?;
    for capability in &neighbor.capabilities {
        if let Some(text) = exchange(capability.advertised, capability.received) {
            writeln!(out, "    {}: {text}", capability.name)?;
        }
    }
    write_add_path(out, neighbor)?;
    for family in &neighbor.families {
        if let Some(text) = exchange(family.advertised, family.received) {
            writeln!(
                out,
                "    Address Family {}: {text}",
                family_title(family.family)
            )?;
        }
    }
    Ok(())
}

fn write_add_path(out: &mut dyn Write, neighbor: &Neighbor) -> io::Result<()> {
    let mut titled = false;
    for family in &neighbor.families {
        let state = family.add_path;
        let sides = [
            ("RX", exchange(state.rx_advertised, state.rx_received)),
            ("TX", exchange(state.tx_advertised, state.tx_received)),
        ];
        for (side, text) in sides {
            let Some(text) = text else { continue };
            if !std::mem::replace(&mut titled, true) {
                writeln!(out, "    AddPath:")?;
            }
            writeln!(out, "      {}: {side} {text}", family_title(family.family))?;
        }
    }
    Ok(())
}

fn write_restart(out: &mut dyn Write, neighbor: &Neighbor) -> io::Result<()> {
    if neighbor.state != PeerState::Established {
        return Ok(());
    }
    let restart = &neighbor.restart;
    writeln!(out, "  Graceful restart information:")?;
    let names = |chosen: fn(&FamilyState) -> bool| {
        let names = neighbor.families.iter().filter(|family| chosen(family));
        names
            .map(|family| family_title(family.family))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let lists = [
        ("send", names(|family| family.end_of_rib_sent)),
        ("received", names(|family| family.end_of_rib_received)),
    ];
    for (side, list) in lists.iter().filter(|list| !list.1.is_empty()) {
        writeln!(out, "    End-of-RIB {side}: {list}")?;
    }
    let bit = |set: bool| if set { "True" } else { "False" };
    writeln!(out, "    Local GR Mode: {}", restart.local_mode)?;
    writeln!(out, "    Remote GR Mode: {}", restart.remote_mode)?;
    writeln!(out, "\n    R bit: {}", bit(restart.restart_bit))?;
    writeln!(out, "    N bit: {}", bit(restart.notification_bit))?;
    writeln!(out, "    Timers:")?;
    writeln!(
        out,
        "      Configured Restart Time(sec): {}",
        restart.configured_restart_s
    )?;
    writeln!(
        out,
        "      Received Restart Time(sec): {}",
        restart.received_restart_s
    )
}

fn write_messages(out: &mut dyn Write, neighbor: &Neighbor) -> io::Result<()> {
    let messages = &neighbor.messages;
    writeln!(out, "  Message statistics:")?;
    writeln!(out, "    Inq depth is {}", messages.in_queue)?;
    writeln!(out, "    Outq depth is {}", messages.out_queue)?;
    writeln!(out, "                         Sent       Rcvd")?;
    let rows = [
        ("Opens", messages.opens),
        ("Notifications", messages.notifications),
        ("Updates", messages.updates),
        ("Keepalives", messages.keepalives),
        ("Route Refresh", messages.route_refreshes),
        ("Total", messages.total()),
    ];
    for (name, (sent, received)) in rows {
        let name = format!("{name}:");
        writeln!(out, "    {name:<14} {sent:>10} {received:>10}")?;
    }
    Ok(())
}

fn write_prefixes(out: &mut dyn Write, neighbor: &Neighbor) -> io::Result<()> {
    let prefixes = &neighbor.prefixes;
    writeln!(out, "\n  Prefix statistics:")?;
    let rows = [
        ("Inbound filtered", prefixes.filtered),
        ("AS-PATH loop", prefixes.as_path_loop),
        ("Originator loop", prefixes.originator_loop),
        ("Cluster loop", prefixes.cluster_loop),
        ("Invalid next-hop", prefixes.invalid_next_hop),
        ("Withdrawn", prefixes.treat_as_withdraw),
        ("Attributes discarded", prefixes.attributes_discarded),
    ];
    for (name, number) in rows {
        writeln!(out, "    {name}: {number}")?;
    }
    // FRR has no such row: it is there when there is something to be told.
    if prefixes.own_range > 0 {
        writeln!(out, "    Inside own ranges: {}", prefixes.own_range)?;
    }
    Ok(())
}

fn write_family(out: &mut dyn Write, family: &FamilyState) -> io::Result<()> {
    writeln!(
        out,
        "\n For address family: {}",
        family_title(family.family)
    )?;
    if !family.negotiated {
        writeln!(out, "  Not part of any update group")?;
    }
    if let Some(group) = family.update_group {
        writeln!(out, "  Update group {group}, subgroup {group}")?;
    }
    if family.reflector_client {
        writeln!(out, "  Route-Reflector Client")?;
    }
    if family.next_hop_self {
        writeln!(out, "  NEXT_HOP is always this router")?;
    }
    writeln!(out, "  Community attribute sent to this neighbor(all)")?;
    let required = "discarded due to missing policy";
    if family.import_blocked {
        writeln!(out, "  Inbound updates {required}")?;
    }
    if family.export_blocked {
        writeln!(out, "  Outbound updates {required}")?;
    }
    if let Some(name) = &family.import_policy {
        writeln!(out, "  Inbound path policy configured")?;
        writeln!(out, "  Route map for incoming advertisements is *{name}")?;
    }
    if let Some(name) = &family.export_policy {
        writeln!(out, "  Outbound path policy configured")?;
        writeln!(out, "  Route map for outgoing advertisements is *{name}")?;
    }
    if let Some(most) = family.prefixes_max {
        writeln!(out, "  Maximum prefixes allowed {most}")?;
    }
    let (accepted, sent) = (family.prefixes_accepted, family.prefixes_sent);
    write!(out, "  {accepted} accepted, {sent} sent prefixes")?;
    match family.stale {
        0 => writeln!(out),
        stale => writeln!(out, ", {stale} stale"),
    }
}

fn write_connection(out: &mut dyn Write, neighbor: &Neighbor) -> io::Result<()> {
    let (up, down) = (neighbor.established_count, neighbor.dropped_count);
    writeln!(out, "\n  Connections established {up}; dropped {down}")?;
    match &neighbor.last_reset {
        Some(reset) => write_reset(out, reset)?,
        None => writeln!(out, "  Last reset never")?,
    }
    if let Some(hops) = neighbor.hops_max {
        let link = if neighbor.internal {
            "Internal"
        } else {
            "External"
        };
        writeln!(out, "  {link} BGP neighbor may be up to {hops} hops away.")?;
    }
    if neighbor.ttl_security {
        writeln!(out, "  TTL security (GTSM) is enforced")?;
    }
    if neighbor.authenticated {
        writeln!(out, "  Peer Authentication Enabled")?;
    }
    if !neighbor.pending_changes.is_empty() {
        let waiting = neighbor.pending_changes.join(", ");
        let address = neighbor.address;
        writeln!(
            out,
            "  Waits for the next session (clear bgp {address}): {waiting}"
        )?;
    }
    if let Some(connection) = &neighbor.connection {
        let (local, remote) = (connection.local, connection.remote);
        writeln!(
            out,
            "Local host: {}, Local port: {}",
            local.ip(),
            local.port()
        )?;
        writeln!(
            out,
            "Foreign host: {}, Foreign port: {}",
            remote.ip(),
            remote.port()
        )?;
    }
    let seconds = neighbor.timers.connect_retry_ms / 1000;
    writeln!(out, "BGP Connect Retry Timer in Seconds: {seconds}")?;
    if let Some(ms) = neighbor.timers.next_connect_ms {
        writeln!(
            out,
            "Next connect timer due in {} seconds",
            ms.div_ceil(1000)
        )?;
    }
    writeln!(out)
}

fn write_reset(out: &mut dyn Write, reset: &LastReset) -> io::Result<()> {
    writeln!(out, "  Last reset {},  {}", age(reset.ago_ms), reset.reason)?;
    if let Some((code, subcode)) = reset.notification {
        let side = if reset.sent { "sent" } else { "received" };
        let text = reset.notification_text.as_deref().unwrap_or("unknown");
        writeln!(out, "  Notification {side}: {code}/{subcode} ({text})")?;
    }
    if let Some(text) = &reset.message {
        writeln!(out, "    Message: \"{text}\"")?;
    }
    Ok(())
}
