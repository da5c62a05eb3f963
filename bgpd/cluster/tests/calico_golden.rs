//! Calico's own cases: our peers, filters and routes against the BIRD configuration it expects.
//!
//! The data beside the checkout (`WAYFARE_SHARED`) hold objects and, for each case, the files that
//! Calico writes for BIRD from them. Both sides are brought to one form: sessions are compared
//! field by field; what starts here is run through BIRD's export filter and through our policy;
//! learned routes are made up around every prefix, preference, community and path that a case
//! mentions and run through import, export and the kernel's filter of both sides.
//!
//! Where we differ on purpose the difference is named here, with its reason, and expected: a
//! difference that goes away is as much a failure as a new one. Without the data each case is
//! skipped by its name.

mod bird;
mod golden;

use golden::{CASES, Case, Scene};

/// Differences that are printed.
const SHOWN: usize = 40;

#[test]
fn every_case_says_what_birds_configuration_does() {
    let Some(root) = golden::data() else { return };
    let mut probes = 0;
    let mut wrong = Vec::new();
    for case in CASES {
        let scene = Scene::read(&root, case);
        let differences = scene.differences(&mut probes);
        let named = |one: &String| case.differs.iter().any(|(what, _)| one.contains(what));
        let surprises = differences.iter().filter(|one| !named(one));
        wrong.extend(surprises.map(|one| format!("{}: {one}", case.name)));
        for (what, why) in case.differs {
            if differences.iter().all(|one| !one.contains(what)) {
                wrong.push(format!("{}: no longer differs: {what} ({why})", case.name));
            }
        }
    }
    eprintln!("{} cases, {probes} routes compared", CASES.len());
    let first: Vec<&String> = wrong.iter().take(SHOWN).collect();
    assert!(wrong.is_empty(), "{} differences: {first:#?}", wrong.len());
    assert!(
        probes > 10_000,
        "{probes} routes are too few to show anything"
    );
}

/// A new case in the data must not go unseen.
#[test]
fn every_golden_directory_is_a_case_or_named() {
    let Some(root) = golden::data() else { return };
    let mut found = golden::directories(&root.join("compiled_templates"));
    found.sort();
    let known = |name: &String| {
        CASES.iter().any(|case| case.name == name)
            || golden::WITHOUT_INPUT.iter().any(|(known, _)| known == name)
    };
    let unknown: Vec<&String> = found.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let missing = |case: &&Case| !found.iter().any(|name| case.name == name);
    let missing: Vec<&str> = CASES.iter().filter(missing).map(|case| case.name).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Objects of every case are read, those without an expected configuration too.
#[test]
fn every_input_is_read_without_a_fault() {
    let Some(root) = golden::data() else { return };
    for name in golden::inputs(&root.join("mock_data/calicoctl")) {
        let text = std::fs::read_to_string(&name).unwrap();
        for (_, object) in golden::objects(&text) {
            assert!(object.is_ok(), "{}: {object:?}", name.display());
        }
    }
}
