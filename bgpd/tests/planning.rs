//! The planner's thread between a folder of manifests and a proxy that answers as it is told: when
//! services are told, and when all that there is counts as told.
#![cfg(feature = "kubernetes")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bgpd::gate::{GateMode, Target};
use bgpd::kubernetes::{Origin, SourceConfig};
use bgpd::planning::{News, PlannerConfig, PlannerPort, start};
use cluster::{Advertised, Facts, Options};

const PATIENCE: Duration = Duration::from_secs(60);
const VIP: &str = "192.0.2.7/32";

/// Something that answers every request with one status, or with a closed connection if that is 0.
struct Stub {
    port: u16,
    status: Arc<AtomicU16>,
}

impl Stub {
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let status = Arc::new(AtomicU16::new(status));
        let told = Arc::clone(&status);
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let code = told.load(Ordering::SeqCst);
                let mut request = [0; 4096];
                if code != 0 && stream.read(&mut request).is_ok() {
                    let text = format!(
                        "HTTP/1.1 {code} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                    );
                    let _ = stream.write_all(text.as_bytes());
                }
            }
        });
        Self { port, status }
    }

    fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

/// A planner on a folder, and what it has told.
struct Room {
    folder: PathBuf,
    port: PlannerPort,
    runtime: tokio::runtime::Runtime,
    routes: BTreeMap<String, usize>,
    /// How often a prefix was told, and how often taken back.
    told: (usize, usize),
    is_complete: bool,
}

impl Room {
    fn start(name: &str, manifests: &str, proxy: &Stub, sync_time: Duration) -> Self {
        let folder = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("writable");
        std::fs::write(folder.join("all.yaml"), manifests).expect("writable");
        let health = format!("http://127.0.0.1:{}/healthz", proxy.port);
        let port = start(PlannerConfig {
            source: SourceConfig {
                origin: Origin::parse(&format!("dir://{}", folder.display()), None).expect("one"),
                dialects: vec![cluster::DialectName::Native],
                state_directory: None,
                node: "n1".to_owned(),
                secrets: BTreeSet::new(),
            },
            gate: Target {
                mode: GateMode::On,
                proxy: health.parse().expect("a URI"),
                ..Target::default()
            },
            sync_time,
            options: Options {
                dialects: vec![cluster::DialectName::Native],
                advertise: vec![Advertised::LoadBalancerIp],
                is_default_class: true,
                ..Options::new("n1")
            },
            facts: Facts {
                asn: 64512,
                ..Facts::default()
            },
        });
        Self {
            folder,
            port: port.expect("a thread"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            routes: BTreeMap::new(),
            told: (0, 0),
            is_complete: false,
        }
    }

    fn take(&mut self, news: News) {
        for (prefix, routes) in news.routes {
            match routes.len() {
                0 => self.told.1 += 1,
                _ => self.told.0 += 1,
            }
            self.routes.insert(prefix.to_string(), routes.len());
        }
        self.is_complete |= news.is_complete;
    }

    /// Takes news until something is so; `false` if it is not in time.
    fn until(&mut self, time: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let until = std::time::Instant::now() + time;
        while !is_so(self) {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let next = async { tokio::time::timeout(left, self.port.next()).await };
            match self.runtime.block_on(next) {
                Ok(news) => self.take(news.expect("the planner lives")),
                Err(_) => return false,
            }
        }
        true
    }

    fn has_route(&self) -> bool {
        self.routes.get(VIP).is_some_and(|routes| *routes > 0)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn manifests(node: &str, service: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: n1{node}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: default}}\n\
         spec: {{type: LoadBalancer, clusterIP: 10.0.0.7{service}}}\n\
         status: {{loadBalancer: {{ingress: [{{ip: 192.0.2.7}}]}}}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: web-1, namespace: default, \
         labels: {{kubernetes.io/service-name: web}}}}\naddressType: IPv4\n\
         endpoints: [{{addresses: [10.1.0.1], nodeName: n1, conditions: {{ready: true}}}}]\n"
    )
}

/// RFC 4724 §4.1: neighbors keep our routes until End-of-RIB. A proxy that has not been met yet
/// holds services back, and so it has to hold End-of-RIB back.
#[test]
fn nothing_is_complete_before_the_proxy_has_answered() {
    let proxy = Stub::start(0);
    let mut room = Room::start("unmet", &manifests("", ""), &proxy, PATIENCE);
    let early = room.until(Duration::from_secs(2), |room| room.is_complete);
    assert!(!early && !room.has_route());
    proxy.says(200);
    assert!(room.until(PATIENCE, |room| room.is_complete));
    assert!(room.has_route(), "complete with all there is to tell");
}

#[test]
fn a_proxy_that_never_answers_is_waited_for_as_long_as_the_objects() {
    let proxy = Stub::start(0);
    let mut room = Room::start("silent", &manifests("", ""), &proxy, Duration::from_secs(1));
    assert!(room.until(PATIENCE, |room| room.is_complete));
    assert!(!room.has_route());
}

/// The node port's 503 says that the dataplane is not there yet: no announcement to take back.
#[test]
fn a_local_service_is_told_once_and_after_its_node_port_agrees() {
    let (proxy, node_port) = (Stub::start(200), Stub::start(503));
    let local = format!(
        ", externalTrafficPolicy: Local, healthCheckNodePort: {}",
        node_port.port
    );
    let mut room = Room::start("local", &manifests("", &local), &proxy, PATIENCE);
    assert!(room.until(PATIENCE, |room| room.is_complete));
    assert!(!room.has_route());
    node_port.says(200);
    assert!(room.until(PATIENCE, Room::has_route));
    assert_eq!(room.told, (1, 0));
}

/// Its last word would stand for ever.
#[test]
fn the_end_of_the_planner_is_heard_of() {
    let proxy = Stub::start(200);
    let mut room = Room::start("dies", &manifests("", ""), &proxy, PATIENCE);
    assert!(room.until(PATIENCE, Room::has_route));
    let handle = room.port.handle().clone();
    let end = async {
        handle.ask(|_| panic!("this one is part of the test")).await;
        while room.port.next().await.is_some() {}
    };
    let end = async { tokio::time::timeout(PATIENCE, end).await };
    assert!(room.runtime.block_on(end).is_ok());
}

/// A drained node that starts has withdrawn before: its services are not told for another drain.
#[test]
fn a_node_that_is_drained_at_the_start_tells_no_services() {
    let proxy = Stub::start(200);
    let drained = ", annotations: {wayfare.dev/drain: \"true\"}";
    let mut room = Room::start("drained", &manifests(drained, ""), &proxy, PATIENCE);
    assert!(room.until(PATIENCE, |room| room.is_complete));
    assert!(!room.has_route() && room.told.0 == 0);
    // The daemon has heard of it, and later that the drain is over.
    let facts = |is_drained| Facts {
        asn: 64512,
        is_drained,
        ..Facts::default()
    };
    room.port.handle().set_facts(facts(true));
    assert!(!room.until(Duration::from_millis(300), Room::has_route));
    std::fs::write(room.folder.join("all.yaml"), manifests("", "")).expect("writable");
    room.port.handle().set_facts(facts(false));
    assert!(room.until(PATIENCE, Room::has_route));
}
