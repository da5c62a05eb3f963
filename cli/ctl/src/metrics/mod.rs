//! Metrics: families of samples, their text form, and who serves it.
//!
//! A daemon describes each family once as a [`Metric`] and adds samples to a [`Collector`] when
//! somebody asks; nothing is counted twice, because the samples are the counters that `show`
//! prints. [`exposition`] writes the text format of Prometheus (version 0.0.4), [`Exporter`]
//! serves it over HTTP, and [`strict`] reads it back as a scraper would that forgives nothing.
//!
//! Why our own hundred lines instead of a library: the libraries want to own the counters (atomics
//! in a registry beside those the daemon has already), and the format is two kinds of lines.

mod exporter;
pub mod strict;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proto_codec::control::view::{MetricFamily, MetricKind, MetricSample};

pub use exporter::{Ask, Exporter, Ready};

/// What a family is; a constant of the daemon.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
}

impl Metric {
    /// A number that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        let kind = MetricKind::Gauge;
        Self { name, help, kind }
    }

    /// A number that rises for as long as the daemon runs; its name ends in `_total`.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        let kind = MetricKind::Counter;
        Self { name, help, kind }
    }
}

/// Families in the making, in the order they were first added to.
#[derive(Debug, Default)]
pub struct Collector {
    families: Vec<MetricFamily>,
    places: BTreeMap<&'static str, usize>,
}

impl Collector {
    /// Adds a sample. Labels with an empty value are left out, which means the same.
    pub fn add(&mut self, metric: &Metric, labels: &[(&str, &str)], value: f64) {
        let place = *self.places.entry(metric.name).or_insert_with(|| {
            self.families.push(MetricFamily {
                name: metric.name.to_owned(),
                help: metric.help.to_owned(),
                kind: metric.kind,
                samples: Vec::new(),
            });
            self.families.len() - 1
        });
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        let labels = labels
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        if let Some(family) = self.families.get_mut(place) {
            family.samples.push(MetricSample { labels, value });
        }
    }

    /// Adds a count.
    #[allow(
        clippy::cast_precision_loss,
        reason = "Prometheus has no other numbers; exact below 2^53"
    )]
    pub fn count(&mut self, metric: &Metric, labels: &[(&str, &str)], value: u64) {
        self.add(metric, labels, value as f64);
    }

    /// The families.
    #[must_use]
    pub fn finish(self) -> Vec<MetricFamily> {
        self.families
    }
}

/// Octets of memory this process really has; the second field of `statm`, in pages.
#[must_use]
pub fn resident_set() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

/// Writes a family in the text format of Prometheus.
pub fn exposition(family: &MetricFamily, out: &mut String) {
    let name = &family.name;
    let kind = match family.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
    };
    // Writing to a string does not fail.
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = writeln!(out, "# HELP {name} {help}");
    let _ = writeln!(out, "# TYPE {name} {kind}");
    for sample in &family.samples {
        out.push_str(name);
        for (at, (label, value)) in sample.labels.iter().enumerate() {
            out.push(if at == 0 { '{' } else { ',' });
            let _ = write!(out, "{label}=\"");
            escape(value, out);
            out.push('"');
        }
        if !sample.labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {}", sample.value);
    }
}

/// A label's value may be anything: backslash, quote and line end are escaped.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}
