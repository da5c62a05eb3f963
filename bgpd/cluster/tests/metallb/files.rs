//! Every file of MetalLB's trees gets a verdict: taken, or refused with a reason that is named.
//!
//! Run with `--no-capture` for the table. The two forms of the old configuration have a pair each,
//! the resources that MetalLB's own converter makes of it; ours are the same. Of the schemas of the
//! custom resources each field of `spec` must be one that the reader knows.

use std::collections::BTreeMap;
use std::path::Path;

use cluster::dialect::metallb;
use cluster::object::{ConfigMap, Key, Kind, Object};
use serde_json::{Value, json};

use crate::{Scene, documents, files_below, kind_of, object_of, shared};
use cluster::{Change, Severity, Snapshot};

/// Kinds in these trees that are nobody's input here, and why.
const NOT_OURS: &[(&str, &str)] = &[
    (
        "FRRConfiguration",
        "the API of frr-k8s; [[neighbor]] and [[policy]] of bgpd.toml do this",
    ),
    ("FRRK8sConfiguration", "settings of frr-k8s itself"),
    ("FRRNodeState", "a state that frr-k8s writes"),
    ("ServiceBGPStatus", "a state that MetalLB writes"),
    ("ServiceL2Status", "a state that MetalLB writes"),
    ("ConfigurationState", "a state that MetalLB writes"),
    ("Deployment", "a workload"),
];

fn not_ours(kind: &str) -> Option<&'static str> {
    NOT_OURS
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, why)| *why)
}

/// The verdict over a file: what is in it, and what becomes of each; `Err` for a file that nobody
/// decided upon.
fn verdict(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).expect("a file");
    let shown = path.display().to_string();
    if shown.contains("/internal/") {
        return Ok("an expected configuration: compared by `goldens`".to_owned());
    }
    if shown.contains("/configmap-data/") && shown.ends_with(".yaml") {
        let map = config_map("metallb-system", &text);
        let (objects, faults) = metallb::from_config_map(&map);
        return Ok(format!(
            "taken: {} objects, {} faults",
            objects.len(),
            faults.len()
        ));
    }
    let mut verdicts = Vec::new();
    let mut snapshot = Snapshot::default();
    for document in documents(&text) {
        verdicts.push(of_document(&document, &mut snapshot)?);
    }
    // What one object of the file says of another is judged when all are there.
    for fault in Scene::new(&snapshot, 64512).peering.faults {
        let word = match fault.severity {
            Severity::Warning => "warning",
            Severity::Error => "left out",
        };
        verdicts.push(format!(
            "{word}: {} {}: {}",
            fault.object, fault.path, fault.text
        ));
    }
    Ok(verdicts.join("; "))
}

fn of_document(document: &Value, snapshot: &mut Snapshot) -> Result<String, String> {
    let name = document["kind"].as_str().unwrap_or("");
    if name == "CustomResourceDefinition" {
        return schema(document);
    }
    if let Some(why) = not_ours(name) {
        return Ok(format!("refused: {name}: {why}"));
    }
    let kind = kind_of(document).ok_or_else(|| format!("{name}: no verdict"))?;
    match object_of(kind, document) {
        Ok(object) => {
            let label = format!("{kind} {}", object.key().name);
            snapshot.apply(Change::Put(object.key(), Ok(object)));
            Ok(format!("taken: {label}"))
        }
        Err(fault) => Err(format!("{}: {}: {}", fault.object, fault.path, fault.text)),
    }
}

/// Of a schema, each field of `spec` must be known: an object that has all of them, each with a
/// value of a wrong type, must be refused; with the field alone, never as unknown.
fn schema(document: &Value) -> Result<String, String> {
    let spec = &document["spec"];
    let name = spec["names"]["kind"].as_str().unwrap_or("");
    if let Some(why) = not_ours(name) {
        return Ok(format!("refused: schema of {name}: {why}"));
    }
    let group = spec["group"].as_str().unwrap_or("");
    let mut count = 0;
    for version in spec["versions"].as_array().into_iter().flatten() {
        let version_name = version["name"].as_str().unwrap_or("");
        let api = format!("{group}/{version_name}");
        let kind = Kind::of(&api, name).ok_or_else(|| format!("schema of {name}: no verdict"))?;
        let fields = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        for field in fields.as_object().into_iter().flatten().map(|(key, _)| key) {
            // No field is a number below zero: whoever reads it refuses it.
            let spec = json!({ field: -1 });
            let object =
                json!({"metadata": {"name": "x", "namespace": "y"}, "spec": full(name, spec)});
            match object_of(kind, &object) {
                Err(fault) if fault.path.ends_with(field.as_str()) => count += 1,
                other => return Err(format!("{name} {version_name}: {field}: {other:?}")),
            }
        }
    }
    Ok(format!(
        "taken: schema of {name}: all {count} fields are read"
    ))
}

