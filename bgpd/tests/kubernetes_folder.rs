//! A folder of manifests as a source: files that change, break, vanish and are swapped by a link.
#![cfg(feature = "kubernetes")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bgpd::kubernetes::{Origin, Source, SourceConfig};
use cluster::Change;

const PATIENCE: Duration = Duration::from_secs(60);

struct Folder {
    path: PathBuf,
    source: Source,
    runtime: tokio::runtime::Runtime,
}

impl Folder {
    fn start(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        for (name, text) in files {
            fs::write(path.join(name), text).expect("writable");
        }
        let source = Source::start(SourceConfig {
            origin: Origin::parse(&format!("dir://{}", path.display()), None).expect("a path"),
            dialects: vec![cluster::DialectName::Native],
            state_directory: None,
            node: "n1".into(),
            secrets: BTreeSet::new(),
        });
        Self {
            path,
            source: source.expect("a thread"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
        }
    }

    /// Replaces a file as an editor does, by a rename.
    fn write(&self, name: &str, text: &str) {
        let new = self.path.join(".new");
        fs::write(&new, text).expect("writable");
        fs::rename(new, self.path.join(name)).expect("writable");
    }

    /// The next changes, as `+name` and `-name`.
    fn next(&mut self) -> Vec<String> {
        let next = async {
            loop {
                let batch = self.source.next().await.expect("alive");
                if !batch.changes.is_empty() {
                    return batch.changes;
                }
            }
        };
        let next = async { tokio::time::timeout(PATIENCE, next).await };
        let changes = self.runtime.block_on(next).expect("in time");
        let line = |change| match change {
            Change::Put(key, Ok(_)) => format!("+{}", key.name),
            Change::Put(key, Err(fault)) => format!("!{}: {}", key.name, fault.text),
            Change::Remove(key) => format!("-{}", key.name),
        };
        changes.into_iter().map(line).collect()
    }

    fn until_status(&self, what: &str, is_so: impl Fn(&bgpd::kubernetes::Status) -> bool) {
        let looks = async {
            while !is_so(&self.source.status()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let looks = async { tokio::time::timeout(PATIENCE, looks).await };
        let waited = self.runtime.block_on(looks);
        assert!(waited.is_ok(), "never: {what}: {:?}", *self.source.status());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn service(name: &str, label: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, labels: {{l: {label}}}}}\n\
         spec: {{type: ClusterIP, clusterIP: 10.0.51.7}}\n---\n"
    )
}

#[test]
fn files_change_break_heal_and_vanish() {
    let (a, b) = (service("a", "x"), service("b", "x"));
    let mut folder = Folder::start("folder", &[("one.yaml", &a), ("two.yml", &b)]);
    assert_eq!(folder.next(), ["+default/a", "+default/b"]);
    folder.until_status("synced", |status| status.is_synced);

    // A change of one object is one change.
    folder.write("one.yaml", &(service("a", "y") + &service("c", "x")));
    assert_eq!(folder.next(), ["+default/a", "+default/c"]);

    // A broken file keeps what it had and says where; the other goes on.
    folder.write("one.yaml", &(service("a", "z") + "kind: [\n  unclosed"));
    folder.until_status("the fault is said", |status| {
        let first = status.files.first();
        first.is_some_and(|f| f.file.ends_with("one.yaml") && f.line > 4)
    });
    fs::remove_file(folder.path.join("two.yml")).expect("ours");
    assert_eq!(folder.next(), ["-default/b"]);

    folder.write("one.yaml", &service("a", "z"));
    assert_eq!(folder.next(), ["-default/c", "+default/a"]);
    folder.until_status("no fault is left", |status| status.files.is_empty());

    // The folder goes away: an unmounted file system takes nothing out.
    let aside = folder.path.with_extension("aside");
    fs::rename(&folder.path, &aside).expect("ours");
    folder.until_status("trouble", |status| status.trouble.is_some());
    fs::rename(&aside, &folder.path).expect("ours");
    folder.until_status("no trouble", |status| status.trouble.is_none());
    folder.write(
        "three.json",
        "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"}}",
    );
    assert_eq!(folder.next(), ["+n"]);
}

#[test]
fn a_folder_that_is_half_copied_is_not_read_yet() {
    let half = service("b", "x") + "kind: [\n  unclosed";
    let files = [("one.yaml", &*service("a", "x")), ("two.yaml", &*half)];
    let mut folder = Folder::start("half", &files);
    assert_eq!(folder.next(), ["+default/a"], "what is readable counts");
    // Read only when the folder held still, with the other half of the file still missing.
    folder.write("three.yaml", &service("c", "x"));
    assert_eq!(folder.next(), ["+default/c"]);
    folder.write("three.yaml", &service("c", "y"));
    assert_eq!(folder.next(), ["+default/c"]);
    assert!(!folder.source.status().is_synced);
    folder.write("two.yaml", &service("b", "x"));
    assert_eq!(folder.next(), ["+default/b"]);
    folder.until_status("synced", |status| status.is_synced);
}

#[test]
fn a_mounted_config_map_is_swapped_as_a_whole() {
    let mut folder = Folder::start("mount", &[("seed.yaml", &service("seed", "x"))]);
    assert_eq!(folder.next(), ["+default/seed"]);
    let fill = |data: &str, label: &str| {
        let data = folder.path.join(data);
        fs::create_dir(&data).expect("ours");
        fs::write(data.join("a.yaml"), service("a", label)).expect("writable");
        fs::write(data.join("b.yaml"), service("b", label)).expect("writable");
    };
    // As the kubelet does it: files are links through `..data`, which a rename replaces.
    let link = |data: &str| {
        let new = folder.path.join("..data_tmp");
        std::os::unix::fs::symlink(data, &new).expect("ours");
        fs::rename(new, folder.path.join("..data")).expect("ours");
    };
    fill("..2026_1", "x");
    link("..2026_1");
    for name in ["a.yaml", "b.yaml"] {
        let target = PathBuf::from("..data").join(name);
        std::os::unix::fs::symlink(target, folder.path.join(name)).expect("ours");
    }
    fill("..2026_2", "y");
    link("..2026_2");
    fs::remove_dir_all(folder.path.join("..2026_1")).expect("ours");
    let mut seen = folder.next();
    while seen.len() < 2 {
        seen.extend(folder.next());
    }
    assert_eq!(seen[..2], ["+default/a", "+default/b"]);
    assert!(folder.source.status().files.is_empty());
}

#[test]
fn an_object_in_two_files_and_one_that_cannot_be_read_are_said() {
    let broken = "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\n\
                  spec: {type: ClusterIP, clusterIP: 300.0.0.1}\n";
    let files = [
        ("a.yaml", service("a", "x")),
        ("b.yaml", service("a", "y")),
        ("c.yaml", broken.to_owned()),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let mut folder = Folder::start("twice", &files);
    let seen = folder.next();
    assert_eq!(seen[0], "+default/a");
    assert!(seen[1].starts_with("!default/bad: "), "{seen:?}");
    folder.until_status("synced", |status| status.is_synced);
    let status = folder.source.status();
    assert!(
        status.files[0].text.starts_with("default/a is in "),
        "{:?}",
        status.files
    );
    assert!(status.quarantine.contains_key("Service default/bad"));
}
