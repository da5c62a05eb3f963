//! Every bad file of `fixtures/config/bad` against what is said about it.
//!
//! The expected text stands beside each file (`router.toml` → `router.txt`) and is read in
//! review; `UPDATE_EXPECT=1` writes it anew. The machine is a made-up one, so the messages do not
//! depend on where the test runs.

use std::path::{Path, PathBuf};

use bgpd::config::{self, Host, HostAddress};

fn host() -> Host {
    let address = |interface: &str, loopback, address: &str| HostAddress {
        interface: interface.to_owned(),
        loopback,
        address: address.parse().expect("an address"),
    };
    Host {
        addresses: vec![
            address("lo", true, "127.0.0.1"),
            address("eth0", false, "10.0.0.11"),
            address("eth0", false, "2001:db8::11"),
        ],
        node_name: "node1".to_owned(),
        cores: 2,
    }
}

fn files(directory: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(directory);
    let entries = std::fs::read_dir(&root).expect("the fixtures are part of the source");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    files.sort();
    assert!(!files.is_empty(), "no fixtures in {}", root.display());
    files
}

/// What is said about `path`, without the directory it happens to be in.
fn said(path: &Path) -> String {
    let text = match config::load(path, &host()) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(faults) => faults.to_string(),
    };
    let directory = format!(
        "{}/",
        path.parent().expect("it is in a directory").display()
    );
    text.replace(&directory, "")
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
fn good_files_are_accepted() {
    for path in files("good") {
        if let Err(faults) = config::load(&path, &host()) {
            panic!("{faults}");
        }
    }
}

#[test]
fn a_missing_file_is_an_error_with_its_name() {
    let faults = config::load(Path::new("/nonexistent/bgpd.toml"), &host()).expect_err("missing");
    assert!(
        faults.to_string().contains("/nonexistent/bgpd.toml"),
        "{faults}"
    );
}
