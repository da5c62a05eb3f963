//! `track_interface`, `track_script`, `track_process`, `track_file`: weights mean the same.
//!
//! keepalived adds a positive weight while a check is good, a negative one while it is bad, and
//! takes 0 (or none) for a fault; so do we. Three things differ. `reverse` has no counterpart. The
//! number in a file is added as it is, so only a multiplier of one can be taken. And checks change
//! nothing of an owner (255), where keepalived knows faults of one. Both cut the sum, keepalived to
//! 1 to 254, ours to 2 to 254, because 1 is what a router sends whose check is a fault.

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
    if kind == Some(Kind::File) && weight.value != 1 {
        context.report.refused(
            line.whole(),
            "keepalived multiplies the number in the file by the weight, 0 making a fault of any \
             but 0; ours adds the number as it is",
            "write the number that is to be added into the file, and weight 1",
        );
        return None;
    }
    let check = match &defined {
        None => Check::new(Target::Interface(line.keyword().to_owned())),
        Some(found) => found.check.clone(),
    };
    if line.keyword().is_empty() {
        let cure = "name what is tracked";
        context.report.refused(line.whole(), "no name", cure);
        return None;
    }
    if weight.reverse {
        context.report.refused(
            line.whole(),
            "`reverse` counts a check when it is bad as others when it is good",
            "turn the script round, or its exit code",
        );
        return None;
    }
    let weight = match (kind, weight.value) {
        (Some(Kind::File), _) => Weight::Content,
        (_, 0) => Weight::Fault,
        (_, points) => Weight::Points(points),
    };
    Some(Tracked {
        check: Check { weight, ..check },
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
        match one.check.weight {
            Weight::Fault => context.report.taken(span, "a fault while it is bad"),
            Weight::Content => context.report.taken(span, "weight = \"content\""),
            Weight::Points(points) => context.report.taken(span, format!("weight = {points}")),
        }
        instance.track.push(one.check);
    }
}
