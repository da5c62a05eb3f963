//! `[[policy]]`: rules as the file writes them, into the form the RIB compiles.
//!
//! Patterns (communities, AS paths) are judged by the RIB's own compiler, one value at a time, so
//! that what is accepted here is exactly what runs, and a fault points at the value and not at
//! the policy. What only this file can know is judged here: whether a neighbor, a peer group or
//! a pool that a rule names exists.

use std::net::IpAddr;

use ctl::config::{At, Field, Many, Table, Value, did_you_mean, parse_net};
use rib::policy::{
    ACCEPT_ALL, MatchDef, NextHopAction, Policy, PolicyDef, PrefixMatch, REJECT_ALL, RpkiState,
    RuleDef, SetDef, Then,
};

use super::values::{community_names, decimal};

/// A value of the RIB's own types, as the file writes it.
struct Rib<T>(T);

/// A policy and the places of what it refers to.
pub(super) struct RawPolicy {
    pub name: At<String>,
    pub rules: Vec<RawRule>,
}

/// A rule; its neighbors are still words.
#[derive(Clone)]
pub(super) struct RawRule {
    pub def: RuleDef,
    pub neighbors: Many<String>,
    pub origin_sources: Many<String>,
    pub rpki: Option<At<RpkiState>>,
}

/// Reads all `[[policy]]` tables.
pub(super) fn read_policies(tables: Vec<Table<'_>>) -> Vec<RawPolicy> {
    tables.into_iter().map(read_policy).collect()
}

/// A policy without a name is kept with an empty one: what is wrong with its rules is still said.
fn read_policy(table: Table<'_>) -> RawPolicy {
    let name = table.require::<String>("name", "write name = \"from-tor\"");
    let rules = table.tables("rules").into_iter().map(read_rule).collect();
    let sink = table.sink();
    let nameless = At {
        value: String::new(),
        span: table.span().clone(),
    };
    table.finish();
    let name = name.unwrap_or(nameless);
    if [ACCEPT_ALL, REJECT_ALL].contains(&name.value.as_str()) {
        let message = format!("policy `{}` is predefined", name.value);
        sink.error(&name.span, message, "give this one another name");
    }
    RawPolicy { name, rules }
}

fn read_rule(table: Table<'_>) -> RawRule {
    let matches = table.table("match");
    let set = table.table("set");
    let then =
        table.require::<Rib<Then>>("then", "write then = \"accept\", \"reject\" or \"next\"");
    table.finish();
    let mut rule = RawRule {
        def: RuleDef::default(),
        neighbors: Vec::new(),
        origin_sources: Vec::new(),
        rpki: None,
    };
    if let Some(matches) = matches {
        read_match(matches, &mut rule);
    }
    rule.def.set = set.map(read_set).unwrap_or_default();
    // Without `then` the file is refused anyway; what else is wrong with the rule is still said.
    rule.def.then = then.map(|at| at.value.0).unwrap_or_default();
    rule
}

fn read_match(table: Table<'_>, rule: &mut RawRule) {
    let community = checked(&table, "community", |pattern, def| {
        def.community = vec![pattern]
    });
    let large = checked(&table, "large-community", |text, def| {
        def.large_community = vec![text]
    });
    let ext = checked(&table, "ext-community", |text, def| {
        def.ext_community = vec![text]
    });
    let as_path = checked(&table, "as-path", |text, def| def.as_path = vec![text]);
    rule.neighbors = many(&table, "neighbor");
    rule.origin_sources = many(&table, "origin-source");
    rule.rpki = table.get::<Rib<RpkiState>>("rpki").map(|at| At {
        value: at.value.0,
        span: at.span,
    });
    rule.def.matches = MatchDef {
        prefix: many::<Rib<PrefixMatch>>(&table, "prefix")
            .into_iter()
            .map(|at| at.value.0)
            .collect(),
        community,
        large_community: large,
        ext_community: ext,
        as_path,
        neighbor: Vec::new(),
        rpki: rule.rpki.as_ref().map(|at| at.value),
        origin_source: rule
            .origin_sources
            .iter()
            .map(|at| at.value.clone())
            .collect(),
        prefix_not: many::<Rib<PrefixMatch>>(&table, "prefix-not")
            .into_iter()
            .map(|at| at.value.0)
            .collect(),
        learned: table.get("learned").map(|at| at.value),
        local_pref: table
            .get::<u32>("local-pref")
            .map(|at| (at.value, at.value)),
        next_hop: many(&table, "next-hop")
            .into_iter()
            .map(|at| at.value)
            .collect(),
    };
    table.finish();
}

