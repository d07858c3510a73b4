//! The row as it was before the write, exactly as the write found it under its lock: how a guard gets at it, and how its values compare with the new ones.
//!
//! - From PostgreSQL 18 `RETURNING` has the old row, under an alias. Not where a `BEFORE UPDATE` trigger runs: if the row had changed while the trigger's
//!   lock was waited for, that alias is the version from before.
//! - Else, a sub-select would see the statement's snapshot and miss what another transaction has committed since. But `SET` and `WHERE` see the old
//!   row, and PostgreSQL evaluates both again on the newest version when it had to wait for it. So they record the old values in a setting of the write's
//!   own, which `RETURNING` reads: as a condition that is always true (one relation, no sub-select: so the row that was tested last is the one that is
//!   updated), in the `WHERE` of `ON CONFLICT DO UPDATE` (the row is locked by then), or else in an assignment of a column to itself, which is right for
//!   every plan. No lock is added and no row is read that the statement does not read.
//!
//! What is recorded begins with the row's key, so that it is never taken for another row's.

use super::{
    Channel, Reason, Site, Slot, Source,
    carry::{Form, pieces, shown, state_text},
    row::{Row, Shown, Type},
    sql::{C, Pieces, attribute, literal, op},
};
use crate::{
    catalog::facts::RelationFacts,
    rules::set::{Kind, Rule},
    sql::{splice::OldRow, write::Operation},
};

/// From this version on `RETURNING` has the old row.
pub const RETURNING_OLD: u32 = 180_000;

/// What the text of a write offers to those who look for the old row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OldPlaces<'a> {
    /// PostgreSQL 18: the name that `RETURNING` can give it.
    pub alias: Option<&'a str>,
    /// The `WHERE` of an UPDATE may take a condition: there is one, and the write reads one relation, without sub-select.
    pub condition: bool,
    /// There is a `SET` list.
    pub assignment: bool,
}

/// How the guard of one write gets at old values, and which of them.
#[derive(Debug)]
pub(super) struct Memory<'a> {
    row: Row<'a>,
    site: &'a Site<'a>,
    /// Columns recorded, behind the key.
    columns: Vec<(String, Form)>,
    used: bool,
}

impl<'a> Memory<'a> {
    pub(super) fn new(row: Row<'a>, site: &'a Site<'a>) -> Self {
        Self { row, site, columns: Vec::new(), used: false }
    }

