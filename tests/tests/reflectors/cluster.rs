//! A cluster around the speakers: objects of nodes that change, services that come and go, and on
//! each node what the daemon does with them.
//!
//! Every node sees a change of the objects after a time of its own, up to [`SEES_MS`], as an API
//! server under load tells its clients. A second later at most it plans, from what it has seen and
//! what its own speaker knows, and plans again while it is in a move. Nodes never see each other's
//! state but through BGP.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use bgpd::overlay::Wish;
use cluster::mesh::{self, Wished};
use cluster::object::{Meta, Node, NodeAddress};
use cluster::{Facts, Neighbor, NeighborRole, Options, Stage};
use ipnet::IpNet;

use crate::judge::Judge;
use crate::net::Net;

/// A change of objects is seen by everybody within this time.
pub const SEES_MS: u64 = 6_000;
/// A node plans this often while it is in a move.
const PLANS_MS: u64 = 1_000;
/// How finely the world around the speakers goes.
const STEP_MS: u64 = 20;
const ASN: u32 = 64_512;
/// Addresses that several nodes announce.
const SHARED: u64 = 12;

/// What one node has seen, and does.
struct Agent {
    seen: usize,
    /// What it has seen, made into a topology once.
    wished: Option<(usize, Wished)>,
    wish: Vec<Neighbor>,
    /// What it planned from last.
    planned: Option<(usize, Facts)>,
    moves: bool,
    /// Services announced now, and how many there have been.
    services: Vec<Ipv4Addr>,
    used: u8,
    shared: Vec<Ipv4Addr>,
}

pub struct Cluster {
    pub net: Net,
    pub judge: Judge,
    agents: Vec<Agent>,
    versions: Vec<Rc<Vec<Node>>>,
    sees: BTreeMap<u64, Vec<(usize, usize)>>,
    /// Services that change per second.
    pub churn: u64,
}

fn address_of(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, (at / 200) as u8, (1 + at % 200) as u8)
}

fn service_of(at: usize, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, (16 + at / 256) as u8, (at % 256) as u8, number)
}

fn configuration(at: usize) -> String {
    let (high, low) = (at / 256, at % 256);
    let address = address_of(at);
    format!(
        "[router]\nasn = {ASN}\nrouter-id = \"{address}\"\n[kernel]\n\
         [kubernetes]\nfrom = \"dir:///cluster\"\nnode-name = \"node{at:03}\"\nmesh = \"full\"\n\
         peer-group = \"nodes\"\n\
         [[peer-group]]\nname = \"nodes\"\nasn = \"internal\"\nhold-time = \"0s\"\n\
         [[advertise]]\nkind = \"pod-cidr\"\nprefixes = [\"10.{}.{low}.0/24\"]\n\
         [[pool]]\nname = \"own\"\naddresses = [\"172.{}.{low}.0/24\"]\n\
         [[pool]]\nname = \"shared\"\naddresses = [\"192.168.0.0/24\"]\n",
        100 + high,
        16 + high,
    )
}

fn node(at: usize, is_reflector: bool) -> Node {
    let mut meta = Meta {
        name: format!("node{at:03}").into(),
        ..Meta::default()
    };
    if is_reflector {
        meta.labels
            .insert(mesh::CLUSTER_ID.into(), "244.0.0.1".into());
    }
    Node {
        meta,
        addresses: vec![NodeAddress {
            kind: "InternalIP".into(),
            address: IpAddr::V4(address_of(at)),
        }],
        ..Node::default()
    }
}

fn host(address: Ipv4Addr) -> IpNet {
    IpNet::from(IpAddr::V4(address))
}

impl Cluster {
    /// So many nodes, all in the mesh once they have seen each other.
    pub fn new(nodes: usize, seed: u64) -> Self {
        let mut cluster = Self {
            net: Net::new(seed),
            judge: Judge::default(),
            agents: Vec::new(),
            versions: Vec::new(),
            sees: BTreeMap::new(),
            churn: 0,
        };
        for _ in 0..nodes {
            cluster.boot();
        }
        cluster.objects(&[], &[]);
        cluster
    }

    /// Starts one more node; its object comes with the next change.
    pub fn boot(&mut self) -> usize {
        let at = self.agents.len();
        let address = IpAddr::V4(address_of(at));
        self.net.add(address, &configuration(at));
        self.judge.add(address);
        let pods = IpNet::new([10, (100 + at / 256) as u8, (at % 256) as u8, 0].into(), 24);
        self.judge.announced(at, pods.expect("a prefix"));
        self.agents.push(Agent {
            seen: usize::MAX,
            wished: None,
            wish: Vec::new(),
            planned: None,
            moves: false,
            services: Vec::new(),
            used: 0,
            shared: Vec::new(),
        });
        at
    }

    pub fn kill(&mut self, at: usize) {
        self.net.kill(at);
        self.judge.died(at);
    }

    /// The objects change: these nodes reflect, those are no nodes any more.
    pub fn objects(&mut self, reflectors: &[usize], gone: &[usize]) {
        let all = (0..self.agents.len()).filter(|at| !gone.contains(at));
        let nodes = all.map(|at| node(at, reflectors.contains(&at)));
        self.versions.push(Rc::new(nodes.collect()));
        let version = self.versions.len() - 1;
        for at in 0..self.agents.len() {
            let when = self.net.now_ms() + 1 + self.net.chance.below(SEES_MS);
            self.sees.entry(when).or_default().push((at, version));
        }
    }

    /// Lets time go on, with services coming and going.
    pub fn run_for(&mut self, time_ms: u64) {
        let end = self.net.now_ms() + time_ms;
        while self.net.now_ms() < end {
            let next = self.net.now_ms() + STEP_MS;
            let judge = &mut self.judge;
            self.net
                .run_to(next, &mut |at, now, change| judge.told(at, now, change));
            self.see_and_plan();
            if self.net.chance.below(1_000) < self.churn * STEP_MS {
                self.change_a_service();
            }
        }
    }

