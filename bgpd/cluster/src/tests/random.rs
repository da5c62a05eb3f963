//! Whatever happens in whatever order: the result of single steps equals that of one step, and no
//! aggregate swallows what is served elsewhere.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::cluster::*;
use crate::object::{Kind, ObjectName};
use crate::{Announcement, Change, Delta, Facts, Marks, Options, Planner, PoolOption, ProxyHealth};
use std::collections::{BTreeMap, BTreeSet};

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Service {
        name: u8,
        address: u8,
        second: Option<u8>,
        local: bool,
        mark: Option<u8>,
        created: u8,
    },
    ServiceGone(u8),
    Slice {
        name: u8,
        service: u8,
        endpoints: Vec<(u8, bool, bool)>,
        is_ipv6: bool,
    },
    SliceGone(u8),
    Node {
        name: u8,
        kind: u8,
    },
    NodeGone(u8),
    Proxy(bool),
    Drained(bool),
    HealthCheck(u8, Option<bool>),
    Pool {
        aggregation: u8,
        force: bool,
    },
    Range(bool),
    Broken(u8),
    Plan,
}

fn some_endpoints() -> impl Strategy<Value = Vec<(u8, bool, bool)>> {
    proptest::collection::vec((0u8..3, any::<bool>(), any::<bool>()), 0..3)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0u8..6, 0u8..8, proptest::option::of(0u8..8), any::<bool>(),
            proptest::option::of(0u8..3), 0u8..3)
            .prop_map(|(name, address, second, local, mark, created)| Event::Service {
                name, address, second, local, mark, created
            }),
        2 => (0u8..6).prop_map(Event::ServiceGone),
        6 => (0u8..8, 0u8..6, some_endpoints(), any::<bool>())
            .prop_map(|(name, service, endpoints, is_ipv6)| Event::Slice {
                name, service, endpoints, is_ipv6
            }),
        2 => (0u8..8).prop_map(Event::SliceGone),
        2 => (0u8..3, 0u8..5).prop_map(|(name, kind)| Event::Node { name, kind }),
        1 => (0u8..3).prop_map(Event::NodeGone),
        1 => any::<bool>().prop_map(Event::Proxy),
        1 => any::<bool>().prop_map(Event::Drained),
        1 => (0u8..6, proptest::option::of(any::<bool>()))
            .prop_map(|(port, answer)| Event::HealthCheck(port, answer)),
        1 => (prop_oneof![Just(32u8), Just(30), Just(24)], any::<bool>())
            .prop_map(|(aggregation, force)| Event::Pool { aggregation, force }),
        1 => any::<bool>().prop_map(Event::Range),
        1 => (0u8..6).prop_map(Event::Broken),
        3 => Just(Event::Plan),
    ]
}

fn gone(kind: Kind, name: &str) -> crate::Change {
    let name = parse(name);
    crate::Change::Remove(crate::object::Key { kind, name })
}