    /// The old row for a rule that needs it. `None`: every row that the rule judges here is new.
    ///
    /// # Errors
    /// The write offers no place from which it could be had.
    pub(super) fn old(&mut self, rule: &Rule) -> Result<Option<Old<'a>>, Reason> {
        let updates = self.site.operation == Operation::Update || self.site.conflict_columns.is_some();
        if !updates {
            return Ok(None);
        }
        let judges_new = matches!(&rule.kind, Kind::Transitions(transitions) if transitions.initial.is_some());
        let (access, there) = if self.returned() {
            let name = self.site.old.alias.ok_or(Reason::OldRow)?;
            let old = Row { name, source: Source::Old, ..self.row };
            // The alias is all NULL for a new row, which violates nothing but what is said of new rows.
            (Access::Alias(old), judges_new.then(|| there(&old)))
        } else {
            self.record(&rule.kind)?;
            let access = Access::Recorded { setting: self.setting(), columns: self.columns.clone() };
            (access, Some(self.recorded_there()))
        };
        let exists = match self.site.operation {
            Operation::Update => None,
            Operation::Merge => Some(op("merge_action()", "=", "'UPDATE'")),
            Operation::Insert | Operation::Copy => there.transpose()?,
        };
        self.used = true;
        Ok(Some(Old { new: self.row, access, exists }))
    }

    /// The columns that a kind looks at will be recorded.
    fn record(&mut self, kind: &Kind) -> Result<(), Reason> {
        self.place()?;
        for (column, form) in recorded(kind) {
            pieces(&self.row, column, form)?;
            if !self.columns.iter().any(|known| known.0 == column && known.1 == form) {
                self.columns.push((column.to_owned(), form));
            }
        }
        Ok(())
    }

    /// What must stand in the text for it.
    pub(super) fn old_row(&self) -> Option<OldRow> {
        if !self.used {
            return None;
        }
        if self.returned() {
            return self.site.old.alias.map(|name| OldRow::Alias(name.to_owned()));
        }
        let mut record = self.key();
        for (column, form) in &self.columns {
            record.constant("|");
            record.extend(&pieces(&self.row, column, *form).ok()?);
        }
        let call = format!("pg_catalog.set_config({},{},true)", literal(&self.setting()), record.concat());
        Some(match self.place().ok()? {
            Place::Condition => OldRow::Condition(format!("{call} IS NOT NULL")),
            Place::Assignment(column) => {
                let (name, value) =
                    (super::sql::identifier(column), format!("{}.{}", self.row.name, attribute(column)));
                OldRow::Assignment(format!("{name} = CASE WHEN {call} IS NULL THEN {value} ELSE {value} END"))
            }
        })
    }

    /// SQL that is true where what was recorded is about this row. `None`: it is for certain.
    pub(super) fn sure(&self) -> Option<String> {
        let recorded = self.used && !self.returned();
        let updated = self.site.operation != Operation::Insert;
        let key = (recorded && updated && self.comparable()).then(|| op(&self.field(1), "=", &self.key().concat()))?;
        Some(match self.site.operation {
            Operation::Merge => format!("{} OR {key}", op("merge_action()", "<>", "'UPDATE'")),
            _ => key,
        })
    }

    /// SQL that is run last, where the next row may be a new one that must not find what was recorded.
    pub(super) fn clear(&self) -> Option<String> {
        let needed = self.used && !self.returned() && self.site.operation != Operation::Update;
        needed.then(|| {
            let call = format!("pg_catalog.set_config({},'',true)", literal(&self.setting()));
            match self.site.channel {
                Channel::Column | Channel::Staged(_) => call,
                _ => format!("CASE WHEN {call} IS NULL THEN pg_catalog.to_regtype('') END"),
            }
        })
    }

    /// `RETURNING` has the old row, and it is the right one.
    fn returned(&self) -> bool {
        // ON CONFLICT DO UPDATE locks the row before its triggers run.
        self.site.server_version >= RETURNING_OLD && (self.site.operation == Operation::Insert || !self.triggers())
    }

    /// A `BEFORE UPDATE` trigger runs.
    fn triggers(&self) -> bool {
        let relation = self.row.relation;
        relation.before_update_trigger || relation.view.as_ref().is_some_and(|view| view.before_update_trigger)
    }

    fn place(&self) -> Result<Place<'a>, Reason> {
        let (site, relation) = (self.site, self.row.relation);
        if !site.may_set_config {
            return Err(Reason::SetConfig);
        }
        match site.operation {
            Operation::Insert => Ok(Place::Condition),
            // A view or a policy may bring a sub-select along.
            Operation::Update if site.old.condition && matches!(relation.kind, 'r' | 'p') && !relation.row_security => {
                Ok(Place::Condition)
            }
            _ if site.old.assignment => spare_column(relation, site).map(Place::Assignment).ok_or(Reason::OldRow),
            _ => Err(Reason::OldRow),
        }
    }

    /// One for each kind of write: what an UPDATE leaves behind is not there for an upsert.
    fn setting(&self) -> String {
        let kind = match self.site.operation {
            Operation::Update => 'u',
            Operation::Insert => 'i',
            Operation::Merge | Operation::Copy => 'm',
        };
        let mark: String = self.site.mark.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("cg.{kind}{mark}")
    }

    fn field(&self, number: usize) -> String {
        field(&self.setting(), number)
    }

    /// The statement leaves the key as it is, so that old and new row can be compared by it.
    fn comparable(&self) -> bool {
        let set = if self.site.operation == Operation::Update { self.site.columns } else { self.site.conflict_columns };
        let kept = |column: &String| {
            set.is_some_and(|set| !set.contains(column)) && pieces(&self.row, column, Form::Key).is_ok()
        };
        let key = &self.row.relation.primary_key;
        !key.is_empty() && key.iter().all(kept)
    }

    /// The row's key, never empty.
    fn key(&self) -> Pieces {
        let mut key = Pieces::default();
        if !self.comparable() {
            key.constant("1");
            return key;
        }
        for (number, column) in self.row.relation.primary_key.iter().enumerate() {
            if number > 0 {
                key.constant(",");
            }
            match self.row.facts(column).map(|facts| Type::of(&facts.type_name)) {
                // As it is: short, and cheap to make.
                Ok(Type::Integer) => key.sql(format!("{}.{}", self.row.name, attribute(column))),
                _ => {
                    if let Ok(pieces) = pieces(&self.row, column, Form::Key) {
                        key.extend(&pieces);
                    }
                }
            }
        }
        key
    }

    /// `ON CONFLICT DO UPDATE`: something was recorded, and about this row.
    fn recorded_there(&self) -> Result<String, Reason> {
        if self.comparable() {
            return Ok(op(&self.field(1), "=", &self.key().concat()));
        }
        // A trigger may drop the update of a row that was recorded; the next one would find it.
        if self.triggers() {
            return Err(Reason::OldRow);
        }
        Ok(op(&self.field(1), "<>", "''"))
    }
}

