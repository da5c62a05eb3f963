//! Every operator command against a running node, over a real control socket.
//!
//! The node has no kernel thread and listens nowhere; what is tested is that each request has
//! an answer with rows of its own kind, that changes happen, and that faults say what to do. How
//! tables look after sessions came up is tested where sessions are.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use bgpd::config::{self, Host};
use bgpd::control;
use bgpd::io::kernel::KernelPort;
use bgpd::io::node::Node;
use bgpd::origin::PoolState;
use bgpd::speaker::{Environment, Speaker};
use bgpd::state::StateFile;
use ctl::client::{Client, ClientError, Item};
use ctl::server::{Access, Server};
use proto_codec::control::{
    AdjKind, ClearTarget, Family, FaultKind, Hello, PathFilter, Request, TableFilter, View,
};

const CONFIG: &str = r#"
[router]
asn = 64500
router-id = "10.0.0.1"

[[neighbor]]
address = "192.0.2.1"
asn = 64501
passive = true
description = "uplink"

[[advertise]]
kind = "network"
prefixes = ["198.51.100.0/24", "2001:db8::/48"]

[[pool]]
name = "web"
addresses = ["203.0.113.0/28"]

[metrics]
compat = ["metallb", "frr", "kube-router"]
"#;

/// A node with its control socket, in a directory that goes away with it.
struct Fixture {
    dir: PathBuf,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory of our own");
        std::fs::write(dir.join("bgpd.toml"), CONFIG).expect("the directory is writable");
        Self { dir }
    }

    fn config(&self) -> PathBuf {
        self.dir.join("bgpd.toml")
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("bgpd.sock")
    }

    /// Runs the node as long as `operator` works.
    fn serve(&self, operator: impl FnOnce(&Path) + Send + 'static) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let hello = Hello::new("bgpd", "0.0.0");
            let server = Server::bind(&self.socket(), hello, Access::from_system());
            let server = server.expect("the socket is free");
            let node = Node::new(
                self.speaker(),
                KernelPort::default(),
                StateFile::at(&self.dir),
            );
            node.step(|speaker, now| speaker.settle(now));
            tokio::task::spawn_local(control::serve(Rc::clone(&node), server, self.config()));
            let socket = self.socket();
            let (done, finished) = tokio::sync::oneshot::channel();
            let thread = std::thread::spawn(move || {
                operator(&socket);
                let _ = done.send(());
            });
            // An operator that panics drops its end: then the join below tells why.
            let _ = finished.await;
            thread.join().expect("the operator's checks hold");
        });
    }

    fn speaker(&self) -> Speaker {
        // The machine's own, as a reload will see it.
        let host = Host::probe();
        let loaded = config::load(&self.config(), &host).expect("a good file");
        let env = Environment {
            host,
            seed: 1,
            pool_state: PoolState::default(),
        };
        Speaker::new(Instant::now(), loaded.config, env).expect("it compiles")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The rows of an answer, or the class of its fault.
fn ask(client: &mut Client, request: Request) -> Result<Vec<View>, FaultKind> {
    let mut answer = client.call(&request).expect("the daemon takes requests");
    let mut rows = Vec::new();
    loop {
        match answer.next() {
            Ok(Some(Item::Row(view))) => rows.push(*view),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(rows),
            Err(ClientError::Fault(fault)) => return Err(fault.kind),
            Err(error) => panic!("{request:?}: {error}"),
        }
    }
}

fn prefix(text: &str) -> ipnet::IpNet {
    text.parse().expect("a prefix")
}

fn tables(client: &mut Client) {
    let all = |family| Request::ShowBgpTable {
        family,
        filter: TableFilter::default(),
    };
    let v4 = ask(client, all(Family::Ipv4Unicast)).expect("a table");
    assert_eq!(v4.len(), 1, "{v4:?}");
    let View::Route(route) = &v4[0] else {
        panic!("{v4:?}")
    };
    assert_eq!(route.prefix, prefix("198.51.100.0/24"));
    assert!(route.paths[0].best && route.paths[0].weight == 32768);
    assert_eq!(
        ask(client, all(Family::Ipv6Unicast))
            .expect("a table")
            .len(),
        1
    );

    let within = Some(prefix("10.0.0.0/8"));
    let filter = TableFilter { within };
    let none = Request::ShowBgpTable {
        family: Family::Ipv4Unicast,
        filter,
    };
    assert_eq!(ask(client, none), Ok(Vec::new()));

    let one = |prefix, exact| Request::ShowBgpPrefix {
        prefix,
        exact,
        paths: PathFilter::All,
    };
    let rows = ask(client, one(prefix("198.51.100.7/32"), false)).expect("the longest match");
    let [View::RouteDetail(detail)] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(detail.prefix, prefix("198.51.100.0/24"));
    assert_eq!((detail.path_count, detail.multipath_count), (1, 1));
    let attrs = detail.paths[0]
        .attrs
        .as_ref()
        .expect("the detail has everything");
    assert_eq!(attrs.origin_source.as_deref(), Some("network"));
    let missing = ask(client, one(prefix("198.51.100.0/25"), true));
    assert_eq!(missing, Err(FaultKind::NotFound));
}

/// Each family of the others' names, with the labels their dashboards select by.
fn metrics(client: &mut Client) {
    let rows = ask(client, Request::ShowMetrics).expect("metrics");
    let sample = |name: &str, wanted: &[(&str, &str)]| {
        let family = rows.iter().find_map(|row| match row {
            View::MetricFamily(family) if family.name == name => Some(family),
            _ => None,
        });
        let family = family.unwrap_or_else(|| panic!("no {name}"));
        let has = |labels: &[(String, String)], (key, value): &(&str, &str)| {
            labels.iter().any(|(k, v)| k == key && v == value)
        };
        let fits = |labels: &[(String, String)]| wanted.iter().all(|one| has(labels, one));
        let found = family.samples.iter().find(|sample| fits(&sample.labels));
        found.unwrap_or_else(|| panic!("{name}: {family:?}")).value
    };
    let uplink = [("neighbor", "192.0.2.1"), ("description", "uplink")];
    assert_eq!(sample("wayfare_bgp_neighbor_up", &uplink), 0.0);
    let metallb = [("peer", "192.0.2.1:179")];
    assert_eq!(sample("metallb_bgp_session_up", &metallb), 0.0);
    assert_eq!(
        sample("metallb_bgp_announced_prefixes_total", &metallb),
        0.0
    );
    let frr = [
        ("peer", "192.0.2.1"),
        ("peer_as", "64501"),
        ("local_as", "64500"),
    ];
    assert_eq!(sample("frr_bgp_peer_state", &frr), 0.0);
    assert_eq!(sample("frr_bgp_rib_count_total", &[("afi", "ipv6")]), 1.0);
    assert_eq!(sample("kube_router_controller_bgp_peers", &[]), 1.0);
}

fn neighbors(client: &mut Client) {
    let summary = ask(client, Request::ShowBgpSummary { family: None }).expect("a summary");
    let peers = summary
        .iter()
        .filter(|view| matches!(view, View::PeerSummary(_)));
    assert_eq!(peers.count(), 1, "{summary:?}");
    let address = "192.0.2.1".parse().expect("an address");
    let stranger = "192.0.2.99".parse().expect("an address");
    let one = |address| Request::ShowBgpNeighbors {
        address: Some(address),
    };
    let rows = ask(client, one(address)).expect("the neighbor");
    let [View::Neighbor(neighbor)] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(neighbor.description.as_deref(), Some("uplink"));
    assert!(neighbor.families[0].import_blocked, "RFC 8212");
    assert_eq!(ask(client, one(stranger)), Err(FaultKind::NotFound));
    for kind in [AdjKind::Received, AdjKind::Accepted, AdjKind::Advertised] {
        let family = Family::Ipv4Unicast;
        let request = |address| Request::ShowNeighborRoutes {
            address,
            kind,
            family,
        };
        assert_eq!(ask(client, request(address)), Ok(Vec::new()));
        assert_eq!(ask(client, request(stranger)), Err(FaultKind::NotFound));
    }
    let target = ClearTarget::Neighbor(address);
    let cleared = ask(client, Request::ClearBgp { target, soft: None }).expect("a notice");
    assert!(
        matches!(cleared.as_slice(), [View::Notice(_)]),
        "{cleared:?}"
    );
    let target = ClearTarget::PeerGroup("nobody".to_owned());
    let nobody = ask(client, Request::ClearBgp { target, soft: None });
    assert_eq!(nobody, Err(FaultKind::NotFound));
}

fn origins(client: &mut Client) {
    let address = "203.0.113.5".parse().expect("an address");
    let outside = "203.0.113.99".parse().expect("an address");
    let announced = |client: &mut Client| {
        ask(client, Request::ShowAdvertisements)
            .expect("what starts here")
            .len()
    };
    assert_eq!(announced(client), 2);
    for _ in 0..2 {
        assert!(
            ask(client, Request::PoolUse { address }).is_ok(),
            "asked twice is as good as once"
        );
    }
    assert_eq!(announced(client), 3);
    let rows = ask(client, Request::ShowPools).expect("the pools");
    let [View::Pool(pool)] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!((pool.size, pool.in_use_count), (16, 1));
    assert_eq!(pool.prefixes, [prefix("203.0.113.5/32")]);
    assert_eq!(
        ask(client, Request::PoolUse { address: outside }),
        Err(FaultKind::NotFound)
    );
    assert!(ask(client, Request::PoolRelease { address }).is_ok());
    assert_eq!(
        ask(client, Request::PoolRelease { address }),
        Err(FaultKind::NotFound)
    );
    assert_eq!(announced(client), 2);
}

#[test]
fn every_request_has_an_answer() {
    Fixture::new("control").serve(|socket| {
        let mut client = Client::connect(socket).expect("the socket answers");
        let client = &mut client;
        tables(client);
        neighbors(client);
        metrics(client);
        origins(client);
        assert_eq!(
            ask(client, Request::ShowVersion).map(|rows| rows.len()),
            Ok(1)
        );
        assert!(ask(client, Request::ShowMemory).is_ok_and(|rows| rows.len() >= 3));
        for undo in [false, true, true] {
            assert_eq!(
                ask(client, Request::Drain { undo }).map(|rows| rows.len()),
                Ok(1)
            );
        }
        let explain = |to| Request::ExplainRoute {
            prefix: prefix("198.51.100.0/24"),
            to,
        };
        assert!(ask(client, explain(None)).is_ok_and(|rows| rows.len() >= 3));
        let stranger = "192.0.2.99".parse().ok();
        assert_eq!(ask(client, explain(stranger)), Err(FaultKind::NotFound));
        let routes = Request::ShowIpRoute {
            family: Family::Ipv4Unicast,
            bgp_only: false,
            prefix: None,
        };
        assert_eq!(
            ask(client, routes),
            Err(FaultKind::Busy),
            "there is no kernel thread here"
        );
    });
}

#[test]
fn a_reload_is_planned_then_done_and_a_bad_file_changes_nothing() {
    let fixture = Fixture::new("reload-control");
    let path = fixture.config();
    fixture.serve(move |socket| {
        let mut client = Client::connect(socket).expect("the socket answers");
        let reload = |client: &mut Client, check_only| ask(client, Request::Reload { check_only });
        assert_eq!(
            reload(&mut client, false),
            Ok(Vec::new()),
            "nothing changed"
        );

        let more = CONFIG.replace("\"2001:db8::/48\"", "\"2001:db8::/48\", \"192.0.2.0/24\"");
        std::fs::write(&path, &more).expect("the file is ours");
        for applied in [false, true] {
            let rows = reload(&mut client, !applied).expect("a plan");
            let [View::PlanChange(change)] = rows.as_slice() else {
                panic!("{rows:?}")
            };
            assert_eq!(change.applied, applied);
        }
        assert_eq!(reload(&mut client, true), Ok(Vec::new()), "it is in force");

        std::fs::write(&path, more.replace("asn = 64501", "asn = 0")).expect("the file is ours");
        assert_eq!(reload(&mut client, false), Err(FaultKind::BadConfig));
        let rows = ask(&mut client, Request::ShowAdvertisements).expect("what starts here");
        assert_eq!(rows.len(), 3, "the running configuration stays");
    });
}
