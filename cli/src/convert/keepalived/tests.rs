//! Any octets: no panic, no line lost, and what is written is a good configuration.
//!
//! A small mutator with a fixed seed cuts, doubles, swaps and splices the lines and words of our
//! fixtures, which reaches states that random octets never do; random octets are tried too.

use super::*;

use std::path::Path;

const FIXTURES: [&str; 9] = [
    include_str!("../../../tests/fixtures/convert/control-plane.conf"),
    include_str!("../../../tests/fixtures/convert/firewall.conf"),
    include_str!("../../../tests/fixtures/convert/modern.conf"),
    include_str!("../../../tests/fixtures/convert/macros.conf"),
    include_str!("../../../tests/fixtures/convert/broken.conf"),
    include_str!("../../../tests/fixtures/convert/strict.conf"),
    include_str!("../../../tests/fixtures/convert/tracking.conf"),
    include_str!("../../../tests/fixtures/convert/synced.conf"),
    include_str!("../../../tests/fixtures/convert/secrets.conf"),
];
/// Mutations of all fixtures together.
const ROUNDS: usize = 1_000;

/// xorshift64*: enough to be different each time and the same each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap_or(0) % bound.max(1)
    }
}

fn outside() -> Outside<'static> {
    Outside {
        id: Some("high"),
        variable: |_| None,
        read: |_| Ok(b"virtual_router_id 9\n}\n".to_vec()),
    }
}

/// Converts, and checks all that must hold whatever the text is.
fn holds(text: &str) {
    let sources = [("fuzz.conf".to_owned(), text.to_owned())];
    for (mut draft, report) in convert(&sources, outside()) {
        for entry in &report.entries {
            assert!(
                entry.at.line > 0 && entry.last >= entry.at.line,
                "{entry:?}"
            );
            let needed = entry.verdict == Verdict::Refused;
            assert!(!needed || !entry.cure.is_empty(), "no cure: {entry:?}");
        }
        for one in &mut draft.instances {
            // The files beside it are not written here.
            one.auth_file = None;
            one.auth_mode = None;
            one.auth_window = None;
            // Whether a user or program exists is the host's to say.
            one.notify = None;
            for check in &mut one.track {
                check.user = None;
            }
        }
        for group in &mut draft.groups {
            group.notify = None;
        }
        let written = render(&draft, "fuzz.conf", true);
        if let Err(faults) = vrrpd::config::parse("vrrpd.toml", &written) {
            panic!("{faults}\nfrom\n{text}");
        }
    }
}

fn mutated(dice: &mut Dice) -> String {
    let pick = |dice: &mut Dice| FIXTURES[dice.below(FIXTURES.len())];
    let mut lines: Vec<String> = pick(dice).lines().map(str::to_owned).collect();
    for _ in 0..=dice.below(6) {
        let at = dice.below(lines.len());
        match dice.below(7) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = dice.below(lines.len());
                lines.swap(at, other);
            }
            3 => {
                let from: Vec<&str> = pick(dice).lines().collect();
                lines.insert(at, from[dice.below(from.len())].to_owned());
            }
            4 => {
                let from: Vec<&str> = pick(dice).split_whitespace().collect();
                let words = lines[at].split_whitespace().count();
                let replaced = dice.below(words + 1);
                let word = from[dice.below(from.len())];
                let changed = lines[at].split_whitespace().enumerate();
                let changed: Vec<&str> = changed
                    .map(|(index, old)| if index == replaced { word } else { old })
                    .collect();
                lines[at] = changed.join(" ");
            }
            5 => {
                let end = lines[at].floor_char_boundary(dice.below(lines[at].len() + 1));
                lines[at].truncate(end);
            }
            _ => {
                let odd = [
                    "{",
                    "}",
                    "\"",
                    "\\",
                    "$",
                    "~SEQ(a,3) $a",
                    "@high",
                    "\u{7f}\0é",
                    "{{",
                ];
                lines[at].push_str(odd[dice.below(odd.len())]);
            }
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
    }
    lines.join("\n")
}

#[test]
fn whatever_is_read_what_is_written_is_good() {
    assert!(!Path::new("fuzz.conf").exists());
    for fixture in FIXTURES {
        holds(fixture);
    }
    let mut dice = Dice(0x5eed_0000_0000_0001);
    for _ in 0..ROUNDS {
        holds(&mutated(&mut dice));
    }
}

#[test]
fn any_octets_are_read_without_a_panic() {
    let mut dice = Dice(0x5eed_0000_0000_0002);
    for _ in 0..ROUNDS {
        let octets: Vec<u8> = (0..dice.below(200))
            .map(|_| match dice.below(3) {
                0 => u8::try_from(dice.below(256)).unwrap_or(0),
                _ => b"{}$\"\\@~!# \n\tab1.=()/"[dice.below(20)],
            })
            .collect();
        holds(&String::from_utf8_lossy(&octets));
    }
}
