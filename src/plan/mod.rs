//! What is done about each write of a text: which rules judge it, its guard, and the edits that put the guard into the text.
//!
//! Pure. What a name means here, and what speaks against a guard, is told by whoever asks ([`Surroundings`]): a session, or `chronoguard explain`.
//! Each statement is planned on its own; its edits count from the beginning of the whole text.

use std::sync::Arc;

use crate::{
    catalog::facts::{RelationFacts, Resolved, StageFacts},
    guard::{Channel, Guard, OldPlaces, Reason, Site, Skip, old::RETURNING_OLD},
    rules::set::{Exemption, OnUnguardable, RuleSet, TableRules},
    sql::{
        splice::{Edit, MAX_ITEMS, OldRow, old_alias, place_guard},
        write::{ItemKind, LexOptions, Operation, Place, ReturningItem, Statement, Target, Write},
    },
};

pub mod names;
pub mod stage;

use names::rules_for;
use stage::{Stage, Stageable, Way};

/// What is known where a text is planned.
pub trait Surroundings {
    /// The rules in force.
    fn rules(&self) -> &RuleSet;

    /// The kill switch is on.
    fn observe_only(&self) -> bool;

    /// The exemptions that may be for whoever writes here; roles and names are looked at later.
    fn exemptions(&self) -> &[Arc<Exemption>];

    /// The mark of this process, see [`Site::mark`].
    fn mark(&self) -> &str;

    /// A guarded table that a write to this may be one to. `None`: there is none, and the write is of no interest.
    fn concerned(&self, target: &Target) -> Option<&Arc<TableRules>>;

    /// The guarded table below a relation that has no rules itself.
    fn below(&self, relation: &RelationFacts) -> Option<&Arc<TableRules>>;

    /// What a name means. `None`: nobody could be asked.
    fn resolved(&self, target: &Target) -> Option<&Arc<Resolved>>;

    /// Why no guard of this table may be made here and now.
    fn objection(&self, table: &TableRules, resolved: &Arc<Resolved>) -> Option<Reason>;

    /// The guard of one write, which may have been made before.
    fn guard(&self, table: &Arc<TableRules>, resolved: &Arc<Resolved>, site: &Site<'_>) -> Result<Arc<Guard>, Reason>;

    /// The text is UTF-8, as the names in rule files are.
    fn utf8(&self) -> bool;

    /// How the text is read.
    fn lex(&self) -> LexOptions;

    /// How the rows of a COPY may go through a temporary table. `None`: not here and now.
    fn staging(&self, facts: &StageFacts) -> Option<Way>;
}

/// What running a statement does, as far as it concerns guarded tables.
#[derive(Debug)]
pub struct StatementPlan {
    /// What the guard adds to the result.
    pub column: Column,
    /// The writes to guarded tables.
    pub writes: Vec<WritePlan>,
    /// It is a COPY whose rows go through a stage.
    pub stage: Option<Stage>,
}

/// What a guard adds to a statement's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Nothing.
    None,
    /// A result of one column where the client expects none.
    Whole,
    /// One more column at the end.
    Last,
}

/// A write to a guarded table.
#[derive(Debug)]
pub struct WritePlan {
    /// Which of the statement's writes it is.
    pub number: usize,
    /// The rules.
    pub table: Arc<TableRules>,
    /// What its name means; `None`: nobody could be asked.
    pub resolved: Option<Arc<Resolved>>,
    /// Kind of the write.
    pub operation: Operation,
    /// The mark of this write's errors and notices.
    pub mark: String,
    /// The rows it writes are the statement's own result: the command tag counts them, and the guard column is this write's.
    pub top: bool,
    /// What is done about it.
    pub fate: Fate,
}

/// What is done about a write.
#[derive(Debug)]
pub enum Fate {
    /// The guard stands in the text.
    Guarded(Arc<Guard>),
    /// No rule judges a row of this write.
    Untouched(Arc<Guard>),
    /// It goes through unjudged, counted.
    Unguardable(Reason),
    /// It is made to fail, since its table says `unguardable: reject`.
    Refused(Reason),
}

