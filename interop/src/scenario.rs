//! What most scenarios share: two routers on one wire, a capture, and the list of who plays.
//!
//! [`with_each!`] turns one scenario into one test per implementation, named after both, so that a
//! report says `md5_with_openbgpd` and not "case 4". [`Draft`] is the pair before it starts: a test
//! changes what its feature is about and leaves the rest. The implementation under test is always
//! node `dut` (10.99.0.1), the other side node 2.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::capture::Capture;
use crate::lab::{self, Lab};
use crate::node::Node;
use crate::peers::{self, Feature, Kind, Router};
use crate::player::strict::Reading;
use crate::player::{Player, wire};
use crate::speaker::{Neighbor, Speaker};
use crate::wait;

/// AS of the one under test.
pub const DUT_ASN: u32 = 65001;
/// AS of the other side in eBGP.
pub const PEER_ASN: u32 = 65002;
/// What starts at the one under test.
pub const DUT_V4: &str = "198.51.100.0/24";
/// What starts at the one under test.
pub const DUT_V6: &str = "2001:db8:1::/48";
/// What starts at the other side.
pub const PEER_V4: &str = "203.0.113.0/24";
/// What starts at the other side.
pub const PEER_V6: &str = "2001:db8:2::/48";

/// One test per implementation for a scenario `fn(&mut Lab, Kind)`, named by the caller.
///
/// `with_each!(md5, [], md5_with_bird = Bird, md5_with_frr = Frr);`: the list in brackets holds
/// the [`Feature`]s the scenario needs of the other side.
#[macro_export]
macro_rules! with_each {
    ($scenario:path, $features:expr, $($test:ident = $kind:ident),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                $crate::scenario::play(
                    stringify!($test),
                    $crate::peers::Kind::$kind,
                    &$features,
                    $scenario,
                );
            }
        )+
    };
}

/// Plays one scenario in a lab of its own, or says by name why not.
pub fn play(test: &str, kind: Kind, features: &[Feature], scenario: impl FnOnce(&mut Lab, Kind)) {
    lab::enter(test, |lab| {
        if peers::playable(lab, test, kind, features) {
            scenario(lab, kind);
        }
    });
}

/// The pair before it starts.
pub struct Draft {
    /// Node `dut`.
    pub dut_node: Node,
    /// The other side's node.
    pub peer_node: Node,
    /// The one under test.
    pub dut: Speaker,
    /// The other side.
    pub peer: Speaker,
    /// The other side's implementation.
    pub kind: Kind,
}

impl Draft {
    /// Two routers with one session over IPv4, both families, each with a network of each family.
    pub fn new(lab: &mut Lab, kind: Kind, peer_asn: u32) -> Draft {
        let dut_node = lab.node("dut");
        let peer_node = lab.node(kind.name());
        let (one, two) = (Lab::address(1), Lab::address(2));
        let dut = Speaker::new(DUT_ASN, one).network(DUT_V4).network(DUT_V6);
        let peer = Speaker::new(peer_asn, two)
            .network(PEER_V4)
            .network(PEER_V6);
        Draft {
            dut_node,
            peer_node,
            dut: dut.neighbor(Neighbor::new(one, two, peer_asn)),
            peer: peer.neighbor(Neighbor::new(two, one, DUT_ASN)),
            kind,
        }
    }

    /// Changes the session's configuration on both sides alike.
    pub fn both_sides(mut self, change: impl Fn(Neighbor) -> Neighbor) -> Draft {
        for speaker in [&mut self.dut, &mut self.peer] {
            speaker.neighbors = speaker.neighbors.drain(..).map(&change).collect();
        }
        self
    }

    /// Changes the session's configuration on the side under test.
    pub fn dut_side(mut self, change: impl Fn(Neighbor) -> Neighbor) -> Draft {
        self.dut.neighbors = self.dut.neighbors.drain(..).map(change).collect();
        self
    }

    /// Changes the session's configuration on the other side.
    pub fn peer_side(mut self, change: impl Fn(Neighbor) -> Neighbor) -> Draft {
        self.peer.neighbors = self.peer.neighbors.drain(..).map(change).collect();
        self
    }

