//! What became of each line of the source.
//!
//! Four verdicts: *taken* (means the same here), *changed* (means nearly the same, and what differs
//! is said), *dropped* (nothing here needs it, and why), *refused* (somebody must act: the cause
//! and the cure). Advice about lines that convert but are doubtful stands beside them. A line
//! without a verdict would be a line that was lost silently; a test holds us to that.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};

use super::secrets::Secrets;

/// A line of a source file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`Report::files`].
    pub file: usize,
    /// Counted from 1.
    pub line: usize,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Means the same here.
    Taken,
    /// Means nearly the same.
    Changed,
    /// Not needed here.
    Dropped,
    /// Not converted: somebody must act.
    Refused,
    /// Advice.
    Lint,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Taken => "taken",
            Self::Changed => "changed",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Lint => "advice",
        })
    }
}

/// One sentence about one line, or about a block from its first line to its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The first line.
    pub at: Place,
    /// The last line of a block that is judged as a whole.
    pub last: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// The line as written, without comment.
    pub source: String,
    /// What it became, or why not.
    pub what: String,
    /// What to do; empty when there is nothing to do.
    pub cure: String,
}

/// All sentences about one configuration.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The files read, the first being the one that was named.
    pub files: Vec<String>,
    /// In the order of reading until [`Report::sort`].
    pub entries: Vec<Entry>,
    /// What must not be told.
    pub secrets: Secrets,
}

/// What a sentence is about.
#[derive(Clone, Copy, Debug)]
pub struct Span<'s> {
    /// The first line.
    pub at: Place,
    /// The last line.
    pub last: usize,
    /// The line as written.
    pub source: &'s str,
}

impl Report {
    fn push(&mut self, span: Span<'_>, verdict: Verdict, what: String, cure: String) {
        self.entries.push(Entry {
            at: span.at,
            last: span.last,
            verdict,
            source: span.source.to_owned(),
            what,
            cure,
        });
    }

    /// It means the same here.
    pub fn taken(&mut self, span: Span<'_>, what: impl Into<String>) {
        self.push(span, Verdict::Taken, what.into(), String::new());
    }

    /// It means nearly the same.
    pub fn changed(&mut self, span: Span<'_>, what: impl Into<String>) {
        self.push(span, Verdict::Changed, what.into(), String::new());
    }

    /// It is not needed.
    pub fn dropped(&mut self, span: Span<'_>, why: impl Into<String>) {
        self.push(span, Verdict::Dropped, why.into(), String::new());
    }

    /// It is not converted.
    pub fn refused(&mut self, span: Span<'_>, cause: impl Into<String>, cure: impl Into<String>) {
        self.push(span, Verdict::Refused, cause.into(), cure.into());
    }

    /// It is converted, and doubtful.
    pub fn lint(&mut self, span: Span<'_>, what: impl Into<String>, cure: impl Into<String>) {
        self.push(span, Verdict::Lint, what.into(), cure.into());
    }

    /// Takes passwords and keys out of all sentences.
    pub fn cover(&mut self) {
        self.secrets.cover(&mut self.entries);
    }

    /// Puts the entries in the order of the files; what repeats (`~SEQ`) is said once.
    pub fn sort(&mut self) {
        let key = |one: &Entry| (one.at, one.verdict == Verdict::Lint);
        self.entries.sort_by_key(key);
        let mut seen = BTreeSet::new();
        self.entries
            .retain(|one| seen.insert((one.at, one.what.clone(), one.source.clone())));
    }

    /// How many entries have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.entries
            .iter()
            .filter(|it| it.verdict == verdict)
            .count()
    }

    /// Prints one line per entry, and the sums.
    ///
    /// # Errors
    /// As the output's.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for one in &self.entries {
            let file = self.files.get(one.at.file).map_or("", String::as_str);
            let last = if one.last > one.at.line {
                format!("-{}", one.last)
            } else {
                String::new()
            };
            let place = format!("{file}:{}{last}", one.at.line);
            write!(out, "{place}: {:<7}  {}", one.verdict, one.source)?;
            if !one.what.is_empty() {
                write!(out, ": {}", one.what)?;
            }
            if !one.cure.is_empty() {
                write!(out, " -> {}", one.cure)?;
            }
            writeln!(out)?;
        }
        let sum = |verdict| self.count(verdict);
        writeln!(
            out,
            "{}: {} taken, {} changed, {} dropped, {} refused, {} to think about",
            self.files.first().map_or("", String::as_str),
            sum(Verdict::Taken),
            sum(Verdict::Changed),
            sum(Verdict::Dropped),
            sum(Verdict::Refused),
            sum(Verdict::Lint)
        )
    }
}
