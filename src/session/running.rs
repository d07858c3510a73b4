//! A text of interest while the server runs it: verdicts are read and taken out of its replies, and told.

use std::{sync::Arc, time::Instant};

use super::{
    breaker::Suspect,
    context::{Context, Identity},
    pending::PendingWrites,
    plan::{Body, Column, Fate, Plan, Planned, PlannedWrite},
    prepared::{Prepared, Undo},
    staged::Staged,
};
use crate::{
    guard::{Guard, Reason, Skip, Verdict, Violation, verdict, violation},
    observe::{self, Outcome, StatementContext, StatementLog, WriteResult},
    rules::set::{Action, Kind},
    sql::{
        splice::{CharWidth, Position},
        write::{LexOptions, Verb},
    },
    wire::{
        WireError,
        backend::{self, tag},
        compose,
    },
};

/// Warnings that one statement sends to its client: a million bad rows are one mistake.
const MOST_WARNINGS: u32 = 20;

/// What a write gets that cannot be guarded, where its table says `unguardable: reject`: `feature_not_supported`.
const SQLSTATE_UNGUARDABLE: &str = "0A000";

/// What a run needs of its session to tell what it found.
pub(super) struct Teller<'t> {
    pub(super) context: &'t Context,
    pub(super) identity: &'t Identity,
    pub(super) lex: LexOptions,
    pub(super) writes: &'t mut PendingWrites,
}

/// A `Query`, or the run of a portal.
#[derive(Debug)]
pub(super) struct Running {
    what: What,
    /// The statement of the text that replies now.
    at: usize,
    /// It is a staged COPY.
    staged: Option<Staged>,
    /// Takes back what each statement does to the session.
    undo: Vec<Undo>,
    /// This is the second run, without these guards: it decides on their breakers.
    pub(super) again: Option<Arc<[Suspect]>>,
    started: Instant,
    /// Rows of the current statement that came with a guard column.
    rows: u64,
    /// What was found of each write of the current statement.
    seen: Vec<Seen>,
    /// `NoticeResponse`s for the client, before the statement's `CommandComplete`.
    warnings: Vec<u8>,
    warned: u32,
    /// The greatest number of rows that this run of a portal fetches; 0: all.
    limit: u64,
}

#[derive(Debug)]
enum What {
    Query(Arc<Plan>),
    Portal(Arc<Prepared>),
}

#[derive(Debug, Default)]
struct Seen {
    worst: Option<Action>,
    /// Why rows were not judged that should have been.
    unjudged: Option<Reason>,
    log: Option<StatementLog>,
}

impl Running {
    pub(super) fn query(plan: Arc<Plan>, undo: Vec<Undo>, started: Instant) -> Self {
        Self::new(What::Query(plan), undo, started)
    }

    pub(super) fn portal(prepared: &Arc<Prepared>, undo: Vec<Undo>, limit: i32) -> Self {
        let limit = u64::try_from(limit).unwrap_or(0);
        Self { limit, ..Self::new(What::Portal(Arc::clone(prepared)), undo, Instant::now()) }
    }

    fn new(what: What, undo: Vec<Undo>, started: Instant) -> Self {
        let (seen, warnings) = (Vec::new(), Vec::new());
        let mut running = Self {
            what,
            at: 0,
            staged: None,
            undo,
            again: None,
            started,
            rows: 0,
            seen,
            warnings,
            warned: 0,
            limit: 0,
        };
        running.stage();
        running
    }

    /// Begins the stage of the current statement, if it has one.
    fn stage(&mut self) {
        self.staged = self.statement().and_then(|s| s.body.stage.clone()).map(Staged::new);
    }

    /// Where the current statement stands, if it is a staged COPY.
    pub(super) fn staged(&self) -> Option<&Staged> {
        self.staged.as_ref()
    }

    fn statement(&self) -> Option<&Planned> {
        match &self.what {
            What::Query(plan) => plan.statements.get(self.at),
            What::Portal(prepared) => Some(&prepared.planned),
        }
    }

