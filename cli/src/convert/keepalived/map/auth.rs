//! `authentication` and `auth_hmac`.
//!
//! A password goes into a file of its own that only root and the daemon read, cut to the eight
//! octets that keepalived sends, in the middle of a character too. AH (RFC 2402 over VRRP) is
//! refused: RFC 3768 took it out in 2004 because it keeps nobody out who can hear the segment, and
//! no other implementation has it.

use ctl::config::nearest;

use super::Context;
use super::instance::later;
use crate::convert::keepalived::blocks::Node;

/// Octets of a password that go on the wire (RFC 2338 §5.3.10).
const PASS_LEN: usize = 8;

/// What was written, before it is known whether the version has passwords.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    /// `auth_type`, and where.
    kind: Option<Node>,
    /// `auth_pass`, and where.
    pass: Option<Node>,
    /// The block.
    block: Option<Node>,
}

/// Reads the block into `found`; what is said again counts.
pub fn read(block: &Node, found: &mut Authentication, context: &mut Context<'_>) {
    later(found.block.replace(block.clone()), context);
    for line in block.inside() {
        match line.keyword() {
            "auth_type" => {
                let before = found.kind.replace(line.clone());
                later(before.map(|it| it.covered()), context);
            }
            "auth_pass" => {
                let before = found.pass.replace(line.clone());
                later(before.map(|it| it.covered()), context);
            }
            other => {
                // A word that is like none of them may be the password itself.
                let near = nearest(other, ["auth_type", "auth_pass"]);
                let line = near.map_or_else(|| line.hidden(), |_| line.covered());
                let cause = "nothing that keepalived has here";
                let cure = "write auth_type or auth_pass";
                context.report.refused(line.whole(), cause, cure);
            }
        }
    }
}

impl Authentication {
    /// Whether AH was asked for.
    pub fn is_ah(&self) -> bool {
        self.kind.as_ref().is_some_and(|line| line.word(1) == "AH")
    }

    /// The password's octets as sent, once version and strictness are known; `None`: none is.
    pub fn settle(
        &self,
        instance: &str,
        none: Option<&str>,
        context: &mut Context<'_>,
    ) -> Option<String> {
        let block = self.block.as_ref()?;
        let report = &mut *context.report;
        let lines = [Some(block), self.kind.as_ref(), self.pass.as_ref()];
        if let Some(why) = none {
            for line in lines.into_iter().flatten() {
                report.dropped(line.covered().line(), why.to_owned());
            }
            return None;
        }
        report.taken(block.line(), "auth-file");
        let kind = self.kind.as_ref().map_or("", |line| line.word(1));
        if let Some(line) = &self.kind {
            match kind {
                "PASS" => report.taken(line.line(), ""),
                "AH" => report.refused(
                    line.line(),
                    "AH is not spoken: RFC 3768 took it out, it stops nobody on the segment, and \
                     no other implementation has it",
                    "write auth_type PASS, or none, on all routers first",
                ),
                _ => report.refused(
                    line.covered().line(),
                    "no such type",
                    "write PASS, or remove it",
                ),
            }
        }
        let pass = self.pass.as_ref()?;
        let word = pass.word(1);
        let covered = pass.covered();
        if kind != "PASS" || word.is_empty() {
            let why = "without a type nothing is sent";
            report.dropped(covered.line(), why);
            return None;
        }
        if word.contains(char::REPLACEMENT_CHARACTER) {
            let cause = "the password is not text in UTF-8: its octets are not known here";
            let cure = "write them into a file and its name into auth-file";
            report.refused(covered.line(), cause, cure);
            return None;
        }
        let octets = word.as_bytes();
        let sent = octets.get(..PASS_LEN).unwrap_or(octets);
        if sent.len() < word.len() {
            let what = format!(
                "{} octets are sent of {}: the rest protects nothing",
                sent.len(),
                word.len()
            );
            report.changed(covered.line(), what.clone());
            let cure = "shorten it on all routers, so that nobody relies on the rest";
            report.lint(covered.line(), what, cure);
        } else {
            report.taken(covered.line(), "");
        }
        let text = [sent, b"\n"].concat();
        Some(context.side_file(&format!("{instance}.key"), text, true))
    }
}
