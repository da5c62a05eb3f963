//! Why an address of a service, or a prefix, is announced or not: the rules that decide, printed.
//!
//! The functions of `eligible` and of the dialects are run once more, this time with their
//! sentences, so what is printed cannot differ from what was decided. Every [`Verdict`] names its
//! rule by id and the object that it was read from. `Display` gives text for people: one line per
//! rule, `ok` or `NO`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::dialect::{AddressKind, Offer, View};
use crate::eligible::{Asked, Rule, Verdict, addresses, endpoint_rules, is_local};
use crate::eligible::{node_rules, service_rules};
use crate::object::{ObjectName, Service};
use crate::planner::sort_of;
use crate::{Advertised, Announcement, DialectName, Fault, Planner};

/// How many addresses inside a prefix are explained.
const ADDRESSES_MAX: usize = 64;

/// Why a service is announced or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceExplained {
    /// The service.
    pub service: ObjectName,
    /// Each of its addresses; empty: it has none.
    pub addresses: Vec<AddressExplained>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// Why an address of a service is announced or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressExplained {
    /// The service.
    pub service: ObjectName,
    /// The address.
    pub address: IpAddr,
    /// Which sort of address.
    pub kind: AddressKind,
    /// Only endpoints on this node count, as the service's policy for this kind of address says.
    pub is_local: bool,
    /// All rules, in the order in which they are asked.
    pub verdicts: Vec<Verdict>,
    /// The routes that this service is a reason for and that cover the address.
    pub announced: Vec<Announcement>,
    /// Others that cover it: a range of cluster addresses, another owner's.
    pub covered_by: Vec<Announcement>,
}

/// Why a prefix is announced or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteExplained {
    /// The prefix.
    pub prefix: IpNet,
    /// What is announced for exactly this prefix.
    pub announced: Vec<Announcement>,
    /// Announcements of ours that contain it.
    pub covered_by: Vec<Announcement>,
    /// Routes of the node itself (pod ranges, cluster ranges), with the rules about them.
    pub networks: Vec<(Announcement, Vec<Verdict>)>,
    /// The addresses of services that it stands for, at most 64.
    pub addresses: Vec<AddressExplained>,
    /// How many more there are.
    pub left_off: usize,
}

impl Planner {
    /// Why a service is announced or not; `None`: there is no such service. As of the last plan.
    /// One that could not be read has no addresses and says so among its faults.
    #[must_use]
    pub fn explain_service(&self, name: &ObjectName) -> Option<ServiceExplained> {
        let object = format!("Service {name}");
        let own = self.each_fault().filter(|fault| *fault.object == *object);
        let mut faults: Vec<Fault> = own.cloned().collect();
        faults.sort();
        faults.dedup();
        let Some(service) = self.snapshot().service(name) else {
            return (!faults.is_empty()).then(|| ServiceExplained {
                service: name.clone(),
                addresses: Vec::new(),
                faults,
            });
        };
        let each = addresses(service).map(|asked| self.explain_address(name, service, &asked));
        Some(ServiceExplained {
            service: name.clone(),
            addresses: each.collect(),
            faults,
        })
    }

    /// Why a prefix is announced or not. As of the last plan.
    #[must_use]
    pub fn explain_route(&self, prefix: IpNet) -> RouteExplained {
        let prefix = prefix.trunc();
        let mut explained = RouteExplained {
            prefix,
            announced: self.table().route(&prefix).to_vec(),
            covered_by: Vec::new(),
            networks: Vec::new(),
            addresses: Vec::new(),
            left_off: 0,
        };
        let covering = self.covering(prefix);
        let wider = covering.filter(|route| route.prefix != prefix);
        explained.covered_by.extend(wider.cloned());
        for network in self
            .networks()
            .iter()
            .filter(|network| network.prefix == prefix)
        {
            let verdicts = network_verdicts(&self.view(), network);
            explained.networks.push((network.clone(), verdicts));
        }
        for (name, service) in self.snapshot().services() {
            for asked in addresses(service) {
                if !prefix.contains(&asked.address.address) {
                    continue;
                }
                if explained.addresses.len() < ADDRESSES_MAX {
                    let address = self.explain_address(name, service, &asked);
                    explained.addresses.push(address);
                } else {
                    explained.left_off += 1;
                }
            }
        }
        explained
    }

