//! A route under a filter.
//!
//! Integers are of 32 bits and wrap. An undefined attribute compares unequal to everything, which
//! the files never rely on: they ask `defined` first. `net ~ P` holds for P and what is inside it;
//! `text ~ pattern` knows `*` and `?`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::parse::{Config, Expr, Stmt};

/// A route with what filters look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub net: IpNet,
    /// `RTS_BGP`, `RTS_STATIC`, `RTS_INHERIT`.
    pub source: &'static str,
    /// Empty for a blackhole.
    pub ifname: String,
    pub next_hop: Option<IpAddr>,
    pub local_pref: Option<u32>,
    pub metric: Option<u32>,
    pub communities: Vec<u32>,
    pub large: Vec<[u32; 3]>,
    pub path: Vec<u32>,
    pub tunnel: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Val {
    Int(u32),
    Bool(bool),
    Text(String),
    Net(IpNet),
    Ip(IpAddr),
    Tuple(Vec<u32>),
    List(Vec<Val>),
    Communities(Vec<Vec<u32>>),
    Path(Vec<u32>),
    Mask(Vec<Option<u32>>),
    Undefined,
}

/// Runs a filter; whether the route is accepted, changed in place.
pub fn run(config: &Config, program: &[Stmt], route: &mut Route) -> bool {
    let mut machine = Machine {
        config,
        route,
        params: Vec::new(),
    };
    machine.block(program).unwrap_or(false)
}

struct Machine<'a> {
    config: &'a Config,
    route: &'a mut Route,
    params: Vec<(String, bool)>,
}

impl Machine<'_> {
    fn block(&mut self, list: &[Stmt]) -> Option<bool> {
        list.iter().find_map(|one| self.statement(one))
    }

    fn statement(&mut self, statement: &Stmt) -> Option<bool> {
        match statement {
            Stmt::Accept => Some(true),
            Stmt::Reject => Some(false),
            Stmt::If(condition, then, other) => match self.truth(condition) {
                true => self.block(then),
                false => self.block(other),
            },
            Stmt::Set(name, value) => {
                let value = self.value(value);
                match (name.as_str(), value) {
                    ("krt_metric", Val::Int(metric)) => self.route.metric = Some(metric),
                    ("bgp_local_pref", Val::Int(pref)) => self.route.local_pref = Some(pref),
                    ("krt_tunnel", Val::Text(name)) => self.route.tunnel = Some(name),
                    // Which protocol's route the kernel gets, where both have it: not looked at.
                    ("preference", Val::Int(_)) => {}
                    other => panic!("assignment of {other:?}"),
                }
                None
            }
            Stmt::Call(name, args) => self.call(name, args),
        }
    }

    fn call(&mut self, name: &str, args: &[Expr]) -> Option<bool> {
        let args: Vec<Val> = args.iter().map(|one| self.value(one)).collect();
        match (name, args.as_slice()) {
            ("bgp_community.add", [Val::Tuple(parts)]) => {
                let community = parts[0] << 16 | parts[1];
                if !self.route.communities.contains(&community) {
                    self.route.communities.push(community);
                }
                None
            }
            ("bgp_large_community.add", [Val::Tuple(parts)]) => {
                let community = [parts[0], parts[1], parts[2]];
                if !self.route.large.contains(&community) {
                    self.route.large.push(community);
                }
                None
            }
            ("bgp_path.prepend", [Val::Int(asn)]) => {
                self.route.path.insert(0, *asn);
                None
            }
            _ => {
                let (params, body) = self.config.functions.get(name).unwrap_or_else(|| {
                    panic!("no function {name}");
                });
                let outer = std::mem::take(&mut self.params);
                let truth = |value: &Val| *value == Val::Bool(true);
                self.params = params.iter().cloned().zip(args.iter().map(truth)).collect();
                let verdict = self.block(body);
                self.params = outer;
                verdict
            }
        }
    }

    fn truth(&self, expr: &Expr) -> bool {
        match self.value(expr) {
            Val::Bool(truth) => truth,
            other => panic!("{other:?} is no truth value, in {expr:?}"),
        }
    }

    fn value(&self, expr: &Expr) -> Val {
        match expr {
            Expr::Number(number) => Val::Int(*number),
            Expr::Text(text) => Val::Text(text.clone()),
            Expr::Net(net) => Val::Net(*net),
            Expr::Ip(address) => Val::Ip(*address),
            Expr::Path(mask) => Val::Mask(mask.clone()),
            Expr::Tuple(parts) => Val::Tuple(
                parts
                    .iter()
                    .map(|part| match self.value(part) {
                        Val::Int(number) => number,
                        other => panic!("{other:?} in a community"),
                    })
                    .collect(),
            ),
            Expr::List(list) => Val::List(list.iter().map(|one| self.value(one)).collect()),
            Expr::Name(name) => self.attribute(name),
            Expr::Defined(name) => Val::Bool(self.attribute(name) != Val::Undefined),
            Expr::Not(inner) => Val::Bool(!self.truth(inner)),
            Expr::Binary("&&", left, right) => Val::Bool(self.truth(left) && self.truth(right)),
            Expr::Binary("||", left, right) => Val::Bool(self.truth(left) || self.truth(right)),
            Expr::Binary(sign, left, right) => binary(sign, self.value(left), self.value(right)),
        }
    }

    fn attribute(&self, name: &str) -> Val {
        let number = |value: Option<u32>| value.map_or(Val::Undefined, Val::Int);
        let route = &self.route;
        match name {
            "true" => Val::Bool(true),
            "false" => Val::Bool(false),
            "net" => Val::Net(route.net),
            "source" => Val::Text(route.source.into()),
            "ifname" => Val::Text(route.ifname.clone()),
            "bgp_local_pref" => number(route.local_pref),
            "krt_metric" => number(route.metric),
            "bgp_next_hop" => route.next_hop.map_or(Val::Undefined, Val::Ip),
            "bgp_path" => Val::Path(route.path.clone()),
            "bgp_community" => Val::Communities(
                route
                    .communities
                    .iter()
                    .map(|one| vec![one >> 16, one & 0xffff])
                    .collect(),
            ),
            "bgp_large_community" => {
                Val::Communities(route.large.iter().map(|one| one.to_vec()).collect())
            }
            "RTS_BGP" | "RTS_STATIC" | "RTS_INHERIT" => Val::Text(name.into()),
            _ => match self.params.iter().find(|(param, _)| param == name) {
                Some((_, value)) => Val::Bool(*value),
                None => panic!("unknown attribute {name}"),
            },
        }
    }
}

