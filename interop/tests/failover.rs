//! The benchmark of virtual addresses, once through at 100 ms, with `wayfare-vrrpd` and keepalived:
//! that the tool still works and sees what there is to see, not how fast anybody is.

use interop::failover::cases::Case;
use interop::failover::figures::Stat;
use interop::failover::ground::Ground;
use interop::failover::pair::{Kind, Pair};
use interop::failover::rounds::{self, Order};
use interop::lab;

#[test]
fn the_tool_sees_who_moves_an_address_without_loss() {
    lab::enter("the_tool_sees_who_moves_an_address_without_loss", |lab| {
        let ground = Ground::new(lab);
        let order = Order {
            cases: vec![Case::Return, Case::Stop, Case::Kill],
            scales: Vec::new(),
            pairs: vec![Pair::of(Kind::Wayfare), Pair::of(Kind::Keepalived)],
            intervals_ms: vec![100],
            runs: 1,
        };
        for outcome in rounds::failover(lab, &ground, &order) {
            for cell in &outcome.cells {
                let name = format!("{} {}", outcome.key, cell.pair.name());
                if cell.samples.is_empty() && cell.discarded > 0 {
                    // A machine that stands still again and again proves nothing about the tool.
                    eprintln!("SKIPPED {name}: {:?}", cell.failure);
                    continue;
                }
                assert!(cell.failure.is_none(), "{name}: {:?}", cell.failure);
                let lost = cell.stat("lost", Stat::Median).expect("measured");
                let gone = cell.stat("gone ms", Stat::Median);
                match (outcome.key.as_str(), cell.pair.better) {
                    ("stop", Kind::Keepalived) => assert!(lost > 20.0, "{name}: {lost} lost"),
                    ("kill", Kind::Keepalived) => assert_eq!(gone, Some(f64::INFINITY), "{name}"),
                    ("kill", _) => assert!(gone.is_some_and(f64::is_finite), "{name}: {gone:?}"),
                    _ => assert!(lost <= 1.0, "{name}: {lost} lost"),
                }
            }
        }
    });
}
