//! `show kubernetes` and its lists: is the cluster read, what comes of it, what is wrong.
//!
//! The first lines answer the first question of whoever looks: is what is announced up to date?
//! Then a line per kind that is read, and last the objects that are not as they should be.

use std::io::{self, Write};

use proto_codec::control::view::{
    KubernetesFault, KubernetesFeed, KubernetesNode, KubernetesPool, KubernetesService,
    KubernetesStatus,
};
use proto_codec::control::{Head, Tail, View};
use serde_json::{Value, json};

use super::format::{age, size};
use super::{Renderer, unexpected};

/// The text form.
#[derive(Debug)]
pub struct Text {
    empty: &'static str,
    /// Rows of the kind that is being printed.
    rows: u64,
    last: &'static str,
}

impl Text {
    /// `empty` is what to say when there is nothing.
    pub fn new(empty: &'static str) -> Self {
        Self {
            empty,
            rows: 0,
            last: "",
        }
    }

    /// Whether this is the first row of its kind; then a heading is due.
    fn begins(&mut self, kind: &'static str) -> bool {
        self.rows += 1;
        std::mem::replace(&mut self.last, kind) != kind
    }
}

impl Renderer for Text {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        match &view {
            View::KubernetesStatus(row) => {
                self.begins("status");
                status(out, row)
            }
            View::KubernetesFeed(row) => {
                if self.begins("feed") {
                    writeln!(
                        out,
                        "\n{:<40} {:<9} {:>7} {:>6} {:>9} {:>6} {:>6}",
                        "Kind", "State", "Objects", "Lists", "Events", "Errors", "Broken"
                    )?;
                }
                feed(out, row)
            }
            View::KubernetesFault(row) => {
                if self.begins("fault") {
                    writeln!(out)?;
                }
                fault(out, row)
            }
            View::KubernetesService(row) => {
                if self.begins("service") {
                    writeln!(
                        out,
                        "{:<32} {:<24} {:<16} {:<8} Announced",
                        "Service", "Address", "Kind", "Policy"
                    )?;
                }
                service(out, row)
            }
            View::KubernetesNode(row) => {
                if self.begins("node") {
                    writeln!(
                        out,
                        "{:<24} {:<24} {:<24} {:<10} State",
                        "Node", "Address", "Pod CIDR", "Role"
                    )?;
                }
                node(out, row)
            }
            View::KubernetesPool(row) => {
                self.begins("pool");
                pool(out, row)
            }
            other => unexpected(other),
        }
    }

    fn tail(&mut self, out: &mut dyn Write, _: Tail) -> io::Result<()> {
        if self.rows == 0 && !self.empty.is_empty() {
            writeln!(out, "{}", self.empty)?;
        }
        Ok(())
    }
}

fn status(out: &mut dyn Write, row: &KubernetesStatus) -> io::Result<()> {
    writeln!(
        out,
        "Objects of {} from {}",
        row.sources.join(", "),
        row.origin
    )?;
    if let Some(trouble) = &row.trouble {
        writeln!(out, "  {trouble}")?;
    }
    let read = match (row.synced, row.stale_ms) {
        (true, None) => "read completely, and watched".to_owned(),
        (true, Some(ms)) => format!("not heard of for {}: what was known stays", age(ms)),
        (false, _) if row.snapshot_objects > 0 => {
            "not read completely yet: what the last run knew is announced".to_owned()
        }
        (false, _) => "not read completely yet".to_owned(),
    };
    writeln!(out, "  {read}")?;
    let found = if row.has_node {
        ""
    } else {
        ", which has no object"
    };
    let draining = if row.draining { ", draining" } else { "" };
    writeln!(out, "  node {}{found}{draining}", row.node)?;
    writeln!(
        out,
        "  {} prefixes announced, {} neighbors from objects, dataplane gate {}",
        row.announced, row.neighbors, row.gate
    )?;
    match (&row.snapshot, &row.snapshot_trouble) {
        (_, Some(trouble)) => writeln!(out, "  snapshot: {trouble}"),
        (Some(path), None) => writeln!(
            out,
            "  snapshot {path}: {} objects, {}",
            row.snapshot_objects,
            size(row.snapshot_bytes)
        ),
        (None, None) => Ok(()),
    }
}