fn binary(sign: &str, left: Val, right: Val) -> Val {
    let truth = match (sign, &left, &right) {
        ("-", Val::Int(left), Val::Int(right)) => return Val::Int(left.wrapping_sub(*right)),
        ("<", Val::Int(left), Val::Int(right)) => left < right,
        (">", Val::Int(left), Val::Int(right)) => left > right,
        ("=", left, right) => left == right,
        ("!=", left, right) => left != right,
        ("~", left, right) => inside(left, right),
        ("!~", left, right) => !inside(left, right),
        other => panic!("{other:?} is not understood"),
    };
    Val::Bool(truth)
}

fn inside(left: &Val, right: &Val) -> bool {
    match (left, right) {
        (Val::Net(net), Val::Net(range)) => range.contains(net),
        (Val::Ip(address), Val::Net(range)) => range.contains(address),
        (Val::Text(text), Val::Text(pattern)) => pattern_matches(pattern, text),
        (Val::Tuple(one), Val::Communities(list)) => list.contains(one),
        (one, Val::List(list)) => list.contains(one),
        (Val::Path(path), Val::Mask(mask)) => path_matches(path, mask),
        other => panic!("{other:?} is not understood"),
    }
}

fn pattern_matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).any(|skip| pattern_matches(after, &rest[skip..]))),
    }
}

fn path_matches(path: &[u32], mask: &[Option<u32>]) -> bool {
    match mask.split_first() {
        None => path.is_empty(),
        Some((None, mask)) => (0..=path.len()).any(|skip| path_matches(&path[skip..], mask)),
        Some((Some(asn), mask)) => match path.split_first() {
            Some((first, path)) => first == asn && path_matches(path, mask),
            None => false,
        },
    }
}
