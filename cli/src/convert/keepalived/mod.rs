//! keepalived.conf to vrrpd.toml.
//!
//! The way of a file: text → lines without macros ([`evaluate`]) → blocks ([`blocks`]) → a draft in
//! our words, with a verdict on every line ([`map`], [`report`]) → TOML ([`toml`]). Nothing is
//! skipped in silence: a line is taken, changed, dropped with the reason, or refused with cause and
//! cure. keepalived's own parser and defaults are the reference, also where it corrects what is
//! written, since what matters is what was on the wire yesterday.

mod blocks;
mod draft;
mod evaluate;
mod explain;
mod idiom;
mod include;
mod lexer;
mod lint;
mod map;
mod numbers;
mod repeat;
mod report;
mod secrets;
mod template;
mod toml;
mod vocabulary;

pub use draft::{Draft, SideFile};
pub use evaluate::Outside;
pub use report::{Place, Report, Span, Verdict};
pub use toml::{comment, list, quoted};

/// Converts the configurations of one or several routers; those of several are compared.
pub fn convert(sources: &[(String, String)], outside: Outside<'_>) -> Vec<(Draft, Report)> {
    let mut all: Vec<(Draft, Report)> = sources
        .iter()
        .map(|(name, text)| one(name, text, outside))
        .collect();
    lint::together(&mut all);
    for (_, report) in &mut all {
        report.cover();
        report.sort();
    }
    all
}

fn one(name: &str, text: &str, outside: Outside<'_>) -> (Draft, Report) {
    let mut report = Report::default();
    let lines = evaluate::evaluate(name, text, outside, &mut report);
    let nodes = blocks::build(&lines, &mut report);
    let mut draft = map::map(&nodes, &mut report);
    lint::alone(&mut draft, &mut report);
    (draft, report)
}

/// The configuration file. `explained`: with how long everything takes, as comments.
pub fn render(draft: &Draft, name: &str, explained: bool) -> String {
    let mut head = vec![
        format!("Converted from {name}: keepalived's words became those of wayfare-vrrpd."),
        "Comments name what needs eyes; the report has a verdict on every line.".to_owned(),
    ];
    if explained {
        head.push(String::new());
        head.extend(explain::explain(draft));
    }
    toml::render(draft, &head)
}

#[cfg(test)]
mod tests;
