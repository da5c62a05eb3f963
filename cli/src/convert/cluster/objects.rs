//! MetalLB's and Calico's objects to `bgpd.toml`.
//!
//! The daemon reads the objects themselves, from the API server or from manifests, so there is
//! little to convert: whose objects, our AS, what is announced. What this is good for is the
//! report: each object is read by the daemon's own reader, and what would be left out is said now
//! and not on the node. MetalLB's ConfigMap of before its resources is one of the objects.

use std::fmt::Write as _;

use cluster::dialect::{Dialects, Peering, View};
use cluster::object::{Kind, Node, Object};
use cluster::{Change, DialectName, Facts, Fault, Options, Severity, Snapshot};

use super::manifest::{self, Document};
use crate::convert::Converted;
use crate::convert::keepalived::{Place, Report, Span, comment, quoted};

/// Our AS where no object says one.
const ASN_DEFAULT: u32 = 64512;

/// Converts the objects in `sources`, all of one cluster.
pub(in crate::convert) fn convert(dialect: DialectName, sources: &[(String, String)]) -> Converted {
    let mut report = Report {
        files: sources.iter().map(|(name, _)| name.clone()).collect(),
        ..Report::default()
    };
    let mut snapshot = Snapshot::default();
    let mut places = Vec::new();
    for (file, (_, text)) in sources.iter().enumerate() {
        match manifest::documents(text) {
            Ok(all) => {
                for one in all {
                    let place = Place {
                        file,
                        line: one.line,
                    };
                    take(dialect, &one, place, &mut snapshot, &mut report);
                    places.push((one.name, place));
                }
            }
            Err((line, cause)) => {
                let place = Place { file, line };
                report.refused(span(place, "---"), cause, "mend the manifest");
            }
        }
    }
    let (node, peering) = prepared(dialect, &snapshot);
    for fault in &peering.faults {
        tell(fault, &node, &places, &mut report);
    }
    report.sort();
    let name = sources.first().map_or("-", |(name, _)| name.as_str());
    Converted {
        config: "bgpd.toml",
        text: render(dialect, name, &peering),
        files: Vec::new(),
        report,
    }
}

fn span(at: Place, source: &str) -> Span<'_> {
    Span {
        at,
        last: at.line,
        source,
    }
}

/// Reads one object.
fn take(
    dialect: DialectName,
    one: &Document,
    place: Place,
    snapshot: &mut Snapshot,
    report: &mut Report,
) {
    let span = span(place, &one.name);
    let version = one
        .body
        .get("apiVersion")
        .and_then(serde_json::Value::as_str);
    let Some(kind) = Kind::of(version.unwrap_or_default(), &one.kind) else {
        report.dropped(span, "nothing of it is read");
        return;
    };
    let foreign = match kind {
        Kind::Metallb(_) => dialect != DialectName::Metallb,
        Kind::Calico(_) => dialect != DialectName::Calico,
        _ => false,
    };
    if foreign {
        report.dropped(
            span,
            "another source's: convert that too, and name both in `sources`",
        );
        return;
    }
    match Object::decode(kind, one.body.to_string().as_bytes()) {
        Ok(object) => {
            snapshot.apply(Change::Put(object.key(), Ok(object)));
            report.taken(span, "the daemon reads it as it is");
        }
        Err(fault) => {
            let cause = match &*fault.path {
                "" => "it cannot be read".to_owned(),
                path => format!("{path} cannot be read"),
            };
            report.refused(span, cause, &*fault.text);
        }
    }
}

/// What the objects come to, on a node without labels.
fn prepared(dialect: DialectName, snapshot: &Snapshot) -> (String, Peering) {
    let mut node = Node::default();
    node.meta.name = "any".into();
    let mut options = Options::new("any");
    options.dialects = vec![dialect];
    let facts = Facts::default();
    let mut peering = Peering::default();
    let view = View {
        snapshot,
        options: &options,
        facts: &facts,
        node: Some(&node),
    };
    // Offers for services are the daemon's matter.
    let _dialects = Dialects::prepare(&view, &mut peering);
    ("Node any".to_owned(), peering)
}

fn tell(fault: &Fault, node: &str, places: &[(String, Place)], report: &mut Report) {
    // The node is made up.
    if *fault.object == *node {
        return;
    }
    let place = places.iter().find(|(name, _)| *name == *fault.object);
    let at = place.map_or(Place { file: 0, line: 1 }, |(_, place)| *place);
    let what = match &*fault.path {
        "" => fault.object.to_string(),
        path => format!("{}: {path}", fault.object),
    };
    match fault.severity {
        Severity::Error => report.refused(span(at, &what), "it is left out", &*fault.text),
        Severity::Warning => report.lint(span(at, &what), &*fault.text, ""),
    }
}

fn render(dialect: DialectName, name: &str, peering: &Peering) -> String {
    let (word, product) = match dialect {
        DialectName::Metallb => ("metallb", "MetalLB"),
        _ => ("calico", "Calico"),
    };
    let mut text = String::new();
    let mut head = vec![
        format!("From {name}: {product}'s objects are read as they are, here is whose."),
        "The report has a verdict on every object.".to_owned(),
    ];
    if peering.router.asn.is_none() {
        head.push(format!("No object says our AS: {ASN_DEFAULT} is a guess."));
    }
    comment(&mut text, &head);
    // Writing to a string cannot fail.
    let mut put = |line: &str| {
        let _ = writeln!(text, "{line}");
    };
    let asn = peering.router.asn.unwrap_or(ASN_DEFAULT);
    put(&format!("\n[router]\nasn = {asn}"));
    if dialect == DialectName::Calico {
        put("\n[kernel]");
    }
    put(&format!("\n[kubernetes]\nsources = [{}]", quoted(word)));
    if dialect == DialectName::Metallb {
        put("advertise = [\"load-balancer-ip\"]");
    }
    text
}
