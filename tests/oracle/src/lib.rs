//! PostgreSQL's own parser (`pg_query`) against chronoguard's lexer, locator and splice, over the SQL of PostgreSQL's regression suite.
//!
//! [`suite`] cuts the files into the texts that psql would send, without any code of chronoguard; [`tree`] reads the parse trees.

pub mod suite;
pub mod tree;
