//! AS_PATH: segments of four-octet AS numbers (RFC 4271 §4.3 b, RFC 5065, RFC 6793).
//!
//! [`AsPath`] is a view over validated octets, never a copy. A segment is a type, a count and that
//! many numbers. Length counting follows RFC 4271 §9.1.2.2 (a): an AS_SET counts one, and RFC 5065
//! §5.3: confederation segments count nothing. The text form is FRR's: sequences as numbers, sets
//! in braces with commas, confederation sequences in parentheses, confederation sets in brackets.

use std::fmt;

/// The type of a segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SegmentKind {
    /// 1: unordered.
    Set,
    /// 2: ordered, nearest first.
    Sequence,
    /// 3: ordered, inside the confederation.
    ConfedSequence,
    /// 4: unordered, inside the confederation.
    ConfedSet,
}

impl SegmentKind {
    /// `None` for types no RFC defines.
    pub const fn from_value(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfedSequence),
            4 => Some(Self::ConfedSet),
            _ => None,
        }
    }

    /// The octet on the wire.
    pub const fn value(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfedSequence => 3,
            Self::ConfedSet => 4,
        }
    }

    /// Whether it is of RFC 5065.
    pub const fn is_confed(self) -> bool {
        matches!(self, Self::ConfedSequence | Self::ConfedSet)
    }
}

/// One segment of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Its type.
    pub kind: SegmentKind,
    octets: &'a [[u8; 4]],
}

impl<'a> Segment<'a> {
    /// Its numbers, in wire order.
    pub fn asns(
        &self,
    ) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + Clone + use<'a> {
        self.octets.iter().map(|octets| u32::from_be_bytes(*octets))
    }
}

/// A path, over octets that were validated when they were decoded or built.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AsPath<'a> {
    octets: &'a [u8],
}

impl<'a> AsPath<'a> {
    /// Over four-octet segments. Octets that are no segments end the path.
    pub const fn from_wire(octets: &'a [u8]) -> Self {
        Self { octets }
    }

    /// The octets of the attribute.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Whether there is no segment at all, as in a route that started inside the AS.
    pub const fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The segments, nearest first.
    pub const fn segments(&self) -> Segments<'a> {
        Segments {
            octets: self.octets,
        }
    }

    /// Every number of every segment.
    pub fn asns(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        self.segments().flat_map(|segment| segment.asns())
    }

    /// RFC 4271 §9.1.2.2 (a), RFC 5065 §5.3.
    pub fn hop_count(&self) -> usize {
        let count = |segment: Segment<'_>| match segment.kind {
            SegmentKind::Sequence => segment.octets.len(),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        };
        self.segments().map(count).sum()
    }

    /// The neighbor AS: the leftmost number when the first segment outside a confederation is an
    /// AS_SEQUENCE.
    pub fn first_as(&self) -> Option<u32> {
        let first = self.segments().find(|segment| !segment.kind.is_confed())?;
        match first.kind {
            SegmentKind::Sequence => first.asns().next(),
            _ => None,
        }
    }

    /// The AS the route started in: the rightmost number when the path ends in an AS_SEQUENCE
    /// (RFC 6811 §2 has none for a path that ends in a set).
    pub fn origin_as(&self) -> Option<u32> {
        let last = self
            .segments()
            .filter(|segment| !segment.kind.is_confed())
            .last()?;
        match last.kind {
            SegmentKind::Sequence => last.asns().next_back(),
            _ => None,
        }
    }

    /// Whether `asn` is anywhere in the path, RFC 4271 §9.1.2.
    pub fn contains(&self, asn: u32) -> bool {
        self.asns().any(|one| one == asn)
    }

    /// How often `asn` is in the path.
    pub fn count(&self, asn: u32) -> usize {
        self.asns().filter(|one| *one == asn).count()
    }
}

