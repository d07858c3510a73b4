//! What a violation of one rule leads to in one write, and who decides it: the rule file where that is always the same, else the server, in the guard,
//! so that a statement prepared long ago follows the clock by itself.
//!
//! ```text
//! CASE WHEN exempt THEN finding "0e0" WHEN now < since THEN finding "0o" WHEN hash < share THEN int4in(finding "0r") ELSE finding "0w" END
//! ```
//! "Now" is `statement_timestamp()`: all rows of a statement fare alike, and an open transaction does not stop the clock.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Site,
    sql::{literal, op},
    time::{Moment, Style},
};
use crate::rules::set::{Action, Exemption, Ramp, Rule};

/// The server's clock as a decision reads it.
const NOW: &str = "pg_catalog.statement_timestamp()";

/// The first case that holds, or else the last word.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    cases: Vec<Case>,
    otherwise: Action,
}

/// What a decision may depend on.
#[derive(Debug, Clone, PartialEq)]
enum Case {
    /// The writer is exempt, if the client calls itself so, until it expires.
    Exempt(Arc<Exemption>),
    /// Until then the rule only observes.
    Before(Timestamp),
    /// This share of the statements is rejected.
    Share(Ramp),
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decided<'d> {
    /// What is done.
    pub action: Action,
    /// [`Action::Exempt`]: by which exemption.
    pub exemption: Option<&'d Arc<Exemption>>,
}

impl Decision {
    /// Always the same.
    pub fn always(action: Action) -> Self {
        Self { cases: Vec::new(), otherwise: action }
    }

    /// Of a rule in a write.
    pub fn new(rule: &Rule, site: &Site<'_>) -> Self {
        let action = rule.on_violation.action(site.operation);
        let applies = |exemption: &&Arc<Exemption>| {
            let believed = action != Action::Reject || site.trusted || !exemption.matches.by_name_alone();
            believed && exemption.rules.contains(&rule.name)
        };
        let mut cases: Vec<Case> = site.exemptions.iter().filter(applies).cloned().map(Case::Exempt).collect();
        if site.observe_only || action == Action::Observe {
            return Self { cases, otherwise: Action::Observe };
        }
        cases.extend(rule.since.map(Case::Before));
        match rule.ramp.filter(|ramp| action == Action::Reject && *ramp < Ramp::ALL) {
            Some(ramp) => {
                cases.push(Case::Share(ramp));
                Self { cases, otherwise: Action::Warn }
            }
            None => Self { cases, otherwise: action },
        }
    }

    /// The strictest action that it may come to.
    pub fn strictest(&self) -> Action {
        self.cases.iter().map(Case::action).fold(self.otherwise, Action::max)
    }

    /// It may come to an action that lets the row pass.
    pub fn may_pass(&self) -> bool {
        self.otherwise != Action::Reject || self.varies()
    }

    /// It may come to more than one action.
    pub fn varies(&self) -> bool {
        !self.cases.is_empty()
    }

    /// Observe instead of reject. Whether that makes a difference.
    pub fn soften(&mut self) -> bool {
        let strict = self.strictest() == Action::Reject;
        if strict {
            self.cases.retain(|case| matches!(case, Case::Exempt(_)));
            self.otherwise = Action::Observe;
        }
        strict
    }

    /// SQL for a violation: `outcome` gives that of an action, from the [label](Self::read) of its finding.
    pub(super) fn sql(&self, number: usize, outcome: impl Fn(&str, Action) -> String) -> String {
        if !self.varies() {
            return outcome(&number.to_string(), self.otherwise);
        }
        let mut sql = "CASE".to_owned();
        for (index, case) in self.cases.iter().enumerate() {
            let suffix = match case {
                Case::Exempt(_) => format!("e{index}"),
                Case::Before(_) => "o".to_owned(),
                Case::Share(_) => "r".to_owned(),
            };
            let then = outcome(&format!("{number}{suffix}"), case.action());
            sql += &format!(" WHEN {} THEN {then}", case.sql());
        }
        let last = outcome(&format!("{number}{}", letter(self.otherwise)), self.otherwise);
        sql + &format!(" ELSE {last} END")
    }

    /// What the label of a finding says that was decided, behind the number of its rule. `None`: nothing that this decision comes to.
    pub(super) fn read(&self, suffix: &str) -> Option<Decided<'_>> {
        let plain = |action| Some(Decided { action, exemption: None });
        if !self.varies() {
            return if suffix.is_empty() { plain(self.otherwise) } else { None };
        }
        if let Some(index) = suffix.strip_prefix('e') {
            return match self.cases.get(super::verdict::number(index)?)? {
                Case::Exempt(exemption) => Some(Decided { action: Action::Exempt, exemption: Some(exemption) }),
                _ => None,
            };
        }
        let mut possible = self.cases.iter().map(Case::action).chain([self.otherwise]);
        possible.find(|action| *action != Action::Exempt && letter(*action) == suffix).and_then(plain)
    }

    /// What it comes to where there is no row that the server could decide on: the statement as a whole is judged here, and never rejected.
    pub fn here(&self, now: Timestamp, application_name: &str) -> Decided<'_> {
        for case in &self.cases {
            match case {
                Case::Exempt(exemption)
                    if now < exemption.expires && exemption.matches.application_name(application_name) =>
                {
                    return Decided { action: Action::Exempt, exemption: Some(exemption) };
                }
                Case::Before(since) if now < *since => return Decided { action: Action::Observe, exemption: None },
                _ => {}
            }
        }
        Decided { action: self.otherwise, exemption: None }
    }
}

