//! `chronoguard schema`: the JSON Schema of rule files.

use super::{Exit, Outcome, print};

/// As published. `rules::schema` makes it, in a test that fails when it is not this one.
const SCHEMA: &str = include_str!("../../rules/schema.json");

pub(super) fn schema() -> Outcome {
    print(SCHEMA)?;
    Ok(Exit::Done)
}
