//! Every file of `fixtures/config` against what is said about it, and what a reload would change.
//!
//! The expected text stands beside each bad file (`instance.toml` → `instance.txt`) and is read in
//! review; `UPDATE_EXPECT=1` writes it anew.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use vrrpd::config::{self, Config, Impact, Place, Plan};

fn files(directory: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(directory);
    let entries = std::fs::read_dir(&root).expect("the fixtures are part of the source");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no fixtures in {}", root.display());
    files
}

/// What is said about `path`, without the directory it happens to be in.
fn said(path: &Path) -> String {
    let text = match config::load(path) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(faults) => faults.to_string(),
    };
    let directory = path.parent().expect("it is in a directory").display();
    text.replace(&format!("{directory}/"), "")
}

#[test]
fn every_fault_is_named_with_its_place_and_its_cure() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for path in files("bad") {
        let expected = path.with_extension("txt");
        let said = said(&path);
        if update {
            std::fs::write(&expected, &said).expect("the source tree is writable");
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("--- {} now says\n{said}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nUPDATE_EXPECT=1 accepts this",
        wrong.join("\n")
    );
}

#[test]
fn good_files_are_accepted_without_a_word() {
    for path in files("good") {
        match config::load(&path) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
            Err(faults) => panic!("{faults}"),
        }
    }
}

#[test]
fn the_example_that_is_shipped_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/vrrpd.toml");
    match config::load(&path) {
        Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
        Err(faults) => panic!("{faults}"),
    }
}

/// At most 2.0 on systemd's scale, where 10 is root with everything; and what virtual MACs read of
/// `/proc/sys` is there all the same.
#[test]
fn the_unit_stays_hardened() {
    let name = "the_unit_stays_hardened";
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/wayfare-vrrpd.service");
    let text = std::fs::read_to_string(&unit).expect("it is part of the source");
    assert!(!text.lines().any(|line| line.starts_with("ProcSubset=pid")));
    let mut command = std::process::Command::new("systemd-analyze");
    command
        .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
        .arg(&unit);
    match command.output() {
        Err(error) => eprintln!("SKIPPED {name}: systemd-analyze: {error}"),
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("nrecognized option") => {
            eprintln!("SKIPPED {name}: this systemd-analyze has no --offline");
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}");
        }
    }
}

