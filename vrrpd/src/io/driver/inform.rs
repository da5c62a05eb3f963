//! Which state changes are told to the programs of `notify`, and with what.
//!
//! A transition tells the program of its instance, and that of its group once all members share the
//! state. Whoever never leaves Initialize has no transition: what is at fault from the start, or
//! stopped while at fault, is found by looking, after events have been told in their order; so is
//! an heir, whose predecessor may have ended before it had told everything.

use std::path::PathBuf;
use std::time::Duration;

use super::Driver;
use crate::io::notices::Notices;
use crate::io::notices::queue::{Notice, Word};
use crate::node::{Node, Slot, SlotId};
use crate::router::{State, Why};

impl Driver {
    /// Has states told from now on, beginning with those there are.
    pub fn notify_through(&mut self, notices: Notices) {
        self.notices = Some(notices);
        self.inform_due = true;
    }

    /// Tells what waits, for so long at most; the last thing before the end.
    pub async fn finish_notices(&mut self, patience: Duration) {
        if let Some(notices) = &mut self.notices {
            notices.finish(patience).await;
        }
    }

    /// Ends what runs; what was not told stays for the successor.
    pub fn leave_notices(&mut self) {
        if let Some(notices) = &mut self.notices {
            notices.leave();
        }
    }

    /// A transition.
    pub(super) fn inform(&mut self, id: SlotId, to: State, why: &Why) {
        let word = match (to, why) {
            (State::Master, _) => Word::Master,
            (State::Backup, _) => Word::Backup,
            (State::Initialize, Why::Shutdown) => Word::Stop,
            (State::Initialize, _) => Word::Fault,
        };
        self.tell_word(id, word, &why.to_string());
    }

    /// Tells whoever had no transition to where it is.
    pub(super) fn inform_all(&mut self) {
        if !std::mem::take(&mut self.inform_due) || self.notices.is_none() {
            return;
        }
        let resting: Vec<(SlotId, Word, String)> = self.shared.peek(|node, _| {
            let slots = node.slots().filter(|(id, slot)| is_heard(node, *id, slot));
            let resting = slots.filter_map(|(id, slot)| {
                let (word, why) = rest(node, slot)?;
                Some((id, word, why))
            });
            resting.collect()
        });
        for (id, word, why) in resting {
            self.tell_word(id, word, &why);
        }
    }

    fn tell_word(&mut self, id: SlotId, word: Word, why: &str) {
        let Some(notices) = &mut self.notices else {
            return;
        };
        let made = self.shared.peek(|node, _| {
            let slot = node.slot(id)?;
            let own = slot.instance.notify.as_ref();
            let own = own.map(|program| notice(node, (id, slot), word, program.clone()));
            Some((own, of_group(node, (id, slot))))
        });
        let (own, group) = made.unwrap_or_default();
        for mut notice in own.into_iter().chain(group) {
            let before = notices.told(&notice.subject);
            let before = before.map_or_else(String::new, |word| word.name().to_owned());
            notice.details.push(("PREVIOUS", before));
            notice.details.push(("WHY", why.to_owned()));
            notices.push(notice);
        }
    }
}

/// Whether anybody wants to be told of a slot.
fn is_heard(node: &Node, id: SlotId, slot: &Slot) -> bool {
    slot.instance.notify.is_some() || group_program(node, id).is_some()
}

/// What to say of a slot that takes no part, or goes on where another process ended; `None`: its
/// transitions tell, or it is about to have one.
fn rest(node: &Node, slot: &Slot) -> Option<(Word, String)> {
    let word = match slot.router.state() {
        State::Initialize => Word::Fault,
        State::Backup => Word::Backup,
        State::Master => Word::Master,
    };
    if word != Word::Fault {
        let goes_on = slot.router.because().is_none();
        return goes_on.then(|| (word, "goes on after a restart".to_owned()));
    }
    if slot.is_to_inherit() {
        return None;
    }
    if node.is_stopping() || slot.leaving {
        return Some((Word::Stop, Why::Shutdown.to_string()));
    }
    let fault = slot.router.faults().next()?;
    Some((Word::Fault, fault.to_string()))
}

fn group_program(node: &Node, id: SlotId) -> Option<(&str, PathBuf)> {
    let (group, _) = node.group_of(id)?;
    let mut groups = node.config().groups.iter();
    let program = groups.find(|one| one.name == group)?.notify.clone()?;
    Some((group, program))
}

/// The notice of the group of a slot, when all members share a state.
fn of_group(node: &Node, (id, slot): (SlotId, &Slot)) -> Option<Notice> {
    let (group, program) = group_program(node, id)?;
    let word = match node.group_of(id)?.1? {
        State::Master => Word::Master,
        State::Backup => Word::Backup,
        State::Initialize => rest(node, slot)?.0,
    };
    let mut notice = notice(node, (id, slot), word, program);
    notice.subject = (true, group.to_owned());
    for (key, value) in &mut notice.details {
        if *key == "NAME" {
            group.clone_into(value);
        }
    }
    Some(notice)
}

fn notice(node: &Node, (id, slot): (SlotId, &Slot), word: Word, program: PathBuf) -> Notice {
    let settings = slot.router.settings();
    let link = slot.link.and_then(|index| node.hosts().link_at(index));
    let addresses = slot.instance.networks.iter().map(ToString::to_string);
    let group = node.group_of(id).map_or("", |(group, _)| group);
    Notice {
        subject: (false, slot.instance.name.clone()),
        word,
        priority: slot.router.effective_priority(),
        program,
        details: vec![
            ("NAME", slot.instance.name.clone()),
            ("STATE", word.name().to_owned()),
            (
                "INTERFACE",
                link.map_or_else(String::new, |it| it.name.clone()),
            ),
            ("VRID", settings.vrid.to_string()),
            ("VERSION", settings.version.number().to_string()),
            ("ADDRESSES", addresses.collect::<Vec<_>>().join(" ")),
            ("GROUP", group.to_owned()),
        ],
    }
}
