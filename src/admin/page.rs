//! The status page: what someone on call wants to see first, as one HTML page without scripts or other assets.

use std::{
    fmt::{self, Display, Write},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::State,
    http::header,
    response::{Html, IntoResponse, Response},
};
use jiff::Timestamp;

use super::{
    Admin, AdminState,
    api::{ViolationCounts, count, table_label},
};
use crate::{
    guard::Reason,
    observe::{ColumnValue, Snapshot, ViolationRecord},
    rules::set::{Rule, RuleSet, TableRules},
};

const STYLE: &str = include_str!("page.css");

/// Nothing may be loaded from anywhere, and no script runs, whatever a client writes into a violation.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Rules shown; all of them are at `/api/rules`.
const MOST_RULES: usize = 300;

/// Violations shown.
const MOST_VIOLATIONS: usize = 50;

/// `GET /`.
pub(super) async fn page(State(admin): State<Admin>) -> Response {
    let ready = admin.readiness().await;
    let html = render(&admin.state, &ready, Timestamp::now());
    ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")], Html(html)).into_response()
}

fn render(state: &AdminState, ready: &Result<(), String>, now: Timestamp) -> String {
    let snapshot = state.metrics.snapshot();
    let rules = Arc::clone(&state.control.in_force().rules);
    let recent = state.violations.recent(MOST_VIOLATIONS);
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, &View { state, ready, snapshot: &snapshot, rules: &rules, recent: &recent, now });
    page
}

/// All that the page shows.
struct View<'a> {
    state: &'a AdminState,
    ready: &'a Result<(), String>,
    snapshot: &'a Snapshot,
    rules: &'a RuleSet,
    recent: &'a [Arc<ViolationRecord>],
    now: Timestamp,
}

fn write_page(out: &mut String, view: &View<'_>) -> fmt::Result {
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>chronoguard</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>"
    )?;
    write_header(out, view)?;
    out.push_str("<main>");
    write_banners(out, view)?;
    write_tiles(out, view.snapshot)?;
    write_rules(out, view)?;
    write_unguardable(out, view.snapshot)?;
    write_recent(out, view)?;
    out.push_str("</main></body></html>\n");
    Ok(())
}

fn write_header(out: &mut String, view: &View<'_>) -> fmt::Result {
    let (class, word) = if view.ready.is_ok() { ("good", "ready") } else { ("bad", "not ready") };
    let count: usize = view.rules.tables.iter().map(|t| t.rules.len()).sum();
    writeln!(
        out,
        "<header><h1>chronoguard <small>{version}</small></h1><span class=\"state {class}\">{word}</span>\
         <p>{listen} <i>to</i> {upstream} · up {up} · {rules} on {tables} · rule set <code>{hash}</code></p>\
         <nav><a href=\"/metrics\">metrics</a> <a href=\"/api/rules\">rules</a> <a href=\"/api/violations\">violations</a></nav></header>",
        version = env!("CARGO_PKG_VERSION"),
        listen = Text(&view.state.listen),
        upstream = Text(view.state.upstream.to_string()),
        up = Ago(view.state.started.elapsed()),
        rules = Plural(count, "rule"),
        tables = Plural(view.rules.tables.len(), "table"),
        hash = Text(&view.rules.hash),
    )
}

/// What needs someone to act.
fn write_banners(out: &mut String, view: &View<'_>) -> fmt::Result {
    if let Err(reason) = view.ready {
        writeln!(out, "<p class=\"banner bad\"><b>Not ready.</b> {}</p>", Text(reason))?;
    }
    if view.snapshot.sum("kill_switch", &[]) > 0.0 {
        out.push_str("<p class=\"banner warn\"><b>Kill switch is on.</b> Every rule only observes.</p>");
    }
    if view.snapshot.sum("config_last_reload_successful", &[]) < 1.0 {
        out.push_str(
            "<p class=\"banner warn\"><b>The rule files have mistakes.</b> The rules in force are those of before; \
             chronoguard check tells every mistake.</p>",
        );
    }
    for ([table], open) in view.snapshot.by("breaker_open", ["table"]) {
        if open > 0.0 {
            writeln!(
                out,
                "<p class=\"banner warn\"><b>Breaker open.</b> Writes to {} run unguarded, because its guard failed. \
                 Do the rules still fit the table?</p>",
                Text(table)
            )?;
        }
    }
    Ok(())
}