/// Asks each table for its keys by offering one nobody knows.
#[test]
fn every_key_is_in_the_reference() {
    let text = "[[instance]]\nzzzzzzzzzzzz = 1\n\
                track = [{ tcp = \"127.0.0.1:1\", zzzzzzzzzzzz = 1 }]\n\
                [[sync-group]]\nzzzzzzzzzzzz = 1\n[metrics]\nzzzzzzzzzzzz = 1\n";
    let faults = config::parse("vrrpd.toml", text).expect_err("unknown keys");
    let lists = faults
        .list()
        .iter()
        .filter_map(|fault| fault.cure.strip_prefix("known here: "));
    let keys: Vec<&str> = lists.flat_map(|list| list.split(", ")).collect();
    assert!(keys.len() >= 18, "{keys:?}");
    for one in ["virtual-mac", "instances", "insecure", "listen"] {
        assert!(keys.contains(&one), "{one}: each table is asked: {keys:?}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vrrp.md");
    let reference = std::fs::read_to_string(path).expect("docs/vrrp.md");
    let missing: Vec<_> = keys
        .into_iter()
        .filter(|key| !reference.contains(&format!("`{key}")))
        .collect();
    assert!(missing.is_empty(), "not in docs/vrrp.md: {missing:?}");
}

/// A length of nothing is a route to everywhere.
#[test]
fn an_address_is_in_a_subnet() {
    for address in ["10.0.50.20/0", "fe80::20/0"] {
        let text = format!("[[instance]]\nname = \"a\"\naddresses = [\"{address}\"]\n");
        let faults = config::parse("vrrpd.toml", &text).expect_err("no subnet");
        let wanted = format!("{address} is in no subnet");
        assert!(faults.to_string().contains(&wanted), "{faults}");
    }
}

/// Who is told of a group's states is part of what a reload changes.
#[test]
fn another_program_of_a_group_is_in_the_plan() {
    let text = |notify: &str| {
        parsed(&format!(
            "[[instance]]\nname = \"a\"\naddresses = [\"10.0.50.20\"]\n\
             [[instance]]\nname = \"b\"\naddresses = [\"10.0.51.20\"]\n\
             [[sync-group]]\nname = \"edge\"\ninstances = [\"a\", \"b\"]\n{notify}"
        ))
    };
    let plan = Plan::between(&text(""), &text("notify = \"/bin/true\"\n"));
    let [change] = plan.changes.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!(
        (change.instance.as_str(), change.impact),
        ("edge", Impact::Hitless)
    );
    assert_eq!(change.what, "notify nobody -> /bin/true");
}

/// A program that runs with the daemon's rights is nobody else's to change.
#[test]
fn programs_that_others_may_change_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("notify");
    let open = directory.join("open");
    std::fs::create_dir_all(&open).expect("writable");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).expect("ours");
    // Of an earlier run; whoever gave it away may not write it again.
    drop(std::fs::remove_file(directory.join("foreign")));
    for (name, mode, said) in [
        ("good", 0o755, None),
        ("group", 0o775, Some("its group may change")),
        ("others", 0o757, Some("anybody may change what would run")),
        ("text", 0o644, Some("is no program")),
        ("link", 0o755, None),
        (
            "open/link",
            0o755,
            Some("anybody may change what would run"),
        ),
        (
            "foreign",
            0o755,
            Some("user 4242 may change what would run"),
        ),
    ] {
        let path = directory.join(name);
        match name.ends_with("link") {
            true => drop(std::os::unix::fs::symlink(directory.join("good"), &path)),
            false => {
                std::fs::write(&path, "#!/bin/sh\n").expect("writable");
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            }
        }
        if name == "foreign" && std::os::unix::fs::chown(&path, Some(4242), None).is_err() {
            eprintln!("SKIPPED the program of another user: only root may give one away");
            continue;
        }
        let text = format!(
            "[[instance]]\nname = \"a\"\naddresses = [\"10.0.50.20\"]\nnotify = \"{}\"\n",
            path.display()
        );
        let told = match config::parse("vrrpd.toml", &text) {
            Ok(loaded) => loaded.warnings,
            Err(faults) => faults,
        };
        match said {
            Some(said) => assert!(told.to_string().contains(said), "{name}: {told}"),
            None => assert!(told.is_empty(), "{name}: {told}"),
        }
    }
}

fn parsed(text: &str) -> Config {
    match config::parse("vrrpd.toml", text) {
        Ok(loaded) => loaded.config,
        Err(faults) => panic!("{faults}"),
    }
}

/// The seed of the control-plane address: three lines, everything else derived.
#[test]
fn three_lines_are_enough() {
    let config = parsed("[[instance]]\nname = \"cp\"\naddresses = [\"10.0.50.20\"]\n");
    let one = &config.instances[0];
    assert_eq!(one.place, Place::RouteTo([10, 0, 50, 20].into()));
    assert_eq!((one.settings.vrid, one.settings.priority), (20, 100));
    assert_eq!(one.settings.interval, Duration::from_secs(1));
    assert_eq!(one.networks[0].to_string(), "10.0.50.20/32");
}

/// Every interface has the subnet of a link-local address: the first other one shows the place.
#[test]
fn a_link_local_address_shows_no_interface() {
    let config =
        parsed("[[instance]]\nname = \"six\"\naddresses = [\"fe80::50\", \"2001:db8::50/64\"]\n");
    let towards = "2001:db8::50".parse().expect("an address");
    assert_eq!(config.instances[0].place, Place::RouteTo(towards));
}

#[test]
fn a_reload_is_planned_by_difference() {
    let two = |priority: u8, vrid: u8| {
        format!(
            "[[instance]]\nname = \"a\"\naddresses = [\"10.0.0.50\"]\npriority = {priority}\n\
             [[instance]]\nname = \"b\"\naddresses = [\"10.0.0.51\"]\nvrid = {vrid}\n"
        )
    };
    let one = "[[instance]]\nname = \"a\"\naddresses = [\"10.0.0.50\"]\npriority = 100\n";
    let said = |old: &str, new: &str| {
        let plan = Plan::between(&parsed(old), &parsed(new));
        let line = |it: config::Change| (it.instance, it.what, it.impact);
        plan.changes.into_iter().map(line).collect::<Vec<_>>()
    };
    let row = |name: &str, what: &str, impact| (name.to_owned(), what.to_owned(), impact);
    assert_eq!(said(one, one), []);
    assert_eq!(
        said(one, &two(100, 7)),
        [row("b", "is added", Impact::Hitless)]
    );
    assert_eq!(
        said(&two(100, 7), one),
        [row("b", "is removed: it hands over", Impact::Restart)]
    );
    assert_eq!(
        said(&two(100, 7), &two(120, 7)),
        [row("a", "priority 100 -> 120", Impact::MayElect)]
    );
    let other = said(&two(100, 7), &two(100, 8));
    assert_eq!(other[0].2, Impact::Restart);
    assert!(other[0].1.contains("vrid 7"), "{other:?}");
}

