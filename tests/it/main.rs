//! Integration tests: one binary, a module per behaviour.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod catalog;
mod causes;
mod clients;
mod control;
mod differential;
mod documents;
mod guard;
mod harness;
mod incidents;
mod memory;
mod never_harm;
mod observability;
mod oracle;
mod refusal;
mod scratch;
mod staged;
