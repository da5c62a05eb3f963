//! The line format of `bgpdump -m`, octet for octet, so that scripts written for it work.
//!
//! One line per announced or withdrawn prefix and per state change, fields separated by `|`:
//!
//! ```text
//! BGP4MP|TIME|A|PEER|AS|PREFIX|ASPATH|ORIGIN|NEXTHOP|LOCPREF|MED|COMMUNITY|AG or NAG|AGGREGATOR|
//! BGP4MP|TIME|W|PEER|AS|PREFIX
//! BGP4MP|TIME|STATE|PEER|AS|OLD|NEW
//! TABLE_DUMP2|TIME|B|PEER|AS|PREFIX|…            TABLE_DUMP for the old form
//! ```
//!
//! What looks odd here is odd there, and kept: absent LOCAL_PREF and MED print as 0, an absent next
//! hop as 255.255.255.255, an unknown origin as INCOMPLETE; a next hop of unusual length swallows
//! its fields; IPv4 prefixes announced through MP_REACH_NLRI print LOCAL_PREF and MED signed; host
//! bits are not cleared; lines of sent messages show the peer, except with ADD-PATH, where they
//! show the collector.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto_codec::mrt::{
    AsPathData, Attributes, Body, Message, MpReach, NlriPrefix, PeerIndexTable, RibPrefix,
    StateChange, TableDump, Update,
};

use super::mrt::Stamp;

/// bgpdump's buffer for an AS path is this long less 100; a longer path ends in `...`.
const AS_PATH_TEXT_MAX: usize = 8000 - 100;

/// bgpdump's buffer for the communities of a path.
const COMMUNITIES_TEXT_MAX: usize = 8191;

/// Prints state changes.
pub fn state_change(out: &mut dyn Write, stamp: &Stamp, change: &StateChange) -> io::Result<()> {
    let format = match (change.legacy, stamp.micros) {
        (true, _) => "BGP",
        (false, Some(_)) => "BGP4MP_ET",
        (false, None) => "BGP4MP",
    };
    let StateChange {
        peer_asn, old, new, ..
    } = change;
    writeln!(
        out,
        "{format}|{stamp}|STATE|{}|{peer_asn}|{old}|{new}",
        ip(change.peer)
    )
}

/// Prints the prefixes of an UPDATE; other messages have no lines.
pub fn message(out: &mut dyn Write, stamp: &Stamp, message: &Message<'_>) -> io::Result<()> {
    let Body::Update(update) = &message.body else {
        return Ok(());
    };
    let lines = UpdateLines::new(stamp, message, update);
    lines.withdrawals(out)?;
    lines.announcements(out)
}

struct UpdateLines<'a> {
    message: &'a Message<'a>,
    update: &'a Update,
    /// `BGP4MP|1000000000`.
    head: String,
    tail: String,
}

impl<'a> UpdateLines<'a> {
    fn new(stamp: &Stamp, message: &'a Message<'a>, update: &'a Update) -> Self {
        let format = match (message.legacy, stamp.micros.is_some()) {
            (true, _) => "BGP".to_owned(),
            (false, extended) => {
                let extended = if extended { "_ET" } else { "" };
                let sent = if message.sent && !message.add_path {
                    "_LOCAL"
                } else {
                    ""
                };
                let add_path = if message.add_path { "_AP" } else { "" };
                format!("BGP4MP{extended}{sent}{add_path}")
            }
        };
        let tail = tail(&update.attributes);
        Self {
            message,
            update,
            head: format!("{format}|{stamp}"),
            tail,
        }
    }

    /// Address and AS that the lines show.
    fn peer(&self) -> (IpAddr, u32) {
        let message = self.message;
        if message.sent && message.add_path {
            (message.local, message.local_asn)
        } else {
            (message.peer, message.peer_asn)
        }
    }

