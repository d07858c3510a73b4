//! `chronoguard demo`: the incidents, replayed on a throwaway PostgreSQL.

use super::{Error, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Leave everything running, and print how to connect
    #[arg(long)]
    pub(super) keep: bool,
}

pub(super) fn demo(_: Arguments) -> Outcome {
    Err(Error("`demo` is not built yet".to_owned()))
}
