//! ExaBGP 5: a feeder whose routes are written in its configuration.
//!
//! It keeps no table and answers no questions, so it is not a [`super::Kind`]; a scenario reads the
//! other side. Its value is a second opinion on encoding from an implementation that shares no code
//! with any router.

use std::fmt::Write;
use std::net::IpAddr;

use crate::node::Node;

/// What ExaBGP is to announce: `static` route lines in its own words.
pub struct Feeder<'a> {
    /// Its AS.
    pub asn: u32,
    /// Its address.
    pub local: IpAddr,
    /// Whom it speaks to.
    pub peer: IpAddr,
    /// The peer's AS.
    pub peer_asn: u32,
    /// `route 203.0.113.0/24 next-hop self community [65000:1];` and the like.
    pub routes: &'a [&'a str],
}

/// Starts ExaBGP in `node`.
pub fn start(node: &Node, feeder: &Feeder<'_>) {
    let mut routes = String::new();
    for route in feeder.routes {
        let _ = writeln!(routes, "    {route}");
    }
    let Feeder {
        asn,
        local,
        peer,
        peer_asn,
        ..
    } = feeder;
    node.write(
        "/run/node/exabgp.conf",
        format!(
            "neighbor {peer} {{\n  router-id {local};\n  local-address {local};\n  local-as {asn};\n  \
             peer-as {peer_asn};\n  family {{ ipv4 unicast; ipv6 unicast; }}\n  static {{\n\
             {routes}  }}\n}}\n"
        ),
    );
    // The feeder belongs to the node; nobody waits for it here.
    drop(node.spawn(
        "exabgp.log",
        "env",
        &[
            "exabgp_api_cli=false",
            "exabgp_daemon_user=root",
            "exabgp",
            "server",
            "/run/node/exabgp.conf",
        ],
    ));
}