    fn explain_address(
        &self,
        name: &ObjectName,
        service: &Service,
        asked: &Asked,
    ) -> AddressExplained {
        let view = self.view();
        let (kind, address) = (asked.address.kind, asked.address.address);
        let mut verdicts = node_verdicts(&view, kind);
        let object: Box<str> = format!("Service {name}").into();
        service_rules(&view, service, asked, &mut |rule, holds, text| {
            let object = match rule {
                Rule::Advertise => "".into(),
                _ => object.clone(),
            };
            verdicts.push(verdict(rule, holds, text(), object));
        });
        let mut places: Vec<(bool, Vec<DialectName>)> = Vec::new();
        self.dialects()
            .offers(service, &asked.address, |dialect, offer| {
                if matches!(offer, Offer::Announce { .. }) {
                    let local = is_local(dialect, service, &asked.address);
                    match places.iter_mut().find(|(is_local, _)| *is_local == local) {
                        Some((_, dialects)) if dialects.contains(&dialect) => {}
                        Some((_, dialects)) => dialects.push(dialect),
                        None => places.push((local, vec![dialect])),
                    }
                }
                verdicts.push(offer_verdict(dialect, offer));
            });
        let entry = view.snapshot.entry(name);
        let counts = view.snapshot.endpoints(name).family(address.is_ipv6());
        let names: Vec<&str> = entry.map_or_else(Vec::new, |entry| entry.slices.names().collect());
        let from: Box<str> = match &names[..] {
            [] => "".into(),
            names => format!("EndpointSlice {}", names.join(", ")).into(),
        };
        if places.is_empty() {
            places.push((asked.address.is_local, Vec::new()));
        }
        let is_split = places.len() > 1;
        for (is_local, dialects) in places {
            let case = (kind, address.is_ipv6(), is_local);
            let names: Vec<&str> = dialects.iter().map(|dialect| dialect.as_str()).collect();
            endpoint_rules(&view, service, &counts, case, &mut |rule, holds, text| {
                let mut text = text();
                if is_split {
                    text = format!("{}: {text}", names.join(", "));
                }
                verdicts.push(verdict(rule, holds, text, from.clone()));
            });
        }
        let announced = self.announced(&object, address, &mut verdicts);
        let routes = self.covering(IpNet::from(address));
        let covered_by = routes.filter(|route| !announced.contains(route)).cloned();
        AddressExplained {
            covered_by: covered_by.collect(),
            service: name.clone(),
            address,
            kind,
            is_local: asked.address.is_local,
            verdicts,
            announced,
        }
    }

    /// All that is announced for a prefix and for those that contain it, the widest first.
    fn covering(&self, prefix: IpNet) -> impl Iterator<Item = &Announcement> {
        let lengths = 0..=prefix.prefix_len();
        let nets = lengths.filter_map(move |length| IpNet::new(prefix.addr(), length).ok());
        nets.flat_map(|net| self.table().route(&net.trunc()))
    }

    /// The routes that a service is a reason for; what the table says of its aggregates.
    fn announced(
        &self,
        object: &str,
        address: IpAddr,
        verdicts: &mut Vec<Verdict>,
    ) -> Vec<Announcement> {
        let host = IpNet::from(address);
        let mut prefixes = vec![host];
        for claim in self.table().claims(&host) {
            if *claim.owner.text == *object && !prefixes.contains(&claim.prefix) {
                prefixes.push(claim.prefix);
            }
        }
        for prefix in prefixes.iter().filter(|prefix| **prefix != host) {
            let culprit = self.table().culprit(prefix);
            let text = match &culprit {
                Some(culprit) => format!(
                    "not {prefix} but single addresses: {} must be served on this node and is not",
                    culprit.host.addr()
                ),
                None => format!("{prefix} swallows nothing here"),
            };
            let object = culprit.map_or("".into(), |culprit| culprit.owner.text.clone());
            verdicts.push(verdict(Rule::Aggregate, true, text, object));
        }
        let routes = prefixes
            .iter()
            .flat_map(|prefix| self.table().route(prefix));
        let is_reason = |route: &&Announcement| route.objects.iter().any(|one| **one == *object);
        routes.filter(is_reason).cloned().collect()
    }
}

fn node_verdicts(view: &View<'_>, kind: AddressKind) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let node: Box<str> = match view.node {
        Some(node) => format!("Node {}", node.meta.name).into(),
        None => "".into(),
    };
    node_rules(view, kind, &mut |rule, holds, text| {
        let object = match rule {
            Rule::ProxyHealth | Rule::NodeDrained => "".into(),
            _ => node.clone(),
        };
        verdicts.push(verdict(rule, holds, text(), object));
    });
    verdicts
}

