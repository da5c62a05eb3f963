//! The machine-readable record of a benchmark, and the notes' tables made from it.
//!
//! The record (`target/bench.json`) has everything: each run's figures, the machine, the versions,
//! the load before each run, the verdicts, and the Markdown of each shape, so that the notes can be
//! made again without running anything. In the notes a block
//!
//! ```text
//! <!-- bench: s1 -->
//! … is replaced …
//! <!-- /bench -->
//! ```
//!
//! stands for a shape; the keys `machine` and `bars` stand for where and when, and for all
//! verdicts. Blocks of shapes that are not in the record stay as they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::bench::Failure;
use super::report;
use super::runner::{Cell, Outcome, load_average};

/// The record of a benchmark.
#[derive(Debug)]
pub struct Record(Map<String, Value>);

impl Record {
    /// A record without shapes. `versions` are names of daemons and what they say of themselves.
    pub fn new(command: &str, versions: &[(String, String)]) -> Self {
        let date = Command::new("date").args(["-u", "+%F %H:%M UTC"]).output();
        let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let mut whole = Map::new();
        let versions = versions
            .iter()
            .map(|(name, text)| (name.clone(), json!(text)));
        whole.insert("date".into(), json!(date.unwrap_or_default()));
        whole.insert("command".into(), json!(command));
        whole.insert("machine".into(), json!(machine()));
        whole.insert("versions".into(), Value::Object(versions.collect()));
        whole.insert("shapes".into(), json!({}));
        Self(whole)
    }

    /// The record of an earlier benchmark.
    ///
    /// # Errors
    /// The file cannot be read, or is no record.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(whole)) => Ok(Self(whole)),
            Ok(_) => Err(format!("{}: no object", path.display())),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = format!("{:#}\n", Value::Object(self.0.clone()));
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The same for a record whose blocks in the notes begin with `prefix`.
    #[must_use]
    pub fn with_blocks(mut self, prefix: &str) -> Self {
        self.0.insert("blocks".into(), json!(prefix));
        self
    }

    /// Adds a shape that was made elsewhere: its `verdicts` (`met`, `text`) and its `markdown`.
    pub fn put(&mut self, key: &str, shape: Value) {
        if let Some(Value::Object(shapes)) = self.0.get_mut("shapes") {
            shapes.insert(key.to_owned(), shape);
        }
    }

    /// Adds a shape, or replaces what is known of it.
    pub fn add(&mut self, outcome: &Outcome) {
        let verdicts = report::verdicts(outcome);
        let verdicts = verdicts
            .iter()
            .map(|one| json!({"met": one.kept, "text": one.text}));
        let shape = json!({
            "title": outcome.title,
            "limit_s": outcome.limit_s,
            "daemons": outcome.cells.iter().map(cell).collect::<Vec<_>>(),
            "verdicts": verdicts.collect::<Vec<_>>(),
            "markdown": report::markdown(outcome),
        });
        self.put(&outcome.key, shape);
    }

    /// What stands for `key` in the notes; none for a shape that was not run.
    fn block(&self, key: &str) -> Option<String> {
        let text = |name: &str| self.0.get(name).and_then(Value::as_str).unwrap_or_default();
        match key {
            "machine" => {
                let versions = self.0.get("versions").and_then(Value::as_object)?;
                let names = versions.iter().map(|(name, version)| {
                    format!("- {name}: {}\n", version.as_str().unwrap_or_default())
                });
                let (date, machine, command) = (text("date"), text("machine"), text("command"));
                let versions: String = names.collect();
                Some(format!("{date}, `{command}`. {machine}\n\n{versions}"))
            }
            "bars" => Some(self.bars()),
            _ => {
                let shape = self.0.get("shapes")?.get(key)?;
                shape.get("markdown")?.as_str().map(str::to_owned)
            }
        }
    }

