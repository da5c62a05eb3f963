//! What BIRD and FRR hold of a full table: how many routes, which, and 10,000 of them in detail.
//!
//! The ways of [`crate::peers`] to read a table suit scenarios of a few routes. A million need
//! others: counts to wait for, plain listings (FRR's JSON of a whole table takes gigabytes), and
//! many prefixes asked for in one call of the tool.

use std::collections::BTreeMap;
use std::fmt::Write;

use ipnet::IpNet;
use serde_json::Value;

use super::shown::Facts;
use crate::node::Node;
use crate::peers::{Family, frr};

const BIRD_CONFIG: &str = "/run/node/bird.conf";
/// Ends BIRD's own configuration; what follows is the sample asked for last.
const SAMPLE_MARK: &str = "\n# sample\n";
/// Prefixes asked for in one call of `vtysh`; its command line holds them all.
const VTYSH_BATCH: usize = 1000;

/// A router that receives the table, in its node.
#[derive(Clone, Debug)]
pub enum Holder {
    /// BIRD 3.
    Bird(Node),
    /// FRR 10.
    Frr(Node),
}

impl Holder {
    /// Its name for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Holder::Bird(_) => "BIRD",
            Holder::Frr(_) => "FRR",
        }
    }

    /// How many routes of a family it has.
    ///
    /// # Errors
    /// What the tool said instead.
    pub fn count(&self, family: Family) -> Result<usize, String> {
        match self {
            Holder::Bird(node) => {
                let command = format!("show route count table {}", learned(family));
                let text = birdc(node, &command)?;
                // `N of M routes for K networks in table master4`
                let before = text.split(" of ").next();
                let count = before.and_then(|text| text.split_whitespace().last()?.parse().ok());
                count.ok_or_else(|| format!("no count in {text:?}"))
            }
            Holder::Frr(node) => {
                let word = family.word();
                let shown =
                    frr::vtysh_json(node, &format!("show bgp {word} unicast summary json"))?;
                let count = shown["ribCount"].as_u64();
                let count = count.and_then(|count| usize::try_from(count).ok());
                count.ok_or_else(|| format!("no ribCount in {shown}"))
            }
        }
    }

    /// Every prefix it has, in the order it tells them.
    ///
    /// # Errors
    /// What the tool said instead.
    pub fn prefixes(&self, family: Family) -> Result<Vec<IpNet>, String> {
        match self {
            Holder::Bird(node) => {
                let text = birdc(node, &format!("show route table {}", learned(family)))?;
                let routes = text.lines().filter(|line| line.contains(" unicast ["));
                Ok(routes
                    .filter_map(|line| line.split(' ').next()?.parse().ok())
                    .collect())
            }
            Holder::Frr(node) => {
                let text = frr::vtysh(node, &format!("show bgp {} unicast", family.word()))?;
                let selected = text.lines().filter(|line| line.contains('>'));
                Ok(selected
                    .filter_map(|line| line.split_once('>')?.1.split_whitespace().next())
                    .filter_map(|word| word.parse().ok())
                    .collect())
            }
        }
    }

    /// The attributes of the selected path of each prefix; those it does not have are absent.
    ///
    /// # Errors
    /// What the tool said instead.
    pub fn sample(&self, nets: &[IpNet]) -> Result<BTreeMap<IpNet, Facts>, String> {
        match self {
            Holder::Bird(node) => bird_sample(node, nets),
            Holder::Frr(node) => {
                let mut found = BTreeMap::new();
                for batch in nets.chunks(VTYSH_BATCH) {
                    frr_sample(node, batch, &mut found)?;
                }
                Ok(found)
            }
        }
    }
}

/// BIRD's table, without the networks of its own interfaces.
fn learned(family: Family) -> &'static str {
    match family {
        Family::V4 => "master4 where source = RTS_BGP",
        Family::V6 => "master6 where source = RTS_BGP",
    }
}

/// Runs one command of `birdc`.
fn birdc(node: &Node, command: &str) -> Result<String, String> {
    let mut words = vec!["-s", "/run/node/bird.ctl"];
    words.extend(command.split(' '));
    node.output("birdc", &words)
}

/// Asking for one prefix after the other takes BIRD 25 ms each, and its command line holds 4096
/// octets; so the sample becomes a set in its configuration, and one command shows all of it.
fn bird_sample(node: &Node, nets: &[IpNet]) -> Result<BTreeMap<IpNet, Facts>, String> {
    let text = node.read(BIRD_CONFIG);
    let mut text = text
        .split(SAMPLE_MARK)
        .next()
        .unwrap_or_default()
        .to_owned()
        + SAMPLE_MARK;
    for family in [Family::V4, Family::V6] {
        let chosen = nets.iter().filter(|net| Family::of(net) == family);
        let chosen: Vec<String> = chosen.map(IpNet::to_string).collect();
        let _ = writeln!(
            text,
            "define sample_{} = [ {} ];",
            family.word(),
            chosen.join(", ")
        );
    }
    node.write(BIRD_CONFIG, text);
    birdc(node, "configure")?;
    let mut found: BTreeMap<IpNet, Facts> = BTreeMap::new();
    for family in [Family::V4, Family::V6] {
        let filter = format!("{} && net ~ sample_{}", learned(family), family.word());
        let text = birdc(node, &format!("show route all table {filter}"))?;
        // Long lists go on in the next line, indented twice.
        let text = text.replace("\n\t\t", " ");
        let mut current = None;
        for line in text.lines() {
            if !line.starts_with(['\t', ' ']) {
                let word = line.split(' ').next().unwrap_or_default();
                current = word.parse::<IpNet>().ok();
            } else if let Some(net) = current {
                found.entry(net).or_default().read_bird(line);
            }
        }
    }
    Ok(found)
}

fn frr_sample(
    node: &Node,
    nets: &[IpNet],
    found: &mut BTreeMap<IpNet, Facts>,
) -> Result<(), String> {
    let mut words = Vec::new();
    for net in nets {
        let family = Family::of(net).word();
        words.push("-c".to_owned());
        words.push(format!("show bgp {family} unicast {net} json"));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let text = node.output("vtysh", &words)?;
    for shown in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let shown = shown.map_err(|error| error.to_string())?;
        let net = shown["prefix"].as_str().and_then(|net| net.parse().ok());
        let paths = shown["paths"].as_array();
        let best = paths.and_then(|paths| {
            let best = |path: &&Value| path["bestpath"]["overall"] == true;
            paths.iter().find(best).or(paths.first())
        });
        if let (Some(net), Some(best)) = (net, best) {
            found.insert(net, Facts::from_frr(best));
        }
    }
    Ok(())
}
