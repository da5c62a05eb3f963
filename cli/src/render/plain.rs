//! Commands that FRR does not have: their text, and their JSON, which is the view itself.
//!
//! JSON is an array of views, or one view where there can only be one; `monitor` prints a view per
//! line, because it has no end.

use std::io::{self, Write};

use proto_codec::control::view::{
    Advertisement, Event, ExplainStep, Memory, Notice, PlanChange, PlanImpact, Pool, Version,
};
use proto_codec::control::{Head, Tail, View};
use serde_json::json;

use super::format::{age, date, size, timestamp};
use super::json::Stream;
use super::{Renderer, unexpected};

/// The text form.
#[derive(Debug, Default)]
pub struct Text {
    rows: u64,
    empty: &'static str,
}

impl Text {
    /// `empty` is what to say when there is nothing.
    pub fn new(empty: &'static str) -> Self {
        Self { rows: 0, empty }
    }
}

impl Renderer for Text {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let first = self.rows == 0;
        self.rows += 1;
        match &view {
            View::Advertisement(row) => advertisement(out, row, first),
            View::Version(row) => version(out, row),
            View::Memory(row) => memory(out, row),
            View::ExplainStep(row) => explain(out, row),
            View::Notice(row) => notice(out, row),
            View::PlanChange(row) => change(out, row),
            View::Pool(row) => pool(out, row),
            View::Event(row) => {
                event(out, row)?;
                out.flush()
            }
            View::VrrpEvent(row) => {
                let time = timestamp(row.epoch_ms);
                writeln!(out, "{time} {}: {}", row.name, row.text)?;
                out.flush()
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

fn joined<T: ToString>(items: &[T], empty: &str) -> String {
    if items.is_empty() {
        return empty.to_owned();
    }
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

fn advertisement(out: &mut dyn Write, row: &Advertisement, first: bool) -> io::Result<()> {
    if first {
        writeln!(
            out,
            "{:<20} {:<24} {:<24} {:<16} Advertised to",
            "Prefix", "Source", "Object", "State"
        )?;
    }
    let to = joined(&row.advertised_to, "nobody");
    let meant = if row.neighbors.is_empty() {
        String::new()
    } else {
        format!(" (of {})", joined(&row.neighbors, ""))
    };
    let prefix = row.prefix.to_string();
    writeln!(
        out,
        "{prefix:<20} {:<24} {:<24} {:<16} {to}{meant}",
        row.source, row.object, row.state
    )
}

fn version(out: &mut dyn Write, row: &Version) -> io::Result<()> {
    let Version {
        daemon,
        version,
        pid,
        config,
        ..
    } = row;
    writeln!(
        out,
        "Wayfare {daemon} {version}, process {pid}, up {}",
        age(row.uptime_ms)
    )?;
    let read = row
        .config_epoch_ms
        .map_or_else(String::new, |ms| format!(", read {}", date(ms)));
    writeln!(out, "Configuration {config}{read}")?;
    writeln!(out, "CLI {}", env!("CARGO_PKG_VERSION"))
}

fn memory(out: &mut dyn Write, row: &Memory) -> io::Result<()> {
    let Memory { name, count, bytes } = row;
    match count {
        0 => writeln!(out, "{name}, using {} of memory", size(*bytes)),
        count => writeln!(out, "{count} {name}, using {} of memory", size(*bytes)),
    }
}

fn explain(out: &mut dyn Write, row: &ExplainStep) -> io::Result<()> {
    writeln!(out, "{}: {}", row.stage, row.subject)?;
    for rule in &row.rules {
        // Rules without a number have a name: they are those about services.
        if rule.rule == 0 {
            let mark = if rule.matched { "ok" } else { "NO" };
            writeln!(out, "  {mark}  {:<24} {}", rule.policy, rule.detail)?;
            continue;
        }
        let mark = if rule.matched { "match   " } else { "no match" };
        writeln!(
            out,
            "  {} rule {}  {mark}  {}",
            rule.policy, rule.rule, rule.detail
        )?;
    }
    writeln!(out, "  => {}", row.verdict)
}

fn notice(out: &mut dyn Write, row: &Notice) -> io::Result<()> {
    match &row.subject {
        Some(subject) => writeln!(out, "{subject}: {}", row.text),
        None => writeln!(out, "{}", row.text),
    }
}

fn impact(impact: PlanImpact) -> &'static str {
    match impact {
        PlanImpact::Hitless => "nothing is disturbed",
        PlanImpact::SoftIn => "routes are imported again",
        PlanImpact::SoftOut => "routes are exported again",
        PlanImpact::NextSession => "at the next session",
        PlanImpact::SessionReset => "THE SESSION RESETS",
        PlanImpact::MayElect => "THE MASTER MAY CHANGE",
        PlanImpact::HandsOver => "IT HANDS OVER",
        PlanImpact::Restart => "at the next start of the daemon",
    }
}

fn change(out: &mut dyn Write, row: &PlanChange) -> io::Result<()> {
    let about = row
        .neighbor
        .map_or_else(String::new, |address| format!("neighbor {address}: "));
    let done = if row.applied { "" } else { " (planned)" };
    writeln!(out, "{about}{}: {}{done}", row.what, impact(row.impact))
}

fn pool(out: &mut dyn Write, row: &Pool) -> io::Result<()> {
    writeln!(out, "{}: {}", row.name, row.addresses.join(" "))?;
    let more = row.in_use_count.saturating_sub(row.in_use.len() as u64);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let used = joined(&row.in_use, "none");
    writeln!(
        out,
        "  {} of {} in use: {used}{more}",
        row.in_use_count, row.size
    )?;
    writeln!(out, "  announced: {}", joined(&row.prefixes, "nothing"))
}

fn event(out: &mut dyn Write, row: &Event) -> io::Result<()> {
    let time = timestamp(row.epoch_ms);
    let neighbor = row
        .neighbor
        .map_or_else(String::new, |address| format!("{address} "));
    let prefix = row
        .prefix
        .map_or_else(String::new, |prefix| format!("{prefix} "));
    writeln!(out, "{time} {neighbor}{prefix}{}", row.text)
}

/// How the views are wrapped in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// An array of objects.
    Array,
    /// The one object there can be.
    One,
    /// One object per line, without an end.
    Lines,
}

/// The JSON form.
#[derive(Debug)]
pub struct Json {
    wrap: Wrap,
    stream: Stream,
    rows: u64,
}

impl Json {
    /// An empty answer.
    pub fn new(wrap: Wrap) -> Self {
        Self {
            wrap,
            stream: Stream::default(),
            rows: 0,
        }
    }
}

impl Renderer for Json {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        self.rows += 1;
        let value = match &view {
            View::Advertisement(row) => json!(row),
            View::Version(row) => json!(row),
            View::Memory(row) => json!(row),
            View::ExplainStep(row) => json!(row),
            View::Notice(row) => json!(row),
            View::PlanChange(row) => json!(row),
            View::Pool(row) => json!(row),
            View::Event(row) => json!(row),
            View::VrrpInstance(row) => json!(row),
            View::VrrpEvent(row) => json!(row),
            View::MetricFamily(row) => json!(row),
            View::KubernetesService(row) => json!(row),
            View::KubernetesNode(row) => json!(row),
            View::KubernetesPool(row) => json!(row),
            // `show vrrp json` is a list of virtual routers that are here; metrics have these.
            View::VrrpStranger(_) => return Ok(()),
            other => return unexpected(other),
        };
        match self.wrap {
            Wrap::Array => {
                if !self.stream.is_open() {
                    self.stream.open_array(out, None)?;
                }
                self.stream.value(out, None, &value)
            }
            Wrap::One => self.stream.tree(out, None, &value),
            Wrap::Lines => {
                writeln!(out, "{value}")?;
                out.flush()
            }
        }
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.wrap != Wrap::Array {
            return Ok(());
        }
        if !self.stream.is_open() {
            self.stream.open_array(out, None)?;
        }
        self.stream.close(out)
    }
}
