//! `wayfare convert`: other daemons' configurations in our words.
//!
//! The configuration goes to standard output, or with `--output` into a directory together with the
//! files it names (passwords readable by nobody else). The report, a verdict on every line, goes to
//! standard error. It is done, with exit code 0, when every line was converted or is not needed; 65
//! (`EX_DATAERR`) says that lines were refused: the file is there, and somebody must act.
//! Several files are those of the routers of one group, and are compared with each other.

mod keepalived;

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
    files: Vec<String>,
    output: Option<String>,
    id: Option<String>,
    explain: bool,
}

/// Help of the words of `convert`.
pub const WORDS: &[(&str, &str)] = &[
    ("--explain", "how long each failover takes, as comments"),
    ("--id", "the @NAME lines to take, keepalived's -i"),
    ("--output", "write vrrpd.toml and the files it names there"),
    (
        "convert",
        "writes another daemon's configuration in our words",
    ),
    ("frr", "an frr.conf"),
    ("keepalived", "a keepalived.conf"),
    ("kube-router", "kube-router's options"),
    ("metallb", "MetalLB's resources"),
];

/// Formats of the grammar that nobody converts yet.
const LATER: [&str; 5] = ["metallb", "frr", "bird", "kube-router", "calico"];

/// From the words of `convert ...`.
///
/// # Errors
/// A format that is not converted yet.
pub fn build(line: &Line) -> Result<Conversion, String> {
    if let Some(format) = LATER.into_iter().find(|word| line.has(word)) {
        return Err(format!(
            "{format} is not converted in this version, only keepalived is"
        ));
    }
    Ok(Conversion {
        files: line.values(Slot::File).map(str::to_owned).collect(),
        output: line.value(Slot::Dir).map(str::to_owned),
        id: line.value(Slot::Name).map(str::to_owned),
        explain: line.has("--explain"),
    })
}

/// Converts, writes and reports.
///
/// # Errors
/// A file cannot be read or written; or lines were refused, the rest being written.
pub fn run(wanted: &Conversion, out: &mut dyn Write) -> Result<(), Failure> {
    if wanted.files.len() > 1 && wanted.output.is_none() {
        let text = "% several files make several configurations: say where with --output DIR";
        return Err(Failure::new(EXIT_USAGE, text));
    }
    let mut sources = Vec::new();
    for file in &wanted.files {
        let text = read_source(file)
            .map_err(|error| Failure::new(EXIT_FAILED, format!("% {file}: {error}")))?;
        sources.push((file.clone(), text));
    }
    let outside = Outside {
        id: wanted.id.as_deref(),
        variable: |name| std::env::var(name).ok(),
        read: read_bounded,
    };
    let converted = keepalived::convert(&sources, outside);
    let mut refused = 0;
    for (at, (mut draft, report)) in converted.into_iter().enumerate() {
        let name = wanted.files.get(at).map_or("-", String::as_str);
        match &wanted.output {
            Some(output) => {
                let directory = directory_of(output, name, &wanted.files);
                let text = keepalived::render(&draft, name, wanted.explain);
                write_all(&directory, &text, &draft.files)
                    .map_err(|error| Failure::new(EXIT_FAILED, format!("% {error}")))?;
                writeln!(out, "{}", directory.join("vrrpd.toml").display())?;
            }
            None => {
                installed(&mut draft);
                out.write_all(keepalived::render(&draft, name, wanted.explain).as_bytes())?;
            }
        }
        tell(&report, &draft, wanted.output.is_none())?;
        refused += report.count(Verdict::Refused);
    }
    match refused {
        0 => Ok(()),
        _ => Err(Failure::new(EXIT_REFUSED, "")),
    }
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

/// `DIR`, or one directory per file in it, named after the file and where it is.
fn directory_of(output: &str, name: &str, all: &[String]) -> PathBuf {
    let output = PathBuf::from(output);
    if all.len() < 2 {
        return output;
    }
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

fn write_all(directory: &Path, text: &str, files: &[SideFile]) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| named(directory, error))?;
    for file in files {
        let path = directory.join(&file.name);
        write_file(&path, &file.text, file.mode).map_err(|error| named(&path, error))?;
    }
    let path = directory.join("vrrpd.toml");
    write_file(&path, text, 0o644).map_err(|error| named(&path, error))
}

/// Written with its permissions from the start, so that a password is never readable by others.
fn write_file(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())
}

/// The report, and what stands in files that were not written.
fn tell(report: &Report, draft: &Draft, bare: bool) -> Result<(), Failure> {
    let mut err = io::stderr().lock();
    report.print(&mut err)?;
    if bare && !draft.files.is_empty() {
        writeln!(
            err,
            "The configuration names files; --output DIR writes them, or:"
        )?;
        for file in &draft.files {
            writeln!(err, "  {INSTALLED}/{} with mode {:o}", file.name, file.mode)?;
        }
    }
    Ok(())
}
