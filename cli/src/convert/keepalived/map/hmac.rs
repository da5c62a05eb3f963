//! `auth_hmac`: signed adverts (keepalived 2.4, draft-cassen-vrrp-auth-hmac).
//!
//! The keys go into a file that only root and the daemon read, the active one first, because ours
//! signs with the first and verifies with all. Mode and window have keys of their own. Ours signs
//! adverts of version 3 only; a block beside version 2 is refused, since without it the others
//! would not be heard.

use std::time::Duration;

use super::Context;
use crate::convert::keepalived::blocks::Node;
use crate::convert::keepalived::draft::Instance;

/// Octets a key may have.
const KEY_LEN: std::ops::RangeInclusive<usize> = 32..=64;
/// Longest window in seconds.
const WINDOW_MAX: u64 = 300;

/// Reads `block` into `one`, whose version is settled.
pub fn settle(block: &Node, one: &mut Instance, context: &mut Context<'_>) {
    if one.version != 3 {
        context.report.refused(
            block.covered().whole(),
            "adverts of version 2 are not signed",
            "go to version 3 on all routers first",
        );
        return;
    }
    context
        .report
        .taken(block.line(), "auth-file, auth-mode, auth-window");
    let active = block
        .inside()
        .iter()
        .rfind(|it| it.keyword() == "active_key");
    let active = active.map_or("", |it| it.word(1));
    let mut keys: Vec<String> = Vec::new();
    for line in block.inside() {
        match line.keyword() {
            "key" => {
                if let Some(key) = key(line, context) {
                    let first = line.word(1) == active;
                    keys.insert(if first { 0 } else { keys.len() }, key);
                }
            }
            _ => option(line, one, context),
        }
    }
    let signs = keys.first().and_then(|key| key.split(' ').next()) == Some(active);
    if !signs {
        context.report.refused(
            block.line(),
            "the active key is not among the keys: keepalived signs nothing then",
            "write active_key and the key of that number",
        );
        return;
    }
    let name = format!("{}.key", one.name);
    let text = keys.join("\n") + "\n";
    one.auth_file = Some(context.side_file(&name, text.into_bytes(), true));
}

fn key(line: &Node, context: &mut Context<'_>) -> Option<String> {
    let (id, value) = (line.word(1), line.word(2));
    let covered = line.covered();
    if value.starts_with("file:") {
        let cause = "the key is in a file of its own, which is not read here";
        let cure = "add it to the auth-file as a line `ID KEY`";
        context.report.refused(covered.whole(), cause, cure);
        return None;
    }
    let length = match value.strip_prefix("hex:") {
        Some(digits) if digits.chars().all(|c| c.is_ascii_hexdigit()) => digits.len() / 2,
        Some(_) => 0,
        None => value.len(),
    };
    let known = id.parse::<u8>().is_ok_and(|id| id > 0);
    if !known || !KEY_LEN.contains(&length) {
        let cause = "not a key that keepalived takes: a number from 1 to 255 and 32 to 64 octets";
        let cure = "write key 1 hex:... on all routers";
        context.report.refused(covered.whole(), cause, cure);
        return None;
    }
    context.report.taken(covered.whole(), "");
    Some(format!("{id} {value}"))
}

fn option(line: &Node, one: &mut Instance, context: &mut Context<'_>) {
    let span = line.whole();
    let modes = ["permissive", "receive-only", "enforce"];
    let mode = modes.into_iter().find(|mode| *mode == line.word(1));
    match (line.keyword(), line.word(1)) {
        ("active_key", _) => context.report.taken(span, "the first key of the file"),
        ("mode", _) if mode.is_some() => {
            one.auth_mode = mode.filter(|mode| *mode != "enforce");
            context.report.taken(span, "auth-mode");
        }
        ("anti_replay", "time") => context.report.taken(span, "the default"),
        ("anti_replay", "monotonic") => {
            one.auth_window = Some(Duration::ZERO);
            context
                .report
                .taken(span, "auth-window = \"0s\": no clocks are compared");
        }
        ("time_window", word) => match word.parse::<u64>() {
            Ok(seconds @ 1..=WINDOW_MAX) => {
                // Written without clocks, it says nothing.
                let clocks = one.auth_window != Some(Duration::ZERO);
                if clocks {
                    one.auth_window = Some(Duration::from_secs(seconds));
                }
                context.report.taken(span, "auth-window");
            }
            _ => context
                .report
                .refused(span, "no window", "write 1 to 300 seconds"),
        },
        // A line without its keyword may be the key itself.
        _ => context.report.refused(
            line.hidden().whole(),
            "nothing that keepalived has here",
            "write key, active_key, mode, anti_replay or time_window",
        ),
    }
}
