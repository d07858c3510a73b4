//! Integration tests: one binary, a module per behaviour.

#[path = "../support/mod.rs"]
mod support;

mod differential;
mod harness;
mod scratch;
