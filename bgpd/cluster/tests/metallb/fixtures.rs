//! The inputs of MetalLB's goldens, rebuilt as manifests from each golden's name and contents.
//!
//! MetalLB's tests hand sessions and advertisements to code below its configuration, so some of
//! what they hand in no configuration can say. Timers of one second (a hold time is 0 or at least
//! 3 s: RFC 4271 §4.2) are three and one here; a route of one address with the mask of a /24 is
//! that address.

/// An input: what the cluster has, our AS, and the addresses given to services.
pub struct Fixture {
    pub manifests: String,
    pub asn: u32,
    pub addresses: Vec<&'static str>,
}

/// The fixture of a golden (by the last two names of its path), or why there is none.
pub fn of(folder: &str, name: &str) -> Result<Fixture, &'static str> {
    match folder {
        "frr" | "frrk8s" => of_metallb(folder, name),
        _ => of_frr_k8s(name),
    }
}

const TIMERS: &str = "holdTime: 3s, keepaliveTime: 1s, password: password, peerPort: 179";

fn peer(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: {name}, namespace: \
         metallb-system}}\nspec: {{{spec}}}\n"
    )
}

fn tor(my_asn: u32, asn: u32, address: &str, more: &str) -> String {
    let name = format!("peer-{asn}-{}", more.len());
    let spec = format!("myASN: {my_asn}, peerASN: {asn}, peerAddress: '{address}', {TIMERS}{more}");
    peer(&name, &spec)
}

/// A pool of this one prefix, and an advertisement of it.
fn advert(name: &str, prefix: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, \
         namespace: metallb-system}}\nspec: {{addresses: ['{prefix}']}}\n{}",
        second(name, name, spec)
    )
}

/// An advertisement of a pool that is there.
fn second(name: &str, pool: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta1\nkind: BGPAdvertisement\nmetadata: {{name: {name}, \
         namespace: metallb-system}}\nspec: {{ipAddressPools: [{pool}], {spec}}}\n"
    )
}

fn profile(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta1\nkind: BFDProfile\nmetadata: {{name: {name}, \
         namespace: metallb-system}}\nspec: {{{spec}}}\n"
    )
}

fn fixture(asn: u32, addresses: &[&'static str], parts: &[String]) -> Fixture {
    Fixture {
        manifests: parts.concat(),
        asn,
        addresses: addresses.to_vec(),
    }
}

const HOP: &str = ", ebgpMultiHop: true";
const ONE: &str = "172.16.1.10";
const TWO: &str = "172.16.1.11";

/// Two sessions of two routers: 100 to 200 and 300 to 400.
fn two(addresses: [&str; 2], more: [&str; 2]) -> Fixture {
    let parts = [
        tor(100, 200, addresses[0], more[0]),
        tor(300, 400, addresses[1], more[1]),
    ];
    fixture(100, &[], &parts)
}

fn of_metallb(folder: &str, name: &str) -> Result<Fixture, &'static str> {
    let source = |address: &str| match folder {
        "frr" => format!(", sourceAddress: '{address}'"),
        _ => String::new(),
    };
    let (one, three) = (source("10.1.1.254"), source("10.3.3.254"));
    let hop = |more: &str| format!("{more}{HOP}");
    let vrf = |more: &str| format!("{more}, vrf: red");
    let times = "receiveInterval: 60, transmitInterval: 70, detectMultiplier: 5, echoInterval: 90, \
               minimumTtl: 60";
    let ipv4 = "10.2.2.254";
    Ok(match name {
        "TestSingleIBGPSession" => fixture(100, &[], &[tor(100, 100, ipv4, &one)]),
        "TestSingleVRFIBGPSession" => fixture(100, &[], &[tor(100, 100, ipv4, &vrf(&one))]),
        "TestVRFSingleEBGPSessionMultiHop" => {
            fixture(100, &[], &[tor(100, 200, ipv4, &hop(&vrf(&one)))])
        }
        "TestSingleSessionExtras" => fixture(
            100,
            &[],
            &[tor(
                100,
                200,
                "127.0.0.2",
                &format!("{one}, connectTime: 1s"),
            )],
        ),
        "TestSingleSessionWithExternalASN" => external(folder, ipv4),
        "TestTwoIPv6Sessions" => two(
            ["10:2:2::254", "10:4:4::255"],
            [&source("10:1:1::254"), &source("10:3:3::254")],
        ),
        "TestIPv4AndIPv6SessionsDisableMP" => {
            let more = [
                format!("{}, disableMP: true", source("10:1:1::254")),
                hop(&format!("{three}, disableMP: true")),
            ];
            two(["10:2:2::254", "10.4.4.255"], [&more[0], &more[1]])
        }
        "TestTwoSessions" => two_sessions(folder, &hop(&one), &hop(&three)),
        "TestTwoSessionsSameIPVRF" => two([ipv4, ipv4], [&hop(&one), &hop(&vrf(&three))]),
        "TestBFDProfileAllDefault" => {
            fixture(100, &[], &[profile("bar", ""), profile("foo", times)])
        }
        "TestBFDProfileCornerCases" => {
            let times = format!("{times}, echoMode: true, passiveMode: true");
            fixture(100, &[], &[profile("foo", &times)])
        }
        "TestBFDProfileThenDelete" => fixture(100, &[], &[]),
        "TestSingleAdvertisementInvalid" | "TestSingleAdvertisementInvalidNoPort" => {
            return Err("left over in MetalLB's tree: no test of it writes or reads the file");
        }
        _ if name.starts_with("TestLogging") => {
            return Err("log settings of FRR: ours are bgpd's own");
        }
        _ => return of_adverts(name, &one).ok_or("no fixture"),
    })
}

