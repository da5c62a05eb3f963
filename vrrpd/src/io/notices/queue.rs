//! Notices that wait, in their order.
//!
//! One at a time is taken out. A state that was told last is not told again, so neither a reload
//! nor a new daemon that goes on where the last one was repeats anything. When the queue is full,
//! a state that a later one of the same subject has made obsolete is left out; the last one of a
//! subject never is, so that the queue is as long as there are subjects, or [`WAITING_MAX`].

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

/// Notices that wait. Beyond it, states that are no longer true are left out.
pub const WAITING_MAX: usize = 64;

/// The states of keepalived's notify scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Has the addresses.
    Master,
    /// Watches the master.
    Backup,
    /// Takes no part.
    Fault,
    /// The daemon stops, or the instance is removed.
    Stop,
}

impl Word {
    /// As the script is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
        }
    }

    /// The word of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Master, Self::Backup, Self::Fault, Self::Stop];
        all.into_iter().find(|word| word.name() == name)
    }
}

/// Whom a notice is about: an instance, or a whole group (`true`).
pub type Subject = (bool, String);

/// One call of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// About whom.
    pub subject: Subject,
    /// The state.
    pub word: Word,
    /// The priority.
    pub priority: u8,
    /// The program.
    pub program: PathBuf,
    /// More than arguments can say: names without their prefix, and values.
    pub details: Vec<(&'static str, String)>,
}

/// What waits, and what was told.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Notice>,
    /// What was last put into the queue.
    told: BTreeMap<Subject, Word>,
    /// What was last taken out of it.
    begun: BTreeMap<Subject, Word>,
    left_out: u64,
}

impl Queue {
    /// A queue that goes on after another one, which has told `told`.
    #[must_use]
    pub fn after(told: BTreeMap<Subject, Word>) -> Self {
        Self {
            begun: told.clone(),
            told,
            ..Self::default()
        }
    }

    /// What was last told, or will be.
    #[must_use]
    pub fn told(&self, subject: &Subject) -> Option<Word> {
        self.told.get(subject).copied()
    }

    /// Adds a notice unless it says what was said last. `details` may look at the word before.
    pub fn push(&mut self, notice: Notice) -> bool {
        if self.told(&notice.subject) == Some(notice.word) {
            return false;
        }
        self.told.insert(notice.subject.clone(), notice.word);
        self.waiting.push_back(notice);
        if self.waiting.len() > WAITING_MAX {
            self.leave_one_out();
        }
        true
    }

    fn leave_one_out(&mut self) {
        let obsolete = |(at, one): &(usize, &Notice)| {
            let mut later = self.waiting.iter().skip(at + 1);
            later.any(|other| other.subject == one.subject)
        };
        let found = self.waiting.iter().enumerate().find(obsolete);
        if let Some(at) = found.map(|(at, _)| at) {
            self.waiting.remove(at);
            self.left_out += 1;
        }
    }

    /// The next notice. One that says what the last call for its subject said is passed over:
    /// what was between has been left out.
    pub fn pop(&mut self) -> Option<Notice> {
        while let Some(notice) = self.waiting.pop_front() {
            let before = self.begun.insert(notice.subject.clone(), notice.word);
            if before != Some(notice.word) {
                return Some(notice);
            }
        }
        None
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// States left out since the last call.
    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// What was last taken out, for the next daemon: a line each.
    #[must_use]
    pub fn begun_text(&self) -> String {
        let lines = self.begun.iter().map(|((group, name), word)| {
            let kind = if *group { "GROUP" } else { "INSTANCE" };
            format!("{kind} {} {name}\n", word.name())
        });
        lines.collect()
    }

    /// What [`Queue::begun_text`] wrote; lines that make no sense are passed over.
    #[must_use]
    pub fn parse_begun(text: &str) -> BTreeMap<Subject, Word> {
        let line = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let group = match words.next()? {
                "GROUP" => true,
                "INSTANCE" => false,
                _ => return None,
            };
            let word = Word::parse(words.next()?)?;
            Some(((group, words.next()?.to_owned()), word))
        };
        text.lines().filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(name: &str, word: Word) -> Notice {
        Notice {
            subject: (false, name.to_owned()),
            word,
            priority: 100,
            program: PathBuf::from("/bin/true"),
            details: Vec::new(),
        }
    }

    fn drain(queue: &mut Queue) -> Vec<(String, Word)> {
        let all = std::iter::from_fn(|| queue.pop());
        all.map(|one| (one.subject.1, one.word)).collect()
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        let mut queue = Queue::default();
        assert!(queue.push(notice("a", Word::Backup)));
        assert!(!queue.push(notice("a", Word::Backup)));
        assert!(queue.push(notice("a", Word::Master)));
        let order = [
            ("a".to_owned(), Word::Backup),
            ("a".to_owned(), Word::Master),
        ];
        assert_eq!(drain(&mut queue), order);
        let text = queue.begun_text();
        let mut next = Queue::after(Queue::parse_begun(&text));
        assert!(!next.push(notice("a", Word::Master)), "{text}");
        assert!(next.push(notice("a", Word::Stop)));
    }

    #[test]
    fn a_full_queue_leaves_out_the_past_and_keeps_every_last_state() {
        let mut queue = Queue::default();
        queue.push(notice("quiet", Word::Backup));
        for _ in 0..1000 {
            queue.push(notice("busy", Word::Master));
            queue.push(notice("busy", Word::Backup));
        }
        queue.push(notice("busy", Word::Master));
        let told = drain(&mut queue);
        assert_eq!(told.first(), Some(&("quiet".to_owned(), Word::Backup)));
        assert_eq!(told.last(), Some(&("busy".to_owned(), Word::Master)));
        assert!(told.len() <= WAITING_MAX);
        assert!(queue.take_left_out() > 1900);
        for pair in told.windows(2) {
            assert_ne!(pair[0], pair[1], "no state twice in a row");
        }
    }

    #[test]
    fn many_subjects_are_all_told() {
        let mut queue = Queue::default();
        for at in 0..300 {
            queue.push(notice(&format!("vip{at}"), Word::Backup));
        }
        assert_eq!(drain(&mut queue).len(), 300);
    }
}
