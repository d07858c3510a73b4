//! Rule files: found and read (`load`), as positioned YAML (`yaml`), judged key by key (`file`, `kinds`), into one [`set::RuleSet`].
//!
//! Every mistake of every file is a [`diagnostic::Diagnostic`] with its place. Knows no catalog and no client; only `load` touches the disk.

mod actions;
mod condition;
pub mod diagnostic;
mod exemptions;
mod fields;
mod file;
mod kinds;
pub mod lint;
pub mod load;
pub mod rule_tests;
#[cfg(test)]
mod schema;
pub mod set;
pub mod sources;
mod values;
pub(crate) mod yaml;

pub use kinds::time_columns;
