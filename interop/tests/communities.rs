//! Communities of all three kinds (RFC 1997, 8092, 4360) with each implementation, both ways: what
//! a third speaker attached goes through us to the peer, what the peer attaches arrives here.

use interop::lab::Lab;
use interop::peers::Kind;
use interop::player::wire;
use interop::scenario::{Draft, PEER_ASN, PEER_V4, plain_update, speak};
use interop::speaker::{Neighbor, Network};
use interop::{wait, with_each};

with_each!(
    communities,
    [],
    communities_with_bird = Bird,
    communities_with_frr = Frr
);
with_each!(
    communities,
    [],
    communities_with_gobgp = Gobgp,
    communities_with_openbgpd = Openbgpd
);

const FEEDER: u8 = 201;
const FEEDER_ASN: u32 = 65101;

fn communities(lab: &mut Lab, kind: Kind) {
    let mut draft = Draft::new(lab, kind, PEER_ASN);
    let feeder = Neighbor::new(Lab::address(1), Lab::address(FEEDER), FEEDER_ASN).passive();
    draft.dut = draft.dut.neighbor(feeder);
    draft.peer.networks.clear();
    draft.peer = draft.peer.network_with(Network {
        communities: vec!["65002:100".into(), "65002:200".into()],
        large_communities: vec!["65002:1:2".into()],
        route_targets: vec!["65002:7".into()],
        ..Network::new(PEER_V4)
    });
    let pair = draft.start();
    pair.wait_established();

    let here = wait::until("the peer's communities", 10, || {
        let path = pair.dut.wait_route(PEER_V4);
        if path.communities.is_empty() {
            Err(format!("{path:?}"))
        } else {
            Ok(path)
        }
    });
    assert_eq!(
        here.communities,
        ["65002:100", "65002:200"].map(str::to_owned).into()
    );
    assert_eq!(here.large_communities, ["65002:1:2".to_owned()].into());
    assert_eq!(here.route_targets, ["65002:7".to_owned()].into());

    let mut feeder = speak(lab, FEEDER, pair.dut_address(), FEEDER_ASN, true);
    feeder
        .send(&plain_update(
            "192.0.2.0/24",
            &[FEEDER_ASN],
            Lab::address(FEEDER),
            &all_kinds(),
        ))
        .expect("the daemon reads");
    let there = pair.peer.wait_route("192.0.2.0/24");
    assert_eq!(there.as_path, [65001, FEEDER_ASN]);
    assert_eq!(
        there.communities,
        ["65101:1", "65101:2"].map(str::to_owned).into()
    );
    assert_eq!(there.large_communities, ["65101:3:4".to_owned()].into());
    assert_eq!(there.route_targets, ["65101:5".to_owned()].into());
    pair.check_packets();
}

/// COMMUNITIES, LARGE_COMMUNITY and a route target, as attributes.
fn all_kinds() -> Vec<u8> {
    let asn = u16::try_from(FEEDER_ASN)
        .expect("a two-octet AS")
        .to_be_bytes();
    let community = |low: u8| [asn[0], asn[1], 0, low];
    let mut bytes = wire::attribute(0xc0, 8, &[community(1), community(2)].concat());
    bytes.extend(wire::attribute(
        0xc0,
        16,
        &[&[0, 2][..], &asn, &[0, 0, 0, 5]].concat(),
    ));
    let large: Vec<u8> = [FEEDER_ASN, 3, 4]
        .iter()
        .flat_map(|number: &u32| number.to_be_bytes())
        .collect();
    bytes.extend(wire::attribute(0xc0, 32, &large));
    bytes
}
