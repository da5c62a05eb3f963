//! What is written is read, whatever happens to the file in between.

use cluster::object::Kind;

use super::*;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(name: &str) -> Key {
    Key {
        kind: Kind::Service,
        name: ObjectName::new("default", name),
    }
}

fn json(name: &str, port: usize) -> Vec<u8> {
    format!("{{\"metadata\":{{\"namespace\":\"default\",\"name\":\"{name}\"}},\"port\":{port}}}")
        .into_bytes()
}

/// What a new store finds: the last word on each name.
fn found(folder: &Folder) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut store = Store::at(&folder.0, None);
    store
        .load(|key, json| {
            let name = key.name.name.to_string();
            match json {
                Some(json) => found.insert(name, String::from_utf8_lossy(json).into_owned()),
                None => found.remove(&name),
            };
        })
        .expect("readable");
    assert_eq!(store.extent().0, found.len());
    found
}

#[test]
fn what_was_put_is_found_and_what_was_removed_is_not() {
    let folder = Folder::new("store-found");
    assert!(found(&folder).is_empty());
    let mut store = Store::at(&folder.0, None);
    store.load(|_, _| {}).expect("nothing is fine");
    store.put(&key("a"), &json("a", 1));
    store.put(&key("b"), &json("b", 1));
    store.write().expect("writable");
    store.put(&key("a"), &json("a", 2));
    store.remove(&key("b"));
    store.write().expect("writable");
    let mode = fs::metadata(store.path()).expect("there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let found = found(&folder);
    assert_eq!(found.len(), 1);
    assert_eq!(found["a"].as_bytes(), json("a", 2));
}

#[test]
fn a_file_that_was_cut_anywhere_gives_what_came_before_and_goes_on() {
    let folder = Folder::new("store-cut");
    let mut store = Store::at(&folder.0, None);
    for name in ["a", "b", "c"] {
        store.put(&key(name), &json(name, 1));
    }
    store.write().expect("writable");
    let whole = fs::read(store.path()).expect("there");
    let header = whole.iter().position(|b| *b == b'\n').expect("a line") + 1;
    for length in header..=whole.len() {
        fs::write(store.path(), &whole[..length]).expect("writable");
        let ends = whole[header..length]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        assert_eq!(found(&folder).len(), ends, "cut at {length}");
        // What is appended after the cut is found too.
        let mut next = Store::at(&folder.0, None);
        next.load(|_, _| {}).expect("readable");
        next.put(&key("z"), &json("z", 1));
        next.write().expect("writable");
        assert_eq!(found(&folder).len(), ends + 1, "cut at {length}");
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_said_and_replaced() {
    let folder = Folder::new("store-foreign");
    for text in ["", "{}\n", "{\"wayfare-cluster-snapshot\":9}\n", "\u{0}\n"] {
        let mut store = Store::at(&folder.0, None);
        fs::write(store.path(), text).expect("writable");
        store
            .load(|_, _| panic!("nothing is in it"))
            .expect_err(text);
        store.put(&key("a"), &json("a", 1));
        store.write().expect("writable");
        assert_eq!(found(&folder).len(), 1);
    }
}

#[test]
fn the_file_stays_small_however_often_objects_change() {
    let folder = Folder::new("store-small");
    let mut store = Store::at(&folder.0, None);
    let pad = "x".repeat(10_000);
    for round in 0..300 {
        for name in ["a", "b"] {
            let json = format!(
                "{{\"metadata\":{{\"namespace\":\"default\",\"name\":\"{name}\"}},\
                 \"pad\":\"{pad}\",\"round\":{round}}}"
            );
            store.put(&key(name), json.as_bytes());
        }
        store.write().expect("writable");
        assert!(store.extent().1 < 2 * SLACK, "{:?}", store.extent());
    }
    let found = found(&folder);
    assert_eq!(found.len(), 2);
    assert!(found.values().all(|json| json.contains("\"round\":299")));
}

#[test]
fn a_disk_that_fails_keeps_what_is_pending_and_works_again() {
    let folder = Folder::new("store-fails");
    let missing = folder.0.join("later");
    let mut store = Store::at(&missing, None);
    store.put(&key("a"), &json("a", 1));
    store.write().expect_err("no such directory");
    assert!(store.is_dirty());
    fs::create_dir(&missing).expect("ours");
    store.write().expect("writable now");
    assert!(!store.is_dirty());
    assert_eq!(found(&Folder(missing)).len(), 1);
}

/// As large as an object may be in etcd.
fn large(name: &str, fill: &str) -> Vec<u8> {
    let pad = fill.repeat(1 << 20);
    format!("{{\"metadata\":{{\"namespace\":\"default\",\"name\":\"{name}\"}},\"pad\":\"{pad}\"}}")
        .into_bytes()
}

#[test]
fn many_objects_at_once_are_all_kept() {
    let folder = Folder::new("store-many");
    let mut store = Store::at(&folder.0, None);
    for number in 0..40 {
        let name = format!("n{number:02}");
        store.put(&key(&name), &large(&name, "x"));
        assert!(store.pending_size < PENDING_MAX / 2);
    }
    store.write().expect("writable");
    assert!(!store.take_loss(), "nothing was dropped");
    assert_eq!(found(&folder).len(), 40);
}

#[test]
fn what_a_broken_disk_lost_is_known_and_asked_for_when_it_works() {
    let folder = Folder::new("store-lost");
    let missing = folder.0.join("later");
    let mut store = Store::at(&missing, None);
    store.remove(&key("gone"));
    let names: Vec<String> = (0..40).map(|number| format!("n{number:02}")).collect();
    for name in &names {
        store.put(&key(name), &large(name, "x"));
        assert!(store.pending_size <= PENDING_MAX, "bounded");
    }
    assert!(!store.take_loss(), "the disk does not work yet");
    fs::create_dir(&missing).expect("ours");
    store.write().expect("writable now");
    assert!(store.take_loss());
    assert!(!store.take_loss(), "said once");
    let lost: Vec<&String> = names.iter().filter(|n| store.lacks(&key(n))).collect();
    assert!(lost.len() > 20);
    for name in lost {
        store.put(&key(name), &large(name, "x"));
        assert!(!store.lacks(&key(name)));
    }
    store.write().expect("writable");
    assert_eq!(found(&Folder(missing)).len(), 40);
}

#[test]
fn a_file_of_another_cluster_or_node_is_not_believed() {
    let folder = Folder::new("store-other");
    let at = |of: Option<&str>| Store::at(&folder.0, of.map(str::to_owned));
    let mut store = at(Some("node n1 of a"));
    store.put(&key("a"), &json("a", 1));
    store.write().expect("writable");
    let mut count = 0;
    // Who does not know where it is believes the file, and does not forget what it says.
    let mut store = at(None);
    store.load(|_, _| count += 1).expect("readable");
    store.put(&key("b"), &json("b", 1));
    store.rewrite().expect("writable");
    at(Some("node n1 of a"))
        .load(|_, _| count += 1)
        .expect("ours");
    assert_eq!(count, 2);
    for other in ["node n2 of a", "node n1 of b"] {
        let mut store = at(Some(other));
        store.load(|_, _| panic!("not ours")).expect_err(other);
        store.put(&key("c"), &json("c", 1));
        store.write().expect("writable");
        assert_eq!(found(&folder).len(), 1, "replaced");
        fs::remove_file(store.path()).expect("ours");
        let mut store = at(Some("node n1 of a"));
        store.put(&key("a"), &json("a", 1));
        store.write().expect("writable");
    }
}
