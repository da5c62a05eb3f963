//! MetalLB's own files, where they are present: each is taken, or the reason is named, and what we
//! announce is what MetalLB's expected FRR configurations announce.
//!
//! The files are not part of this project; they lie under `WAYFARE_SHARED` (default `../shared`
//! beside the checkout), and a test that needs them says that it is skipped when they are absent.
//! The expected configurations (*goldens*) come without their inputs, which MetalLB's tests build
//! in code: `fixtures` rebuilds each as manifests of our own. `frr` and `frrk8s` read the goldens
//! without a line of the code under test.

mod files;
mod fixtures;
mod frr;
mod frrk8s;
mod goldens;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cluster::dialect::metallb::Metallb;
use cluster::dialect::{AddressKind, Offer, Peering, ServiceAddress, View};
use cluster::object::{Kind, Object, Service};
use cluster::{Change, DialectName, Facts, Fault, Marks, Options, Snapshot};
use ipnet::IpNet;
use serde_json::Value;

/// The folder below `data` of what is shared, or a note that the test is skipped.
fn shared(test: &str, folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("WAYFARE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join("data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED {test}: {} is absent", path.display());
    None
}

/// All files below a folder, sorted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder that is there") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

/// The documents of a text of YAML.
fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    all.into_iter().filter(|one| !one.is_null()).collect()
}

fn kind_of(document: &Value) -> Option<Kind> {
    let text = |key| document.get(key).and_then(Value::as_str).unwrap_or("");
    Kind::of(text("apiVersion"), text("kind"))
}

fn object_of(kind: Kind, document: &Value) -> Result<Object, Fault> {
    Object::decode(kind, &serde_json::to_vec(document).expect("JSON"))
}

/// A cluster as its manifests say it, on a node without labels.
struct Scene {
    metallb: Metallb,
    peering: Peering,
    asn: u32,
}

impl Scene {
    fn of(manifests: &str, asn: u32) -> Self {
        let mut snapshot = Snapshot::default();
        for document in documents(manifests) {
            let kind = kind_of(&document).expect("a kind that is read");
            let object = object_of(kind, &document).expect("an object that is right");
            snapshot.apply(Change::Put(object.key(), Ok(object)));
        }
        Self::new(&snapshot, asn)
    }

    fn new(snapshot: &Snapshot, asn: u32) -> Self {
        let mut options = Options::new("node1");
        options.dialects = vec![DialectName::Metallb];
        let facts = Facts {
            asn,
            ..Facts::default()
        };
        let view = View {
            snapshot,
            options: &options,
            facts: &facts,
            node: snapshot.node("node1"),
        };
        let mut peering = Peering::default();
        let metallb = Metallb::prepare(&view, &mut peering);
        Self {
            metallb,
            peering,
            asn,
        }
    }

    /// What a neighbor is told when these addresses are given to services.
    fn told(&self, neighbor: IpAddr, addresses: &[&str]) -> BTreeMap<IpNet, Marks> {
        let mut general = BTreeMap::new();
        let mut special = BTreeMap::new();
        for address in addresses {
            let address = ServiceAddress {
                kind: AddressKind::LoadBalancer,
                address: address.parse().expect("an address"),
                is_local: false,
            };
            let mut each = |offer| match offer {
                Offer::Announce {
                    prefix,
                    marks,
                    neighbors,
                    ..
                } => match neighbors {
                    None => drop(general.insert(prefix, marks)),
                    Some(list) if list.contains(&neighbor) => {
                        special.insert(prefix, marks);
                    }
                    Some(_) => {}
                },
                Offer::Decline(_) | Offer::Covered(_) => {}
            };
            self.metallb.offer(&Service::default(), &address, &mut each);
        }
        general.extend(special);
        general
    }
}

/// A neighbor as an expected configuration has it, or as we would run it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Peer {
    my_asn: u32,
    remote: String,
    is_multihop: bool,
    port: Option<u16>,
    /// Hold time and keepalive in seconds.
    timers: Option<(u64, u64)>,
    connect_s: Option<u64>,
    password: Option<String>,
    source: Option<IpAddr>,
    graceful_restart: bool,
    bfd_profile: Option<String>,
    /// IPv4, IPv6.
    families: [bool; 2],
    routes: BTreeMap<IpNet, Carried>,
}

/// What a route carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Carried {
    communities: BTreeSet<String>,
    local_pref: Option<u32>,
}

/// An expected configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Expected {
    /// By VRF (empty: none) and address.
    peers: BTreeMap<(String, IpAddr), Peer>,
    /// Transmit, receive, multiplier by profile.
    profiles: BTreeMap<String, (u64, u64, u8)>,
    router_ids: BTreeSet<String>,
}
