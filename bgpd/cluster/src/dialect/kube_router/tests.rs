//! Tables of kube-router's dialect.

mod flags;
mod node;
mod service;
