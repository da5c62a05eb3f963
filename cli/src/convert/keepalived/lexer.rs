//! keepalived's lexical rules for one line: comments, quotes, escapes, braces.
//!
//! They are keepalived's and nobody else's. `!` and `#` begin a comment anywhere outside double
//! quotes, also in the middle of a word; a backslash keeps them (`\#`). Single quotes mean nothing
//! to the configuration, only to the commands in it ([`command_words`]). Braces stand alone
//! wherever they are, so `unicast_peer { 10.0.0.1 }` is four pieces, and a brace may open on the
//! next line. Nothing here fails: what is unbalanced is read as keepalived would, and said.

/// A line without its comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bare {
    /// What is left, without blanks around it.
    pub text: String,
    /// It ended in a backslash: a definition goes on in the next line.
    pub continued: bool,
    /// A double quote is not closed.
    pub unclosed: bool,
}

/// Takes the comment and the blanks off `line`.
pub fn decomment(line: &str) -> Bare {
    let mut text = String::with_capacity(line.len());
    let mut quoted = false;
    let mut continued = false;
    let mut chars = line.trim_start_matches([' ', '\t']).chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                text.push(c);
            }
            '\\' => match chars.next() {
                None => continued = true,
                Some(mark @ ('#' | '!')) if !quoted => text.push(mark),
                Some(other) => text.extend([c, other]),
            },
            '!' | '#' if !quoted => break,
            _ => text.push(c),
        }
    }
    let len = text.trim_end_matches([' ', '\t']).len();
    text.truncate(len);
    Bare {
        text,
        continued,
        unclosed: quoted,
    }
}

/// The words of a line: blanks separate, double quotes hold together and are taken off.
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
            None => {
                let end = rest.find(|c: char| c.is_whitespace() || c == '"');
                rest.split_at(end.unwrap_or(rest.len()))
            }
        };
        found.push(word.to_owned());
        rest = after.trim_start();
    }
    found
}

/// The words of a command: single and double quotes hold together, inside each other too, and a
/// backslash takes the next character as it is.
pub fn command_words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut started = false;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (_, '\\') => {
                started = true;
                word.extend(chars.next());
            }
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => (quote, started) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if started || !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
                started = false;
            }
            (None, c) => word.push(c),
        }
    }
    if started || !word.is_empty() {
        found.push(word);
    }
    found
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Words.
    Text(&'t str),
    /// `{`.
    Open,
    /// `}`.
    Close,
}

/// Cuts a line at its braces; those in double quotes are text.
pub fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut quoted = false;
    let mut start = 0;
    for (at, c) in line.char_indices() {
        let piece = match c {
            '"' => {
                quoted = !quoted;
                continue;
            }
            '{' if !quoted => Piece::Open,
            '}' if !quoted => Piece::Close,
            _ => continue,
        };
        found.extend(text_piece(line.get(start..at)));
        found.push(piece);
        start = at + 1;
    }
    found.extend(text_piece(line.get(start..)));
    found
}

fn text_piece(text: Option<&str>) -> Option<Piece<'_>> {
    text.map(str::trim)
        .filter(|text| !text.is_empty())
        .map(Piece::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_begin_anywhere_but_in_quotes() {
        let text = |line| decomment(line).text;
        assert_eq!(text("  priority 100#high"), "priority 100");
        assert_eq!(text("! all of it"), "");
        assert_eq!(text("auth_pass \"a#b!c\" ! d"), "auth_pass \"a#b!c\"");
        assert_eq!(text(r"auth_pass a\#b"), "auth_pass a#b");
        assert_eq!(text("\tstate MASTER \t"), "state MASTER");
        assert!(decomment("$X= one \\").continued);
        assert!(decomment("script \"a").unclosed);
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words("script \"a b\" c"), ["script", "a b", "c"]);
        assert_eq!(words("a\"b c\"d"), ["a", "b c", "d"]);
        assert_eq!(words("notify \"open"), ["notify", "open"]);
        assert_eq!(
            command_words(r#"bash -c 'x "y" z' \ w"#),
            ["bash", "-c", "x \"y\" z", " w"]
        );
    }

    #[test]
    fn braces_stand_alone_on_any_line() {
        let one = pieces("unicast_peer { 10.0.0.1 }");
        let text = Piece::Text;
        let wanted = [
            text("unicast_peer"),
            Piece::Open,
            text("10.0.0.1"),
            Piece::Close,
        ];
        assert_eq!(one, wanted);
        assert_eq!(pieces("x \"{\""), [text("x \"{\"")]);
        assert_eq!(
            pieces("a{b}"),
            [text("a"), Piece::Open, text("b"), Piece::Close]
        );
    }
}
