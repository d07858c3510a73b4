//! A staged COPY while the server runs it: several statements reply where the client expects one (see [`crate::plan::stage`]).
//!
//! ```text
//! server   C(CREATE)  [T] D… C(EXPLAIN)  G ······ C(COPY n)  [T] D… C(INSERT 0 n)  C(TRUNCATE)  C(DROP)
//! client                                 G ······                                               C(COPY n)
//! ```
//! In the simple protocol they are statements of the same `Query`. In the extended one each has a `Parse`, `Bind`, `Execute` and `Close` of its own;
//! those behind the COPY follow the client's `CopyDone` at once, and everything that they answer belongs to the client's `Execute`.

use std::{borrow::Cow, sync::Arc};

use crate::{guard::STAGE, plan::stage::Stage, wire::backend};

/// Which of the statements replies now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Makes the stage.
    Create,
    /// Tries whether the INSERT would run.
    Explain,
    /// Fills the stage: the client's own.
    Copy,
    /// Inserts the rows, and judges them.
    Insert,
    /// Empties the stage.
    Truncate,
    /// Removes it.
    Drop,
}

/// Where a staged COPY stands.
#[derive(Debug)]
pub(super) struct Staged {
    stage: Arc<Stage>,
    step: Step,
    /// Rows inserted.
    rows: u64,
}

impl Staged {
    pub(super) fn new(stage: Arc<Stage>) -> Self {
        Self { stage, step: Step::Create, rows: 0 }
    }

    /// The rows that come now carry verdicts.
    pub(super) fn judges(&self) -> bool {
        self.step == Step::Insert
    }

    /// The client's own statement replies now.
    pub(super) fn is_clients(&self) -> bool {
        self.step == Step::Copy
    }

    /// The client's own statement has not begun, so that it can still be run without a stage; unless this error is one that it would meet, too.
    pub(super) fn may_be_left_out(&self, sqlstate: &[u8]) -> bool {
        let class = sqlstate.get(..2).unwrap_or_default();
        // A cancelled query, a lock that could not be had, a serialization failure, a lost connection, a failed transaction.
        let passing = matches!(class, b"57" | b"55" | b"40" | b"08") || sqlstate == b"25P02";
        matches!(self.step, Step::Create | Step::Explain) && !passing
    }

    /// The stage could not be made, for a reason that the catalog did not tell: an event trigger, a privilege.
    pub(super) fn broke(&self, sqlstate: &[u8]) -> bool {
        // A read-only transaction refuses the client's own statement, too.
        self.step == Step::Create && self.may_be_left_out(sqlstate) && sqlstate != b"25006"
    }

    /// `CommandComplete` of one of the statements. At the last one, what the client gets.
    pub(super) fn complete(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        self.step = match self.step {
            Step::Create => Step::Explain,
            Step::Explain => Step::Copy,
            Step::Copy => Step::Insert,
            Step::Insert => {
                self.rows = backend::tag_rows(command);
                Step::Truncate
            }
            Step::Truncate => Step::Drop,
            Step::Drop => return Some(format!("COPY {}", self.rows).into_bytes()),
        };
        None
    }

    /// The context of a refusal, as COPY's own errors have it. `line`: of the rows, without a header.
    pub(super) fn context(&self, line: Option<u64>) -> String {
        match line {
            Some(line) => format!("COPY {}, line {}", self.stage.relation, line + self.stage.header_lines),
            None => format!("COPY {}", self.stage.relation),
        }
    }

    /// The fields of a notice as the client's own statement would have had them.
    pub(super) fn notice<'m>(&self, fields: &[(u8, &'m [u8])]) -> Vec<(u8, Cow<'m, [u8]>)> {
        let relation = self.stage.relation.as_bytes();
        fields.iter().map(|(kind, value)| (*kind, replaced(value, STAGE.as_bytes(), relation))).collect()
    }

    /// The same for an error.
    pub(super) fn error<'m>(&self, fields: &[(u8, &'m [u8])]) -> Vec<(u8, Cow<'m, [u8]>)> {
        let mut shown = self.notice(fields);
        let read_only = fields.contains(&(b'C', b"25006"));
        match self.step {
            Step::Create if read_only => {
                for (_, message) in shown.iter_mut().filter(|(kind, _)| *kind == b'M') {
                    *message = Cow::Owned(replaced(message, b"CREATE TABLE AS", b"COPY FROM").into_owned());
                }
            }
            // The line is not known: the server tells of a row, and not which.
            Step::Insert => match shown.iter_mut().find(|(kind, _)| *kind == b'W') {
                Some((_, context)) => {
                    let context = context.to_mut();
                    context.push(b'\n');
                    context.extend_from_slice(self.context(None).as_bytes());
                }
                None => shown.push((b'W', Cow::Owned(self.context(None).into_bytes()))),
            },
            _ => {}
        }
        shown
    }
}

fn replaced<'m>(text: &'m [u8], from: &[u8], to: &[u8]) -> Cow<'m, [u8]> {
    let mut out = Vec::new();
    let mut done = 0;
    for at in memchr::memmem::find_iter(text, from) {
        out.extend_from_slice(&text[done..at]);
        out.extend_from_slice(to);
        done = at + from.len();
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[done..]);
    Cow::Owned(out)
}
