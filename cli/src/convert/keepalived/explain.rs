//! How long until another router has the addresses, for each cause.
//!
//! Nobody prints that, and everybody asks: it follows from the timers. Times are the longest ones,
//! for backups of this router's own priority; the nearest backup may be quicker by its skew.

use std::time::Duration;

use super::draft::{Check, Draft, Instance, Weight};

/// The explanation as lines.
pub fn explain(draft: &Draft) -> Vec<String> {
    let mut lines = Vec::new();
    for one in &draft.instances {
        lines.push(format!(
            "How long until another router has the addresses of `{}`:",
            one.name
        ));
        lines.extend(causes(one));
    }
    lines
}

fn causes(one: &Instance) -> Vec<String> {
    let down = one.down_interval();
    let skew = one.skew();
    let mut lines = vec![
        format!(
            "  the machine dies or its link breaks: {} (3 x {} and the skew of {})",
            text(down),
            text(one.interval),
            text(skew)
        ),
        format!(
            "  the daemon is stopped, or `vrrp release`: at most {}, and no client notices",
            text(skew)
        ),
        "  the process is killed: as a dead machine; the addresses go within 2 s".to_owned(),
    ];
    if one.preempt {
        let back = one.preempt_delay + one.interval;
        lines.push(format!(
            "  a better router returns: it takes over {} after it hears this one",
            text(back)
        ));
    } else {
        lines.push("  a better router returns: never, while this one works".to_owned());
    }
    lines.extend(one.track.iter().map(|check| cause(one, check)));
    lines
}

fn cause(one: &Instance, check: &Check) -> String {
    let (key, value) = check.target.key();
    let noticed = match check.interval {
        Some(interval) => format!(
            "{} ({} x {} and {} for the last answer)",
            text(check.detection()),
            check.fall.unwrap_or(1),
            text(interval),
            text(check.timeout())
        ),
        None => "at once".to_owned(),
    };
    match check.weight {
        Weight::Fault => format!(
            "  {key} \"{value}\" fails: noticed {noticed}, then it lets go: at most {} more",
            text(one.skew())
        ),
        Weight::Content => format!(
            "  {key} \"{value}\": its number is added to the priority {noticed} after it is written"
        ),
        Weight::Points(_) if !one.preempt => format!(
            "  {key} \"{value}\" fails: noticed {noticed}, and nothing happens: routers that do not \
             preempt leave a master that works alone"
        ),
        Weight::Points(points) => {
            let healthy = one.healthy();
            let left = (i32::from(healthy) - points.abs()).clamp(2, 254);
            format!(
                "  {key} \"{value}\" fails: noticed {noticed}, then {left} of {healthy}: a router \
                 with more than {left} takes over {} later; without one nothing happens",
                text(one.interval)
            )
        }
    }
}

fn text(value: Duration) -> String {
    match value.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
    }
}
