//! The validated rules: what the rest of the program uses. A [`RuleSet`] is replaced whole, never changed in place.
//!
//! Built only by [`super::load`]; knows no YAML, no SQL text of clients and no I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

mod exemption;

pub use exemption::{Exemption, Matches, Network};

use crate::sql::write::Operation;

/// All rules in force, from all rule files.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// The guarded tables, one entry per `(schema, table)`.
    pub tables: Vec<Arc<TableRules>>,
    /// Writers whose violations are counted and logged, but not acted upon, in file order.
    pub exemptions: Vec<Arc<Exemption>>,
    /// Roles whose `application_name` is believed: see [`Exemption`].
    pub trusted_roles: Vec<String>,
    /// What `chronoguard test` runs, file by file.
    pub tests: Vec<super::rule_tests::FileTests>,
    /// Hash over the bytes of all rule files, 16 hexadecimal digits.
    pub hash: String,
}

impl RuleSet {
    /// The rules of a table.
    pub fn table(&self, name: &crate::catalog::facts::QualifiedName) -> Option<&Arc<TableRules>> {
        self.tables.iter().find(|t| t.table == name.name && t.schema == name.schema)
    }
}

/// The rules of one table.
#[derive(Debug)]
pub struct TableRules {
    /// Schema as PostgreSQL stores it (folded, unquoted); `public` where the file names none.
    pub schema: String,
    /// Table name as PostgreSQL stores it.
    pub table: String,
    /// Who answers for these rules.
    pub owner: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Link or text for who is on call.
    pub runbook: Option<String>,
    /// What happens to a write that cannot be guarded.
    pub unguardable: OnUnguardable,
    /// The rules in file order. The index in this list is the rule's number in a guard's payload.
    pub rules: Vec<Rule>,
    /// Where the table stands in its file.
    pub place: Place,
}

impl TableRules {
    /// Schema and name.
    pub fn qualified_name(&self) -> crate::catalog::facts::QualifiedName {
        crate::catalog::facts::QualifiedName { schema: self.schema.clone(), name: self.table.clone() }
    }

    /// `schema.table`, the metric label.
    pub fn label(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }
}

/// What happens to a write to a guarded table that cannot be guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnguardable {
    /// It is forwarded as it is, and counted.
    #[default]
    Pass,
    /// It is refused with SQLSTATE 0A000, and counted.
    Reject,
}

/// What a violation leads to. Ordered from the mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Counted and logged as exempt: what an [`Exemption`] makes of a rule's action. No rule file says it.
    #[serde(skip_deserializing)]
    Exempt,
    /// Counted and logged.
    #[default]
    Observe,
    /// As observe, and the client gets a `NoticeResponse`.
    Warn,
    /// The statement fails with `check_violation`.
    Reject,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Exempt, Self::Observe, Self::Warn, Self::Reject];

    /// The metric label and log field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exempt => "exempt",
            Self::Observe => "observe",
            Self::Warn => "warn",
            Self::Reject => "reject",
        }
    }
}

/// `on_violation`: one action, or one for each kind of write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnViolation {
    /// The action of kinds of write that are not named.
    pub default: Action,
    /// The action of those that are.
    pub operations: BTreeMap<Operation, Action>,
}

impl OnViolation {
    /// The same action for every kind of write.
    pub fn is_uniform(&self) -> bool {
        self.operations.values().all(|action| *action == self.default)
    }

    /// What a violation of this kind of write leads to.
    pub fn action(&self, operation: Operation) -> Action {
        self.operations.get(&operation).copied().unwrap_or(self.default)
    }

    /// The strictest action of any kind of write.
    pub fn strictest(&self) -> Action {
        self.operations.values().copied().fold(self.default, Action::max)
    }
}

impl From<Action> for OnViolation {
    fn from(default: Action) -> Self {
        Self { default, operations: BTreeMap::new() }
    }
}

/// A share of statements in hundredths of a percent, 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ramp {
    /// `5%` is 500.
    pub basis_points: u16,
}