fn apply(planner: &mut Planner, event: &Event) -> Option<Delta> {
    match event {
        Event::Service { .. } => drop(planner.apply(put(Kind::Service, &service_json(event)))),
        Event::ServiceGone(name) => {
            planner.apply(gone(Kind::Service, &format!("shop/s{name}")));
        }
        Event::Slice {
            name,
            service,
            endpoints,
            is_ipv6,
        } => {
            let endpoints: Vec<String> = endpoints
                .iter()
                .map(|(node, ready, leaving)| {
                    let ready = if *ready { "ready" } else { "!ready" };
                    let leaving = if *leaving { ":serving:terminating" } else { "" };
                    format!("n{node}:{ready}{leaving}")
                })
                .collect();
            let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
            let family = if *is_ipv6 { "IPv6" } else { "IPv4" };
            let json = slice(
                &format!("e{name}"),
                &format!("s{service}"),
                family,
                &endpoints,
            );
            planner.apply(put(Kind::EndpointSlice, &json));
        }
        Event::SliceGone(name) => {
            planner.apply(gone(Kind::EndpointSlice, &format!("shop/e{name}")));
        }
        Event::Node { name, kind } => {
            let exclude = r#"{"labels":
                {"node.kubernetes.io/exclude-from-external-load-balancers":""}}"#;
            let (meta, spec) = match kind {
                0 => (exclude, "{}"),
                1 => (r#"{"deletionTimestamp":"x"}"#, "{}"),
                2 => (
                    "{}",
                    r#"{"taints":[{"key":"ToBeDeletedByClusterAutoscaler"}]}"#,
                ),
                3 => ("{}", r#"{"podCIDR":"10.244.1.0/24"}"#),
                _ => ("{}", "{}"),
            };
            planner.apply(put(Kind::Node, &node(&format!("n{name}"), meta, spec)));
        }
        Event::NodeGone(name) => drop(planner.apply(gone(Kind::Node, &format!("n{name}")))),
        Event::Proxy(_) | Event::Drained(_) | Event::HealthCheck(..) | Event::Pool { .. } => {
            tell(planner, event)
        }
        Event::Range(on) => {
            let json = r#"{"metadata":{"name":"k"},"spec":{"cidrs":["10.96.0.0/28"]}}"#;
            match on {
                true => planner.apply(put(Kind::ServiceCidr, json)),
                false => planner.apply(gone(Kind::ServiceCidr, "k")),
            };
        }
        Event::Broken(name) => {
            let json = service(&format!("s{name}"), "{}", r#"{"type":"Odd"}"#, "[]");
            planner.apply(put(Kind::Service, &json));
        }
        Event::Plan => return Some(planner.plan()),
    }
    None
}

/// What is no object: facts and options.
fn tell(planner: &mut Planner, event: &Event) {
    let mut facts = planner.facts().clone();
    let mut options = planner.options().clone();
    match event {
        Event::Proxy(healthy) => {
            facts.proxy = if *healthy {
                ProxyHealth::Healthy
            } else {
                ProxyHealth::Unhealthy
            };
            planner.set_facts(facts);
        }
        Event::Drained(drained) => {
            facts.is_drained = *drained;
            planner.set_facts(facts);
        }
        Event::HealthCheck(port, answer) => {
            facts.health_check.remove(&u16::from(*port));
            facts
                .health_check
                .extend(answer.map(|answer| (u16::from(*port), answer)));
            planner.set_facts(facts);
        }
        Event::Pool { aggregation, force } => {
            options.pools = vec![pool(*aggregation)];
            options.force_aggregates = *force;
            planner.set_options(options);
        }
        _ => {}
    }
}

fn service_json(event: &Event) -> String {
    let Event::Service {
        name,
        address,
        second,
        local,
        mark,
        created,
    } = event
    else {
        panic!("{event:?}");
    };
    let annotations = match mark {
        Some(mark) => format!(r#","annotations":{{"wayfare.dev/communities":"64500:{mark}"}}"#),
        None => String::new(),
    };
    let meta = format!(r#"{{"creationTimestamp":"2026-01-0{created}"{annotations}}}"#);
    let policy = if *local { "Local" } else { "Cluster" };
    let spec = format!(
        r#"{{"type":"LoadBalancer","clusterIPs":["10.96.0.{address}","fd00::{address}"],
        "externalIPs":["198.51.100.{address}"],"externalTrafficPolicy":"{policy}",
        "internalTrafficPolicy":"{policy}","healthCheckNodePort":{name}}}"#
    );
    let mut entries = format!(r#"{{"ip":"192.0.2.{address}"}}"#);
    if let Some(second) = second {
        entries += &format!(r#",{{"ip":"192.0.2.{second}"}},{{"ip":"2001:db8::{second}"}}"#);
    }
    service(&format!("s{name}"), &meta, &spec, &format!("[{entries}]"))
}

fn pool(aggregation: u8) -> PoolOption {
    PoolOption {
        name: "web".into(),
        blocks: vec![
            "192.0.2.0/24".parse().unwrap(),
            "2001:db8::/64".parse().unwrap(),
        ],
        aggregation_v4: aggregation,
        aggregation_v6: 128,
        marks: Marks::default(),
        neighbors: None,
    }
}

fn fresh() -> Planner {
    let mut options = Options::new("n0");
    options.pools = vec![pool(24)];
    options.external_ranges = vec!["198.51.100.0/29".parse().unwrap()];
    let mut planner = Planner::new(options, Facts::default());
    planner.apply(put(Kind::Node, &node("n0", "{}", "{}")));
    planner
}

/// The same state, given at once and in the reverse order; what is unreadable came after what it
/// was before.
fn anew(planner: &Planner) -> Planner {
    let mut other = Planner::new(planner.options().clone(), planner.facts().clone());
    let mut changes = planner.snapshot().changes();
    changes.reverse();
    changes.sort_by_key(|change| matches!(change, Change::Put(_, Err(_))));
    for change in changes {
        other.apply(change);
    }
    other.plan();
    other
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn step_by_step_equals_at_once(events in proptest::collection::vec(event(), 1..60)) {
        let mut planner = fresh();
        let mut seen: BTreeMap<IpNet, Vec<Announcement>> = BTreeMap::new();
        for event in events.iter().chain([&Event::Plan]) {
            let before = planner.desired();
            let Some(delta) = apply(&mut planner, event) else {
                continue;
            };
            let desired = planner.desired();
            prop_assert_eq!(&desired, &anew(&planner).desired());
            let faults_changed = before.faults != desired.faults;
            prop_assert!(delta.faults_changed || !faults_changed);
            // The deltas, added up, are the whole.
            for (prefix, routes) in delta.announcements {
                let known = seen.get(&prefix).cloned().unwrap_or_default();
                prop_assert_ne!(&known, &routes);
                match routes.is_empty() {
                    true => seen.remove(&prefix),
                    false => seen.insert(prefix, routes),
                };
            }
            let mut all: Vec<Announcement> = seen.values().flatten().cloned().collect();
            all.sort();
            prop_assert_eq!(&all, &desired.announcements);
            disjoint(&desired.announcements)?;
            if !planner.options().force_aggregates {
                swallows_nothing(&planner, &desired.announcements)?;
            }
        }
    }
}

/// Announcements of one prefix never tell one neighbor two things.
fn disjoint(routes: &[Announcement]) -> Result<(), TestCaseError> {
    let mut told: BTreeSet<(IpNet, Option<IpAddr>)> = BTreeSet::new();
    for route in routes {
        let names = route
            .neighbors
            .iter()
            .flatten()
            .map(|neighbor| Some(*neighbor));
        let all = route.neighbors.is_none().then_some(None);
        for neighbor in names.chain(all) {
            prop_assert!(told.insert((route.prefix, neighbor)), "{route:?}");
        }
    }
    Ok(())
}

/// Under an aggregate of services, every address with policy Local has an endpoint here.
fn swallows_nothing(planner: &Planner, routes: &[Announcement]) -> Result<(), TestCaseError> {
    for route in routes
        .iter()
        .filter(|route| route.source.starts_with("pool:"))
    {
        let host = route.prefix.max_prefix_len();
        if route.prefix.prefix_len() == host {
            continue;
        }
        for (name, service) in planner.snapshot().services() {
            let is_local = service.external_policy == crate::object::Policy::Local;
            let is_special = !service.meta.annotations.is_empty();
            let is_inside = service
                .ingress
                .iter()
                .any(|one| route.prefix.contains(&one.address));
            if !is_local || !is_inside || is_special {
                continue;
            }
            prop_assert!(is_served_here(planner, name), "{} {:?}", name, route);
        }
    }
    Ok(())
}

fn is_served_here(planner: &Planner, name: &ObjectName) -> bool {
    planner
        .snapshot()
        .endpoints(name)
        .family(false)
        .is_served(true)
}
