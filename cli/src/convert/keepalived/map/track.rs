//! `track_interface`, `track_script`, `track_process`, `track_file`: from keepalived's weights to
//! ours, exactly.
//!
//! keepalived adds a positive weight while a check is good, subtracts a negative one while it is
//! bad, and takes 0 (or none) for a fault. Ours says what a failure costs, and nothing else. So a
//! positive weight goes into the priority, and is lost again when the check fails: the priority on
//! the wire is the same in every state, as long as the sum stays within 1 to 254, to which both
//! cut it. `reverse` has no counterpart. An owner (255) keeps its priority in both.

use ctl::config::did_you_mean;

use super::Context;
use super::checks::{Defined, Kind};
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::draft::{Check, Instance, Target};

/// Weights as keepalived writes them.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    value: i32,
    reverse: bool,
}

/// A check to be put into an instance.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// The check, without weight.
    check: Check,
    weight: i32,
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
    let default = defined.as_ref().map_or(Weight::default(), |it| Weight {
        value: it.weight,
        reverse: it.reverse,
    });
    let weight = weight(line, default, context)?;
    if kind == Some(Kind::File) && weight.value != 0 {
        context.report.refused(
            line.whole(),
            "keepalived multiplies the number in the file by the weight; ours only asks whether \
             it is a good one",
            "use a script with a weight, or one weight for bad",
        );
        return None;
    }
    let check = match &defined {
        None => Check::new(Target::Interface(line.keyword().to_owned())),
        Some(found) => found.check.clone(),
    };
    if weight.reverse {
        context.report.refused(
            line.whole(),
            "`reverse` counts a check when it is bad as others when it is good",
            "turn the script round, or its exit code",
        );
        return None;
    }
    Some(Tracked {
        check,
        weight: weight.value,
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

fn weight(line: &Node, default: Weight, context: &mut Context<'_>) -> Option<Weight> {
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

/// Puts the checks into `instance`, whose priority is final but for them.
pub fn apply(tracked: Vec<Tracked>, instance: &mut Instance, context: &mut Context<'_>) {
    let owner = instance.priority == 255;
    let wanted: i32 = tracked.iter().map(|one| one.weight.max(0)).sum();
    let base = i32::from(instance.priority);
    let sum = if owner { 255 } else { (base + wanted).min(254) };
    if sum != base {
        instance.note(
            "priority",
            format!("{base}, and {} of checks while they are good", sum - base),
        );
        instance.priority = u8::try_from(sum).unwrap_or(254);
    }
    for one in tracked {
        let mut check = one.check;
        let span = one.node.whole();
        match one.weight {
            0 => context.report.taken(span, "a fault when it fails"),
            _ if owner => {
                let why = "an owner keeps its priority, with keepalived too";
                context.report.dropped(span, why);
                continue;
            }
            weight if weight < 0 => {
                check.weight = Some(weight);
                context.report.taken(span, format!("weight = {weight}"));
            }
            weight => {
                check.weight = Some(-weight);
                let what = format!(
                    "weight = {} and priority = {sum}: {weight} more while it is good is {weight} \
                     less while it is bad",
                    -weight
                );
                context.report.changed(span, what);
                if base + wanted > 254 {
                    context.report.lint(
                        span,
                        format!("the sum of priority and weights is {}", base + wanted),
                        "254 is the most: lower all priorities of the group",
                    );
                }
            }
        }
        instance.track.push(check);
    }
}