fn read_set(table: Table<'_>) -> SetDef {
    let community = |table: &Table<'_>, key| {
        set_checked(table, key, |text, set| set.community_add = vec![text])
    };
    let community_pattern = |table: &Table<'_>, key| {
        set_checked(table, key, |text, set| set.community_remove = vec![text])
    };
    let large = |table: &Table<'_>, key| {
        set_checked(table, key, |text, set| set.large_community_add = vec![text])
    };
    let large_pattern = |table: &Table<'_>, key| {
        set_checked(table, key, |text, set| {
            set.large_community_remove = vec![text]
        })
    };
    let ext = |table: &Table<'_>, key| {
        set_checked(table, key, |text, set| set.ext_community_add = vec![text])
    };
    let ext_pattern = |table: &Table<'_>, key| {
        set_checked(table, key, |text, set| {
            set.ext_community_remove = vec![text]
        })
    };
    let set = SetDef {
        local_pref: table.get("local-pref").map(|at| at.value),
        med: table.get("med").map(|at| at.value),
        community_set: community(&table, "community-set"),
        community_remove: community_pattern(&table, "community-remove").unwrap_or_default(),
        community_add: community(&table, "community-add").unwrap_or_default(),
        large_community_set: large(&table, "large-community-set"),
        large_community_remove: large_pattern(&table, "large-community-remove").unwrap_or_default(),
        large_community_add: large(&table, "large-community-add").unwrap_or_default(),
        ext_community_remove: ext_pattern(&table, "ext-community-remove").unwrap_or_default(),
        ext_community_add: ext(&table, "ext-community-add").unwrap_or_default(),
        prepend: table.get("prepend").map(|at| at.value),
        prepend_path: many(&table, "prepend-path")
            .into_iter()
            .map(|at| at.value)
            .collect(),
        next_hop: table
            .get::<Rib<NextHopAction>>("next-hop")
            .map(|at| at.value.0),
    };
    table.finish();
    set
}

fn many<T: Value>(table: &Table<'_>, key: &'static str) -> Many<T> {
    table
        .get::<Many<T>>(key)
        .map(|at| at.value)
        .unwrap_or_default()
}

/// The patterns under `key`, each tried alone by the compiler through the rule `put` makes.
fn checked(
    table: &Table<'_>,
    key: &'static str,
    put: impl Fn(String, &mut MatchDef),
) -> Vec<String> {
    let probe = |text: &str| {
        let mut rule = RuleDef::default();
        put(text.to_owned(), &mut rule.matches);
        rule
    };
    compiled(table, key, probe).unwrap_or_default()
}

/// The same for a value that is set.
fn set_checked(
    table: &Table<'_>,
    key: &'static str,
    put: impl Fn(String, &mut SetDef),
) -> Option<Vec<String>> {
    compiled(table, key, |text| {
        let mut rule = RuleDef::default();
        put(text.to_owned(), &mut rule.set);
        rule
    })
}