    /// Lets time go on until nobody is in a move, or for so long.
    pub fn settle(&mut self, limit_ms: u64) -> bool {
        let end = self.net.now_ms() + limit_ms;
        while self.net.now_ms() < end {
            self.run_for(1_000);
            if self.sees.is_empty() && !self.living().iter().any(|at| self.agents[*at].moves) {
                return true;
            }
        }
        false
    }

    /// Who is still in a move, for a message.
    pub fn stuck(&self) -> String {
        let mut text = String::new();
        let now = self.net.now();
        for at in self
            .living()
            .into_iter()
            .filter(|at| self.agents[*at].moves)
            .take(2)
        {
            let (facts, stays) = self.net.members[at].speaker.cluster_sessions(now);
            let stays = stays.len();
            let moving = facts.iter().filter(|(_, fact)| {
                let stage = fact.standing.unwrap_or_default().stage;
                stage != Stage::Stays || !fact.is_in_sync
            });
            let few: Vec<String> = moving.take(3).map(|it| format!("{it:?}")).collect();
            text += &format!("node {at}, {stays} sessions stay: {}\n", few.join("\n  "));
        }
        text
    }

    pub fn living(&self) -> Vec<usize> {
        let all = 0..self.agents.len();
        all.filter(|at| self.net.members[*at].is_alive).collect()
    }

    fn see_and_plan(&mut self) {
        let now = self.net.now_ms();
        while let Some(entry) = self.sees.first_entry().filter(|entry| *entry.key() <= now) {
            for (at, version) in entry.remove() {
                let agent = &mut self.agents[at];
                // What was seen is not unseen by an older change that comes late.
                if agent.seen == usize::MAX || agent.seen < version {
                    agent.seen = version;
                    self.plan(at);
                }
            }
        }
        for at in 0..self.agents.len() {
            let turn = (now / STEP_MS + at as u64).is_multiple_of(PLANS_MS / STEP_MS);
            if turn && self.agents[at].moves {
                self.plan(at);
            }
        }
    }

    /// What the daemon does: facts, rules, wish.
    fn plan(&mut self, at: usize) {
        if !self.net.members[at].is_alive {
            return;
        }
        let now = self.net.now();
        let speaker = &mut self.net.members[at].speaker;
        let (sessions, stays) = speaker.cluster_sessions(now);
        let facts = Facts {
            asn: ASN,
            sessions,
            stays,
            ..Facts::default()
        };
        let agent = &mut self.agents[at];
        let known = (agent.seen, facts);
        if agent.planned.as_ref() == Some(&known) {
            return;
        }
        let (_, facts) = agent.planned.insert(known);
        if agent.wished.as_ref().map(|(version, _)| *version) != Some(agent.seen) {
            let options = Options::new(&format!("node{at:03}"));
            let nodes = self.versions[agent.seen].iter();
            let wished = mesh::wished(nodes, &options, facts, &mut Vec::new());
            agent.wished = Some((agent.seen, wished));
        }
        let Some((_, wished)) = &agent.wished else {
            return;
        };
        let mut staged = mesh::stage(wished.neighbors.clone(), &wished.others, facts);
        for neighbor in &mut staged {
            // One of the two dials; collisions are tested elsewhere.
            neighbor.passive = Some(neighbor.address < IpAddr::V4(address_of(at)));
        }
        agent.moves = staged.iter().any(|it| it.stage != Stage::Stays) || staged != agent.wish;
        if staged != agent.wish {
            agent.wish.clone_from(&staged);
            let wish = Wish {
                neighbors: staged,
                ..Wish::default()
            };
            speaker.set_wish(now, wish).expect("it can be put in force");
            self.net.touched(at);
        }
    }

    /// One node announces a service or withdraws one, of its own or one that others have too.
    fn change_a_service(&mut self) {
        let living = self.living();
        let at = living[self.net.chance.index(living.len())];
        let (now, now_ms) = (self.net.now(), self.net.now_ms());
        let chance = &mut self.net.chance;
        let agent = &mut self.agents[at];
        let is_shared = chance.below(4) == 0;
        let list = if is_shared {
            &agent.shared
        } else {
            &agent.services
        };
        let withdraw = list.len() > 1 && chance.below(2) == 0;
        let pick = chance.index(list.len());
        let new = match is_shared {
            true => Ipv4Addr::new(192, 168, 0, chance.below(SHARED) as u8),
            false => service_of(at, agent.used),
        };
        let address = if withdraw { list[pick] } else { new };
        if !withdraw && (list.contains(&address) || agent.used == u8::MAX) {
            return;
        }
        let list = if is_shared {
            &mut agent.shared
        } else {
            &mut agent.services
        };
        let speaker = &mut self.net.members[at].speaker;
        let done = if withdraw {
            list.swap_remove(pick);
            self.judge.withdrawn(at, host(address), now_ms);
            speaker.pool_release(now, IpAddr::V4(address))
        } else {
            list.push(address);
            self.judge.announced(at, host(address));
            agent.used += u8::from(!is_shared);
            speaker.pool_use(now, IpAddr::V4(address))
        };
        done.expect("an address of a pool");
        self.net.touched(at);
    }

    /// How many sessions of each sort a node has, those that are up.
    pub fn sessions(&self, at: usize) -> BTreeMap<NeighborRole, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.net.members[at].speaker.peers().iter() {
            let standing = entry.neighbor.settings.standing.unwrap_or_default();
            *counts.entry(standing.role).or_insert(0) += usize::from(entry.is_up());
        }
        counts
    }
}
