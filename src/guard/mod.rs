//! Rules → guard expression (`compile`), guard output → violations (`verdict`), their diagnosis (`cause`).
//!
//! Knows rules and catalog facts; knows no sockets and no client text beyond the row's name.
//!
//! A guard is one SQL expression of type `text` over a row alias. Good row: `''` or NULL, at next to no cost. Bad row, by [`Channel`]:
//! *observe* and *warn* arms give their finding's text; *reject* arms raise 22P02 from `int4in` with the text in the message.
//! Text of a finding (ASCII only): `rule number|value|value|…;` see [`verdict`].
//!
//! ```text
//! rule ──kinds──▶ Judgement (violated?, values)  ──compile──▶ Guard.expression ──▶ server
//!        ▲   ▲                                                                       │ column, error or notice text
//!  row::Row  condition (raw SQL)                     Violation ◀─cause─ Finding ◀─verdict
//! ```

mod assess;
pub mod cache;
mod carry;
pub mod cause;
pub mod compile;
mod condition;
mod decision;
mod kinds;
pub mod old;
mod row;
mod sql;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod verdict;
pub mod violation;

pub use self::{
    cause::Cause,
    compile::{compile, violated},
    decision::{Decided, Decision},
    old::OldPlaces,
    verdict::{Finding, Value, Verdict},
    violation::Violation,
};

use std::sync::Arc;

use crate::{
    catalog::facts::QualifiedName,
    rules::set::{Action, Exemption},
    sql::{splice::OldRow, write::Operation},
};

/// How the verdict leaves the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// As the text of the guard column; reject arms raise.
    Column,
    /// Where no column can come back (CTE, `EXPLAIN ANALYZE`, …): observe and warn arms make the server send the NOTICE of
    /// SPLICE.md 1.3 and the guard is always NULL; reject arms raise.
    Notice,
    /// The `WHERE` of a COPY: as `Notice`, but boolean and always true, no sub-selects, generated columns inlined.
    CopyWhere,
    /// The INSERT that takes the rows of a COPY out of their stage: as `Column`, and a reject arm also says in which line the row was.
    Staged(Lines),
}

impl Channel {
    /// The verdict comes back in a column.
    fn is_column(self) -> bool {
        matches!(self, Self::Column | Self::Staged(_))
    }
}

/// How a line of a COPY's data is found for a row of its stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Not at all: rows of the data may be missing in the stage.
    Unknown,
    /// Each row was one line.
    Rows,
    /// Values may have line breaks in them.
    Csv,
}

/// The stage: the temporary table that holds the rows of a COPY until they are inserted. One name for all, so that statistics by statement stay few.
pub const STAGE: &str = "chronoguard_copy";

/// The setting that says, while the rows of a stage are inserted, which of them is at hand: its `ctid`.
pub const STAGED_ROW: &str = "chronoguard.row";

/// What is being written, and how.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// Kind of the write.
    pub operation: Operation,
    /// How the guard names the row: an SQL identifier, quoted if need be (alias or table name). In COPY the table's name.
    pub row: &'a str,
    /// How the verdict leaves.
    pub channel: Channel,
    /// UPDATE: the columns in SET. INSERT: the column list. `None`: all.
    pub columns: Option<&'a [String]>,
    /// `ON CONFLICT DO UPDATE`: the columns it sets. MERGE: the columns that its UPDATE actions set, if there are any.
    pub conflict_columns: Option<&'a [String]>,
    /// From where the row before the write can be had.
    pub old: OldPlaces<'a>,
    /// The role may call `set_config`.
    pub may_set_config: bool,
    /// INSERT names a conflict target: row security then applies the SELECT policies anyway.
    pub conflict_target: bool,
    /// Without our help the statement already reads a column of the target (see `sql::write::Write::reads_target`).
    pub reads_target: bool,
    /// `server_version_num`.
    pub server_version: u32,
    /// `client_min_messages` lets a NOTICE through.
    pub notices: bool,
    /// The client's text also writes these relations, as `table` or `schema.table` (a parent written in the same statement cannot
    /// be seen).
    pub also_written: &'a [String],
    /// Every rule as observe (kill switch).
    pub observe_only: bool,
    /// The exemptions that are for this session and role; whether for the name that the client goes by is for the guard to see.
    pub exemptions: &'a [Arc<Exemption>],
    /// The role's `application_name` is believed.
    pub trusted: bool,
    /// The random mark of this process: 16 hexadecimal digits. Where one text has several guarded writes, a suffix such as `.1`
    /// tells their findings apart. ASCII letters, digits, `.` and `-` only.
    pub mark: &'a str,
}

