//! Both sides of a case: what we want of the node, and the configuration of its BIRD.
//!
//! The node is the one whose address is the configuration's router id. The machine of the case has
//! a link behind which everything lies, and some whose names filters mention, each with a range of
//! next hops of its own; a pod whose address is a block of its own; and a pod with a borrowed
//! address in each pool.

use std::net::IpAddr;
use std::path::Path;

use cluster::dialect::calico;
use cluster::object::{Key, Object};
use cluster::{Change, Desired, DialectName, ExcludeLabel, Facts, Fault, Link, Options, Planner};
use ipnet::IpNet;

use super::cases::{BLOCKS, Case};
use super::objects;
use crate::bird::{self, Config, Token};

/// Links that filters of the cases mention, each with the next hops behind it.
pub const LINKS: [(&str, [&str; 2]); 7] = [
    ("eth0", ["0.0.0.0/0", "::/0"]),
    ("eth9", ["198.51.0.0/16", "2001:db8:9::/48"]),
    ("iface", ["198.52.0.0/16", "2001:db8:a::/48"]),
    ("someiface", ["198.53.0.0/16", "2001:db8:b::/48"]),
    ("some-other-iface", ["198.54.0.0/16", "2001:db8:c::/48"]),
    ("vxlan.calico", ["198.55.0.0/16", "2001:db8:d::/48"]),
    ("tunl0", ["198.56.0.0/16", "2001:db8:e::/48"]),
];

/// Both sides.
pub struct Scene {
    pub desired: Desired,
    /// BIRD's two configurations.
    pub bird: [Config; 2],
    /// Addresses of pods that the node borrowed.
    pub borrowed: Vec<IpNet>,
}

impl Scene {
    /// Reads a case.
    pub fn read(root: &Path, case: &Case) -> Self {
        let dir = root.join("compiled_templates").join(case.name);
        let family = |name: &str| {
            let parts = ["", "_aggr", "_ipam"];
            let read = |part| std::fs::read_to_string(dir.join(format!("{name}{part}.cfg")));
            bird::parse(&parts.map(|part| read(part).unwrap()))
        };
        let bird = [family("bird"), family("bird6")];
        let mut manifests = Vec::new();
        let own = [case.name];
        let inputs = if case.inputs.is_empty() {
            &own[..]
        } else {
            case.inputs
        };
        for input in inputs {
            let dir = root.join("mock_data/calicoctl").join(input);
            for file in ["input.yaml", "kubectl-input.yaml"] {
                manifests.extend(std::fs::read_to_string(dir.join(file)));
            }
        }
        manifests.push(case.more.to_owned());
        let changes: Vec<_> = manifests.iter().flat_map(|text| objects(text)).collect();
        let node = node_of(&bird[0], &manifests.join("\n---\n"));
        let mut options = Options::new(&node);
        options.dialects = vec![DialectName::Calico];
        options.exclude_label = ExcludeLabel::default_for(&options.dialects);
        let borrowed = borrowed(&changes);
        let facts = Facts {
            links: links(),
            borrowed: borrowed.clone(),
            ..Facts::default()
        };
        let mut planner = Planner::new(options, facts);
        for (key, object) in changes {
            planner.apply(Change::Put(key, object));
        }
        for (cidr, state) in BLOCKS.into_iter().filter(|_| has_blocks(&bird[0])) {
            let text = block(cidr, &node, state);
            for (key, object) in objects(&text) {
                planner.apply(Change::Put(key, object));
            }
        }
        let foreign = block("192.168.99.0/26", "somebody-else", "confirmed");
        for (key, object) in objects(&foreign) {
            planner.apply(Change::Put(key, object));
        }
        Self {
            desired: {
                planner.plan();
                planner.desired()
            },
            bird,
            borrowed,
        }
    }

    /// All that differs, each in one line.
    pub fn differences(&self, probes: &mut usize) -> Vec<String> {
        let mut out = Vec::new();
        self.compare_peers(&mut out);
        self.compare_own(&mut out, probes);
        self.compare_learned(&mut out, probes);
        self.compare_kernel(&mut out, probes);
        out.sort();
        out.dedup();
        out
    }
}

/// Whether the driver of the case wrote blocks.
pub fn has_blocks(config: &Config) -> bool {
    !config.functions["calico_aggr"].1.is_empty()
}

fn links() -> Vec<Link> {
    let link = |(name, subnets): (&str, [&str; 2])| Link {
        name: name.into(),
        subnets: subnets.iter().map(|net| net.parse().unwrap()).collect(),
    };
    LINKS.map(link).into()
}

fn block(cidr: &str, node: &str, state: &str) -> String {
    let name = cidr.replace(['.', '/'], "-");
    format!(
        "apiVersion: crd.projectcalico.org/v1\nkind: BlockAffinity\n\
         metadata: {{ name: \"{node}-{name}\" }}\n\
         spec: {{ cidr: {cidr}, node: {node}, state: \"{state}\", deleted: \"false\" }}\n"
    )
}

/// The node whose address the router id is; where that is none's, the cases' usual one.
fn node_of(config: &Config, manifests: &str) -> String {
    let id = config
        .options
        .iter()
        .find_map(|option| match option.as_slice() {
            [Token::Word(router), Token::Word(_), Token::Ip(id)] if router == "router" => Some(*id),
            _ => None,
        });
    let id = id.expect("a router id");
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(manifests).unwrap();
    let named = documents.iter().find(|document| {
        let address = document["spec"]["bgp"]["ipv4Address"].as_str();
        let address = address.and_then(|text| text.parse::<IpNet>().ok());
        address.is_some_and(|net| net.addr() == id)
    });
    let name = named.and_then(|document| document["metadata"]["name"].as_str());
    name.unwrap_or("kube-master").to_owned()
}

/// One address near the end of each pool.
fn borrowed(changes: &[(Key, Result<Object, Fault>)]) -> Vec<IpNet> {
    let mut list = Vec::new();
    for (_, object) in changes {
        if let Ok(Object::Calico(calico::Object::IpPool(pool))) = object {
            let address = match pool.cidr.broadcast() {
                IpAddr::V4(last) => IpAddr::V4((u32::from(last) - 5).into()),
                IpAddr::V6(last) => IpAddr::V6((u128::from(last) - 5).into()),
            };
            list.push(IpNet::from(address));
        }
    }
    list.sort();
    list.dedup();
    list
}
