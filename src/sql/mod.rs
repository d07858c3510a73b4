//! SQL text: scanned for names, located, spliced. No I/O, no rules.

pub mod write;
