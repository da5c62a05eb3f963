//! The order of the driver's acts, in virtual time and without a kernel: taking over, refusals, a
//! flood, a process that stood still, a restart.

mod fake;
mod reload;
mod restart;
mod stuck;

use std::net::IpAddr;
use std::time::Duration;

use proto_codec::vrrp::Envelope;
use rib::netlink::hosts::{HostAddress, HostChange};

use crate::io::estate::Found;
use crate::node::Left;
use crate::router::{Gap, State};
use fake::{LINK, Lab};

const ONE: &str = "[[instance]]\nname = \"a\"\ninterface = \"eth0\"\nvrid = 50\n\
                   addresses = [\"10.0.0.50\"]\nadvertise-interval = \"100ms\"\n";
const TWO: &str = "[[instance]]\nname = \"b\"\ninterface = \"eth0\"\nvrid = 51\n\
                   addresses = [\"10.0.0.51\"]\nadvertise-interval = \"100ms\"\npriority = 200\n";

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn state(lab: &Lab, name: &str) -> State {
    lab.slot(name, |slot| slot.router.state())
}

/// A master that has told everybody what it had to, with nothing of that left in the acts.
fn master(config: &str) -> Lab {
    let mut lab = Lab::new(config);
    assert!(lab.run(ms(7000)));
    assert_eq!(state(&lab, "a"), State::Master);
    lab.acts();
    lab
}

#[test]
fn addresses_are_there_before_anybody_is_told() {
    let mut lab = Lab::new(ONE);
    assert!(lab.run(ms(360)));
    assert!(lab.acts().is_empty(), "a backup does nothing");
    assert!(lab.run(ms(2)));
    assert_eq!(
        lab.acts(),
        ["put 10.0.0.50", "tell 10.0.0.50", "send 100 of 50"]
    );
    assert!(lab.run(ms(100)));
    assert_eq!(lab.acts(), ["send 100 of 50"]);
}

/// The kernel's lock is held by somebody: nobody is told of addresses that are not there, and who
/// has its own goes on with its adverts.
#[test]
fn who_waits_for_its_addresses_keeps_nobody_else_waiting() {
    let mut lab = Lab::new(&format!("{ONE}{TWO}"));
    assert!(lab.run(ms(340)));
    assert_eq!(state(&lab, "b"), State::Master);
    lab.acts();
    lab.world.borrow_mut().stuck = true;
    assert!(lab.run(ms(200)));
    assert_eq!(state(&lab, "a"), State::Master);
    let acts = lab.acts();
    assert!(acts.contains(&"put 10.0.0.50".to_owned()), "{acts:?}");
    assert!(
        !acts
            .iter()
            .any(|act| act.ends_with("50") && !act.starts_with("put")),
        "{acts:?}"
    );
    let sent = acts.iter().filter(|act| *act == "send 200 of 51").count();
    assert_eq!(sent, 2, "{acts:?}");
    lab.world.borrow_mut().stuck = false;
    assert!(lab.run(ms(1)));
    // What piled up goes out once.
    assert_eq!(lab.acts(), ["tell 10.0.0.50", "send 100 of 50"]);
}

/// Refused addresses: a master without them is none, and nobody heard that it was one.
#[test]
fn refused_addresses_are_a_fault_that_is_tried_again() {
    let mut lab = Lab::new(ONE);
    lab.world.borrow_mut().refusal = Some("permission denied".to_owned());
    assert!(lab.run(ms(1000)));
    let acts = lab.acts();
    assert!(
        !acts.iter().any(|act| act.starts_with(['t', 's'])),
        "{acts:?}"
    );
    assert_eq!(state(&lab, "a"), State::Initialize);
    let fault = lab.slot("a", |slot| {
        slot.router.faults().next().map(ToString::to_string)
    });
    assert!(fault.is_some_and(|text| text.contains("permission denied")));
    lab.world.borrow_mut().refusal = None;
    assert!(lab.run(ms(10_500)));
    assert_eq!(state(&lab, "a"), State::Master);
}

/// An address that cannot be refreshed for its whole lifetime is not there any more.
#[test]
fn an_address_that_cannot_be_kept_ends_the_mastership() {
    let mut lab = master(ONE);
    lab.world.borrow_mut().refusal = Some("no such device".to_owned());
    assert!(lab.run(ms(700)));
    assert_eq!(state(&lab, "a"), State::Master, "one refusal is none yet");
    assert!(lab.run(ms(400)));
    assert_eq!(state(&lab, "a"), State::Initialize);
}

