//! Rules against what the catalog says of their tables. No I/O.

use crate::{
    catalog::facts::{ColumnFacts, QualifiedName, RelationFacts},
    rules::{
        diagnostic::{Code, Diagnostic},
        set::{Kind, Parent, Rule, RuleSet, TableRules},
        sources::Words,
        time_columns,
    },
};

/// What a column can be to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `timestamptz`.
    Instant,
    /// `timestamp`, `date`.
    Wall,
    Number,
    Interval,
    Other,
}

impl Class {
    fn of(column: &ColumnFacts) -> Self {
        match column.type_name.as_str() {
            "timestamptz" => Self::Instant,
            "timestamp" | "date" => Self::Wall,
            "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" => Self::Number,
            "interval" => Self::Interval,
            _ => Self::Other,
        }
    }
}

/// Everything wrong with one rule of a table, for one role.
pub(super) fn rule(rule: &Rule, facts: &RelationFacts, role: &str, words: &Words<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut judge = Judge { rule, facts, role, words, found: &mut found };
    judge.columns_exist();
    judge.types();
    judge.unit();
    match &rule.kind {
        Kind::Order(r) => judge.zones(r.columns.iter().filter_map(|c| facts.column(c)), None),
        Kind::Duration(r) => {
            judge.stored_duration(&r.column);
            judge.zones([&r.start, &r.end].into_iter().filter_map(|c| facts.column(c)), None);
        }
        Kind::NearNow(r) => {
            judge.zones(r.columns.iter().filter_map(|c| facts.column(c)), Some("the server's clock"));
        }
        Kind::Parent(r) => judge.parent(r),
        // Its bounds are read in UTC where there is no zone.
        Kind::Plausible(_) | Kind::Require(_) | Kind::Check(_) => {}
        Kind::Transitions(r) => judge.state(&r.column),
        Kind::WriteOnce(_) | Kind::Monotonic(_) | Kind::AffectsRows(_) => {}
    }
    found
}

/// What is true of the table whatever its rules say.
pub(super) fn relation(table: &TableRules, facts: &RelationFacts, set: &RuleSet) -> Vec<Diagnostic> {
    let mut found = unguarded(table, facts);
    found.extend(beside(table, facts, set));
    found
}

/// Writes to the table that cannot be guarded.
fn unguarded(table: &TableRules, facts: &RelationFacts) -> Vec<Diagnostic> {
    let name = table.label();
    let mut found = Vec::new();
    let mut warn = |message: String, help: &str| {
        found.push(Diagnostic::warning(Code::Unguardable, table.place.clone(), message).over(&table.table).help(help));
    };
    match facts.kind {
        'v' if facts.instead_of_trigger => {
            warn(
                format!("`{name}` is a view with INSTEAD OF triggers"),
                "what they store cannot be judged; guard the tables below",
            );
        }
        'm' => warn(format!("`{name}` is a materialized view"), "it is never written by INSERT or UPDATE"),
        'f' => warn(
            format!("`{name}` is a foreign table, whose writes cannot be guarded"),
            "guard the table on the other server",
        ),
        _ if facts.foreign_descendant => {
            warn(format!("`{name}` has foreign partitions"), "writes that may reach them cannot be guarded");
        }
        _ => {}
    }
    if facts.instead_rule_insert || facts.instead_rule_update {
        warn(
            format!("`{name}` has INSTEAD rules"),
            "PostgreSQL allows no RETURNING there: those writes cannot be guarded",
        );
    }
    if facts.row_security {
        warn(
            format!("`{name}` has row-level security for this role"),
            "writes that read no column of the table themselves cannot be guarded: RETURNING would change which rows they see",
        );
    }
    found
}

/// The same rows are written by other names, and there the rules do not hold.
fn beside(table: &TableRules, facts: &RelationFacts, set: &RuleSet) -> Option<Diagnostic> {
    let name = table.label();
    let warn = |code, message: String, better: &QualifiedName, they: &str| {
        let help = format!("write the rules for `{}.{}`: they hold for {they} too", better.schema, better.name);
        Some(Diagnostic::warning(code, table.place.clone(), message).over(&table.table).help(help))
    };
    if let ('v', false, Some(base)) = (facts.kind, facts.instead_of_trigger, facts.view_bases.first()) {
        let message = format!(
            "`{name}` is a view: a write to `{}.{}` itself, or through another view of it, is not judged by these rules",
            base.schema, base.name
        );
        return warn(Code::OnView, message, base, "writes through its simple views");
    }
    let above = facts.lineage.get(1)?;
    let (kind, they) = match facts.partition_root {
        Some(_) => ("partition", "its partitions"),
        None => ("child", "its children"),
    };
    let above_name = format!("{}.{}", above.schema, above.name);
    let message = match set.table(above) {
        // The nearest relation with rules decides.
        Some(_) => format!(
            "`{name}` is a {kind} of `{above_name}`: a write to it is judged by these rules only, and not by those of `{above_name}`"
        ),
        None => format!(
            "`{name}` is a {kind} of `{above_name}`: a write to `{above_name}` is not judged, even if its row goes here"
        ),
    };
    warn(Code::OnPartition, message, above, they)
}

