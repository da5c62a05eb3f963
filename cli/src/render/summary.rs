//! `show bgp summary`: a block per family, a line or an object per neighbor.
//!
//! With one family named, FRR prints the block without title and the JSON object without the key of
//! the family around it; so do we.

use std::io::{self, Write};

use proto_codec::control::view::{PeerState, PeerSummary, SummaryFamily};
use proto_codec::control::{Head, Tail, View};
use serde_json::{Value, json};

use super::format::{age_or_never, count, family_key, family_title, size};
use super::json::Stream;
use super::{Renderer, unexpected};

/// Width of the first column, unless a name is longer.
const NAME_WIDTH_MIN: usize = 16;

/// Longest description in the last column, as in FRR.
const DESCRIPTION_MAX: usize = 20;

/// The text form. A block is kept until its last neighbor is there, because the first column is
/// as wide as the longest name.
#[derive(Debug)]
pub struct Text {
    titled: bool,
    head: Option<Head>,
    block: Option<(SummaryFamily, Vec<PeerSummary>)>,
}

impl Text {
    /// `titled`: no family was named, so each block says which it is.
    pub fn new(titled: bool) -> Self {
        Self {
            titled,
            head: None,
            block: None,
        }
    }

    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some((family, peers)) = self.block.take() else {
            return Ok(());
        };
        if self.titled {
            writeln!(out, "\n{} Summary:", family_title(family.family))?;
        }
        if peers.is_empty() {
            return writeln!(out, "% No BGP neighbors found in VRF default");
        }
        self.write_block_head(out, &family)?;
        let dynamic = peers.iter().filter(|peer| peer.dynamic).count();
        let name =
            |peer: &PeerSummary| format!("{}{}", if peer.dynamic { "*" } else { "" }, peer.address);
        let longest = peers
            .iter()
            .map(|peer| name(peer).len() + 1)
            .max()
            .unwrap_or(0);
        let width = longest.max(NAME_WIDTH_MIN);
        writeln!(
            out,
            "\n{:width$}V         AS   MsgRcvd   MsgSent   TblVer  InQ OutQ  Up/Down \
             State/PfxRcd   PfxSnt Desc",
            "Neighbor"
        )?;
        for peer in &peers {
            write!(out, "{:width$}", name(peer))?;
            write_peer(out, peer)?;
        }
        writeln!(out, "\nTotal number of neighbors {}", peers.len())?;
        if dynamic > 0 {
            let noun = count(dynamic as u64, "dynamic neighbor");
            writeln!(out, "* - dynamic neighbor\n{noun}")?;
        }
        Ok(())
    }

    fn write_block_head(&self, out: &mut dyn Write, family: &SummaryFamily) -> io::Result<()> {
        if let Some(head) = &self.head {
            let Head { router_id, asn, .. } = head;
            writeln!(
                out,
                "BGP router identifier {router_id}, local AS number {asn} VRF default vrf-id 0"
            )?;
        }
        writeln!(out, "BGP table version {}", family.table_version)?;
        let memory = family.rib_memory;
        writeln!(
            out,
            "RIB entries {}, using {memory} bytes of memory",
            family.rib_count
        )?;
        let memory = size(family.peer_memory);
        writeln!(out, "Peers {}, using {memory} of memory", family.peer_count)?;
        if family.peer_group_count > 0 {
            writeln!(out, "Peer groups {}", family.peer_group_count)?;
        }
        Ok(())
    }
}

fn write_peer(out: &mut dyn Write, peer: &PeerSummary) -> io::Result<()> {
    let uptime = age_or_never(peer.uptime_ms);
    write!(
        out,
        "4 {:>10} {:>9} {:>9} {:>8} {:>4} {:>4} {uptime:>8}",
        peer.remote_asn,
        peer.messages_received,
        peer.messages_sent,
        peer.table_version,
        peer.in_queue,
        peer.out_queue,
    )?;
    let (state, sent) = state_columns(peer);
    writeln!(out, " {state:>12} {sent:>8} {}", description(peer))
}

fn state_columns(peer: &PeerSummary) -> (String, String) {
    if peer.state != PeerState::Established {
        return (state_name(peer.state).to_owned(), "0".to_owned());
    }
    if !peer.negotiated {
        return ("NoNeg".to_owned(), "NoNeg".to_owned());
    }
    let column = |blocked: bool, number: u64| {
        if blocked {
            "(Policy)".to_owned()
        } else {
            number.to_string()
        }
    };
    (
        column(peer.import_blocked, peer.prefixes_received),
        column(peer.export_blocked, peer.prefixes_sent),
    )
}

fn description(peer: &PeerSummary) -> String {
    match &peer.description {
        Some(text) if !text.is_empty() => text.chars().take(DESCRIPTION_MAX).collect(),
        _ => "N/A".to_owned(),
    }
}

/// A state as FRR names it.
pub fn state_name(state: PeerState) -> &'static str {
    match state {
        PeerState::Idle => "Idle",
        PeerState::IdleAdmin => "Idle (Admin)",
        PeerState::IdlePrefixLimit => "Idle (PfxCt)",
        PeerState::Connect => "Connect",
        PeerState::Active => "Active",
        PeerState::OpenSent => "OpenSent",
        PeerState::OpenConfirm => "OpenConfirm",
        PeerState::Established => "Established",
    }
}

