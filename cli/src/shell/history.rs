//! The lines typed before, kept in a file between sessions.
//!
//! `$XDG_STATE_HOME/wayfare/history`, or `~/.local/state/wayfare/history`. A home that cannot be
//! written means a history of this session only; that is no reason to complain to an operator who
//! is here to look at routes.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

/// Lines kept.
const LINES_MAX: usize = 1000;

/// The history file.
pub struct History {
    lines: Vec<String>,
    file: Option<File>,
}

impl History {
    /// Reads the file and shortens it when it has grown.
    pub fn open() -> Self {
        let Some(path) = path() else {
            return Self {
                lines: Vec::new(),
                file: None,
            };
        };
        let text = fs::read_to_string(&path).unwrap_or_default();
        let all: Vec<String> = text.lines().map(str::to_owned).collect();
        let lines = all[all.len().saturating_sub(LINES_MAX)..].to_vec();
        if let Some(parent) = path.parent() {
            let _ = fs::create_dir_all(parent);
        }
        if all.len() > LINES_MAX {
            let _ = fs::write(&path, format!("{}\n", lines.join("\n")));
        }
        let file = File::options().create(true).append(true).open(&path).ok();
        Self { lines, file }
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Adds a line.
    pub fn add(&mut self, line: &str) {
        if let Some(file) = &mut self.file {
            let _ = writeln!(file, "{line}");
        }
    }
}

fn path() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
            Some(PathBuf::from(home).join(".local/state"))
        })?;
    Some(state.join("wayfare/history"))
}