fn of_adverts(name: &str, one: &str) -> Option<Fixture> {
    let hop = |more: &str| format!("{more}{HOP}");
    let vrf = |more: &str| format!("{more}, vrf: red");
    let ipv4 = "10.2.2.254";
    let large = "localPref: 300, communities: ['3333:4444', 'large:1111:2222:3333', \
                 'large:2222:3333:4444']";
    let pair = [
        advert("a", "172.16.1.10/32", "communities: ['1111:2222']"),
        advert(
            "b",
            "172.16.1.11/32",
            "localPref: 2, communities: ['1111:2222']",
        ),
    ]
    .concat();
    Some(match name {
        "TestLargeCommunities" => {
            let parts = [
                tor(100, 200, ipv4, &hop(one)),
                advert("a", "172.16.1.10/32", large),
            ];
            fixture(100, &[ONE], &parts)
        }
        "TestTwoAdvertisementsDuplicate" => {
            let parts = [
                tor(100, 200, ipv4, &hop(one)),
                advert("a", "172.16.1.10/32", ""),
                second("b", "a", ""),
            ];
            fixture(100, &[ONE], &parts)
        }
        "TestTwoAdvertisementsWithSamePrefix" => {
            let spec = |community| format!("localPref: 300, communities: ['{community}']");
            let parts = [
                tor(100, 200, ipv4, &hop(one)),
                advert("a", "172.16.1.10/32", &spec("1111:2222")),
                second("b", "a", &spec("3333:4444")),
            ];
            fixture(100, &[ONE], &parts)
        }
        "TestTwoAdvertisementsVRF" => {
            let parts = [
                tor(100, 200, ipv4, &vrf(one)),
                advert("a", "172.16.1.10/32", "communities: ['1111:2222']"),
                advert("b", "172.16.1.11/32", ""),
            ];
            fixture(100, &[ONE, TWO], &parts)
        }
        "TestTwoAdvertisementsTwoSessionsOneVRF" => {
            let parts = [
                tor(100, 200, ipv4, one),
                tor(100, 200, "10.2.2.255", &vrf(one)),
                pair,
            ];
            fixture(100, &[ONE, TWO], &parts)
        }
        _ => return None,
    })
}

fn external(folder: &str, address: &str) -> Fixture {
    let (asn, more) = match folder {
        "frr" => (
            102,
            ", sourceAddress: 10.1.1.254, enableGracefulRestart: true",
        ),
        _ => (100, ""),
    };
    let spec =
        format!("myASN: {asn}, dynamicASN: external, peerAddress: {address}, peerPort: 179{more}");
    fixture(asn, &[], &[peer("a", &spec)])
}

