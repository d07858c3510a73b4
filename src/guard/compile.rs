//! Rules and facts → the guard expression of one write.
//!
//! ```text
//! CASE WHEN row.tableoid = 16402 THEN concat(arm, arm, …) ELSE concat('!', row.tableoid, ';') END
//! arm: CASE WHEN violated THEN text END                                            observe, warn
//!      CASE WHEN violated THEN int4in(textout(text)) END                           reject
//! ```
//! Kept short: a text that is parsed anew for each statement costs the server 20–40 µs more.

use super::{
    Channel, Context, Decision, Guard, Lines, Reason, STAGE, STAGED_ROW, Site, Skip, Slot, Source, cause, condition,
    kinds,
    kinds::{Judgement, Lookup},
    old::{Memory, Old},
    row::{Row, Shown},
    sql::{Pieces, concat, op},
};
use crate::{
    catalog::facts::RelationFacts,
    rules::set::{Action, Kind, OnUnguardable, Rule, TableRules},
    sql::write::Operation,
};

/// A key of more columns is not sent along.
const KEY_COLUMNS: usize = 4;
/// More possible relations than this are not listed in the guard if their common root tells them as well.
const LISTED_RELATIONS: usize = 16;
/// Makes an identifier longer than 63 bytes, whatever is before it.
const PADDING: &str = "................................................";

/// Compiles the rules of a table into the guard of one write.
///
/// # Errors
/// The write as a whole cannot be guarded, and why: no rule that concerns it can judge it, or not every one and the table has
/// `unguardable: reject`. Otherwise what concerns one rule only is in [`Guard::skipped`].
pub fn compile(table: &TableRules, relation: &RelationFacts, site: &Site<'_>) -> Result<Guard, Reason> {
    if table.rules.iter().all(|rule| matches!(rule.kind, Kind::AffectsRows(_))) {
        // Nothing is spliced. Under an INSTEAD rule the server does not tell what was written.
        instead_rule(relation, site)?;
    } else {
        admit(table, relation, site)?;
    }
    let copy = site.channel == Channel::CopyWhere;
    let row = Row { relation, name: site.row, source: Source::Row, inline_generated: copy };
    let key = key(&row);
    let mut memory = Memory::new(row, site);
    let mut guard = Guard {
        expression: None,
        old_row: None,
        judged: Vec::new(),
        decisions: Vec::new(),
        counted: Vec::new(),
        skipped: Vec::new(),
        key: key.iter().map(|shown| shown.slot.column.clone()).collect(),
        slots: Vec::new(),
        context: context(relation, site),
    };
    // Those with memory stand apart: they judge only where what is remembered is of this row.
    let (mut arms, mut remembering) = (Vec::new(), Vec::new());
    for (number, rule) in table.rules.iter().enumerate() {
        if let Kind::AffectsRows(rows) = &rule.kind {
            match (rows.operations.contains(&site.operation), site.channel) {
                (false, _) => {}
                (true, Channel::Notice) => guard.skipped.push((number, Skip::Unguardable(Reason::RowsUnknown))),
                (true, _) => guard.counted.push((number, Decision::new(rule, site))),
            }
            continue;
        }
        if hides(relation, table, rule) {
            guard.skipped.push((number, Skip::Unguardable(Reason::View)));
            continue;
        }
        let plan = match plan(rule, relation, site) {
            Ok(plan) => plan,
            Err(skip) => {
                guard.skipped.push((number, skip));
                continue;
            }
        };
        let old = if rule.kind.has_memory() { memory.old(rule) } else { Ok(None) };
        match old.and_then(|old| arm(number, rule, &row, old.as_ref(), site, &plan, &key)) {
            Ok((sql, slots)) => {
                if rule.kind.has_memory() { &mut remembering } else { &mut arms }.push(sql);
                guard.judged.push((number, plan.decision.strictest()));
                guard.decisions.push(plan.decision);
                guard.slots.push(slots);
                guard.skipped.extend(plan.note.map(|reason| (number, Skip::Unguardable(reason))));
            }
            Err(reason) => guard.skipped.push((number, Skip::Unguardable(reason))),
        }
    }
    // A rule that cannot judge does not stop the others, unless the table wants all of them or nothing.
    arms.extend(remembered(&remembering, &memory, site));
    if arms.is_empty() && guard.counted.is_empty() || table.unguardable == OnUnguardable::Reject {
        let unguardable = guard.skipped.iter().find_map(|(_, skip)| match skip {
            Skip::Unguardable(reason) => Some(*reason),
            Skip::Untouched => None,
        });
        if let Some(reason) = unguardable {
            return Err(reason);
        }
    }
    if !arms.is_empty() {
        guard.expression = Some(whole(&arms, relation, site));
    }
    if !remembering.is_empty() {
        guard.old_row = memory.old_row();
    }
    Ok(guard)
}

