//! Calico's selector language: which nodes a BGPPeer is about.
//!
//! ```text
//! expression = term { "||" term }      term = factor { "&&" factor }
//! factor     = "!" factor | "(" expression ")" | "all()" | "global()" | "has(KEY)"
//!            | KEY ("==" | "!=" | "contains" | "starts with" | "ends with") 'TEXT'
//!            | KEY ["not"] "in" "{" 'TEXT' { "," 'TEXT' } "}"
//! ```
//! A label that is absent satisfies `!=` and `not in` and nothing else of a key. Text stands in
//! single or double quotes and knows no escapes. An empty selector selects nothing here: for an
//! object that leaves it out, the caller knows what absence means.
//!
//! The parser refuses what it does not understand with the place of it; nesting is bounded, so that
//! no object can exhaust the stack.

use std::collections::BTreeMap;

use crate::desired::short;

/// Deepest nesting of brackets and `!`.
const DEPTH_MAX: usize = 64;

/// Labels of an object.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// A selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// `all()`.
    All,
    /// `global()`: objects of the cluster and not of a namespace, which every node is.
    Global,
    /// `has(KEY)`.
    Has(Box<str>),
    /// `KEY OP 'TEXT'`.
    Compare(Box<str>, Comparison, Box<str>),
    /// `KEY in {…}`.
    In(Box<str>, Vec<Box<str>>),
    /// `!…`.
    Not(Box<Selector>),
    /// `… && …`.
    And(Vec<Selector>),
    /// `… || …`.
    Or(Vec<Selector>),
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`.
    Equal,
    /// `contains`.
    Contains,
    /// `starts with`.
    StartsWith,
    /// `ends with`.
    EndsWith,
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// What was expected, and before which text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser {
            rest: text.trim(),
            depth: 0,
        };
        let selector = parser.expression()?;
        match parser.rest.is_empty() {
            true => Ok(selector),
            false => Err(parser.expected("`&&`, `||` or the end")),
        }
    }

    /// Whether it selects an object with these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::All | Self::Global => true,
            Self::Has(key) => labels.contains_key(key),
            Self::Compare(key, how, text) => labels.get(key).is_some_and(|have| match how {
                Comparison::Equal => have == text,
                Comparison::Contains => have.contains(&**text),
                Comparison::StartsWith => have.starts_with(&**text),
                Comparison::EndsWith => have.ends_with(&**text),
            }),
            Self::In(key, list) => labels.get(key).is_some_and(|have| list.contains(have)),
            Self::Not(inner) => !inner.matches(labels),
            Self::And(list) => list.iter().all(|one| one.matches(labels)),
            Self::Or(list) => list.iter().any(|one| one.matches(labels)),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn expression(&mut self) -> Result<Selector, String> {
        let mut list = vec![self.term()?];
        while self.take("||") {
            list.push(self.term()?);
        }
        Ok(single(list, Selector::Or))
    }

    fn term(&mut self) -> Result<Selector, String> {
        let mut list = vec![self.factor()?];
        while self.take("&&") {
            list.push(self.factor()?);
        }
        Ok(single(list, Selector::And))
    }

    fn factor(&mut self) -> Result<Selector, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        let selector = if self.take("!") {
            Selector::Not(Box::new(self.factor()?))
        } else if self.take("(") {
            let inner = self.expression()?;
            self.need(")")?;
            inner
        } else {
            self.operand()?
        };
        self.depth -= 1;
        Ok(selector)
    }

    fn operand(&mut self) -> Result<Selector, String> {
        let key = self.word().ok_or_else(|| self.expected("a label"))?;
        if self.take("(") {
            return self.call(key);
        }
        if self.take("==") {
            return Ok(Selector::Compare(
                key.into(),
                Comparison::Equal,
                self.text()?,
            ));
        }
        if self.take("!=") {
            let equal = Selector::Compare(key.into(), Comparison::Equal, self.text()?);
            return Ok(Selector::Not(Box::new(equal)));
        }
        let before = self.rest;
        let how = match self.word() {
            Some("in") => return self.list(key),
            Some("not") if self.word() == Some("in") => {
                return Ok(Selector::Not(Box::new(self.list(key)?)));
            }
            Some("contains") => Comparison::Contains,
            Some("starts") if self.word() == Some("with") => Comparison::StartsWith,
            Some("ends") if self.word() == Some("with") => Comparison::EndsWith,
            _ => {
                self.rest = before;
                return Err(self.expected("`==`, `!=`, `in`, `not in` or `contains`"));
            }
        };
        Ok(Selector::Compare(key.into(), how, self.text()?))
    }

    fn call(&mut self, name: &str) -> Result<Selector, String> {
        let selector = match name {
            "all" => Selector::All,
            "global" => Selector::Global,
            "has" => {
                let key = self.word().ok_or_else(|| self.expected("a label"))?;
                Selector::Has(key.into())
            }
            _ => {
                return Err(format!(
                    "`{}()` is no function; write has(), all() or global()",
                    short(name)
                ));
            }
        };
        self.need(")")?;
        Ok(selector)
    }

    fn list(&mut self, key: &str) -> Result<Selector, String> {
        self.need("{")?;
        let mut values = Vec::new();
        while !self.take("}") {
            if !values.is_empty() {
                self.need(",")?;
            }
            values.push(self.text()?);
        }
        Ok(Selector::In(key.into(), values))
    }

    fn take(&mut self, sign: &str) -> bool {
        // `!` must not eat the half of `!=`.
        let after = self.rest.strip_prefix(sign);
        let after = after.filter(|after| sign != "!" || !after.starts_with('='));
        let Some(after) = after else { return false };
        self.rest = after.trim_start();
        true
    }

    fn need(&mut self, sign: &str) -> Result<(), String> {
        match self.take(sign) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{sign}`"))),
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let part = |letter: char| letter.is_ascii_alphanumeric() || "_./-".contains(letter);
        let end = self.rest.find(|letter| !part(letter));
        let (word, after) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
        self.rest = after.trim_start();
        (!word.is_empty()).then_some(word)
    }

    fn text(&mut self) -> Result<Box<str>, String> {
        let quote = self.rest.chars().next();
        let quote = quote.filter(|letter| matches!(letter, '\'' | '"'));
        let quote = quote.ok_or_else(|| self.expected("text in quotes"))?;
        let inner = self.rest.strip_prefix(quote).unwrap_or_default();
        let (text, after) = inner
            .split_once(quote)
            .ok_or_else(|| format!("the quote before `{}` is not closed", short(inner)))?;
        self.rest = after.trim_start();
        Ok(text.into())
    }

    fn expected(&self, what: &str) -> String {
        match self.rest {
            "" => format!("expected {what} at the end"),
            rest => format!("expected {what} before `{}`", short(rest)),
        }
    }
}

