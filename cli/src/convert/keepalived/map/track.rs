//! `track_interface`, `track_script`, `track_process`, `track_file`: weights mean the same.
//!
//! keepalived adds a positive weight while a check is good, a negative one while it is bad, and
//! takes 0 (or none) for a fault; so do we. Three things differ. `reverse` has no counterpart. The
//! number in a file is added as it is, so only a multiplier of one can be taken. And checks change
//! nothing of an owner (255), where keepalived knows faults of one. Both cut the sum, keepalived to
//! 1 to 254, ours to 2 to 254, because 1 is what a router sends whose check is a fault.
//!
//! In a sync group keepalived takes the weights from the checks of its members
//! (`vrrp_complete_instance`), and from those of the group itself when one member is an owner
//! (`sync_group_tracking_init`). What is left then is converted, not what is written.

use ctl::config::did_you_mean;

use super::Context;
use super::checks::{Defined, Kind};
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::draft::{Check, Instance, Target, Weight};

/// A weight as keepalived writes it.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    value: i32,
    reverse: bool,
}

/// A check to be put into an instance.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// `None`: a link.
    kind: Option<Kind>,
    weight: Written,
    /// Why keepalived does not count the weight that is written.
    ignored: Option<&'static str>,
    check: Check,
    node: Node,
}

/// Reads a block `node` (`track_script { … }`).
pub fn read(node: &Node, context: &mut Context<'_>) -> Vec<Tracked> {
    context.report.taken(node.line(), "track = [...]");
    node.inside()
        .iter()
        .filter_map(|line| one(node.keyword(), line, context))
        .collect()
}

fn one(block: &str, line: &Node, context: &mut Context<'_>) -> Option<Tracked> {
    let kind = match block {
        "track_interface" => None,
        "track_script" => Some(Kind::Script),
        "track_process" => Some(Kind::Process),
        _ => Some(Kind::File),
    };
    let defined = match kind {
        None => None,
        Some(kind) => Some(find(kind, line, context)?),
    };
    let default = defined.as_ref().map_or(Written::default(), |it| Written {
        value: it.weight,
        reverse: it.reverse,
    });
    let weight = weight(line, default, context)?;
    let check = match &defined {
        None => Check::new(Target::Interface(line.keyword().to_owned())),
        Some(found) => found.check.clone(),
    };
    if line.keyword().is_empty() {
        let cure = "name what is tracked";
        context.report.refused(line.whole(), "no name", cure);
        return None;
    }
    Some(Tracked {
        kind,
        weight,
        ignored: None,
        check,
        node: line.clone(),
    })
}

fn find(kind: Kind, line: &Node, context: &mut Context<'_>) -> Option<Defined> {
    let found = context.library.find(kind, line.keyword());
    if found.is_none() {
        let names = context.library.names(kind);
        let cure = did_you_mean(line.keyword(), names, || {
            "define it, or remove it".to_owned()
        });
        let cause = "nothing of that name is defined: keepalived leaves it out";
        context.report.refused(line.whole(), cause, cure);
    }
    found
}

fn weight(line: &Node, default: Written, context: &mut Context<'_>) -> Option<Written> {
    let mut weight = default;
    match (line.word(1), line.word(2).parse::<i32>()) {
        ("", _) => return Some(weight),
        ("weight", Ok(value)) if value.abs() <= 254 => weight.value = value.clamp(-253, 253),
        _ => {
            context.report.refused(
                line.whole(),
                "only `weight` and a number from -253 to 253 may follow",
                "write NAME weight -20",
            );
            return None;
        }
    }
    match line.word(3) {
        "reverse" => weight.reverse = true,
        "noreverse" => weight.reverse = false,
        _ => {}
    }
    Some(weight)
}

/// Says of checks that there is nobody who tracks them.
pub fn nobody(tracked: &[Tracked], context: &mut Context<'_>) {
    for one in tracked {
        let why = "no instance is left that tracks it";
        context.report.dropped(one.node.whole(), why);
    }
}

