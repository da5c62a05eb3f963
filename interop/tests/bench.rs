//! The benchmark at one percent of its size, with `wayfare-bgpd` and BIRD 3: that the tool still
//! works, not how fast anybody is.

use std::time::Duration;

use interop::lab;
use interop::load::daemon::Daemon;
use interop::load::ground::Ground;
use interop::load::{catalog, runner};

#[test]
fn every_shape_runs_at_one_percent() {
    lab::enter("every_shape_runs_at_one_percent", |lab| {
        let ground = Ground::new(lab, Duration::from_secs(20));
        let daemons = [Daemon::Wayfare(None), Daemon::Bird3];
        for key in ["s1", "s2", "s3", "s4-500", "s5"] {
            let shape = catalog::build(key, 1).expect("a key of the catalog");
            let outcome = runner::run(shape.as_ref(), &daemons, 1, &ground);
            for cell in &outcome.cells {
                let name = cell.daemon.name();
                assert!(cell.failure.is_none(), "{key} {name}: {:?}", cell.failure);
                assert_eq!(cell.samples.len(), 1, "{key} {name}");
            }
        }
    });
}