/// Plans the writes of one statement and adds the edits that splice their guards in.
/// `changed`: an earlier statement of the text may have changed what names mean.
pub fn plan_statement(
    around: &impl Surroundings,
    text: &[u8],
    statement: &Statement,
    changed: bool,
    edits: &mut Vec<Edit>,
) -> StatementPlan {
    let also_written: Vec<String> = statement.writes.iter().map(|w| w.target.name.clone()).collect();
    let mut plan = StatementPlan { column: Column::None, writes: Vec::new(), stage: None };
    let mut own = Vec::new();
    for (number, write) in statement.writes.iter().enumerate() {
        let others: Vec<String> =
            also_written.iter().enumerate().filter(|(n, _)| *n != number).map(|(_, name)| name.clone()).collect();
        let Some((planned, stage)) = plan_write(around, text, number, write, &others, changed, &mut own) else {
            continue;
        };
        let copied = write.operation == Operation::Copy && stage.is_none();
        if planned.top && matches!(planned.fate, Fate::Guarded(_)) && !copied {
            plan.column = if write.returning.is_some() { Column::Last } else { Column::Whole };
        }
        plan.stage = plan.stage.or(stage);
        plan.writes.push(planned);
    }
    if let Some(refused) = plan.writes.iter().find(|w| matches!(w.fate, Fate::Refused(_))) {
        // The server itself raises, while it analyzes this statement, so that the transaction and the pipeline end up as it decides.
        let raise = format!("SELECT 'CG{}|'::pg_catalog.int4", refused.mark);
        own = vec![Edit { at: statement.span.start, remove: statement.span.len(), insert: raise.into_bytes() }];
        plan.column = Column::None;
        plan.stage = None;
    }
    edits.append(&mut own);
    plan
}

/// Plans one write. `None`: it is to no guarded table.
fn plan_write(
    around: &impl Surroundings,
    text: &[u8],
    number: usize,
    write: &Write,
    also_written: &[String],
    changed: bool,
    edits: &mut Vec<Edit>,
) -> Option<(WritePlan, Option<Stage>)> {
    let mark = format!("{}.{number}", around.mark());
    let perhaps = around.concerned(&write.target)?;
    let resolved = around.resolved(&write.target);
    let (table, guarded) = match resolved {
        Some(resolved) => {
            let rules_of = |relation: &RelationFacts| {
                rules_for(around.rules(), &relation.lineage)
                    .or_else(|| rules_for(around.rules(), &relation.view_bases))
                    .cloned()
            };
            match (resolved.relation.as_ref(), resolved.relation.as_ref().and_then(rules_of)) {
                (Some(relation), Some(table)) => {
                    let known = Known { table: &table, relation, resolved, also_written, mark: &mark };
                    let guarded = guard_write(around, text, write, &known);
                    (table, guarded)
                }
                (Some(relation), None) if let Some(table) = around.below(relation) => {
                    (Arc::clone(table), Err(Reason::OtherRelation))
                }
                // By the time it runs the name may mean the guarded table.
                _ if changed && write.target.schema.is_none() => (Arc::clone(perhaps), Err(Reason::OtherRelation)),
                _ => return None,
            }
        }
        None => (Arc::clone(perhaps), Err(Reason::CatalogUnknown)),
    };
    let mut stage = None;
    let fate = match guarded {
        Ok(Guarded { guard, edits: mut own, stage: staged }) => match (skipped(&guard), &guard.expression) {
            (Some(reason), _) if table.unguardable == OnUnguardable::Reject => Fate::Refused(reason),
            (Some(reason), None) if guard.counted.is_empty() => Fate::Unguardable(reason),
            (_, None) => Fate::Untouched(guard),
            (_, Some(_)) => {
                edits.append(&mut own);
                stage = staged;
                Fate::Guarded(guard)
            }
        },
        Err(reason) if table.unguardable == OnUnguardable::Reject => Fate::Refused(reason),
        Err(reason) => Fate::Unguardable(reason),
    };
    let top = write.place == Place::Top;
    let plan = WritePlan { number, table, resolved: resolved.cloned(), operation: write.operation, mark, top, fate };
    Some((plan, stage))
}

/// What is known of one write.
struct Known<'a> {
    table: &'a Arc<TableRules>,
    relation: &'a RelationFacts,
    resolved: &'a Arc<Resolved>,
    also_written: &'a [String],
    mark: &'a str,
}

/// A guard and the way it gets into the text.
struct Guarded {
    guard: Arc<Guard>,
    edits: Vec<Edit>,
    stage: Option<Stage>,
}

