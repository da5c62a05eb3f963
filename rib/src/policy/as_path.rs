//! Regular expressions over AS paths, in the syntax operators know from FRR and Cisco.
//!
//! The path is matched in the text form FRR prints (`64500 64501 {64510,64511}`). One character
//! means more than in an ordinary expression: `_` stands for a boundary, that is the start, the
//! end, a space, a comma or a bracket, so `_64500_` finds the AS anywhere in the path and not
//! inside `164500`.

use regex::bytes::{Regex, RegexBuilder};

/// What `_` stands for.
const BOUNDARY: &str = "(?:^|[ ,{}()]|$)";
/// Octets of a compiled expression: generous for a list of a few thousand AS numbers, and a bound
/// against `(((a*)*)*)*`-like monsters in a configuration.
const COMPILED_MAX: usize = 4 << 20;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct AsPathRegex(Regex);

impl AsPathRegex {
    /// Compiles an expression; the error says what is wrong with it.
    pub fn compile(text: &str) -> Result<Self, String> {
        let mut expanded = String::with_capacity(text.len() + BOUNDARY.len());
        let mut in_class = false;
        let mut escaped = false;
        for letter in text.chars() {
            match letter {
                '_' if !escaped && !in_class => expanded.push_str(BOUNDARY),
                _ => expanded.push(letter),
            }
            match letter {
                '[' if !escaped => in_class = true,
                ']' if !escaped => in_class = false,
                _ => {}
            }
            escaped = letter == '\\' && !escaped;
        }
        RegexBuilder::new(&expanded)
            .size_limit(COMPILED_MAX)
            // A printed path is ASCII; `\d` and `.` mean that and need no tables.
            .unicode(false)
            .build()
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Whether the printed path matches.
    pub fn matches(&self, path: &str) -> bool {
        self.0.is_match(path.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscore_is_a_boundary() {
        let cases = [
            ("^64500 ", "64500 64501", true),
            ("^64500 ", "64500", false),
            ("^64500_", "64500", true),
            ("_64501_", "64500 64501", true),
            ("_64501_", "64500 164501", false),
            ("_64510_", "64500 {64510,64511}", true),
            ("^$", "", true),
            ("^$", "1", false),
            ("_(1|2)$", "5 2", true),
            ("^[0-9]+$", "64500", true),
            ("^[0-9]+$", "64500 1", false),
            ("_1_.*_3_", "1 2 3", true),
        ];
        for (pattern, path, expected) in cases {
            let regex = AsPathRegex::compile(pattern).unwrap();
            assert_eq!(regex.matches(path), expected, "{pattern} on {path:?}");
        }
    }

    #[test]
    fn a_broken_or_monstrous_expression_is_an_error() {
        assert!(AsPathRegex::compile("(1").is_err());
        assert!(AsPathRegex::compile("(((1{500}){500}){500})").is_err());
    }
}
