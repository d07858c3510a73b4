//! chronoguard: a PostgreSQL wire-protocol proxy that stops broken lifecycle timestamps.
//!
//! ```text
//! client ─▶ listener ─▶ session ─────────────────────────────────────────────▶ server
//!                         │ frames in        ▲ frames out
//!                         ▼                  │
//!             names a guarded table? ─no─────┤ (byte scan, no parsing, no copying)
//!                         │ yes              │
//!               sql: locate the writes ──▶ guard: compile + splice        server ─▶ replies owed (queue)
//!                         ▲                  ▲                                      │ guarded? strip column, read verdict,
//!                      catalog            rules (one atomic set)                    ▼ rewrite our error, else bytes as they are
//!                                                                                client     metrics · violation log · recent list
//! ```
//!
//! `wire`, `sql`, `rules`, `guard`, `plan` and `catalog` do no I/O; `session` and `listener` own the sockets.

pub mod admin;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod guard;
pub mod listener;
pub mod observe;
pub mod plan;
pub mod rules;
pub mod run;
pub mod scratch;
pub mod session;
pub mod sql;
pub mod wire;