struct Judge<'a> {
    rule: &'a Rule,
    facts: &'a RelationFacts,
    role: &'a str,
    words: &'a Words<'a>,
    found: &'a mut Vec<Diagnostic>,
}

impl Judge<'_> {
    fn error(&self, code: Code, word: &str, message: String) -> Diagnostic {
        Diagnostic::error(code, self.words.at(&self.rule.place, word), message).over(word)
    }

    fn warning(&self, code: Code, word: &str, message: String) -> Diagnostic {
        Diagnostic::warning(code, self.words.at(&self.rule.place, word), message).over(word)
    }

    fn columns_exist(&mut self) {
        for column in self.rule.columns() {
            self.column_exists(self.facts, column);
        }
    }

    /// The guard reads it: it must be there, and the role must be allowed to.
    fn column_exists(&mut self, facts: &RelationFacts, column: &str) {
        let Some(known) = facts.column(column) else {
            let d = self.unknown_column(facts, column);
            self.found.push(d);
            return;
        };
        let (table, role) = (format!("{}.{}", facts.name.schema, facts.name.name), self.role);
        if !known.can_select {
            let message =
                format!("the role `{role}` may not read `{column}` of `{table}`: the rule does not judge its writes");
            let d = self.error(Code::Unguardable, column, message);
            self.found.push(d.help(format!("GRANT SELECT ({column}) ON {table} TO {role}")));
        } else if known.virtual_generated {
            let message = format!(
                "`{column}` is a virtual generated column, which PostgreSQL does not compute when a row is written"
            );
            let d = self.error(Code::ColumnType, column, message);
            self.found.push(d.expected("a stored column"));
        }
    }

    /// A unit for columns that are no numbers.
    fn unit(&mut self) {
        let columns = time_columns(&self.rule.kind);
        let number = |column: &&str| self.facts.column(column).is_none_or(|known| Class::of(known) == Class::Number);
        let Some(column) = columns.iter().find(|column| self.rule.units.contains_key(**column)) else { return };
        if columns.iter().any(number) {
            return;
        }
        let place = self.words.at(&self.rule.place, "unit");
        let word = if place == self.rule.place { self.rule.name.as_str() } else { "unit" };
        let message = format!("the unit has no effect on `{}`: `{column}` is no number", self.rule.name);
        let d = Diagnostic::warning(Code::NoEffect, place, message).over(word);
        self.found.push(d.help("remove it"));
    }

    fn unknown_column(&self, facts: &RelationFacts, column: &str) -> Diagnostic {
        let message = format!("`{}.{}` has no column `{column}`", facts.name.schema, facts.name.name);
        let names = facts.columns.iter().map(|c| c.name.as_str());
        self.error(Code::UnknownColumn, column, message).did_you_mean(column, names)
    }

    /// Each point in time has a type that is one.
    fn types(&mut self) {
        if let Kind::Monotonic(monotonic) = &self.rule.kind {
            monotonic.columns.iter().for_each(|column| self.ordered(column));
            return;
        }
        for column in time_columns(&self.rule.kind) {
            self.time(self.facts, column, column);
        }
    }

    /// `own` is the column whose unit it has: itself, or the one it is compared with.
    fn time(&mut self, facts: &RelationFacts, column: &str, own: &str) {
        let Some(known) = facts.column(column) else { return };
        let d = match Class::of(known) {
            Class::Instant | Class::Wall => return,
            Class::Number if self.rule.units.contains_key(own) => return,
            Class::Number => self
                .error(
                    Code::MissingUnit,
                    column,
                    format!("`{column}` is a number ({}) and has no unit", known.type_name),
                )
                .expected(format!("`unit: us` in the rule, or `units: {{{own}: us}}` in the table (s, ms, us, ns)")),
            Class::Interval | Class::Other => self
                .error(
                    Code::ColumnType,
                    column,
                    format!("`{column}` is {}, which is no point in time", known.type_name),
                )
                .expected("timestamptz, timestamp, date, or a number with a unit"),
        };
        self.found.push(d);
    }

    /// A time or a number, with or without a unit.
    fn ordered(&mut self, column: &str) {
        let Some(known) = self.facts.column(column) else { return };
        if matches!(Class::of(known), Class::Interval | Class::Other) {
            let message = format!("`{column}` is {}, which neither grows nor shrinks", known.type_name);
            let d = self.error(Code::ColumnType, column, message);
            self.found.push(d.expected("timestamptz, timestamp, date, or a number"));
        }
    }

    /// The text of its values is certain.
    fn state(&mut self, column: &str) {
        let Some(known) = self.facts.column(column) else { return };
        let certain = ["text", "varchar", "bpchar", "name", "char", "int2", "int4", "int8", "bool"];
        if !known.is_enum && !certain.contains(&known.type_name.as_str()) {
            let message = format!("`{column}` is {}, which holds no states", known.type_name);
            let d = self.error(Code::ColumnType, column, message);
            self.found.push(d.expected("text, varchar, char, an enum, an integer or a boolean"));
        }
    }

    fn stored_duration(&mut self, column: &str) {
        let Some(known) = self.facts.column(column) else { return };
        if !matches!(Class::of(known), Class::Number | Class::Interval) {
            let message = format!("`{column}` is {}, which is no duration", known.type_name);
            let d = self.error(Code::ColumnType, column, message).expected("a number or an interval");
            self.found.push(d);
        }
    }

    /// Times with and without a zone meet; `instant` is one that is no column.
    fn zones<'c>(&mut self, columns: impl Iterator<Item = &'c ColumnFacts>, instant: Option<&str>) {
        let columns: Vec<&ColumnFacts> = columns.collect();
        let find = |classes: &[Class]| columns.iter().find(|column| classes.contains(&Class::of(column)));
        let named = |column: &&ColumnFacts| format!("`{}` ({})", column.name, column.type_name);
        let other = find(&[Class::Instant, Class::Number]).map(named).or(instant.map(str::to_owned));
        let (Some(wall), Some(other), None) = (find(&[Class::Wall]), other, &self.rule.timezone) else { return };
        let message = format!("{} has no time zone and is compared with {other}", named(wall));
        let d = self.warning(Code::MissingTimezone, &wall.name, message);
        let help = "add `timezone: UTC`, or whatever zone the application writes; without it the rule is not judged";
        self.found.push(d.help(help));
    }

    fn parent(&mut self, parent: &Parent) {
        let name = format!("{}.{}", parent.schema, parent.table);
        let itself = self.facts.name.schema == parent.schema && self.facts.name.name == parent.table;
        let known = self.facts.parents.iter().find(|p| p.name.schema == parent.schema && p.name.name == parent.table);
        let Some(facts) = known.or(itself.then_some(self.facts)) else {
            let d = self.error(Code::UnknownTable, &parent.table, format!("there is no table `{name}`"));
            self.found.push(d);
            return;
        };
        let mut theirs: Vec<&str> =
            parent.join.iter().chain(&parent.not_reused).chain(&parent.not_before).map(|(_, c)| c.as_str()).collect();
        theirs.sort_unstable();
        theirs.dedup();
        for column in theirs {
            self.column_exists(facts, column);
        }
        if parent.lock_parent && !facts.columns.iter().any(|column| column.can_update) {
            let message =
                format!("the role `{}` may not lock rows of `{name}`: the rule does not judge its writes", self.role);
            let d = self.error(Code::Unguardable, "lock_parent", message);
            self.found.push(d.help(format!("GRANT UPDATE on a column of {name}, or leave out `lock_parent`")));
        }
        for (own, column) in parent.not_reused.iter().chain(&parent.not_before) {
            self.time(facts, column, own);
            self.zones([self.facts.column(own), facts.column(column)].into_iter().flatten(), None);
        }
        if facts.row_security {
            let message = format!("`{name}` has row-level security for this role, which hides parents from the rule");
            let d = self.warning(Code::Unguardable, &parent.table, message);
            self.found.push(d.help("the rule is not judged for roles that row-level security applies to"));
        }
    }
}

#[cfg(test)]
mod tests;
