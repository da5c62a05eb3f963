//! `vrrp_script`, `vrrp_track_process` and `vrrp_track_file`: checks by name.
//!
//! keepalived defines a check once and instances refer to it; ours stand in the instance that
//! tracks them. A check that nobody refers to is dropped, and said to be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ctl::config::duration_text;

use super::by_table;
use super::global::Globals;
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::draft::{Check, TIMEOUT_DEFAULT, Target};
use crate::convert::keepalived::idiom::recognise;
use crate::convert::keepalived::lexer::command_words;
use crate::convert::keepalived::numbers::seconds;
use crate::convert::keepalived::report::Report;
use crate::convert::keepalived::vocabulary::{self, Words};

/// Most answers in a row.
const ROW_MAX: u32 = 100;

/// What the daemon takes as an interval; zero means a second, as keepalived says in its log.
fn bounded(value: Duration) -> Duration {
    match value.as_millis() {
        0 if value.is_zero() => Duration::from_secs(1),
        ms => Duration::from_millis(u64::try_from(ms.clamp(50, 3_600_000)).unwrap_or(50)),
    }
}

/// A check as defined, with its default weight.
#[derive(Clone, Debug)]
pub struct Defined {
    /// What becomes of it in an instance, without weight.
    pub check: Check,
    /// keepalived's weight.
    pub weight: i32,
    /// Counted the other way round.
    pub reverse: bool,
    /// Its section.
    node: Node,
}

/// The kinds of checks that have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `vrrp_script`.
    Script,
    /// `vrrp_track_process`.
    Process,
    /// `vrrp_track_file`.
    File,
}

/// All checks of a file.
#[derive(Clone, Debug, Default)]
pub struct Library {
    defined: BTreeMap<(Kind, String), Defined>,
    used: BTreeSet<(Kind, String)>,
}

impl Library {
    /// The check of that name, which is used from now on.
    pub fn find(&mut self, kind: Kind, name: &str) -> Option<Defined> {
        let key = (kind, name.to_owned());
        let found = self.defined.get(&key)?.clone();
        self.used.insert(key);
        Some(found)
    }

    /// The names of a kind.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let all = self.defined.keys().filter(move |key| key.0 == kind);
        all.map(|key| key.1.as_str())
    }

    /// Says of each check nobody tracks that it is gone.
    pub fn unused(&self, report: &mut Report) {
        for (key, one) in &self.defined {
            if !self.used.contains(key) {
                report.dropped(one.node.line(), "no instance tracks it");
            }
        }
    }
}

/// Reads all of them.
pub fn read(nodes: &[Node], globals: &Globals, report: &mut Report) -> Library {
    let mut library = Library::default();
    for node in nodes {
        let (kind, words): (Kind, Words) = match node.keyword() {
            "vrrp_script" => (Kind::Script, vocabulary::SCRIPT),
            "vrrp_track_process" => (Kind::Process, vocabulary::PROCESS),
            "vrrp_track_file" | "track_file" => (Kind::File, vocabulary::FILE),
            _ => continue,
        };
        let target = match kind {
            Kind::Script => Target::Script(Vec::new()),
            Kind::Process => Target::Process(String::new()),
            Kind::File => Target::File(String::new()),
        };
        let mut one = Defined {
            check: Check::new(target),
            // What is read from a file is multiplied by one, if nothing else is written.
            weight: i32::from(kind == Kind::File),
            reverse: false,
            node: node.clone(),
        };
        if kind == Kind::Script {
            one.check.interval = Some(Duration::from_secs(1));
            one.check.rise = Some(1);
            one.check.fall = Some(1);
        }
        report.taken(
            node.line(),
            "stands in `track` of each instance that tracks it",
        );
        for key in node.inside() {
            if by_table(words, key, report) {
                line(kind, key, &mut one, report);
            }
        }
        finish(kind, one, globals, &mut library, report);
    }
    library
}

fn finish(
    kind: Kind,
    mut one: Defined,
    globals: &Globals,
    library: &mut Library,
    report: &mut Report,
) {
    let name = one.node.word(1).to_owned();
    let (_, value) = one.check.target.key();
    let span = one.node.line();
    if value.is_empty() || name.is_empty() {
        let cause = "it looks at nothing: keepalived leaves it out";
        report.refused(span, cause, "name what it looks at, or remove it");
        return;
    }
    if matches!(one.check.target, Target::Script(_)) {
        if one.check.user.is_none() {
            one.check.user.clone_from(&globals.script_user);
        }
        if one.check.user.is_none() {
            let what = "no user: keepalived runs it as keepalived_script where there is one, else \
                        as root; here it runs as the daemon";
            report.lint(span, what, "write user = \"nobody\", or whoever it needs");
        }
    } else {
        one.check.user = None;
    }
    // Where nothing is written keepalived waits for the next turn.
    if let Some(interval) = one.check.interval
        && one.check.timeout.is_none()
        && interval > TIMEOUT_DEFAULT
    {
        one.check.timeout = Some(interval);
    }
    let key = (kind, name);
    if library.defined.contains_key(&key) {
        let cause = "there is one of this name already: which is meant is not clear";
        report.refused(span, cause, "give it another name, or remove it");
        return;
    }
    library.defined.insert(key, one);
}