/// The compiled guard of one write.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// The SQL expression, fully parenthesised where needed, ready to be one item of a `RETURNING` list (or a boolean for `CopyWhere`).
    /// `None`: no rule judges this write (an UPDATE that touches none of their columns).
    pub expression: Option<String>,
    /// What must stand in the text beside it, for rules that need the row before.
    pub old_row: Option<OldRow>,
    /// Numbers (indices in `TableRules::rules`) of the rules compiled into it, with the strictest action that each has here.
    pub judged: Vec<(usize, Action)>,
    /// For each entry of `judged`: what a violation leads to.
    pub decisions: Vec<Decision>,
    /// The rules that are judged by how many rows the statement wrote, once it is over: no SQL of them is in the guard.
    pub counted: Vec<(usize, Decision)>,
    /// Rules not judged in this write, and why. A rule that is judged, but more mildly than its file says, is in both lists.
    pub skipped: Vec<(usize, Skip)>,
    /// Names of the key columns that every finding begins with. Empty: the role cannot read the key, or there is none.
    pub key: Vec<String>,
    /// For each entry of `judged`: what its finding carries, in order.
    pub slots: Vec<Vec<Slot>>,
    /// What the diagnosis must know of the write.
    pub context: Context,
}

/// What one value of a finding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Whose value.
    pub source: Source,
    /// Name of the column; for [`Source::Server`] the function.
    pub column: String,
}

/// Whose value a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The judged row's.
    Row,
    /// That of the row as it was before the write.
    Old,
    /// The parent row's.
    Parent,
    /// The server's clock: `now` (start of the transaction) or `clock_timestamp`.
    Server,
}

/// The write a guard was made for, as far as messages and diagnosis need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// Kind of the write.
    pub operation: Operation,
    /// The relation written.
    pub relation: QualifiedName,
    /// UPDATE: the columns in SET. INSERT and COPY: the column list. `None`: all, or unknown.
    pub columns: Option<Vec<String>>,
    /// Columns that `ON CONFLICT DO UPDATE` sets.
    pub conflict_columns: Option<Vec<String>>,
    /// Columns left out of the INSERT or COPY whose default is the server's clock, with that default's text.
    pub clock_defaults: Vec<(String, String)>,
}

/// Why one rule does not judge a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// The UPDATE sets none of its columns: a row that was bad before stays editable. Or it is about rows that were there before, and the write
    /// makes new ones.
    Untouched,
    /// It cannot be judged there; counted as unguardable.
    Unguardable(Reason),
}

