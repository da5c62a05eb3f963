//! Views of what a daemon measures: families of samples, in the terms of Prometheus.
//!
//! The exporter and `show metrics` are handed the same families, so they cannot disagree. A family
//! has one name, one kind and one sentence; a sample is told from its siblings by its labels.

use serde::{Deserialize, Serialize};

/// How a sample behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricKind {
    /// Rises only; the names of counters end in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// All samples of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricFamily {
    /// `wayfare_vrrp_transitions_total`; units are seconds and octets, and part of the name.
    pub name: String,
    /// One sentence.
    pub help: String,
    /// How samples behave.
    pub kind: MetricKind,
    /// The samples, each with labels of its own.
    pub samples: Vec<MetricSample>,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricSample {
    /// Names and values of labels, in the order they are printed.
    pub labels: Vec<(String, String)>,
    /// The number. Counters below 2^53 are exact.
    pub value: f64,
}