    /// What the statement that replies now does.
    pub(super) fn body(&self) -> Option<Arc<Body>> {
        self.statement().map(|s| Arc::clone(&s.body))
    }

    fn text(&self) -> &[u8] {
        match &self.what {
            What::Query(plan) => &plan.text,
            What::Portal(prepared) => &prepared.text,
        }
    }

    /// Hash of the rules that judge it.
    fn config_hash(&self) -> String {
        let in_force = match &self.what {
            What::Query(plan) => Some(&plan.in_force),
            What::Portal(prepared) => prepared.in_force(),
        };
        in_force.map_or_else(String::new, |in_force| in_force.rules.hash.clone())
    }

    /// As [`Plan::position`].
    pub(super) fn position(&self, position: usize, width: CharWidth) -> Option<Position> {
        match &self.what {
            What::Query(plan) => plan.position(position, width),
            // Another text of ours.
            What::Portal(_) if self.staged.as_ref().is_some_and(|s| !s.is_clients()) => Some(Position::Guard),
            What::Portal(prepared) => prepared.plan.as_ref()?.position(position, width),
        }
    }

    /// How to take back what the statements from the current one on would have done to the session.
    pub(super) fn undone(&mut self) -> Vec<Undo> {
        self.undo.split_off(self.at.min(self.undo.len()))
    }

    /// What the guard adds to the result of the statement that replies now.
    pub(super) fn column(&self) -> Column {
        self.statement().map_or(Column::None, |s| s.body.column)
    }

    /// A `RowDescription` or `DataRow` of a statement with a guard column.
    ///
    /// # Errors
    /// A malformed message.
    pub(super) fn row(
        &mut self,
        message: &[u8],
        teller: &mut Teller<'_>,
        to_client: Option<&mut Vec<u8>>,
    ) -> Result<(), WireError> {
        let column = self.column();
        if self.staged.as_ref().is_some_and(|s| !s.judges()) {
            return Ok(());
        }
        if message[0] == tag::ROW_DESCRIPTION {
            if let (Column::Last, Some(to_client)) = (column, to_client) {
                backend::cut_row_description(to_client, message)?;
            }
            return Ok(());
        }
        let (at, value) = backend::guard_column(message)?;
        self.rows += 1;
        if let Some(text) = value.filter(|text| !text.is_empty()) {
            self.verdict(text, teller);
        }
        if let (Column::Last, Some(to_client)) = (column, to_client) {
            backend::cut_data_row(to_client, message, at);
        }
        Ok(())
    }

    /// The guard column of a row says something.
    fn verdict(&mut self, text: &[u8], teller: &mut Teller<'_>) {
        let Some(body) = self.body() else { return };
        let Some((number, write)) = body.writes.iter().enumerate().find(|(_, w)| w.top) else { return };
        let Fate::Guarded(guard) = &write.fate else { return };
        if verdict::is_lost(text) {
            self.tell(number, write, guard, Verdict::Lost, teller);
        }
        match verdict::from_column(text, guard) {
            Some(Verdict::Lost) => {}
            Some(verdict) => self.tell(number, write, guard, verdict, teller),
            None => tracing::error!(table = write.metrics.name(), "a guard column could not be read"),
        }
    }

