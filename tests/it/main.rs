//! Integration tests: one binary, a module per behaviour.

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod catalog;
mod clients;
mod differential;
mod documents;
mod guard;
mod harness;
mod incidents;
mod never_harm;
mod observability;
mod refusal;
mod scratch;
