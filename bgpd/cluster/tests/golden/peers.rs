//! Sessions, field by field.
//!
//! A field that one side leaves to its default is filled in with that default first: BIRD's
//! restart time is 120 s, its sessions have ADD-PATH by the template, its own AS is the
//! template's.

use std::net::IpAddr;

use cluster::{Neighbor, NextHopMode, PeerAsn, StaticRoute};
use ipnet::IpNet;

use super::Scene;
use crate::bird::{Config, Protocol, Token};

/// What both sides say of a session.
#[derive(Debug, PartialEq)]
struct Session {
    port: Option<u32>,
    asn: u32,
    local_asn: u32,
    source: Option<IpAddr>,
    passive: bool,
    client: Option<String>,
    password: Option<String>,
    ttl_security: Option<u32>,
    restart_time: u32,
    next_hop: &'static str,
    allow_own_as: u32,
    add_path: bool,
    keepalive: Option<u32>,
}

/// Options of a protocol, its own before its template's.
pub fn options<'a>(config: &'a Config, of: &'a Protocol) -> Vec<&'a [Token]> {
    let template = of
        .template
        .as_ref()
        .map(|name| &config.templates[name].options);
    let own = of.body.options.iter();
    own.chain(template.into_iter().flatten())
        .map(Vec::as_slice)
        .collect()
}

/// The BGP protocols with the address of their neighbors.
pub fn bgp(config: &Config) -> Vec<(IpAddr, &Protocol)> {
    let all = config.protocols.iter().filter(|one| one.kind == "bgp");
    all.map(|one| {
        let neighbor = find(&options(config, one), &["neighbor"]);
        let Some([Token::Ip(address), ..]) = neighbor else {
            panic!("{} has no neighbor", one.name);
        };
        (*address, one)
    })
    .collect()
}

/// What follows these words in the first option that starts with them.
fn find<'a>(options: &[&'a [Token]], words: &[&str]) -> Option<&'a [Token]> {
    let starts = |option: &&'a [Token]| {
        option.len() >= words.len()
            && option
                .iter()
                .zip(words)
                .all(|(token, word)| matches!(token, Token::Word(have) if have == word))
    };
    options
        .iter()
        .copied()
        .find(starts)
        .map(|option| &option[words.len()..])
}

fn number(options: &[&[Token]], words: &[&str]) -> Option<u32> {
    match find(options, words)? {
        [Token::Number(number)] => Some(*number),
        _ => None,
    }
}

impl Session {
    fn of_bird(config: &Config, protocol: &Protocol) -> Self {
        let options = options(config, protocol);
        let neighbor = find(&options, &["neighbor"]).unwrap();
        let (port, asn) = match neighbor {
            [_, Token::Word(_), Token::Number(asn)] => (None, *asn),
            [
                _,
                Token::Word(_),
                Token::Number(port),
                Token::Word(_),
                Token::Number(asn),
            ] => (Some(*port), *asn),
            other => panic!("{other:?}"),
        };
        let is_on = |words: &[&str]| {
            let found = find(&options, words);
            found == Some(&[Token::Word("on".into())][..])
        };
        let text = |words: &[&str]| match find(&options, words) {
            Some([Token::Text(text)]) => Some(text.clone()),
            Some([Token::Ip(address)]) => Some(address.to_string()),
            _ => None,
        };
        let ttl = is_on(&["ttl", "security"]);
        Self {
            port,
            asn,
            local_asn: number(&options, &["local", "as"]).unwrap(),
            source: match find(&options, &["source", "address"]) {
                Some([Token::Ip(address)]) => Some(*address),
                _ => None,
            },
            passive: is_on(&["passive"]),
            client: find(&options, &["rr", "client"]).and_then(|_| text(&["rr", "cluster", "id"])),
            password: text(&["password"]),
            ttl_security: number(&options, &["multihop"]).filter(|_| ttl),
            restart_time: number(&options, &["graceful", "restart", "time"]).unwrap_or(120),
            next_hop: match find(&options, &["next", "hop"]) {
                Some([Token::Word(word)]) if word == "keep" => "keep",
                Some([Token::Word(word)]) if word == "self" => "self",
                _ => "auto",
            },
            allow_own_as: number(&options, &["allow", "local", "as"]).unwrap_or(0),
            add_path: is_on(&["add", "paths"]),
            keepalive: number(&options, &["keepalive", "time"]),
        }
    }

