//! Manifests and command lines: where the words of a program stand.
//!
//! A file is a manifest of YAML when a line of it begins with `apiVersion:` or `kind:`; its
//! documents are looked through for the containers of a program. Anything else is read as the
//! program's words: a list of YAML (`- --flag`), a unit's `ExecStart=`, or bare words with a
//! shell's quotes, continued lines and comments.

use serde_json::Value;

/// A word and the line it stands in, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub line: usize,
}

/// An object of a manifest.
#[derive(Clone, Debug)]
pub struct Document {
    /// As `DaemonSet kube-system/kube-router`.
    pub name: String,
    pub kind: String,
    pub body: Value,
    /// Its first line.
    pub line: usize,
}

/// Whether the text is a manifest and not bare words.
pub fn is_manifest(text: &str) -> bool {
    let begins = |line: &str| {
        ["apiVersion:", "kind:"]
            .iter()
            .any(|it| line.starts_with(it))
    };
    text.lines().any(begins)
}

/// The objects of a manifest, those of a `List` too.
///
/// # Errors
/// The text is not YAML; in which document, by its first line.
pub fn documents(text: &str) -> Result<Vec<Document>, (usize, String)> {
    let mut all = Vec::new();
    for (line, part) in parts(text) {
        let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        if !part.lines().any(says) {
            continue;
        }
        let body: Value =
            serde_saphyr::from_str(&part).map_err(|error| (line, format!("not YAML: {error}")))?;
        let items = body.get("items").and_then(Value::as_array).cloned();
        let bodies = items.unwrap_or_else(|| vec![body]);
        all.extend(bodies.into_iter().map(|body| document(body, line)));
    }
    Ok(all)
}

fn document(body: Value, line: usize) -> Document {
    let text = |pointer: &str| {
        let value = body.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let (kind, name, namespace) = (
        text("/kind"),
        text("/metadata/name"),
        text("/metadata/namespace"),
    );
    let name = match namespace.as_str() {
        "" => format!("{kind} {name}"),
        namespace => format!("{kind} {namespace}/{name}"),
    };
    Document {
        name,
        kind,
        body,
        line,
    }
}

/// The documents of a stream and their first lines.
fn parts(text: &str) -> Vec<(usize, String)> {
    let mut all = vec![(1, String::new())];
    for (at, line) in text.lines().enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            all.push((at + 2, String::new()));
        } else if let Some((_, part)) = all.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    all
}

/// The flags of the containers whose name or image has `program` in it: command and arguments, from
/// the first flag.
pub fn containers(document: &Document, program: &str) -> Vec<Vec<String>> {
    let template = document.body.pointer("/spec/template/spec");
    let Some(spec) = template.or_else(|| document.body.get("spec")) else {
        return Vec::new();
    };
    let list = spec.get("containers").and_then(Value::as_array);
    let is_it = |container: &&Value| {
        ["name", "image"].iter().any(|key| {
            let text = container.get(key).and_then(Value::as_str);
            text.is_some_and(|text| text.contains(program))
        })
    };
    let words = |container: &Value| -> Vec<String> {
        let both = ["command", "args"]
            .iter()
            .filter_map(|key| container.get(key));
        let all = both.filter_map(Value::as_array).flatten().map(plain);
        all.skip_while(|word| !word.starts_with('-')).collect()
    };
    let found = list.into_iter().flatten().filter(is_it).map(words);
    found.collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The line at which `word` stands, at or behind `from`; else `from`.
pub fn line_of(text: &str, word: &str, from: usize) -> usize {
    let mut lines = text.lines().enumerate().skip(from.saturating_sub(1));
    let found = lines.find(|(_, line)| line.contains(word));
    found.map_or(from, |(at, _)| at + 1)
}

/// The words of a command line.
pub fn words(text: &str) -> Vec<Word> {
    let unit = text.lines().any(|line| line.starts_with("ExecStart="));
    let mut all = Vec::new();
    let mut continued = false;
    for (at, line) in text.lines().enumerate() {
        let bare = line.trim();
        let wanted = continued || !unit || bare.starts_with("ExecStart=");
        let end = bare.strip_suffix('\\');
        continued = wanted && end.is_some();
        if !wanted || bare.starts_with('#') {
            continue;
        }
        let bare = end.unwrap_or(bare);
        let bare = bare.strip_prefix("ExecStart=").unwrap_or(bare);
        let bare = bare.strip_prefix("- ").unwrap_or(bare);
        let split = split(bare).into_iter();
        all.extend(split.map(|text| Word { text, line: at + 1 }));
    }
    // The program itself.
    let first = all.iter().position(|word| word.text.starts_with('-'));
    all.drain(..first.unwrap_or(all.len()));
    all
}

/// At blanks outside quotes; the quotes go.
fn split(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_form() {
        let texts =
            |text: &str| -> Vec<String> { words(text).into_iter().map(|word| word.text).collect() };
        for (text, wanted) in [
            ("--a --b=c", vec!["--a", "--b=c"]),
            (
                "kube-router --a \\\n  --b 'c d'\n",
                vec!["--a", "--b", "c d"],
            ),
            ("- --a\n- \"--b=x,\"\n", vec!["--a", "--b=x,"]),
            (
                "[Service]\nUser=--no\nExecStart=/usr/bin/kube-router --a \\\n --b\nRestart=--no\n",
                vec!["--a", "--b"],
            ),
            ("# --no\n--a=\"\"", vec!["--a="]),
            ("", vec![]),
        ] {
            assert_eq!(texts(text), wanted, "{text}");
        }
        assert_eq!(words("kube-router\n\n--a")[0].line, 3);
    }

    #[test]
    fn objects_of_a_stream_and_of_a_list() {
        let text = "---\n# nothing\n---\nkind: A\nmetadata: {name: x}\n---\nkind: List\nitems:\n\
                    - kind: B\n  metadata: {name: web, namespace: z}\n";
        let all = documents(text).expect("YAML");
        let names: Vec<(&str, usize)> = all
            .iter()
            .map(|one| (one.name.as_str(), one.line))
            .collect();
        assert_eq!(names, [("A x", 4), ("B z/web", 7)]);
        assert_eq!(documents("kind: a\n---\na: [").expect_err("not YAML").0, 3);
    }
}