/// What keepalived leaves of the checks of a member of a sync group that does not count weights:
/// a link becomes a fault, a file too if its weight is the default, and what else has a weight is
/// not asked at all. Processes it forgets there: they keep theirs.
pub fn of_member(
    tracked: Vec<Tracked>,
    instance: &mut Instance,
    context: &mut Context<'_>,
) -> Vec<Tracked> {
    let mut left = Vec::new();
    for mut one in tracked {
        let span = one.node.whole();
        match (one.kind, one.weight.value) {
            (_, 0) | (Some(Kind::Process), _) => {}
            (None, _) | (Some(Kind::File), 1) => {
                one.weight.value = 0;
                one.ignored = Some("of a member of a sync group");
            }
            _ => {
                let (key, value) = one.check.target.key();
                let what = "keepalived does not ask it: what has a weight is left out of the \
                            members of a sync group without sync_group_tracking_weight";
                context.report.dropped(span, what);
                let text = format!(
                    "{key} \"{value}\" has a weight of {} and keepalived did not ask it, in a sync \
                     group: put it in if it is to count",
                    one.weight.value
                );
                instance.note("track", text);
                continue;
            }
        }
        left.push(one);
    }
    left
}

/// What keepalived makes of the checks of a group that has an owner (255) in it: faults.
pub fn beside_owner(tracked: &mut [Tracked]) {
    for one in tracked.iter_mut().filter(|it| it.weight.value != 0) {
        one.weight.value = 0;
        one.ignored = Some("in a sync group with an owner (255)");
    }
}

/// Puts the checks into `instance`, whose priority is settled.
pub fn apply(tracked: Vec<Tracked>, instance: &mut Instance, context: &mut Context<'_>) {
    for one in tracked {
        let span = one.node.whole();
        if instance.priority == 255 {
            let why = "checks change nothing of an owner (255)";
            context.report.dropped(span, why);
            continue;
        }
        let key = one.check.target.key();
        if instance.track.iter().any(|it| it.target.key() == key) {
            let why = format!("{} tracks it already, and that counts", instance.name);
            context.report.dropped(span, why);
            continue;
        }
        if let Some(weight) = weighed(&one, context) {
            instance.track.push(Check {
                weight,
                ..one.check
            });
        }
    }
}

/// What the answer is worth; `None`: it cannot be said in our words.
fn weighed(one: &Tracked, context: &mut Context<'_>) -> Option<Weight> {
    let span = one.node.whole();
    let report = &mut *context.report;
    if one.weight.reverse {
        report.refused(
            span,
            "`reverse` counts a check when it is bad as others when it is good",
            "turn the script round, or its exit code",
        );
        return None;
    }
    match (one.kind, one.weight.value, one.ignored) {
        (Some(Kind::File), 1, _) => {
            report.changed(
                span,
                "weight = \"content\": -254 or less is added too, where keepalived makes a fault \
                 of it",
            );
            Some(Weight::Content)
        }
        (Some(Kind::File), _, Some(whose)) => {
            let cause = format!(
                "keepalived ignores the weight {whose}: any number but 0 in the file is a fault"
            );
            let cure = "use a script that exits 1 while the number is not 0";
            report.refused(span, cause, cure);
            None
        }
        (Some(Kind::File), _, None) => {
            report.refused(
                span,
                "keepalived multiplies the number in the file by the weight, 0 making a fault of \
                 any but 0; ours adds the number as it is",
                "write the number that is to be added into the file, and weight 1",
            );
            None
        }
        (_, 0, Some(whose)) => {
            let what = format!("a fault while it is bad: keepalived ignores the weight {whose}");
            report.changed(span, what);
            Some(Weight::Fault)
        }
        (_, 0, None) => {
            report.taken(span, "a fault while it is bad");
            Some(Weight::Fault)
        }
        (_, points, _) => {
            report.taken(span, format!("weight = {points}"));
            Some(Weight::Points(points))
        }
    }
}
