//! Reading what callgrind wrote: instructions per function, own and with callees.
//!
//! The format is line-based (Valgrind's manual, "Callgrind Format Specification"): `fn=` opens a
//! function, a line of numbers is a position and a cost, `cfn=` and `calls=` announce that the next
//! such line is what the calls cost. Names are written once and numbered. Files and objects are of
//! no interest here, so what was inlined from elsewhere counts for the function it landed in.
//!
//! A function that calls itself, directly or not, counts its own callees twice; its share is cut
//! at the total.

use std::collections::{BTreeMap, HashMap};

/// Instructions of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Its own.
    pub own: u64,
    /// With all it called.
    pub inclusive: u64,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// All instructions collected.
    pub total: u64,
    /// By function; hashes of symbols are cut off, functions of one name added up.
    pub functions: BTreeMap<String, Cost>,
}

impl Profile {
    /// Reads a profile. `Err` says which line could not be read; such a file is not a profile of
    /// the one event we count, so run it again.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::default();
        for (number, line) in text.lines().enumerate() {
            reader
                .line(line)
                .ok_or_else(|| format!("line {}: {line}", number + 1))?;
        }
        let mut profile = reader.profile;
        if profile.total == 0 {
            return Err("no instructions were collected".to_owned());
        }
        for cost in profile.functions.values_mut() {
            cost.inclusive = cost.inclusive.min(profile.total);
        }
        Ok(profile)
    }
}

#[derive(Default)]
struct Reader {
    profile: Profile,
    names: HashMap<String, String>,
    current: String,
    after_calls: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Option<()> {
        match line.split_once('=') {
            Some(("fn", name)) => self.current = self.name(name)?,
            Some(("cfn", name)) => drop(self.name(name)?),
            Some(("calls", _)) => self.after_calls = true,
            Some(_) => {}
            None if line.starts_with(['+', '-', '*']) || starts_with_digit(line) => {
                self.cost(line)?;
            }
            None => self.header(line)?,
        }
        Some(())
    }

    fn header(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        match key {
            "events" => (value.trim() == "Ir").then_some(()),
            "positions" => (value.trim() == "line").then_some(()),
            "summary" | "totals" => {
                self.profile.total = value.trim().parse().ok()?;
                Some(())
            }
            _ => Some(()),
        }
    }

    fn cost(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        words.next()?;
        // A line without a cost is one that costs nothing.
        let count: u64 = words.next().map_or(Some(0), |word| word.parse().ok())?;
        let of_callee = std::mem::take(&mut self.after_calls);
        let cost = match self.profile.functions.get_mut(&self.current) {
            Some(cost) => cost,
            None => self
                .profile
                .functions
                .entry(self.current.clone())
                .or_default(),
        };
        cost.inclusive += count;
        cost.own += if of_callee { 0 } else { count };
        Some(())
    }

    /// `(17) a::b` names number 17, `(17)` refers to it.
    fn name(&mut self, text: &str) -> Option<String> {
        let (number, name) = text.split_once(')')?;
        let name = name.trim();
        if !name.is_empty() {
            self.names.insert(number.to_owned(), without_hash(name));
        }
        self.names.get(number).cloned()
    }
}

fn starts_with_digit(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_digit())
}

/// `a::b::h0123456789abcdef` without its last part, which changes with every build; nor the mark
/// of recursion, `'2`.
fn without_hash(name: &str) -> String {
    let name = name.split_once('\'').map_or(name, |(name, _)| name);
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && u64::from_str_radix(hash, 16).is_ok() => {
            path.to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "# callgrind format\nversion: 1\npositions: line\nevents: Ir\n\
        summary: 160\n\nob=(1) /bin/x\nfl=(1) a.rs\nfn=(1) a::run::h0123456789abcdef\n16 10\n\
        fi=(2) inlined.rs\n+3 20\nfe=(1)\n* 30\ncfn=(2) a::leaf\ncalls=2 50\n18 100\n\n\
        fn=(2)\n50 60\n+1 40\n\nfn=(1)\n90\n";

    #[test]
    fn own_and_inclusive_costs_are_told_apart() {
        let profile = Profile::parse(SAMPLE).expect("a profile");
        let cost = |own, inclusive| Cost { own, inclusive };
        assert_eq!(profile.total, 160);
        assert_eq!(profile.functions["a::run"], cost(60, 160));
        assert_eq!(profile.functions["a::leaf"], cost(100, 100));
    }

    #[test]
    fn other_events_and_empty_profiles_are_refused() {
        let cycles = SAMPLE.replace("events: Ir", "events: Ir Cy");
        assert!(Profile::parse(&cycles).is_err());
        assert!(Profile::parse("events: Ir\nsummary: 0\n").is_err());
    }

    #[test]
    fn names_lose_hash_and_recursion_mark_alone() {
        assert_eq!(without_hash("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(without_hash("a::header"), "a::header");
        assert_eq!(without_hash("a::walk'2"), "a::walk");
    }
}
