//! Passwords and keys stay out of the report.
//!
//! A report is put into tickets, so no sentence of it may hold what `auth_pass` or `key` say:
//! where they belong, in a place where keepalived does not know them, behind `@id`, in a template,
//! with a quote that is not closed. What follows such a word is covered, and so are the values of
//! the definitions that are put in there, wherever they are written. Only the end of the reading
//! knows which those are, so all entries are covered then. Covered is rather too much than too
//! little: the place is told, and the file has the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Entry, Place, Verdict};
use super::vocabulary;

/// What stands for what is not told.
const COVER: &str = "***";
/// Shorter values are found in words that have nothing to do with them.
const VALUE_LEN_MIN: usize = 4;

/// What is known of secrets.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Definitions that are put in behind a word for a secret.
    names: BTreeSet<String>,
    /// All definitions: where they are written, and what they were.
    definitions: BTreeMap<String, (BTreeSet<Place>, BTreeSet<String>)>,
    /// Lines that have such a word once all is put in.
    lines: BTreeSet<Place>,
}

impl Secrets {
    /// Looks at a line, which may have to be expanded still.
    pub fn read(&mut self, text: &str, at: Place) {
        let Some(end) = secret_from(text) else {
            return;
        };
        self.lines.insert(at);
        let rest = text.get(end..).unwrap_or_default();
        for (start, _) in rest.match_indices('$') {
            let name = rest.get(start + 1..).unwrap_or_default();
            let name = name.trim_start_matches('{');
            let plain = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            let len = name.find(plain).unwrap_or(name.len());
            let name = name.get(..len).unwrap_or_default();
            if !name.is_empty() {
                self.names.insert(name.to_owned());
            }
        }
    }

    /// Remembers a line of a definition; `at`: it stands there and nothing else does.
    pub fn defined(&mut self, name: &str, value: &str, at: Option<Place>) {
        let definition = self.definitions.entry(name.to_owned()).or_default();
        definition.0.extend(at);
        let value = value.trim_matches(['"', ' ', '\t']);
        // Of what is put together of others, those are the secret.
        if value.len() >= VALUE_LEN_MIN && !value.contains('$') {
            definition.1.insert(value.to_owned());
        }
    }

    /// Takes what is secret out of `entries`.
    pub fn cover(&self, entries: &mut [Entry]) {
        let tainted = self
            .names
            .iter()
            .filter_map(|name| self.definitions.get(name));
        let (places, values): (Vec<_>, Vec<_>) = tainted.map(|(at, value)| (at, value)).unzip();
        // The longest first, in case one is a part of another.
        let mut values: Vec<&String> = values.into_iter().flatten().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for one in entries {
            one.source = self.covered(&one.source);
            if places.iter().any(|it| it.contains(&one.at)) {
                one.source = assigned(&one.source);
            }
            let word = one.source.split_whitespace().next().unwrap_or_default();
            let strange = !vocabulary::is_known(word.trim_matches(['"', '$', '@']));
            let refused = one.verdict == Verdict::Refused;
            if refused && strange && self.lines.contains(&one.at) {
                one.source = COVER.to_owned();
                one.what = without_quoted(&one.what);
            }
            for value in &values {
                for text in [&mut one.source, &mut one.what, &mut one.cure] {
                    *text = text.replace(value.as_str(), COVER);
                }
            }
        }
    }

    fn covered(&self, source: &str) -> String {
        let from = secret_from(source);
        let repeated = source.find("~LST").or(source.find("~SEQ"));
        let named = |name: &String| {
            source
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|word| word == name)
        };
        if let Some(at) = repeated
            && (from.is_some() || self.names.iter().any(named))
        {
            let head = source.get(..at + 4).unwrap_or_default();
            return format!("{head} {COVER}");
        }
        let assignment = self.names.iter().find_map(|name| {
            let start = source.find(&format!("${name}="))?;
            Some(start + name.len() + 2)
        });
        if let Some(end) = assignment {
            return format!("{}{COVER}", source.get(..end).unwrap_or_default());
        }
        match from {
            Some(end) => {
                let head = source.get(..end).unwrap_or_default();
                format!("{} {COVER}", head.trim_end())
            }
            None => source.to_owned(),
        }
    }
}

/// Where the first word for a secret ends, when something follows it.
fn secret_from(text: &str) -> Option<usize> {
    let mut start = 0;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if !c.is_whitespace() && !"\"{}=(),".contains(c) {
            continue;
        }
        let word = text.get(start..at).unwrap_or_default().to_ascii_lowercase();
        let rest = text.get(at..).unwrap_or_default();
        let says = rest
            .chars()
            .any(|c| !c.is_whitespace() && !"\"{}".contains(c));
        let path = word.contains('/');
        let part = |it: &&str| word.contains(*it);
        let names = word == "key" || ["pass", "secret", "auth_p"].iter().any(part);
        if (names && !path && says) || word.starts_with("hex:") {
            return Some(if names { at } else { start });
        }
        start = at + c.len_utf8();
    }
    None
}

/// A line of a definition whose value is secret.
fn assigned(source: &str) -> String {
    match source.split_once('=') {
        Some((name, _)) if name.contains('$') => format!("{name}={COVER}"),
        _ => COVER.to_owned(),
    }
}

/// `text` with what stands between backquotes covered.
fn without_quoted(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts: Vec<&str> = parts
        .map(|(at, part)| if at % 2 == 1 { COVER } else { part })
        .collect();
    parts.join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_word_for_a_secret_is_covered() {
        let secrets = Secrets::default();
        for (source, shown) in [
            ("auth_pass x", "auth_pass ***"),
            ("auth_type PASS", "auth_type PASS"),
            ("auth_type PASS auth_pass x", "auth_type PASS ***"),
            ("a { auth_type PASS }", "a { auth_type PASS }"),
            ("@high auth_pass \"x y", "@high auth_pass ***"),
            ("$PASSWORD=x", "$PASSWORD ***"),
            ("key 1 hex:00", "key ***"),
            ("1 hex:00", "1 ***"),
            ("active_key 2", "active_key 2"),
            ("script /usr/bin/bypass x", "script /usr/bin/bypass x"),
            ("~LST({a}, {x}) auth_pass $a", "~LST ***"),
            ("priority 100", "priority 100"),
        ] {
            assert_eq!(secrets.covered(source), shown);
        }
    }
}
