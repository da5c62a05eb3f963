//! `?` and TAB: what may come next, with a line of help for each.
//!
//! Live values (the neighbors that are configured) can be mixed in by the caller: completion asks
//! the daemon for them only where an address fits.

use super::matcher::{Progress, read};
use super::pattern::Token;
use super::slot::Slot;
use super::table::WORDS;
use crate::convert;

/// Something that may come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The word, or the name of the slot.
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
    /// It is a slot.
    pub slot: Option<Slot>,
}

/// What may come after `words`, the last of which may be unfinished (`partial`; empty after a
/// space). `<cr>` stands first when the line is a command already.
pub fn entries(words: &[String], partial: &str) -> Vec<Entry> {
    let Ok(progress) = read(words) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if partial.is_empty() && progress.complete().is_some() {
        all.push(Entry {
            name: "<cr>",
            help: "run it",
            slot: None,
        });
    }
    let mut tokens = progress.candidates();
    tokens.sort_by_key(|token| match token {
        Token::Slot(slot) => (0, slot.name()),
        Token::Word(word) => (1, *word),
    });
    all.extend(tokens.into_iter().filter_map(|token| match token {
        Token::Slot(slot) if partial.is_empty() || slot.accepts(partial) => Some(Entry {
            name: slot.name(),
            help: slot.help(),
            slot: Some(slot),
        }),
        Token::Word(word) if word.starts_with(partial) => Some(Entry {
            name: word,
            help: word_help(word, &progress),
            slot: None,
        }),
        _ => None,
    }));
    all
}

/// The help text: two columns, as vtysh prints it.
pub fn render(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "% There is no matched command.\n".to_owned();
    }
    let width = entries
        .iter()
        .map(|entry| entry.name.len())
        .max()
        .unwrap_or(0);
    entries
        .iter()
        .map(|entry| format!("  {:width$}  {}\n", entry.name, entry.help))
        .collect()
}

/// A word of the word table is explained there, the last word of a row by the row.
fn word_help(word: &'static str, progress: &Progress) -> &'static str {
    if let Some(row) = WORDS.iter().chain(convert::WORDS).find(|row| row.0 == word) {
        return row.1;
    }
    let at = progress.depth;
    let is_last = |tokens: &[Token]| {
        let is_word = |token: &Token| matches!(token, Token::Word(word) if *word != "json");
        tokens.iter().rposition(is_word) == Some(at) && tokens[at] == Token::Word(word)
    };
    let own = progress
        .fitting
        .iter()
        .find(|sequence| is_last(&sequence.tokens));
    own.map_or("", |sequence| sequence.row.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str, partial: &str) -> Vec<&'static str> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        entries(&words, partial)
            .into_iter()
            .map(|entry| entry.name)
            .collect()
    }

    #[test]
    fn a_finished_line_offers_to_run() {
        assert_eq!(names("show bgp summary", ""), ["<cr>", "json"]);
    }

    #[test]
    fn a_beginning_narrows() {
        assert_eq!(names("show bgp", "su"), ["summary"]);
        assert_eq!(names("sh b", "nei"), ["neighbors"]);
    }

    #[test]
    fn every_word_has_help() {
        for sequence in super::super::matcher::sequences() {
            let mut words = Vec::new();
            for token in &sequence.tokens {
                for entry in entries(&words, "") {
                    assert!(!entry.help.is_empty(), "{} after {words:?}", entry.name);
                }
                words.push(match token {
                    Token::Word(word) => (*word).to_owned(),
                    Token::Slot(Slot::Prefix) => "10.0.0.0/8".to_owned(),
                    Token::Slot(Slot::Address) => "10.0.0.1".to_owned(),
                    Token::Slot(Slot::Star) => "*".to_owned(),
                    Token::Slot(_) => "x".to_owned(),
                });
            }
        }
    }
}
