//! Two route reflectors of ours with twenty clients of each implementation (RFC 4456): every
//! client learns every network from both, with originator and cluster list; a client's failure
//! reaches all others.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use interop::lab::Lab;
use interop::peers::{Family, Kind, Router};
use interop::speaker::{Neighbor, Speaker};
use interop::{wait, with_each};

with_each!(
    reflection,
    [],
    reflection_with_bird = Bird,
    reflection_with_frr = Frr
);
with_each!(
    reflection,
    [],
    reflection_with_gobgp = Gobgp,
    reflection_with_openbgpd = Openbgpd
);

// The tables of the reflectors in four parts, each on a thread of its own.
with_each!(
    reflection_on_threads,
    [],
    reflection_on_threads_with_bird = Bird
);

const ASN: u32 = 65001;
const CLIENTS: std::ops::RangeInclusive<u8> = 3..=22;

fn reflection(lab: &mut Lab, kind: Kind) {
    reflect(lab, kind, None);
}

fn reflection_on_threads(lab: &mut Lab, kind: Kind) {
    reflect(lab, kind, Some(4));
}

fn reflect(lab: &mut Lab, kind: Kind, threads: Option<u16>) {
    let mut plan = Vec::new();
    for index in 1..=2 {
        let node = lab.node(&format!("rr{index}"));
        let local = Lab::address(index);
        let mut speaker = Speaker::new(ASN, local);
        speaker.threads = threads;
        speaker
            .neighbors
            .push(Neighbor::new(local, Lab::address(3 - index), ASN).only_ipv4());
        for client in CLIENTS {
            let neighbor = Neighbor::new(local, Lab::address(client), ASN).only_ipv4();
            speaker
                .neighbors
                .push(neighbor.passive().reflector_client());
        }
        plan.push((Kind::under_test(), node, speaker));
    }
    for index in CLIENTS {
        let node = lab.node(&format!("c{index}"));
        let local = Lab::address(index);
        let mut speaker = Speaker::new(ASN, local).network(&network(index));
        for reflector in 1..=2 {
            let neighbor = Neighbor::new(local, Lab::address(reflector), ASN).only_ipv4();
            speaker.neighbors.push(neighbor);
        }
        plan.push((kind, node, speaker));
    }
    let routers = Router::start_all(plan);
    let all: BTreeSet<_> = CLIENTS
        .map(|i| network(i).parse().expect("a prefix"))
        .collect();
    for router in &routers {
        let what = format!("{}: every client's network", router.node.name());
        wait::until(&what, 60, || match router.prefixes(Family::V4)? {
            found if found == all => Ok(()),
            found => Err(format!("{} of {}", found.len(), all.len())),
        });
    }
    check_reflected(&routers[2]);

    // The last client's machine dies. Its links go with it, so no FIN is sent: the reflectors see
    // it by hold time at the latest, or at once by its processes' end.
    let started = Instant::now();
    let (last, others) = routers.split_last().expect("there are clients");
    last.kill();
    for router in others {
        router.wait_no_route(&network(*CLIENTS.end()), 10);
    }
    eprintln!(
        "MEASURED reflection with {}: a client's end reached all in {} ms",
        kind.name(),
        started.elapsed().as_millis()
    );
}

/// A client sees the last client's network twice, as reflected routes look. While sessions come up
/// a route may come by way of both reflectors; what counts is what it settles to.
fn check_reflected(client: &Router) {
    let end = *CLIENTS.end();
    let clusters: BTreeSet<Ipv4Addr> = [Lab::address(1), Lab::address(2)].into();
    wait::until("one path from each reflector", 30, || {
        let paths = client.paths(&network(end))?;
        let seen: BTreeSet<Ipv4Addr> = paths
            .iter()
            .flat_map(|path| path.cluster_list.clone())
            .collect();
        let direct = paths.iter().all(|path| path.cluster_list.len() == 1);
        match direct && paths.len() == 2 && seen == clusters {
            true => Ok(()),
            false => Err(format!("CLUSTER_LIST (RFC 4456 §8): {paths:?}")),
        }
    });
    for path in client.wait_paths(&network(end), 2) {
        let hop = [IpAddr::V4(Lab::address(end))];
        assert_eq!(path.next_hops, hop, "next hop is kept");
        assert_eq!(
            path.originator,
            Some(Lab::address(end)),
            "ORIGINATOR_ID: {path:?}"
        );
    }
}

fn network(index: u8) -> String {
    format!("10.20.{index}.0/24")
}
