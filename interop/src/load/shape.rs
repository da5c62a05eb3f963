//! The workloads: S1, a full table from one external neighbor to another; S3, a reflector that
//! tells each of many clients what one of them has announced.
//!
//! The clock runs from the first octet sent to the last prefix received. After it has stopped, the
//! receiver that kept its octets is read strictly: every prefix has to be there, with the
//! attributes that the shape demands.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use ipnet::IpNet;

use super::daemon::{ASN, Kind, Peers, Running};
use super::{speaker, table};
use crate::lab::Lab;
use crate::node::Node;
use crate::player::feed::{self, Feeder};
use crate::player::rib_file::Attributes;
use crate::player::strict::{Reading, Table};
use crate::player::wire::HEADER_LEN;

const FEEDER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 100);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 101);
const FEEDER_ASN: u32 = 65001;
const RECEIVER_ASN: u32 = 65002;

/// A workload.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One feeder, one receiver, both external.
    FullTable,
    /// A reflector with this many receiving clients.
    FanOut(usize),
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// First octet sent to last prefix received.
    pub wall_s: f64,
    /// User and system time of the daemon from its start to then.
    pub cpu_s: f64,
    /// Peak resident set.
    pub peak_mib: f64,
}

/// A workload made ready: octets to send and what must arrive.
#[derive(Debug)]
pub struct Load {
    shape: Shape,
    routes: Vec<(IpNet, Attributes)>,
    octets: Vec<u8>,
    feeder: Feeder,
}

impl Load {
    /// Builds the table and its UPDATEs.
    pub fn new(shape: Shape, prefixes: usize) -> Self {
        let mut routes = table::build(prefixes);
        let feeder = Feeder {
            asn: FEEDER_ASN,
            next_hop: FEEDER,
            next_hop_v6: Ipv6Addr::LOCALHOST,
        };
        if let Shape::FanOut(_) = shape {
            add_local_pref(&mut routes);
        }
        let (octets, _) = feeder.announce(&routes);
        Self {
            shape,
            routes,
            octets,
            feeder,
        }
    }

    /// Addresses that the tool speaks from.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        let receivers = match self.shape {
            Shape::FullTable => 1,
            Shape::FanOut(clients) => clients,
        };
        let last = u8::try_from(receivers).expect("at most 150 receivers");
        let first = RECEIVER.octets()[3];
        (0..last)
            .map(|index| Ipv4Addr::new(10, 99, 0, first + index))
            .collect()
    }

    /// Runs the workload once against `kind` in `node`.
    ///
    /// # Errors
    /// What did not arrive, or how it was wrong.
    pub fn run(&self, kind: &Kind, node: &Node) -> Result<Figures, String> {
        let local = Lab::address(node.index());
        let (peers, feeder_asn, receiver_asn) = match self.shape {
            Shape::FullTable => {
                let pair = [(FEEDER, FEEDER_ASN), (RECEIVER, RECEIVER_ASN)];
                (Peers::External(pair), FEEDER_ASN, RECEIVER_ASN)
            }
            Shape::FanOut(_) => (Peers::Clients, ASN, ASN),
        };
        let daemon = Running::start(kind, node, local, peers);
        let target = SocketAddr::new(local.into(), 179);
        let session = |from: Ipv4Addr, asn: u32| {
            let opened = speaker::open(from, target, asn);
            opened.map_err(|error| format!("{from}: {error}\n{}", daemon.log()))
        };
        let addresses = self.addresses();
        let mut streams = Vec::new();
        for address in &addresses {
            streams.push(session(*address, receiver_asn)?);
        }
        let mut sender = session(FEEDER, feeder_asn)?;
        let mut tallies: Vec<speaker::Tally> = Vec::new();
        tallies.resize_with(streams.len(), speaker::Tally::default);
        tallies[0] = speaker::Tally::recording();
        let before = daemon.usage();
        let begin = Instant::now();
        let end = std::thread::scope(|scope| {
            let sending = scope.spawn(move || sender.write_all(&self.octets).map(|()| sender));
            let end = speaker::receive(&mut streams, &mut tallies, self.routes.len());
            // The session has to live until everything was received.
            let sent = sending.join().map_err(|_| "the sender failed".to_owned())?;
            sent.map_err(|error| error.to_string())?;
            end
        })?;
        let used = daemon.usage();
        let record = tallies[0].record.take().unwrap_or_default();
        self.check(&record, local)?;
        Ok(Figures {
            wall_s: (end - begin).as_secs_f64(),
            cpu_s: used.cpu_s - before.cpu_s,
            peak_mib: used.peak_kib as f64 / 1024.0,
        })
    }

    /// What the recording receiver got is the table, changed as the shape demands.
    fn check(&self, mut record: &[u8], daemon: Ipv4Addr) -> Result<(), String> {
        let external = matches!(self.shape, Shape::FullTable);
        let reading = Reading {
            four_octet_as: true,
            external,
        };
        let mut table = Table::default();
        while let Some(header) = record.get(..HEADER_LEN) {
            let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let (message, rest) = record.split_at(len);
            if message[18] == 2 {
                table.read(&message[HEADER_LEN..], reading)?;
            }
            record = rest;
        }
        if table.routes.len() != self.routes.len() {
            let (found, wanted) = (table.routes.len(), self.routes.len());
            return Err(format!("{found} distinct prefixes of {wanted}"));
        }
        for (net, attributes) in &self.routes {
            let entry = table.routes.get(net).ok_or_else(|| format!("no {net}"))?;
            let expected = match external {
                true => self.feeder.expected(attributes, ASN),
                false => attributes.to_vec(),
            };
            // All are on one network: an external speaker may leave the next hop as it came
            // (RFC 4271 §5.1.3), a reflector has to.
            let hop = entry.next_hop;
            let hop_ok = hop == IpAddr::V4(FEEDER) || external && hop == IpAddr::V4(daemon);
            let path_ok = expected.iter().all(|(_, code, value)| {
                // The feeder put itself in front on the wire; a reflector changes nothing.
                let value = match (external, code) {
                    (false, 2) => feed::prepend(value, FEEDER_ASN),
                    _ => feed::normal(*code, value),
                };
                let found = entry.attribute(*code);
                found.is_some_and(|(_, found)| feed::normal(*code, found) == value)
            });
            if !path_ok || !hop_ok {
                return Err(format!("{net}: {entry:02x?} instead of {expected:02x?}"));
            }
        }
        Ok(())
    }
}

/// Internal sessions carry LOCAL_PREF; sets stay shared.
fn add_local_pref(routes: &mut [(IpNet, Attributes)]) {
    let mut last: Option<(Attributes, Attributes)> = None;
    for (_, attributes) in routes {
        let known = last
            .as_ref()
            .filter(|(from, _)| std::sync::Arc::ptr_eq(from, attributes));
        let with = match known {
            Some((_, with)) => with.clone(),
            None => {
                let mut with = attributes.to_vec();
                with.push((0x40, 5, 100_u32.to_be_bytes().to_vec()));
                with.sort_by_key(|(_, code, _)| *code);
                Attributes::from(with)
            }
        };
        last = Some((attributes.clone(), with.clone()));
        *attributes = with;
    }
}
