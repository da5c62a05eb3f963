//! What was wrong with a line, shown under the line itself.
//!
//! ```text
//! % Unknown command: show bgp sumary
//!   show bgp sumary
//!            ^^^^^^ did you mean `summary`?
//! ```
//!
//! The first line is vtysh's, so that scripts which look for it find it; the caret and the cure are
//! what vtysh lacks.

use std::fmt;

use super::pattern::Token;

/// Most continuations listed under an incomplete line.
const LISTED_MAX: usize = 12;

/// A line that is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    title: String,
    line: String,
    /// Columns of the caret in `line`: start and width.
    caret: (usize, usize),
    cure: String,
}

impl Mistake {
    pub(super) fn unknown(words: &[String], index: usize, candidates: &[Token]) -> Self {
        let typed = words.get(index).map_or("", String::as_str);
        let cure = if candidates.is_empty() {
            "nothing more is expected here".to_owned()
        } else {
            complaint(typed, candidates)
                .or_else(|| {
                    nearest(typed, candidates).map(|word| format!("did you mean `{word}`?"))
                })
                .unwrap_or_else(|| format!("expected {}", listed(candidates)))
        };
        Self::at("Unknown command", words, index, cure)
    }

    pub(super) fn ambiguous(words: &[String], index: usize, fitting: &[&str]) -> Self {
        let cure = format!("could be {}", fitting.join(", "));
        Self::at("Ambiguous command", words, index, cure)
    }

    pub(super) fn incomplete(words: &[String], candidates: &[Token]) -> Self {
        let cure = format!("then {}", listed(candidates));
        let mut mistake = Self::at("Command incomplete", words, words.len(), cure);
        mistake.caret = (mistake.line.chars().count() + 1, 1);
        mistake
    }

    pub(super) fn value(words: &[String], text: &str) -> Self {
        Self::at(
            "Wrong value",
            words,
            words.len().saturating_sub(1),
            text.to_owned(),
        )
    }

    fn at(title: &str, words: &[String], index: usize, cure: String) -> Self {
        let line = words.join(" ");
        let start = words
            .iter()
            .take(index)
            .map(|word| word.chars().count() + 1)
            .sum();
        let width = words
            .get(index)
            .map_or(1, |word| word.chars().count().max(1));
        Self {
            title: format!("{title}: {line}"),
            line,
            caret: (start, width),
            cure,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, width) = self.caret;
        writeln!(f, "% {}", self.title)?;
        writeln!(f, "  {}", self.line)?;
        write!(f, "  {:start$}{} {}", "", "^".repeat(width), self.cure)
    }
}

impl std::error::Error for Mistake {}

fn name(token: &Token) -> &'static str {
    match token {
        Token::Word(word) => word,
        Token::Slot(slot) => slot.name(),
    }
}

fn listed(candidates: &[Token]) -> String {
    let names: Vec<_> = candidates.iter().map(name).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [some @ .., last] if names.len() <= LISTED_MAX => {
            format!("{} or {last}", some.join(", "))
        }
        more => format!(
            "{} or others; `?` lists them",
            more[..LISTED_MAX].join(", ")
        ),
    }
}

fn complaint(typed: &str, candidates: &[Token]) -> Option<String> {
    candidates.iter().find_map(|token| match token {
        Token::Slot(slot) => slot.complaint(typed),
        Token::Word(_) => None,
    })
}

/// The candidate word nearest to what was typed, if it is near at all.
fn nearest(typed: &str, candidates: &[Token]) -> Option<&'static str> {
    let limit = typed.chars().count() / 3 + 1;
    candidates
        .iter()
        .filter_map(|token| match token {
            Token::Word(word) => Some((distance(typed, word), *word)),
            Token::Slot(_) => None,
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, word)| word)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows = vec![(0..=right.len()).collect::<Vec<_>>()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replace = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_one_edit() {
        assert_eq!(distance("sumamry", "summary"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
