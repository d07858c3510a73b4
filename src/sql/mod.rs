//! SQL text: scanned for names, located, spliced. No I/O, no rules.

pub mod cache;
pub mod lex;
pub mod locate;
pub mod name;
pub mod scan;
pub mod splice;
mod word;
pub mod write;
