//! kube-router's command line to `bgpd.toml`.
//!
//! The flags that concern routing are handed on as they are, in `kube-router-args`: the daemon's
//! own reader gives the verdicts, here and there. What `[router]` and `[kubernetes]` have keys for
//! goes into them. Passwords go to a file, in the form of `--peer-router-passwords-file`.
//!
//! Its network policies and its service proxy are not ours: where they were on, the report says how
//! kube-router goes on with them alone.

use std::fmt::Write as _;

use cluster::dialect::kube_router::{Flags, Reading, Verdict};

use super::manifest::{self, Word};
use crate::convert::Converted;
use crate::convert::keepalived::{Place, Report, SideFile, Span, comment, list, quoted};

/// The name of the file of passwords.
const PASSWORDS: &str = "kube-router.passwords";
/// What a converted configuration is called.
const CONFIG: &str = "bgpd.toml";
/// Where kube-router's health is, where no flag says so.
const HEALTH_PORT: &str = "20244";

/// Converts the command line in `sources`; `prefix` is where the files beside it are.
pub(in crate::convert) fn convert(sources: &[(String, String)], prefix: &str) -> Converted {
    let mut report = Report {
        files: sources.iter().map(|(name, _)| name.clone()).collect(),
        ..Report::default()
    };
    let mut found: Vec<(usize, Vec<Word>)> = Vec::new();
    for (file, (_, text)) in sources.iter().enumerate() {
        match manifest::is_manifest(text) {
            true => found.extend(of_manifest(file, text, &mut report)),
            false => found.push((file, manifest::words(text))),
        }
    }
    let mut found = found.into_iter();
    let (file, words) = found.next().unwrap_or_default();
    for (file, words) in found {
        let line = words.first().map_or(1, |word| word.line);
        let cure = "convert each on its own: nodes have one kube-router";
        let span = span(file, line, "kube-router");
        report.refused(span, "a second command line of kube-router", cure);
    }
    if words.is_empty() {
        let cause = "no flag of kube-router is in it";
        report.refused(
            span(file, 1, "kube-router"),
            cause,
            "name the manifest of its DaemonSet",
        );
    }
    let draft = read(file, &words, prefix, &mut report);
    report.sort();
    let name = sources.first().map_or("-", |(name, _)| name.as_str());
    Converted {
        config: CONFIG,
        text: draft.render(name),
        files: draft.passwords.into_iter().collect(),
        report,
    }
}

fn span(file: usize, line: usize, source: &str) -> Span<'_> {
    let at = Place { file, line };
    Span {
        at,
        last: line,
        source,
    }
}