impl Ramp {
    /// Every statement.
    pub const ALL: Self = Self { basis_points: 10_000 };
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Unique over all files; metric label, error field, log field.
    pub name: String,
    /// What a violation leads to.
    pub on_violation: OnViolation,
    /// Of the statements that would be rejected, the share that is; the others are warned.
    pub ramp: Option<Ramp>,
    /// Until then the rule only observes.
    pub since: Option<jiff::Timestamp>,
    /// Free label for alert routing, as written in the file.
    pub severity: Option<String>,
    /// Replaces the hint that the diagnosed cause gives.
    pub hint: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Judge also updates that set none of the rule's columns.
    pub always: bool,
    /// The rule holds only for rows where this is true.
    pub when: Option<Condition>,
    /// Unit of numeric columns by column name: the table's `units` overlaid by the rule's `unit`.
    pub units: BTreeMap<String, Unit>,
    /// Zone in which `timestamp` and `date` columns are read where they meet a `timestamptz`.
    pub timezone: Option<String>,
    /// What is judged.
    pub kind: Kind,
    /// Where the rule stands in its file.
    pub place: Place,
}

/// Unit of a number that counts since the epoch, or of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl Unit {
    /// How many of this unit make a second.
    pub fn per_second(self) -> u64 {
        match self {
            Self::S => 1,
            Self::Ms => 1_000,
            Self::Us => 1_000_000,
            Self::Ns => 1_000_000_000,
        }
    }
}

/// A length of time from a rule file (`5ms`, `1h30m`, `30d`; a day is 24 hours), never negative. Nanoseconds, since `unit: ns` exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// The whole length in nanoseconds.
    pub nanos: u64,
}

/// Boolean SQL from a rule file (`check`, `when`).
#[derive(Debug, Clone)]
pub struct Condition {
    /// The text as written, one expression, already known to parse.
    pub text: String,
    /// Columns it reads, folded, in order of first use.
    pub columns: Vec<String>,
}

/// What a rule judges. One variant per file in [`super::kinds`].
#[derive(Debug)]
pub enum Kind {
    /// Each column `<=` the next one that is not null.
    Order(Order),
    /// A stored duration agrees with its start and end.
    Duration(Duration),
    /// A time is close to the server's clock.
    NearNow(NearNow),
    /// A time lies in a range (epoch zero, infinity, ms for s).
    Plausible(Plausible),
    /// Columns that must be null or not null.
    Require(Require),
    /// Any boolean SQL over the row. Violated when false; null is not a violation, as in `CHECK`.
    Check(Condition),
    /// The row against its parent row.
    Parent(Parent),
    /// Columns that keep their first value.
    WriteOnce(WriteOnce),
    /// Columns that never decrease.
    Monotonic(Monotonic),
    /// A column that changes from one state to another only as allowed.
    Transitions(Transitions),
    /// Statements that must write a row.
    AffectsRows(AffectsRows),
    // deadline: rows that stay in a state for too long, found by the auditor.
}

impl Kind {
    /// It compares the row with what it was before the write.
    pub fn has_memory(&self) -> bool {
        matches!(self, Self::WriteOnce(_) | Self::Monotonic(_) | Self::Transitions(_))
    }

    /// It says something of rows that are new.
    pub fn judges_new(&self) -> bool {
        match self {
            Self::Transitions(transitions) => transitions.initial.is_some(),
            _ => !self.has_memory(),
        }
    }

    /// The key of the kind in a rule file.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Order(_) => "order",
            Self::Duration(_) => "duration",
            Self::NearNow(_) => "near_now",
            Self::Plausible(_) => "plausible",
            Self::Require(_) => "require",
            Self::Check(_) => "check",
            Self::Parent(_) => "parent",
            Self::WriteOnce(_) => "write_once",
            Self::Monotonic(_) => "monotonic",
            Self::Transitions(_) => "transitions",
            Self::AffectsRows(_) => "affects_rows",
        }
    }
}

/// `order: [a, b, c]`.
#[derive(Debug)]
pub struct Order {
    /// At least two, distinct.
    pub columns: Vec<String>,
    /// Equal values violate too.
    pub strict: bool,
    /// By how much a value may be before its predecessor.
    pub tolerance: Span,
    /// The least distance to the predecessor; excludes `tolerance` and `strict`.
    pub min_gap: Option<Span>,
    /// The greatest distance to the predecessor.
    pub max_gap: Option<Span>,
}

/// `duration: {column, start, end, unit, tolerance}`.
#[derive(Debug)]
pub struct Duration {
    /// The stored duration: a number with a unit, or an `interval`.
    pub column: String,
    /// Start column.
    pub start: String,
    /// End column.
    pub end: String,
    /// Unit of the duration column where it is a number.
    pub unit: Unit,
    /// By how much it may be off.
    pub tolerance: Span,
}