impl fmt::Display for AsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, segment) in self.segments().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            let (open, between, close) = match segment.kind {
                SegmentKind::Sequence => ("", " ", ""),
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::ConfedSequence => ("(", " ", ")"),
                SegmentKind::ConfedSet => ("[", ",", "]"),
            };
            f.write_str(open)?;
            for (n, asn) in segment.asns().enumerate() {
                if n > 0 {
                    f.write_str(between)?;
                }
                write!(f, "{asn}")?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsPath({self})")
    }
}

/// Iterator over segments.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    octets: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let (&[kind, count], rest) = self.octets.split_first_chunk::<2>()?;
        let (numbers, rest) = rest.split_at_checked(usize::from(count) * 4)?;
        self.octets = rest;
        let (octets, _) = numbers.as_chunks::<4>();
        Some(Segment {
            kind: SegmentKind::from_value(kind)?,
            octets,
        })
    }
}

/// Prepends `asn` `times` times in front of `path`, RFC 4271 §5.1.2 (b): into the leading
/// AS_SEQUENCE while it has room (255 numbers), else into new segments in front.
pub(crate) fn prepend(path: &[u8], asn: u32, times: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len() + times * 4 + 4);
    let (leading, rest) = match AsPath::from_wire(path).segments().next() {
        Some(segment) if segment.kind == SegmentKind::Sequence => {
            let used = 2 + segment.octets.len() * 4;
            (segment.octets, path.get(used..).unwrap_or_default())
        }
        _ => (&[][..], path),
    };
    // New numbers that do not fit beside the leading segment's go in front, 255 at a time.
    let joined = times.min(255usize.saturating_sub(leading.len()));
    let mut in_front = times - joined;
    while in_front > 0 {
        let now = in_front.min(255);
        put_sequence(asn, now, &[], &mut out);
        in_front -= now;
    }
    put_sequence(asn, joined, leading, &mut out);
    out.extend_from_slice(rest);
    out
}

fn put_sequence(asn: u32, times: usize, then: &[[u8; 4]], out: &mut Vec<u8>) {
    let count = times + then.len();
    if count == 0 {
        return;
    }
    out.extend_from_slice(&[
        SegmentKind::Sequence.value(),
        u8::try_from(count).unwrap_or(u8::MAX),
    ]);
    for _ in 0..times {
        out.extend_from_slice(&asn.to_be_bytes());
    }
    out.extend_from_slice(then.as_flattened());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(segments: &[(u8, &[u32])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, asns) in segments {
            out.extend_from_slice(&[*kind, asns.len() as u8]);
            out.extend(asns.iter().flat_map(|asn| asn.to_be_bytes()));
        }
        out
    }

    #[test]
    fn counting_and_text_follow_rfc4271_and_frr() {
        let octets = wire(&[(3, &[7, 8]), (2, &[1, 2, 1]), (1, &[3, 4]), (4, &[9])]);
        let path = AsPath::from_wire(&octets);
        assert_eq!(path.to_string(), "(7 8) 1 2 1 {3,4} [9]");
        assert_eq!(path.hop_count(), 4);
        assert_eq!((path.first_as(), path.origin_as()), (Some(1), None));
        assert_eq!(
            (path.count(1), path.contains(4), path.contains(5)),
            (2, true, false)
        );
        assert_eq!(AsPath::default().to_string(), "");
    }

    #[test]
    fn prepending_splits_at_255() {
        let octets = prepend(&[], 65001, 300);
        let path = AsPath::from_wire(&octets);
        assert_eq!((path.hop_count(), path.count(65001)), (300, 300));
        let octets = prepend(&wire(&[(2, &[5; 254])]), 6, 2);
        let path = AsPath::from_wire(&octets);
        assert_eq!((path.hop_count(), path.segments().count()), (256, 2));
        assert_eq!(path.first_as(), Some(6));
        let octets = prepend(&wire(&[(1, &[5])]), 6, 1);
        assert_eq!(AsPath::from_wire(&octets).to_string(), "6 {5}");
        assert_eq!(prepend(&octets, 6, 0), octets);
    }
}
