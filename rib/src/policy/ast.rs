//! Policy as it is written: the form a configuration is turned into.
//!
//! A policy is an ordered list of rules. A rule applies when every kind of match it names holds
//! (within one kind, any listed value will do; a rule that names nothing applies to all). What it
//! sets is applied, then it decides: accept, reject, or go on to the next rule with the
//! changed attributes. A policy that runs out of rules rejects.
//!
//! Patterns are kept as text here and checked by `Policy::compile`, so that a configuration can
//! point at the offending value.

use std::net::IpAddr;

use ipnet::IpNet;

/// Name of the policy that takes everything as it is.
pub const ACCEPT_ALL: &str = "accept-all";
/// Name of the policy that takes nothing.
pub const REJECT_ALL: &str = "reject-all";
/// LOCAL_PREF of a route that has none, where a policy asks: what every implementation takes.
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// A named policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyDef {
    /// Its name.
    pub name: String,
    /// First rule that decides wins.
    pub rules: Vec<RuleDef>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleDef {
    /// When it applies.
    pub matches: MatchDef,
    /// What it changes.
    pub set: SetDef,
    /// What it decides.
    pub then: Then,
}

/// What a rule decides once it applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Then {
    /// The route is taken, as changed so far.
    Accept,
    /// The route is refused.
    #[default]
    Reject,
    /// The next rule looks at the route as changed so far.
    Next,
}

/// A prefix and the lengths below it: `10.0.0.0/8 ge 16 le 24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PrefixMatch {
    /// The covering prefix.
    pub net: IpNet,
    /// Least length; without it, the length of `net`.
    pub ge: Option<u8>,
    /// Greatest length; without it, the length of `net`, or the longest possible if `ge` is
    /// given (as in FRR).
    pub le: Option<u8>,
}

/// Origin validation state a rule asks for (RFC 6811 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RpkiState {
    /// A covering ROA names the origin AS and allows the length.
    Valid,
    /// Covering ROAs exist, none of them fits.
    Invalid,
    /// No covering ROA; also when no table was loaded.
    NotFound,
}

/// When a rule applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchDef {
    /// Any of these prefixes.
    pub prefix: Vec<PrefixMatch>,
    /// None of these prefixes.
    pub prefix_not: Vec<PrefixMatch>,
    /// Any of these communities: `64500:100`, a well-known name, or with `*` for a half.
    pub community: Vec<String>,
    /// Any of these large communities: `64500:1:2`, `*` for a part.
    pub large_community: Vec<String>,
    /// Any of these extended communities: `rt:64500:100`, `soo:…`, or 16 hex digits.
    pub ext_community: Vec<String>,
    /// Any of these regular expressions over the AS path, FRR's `_` included.
    pub as_path: Vec<String>,
    /// Import: learned from any of these; export: sent to any of these.
    pub neighbor: Vec<IpAddr>,
    /// This origin validation state.
    pub rpki: Option<RpkiState>,
    /// Started here, by any of these sources (`pool:my-ip-space`, `pod-cidr`, `*`).
    pub origin_source: Vec<String>,
    /// Learned from a neighbor (`true`), or started here (`false`).
    pub learned: Option<bool>,
    /// LOCAL_PREF from the first to the second; a route without one has
    /// [`DEFAULT_LOCAL_PREF`].
    pub local_pref: Option<(u32, u32)>,
    /// The next hop is inside any of these.
    pub next_hop: Vec<IpNet>,
}

/// Which next hop to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHopAction {
    /// Our address towards the peer. On import the next hop stays as received.
    SelfAddr,
    /// This address.
    Addr(IpAddr),
    /// As received, on eBGP too.
    Unchanged,
}

/// What a rule changes, in this order. Communities are text as in [`MatchDef`]; `remove` takes
/// patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetDef {
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// Replace all communities by these (an empty list removes them all).
    pub community_set: Option<Vec<String>>,
    /// Remove the communities that match.
    pub community_remove: Vec<String>,
    /// Add communities.
    pub community_add: Vec<String>,
    /// Replace all large communities by these.
    pub large_community_set: Option<Vec<String>>,
    /// Remove the large communities that match.
    pub large_community_remove: Vec<String>,
    /// Add large communities.
    pub large_community_add: Vec<String>,
    /// Remove extended communities.
    pub ext_community_remove: Vec<String>,
    /// Add extended communities.
    pub ext_community_add: Vec<String>,
    /// Prepend our AS this many times (import: the neighbor's AS).
    pub prepend: Option<u8>,
    /// Put these AS numbers in front of the path, the first of them foremost.
    pub prepend_path: Vec<u32>,
    /// NEXT_HOP.
    pub next_hop: Option<NextHopAction>,
}