fn write_tiles(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let violations = |action| snapshot.sum("violations_total", &[("action", action)]);
    let tiles = [
        ("sessions", snapshot.sum("sessions", &[]), ""),
        ("guarded writes", snapshot.sum("statements_total", &[]), ""),
        ("rows judged", snapshot.sum("rows_checked_total", &[]), ""),
        ("rejected", violations("reject"), "bad"),
        ("warned", violations("warn"), "warn"),
        ("observed", violations("observe"), "note"),
        ("exempt", violations("exempt"), ""),
        ("not guardable", snapshot.sum("unguardable_total", &[]), "warn"),
    ];
    out.push_str("<ul class=\"tiles\">");
    for (name, value, class) in tiles {
        let class = if value > 0.0 { class } else { "" };
        write!(out, "<li class=\"{class}\"><b>{}</b>{name}</li>", Grouped(count(value)))?;
    }
    out.push_str("</ul>");
    Ok(())
}

fn write_rules(out: &mut String, view: &View<'_>) -> fmt::Result {
    out.push_str("<h2>Rules</h2>");
    if view.rules.tables.is_empty() {
        out.push_str("<p class=\"empty\">No rules are loaded: everything passes through.</p>");
        return Ok(());
    }
    let counts = ViolationCounts::new(view.snapshot);
    let causes = view.snapshot.by("violations_total", ["table", "rule", "cause"]);
    out.push_str(
        "<table><thead><tr><th>rule<th>kind<th>action<th class=\"number\">violations<th>most frequent cause</tr></thead>",
    );
    let mut left = MOST_RULES;
    for table in &view.rules.tables {
        let label = table_label(table);
        write_table_heading(out, table)?;
        for rule in table.rules.iter().take(left) {
            let cause = causes
                .iter()
                .filter(|([t, r, _], n)| *t == label && *r == rule.name && **n > 0.0)
                .max_by(|a, b| a.1.total_cmp(b.1))
                .map_or("", |([_, _, cause], _)| cause);
            let action = rule.on_violation.strictest().as_str();
            writeln!(
                out,
                "<tr><td title=\"{place}\">{name}<td>{kind}<td><span class=\"pill {action}\">{action}</span>{partly}\
                 <td class=\"number\">{violations}<td>{cause}</tr>",
                place = Text(format!("{}:{}", rule.place.file.display(), rule.place.line)),
                name = Text(&rule.name),
                kind = rule.kind.as_str(),
                partly = Partly(rule),
                violations = Grouped(counts.of(&label, &rule.name)),
            )?;
        }
        left = left.saturating_sub(table.rules.len());
        if left == 0 {
            break;
        }
    }
    out.push_str("</table>");
    if left == 0 {
        writeln!(out, "<p class=\"empty\">More are at <a href=\"/api/rules\">/api/rules</a>.</p>")?;
    }
    Ok(())
}

fn write_table_heading(out: &mut String, table: &TableRules) -> fmt::Result {
    write!(out, "<tbody><tr class=\"heading\"><th colspan=\"5\">{}", Text(table_label(table)))?;
    if let Some(owner) = &table.owner {
        write!(out, " <small>{}</small>", Text(owner))?;
    }
    if let Some(runbook) = &table.runbook {
        if runbook.starts_with("https://") || runbook.starts_with("http://") {
            write!(out, " <small><a href=\"{}\" rel=\"noreferrer\">runbook</a></small>", Text(runbook))?;
        } else {
            write!(out, " <small>{}</small>", Text(runbook))?;
        }
    }
    out.push_str("</tr>");
    Ok(())
}