/// Where old values are recorded.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    Condition,
    /// This column is assigned to itself.
    Assignment(&'a str),
}

/// A column whose assignment to itself does nothing else: the statement does not set it, and no index, key, trigger or generated column looks at it.
fn spare_column<'a>(relation: &'a RelationFacts, site: &Site<'_>) -> Option<&'a str> {
    let set = if site.operation == Operation::Update { site.columns? } else { site.conflict_columns? };
    let through_view =
        |name: &String| relation.kind != 'v' || relation.view.as_ref().is_some_and(|view| view.columns.contains(name));
    let generated_from = |name: &String| {
        relation
            .columns
            .iter()
            .filter(|column| column.generated)
            .any(|column| column.default.as_ref().is_none_or(|expression| expression.contains(name.as_str())))
    };
    let free = |column: &&crate::catalog::facts::ColumnFacts| {
        let name = &column.name;
        column.can_select
            && column.can_update
            && !column.generated
            && !column.identity_always
            && !set.contains(name)
            && !relation.entangled.contains(name)
            && !relation.primary_key.contains(name)
            && through_view(name)
            && !generated_from(name)
    };
    // One of a fixed size first: nothing to copy.
    let short = |column: &&crate::catalog::facts::ColumnFacts| {
        !matches!(Type::of(&column.type_name), Type::Other | Type::Numeric)
    };
    let columns = || relation.columns.iter().filter(free);
    columns().find(short).or_else(|| columns().next()).map(|column| column.name.as_str())
}

/// The columns of the old row that a kind looks at.
fn recorded(kind: &Kind) -> Vec<(&str, Form)> {
    match kind {
        Kind::WriteOnce(rule) => rule.columns.iter().map(|column| (column.as_str(), Form::Key)).collect(),
        Kind::Monotonic(rule) => rule.columns.iter().map(|column| (column.as_str(), Form::Key)).collect(),
        Kind::Transitions(rule) => vec![(&rule.column, Form::State)],
        _ => Vec::new(),
    }
}

fn field(setting: &str, number: usize) -> String {
    format!("pg_catalog.split_part(pg_catalog.current_setting({},true),'|',{number})", literal(setting))
}

/// SQL that is true if there was a row before: the alias is all NULL where not.
fn there(old: &Row<'_>) -> Result<String, Reason> {
    if old.relation.kind != 'v' && old.relation.reads_system_columns {
        return Ok(format!("{}.tableoid IS NOT NULL", old.name));
    }
    let key = old.relation.primary_key.first().ok_or(Reason::OldRow)?;
    Ok(format!("{} IS NOT NULL", old.column(key)?))
}

/// How an expression of the guard reads old values.
#[derive(Debug)]
enum Access<'a> {
    Alias(Row<'a>),
    Recorded { setting: String, columns: Vec<(String, Form)> },
}

/// The old row of the row that is judged.
#[derive(Debug)]
pub(super) struct Old<'a> {
    new: Row<'a>,
    access: Access<'a>,
    exists: Option<String>,
}

impl<'a> Old<'a> {
    /// As another row of a query.
    pub(super) fn beside(new: Row<'a>, name: &'a str) -> Self {
        Self { new, access: Access::Alias(Row { name, source: Source::Old, ..new }), exists: None }
    }

    /// SQL that is true for a row that was updated, false for a new one. `None`: all were, or new rows violate nothing.
    pub(super) fn exists(&self) -> Option<&str> {
        self.exists.as_deref()
    }

    /// What is wrong with rows that were updated, as SQL that is true for no other row.
    pub(super) fn of_updated(&self, violated: String) -> String {
        match (&self.access, &self.exists) {
            (Access::Recorded { .. }, Some(exists)) => format!("CASE WHEN {exists} THEN {violated} END"),
            _ => violated,
        }
    }