impl Case {
    fn action(&self) -> Action {
        match self {
            Self::Exempt(_) => Action::Exempt,
            Self::Before(_) => Action::Observe,
            Self::Share(_) => Action::Reject,
        }
    }

    /// Boolean SQL: the case holds. Total, and the same for all rows of a statement.
    fn sql(&self) -> String {
        match self {
            Self::Exempt(exemption) => {
                let until = op(NOW, "<", &instant(exemption.expires));
                match &exemption.matches.application_name {
                    Some(pattern) => format!("{until} AND {}", named(pattern)),
                    None => until,
                }
            }
            Self::Before(since) => op(NOW, "<", &instant(*since)),
            Self::Share(ramp) => {
                let drawn = format!("pg_catalog.hashtext(pg_catalog.concat({NOW},pg_catalog.pg_backend_pid()))");
                let positive = format!("({})", op(&drawn, "&", "2147483647"));
                op(&format!("({})", op(&positive, "%", "10000")), "<", &ramp.basis_points.to_string())
            }
        }
    }
}

/// How a finding says what was done, where that varies.
fn letter(action: Action) -> &'static str {
    match action {
        Action::Exempt => "e",
        Action::Observe => "o",
        Action::Warn => "w",
        Action::Reject => "r",
    }
}

fn instant(at: Timestamp) -> String {
    // A guard is ASCII without a sign in front of the year: nothing before the epoch makes a difference to a clock.
    let at = at.max(Timestamp::UNIX_EPOCH);
    format!("pg_catalog.timestamptz '{}'", Style::Instant.format(Moment::Finite(at.as_nanosecond())))
}