    /// Takes a notice that carries a verdict of this statement. Whether it was one.
    ///
    /// # Errors
    /// A malformed message.
    pub(super) fn takes_notice(&mut self, message: &[u8], teller: &mut Teller<'_>) -> Result<bool, WireError> {
        let fields = backend::fields(message)?;
        // 42622 is name_too_long: see guard::Channel::Notice.
        if backend::field(&fields, b'C') != Some(b"42622") {
            return Ok(false);
        }
        let text = backend::field(&fields, b'M').unwrap_or_default();
        let Some(body) = self.body() else { return Ok(false) };
        for (number, write) in body.writes.iter().enumerate() {
            if let Fate::Guarded(guard) = &write.fate
                && let Some(verdict) = verdict::from_message(text, &write.mark, guard)
            {
                self.tell(number, write, guard, verdict, teller);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Finds out whether an error is a verdict of this statement. Writes what the client gets for it.
    pub(super) fn refusal(&mut self, fields: &[(u8, &[u8])], teller: &mut Teller<'_>, to_client: &mut Vec<u8>) -> bool {
        let text = backend::field(fields, b'M').unwrap_or_default();
        // 22P02 is invalid_text_representation: what int4in raises.
        if backend::field(fields, b'C') != Some(b"22P02") {
            return false;
        }
        let Some(body) = self.body() else { return false };
        for (number, write) in body.writes.iter().enumerate() {
            match &write.fate {
                Fate::Guarded(guard) => {
                    let Some(Verdict::Findings(findings)) = verdict::from_message(text, &write.mark, guard) else {
                        continue;
                    };
                    let Some(violation) = findings.first().and_then(|f| Violation::new(f, guard, &write.table)) else {
                        continue;
                    };
                    self.tell(number, write, guard, Verdict::Findings(findings), teller);
                    let mut info = compose::info("ERROR", violation::SQLSTATE_REJECTED, violation.message.clone());
                    describe(&mut info, &violation);
                    // COPY's line, as a CHECK constraint's error has it.
                    info.where_context = match &self.staged {
                        Some(staged) => Some(staged.context(verdict::line(text, &write.mark))),
                        None => backend::field(fields, b'W').map(|w| String::from_utf8_lossy(w).into_owned()),
                    };
                    compose::write_error(to_client, info);
                    return true;
                }
                Fate::Refused(reason) if contains(text, &write.mark) => {
                    compose::write_error(to_client, refused(write, *reason));
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    /// Counts and logs what a guard said about one row.
    fn tell(&mut self, number: usize, write: &PlannedWrite, guard: &Guard, verdict: Verdict, teller: &mut Teller<'_>) {
        let findings = match verdict {
            Verdict::Good => return,
            Verdict::OtherRelation(oid) => {
                if self.seen(number).unjudged.replace(Reason::OtherRelation).is_none() {
                    tracing::warn!(table = write.metrics.name(), oid, "rows went into another relation than expected");
                }
                return;
            }
            Verdict::Lost => {
                if self.seen(number).unjudged.replace(Reason::OldRow).is_none() {
                    tracing::warn!(table = write.metrics.name(), "the key of a row was changed while it was written");
                }
                return;
            }
            Verdict::Findings(findings) => findings,
        };
        for finding in &findings {
            if let Some(violation) = Violation::new(finding, guard, &write.table) {
                self.violation(number, write, &violation, teller);
            }
        }
    }

    /// Judges how many rows a write has written.
    fn count(&mut self, number: usize, write: &PlannedWrite, rows: u64, teller: &mut Teller<'_>) {
        for (guard, rule, decision) in write.counted() {
            if let Kind::AffectsRows(least) = &rule.kind
                && rows < least.min
            {
                let decided = decision.here(jiff::Timestamp::now(), &teller.identity.application_name);
                let violation = Violation::too_few_rows(rule, least.min, rows, decided, &guard.context);
                self.violation(number, write, &violation, teller);
            }
        }
    }

    fn seen(&mut self, number: usize) -> &mut Seen {
        if self.seen.len() <= number {
            self.seen.resize_with(number + 1, Seen::default);
        }
        &mut self.seen[number]
    }

    fn violation(&mut self, number: usize, write: &PlannedWrite, violation: &Violation, teller: &mut Teller<'_>) {
        write.metrics.violation(&violation.rule, violation.action, violation.cause, violation.by_seconds.map(f64::abs));
        if violation.action == Action::Warn && self.warned < MOST_WARNINGS {
            self.warned += 1;
            let mut info = compose::info("WARNING", violation::SQLSTATE_WARNED, violation.message.clone());
            describe(&mut info, violation);
            compose::write_notice(&mut self.warnings, info);
        }
        if self.seen(number).log.is_none() {
            let context = StatementContext {
                session: teller.identity.for_log(),
                table: write.metrics.name().to_owned(),
                operation: write.operation,
                fingerprint: observe::fingerprint(self.text(), teller.lex),
                traceparent: observe::traceparent(self.text()),
                config_hash: self.config_hash(),
            };
            self.seen(number).log = Some(teller.context.violations.statement(context));
        }
        let seen = self.seen(number);
        seen.worst = seen.worst.max(Some(violation.action));
        if let Some(log) = &mut seen.log {
            log.violation(|| violation.into());
        }
    }

    /// `CommandComplete` (or `EmptyQueryResponse`, `PortalSuspended` of a portal): the current statement is over, or pauses. `false`: only one of
    /// the statements is over that stand for it.
    pub(super) fn complete(&mut self, message: &[u8], teller: &mut Teller<'_>, to_client: &mut Vec<u8>) -> bool {
        let staged_tag;
        let mut command = backend::command_tag(message);
        if let Some(staged) = &mut self.staged {
            let Some(tag) = staged.complete(command) else { return false };
            staged_tag = tag;
            command = &staged_tag;
        }
        if message[0] == tag::PORTAL_SUSPENDED {
            to_client.append(&mut self.warnings);
            to_client.extend_from_slice(message);
            if let What::Portal(prepared) = &self.what {
                prepared.pauses(self.limit);
            }
            self.rows_judged();
            return true;
        }
        let rows = backend::tag_rows(command);
        let before = match &self.what {
            What::Portal(prepared) => prepared.ends(),
            What::Query(_) => 0,
        };
        let elapsed = self.started.elapsed();
        let fetched = matches!(self.statement().map(|s| &s.verb), Some(Verb::Fetch(_)));
        if fetched {
            self.rows_judged();
        } else if let Some(body) = self.body() {
            for (number, write) in body.writes.iter().enumerate() {
                if command.starts_with(write.operation.verb().as_bytes()) {
                    self.count(number, write, rows.saturating_add(before), teller);
                }
                let seen = self.seen.get(number);
                write.metrics.statement(write.operation, outcome(write, seen));
                count_unguardable(write, seen.and_then(|s| s.unjudged));
                if matches!(write.fate, Fate::Guarded(_)) {
                    let judged = if body.column != Column::None && write.top { self.rows } else { rows };
                    write.metrics.rows_checked(judged);
                }
                if write.top {
                    write.metrics.write_seconds(write.operation, elapsed);
                    if rows == 0 {
                        write.metrics.zero_row_write(write.operation);
                    }
                }
                teller.writes.write(&write.metrics, write.operation);
            }
        }
        to_client.append(&mut self.warnings);
        match &self.staged {
            Some(_) => backend::write_command_complete(to_client, command),
            None => to_client.extend_from_slice(message),
        }
        match self.statement().map(|s| &s.verb) {
            Some(Verb::Savepoint(name)) => teller.writes.savepoint(name),
            Some(Verb::RollbackTo(name)) => teller.writes.rollback_to(name),
            Some(Verb::Rollback) => teller.writes.end(WriteResult::RolledBack),
            // The COMMIT of a failed transaction is answered by ROLLBACK.
            Some(Verb::Commit) if command == b"ROLLBACK" => teller.writes.end(WriteResult::RolledBack),
            Some(Verb::Commit) => teller.writes.end(WriteResult::Committed),
            _ => {}
        }
        self.next();
        true
    }

    /// Counts the rows that came with a guard column, where that does not end their write.
    fn rows_judged(&self) {
        if let Some(write) = self.body().as_ref().and_then(|b| b.writes.iter().find(|w| w.top)) {
            write.metrics.rows_checked(self.rows);
        }
    }

    fn next(&mut self) {
        self.at += 1;
        self.stage();
        self.rows = 0;
        self.seen.clear();
        self.warned = 0;
        self.started = Instant::now();
    }

    /// The current statement failed. `refused`: by a verdict of ours.
    pub(super) fn failed(&mut self, sqlstate: &[u8], refused: bool) {
        let Some(body) = self.body() else { return };
        let sqlstate = match (refused, body.writes.iter().any(|w| matches!(w.fate, Fate::Refused(_)))) {
            (true, true) => SQLSTATE_UNGUARDABLE,
            (true, false) => violation::SQLSTATE_REJECTED,
            (false, _) => std::str::from_utf8(sqlstate).unwrap_or(""),
        };
        for (number, write) in body.writes.iter().enumerate() {
            let outcome = match (&write.fate, refused) {
                (Fate::Refused(_), true) => Outcome::Unguardable,
                (_, true) if self.seen.get(number).is_some_and(|s| s.worst == Some(Action::Reject)) => {
                    Outcome::Rejected
                }
                _ => Outcome::Error,
            };
            write.metrics.statement(write.operation, outcome);
            if let (Fate::Refused(reason), true) = (&write.fate, refused) {
                write.metrics.unguardable(*reason);
            }
            write.metrics.write_error(sqlstate);
            write.metrics.write_result(write.operation, WriteResult::Failed);
        }
    }

    /// Whether the statement that replies now has another behind or before it in its text.
    pub(super) fn alone(&self) -> bool {
        match &self.what {
            What::Query(plan) => plan.statements.len() == 1,
            What::Portal(_) => true,
        }
    }
}

fn contains(text: &[u8], mark: &str) -> bool {
    memchr::memmem::find(text, format!("CG{mark}|").as_bytes()).is_some()
}

fn outcome(write: &PlannedWrite, seen: Option<&Seen>) -> Outcome {
    match (&write.fate, seen.and_then(|s| s.worst)) {
        (Fate::Unguardable(_) | Fate::Refused(_), _) => Outcome::Unguardable,
        (_, Some(Action::Exempt)) => Outcome::Exempt,
        (_, Some(Action::Observe)) => Outcome::Observed,
        (_, Some(Action::Warn)) => Outcome::Warned,
        (_, Some(Action::Reject)) => Outcome::Rejected,
        (_, None) if seen.is_some_and(|s| s.unjudged.is_some()) => Outcome::Unguardable,
        (_, None) => Outcome::Passed,
    }
}

fn count_unguardable(write: &PlannedWrite, unjudged: Option<Reason>) {
    match &write.fate {
        Fate::Unguardable(reason) | Fate::Refused(reason) => write.metrics.unguardable(*reason),
        Fate::Guarded(guard) | Fate::Untouched(guard) => {
            let mut reasons: Vec<Reason> = guard
                .skipped
                .iter()
                .filter_map(|(_, skip)| if let Skip::Unguardable(reason) = skip { Some(*reason) } else { None })
                .collect();
            reasons.sort();
            reasons.dedup();
            for reason in reasons {
                write.metrics.unguardable(reason);
            }
            if let Some(reason) = unjudged {
                write.metrics.unguardable(reason);
            }
        }
    }
}

/// The fields of DESIGN section 6.5.
fn describe(info: &mut pgwire::error::ErrorInfo, violation: &Violation) {
    info.detail = Some(violation.detail.clone());
    info.hint = violation.hint.clone();
    info.schema = Some(violation.relation.schema.clone());
    info.table = Some(violation.relation.name.clone());
    info.column = violation.column.clone();
    info.constraint = Some(violation.rule.clone());
}

/// The error of a write whose table says `unguardable: reject`.
fn refused(write: &PlannedWrite, reason: Reason) -> pgwire::error::ErrorInfo {
    let message = format!(
        "{} on relation \"{}\" cannot be judged by its timestamp rules",
        write.operation.verb(),
        write.table.table
    );
    let mut info = compose::info("ERROR", SQLSTATE_UNGUARDABLE, message);
    info.detail = Some(format!("Reason: {}.", reason.as_str()));
    info.hint = Some(format!(
        "The rules of \"{}\" say unguardable: reject. Change the statement, or set unguardable: pass.",
        write.metrics.name()
    ));
    info.schema = Some(write.table.schema.clone());
    info.table = Some(write.table.table.clone());
    info
}
