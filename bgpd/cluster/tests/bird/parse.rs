//! From words to protocols, functions and filters.
//!
//! A protocol's body is kept as lists of words up to each semicolon, but for its filters, which
//! are programs. Templates are looked up when something is asked of a protocol, so that an option
//! of the protocol itself comes before that of its template.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::lex::{Token, lex};

/// All files of a family.
#[derive(Debug, Default)]
pub struct Config {
    /// `router id`, `listen`, and what else stands outside.
    pub options: Vec<Vec<Token>>,
    pub functions: BTreeMap<String, (Vec<String>, Vec<Stmt>)>,
    pub filters: BTreeMap<String, Vec<Stmt>>,
    pub templates: BTreeMap<String, Body>,
    pub protocols: Vec<Protocol>,
    /// Every prefix that stands anywhere.
    pub nets: Vec<IpNet>,
}

/// A protocol.
#[derive(Debug)]
pub struct Protocol {
    /// `bgp`, `static`, `kernel`.
    pub kind: String,
    pub name: String,
    pub template: Option<String>,
    pub body: Body,
}

/// What stands in braces.
#[derive(Debug, Default)]
pub struct Body {
    pub options: Vec<Vec<Token>>,
    pub import: Vec<Stmt>,
    pub export: Vec<Stmt>,
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Stmt {
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    Set(String, Expr),
    /// A function or a method such as `bgp_path.prepend`.
    Call(String, Vec<Expr>),
    Accept,
    Reject,
}

/// An expression.
#[derive(Clone, Debug)]
pub enum Expr {
    Number(u32),
    Text(String),
    Net(IpNet),
    Ip(std::net::IpAddr),
    /// A pair or triple.
    Tuple(Vec<Expr>),
    /// `[ A, B ]`.
    List(Vec<Expr>),
    /// `[= 65000 * =]`; `None` is the star.
    Path(Vec<Option<u32>>),
    Name(String),
    Defined(String),
    Not(Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
}

/// Reads the files of a family, in any order.
pub fn parse(texts: &[String]) -> Config {
    let mut config = Config::default();
    for text in texts {
        let tokens = lex(text);
        for token in &tokens {
            if let Token::Net(net) = token {
                config.nets.push(net.trunc());
            }
        }
        let mut parser = Parser { tokens, at: 0 };
        while parser.at < parser.tokens.len() {
            parser.top(&mut config);
        }
    }
    config.nets.sort();
    config.nets.dedup();
    config
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn top(&mut self, config: &mut Config) {
        match self.word().as_str() {
            "function" => {
                let name = self.word();
                self.sign("(");
                let mut params = Vec::new();
                while !self.take(")") {
                    assert_eq!(self.word(), "bool");
                    params.push(self.word());
                }
                let body = self.block();
                config.functions.insert(name, (params, body));
            }
            "filter" => {
                let name = self.word();
                let body = self.block();
                config.filters.insert(name, body);
            }
            "template" => {
                let _kind = self.word();
                let name = self.word();
                let body = self.body();
                config.templates.insert(name, body);
            }
            "protocol" => {
                let kind = self.word();
                let mut name = String::new();
                if !self.is_word("from") && !self.is_sign("{") {
                    name = self.word();
                }
                let template = self.take_word("from").then(|| self.word());
                let body = self.body();
                config.protocols.push(Protocol {
                    kind,
                    name,
                    template,
                    body,
                });
            }
            _ => {
                self.at -= 1;
                let option = self.until_semicolon();
                config.options.push(option);
            }
        }
    }

    fn body(&mut self) -> Body {
        let mut body = Body::default();
        self.sign("{");
        while !self.take("}") {
            let is_program = matches!(self.tokens.get(self.at + 2), Some(Token::Sign("{")));
            if (self.is_word("import") || self.is_word("export")) && is_program {
                let is_import = self.word() == "import";
                assert_eq!(self.word(), "filter");
                let program = self.block();
                self.sign(";");
                match is_import {
                    true => body.import = program,
                    false => body.export = program,
                }
            } else {
                let option = self.until_semicolon();
                body.options.push(option);
            }
        }
        body
    }

    fn until_semicolon(&mut self) -> Vec<Token> {
        let mut list = Vec::new();
        let mut depth = 0;
        loop {
            let token = self.tokens[self.at].clone();
            self.at += 1;
            match token {
                Token::Sign(";") if depth == 0 => return list,
                Token::Sign("{") => depth += 1,
                Token::Sign("}") => depth -= 1,
                _ => {}
            }
            list.push(token);
            // `debug { states };` has its own semicolon, which the next round takes.
            assert!(self.at < self.tokens.len(), "no semicolon after {list:?}");
        }
    }

    fn block(&mut self) -> Vec<Stmt> {
        if !self.take("{") {
            return self.statement().into_iter().collect();
        }
        let mut list = Vec::new();
        while !self.take("}") {
            list.extend(self.statement());
        }
        list
    }

    fn statement(&mut self) -> Option<Stmt> {
        if self.take(";") {
            return None;
        }
        let word = self.word();
        let statement = match word.as_str() {
            "if" => {
                let condition = self.expression();
                assert_eq!(self.word(), "then");
                let then = self.block();
                let other = match self.take_word("else") {
                    true => self.block(),
                    false => Vec::new(),
                };
                return Some(Stmt::If(condition, then, other));
            }
            "accept" => Stmt::Accept,
            "reject" => Stmt::Reject,
            _ if self.take("=") => Stmt::Set(word, self.expression()),
            _ => {
                self.sign("(");
                let mut args = Vec::new();
                while !self.take(")") {
                    args.push(self.expression());
                    self.take(",");
                }
                Stmt::Call(word, args)
            }
        };
        self.sign(";");
        Some(statement)
    }

    fn expression(&mut self) -> Expr {
        self.binary(0)
    }

    fn binary(&mut self, level: usize) -> Expr {
        const LEVELS: [&[&str]; 4] = [
            &["||"],
            &["&&"],
            &["=", "!=", "<", ">", "<=", ">=", "~", "!~"],
            &["-"],
        ];
        let Some(signs) = LEVELS.get(level) else {
            return self.primary();
        };
        let mut left = self.binary(level + 1);
        while let Some(Token::Sign(sign)) = self.tokens.get(self.at)
            && signs.contains(sign)
        {
            let sign = *sign;
            self.at += 1;
            let right = self.binary(level + 1);
            left = Expr::Binary(sign, Box::new(left), Box::new(right));
        }
        left
    }

    fn primary(&mut self) -> Expr {
        let token = self.tokens[self.at].clone();
        self.at += 1;
        match token {
            Token::Number(number) => Expr::Number(number),
            Token::Text(text) => Expr::Text(text),
            Token::Net(net) => Expr::Net(net),
            Token::Ip(address) => Expr::Ip(address),
            Token::Sign("!") => Expr::Not(Box::new(self.primary())),
            Token::Sign("(") => {
                let mut list = vec![self.expression()];
                while self.take(",") {
                    list.push(self.expression());
                }
                self.sign(")");
                match list.len() {
                    1 => list.remove(0),
                    _ => Expr::Tuple(list),
                }
            }
            Token::Sign("[") => {
                let mut list = Vec::new();
                while !self.take("]") {
                    list.push(self.expression());
                    self.take(",");
                }
                Expr::List(list)
            }
            Token::Sign("[=") => {
                let mut list = Vec::new();
                while !self.take("=]") {
                    list.push(match self.tokens[self.at].clone() {
                        Token::Number(asn) => Some(asn),
                        Token::Word(star) if star == "*" => None,
                        other => panic!("{other:?} in a path"),
                    });
                    self.at += 1;
                }
                Expr::Path(list)
            }
            Token::Word(word) if word == "defined" => {
                self.sign("(");
                let name = self.word();
                self.sign(")");
                Expr::Defined(name)
            }
            Token::Word(word) => Expr::Name(word),
            other => panic!("{other:?} is no expression"),
        }
    }

    fn word(&mut self) -> String {
        let Token::Word(word) = &self.tokens[self.at] else {
            panic!("{:?} is no word", &self.tokens[self.at..self.at + 3]);
        };
        self.at += 1;
        word.clone()
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(have)) if have == word)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Sign(have)) if *have == sign)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.at += usize::from(is);
        is
    }

    fn take(&mut self, sign: &str) -> bool {
        let is = self.is_sign(sign);
        self.at += usize::from(is);
        is
    }

    fn sign(&mut self, sign: &str) {
        let here = self.tokens.get(self.at).cloned();
        assert!(self.take(sign), "expected {sign}, found {here:?}");
    }
}
