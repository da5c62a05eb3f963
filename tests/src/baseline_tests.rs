//! The instruction gate must be able to fail, and must say where.

use super::*;

fn profile(total: u64, functions: &[(&str, u64, u64)]) -> Profile {
    let functions = functions
        .iter()
        .map(|(name, inclusive, own)| {
            let (own, inclusive) = (*own, *inclusive);
            ((*name).to_owned(), Cost { own, inclusive })
        })
        .collect();
    Profile { total, functions }
}

fn baseline() -> Baseline {
    let s1 = profile(
        1_000,
        &[
            ("main", 1_000, 0),
            ("insert", 600, 600),
            ("encode", 400, 395),
            ("rare", 5, 5),
        ],
    );
    Baseline {
        made_with: "rustc 1, valgrind 1".to_owned(),
        scenarios: [("s1".to_owned(), s1)].into(),
    }
}

/// The same with another total, all of the difference in `insert`.
fn doctored(total: u64) -> Baseline {
    let mut now = baseline();
    let s1 = now.scenarios.get_mut("s1").expect("it is there");
    let insert = total - 400;
    s1.total = total;
    for (name, own, inclusive) in [("insert", insert, insert), ("main", 0, total)] {
        s1.functions
            .insert(name.to_owned(), Cost { own, inclusive });
    }
    now
}

#[test]
fn a_doctored_total_fails_and_names_the_function() {
    let (text, passes) = baseline().compare(&doctored(1_101));
    assert!(!passes, "{text}");
    assert!(text.contains("TOO MUCH"), "{text}");
    let row = text
        .lines()
        .find(|line| line.ends_with("  insert"))
        .expect("a row");
    assert!(row.contains("+10.1"), "{row}");
    assert!(!text.contains("  encode"), "what did not grow is not shown");
    assert!(
        !text.contains("  main"),
        "what calls everything is not shown"
    );
}

#[test]
fn ten_percent_and_less_pass() {
    assert!(baseline().compare(&doctored(1_100)).1);
    assert!(baseline().compare(&doctored(1_000)).1);
}

#[test]
fn a_great_saving_passes_and_asks_to_be_kept() {
    let (text, passes) = baseline().compare(&doctored(800));
    assert!(passes);
    assert!(text.contains("BLESS=1 keeps it"), "{text}");
}

#[test]
fn a_scenario_without_a_baseline_or_without_a_run_fails() {
    let mut more = baseline();
    more.scenarios.insert("s9".to_owned(), profile(7, &[]));
    assert!(!baseline().compare(&more).1);
    assert!(!more.compare(&baseline()).1);
}

#[test]
fn the_file_reads_back_without_what_is_too_small_to_matter() {
    let text = baseline().to_text();
    let mut expected = baseline();
    let s1 = expected.scenarios.get_mut("s1").expect("it is there");
    s1.functions.remove("rare");
    s1.functions.remove("main");
    assert_eq!(Baseline::parse(&text).expect("our own text"), expected);
    assert!(Baseline::parse("scenario s1 many").is_err());
    assert!(Baseline::parse("12 12 before::any::scenario").is_err());
}

#[test]
fn the_committed_baseline_reads_and_has_every_scenario_that_is_run() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).expect(path);
    let committed = Baseline::parse(&read("rib/benches/baseline.txt")).expect("our own text");
    assert!(committed.compare(&committed).1);
    let script = read(".ci/bench-check");
    let run = script
        .lines()
        .find_map(|line| line.strip_prefix("for scenario in ")?.strip_suffix("; do"))
        .expect("the loop over scenarios");
    let mut run: Vec<&str> = run.split(' ').collect();
    run.sort_unstable();
    let have: Vec<&str> = committed.scenarios.keys().map(String::as_str).collect();
    assert_eq!(have, run);
}
