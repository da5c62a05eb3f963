//! The sources that `tidy` reads: tracked Rust files and crate manifests.
//!
//! Files come from `git ls-files` where the checkout has git, otherwise from a directory walk, so
//! that a source archive is checked too. Function ends are found by indentation: the sources are
//! formatted by rustfmt (CI checks that first), so a function's closing brace stands in the column
//! of its first line.

use std::path::{Path, PathBuf};

/// One Rust source file of the workspace.
pub struct Source {
    /// Path relative to the workspace root, with forward slashes.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A function found in a [`Source`].
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of `fn`, counted from 1.
    pub first_line: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub lines: usize,
}

impl Source {
    /// Lines with their numbers, counted from 1.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// True for files that hold tests only.
    pub fn is_test(&self) -> bool {
        let path = &self.path;
        path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("/benches/")
    }

    /// Lines outside `#[cfg(test)]` modules (which stand last in a file) and outside comments.
    pub fn production_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self
            .numbered()
            .find(|(number, line)| {
                let next = self.text.lines().nth(*number).unwrap_or_default();
                line.trim() == "#[cfg(test)]"
                    && next.trim_start().starts_with("mod ")
                    && next.trim_end().ends_with('{')
            })
            .map_or(usize::MAX, |(number, _)| number);
        self.numbered()
            .take_while(move |(number, _)| *number < tests)
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Every function with a body.
    pub fn functions(&self) -> Vec<Function> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else {
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let closing = format!("{}}}", " ".repeat(indent));
            let end = lines.iter().skip(index).position(|line| {
                *line == closing || (line.trim_end().ends_with(';') && is_indented(line, indent))
            });
            let lines = end.map_or(0, |end| end + 1);
            found.push(Function {
                name,
                first_line: index + 1,
                lines,
            });
        }
        found
    }
}

fn is_indented(line: &str, indent: usize) -> bool {
    line.len() - line.trim_start().len() == indent
}

/// The name, if this line starts a function.
fn function_name(line: &str) -> Option<String> {
    let mut rest = line.trim_start();
    for word in [
        "pub(crate) ",
        "pub(super) ",
        "pub ",
        "default ",
        "const ",
        "async ",
        "unsafe ",
    ] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    Some(
        name.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect(),
    )
}

/// The workspace root.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests crate stands in the workspace root")
        .to_path_buf()
}

/// All Rust sources, in a stable order.
pub fn sources() -> Vec<Source> {
    let root = root();
    let mut paths = tracked(&root).unwrap_or_else(|| walk(&root));
    paths.retain(|path| path.ends_with(".rs"));
    paths.sort();
    assert!(
        paths.len() > 8,
        "only {} sources found below {}",
        paths.len(),
        root.display()
    );
    paths
        .into_iter()
        .filter_map(|path| {
            let text = std::fs::read_to_string(root.join(&path)).ok()?;
            Some(Source { path, text })
        })
        .collect()
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(root)
        .arg("ls-files")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> = text.lines().map(str::to_owned).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut queue = vec![root.to_path_buf()];
    while let Some(dir) = queue.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if name == "target" || name.to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                queue.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found
}

/// A crate's parsed manifest.
pub fn manifest(krate: &str) -> toml::Table {
    let path = root().join(krate).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).expect("every crate of ARROWS has a manifest");
    text.parse()
        .expect("cargo has read this manifest before us")
}

/// Runs `check`, and fails with all the breaches that it pushed.
pub fn fail_with(what: &str, check: impl FnOnce(&mut Vec<String>)) {
    let mut breaches = Vec::new();
    check(&mut breaches);
    assert!(
        breaches.is_empty(),
        "{what}:\n  {}\n",
        breaches.join("\n  ")
    );
}
