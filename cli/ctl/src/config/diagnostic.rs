//! Errors and warnings with a place in the file and a cure.
//!
//! Whoever finds a fault says where (a byte span of the text), what is wrong and what to write
//! instead; this module turns it into `file:line:col`, the line itself and a caret. Faults are
//! collected, never returned one at a time: an operator who fixes a file on a remote router wants
//! the whole list, and wants it in the order of the file.
//!
//! Only the line in question is given to the renderer, not the whole text, so that a file of a
//! hundred thousand lines with as many faults prints in linear time.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::read::Dialect;

/// Faults printed at most; the rest is counted. A file that is no TOML at all has thousands.
const SHOWN_MAX: usize = 200;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It runs, but perhaps not as meant.
    Warning,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to write instead; empty when the message says all there is.
    pub cure: String,
    /// Bytes of the text it is about; `None` when the file could not be read at all.
    pub span: Option<Range<usize>>,
}

/// Faults of one file. `Display` prints all of them, without colour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    file: String,
    text: String,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// An empty list for the file `name` that holds `text`.
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            file: name.to_owned(),
            text: text.to_owned(),
            list: Vec::new(),
        }
    }

    /// Adds an error.
    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>, cure: &str) {
        self.push(Severity::Error, Some(span), message.into(), cure);
    }

    /// Adds a warning.
    pub fn warning(&mut self, span: Range<usize>, message: impl Into<String>, cure: &str) {
        self.push(Severity::Warning, Some(span), message.into(), cure);
    }

    /// Adds an error about the file as a whole.
    pub fn file_error(&mut self, message: impl Into<String>, cure: &str) {
        self.push(Severity::Error, None, message.into(), cure);
    }

    /// Adds what the TOML parser found, and drops what else was found on the same lines: a value
    /// that is no TOML makes other checks stumble over what recovery left of it.
    pub fn add_syntax(&mut self, syntax: &[toml::de::Error], dialect: &Dialect) {
        let starts: Vec<usize> = self.text.match_indices('\n').map(|(at, _)| at).collect();
        let line_of = |span: &Range<usize>| starts.partition_point(|end| *end < span.start);
        let mut broken = BTreeSet::new();
        let mut found = Vec::new();
        for error in syntax {
            let span = error.span().unwrap_or(0..0);
            // One fault of a line is enough: the rest follows from it.
            if broken.insert(line_of(&span)) {
                found.push((span, error.message()));
            }
        }
        // What stands under a broken header is read as part of the section before it.
        let lines: Vec<&str> = self.text.split('\n').collect();
        let header = |line: usize| lines.get(line).is_some_and(|text| text.starts_with('['));
        for line in broken.clone().into_iter().filter(|line| header(*line)) {
            broken.extend((line + 1..lines.len()).take_while(|line| !header(*line)));
        }
        let apart = |one: &Diagnostic| {
            one.span
                .as_ref()
                .is_none_or(|span| !broken.contains(&line_of(span)))
        };
        self.list.retain(apart);
        for (span, message) in found {
            let cure = if header(line_of(&span)) {
                dialect.header_cure
            } else {
                dialect.value_cure
            };
            self.list.push(Diagnostic {
                severity: Severity::Error,
                message: message.to_owned(),
                cure: cure.to_owned(),
                span: Some(span),
            });
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        span: Option<Range<usize>>,
        message: String,
        cure: &str,
    ) {
        self.list.push(Diagnostic {
            severity,
            message,
            cure: cure.to_owned(),
            span,
        });
    }

    /// The faults, in the order of their places.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|one| one.severity == Severity::Error)
    }

    /// Puts the list in the order of the file; what is said twice of one place is said once.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|one| {
            (
                one.span
                    .as_ref()
                    .map_or((0, 0), |span| (span.start, span.end)),
                one.severity,
            )
        });
        self.list.dedup();
    }

    /// Line and column of `one`, counted from 1, the column in characters.
    pub fn place(&self, one: &Diagnostic) -> (usize, usize) {
        let start = one.span.as_ref().map_or(0, |span| span.start);
        let before = &self.text[..self.text.floor_char_boundary(start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// Each warning or error in one line, `file:line:col: message`, for a log.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.list.iter().map(|one| {
            let (line, column) = self.place(one);
            let cure = if one.cure.is_empty() {
                String::new()
            } else {
                format!(" ({})", one.cure)
            };
            match one.span {
                Some(_) => format!("{}:{line}:{column}: {}{cure}", self.file, one.message),
                None => format!("{}: {}{cure}", self.file, one.message),
            }
        })
    }

    /// All of them with their lines and carets; `colour` for a terminal.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut out = String::new();
        for one in self.list.iter().take(SHOWN_MAX) {
            out.push_str(&self.render_one(&renderer, one));
            out.push_str("\n\n");
        }
        if let Some(more) = self
            .list
            .len()
            .checked_sub(SHOWN_MAX)
            .filter(|more| *more > 0)
        {
            out.push_str(&format!("... and {more} more\n\n"));
        }
        out.push_str(&self.tally());
        out.push('\n');
        out
    }

    fn render_one(&self, renderer: &Renderer, one: &Diagnostic) -> String {
        let level = match one.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let (line, _) = self.place(one);
        let title = level.primary_title(one.message.as_str());
        let group = match &one.span {
            None => title.element(Level::NOTE.message(format!("file {}", self.file))),
            Some(span) => {
                let (text, span) = self.line_around(span);
                title.element(
                    Snippet::source(text)
                        .line_start(line)
                        .path(self.file.as_str())
                        .fold(false)
                        .annotation(AnnotationKind::Primary.span(span)),
                )
            }
        };
        let group = match one.cure.as_str() {
            "" => group,
            cure => group.element(Level::HELP.message(cure)),
        };
        renderer.render(&[group])
    }

    /// The line `span` starts in and the span within that line. Spans of a parser that lost its
    /// way may point anywhere, also into the middle of a character.
    fn line_around(&self, span: &Range<usize>) -> (&str, Range<usize>) {
        let start = self.text.floor_char_boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].split('\n').next().unwrap_or("");
        let line = line.strip_suffix('\r').unwrap_or(line);
        let within = |at: usize| line.floor_char_boundary(at.saturating_sub(line_start));
        let from = within(start);
        (line, from..within(span.end).max(from))
    }

    /// `2 errors, 1 warning`.
    fn tally(&self) -> String {
        let errors = self
            .list
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .count();
        let warnings = self.list.len() - errors;
        let count = |n: usize, what: &str| match n {
            1 => format!("1 {what}"),
            _ => format!("{n} {what}s"),
        };
        match (errors, warnings) {
            (_, 0) => count(errors, "error"),
            (0, _) => count(warnings, "warning"),
            _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
