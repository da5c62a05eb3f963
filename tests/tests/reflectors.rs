//! Three hundred nodes move from a full mesh to route reflectors and back, with services coming
//! and going all the time, and no node loses a route at any moment.
//!
//! The speakers are those of the daemon, the rules are those of `cluster::mesh`; only the network,
//! the kernel and the API server are simulated. Nodes see each change at moments of their own,
//! connections have delays of their own, one node dies on the way and one joins. `judge` looks at
//! each route that is written to any kernel. The run is the same for the same seed.

#[path = "reflectors/chance.rs"]
mod chance;
#[path = "reflectors/cluster.rs"]
mod cluster_sim;
#[path = "reflectors/judge.rs"]
mod judge;
#[path = "reflectors/net.rs"]
mod net;

use cluster::NeighborRole::{Client, Mesh, Reflector};
use cluster_sim::{Cluster, SEES_MS};

fn no_faults(cluster: &Cluster, when: &str) {
    let faults = &cluster.judge.faults;
    assert!(faults.is_empty(), "{when}:\n{}", faults.join("\n"));
}

/// Everything that was under way has arrived, and the tables say what is true.
fn look(cluster: &mut Cluster, when: &str) {
    let churn = std::mem::take(&mut cluster.churn);
    cluster.run_for(2_000);
    cluster.churn = churn;
    let living = cluster.living();
    cluster.judge.look_at_tables(&living, when);
    no_faults(cluster, when);
    eprintln!(
        "{when}: {} s simulated, {} prefixes, {} kernel writes",
        cluster.net.now_ms() / 1_000,
        cluster.judge.live(),
        cluster.judge.writes
    );
}

/// Nobody has another session than with reflectors, and those have all.
fn only_reflectors(cluster: &Cluster, reflectors: &[usize]) {
    let living = cluster.living();
    let clients = living.len() - reflectors.len();
    for at in living {
        let wanted = match reflectors.contains(&at) {
            true => [(Reflector, reflectors.len() - 1), (Client, clients)].into(),
            false => [(Reflector, reflectors.len())].into(),
        };
        assert_eq!(cluster.sessions(at), wanted, "sessions of node {at}");
    }
}

fn full_mesh(cluster: &Cluster) {
    let living = cluster.living();
    for at in &living {
        let wanted = [(Mesh, living.len() - 1)].into();
        assert_eq!(cluster.sessions(*at), wanted, "sessions of node {at}");
    }
}

fn there_and_back(nodes: usize, seed: u64) {
    let mut cluster = Cluster::new(nodes, seed);
    assert!(cluster.settle(60_000), "seed {seed}: the mesh comes up");
    cluster.run_for(10_000);
    full_mesh(&cluster);
    cluster.churn = 6;
    cluster.run_for(3_000);
    look(&mut cluster, "mesh");

    // One label after the other; a node dies and one joins before everybody has moved.
    cluster.objects(&[7], &[]);
    cluster.run_for(1_500);
    cluster.objects(&[7, 11], &[]);
    cluster.run_for(1_500);
    cluster.boot();
    cluster.objects(&[7, 11, 23], &[]);
    cluster.run_for(2_000);
    cluster.kill(30);
    cluster.run_for(SEES_MS);
    cluster.objects(&[7, 11, 23], &[30]);
    assert!(cluster.settle(180_000), "seed {seed}: the move ends");
    look(&mut cluster, "reflectors");
    only_reflectors(&cluster, &[7, 11, 23]);

    // A reflector is replaced.
    cluster.objects(&[7, 11, 23, 40], &[30]);
    cluster.run_for(3_000);
    cluster.objects(&[11, 23, 40], &[30]);
    assert!(cluster.settle(180_000), "seed {seed}: the replacement ends");
    look(&mut cluster, "another reflector");
    only_reflectors(&cluster, &[11, 23, 40]);

    cluster.objects(&[], &[30]);
    let done = cluster.settle(180_000);
    assert!(done, "seed {seed}: the way back ends:\n{}", cluster.stuck());
    cluster.run_for(10_000);
    look(&mut cluster, "mesh again");
    full_mesh(&cluster);
}

#[test]
fn fifty_nodes_move_and_lose_no_route() {
    there_and_back(50, 1);
}

/// Three hundred take a minute of an optimised build (`cargo test --release -p wayfare-tests
/// --test reflectors`); without optimisation the same is done by fewer nodes, in other orders.
#[test]
fn three_hundred_nodes_move_and_lose_no_route() {
    match cfg!(debug_assertions) {
        false => there_and_back(300, 300),
        true => there_and_back(48, 3),
    }
}
