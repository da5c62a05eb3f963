//! NLRI: runs of prefixes, validated once and then read without questions.
//!
//! [`Nlri`] borrows the octets of the message. Its constructor walks them once and checks what RFC
//! 4271 §6.3 and RFC 7606 §5.3 ask: no length over 32 or 128, no prefix cut off. After that,
//! iterating cannot fail. Both loops are written by hand: they run for every prefix of a full
//! table, and a combinator's error plumbing would be most of their cost. With ADD-PATH (RFC 7911
//! §3) each prefix has four octets of path identifier in front; without, the identifier reads as
//! 0.

use std::marker::PhantomData;

use crate::afi::{AddressFamily, Family, V4, V6};
use crate::error::ErrorKind;
use crate::prefix::PrefixKey;

/// A run of prefixes of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nlri<'a> {
    family: Family,
    add_path: bool,
    count: u32,
    octets: &'a [u8],
}

impl<'a> Nlri<'a> {
    /// Validates. The error comes with its offset in `octets`.
    pub fn new(
        family: Family,
        add_path: bool,
        octets: &'a [u8],
    ) -> Result<Self, (ErrorKind, usize)> {
        let max = family.bits();
        let mut count = 0u32;
        let mut left = octets;
        while !left.is_empty() {
            let at = || octets.len() - left.len();
            let mut rest = left;
            if add_path {
                rest = rest.get(4..).ok_or((ErrorKind::PrefixTruncated, at()))?;
            }
            let Some((&len, rest)) = rest.split_first() else {
                return Err((ErrorKind::PrefixTruncated, at()));
            };
            if len > max {
                return Err((ErrorKind::PrefixLength { len, max }, at()));
            }
            left = match rest.get(usize::from(len.div_ceil(8))..) {
                Some(rest) => rest,
                None => return Err((ErrorKind::PrefixTruncated, at())),
            };
            count = count.wrapping_add(1);
        }
        Ok(Self {
            family,
            add_path,
            count,
            octets,
        })
    }

    /// The family of every prefix.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Whether path identifiers are there.
    pub const fn add_path(&self) -> bool {
        self.add_path
    }

    /// How many prefixes.
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The octets as they came.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Path identifier and prefix of each. Empty when `A` is not this family, which is a caller's
    /// mistake and not a peer's.
    pub fn iter<A: AddressFamily>(&self) -> NlriIter<'a, A> {
        debug_assert_eq!(A::FAMILY, self.family);
        let same = A::FAMILY == self.family;
        NlriIter {
            octets: if same { self.octets } else { &[] },
            add_path: self.add_path,
            left: if same { self.count() } else { 0 },
            family: PhantomData,
        }
    }

    /// Each prefix as it stands on the wire, for handing it on without making a key of it.
    pub fn pieces(&self) -> Pieces<'a> {
        Pieces {
            left: self.octets,
            add_path: self.add_path,
        }
    }

    /// The prefixes as `ipnet` types, for display and tests.
    pub fn nets(&self) -> Vec<(u32, ipnet::IpNet)> {
        match self.family {
            Family::Ipv4Unicast => self
                .iter::<V4>()
                .map(|(id, net)| (id, net.to_net()))
                .collect(),
            Family::Ipv6Unicast => self
                .iter::<V6>()
                .map(|(id, net)| (id, net.to_net()))
                .collect(),
        }
    }
}

/// One prefix on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'a> {
    /// All of it: path identifier if there is one, length, address.
    pub wire: &'a [u8],
    /// Its length in bits.
    pub len: u8,
    /// The octets of the address that are there. Bits behind the length mean nothing.
    pub addr: &'a [u8],
}

/// Iterator of [`Nlri::pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    left: &'a [u8],
    add_path: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    #[inline]
    fn next(&mut self) -> Option<Piece<'a>> {
        let front = if self.add_path { 4 } else { 0 };
        let len = *self.left.get(front)?;
        let octets = usize::from(len.div_ceil(8));
        let (wire, left) = self.left.split_at_checked(front + 1 + octets)?;
        self.left = left;
        let addr = wire.get(front + 1..)?;
        Some(Piece { wire, len, addr })
    }
}

/// Iterator of [`Nlri::iter`].
#[derive(Clone, Debug)]
pub struct NlriIter<'a, A> {
    octets: &'a [u8],
    add_path: bool,
    left: usize,
    family: PhantomData<A>,
}

impl<A: AddressFamily> Iterator for NlriIter<'_, A> {
    type Item = (u32, A::Prefix);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let mut octets = self.octets;
        let mut path_id = 0;
        if self.add_path {
            let (id, rest) = octets.split_first_chunk::<4>()?;
            (path_id, octets) = (u32::from_be_bytes(*id), rest);
        }
        let (&len, octets) = octets.split_first()?;
        // What follows the prefix in the message is read along and masked off: one load, no copy
        // loop.
        let prefix = A::Prefix::from_wire(len, octets);
        self.octets = octets.get(usize::from(len.div_ceil(8))..)?;
        self.left = self.left.saturating_sub(1);
        Some((path_id, prefix))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<A: AddressFamily> ExactSizeIterator for NlriIter<'_, A> {}
