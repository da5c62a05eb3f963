//! The daemon's kernel routes as another user of the table sees them: ECMP groups and a member's
//! end, what strangers delete, a hundred thousand routes, a restart under a stream of pings.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use interop::lab::{self, Lab};
use interop::node::Node;
use interop::peers::{Kind, Router};
use interop::player::{Player, wire};
use interop::scenario::{DUT_ASN, plain_update, speak};
use interop::speaker::{Neighbor, Network, Speaker};
use interop::wait;
use ipnet::{IpNet, Ipv4Net};

const PREFIX: &str = "203.0.113.0/24";
const FIRST: u8 = 201;
const FEEDER_ASN: u32 = 65101;
/// `rtm_protocol` of every route of ours (the contract's default).
const PROTOCOL: &str = "186";

/// A router with `count` passive neighbors at 10.99.0.201 and up, all of one AS.
fn router(lab: &mut Lab, count: u8) -> Router {
    let node = lab.node("dut");
    let mut speaker = Speaker::new(DUT_ASN, Lab::address(1)).multipath(64);
    for number in FIRST..FIRST + count {
        let neighbor = Neighbor::new(Lab::address(1), Lab::address(number), FEEDER_ASN);
        speaker = speaker.neighbor(neighbor.passive());
    }
    Router::start(Kind::under_test(), &node, speaker)
}

fn feeder(lab: &Lab, number: u8) -> Player {
    speak(lab, number, Lab::address(1).into(), FEEDER_ASN, true)
}

fn gateways(numbers: &[u8]) -> Vec<IpAddr> {
    numbers
        .iter()
        .map(|number| IpAddr::V4(Lab::address(*number)))
        .collect()
}

#[test]
fn ecmp_group_of_three_loses_a_member() {
    lab::enter("ecmp_group_of_three_loses_a_member", |lab| {
        let dut = router(lab, 3);
        let mut feeders: Vec<Player> = (FIRST..FIRST + 3).map(|n| feeder(lab, n)).collect();
        for (feeder, number) in feeders.iter_mut().zip(FIRST..) {
            let update = plain_update(PREFIX, &[FEEDER_ASN], Lab::address(number), &[]);
            feeder.send(&update).expect("the daemon reads");
        }
        dut.wait_kernel(PREFIX, &gateways(&[201, 202, 203]));
        let started = Instant::now();
        drop(feeders.remove(1));
        dut.wait_kernel(PREFIX, &gateways(&[201, 203]));
        let took = started.elapsed();
        eprintln!(
            "MEASURED ECMP member lost: group of 3 to 2 in {} ms",
            took.as_millis()
        );
        assert!(took < Duration::from_secs(2), "{took:?}");
        feeders.clear();
        dut.wait_kernel(PREFIX, &[]);
    });
}

#[test]
fn foreign_delete_is_healed() {
    lab::enter("foreign_delete_is_healed", |lab| {
        let dut = router(lab, 2);
        let mut feeders: Vec<Player> = (FIRST..FIRST + 2).map(|n| feeder(lab, n)).collect();
        for (feeder, number) in feeders.iter_mut().zip(FIRST..) {
            let update = plain_update(PREFIX, &[FEEDER_ASN], Lab::address(number), &[]);
            feeder.send(&update).expect("the daemon reads");
        }
        let expected = gateways(&[201, 202]);
        dut.wait_kernel(PREFIX, &expected);
        heal(&dut, "a deleted route", &format!("ip route del {PREFIX}"));
        heal(
            &dut,
            "a changed route",
            &format!("ip route replace {PREFIX} metric 20 via 10.99.0.254"),
        );
        heal(&dut, "deleted next-hop objects", "ip nexthop flush");
    });
}