/// The arms of rules with memory, and what belongs to them.
fn remembered(arms: &[String], memory: &Memory<'_>, site: &Site<'_>) -> Vec<String> {
    if arms.is_empty() {
        return Vec::new();
    }
    let mut all = match memory.sure() {
        None => arms.to_vec(),
        Some(sure) => vec![format!("CASE WHEN {sure} THEN {} ELSE {} END", together(arms, site), lost(site))],
    };
    all.extend(memory.clear());
    all
}

/// Whether the relation is a view of the rule's table through which a column of the rule does not show.
fn hides(relation: &RelationFacts, table: &TableRules, rule: &Rule) -> bool {
    let own = relation.name.schema == table.schema && relation.name.name == table.table;
    let shown = |column: &str| relation.view.as_ref().is_some_and(|v| v.columns.iter().any(|c| c == column));
    relation.kind == 'v' && !own && !rule.columns().into_iter().all(shown)
}

/// Boolean SQL that is true where a row of the relation, named `row` in the query around it, violates the rule. For rows that are already
/// stored: depends on no channel and on no write. `old`: another name, which stands for the row as it was before.
///
/// # Errors
/// The relation cannot be judged by the rule.
pub fn violated(rule: &Rule, relation: &RelationFacts, row: &str, old: Option<&str>) -> Result<String, Reason> {
    let row = Row { relation, name: row, source: Source::Row, inline_generated: false };
    let judgement = kinds::judge(rule, &row, old.map(|name| Old::beside(row, name)).as_ref())?;
    let violated = match &judgement.lookup {
        None => judgement.violated,
        Some(lookup) => {
            format!("EXISTS (SELECT 1 FROM {} WHERE {} AND ({}))", lookup.from, lookup.on, judgement.violated)
        }
    };
    match &rule.when {
        None => Ok(violated),
        Some(when) => Ok(format!("CASE WHEN {} THEN {violated} END", condition::over(when, &row)?)),
    }
}

/// Refuses writes that no RETURNING, or none of ours, may be added to.
fn admit(table: &TableRules, relation: &RelationFacts, site: &Site<'_>) -> Result<(), Reason> {
    let named = |schema: &str, name: &str| schema == table.schema && name == table.table;
    match relation.kind {
        'f' => return Err(Reason::ForeignTable),
        'v' if relation.instead_of_trigger => return Err(Reason::InsteadOfTrigger),
        // Its columns may be others than the table's of the same name: only a view whose columns are known to show through.
        'v' if !named(&relation.name.schema, &relation.name.name) && relation.view.is_none() => {
            return Err(Reason::View);
        }
        _ => {}
    }
    if relation.foreign_descendant {
        return Err(Reason::ForeignTable);
    }
    instead_rule(relation, site)?;
    if site.operation == Operation::Merge && site.server_version < 170_000 {
        return Err(Reason::MergeBefore17);
    }
    if relation.row_security && !(site.reads_target || site.conflict_target && site.operation == Operation::Insert) {
        return Err(Reason::RowSecurity);
    }
    Ok(())
}

/// Refuses writes that an INSTEAD rule makes something else of.
fn instead_rule(relation: &RelationFacts, site: &Site<'_>) -> Result<(), Reason> {
    let (inserts, updates) = match site.operation {
        Operation::Insert => (true, site.conflict_columns.is_some()),
        Operation::Update => (false, true),
        Operation::Merge => (true, true),
        // COPY knows no rules, and the server itself refuses it under row security.
        Operation::Copy => (false, false),
    };
    if inserts && relation.instead_rule_insert || updates && relation.instead_rule_update {
        return Err(Reason::InsteadRule);
    }
    Ok(())
}