    /// The families of MP attributes in the order of the lines; the deprecated form has none.
    fn families(&self) -> impl Iterator<Item = (u16, u8)> {
        let count = if self.message.legacy { 0 } else { 6 };
        [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
            .into_iter()
            .take(count)
    }

    fn withdrawals(&self, out: &mut dyn Write) -> io::Result<()> {
        self.withdrawn(out, false, &self.update.withdrawn)?;
        for (afi, safi) in self.families() {
            if let Some(unreach) = self.update.attributes.unreach_of(afi, safi) {
                self.withdrawn(out, afi == 2, &unreach.nlri)?;
            }
        }
        Ok(())
    }

    fn withdrawn(&self, out: &mut dyn Write, v6: bool, nlri: &[NlriPrefix]) -> io::Result<()> {
        let (address, asn) = self.peer();
        let peer = match address {
            // There it prints the four octets as the start of an IPv6 address.
            IpAddr::V4(v4) if v6 && self.message.sent && !self.message.add_path => {
                ip(IpAddr::V6(widened(v4)))
            }
            other => ip(other),
        };
        for prefix in nlri {
            write!(out, "{}|W|{peer}|{asn}|", self.head)?;
            match prefix.path_id {
                // There one static buffer holds both addresses of the line, the peer's last.
                None if self.message.legacy => writeln!(out, "{peer}/{}", prefix.len)?,
                Some(id) => writeln!(out, "{}|{id}", network(prefix, v6))?,
                None => writeln!(out, "{}", network(prefix, v6))?,
            }
        }
        Ok(())
    }

    fn announcements(&self, out: &mut dyn Write) -> io::Result<()> {
        let attributes = &self.update.attributes;
        let next_hop = attributes.next_hop.unwrap_or(Ipv4Addr::BROADCAST);
        let (pref, med) = preferences(attributes);
        // The deprecated form forgets the bar before the communities.
        let bar = if self.message.legacy { "" } else { "|" };
        let path = path_and_origin(attributes);
        let classic = format!("{path}|{next_hop}|{pref}|{med}{bar}");
        self.announced(out, false, &self.update.announced, &classic)?;
        for (afi, safi) in self.families() {
            if let Some(reach) = attributes.reach_of(afi, safi) {
                let fields = reach_fields(attributes, reach);
                self.announced(out, afi == 2, &reach.nlri, &fields)?;
            }
        }
        Ok(())
    }

    fn announced(
        &self,
        out: &mut dyn Write,
        v6: bool,
        nlri: &[NlriPrefix],
        fields: &str,
    ) -> io::Result<()> {
        let (address, asn) = self.peer();
        let peer = ip(address);
        for prefix in nlri {
            write!(out, "{}|A|{peer}|{asn}|{}|", self.head, network(prefix, v6))?;
            if let Some(id) = prefix.path_id {
                write!(out, "{id}|")?;
            }
            writeln!(out, "{fields}{}", self.tail)?;
        }
        Ok(())
    }
}

/// Path to MED of prefixes that came in MP_REACH_NLRI.
fn reach_fields(attributes: &Attributes, reach: &MpReach) -> String {
    let path = path_and_origin(attributes);
    let (pref, med) = preferences(attributes);
    let next_hop = reach.next_hop.map(ip);
    match (reach.afi, next_hop) {
        (1, Some(next_hop)) => {
            let (pref, med) = (pref.cast_signed(), med.cast_signed());
            format!("{path}|{next_hop}|{pref}|{med}|")
        }
        (1, None) => format!("{path}|"),
        (_, Some(next_hop)) => format!("{path}|{next_hop}|{pref}|{med}|"),
        (_, None) => String::new(),
    }
}

/// Prints one path of an old table.
pub fn table_dump(out: &mut dyn Write, stamp: &Stamp, route: &TableDump) -> io::Result<()> {
    let shown = |address: IpAddr| match address {
        // There only subtype 2 is printed as IPv6.
        IpAddr::V6(v6) if route.four_octet_as => {
            let [a, b, c, d, ..] = v6.octets();
            Ipv4Addr::new(a, b, c, d).to_string()
        }
        other => ip(other),
    };
    let attributes = &route.attributes;
    let next_hop = match attributes.reach_of(2, 1) {
        Some(reach) if attributes.has(14) => ip(as_v6(reach.next_hop)),
        _ => attributes
            .next_hop
            .unwrap_or(Ipv4Addr::BROADCAST)
            .to_string(),
    };
    let (pref, med) = preferences(attributes);
    write!(
        out,
        "TABLE_DUMP|{stamp}|B|{}|{}|",
        shown(route.peer),
        route.peer_asn
    )?;
    write!(out, "{}/{}|", shown(route.prefix), route.prefix_len)?;
    let path = path_and_origin(attributes);
    writeln!(out, "{path}|{next_hop}|{pref}|{med}|{}", tail(attributes))
}

/// Prints the paths of a prefix of a table. A path that names a peer the index does not have is
/// left out; there it stops the program.
pub fn rib(
    out: &mut dyn Write,
    stamp: &Stamp,
    prefix: &RibPrefix,
    peers: &PeerIndexTable,
) -> io::Result<()> {
    let format = if prefix.add_path {
        "TABLE_DUMP2_AP"
    } else {
        "TABLE_DUMP2"
    };
    let network = format!("{}/{}", ip(prefix.prefix), prefix.prefix_len);
    for entry in &prefix.entries {
        let Some(peer) = peers.peers.get(usize::from(entry.peer_index)) else {
            continue;
        };
        let attributes = &entry.attributes;
        let reach = attributes
            .reach_of(2, 1)
            .or_else(|| attributes.reach_of(1, 1));
        let next_hop = match reach.filter(|_| attributes.has(14)) {
            Some(reach) => reach.next_hop.map_or_else(String::new, ip),
            None => attributes
                .next_hop
                .unwrap_or(Ipv4Addr::BROADCAST)
                .to_string(),
        };
        let (pref, med) = preferences(attributes);
        write!(
            out,
            "{format}|{stamp}|B|{}|{}|{network}|",
            ip(peer.address),
            peer.asn
        )?;
        if let Some(id) = entry.path_id {
            write!(out, "{id}|")?;
        }
        let path = path_and_origin(attributes);
        writeln!(out, "{path}|{next_hop}|{pref}|{med}|{}", tail(attributes))?;
    }
    Ok(())
}

fn path_and_origin(attributes: &Attributes) -> String {
    let origin = match attributes.origin {
        Some(0) => "IGP",
        Some(1) => "EGP",
        _ => "INCOMPLETE",
    };
    let path = attributes
        .as_path
        .as_ref()
        .map_or_else(String::new, as_path);
    format!("{path}|{origin}")
}

fn preferences(attributes: &Attributes) -> (u32, u32) {
    (
        attributes.local_pref.unwrap_or(0),
        attributes.med.unwrap_or(0),
    )
}

/// `COMMUNITY|AG|AGGREGATOR|`.
fn tail(attributes: &Attributes) -> String {
    let mut text = attributes
        .communities
        .as_deref()
        .map_or_else(String::new, communities);
    text.push_str(if attributes.atomic_aggregate {
        "|AG|"
    } else {
        "|NAG|"
    });
    if let Some((asn, address)) = attributes.aggregator
        && address != Ipv4Addr::BROADCAST
    {
        // Writing to a string cannot fail.
        let _ = write!(text, "{asn} {address}");
    }
    text.push('|');
    text
}

fn communities(values: &[u32]) -> String {
    let mut text = String::new();
    for value in values {
        let _ = match value {
            0xffff_ff01 => write!(text, " no-export"),
            0xffff_ff02 => write!(text, " no-advertise"),
            0xffff_ff03 => write!(text, " local-AS"),
            other => write!(text, " {}:{}", other >> 16, other & 0xffff),
        };
        if text.len() > COMMUNITIES_TEXT_MAX {
            text.truncate(COMMUNITIES_TEXT_MAX);
            break;
        }
    }
    text.trim_start().to_owned()
}

/// An AS path, segments in the brackets the C tools use.
pub fn as_path(path: &AsPathData) -> String {
    if !path.is_well_formed() {
        return "! Error !".to_owned();
    }
    let mut text = String::new();
    let mut between = "";
    let mut closing = "";
    for (kind, asns) in path.segments().flatten() {
        let (open, separator, close) = match kind {
            1 => ("{", ",", "}"),
            3 => ("(", " ", ")"),
            4 => ("[", ",", "]"),
            _ => ("", " ", ""),
        };
        text.push_str(closing);
        text.push_str(between);
        text.push_str(open);
        for (index, asn) in asns.iter().enumerate() {
            let separator = if index == 0 { "" } else { separator };
            let _ = write!(text, "{separator}{asn}");
            if text.len() > AS_PATH_TEXT_MAX {
                text.push_str("...");
                return text;
            }
        }
        closing = close;
        between = if asns.is_empty() { "" } else { " " };
    }
    text.push_str(closing);
    text
}

/// The prefix. An overlong one runs into the length that is stored behind it there.
fn network(prefix: &NlriPrefix, v6: bool) -> String {
    let [a, b, c, d, ..] = prefix.octets;
    let address = if v6 {
        ip(IpAddr::V6(Ipv6Addr::from(prefix.octets)))
    } else {
        Ipv4Addr::new(a, b, c, d).to_string()
    };
    format!("{address}/{}", prefix.surplus.unwrap_or(prefix.len))
}

fn widened(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets();
    Ipv6Addr::from([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn as_v6(address: Option<IpAddr>) -> IpAddr {
    match address {
        Some(IpAddr::V4(v4)) => IpAddr::V6(widened(v4)),
        Some(v6) => v6,
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// An address as bgpdump prints it: IPv4-compatible IPv6 addresses (RFC 4291 §2.5.5.1) end in
/// dotted form, and the first longest run of zero groups is `::` even when it is one group.
fn ip(address: IpAddr) -> String {
    let v6 = match address {
        IpAddr::V4(v4) => return v4.to_string(),
        IpAddr::V6(v6) => v6,
    };
    let groups = v6.segments();
    let [.., a, b, c, d] = v6.octets();
    let dotted = Ipv4Addr::new(a, b, c, d);
    match groups {
        [0, 0, 0, 0, 0, 0xffff, ..] => return format!("::ffff:{dotted}"),
        [0, 0, 0, 0, 0, 0, ..] if dotted.to_bits() > 1 => return format!("::{dotted}"),
        _ => {}
    }
    let run_at = |start: usize| {
        groups[start..]
            .iter()
            .take_while(|group| **group == 0)
            .count()
    };
    let mut best = 0..0;
    for start in 0..groups.len() {
        let len = run_at(start);
        if len > best.len() {
            best = start..start + len;
        }
    }
    let join = |part: &[u16]| {
        part.iter()
            .map(|group| format!("{group:x}"))
            .collect::<Vec<_>>()
            .join(":")
    };
    if best.is_empty() {
        join(&groups)
    } else {
        format!(
            "{}::{}",
            join(&groups[..best.start]),
            join(&groups[best.end..])
        )
    }
}
