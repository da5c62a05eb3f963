//! Pools in action: use and release, aggregates that come and go with their addresses, pools that
//! change under addresses in use, and what a restart finds again. The sources are looked at as
//! the RIB would: prefix, discard flag, and the object an operator is shown.

use super::*;
use crate::config::{AddressRange, RouteMarks};

fn addr(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn pool(name: &str, runs: &[(&str, &str)], lengths: (u8, u8)) -> Pool {
    let run = |(first, last): &(&str, &str)| AddressRange {
        first: addr(first),
        last: addr(last),
    };
    Pool {
        name: name.to_owned(),
        ranges: runs.iter().map(run).collect(),
        aggregation_length: lengths.0,
        aggregation_length_v6: lengths.1,
        advertise: PoolAdvertise::InUse,
        marks: RouteMarks {
            local_pref: Some(150),
            ..RouteMarks::default()
        },
    }
}

fn routes(book: &PoolBook) -> Vec<(String, bool, String)> {
    let sources = book.sources();
    let all = sources.into_iter().flat_map(|source| source.routes);
    all.map(|route| (route.prefix.to_string(), route.discard, route.object))
        .collect()
}

fn route(prefix: &str, discard: bool, object: &str) -> (String, bool, String) {
    (prefix.to_owned(), discard, object.to_owned())
}

#[test]
fn an_address_in_use_is_announced_and_a_released_one_is_not() {
    let mut book = PoolBook::new(&[pool("web", &[("10.0.50.25", "10.0.50.50")], (32, 128))]);
    assert!(routes(&book).is_empty());
    assert_eq!(book.use_address(addr("10.0.50.25")), Ok("web"));
    assert_eq!(routes(&book), [route("10.0.50.25/32", false, "10.0.50.25")]);
    assert_eq!(book.sources()[0].name, "pool:web");
    assert_eq!(book.sources()[0].routes[0].marks.local_pref, Some(150));
    assert_eq!(book.release(addr("10.0.50.25")), Ok("web"));
    assert!(routes(&book).is_empty());
}

#[test]
fn errors_say_which_pool_and_change_nothing() {
    let web = pool("web", &[("10.0.50.25", "10.0.50.50")], (32, 128));
    let mut book = PoolBook::new(&[web]);
    let outside = book
        .use_address(addr("10.0.50.51"))
        .expect_err("not in the pool");
    assert_eq!(
        outside.to_string(),
        "10.0.50.51 is in no pool; there are: web"
    );
    let unused = book.release(addr("10.0.50.30")).expect_err("not in use");
    assert_eq!(unused.to_string(), "10.0.50.30 of pool web is not in use");
    assert_eq!(book.use_address(addr("10.0.50.30")), Ok("web"));
    let twice = book.use_address(addr("10.0.50.30")).expect_err("in use");
    assert_eq!(
        twice.to_string(),
        "10.0.50.30 of pool web is in use already"
    );
    assert_eq!(book.state().in_use, [addr("10.0.50.30")]);
    let none = PoolBook::new(&[])
        .use_address(addr("10.0.0.1"))
        .expect_err("no pools");
    assert_eq!(
        none.to_string(),
        "10.0.0.1 is in no pool: the configuration has no [[pool]]"
    );
}

#[test]
fn an_aggregate_is_announced_once_and_goes_with_its_last_address() {
    let runs = [
        ("172.40.100.0", "172.40.101.255"),
        ("2001:db8::", "2001:db8::ffff"),
    ];
    let mut book = PoolBook::new(&[pool("web", &runs, (24, 120))]);
    for text in [
        "172.40.100.1",
        "172.40.100.9",
        "172.40.101.7",
        "2001:db8::1f",
    ] {
        book.use_address(addr(text)).expect("in the pool");
    }
    assert_eq!(
        routes(&book),
        [
            route("172.40.100.0/24", false, "172.40.100.1 and 1 more"),
            route("172.40.101.0/24", false, "172.40.101.7"),
            route("2001:db8::/120", false, "2001:db8::1f"),
        ]
    );
    book.release(addr("172.40.100.1")).expect("in use");
    assert_eq!(
        routes(&book)[0],
        route("172.40.100.0/24", false, "172.40.100.9")
    );
    book.release(addr("172.40.100.9")).expect("in use");
    assert_eq!(routes(&book)[0].0, "172.40.101.0/24");
}

#[test]
fn always_announces_the_whole_pool_in_the_fewest_prefixes() {
    let mut whole = pool("all", &[("10.0.50.48", "10.0.50.50")], (32, 128));
    whole.advertise = PoolAdvertise::Always;
    let mut book = PoolBook::new(&[whole]);
    let expected = [
        route("10.0.50.48/31", false, "whole pool"),
        route("10.0.50.50/32", false, "whole pool"),
    ];
    assert_eq!(routes(&book), expected);
    book.use_address(addr("10.0.50.48")).expect("in the pool");
    assert_eq!(routes(&book), expected);
}

#[test]
fn changed_pools_keep_what_they_still_hold_and_name_the_rest() {
    let old = pool("web", &[("10.0.50.25", "10.0.50.50")], (32, 128));
    let new = pool("shop", &[("10.0.50.25", "10.0.50.29")], (32, 128));
    let mut book = PoolBook::new(&[old]);
    for text in ["10.0.50.25", "10.0.50.40"] {
        book.use_address(addr(text)).expect("in the pool");
    }
    assert_eq!(
        book.orphans(std::slice::from_ref(&new)),
        [addr("10.0.50.40")]
    );
    assert_eq!(book.state().in_use.len(), 2, "asking changes nothing");
    assert_eq!(book.reconfigure(&[new]), [addr("10.0.50.40")]);
    assert_eq!(routes(&book), [route("10.0.50.25/32", false, "10.0.50.25")]);
    assert_eq!(book.sources()[0].name, "pool:shop");
}

#[test]
fn a_restart_restores_what_pools_still_hold() {
    let web = pool("web", &[("10.0.50.25", "10.0.50.50")], (32, 128));
    let mut book = PoolBook::new(&[web]);
    let state = PoolState {
        in_use: vec![addr("10.0.50.25"), addr("10.99.0.1")],
    };
    assert_eq!(book.restore(&state), [addr("10.99.0.1")]);
    assert_eq!(book.state().in_use, [addr("10.0.50.25")]);
}

#[test]
fn a_pool_knows_its_size() {
    let runs = [("10.0.50.25", "10.0.50.50"), ("2001:db8::", "2001:db8::ff")];
    let book = PoolBook::new(&[pool("web", &runs, (32, 128))]);
    assert_eq!(
        book.status().map(|status| status.size).collect::<Vec<_>>(),
        [26 + 256]
    );
}
