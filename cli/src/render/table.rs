//! Tables of routes: `show bgp`, `longer-prefixes`, and the three views of a neighbor's routes.
//!
//! The columns are FRR's. A row is printed as it arrives; nothing of the table is kept. In the JSON
//! of `received-routes` and `advertised-routes` a prefix has one object, as in FRR; where ADD-PATH
//! gives it more paths, the object is that of the first and `paths` holds them all.

use std::io::{self, Write};
use std::net::IpAddr;

use proto_codec::control::view::{Path, PathKind, Route};
use proto_codec::control::{AdjKind, Head, Request, Tail, View};
use serde_json::{Map, Value, json};

use super::format::{family_title, origin, origin_sign};
use super::json::Stream;
use super::{Renderer, unexpected};

/// Width of the prefix column. A longer prefix stands alone on its line.
const PREFIX_WIDTH: usize = 17;

/// Width of the next hop column. A longer next hop stands alone on its line.
const NEXT_HOP_WIDTH: usize = 16;

const LEGEND: &str = "\
Status codes:  s suppressed, d damped, h history, u unsorted, * valid, > best, = multipath,
               i internal, r RIB-failure, S Stale, R Removed
Nexthop codes: @NNN nexthop's vrf id, < announce-nh-self
Origin codes:  i - IGP, e - EGP, ? - incomplete
RPKI validation codes: V valid, I invalid, N Not found

     Network          Next Hop            Metric LocPrf Weight Path
";

/// Which table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The Loc-RIB, or what was accepted from a neighbor.
    Table,
    /// `received-routes` or `advertised-routes`.
    Adjacent(AdjKind),
}

impl Kind {
    /// The kind of table a request asks for.
    pub fn of(request: &Request) -> Self {
        match request {
            Request::ShowNeighborRoutes {
                kind: AdjKind::Accepted,
                ..
            } => Self::Table,
            Request::ShowNeighborRoutes { kind, .. } => Self::Adjacent(*kind),
            _ => Self::Table,
        }
    }
}

/// The text form.
#[derive(Debug)]
pub struct Text {
    kind: Kind,
    titled: bool,
    head: Option<Head>,
    rows: u64,
    paths: u64,
}

impl Text {
    /// `titled`: several tables follow each other.
    pub fn new(kind: Kind, titled: bool) -> Self {
        Self {
            kind,
            titled,
            head: None,
            rows: 0,
            paths: 0,
        }
    }

    fn write_head(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(head) = &self.head else {
            return Ok(());
        };
        let Head {
            table_version,
            router_id,
            default_local_pref,
            asn,
            ..
        } = head;
        writeln!(
            out,
            "BGP table version is {table_version}, local router ID is {router_id}, vrf id 0"
        )?;
        writeln!(
            out,
            "Default local pref {default_local_pref}, local AS {asn}"
        )?;
        out.write_all(LEGEND.as_bytes())
    }
}

impl Renderer for Text {
    fn head(&mut self, out: &mut dyn Write, head: Head) -> io::Result<()> {
        if let (true, Some(family)) = (self.titled, head.family) {
            writeln!(out, "\nFor address family: {}", family_title(family))?;
        }
        self.head = Some(head);
        (self.rows, self.paths) = (0, 0);
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::Route(route) = view else {
            return unexpected(&view);
        };
        if self.rows == 0 {
            self.write_head(out)?;
        }
        self.rows += 1;
        self.paths += route.paths.len() as u64;
        write_route(out, &route, self.kind)
    }

    fn tail(&mut self, out: &mut dyn Write, tail: Tail) -> io::Result<()> {
        let (rows, paths) = (self.rows, tail.paths.max(self.paths));
        if rows == 0 {
            return writeln!(out, "No BGP prefixes displayed, {paths} exist");
        }
        match self.kind {
            Kind::Table => writeln!(out, "\nDisplayed {rows} routes and {paths} total paths"),
            Kind::Adjacent(_) => {
                writeln!(
                    out,
                    "\nTotal number of prefixes {rows}, total number of paths {paths}"
                )
            }
        }
    }
}

/// The MED of a path in the table: FRR gives what starts here a metric of 0, which is also what
/// the decision process takes its absence for (RFC 4271 §9.1.2.2).
pub fn metric(path: &Path) -> Option<u32> {
    path.med
        .or_else(|| (path.kind == PathKind::Local).then_some(0))
}

