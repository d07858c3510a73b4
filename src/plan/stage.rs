//! A COPY whose rows cannot be judged where COPY judges: they go into a temporary table first, the *stage*, and are inserted from there.
//!
//! COPY's `WHERE` allows no sub-query and runs before `BEFORE` triggers; the `RETURNING` of an INSERT sees the final row. So the one statement
//! becomes several in its place, all in the transaction that it would have run in, so that nothing of them is left when it ends, whichever way:
//! ```sql
//! CREATE TEMPORARY TABLE chronoguard_copy AS SELECT a, b FROM t WITH NO DATA;      -- the columns that COPY fills, and nothing else of t
//! EXPLAIN INSERT INTO t (a, b) … RETURNING guard;                                  -- what is wrong with it is told before data is asked for
//! COPY pg_temp.chronoguard_copy (a, b) FROM … the client's options …;
//! INSERT INTO t (a, b) OVERRIDING SYSTEM VALUE SELECT … FROM pg_temp.chronoguard_copy RETURNING guard;
//! TRUNCATE pg_temp.chronoguard_copy; DROP TABLE pg_temp.chronoguard_copy           -- the file goes now, not at the end of the transaction
//! ```

use crate::{
    catalog::facts::{RelationFacts, Resolved},
    guard::{Guard, Lines, Reason, STAGE, STAGED_ROW, Skip},
    sql::{
        name::quote_ident,
        splice::Edit,
        write::{CopySource, Write},
    },
};

/// System columns, which a stage has too, with values of its own.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// What must be known of a staged COPY while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Name of the relation, as messages of the server have it.
    pub relation: String,
    /// Lines of the data before the first row.
    pub header_lines: u64,
    /// The client sends the rows.
    pub stdin: bool,
    /// The statements before the COPY.
    pub before: [Vec<u8>; 2],
    /// The statements behind it.
    pub after: [Vec<u8>; 3],
}

/// How the statements of a stage get to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In the client's text.
    Text,
    /// One by one, before and behind the run of the client's own, whose text only names the stage: a `Parse` holds one statement.
    Messages,
}

/// Whether a guard in COPY's `WHERE` does not judge all that a guard in an INSERT does.
pub fn wanted(fast: Result<&Guard, Reason>) -> bool {
    let limit =
        |reason: &Reason| matches!(reason, Reason::CopySubquery | Reason::CopyTrigger | Reason::NoticesSilenced);
    match fast {
        Ok(guard) => guard.skipped.iter().any(|(_, skip)| matches!(skip, Skip::Unguardable(reason) if limit(reason))),
        Err(reason) => limit(&reason),
    }
}

/// What is known of a COPY that may be staged.
pub(super) struct Stageable<'a> {
    source: &'a CopySource,
    relation: &'a RelationFacts,
    /// Quoted, with commas between.
    columns: String,
    /// How lines of its data are counted.
    pub(super) lines: Lines,
}

impl<'a> Stageable<'a> {
    /// `None`: its rows cannot take that way, or not with nobody noticing.
    pub(super) fn of(write: &'a Write, relation: &'a RelationFacts, resolved: &Resolved, utf8: bool) -> Option<Self> {
        let source = write.copy.as_ref()?;
        let own: Vec<&str> = relation.columns.iter().filter(|c| !c.generated).map(|c| c.name.as_str()).collect();
        let columns: Vec<&str> = match &write.columns {
            Some(columns) => columns.iter().map(String::as_str).collect(),
            None => own.clone(),
        };
        let filled = |name: &str| columns.contains(&name);
        let twice = columns.iter().enumerate().any(|(n, column)| columns[..n].contains(column));
        // What is wrong with the statement the server is to say about the client's own.
        let valid = matches!(relation.kind, 'r' | 'p')
            && !columns.is_empty()
            && !twice
            && columns.iter().all(|column| own.contains(column));
        let same = !relation.stage.insert_rule
            && relation.stage.domains.iter().all(|column| filled(column))
            && !source.particular
            && !source
                .option_names
                .iter()
                .chain(&source.where_names)
                .any(|name| strange(name, write, relation, &filled));
        let columns = columns.iter().map(|column| quote_ident(column)).collect::<Vec<_>>().join(", ");
        let writable = utf8 || columns.is_ascii() && relation.name.name.is_ascii();
        (valid && same && writable).then(|| Self { source, relation, columns, lines: lines(source, resolved) })
    }

    /// The stage, with this guard over the rows that are inserted from it.
    pub(super) fn stage(&self, text: &[u8], guard: &str) -> Stage {
        let columns = &self.columns;
        // As the client names it, which means the same throughout: the stage has another name.
        let relation = &text[self.source.relation.clone()];
        // Which row is at hand is known before it is inserted: rows are read, inserted and judged one by one.
        let at_hand = match self.lines {
            Lines::Unknown => String::new(),
            Lines::Rows | Lines::Csv => {
                format!(" WHERE pg_catalog.set_config('{STAGED_ROW}', {STAGE}.ctid::pg_catalog.text, true) IS NOT NULL")
            }
        };
        let from = format!(
            " ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pg_temp.{STAGE}{at_hand} RETURNING {guard}"
        );
        let create = format!("CREATE TEMPORARY TABLE {STAGE} AS SELECT {columns} FROM ");
        Stage {
            relation: self.relation.name.name.clone(),
            header_lines: self.source.header.into(),
            stdin: self.source.stdin,
            before: [
                [create.as_bytes(), relation, b" WITH NO DATA"].concat(),
                [b"EXPLAIN INSERT INTO ", relation, from.as_bytes()].concat(),
            ],
            after: [
                [b"INSERT INTO ", relation, from.as_bytes()].concat(),
                format!("TRUNCATE pg_temp.{STAGE}").into_bytes(),
                format!("DROP TABLE pg_temp.{STAGE}").into_bytes(),
            ],
        }
    }
}

impl Stage {
    /// How the client's text changes.
    pub(super) fn edits(&self, write: &Write, way: Way) -> Vec<Edit> {
        let Some(CopySource { relation, .. }) = &write.copy else { return Vec::new() };
        let renamed = Edit { at: relation.start, remove: relation.len(), insert: format!("pg_temp.{STAGE}").into() };
        if way == Way::Messages {
            return vec![renamed];
        }
        let [create, explain] = &self.before;
        let before = [&create[..], b"; ", explain, b"; "].concat();
        let after = self.after.iter().flat_map(|sql| [b"; ", &sql[..]]).collect::<Vec<_>>().concat();
        vec![
            Edit { at: write.span.start, remove: 0, insert: before },
            renamed,
            Edit { at: write.end, remove: 0, insert: after },
        ]
    }
}

/// A name in the client's `WHERE` that may mean something else over a stage: a column that COPY does not fill, the row, the relation.
fn strange(name: &str, write: &Write, relation: &RelationFacts, filled: &impl Fn(&str) -> bool) -> bool {
    SYSTEM_COLUMNS.contains(&name)
        || name == write.target.name
        || relation.columns.iter().any(|column| column.name == name && !filled(name))
}

fn lines(source: &CopySource, resolved: &Resolved) -> Lines {
    match source {
        _ if source.skips || !source.where_names.is_empty() || !resolved.may_set_config => Lines::Unknown,
        CopySource { csv: true, .. } => Lines::Csv,
        _ => Lines::Rows,
    }
}
