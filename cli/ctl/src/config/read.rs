//! Reading a TOML tree field by field, with the place of everything.
//!
//! A [`Table`] is asked for its keys one after the other; a key that was never asked for is
//! unknown, so the list of known keys cannot drift from what is read. A value of the wrong kind
//! is a fault of that value only: the reading goes on, and a later check treats the field as
//! absent. serde's derive was weighed and rejected, because it stops at the first fault of a
//! document, and the point here is to name all of them.
//!
//! Any key whose value can be a list also takes one value: [`Many`] reads both.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostics;
use super::nearest::did_you_mean;

/// What a daemon's file is like, as far as reading it in general must know.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What other daemons' files call our keys (theirs, ours), for hands that know those.
    pub elsewhere: &'static [(&'static str, &'static str)],
    /// What nearly every syntax fault comes from.
    pub value_cure: &'static str,
    /// What a broken header should look like.
    pub header_cure: &'static str,
}

/// A value and where it stands in the file.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// A key that takes one value or a list of them.
pub type Many<T> = Vec<At<T>>;

/// Where faults go. Shared by all readers of a document.
#[derive(Debug)]
pub struct Sink {
    faults: RefCell<Diagnostics>,
    dialect: &'static Dialect,
}

impl Sink {
    /// An empty list for the file `name` that holds `text`.
    #[must_use]
    pub fn new(name: &str, text: &str, dialect: &'static Dialect) -> Self {
        Self {
            faults: RefCell::new(Diagnostics::new(name, text)),
            dialect,
        }
    }

    /// Adds an error.
    pub fn error(&self, span: &Range<usize>, message: impl Into<String>, cure: &str) {
        self.faults.borrow_mut().error(span.clone(), message, cure);
    }

    /// Adds a warning.
    pub fn warning(&self, span: &Range<usize>, message: impl Into<String>, cure: &str) {
        self.faults
            .borrow_mut()
            .warning(span.clone(), message, cure);
    }

    /// Everything that was found, with the faults of the TOML parser, in the order of the file.
    #[must_use]
    pub fn finish(self, syntax: &[toml::de::Error]) -> Diagnostics {
        let mut faults = self.faults.into_inner();
        faults.add_syntax(syntax, self.dialect);
        faults.sort();
        faults
    }
}

/// One value under a key, about to be read.
#[derive(Debug)]
pub struct Field<'a> {
    /// The key.
    pub key: &'a str,
    /// What stands behind it.
    pub value: &'a Spanned<DeValue<'a>>,
    /// Where faults go.
    pub sink: &'a Sink,
}

impl<'a> Field<'a> {
    /// Where the value stands.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Records a fault of this value.
    pub fn fault<T>(&self, message: impl Into<String>, cure: &str) -> Option<T> {
        self.sink.error(&self.span(), message, cure);
        None
    }

    /// Records that the value is of the wrong kind; `wanted` reads like `a duration`.
    pub fn wrong_kind<T>(&self, wanted: &str, cure: &str) -> Option<T> {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.fault(format!("`{}` takes {wanted}, not {found}", self.key), cure)
    }

    /// The text, when it is a string.
    pub fn text(&self, wanted: &str, cure: &str) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_kind(wanted, cure),
        }
    }

    /// One of `words`, each with its value.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let list = || {
            let all: Vec<_> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            format!("write one of {}", all.join(", "))
        };
        let text = self.text("one of a few words", &list())?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let cure = did_you_mean(text, words.iter().map(|(word, _)| *word), list);
        self.fault(format!("`{}` does not know \"{text}\"", self.key), &cure)
    }

    /// The table, when it is one.
    pub fn table(&self) -> Option<Table<'a>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Table::new(self.key, table, self.span(), self.sink)),
            _ => self.wrong_kind("a table", &format!("write {} = {{ ... }}", self.key)),
        }
    }
}

/// What can stand behind a key.
pub trait Value: Sized {
    /// Reads it, or records why not.
    fn read(field: &Field<'_>) -> Option<Self>;
}

impl Value for bool {
    fn read(field: &Field<'_>) -> Option<Self> {
        match field.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => field.wrong_kind("true or false", "write true or false, without quotes"),
        }
    }
}

impl Value for String {
    fn read(field: &Field<'_>) -> Option<Self> {
        let text = field.text("a string", "put the value in quotes")?;
        if text.is_empty() {
            return field.fault(
                format!("`{}` is empty", field.key),
                "leave the key out instead",
            );
        }
        Some(text.to_owned())
    }
}

