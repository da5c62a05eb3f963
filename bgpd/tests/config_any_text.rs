//! Any text at all: a verdict with places inside of the text, never a panic.
//!
//! The documented example is cut, doubled and sprinkled with what breaks parsers: quotes,
//! brackets, characters of several octets, line ends of other systems.

use std::path::Path;

use bgpd::config::{self, Host};
use proptest::collection::vec;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("fixtures/config/good/everything.toml");
const BREAKERS: [&str; 16] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    "\r\n",
    "\u{0}",
    "é",
    "🙂",
    "-",
    "99999999999999999999",
    "\"\"\"",
    "#",
];

/// What the reader makes of it; everything it says must be printable.
fn judge(text: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/good");
    let name = directory.join("any.toml").display().to_string();
    let said = match config::parse(&name, text, &Host::default()) {
        Ok(loaded) => loaded.warnings,
        Err(faults) => faults,
    };
    let lines = text.split('\n').count();
    for one in said.list() {
        let (line, column) = said.place(one);
        assert!(
            line >= 1 && line <= lines && column >= 1,
            "{one:?} in {text:?}"
        );
    }
    assert!(!said.render(true).is_empty() || said.is_empty());
    assert_eq!(said.lines().count(), said.list().len());
}

proptest! {
    #[test]
    fn a_damaged_example_gets_a_verdict(
        edits in vec((any::<prop::sample::Index>(), 0usize..40, 0usize..BREAKERS.len()), 1..6)
    ) {
        let mut text = EXAMPLE.to_owned();
        for (at, cut, breaker) in edits {
            let from = text.floor_char_boundary(at.index(text.len() + 1));
            let to = text.floor_char_boundary(from + cut).max(from);
            text.replace_range(from..to, BREAKERS[breaker]);
        }
        judge(&text);
    }

    #[test]
    fn any_words_get_a_verdict(text in "[a-z\\[\\]=\"{}., \n0-9é-]{0,200}") {
        judge(&text);
    }
}

#[test]
fn the_example_cut_anywhere_gets_a_verdict() {
    for at in (0..EXAMPLE.len()).filter(|at| EXAMPLE.is_char_boundary(*at)) {
        judge(&EXAMPLE[..at]);
    }
}