/// How one rule judges one write.
struct Plan {
    /// What a violation leads to.
    decision: Decision,
    /// The rule judges more mildly than its file says.
    note: Option<Reason>,
    /// SQL that is true for rows to be judged: an untouched row that was bad before stays editable.
    only: Option<String>,
}

fn plan(rule: &Rule, relation: &RelationFacts, site: &Site<'_>) -> Result<Plan, Skip> {
    let mut plan = Plan { decision: Decision::new(rule, site), note: None, only: None };
    match touch(rule, relation, site) {
        Touch::Every => {}
        Touch::None => return Err(Skip::Untouched),
        Touch::Inserted => match inserted(relation, site) {
            Some(sql) => plan.only = Some(sql),
            // The row may be an old one that the client did not spoil.
            None => plan.note = plan.decision.soften().then_some(Reason::UpsertUnknown),
        },
    }
    if site.channel == Channel::CopyWhere && relation.before_insert_trigger {
        // What the trigger makes of the row is not seen: it may repair what is bad, and spoil what is good.
        plan.decision.soften();
        plan.note = Some(Reason::CopyTrigger);
    }
    if let Kind::Parent(parent) = &rule.kind {
        let qualified = format!("{}.{}", parent.schema, parent.table);
        if site.also_written.iter().any(|name| *name == parent.table || *name == qualified) {
            return Err(Skip::Unguardable(Reason::ParentSameStatement));
        }
    }
    if !site.channel.is_column() && !site.notices && plan.decision.may_pass() {
        if plan.decision.strictest() != Action::Reject {
            return Err(Skip::Unguardable(Reason::NoticesSilenced));
        }
        plan.note = Some(Reason::NoticesSilenced);
    }
    Ok(plan)
}

/// Which rows of a write a rule judges.
enum Touch {
    Every,
    /// The rows that are new, not those that were updated.
    Inserted,
    None,
}

fn touch(rule: &Rule, relation: &RelationFacts, site: &Site<'_>) -> Touch {
    let updated = match site.operation {
        Operation::Update => site.columns,
        Operation::Insert | Operation::Merge => site.conflict_columns,
        Operation::Copy => None,
    };
    let Some(updated) = updated else { return if rule.kind.judges_new() { Touch::Every } else { Touch::None } };
    let trigger = relation.before_update_trigger || relation.view.as_ref().is_some_and(|v| v.before_update_trigger);
    if rule.always || trigger || sets(updated, rule, relation) {
        return Touch::Every;
    }
    match site.operation {
        Operation::Update => Touch::None,
        // It tells new rows from old ones by itself.
        _ if rule.kind.has_memory() && rule.kind.judges_new() => Touch::Every,
        _ if rule.kind.has_memory() => Touch::None,
        _ => Touch::Inserted,
    }
}

/// One of the columns set is one of the rule's, or goes into a generated one of it.
fn sets(updated: &[String], rule: &Rule, relation: &RelationFacts) -> bool {
    let columns = rule.columns();
    columns.is_empty()
        || columns.iter().any(|column| {
            let facts = relation.column(column).filter(|facts| facts.generated);
            let expression = facts.map(|facts| facts.default.as_deref().unwrap_or_default());
            updated.iter().any(|set| set == column || expression.is_some_and(|text| text.contains(set.as_str())))
        })
}

/// SQL that is true for a row that was inserted and not updated.
fn inserted(relation: &RelationFacts, site: &Site<'_>) -> Option<String> {
    match site.operation {
        Operation::Merge => Some(op("merge_action()", "=", "'INSERT'")),
        // ON CONFLICT DO UPDATE locks the row first, which leaves its mark in the new version. Partitioned tables cannot show it.
        _ if relation.kind == 'r' && relation.reads_system_columns => Some(op(&format!("{}.xmax", site.row), "=", "0")),
        _ => None,
    }
}