fn write_route(out: &mut dyn Write, route: &Route, kind: Kind) -> io::Result<()> {
    for (index, path) in route.paths.iter().enumerate() {
        out.write_all(&status(path))?;
        if index == 0 {
            let prefix = route.prefix.to_string();
            write!(out, "{prefix:PREFIX_WIDTH$}")?;
            if prefix.len() >= PREFIX_WIDTH {
                write!(out, "\n{:20}", "")?;
            }
        } else {
            write!(out, "{:PREFIX_WIDTH$}", "")?;
        }
        // What a neighbor was sent is shown as it was sent; a weight never leaves the router.
        let (med, weight) = match kind {
            Kind::Table => (metric(path), path.weight),
            Kind::Adjacent(_) => (path.med, 0),
        };
        write_path(out, path, (med, weight))?;
    }
    Ok(())
}

/// RPKI, validity, best, internal, and a blank.
fn status(path: &Path) -> [u8; 5] {
    let validity = if path.stale {
        b'S'
    } else if path.valid {
        b'*'
    } else {
        b' '
    };
    let best = if path.best {
        b'>'
    } else if path.multipath {
        b'='
    } else {
        b' '
    };
    let internal = if path.kind == PathKind::Internal {
        b'i'
    } else {
        b' '
    };
    [b' ', validity, best, internal, b' ']
}

fn write_path(
    out: &mut dyn Write,
    path: &Path,
    (med, weight): (Option<u32>, u32),
) -> io::Result<()> {
    let next_hop = shown_next_hop(path).to_string();
    write!(out, "{next_hop:NEXT_HOP_WIDTH$}")?;
    if next_hop.len() >= NEXT_HOP_WIDTH {
        write!(out, "\n{:38}", "")?;
    }
    let column = |value: Option<u32>| value.map_or_else(String::new, |value| value.to_string());
    write!(out, "{:>10}{:>7}", column(med), column(path.local_pref))?;
    write!(out, "{weight:>7} ")?;
    if !path.as_path.is_empty() {
        write!(out, "{} ", path.as_path)?;
    }
    writeln!(out, "{}", origin_sign(path.origin))
}

/// FRR shows the link-local address of an IPv6 path where it has one.
fn shown_next_hop(path: &Path) -> IpAddr {
    path.next_hop_link_local.map_or(path.next_hop, IpAddr::V6)
}

/// The JSON form. Several tables become one, their prefixes side by side.
#[derive(Debug)]
pub struct Json {
    kind: Kind,
    stream: Stream,
    host: String,
    rows: u64,
    paths: u64,
    tail_paths: u64,
}

impl Json {
    /// An empty table.
    pub fn new(kind: Kind) -> Self {
        let stream = Stream::default();
        Self {
            kind,
            stream,
            host: String::new(),
            rows: 0,
            paths: 0,
            tail_paths: 0,
        }
    }

    fn start(&mut self, out: &mut dyn Write, head: Option<&Head>) -> io::Result<()> {
        if self.stream.is_open() {
            return Ok(());
        }
        self.stream.open_object(out, None)?;
        if let Some(head) = head {
            self.stream.members(out, &self.head_json(head))?;
        }
        let key = match self.kind {
            Kind::Table => "routes",
            Kind::Adjacent(AdjKind::Received) => "receivedRoutes",
            Kind::Adjacent(_) => "advertisedRoutes",
        };
        self.stream.open_object(out, Some(key))
    }

    fn head_json(&self, head: &Head) -> Value {
        match self.kind {
            Kind::Table => json!({
                "vrfId": 0,
                "vrfName": "default",
                "tableVersion": head.table_version,
                "routerId": head.router_id,
                "defaultLocPrf": head.default_local_pref,
                "localAS": head.asn,
            }),
            Kind::Adjacent(_) => json!({
                "bgpTableVersion": head.table_version,
                "bgpLocalRouterId": head.router_id,
                "defaultLocPrf": head.default_local_pref,
                "localAS": head.asn,
            }),
        }
    }
}

impl Renderer for Json {
    fn head(&mut self, out: &mut dyn Write, head: Head) -> io::Result<()> {
        self.host.clone_from(&head.host);
        self.start(out, Some(&head))
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::Route(route) = view else {
            return unexpected(&view);
        };
        self.start(out, None)?;
        self.rows += 1;
        self.paths += route.paths.len() as u64;
        let value = match self.kind {
            Kind::Table => {
                let paths = route.paths.iter();
                Value::Array(
                    paths
                        .map(|path| path_json(&route, path, &self.host))
                        .collect(),
                )
            }
            Kind::Adjacent(_) => adjacent_json(&route),
        };
        self.stream
            .value(out, Some(&route.prefix.to_string()), &value)
    }