impl Renderer for Text {
    fn head(&mut self, _: &mut dyn Write, head: Head) -> io::Result<()> {
        self.head = Some(head);
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        match view {
            View::SummaryFamily(family) => {
                self.flush(out)?;
                self.block = Some((family, Vec::new()));
                Ok(())
            }
            View::PeerSummary(peer) => {
                if let Some((_, peers)) = &mut self.block {
                    peers.push(peer);
                }
                Ok(())
            }
            other => unexpected(&other),
        }
    }

    fn tail(&mut self, out: &mut dyn Write, _: Tail) -> io::Result<()> {
        self.flush(out)
    }
}

/// The JSON form.
#[derive(Debug)]
pub struct Json {
    keyed: bool,
    stream: Stream,
    head: Option<Head>,
    relax: bool,
    /// Neighbors of the block, how many are not up, how many are dynamic.
    counts: (u64, u64, u64),
    in_block: bool,
    started: bool,
}

impl Json {
    /// `keyed`: no family was named, so each block stands under its key.
    pub fn new(keyed: bool) -> Self {
        let stream = Stream::default();
        Self {
            keyed,
            stream,
            head: None,
            relax: false,
            counts: (0, 0, 0),
            in_block: false,
            started: false,
        }
    }

    fn start(&mut self, out: &mut dyn Write, family: &SummaryFamily) -> io::Result<()> {
        self.stop(out)?;
        self.started = true;
        if self.keyed {
            if !self.stream.is_open() {
                self.stream.open_object(out, None)?;
            }
            self.stream
                .open_object(out, Some(family_key(family.family)))?;
        } else {
            self.stream.open_object(out, None)?;
        }
        let (router_id, asn) = self
            .head
            .as_ref()
            .map_or((None, None), |head| (Some(head.router_id), Some(head.asn)));
        let fields = json!({
            "routerId": router_id,
            "as": asn,
            "vrfId": 0,
            "vrfName": "default",
            "tableVersion": family.table_version,
            "ribCount": family.rib_count,
            "ribMemory": family.rib_memory,
            "peerCount": family.peer_count,
            "peerMemory": family.peer_memory,
            "peerGroupCount": family.peer_group_count,
        });
        self.stream.members(out, &fields)?;
        self.stream.open_object(out, Some("peers"))?;
        (self.relax, self.counts, self.in_block) = (family.multipath_relax, (0, 0, 0), true);
        Ok(())
    }

    fn stop(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !std::mem::take(&mut self.in_block) {
            return Ok(());
        }
        self.stream.close(out)?;
        let (all, failed, dynamic) = self.counts;
        let fields = json!({
            "failedPeers": failed,
            "displayedPeers": all,
            "totalPeers": all,
            "dynamicPeers": dynamic,
            "bestPath": {"multiPathRelax": self.relax.to_string()},
        });
        self.stream.members(out, &fields)?;
        self.stream.close(out)
    }

    fn peer(&mut self, out: &mut dyn Write, peer: &PeerSummary) -> io::Result<()> {
        self.counts.0 += 1;
        self.counts.1 += u64::from(peer.state != PeerState::Established || !peer.negotiated);
        self.counts.2 += u64::from(peer.dynamic);
        self.stream
            .tree(out, Some(&peer.address.to_string()), &peer_json(peer))
    }
}

fn peer_json(peer: &PeerSummary) -> Value {
    let blocked = peer.import_blocked || peer.export_blocked || !peer.negotiated;
    let peer_state = match peer.state {
        PeerState::IdleAdmin => "Admin",
        PeerState::IdlePrefixLimit => "PfxCt",
        _ if blocked => "Policy",
        _ => "OK",
    };
    let mut fields = json!({
        "remoteAs": peer.remote_asn,
        "localAs": peer.local_asn,
        "version": 4,
        "msgRcvd": peer.messages_received,
        "msgSent": peer.messages_sent,
        "tableVersion": peer.table_version,
        "outq": peer.out_queue,
        "inq": peer.in_queue,
        "peerUptime": age_or_never(peer.uptime_ms),
        "peerUptimeMsec": peer.uptime_ms.unwrap_or(0),
        "pfxRcd": peer.prefixes_received,
        "pfxSnt": peer.prefixes_sent,
        "state": state_name(peer.state),
        "peerState": peer_state,
        "connectionsEstablished": peer.established_count,
        "connectionsDropped": peer.dropped_count,
        "idType": if peer.address.is_ipv4() { "ipv4" } else { "ipv6" },
    });
    if let Some(epoch_ms) = peer.established_epoch_ms {
        fields["peerUptimeEstablishedEpoch"] = json!(epoch_ms / 1000);
    }
    if let Some(hostname) = &peer.hostname {
        fields["hostname"] = json!(hostname);
    }
    if let Some(description) = &peer.description {
        fields["desc"] = json!(description);
    }
    if peer.dynamic {
        fields["dynamicPeer"] = json!(true);
    }
    fields
}

impl Renderer for Json {
    fn head(&mut self, _: &mut dyn Write, head: Head) -> io::Result<()> {
        self.head = Some(head);
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        match view {
            View::SummaryFamily(family) => self.start(out, &family),
            View::PeerSummary(peer) => self.peer(out, &peer),
            other => unexpected(&other),
        }
    }

    fn tail(&mut self, out: &mut dyn Write, _: Tail) -> io::Result<()> {
        self.stop(out)
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.stream.is_open() {
            return self.stream.close(out);
        }
        if self.started {
            Ok(())
        } else {
            writeln!(out, "{{}}")
        }
    }
}