fn compiled(
    table: &Table<'_>,
    key: &'static str,
    probe: impl Fn(&str) -> RuleDef,
) -> Option<Vec<String>> {
    let list = table.get::<Many<String>>(key)?.value;
    for one in &list {
        let def = PolicyDef {
            name: String::new(),
            rules: vec![probe(&one.value)],
        };
        if let Err(error) = Policy::compile(&def) {
            // The regex crate draws a picture over several lines; ours has a caret already.
            let reason = error.reason.lines().last().unwrap_or_default().trim();
            let reason = reason.trim_start_matches("error: ");
            let message = format!("`{key}` does not take \"{}\": {reason}", one.value);
            let cure = match key.starts_with("community") {
                true => did_you_mean(&one.value, community_names(), || cure_of(key).to_owned()),
                false => cure_of(key).to_owned(),
            };
            table.sink().error(&one.span, message, &cure);
        }
    }
    Some(list.into_iter().map(|at| at.value).collect())
}

/// What to write under a key of patterns.
fn cure_of(key: &str) -> &'static str {
    match key {
        "as-path" => "write a regular expression over the AS path, such as \"^64500_\"",
        key if key.starts_with("large") => "write three numbers, such as \"64512:1:2\"",
        key if key.starts_with("ext") => "write \"rt:64500:100\", \"soo:64500:1\" or 16 hex digits",
        _ => "write AS:VALUE, such as \"64512:100\", or a name such as \"no-export\"",
    }
}

impl Value for Rib<Then> {
    fn read(field: &Field<'_>) -> Option<Self> {
        let words = [
            ("accept", Then::Accept),
            ("reject", Then::Reject),
            ("next", Then::Next),
        ];
        field.word(&words).map(Self)
    }
}

impl Value for Rib<RpkiState> {
    fn read(field: &Field<'_>) -> Option<Self> {
        let words = [
            ("valid", RpkiState::Valid),
            ("invalid", RpkiState::Invalid),
            ("not-found", RpkiState::NotFound),
        ];
        field.word(&words).map(Self)
    }
}

impl Value for Rib<NextHopAction> {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write \"self\", \"unchanged\" or an address";
        let text = field.text("a next hop", cure)?;
        match text {
            "self" => Some(Self(NextHopAction::SelfAddr)),
            "unchanged" => Some(Self(NextHopAction::Unchanged)),
            _ => match text.parse::<IpAddr>() {
                Ok(addr) => Some(Self(NextHopAction::Addr(addr))),
                Err(_) => field.fault(format!("\"{text}\" is no next hop"), cure),
            },
        }
    }
}

impl Value for Rib<PrefixMatch> {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write \"10.0.0.0/8\", \"10.0.0.0/8 le 24\" or \"10.0.0.0/8 ge 16 le 24\"";
        let text = field.text("a prefix", cure)?;
        let mut words = text.split_whitespace();
        let net = match parse_net(words.next().unwrap_or_default()) {
            Ok(net) => net,
            Err((message, cure)) => return field.fault(message, &cure),
        };
        let (mut ge, mut le) = (None, None);
        while let Some(word) = words.next() {
            let slot = match word {
                "ge" => &mut ge,
                "le" => &mut le,
                _ => return field.fault(format!("\"{word}\" does not follow a prefix"), cure),
            };
            let Some(length) = words.next().and_then(decimal::<u8>) else {
                return field.fault(format!("`{word}` needs a length"), cure);
            };
            *slot = Some(length);
        }
        let (least, most) = (net.prefix_len(), net.max_prefix_len());
        for (word, length) in [("ge", ge), ("le", le)] {
            if let Some(length) = length.filter(|length| !(least..=most).contains(length)) {
                let message = format!("`{word} {length}` is outside of {net}");
                return field.fault(message, &format!("write a length from {least} to {most}"));
            }
        }
        if let (Some(ge), Some(le)) = (ge, le)
            && ge > le
        {
            let cure = format!("write \"{net} ge {le} le {ge}\"");
            return field.fault(format!("`ge {ge} le {le}` matches nothing"), &cure);
        }
        Some(Self(PrefixMatch { net, ge, le }))
    }
}
