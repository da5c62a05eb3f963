//! What routers tell, on its way to the operator: log, history, status line.
//!
//! This is the one place all events pass, in their order. Whoever else listens to events hangs on
//! here, and takes them without waiting: an advert may be due next.

use ctl::notify;

use super::Driver;
use crate::io::shared::epoch_ms;
use crate::node::{Entry, SlotId};
use crate::router::{Event, State};

impl Driver {
    pub(super) fn tell(&mut self, id: SlotId, event: &Event) {
        let Some(name) = self
            .shared
            .peek(|node, _| node.slot(id).map(|slot| slot.instance.name.clone()))
        else {
            return;
        };
        let text = match event {
            Event::Transition { from, to, why } => format!("{from} -> {to}: {why}"),
            Event::Conflict(conflict) => format!("conflict: {conflict}"),
            Event::Resolved(conflict) => format!("resolved: {conflict}"),
            Event::Checked { text, .. } => text.clone(),
            Event::Excused(late) => format!(
                "stood still for {} ms: waits once more for the master",
                late.as_millis()
            ),
            Event::Unsent { reason, count } => {
                tracing::warn!(instance = name, count, "advert not sent: {reason}");
                return;
            }
            Event::Discarded {
                source,
                reason,
                count,
            } => {
                tracing::warn!(instance = name, %source, count, "advert discarded: {reason}");
                return;
            }
        };
        if matches!(
            event,
            Event::Transition { .. } | Event::Resolved(_) | Event::Checked { good: true, .. }
        ) {
            tracing::info!(instance = name, "{text}");
        } else {
            tracing::warn!(instance = name, "{text}");
        }
        let entry = Entry {
            epoch_ms: epoch_ms(),
            instance: name,
            text,
        };
        self.shared.note(entry);
        if let Event::Transition { to, why, .. } = event {
            self.status_due = true;
            self.inform(id, *to, why);
        }
    }

    /// The status line, once after all that was told: it counts all virtual routers.
    pub(super) fn tell_status(&mut self) {
        if !std::mem::take(&mut self.status_due) {
            return;
        }
        let (masters, all) = self.shared.peek(|node, _| {
            let states = node.slots().map(|(_, slot)| slot.router.state());
            states.fold((0, 0), |(masters, all), state| {
                (masters + u32::from(state == State::Master), all + 1)
            })
        });
        notify::status(&format!("master of {masters} of {all} virtual routers"));
    }
}