fn feed(out: &mut dyn Write, row: &KubernetesFeed) -> io::Result<()> {
    let errors: u64 = row.errors.iter().map(|(_, count)| count).sum();
    writeln!(
        out,
        "{:<40} {:<9} {:>7} {:>6} {:>9} {errors:>6} {:>6}",
        row.name, row.state, row.objects, row.lists, row.events, row.quarantined
    )?;
    if row.stale_objects > 0 {
        writeln!(
            out,
            "  {} of the last run, not seen since",
            row.stale_objects
        )?;
    }
    if row.state == "watching" {
        return Ok(());
    }
    let again = row
        .retry_ms
        .map_or_else(String::new, |ms| format!(", again in {}", age(ms)));
    match (&row.reason, &row.last_error) {
        (Some(reason), Some(error)) => writeln!(out, "  {reason}{again}: {error}"),
        (Some(reason), None) => writeln!(out, "  {reason}{again}"),
        (None, _) => Ok(()),
    }
}

fn fault(out: &mut dyn Write, row: &KubernetesFault) -> io::Result<()> {
    let severity = if row.is_error { "error" } else { "warning" };
    let place = match row.path.as_str() {
        "" => row.object.clone(),
        path => format!("{}, {path}", row.object),
    };
    writeln!(out, "{severity}: {place}: {}", row.text)
}

fn service(out: &mut dyn Write, row: &KubernetesService) -> io::Result<()> {
    let announced = match (&row.why, row.announced.is_empty()) {
        (Some(why), true) => format!("no: {why}"),
        (None, true) => "no".to_owned(),
        (_, false) => list(&row.announced),
    };
    let address = row.address.to_string();
    writeln!(
        out,
        "{:<32} {address:<24} {:<16} {:<8} {announced}",
        row.service, row.kind, row.policy
    )
}

fn node(out: &mut dyn Write, row: &KubernetesNode) -> io::Result<()> {
    let name = if row.is_self {
        format!("{} (this)", row.name)
    } else {
        row.name.clone()
    };
    let (addresses, pods) = (list(&row.addresses), list(&row.pod_cidrs));
    let role = row.role.as_deref().unwrap_or("-");
    let state = row.state.as_deref().unwrap_or("-");
    writeln!(
        out,
        "{name:<24} {addresses:<24} {pods:<24} {role:<10} {state}"
    )
}

fn pool(out: &mut dyn Write, row: &KubernetesPool) -> io::Result<()> {
    writeln!(
        out,
        "{} ({}): {}",
        row.name,
        row.object,
        row.ranges.join(" ")
    )?;
    writeln!(
        out,
        "  {} addresses in use, {} prefixes announced from here",
        row.in_use, row.announced
    )
}

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "-".to_owned();
    }
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

/// The JSON form of `show kubernetes`: one object, with `kinds` and `faults`.
#[derive(Debug, Default)]
pub struct Json {
    status: Value,
    kinds: Vec<Value>,
    faults: Vec<Value>,
}

impl Renderer for Json {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &mut dyn Write, view: View) -> io::Result<()> {
        match &view {
            View::KubernetesStatus(row) => self.status = json!(row),
            View::KubernetesFeed(row) => self.kinds.push(json!(row)),
            View::KubernetesFault(row) => self.faults.push(json!(row)),
            other => return unexpected(other),
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut object = std::mem::take(&mut self.status);
        if object.is_object() {
            object["kinds"] = Value::Array(std::mem::take(&mut self.kinds));
            object["faults"] = Value::Array(std::mem::take(&mut self.faults));
        }
        serde_json::to_writer_pretty(&mut *out, &object)?;
        writeln!(out)
    }
}
