//! `include`: which files a pattern names.
//!
//! A pattern is relative to the directory of the file it stands in. `*`, `?` and `[...]` match in
//! any part of the path, as a shell's do, and a name that begins with a dot only when the pattern
//! does. The files come in the order of their names. `includer`, `includem` and the others of
//! keepalived only say which absences are errors; an absence is told here in any case.

use std::path::{Path, PathBuf};

/// Files of one pattern; a glob over a whole disk is a mistake.
const FILES_MAX: usize = 1_000;

/// The pattern of an include line.
pub fn pattern(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("include")?;
    let rest = match rest.strip_prefix(['r', 'm', 'w', 'b', 'a']) {
        Some(rest) => rest,
        None => rest,
    };
    let pattern = rest.strip_prefix([' ', '\t'])?.trim();
    let pattern = pattern.trim_matches('"');
    (!pattern.is_empty()).then_some(pattern)
}

/// The files that `pattern` in the file `base` names.
pub fn expand(base: &str, pattern: &str) -> Vec<PathBuf> {
    let directory = Path::new(base).parent().unwrap_or(Path::new(""));
    let start = if pattern.starts_with('/') {
        PathBuf::from("/")
    } else {
        directory.to_owned()
    };
    let mut found = vec![start];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let glob = part.contains(['*', '?', '[']);
        found = found
            .iter()
            .flat_map(|path| {
                if glob {
                    matching(path, part)
                } else {
                    vec![path.join(part)]
                }
            })
            .take(FILES_MAX)
            .collect();
    }
    found.retain(|path| path.is_file());
    found
}

fn matching(directory: &Path, part: &str) -> Vec<PathBuf> {
    let listed = match directory.as_os_str().is_empty() {
        true => std::fs::read_dir("."),
        false => std::fs::read_dir(directory),
    };
    let Ok(listed) = listed else {
        return Vec::new();
    };
    let glob: Vec<char> = part.chars().collect();
    let mut names: Vec<String> = listed
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let text: Vec<char> = name.chars().collect();
            name.starts_with('.') == part.starts_with('.') && matches(&glob, &text)
        })
        .collect();
    names.sort();
    names.iter().map(|name| directory.join(name)).collect()
}

fn matches(glob: &[char], text: &[char]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        (Some(('?', rest)), Some((_, text))) => matches(rest, text),
        (Some(('[', rest)), Some((c, text))) => match rest.iter().position(|it| *it == ']') {
            Some(end) => class(&rest[..end], *c) && matches(&rest[end + 1..], text),
            None => *c == '[' && matches(rest, text),
        },
        (Some((wanted, rest)), Some((c, text))) => wanted == c && matches(rest, text),
        _ => false,
    }
}

fn class(set: &[char], c: char) -> bool {
    let (negative, set) = match set.split_first() {
        Some(('!' | '^', rest)) => (true, rest),
        _ => (false, set),
    };
    let ranges = set
        .windows(3)
        .any(|w| w[1] == '-' && w[0] <= c && c <= w[2]);
    (ranges || set.contains(&c)) != negative
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let fits = |glob: &str, text: &str| {
            let glob: Vec<char> = glob.chars().collect();
            matches(&glob, &text.chars().collect::<Vec<_>>())
        };
        assert!(fits("*.conf", "a.conf") && !fits("*.conf", "a.conf.old"));
        assert!(fits("v[0-2]?", "v1x") && !fits("v[!0-2]?", "v1x"));
        assert!(fits("**a*", "bab") && !fits("a", ""));
        assert_eq!(pattern("includer  /etc/*.conf"), Some("/etc/*.conf"));
        assert_eq!(pattern("included x"), None);
        assert_eq!(pattern("include"), None);
    }
}
