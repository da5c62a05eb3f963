//! Writes `vrrpd.toml`.
//!
//! Only what differs from our defaults is written, so that a file shows what somebody decided; the
//! exceptions are the keys whose defaults differ from keepalived's (`version`), and `vrid` and
//! `priority`, which everybody looks for.

use std::fmt::Write as _;
use std::time::Duration;

use ctl::config::duration_text;

use super::draft::{Check, Draft, Group, Instance, Target, Vip, Weight};

/// The file, with the lines of `head` as comments at the top.
pub fn render(draft: &Draft, head: &[String]) -> String {
    let mut text = String::new();
    comment(&mut text, head);
    for one in &draft.instances {
        text.push('\n');
        instance(&mut text, one);
    }
    for one in &draft.groups {
        text.push('\n');
        group(&mut text, one);
    }
    text
}

/// Comment lines; what would be a line of its own inside one stays in it.
pub fn comment(text: &mut String, lines: &[String]) {
    for line in lines {
        let plain: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# {plain}");
    }
}

/// A string of TOML.
pub fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// A list of TOML.
pub fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn address(vip: &Vip) -> String {
    match vip.length {
        Some(length) => quoted(&format!("{}/{length}", vip.address)),
        None => quoted(&vip.address.to_string()),
    }
}

fn duration(value: Duration) -> String {
    quoted(&duration_text(value))
}

fn instance(text: &mut String, one: &Instance) {
    let notes = |key: &str| one.notes.get(key).cloned().unwrap_or_default();
    comment(text, &notes(""));
    text.push_str("[[instance]]\n");
    let mut put = |key: &'static str, value: Option<String>| {
        comment(text, &notes(key));
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    };
    let given = |value: Duration| (!value.is_zero()).then(|| duration(value));
    put("name", Some(quoted(&one.name)));
    put("interface", one.interface.as_deref().map(quoted));
    put("vrid", Some(one.vrid.to_string()));
    put("version", Some(one.version.to_string()));
    put("priority", Some(one.priority.to_string()));
    put("advertise-interval", Some(duration(one.interval)));
    put("preempt", (!one.preempt).then(|| "false".to_owned()));
    put("preempt-delay", given(one.preempt_delay));
    put("start-delay", given(one.start_delay));
    put("addresses", Some(list(one.addresses.iter().map(address))));
    put("accept", (!one.accept).then(|| "false".to_owned()));
    let peers = one.unicast_peers.iter().map(|it| quoted(&it.to_string()));
    let unicast = !one.unicast_peers.is_empty();
    put("unicast-peers", unicast.then(|| list(peers)));
    put("virtual-mac", one.virtual_mac.then(|| "true".to_owned()));
    let plain = one.plain_checksum && one.version == 3 && !one.ipv6();
    put("checksum", plain.then(|| quoted("rfc9568")));
    put("auth-file", one.auth_file.as_deref().map(quoted));
    put("auth-mode", one.auth_mode.map(quoted));
    put("auth-window", one.auth_window.map(duration));
    let routes = one.routes.iter().map(|route| quoted(route));
    put("routes", (!one.routes.is_empty()).then(|| list(routes)));
    put("track", (!one.track.is_empty()).then(|| checks(&one.track)));
    put("notify", one.notify.as_deref().map(quoted));
}

fn checks(track: &[Check]) -> String {
    let mut text = "[\n".to_owned();
    for one in track {
        let _ = writeln!(text, "  {},", check(one));
    }
    text + "]"
}

fn check(one: &Check) -> String {
    let (key, value) = one.target.key();
    let value = match &one.target {
        // One word is cut at its blanks by the daemon; several are taken as they are.
        Target::Script(words) if words.len() > 1 && words.iter().any(|it| it.contains(' ')) => {
            list(words.iter().map(|word| quoted(word)))
        }
        _ => quoted(&value),
    };
    let mut fields = vec![format!("{key} = {value}")];
    let mut put = |key: &str, value: Option<String>| {
        fields.extend(value.map(|value| format!("{key} = {value}")));
    };
    put("interval", one.interval.map(duration));
    put("timeout", one.timeout.map(duration));
    put("rise", one.rise.map(|it| it.to_string()));
    put("fall", one.fall.map(|it| it.to_string()));
    put(
        "weight",
        match one.weight {
            Weight::Fault => None,
            Weight::Points(points) => Some(points.to_string()),
            Weight::Content => Some(quoted("content")),
        },
    );
    put("user", one.user.as_deref().map(quoted));
    let insecure = matches!(&one.target, Target::Http { insecure: true, .. });
    put("insecure", insecure.then(|| "true".to_owned()));
    format!("{{ {} }}", fields.join(", "))
}

fn group(text: &mut String, one: &Group) {
    comment(text, &one.notes);
    text.push_str("[[sync-group]]\n");
    let members = list(one.instances.iter().map(|name| quoted(name)));
    let _ = writeln!(text, "name = {}", quoted(&one.name));
    let _ = writeln!(text, "instances = {members}");
    if let Some(notify) = &one.notify {
        let _ = writeln!(text, "notify = {}", quoted(notify));
    }
}
