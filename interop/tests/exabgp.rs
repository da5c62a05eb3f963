//! ExaBGP as a feeder: a second opinion on encoding, from code that no router shares. What it
//! announces with every common attribute goes through us to BIRD as it came.

use std::net::IpAddr;

use interop::capture::Capture;
use interop::lab::{self, Lab};
use interop::peers::exabgp::{self, Feeder};
use interop::peers::{Kind, Router};
use interop::speaker::{Neighbor, Speaker};

const FEEDER_ASN: u32 = 65101;
const ROUTES: [&str; 2] = [
    "route 192.0.2.0/24 next-hop self origin egp med 7 as-path [ 65101 64999 ] \
     community [ 65101:1 65101:2 ] large-community [ 65101:3:4 ] \
     extended-community [ target:65101:5 ];",
    "route 2001:db8:77::/48 next-hop fd99::3 community [ 65101:9 ];",
];

#[test]
fn routes_from_exabgp() {
    lab::enter("routes_from_exabgp", |lab| {
        let dut_node = lab.node("dut");
        let bird_node = lab.node("bird");
        let feeder_node = lab.node("exabgp");
        let [one, two, three] = [1, 2, 3].map(|index| IpAddr::V4(Lab::address(index)));
        let capture = Capture::start(&dut_node, "eth0");
        let dut = Speaker::new(65001, Lab::address(1))
            .neighbor(Neighbor::new(one, two, 65002))
            .neighbor(Neighbor::new(one, three, FEEDER_ASN));
        let bird = Speaker::new(65002, Lab::address(2)).neighbor(Neighbor::new(two, one, 65001));
        let mut routers = Router::start_all(vec![
            (Kind::under_test(), dut_node, dut),
            (Kind::Bird, bird_node, bird),
        ]);
        exabgp::start(
            &feeder_node,
            &Feeder {
                asn: FEEDER_ASN,
                local: three,
                peer: one,
                peer_asn: 65001,
                routes: &ROUTES,
            },
        );
        let bird = routers.pop().expect("two were started");
        let dut = routers.pop().expect("two were started");
        dut.wait_established(three);

        let path = bird.wait_route("192.0.2.0/24");
        assert_eq!(path.as_path, [65001, FEEDER_ASN, 64999]);
        assert_eq!(path.origin, "EGP");
        assert_eq!(
            path.med, None,
            "MED of one neighbor is not for another (RFC 4271 §5.1.4)"
        );
        assert_eq!(
            path.communities,
            ["65101:1", "65101:2"].map(str::to_owned).into()
        );
        assert_eq!(path.large_communities, ["65101:3:4".to_owned()].into());
        assert_eq!(path.route_targets, ["65101:5".to_owned()].into());
        assert_eq!(dut.wait_route("192.0.2.0/24").med, Some(7));
        let path = bird.wait_route("2001:db8:77::/48");
        assert_eq!(path.communities, ["65101:9".to_owned()].into());
        assert_eq!(capture.complaints(one), [""; 0]);
    });
}