    fn of_ours(scene: &Scene, neighbor: &Neighbor) -> Self {
        let seconds = |span: std::time::Duration| u32::try_from(span.as_secs()).unwrap();
        let PeerAsn::Exact(asn) = neighbor.asn else {
            panic!("{neighbor:?}")
        };
        let router = &scene.desired.router;
        Self {
            port: neighbor.port.map(u32::from),
            asn,
            local_asn: neighbor.local_asn.or(router.asn).unwrap(),
            source: neighbor.local_address,
            passive: neighbor.passive == Some(true),
            client: neighbor
                .route_reflector_client
                .then(|| router.cluster_id.unwrap().to_string()),
            password: match (&neighbor.password, neighbor.password_missing) {
                (Some(secret), _) => Some(String::from_utf8(secret.key.clone()).unwrap()),
                (None, true) => Some("(missing)".into()),
                (None, false) => None,
            },
            ttl_security: neighbor.ttl_security.map(u32::from),
            restart_time: seconds(neighbor.graceful_restart.unwrap()),
            next_hop: match neighbor.next_hop {
                NextHopMode::Auto => "auto",
                NextHopMode::SelfAddr => "self",
                NextHopMode::Keep => "keep",
            },
            allow_own_as: u32::from(neighbor.allow_own_as),
            add_path: neighbor.add_path,
            keepalive: neighbor.keepalive.map(seconds),
        }
    }
}

impl Scene {
    /// Our neighbors of a family.
    pub fn neighbors(&self, family: usize) -> impl Iterator<Item = &Neighbor> {
        let all = self.desired.neighbors.iter();
        all.filter(move |neighbor| usize::from(neighbor.address.is_ipv6()) == family)
    }

    /// Sessions and the routes to their ends.
    pub fn compare_peers(&self, out: &mut Vec<String>) {
        for (family, config) in self.bird.iter().enumerate() {
            let theirs = bgp(config);
            for neighbor in self.neighbors(family) {
                if theirs
                    .iter()
                    .all(|(address, _)| *address != neighbor.address)
                {
                    out.push(format!("{}: a session of ours alone", neighbor.address));
                }
            }
            for (address, protocol) in theirs {
                let expected = Session::of_bird(config, protocol);
                let ours = self.neighbors(family).find(|one| one.address == address);
                let Some(ours) = ours.map(|one| Session::of_ours(self, one)) else {
                    out.push(format!("{address}: no session of ours"));
                    continue;
                };
                if ours.port != expected.port {
                    let port = expected.port.unwrap_or(179);
                    out.push(format!("{address} port {port}: ours has {:?}", ours.port));
                } else if ours.password != expected.password {
                    let text = format!("{:?}, expected {:?}", ours.password, expected.password);
                    out.push(format!("{address}: password {text}"));
                } else if ours != expected {
                    out.push(format!("{address}: {ours:?}, expected {expected:?}"));
                }
            }
        }
        let mut expected: Vec<StaticRoute> = Vec::new();
        for config in &self.bird {
            for (prefix, how) in statics(config) {
                if let [Token::Word(via), Token::Ip(via_address)] = how
                    && via == "via"
                {
                    let via = *via_address;
                    expected.push(StaticRoute { prefix, via });
                }
            }
        }
        expected.sort();
        if expected != self.desired.static_routes {
            let ours = &self.desired.static_routes;
            out.push(format!("static routes {ours:?}, expected {expected:?}"));
        }
        self.compare_router(out);
    }

    fn compare_router(&self, out: &mut Vec<String>) {
        let router = &self.desired.router;
        for option in &self.bird[0].options {
            match option.as_slice() {
                [Token::Word(word), Token::Word(_), Token::Ip(id)] if word == "router" => {
                    let ours = router.router_id.map(IpAddr::V4);
                    // An id that is nobody's address comes from BIRD's environment.
                    let is_given = *id == IpAddr::from([10, 10, 10, 10]);
                    if ours != Some(*id) && !is_given {
                        out.push(format!("router id {ours:?}, expected {id}"));
                    }
                }
                [Token::Word(word), Token::Word(_), rest @ ..] if word == "listen" => {
                    let Some(Token::Number(port)) = rest.last() else {
                        continue;
                    };
                    if router.listen_port.map(u32::from) != Some(*port) {
                        out.push(format!("listen port, expected {port}"));
                    }
                    let bound = matches!(rest, [_, Token::Ip(_), ..]);
                    if bound == router.listen_addresses.is_empty() {
                        out.push(format!("listen address, expected {rest:?}"));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Static routes: prefix, and how.
pub fn statics(config: &Config) -> Vec<(IpNet, &[Token])> {
    let mut list = Vec::new();
    for protocol in config.protocols.iter().filter(|one| one.kind == "static") {
        for option in options(config, protocol) {
            if let [Token::Word(route), Token::Net(net), how @ ..] = option
                && route == "route"
            {
                list.push((*net, how));
            }
        }
    }
    list
}