fn arm(
    number: usize,
    rule: &Rule,
    row: &Row<'_>,
    old: Option<&Old<'_>>,
    site: &Site<'_>,
    plan: &Plan,
    key: &[Shown],
) -> Result<(String, Vec<Slot>), Reason> {
    let judgement = kinds::judge(rule, row, old)?;
    if judgement.lookup.is_some() && site.channel == Channel::CopyWhere {
        return Err(Reason::CopySubquery);
    }
    let slots = judgement.shown.iter().map(|shown| shown.slot.clone()).collect();
    let mut sql = plan.decision.sql(number, |label, action| {
        let text = text(label, site, action, key, &judgement);
        let found = match &judgement.lookup {
            None => text,
            Some(Lookup { from, on, lock: None }) => {
                format!("(SELECT {text} FROM {from} WHERE {on} AND ({}) LIMIT 1)", judgement.violated)
            }
            // Locked first, then judged, so that the newest version is what is looked at.
            Some(Lookup { from, on, lock: Some(lock) }) => format!(
                "(SELECT pg_catalog.max(cg_v) FROM (SELECT CASE WHEN {} THEN {text} END AS cg_v FROM {from} WHERE {on} {lock}) cg_q)",
                judgement.violated
            ),
        };
        outcome(site.channel, action, plan.decision.varies(), &found)
    });
    if judgement.lookup.is_none() {
        sql = format!("CASE WHEN {} THEN {sql} END", judgement.violated);
    }
    if let Some(when) = &rule.when {
        sql = format!("CASE WHEN {} THEN {sql} END", condition::over(when, row)?);
    }
    if let Some(only) = &plan.only {
        sql = format!("CASE WHEN {only} THEN {sql} END");
    }
    Ok((sql, slots))
}

/// The finding's text, NULL for no finding; see [`super::verdict`] for its grammar.
fn text(label: &str, site: &Site<'_>, action: Action, key: &[Shown], judgement: &Judgement) -> String {
    let mut pieces = Pieces::default();
    let noticed = !site.channel.is_column() && action != Action::Reject;
    if noticed {
        pieces.constant("\"");
    }
    if noticed || action == Action::Reject {
        pieces.constant(&format!("CG{}|", site.mark));
    }
    pieces.constant(label);
    for shown in key.iter().chain(&judgement.shown) {
        pieces.constant("|");
        pieces.extend(&shown.pieces);
    }
    pieces.constant(";");
    if noticed {
        pieces.constant(&format!("{PADDING}\""));
    }
    if let (Channel::Staged(lines), Action::Reject) = (site.channel, action)
        && let Some(line) = line(lines)
    {
        pieces.constant("@");
        pieces.sql(line);
    }
    pieces.concat()
}

/// SQL for the line that the row at hand was in, the header aside. The rows of a stage lie in the order in which they came. Only the first bad row asks.
fn line(lines: Lines) -> Option<String> {
    let each = match lines {
        Lines::Unknown => return None,
        Lines::Rows => "pg_catalog.count(*)".to_owned(),
        Lines::Csv => {
            let row = "ROW(cg_s.*)::pg_catalog.text";
            let without = format!("pg_catalog.length(pg_catalog.replace({row}, pg_catalog.chr(10), ''))");
            format!("pg_catalog.sum({})", op(&op("1", "+", &format!("pg_catalog.length({row})")), "-", &without))
        }
    };
    // Outside of the INSERT there is no such row, and the planner looks at the setting too.
    let setting = format!("pg_catalog.current_setting('{STAGED_ROW}', true)");
    let is_set = op(&format!("pg_catalog.length({setting})"), ">", "0");
    let at_hand = format!("CASE WHEN {is_set} THEN {setting}::pg_catalog.tid END");
    Some(format!("(SELECT {each} FROM pg_temp.{STAGE} cg_s WHERE {})", op("cg_s.ctid", "<=", &at_hand)))
}

/// What happens with a finding's text (NULL: nothing). In the two notice channels every arm has the type `regtype`; in the column one that raises is an
/// integer, unless it stands among others that `vary`.
fn outcome(channel: Channel, action: Action, vary: bool, text: &str) -> String {
    match (channel.is_column(), action) {
        (true, Action::Reject) => {
            let cast = if vary { "::pg_catalog.text" } else { "" };
            format!("pg_catalog.int4in(pg_catalog.textout({text})){cast}")
        }
        (false, Action::Reject) => format!("pg_catalog.int4in(pg_catalog.textout({text}))::pg_catalog.regtype"),
        (true, _) => text.to_owned(),
        (false, _) => format!("pg_catalog.to_regtype({text})"),
    }
}