/// SQL that is true where the client calls itself so at this moment.
fn named(pattern: &str) -> String {
    let own = "pg_catalog.current_setting('application_name')";
    if !pattern.contains('*') {
        return op(own, "=", &literal(pattern));
    }
    let mut like = String::new();
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            '*' => like.push('%'),
            '%' | '_' | '!' | '\\' => {
                escaped = true;
                like.push('!');
                like.push(c);
            }
            c => like.push(c),
        }
    }
    let like = literal(&like);
    if escaped {
        format!("pg_catalog.textlike({own},pg_catalog.like_escape({like},'!'))")
    } else {
        format!("pg_catalog.textlike({own},{like})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        guard::testing,
        rules::set::{Kind, Matches, OnViolation, Order, Place, Span},
        sql::write::Operation,
    };

    fn rule(on_violation: Action) -> Rule {
        let columns = ["a", "b"].map(str::to_owned).to_vec();
        let order = Order { columns, strict: false, tolerance: Span::default(), min_gap: None, max_gap: None };
        Rule { on_violation: on_violation.into(), ..testing::rule(Kind::Order(order)) }
    }

    fn exemption(matches: Matches) -> Arc<Exemption> {
        Arc::new(Exemption {
            rules: vec!["the_order".to_owned()],
            matches,
            reason: "backfill".to_owned(),
            owner: None,
            expires: "2027-01-31T00:00:00Z".parse().unwrap(),
            place: Place::default(),
        })
    }

    fn by_role() -> Arc<Exemption> {
        exemption(Matches { role: Some("m".to_owned()), ..Matches::default() })
    }

    fn by_name(name: &str) -> Arc<Exemption> {
        exemption(Matches { application_name: Some(name.to_owned()), ..Matches::default() })
    }

    fn sql(decision: &Decision) -> String {
        decision.sql(7, |label, action| format!("<{label} {}>", action.as_str()))
    }

    #[test]
    fn a_rule_that_always_does_the_same_decides_nothing() {
        for action in [Action::Observe, Action::Warn, Action::Reject] {
            let decision = Decision::new(&rule(action), &testing::site("x"));
            assert_eq!(decision, Decision::always(action));
            assert_eq!(sql(&decision), format!("<7 {}>", action.as_str()));
            assert_eq!(decision.read("").map(|d| d.action), Some(action));
            assert_eq!(decision.read("o"), None);
        }
        let site = Site { observe_only: true, ..testing::site("x") };
        let ramped = Rule { ramp: Some(Ramp { basis_points: 500 }), ..rule(Action::Reject) };
        assert_eq!(Decision::new(&ramped, &site), Decision::always(Action::Observe));
        let all = Rule { ramp: Some(Ramp::ALL), ..rule(Action::Reject) };
        assert_eq!(Decision::new(&all, &testing::site("x")), Decision::always(Action::Reject));
        let observing = Rule { since: Some(Timestamp::MAX), ..rule(Action::Observe) };
        assert_eq!(Decision::new(&observing, &testing::site("x")), Decision::always(Action::Observe));
    }

    #[test]
    fn each_kind_of_write_has_its_action() {
        let mut actions = OnViolation::from(Action::Warn);
        actions.operations.insert(Operation::Copy, Action::Reject);
        let rule = Rule { on_violation: actions, ..rule(Action::Warn) };
        let site = Site { operation: Operation::Copy, ..testing::site("x") };
        assert_eq!(Decision::new(&rule, &site), Decision::always(Action::Reject));
        assert_eq!(Decision::new(&rule, &testing::site("x")), Decision::always(Action::Warn));
    }

    #[test]
    fn everything_at_once() {
        let rule = Rule {
            since: Some("2026-12-01T10:00:00.5Z".parse().unwrap()),
            ramp: Some(Ramp { basis_points: 500 }),
            ..rule(Action::Reject)
        };
        let exemptions = [by_role()];
        let mut decision = Decision::new(&rule, &Site { exemptions: &exemptions, ..testing::site("x") });
        assert_eq!(
            sql(&decision),
            "CASE WHEN pg_catalog.statement_timestamp() OPERATOR(pg_catalog.<) pg_catalog.timestamptz '2027-01-31 00:00:00+00' THEN <7e0 exempt> \
             WHEN pg_catalog.statement_timestamp() OPERATOR(pg_catalog.<) pg_catalog.timestamptz '2026-12-01 10:00:00.5+00' THEN <7o observe> \
             WHEN ((pg_catalog.hashtext(pg_catalog.concat(pg_catalog.statement_timestamp(),pg_catalog.pg_backend_pid())) OPERATOR(pg_catalog.&) 2147483647) \
             OPERATOR(pg_catalog.%) 10000) OPERATOR(pg_catalog.<) 500 THEN <7r reject> ELSE <7w warn> END"
        );
        let read: Vec<_> = ["", "e0", "o", "w", "r"].map(|s| decision.read(s).map(|d| d.action)).to_vec();
        let [exempt, observe, warn, reject] = [Action::Exempt, Action::Observe, Action::Warn, Action::Reject].map(Some);
        assert_eq!(read, [None, exempt, observe, warn, reject]);
        for forged in ["e", "e1", "e9", "e-1", "e+0", "e00x", "x", "oo", "é"] {
            assert_eq!(decision.read(forged), None, "{forged}");
        }
        assert_eq!((decision.strictest(), decision.may_pass()), (Action::Reject, true));
        assert!(decision.soften());
        assert_eq!((decision.strictest(), decision.cases.len()), (Action::Observe, 1));
        assert!(!decision.soften());
    }

    #[test]
    fn a_name_alone_waives_no_reject() {
        let cases = |action, exemption: Arc<Exemption>, trusted| {
            Decision::new(&rule(action), &Site { exemptions: &[exemption], trusted, ..testing::site("x") }).cases.len()
        };
        assert_eq!(cases(Action::Reject, by_name("b*"), false), 0);
        assert_eq!(cases(Action::Reject, by_name("b*"), true), 1);
        assert_eq!(cases(Action::Warn, by_name("b*"), false), 1);
        assert_eq!(cases(Action::Observe, by_name("b*"), false), 1);
        assert_eq!(cases(Action::Reject, by_role(), false), 1);
        let other = Exemption { rules: vec!["other".to_owned()], ..Arc::into_inner(by_role()).unwrap() };
        assert_eq!(cases(Action::Warn, Arc::new(other), false), 0, "another rule");
    }

    #[test]
    fn names_are_compared_with_what_the_client_calls_itself_now() {
        let own = "pg_catalog.current_setting('application_name')";
        assert_eq!(named("o'clock"), format!("{own} OPERATOR(pg_catalog.=) 'o''clock'"));
        assert_eq!(named("backfill-*"), format!("pg_catalog.textlike({own},'backfill-%')"));
        let escaped = format!("pg_catalog.textlike({own},pg_catalog.like_escape('a!_%!%!!','!'))");
        assert_eq!(named("a_*%!"), escaped);
    }

    #[test]
    fn statements_are_decided_by_the_time_and_the_name_here() {
        let exemptions = [by_name("backfill-*")];
        let rule = Rule { since: Some("2027-02-15T00:00:00Z".parse().unwrap()), ..rule(Action::Warn) };
        let decision = Decision::new(&rule, &Site { exemptions: &exemptions, ..testing::site("x") });
        for (now, name, action) in [
            ("2027-01-30T23:59:59Z", "backfill-7", Action::Exempt),
            ("2027-01-30T23:59:59Z", "web", Action::Observe),
            ("2027-01-31T00:00:00Z", "backfill-7", Action::Observe),
            ("2027-02-14T23:59:59Z", "web", Action::Observe),
            ("2027-02-15T00:00:00Z", "web", Action::Warn),
        ] {
            let decided = decision.here(now.parse().unwrap(), name);
            assert_eq!(
                (decided.action, decided.exemption.is_some()),
                (action, action == Action::Exempt),
                "{now} {name}"
            );
        }
    }
}
