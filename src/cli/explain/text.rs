//! The explanation for people.
//!
//! ```text
//! statement 1
//!   insert into executions: guarded by the rules of public.executions
//!     executions_order  order  reject
//!   sent:
//!       INSERT INTO executions (id) VALUES (1)
//!     + RETURNING …
//! ```

use std::fmt::Write as _;

use super::{
    explanation::{Explained, Explanation, Source, WriteExplained},
    words,
};
use crate::{
    guard::{Guard, Reason, Skip},
    plan::{Fate, WritePlan},
    rules::set::{Action, Rule, TableRules},
    sql::{
        lex::{Kind, Lexer},
        name::quote_ident,
        splice::Edit,
        write::{ItemKind, LexOptions, Operation, Place, Verb, Write},
    },
};

/// Lines of ours are not longer, unless one word is.
const WIDTH: usize = 118;

const ASSUMED: &str = "assumed: no database was asked. A name means the table that the rules call so, each column in a rule exists and has \
    a type that fits, the server is PostgreSQL 18. In what is sent, 0 stands for the table's OID. --database URL asks.";

const NO_RULES: &str = "no rules: nothing is guarded. --rules PATH loads some.";

const INCOMPLETE: &str = "incomplete: the text ends inside a string, a quoted name or a comment, or its parentheses do not match. \
    The server will refuse it.";

/// The whole explanation.
pub(super) fn to_text(explanation: &Explanation, source: &Source) -> String {
    let mut out = Out::default();
    match source {
        Source::NoRules => out.prose("", NO_RULES),
        Source::Assumed => out.prose("", ASSUMED),
        Source::Database(words) => out.prose("", &format!("asked: {words}")),
    }
    if !explanation.complete {
        out.prose("", INCOMPLETE);
    }
    if explanation.statements.is_empty() {
        out.prose("", "no statement");
    }
    for (number, statement) in explanation.statements.iter().enumerate() {
        if !out.0.is_empty() {
            out.0.push('\n');
        }
        out.statement(number + 1, statement);
    }
    out.0
}

#[derive(Default)]
struct Out(String);

impl Out {
    fn line(&mut self, indent: &str, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{indent}{text}");
    }

