//! keepalived's macro language, run: what is left are plain lines with their places.
//!
//! `@id` and `@^id` lines are taken by the id given (keepalived's `-i`), `$NAME=` defines (also
//! over several lines that end in a backslash), `$NAME` and `${NAME}` stand for it, `${_ENV NAME}`
//! and the other names of keepalived's own are looked up, `~SEQ` and `~LST` repeat a line, and
//! `include` reads more files, globs too. Ours has none of this: a machine gets the file it means.
//!
//! Lines with marks of a template engine (`{{ }}`, `{% %}`) are refused where they stand; a block
//! that one of them opens is kept, so that the rest is judged. Nothing runs away: depth, length and
//! number of lines are bounded, and what goes beyond is refused by name.

use std::collections::BTreeMap;

use super::include;
use super::lexer::decomment;
use super::repeat;
use super::report::{Place, Report, Span};
use super::template::Template;

/// Lines after expansion. keepalived's own largest samples make 10,000.
const LINES_MAX: usize = 100_000;
/// Octets of a line, keepalived's own limit being 1,024 and its multi-line ones longer.
const LINE_LEN_MAX: usize = 64 * 1024;
/// Files inside files, definitions inside definitions.
const DEPTH_MAX: usize = 24;

/// A line to be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Without comment, expanded.
    pub text: String,
    /// Where it was written.
    pub at: Place,
}

/// What the outside says: keepalived would ask its command line and environment.
#[derive(Clone, Copy)]
pub struct Outside<'o> {
    /// keepalived's `-i`.
    pub id: Option<&'o str>,
    /// Variables of the environment.
    pub variable: fn(&str) -> Option<String>,
    /// The text of a file to include.
    pub read: fn(&std::path::Path) -> std::io::Result<Vec<u8>>,
}

/// Runs the macros of `text`, which is called `name`.
pub fn evaluate(name: &str, text: &str, outside: Outside<'_>, report: &mut Report) -> Vec<Line> {
    let mut run = Run {
        outside,
        report,
        definitions: BTreeMap::new(),
        open: None,
        lines: Vec::new(),
        full: false,
    };
    run.file(name, text, 0);
    run.lines
}

/// A definition: one line, or several.
#[derive(Clone, Debug, Default)]
struct Definition {
    lines: Vec<String>,
}

struct Run<'r> {
    outside: Outside<'r>,
    report: &'r mut Report,
    definitions: BTreeMap<String, Definition>,
    /// The definition that goes on in the next line.
    open: Option<String>,
    lines: Vec<Line>,
    full: bool,
}

