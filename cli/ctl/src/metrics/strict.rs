//! A reader of the text format that forgives nothing, for tests: what promtool would complain of,
//! and what a scraper would drop silently.
//!
//! It holds that: every family has its HELP and TYPE once, before its samples, and its samples
//! stand together; names and labels have the characters they may have; no label is there twice and
//! no sample twice with the same labels; counters end in `_total`, are finite and not negative,
//! gauges do not end in `_total`; values are escaped; the text ends with a line end.

use std::collections::{BTreeMap, BTreeSet};

/// One sample as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name of its family.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// The value of a label; empty where it is not there.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

type Labels = Vec<(String, String)>;

#[derive(Default)]
struct Reader {
    /// Families that were begun.
    helped: BTreeSet<String>,
    typed: BTreeMap<String, String>,
    /// The family whose samples are being read.
    open: Option<String>,
    seen: BTreeSet<(String, Labels)>,
    samples: Vec<Sample>,
}

/// Reads a whole exposition.
///
/// # Errors
/// The first line that is not as it has to be, and why.
pub fn read(text: &str) -> Result<Vec<Sample>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let mut reader = Reader::default();
    for line in text.lines() {
        let outcome = match line.strip_prefix("# ") {
            Some(comment) => reader.comment(comment),
            None => reader.sample(line),
        };
        outcome.map_err(|why| format!("{line}: {why}"))?;
    }
    let empty = |name: &&String| !reader.samples.iter().any(|one| one.name == **name);
    match reader.typed.keys().find(empty) {
        Some(name) => Err(format!("{name} has no sample")),
        None => Ok(reader.samples),
    }
}

impl Reader {
    fn comment(&mut self, comment: &str) -> Result<(), String> {
        let mut words = comment.splitn(3, ' ');
        let (Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            return Err("a comment that is neither HELP nor TYPE".to_owned());
        };
        is_name(name, true)?;
        match what {
            "HELP" => {
                if !self.helped.insert(name.to_owned()) {
                    return Err("HELP twice".to_owned());
                }
                if rest.trim().is_empty() {
                    return Err("HELP without a sentence".to_owned());
                }
                self.open = Some(name.to_owned());
            }
            "TYPE" => {
                if self.open.as_deref() != Some(name) {
                    return Err("TYPE does not follow its HELP".to_owned());
                }
                let total = name.ends_with("_total");
                match rest {
                    "counter" if !total => return Err("a counter ends in _total".to_owned()),
                    "gauge" if total => return Err("a gauge does not end in _total".to_owned()),
                    "counter" | "gauge" => {}
                    other => return Err(format!("kind {other}")),
                }
                if self
                    .typed
                    .insert(name.to_owned(), rest.to_owned())
                    .is_some()
                {
                    return Err("TYPE twice".to_owned());
                }
            }
            other => return Err(format!("a comment {other}")),
        }
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(end);
        is_name(name, true)?;
        let kind = self.typed.get(name).ok_or("no TYPE before it")?.clone();
        if self.open.as_deref() != Some(name) {
            return Err("samples of a family stand together".to_owned());
        }
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => read_labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = value
            .strip_prefix(' ')
            .ok_or("one space before the value")?;
        let value: f64 = value
            .parse()
            .map_err(|_| format!("`{value}` is no number"))?;
        if kind == "counter" && !(value.is_finite() && value >= 0.0) {
            return Err("a counter is finite and not negative".to_owned());
        }
        let mut sorted = labels.clone();
        sorted.sort();
        if sorted.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err("a label is there twice".to_owned());
        }
        if !self.seen.insert((name.to_owned(), sorted)) {
            return Err("the same labels twice".to_owned());
        }
        self.samples.push(Sample {
            name: name.to_owned(),
            labels: labels.into_iter().collect(),
            value,
        });
        Ok(())
    }
}

/// Labels up to the closing brace, and what follows it.
fn read_labels(text: &str) -> Result<(Labels, &str), String> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        is_name(name, false)?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().ok_or("a value that does not end")? {
                (at, '"') => break at,
                (_, '\\') => match chars.next() {
                    Some((_, '\\')) => value.push('\\'),
                    Some((_, '"')) => value.push('"'),
                    Some((_, 'n')) => value.push('\n'),
                    _ => return Err("an escape that does not exist".to_owned()),
                },
                (_, c) => value.push(c),
            }
        };
        if value.is_empty() {
            return Err("an empty label says nothing".to_owned());
        }
        labels.push((name.to_owned(), value));
        rest = after.get(end + 1..).unwrap_or_default();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    let rest = rest.strip_prefix('}').ok_or("labels end with a brace")?;
    Ok((labels, rest))
}

fn is_name(name: &str, of_metric: bool) -> Result<(), String> {
    let may = |c: char, first: bool| {
        c.is_ascii_alphabetic() || c == '_' || (!first && c.is_ascii_digit())
    };
    let good = name.chars().enumerate().all(|(at, c)| may(c, at == 0));
    if name.is_empty() || !good || name.starts_with("__") {
        return Err(format!("`{name}` is no name"));
    }
    if of_metric && !name.starts_with("wayfare_") {
        return Err(format!("`{name}` does not say whose it is"));
    }
    Ok(())
}