/// Packets nobody wants: timers are judged after every portion, so adverts leave in time.
#[test]
fn a_flood_does_not_delay_adverts() {
    let mut lab = master(ONE);
    let envelope = Envelope::multicast(IpAddr::from([10, 0, 0, 66]));
    let junk = (envelope, vec![0x31, 99, 1, 1, 0, 10, 0, 0]);
    lab.world.borrow_mut().packets = std::iter::repeat_n(junk, 10_000).collect();
    lab.stand_still(ms(100));
    assert!(lab.driver.turn());
    assert_eq!(lab.acts(), ["send 100 of 50"]);
    assert!(
        lab.world.borrow().packets.len() > 9_900,
        "a portion was read"
    );
}

/// Test 11 of the design: resumed after five seconds, it finds its addresses expired and its
/// timers due. It yields before anything leaves it, an ARP announcement included.
#[test]
fn who_stood_still_yields_before_it_says_anything() {
    let mut lab = master(ONE);
    lab.stand_still(ms(5000));
    lab.world
        .borrow_mut()
        .changes
        .push_back(HostChange::AddressGone(HostAddress {
            index: LINK,
            network: "10.0.0.50/32".parse().expect("a network"),
            protocol: 112,
            usable: true,
        }));
    lab.advert("a", 90);
    assert!(lab.driver.turn());
    assert_eq!(state(&lab, "a"), State::Backup);
    assert_eq!(lab.acts(), ["remove 10.0.0.50"]);
}

/// It stood still between ordering its addresses and having them.
#[test]
fn an_order_from_before_a_standstill_is_not_carried_out() {
    let mut lab = Lab::new(ONE);
    lab.world.borrow_mut().stuck = true;
    assert!(lab.run(ms(370)));
    assert_eq!(lab.acts(), ["put 10.0.0.50"]);
    lab.stand_still(ms(5000));
    lab.world.borrow_mut().stuck = false;
    lab.world.borrow_mut().too_late = true;
    assert!(lab.driver.turn());
    assert_eq!(state(&lab, "a"), State::Backup);
    assert_eq!(lab.acts(), ["remove 10.0.0.50"]);
}

#[test]
fn a_stop_hands_over_before_addresses_go() {
    let mut lab = master(ONE);
    lab.driver.stop();
    assert!(lab.run(ms(30)));
    assert_eq!(lab.acts(), ["send 0 of 50"]);
    lab.advert("a", 90);
    assert!(
        lab.run(ms(15)),
        "the successor's own announcement may be under way"
    );
    assert!(!lab.run(ms(10)), "then it ends");
    assert_eq!(lab.acts(), ["remove 10.0.0.50"]);
    // Nobody follows: it waits for the longest skew, and no longer.
    let mut lab = master(ONE);
    let before = lab.ms();
    lab.driver.stop();
    assert!(!lab.run(ms(5000)));
    assert!(
        (190..=210).contains(&(lab.ms() - before)),
        "{}",
        lab.ms() - before
    );
}

/// What a master leaves, and the one after it with the addresses that are still there.
fn restarted(gap: Gap, config: &str, addresses: &[&str]) -> Lab {
    restarted_from(ONE, gap, config, addresses)
}

fn restarted_from(before: &str, gap: Gap, config: &str, addresses: &[&str]) -> Lab {
    let old = master(before);
    let instances: Vec<Left> = old.shared.peek(|node, now| node.estate(now));
    let found = Found { instances, gap };
    Lab::after(config, Some(&found), addresses)
}

fn gap(written: u64, silent: Option<u64>) -> Gap {
    Gap {
        written: ms(written),
        silent: silent.map(ms),
    }
}

/// Left for a successor: the addresses are refreshed, everybody hears of it once more, nothing is
/// taken off.
#[test]
fn leaving_for_a_successor_takes_nothing_off() {
    let mut lab = master(ONE);
    lab.driver.leave();
    assert!(!lab.driver.turn());
    assert_eq!(lab.acts(), ["put 10.0.0.50", "send 100 of 50"]);
}

#[test]
fn a_successor_goes_on_where_the_other_ended() {
    for gap in [gap(150, None), gap(9000, Some(90))] {
        let mut lab = restarted(gap, ONE, &["10.0.0.50/32"]);
        assert_eq!(state(&lab, "a"), State::Master);
        assert!(lab.driver.turn() && lab.driver.turn());
        assert_eq!(lab.acts(), ["put 10.0.0.50", "send 100 of 50"], "{gap:?}");
        let (transitions, sent) = lab.slot("a", |slot| {
            let stats = slot.router.stats();
            (stats.transitions, stats.adverts_sent)
        });
        assert_eq!(transitions, 2, "those of before");
        assert!(sent > 60, "{sent}");
        assert_eq!(lab.shared.peek(|node, _| node.history().iter().count()), 0);
        assert!(lab.run(ms(101)));
        assert_eq!(lab.acts(), ["send 100 of 50"], "{gap:?}: no gratuitous ARP");
    }
}

