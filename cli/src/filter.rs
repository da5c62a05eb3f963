//! `| include TEXT` and its kin: a writer that looks at lines before it passes them on.
//!
//! Matching is by plain text, as operators type it; a bound line length is not needed because lines
//! are only kept until their end arrives.

use std::io::{self, Write};

/// What to do with lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Only lines that contain the text.
    Include(String),
    /// Only lines that do not.
    Exclude(String),
    /// From the first line that contains the text.
    Begin(String),
    /// The number of lines instead of the lines.
    Count,
}

impl Filter {
    /// The words that may follow a bar.
    pub const NAMES: [&'static str; 4] = ["include", "exclude", "begin", "count"];

    /// Reads the words after the bar.
    ///
    /// # Errors
    /// A sentence that says what may stand there.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let Some((typed, text)) = words.split_first() else {
            return Err(format!(
                "after `|` one of {} is expected",
                Self::NAMES.join(", ")
            ));
        };
        let fitting: Vec<_> = Self::NAMES
            .iter()
            .filter(|name| name.starts_with(typed))
            .collect();
        let text = text.join(" ");
        let name = match fitting.as_slice() {
            [name] => **name,
            _ => {
                return Err(format!(
                    "`| {typed}` is not one of {}",
                    Self::NAMES.join(", ")
                ));
            }
        };
        match name {
            "count" if text.is_empty() => Ok(Self::Count),
            "count" => Err("`| count` takes no text".to_owned()),
            _ if text.is_empty() => Err(format!("`| {name}` needs a text")),
            "include" => Ok(Self::Include(text)),
            "exclude" => Ok(Self::Exclude(text)),
            _ => Ok(Self::Begin(text)),
        }
    }
}

/// Cuts `words` at bars: the command and its filters, in the order they apply.
///
/// # Errors
/// That of [`Filter::parse`].
pub fn split(words: &[String]) -> Result<(Vec<String>, Vec<Filter>), String> {
    let mut parts = words.split(|word| word == "|");
    let command = parts.next().unwrap_or_default().to_vec();
    let filters = parts.map(Filter::parse).collect::<Result<_, _>>()?;
    Ok((command, filters))
}

/// A filter at work.
struct Stage {
    filter: Filter,
    begun: bool,
    count: u64,
}

impl Stage {
    /// Whether the line goes on.
    fn passes(&mut self, line: &[u8]) -> bool {
        let contains = |text: &str| {
            let text = text.as_bytes();
            text.is_empty() || line.windows(text.len()).any(|window| window == text)
        };
        match &self.filter {
            Filter::Include(text) => contains(text),
            Filter::Exclude(text) => !contains(text),
            Filter::Begin(text) => {
                self.begun |= contains(text);
                self.begun
            }
            Filter::Count => {
                self.count += 1;
                false
            }
        }
    }
}

/// A writer that applies filters, one after the other.
pub struct Filtered<'a> {
    out: &'a mut dyn Write,
    stages: Vec<Stage>,
    line: Vec<u8>,
}

impl<'a> Filtered<'a> {
    /// Filters what is written to `out`.
    pub fn new(out: &'a mut dyn Write, filters: Vec<Filter>) -> Self {
        let stages = filters
            .into_iter()
            .map(|filter| Stage {
                filter,
                begun: false,
                count: 0,
            })
            .collect();
        Self {
            out,
            stages,
            line: Vec::new(),
        }
    }

    fn pass(&mut self, line: &[u8], first: usize) -> io::Result<()> {
        let passes = self
            .stages
            .iter_mut()
            .skip(first)
            .all(|stage| stage.passes(line));
        if passes {
            self.out.write_all(line)
        } else {
            Ok(())
        }
    }

    /// Ends the output: a line without an end, and the counts.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.pass(&line, 0)?;
        }
        for index in 0..self.stages.len() {
            if self.stages[index].filter == Filter::Count {
                let line = format!("Count: {}\n", self.stages[index].count);
                self.pass(line.as_bytes(), index + 1)?;
            }
        }
        self.out.flush()
    }
}

impl Write for Filtered<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.stages.is_empty() {
            return self.out.write(octets);
        }
        for part in octets.split_inclusive(|octet| *octet == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.pass(&line, 0)?;
            }
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &str, text: &str) -> String {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let mut out = Vec::new();
        let bar = [&["|".to_owned()], words.as_slice()].concat();
        let (_, filters) = split(&bar).unwrap();
        let mut filtered = Filtered::new(&mut out, filters);
        // Octet by octet, as a writer may hand them over.
        for octet in text.as_bytes() {
            filtered.write_all(&[*octet]).unwrap();
        }
        filtered.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_pass_or_not() {
        let text = "one\ntwo\nthree\n";
        assert_eq!(run("include t", text), "two\nthree\n");
        assert_eq!(run("exc t", text), "one\n");
        assert_eq!(run("begin tw", text), "two\nthree\n");
        assert_eq!(run("count", text), "Count: 3\n");
        assert_eq!(run("include t | count", text), "Count: 2\n");
    }

    #[test]
    fn a_bad_filter_is_explained() {
        assert!(
            Filter::parse(&["grep".to_owned()])
                .unwrap_err()
                .contains("include")
        );
        assert!(
            Filter::parse(&["include".to_owned()])
                .unwrap_err()
                .contains("needs a text")
        );
    }
}
