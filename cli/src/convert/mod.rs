//! `wayfare convert`: other daemons' configurations in our words.
//!
//! The configuration goes to standard output, or with `--output` into a directory together with the
//! files it names (passwords readable by the daemon alone). The report, a verdict on every line,
//! goes to standard error. It is done, with exit code 0, when every line was converted or is not
//! needed; 65 (`EX_DATAERR`) says that lines were refused: the file is there, and somebody must
//! act. Several files are those of the routers of one group, and are compared with each other.

pub(crate) mod cluster;
mod keepalived;
mod write;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ::cluster::DialectName;

use crate::grammar::Line;
use crate::grammar::slot::Slot;
use crate::run::{EXIT_FAILED, EXIT_USAGE, Failure};

use keepalived::{Draft, Outside, Report, SideFile, Verdict};

/// Lines were refused.
pub const EXIT_REFUSED: u8 = 65;
/// A configuration is text that somebody wrote; more octets are something else.
const FILE_LEN_MAX: u64 = 16 * 1024 * 1024;
/// Where the daemon looks for its files.
const INSTALLED: &str = "/etc/wayfare";

/// What a line of words asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    format: Format,
    files: Vec<String>,
    output: Option<String>,
    id: Option<String>,
    explain: bool,
    force: bool,
}

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Keepalived,
    KubeRouter,
    Objects(DialectName),
}

/// What came out of one conversion.
struct Converted {
    /// The name of the configuration.
    config: &'static str,
    /// What is in it.
    text: String,
    /// The files it names.
    files: Vec<SideFile>,
    /// What became of what.
    report: Report,
}

/// Help of the words of `convert`.
pub const WORDS: &[(&str, &str)] = &[
    ("--explain", "how long each failover takes, as comments"),
    ("--force", "replaces files that are there already"),
    ("--id", "the @NAME lines to take, keepalived's -i"),
    (
        "--output",
        "write the configuration and the files it names there",
    ),
    (
        "convert",
        "writes another daemon's configuration in our words",
    ),
    ("calico", "Calico's resources"),
    ("frr", "an frr.conf"),
    ("keepalived", "a keepalived.conf"),
    ("kube-router", "kube-router's options"),
    ("metallb", "MetalLB's resources"),
];

/// Formats of the grammar that nobody converts yet.
const LATER: [&str; 2] = ["frr", "bird"];

/// From the words of `convert ...`.
///
/// # Errors
/// A format that is not converted yet.
pub fn build(line: &Line) -> Result<Conversion, String> {
    if let Some(format) = LATER.into_iter().find(|word| line.has(word)) {
        return Err(format!("{format} is not converted in this version"));
    }
    let format = if line.has("kube-router") {
        Format::KubeRouter
    } else if line.has("metallb") {
        Format::Objects(DialectName::Metallb)
    } else if line.has("calico") {
        Format::Objects(DialectName::Calico)
    } else {
        Format::Keepalived
    };
    Ok(Conversion {
        format,
        files: line.values(Slot::File).map(str::to_owned).collect(),
        output: line.value(Slot::Dir).map(str::to_owned),
        id: line.value(Slot::Name).map(str::to_owned),
        explain: line.has("--explain"),
        force: line.has("--force"),
    })
}

/// Converts, writes and reports.
///
/// # Errors
/// A file cannot be read or written; or lines were refused, the rest being written.
pub fn run(wanted: &Conversion, out: &mut dyn Write) -> Result<(), Failure> {
    let is_group = wanted.format == Format::Keepalived && wanted.files.len() > 1;
    if is_group && wanted.output.is_none() {
        let text = "% several files make several configurations: say where with --output DIR";
        return Err(Failure::new(EXIT_USAGE, text));
    }
    let mut sources = Vec::new();
    for file in &wanted.files {
        let text = read_source(file)
            .map_err(|error| Failure::new(EXIT_FAILED, format!("% {file}: {error}")))?;
        sources.push((file.clone(), text));
    }
    let converted = match wanted.format {
        Format::Keepalived => routers(wanted, &sources),
        Format::Objects(dialect) => vec![cluster::objects(dialect, &sources)],
        Format::KubeRouter => vec![cluster::kube_router(&sources, prefix(wanted))],
    };
    let directories: Vec<PathBuf> = match (&wanted.output, is_group) {
        (None, _) => Vec::new(),
        (Some(output), false) => vec![output.into()],
        (Some(output), true) => {
            let each = wanted.files.iter();
            each.map(|name| directory_of(output, name, &wanted.files))
                .collect()
        }
    };
    untouched(wanted, &directories, &converted)?;
    let group = write::group();
    let mut refused = 0;
    for (at, one) in converted.iter().enumerate() {
        let mut unread = Vec::new();
        match directories.get(at) {
            Some(directory) => {
                unread = write::all(directory, (one.config, &one.text), &one.files, group)
                    .map_err(|error| Failure::new(EXIT_FAILED, format!("% {error}")))?;
                writeln!(out, "{}", directory.join(one.config).display())?;
            }
            None => out.write_all(one.text.as_bytes())?,
        }
        tell(one, directories.is_empty(), &unread)?;
        refused += one.report.count(Verdict::Refused);
    }
    match refused {
        0 => Ok(()),
        _ => Err(Failure::new(EXIT_REFUSED, "")),
    }
}