    /// Text for people, on as many lines as it takes.
    fn prose(&mut self, indent: &str, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && indent.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(indent, &line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(indent, &line);
    }

    fn statement(&mut self, number: usize, statement: &Explained) {
        self.line("", &format!("statement {number}{}", verb(statement)));
        for write in &statement.writes {
            self.write(write, statement.refused());
        }
        if statement.writes.is_empty() && !matches!(statement.verb, Verb::Execute { .. }) {
            self.line("  ", "writes nothing that a guard could judge");
        }
        self.sent(statement);
    }

    /// `refused`: the statement is, for this write or another of it.
    fn write(&mut self, explained: &WriteExplained, refused: bool) {
        let write = &explained.write;
        let head = head(write);
        let Some(plan) = &explained.plan else {
            self.prose("  ", &format!("{head}: {}", no_rules(explained)));
            if let Some(problem) = write.problem {
                self.prose("    ", &format!("could not be read to its end: {problem}"));
            }
            return;
        };
        match &plan.fate {
            Fate::Guarded(_) | Fate::Untouched(_) if refused => {
                self.prose("  ", &format!("{head}: not done, since another write of the statement is refused"));
            }
            Fate::Guarded(guard) => {
                self.prose("  ", &format!("{head}: guarded by the rules of {}", plan.table.label()));
                self.rules(&plan.table, guard);
            }
            Fate::Untouched(guard) => {
                let how = if guard.counted.is_empty() { "not judged" } else { "judged by the number of its rows," };
                self.prose("  ", &format!("{head}: {how} by the rules of {}", plan.table.label()));
                self.rules(&plan.table, guard);
            }
            Fate::Unguardable(reason) => {
                self.prose("  ", &format!("{head}: cannot be guarded by the rules of {}", plan.table.label()));
                self.reason(*reason, explained, plan);
                self.prose("    ", "It is sent as it is, and counted (`unguardable: pass` of its table).");
            }
            Fate::Refused(reason) => {
                self.prose("  ", &format!("{head}: refused, cannot be guarded by the rules of {}", plan.table.label()));
                self.reason(*reason, explained, plan);
                self.prose(
                    "    ",
                    "The client gets an error with SQLSTATE 0A000 (`unguardable: reject` of its table).",
                );
            }
        }
        for note in notes(explained, plan) {
            self.prose("    ", &format!("note: {note}"));
        }
    }

    /// Why the write as a whole cannot be guarded.
    fn reason(&mut self, reason: Reason, explained: &WriteExplained, plan: &WritePlan) {
        let problem = explained.write.problem.map(|problem| format!(" ({problem})")).unwrap_or_default();
        let (why, what) = (words::why(reason), words::what_to_do(reason));
        self.prose("    ", &format!("{}{problem}: {why} {what}", reason.as_str()));
        let names: Vec<&str> = plan.table.rules.iter().map(|rule| rule.name.as_str()).collect();
        self.prose("    ", &format!("rules: {}", names.join(", ")));
    }

    /// A line for each rule of the table, in columns.
    fn rules(&mut self, table: &TableRules, guard: &Guard) {
        let longest = |of: &dyn Fn(usize) -> usize| (0..table.rules.len()).map(of).max().unwrap_or_default();
        let names = longest(&|n| table.rules[n].name.chars().count());
        let kinds = longest(&|n| table.rules[n].kind.as_str().len());
        for (number, rule) in table.rules.iter().enumerate() {
            let counted = guard.counted.iter().map(|(counted, decision)| (*counted, decision.strictest()));
            let mut judged = guard.judged.iter().copied().chain(counted);
            let action = judged.find(|(judged, _)| *judged == number).map(|(_, action)| action);
            let skip = guard.skipped.iter().find(|(skipped, _)| *skipped == number).map(|(_, skip)| *skip);
            let kind = rule.kind.as_str();
            let verdict = verdict(rule.on_violation.action(guard.context.operation), action);
            let line = format!("{:names$}  {kind:kinds$}  {verdict}", rule.name);
            match skip {
                Some(Skip::Untouched) => self.line("    ", &format!("{line}: {}", untouched(rule, guard))),
                Some(Skip::Unguardable(reason)) => {
                    self.line("    ", &format!("{line}: {}", reason.as_str()));
                    self.prose("      ", &format!("{} {}", words::why(reason), words::what_to_do(reason)));
                }
                None => self.line("    ", &line),
            }
        }
    }

    fn sent(&mut self, statement: &Explained) {
        if statement.edits.is_empty() {
            self.line("  ", "sent as it is:");
        } else {
            self.line("  ", "sent:");
        }
        let mut edits: Vec<&Edit> = statement.edits.iter().collect();
        edits.sort_by_key(|edit| edit.at);
        let mut done = 0;
        for Edit { at, remove, insert } in edits {
            self.sql("      ", &statement.text[done..*at], false);
            self.sql("    - ", &statement.text[*at..at + remove], false);
            self.sql("    + ", insert, true);
            done = at + remove;
        }
        self.sql("      ", &statement.text[done..], false);
    }

    /// Lines of SQL; `wrap`: broken between tokens where they get too long.
    fn sql(&mut self, indent: &str, sql: &[u8], wrap: bool) {
        let sql = sql.trim_ascii();
        if sql.is_empty() {
            return;
        }
        let lines = if wrap { wrapped(sql, WIDTH - indent.len()) } else { vec![sql] };
        for line in lines.iter().flat_map(|line| line.split(|b| *b == b'\n')) {
            let line = String::from_utf8_lossy(line);
            self.line(indent, line.trim_end_matches('\r'));
        }
    }
}

/// What the session notes of a statement.
fn verb(statement: &Explained) -> String {
    match &statement.verb {
        Verb::Prepare(name) => format!(": PREPARE {}, judged when it is executed", quote_ident(name)),
        Verb::Execute { name, .. } => format!(": EXECUTE {}, does what was prepared", quote_ident(name)),
        Verb::Fetch(name) => format!(": FETCH from {}", quote_ident(name)),
        Verb::Explain => ": EXPLAIN".to_owned(),
        Verb::ChangesNames if statement.writes.is_empty() => ": may change what names mean".to_owned(),
        _ => String::new(),
    }
}

/// `insert into s.t as a (in WITH)`
fn head(write: &Write) -> String {
    let mut head = match write.operation {
        Operation::Insert => "insert into ",
        Operation::Update => "update ",
        Operation::Merge => "merge into ",
        Operation::Copy => "copy into ",
    }
    .to_owned();
    if write.target.only {
        head.push_str("only ");
    }
    for part in write.target.catalog.iter().chain(&write.target.schema) {
        head.push_str(&quote_ident(part));
        head.push('.');
    }
    head.push_str(&quote_ident(&write.target.name));
    if let Some(alias) = &write.alias {
        head.push_str(" as ");
        head.push_str(&quote_ident(alias));
    }
    head.push_str(match write.place {
        Place::Top => "",
        Place::Explain => " (inside EXPLAIN ANALYZE)",
        Place::Cte => " (inside WITH)",
        Place::Consumed => " (its rows go to the statement around it)",
    });
    head
}

/// Why a write is to no guarded table.
fn no_rules(explained: &WriteExplained) -> String {
    match &explained.meaning.relation {
        None => "no rules".to_owned(),
        Some(None) => "no rules; there is no relation of that name here".to_owned(),
        Some(Some(relation)) => {
            format!("no rules; the name means {}.{} here", quote_ident(&relation.schema), quote_ident(&relation.name))
        }
    }
}

/// What the rule does, and what its file says if that is more.
fn verdict(written: Action, here: Option<Action>) -> String {
    match here {
        None => "not judged".to_owned(),
        Some(here) if here == written => here.as_str().to_owned(),
        Some(here) => format!("{} here, {} elsewhere", here.as_str(), written.as_str()),
    }
}

/// Why nothing of a rule is judged, though it could be.
fn untouched(rule: &Rule, guard: &Guard) -> &'static str {
    match guard.context.operation {
        Operation::Insert | Operation::Copy if guard.context.conflict_columns.is_none() && rule.kind.has_memory() => {
            "there is no row before"
        }
        Operation::Merge => "no UPDATE of it sets one of its columns",
        _ => "the UPDATE sets none of its columns",
    }
}

