//! Reading a tree of values key by key, so that a fault names its path and the value it found.
//!
//! Serde's own errors name no path, and one unknown key would be either fatal or silent. Here a
//! table remembers which keys were asked for; what is left over is an unknown key, reported as a
//! warning while the object works. MetalLB refuses its whole ConfigMap for one such key; a router
//! that drops every session for a misspelt comment is no better than one that says so and goes on.
//!
//! The old ConfigMap is read more kindly than the custom resources: there YAML's own types never
//! mattered, so a number counts as the text that it is written as.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) path: Box<str>,
    pub(super) text: Box<str>,
}

impl Wrong {
    pub(super) fn new(path: impl Into<Box<str>>, text: impl Into<Box<str>>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

type Read<T> = Result<T, Wrong>;

/// A table of the tree, with the keys that were asked for.
pub(super) struct Table<'a> {
    map: Option<&'a Map<String, Value>>,
    path: String,
    asked: Vec<&'static str>,
    is_loose: bool,
}

impl<'a> Table<'a> {
    /// The table that `value` is; `null` is an empty one. `is_loose` takes numbers for text.
    pub(super) fn of(value: &'a Value, path: &str, is_loose: bool) -> Read<Self> {
        let map = match value {
            Value::Null => None,
            Value::Object(map) => Some(map),
            other => return Err(Wrong::new(path, found("a table of keys", other))),
        };
        Ok(Self {
            map,
            path: path.to_owned(),
            asked: Vec::new(),
            is_loose,
        })
    }

    /// The path of a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        match &*self.path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// A fault at a key of this table.
    pub(super) fn wrong(&self, key: &str, text: impl Into<Box<str>>) -> Wrong {
        Wrong::new(self.path(key), text)
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.map?.get(key).filter(|value| !value.is_null())
    }

    /// A text; an empty one is none.
    pub(super) fn text(&mut self, key: &'static str) -> Read<Option<Cow<'a, str>>> {
        let is_loose = self.is_loose;
        match self.get(key) {
            None => Ok(None),
            Some(value) => match text_of(value, is_loose) {
                Some(text) if text.is_empty() => Ok(None),
                Some(text) => Ok(Some(text)),
                None => Err(self.wrong(key, found("a text", value))),
            },
        }
    }

    /// A text, parsed; `what` says in the fault what it should be.
    pub(super) fn parsed<T: std::str::FromStr>(
        &mut self,
        key: &'static str,
        what: &str,
    ) -> Read<Option<T>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(self.wrong(key, format!("\"{text}\" is not {what}"))),
        }
    }

    /// A whole number of `0..=max`.
    pub(super) fn number(&mut self, key: &'static str, max: u32) -> Read<Option<u32>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = value.as_u64().or_else(|| match value {
            Value::String(text) if self.is_loose => text.parse().ok(),
            _ => None,
        });
        match number.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if number <= max => Ok(Some(number)),
            _ => Err(self.wrong(key, found(&format!("a whole number of 0 to {max}"), value))),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Read<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            // YAML 1.1, in which the old ConfigMap was read.
            Some(Value::String(text)) if self.is_loose => match &*text.to_ascii_lowercase() {
                "y" | "yes" | "on" => Ok(Some(true)),
                "n" | "no" | "off" => Ok(Some(false)),
                _ => Err(self.wrong(key, format!("\"{text}\" is neither true nor false"))),
            },
            Some(other) => Err(self.wrong(key, found("true or false", other))),
        }
    }

    /// A duration as Go writes it: `90s`, `2m0s`.
    pub(super) fn duration(&mut self, key: &'static str) -> Read<Option<Duration>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match go_duration(&text) {
            Some(duration) => Ok(Some(duration)),
            None => Err(self.wrong(
                key,
                format!("\"{text}\" is not a duration; write \"90s\" or \"1m30s\""),
            )),
        }
    }

    /// The table under a key; an absent one is empty.
    pub(super) fn table(&mut self, key: &'static str) -> Read<Table<'a>> {
        let path = self.path(key);
        let value = self.get(key).unwrap_or(&Value::Null);
        Table::of(value, &path, self.is_loose)
    }

    /// The members of a list, each with its path; an absent list is empty.
    pub(super) fn list(&mut self, key: &'static str) -> Read<Vec<(String, &'a Value)>> {
        let path = self.path(key);
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values
                .iter()
                .enumerate()
                .map(|(at, value)| (format!("{path}[{at}]"), value))
                .collect()),
            Some(other) => Err(Wrong::new(path, found("a list", other))),
        }
    }

    /// A list of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Read<Vec<Table<'a>>> {
        let is_loose = self.is_loose;
        self.list(key)?
            .into_iter()
            .map(|(path, value)| Table::of(value, &path, is_loose))
            .collect()
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Read<Vec<Box<str>>> {
        let is_loose = self.is_loose;
        self.list(key)?
            .into_iter()
            .map(|(path, value)| match text_of(value, is_loose) {
                Some(text) => Ok(text.into()),
                None => Err(Wrong::new(path, found("a text", value))),
            })
            .collect()
    }

    /// A table whose keys are the user's own, as labels are.
    pub(super) fn pairs(&mut self, key: &'static str) -> Read<Vec<(Box<str>, Box<str>)>> {
        let table = self.table(key)?;
        let mut pairs = Vec::new();
        for (name, value) in table.map.into_iter().flatten() {
            match text_of(value, table.is_loose) {
                Some(text) => pairs.push((name.as_str().into(), text.into())),
                None => return Err(table.wrong(name, found("a text", value))),
            }
        }
        Ok(pairs)
    }

    /// The paths of keys that nobody asked for.
    pub(super) fn unknown(&self, out: &mut Vec<Box<str>>) {
        for key in self.map.into_iter().flat_map(Map::keys) {
            if !self.asked.contains(&key.as_str()) {
                out.push(self.path(key).into());
            }
        }
    }
}

