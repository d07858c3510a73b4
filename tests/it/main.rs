//! Integration tests: one binary, a module per behaviour.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod catalog;
mod differential;
mod harness;
mod refusal;
mod scratch;
