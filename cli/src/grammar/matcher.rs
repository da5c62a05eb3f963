//! From words to a command: abbreviations, values, and the command the words stand for.
//!
//! Words are read left to right. At each position the candidates are what the rows that still fit
//! have there. An exact word wins; otherwise a beginning that fits one word only; otherwise a slot
//! whose form fits. A beginning that fits several words is ambiguous unless the rest of the line
//! decides, which is not tried: an operator must be able to predict what an abbreviation does.

use std::sync::OnceLock;

use super::mistake::Mistake;
use super::pattern::{Token, expand};
use super::slot::Slot;
use super::table::{Command, ROWS, Row};

/// A sequence of the expanded table, and the row it came from.
#[derive(Debug)]
pub struct Sequence {
    /// What must be typed.
    pub tokens: Vec<Token>,
    /// The row.
    pub row: &'static Row,
}

/// The expanded table.
pub fn sequences() -> &'static [Sequence] {
    static ALL: OnceLock<Vec<Sequence>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Vec::new();
        for row in ROWS {
            for tokens in expand(row.pattern) {
                if row.json {
                    let json = [tokens.as_slice(), &[Token::Word("json")]].concat();
                    all.push(Sequence { tokens: json, row });
                }
                all.push(Sequence { tokens, row });
            }
        }
        all
    })
}

/// A line that fits a row: the words in full and the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    words: Vec<&'static str>,
    values: Vec<(Slot, String)>,
}

impl Line {
    /// Whether `word` was typed.
    pub fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    /// The value of the first such slot.
    pub fn value(&self, slot: Slot) -> Option<&str> {
        self.values
            .iter()
            .find(|value| value.0 == slot)
            .map(|value| value.1.as_str())
    }

    /// The values of all such slots.
    pub fn values(&self, slot: Slot) -> impl Iterator<Item = &str> {
        let all = self.values.iter().filter(move |value| value.0 == slot);
        all.map(|value| value.1.as_str())
    }

    /// The value of the last such slot.
    pub fn last(&self, slot: Slot) -> Option<&str> {
        self.values
            .iter()
            .rfind(|value| value.0 == slot)
            .map(|value| value.1.as_str())
    }
}

/// What a line stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The command.
    pub command: Command,
    /// Print JSON.
    pub json: bool,
}

/// Where a partly read line stands.
#[derive(Debug)]
pub struct Progress {
    /// The sequences that fit so far.
    pub fitting: Vec<&'static Sequence>,
    /// What was read.
    pub line: Line,
    /// Positions read.
    pub depth: usize,
}

impl Progress {
    fn start() -> Self {
        Self {
            fitting: sequences().iter().collect(),
            line: Line::default(),
            depth: 0,
        }
    }

    /// What may come next, each token once, in table order.
    pub fn candidates(&self) -> Vec<Token> {
        let mut all = Vec::new();
        for sequence in &self.fitting {
            if let Some(&token) = sequence.tokens.get(self.depth)
                && !all.contains(&token)
            {
                all.push(token);
            }
        }
        all
    }

    /// The row that ends here, if one does.
    pub fn complete(&self) -> Option<&'static Row> {
        self.fitting
            .iter()
            .find(|it| it.tokens.len() == self.depth)
            .map(|it| it.row)
    }

    fn advance(&mut self, token: Token, typed: &str) {
        let depth = self.depth;
        self.fitting
            .retain(|sequence| sequence.tokens.get(depth) == Some(&token));
        self.depth += 1;
        match token {
            Token::Word(word) => self.line.words.push(word),
            Token::Slot(slot) => self.line.values.push((slot, typed.to_owned())),
        }
    }
}

/// Reads `words` as far as the table allows.
///
/// # Errors
/// The first word that does not fit.
pub fn read(words: &[String]) -> Result<Progress, Mistake> {
    let mut progress = Progress::start();
    for (index, typed) in words.iter().enumerate() {
        match choose(&progress.candidates(), typed) {
            Choice::One(token) => progress.advance(token, typed),
            Choice::Several(fitting) => {
                return Err(Mistake::ambiguous(words, index, &fitting));
            }
            Choice::None => {
                return Err(Mistake::unknown(words, index, &progress.candidates()));
            }
        }
    }
    Ok(progress)
}