/// What the names of files beside the configuration begin with in it: nothing where they are
/// written there, else where they are installed.
fn prefix(wanted: &Conversion) -> &'static str {
    match wanted.output {
        Some(_) => "",
        None => "/etc/wayfare/",
    }
}

/// keepalived's routers, each a configuration.
fn routers(wanted: &Conversion, sources: &[(String, String)]) -> Vec<Converted> {
    let outside = Outside {
        id: wanted.id.as_deref(),
        variable: |name| std::env::var(name).ok(),
        read: read_bounded,
    };
    let all = keepalived::convert(sources, outside).into_iter();
    let names = wanted.files.iter();
    let one = |((mut draft, report), name): ((Draft, Report), &String)| {
        if wanted.output.is_none() {
            installed(&mut draft);
        }
        Converted {
            config: "vrrpd.toml",
            text: keepalived::render(&draft, name, wanted.explain),
            files: draft.files,
            report,
        }
    };
    all.zip(names).map(one).collect()
}

/// Before anything is written: whether all of it has a free place, or may replace what is there.
fn untouched(
    wanted: &Conversion,
    directories: &[PathBuf],
    converted: &[Converted],
) -> Result<(), Failure> {
    if wanted.force {
        return Ok(());
    }
    for (directory, one) in directories.iter().zip(converted) {
        if let Some(path) = write::standing(directory, one.config, &one.files) {
            let text = format!(
                "% {} is there already, and nothing was written: name another directory, or replace \
                 it with --force",
                path.display()
            );
            return Err(Failure::new(EXIT_FAILED, text));
        }
    }
    Ok(())
}

fn read_source(name: &str) -> io::Result<String> {
    let octets = if name == "-" {
        let mut octets = Vec::new();
        io::stdin()
            .lock()
            .take(FILE_LEN_MAX)
            .read_to_end(&mut octets)?;
        octets
    } else {
        read_bounded(Path::new(name))?
    };
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    fs::File::open(path)?
        .take(FILE_LEN_MAX)
        .read_to_end(&mut octets)?;
    Ok(octets)
}

/// One directory per file in `output`, named after the file and where it is.
fn directory_of(output: &str, name: &str, all: &[String]) -> PathBuf {
    let output = PathBuf::from(output);
    let stem = |name: &str| {
        let file = Path::new(name).file_stem().unwrap_or_default();
        file.to_string_lossy().into_owned()
    };
    let alike = all.iter().filter(|other| stem(other) == stem(name)).count();
    match alike {
        1 => output.join(stem(name)),
        _ => output.join(name.trim_matches('/').replace(['/', '.'], "-")),
    }
}

/// Without a directory the files beside it are where the daemon's configuration is installed.
fn installed(draft: &mut Draft) {
    for one in &mut draft.instances {
        for path in [&mut one.auth_file, &mut one.notify].into_iter().flatten() {
            if draft.files.iter().any(|file| file.name == *path) {
                *path = format!("{INSTALLED}/{path}");
            }
        }
    }
}

/// The report, what stands in files that were not written, and who cannot read those that were.
fn tell(one: &Converted, bare: bool, unread: &[PathBuf]) -> Result<(), Failure> {
    let mut err = io::stderr().lock();
    one.report.print(&mut err)?;
    let group = write::GROUP;
    if bare && !one.files.is_empty() {
        writeln!(
            err,
            "The configuration names files; --output DIR writes them, or:"
        )?;
        for file in &one.files {
            let access = match file.secret {
                true => format!("mode 640, root:{group}"),
                false => "mode 755".to_owned(),
            };
            writeln!(err, "  {INSTALLED}/{} with {access}", file.name)?;
        }
    }
    for path in unread {
        let path = path.display();
        writeln!(
            err,
            "{path}: only its owner can read it, since group {group} is not here or cannot be given: \
             chgrp {group} {path} && chmod 0640 {path}, before the daemon is started"
        )?;
    }
    Ok(())
}