fn text_of(value: &Value, is_loose: bool) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) if is_loose => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) if is_loose => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        _ => None,
    }
}

/// "expected a text, found the list [1, 2]", cut to a length that fits a line.
fn found(wanted: &str, value: &Value) -> String {
    let kind = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "",
        Value::Number(_) => "the number ",
        Value::String(_) => "the text ",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    };
    match value {
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let shown: String = value.to_string().chars().take(60).collect();
            format!("expected {wanted}, found {kind}{shown}")
        }
        _ => format!("expected {wanted}, found {kind}"),
    }
}

/// Go's `time.ParseDuration` without signs: numbers with fractions, each with its unit.
fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 6] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = |c: char| c.is_ascii_digit() || c == '.';
        let (number, tail) = rest.split_at(rest.find(|c| !digits(c))?);
        let length = tail.find(digits).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(length);
        let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        nanos = nanos.checked_add(whole.checked_mul(scale)?)?;
        let mut part = scale;
        for digit in fraction.chars() {
            part /= 10;
            nanos = nanos.checked_add(u64::from(digit.to_digit(10)?).checked_mul(part)?)?;
        }
        rest = tail;
    }
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let rows = [
            ("90s", Some(90_000)),
            ("2m0s", Some(120_000)),
            ("1m30s", Some(90_000)),
            ("9m0s", Some(540_000)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("1.5s", Some(1_500)),
            (".5s", Some(500)),
            ("300ms", Some(300)),
            ("1h", Some(3_600_000)),
            ("", None),
            ("90", None),
            ("-3s", None),
            ("3x", None),
            (".s", None),
            ("1.2.3s", None),
            ("99999999999h", None),
        ];
        for (text, millis) in rows {
            let want = millis.map(Duration::from_millis);
            assert_eq!(go_duration(text), want, "{text}");
        }
    }

    #[test]
    fn a_fault_names_path_and_value() {
        let value = serde_json::json!({"spec": {"port": "x", "peers": [1], "typo": 1}});
        let mut top = Table::of(&value, "", false).unwrap();
        let mut spec = top.table("spec").unwrap();
        let wrong = spec.number("port", 65535).unwrap_err();
        assert_eq!(&*wrong.path, "spec.port");
        assert_eq!(
            &*wrong.text,
            "expected a whole number of 0 to 65535, found the text \"x\""
        );
        let wrong = spec.texts("peers").unwrap_err();
        assert_eq!(&*wrong.path, "spec.peers[0]");
        let mut unknown = Vec::new();
        spec.unknown(&mut unknown);
        assert_eq!(unknown, [Box::from("spec.typo")]);
    }
}
