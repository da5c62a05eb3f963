//! `notify` and its brothers.
//!
//! Ours calls one program as keepalived calls `notify`: `INSTANCE name STATE priority`. The
//! commands per state become a small script that asks for the state, written beside the
//! configuration; it hands on the exit code of what it runs. `notify_stop` is what keepalived runs
//! when it ends as a backup or master; ours tells the state it leaves, so `STOP` is asked for.

use std::fmt::Write as _;

use super::Context;
use crate::convert::keepalived::blocks::Node;

/// The lines of an instance or group.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    lines: Vec<Node>,
}

/// Keyword, and the state it is for; empty: all.
const STATES: [(&str, &str); 5] = [
    ("notify", ""),
    ("notify_master", "MASTER"),
    ("notify_backup", "BACKUP"),
    ("notify_fault", "FAULT"),
    ("notify_stop", "STOP"),
];

impl Notify {
    /// Takes a line; the first of a kind counts, as with keepalived.
    pub fn add(&mut self, line: &Node, context: &mut Context<'_>) {
        let known = self.lines.iter().any(|it| it.keyword() == line.keyword());
        if known || command(line).is_empty() {
            let cause = "keepalived takes the first of a kind, and none without a command";
            context
                .report
                .refused(line.whole(), cause, "join them in one script");
            return;
        }
        self.lines.push(line.clone());
    }

    /// The lines, for those who cannot take them.
    pub fn lines(&self) -> &[Node] {
        &self.lines
    }

    /// The value of `notify` of the instance or group `name`, and the script that it needs.
    pub fn settle(&self, name: &str, context: &mut Context<'_>) -> Option<String> {
        if let [line] = self.lines.as_slice()
            && line.keyword() == "notify"
            && line.words.len() == 2
            && !line.word(1).contains(' ')
        {
            context
                .report
                .taken(line.whole(), "called with the same words");
            return Some(line.word(1).to_owned());
        }
        if self.lines.is_empty() {
            return None;
        }
        for line in &self.lines {
            context
                .report
                .changed(line.whole(), "in one script that asks for the state");
        }
        let script = self.script();
        Some(context.side_file(&format!("{name}-notify.sh"), script.into_bytes(), false))
    }

    fn script(&self) -> String {
        let mut text =
            "#!/bin/sh\n# called with INSTANCE or GROUP, name, state, priority\nstate=$3\n"
                .to_owned();
        for (keyword, state) in STATES {
            let lines = self.lines.iter().filter(|it| it.keyword() == keyword);
            for line in lines {
                let command = command(line);
                let _ = match state {
                    "" => writeln!(text, "{command} \"$@\""),
                    state => writeln!(text, "if [ \"$state\" = {state} ]; then {command}; fi"),
                };
            }
        }
        text
    }
}

/// The command of a line as a shell reads it.
fn command(line: &Node) -> &str {
    let rest = line.text.strip_prefix(line.keyword()).unwrap_or_default();
    let rest = rest.trim();
    match rest.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        Some(inner) if !inner.contains('"') => inner.trim(),
        _ => rest,
    }
}