    /// SQL that is true where the column had a value and has another now, or none.
    pub(super) fn changed(&self, column: &str) -> Result<String, Reason> {
        let new = self.new.column(column)?;
        match &self.access {
            Access::Recorded { .. } => self.differs(column, Form::Key),
            Access::Alias(row) => {
                let old = row.column(column)?;
                let different = match Type::of(&self.new.facts(column)?.type_name) {
                    // By what they say: `1.0` and `1.00` are different texts of one number, but `1 day` and `24:00:00` are not one interval.
                    Type::Interval | Type::Other => op(&format!("{}{C}", text(&new)), "<>", &text(&old)),
                    _ => op(&new, "<>", &old),
                };
                Ok(format!("{old} IS NOT NULL AND ({new} IS NULL OR {different})"))
            }
        }
    }

    /// SQL that is true where the column's value is less than it was.
    pub(super) fn decreased(&self, column: &str) -> Result<String, Reason> {
        let new = self.new.column(column)?;
        let kind = Type::of(&self.new.facts(column)?.type_name);
        if !kind.is_ordered() {
            return Err(Reason::ColumnType);
        }
        match &self.access {
            Access::Alias(row) => Ok(op(&new, "<", &row.column(column)?)),
            Access::Recorded { .. } if kind == Type::Numeric => {
                let field = self.recorded(column, Form::Key)?;
                let old = format!("pg_catalog.numeric_in(pg_catalog.textout({field}),0,-1)");
                let old = format!("(CASE WHEN {} THEN {old} END)", op(&field, "<>", "''"));
                Ok(op(&new, "<", &old))
            }
            Access::Recorded { .. } => {
                let field = self.recorded(column, Form::Key)?;
                let less = op(&format!("{field}{C}"), ">", &pieces(&self.new, column, Form::Key)?.concat());
                Ok(format!("{new} IS NOT NULL AND {less}"))
            }
        }
    }

    /// SQL that is true where the state was and is none that is NULL, and is another.
    pub(super) fn state_changed(&self, column: &str) -> Result<String, Reason> {
        let new = self.new.column(column)?;
        let changed = match &self.access {
            Access::Recorded { .. } => self.differs(column, Form::State)?,
            Access::Alias(row) => {
                let different = op(&format!("{}{C}", state_text(&self.new, column)?), "<>", &state_text(row, column)?);
                format!("{} IS NOT NULL AND {different}", row.column(column)?)
            }
        };
        Ok(format!("{new} IS NOT NULL AND {changed}"))
    }

    /// The state that it was in, as text; of no meaning where it was NULL.
    pub(super) fn state(&self, column: &str) -> Result<String, Reason> {
        match &self.access {
            Access::Alias(row) => state_text(row, column),
            Access::Recorded { .. } => Ok(format!(
                "pg_catalog.convert_from(pg_catalog.decode(pg_catalog.substr({},2),'hex'),pg_catalog.getdatabaseencoding())",
                self.recorded(column, Form::State)?
            )),
        }
    }

    /// What a finding shows of it.
    pub(super) fn shown(&self, column: &str) -> Result<Shown, Reason> {
        self.shown_as(column, Form::Key)
    }

    /// What a finding shows of a state.
    pub(super) fn state_shown(&self, column: &str) -> Result<Shown, Reason> {
        self.shown_as(column, Form::State)
    }

    fn shown_as(&self, column: &str, form: Form) -> Result<Shown, Reason> {
        match &self.access {
            Access::Alias(row) => row.shown(column),
            Access::Recorded { .. } => Ok(Shown {
                slot: Slot { source: Source::Old, column: column.to_owned() },
                pieces: shown(&self.new, column, form, &self.recorded(column, form)?)?,
            }),
        }
    }

    /// What was recorded is neither nothing nor what the new row has.
    fn differs(&self, column: &str, form: Form) -> Result<String, Reason> {
        let new = pieces(&self.new, column, form)?.concat();
        Ok(format!("{} OPERATOR(pg_catalog.<>) ALL (ARRAY['',{new}])", self.recorded(column, form)?))
    }

    fn recorded(&self, column: &str, form: Form) -> Result<String, Reason> {
        let Access::Recorded { setting, columns } = &self.access else { return Err(Reason::OldRow) };
        let at = columns.iter().position(|known| known.0 == column && known.1 == form).ok_or(Reason::OldRow)?;
        // The key is the first field.
        Ok(field(setting, at + 2))
    }
}

fn text(sql: &str) -> String {
    format!("pg_catalog.concat({sql})")
}

impl Type {
    /// Times and numbers.
    fn is_ordered(self) -> bool {
        matches!(
            self,
            Self::Instant | Self::Timestamp | Self::Date | Self::Integer | Self::Numeric | Self::Float4 | Self::Float8
        )
    }
}

#[cfg(test)]
mod tests;