/// Which rows of an instance may end in an election, and which cannot.
#[test]
fn what_may_elect_is_told_from_what_cannot() {
    let impact = |version: u8, old: &str, new: &str| {
        let text = |more: &str| {
            format!(
                "[[instance]]\nname = \"a\"\nversion = {version}\n{}\n",
                if more.contains("addresses") {
                    more.to_owned()
                } else {
                    format!("addresses = [\"10.0.0.50\"]\n{more}")
                }
            )
        };
        let plan = Plan::between(&parsed(&text(old)), &parsed(&text(new)));
        let impacts: Vec<Impact> = plan.changes.iter().map(|one| one.impact).collect();
        assert_eq!(impacts.len(), 1, "{old} -> {new}: {:?}", plan.changes);
        impacts[0]
    };
    let cannot = [
        (3, "", "advertise-interval = \"100ms\""),
        (3, "preempt = true", "preempt = false"),
        (3, "", "preempt-delay = \"5s\""),
        (3, "", "start-delay = \"5s\""),
        (3, "", "addresses = [\"10.0.0.50\", \"10.0.0.51\"]"),
        (2, "", "addresses = [\"10.0.0.50/24\"]"),
        (
            3,
            "unicast-peers = [\"10.0.0.2\"]",
            "unicast-peers = [\"10.0.0.2\", \"10.0.0.3\"]",
        ),
    ];
    for (version, old, new) in cannot {
        assert_eq!(impact(version, old, new), Impact::Hitless, "{old} -> {new}");
    }
    let may = [
        (3, "", "priority = 90"),
        (3, "preempt = false", "preempt = true"),
        (2, "", "advertise-interval = \"2s\""),
        (2, "", "addresses = [\"10.0.0.50\", \"10.0.0.51\"]"),
        (3, "", "checksum = \"rfc9568\""),
        (3, "", "unicast-peers = [\"10.0.0.2\"]"),
        (3, "unicast-peers = [\"10.0.0.2\"]", ""),
    ];
    for (version, old, new) in may {
        assert_eq!(
            impact(version, old, new),
            Impact::MayElect,
            "{old} -> {new}"
        );
    }
}

#[test]
fn metrics_are_served_where_the_file_says() {
    let at = |text: &str| parsed(text).metrics.map(|at| at.to_string());
    assert_eq!(at(""), None);
    assert_eq!(at("[metrics]\n").as_deref(), Some("127.0.0.1:9342"));
    let other = "[metrics]\nlisten = \"[::1]:9000\"\n";
    assert_eq!(at(other).as_deref(), Some("[::1]:9000"));
    let plan = Plan::between(&parsed(""), &parsed(other));
    assert_eq!(plan.changes[0].what, "listen none -> [::1]:9000");
    assert_eq!(plan.changes[0].impact, Impact::Hitless);
}

proptest! {
    /// Any text gets a verdict.
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        let _ = config::parse("vrrpd.toml", &text);
    }

    /// Neither does a good file that is cut and patched.
    #[test]
    fn a_damaged_file_gets_a_verdict(
        cut in any::<prop::sample::Index>(),
        junk in "[\\[\\]\"=,a-z0-9\n.:/-]{0,12}",
    ) {
        let path = &files("good")[0];
        let text = std::fs::read_to_string(path).expect("a fixture");
        let at = cut.index(text.len());
        let (before, after) = text.split_at(at);
        if let Err(faults) = config::parse("vrrpd.toml", &format!("{before}{junk}{after}")) {
            prop_assert!(!faults.to_string().is_empty());
        }
    }
}
