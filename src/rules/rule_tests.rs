//! `tests:` of a rule file, as data: what `chronoguard test` runs.
//!
//! ```yaml
//! schema: schema.sql                   # of the file: SQL files that make the tables, relative to it
//! tests:                               # of the file, or beside a table's `rules`
//!   - name: a completion before its start
//!     setup: "INSERT INTO jobs …"      # what is there before; not judged
//!     role: app                        # who writes
//!     sql: "INSERT INTO executions …"  # what is judged; or a list of texts, {sql, params} and {copy, data}
//!     expect: {violations: [executions_order], rejected: true, hint: DEFAULT now(), landed: "SELECT count(*) = 0 FROM executions"}
//! ```
//!
//! Read by [`read`]; what `${now}` stands for is told by [`clock`].

pub mod clock;
pub(super) mod read;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::set::Place;

/// The tests of one rule file.
#[derive(Debug)]
pub struct FileTests {
    /// The rule file.
    pub file: Arc<PathBuf>,
    /// The SQL files that make the tables, in the order they are run.
    pub schema: Vec<SchemaFile>,
    /// The tests: those of its tables, then those of the file.
    pub tests: Vec<RuleTest>,
}

/// An SQL file that a rule file names.
#[derive(Debug, Clone)]
pub struct SchemaFile {
    /// The path to open.
    pub path: PathBuf,
    /// Where it is named.
    pub place: Place,
}

/// One test.
#[derive(Debug)]
pub struct RuleTest {
    /// What it shows, for reports.
    pub name: String,
    /// Statements that make what is there before. No rule judges them.
    pub setup: Option<String>,
    /// The role that writes; `None`: the one that connects.
    pub role: Option<String>,
    /// What is sent through the guard, in order.
    pub steps: Vec<Step>,
    /// What must happen.
    pub expect: Expect,
    /// Where its name stands.
    pub place: Place,
}

/// What is sent to the server at once. `${now}` stands in all of it, see [`clock`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Statements, each sent as a `Query` of its own.
    Sql(String),
    /// One statement with parameters, by the extended protocol. `None` is NULL.
    Parameters {
        /// The statement.
        sql: String,
        /// The values of `$1`, `$2`, … as PostgreSQL reads them.
        params: Vec<Option<String>>,
    },
    /// A `COPY … FROM STDIN` and what follows it.
    Copy {
        /// The statement.
        copy: String,
        /// Its data.
        data: String,
    },
}

/// What must happen in a test.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The rules that are violated, all of them; with the number of rows where that is given.
    pub violations: BTreeMap<String, Option<u64>>,
    /// Whether a statement is rejected; `None`: not compared.
    pub rejected: Option<bool>,
    /// A part of the hint of a rejection or a warning.
    pub hint: Option<String>,
    /// What a query then gives.
    pub landed: Option<Landed>,
}

/// A query after the statements, in a session of its own: it sees what was committed.
#[derive(Debug, PartialEq, Eq)]
pub struct Landed {
    /// The query.
    pub sql: String,
    /// Its rows, values as PostgreSQL prints them.
    pub rows: Vec<Vec<Option<String>>>,
}