fn line(kind: Kind, node: &Node, one: &mut Defined, report: &mut Report) {
    let span = node.whole();
    let word = node.word(1);
    match node.keyword() {
        "script" => script(node, one, report),
        "process" => {
            one.check.target = Target::Process(word.to_owned());
            match node.words.len() > 2 {
                true => report.refused(
                    span,
                    "a process is told by its name, not by its arguments",
                    "see that the name alone is enough",
                ),
                false => report.taken(span, "process = NAME"),
            }
        }
        "file" => {
            one.check.target = Target::File(word.to_owned());
            report.taken(span, "file = PATH");
        }
        "weight" => weight(node, one, report),
        "interval" | "timeout" => match seconds(word) {
            Some(value) => {
                let written = value;
                let value = bounded(value);
                let key = if node.keyword() == "interval" {
                    &mut one.check.interval
                } else {
                    &mut one.check.timeout
                };
                *key = Some(value);
                let what = format!("{} of the check", node.keyword());
                match value == written {
                    true => report.taken(span, what),
                    false => {
                        let text = duration_text(value);
                        report.changed(span, format!("{what} is {text}, which is in bounds"));
                    }
                }
            }
            None => report.refused(span, "no number of seconds", "write one"),
        },
        "rise" | "fall" => match word
            .parse::<u32>()
            .ok()
            .filter(|it| (1..=ROW_MAX).contains(it))
        {
            Some(value) => {
                let rise = node.keyword() == "rise";
                let key = if rise {
                    &mut one.check.rise
                } else {
                    &mut one.check.fall
                };
                *key = Some(value);
                report.taken(span, format!("{} of the check", node.keyword()));
            }
            None => report.refused(span, "no number of answers", "write 1 to 100"),
        },
        "user" => {
            one.check.user = Some(word.to_owned()).filter(|it| !it.is_empty());
            user(node, report);
        }
        _ => rest(kind, node, report),
    }
}

/// `user` and `script_user`: ours has the groups of the user, and no other.
pub fn user(node: &Node, report: &mut Report) {
    let span = node.whole();
    match (node.word(1), node.word(2)) {
        ("", _) => report.refused(span, "no name", "name a user of this host"),
        (_, "") => report.taken(span, "`user` of the script"),
        (user, group) if user == group => report.taken(span, "`user` of the script"),
        (user, group) => {
            let what = format!("user = \"{user}\", with the groups of that user and not {group}");
            report.changed(span, what);
        }
    }
}

fn script(node: &Node, one: &mut Defined, report: &mut Report) {
    let command = node.text.strip_prefix("script").unwrap_or_default().trim();
    let mut parts = command_words(command);
    let mut text = command.to_owned();
    // A command in one pair of quotes is cut again.
    if let [single] = parts.as_slice()
        && single.contains(' ')
    {
        text.clone_from(single);
        parts = command_words(single);
    }
    if let Some(idiom) = recognise(&parts) {
        let (key, value) = idiom.target.key();
        let what = format!("{key} = \"{value}\": {}", idiom.differs);
        report.changed(node.whole(), what);
        one.check.target = idiom.target;
        return;
    }
    match parts.first() {
        Some(program) if !program.starts_with('/') => {
            let what = "by a shell that looks for it: the daemon takes whole paths";
            report.changed(node.whole(), what);
            let shell = ["/bin/sh", "-c"].map(str::to_owned);
            one.check.target = Target::Script(shell.into_iter().chain([text]).collect());
        }
        _ => {
            report.taken(node.whole(), "script of the check");
            one.check.target = Target::Script(parts);
        }
    }
}

fn weight(node: &Node, one: &mut Defined, report: &mut Report) {
    let span = node.whole();
    let Some(value) = node
        .word(1)
        .parse::<i32>()
        .ok()
        .filter(|it| it.abs() <= 254)
    else {
        report.refused(
            span,
            "no weight from -253 to 253",
            "write one, or 0 for a fault",
        );
        return;
    };
    one.weight = value.clamp(-253, 253);
    one.reverse = node.word(2) == "reverse";
    report.taken(span, "weight where it is tracked");
}

fn rest(kind: Kind, node: &Node, report: &mut Report) {
    let span = node.whole();
    match (kind, node.keyword(), node.word(1)) {
        (Kind::Script, "init_fail", _) => report.changed(
            span,
            "a check has not failed before it has answered: a router starts as backup anyway",
        ),
        (Kind::Process, "quorum", "1") => report.taken(span, "one process is enough"),
        (Kind::Process, "full_command", _) => {
            report.changed(span, "a process is told by its name alone");
        }
        (Kind::File, "init_file", _) => report.dropped(span, "the file is not written to"),
        (Kind::Process, "delay" | "terminate_delay" | "fork_delay", _) => {
            report.dropped(
                span,
                "a process that is replaced within the interval is not missed",
            );
        }
        _ => report.refused(
            span,
            "processes are not counted, and not told by arguments",
            "use a script that does",
        ),
    }
}
