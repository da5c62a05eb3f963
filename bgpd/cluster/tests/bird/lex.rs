//! Words of BIRD's configuration.
//!
//! Letters, digits, dots, colons and slashes run together and are told apart afterwards: a number,
//! an address, a prefix, else a word. That is cruder than BIRD's own lexer and enough for files
//! that a template writes. Comments run from `#` to the end of the line; names in single quotes
//! are words, text in double quotes is text.

use std::net::IpAddr;

use ipnet::IpNet;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A name or keyword.
    Word(String),
    /// Text in double quotes.
    Text(String),
    /// A number.
    Number(u32),
    /// An address.
    Ip(IpAddr),
    /// A prefix.
    Net(IpNet),
    /// An operator or bracket.
    Sign(&'static str),
}

const SIGNS: [&str; 22] = [
    "&&", "||", "!=", "!~", "<=", ">=", "[=", "=]", "!", "=", "~", "<", ">", "(", ")", "{", "}",
    "[", "]", ";", ",", "-",
];

/// All words of a text.
pub fn lex(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return tokens;
        };
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_.:/".contains(letter);
        if first == '#' {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if first == '"' || first == '\'' {
            let (inner, after) = rest[1..].split_once(first).expect("a closing quote");
            tokens.push(match first {
                '"' => Token::Text(inner.to_owned()),
                _ => Token::Word(inner.to_owned()),
            });
            rest = after;
        } else if is_word(first) {
            let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            tokens.push(word(&rest[..end]));
            rest = &rest[end..];
        } else if first == '*' {
            tokens.push(Token::Word("*".into()));
            rest = &rest[1..];
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.unwrap_or_else(|| panic!("unknown sign before {:.40}", rest));
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
    }
}

fn word(text: &str) -> Token {
    if let Ok(number) = text.parse() {
        return Token::Number(number);
    }
    if let Ok(net) = text.parse() {
        return Token::Net(net);
    }
    match text.parse() {
        Ok(address) => Token::Ip(address),
        Err(_) => Token::Word(text.to_owned()),
    }
}