/// A stranger changes our route with `command`; ours is back within a second.
fn heal(dut: &Router, what: &str, command: &str) {
    let expected = gateways(&[201, 202]).into_iter().collect();
    let started = Instant::now();
    dut.node.sh(command);
    wait::until(&format!("{what} healed"), 5, || {
        match dut.kernel_gateways(PREFIX)? {
            found if found == expected => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    let took = started.elapsed();
    eprintln!(
        "MEASURED {what} by a stranger: healed in {} ms",
        took.as_millis()
    );
    assert!(took < Duration::from_secs(1), "{what}: {took:?}");
}

#[test]
fn hundred_thousand_routes() {
    lab::enter("hundred_thousand_routes", |lab| {
        const COUNT: u32 = 100_000;
        let dut = router(lab, 1);
        let mut feeder = feeder(lab, FIRST);
        let prefixes: Vec<IpNet> = (0..COUNT)
            .map(|i| Ipv4Addr::from(0x1000_0000 + (i << 8)))
            .map(|address| Ipv4Net::new(address, 24).expect("24 is a length").into())
            .collect();
        let bytes = packed(&prefixes, Lab::address(FIRST));
        let started = Instant::now();
        feeder.send(&bytes).expect("the daemon reads");
        let count = || -> Result<u32, String> {
            let command = format!("ip route show proto {PROTOCOL} | wc -l");
            let text = dut.node.output("sh", &["-c", &command])?;
            text.trim().parse().map_err(|e| format!("{e}: {text}"))
        };
        wait::until("100,000 kernel routes", 60, || match count()? {
            COUNT => Ok(()),
            other => Err(format!("{other} routes")),
        });
        let took = started.elapsed();
        let rate = f64::from(COUNT) / took.as_secs_f64();
        eprintln!("MEASURED 100,000 routes, UPDATE to kernel: {took:.2?}, {rate:.0} routes/s");
        let started = Instant::now();
        drop(feeder);
        wait::until("none left", 60, || match count()? {
            0 => Ok(()),
            other => Err(format!("{other} routes")),
        });
        eprintln!(
            "MEASURED 100,000 routes out of the kernel again: {:.2?}",
            started.elapsed()
        );
    });
}

/// UPDATEs for all prefixes with one path, as many as fit into each.
fn packed(prefixes: &[IpNet], next_hop: Ipv4Addr) -> Vec<u8> {
    let mut attributes = wire::attribute(0x40, 1, &[0]);
    attributes.extend(wire::attribute(0x40, 2, &wire::as_sequence(&[FEEDER_ASN])));
    attributes.extend(wire::attribute(0x40, 3, &next_hop.octets()));
    let chunks = prefixes.chunks(900).map(|chunk| {
        let nlri: Vec<u8> = chunk
            .iter()
            .flat_map(|prefix| wire::nlri(*prefix))
            .collect();
        wire::update(&[], &attributes, &nlri)
    });
    chunks.flatten().collect()
}

#[test]
fn restart_under_pings_loses_nothing() {
    lab::enter("restart_under_pings_loses_nothing", |lab| {
        let (dut, server, client) = three_in_a_row(lab);
        let target = "203.0.113.1";
        dut.wait_kernel(PREFIX, &gateways(&[2]));
        for (what, signal) in [("SIGTERM", "TERM"), ("SIGKILL", "KILL")] {
            let pings = client.spawn("ping.log", "ping", &["-n", "-i", "0.01", "-W", "1", target]);
            wait::until_true("pings flow", 10, || {
                client
                    .read("/run/node/ping.log")
                    .matches("bytes from")
                    .count()
                    > 20
            });
            dut.node.signal(signal, "wayfare-bgpd");
            wait::until_true("the daemon's end", 10, || {
                !dut.node.has_process("wayfare-bgpd")
            });
            dut.start_again();
            dut.wait_established(Lab::address(2));
            dut.wait_kernel(PREFIX, &gateways(&[2]));
            // Long enough for End-of-RIB and what the daemon clears away after it.
            wait::until_true("three seconds of pings", 20, || {
                client
                    .read("/run/node/ping.log")
                    .matches("bytes from")
                    .count()
                    > 300
            });
            let (sent, answered) = stop(&client, pings);
            let lost = sent - answered;
            eprintln!("MEASURED restart by {what} under 100 pings/s: {lost} of {sent} lost");
            // The last ping may be on its way when the stream is stopped.
            assert!(lost <= 1, "{lost} packets lost over a restart by {what}");
            client.sh("rm /run/node/ping.log");
        }
        drop(server);
    });
}

/// A stale route goes once the tables are back; what is still announced never went away.
#[test]
fn restart_removes_what_is_gone() {
    lab::enter("restart_removes_what_is_gone", |lab| {
        let dut = router(lab, 1);
        let gone = "198.51.100.0/24";
        let mut first = feeder(lab, FIRST);
        for prefix in [PREFIX, gone] {
            let update = plain_update(prefix, &[FEEDER_ASN], Lab::address(FIRST), &[]);
            first.send(&update).expect("the daemon reads");
        }
        dut.wait_kernel(PREFIX, &gateways(&[FIRST]));
        dut.wait_kernel(gone, &gateways(&[FIRST]));
        dut.kill();
        wait::until_true("the daemon's end", 10, || {
            !dut.node.has_process("wayfare-bgpd")
        });
        drop(first);
        dut.start_again();
        assert_eq!(
            dut.kernel_gateways(gone),
            Ok(gateways(&[FIRST]).into_iter().collect())
        );
        lab.ip(&format!("addr del {}/24 dev br0", Lab::address(FIRST)));
        let mut again = feeder(lab, FIRST);
        let update = plain_update(PREFIX, &[FEEDER_ASN], Lab::address(FIRST), &[]);
        again.send(&update).expect("the daemon reads");
        again
            .send(&wire::update(&[], &[], &[]))
            .expect("the daemon reads");
        let end6 = wire::attribute(0x80, 15, &[0, 2, 1]);
        again
            .send(&wire::update(&[], &end6, &[]))
            .expect("the daemon reads");
        dut.wait_kernel(gone, &[]);
        dut.wait_kernel(PREFIX, &gateways(&[FIRST]));
    });
}

/// client – dut – server, the middle one learning the server's network over BGP.
fn three_in_a_row(lab: &mut Lab) -> (Router, Router, Node) {
    let dut_node = lab.node("dut");
    let server_node = lab.node("server");
    let client = lab.node("client");
    lab.lan("br1");
    lab.attach(&dut_node, "br1", "eth1", &["10.98.0.1/24".into()]);
    lab.attach(&client, "br1", "eth1", &["10.98.0.3/24".into()]);
    client.sh("ip addr flush dev eth0; ip route add default via 10.98.0.1");
    server_node.sh("ip addr add 203.0.113.1/24 dev lo; ip route add 10.98.0.0/24 via 10.99.0.1");
    let (one, two) = (Lab::address(1), Lab::address(2));
    let dut = Speaker::new(DUT_ASN, one).neighbor(Neighbor::new(one, two, 65002));
    let server = Speaker::new(65002, two)
        .network_with(Network::new(PREFIX))
        .neighbor(Neighbor::new(two, one, DUT_ASN));
    let mut routers = Router::start_all(vec![
        (Kind::under_test(), dut_node, dut),
        (Kind::Bird, server_node, server),
    ]);
    let server = routers.pop().expect("two were started");
    let dut = routers.pop().expect("two were started");
    (dut, server, client)
}

/// Ends the pings as Ctrl-C does; how many were sent and answered.
fn stop(client: &Node, mut pings: std::process::Child) -> (u32, u32) {
    client.signal("INT", "ping");
    pings.wait().expect("ping ends when told");
    let text = client.read("/run/node/ping.log");
    let summary = text
        .lines()
        .find(|line| line.contains("packets transmitted"));
    let summary = summary.unwrap_or_else(|| panic!("no summary: {text}"));
    let counts = interop::speaker::numbers(summary);
    (counts[0], counts[1])
}
