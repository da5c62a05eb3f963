//! What a daemon could answer, for the renderers' tests: every state a column knows, every
//! attribute a detail shows.
//!
//! Addresses and AS numbers are those of documentation and private use; nothing here is measured.

mod kubernetes;
mod origins;

pub use kubernetes::{cluster, cluster_nodes, cluster_pools, cluster_services};
pub use origins::{advertisements, pools};

use proto_codec::control::view::{
    AddPathState, AttrView, CapabilityState, Endpoint, Event, EventKind, ExplainStep, FamilyState,
    IpRoute, IpRouteHop, IpRouteState, LastReset, Memory, MessageCounters, Neighbor, Notice, Path,
    PathKind, PeerRef, PeerState, PeerSummary, PlanChange, PlanImpact, PrefixCounters,
    RestartState, Route, RouteDetail, RouteSource, RuleVerdict, SummaryFamily, Timers,
};
use proto_codec::control::{Family, Head, View};

pub const V4: Family = Family::Ipv4Unicast;
pub const V6: Family = Family::Ipv6Unicast;

pub fn head(family: Family) -> Head {
    Head {
        family: Some(family),
        router_id: "10.0.0.1".parse().unwrap(),
        asn: 65001,
        table_version: 8,
        default_local_pref: 100,
        now_epoch_ms: 1_795_155_546_000,
        host: "node1".to_owned(),
    }
}

pub fn peer(address: &str, remote_asn: u32, state: PeerState) -> PeerSummary {
    let up = state == PeerState::Established;
    PeerSummary {
        address: address.parse().unwrap(),
        remote_asn,
        local_asn: 65001,
        state,
        dynamic: false,
        negotiated: up,
        import_blocked: false,
        export_blocked: false,
        hostname: None,
        description: None,
        messages_received: if up { 19 } else { 0 },
        messages_sent: if up { 20 } else { 0 },
        table_version: if up { 8 } else { 0 },
        in_queue: 0,
        out_queue: 0,
        uptime_ms: up.then_some(38_000),
        established_epoch_ms: up.then_some(1_795_155_505_000),
        prefixes_received: if up { 3 } else { 0 },
        prefixes_sent: if up { 7 } else { 0 },
        established_count: u64::from(up),
        dropped_count: 0,
    }
}

pub fn summary() -> Vec<View> {
    let block = |family, rib_count| {
        View::SummaryFamily(SummaryFamily {
            family,
            table_version: 8,
            rib_count,
            rib_memory: 1120,
            peer_count: 7,
            peer_memory: 214_872,
            peer_group_count: 1,
            multipath_relax: false,
        })
    };
    let mut named = peer("10.0.0.2", 65002, PeerState::Established);
    named.description = Some("tor-a".to_owned());
    let mut silent = peer("10.0.0.7", 4_200_000_000, PeerState::Established);
    (silent.import_blocked, silent.export_blocked) = (true, true);
    let mut dynamic = peer("2001:db8:1234:5678::9", 65002, PeerState::Established);
    (dynamic.dynamic, dynamic.negotiated) = (true, false);
    let peers = [
        named,
        silent,
        peer("10.0.0.98", 65098, PeerState::IdleAdmin),
        peer("10.0.0.99", 65099, PeerState::Active),
        dynamic,
    ];
    let mut views = vec![block(V4, 7)];
    views.extend(peers.into_iter().map(View::PeerSummary));
    views.push(block(V6, 1));
    views.push(View::PeerSummary(peer(
        "2001:db8::2",
        65002,
        PeerState::Established,
    )));
    views
}

pub fn path(next_hop: &str, as_path: &str) -> Path {
    Path {
        kind: PathKind::External,
        peer: Some(PeerRef {
            address: next_hop.parse().unwrap(),
            router_id: "10.0.0.2".parse().unwrap(),
        }),
        origin: 0,
        as_path: as_path.to_owned(),
        next_hop: next_hop.parse().unwrap(),
        next_hop_link_local: None,
        med: None,
        local_pref: None,
        weight: 0,
        valid: true,
        best: false,
        multipath: false,
        stale: false,
        rejected: false,
        reason: None,
        path_id_rx: 0,
        path_id_tx: 0,
        attrs: None,
    }
}

pub fn local_path() -> Path {
    Path {
        kind: PathKind::Local,
        peer: None,
        med: Some(0),
        weight: 32768,
        best: true,
        reason: Some("Weight".to_owned()),
        ..path("0.0.0.0", "")
    }
}

pub fn route(prefix: &str, paths: Vec<Path>) -> View {
    View::Route(Route {
        prefix: prefix.parse().unwrap(),
        version: 7,
        paths,
    })
}