    /// Moves the session to IPv6 addresses.
    pub fn over_ipv6(mut self) -> Draft {
        let (one, two) = (IpAddr::V6(Lab::address6(1)), IpAddr::V6(Lab::address6(2)));
        for neighbor in &mut self.dut.neighbors {
            (neighbor.local, neighbor.address) = (one, two);
        }
        for neighbor in &mut self.peer.neighbors {
            (neighbor.local, neighbor.address) = (two, one);
        }
        self
    }

    /// Starts the capture, then both routers.
    pub fn start(self) -> Pair {
        let capture = Capture::start(&self.dut_node, "eth0");
        let mut routers = Router::start_all(vec![
            (Kind::under_test(), self.dut_node, self.dut),
            (self.kind, self.peer_node, self.peer),
        ]);
        let peer = routers.pop().expect("two were started");
        let dut = routers.pop().expect("two were started");
        Pair { dut, peer, capture }
    }
}

/// Two running routers.
pub struct Pair {
    /// The one under test.
    pub dut: Router,
    /// The other side.
    pub peer: Router,
    /// Packets of the session as the one under test sends and gets them.
    pub capture: Capture,
}

impl Pair {
    /// Address of the one under test on the session.
    pub fn dut_address(&self) -> IpAddr {
        self.dut.speaker.neighbors[0].local
    }

    /// Address of the other side on the session.
    pub fn peer_address(&self) -> IpAddr {
        self.dut.speaker.neighbors[0].address
    }

    /// Waits until both sides say Established.
    #[track_caller]
    pub fn wait_established(&self) {
        self.dut.wait_established(self.peer_address());
        self.peer.wait_established(self.dut_address());
    }

    /// An independent decoder finds nothing wrong with what we sent.
    #[track_caller]
    pub fn check_packets(&self) {
        let source = self.dut_address();
        let complaints = self.capture.complaints(source);
        assert!(
            complaints.is_empty(),
            "tshark on packets of {source}: {complaints:#?}"
        );
        let field = if source.is_ipv4() {
            "ip.src"
        } else {
            "ipv6.src"
        };
        let opens = self
            .capture
            .count(&format!("{field} == {source} && bgp.type == 1"));
        assert!(
            opens > 0,
            "the capture holds no OPEN of ours: it proves nothing"
        );
    }
}

/// A raw speaker at `10.99.0.NUMBER` (201 and up, beyond the nodes) with a session to `router`,
/// which must have it as a passive neighbor of AS `asn`. Both unicast families, four-octet AS.
#[track_caller]
pub fn speak(lab: &Lab, number: u8, router: IpAddr, asn: u32, external: bool) -> Player {
    let local = Lab::address(number);
    lab.own_address(local.into());
    let capabilities = [
        wire::multiprotocol(1, 1),
        wire::multiprotocol(2, 1),
        wire::capability(2, &[]),
        wire::capability(65, &asn.to_be_bytes()),
    ];
    let open = wire::open(asn, 180, local.octets(), &capabilities);
    let reading = Reading {
        four_octet_as: true,
        external,
    };
    wait::until(&format!("a session of {local} with {router}"), 20, || {
        let to = SocketAddr::new(router, 179);
        let mut player = Player::connect(local.into(), to, reading).map_err(|e| e.to_string())?;
        match player.establish(&open) {
            Ok(()) => Ok(player),
            Err(ended) => Err(format!("{ended:?}")),
        }
    })
}

/// An UPDATE for one IPv4 prefix with an ordinary path, `extra` attributes after it.
pub fn plain_update(prefix: &str, as_path: &[u32], next_hop: Ipv4Addr, extra: &[u8]) -> Vec<u8> {
    let prefix = prefix.parse().expect("a prefix written in a test");
    let mut attributes = wire::attribute(0x40, 1, &[0]);
    attributes.extend(wire::attribute(0x40, 2, &wire::as_sequence(as_path)));
    attributes.extend(wire::attribute(0x40, 3, &next_hop.octets()));
    attributes.extend(extra);
    wire::update(&[], &attributes, &wire::nlri(prefix))
}