/// What counts is what was put on the link: a subnet of the host swallows the length.
#[test]
fn an_address_with_a_length_is_known_again() {
    let config = ONE.replace("10.0.0.50", "10.0.0.50/24");
    let lab = restarted_from(&config, gap(20, None), &config, &["10.0.0.50/32"]);
    assert_eq!(state(&lab, "a"), State::Master);
}

/// The members of a group are heirs together, and what the operator ordered stays ordered.
#[test]
fn groups_and_orders_outlive_a_restart() {
    let group = "[[sync-group]]\nname = \"both\"\ninstances = [\"a\", \"b\"]\n";
    let both = format!("{ONE}{TWO}{group}");
    let there = ["10.0.0.50/32", "10.0.0.51/32"];
    let mut lab = restarted_from(&both, gap(20, None), &both, &there);
    assert!(lab.run(ms(500)));
    let states = [state(&lab, "a"), state(&lab, "b")];
    assert_eq!(states, [State::Master; 2]);
    let acts = lab.acts();
    assert!(
        !acts.iter().any(|act| act.starts_with(['t', 'r', 'c'])),
        "{acts:?}"
    );

    let mut old = master(ONE);
    old.shared
        .step(|node, now| node.with_router("a", |router| router.hold(now)));
    assert!(old.run(ms(500)));
    let instances = old.shared.peek(|node, now| node.estate(now));
    let gap = gap(20, None);
    let mut lab = Lab::after(ONE, Some(&Found { instances, gap }), &[]);
    assert!(lab.run(ms(2000)));
    assert_eq!(state(&lab, "a"), State::Initialize);
    assert!(lab.acts().is_empty());
}

/// Too late, addresses that are gone, other settings: it starts as anybody does, and takes off what
/// lies about.
#[test]
fn what_is_doubtful_starts_anew() {
    let there: &[&str] = &["10.0.0.50/32"];
    let other = ONE.replace("100ms", "200ms");
    let cases: [(Gap, &str, &[&str]); 4] = [
        (gap(310, None), ONE, there),
        (gap(9000, Some(250)), ONE, there),
        (gap(20, None), &other, there),
        (gap(20, None), ONE, &[]),
    ];
    for (gap, config, addresses) in cases {
        let mut lab = restarted(gap, config, addresses);
        assert_eq!(state(&lab, "a"), State::Backup, "{gap:?}");
        assert!(lab.driver.turn());
        let wanted: &[&str] = match addresses.is_empty() {
            true => &[],
            false => &["clean 10.0.0.50"],
        };
        assert_eq!(lab.acts(), wanted, "{gap:?}");
    }
}

/// Notifications were lost: a new picture is taken, and one more when it was out of date at once.
#[test]
fn a_picture_that_is_out_of_date_is_taken_again() {
    let mut lab = master(ONE);
    lab.world.borrow_mut().stuck = true;
    lab.world.borrow_mut().changes.push_back(HostChange::Lost);
    assert!(lab.driver.turn());
    assert_eq!(lab.acts(), ["look"]);
    lab.world
        .borrow_mut()
        .changes
        .push_back(HostChange::LinkGone(7));
    assert!(lab.driver.turn());
    lab.world.borrow_mut().stuck = false;
    assert!(lab.driver.turn() && lab.driver.turn());
    assert_eq!(lab.acts(), ["look"]);
    assert_eq!(
        state(&lab, "a"),
        State::Master,
        "our own address is not foreign"
    );
}

/// Routes need the addresses: they come after them and go before them.
#[test]
fn routes_come_after_addresses_and_go_before_them() {
    let routes = "routes = [\"default via 10.0.0.1\", \"10.9.0.0/16 via 10.0.0.1\"]\n";
    let mut lab = Lab::new(&format!("{ONE}{routes}"));
    assert!(lab.run(ms(362)));
    let acts = lab.acts();
    let put = "put routes 0.0.0.0/0 10.9.0.0/16";
    assert_eq!(acts[..2], ["put 10.0.0.50".to_owned(), put.to_owned()]);
    assert!(lab.run(ms(1000)));
    let refreshed = lab.acts().iter().filter(|act| *act == put).count();
    assert_eq!(refreshed, 2);
    lab.driver.stop();
    while lab.run(ms(10)) {}
    let acts = lab.acts();
    let place = |what: &str| acts.iter().position(|act| act.starts_with(what));
    let gone = place("remove routes 0.0.0.0/0 10.9.0.0/16");
    assert!(
        gone.is_some() && gone < place("remove 10.0.0.50"),
        "{acts:?}"
    );
}
