//! As much of Helm's template language as our chart uses.
//!
//! Conditions on lines of their own (`{{- if .Values.x }}`, `{{- end }}`), values (`.Values`,
//! `.Release.Namespace`, `.Chart.AppVersion`), `toJson`, `default`, and raw text between
//! backquotes. Anything else is a panic: a chart that goes beyond this needs Helm itself to judge
//! it, and nobody should believe that this did. What Helm adds (its own escapes, hooks, `lookup`)
//! the chart does not use.

use serde_json::Value;

/// What templates see.
pub struct Scope {
    /// `Values`, `Release`, `Chart`.
    pub root: Value,
}

impl Scope {
    /// Renders a template.
    pub fn render(&self, template: &str) -> String {
        let mut out = String::new();
        let mut open: Vec<bool> = Vec::new();
        for line in template.lines() {
            let bare = line.trim();
            if let Some(condition) = inside(bare, "{{- if ") {
                open.push(truthy(self.path(condition)));
            } else if bare == "{{- end }}" {
                open.pop().expect("an end without its if");
            } else if open.iter().all(|is_on| *is_on) {
                assert!(!bare.starts_with("{{-"), "beyond the subset: {bare}");
                out.push_str(&self.line(line));
                out.push('\n');
            }
        }
        assert!(open.is_empty(), "an if without its end");
        out
    }

    fn line(&self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            if let Some(raw) = after.strip_prefix('`') {
                let (raw, after) = raw.split_once("`}}").expect("raw text ends");
                out.push_str(raw);
                rest = after;
                continue;
            }
            let (expression, after) = after.split_once("}}").expect("an expression ends");
            out.push_str(&self.expression(expression.trim()));
            rest = after;
        }
        out + rest
    }

    fn expression(&self, expression: &str) -> String {
        if let Some(path) = expression.strip_prefix("toJson ") {
            return self.path(path).to_string();
        }
        let (path, fallback) = match expression.split_once(" | default ") {
            Some((path, fallback)) => (path, Some(fallback)),
            None => (expression, None),
        };
        match (self.path(path), fallback) {
            (value, Some(fallback)) if !truthy(value) => plain(self.path(fallback)),
            (value, _) => plain(value),
        }
    }

    fn path(&self, path: &str) -> &Value {
        let mut value = &self.root;
        for key in path.strip_prefix('.').expect("a path").split('.') {
            value = value.get(key).unwrap_or_else(|| panic!("no {path}"));
        }
        value
    }
}

fn inside<'l>(line: &'l str, before: &str) -> Option<&'l str> {
    line.strip_prefix(before)?.strip_suffix(" }}")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_on) => *is_on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
