//! iBGP full mesh of five: three of ours from `[mesh]`, two of each implementation. Every router
//! holds every network exactly once, since nothing learned over iBGP is passed on over iBGP.

use std::net::IpAddr;

use interop::lab::Lab;
use interop::peers::{Family, Kind, Router};
use interop::speaker::{Neighbor, Speaker};
use interop::{wait, with_each};

with_each!(
    full_mesh,
    [],
    full_mesh_with_bird = Bird,
    full_mesh_with_frr = Frr
);
with_each!(
    full_mesh,
    [],
    full_mesh_with_gobgp = Gobgp,
    full_mesh_with_openbgpd = Openbgpd
);

const ASN: u32 = 65001;
const NODES: u8 = 5;

fn full_mesh(lab: &mut Lab, kind: Kind) {
    let members: Vec<IpAddr> = (1..=NODES).map(|i| Lab::address(i).into()).collect();
    let mut plan = Vec::new();
    for index in 1..=NODES {
        let ours = index <= 3;
        let kind = if ours { Kind::under_test() } else { kind };
        let node = lab.node(&format!("{}{index}", kind.name()));
        let mut speaker =
            Speaker::new(ASN, Lab::address(index)).network(&format!("10.20.{index}.0/24"));
        if kind == Kind::Wayfare {
            speaker.mesh = members.clone();
        } else {
            for other in (1..=NODES).filter(|other| *other != index) {
                speaker =
                    speaker.neighbor(Neighbor::new(Lab::address(index), Lab::address(other), ASN));
            }
        }
        plan.push((kind, node, speaker));
    }
    let routers = Router::start_all(plan);
    for (router, own) in routers.iter().zip(&members) {
        for other in members.iter().filter(|other| *other != own) {
            router.wait_established(*other);
        }
    }
    for router in &routers {
        let what = format!("{}: five networks", router.node.name());
        wait::until(&what, 20, || match router.prefixes(Family::V4)?.len() {
            5 => Ok(()),
            count => Err(format!("{count} prefixes")),
        });
    }
    for (router, own) in routers.iter().zip(1..) {
        for index in (1..=NODES).filter(|index| *index != own) {
            let paths = router.wait_paths(&format!("10.20.{index}.0/24"), 1);
            assert_eq!(paths[0].next_hops, [IpAddr::V4(Lab::address(index))]);
        }
    }
    routers[0].wait_kernel("10.20.5.0/24", &[Lab::address(5).into()]);
}
