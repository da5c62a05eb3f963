//! The cases, their objects, and the two sides of each.
//!
//! `cases` lists them with what the data leave out (blocks and secrets, which Calico's own test
//! driver writes past the manifests); `scene` reads both sides; `peers` and `routes` compare.

mod cases;
mod peers;
mod routes;
mod scene;

use std::path::{Path, PathBuf};

use cluster::Fault;
use cluster::object::{Key, Kind, Object, ObjectName};
use serde_json::Value;

pub use cases::{CASES, Case, WITHOUT_INPUT};
pub use scene::Scene;

/// Where the data are; says so once where they are not.
pub fn data() -> Option<PathBuf> {
    let base = std::env::var_os("WAYFARE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let root = base.join("data/k8s/projectcalico+calico/confd/tests");
    if !root.is_dir() {
        eprintln!("SKIPPED calico golden cases: no {}", root.display());
        return None;
    }
    Some(root)
}

/// Directories below that hold a configuration, as relative names.
pub fn directories(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    walk(root, &mut |file| {
        if file.file_name().is_some_and(|name| name == "bird.cfg") {
            let dir = file.parent().unwrap().strip_prefix(root).unwrap();
            names.push(dir.to_str().unwrap().to_owned());
        }
    });
    names
}

/// Manifests below.
pub fn inputs(root: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    walk(root, &mut |file| {
        let name = file.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.ends_with("input.yaml")) {
            names.push(file.to_path_buf());
        }
    });
    names
}

fn walk(dir: &Path, each: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, each),
            false => each(&path),
        }
    }
}

/// The objects of a manifest.
pub fn objects(text: &str) -> Vec<(Key, Result<Object, Fault>)> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let documents = documents.into_iter().filter(|one| one.is_object());
    documents.map(object).collect()
}

fn object(mut document: Value) -> (Key, Result<Object, Fault>) {
    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    let kind = Kind::of(&text("apiVersion"), &text("kind")).expect("a kind that is looked at");
    // `calicoctl` reads YAML 1.1, in which `yes` is a truth value, and labels are text.
    if let Some(labels) = document["metadata"]
        .get_mut("labels")
        .and_then(Value::as_object_mut)
    {
        for value in labels.values_mut() {
            match value {
                Value::Bool(truth) => *value = truth.to_string().into(),
                Value::String(text) if text == "yes" => *value = "true".into(),
                _ => {}
            }
        }
    }
    let meta = &document["metadata"];
    // What lies in no namespace in a manifest lies in the default one.
    let namespace = meta["namespace"].as_str().unwrap_or_default();
    let name = ObjectName::new(namespace, meta["name"].as_str().unwrap_or_default());
    let json = serde_json::to_vec(&document).unwrap();
    (Key { kind, name }, Object::decode(kind, &json))
}
