//! Attribute sets inside the RIB: interned, counted, and rewritten for export.
//!
//! A route refers to its attributes by an [`AttrId`] of four octets; the set itself exists once,
//! however many prefixes share it, and goes when the last reference goes. `intern` owns the sets
//! and the few fields the decision process wants without following a pointer; `rewrite` is what a
//! speaker does to attributes before it passes them on.

mod intern;
mod rewrite;

pub(crate) use intern::{AttrId, Hot, Interner, OutAttr};
pub(crate) use rewrite::{Rewrite, SourceOfPath};