/// Reads a whole command.
///
/// # Errors
/// A word that does not fit, a line that is not finished, or a value that makes no sense.
pub fn parse(words: &[String]) -> Result<Outcome, Mistake> {
    let progress = read(words)?;
    let Some(row) = progress.complete() else {
        return Err(Mistake::incomplete(words, &progress.candidates()));
    };
    let command = (row.build)(&progress.line).map_err(|text| Mistake::value(words, &text))?;
    Ok(Outcome {
        command,
        json: progress.line.has("json") && row.json,
    })
}

enum Choice {
    One(Token),
    Several(Vec<&'static str>),
    None,
}

fn choose(candidates: &[Token], typed: &str) -> Choice {
    let words = || {
        candidates.iter().filter_map(|token| match token {
            Token::Word(word) => Some(*word),
            Token::Slot(_) => None,
        })
    };
    if let Some(word) = words().find(|word| *word == typed) {
        return Choice::One(Token::Word(word));
    }
    let slot = candidates.iter().find_map(|token| match token {
        Token::Slot(slot) if slot.accepts(typed) => Some(*slot),
        _ => None,
    });
    // A value such as `2001:db8::1` never begins a word, and a file may be named like one: a slot
    // for free text goes before abbreviations, so that `check sho` reads the file `sho`.
    if let Some(slot) = slot {
        return Choice::One(Token::Slot(slot));
    }
    let beginning: Vec<_> = words().filter(|word| word.starts_with(typed)).collect();
    match beginning.as_slice() {
        [] => Choice::None,
        [word] => Choice::One(Token::Word(word)),
        _ => Choice::Several(beginning),
    }
}

#[cfg(test)]
mod tests {
    use proto_codec::control::{Family, Request};

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn command(line: &str) -> Command {
        parse(&words(line))
            .unwrap_or_else(|mistake| panic!("{mistake}"))
            .command
    }

    fn mistake(line: &str) -> String {
        parse(&words(line)).unwrap_err().to_string()
    }

    #[test]
    fn abbreviations_mean_the_same_as_the_words() {
        let all = Command::Ask(vec![Request::ShowBgpSummary { family: None }]);
        for line in ["show bgp summary", "sh bgp sum", "sho b su"] {
            assert_eq!(command(line), all, "{line}");
        }
        let v4 = Request::ShowBgpSummary {
            family: Some(Family::Ipv4Unicast),
        };
        for line in [
            "sh ip bgp sum",
            "show bgp ipv4 unicast summary",
            "sh bgp ipv4 sum",
        ] {
            assert_eq!(command(line), Command::Ask(vec![v4.clone()]), "{line}");
        }
        assert!(parse(&words("show bgp summary json")).unwrap().json);
    }

    #[test]
    fn a_beginning_of_several_words_is_refused() {
        let text = mistake("show bgp ip");
        assert!(
            text.starts_with("% Ambiguous command: show bgp ip\n"),
            "{text}"
        );
        assert!(text.ends_with("         ^^ could be ipv4, ipv6"), "{text}");
    }

    #[test]
    fn a_wrong_word_is_pointed_at_and_corrected() {
        let text = mistake("show bgp sumary");
        assert!(
            text.starts_with("% Unknown command: show bgp sumary\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\n           ^^^^^^ did you mean `summary`?"),
            "{text}"
        );
        assert!(mistake("show bgp 10.0.0.0/40").contains("0 to 32"));
        assert!(mistake("show bgp summary now").contains("expected json"));
    }

    #[test]
    fn an_unfinished_line_says_what_is_missing() {
        let text = mistake("clear bgp");
        assert!(
            text.starts_with("% Command incomplete: clear bgp"),
            "{text}"
        );
        assert!(text.contains("ADDRESS, * or peer-group"), "{text}");
    }

    #[test]
    fn values_choose_the_request() {
        let Command::Ask(requests) = command("show bgp ipv4 unicast 10.1.2.3") else {
            panic!()
        };
        assert!(matches!(
            requests[..],
            [Request::ShowBgpPrefix { exact: false, .. }]
        ));
        let Command::Ask(requests) = command("show bgp 10.0.0.0/8 longer-prefixes") else {
            panic!()
        };
        assert!(matches!(requests[..], [Request::ShowBgpTable { .. }]));
        assert_eq!(
            command("explain route 10.0.0.1 to 10.0.0.2"),
            Command::Ask(vec![Request::ExplainRoute {
                prefix: "10.0.0.1/32".parse().unwrap(),
                to: Some("10.0.0.2".parse().unwrap()),
            }])
        );
        assert!(mistake("show bgp ipv6 10.0.0.0/8").contains("IPv6"));
    }
}