/// The command lines of a manifest; its other objects are told about.
fn of_manifest(file: usize, text: &str, report: &mut Report) -> Vec<(usize, Vec<Word>)> {
    let all = match manifest::documents(text) {
        Ok(all) => all,
        Err((line, cause)) => {
            report.refused(span(file, line, "---"), cause, "mend the manifest");
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for one in &all {
        let containers = manifest::containers(one, "kube-router");
        if containers.is_empty() {
            let why = match one.kind.as_str() {
                "ConfigMap" => "the CNI plugin's: leave it as it is",
                "ServiceAccount" | "ClusterRole" | "ClusterRoleBinding" => {
                    "ours is in packaging/kubernetes"
                }
                _ => "nothing of it is kube-router's",
            };
            report.dropped(span(file, one.line, &one.name), why);
        }
        for words in containers {
            let mut line = one.line;
            let place = |text_of: String| {
                line = manifest::line_of(text, &text_of, line);
                Word {
                    text: text_of,
                    line,
                }
            };
            found.push((file, words.into_iter().map(place).collect()));
        }
    }
    found
}

/// What the configuration will say.
#[derive(Default)]
struct Draft {
    flags: Flags,
    args: Vec<String>,
    passwords: Option<SideFile>,
    health: Option<String>,
    is_proxy: bool,
    notes: Vec<String>,
}

fn read(file: usize, words: &[Word], prefix: &str, report: &mut Report) -> Draft {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let (flags, readings) = Flags::parse(&texts);
    let mut draft = Draft {
        is_proxy: true,
        health: Some(HEALTH_PORT.to_owned()),
        ..Draft::default()
    };
    let mut is_firewall = true;
    for reading in &readings {
        let line = reading.at.and_then(|at| words.get(at)).or(words.first());
        let span = span(file, line.map_or(1, |word| word.line), &reading.word);
        let (name, value) = reading
            .word
            .split_once('=')
            .unwrap_or((&reading.word, "true"));
        match (&reading.verdict, name) {
            (Verdict::Refused(text), _) => report.refused(span, "it cannot be followed", &**text),
            (Verdict::Ignored(why), _) => report.dropped(span, &**why),
            (Verdict::Taken(_), "--peer-router-passwords") => {
                report.changed(
                    span,
                    format!("{prefix}{PASSWORDS}, which only the daemon can read"),
                );
            }
            (Verdict::Taken(what), _) => report.taken(span, &**what),
        }
        let is_on = !["false", "0", "f", "F", "FALSE", "False"].contains(&value);
        match name {
            "--run-service-proxy" => draft.is_proxy = is_on,
            "--run-firewall" => is_firewall = is_on,
            "--health-port" => draft.health = (value != "0").then(|| value.to_owned()),
            _ => {}
        }
        if hands_on(reading, name) {
            draft.args.push(reading.word.to_string());
        }
    }
    draft.flags = flags;
    passwords(&texts, prefix, &mut draft);
    advise(file, words, is_firewall, &mut draft, report);
    draft
}

/// Whether the daemon is given the flag as it is.
fn hands_on(reading: &Reading, name: &str) -> bool {
    const KEYS: [&str; 5] = [
        "--kubeconfig",
        "--hostname-override",
        "--metrics-port",
        "--metrics-addr",
        "--peer-router-passwords",
    ];
    matches!(reading.verdict, Verdict::Taken(_)) && !KEYS.contains(&name)
}

/// The passwords as they are written, for a file.
fn passwords(words: &[&str], prefix: &str, draft: &mut Draft) {
    let flag = "--peer-router-passwords";
    let mut lists = Vec::new();
    for (at, word) in words.iter().enumerate() {
        match word.strip_prefix(flag) {
            Some("") => lists.extend(words.get(at + 1).copied()),
            Some(rest) => lists.extend(rest.strip_prefix('=')),
            None => {}
        }
    }
    if lists.is_empty() {
        return;
    }
    let other = "--peer-router-passwords-file=";
    draft.args.retain(|word| !word.starts_with(other));
    draft.args.push(format!("{other}{prefix}{PASSWORDS}"));
    draft.passwords = Some(SideFile {
        name: PASSWORDS.to_owned(),
        text: format!("{}\n", lists.join(",")).into_bytes(),
        secret: true,
    });
}

/// What somebody should know, beside the verdicts.
fn advise(file: usize, words: &[Word], is_firewall: bool, draft: &mut Draft, report: &mut Report) {
    let line = words.first().map_or(1, |word| word.line);
    let span = |source| span(file, line, source);
    let flags = &draft.flags;
    if words.is_empty() {
        return;
    }
    if !flags.run_router {
        let what = "it speaks no BGP here";
        report.lint(
            span("--run-router=false"),
            what,
            "leave it as it is; nothing is to convert",
        );
        return;
    }
    if draft.is_proxy || is_firewall {
        let what = "kube-router goes on as service proxy or for network policies";
        report.lint(
            span("kube-router"),
            what,
            "set --run-router=false in its manifest",
        );
    }
    if flags.overlay && flags.ibgp {
        let what = "tunnels go over the device tunl0";
        report.lint(
            span("--enable-overlay"),
            what,
            "ip link set tunl0 up, or --enable-overlay=false",
        );
    }
    if flags.overlay_fou {
        let what = "FoU is not written: routes to other subnets go without a tunnel";
        report.lint(
            span("--overlay-encap"),
            what,
            "--overlay-encap=ipip on all nodes",
        );
    }
    if flags.advertise_external_ip && flags.strict.is_none() && flags.external_ranges.is_empty() {
        let what = "no range of external addresses is named, so none is announced";
        let cure = "--service-external-ip-range, or --strict-external-ip-validation=false";
        report.lint(span("--advertise-external-ip"), what, cure);
    }
    if !flags.full_mesh {
        let note = "The AS of a node is its annotation kube-router.io/node.asn; sessions show it.";
        draft.notes.push(note.to_owned());
    }
}

impl Draft {
    fn render(&self, name: &str) -> String {
        let mut text = String::new();
        let mut head = vec![
            format!(
                "Converted from {name}: kube-router's flags; its annotations are read as they are."
            ),
            "The report has a verdict on every flag.".to_owned(),
        ];
        head.extend(self.notes.iter().cloned());
        comment(&mut text, &head);
        // Writing to a string cannot fail.
        let mut put = |line: String| {
            let _ = writeln!(text, "{line}");
        };
        let flags = &self.flags;
        put(format!("\n[router]\nasn = {}", flags.cluster_asn));
        if flags.port != 179 {
            let listen = ["0.0.0.0", "[::]"].map(|it| quoted(&format!("{it}:{}", flags.port)));
            put(format!("listen = {}", list(listen.into_iter())));
        }
        put("\n[kernel]\nmultipath = 64\n\n[kubernetes]".to_owned());
        if let Some(file) = &flags.kubeconfig {
            put(format!("kubeconfig = {}", quoted(file)));
        }
        if let Some(node) = &flags.node_name {
            put(format!("node-name = {}", quoted(node)));
        }
        put("sources = [\"kube-router\"]".to_owned());
        match (&self.health, self.is_proxy) {
            (_, false) => {}
            (Some(port), true) => {
                let url = quoted(&format!("http://127.0.0.1:{port}/healthz"));
                put(format!(
                    "proxy-health = {url}       # kube-router is the service proxy"
                ));
            }
            (None, true) => put(
                "gate = \"off\"       # kube-router is the service proxy, without a health port"
                    .to_owned(),
            ),
        }
        put("kube-router-args = [".to_owned());
        for word in &self.args {
            put(format!("  {},", quoted(word)));
        }
        put("]".to_owned());
        if flags.metrics_port != 0 {
            let address = match flags.metrics_address {
                Some(address) => std::net::SocketAddr::new(address, flags.metrics_port).to_string(),
                None => format!("0.0.0.0:{}", flags.metrics_port),
            };
            put(format!("\n[metrics]\nlisten = {}", quoted(&address)));
        }
        text
    }
}
