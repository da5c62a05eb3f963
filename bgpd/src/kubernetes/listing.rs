//! The objects of a list out of the bytes of its answer, one at a time.
//!
//! A page of 500 EndpointSlices may have a hundred megabytes; the daemon needs one slice at a time.
//! So the answer is not parsed but cut: the scanner follows braces and strings, hands over each
//! element of the top-level `items` as soon as its last brace came, and keeps the rest (kind,
//! continue token, version), which is parsed at the end. What is kept is bounded: an object larger
//! than [`OBJECT_MAX`] is handed over as its beginning only, and a rest larger than [`REST_MAX`] is
//! an error. Whether an element is valid JSON is for its reader to find out.
//!
//! [`Lines`] cuts a watch into its lines under the same bounds.

use serde::Deserialize;

/// An object that is larger is not read. etcd takes 1.5 MiB of a more compact form.
pub(super) const OBJECT_MAX: usize = cluster::object::OBJECT_OCTETS_MAX;
/// What is kept of the beginning of an object that is too large.
const HEAD_MAX: usize = 64 << 10;
/// The list without its objects.
const REST_MAX: usize = 256 << 10;

/// A piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// An object, or a line.
    Whole(&'a [u8]),
    /// The beginning of one that is too large.
    Head(&'a [u8]),
}

/// Why an answer is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoList {
    /// Braces do not match, or an element is no object.
    #[error("the list is no valid JSON")]
    Malformed,
    /// The rest is too large.
    #[error("the list has more than {REST_MAX} octets beside its objects")]
    TooLarge,
    /// It says that it is of another kind.
    #[error("the answer is no list of the kind that was asked for")]
    Foreign,
    /// It does not say what it shows.
    #[error("the list has no resourceVersion")]
    Unversioned,
    /// It ended early.
    #[error("the list ended in the middle")]
    Cut,
}

/// What a list says beside its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Rest {
    /// `NodeList`.
    pub kind: String,
    /// Version and continue token.
    pub metadata: RestMeta,
}

/// `metadata` of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RestMeta {
    /// The version that the list shows.
    pub resource_version: String,
    /// The token of the next page; empty on the last.
    #[serde(rename = "continue")]
    pub next: String,
}

/// Bytes of one piece, up to a bound.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Held {
    fn push(&mut self, bytes: &[u8]) {
        if self.is_cut {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > OBJECT_MAX {
            self.bytes.truncate(HEAD_MAX);
            self.bytes.shrink_to_fit();
            self.is_cut = true;
        }
    }

    fn give(&mut self, each: &mut dyn FnMut(Piece<'_>)) {
        each(match self.is_cut {
            false => Piece::Whole(&self.bytes),
            true => Piece::Head(&self.bytes),
        });
        self.bytes.clear();
        // One large object must not hold its room for ever.
        self.bytes.shrink_to(HEAD_MAX);
        self.is_cut = false;
    }
}

/// Where the scanner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Outside `items`.
    Rest,
    /// Between two elements.
    Between,
    /// In an element that began at this depth.
    Element,
    /// Behind the last brace.
    Done,
}

/// Cuts the answer to a list.
#[derive(Debug)]
pub(super) struct Listing {
    /// `kind` of the objects, as `Node`.
    word: &'static str,
    place: Place,
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    rest: Vec<u8>,
    element: Held,
}

impl Listing {
    /// A list of objects of this `kind`.
    pub fn new(word: &'static str) -> Self {
        Self {
            word,
            place: Place::Rest,
            depth: 0,
            in_string: false,
            is_escaped: false,
            rest: Vec::new(),
            element: Held::default(),
        }
    }