fn network_verdicts(view: &View<'_>, network: &Announcement) -> Vec<Verdict> {
    let Some(what) = sort_of(&network.source) else {
        return Vec::new();
    };
    let (word, kind) = match what {
        Advertised::PodCidr => ("pod-cidr", None),
        Advertised::ClusterIp => ("cluster-ip", Some(AddressKind::Cluster)),
        Advertised::ExternalIp => ("external-ip", Some(AddressKind::External)),
        Advertised::LoadBalancerIp => ("load-balancer-ip", Some(AddressKind::LoadBalancer)),
    };
    let mut verdicts = kind.map_or_else(Vec::new, |kind| node_verdicts(view, kind));
    let is_on = view.options.advertises(what);
    let text = match is_on {
        true => format!("advertise lists {word}"),
        false => format!("advertise does not list {word}"),
    };
    verdicts.push(verdict(Rule::Advertise, is_on, text, "".into()));
    verdicts
}

fn offer_verdict(dialect: DialectName, offer: Offer) -> Verdict {
    let name = dialect.as_str();
    match offer {
        Offer::Announce {
            prefix,
            source,
            because,
            ..
        } => {
            let text = format!("{name}: {prefix} from {source}");
            verdict(Rule::Dialect, true, text, because)
        }
        Offer::Covered(text) => {
            let text = format!("{name}: covered by {text}");
            verdict(Rule::Dialect, true, text, "".into())
        }
        Offer::Decline(text) => verdict(Rule::Dialect, false, format!("{name}: {text}"), "".into()),
    }
}

fn verdict(rule: Rule, holds: bool, text: String, object: Box<str>) -> Verdict {
    Verdict {
        rule,
        holds,
        text: text.into(),
        object,
    }
}

impl AddressExplained {
    /// Whether a route of this service covers it.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        !self.announced.is_empty()
    }

    /// The sentence of the first rule that does not hold. That one dialect declines is no reason
    /// while another offers.
    #[must_use]
    pub fn why_not(&self) -> &str {
        let mut verdicts = self.verdicts.iter();
        let is_offered = verdicts.any(|verdict| verdict.rule == Rule::Dialect && verdict.holds);
        let mut failed = self.verdicts.iter().filter(|verdict| !verdict.holds);
        let first = failed.find(|verdict| verdict.rule != Rule::Dialect || !is_offered);
        first.map_or("no source offers it", |verdict| &verdict.text)
    }
}

impl AddressKind {
    /// As `advertise` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster-ip",
            Self::External => "external-ip",
            Self::LoadBalancer => "load-balancer-ip",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds { "ok" } else { "NO" };
        write!(f, "{word}  {:<24}{}", self.rule.id(), self.text)?;
        match &*self.object {
            "" => Ok(()),
            object => write!(f, " [{object}]"),
        }
    }
}

impl fmt::Display for AddressExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}) of {}: ",
            self.address,
            self.kind.as_str(),
            self.service
        )?;
        let own = self.announced.iter().map(|route| ("announced as", route));
        let others = self.covered_by.iter().map(|route| ("inside", route));
        let mut comma = "";
        for (word, route) in own.chain(others) {
            write!(f, "{comma}{word} {} from {}", route.prefix, route.source)?;
            comma = ", ";
        }
        if comma.is_empty() {
            f.write_str("not announced")?;
        }
        writeln!(f)?;
        for verdict in &self.verdicts {
            writeln!(f, "  {verdict}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ServiceExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addresses.is_empty() {
            writeln!(f, "Service {} has no address", self.service)?;
        }
        for address in &self.addresses {
            write!(f, "{address}")?;
        }
        for fault in &self.faults {
            writeln!(f, "fault: {} {}", fault.path, fault.text)?;
        }
        Ok(())
    }
}

impl fmt::Display for RouteExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.announced[..] {
            [] => writeln!(
                f,
                "{} is not announced by the cluster's objects",
                self.prefix
            )?,
            routes => {
                for route in routes {
                    let objects = route.objects.join(", ");
                    write!(f, "{} from {} for {objects}", self.prefix, route.source)?;
                    match &route.neighbors {
                        Some(list) => writeln!(f, ", to {list:?}")?,
                        None => writeln!(f)?,
                    }
                }
            }
        }
        for route in &self.covered_by {
            writeln!(f, "inside {} from {}", route.prefix, route.source)?;
        }
        for (network, verdicts) in &self.networks {
            writeln!(f, "{} of {}:", network.source, network.objects.join(", "))?;
            for verdict in verdicts {
                writeln!(f, "  {verdict}")?;
            }
        }
        for address in &self.addresses {
            write!(f, "{address}")?;
        }
        match self.left_off {
            0 => Ok(()),
            more => writeln!(f, "and {more} addresses more"),
        }
    }
}