pub fn table() -> Vec<View> {
    let internal = Path {
        kind: PathKind::Internal,
        med: Some(0),
        local_pref: Some(100),
        ..path("10.0.0.5", "")
    };
    let best = Path {
        best: true,
        local_pref: Some(150),
        ..path("10.0.0.2", "65002")
    };
    let equal = Path {
        multipath: true,
        ..path("10.0.0.3", "65003 65002")
    };
    let stale = Path {
        stale: true,
        origin: 2,
        ..path("10.0.0.4", "65004 {7,8}")
    };
    vec![
        route("10.244.1.0/24", vec![local_path(), internal.clone()]),
        route(
            "10.244.5.0/24",
            vec![Path {
                best: true,
                ..internal
            }],
        ),
        route("203.0.113.0/24", vec![best, equal, stale]),
    ]
}

pub fn table6() -> Vec<View> {
    let best = Path {
        best: true,
        next_hop_link_local: Some("fe80::e4c7:68ff:fe6a:43d1".parse().unwrap()),
        ..path("2001:db8::2", "65002")
    };
    vec![route("2001:db8:f00::/48", vec![best])]
}

pub fn detail() -> Vec<View> {
    let attrs = AttrView {
        atomic_aggregate: true,
        aggregator: Some((65002, "10.9.9.9".parse().unwrap())),
        communities: vec![0xfde9_0064, 0xffff_ff01],
        large_communities: vec![(65002, 1, 2)],
        ext_communities: vec![[0, 2, 0xfd, 0xe9, 0, 0, 0, 100]],
        originator_id: Some("10.0.0.9".parse().unwrap()),
        cluster_list: vec!["10.0.0.7".parse().unwrap()],
        igp_metric: Some(10),
        advertised_to: vec!["10.0.0.5".parse().unwrap(), "10.0.0.3".parse().unwrap()],
        last_update_epoch_ms: Some(1_795_155_506_000),
        ..AttrView::default()
    };
    let best = Path {
        best: true,
        med: Some(5),
        local_pref: Some(150),
        reason: Some("Local Pref".to_owned()),
        attrs: Some(Box::new(attrs)),
        path_id_rx: 3,
        ..path("10.0.0.2", "65002 65010")
    };
    let dead = Path {
        valid: false,
        ..path("10.0.0.3", "65003")
    };
    vec![View::RouteDetail(RouteDetail {
        family: V4,
        prefix: "203.0.113.0/24".parse().unwrap(),
        version: 3,
        path_count: 3,
        multipath_count: 1,
        fib_installed: true,
        paths: vec![
            best,
            dead,
            Path {
                best: false,
                ..local_path()
            },
        ],
    })]
}

pub fn family_state(family: Family) -> FamilyState {
    FamilyState {
        family,
        negotiated: true,
        advertised: true,
        received: true,
        add_path: AddPathState {
            rx_advertised: family == V4,
            ..Default::default()
        },
        update_group: Some(2),
        import_policy: (family == V4).then(|| "from-tor".to_owned()),
        export_policy: None,
        import_blocked: false,
        export_blocked: family == V6,
        next_hop_self: true,
        reflector_client: false,
        prefixes_max: Some(1000),
        prefixes_received: 4,
        prefixes_accepted: 3,
        prefixes_sent: 7,
        end_of_rib_sent: true,
        end_of_rib_received: family == V4,
        stale: 0,
    }
}

fn last_reset() -> LastReset {
    LastReset {
        ago_ms: 43_000,
        reason: "Notification received".to_owned(),
        notification: Some((6, 2)),
        notification_text: Some("Cease/Administrative Shutdown".to_owned()),
        sent: false,
        message: Some("maintenance till 22h".to_owned()),
    }
}

pub fn neighbor() -> Vec<View> {
    let capability = |name: &str, received| CapabilityState {
        name: name.to_owned(),
        advertised: true,
        received,
    };
    vec![View::Neighbor(Box::new(Neighbor {
        address: "10.0.0.2".parse().unwrap(),
        remote_asn: 65002,
        local_asn: 65001,
        internal: false,
        route_reflector_client: false,
        description: Some("tor-a".to_owned()),
        peer_group: Some("tor".to_owned()),
        hostname: Some("leaf1".to_owned()),
        dynamic: false,
        local_role: None,
        remote_role: None,
        state: PeerState::Established,
        remote_router_id: Some("10.0.0.2".parse().unwrap()),
        local_router_id: "10.0.0.1".parse().unwrap(),
        uptime_ms: Some(39_000),
        established_epoch_ms: Some(1_795_155_505_000),
        timers: timers(),
        capabilities: vec![
            capability("4 Byte AS", true),
            capability("Extended Message", false),
        ],
        restart: RestartState {
            local_mode: "Helper".to_owned(),
            remote_mode: "Helper".to_owned(),
            configured_restart_s: 120,
            received_restart_s: 120,
            restart_bit: false,
            notification_bit: true,
        },
        messages: MessageCounters {
            opens: (1, 1),
            updates: (8, 3),
            keepalives: (2, 2),
            ..MessageCounters::default()
        },
        prefixes: PrefixCounters {
            filtered: 1,
            ..PrefixCounters::default()
        },
        families: vec![family_state(V4), family_state(V6)],
        established_count: 2,
        dropped_count: 1,
        last_reset: Some(last_reset()),
        hops_max: Some(1),
        ttl_security: false,
        authenticated: true,
        pending_changes: vec![
            "hold time 30 s".to_owned(),
            "no extended-message".to_owned(),
        ],
        object: None,
        held: None,
        connection: Some(Endpoint {
            local: "10.0.0.1:32986".parse().unwrap(),
            remote: "10.0.0.2:179".parse().unwrap(),
        }),
    }))]
}