    /// Takes bytes in and hands over the objects that they complete.
    ///
    /// # Errors
    /// The answer is no list; nothing more can be made of it.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), NoList> {
        let mut from = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match (byte, self.place) {
                (b'"', Place::Rest | Place::Element) => self.in_string = true,
                (b'{' | b'[', Place::Rest) => {
                    self.depth += 1;
                    if byte == b'[' && self.depth == 2 {
                        self.keep(&bytes[from..=at])?;
                        from = at + 1;
                        if self.items_begin() {
                            self.check_kind()?;
                            self.place = Place::Between;
                        }
                    }
                }
                (b'{', Place::Between) => {
                    self.place = Place::Element;
                    self.depth += 1;
                    from = at;
                }
                (b'{' | b'[', Place::Element) => self.depth += 1,
                (b'}' | b']', Place::Element) => {
                    self.depth -= 1;
                    if self.depth == 2 {
                        self.element.push(&bytes[from..=at]);
                        self.element.give(each);
                        self.place = Place::Between;
                    }
                }
                (b']', Place::Between) => {
                    self.depth -= 1;
                    self.place = Place::Rest;
                    from = at;
                }
                (b'}' | b']', Place::Rest) => {
                    self.depth = self.depth.checked_sub(1).ok_or(NoList::Malformed)?;
                    if self.depth == 0 {
                        self.keep(&bytes[from..=at])?;
                        from = at + 1;
                        self.place = Place::Done;
                    }
                }
                (b',' | b' ' | b'\n' | b'\r' | b'\t', Place::Between | Place::Done) => {}
                (_, Place::Between | Place::Done) => return Err(NoList::Malformed),
                (_, Place::Rest | Place::Element) => {}
            }
        }
        match self.place {
            Place::Rest => self.keep(&bytes[from.min(bytes.len())..]),
            Place::Element => {
                self.element.push(&bytes[from..]);
                Ok(())
            }
            Place::Between | Place::Done => Ok(()),
        }
    }

    /// The end of the answer. Only a list that says of what it is and at which version counts:
    /// whatever stands in the server's place may answer 200 and some JSON, and a list that lacks
    /// everything withdraws everything.
    ///
    /// # Errors
    /// It is no list, or not a whole one.
    pub fn finish(&self) -> Result<Rest, NoList> {
        if self.place != Place::Done {
            return Err(NoList::Cut);
        }
        let rest: Rest = serde_json::from_slice(&self.rest).map_err(|_| NoList::Malformed)?;
        let is_ours = rest.kind == "List" || rest.kind.strip_suffix("List") == Some(self.word);
        match (is_ours, rest.metadata.resource_version.is_empty()) {
            (false, _) => Err(NoList::Foreign),
            (true, true) => Err(NoList::Unversioned),
            (true, false) => Ok(rest),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), NoList> {
        if self.rest.len() + bytes.len() > REST_MAX {
            return Err(NoList::TooLarge);
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    /// A list that says of what it is before its objects says that it is of ours.
    fn check_kind(&self) -> Result<(), NoList> {
        let rest = self.rest.iter().copied();
        let rest: Vec<u8> = rest.filter(|byte| !byte.is_ascii_whitespace()).collect();
        let key = b"\"kind\":\"";
        let Some(at) = rest.windows(key.len()).position(|window| window == key) else {
            return Ok(());
        };
        let value = rest.get(at + key.len()..).unwrap_or_default();
        let ours = format!("{}List\"", self.word);
        match value.starts_with(ours.as_bytes()) || value.starts_with(b"List\"") {
            true => Ok(()),
            false => Err(NoList::Foreign),
        }
    }

    /// Whether the `[` that was kept last is the value of the key `items`.
    fn items_begin(&self) -> bool {
        let before = self.rest.strip_suffix(b"[").unwrap_or(&self.rest);
        let key = before.trim_ascii_end().strip_suffix(b":");
        key.is_some_and(|key| key.trim_ascii_end().ends_with(b"\"items\""))
    }
}

/// Cuts a watch into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Held,
}

impl Lines {
    /// Takes bytes in and hands over the lines that they complete. What the last line lacks when
    /// the connection breaks is lost with it: the watch resumes before it.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Piece<'_>)) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.line.push(piece);
            if pieces.peek().is_some() && !self.line.bytes.trim_ascii().is_empty() {
                self.line.give(each);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{ "kind": "NodeList", "extra": [1, {"items": [0]}],
        "metadata": {"resourceVersion": "7", "continue": "a\"]}"},
        "items" : [ {"a": "}]{\\"}, {"b": [[{}], {"items": []}]} , {} ], "x": {"y": [ ]} } "#;

    fn cut(list: &[u8], size: usize) -> Result<(Vec<String>, Rest), NoList> {
        let mut listing = Listing::new("Node");
        let mut found = Vec::new();
        for chunk in list.chunks(size) {
            listing.feed(chunk, &mut |piece| match piece {
                Piece::Whole(bytes) => found.push(String::from_utf8_lossy(bytes).into_owned()),
                Piece::Head(bytes) => found.push(format!("head of {}", bytes.len())),
            })?;
        }
        listing.finish().map(|rest| (found, rest))
    }

    #[test]
    fn objects_are_found_wherever_the_bytes_are_cut() {
        let (whole, rest) = cut(LIST.as_bytes(), LIST.len()).expect("a list");
        let expected = [r#"{"a": "}]{\\"}"#, r#"{"b": [[{}], {"items": []}]}"#, "{}"];
        assert_eq!(whole, expected);
        assert_eq!(rest.metadata.next, "a\"]}");
        assert_eq!(rest.kind, "NodeList");
        for size in 1..LIST.len() {
            let cut = cut(LIST.as_bytes(), size).expect("a list");
            assert_eq!(cut, (whole.clone(), rest.clone()), "chunks of {size}");
        }
    }

    #[test]
    fn every_truncation_is_an_error_and_no_garbage_panics() {
        let end = LIST.trim_end().len();
        for length in 0..end {
            assert!(cut(&LIST.as_bytes()[..length], 7).is_err(), "{length}");
        }
        for at in 0..end {
            for byte in *b"{}[]\",:\\x\n" {
                let mut list = LIST.as_bytes().to_vec();
                list[at] = byte;
                let _ = cut(&list, 5);
            }
        }
        for garbage in ["{}", "]", "}}", "[]]", "{\"items\":[1]}", "{}x", "<html>"] {
            assert!(cut(garbage.as_bytes(), 3).is_err(), "{garbage}");
        }
    }

    #[test]
    fn null_items_and_no_items_are_empty_lists_if_it_is_a_list() {
        let head = "{\"kind\":\"NodeList\",\"metadata\":{\"resourceVersion\":\"7\"}";
        for items in ["", ",\"items\":null", ",\"items\":[]"] {
            let list = format!("{head}{items}}}");
            let (found, rest) = cut(list.as_bytes(), 4).expect("a list");
            assert!(found.is_empty());
            assert_eq!(rest.metadata.resource_version, "7");
        }
    }

    #[test]
    fn json_that_is_no_list_is_no_empty_list() {
        use NoList::{Foreign, Unversioned};
        let cases = [
            ("{}", Foreign),
            (r#"{"items":[]}"#, Foreign),
            (
                r#"{"kind":"Status","metadata":{"resourceVersion":"7"}}"#,
                Foreign,
            ),
            (
                r#"{"metadata":{"resourceVersion":"7"},"kind":"PodList"}"#,
                Foreign,
            ),
            (r#"{"items":[],"kind":"NodeListList"}"#, Foreign),
            (r#"{"kind":"NodeList","items":[]}"#, Unversioned),
            (
                r#"{"kind":"List","metadata":{"resourceVersion":""}}"#,
                Unversioned,
            ),
        ];
        for (answer, why) in cases {
            assert_eq!(cut(answer.as_bytes(), 4), Err(why), "{answer}");
        }
    }

    #[test]
    fn an_object_without_end_costs_no_more_than_its_bound() {
        let mut listing = Listing::new("Node");
        let mut found = Vec::new();
        let mut each = |piece: Piece<'_>| match piece {
            Piece::Whole(bytes) => found.push((bytes.len(), false)),
            Piece::Head(bytes) => found.push((bytes.len(), true)),
        };
        listing
            .feed(b"{\"items\":[{\"a\":\"", &mut each)
            .expect("a list");
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            listing.feed(&chunk, &mut each).expect("a list");
            assert!(listing.element.bytes.capacity() <= 2 * OBJECT_MAX + (2 << 20));
        }
        listing.feed(b"\"},{}]}", &mut each).expect("a list");
        assert_eq!(found, [(HEAD_MAX, true), (2, false)]);
        let mut listing = Listing::new("Node");
        let rest = [b"{\"kind\":\"".as_slice(), &chunk].concat();
        assert_eq!(listing.feed(&rest, &mut |_| {}), Err(NoList::TooLarge));
    }

    #[test]
    fn lines_are_cut_and_bounded() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in [b"one\ntw".as_slice(), b"o\n\n \nthree", b"", b"\nfo"] {
            lines.feed(chunk, &mut |piece| match piece {
                Piece::Whole(bytes) => found.push(String::from_utf8_lossy(bytes).into_owned()),
                Piece::Head(_) => found.push("head".into()),
            });
        }
        assert_eq!(found, ["one", "two", " three"]);
        for _ in 0..20 {
            lines.feed(&vec![b'x'; 1 << 20], &mut |_| {});
            assert!(lines.line.bytes.capacity() <= 2 * OBJECT_MAX + (2 << 20));
        }
        let mut heads = 0;
        let mut each = |piece: Piece<'_>| heads += usize::from(matches!(piece, Piece::Head(_)));
        lines.feed(b"\nwhole\n", &mut each);
        assert_eq!(heads, 1);
    }
}