    fn tail(&mut self, out: &mut dyn Write, tail: Tail) -> io::Result<()> {
        self.tail_paths += tail.paths;
        self.start(out, None)
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.start(out, None)?;
        self.stream.close(out)?;
        let (rows, paths) = (self.rows, self.tail_paths.max(self.paths));
        let fields = match self.kind {
            Kind::Table => json!({"totalRoutes": rows, "totalPaths": paths, "numRoutes": rows}),
            Kind::Adjacent(_) => json!({"totalPrefixCounter": rows, "filteredPrefixCounter": 0}),
        };
        self.stream.members(out, &fields)?;
        self.stream.close(out)
    }
}

/// What both JSON forms of a path start with.
fn flags(path: &Path, best: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut flag = |key: &str, set: bool| {
        if set {
            fields.insert(key.to_owned(), json!(true));
        }
    };
    flag("valid", path.valid);
    flag(best, path.best);
    flag("multipath", path.multipath);
    flag("stale", path.stale);
    flag("rejected", path.rejected);
    fields
}

fn path_json(route: &Route, path: &Path, host: &str) -> Value {
    let mut fields = flags(path, "bestpath");
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    if let Some(reason) = &path.reason {
        put("selectionReason", json!(reason));
    }
    let internal = path.kind == PathKind::Internal;
    put(
        "pathFrom",
        json!(if internal { "internal" } else { "external" }),
    );
    put("prefix", json!(route.prefix.addr()));
    put("prefixLen", json!(route.prefix.prefix_len()));
    put("network", json!(route.prefix.to_string()));
    put("version", json!(route.version));
    if let Some(med) = metric(path) {
        put("metric", json!(med));
    }
    if let Some(local_pref) = path.local_pref {
        put("locPrf", json!(local_pref));
    }
    put("weight", json!(path.weight));
    let peer = path
        .peer
        .map_or_else(|| "(unspec)".to_owned(), |peer| peer.address.to_string());
    put("peerId", json!(peer));
    put("path", json!(path.as_path));
    put("origin", json!(origin(path.origin)));
    if path.path_id_rx != 0 {
        put("addPathId", json!(path.path_id_rx));
    }
    put("nexthops", next_hops_json(path, host));
    Value::Object(fields)
}

/// The next hops of a path: the global one, and the link-local one that is used where it exists.
pub fn next_hops_json(path: &Path, host: &str) -> Value {
    let entry = |address: IpAddr, scope: Option<&str>, used: bool| {
        let mut fields = json!({
            "ip": address,
            "afi": if address.is_ipv4() { "ipv4" } else { "ipv6" },
        });
        if path.kind == PathKind::Local && !host.is_empty() {
            fields["hostname"] = json!(host);
        }
        if let Some(scope) = scope {
            fields["scope"] = json!(scope);
        }
        if used {
            fields["used"] = json!(true);
        }
        fields
    };
    match path.next_hop_link_local {
        Some(local) => json!([
            entry(path.next_hop, Some("global"), false),
            entry(IpAddr::V6(local), Some("link-local"), true),
        ]),
        None if path.next_hop.is_ipv6() => json!([entry(path.next_hop, Some("global"), true)]),
        None => json!([entry(path.next_hop, None, true)]),
    }
}

fn adjacent_json(route: &Route) -> Value {
    let mut objects: Vec<Value> = route
        .paths
        .iter()
        .map(|path| adjacent_path_json(route, path))
        .collect();
    if objects.len() == 1 {
        return objects.swap_remove(0);
    }
    let mut first = objects.first().cloned().unwrap_or_else(|| json!({}));
    first["paths"] = Value::Array(objects);
    first
}

fn adjacent_path_json(route: &Route, path: &Path) -> Value {
    let mut fields = flags(path, "best");
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("addrPrefix", json!(route.prefix.addr()));
    put("prefixLen", json!(route.prefix.prefix_len()));
    put("network", json!(route.prefix.to_string()));
    let key = if path.next_hop.is_ipv4() {
        "nextHop"
    } else {
        "nextHopGlobal"
    };
    put(key, json!(path.next_hop));
    if let Some(med) = path.med {
        put("metric", json!(med));
    }
    if let Some(local_pref) = path.local_pref {
        put("locPrf", json!(local_pref));
    }
    put("weight", json!(0));
    put("path", json!(path.as_path));
    put("origin", json!(origin(path.origin)));
    if path.path_id_rx != 0 || path.path_id_tx != 0 {
        put("addPathId", json!(path.path_id_rx.max(path.path_id_tx)));
    }
    Value::Object(fields)
}