fn write_unguardable(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let mut reasons: Vec<_> =
        snapshot.by("unguardable_total", ["table", "reason"]).into_iter().filter(|(_, n)| *n > 0.0).collect();
    if reasons.is_empty() {
        return Ok(());
    }
    reasons.sort_by(|a, b| b.1.total_cmp(&a.1));
    out.push_str("<h2>Not guardable</h2><table><thead><tr><th>table<th>reason<th>what it means<th class=\"number\">writes</tr></thead>");
    for ([table, reason], writes) in reasons.iter().take(MOST_RULES) {
        let meaning = Reason::ALL.iter().find(|r| r.as_str() == reason).map_or("", |r| meaning(*r));
        writeln!(
            out,
            "<tr><td>{}<td>{reason}<td>{meaning}<td class=\"number\">{}</tr>",
            Text(table),
            Grouped(count(*writes))
        )?;
    }
    out.push_str("</table>");
    Ok(())
}

/// One sentence for the status page; `docs/OPERATIONS.md` says what to do.
fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::NoSelectPrivilege => "The role may not read a column that the rule needs.",
        Reason::RowSecurity => "With row security, a guard would change which rows are written.",
        Reason::InsteadRule => "The table has an INSTEAD rule, which allows no RETURNING.",
        Reason::View => "A view whose columns cannot be mapped to the table for certain.",
        Reason::InsteadOfTrigger => "The view's trigger decides what is stored.",
        Reason::ForeignTable => "A guard would switch off batching for the foreign table.",
        Reason::MergeBefore17 => "MERGE has no RETURNING before PostgreSQL 17.",
        Reason::Unreadable => "The statement could not be read.",
        Reason::CteReturning => "No place for the guard in this WITH query.",
        Reason::CopyTrigger => {
            "COPY is judged before BEFORE triggers change the row, and this one could not be staged."
        }
        Reason::CopySubquery => "COPY allows no look at a parent table, and this one could not be staged.",
        Reason::NoticesSilenced => "The client silences the notices that bring the verdict.",
        Reason::ColumnMissing => "The rule names a column that the table does not have.",
        Reason::ColumnType => "The rule cannot judge a column of this type.",
        Reason::Parent => "The parent table is missing or cannot be read.",
        Reason::ParentSameStatement => "The same statement writes the parent too.",
        Reason::MessageTooLarge => "The message is larger than message_cap.",
        Reason::ClientEncoding => "The client's encoding is not safe to search.",
        Reason::OtherRelation => "The row went to another relation than the one looked up.",
        Reason::BreakerOpen => "The guard failed a moment ago.",
        Reason::CatalogUnknown => "The catalog could not be asked.",
        Reason::TooManyColumns => "The result would have more columns than PostgreSQL allows.",
        Reason::RowsUnknown => "Inside WITH the server does not tell how many rows are written.",
        Reason::UpsertUnknown => "ON CONFLICT DO UPDATE: whether the row is new cannot be told here.",
        Reason::OldRow => "The row as it was before cannot be had in this statement.",
        Reason::SetConfig => "The role may not call set_config, which carries the row before the write.",
    }
}

fn write_recent(out: &mut String, view: &View<'_>) -> fmt::Result {
    out.push_str("<h2>Recent violations</h2>");
    if view.recent.is_empty() {
        out.push_str("<p class=\"empty\">None since the start.</p>");
        return Ok(());
    }
    out.push_str(
        "<table><thead><tr><th>when<th>rule<th>action<th>cause<th>values<th class=\"number\">by<th>client</tr></thead>",
    );
    for record in view.recent {
        write_violation(out, record, view.now)?;
    }
    out.push_str("</table>");
    Ok(())
}