impl Run<'_> {
    fn file(&mut self, name: &str, text: &str, depth: usize) {
        let file = self.report.files.len();
        self.report.files.push(name.to_owned());
        let mut template = Template::default();
        for (index, written) in text.split('\n').enumerate() {
            let at = Place {
                file,
                line: index + 1,
            };
            let written = written.trim_end_matches('\r');
            let plain = template.strip(written);
            if plain.comment && !written.trim().is_empty() {
                let span = span(at, written.trim());
                self.report.dropped(span, "a comment of a template");
            }
            if plain.marked {
                let span = span(at, written.trim());
                self.report.refused(
                    span,
                    "a template, not a configuration",
                    "render it first, then convert what the router gets",
                );
            }
            if let Some(text) = plain.text {
                self.physical(&text, at, depth);
            }
        }
    }

    fn physical(&mut self, written: &str, at: Place, depth: usize) {
        let bare = decomment(written);
        self.report.secrets.read(&bare.text, at);
        if bare.unclosed {
            let what = "a double quote is not closed: all to the end of the line is in it";
            self.report
                .refused(span(at, &bare.text), what, "close the quote");
        }
        if let Some(name) = self.open.take() {
            if bare.continued {
                self.open = Some(name.clone());
            }
            self.report
                .taken(span(at, &bare.text), format!("a line of ${name}"));
            self.report.secrets.defined(&name, &bare.text, Some(at));
            if !bare.text.is_empty()
                && let Some(definition) = self.definitions.get_mut(&name)
            {
                definition.lines.push(bare.text);
            }
            return;
        }
        if let Some((name, value)) = definition(&bare.text) {
            self.define(name, value, at, &bare.text);
            if bare.continued {
                self.open = Some(name.to_owned());
            }
            return;
        }
        self.feed(bare.text, at, depth);
    }

    fn define(&mut self, name: &str, value: &str, at: Place, text: &str) {
        let lines = match value {
            "" => Vec::new(),
            value => vec![value.to_owned()],
        };
        self.report.taken(span(at, text), "put in where it is used");
        self.report.secrets.defined(name, value, Some(at));
        self.definitions
            .insert(name.to_owned(), Definition { lines });
    }

    /// One line on its way: condition, repetition, definitions, include, out.
    fn feed(&mut self, text: String, at: Place, depth: usize) {
        if text.is_empty() || self.full {
            return;
        }
        if depth > DEPTH_MAX || text.len() > LINE_LEN_MAX || self.lines.len() >= LINES_MAX {
            self.full = depth <= DEPTH_MAX && text.len() <= LINE_LEN_MAX;
            let source: String = text.chars().take(60).collect();
            self.report.refused(
                span(at, &source),
                "macros or includes grow without end here",
                "write the lines out",
            );
            return;
        }
        self.report.secrets.read(&text, at);
        let Some(text) = self.condition(&text, at) else {
            return;
        };
        if let Some((name, value)) = definition(&text) {
            self.define(name, value, at, &text);
            return;
        }
        if text.starts_with("~SEQ") || text.starts_with("~LST") {
            self.repeat(&text, at, depth);
            return;
        }
        match self.substitute(&text) {
            Some((first, more)) => {
                self.feed(decomment(&first).text, at, depth + 1);
                for line in more {
                    self.feed(decomment(&line).text, at, depth + 1);
                }
            }
            None => match include::pattern(&text) {
                Some(pattern) => self.include(pattern, &text, at, depth),
                None => self.lines.push(Line { text, at }),
            },
        }
    }

    /// The line behind `@id`, if it is for us.
    fn condition(&mut self, text: &str, at: Place) -> Option<String> {
        let Some(marked) = text.strip_prefix('@') else {
            return Some(text.to_owned());
        };
        let (reverse, marked) = match marked.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, marked),
        };
        let (id, rest) = marked.split_once([' ', '\t']).unwrap_or((marked, ""));
        if (self.outside.id == Some(id)) != reverse && !rest.is_empty() {
            return Some(rest.trim_start().to_owned());
        }
        let only = if reverse { "all but" } else { "only" };
        let what = format!("{only} for a keepalived started with -i {id}");
        let cure = match reverse {
            false => format!("`--id {id}` converts for that one"),
            true => String::new(),
        };
        let what = match cure.is_empty() {
            true => what,
            false => format!("{what}; {cure}"),
        };
        self.report.dropped(span(at, text), what);
        None
    }

    fn repeat(&mut self, text: &str, at: Place, depth: usize) {
        let resolved = |value: &str| match self.substitute(value) {
            Some((first, more)) if more.is_empty() => first,
            _ => value.to_owned(),
        };
        let Some(repeat) = repeat::parse(text, resolved) else {
            self.report.refused(
                span(at, text),
                "not a sequence that keepalived understands",
                "write ~SEQ(var, first, step, last) or ~LST(var, a, b, c)",
            );
            return;
        };
        self.report.taken(
            span(at, text),
            format!("written out {} times", repeat.sets.len()),
        );
        for set in &repeat.sets {
            for (name, value) in repeat.names.iter().zip(set) {
                let lines = vec![value.clone()];
                self.report.secrets.defined(name, value, None);
                self.definitions.insert(name.clone(), Definition { lines });
            }
            self.feed(repeat.text.clone(), at, depth + 1);
        }
    }

    /// The first definition in `text` put in: the line, and more lines when it has several.
    fn substitute(&self, text: &str) -> Option<(String, Vec<String>)> {
        for (at, _) in text.match_indices('$') {
            let rest = text.get(at + 1..)?;
            let Some((name, parameter, len)) = reference(rest) else {
                continue;
            };
            let Some(lines) = self.value(name, parameter) else {
                continue;
            };
            let (before, after) = (text.get(..at)?, rest.get(len..)?);
            // A definition of several lines stands at the end of a line only.
            if lines.len() > 1 && !after.trim().is_empty() {
                continue;
            }
            let (first, more) = match lines.split_first() {
                Some((first, more)) => (first.clone(), more.to_vec()),
                None => (String::new(), Vec::new()),
            };
            return Some((format!("{before}{first}{after}"), more));
        }
        None
    }

    fn value(&self, name: &str, parameter: &str) -> Option<Vec<String>> {
        if let Some(found) = self.definitions.get(name) {
            return parameter.is_empty().then(|| found.lines.clone());
        }
        let one = match name {
            "_ENV" => (self.outside.variable)(parameter).unwrap_or_default(),
            "_INSTANCE" => self.outside.id.unwrap_or_default().to_owned(),
            "_HASH" => "#".to_owned(),
            "_BANG" => "!".to_owned(),
            "_PWD" => {
                let directory = std::env::current_dir().ok()?;
                directory.display().to_string()
            }
            _ => return None,
        };
        Some(vec![one])
    }

    fn include(&mut self, pattern: &str, text: &str, at: Place, depth: usize) {
        let base = self.report.files.get(at.file).cloned().unwrap_or_default();
        let found = include::expand(&base, pattern);
        if found.is_empty() {
            let cause = format!("no file matches {pattern}");
            self.report
                .refused(span(at, text), cause, "convert where keepalived runs");
            return;
        }
        self.report
            .taken(span(at, text), format!("{} files read", found.len()));
        for path in found {
            match (self.outside.read)(&path) {
                Ok(octets) => {
                    let inner = String::from_utf8_lossy(&octets).into_owned();
                    let name = path.display().to_string();
                    self.report_depth(depth, at, text);
                    if depth < DEPTH_MAX {
                        self.file(&name, &inner, depth + 1);
                    }
                }
                Err(error) => {
                    let cause = format!("{}: {error}", path.display());
                    self.report
                        .refused(span(at, text), cause, "make it readable");
                }
            }
        }
    }

    fn report_depth(&mut self, depth: usize, at: Place, text: &str) {
        if depth >= DEPTH_MAX {
            let what = "files include each other without end";
            self.report
                .refused(span(at, text), what, "break the circle");
        }
    }
}

