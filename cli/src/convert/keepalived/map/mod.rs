//! From keepalived's sections to our instances.
//!
//! What is said once for all (`global_defs`, scripts, processes, files) is read first, wherever it
//! stands; then instance after instance, then the groups. Each line gets its verdict where it is
//! read. An instance that keepalived itself would not run (no router id, no address) is refused
//! whole, because a file with holes is worse than a short one.

mod address;
mod auth;
mod checks;
mod global;
mod group;
mod hmac;
mod instance;
mod notify;
mod routes;
mod settle;
mod track;

use std::collections::BTreeSet;

use super::blocks::Node;
use super::draft::{Draft, SideFile};
use super::report::Report;
use super::vocabulary::{self, Fate, Words};

use checks::Library;
use global::Globals;

/// What instances are read with.
struct Context<'c> {
    report: &'c mut Report,
    globals: Globals,
    library: Library,
    draft: Draft,
    /// keepalived notices a second instance, group or script of a name and skips it.
    names: Vec<String>,
    /// Members of sync groups in which weights do not count.
    weightless: BTreeSet<String>,
    /// The places of routes that are taken.
    routes: BTreeSet<routes::Place>,
}

impl Context<'_> {
    /// A file to be written beside the configuration; its name.
    fn side_file(&mut self, name: &str, text: Vec<u8>, secret: bool) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let safe: String = name
            .chars()
            .map(|c| if plain(c) { c } else { '_' })
            .collect();
        let safe = safe.trim_start_matches('.');
        let mut unique = safe.to_owned();
        let mut number = 1;
        while self.draft.files.iter().any(|file| file.name == unique) {
            number += 1;
            unique = format!("{number}-{safe}");
        }
        self.draft.files.push(SideFile {
            name: unique.clone(),
            text,
            secret,
        });
        unique
    }
}

/// Maps the sections of a file.
pub fn map(nodes: &[Node], report: &mut Report) -> Draft {
    let globals = global::read(nodes, report);
    let library = checks::read(nodes, &globals, report);
    let mut context = Context {
        report,
        globals,
        library,
        draft: Draft::default(),
        names: Vec::new(),
        weightless: group::weightless(nodes),
        routes: BTreeSet::new(),
    };
    for node in nodes.iter().filter(|it| it.keyword() == "vrrp_instance") {
        instance::read(node, &mut context);
    }
    for node in nodes.iter().filter(|it| it.keyword() == "vrrp_sync_group") {
        group::read(node, &mut context);
    }
    for node in nodes {
        by_table(vocabulary::ROOT, node, context.report);
    }
    context.library.unused(context.report);
    context.draft
}

/// Gives `node` the verdict of the table; `true`: code has to read it.
fn by_table(section: Words, node: &Node, report: &mut Report) -> bool {
    match vocabulary::fate(section, node.keyword()) {
        Some(Fate::Own) => return true,
        Some(Fate::Drop(why)) => report.dropped(node.whole(), why),
        Some(Fate::Refuse(cause, cure)) => report.refused(node.whole(), cause, cure),
        None => report.refused(
            node.whole(),
            format!("keepalived has no keyword `{}` here", node.keyword()),
            vocabulary::cure(section, node.keyword()),
        ),
    }
    false
}
