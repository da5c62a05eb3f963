//! Who is measured: a daemon on both routers, or two of them.
//!
//! The first of a pair runs on the better router, where everything happens; the second is the one
//! that takes over. `wayfare` is ours on both, `wayfare/keepalived` ours with keepalived behind it.
//! Bars are for ours on both; mixed pairs show what is left of our promises beside a peer.

use crate::node::Node;

/// A daemon that speaks VRRP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `wayfare-vrrpd`.
    Wayfare,
    /// keepalived's VRRP.
    Keepalived,
    /// FRR's `vrrpd`, with `zebra` and `mgmtd`.
    Frr,
}

impl Kind {
    /// All, ours first.
    pub const ALL: [Self; 3] = [Self::Wayfare, Self::Keepalived, Self::Frr];

    /// As on the command line.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Wayfare => "wayfare",
            Self::Keepalived => "keepalived",
            Self::Frr => "frr",
        }
    }

    /// As in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wayfare => "wayfare-vrrpd",
            Self::Keepalived => "keepalived",
            Self::Frr => "FRR",
        }
    }

    /// Names of its processes, as the kernel has them. The first is the one that speaks VRRP: a
    /// stop is a stop of that one.
    #[must_use]
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            // The kernel keeps fifteen letters.
            Self::Wayfare => &["wayfare-vrrpd"],
            Self::Keepalived => &["keepalived"],
            Self::Frr => &["vrrpd", "zebra", "mgmtd"],
        }
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// It is not there.
    pub fn version(self, node: &Node) -> Result<String, String> {
        let program = match self {
            Self::Wayfare => "/opt/wayfare/wayfare-vrrpd",
            Self::Keepalived => "/usr/sbin/keepalived",
            Self::Frr => "/usr/lib/frr/vrrpd",
        };
        let output = node.run(program, &["--version"]);
        // keepalived says it on standard error.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text
            .lines()
            .find(|line| line.bytes().any(|b| b.is_ascii_digit()));
        line.map(|line| line.trim().to_owned())
            .ok_or(format!("no version: {text}"))
    }
}

/// Who runs on the better router, and who behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// On the better router.
    pub better: Kind,
    /// On the one that takes over.
    pub worse: Kind,
}

impl Pair {
    /// The same on both.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self {
            better: kind,
            worse: kind,
        }
    }

    /// What is measured unless somebody asks for something else.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Kind::ALL.into_iter().map(Self::of).collect()
    }

    /// Reads `wayfare` or `wayfare/keepalived`.
    ///
    /// # Errors
    /// No such daemon.
    pub fn parse(text: &str) -> Result<Self, String> {
        let kind = |word: &str| {
            let found = Kind::ALL.into_iter().find(|kind| kind.key() == word);
            found.ok_or_else(|| format!("{word}: no daemon of that name"))
        };
        let (better, worse) = text.split_once('/').unwrap_or((text, text));
        Ok(Self {
            better: kind(better)?,
            worse: kind(worse)?,
        })
    }

    /// As on the command line.
    #[must_use]
    pub fn key(self) -> String {
        match self.better == self.worse {
            true => self.better.key().to_owned(),
            false => format!("{}/{}", self.better.key(), self.worse.key()),
        }
    }

    /// As in the tables.
    #[must_use]
    pub fn name(self) -> String {
        match self.better == self.worse {
            true => self.better.name().to_owned(),
            false => format!("{} with {}", self.better.name(), self.worse.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Pair};

    #[test]
    fn pairs_are_read_as_they_are_written() {
        for text in ["wayfare", "keepalived", "frr", "wayfare/keepalived"] {
            assert_eq!(Pair::parse(text).map(Pair::key), Ok(text.to_owned()));
        }
        assert_eq!(
            Pair::parse("keepalived/keepalived"),
            Ok(Pair::of(Kind::Keepalived))
        );
        assert!(Pair::parse("ucarp").is_err());
    }
}
