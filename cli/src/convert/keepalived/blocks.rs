//! From lines to blocks.
//!
//! A [`Node`] is a line and, when braces follow it, what stands between them. A brace may open on
//! the same line, on the next one, or close on the same line again. What keepalived only logs, or
//! reads as something else, is a fault here: a `}` too many, a `{` behind nothing, and a block that
//! is not closed before the next one of the file begins (keepalived would read `vrrp_instance` as a
//! line of the block before, and the addresses of one instance as those of another).

use super::evaluate::Line;
use super::lexer::{Piece, pieces, words};
use super::report::{Place, Report, Span};
use super::vocabulary;

/// Blocks inside blocks; keepalived's deepest is 5.
const DEPTH_MAX: usize = 32;

/// A line, and its block if it has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// As written, without comment and brace.
    pub text: String,
    /// Its words.
    pub words: Vec<String>,
    /// Where it is.
    pub at: Place,
    /// The last line of its block; its own without one.
    pub last: usize,
    /// What is between its braces.
    pub block: Option<Vec<Node>>,
}

impl Node {
    /// The first word.
    pub fn keyword(&self) -> &str {
        self.word(0)
    }

    /// The word at `index`, empty when there is none.
    pub fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// What is in its block.
    pub fn inside(&self) -> &[Node] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The line alone.
    pub fn line(&self) -> Span<'_> {
        Span {
            at: self.at,
            last: self.at.line,
            source: &self.text,
        }
    }

    /// The line with its block.
    pub fn whole(&self) -> Span<'_> {
        Span {
            last: self.last,
            ..self.line()
        }
    }

    /// The line with what is secret in it covered.
    pub fn covered(&self) -> Node {
        let text = match self.words.len() {
            0 | 1 => self.text.clone(),
            _ => format!("{} ***", self.keyword()),
        };
        Node {
            text,
            ..self.clone()
        }
    }

    /// The line with nothing of it shown.
    pub fn hidden(&self) -> Node {
        Node {
            text: "***".to_owned(),
            ..self.clone()
        }
    }
}

/// Builds the tree.
pub fn build(lines: &[Line], report: &mut Report) -> Vec<Node> {
    let mut builder = Builder {
        open: vec![Level::default()],
        report,
    };
    for line in lines {
        for piece in pieces(&line.text) {
            match piece {
                Piece::Text(text) => builder.text(text, line.at),
                Piece::Open => builder.open(line),
                Piece::Close => builder.close(line),
            }
        }
    }
    builder.finish()
}

/// A block that is being read; the first is the file.
#[derive(Default)]
struct Level {
    header: Node,
    nodes: Vec<Node>,
}

struct Builder<'r> {
    open: Vec<Level>,
    report: &'r mut Report,
}

impl Builder<'_> {
    fn text(&mut self, text: &str, at: Place) {
        let node = Node {
            text: text.to_owned(),
            words: words(text),
            at,
            last: at.line,
            block: None,
        };
        if self.open.len() > 1 && vocabulary::begins_section(node.keyword()) {
            self.unclosed(&format!("before line {}", at.line));
        }
        if let Some(level) = self.open.last_mut() {
            level.nodes.push(node);
        }
    }

    /// Closes what is open, and says so of the innermost block.
    fn unclosed(&mut self, until: &str) {
        if let Some(level) = self.open.last() {
            self.report.refused(
                level.header.line(),
                format!("its block is not closed {until}"),
                "put the missing } there",
            );
        }
        while self.open.len() > 1 {
            self.pop(None);
        }
    }

    fn open(&mut self, line: &Line) {
        let deep = self.open.len() > DEPTH_MAX;
        let Some(level) = self.open.last_mut() else {
            return;
        };
        match level.nodes.last() {
            Some(node) if node.block.is_none() && !deep => {
                let header = level.nodes.pop().unwrap_or_default();
                self.open.push(Level {
                    header,
                    nodes: Vec::new(),
                });
            }
            _ => self
                .report
                .refused(stray(line, "{"), "a { with nothing before it", "remove it"),
        }
    }

    fn close(&mut self, line: &Line) {
        if self.open.len() > 1 {
            self.pop(Some(line.at.line));
        } else {
            let cause = "a } that closes nothing";
            self.report.refused(
                stray(line, "}"),
                cause,
                "remove it, or find the { before it",
            );
        }
    }

    fn pop(&mut self, last: Option<usize>) {
        let Some(level) = self.open.pop() else {
            return;
        };
        let ends = level
            .nodes
            .last()
            .map_or(level.header.at.line, |it| it.last);
        let node = Node {
            last: last.unwrap_or(ends),
            block: Some(level.nodes),
            ..level.header
        };
        if let Some(parent) = self.open.last_mut() {
            parent.nodes.push(node);
        }
    }

    fn finish(mut self) -> Vec<Node> {
        if self.open.len() > 1 {
            self.unclosed("before the end of the file");
        }
        self.open.pop().map(|level| level.nodes).unwrap_or_default()
    }
}

fn stray<'l>(line: &Line, brace: &'l str) -> Span<'l> {
    Span {
        at: line.at,
        last: line.at.line,
        source: brace,
    }
}
