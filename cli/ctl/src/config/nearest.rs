//! "Did you mean": the nearest known word.
//!
//! Edit distance with swaps of neighbours (optimal string alignment), because a swapped pair is
//! the most common slip of the keyboard. A word is offered only when it is plausibly meant: at
//! most a third of the longer word may differ, so `foo` never suggests `asn`. Case and `_` for
//! `-` cost nothing, which catches habits from other daemons' files (`router_id`, `holdTime`).

/// The candidate nearest to `word`, when one is near enough. The first of equals wins.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain = fold(word);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = fold(candidate);
            let distance = distance(&plain, &other);
            (distance * 3 <= plain.len().max(other.len())).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean X?`-style cure, or `otherwise` when nothing is near.
pub fn did_you_mean<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match nearest(word, candidates) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise(),
    }
}

/// Lower case, and neither `-` nor `_`.
fn fold(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(ca != cb))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_named_and_a_far_one_is_not() {
        let known = ["hold-time", "router-id", "asn", "import", "export"];
        for (word, expected) in [
            ("hold_time", Some("hold-time")),
            ("holdTime", Some("hold-time")),
            ("hodl-time", Some("hold-time")),
            ("routerid", Some("router-id")),
            ("imprt", Some("import")),
            ("asm", Some("asn")),
            ("foo", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