/// What else an object needs so that reading comes to the field.
fn full(kind: &str, mut spec: Value) -> Value {
    let needs = match kind {
        "BGPPeer" => json!({"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1"}),
        "IPAddressPool" => json!({"addresses": ["192.0.2.0/24"]}),
        _ => json!({}),
    };
    for (key, value) in needs.as_object().into_iter().flatten() {
        if spec.get(key).is_none() {
            spec[key] = value.clone();
        }
    }
    spec
}

fn config_map(namespace: &str, text: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.meta.namespace = namespace.into();
    map.meta.name = "config".into();
    map.data.insert("config".into(), text.into());
    map
}

#[test]
fn every_file_is_taken_or_the_reason_is_named() {
    let test = "every_file_is_taken_or_the_reason_is_named";
    let mut files = Vec::new();
    for folder in ["k8s", "crds"] {
        let Some(root) = shared(test, folder) else {
            return;
        };
        let ours = |path: &std::path::PathBuf| {
            let shown = path
                .strip_prefix(&root)
                .expect("below")
                .display()
                .to_string();
            shown.starts_with("metallb") && !shown.ends_with("LICENSE")
        };
        files.extend(files_below(&root).into_iter().filter(ours));
    }
    let mut undecided = Vec::new();
    for path in &files {
        let shown: String = path
            .iter()
            .rev()
            .take(3)
            .collect::<Vec<_>>()
            .iter()
            .rev()
            .fold(String::new(), |shown, part| {
                format!("{shown}/{}", part.to_string_lossy())
            });
        match verdict(path) {
            Ok(verdict) => eprintln!("{shown}: {verdict}"),
            Err(why) => undecided.push(format!("{shown}: {why}")),
        }
    }
    assert!(undecided.is_empty(), "{undecided:#?}");
    assert!(files.len() >= 90, "{} files", files.len());
}

type ByKey = BTreeMap<Key, Object>;

fn by_key(objects: impl IntoIterator<Item = Object>) -> ByKey {
    objects.into_iter().map(|one| (one.key(), one)).collect()
}

#[test]
fn the_old_configuration_becomes_what_metallbs_converter_makes_of_it() {
    let test = "the_old_configuration_becomes_what_metallbs_converter_makes_of_it";
    let Some(root) = shared(test, "k8s/metallb+metallb/configmaptocrs/testdata") else {
        return;
    };
    let mut pairs = 0;
    for path in files_below(&root) {
        let golden = path.with_extension("golden");
        if path.extension().is_none_or(|ext| ext != "yaml") || !golden.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a file");
        let map = match path.display().to_string().contains("/configmap-data/") {
            true => config_map("metallb-system", &text),
            false => match object_of(Kind::ConfigMap, &documents(&text)[0]) {
                Ok(Object::ConfigMap(map)) => map,
                other => panic!("{}: {other:?}", path.display()),
            },
        };
        let (ours, faults) = metallb::from_config_map(&map);
        let ours = by_key(ours.into_iter().map(Object::Metallb));
        let golden = std::fs::read_to_string(&golden).expect("a file");
        let theirs = by_key(documents(&golden).iter().map(|document| {
            let kind = kind_of(document).expect("a kind");
            object_of(kind, document).expect("an object")
        }));
        assert_eq!(ours, theirs, "{}", path.display());
        let errors = faults
            .iter()
            .filter(|fault| fault.severity == Severity::Error);
        assert_eq!(errors.count(), 0, "{}: {faults:?}", path.display());
        pairs += 1;
    }
    assert!(pairs >= 4, "{pairs} pairs");
}
