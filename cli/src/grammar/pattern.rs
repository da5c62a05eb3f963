//! The notation of the command table, and its expansion into plain sequences of tokens.
//!
//! A pattern is written as a manual would: `show [ip] bgp [ipv4|ipv6 [unicast]] summary`.
//! Lower-case words stand for themselves, upper-case words are slots for values, `[…]` may be left
//! out, `(…)` groups, `|` separates alternatives, `FILE...` may be repeated. A table row is
//! expanded once at start into every sequence it stands for; the longest row yields 120 short ones.
//! Matching a line is then a filter over sequences, with nothing recursive left where errors are
//! explained to people.

use super::slot::Slot;

/// How often a value with `...` may stand.
const REPEATED_MAX: usize = 8;

/// One position of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A word that stands for itself.
    Word(&'static str),
    /// A value.
    Slot(Slot),
}

/// All sequences `pattern` stands for, the fullest forms last.
///
/// # Panics
/// Never for a pattern of the table; a test parses them all.
pub fn expand(pattern: &'static str) -> Vec<Vec<Token>> {
    let mut words = split(pattern);
    words.reverse();
    let sequences = alternatives(&mut words);
    assert!(words.is_empty(), "unbalanced brackets in `{pattern}`");
    sequences
}

/// Cuts a pattern into words and single-character operators.
fn split(pattern: &'static str) -> Vec<&'static str> {
    let mut parts = Vec::new();
    let mut rest = pattern.trim_start();
    while !rest.is_empty() {
        let len = match rest.find(|c: char| c.is_whitespace() || "[]()|".contains(c)) {
            Some(0) => 1,
            Some(end) => end,
            None => rest.len(),
        };
        let (part, after) = rest.split_at(len);
        parts.push(part);
        rest = after.trim_start();
    }
    parts
}

/// `a b | c`: up to a closing bracket or the end. `words` is reversed.
fn alternatives(words: &mut Vec<&'static str>) -> Vec<Vec<Token>> {
    let mut all = sequence(words);
    while words.last() == Some(&"|") {
        words.pop();
        all.extend(sequence(words));
    }
    all
}

fn sequence(words: &mut Vec<&'static str>) -> Vec<Vec<Token>> {
    let mut all = vec![Vec::new()];
    while let Some(&word) = words.last() {
        if matches!(word, "|" | "]" | ")") {
            break;
        }
        words.pop();
        let choices = match word {
            "[" | "(" => {
                let mut inner = alternatives(words);
                words.pop();
                if word == "[" {
                    inner.insert(0, Vec::new());
                }
                inner
            }
            other => match other.strip_suffix("...") {
                Some(repeated) => (1..=REPEATED_MAX)
                    .map(|count| vec![token(repeated); count])
                    .collect(),
                None => vec![vec![token(other)]],
            },
        };
        all = all
            .iter()
            .flat_map(|left: &Vec<Token>| {
                choices
                    .iter()
                    .map(move |right| [left.as_slice(), right].concat())
            })
            .collect();
    }
    all
}

fn token(word: &'static str) -> Token {
    match Slot::from_name(word) {
        Some(slot) => Token::Slot(slot),
        None => Token::Word(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pattern: &'static str) -> Vec<String> {
        let show = |token: &Token| match token {
            Token::Word(word) => (*word).to_owned(),
            Token::Slot(slot) => slot.name().to_owned(),
        };
        expand(pattern)
            .iter()
            .map(|sequence| sequence.iter().map(show).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn brackets_mean_what_a_manual_means() {
        assert_eq!(
            lines("a [b | c [d]] e"),
            ["a e", "a b e", "a c e", "a c d e"]
        );
        assert_eq!(lines("x (y|z) PREFIX"), ["x y PREFIX", "x z PREFIX"]);
        let repeated = lines("x FILE...");
        assert_eq!(repeated[..2], ["x FILE", "x FILE FILE"]);
        assert_eq!(repeated.len(), REPEATED_MAX);
    }
}