fn notes(explained: &WriteExplained, plan: &WritePlan) -> Vec<String> {
    let (write, meaning) = (&explained.write, &explained.meaning);
    let mut notes = Vec::new();
    let asked = !meaning.assumed;
    if let (true, Some(Some(relation))) = (asked, &meaning.relation)
        && (relation.schema != plan.table.schema || relation.name != plan.table.table)
    {
        let name = format!("{}.{}", quote_ident(&relation.schema), quote_ident(&relation.name));
        notes.push(format!("the name means {name}, which leads to {}", plan.table.label()));
    }
    if !asked && meaning.candidates.len() > 1 {
        notes.push(format!("the search_path decides between {}", meaning.candidates.join(", ")));
    }
    if meaning.may_change && explained.guarded() {
        let text =
            "an earlier statement may change what the name means; the guard itself looks where the row is stored";
        notes.push(text.to_owned());
    }
    let starred = write.returning.as_ref().is_some_and(|returning| {
        returning.items.iter().all(|item| matches!(item.kind, ItemKind::Star | ItemKind::QualifiedStar(_)))
    });
    if !asked && explained.guarded() && starred && matches!(write.place, Place::Cte | Place::Consumed) {
        notes.push("`*` becomes all columns of the table; here are only those that the rules name".to_owned());
    }
    notes
}

/// SQL in lines of about `width`, broken where that changes nothing: between tokens, where there is a blank or after a comma.
fn wrapped(sql: &[u8], width: usize) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let (mut start, mut end) = (0, 0);
    // Up to where the line may go on, and from where the next one would begin.
    let mut last: Option<(usize, usize)> = None;
    let mut comma = false;
    for token in Lexer::new(sql, LexOptions::default()) {
        if token.start > end || comma {
            last = Some((end, token.start));
        }
        end = token.end;
        comma = token.kind == Kind::Char(b',');
        if end - start > width
            && let Some((to, next)) = last.take_if(|(to, _)| *to > start)
        {
            lines.push(&sql[start..to]);
            start = next;
        }
    }
    lines.push(&sql[start..]);
    lines
}
