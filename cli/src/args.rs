//! The command line of `wayfare` itself: options before the command, and options within it.
//!
//! The words of a command are the grammar's business. Only what an operator writes as an option
//! wherever it comes to mind is sorted out here: `--json` anywhere means `json` at the end, and
//! `--format X` may stand before the file as well as behind it.

use std::path::PathBuf;

use clap::Parser;

/// Operates the Wayfare daemons. Without a command it opens a shell; `wayfare ?` lists the
/// commands.
#[derive(Debug, Parser)]
#[command(name = "wayfare", version, max_term_width = 100)]
pub struct Args {
    /// Control socket of the daemon, or the directory of all daemons' sockets [default: that of
    /// the daemon the command is for].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Print JSON, as a trailing `json` does.
    #[arg(long)]
    pub json: bool,

    /// Run a command given as one argument; may be repeated.
    #[arg(short = 'c', value_name = "COMMAND")]
    pub commands: Vec<String>,

    /// The command, as `show bgp summary`.
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub words: Vec<String>,
}

impl Args {
    /// Takes the options out of the words that belong to the program.
    ///
    /// # Errors
    /// An option without its value.
    pub fn sort_words(&mut self) -> Result<(), String> {
        let mut words = std::mem::take(&mut self.words).into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => self.json = true,
                "--socket" => {
                    self.socket = Some(words.next().ok_or("--socket needs a path")?.into());
                }
                _ => match word.strip_prefix("--socket=") {
                    Some(path) => self.socket = Some(path.into()),
                    None => self.words.push(word),
                },
            }
        }
        Ok(())
    }
}

/// Splits a line as typed into words: blanks separate, quotes hold together, a bar stands alone.
pub fn split_line(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut started = false;
    for c in line.chars() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => (quote, started) = (Some(c), true),
            (None, c) if c.is_whitespace() || c == '|' => {
                if !word.is_empty() || started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
                if c == '|' {
                    words.push("|".to_owned());
                }
            }
            (None, c) => word.push(c),
        }
    }
    if !word.is_empty() || started {
        words.push(word);
    }
    words
}

/// Options of commands that take a value.
const VALUED: [&str; 4] = ["--format", "--config", "--id", "--output"];

/// Moves `--format X` and other options behind the words they belong to, where the grammar has
/// them. A trailing `json` stays the last word.
pub fn options_last(words: Vec<String>) -> Vec<String> {
    let (mut front, mut options) = (Vec::new(), Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let assigned = word
            .split_once('=')
            .filter(|(name, _)| VALUED.contains(name));
        if VALUED.contains(&word.as_str()) {
            options.push([word].into_iter().chain(words.next()).collect());
        } else if let Some((name, value)) = assigned {
            options.push(vec![name.to_owned(), value.to_owned()]);
        } else if word.starts_with("--") {
            options.push(vec![word]);
        } else {
            front.push(word);
        }
    }
    // Patterns have them in the order of the alphabet, people in any.
    options.sort_by(|one: &Vec<String>, other| one.first().cmp(&other.first()));
    let back: Vec<String> = options.into_iter().flatten().collect();
    let json = !back.is_empty() && front.last().is_some_and(|word| word == "json");
    let last = if json { front.pop() } else { None };
    front.extend(back);
    front.extend(last);
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_blanks_and_bars() {
        let words = split_line("show bgp|include \"a b\" ''");
        assert_eq!(words, ["show", "bgp", "|", "include", "a b", ""]);
    }

    #[test]
    fn options_go_behind_the_words() {
        let words = options_last(split_line("decode mrt --format bgpdump file"));
        assert_eq!(words, ["decode", "mrt", "file", "--format", "bgpdump"]);
        let words = options_last(split_line("reload --check json"));
        assert_eq!(words, ["reload", "--check", "json"]);
        let words = options_last(split_line("decode --format=json hex -"));
        assert_eq!(words, ["decode", "hex", "-", "--format", "json"]);
    }
}
