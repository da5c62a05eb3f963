//! TAB and `?` in the shell: the command table, and the values that exist right now.
//!
//! Where an address fits, the neighbors of the running daemon are offered. They are asked for at
//! most every few seconds, and a daemon that does not answer offers nothing rather than an error in
//! the middle of a line.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ctl::client::{Client, Item};
use proto_codec::control::{Request, View};
use rustyline::completion::{Completer, Pair};
use rustyline::{Context, Helper};

use crate::args::split_line;
use crate::filter::Filter;
use crate::grammar::help::{self, Entry};
use crate::grammar::slot::Slot;
use crate::run::{Daemon, Settings};

/// How long the neighbors are remembered.
const LIVE_TIME: Duration = Duration::from_secs(5);

/// Most neighbors offered.
const LIVE_MAX: usize = 100;

/// What the line editor asks for completions.
pub struct Assistant {
    socket: PathBuf,
    live: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Assistant {
    /// Asks the daemon of `settings`.
    pub fn new(settings: &Settings) -> Self {
        Self {
            socket: settings.socket_of(Daemon::Bgpd),
            live: Mutex::new(None),
        }
    }

    /// The help text for a line that a question mark was typed after.
    pub fn explain(&self, line: &str) -> String {
        let (words, partial) = cut(line);
        let entries = help::entries(&words, &partial);
        let mut text = help::render(&entries);
        if entries
            .iter()
            .any(|entry| entry.slot == Some(Slot::Address))
        {
            for neighbor in self
                .neighbors()
                .iter()
                .filter(|it| it.starts_with(&partial))
            {
                text.push_str(&format!("  {neighbor}  neighbor\n"));
            }
        }
        text
    }

    fn neighbors(&self) -> Vec<String> {
        let Ok(mut live) = self.live.lock() else {
            return Vec::new();
        };
        if let Some((when, neighbors)) = live.as_ref()
            && when.elapsed() < LIVE_TIME
        {
            return neighbors.clone();
        }
        let neighbors = self.ask().unwrap_or_default();
        *live = Some((Instant::now(), neighbors.clone()));
        neighbors
    }

    fn ask(&self) -> Option<Vec<String>> {
        let mut client = Client::connect(&self.socket).ok()?;
        let mut answer = client
            .call(&Request::ShowBgpSummary { family: None })
            .ok()?;
        let mut neighbors = Vec::new();
        while let Some(item) = answer.next().ok()? {
            if let Item::Row(view) = item
                && let View::PeerSummary(peer) = *view
                && neighbors.len() < LIVE_MAX
            {
                neighbors.push(peer.address.to_string());
            }
        }
        neighbors.sort();
        neighbors.dedup();
        Some(neighbors)
    }

    fn candidates(&self, words: &[String], partial: &str) -> Vec<Pair> {
        let pair = |name: &str| Pair {
            display: name.to_owned(),
            replacement: format!("{name} "),
        };
        if words.iter().any(|word| word == "|") {
            return Filter::NAMES
                .iter()
                .filter(|name| name.starts_with(partial) && words.last().is_some_and(|w| w == "|"))
                .map(|name| pair(name))
                .collect();
        }
        let entries = help::entries(words, partial);
        let mut all = Vec::new();
        for Entry { name, slot, .. } in &entries {
            match slot {
                None if *name != "<cr>" => all.push(pair(name)),
                _ => {}
            }
        }
        // An unfinished address fits no slot by form, so the slot is looked for without it.
        let wants_address = || {
            help::entries(words, "")
                .iter()
                .any(|entry| entry.slot == Some(Slot::Address))
        };
        if (all.is_empty() || partial.is_empty()) && wants_address() {
            let live = self.neighbors();
            all.extend(
                live.iter()
                    .filter(|it| it.starts_with(partial))
                    .map(|it| pair(it)),
            );
        }
        all
    }
}

/// The finished words of a line and the unfinished last one, empty after a blank.
fn cut(line: &str) -> (Vec<String>, String) {
    let mut words = split_line(line);
    if line.is_empty() || line.ends_with(char::is_whitespace) {
        return (words, String::new());
    }
    let partial = words.pop().unwrap_or_default();
    (words, partial)
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..pos).unwrap_or(line);
        let (words, partial) = cut(before);
        Ok((
            before.len() - partial.len(),
            self.candidates(&words, &partial),
        ))
    }
}

impl rustyline::hint::Hinter for Assistant {
    type Hint = String;
}

impl rustyline::highlight::Highlighter for Assistant {}

impl rustyline::validate::Validator for Assistant {}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<String> {
        let settings = Settings {
            socket: Some("/nonexistent".into()),
            json: false,
        };
        let (words, partial) = cut(line);
        let all = Assistant::new(&settings).candidates(&words, &partial);
        all.into_iter().map(|pair| pair.replacement).collect()
    }

    #[test]
    fn words_are_completed_from_the_table() {
        assert_eq!(names("sh bgp su"), ["summary "]);
        assert_eq!(names("show bgp summary | i"), ["include "]);
        assert!(names("").contains(&"show ".to_owned()));
        assert!(names("show bgp neighbors 10.").is_empty());
    }

    #[test]
    fn a_question_lists_what_fits() {
        let settings = Settings {
            socket: Some("/nonexistent".into()),
            json: false,
        };
        let text = Assistant::new(&settings).explain("show bgp sum");
        assert!(text.starts_with("  summary  "), "{text}");
    }
}