fn write_violation(out: &mut String, record: &ViolationRecord, now: Timestamp) -> fmt::Result {
    let (finding, statement, session) = (&record.finding, &record.statement, &record.statement.session);
    let age = Duration::from_secs(u64::try_from(now.as_second() - record.time.as_second()).unwrap_or(0));
    let action = finding.action.as_str();
    write!(
        out,
        "<tr><td class=\"when\" title=\"{time}\">{age} ago<td>{rule}<br><small>{table}</small><td><span class=\"pill {action}\">{action}</span><td>{cause}",
        time = record.time,
        age = Ago(age),
        table = Text(&statement.table),
        rule = Text(&finding.rule),
        cause = finding.cause,
    )?;
    if let Some(evidence) = &finding.evidence {
        write!(out, "<br><small>{}</small>", Text(evidence))?;
    }
    out.push_str("<td class=\"values\">");
    for value in finding.columns.iter().chain(&finding.key) {
        write_value(out, value)?;
    }
    out.push_str("<td class=\"number\">");
    if let Some(seconds) = finding.by_seconds {
        write!(out, "{}", Seconds(seconds))?;
    }
    write!(out, "<td>{}", Text(&session.user))?;
    if !session.application_name.is_empty() {
        write!(out, " <small>{}</small>", Text(&session.application_name))?;
    }
    out.push_str("</tr>\n");
    Ok(())
}

fn write_value(out: &mut String, value: &ColumnValue) -> fmt::Result {
    write!(out, "<div><i>{}</i> ", Text(&value.column))?;
    if let Some(old) = &value.old {
        write!(out, "{} → ", Text(old))?;
    }
    match &value.new {
        Some(new) => write!(out, "{}</div>", Text(new)),
        None => write!(out, "</div>"),
    }
}

/// Text in HTML, also inside a quoted attribute.
struct Text<T>(T);

impl<T: AsRef<str>> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

/// What keeps the strictest action of a rule from being that of every write.
struct Partly<'a>(&'a Rule);

impl Display for Partly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.0;
        if let Some(ramp) = rule.ramp {
            write!(f, " <small>{} %</small>", f64::from(ramp.basis_points) / 100.0)?;
        }
        if !rule.on_violation.is_uniform() {
            f.write_str(" <small>some writes</small>")?;
        }
        if let Some(since) = rule.since {
            write!(f, " <small>since {since}</small>")?;
        }
        Ok(())
    }
}

/// `12,345`.
struct Grouped(u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        digits.char_indices().try_for_each(|(at, digit)| {
            let separate = at > 0 && (digits.len() - at).is_multiple_of(3);
            if separate { write!(f, ",{digit}") } else { f.write_char(digit) }
        })
    }
}

/// `1 rule`, `2 rules`.
struct Plural(usize, &'static str);

impl Display for Plural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// `3 h 12 min`: the two greatest units of a length of time.
struct Ago(Duration);

impl Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            s @ 0..60 => write!(f, "{s} s"),
            s @ 60..3_600 => write!(f, "{} min", s / 60),
            s @ 3_600..86_400 => write!(f, "{} h {} min", s / 3_600, s % 3_600 / 60),
            s => write!(f, "{} d {} h", s / 86_400, s % 86_400 / 3_600),
        }
    }
}

/// A measured length of time in a unit that suits it.
struct Seconds(f64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s < 1e-3 => write!(f, "{:.0} µs", s * 1e6),
            s if s < 1.0 => write!(f, "{:.1} ms", s * 1e3),
            s if s < 120.0 => write!(f, "{s:.1} s"),
            s if s < 7_200.0 => write!(f, "{:.0} min", s / 60.0),
            s if s < 172_800.0 => write!(f, "{:.1} h", s / 3_600.0),
            s => write!(f, "{:.0} d", s / 86_400.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_place() {
        assert_eq!(Text("<a href=\"x\">&'").to_string(), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [0, 999, 1_000, 12_345, 1_234_567].map(|n| Grouped(n).to_string()),
            ["0", "999", "1,000", "12,345", "1,234,567"]
        );
        assert_eq!(
            [0.000_02, 0.0042, 3.0, 600.0, 7_200.0, 864_000.0].map(|s| Seconds(s).to_string()),
            ["20 µs", "4.2 ms", "3.0 s", "10 min", "2.0 h", "10 d"]
        );
        assert_eq!(
            [5, 61, 3_720, 90_000].map(|s| Ago(Duration::from_secs(s)).to_string()),
            ["5 s", "1 min", "1 h 2 min", "1 d 1 h"]
        );
    }

    #[test]
    fn every_reason_has_a_meaning_of_its_own() {
        let meanings: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| meaning(*r)).collect();
        assert_eq!(meanings.len(), Reason::ALL.len());
    }
}
