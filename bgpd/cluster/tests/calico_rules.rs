//! Calico's dialect on clusters written here: every field, and the defects that are not taken over.
//!
//! `calico_golden` compares with Calico's own files, where those are there. These tests need
//! nothing beside the checkout, and look where the files do not: text against number in the order
//! of addresses, filters that cannot be read, passwords that are not there, services by their
//! policies, blocks by their state.

#[path = "calico/scene.rs"]
mod scene;

#[path = "calico/filters.rs"]
mod filters;
#[path = "calico/peers.rs"]
mod peers;
#[path = "calico/services.rs"]
mod services;