/// Why a write, or one rule of it, cannot be guarded. Label of `unguardable_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The role may not read a column that the guard reads.
    NoSelectPrivilege,
    /// Row security would filter by SELECT policies that the client's statement does not need.
    RowSecurity,
    /// An INSTEAD rule: PostgreSQL allows no RETURNING.
    InsteadRule,
    /// A view whose columns cannot be mapped for certain.
    View,
    /// A view with INSTEAD OF triggers.
    InsteadOfTrigger,
    /// A foreign table or partition: RETURNING would switch batching off.
    ForeignTable,
    /// `MERGE` before PostgreSQL 17 has no RETURNING.
    MergeBefore17,
    /// The statement could not be read.
    Unreadable,
    /// No column of the CTE's RETURNING list can carry the guard.
    CteReturning,
    /// COPY's WHERE runs before BEFORE triggers, and the rows cannot go through a stage.
    CopyTrigger,
    /// The rule needs a sub-select, which COPY's WHERE does not allow, and the rows cannot go through a stage.
    CopySubquery,
    /// The client silences NOTICEs, the only channel here.
    NoticesSilenced,
    /// The rule names a column that the table has not.
    ColumnMissing,
    /// A column's type is none that the rule can judge.
    ColumnType,
    /// The parent table is missing, unreadable or under row security.
    Parent,
    /// The parent is written by the same statement and cannot be seen by it.
    ParentSameStatement,
    /// The message is larger than the cap.
    MessageTooLarge,
    /// The client encoding is not safe for ASCII searches.
    ClientEncoding,
    /// The row was stored in another relation than the guard was made for.
    OtherRelation,
    /// The circuit breaker is open.
    BreakerOpen,
    /// The catalog could not be asked (failed transaction, time-out).
    CatalogUnknown,
    /// The guard would exceed a limit of the server (1,664 columns).
    TooManyColumns,
    /// `ON CONFLICT DO UPDATE`: whether the row is new cannot be told, and a row that was bad before must stay editable.
    UpsertUnknown,
    /// There is no place in the statement from which the row before the write could be had, or what was had is another row's.
    OldRow,
    /// The role may not call `set_config`, which carries the row before the write.
    SetConfig,
    /// Inside `WITH` and the like: the server does not tell how many rows it wrote.
    RowsUnknown,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::NoSelectPrivilege,
        Self::RowSecurity,
        Self::InsteadRule,
        Self::View,
        Self::InsteadOfTrigger,
        Self::ForeignTable,
        Self::MergeBefore17,
        Self::Unreadable,
        Self::CteReturning,
        Self::CopyTrigger,
        Self::CopySubquery,
        Self::NoticesSilenced,
        Self::ColumnMissing,
        Self::ColumnType,
        Self::Parent,
        Self::ParentSameStatement,
        Self::MessageTooLarge,
        Self::ClientEncoding,
        Self::OtherRelation,
        Self::BreakerOpen,
        Self::CatalogUnknown,
        Self::TooManyColumns,
        Self::UpsertUnknown,
        Self::OldRow,
        Self::SetConfig,
        Self::RowsUnknown,
    ];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSelectPrivilege => "no_select_privilege",
            Self::RowSecurity => "row_security",
            Self::InsteadRule => "instead_rule",
            Self::View => "view",
            Self::InsteadOfTrigger => "instead_of_trigger",
            Self::ForeignTable => "foreign_table",
            Self::MergeBefore17 => "merge_before_17",
            Self::Unreadable => "unreadable",
            Self::CteReturning => "cte_returning",
            Self::CopyTrigger => "copy_trigger",
            Self::CopySubquery => "copy_subquery",
            Self::NoticesSilenced => "notices_silenced",
            Self::ColumnMissing => "column_missing",
            Self::ColumnType => "column_type",
            Self::Parent => "parent",
            Self::ParentSameStatement => "parent_same_statement",
            Self::MessageTooLarge => "message_too_large",
            Self::ClientEncoding => "client_encoding",
            Self::OtherRelation => "other_relation",
            Self::BreakerOpen => "breaker_open",
            Self::CatalogUnknown => "catalog_unknown",
            Self::TooManyColumns => "too_many_columns",
            Self::UpsertUnknown => "upsert_unknown",
            Self::OldRow => "old_row",
            Self::SetConfig => "set_config",
            Self::RowsUnknown => "rows_unknown",
        }
    }
}

impl From<crate::sql::splice::NoPlace> for Reason {
    fn from(no: crate::sql::splice::NoPlace) -> Self {
        use crate::sql::splice::NoPlace;
        match no {
            NoPlace::Unreadable => Self::Unreadable,
            NoPlace::CteReturning => Self::CteReturning,
            NoPlace::TooManyColumns => Self::TooManyColumns,
        }
    }
}
