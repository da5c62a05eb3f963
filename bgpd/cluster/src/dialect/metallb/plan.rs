//! Which routes the advertisements of a pool make of one address.
//!
//! Several advertisements may take one pool: with other lengths (more routes), for other peers
//! (other attributes for them), or alike (their communities are united, as FRR's route maps do one
//! after the other). For each length the result is one route for all neighbors and further ones
//! for those that have more, as [`Announcement::neighbors`](crate::Announcement) wants them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::advertisement::Advertisement;
use crate::Marks;

/// An advertisement, with what it names looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// `BGPAdvertisement metallb-system/lan`.
    pub(super) label: Box<str>,
    pub(super) declared: Advertisement,
    pub(super) marks: Marks,
    /// The addresses of the peers that it names and that run here; `None` = all.
    pub(super) peers: Option<BTreeSet<IpAddr>>,
}

/// A route that an address becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) length: u8,
    pub(super) marks: Marks,
    pub(super) neighbors: Option<Vec<IpAddr>>,
    /// The advertisements that made it.
    pub(super) because: Box<str>,
}

/// The routes of an address of a family.
pub(super) fn routes(ready: &[&Ready], is_ipv6: bool) -> Vec<Route> {
    let length = |one: &Ready| match is_ipv6 {
        true => one.declared.length_v6,
        false => one.declared.length_v4,
    };
    let lengths: BTreeSet<u8> = ready.iter().map(|one| length(one)).collect();
    let mut routes = Vec::new();
    for wanted in lengths.into_iter().rev() {
        let alike: Vec<&Ready> = ready
            .iter()
            .copied()
            .filter(|one| length(one) == wanted)
            .collect();
        of_length(&alike, wanted, &mut routes);
    }
    routes
}

fn of_length(ready: &[&Ready], length: u8, routes: &mut Vec<Route>) {
    let for_all: Vec<&Ready> = ready
        .iter()
        .copied()
        .filter(|one| one.peers.is_none())
        .collect();
    let general = (!for_all.is_empty()).then(|| unite(&for_all));
    if let Some((marks, because)) = &general {
        routes.push(Route {
            length,
            marks: marks.clone(),
            neighbors: None,
            because: because.clone(),
        });
    }
    let named: BTreeSet<IpAddr> = ready
        .iter()
        .filter_map(|one| one.peers.as_ref())
        .flatten()
        .copied()
        .collect();
    let mut special: BTreeMap<(Marks, Box<str>), Vec<IpAddr>> = BTreeMap::new();
    for address in named {
        let mine: Vec<&Ready> = ready
            .iter()
            .copied()
            .filter(|one| {
                one.peers
                    .as_ref()
                    .is_none_or(|peers| peers.contains(&address))
            })
            .collect();
        let (marks, because) = unite(&mine);
        // Who gets nothing beyond what all get needs no route of its own.
        if general.as_ref().is_none_or(|(all, _)| *all != marks) {
            special.entry((marks, because)).or_default().push(address);
        }
    }
    routes.extend(
        special
            .into_iter()
            .map(|((marks, because), neighbors)| Route {
                length,
                marks,
                neighbors: Some(neighbors),
                because,
            }),
    );
}

/// All communities of all; LOCAL_PREF of the first that has one (they agree, or the service is not
/// announced).
fn unite(ready: &[&Ready]) -> (Marks, Box<str>) {
    let mut marks = Marks::default();
    let mut labels: Vec<&str> = Vec::new();
    for one in ready {
        marks.communities.extend(&one.marks.communities);
        marks.large_communities.extend(&one.marks.large_communities);
        marks.local_pref = marks.local_pref.or(one.marks.local_pref);
        labels.push(&one.label);
    }
    marks.communities.sort_unstable();
    marks.communities.dedup();
    marks.large_communities.sort_unstable();
    marks.large_communities.dedup();
    (marks, labels.join(", ").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(label: &str, length: u8, community: u32, peers: Option<&[&str]>) -> Ready {
        let address = |text: &&str| text.parse().unwrap();
        Ready {
            label: label.into(),
            declared: Advertisement {
                length_v4: length,
                ..Advertisement::plain("p")
            },
            marks: Marks {
                communities: vec![community],
                ..Marks::default()
            },
            peers: peers.map(|list| list.iter().map(address).collect()),
        }
    }

    fn shown(ready: &[&Ready]) -> Vec<(u8, Vec<u32>, Option<usize>, String)> {
        let shown = |route: Route| {
            let count = route.neighbors.map(|list| list.len());
            (
                route.length,
                route.marks.communities,
                count,
                route.because.into(),
            )
        };
        routes(ready, false).into_iter().map(shown).collect()
    }

    #[test]
    fn alike_are_united_and_others_stand_apart() {
        let all = ready("all", 32, 1, None);
        let same = ready("same", 32, 2, None);
        let wide = ready("wide", 24, 3, None);
        let tor = ready("tor", 32, 4, Some(&["10.0.0.1"]));
        let both = ready("both", 32, 5, Some(&["10.0.0.1", "10.0.0.2"]));
        let like_all = ready("like-all", 32, 1, Some(&["10.0.0.1"]));
        let nobody = ready("nobody", 32, 6, Some(&[]));
        assert_eq!(shown(&[&all]), [(32, vec![1], None, "all".into())]);
        assert_eq!(
            shown(&[&all, &same]),
            [(32, vec![1, 2], None, "all, same".into())]
        );
        assert_eq!(
            shown(&[&wide, &all]),
            [
                (32, vec![1], None, "all".into()),
                (24, vec![3], None, "wide".into())
            ]
        );
        assert_eq!(
            shown(&[&all, &tor]),
            [
                (32, vec![1], None, "all".into()),
                (32, vec![1, 4], Some(1), "all, tor".into())
            ]
        );
        assert_eq!(
            shown(&[&tor, &both]),
            [
                (32, vec![4, 5], Some(1), "tor, both".into()),
                (32, vec![5], Some(1), "both".into())
            ]
        );
        assert_eq!(
            shown(&[&all, &like_all]),
            [(32, vec![1], None, "all".into())]
        );
        assert_eq!(shown(&[&nobody]), []);
    }
}