/// `near_now: {columns, past, future}`; at least one of the two.
#[derive(Debug)]
pub struct NearNow {
    /// The judged columns.
    pub columns: Vec<String>,
    /// Greatest age, measured from the start of the transaction.
    pub past: Option<Span>,
    /// Greatest distance into the future, measured from the clock.
    pub future: Option<Span>,
}

/// `plausible: {columns, after, before}`. Infinity, NaN and epoch zero violate always.
#[derive(Debug)]
pub struct Plausible {
    /// The judged columns.
    pub columns: Vec<String>,
    /// Values before this instant violate.
    pub after: jiff::Timestamp,
    /// Values at or after this instant violate.
    pub before: jiff::Timestamp,
}

/// `require: {not_null: […], null: […]}`.
#[derive(Debug)]
pub struct Require {
    /// Must have a value.
    pub not_null: Vec<String>,
    /// Must have none.
    pub null: Vec<String>,
}

/// `parent: {table, join, not_reused, not_before}`.
#[derive(Debug)]
pub struct Parent {
    /// The parent's schema, `public` where the file names none.
    pub schema: String,
    /// The parent's name.
    pub table: String,
    /// `(column of this table, column of the parent)`, at least one.
    pub join: Vec<(String, String)>,
    /// Pairs whose values must differ.
    pub not_reused: Vec<(String, String)>,
    /// Pairs where this row's value must not be before the parent's.
    pub not_before: Vec<(String, String)>,
    /// By how much `not_before` may be missed.
    pub tolerance: Span,
    /// Take `FOR SHARE` on the parent row (closes the race, costs locks and the UPDATE privilege).
    pub lock_parent: bool,
}

/// `write_once: [a, b]`: NULL may become a value, a value may become nothing else.
#[derive(Debug)]
pub struct WriteOnce {
    /// The columns, of any type.
    pub columns: Vec<String>,
}

/// `monotonic: [a, b]`: a value is never less than it was; equal values pass.
#[derive(Debug)]
pub struct Monotonic {
    /// The columns: times or numbers.
    pub columns: Vec<String>,
}

/// `transitions: {column, allow, initial}`. To stay in a state is allowed, and so is every change from and to NULL.
#[derive(Debug)]
pub struct Transitions {
    /// The column that holds the state.
    pub column: String,
    /// For each state the ones that may follow it, in file order.
    pub allow: Vec<(String, Vec<String>)>,
    /// States that a new row may have; `None`: any.
    pub initial: Option<Vec<String>>,
}

/// `affects_rows: {operations, min}`: a statement that writes fewer rows violates.
#[derive(Debug)]
pub struct AffectsRows {
    /// The kinds of write that are judged.
    pub operations: Vec<Operation>,
    /// The least number of rows.
    pub min: u64,
}

/// A place in a rule file; line and column count from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<PathBuf>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Rule {
    /// Every action that a violation may lead to, exemptions and the kill switch apart.
    pub fn actions(&self) -> BTreeSet<Action> {
        let mut actions: BTreeSet<Action> = self.on_violation.operations.values().copied().collect();
        actions.insert(self.on_violation.default);
        actions.extend(self.ramp.map(|_| Action::Warn));
        actions.extend(self.since.map(|_| Action::Observe));
        actions
    }

    /// Columns of the guarded table that the rule reads, `when` included, each once, in order of first use.
    pub fn columns(&self) -> Vec<&str> {
        let mut all: Vec<&str> = match &self.kind {
            Kind::Order(r) => r.columns.iter().map(String::as_str).collect(),
            Kind::Duration(r) => vec![&r.column, &r.start, &r.end],
            Kind::NearNow(r) => r.columns.iter().map(String::as_str).collect(),
            Kind::Plausible(r) => r.columns.iter().map(String::as_str).collect(),
            Kind::Require(r) => r.not_null.iter().chain(&r.null).map(String::as_str).collect(),
            Kind::Check(c) => c.columns.iter().map(String::as_str).collect(),
            Kind::Parent(r) => {
                r.join.iter().chain(&r.not_reused).chain(&r.not_before).map(|(own, _)| own.as_str()).collect()
            }
            Kind::WriteOnce(r) => r.columns.iter().map(String::as_str).collect(),
            Kind::Monotonic(r) => r.columns.iter().map(String::as_str).collect(),
            Kind::Transitions(r) => vec![&r.column],
            Kind::AffectsRows(_) => Vec::new(),
        };
        all.extend(self.when.iter().flat_map(|w| w.columns.iter().map(String::as_str)));
        let mut seen = BTreeSet::new();
        all.retain(|c| seen.insert(*c));
        all
    }
}
