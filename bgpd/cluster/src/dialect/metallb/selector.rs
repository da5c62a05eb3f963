//! Lists of label selectors, read with the path of what is wrong in them.
//!
//! An object is selected when any selector of a list selects it; an empty list selects everything.
//! How one selector reads is the crate's own [`Selector`]. The old ConfigMap spells the same keys
//! with dashes.

use std::collections::BTreeMap;

use super::read::{Table, Wrong};
use crate::Selector;

/// Labels of an object.
pub(super) type Labels = BTreeMap<Box<str>, Box<str>>;

/// Key, operator and values of an expression.
type Expression = (Box<str>, Box<str>, Vec<Box<str>>);

/// Reads a list of selectors.
pub(super) fn list(
    table: &mut Table<'_>,
    key: &'static str,
    unknown: &mut Vec<Box<str>>,
) -> Result<Vec<Selector>, Wrong> {
    let (labels, expressions) = match key.contains('-') {
        true => ("match-labels", "match-expressions"),
        false => ("matchLabels", "matchExpressions"),
    };
    let mut selectors = Vec::new();
    for mut entry in table.tables(key)? {
        let mut labels = entry.pairs(labels)?;
        labels.sort();
        let mut read: Vec<Expression> = Vec::new();
        for mut expression in entry.tables(expressions)? {
            let mut word = |key| -> Result<Box<str>, Wrong> {
                Ok(expression.text(key)?.unwrap_or_default().into())
            };
            let (key, operator) = (word("key")?, word("operator")?);
            read.push((key, operator, expression.texts("values")?));
            expression.unknown(unknown);
        }
        entry.unknown(unknown);
        let path = entry.path("");
        let labels = labels.iter().map(|(key, value)| (&**key, &**value));
        let read = read
            .iter()
            .map(|(key, operator, values)| (&**key, &**operator, values.clone()));
        let selector = Selector::new(labels, read)
            .map_err(|error| Wrong::new(path.trim_end_matches('.'), error.to_string()))?;
        selectors.push(selector);
    }
    Ok(selectors)
}

/// Whether any selector of a list matches; an empty list selects everything.
pub(super) fn any_matches(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| selector.matches(labels))
}