macro_rules! integer {
    ($($kind:ty),*) => {$(
        impl Value for $kind {
            fn read(field: &Field<'_>) -> Option<Self> {
                let cure = format!("write a number from 0 to {}", <$kind>::MAX);
                let DeValue::Integer(integer) = field.value.get_ref() else {
                    return field.wrong_kind("a number", &format!("{cure}, without quotes"));
                };
                match <$kind>::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(value) => Some(value),
                    Err(_) => field.fault(
                        format!("`{}` is out of range: {}", field.key, integer.as_str()),
                        &cure,
                    ),
                }
            }
        }
    )*};
}
integer!(u8, u16, u32);

impl<T: Value> Value for Many<T> {
    fn read(field: &Field<'_>) -> Option<Self> {
        let one = |value: &Spanned<DeValue<'_>>| {
            let field = Field {
                key: field.key,
                value,
                sink: field.sink,
            };
            Some(At {
                value: T::read(&field)?,
                span: value.span(),
            })
        };
        match field.value.get_ref() {
            DeValue::Array(array) => Some(array.iter().filter_map(one).collect()),
            _ => one(field.value).map(|value| vec![value]),
        }
    }
}

/// A table that is being read.
#[derive(Debug)]
pub struct Table<'a> {
    name: &'a str,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    sink: &'a Sink,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The table `table`, called `name` in messages.
    #[must_use]
    pub fn new(name: &'a str, table: &'a DeTable<'a>, span: Range<usize>, sink: &'a Sink) -> Self {
        Self {
            name,
            table,
            span,
            sink,
            known: RefCell::default(),
        }
    }

    /// Where the table begins: its header.
    pub fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// Where faults go.
    #[must_use]
    pub fn sink(&self) -> &'a Sink {
        self.sink
    }

    /// The value behind `key`, which is thereby known.
    pub fn field(&self, key: &'static str) -> Option<Field<'a>> {
        self.known.borrow_mut().push(key);
        let value = self.table.get(key)?;
        Some(Field {
            key,
            value,
            sink: self.sink,
        })
    }

    /// The value behind `key`, read.
    pub fn get<T: Value>(&self, key: &'static str) -> Option<At<T>> {
        let field = self.field(key)?;
        Some(At {
            value: T::read(&field)?,
            span: field.span(),
        })
    }

    /// The value behind `key`; its absence is an error.
    pub fn require<T: Value>(&self, key: &'static str, cure: &str) -> Option<At<T>> {
        if self.table.get(key).is_none() {
            self.sink
                .error(&self.span, format!("{} has no `{key}`", self.title()), cure);
        }
        self.get(key)
    }

    /// Whether `key` is written at all, readable or not.
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// The table behind `key`.
    pub fn table(&self, key: &'static str) -> Option<Table<'a>> {
        self.field(key)?.table()
    }

    /// The tables behind `key`: `[[key]]` several times, or `[key]` once.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        let Some(field) = self.field(key) else {
            return Vec::new();
        };
        match field.value.get_ref() {
            DeValue::Array(array) => array
                .iter()
                .filter_map(|value| {
                    Field {
                        key,
                        value,
                        sink: self.sink,
                    }
                    .table()
                })
                .collect(),
            _ => field.table().into_iter().collect(),
        }
    }

    /// Names every key nobody asked for.
    pub fn finish(self) {
        let known = self.known.borrow();
        for key in self.table.keys() {
            let word: &str = key.get_ref();
            if known.contains(&word) {
                continue;
            }
            let elsewhere = self.sink.dialect.elsewhere.iter().find(|(other, ours)| {
                other.replace('-', "") == word.to_lowercase().replace(['-', '_'], "")
                    && known.contains(ours)
            });
            let cure = match elsewhere {
                Some((_, ours)) => format!("it is called `{ours}` here"),
                None => did_you_mean(word, known.iter().copied(), || {
                    let mut all = known.clone();
                    all.sort_unstable();
                    format!("known here: {}", all.join(", "))
                }),
            };
            self.sink.error(
                &key.span(),
                format!("unknown key `{word}` in {}", self.title()),
                &cure,
            );
        }
    }

    /// How the table is called in a message.
    fn title(&self) -> String {
        match self.name {
            "" => "the top level".to_owned(),
            "rules" => "the rule".to_owned(),
            name => format!("`{name}`"),
        }
    }
}
