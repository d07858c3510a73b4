//! Rules → guard expression (`compile`), guard output → violations (`verdict`), their diagnosis (`cause`).
//!
//! Knows rules and catalog facts; knows no sockets and no client text beyond the row's name.
//!
//! A guard is one SQL expression of type `text` over a row alias. Good row: `''` or NULL, at next to no cost. Bad row, by [`Channel`]:
//! *observe* and *warn* arms give their finding's text; *reject* arms raise 22P02 from `int4in` with the text in the message.
//! Text of a finding (ASCII only): `rule number|value|value|…;` see [`verdict`].

use crate::{
    catalog::facts::RelationFacts,
    rules::set::{Action, TableRules},
    sql::write::Operation,
};

/// How the verdict leaves the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// As the text of the guard column; reject arms raise.
    Column,
    /// Where no column can come back (CTE, `EXPLAIN ANALYZE`, …): observe and warn arms make the server send the NOTICE of SPLICE.md 1.3 and the guard is
    /// always NULL; reject arms raise.
    Notice,
    /// The `WHERE` of a COPY: as `Notice`, but boolean and always true, no sub-selects, generated columns inlined.
    CopyWhere,
}

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
    /// `ON CONFLICT DO UPDATE`: the columns it sets.
    pub conflict_columns: Option<&'a [String]>,
    /// `server_version_num`.
    pub server_version: u32,
    /// The client's text also writes these relations (a parent written in the same statement cannot be seen).
    pub also_written: &'a [String],
    /// Every rule as observe (kill switch).
    pub observe_only: bool,
    /// The random mark of this process: 16 hexadecimal digits.
    pub mark: &'a str,
}

/// The compiled guard of one write.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// The SQL expression, fully parenthesised where needed, ready to be one item of a `RETURNING` list (or a boolean for `CopyWhere`).
    /// `None`: no rule judges this write (an UPDATE that touches none of their columns).
    pub expression: Option<String>,
    /// Numbers (indices in `TableRules::rules`) of the rules compiled into it, with the action each has here.
    pub judged: Vec<(usize, Action)>,
    /// Rules not judged in this write, and why.
    pub skipped: Vec<(usize, Skip)>,
}

/// Why one rule does not judge a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// The UPDATE sets none of its columns: a row that was bad before stays editable.
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
    /// COPY's WHERE runs before BEFORE triggers.
    CopyTrigger,
    /// The rule needs a sub-select, which COPY's WHERE does not allow.
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
        }
    }
}

/// Compiles the rules of a table into the guard of one write. To be written in `compile.rs`:
/// `pub fn compile(table: &TableRules, relation: &RelationFacts, site: &Site<'_>) -> Result<Guard, Reason>`.
#[allow(dead_code, reason = "signature sketch until compile.rs lands")]
type Compile = fn(&TableRules, &RelationFacts, &Site<'_>) -> Result<Guard, Reason>;