/// Several arms as one.
fn together(arms: &[String], site: &Site<'_>) -> String {
    match (site.channel.is_column(), arms) {
        (true, _) => concat(arms),
        (_, [arm]) => arm.clone(),
        // All are NULL, so all are evaluated.
        _ => format!("COALESCE({})", arms.join(",")),
    }
}

fn whole(arms: &[String], relation: &RelationFacts, site: &Site<'_>) -> String {
    let together = together(arms, site);
    let mut cases = String::new();
    if site.operation == Operation::Merge {
        cases = format!(" WHEN {} THEN NULL", op("merge_action()", "=", "'DELETE'"));
    }
    let expression = match identity(relation, site) {
        Some(known) => {
            let stranger = stranger(site);
            format!("CASE{cases} WHEN {known} THEN {together} ELSE {stranger} END")
        }
        None if cases.is_empty() => together,
        None => format!("CASE{cases} ELSE {together} END"),
    };
    match site.channel {
        Channel::CopyWhere => format!("({expression}) IS NULL"),
        Channel::Column | Channel::Notice | Channel::Staged(_) => expression,
    }
}

/// SQL that is true where the row went into the relation that the guard was made for.
fn identity(relation: &RelationFacts, site: &Site<'_>) -> Option<String> {
    if relation.kind == 'v' || !relation.reads_system_columns {
        return None;
    }
    let stored = format!("{}.tableoid", site.row);
    let root =
        |root: u32| op(&format!("pg_catalog.pg_partition_root({stored})::pg_catalog.oid"), "=", &root.to_string());
    match (&relation.tableoids[..], relation.partition_root) {
        ([], None) => Some(op(&stored, "=", &relation.oid.to_string())),
        ([one], _) if relation.kind != 'p' => Some(op(&stored, "=", &one.to_string())),
        (listed, Some(oid)) if listed.len() > LISTED_RELATIONS || listed.is_empty() => Some(root(oid)),
        (listed, oid) => {
            let list: Vec<String> = listed.iter().map(u32::to_string).collect();
            let known = format!("{stored} OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.oid[])", list.join(","));
            // A partition made since the catalog was asked.
            Some(match oid.filter(|_| relation.kind == 'p') {
                Some(oid) => format!("{known} OR {}", root(oid)),
                None => known,
            })
        }
    }
}

/// The verdict "other relation".
fn stranger(site: &Site<'_>) -> String {
    let mut pieces = Pieces::default();
    pieces.constant("!");
    pieces.sql(format!("{}.tableoid", site.row));
    remark(&pieces, site)
}

/// The verdict that the row before is not known after all.
fn lost(site: &Site<'_>) -> String {
    let mut pieces = Pieces::default();
    pieces.constant("?");
    remark(&pieces, site)
}

/// A verdict that is no finding.
fn remark(text: &Pieces, site: &Site<'_>) -> String {
    let mut pieces = Pieces::default();
    let noticed = !site.channel.is_column();
    if noticed {
        pieces.constant(&format!("\"CG{}|", site.mark));
    }
    pieces.extend(text);
    pieces.constant(&if noticed { format!(";{PADDING}\"") } else { ";".to_owned() });
    let text = pieces.concat();
    if noticed { format!("pg_catalog.to_regtype({text})") } else { text }
}

/// The row's key, if the role may read it.
fn key(row: &Row<'_>) -> Vec<Shown> {
    let columns = &row.relation.primary_key;
    if columns.len() > KEY_COLUMNS {
        return Vec::new();
    }
    columns.iter().map(|column| row.shown(column)).collect::<Result<_, _>>().unwrap_or_default()
}

fn context(relation: &RelationFacts, site: &Site<'_>) -> Context {
    let left_out = |name: &str| site.columns.is_some_and(|given| !given.iter().any(|column| column == name));
    let fills_in = matches!(site.operation, Operation::Insert | Operation::Copy);
    let clock_defaults = relation
        .columns
        .iter()
        .filter(|column| fills_in && !column.generated && left_out(&column.name))
        .filter_map(|column| Some((column.name.clone(), column.default.clone()?)))
        .filter(|(_, default)| cause::reads_clock(default))
        .collect();
    Context {
        operation: site.operation,
        relation: relation.name.clone(),
        columns: site.columns.map(<[String]>::to_vec),
        conflict_columns: site.conflict_columns.map(<[String]>::to_vec),
        clock_defaults,
    }
}

#[cfg(test)]
mod tests;
