//! `wayfare(1)`, written from the command table.
//!
//! `wayfare man` prints it; packaging calls that, so the page cannot differ from the program.

use std::fmt::Write as _;

use super::table::ROWS;

const HEAD: &str = r#".TH WAYFARE 1 "" "Wayfare" "User Commands"
.SH NAME
wayfare \- operate the Wayfare BGP and VRRP daemons
.SH SYNOPSIS
.B wayfare
[\fB\-\-socket\fR \fIPATH\fR] [\fB\-\-json\fR] [\fB\-c\fR \fICOMMAND\fR]... [\fICOMMAND\fR...]
.SH DESCRIPTION
Runs one command, or several with
.BR \-c ,
or, without a command, an interactive shell. Words may be abbreviated as long as they stay
unambiguous. A question mark in place of a word lists what fits there. The output of a command
can be filtered: \fB| include\fR \fITEXT\fR, \fB| exclude\fR \fITEXT\fR, \fB| begin\fR \fITEXT\fR,
\fB| count\fR.
.SH OPTIONS
.TP
\fB\-\-socket\fR \fIPATH\fR
the daemon's control socket; default /run/wayfare/bgpd.sock
.TP
\fB\-\-json\fR
print JSON; the same as a trailing \fBjson\fR
.TP
\fB\-c\fR \fICOMMAND\fR
run a command given as one argument; may be repeated
.SH COMMANDS
"#;

const TAIL: &str = r#".SH EXIT STATUS
0 done; 1 the command failed; 2 the command is not understood; 65 lines of a configuration were not
converted; 69 the daemon cannot be reached; 78 the configuration is bad.
.SH SEE ALSO
.BR wayfare-bgpd (8)
"#;

/// The page in roff.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for row in ROWS {
        let json = if row.json { " [json]" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            ".TP\n{}",
            marked_up(&format!("{}{json}", row.pattern))
        );
        let _ = writeln!(page, "{}", escaped(row.help));
    }
    page.push_str(TAIL);
    page
}

/// Words bold, values italic, notation plain.
fn marked_up(pattern: &str) -> String {
    let mut text = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, text: &mut String| {
        if word.is_empty() {
            return;
        }
        let font = if word.chars().all(|c| c.is_ascii_uppercase() || c == '.') {
            'I'
        } else {
            'B'
        };
        let _ = write!(text, "\\f{font}{}\\fR", escaped(word));
        word.clear();
    };
    for c in pattern.chars() {
        if c.is_whitespace() || "[]()|".contains(c) {
            flush(&mut word, &mut text);
            text.push(c);
        } else {
            word.push(c);
        }
    }
    flush(&mut word, &mut text);
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_command() {
        let page = page();
        for row in ROWS {
            assert!(page.contains(&escaped(row.help)), "{}", row.pattern);
        }
        assert!(page.contains("\\fBshow\\fR [\\fBip\\fR] \\fBbgp\\fR"));
    }

    /// The command list of `docs/cli.md`.
    fn commands() -> String {
        let mut text = String::from("```\n");
        for row in ROWS {
            let json = if row.json { " [json]" } else { "" };
            let _ = writeln!(text, "{}{json}\n        {}", row.pattern, row.help);
        }
        text + "```\n"
    }

    #[test]
    fn the_documentation_lists_every_command() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let text = std::fs::read_to_string(file).unwrap();
        let (head, rest) = text.split_once("UPDATE_EXPECT=1 -->\n").unwrap();
        let (listed, tail) = rest.split_once("<!-- end of commands -->").unwrap();
        let wanted = commands();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let text = format!("{head}UPDATE_EXPECT=1 -->\n{wanted}<!-- end of commands -->{tail}");
            std::fs::write(file, text).unwrap();
        } else {
            assert_eq!(listed, wanted);
        }
    }
}