fn two_sessions(folder: &str, one: &str, three: &str) -> Fixture {
    if folder == "frr" {
        let connect = |more| format!("{more}, connectTime: 1s");
        return two(
            ["10.2.2.254", "10.4.4.255"],
            [&connect(one), &connect(three)],
        );
    }
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: test-secret, \
                  namespace: metallb-system}\n\
                  type: kubernetes.io/basic-auth\nstringData: {password: password}\n";
    let spec = "myASN: 300, peerASN: 400, peerAddress: 10.4.4.255, peerPort: 179, holdTime: 3s, \
                keepaliveTime: 1s, ebgpMultiHop: true, passwordSecret: {name: test-secret}";
    let parts = [
        tor(100, 200, "10.2.2.254", one),
        peer("b", spec),
        secret.to_owned(),
    ];
    fixture(100, &[], &parts)
}

fn of_frr_k8s(name: &str) -> Result<Fixture, &'static str> {
    let bare = |name: &str, asn, address: &str, more: &str| {
        let spec = format!("myASN: 65000, peerASN: {asn}, peerAddress: '{address}'{more}");
        peer(name, &spec)
    };
    let (v4, v6) = ("192.168.1.2", "2001:db8::1");
    let sized = |name, prefix, length, peers: &str| {
        let key = if length > 32 {
            "aggregationLengthV6"
        } else {
            "aggregationLength"
        };
        advert(name, prefix, &format!("{key}: {length}{peers}"))
    };
    let two_families = |more: &str| {
        let parts = [
            bare("a", 65001, v4, more),
            bare("b", 65002, v6, &format!("{HOP}{more}")),
            sized("v4", "192.169.1.0/24", 24, ", peers: [a]"),
            sized("v6", "2001:db8:abcd::/48", 48, ", peers: [b]"),
        ];
        fixture(65000, &["192.169.1.7", "2001:db8:abcd::7"], &parts)
    };
    let two_prefixes = |peer: String| {
        let parts = [
            peer,
            sized("a", "192.169.1.0/24", 24, ""),
            sized("b", "192.170.0.0/22", 22, ""),
        ];
        fixture(65000, &["192.169.1.7", "192.170.1.7"], &parts)
    };
    let one_v6 = |prefix, length, address, more: &str| {
        let parts = [bare("a", 65001, v6, more), sized("a", prefix, length, "")];
        fixture(65000, &[address], &parts)
    };
    let test = "receiveInterval: 100, transmitInterval: 200, detectMultiplier: 3, echoMode: true, \
                echoInterval: 25, passiveMode: true, minimumTtl: 20";
    Ok(match name {
        "TestMultipleNeighborsOneV4AndOneV6DisableMP" => two_families(", disableMP: true"),
        "TestMultipleNeighborsOneV4AndOneV6AdvertiseDualStack"
        | "TestMultipleNeighborsOneV4AndOneV6DualStackIPFamily" => {
            two_families(", dualStackAddressFamily: true")
        }
        "TestSingleSessionWithEBGPMultihop" => two_prefixes(bare("a", 65001, v4, HOP)),
        "TestSingleSessionWithExternalASN" => {
            let spec =
                "myASN: 65000, dynamicASN: external, peerAddress: 192.168.1.2, peerPort: 4567";
            two_prefixes(peer("a", spec))
        }
        "TestSingleSessionWithIPv6SingleHop" => {
            one_v6("2001:db8:abcd::/48", 48, "2001:db8:abcd::7", "")
        }
        "TestSingleSessionIPv6OnlyNode" => {
            one_v6("2001:db8:1::/64", 64, "2001:db8:1::7", ", peerPort: 179")
        }
        "TestSingleSessionBFD" => {
            let parts = [
                bare("a", 65001, v4, ", bfdProfile: test"),
                profile("test", test),
                profile("testdefault", ""),
            ];
            fixture(65000, &[], &parts)
        }
        _ => return Err(only_frr_k8s(name)),
    })
}

fn only_frr_k8s(name: &str) -> &'static str {
    match name {
        "TestTwoSessionsAcceptAll" | "TestTwoSessionsAcceptSomeV4" => {
            "toReceive of FRRConfiguration: import policies of bgpd.toml do this"
        }
        "TestSingleSessionWithNextHopV6" => {
            "a next hop of FRRConfiguration: [[policy]] next-hop of bgpd.toml does this"
        }
        "TestTwoRoutersTwoNeighbors" => {
            "toAdvertise and VRF of FRRConfiguration: [[policy]] of bgpd.toml does this"
        }
        _ => "no fixture",
    }
}