/// Compiles the guard of one write and finds its place in the text.
fn guard_write(around: &impl Surroundings, text: &[u8], write: &Write, known: &Known<'_>) -> Result<Guarded, Reason> {
    if write.problem.is_some() {
        return Err(Reason::Unreadable);
    }
    if let Some(reason) = around.objection(known.table, known.resolved) {
        return Err(reason);
    }
    if let Some(returning) = &write.returning {
        let star = |item: &&ReturningItem| matches!(item.kind, ItemKind::Star | ItemKind::QualifiedStar(_));
        let stars = returning.items.iter().filter(star).count();
        // A `*` of other relations in scope is not counted; then the second run without the guard has to do.
        if returning.items.len() + stars * known.relation.columns.len().saturating_sub(1) >= MAX_ITEMS {
            return Err(Reason::TooManyColumns);
        }
    }
    let row = write.row_name();
    let channel = match (write.operation, write.place) {
        (Operation::Copy, _) => Channel::CopyWhere,
        (_, Place::Top) => Channel::Column,
        _ => Channel::Notice,
    };
    let remembers = known.table.rules.iter().any(|rule| rule.kind.has_memory());
    let returning_old = remembers && known.resolved.server_version >= RETURNING_OLD;
    let alias = if returning_old { old_alias(text, write, around.lex()) } else { None };
    let old = OldPlaces {
        alias: alias.as_deref(),
        // Not one of our own: there are servers that refuse an UPDATE without WHERE (pg-safeupdate), and go on doing so.
        condition: !write.joined && !write.sub_select && write.condition.is_some(),
        assignment: !write.set_ends.is_empty(),
    };
    let role = &known.resolved.role;
    let exemptions: Vec<_> = around.exemptions().iter().filter(|e| e.matches.role(role)).cloned().collect();
    let site = Site {
        operation: write.operation,
        row: &row,
        channel,
        columns: write.columns.as_deref(),
        conflict_columns: write.conflict_columns.as_deref(),
        old,
        may_set_config: known.resolved.may_set_config,
        conflict_target: write.conflict_target,
        reads_target: write.reads_target,
        server_version: known.resolved.server_version,
        notices: known.resolved.notices,
        also_written: known.also_written,
        observe_only: around.observe_only(),
        exemptions: &exemptions,
        trusted: around.rules().trusted_roles.contains(role),
        mark: known.mark,
    };
    let fitting = |guard: Arc<Guard>| {
        let old_row = guard.old_row.as_ref().map(|old| match old {
            OldRow::Alias(text) | OldRow::Condition(text) | OldRow::Assignment(text) => text,
        });
        let ascii = guard.expression.iter().chain(old_row).all(|text| text.is_ascii());
        if around.utf8() || ascii { Ok(guard) } else { Err(Reason::ClientEncoding) }
    };
    let guard = around.guard(known.table, known.resolved, &site).and_then(fitting);
    if write.operation == Operation::Copy
        && stage::wanted(guard.as_deref().map_err(|reason| *reason))
        && let Some(way) = around.staging(&known.relation.stage)
        && let Some(copy) = Stageable::of(write, known.relation, known.resolved, around.utf8())
    {
        let staged = Site { channel: Channel::Staged(copy.lines), ..site.clone() };
        if let Ok(guard) = around.guard(known.table, known.resolved, &staged).and_then(fitting)
            && let Some(expression) = &guard.expression
        {
            let stage = copy.stage(text, expression);
            return Ok(Guarded { guard, edits: stage.edits(write, way), stage: Some(stage) });
        }
    }
    let guard = guard?;
    let columns: Vec<&str> = known.relation.columns.iter().map(|c| c.name.as_str()).collect();
    let edits = match &guard.expression {
        Some(expression) => place_guard(text, write, expression, guard.old_row.as_ref(), &columns)?,
        None => Vec::new(),
    };
    Ok(Guarded { guard, edits, stage: None })
}

/// Why a rule of the guard cannot judge this write, if there is one that should.
fn skipped(guard: &Guard) -> Option<Reason> {
    guard.skipped.iter().find_map(|(_, skip)| match skip {
        Skip::Unguardable(reason) => Some(*reason),
        Skip::Untouched => None,
    })
}