fn single(mut list: Vec<Selector>, many: impl Fn(Vec<Selector>) -> Selector) -> Selector {
    match list.len() {
        1 => list.remove(0),
        _ => many(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(list: &[(&str, &str)]) -> Labels {
        list.iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn every_operator_takes_and_leaves() {
        let have = labels(&[("rack", "a"), ("node-role.k8s.io/rr", ""), ("zone", "eu-1")]);
        let cases = [
            ("all()", true),
            ("global()", true),
            ("has(rack)", true),
            ("has( node-role.k8s.io/rr )", true),
            ("!has(rack)", false),
            ("! has(tor)", true),
            ("rack == 'a'", true),
            ("rack == \"b\"", false),
            ("rack!='a'", false),
            ("tor != 'a'", true),
            ("tor == 'a'", false),
            ("rack in {'b', 'a'}", true),
            ("rack in {}", false),
            ("rack not in {'b'}", true),
            ("tor not in {'b'}", true),
            ("zone contains 'u-'", true),
            ("zone starts with 'eu'", true),
            ("zone ends with '-2'", false),
            ("has(rack) && zone == 'eu-1'", true),
            ("has(tor) && has(rack) || all()", true),
            ("has(tor) && (has(rack) || all())", false),
            ("!(rack == 'a' || rack == 'b')", false),
            ("!!has(rack)", true),
        ];
        for (text, expected) in cases {
            let selector = Selector::parse(text).unwrap();
            assert_eq!(selector.matches(&have), expected, "{text}");
        }
    }

    #[test]
    fn a_fault_says_what_was_expected_and_where() {
        let cases = [
            ("", "expected a label at the end"),
            ("has(rack", "expected `)` at the end"),
            (
                "rack = 'a'",
                "expected `==`, `!=`, `in`, `not in` or `contains` before `= 'a'`",
            ),
            ("rack == a", "expected text in quotes before `a`"),
            ("rack == 'a", "the quote before `a` is not closed"),
            ("all() rack", "expected `&&`, `||` or the end before `rack`"),
            (
                "any()",
                "`any()` is no function; write has(), all() or global()",
            ),
            ("rack in {'a' 'b'}", "expected `,` before `'b'}`"),
        ];
        for (text, expected) in cases {
            assert_eq!(Selector::parse(text).unwrap_err(), expected, "{text}");
        }
        let deep = format!("{}all(){}", "(".repeat(100), ")".repeat(100));
        assert!(Selector::parse(&deep).is_err());
        for start in ["all() ", "rack == 'a", "f"] {
            let long = format!("{start}{}()", "é".repeat(100_000).replace("éé", "xé"));
            assert!(Selector::parse(&long).unwrap_err().len() < 300, "{start}");
        }
    }
}
