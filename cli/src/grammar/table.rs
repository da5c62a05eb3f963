//! The commands, one row each, in the order of the manual.
//!
//! A row is the pattern, one line of help, whether `json` may follow, and what the words stand for.
//! Commands that FRR has keep FRR's words; `ip` before `bgp` is accepted everywhere and means IPv4,
//! as it does there. Commands of other parts of the suite join when those parts exist.

use proto_codec::control::Request;

use super::build::{
    address, cleanup, clear, decode, explain, explain_service, family, monitor, neighbor_routes,
    one, show_bgp, show_kubernetes, show_route, show_vrrp, vrrp,
};
use super::matcher::Line;
use super::slot::Slot;
use crate::convert::{self, Conversion};
use crate::decode::Format;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Ask a daemon, request after request, and print the answers as one.
    Ask(Vec<Request>),
    /// Check a configuration file.
    Check(String),
    /// Take everything of ours out of the kernel.
    Cleanup {
        /// What of it.
        whose: Kernel,
        /// The configuration that says which routes are ours; `None`: the installed one.
        config: Option<String>,
    },
    /// Decode a file.
    Decode {
        /// What is in it.
        kind: DecodeKind,
        /// The file.
        file: String,
        /// How to print it.
        format: Format,
    },
    /// Convert another daemon's configuration.
    Convert(Conversion),
    /// Print every command.
    List,
    /// Leave the shell.
    Exit,
}

/// What of ours in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Routes and next hops of bgpd.
    Bgp,
    /// Addresses, links, rules and routes of vrrpd.
    Vrrp,
    /// Both.
    All,
}

/// What a file to decode holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeKind {
    /// MRT records.
    Mrt,
    /// Captured packets.
    Pcap,
    /// BGP messages in hexadecimal.
    Hex,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The words.
    pub pattern: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// `json` may follow.
    pub json: bool,
    /// From the words to the command; the error is a sentence about a value.
    pub build: fn(&Line) -> Result<Command, String>,
}

const fn row(
    pattern: &'static str,
    help: &'static str,
    build: fn(&Line) -> Result<Command, String>,
) -> Row {
    Row {
        pattern,
        help,
        json: true,
        build,
    }
}

const fn plain(
    pattern: &'static str,
    help: &'static str,
    build: fn(&Line) -> Result<Command, String>,
) -> Row {
    Row {
        pattern,
        help,
        json: false,
        build,
    }
}