fn span(at: Place, source: &str) -> Span<'_> {
    Span {
        at,
        last: at.line,
        source,
    }
}

fn name_len(text: &str) -> usize {
    let mut chars = text.char_indices();
    match chars.next() {
        Some((_, c)) if c.is_ascii_alphabetic() || c == '_' => {}
        _ => return 0,
    }
    chars
        .find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '_')
        .map_or(text.len(), |(at, _)| at)
}

/// `$NAME=VALUE`.
fn definition(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('$')?;
    let (name, value) = rest.split_at_checked(name_len(rest))?;
    let value = value.strip_prefix('=')?;
    (!name.is_empty()).then_some((name, value.trim()))
}

/// What stands behind a `$`: the name, its parameter, and how long both are.
fn reference(rest: &str) -> Option<(&str, &str, usize)> {
    if let Some(inner) = rest.strip_prefix('{') {
        let end = inner.find('}')?;
        let inside = inner.get(..end)?;
        let (name, parameter) = inside.split_at_checked(name_len(inside))?;
        let joined = parameter.is_empty() || parameter.starts_with([' ', '\t']);
        return (!name.is_empty() && joined).then_some((name, parameter.trim(), end + 2));
    }
    let len = name_len(rest);
    let ends = rest
        .get(len..)?
        .chars()
        .next()
        .is_none_or(|c| " \t,)".contains(c));
    (len > 0 && ends).then(|| (rest.get(..len).unwrap_or_default(), "", len))
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
