//! `~SEQ` and `~LST`: one line, many times.
//!
//! `~SEQ(var, [first, [step,]] last) text` counts, `~SEQx` in hexadecimal; `~LST(var, a, b) text`
//! and `~LST({v1, v2}, {a, b}, {c, d}) text` go through a list. What is missing in a set is empty.

/// Repetitions of one line; a longer sequence is no configuration any more.
const SETS_MAX: usize = 10_000;

/// A line to be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The names that change.
    pub names: Vec<String>,
    /// Their values, one set per line.
    pub sets: Vec<Vec<String>>,
    /// The line.
    pub text: String,
}

/// Reads a line that starts with `~SEQ` or `~LST`; `resolve` puts definitions in.
pub fn parse(line: &str, resolve: impl Fn(&str) -> String) -> Option<Repeat> {
    let kind = line.get(..4)?;
    let rest = line.get(4..)?;
    let (hex, rest) = match rest.strip_prefix('x') {
        Some(rest) if kind == "~SEQ" => (true, rest),
        _ => (false, rest),
    };
    let (inside, text) = rest.trim_start().strip_prefix('(')?.split_once(')')?;
    let text = text.trim().to_owned();
    let (names, sets) = match kind {
        "~SEQ" => {
            let (name, numbers) = inside.split_once(',')?;
            let name = name.trim().to_owned();
            (vec![name], sequence(&resolve(numbers), hex)?)
        }
        _ => list(inside)?,
    };
    let named = names.iter().all(|name| !name.is_empty());
    (named && sets.len() <= SETS_MAX).then_some(Repeat { names, sets, text })
}

/// `last`, `first, last` or `first, step, last`.
fn sequence(numbers: &str, hex: bool) -> Option<Vec<Vec<String>>> {
    let numbers = numbers
        .split(',')
        .map(|one| integer(one.trim()))
        .collect::<Option<Vec<i64>>>()?;
    let (first, step, last) = match *numbers.as_slice() {
        [last] => {
            let down = last < 1;
            (
                if last < 0 { -1 } else { 1 },
                if down { -1 } else { 1 },
                last,
            )
        }
        [first, last] => (first, if first <= last { 1 } else { -1 }, last),
        [first, step, last] => (first, step, last),
        _ => return None,
    };
    if step == 0 || (last > first && step < 0) || (last < first && step > 0) {
        return None;
    }
    let count = last.checked_sub(first)?.checked_div(step)?;
    let count = usize::try_from(count).ok().filter(|it| *it < SETS_MAX)?;
    let mut value = first;
    let mut sets = Vec::with_capacity(count + 1);
    for _ in 0..=count {
        sets.push(vec![match hex {
            true => format!("{:x}", u64::try_from(value).ok()?),
            false => value.to_string(),
        }]);
        value = value.checked_add(step)?;
    }
    Some(sets)
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -number } else { number })
}

/// `{v1, v2}, {a, b}, {c, d}` or `v, a, b`.
fn list(inside: &str) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let mut sets = Vec::new();
    let mut rest = inside.trim();
    while !rest.is_empty() {
        let (set, after) = match rest.strip_prefix('{') {
            Some(inner) => inner.split_once('}')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        sets.push(set.split(',').map(|it| it.trim().to_owned()).collect());
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => "",
            None => return None,
        };
    }
    if sets.len() < 2 {
        return None;
    }
    let names: Vec<String> = sets.remove(0);
    for set in &mut sets {
        if set.len() > names.len() {
            return None;
        }
        set.resize(names.len(), String::new());
    }
    Some((names, sets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(line: &str) -> Option<Vec<String>> {
        let repeat = parse(line, str::to_owned)?;
        Some(repeat.sets.iter().map(|set| set.join("+")).collect())
    }

    #[test]
    fn sequences_count_as_keepalived_counts() {
        assert_eq!(sets("~SEQ(n, 3) x $n").unwrap(), ["1", "2", "3"]);
        assert_eq!(sets("~SEQ(n, -2) x").unwrap(), ["-1", "-2"]);
        assert_eq!(sets("~SEQ(n, 5, 3) x").unwrap(), ["5", "4", "3"]);
        assert_eq!(sets("~SEQx(n, 8, 2, 12) x").unwrap(), ["8", "a", "c"]);
        assert_eq!(sets("~SEQ(n, 1, 0, 12) x"), None);
        assert_eq!(sets("~SEQ(n, 1, 1, 99999999) x"), None);
        assert_eq!(sets("~SEQ(n) x"), None);
    }

    #[test]
    fn lists_go_through_their_sets() {
        assert_eq!(sets("~LST(i, eth0, eth1) x").unwrap(), ["eth0", "eth1"]);
        let two = parse("~LST({a, b}, {1, 2}, {3}) $a $b", str::to_owned).unwrap();
        assert_eq!(two.names, ["a", "b"]);
        assert_eq!(two.sets, [["1", "2"], ["3", ""]]);
        assert_eq!(two.text, "$a $b");
        assert_eq!(sets("~LST(i) x"), None);
    }
}