/// The commands.
pub const ROWS: &[Row] = &[
    row(
        "show [ip] bgp [(ipv4|ipv6) [unicast]] summary",
        "neighbors with state and counters, a block per family",
        |line| {
            one(Request::ShowBgpSummary {
                family: family(line),
            })
        },
    ),
    row(
        "show [ip] bgp [(ipv4|ipv6) [unicast]] \
         [PREFIX [longer-prefixes|bestpath|multipath] | ADDRESS [bestpath|multipath]]",
        "the table, or one prefix in full; an address finds its longest match",
        show_bgp,
    ),
    row(
        "show [ip] bgp [(ipv4|ipv6) [unicast]] neighbors [ADDRESS]",
        "everything about one neighbor, or all",
        |line| {
            one(Request::ShowBgpNeighbors {
                address: address(line),
            })
        },
    ),
    row(
        "show [ip] bgp [(ipv4|ipv6) [unicast]] neighbors ADDRESS \
         (received-routes|routes|advertised-routes)",
        "what a neighbor sent, what was accepted of it, what it was sent",
        neighbor_routes,
    ),
    row(
        "show bgp advertisements",
        "what starts here and why: source, object, state",
        |_| one(Request::ShowAdvertisements),
    ),
    row(
        "show bgp pools",
        "address pools and the addresses in use",
        |_| one(Request::ShowPools),
    ),
    row(
        "show (ip|ipv6) route [bgp] [PREFIX|ADDRESS]",
        "what was asked of the kernel and what the kernel holds",
        show_route,
    ),
    row(
        "show kubernetes [services|nodes|pools]",
        "what is read of the cluster, and what it amounts to on this node",
        show_kubernetes,
    ),
    row(
        "show vrrp history",
        "what happened to the virtual routers, and why",
        |_| one(Request::ShowVrrpHistory),
    ),
    row(
        "show vrrp [INTERFACE [VRID]]",
        "the virtual routers; with an interface, everything about them",
        show_vrrp,
    ),
    row(
        "show version",
        "release, uptime and configuration of the daemons",
        |_| one(Request::ShowVersion),
    ),
    row(
        "show memory",
        "what the daemons' memory is used for",
        |_| one(Request::ShowMemory),
    ),
    row(
        "show metrics",
        "what [metrics] exports, in the same form",
        |_| one(Request::ShowMetrics),
    ),
    row(
        "explain route (PREFIX|ADDRESS) [to ADDRESS]",
        "every rule a route met, with its verdict",
        explain,
    ),
    row(
        "explain service NAMESPACE/NAME",
        "every rule that the addresses of a service met, with its verdict",
        explain_service,
    ),
    row(
        "clear bgp (ADDRESS | * | peer-group NAME) [soft [in | out]]",
        "resets sessions; soft only imports or exports again",
        clear,
    ),
    row(
        "drain [undo]",
        "asks all neighbors to prefer other paths (RFC 8326)",
        |line| {
            one(Request::Drain {
                undo: line.has("undo"),
            })
        },
    ),
    row(
        "reload [--check]",
        "reads the configuration again; --check only says what would change",
        |line| {
            one(Request::Reload {
                check_only: line.has("--check"),
            })
        },
    ),
    row(
        "pool use ADDRESS",
        "puts an address of a pool in use",
        |line| {
            let address = address(line).ok_or("an address is expected")?;
            one(Request::PoolUse { address })
        },
    ),
    row(
        "pool release ADDRESS",
        "gives an address of a pool back",
        |line| {
            let address = address(line).ok_or("an address is expected")?;
            one(Request::PoolRelease { address })
        },
    ),
    row(
        "vrrp (release|hold|resume) NAME",
        "hands a virtual router or sync group over, keeps it out, or takes that back",
        vrrp,
    ),
    row(
        "monitor (bgp|vrrp|routes|log)",
        "prints what happens until interrupted",
        monitor,
    ),
    plain(
        "cleanup [bgp|vrrp] [--config FILE]",
        "takes everything of ours out of the kernel, daemons stopped",
        cleanup,
    ),
    plain(
        "check FILE",
        "reads a bgpd.toml, vrrpd.toml or manifests and names every fault",
        |line| {
            Ok(Command::Check(
                line.value(Slot::File).unwrap_or_default().to_owned(),
            ))
        },
    ),
    plain(
        "convert keepalived FILE... [--explain] [--force] [--id NAME] [--output DIR]",
        "writes a vrrpd.toml, and a verdict on each line to standard error",
        |line| convert::build(line).map(Command::Convert),
    ),
    plain(
        "convert (kube-router|metallb|calico) FILE... [--force] [--output DIR]",
        "writes a bgpd.toml, and a verdict on each flag or object to standard error",
        |line| convert::build(line).map(Command::Convert),
    ),
    plain(
        "convert (frr|bird) FILE...",
        "not in this version",
        |line| convert::build(line).map(Command::Convert),
    ),
    row(
        "decode mrt FILE [--format (text|json|bgpdump)]",
        "prints the records of an MRT archive, also gzip and bzip2",
        decode,
    ),
    row(
        "decode (pcap|hex) FILE [--format (text|json)]",
        "prints the BGP and VRRP messages of a capture, or BGP in hexadecimal text",
        decode,
    ),
    plain("list", "prints every command", |_| Ok(Command::List)),
    plain("exit", "leaves the shell", |_| Ok(Command::Exit)),
    plain("quit", "leaves the shell", |_| Ok(Command::Exit)),
];

/// Help of words that occur in the middle of commands, or in several.
pub const WORDS: &[(&str, &str)] = &[
    ("--check", "only say what would change"),
    ("--config", "the daemon's configuration"),
    ("--format", "how to print it"),
    ("advertised-routes", "what it was sent"),
    ("bestpath", "the best path only"),
    ("bgp", "BGP"),
    ("bgpdump", "the lines of bgpdump -m"),
    ("clear", "resets sessions"),
    ("decode", "reads what the daemons speak"),
    ("explain", "says why"),
    ("hex", "hexadecimal text of BGP messages"),
    ("in", "import again"),
    ("ip", "IPv4"),
    ("history", "what happened, and why"),
    ("hold", "takes no part until resume"),
    ("ipv4", "IPv4"),
    ("ipv6", "IPv6"),
    ("json", "print JSON"),
    ("kubernetes", "the cluster this node is in"),
    ("log", "log lines as they are written"),
    ("longer-prefixes", "the prefix and those inside it"),
    ("monitor", "prints what happens until interrupted"),
    ("mrt", "MRT archive"),
    ("multipath", "the paths in use only"),
    ("neighbors", "everything about neighbors"),
    ("nodes", "nodes and the sessions with them"),
    ("out", "export again"),
    ("pcap", "captured packets, pcap or pcapng"),
    ("peer-group", "the neighbors of a group"),
    ("pool", "addresses of pools"),
    ("pools", "pools of addresses"),
    ("received-routes", "what it sent, before policy"),
    ("release", "hands over to the best backup"),
    ("resume", "takes release and hold back"),
    ("route", "routes"),
    ("routes", "routes"),
    ("service", "a service of the cluster"),
    ("services", "addresses of services"),
    ("show", "looks at something"),
    ("soft", "without resetting the session"),
    ("text", "for people"),
    ("to", "explain the export to a neighbor too"),
    ("undo", "takes the drain back"),
    ("unicast", "unicast"),
    ("vrrp", "virtual routers"),
];