    /// Whether every bar was judged and is met.
    #[must_use]
    pub fn all_met(&self) -> bool {
        let shapes = self.0.get("shapes").and_then(Value::as_object);
        let verdicts = shapes.into_iter().flat_map(|shapes| shapes.values());
        let mut verdicts = verdicts
            .filter_map(|shape| shape.get("verdicts").and_then(Value::as_array))
            .flatten();
        verdicts.all(|verdict| verdict.get("met").and_then(Value::as_bool) == Some(true))
    }

    /// All verdicts: how many bars are met, then those that are not.
    pub fn bars(&self) -> String {
        let Some(shapes) = self.0.get("shapes").and_then(Value::as_object) else {
            return String::new();
        };
        let (mut met, mut others) = (0, String::new());
        for (key, shape) in shapes {
            let verdicts = shape.get("verdicts").and_then(Value::as_array);
            for verdict in verdicts.into_iter().flatten() {
                let text = verdict
                    .get("text")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                match verdict.get("met").and_then(Value::as_bool) {
                    Some(true) => met += 1,
                    _ => others += &format!("- {key}: {text}\n"),
                }
            }
        }
        match others.as_str() {
            "" if met == 0 => "No bar was judged.\n".to_owned(),
            "" => format!("All {met} bars are met.\n"),
            others => format!("{met} bars are met; not met or not measured:\n\n{others}"),
        }
    }

    /// Replaces the blocks of the notes in `path`.
    ///
    /// # Errors
    /// Those of the file system, or a block that does not end.
    pub fn fill(&self, path: &Path) -> Result<(), String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let prefix = self.0.get("blocks").and_then(Value::as_str);
        let mine = |key: &str| match prefix {
            Some(prefix) => self.block(key.strip_prefix(prefix)?),
            None => self.block(key),
        };
        let filled = fill(&text, mine)?;
        fs::write(path, filled).map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn cell(cell: &Cell) -> Value {
    let runs = cell.samples.iter().zip(&cell.loads).map(|(one, load)| {
        let extra = one
            .extra
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)));
        json!({
            "wall_s": one.wall_s,
            "cpu_s": one.cpu_s,
            "peak_mib": one.peak_mib,
            "tool_cpu_s": one.tool_cpu_s,
            "paths": one.paths,
            "load_before": load,
            "extra": extra.collect::<Map<_, _>>(),
        })
    });
    let failure = cell.failure.as_ref().map(|failure| match failure {
        Failure::TooSlow(why) => format!("too slow: {why}"),
        Failure::Wrong(why) => why.clone(),
    });
    json!({
        "name": cell.daemon.name(),
        "runs": runs.collect::<Vec<_>>(),
        "failed": cell.failed,
        "failure": failure,
    })
}

/// Processors, kernel, and how busy it was at the start.
fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores, {}, Linux {}; load average at the start {:.2}.",
        model.unwrap_or("unknown processor"),
        // Behind the first dash is what a builder of kernels calls his own.
        kernel.split('-').next().unwrap_or_default().trim(),
        load_average()
    )
}

fn fill(text: &str, block: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("<!-- bench: ") {
        let (before, from) = rest.split_at(at);
        let (mark, inside) = from.split_once('\n').ok_or("a mark without a line")?;
        let end = inside
            .find("<!-- /bench -->")
            .ok_or_else(|| format!("{mark} has no end"))?;
        let (old, after) = inside.split_at(end);
        let key = mark
            .trim_start_matches("<!-- bench: ")
            .trim_end_matches(" -->")
            .trim();
        out += before;
        out += mark;
        out.push('\n');
        out += &block(key).unwrap_or_else(|| old.to_owned());
        rest = after;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn blocks_are_replaced_and_unknown_ones_stay() {
        let text = "a\n<!-- bench: s1 -->\nold\n<!-- /bench -->\nb\n<!-- bench: s9 -->\nkept\n\
                    <!-- /bench -->\n";
        let filled = fill(text, |key| (key == "s1").then(|| "new\n".to_owned()));
        let expected = text.replace("old\n", "new\n");
        assert_eq!(filled, Ok(expected));
        assert!(fill("<!-- bench: s1 -->\n", |_| None).is_err());
    }
}
