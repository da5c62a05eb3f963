//! What is shipped beside the daemon agrees with it: the example file, the reference, the unit.
//!
//! The keys are not listed here a second time: the reader itself is asked for them, by offering
//! each table a key that nobody knows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use bgpd::config::{self, Host, HostAddress};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn host() -> Host {
    let address = "10.0.0.11".parse().expect("address");
    let address = HostAddress {
        interface: "eth0".to_owned(),
        loopback: false,
        address,
    };
    Host {
        addresses: vec![address],
        node_name: "node1".to_owned(),
        cores: 1,
    }
}

#[test]
fn the_shipped_example_is_good_and_without_a_warning() {
    match config::load(&root("packaging/bgpd.toml"), &host()) {
        Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
        Err(faults) => panic!("{faults}"),
    }
}

/// Asks each table for its keys by offering one nobody knows.
#[test]
fn every_key_is_in_the_reference() {
    let text = r#"
zzzzzzzzzzzz = 1
router.zzzzzzzzzzzz = 1
kernel.zzzzzzzzzzzz = 1
mesh.zzzzzzzzzzzz = 1
kubernetes.zzzzzzzzzzzz = 1
metrics.zzzzzzzzzzzz = 1
engine.zzzzzzzzzzzz = 1
neighbor = { zzzzzzzzzzzz = 1 }
listen-range = { zzzzzzzzzzzz = 1 }
advertise = { zzzzzzzzzzzz = 1 }
pool = { zzzzzzzzzzzz = 1 }
policy = { zzzzzzzzzzzz = 1, rules = [
  { zzzzzzzzzzzz = 1, match = { zzzzzzzzzzzz = 1 }, set = { zzzzzzzzzzzz = 1 } },
] }
"#;
    let faults = config::parse("bgpd.toml", text, &host()).expect_err("unknown keys");
    let lists = faults
        .list()
        .iter()
        .filter_map(|fault| fault.cure.strip_prefix("known here: "));
    let keys: BTreeSet<&str> = lists.flat_map(|list| list.split(", ")).collect();
    assert!(keys.len() > 70, "{keys:?}");
    let reference = std::fs::read_to_string(root("docs/config.md")).expect("docs/config.md");
    let named = |key: &str| {
        [format!("`{key}`"), format!("[{key}]")]
            .iter()
            .any(|form| reference.contains(form))
    };
    let missing: Vec<_> = keys.into_iter().filter(|key| !named(key)).collect();
    assert!(missing.is_empty(), "not in docs/config.md: {missing:?}");
}

/// The unit keeps what it gained: at most 2.0 on systemd's scale, where 10 is root with everything.
#[test]
fn the_unit_stays_hardened() {
    let name = "the_unit_stays_hardened";
    let unit = root("packaging/wayfare-bgpd.service");
    let mut command = Command::new("systemd-analyze");
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
            let verdict = text.lines().last().unwrap_or_default();
            assert!(output.status.success(), "{verdict}\n{text}");
        }
    }
}