pub fn ip_routes() -> Vec<View> {
    let hop = |gateway: Option<&str>, weight| IpRouteHop {
        gateway: gateway.map(|address| address.parse().unwrap()),
        interface: Some("eth0".to_owned()),
        weight,
    };
    let route = |prefix: &str, source, state, next_hops: Vec<IpRouteHop>| IpRoute {
        prefix: prefix.parse().unwrap(),
        source,
        distance: if source == RouteSource::Bgp { 20 } else { 0 },
        metric: 20,
        table: 254,
        protocol: 186,
        state,
        discard: next_hops.is_empty(),
        next_hops,
        age_ms: Some(45_000),
    };
    let two = vec![hop(Some("10.0.0.2"), 1), hop(Some("10.0.0.3"), 2)];
    let one = vec![hop(Some("10.0.0.2"), 1)];
    [
        route(
            "10.0.0.0/24",
            RouteSource::Connected,
            IpRouteState::Installed,
            vec![hop(None, 1)],
        ),
        route(
            "172.40.100.0/24",
            RouteSource::Bgp,
            IpRouteState::Installed,
            Vec::new(),
        ),
        route(
            "198.51.100.0/24",
            RouteSource::Bgp,
            IpRouteState::Queued,
            one.clone(),
        ),
        route(
            "203.0.113.0/24",
            RouteSource::Bgp,
            IpRouteState::Installed,
            two,
        ),
        route(
            "203.0.114.0/24",
            RouteSource::Bgp,
            IpRouteState::Rejected,
            one,
        ),
    ]
    .into_iter()
    .map(View::IpRoute)
    .collect()
}

fn timers() -> Timers {
    Timers {
        last_read_ms: Some(12_000),
        last_write_ms: Some(9_000),
        hold_ms: 90_000,
        keepalive_ms: 30_000,
        configured_hold_ms: 180_000,
        configured_keepalive_ms: 60_000,
        connect_retry_ms: 5_000,
        next_connect_ms: None,
    }
}

pub fn explanation() -> Vec<View> {
    let rule = |number, matched, detail: &str| RuleVerdict {
        policy: "from-tor".to_owned(),
        rule: number,
        matched,
        detail: detail.to_owned(),
    };
    vec![View::ExplainStep(ExplainStep {
        stage: "import".to_owned(),
        subject: "path from 10.0.0.2".to_owned(),
        rules: vec![
            rule(1, false, "prefix 10.0.0.0/8 le 24"),
            rule(2, true, "local-pref 200"),
        ],
        verdict: "accepted".to_owned(),
    })]
}

pub fn plan() -> Vec<View> {
    let change = |what: &str, impact, neighbor: Option<&str>| {
        View::PlanChange(PlanChange {
            what: what.to_owned(),
            impact,
            neighbor: neighbor.map(|address| address.parse().unwrap()),
            applied: false,
        })
    };
    vec![
        change(
            "import policy from-tor",
            PlanImpact::SoftIn,
            Some("10.0.0.1"),
        ),
        change("hold-time", PlanImpact::NextSession, Some("10.0.0.1")),
        change("asn", PlanImpact::SessionReset, Some("10.0.0.2")),
        change("router-id", PlanImpact::Restart, None),
    ]
}

pub fn memory() -> Vec<View> {
    let row = |name: &str, count, bytes| {
        View::Memory(Memory {
            name: name.to_owned(),
            count,
            bytes,
        })
    };
    vec![
        row("attribute sets", 20, 4960),
        row("resident set", 0, 12 << 20),
    ]
}

pub fn notices() -> Vec<View> {
    let notice = |subject: Option<&str>| {
        let text = "routes sent again".to_owned();
        View::Notice(Notice {
            subject: subject.map(str::to_owned),
            text,
        })
    };
    vec![notice(Some("10.0.0.2")), notice(None)]
}

pub fn events() -> Vec<View> {
    vec![View::Event(Event {
        epoch_ms: 1_795_155_506_042,
        kind: EventKind::Session,
        neighbor: Some("10.0.0.2".parse().unwrap()),
        prefix: None,
        text: "OpenConfirm -> Established".to_owned(),
    })]
}
