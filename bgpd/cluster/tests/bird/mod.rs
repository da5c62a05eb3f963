//! A reader and evaluator of the part of BIRD 1.6's configuration that Calico writes.
//!
//! It exists to be independent: nothing of the dialect under test is used here, so what both say of
//! a route is agreement and not an echo. `parse` reads files into protocols, static routes, filters
//! and functions; `run` applies a filter to a route, with the language's own ideas: an attribute
//! may be undefined, a filter ends at the first `accept` or `reject` anywhere below it, comparison
//! of text is by pattern.
//!
//! Unknown words are a panic with their place: silence would be agreement by not looking.

mod lex;
mod parse;
mod run;

pub use lex::Token;
pub use parse::{Config, Protocol, Stmt, parse};
pub use run::{Route, run};
