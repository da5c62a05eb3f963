//! Routing policy: what is accepted from a peer and what it is told.
//!
//! [`ast`] is the written form that configuration produces. It is compiled once and then
//! evaluated per attribute set and prefix, with the result remembered where the prefix does not
//! matter, so that a policy costs per attribute set and not per route.

mod as_path;
pub mod ast;
pub(crate) mod community;
mod compile;
mod eval;
mod prefix_set;

pub use ast::{
    ACCEPT_ALL, DEFAULT_LOCAL_PREF, MatchDef, NextHopAction, PolicyDef, PrefixMatch, REJECT_ALL,
    RpkiState, RuleDef, SetDef, Then,
};
pub use community::{parse_community, parse_large};
pub use compile::{Policy, PolicyError};
pub use eval::{RuleTrace, Subject, Verdict};
