//! `authentication` and `auth_hmac`.
//!
//! A password goes into a file of its own that only root reads, cut to the eight octets that
//! keepalived sends. AH (RFC 2402 over VRRP) is refused: RFC 3768 took it out in 2004 because it
//! keeps nobody out who can hear the segment, and no other implementation has it.

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
            "auth_type" => later(found.kind.replace(line.clone()), context),
            "auth_pass" => {
                let before = found.pass.replace(line.clone());
                later(before.map(|it| it.covered()), context);
            }
            other => {
                let cause = format!("keepalived has no keyword `{other}` here");
                let cure = "write auth_type or auth_pass";
                context.report.refused(line.covered().whole(), cause, cure);
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
                _ => report.refused(line.line(), "no such type", "write PASS, or remove it"),
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
        let sent = cut(word);
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
        let name = format!("{instance}.key");
        Some(context.side_file(&name, format!("{sent}\n"), 0o600))
    }
}

/// The first eight octets, not cutting a character in two unless keepalived would be understood
/// otherwise: a password of ASCII is cut exactly.
fn cut(word: &str) -> String {
    let end = word.floor_char_boundary(PASS_LEN);
    word.get(..end).unwrap_or_default().to_owned()
}
