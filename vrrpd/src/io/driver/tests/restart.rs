//! What a restart must not lose: groups, virtual MACs, the silence before it, announcements that
//! were under way, what checks said, and the operator's orders.

use std::time::Duration;

use super::fake::Lab;
use super::{ONE, TWO, gap, master, ms, restarted, state};
use crate::io::estate::Found;
use crate::node::checks::Outcome;
use crate::router::{Gap, State};

const THERE: &[&str] = &["10.0.0.50/32"];

/// What comes after `old`, so much later.
fn after(old: &Lab, gap: Gap, config: &str, addresses: &[&str]) -> Lab {
    let instances = old.shared.peek(|node, now| node.estate(now));
    Lab::after(config, Some(&Found { instances, gap }), addresses)
}

fn sends(acts: &[String]) -> usize {
    acts.iter().filter(|act| act.starts_with("send")).count()
}

/// The links of virtual MACs are found after the start: until the last is, nobody of the group
/// begins, and nobody loses what it holds.
#[test]
fn groups_with_virtual_macs_outlive_a_restart() {
    for (one, two) in [(true, true), (true, false), (false, true)] {
        let mac = |text: &str, own: bool| format!("{text}virtual-mac = {own}\n");
        let there = |text: &str, vrid: u8, own: bool| match own {
            true => format!("{text}@{vrid}"),
            false => text.to_owned(),
        };
        let group = "[[sync-group]]\nname = \"both\"\ninstances = [\"a\", \"b\"]\n";
        let config = format!("{}{}{group}", mac(ONE, one), mac(TWO, two));
        let there = [
            there("10.0.0.50/32", 50, one),
            there("10.0.0.51/32", 51, two),
        ];
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        let mut lab = after(&master(&config), gap(20, None), &config, &there);
        assert!(lab.run(ms(500)));
        let states = [state(&lab, "a"), state(&lab, "b")];
        assert_eq!(states, [State::Master; 2], "{one} {two}");
        let acts = lab.acts();
        assert!(
            !acts.iter().any(|act| act.starts_with(['t', 'r', 'c'])),
            "{one} {two}: {acts:?}"
        );
        assert!(sends(&acts) >= 8, "{acts:?}");
        let transitions = lab.slot("a", |slot| slot.router.stats().transitions);
        assert_eq!(transitions, 2, "those of before");
    }
}

/// A process that ends before its heirs have begun leaves what it found.
#[test]
fn heirs_that_have_not_begun_leave_what_they_found() {
    let config = format!("{ONE}virtual-mac = true\n");
    let there = &["10.0.0.50/32@50"];
    let mut between = after(&master(&config), gap(20, None), &config, there);
    between.world.borrow_mut().stuck = true;
    assert!(between.run(ms(20)));
    assert_eq!(state(&between, "a"), State::Initialize);
    for (last, goes_on) in [
        (gap(20, None), true),
        (gap(20, Some(5)), true),
        (gap(300, Some(5)), false),
    ] {
        let mut lab = after(&between, last, &config, there);
        assert!(lab.run(ms(20)));
        let is_master = state(&lab, "a") == State::Master;
        assert_eq!(is_master, goes_on, "{last:?}");
    }
}

/// The silence is looked at once more when the first advert is due; where it was long, somebody
/// else may have announced the addresses.
#[test]
fn the_silence_counts_until_it_ends() {
    // The last advert was 39 ms before the state was written.
    let mut lab = restarted(gap(230, None), ONE, THERE);
    lab.world.borrow_mut().stuck = true;
    assert!(lab.run(ms(100)), "the refreshment takes its time");
    assert!(sends(&lab.acts()) > 0, "it waits for nothing");
    lab.world.borrow_mut().stuck = false;
    let mut lab = restarted(gap(230, None), ONE, THERE);
    assert!(lab.run(ms(50)));
    assert!(lab.acts().contains(&"tell 10.0.0.50".to_owned()));

    let mut lab = restarted(gap(230, None), ONE, THERE);
    assert_eq!(state(&lab, "a"), State::Master);
    lab.stand_still(ms(40));
    assert!(lab.run(ms(5)));
    assert_eq!(state(&lab, "a"), State::Backup);
    let acts = lab.acts();
    assert_eq!(sends(&acts), 0, "{acts:?}");
    assert!(acts.contains(&"remove 10.0.0.50".to_owned()), "{acts:?}");
}

/// Left for a successor while it took its addresses, or between its announcements.
#[test]
fn announcements_go_on_after_a_restart() {
    for stuck in [true, false] {
        let mut old = Lab::new(ONE);
        assert!(old.run(ms(355)));
        old.world.borrow_mut().stuck = stuck;
        assert!(old.run(ms(30)));
        assert_eq!(state(&old, "a"), State::Master);
        old.driver.leave();
        let mut lab = after(&old, gap(20, None), ONE, THERE);
        assert!(lab.run(ms(5)));
        let acts = lab.acts();
        assert_eq!(state(&lab, "a"), State::Master);
        assert!(sends(&acts) > 0, "{acts:?}");
        assert!(acts.contains(&"tell 10.0.0.50".to_owned()), "{acts:?}");
    }
}

/// An heir is worth what its predecessor was, until its own checks say otherwise.
#[test]
fn checks_stand_as_they_stood() {
    let config = format!("{ONE}track = [{{ file = \"/run/good\", weight = 20 }}]\n");
    let answer = |lab: &Lab, outcome: Outcome| {
        lab.shared.step(|node, now| {
            let check = node.checks().to_run().next().cloned().expect("it has one");
            for _ in 0..check.fall {
                node.check_answered(now, &check, outcome.clone());
            }
        });
    };
    let mut old = Lab::new(&config);
    answer(&old, Outcome::good("exists"));
    assert!(old.run(ms(7000)));
    old.acts();
    assert!(old.run(ms(100)));
    assert_eq!(old.acts(), ["send 120 of 50"]);
    let mut lab = after(&old, gap(20, None), &config, THERE);
    assert!(lab.run(ms(50)));
    assert_eq!(lab.acts(), ["put 10.0.0.50", "send 120 of 50"]);
    answer(&lab, Outcome::bad("is gone"));
    assert!(lab.run(Duration::ZERO));
    assert_eq!(lab.acts(), ["send 100 of 50"]);
    // After a long time nothing is known.
    let mut lab = after(&old, gap(5000, None), &config, THERE);
    assert!(lab.run(ms(500)));
    assert!(lab.acts().contains(&"send 100 of 50".to_owned()));
}

/// Edited and restarted: what was held stays held.
#[test]
fn what_was_held_stays_held_with_another_configuration() {
    let mut old = master(ONE);
    old.shared
        .step(|node, now| node.with_router("a", |router| router.hold(now)));
    assert!(old.run(ms(500)));
    let other = format!("{ONE}priority = 150\n");
    let mut lab = after(&old, gap(20, None), &other, &[]);
    assert!(lab.run(ms(2000)));
    assert_eq!(state(&lab, "a"), State::Initialize);
    assert!(lab.acts().is_empty());
}

/// Routes of heirs stay, and no others.
#[test]
fn routes_of_heirs_stay() {
    let config = format!("{ONE}routes = [\"10.9.0.0/16 via 10.0.0.1\"]\n");
    let mut lab = after(&master(&config), gap(20, None), &config, THERE);
    assert_eq!(lab.acts(), ["leave routes 10.9.0.0/16"]);
    assert!(lab.run(ms(50)));
    let acts = lab.acts();
    assert!(
        !acts.iter().any(|act| act.starts_with("remove")),
        "{acts:?}"
    );
}
