//! Label selectors of Kubernetes.
//!
//! A selector is a conjunction: every pair of `matchLabels` and every expression of
//! `matchExpressions` must hold. The empty selector matches everything; that an *absent* selector
//! means something else in some objects is for those objects to say. An operator that Kubernetes
//! does not have, `In` without values or `Exists` with some make the selector invalid, as the API
//! server would: such a selector is never made, so it can match nothing by mistake.
//!
//! `NotIn` and `DoesNotExist` hold for an object without the key, as in apimachinery.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `metav1.LabelSelector`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Requirement {
    key: Box<str>,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    In(Vec<Box<str>>),
    NotIn(Vec<Box<str>>),
    Exists,
    DoesNotExist,
}

/// Why a selector is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// `operator` is not In, NotIn, Exists or DoesNotExist.
    #[error("operator \"{0}\" of key \"{1}\": In, NotIn, Exists or DoesNotExist expected")]
    Operator(Box<str>, Box<str>),
    /// In and NotIn need values.
    #[error("{0} of key \"{1}\" needs values")]
    NoValues(Box<str>, Box<str>),
    /// Exists and DoesNotExist take none.
    #[error("{0} of key \"{1}\" takes no values")]
    Values(Box<str>, Box<str>),
    /// A key is needed.
    #[error("an expression has no key")]
    NoKey,
}

impl Selector {
    /// A selector from the parts as they are written: `matchLabels`, and of `matchExpressions`
    /// key, operator and values.
    ///
    /// # Errors
    /// The expression that is none.
    pub fn new<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        expressions: impl IntoIterator<Item = (&'a str, &'a str, Vec<Box<str>>)>,
    ) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in labels {
            requirements.push(Requirement {
                key: key.into(),
                operator: Operator::In(vec![value.into()]),
            });
        }
        for (key, operator, values) in expressions {
            requirements.push(requirement(key, operator, values)?);
        }
        Ok(Self { requirements })
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

fn requirement(
    key: &str,
    operator: &str,
    values: Vec<Box<str>>,
) -> Result<Requirement, SelectorError> {
    if key.is_empty() {
        return Err(SelectorError::NoKey);
    }
    let operator = match (operator, values.is_empty()) {
        ("In", false) => Operator::In(values),
        ("NotIn", false) => Operator::NotIn(values),
        ("Exists", true) => Operator::Exists,
        ("DoesNotExist", true) => Operator::DoesNotExist,
        ("In" | "NotIn", true) => {
            return Err(SelectorError::NoValues(operator.into(), key.into()));
        }
        ("Exists" | "DoesNotExist", false) => {
            return Err(SelectorError::Values(operator.into(), key.into()));
        }
        (other, _) => return Err(SelectorError::Operator(other.into(), key.into())),
    };
    Ok(Requirement {
        key: key.into(),
        operator,
    })
}

/// As the API writes it; MetalLB's old ConfigMap writes the same with dashes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    #[serde(alias = "match-labels")]
    match_labels: Option<BTreeMap<Box<str>, Option<Box<str>>>>,
    #[serde(alias = "match-expressions")]
    match_expressions: Option<Vec<RawExpression>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawExpression {
    key: Box<str>,
    operator: Box<str>,
    values: Option<Vec<Box<str>>>,
}

impl TryFrom<Raw> for Selector {
    type Error = SelectorError;

    fn try_from(raw: Raw) -> Result<Self, SelectorError> {
        let labels = raw.match_labels.unwrap_or_default();
        let expressions = raw.match_expressions.unwrap_or_default();
        Self::new(
            labels
                .iter()
                .map(|(key, value)| (&**key, value.as_deref().unwrap_or_default())),
            expressions.iter().map(|raw| {
                (
                    &*raw.key,
                    &*raw.operator,
                    raw.values.clone().unwrap_or_default(),
                )
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<Box<str>, Box<str>> {
        text.split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    }

    /// One row per operator, key there and not there: apimachinery's `Requirement.Matches`.
    #[test]
    fn each_operator_with_and_without_the_key() {
        let rows = [
            (r#"{}"#, "", true),
            (r#"{"matchLabels":null,"matchExpressions":null}"#, "", true),
            (r#"{"matchLabels":{"a":"1"}}"#, "a=1,b=2", true),
            (r#"{"matchLabels":{"a":"1","b":"2"}}"#, "a=1", false),
            (r#"{"matchLabels":{"a":""}}"#, "a=", true),
            (r#"{"match-labels":{"a":"1"}}"#, "a=2", false),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"In","values":["1","2"]}]}"#,
                "a=2",
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"In","values":["1"]}]}"#,
                "",
                false,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["1"]}]}"#,
                "",
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["1"]}]}"#,
                "a=1",
                false,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"Exists"}]}"#,
                "a=",
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"Exists"}]}"#,
                "",
                false,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}"#,
                "",
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}"#,
                "a=1",
                false,
            ),
        ];
        for (json, text, expected) in rows {
            let selector: Selector = serde_json::from_str(json).unwrap();
            assert_eq!(
                selector.matches(&labels(text)),
                expected,
                "{json} on {text}"
            );
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        for json in [
            r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#,
            r#"{"matchExpressions":[{"key":"a","operator":"Exists","values":["1"]}]}"#,
            r#"{"matchExpressions":[{"key":"a","operator":"Gt","values":["1"]}]}"#,
            r#"{"matchExpressions":[{"operator":"Exists"}]}"#,
        ] {
            assert!(serde_json::from_str::<Selector>(json).is_err(), "{json}");
        }
    }
}
