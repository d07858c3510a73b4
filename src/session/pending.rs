//! Writes whose transaction has not ended yet: what became of them is known at its end.

use std::sync::Arc;

use crate::{
    observe::{TableMetrics, WriteResult},
    sql::write::Operation,
};

/// The writes of the open transaction, in order, with the savepoints between them.
#[derive(Debug, Default)]
pub(super) struct PendingWrites(Vec<Step>);

#[derive(Debug)]
enum Step {
    /// So many writes of one kind in a row.
    Write(Arc<TableMetrics>, Operation, u64),
    Savepoint(String),
}

impl PendingWrites {
    /// A guarded write succeeded inside a transaction.
    pub(super) fn write(&mut self, table: &Arc<TableMetrics>, operation: Operation) {
        match self.0.last_mut() {
            Some(Step::Write(last, kind, count)) if Arc::ptr_eq(last, table) && *kind == operation => *count += 1,
            _ => self.0.push(Step::Write(Arc::clone(table), operation, 1)),
        }
    }

    /// `SAVEPOINT`. Counts only behind a write, so that a transaction without guarded writes keeps nothing.
    pub(super) fn savepoint(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(Step::Savepoint(name.to_owned()));
        }
    }

    /// `ROLLBACK TO`: everything behind the newest savepoint of that name is taken back; an unknown one was made before the first write.
    pub(super) fn rollback_to(&mut self, name: &str) {
        let at = self.0.iter().rposition(|s| matches!(s, Step::Savepoint(n) if n == name)).map_or(0, |at| at + 1);
        finish(self.0.drain(at..), WriteResult::RolledBack);
    }

    /// The transaction ended.
    pub(super) fn end(&mut self, result: WriteResult) {
        if !self.0.is_empty() {
            finish(self.0.drain(..), result);
        }
    }

    /// The connection ended.
    pub(super) fn lost(&mut self) {
        self.end(WriteResult::Lost);
    }
}

fn finish(steps: impl Iterator<Item = Step>, result: WriteResult) {
    for step in steps {
        if let Step::Write(table, operation, count) = step {
            for _ in 0..count {
                table.write_result(operation, result);
            }
        }
    }
}
