//! A real table and the real changes of a day on top of it, made ready to be sent.
//!
//! The data lie beside the checkout, not in it (`WAYFARE_SHARED`, default `../shared`): a table
//! with real prefixes, and the announcements and withdrawals that one peer saw. The recording has
//! no attributes, so each announcement takes the path of another prefix of the same table: what
//! changes is real, and so is the mix of attributes. The IPv4 part is used; each change is an
//! UPDATE of its own, as it happened, nothing is packed.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ipnet::IpNet;

use super::dialect::ASN;
use super::expect::Expected;
use super::shapes::Source;
use crate::player::cases;
use crate::player::feed::{self, Feeder};
use crate::player::rib_file::{self, Attributes};

const TABLE: &str = "data/full-table/rib.20260511.real-prefixes.synth-attrs.mrt.bz2";
const CHANGES: &str = "data/full-table/ris-as3333-20260511.mutations4.txt.xz";

/// A table and what happens to it.
#[derive(Debug)]
pub struct Recording {
    /// UPDATEs that announce the table.
    pub table: Arc<[u8]>,
    /// The table as a receiver has to get it.
    pub before: Expected,
    /// UPDATEs of the day.
    pub changes: Arc<[u8]>,
    /// How many.
    pub count: usize,
    /// The table as a receiver has to have it in the end, and prefixes that it must not have.
    pub after: Expected,
    /// Prefixes that are gone in the end.
    pub gone: Vec<IpNet>,
}

/// What each prefix ends as.
type Model = HashMap<IpNet, Option<Attributes>>;

impl Recording {
    /// Reads `percent` of both files, as `source` would send them.
    ///
    /// # Errors
    /// Which file is not there, or what is wrong with it.
    pub fn read(source: Source, percent: usize) -> Result<Self, String> {
        let (table, changes) = (cases::shared().join(TABLE), cases::shared().join(CHANGES));
        for file in [&table, &changes] {
            if !file.is_file() {
                return Err(format!("there is no {}", file.display()));
            }
        }
        let mut routes = rib_file::read(&table)?;
        routes.retain(|(net, path)| matches!(net, IpNet::V4(_)) && !is_loop(path));
        routes.truncate(routes.len() * percent / 100);
        let mut before = Expected::new(true);
        source.expect(&routes, &mut before);
        let mut model: Model = HashMap::new();
        let paths = routes.iter().map(|(_, path)| path.clone());
        let paths: Vec<Attributes> = paths.collect();
        let first = paths.first().ok_or("the table is empty")?.clone();
        model.extend(routes.iter().map(|(net, path)| (*net, Some(path.clone()))));
        let table = source.announce(&routes);
        let (octets, count) = replay(&read_text(&changes)?, &paths, (source, percent), &mut model)?;
        let mut after = Expected::new(true);
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        for (net, path) in model {
            match path {
                Some(path) => kept.push((net, path)),
                None => gone.push(net),
            }
        }
        kept.sort_by_key(|(net, path)| (Arc::as_ptr(path), *net));
        source.expect(&kept, &mut after);
        // What is gone has been announced: with which path does not matter.
        let forgotten: Vec<_> = gone.iter().map(|net| (*net, first.clone())).collect();
        source.expect(&forgotten, &mut after);
        Ok(Self {
            table,
            before,
            changes: octets.into(),
            count,
            after,
            gone,
        })
    }

    /// Prefixes that are there in the end.
    pub fn left(&self) -> usize {
        self.after.len() - self.gone.len()
    }
}

/// Whether one of the numbers of this benchmark is in the path, as it is in a few real ones that
/// leak private numbers: daemon or receiver would refuse it as a loop.
fn is_loop(attributes: &Attributes) -> bool {
    let path = attributes.iter().find(|(_, code, _)| *code == 2);
    let mut value = path.map_or(&[][..], |(_, _, value)| value);
    while let [_, count, rest @ ..] = value {
        let (numbers, next) = rest.split_at(rest.len().min(usize::from(*count) * 4));
        let ours = ASN..=Source::external(1).asn;
        let mut numbers = numbers.chunks_exact(4);
        if numbers.any(|n| ours.contains(&u32::from_be_bytes([n[0], n[1], n[2], n[3]]))) {
            return true;
        }
        value = next;
    }
    false
}

fn read_text(file: &Path) -> Result<String, String> {
    let output = Command::new("xz").arg("-dc").arg(file).output();
    let output = output.map_err(|error| format!("xz: {error}"))?;
    if !output.status.success() {
        return Err(format!("xz cannot read {}", file.display()));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// The changes as UPDATEs, and their number; applied to the model, too.
fn replay(
    text: &str,
    paths: &[Attributes],
    (source, percent): (Source, usize),
    model: &mut Model,
) -> Result<(Vec<u8>, usize), String> {
    let feeder = Feeder {
        asn: source.asn,
        next_hop: source.address,
        next_hop_v6: Ipv6Addr::LOCALHOST,
    };
    let lines: Vec<&str> = text.lines().collect();
    let part = &lines[..lines.len() * percent / 100];
    let mut octets = Vec::new();
    let mut count = 0;
    for (index, line) in part.iter().enumerate() {
        let (kind, net) = line.split_once(' ').ok_or("neither `A` nor `W` prefix")?;
        let net: IpNet = net.parse().map_err(|_| format!("no prefix: {net}"))?;
        if matches!(net, IpNet::V6(_)) {
            continue;
        }
        count += 1;
        if kind == "A" {
            // A real announcement changes the path: take another one of the same table.
            let path = &paths[index.wrapping_mul(7919) % paths.len()];
            octets.extend(feeder.announce(&[(net, path.clone())]).0);
            model.insert(net, Some(path.clone()));
        } else {
            octets.extend(feed::withdraw(&[net]));
            model.insert(net, None);
        }
    }
    Ok((octets, count))
}
