//! The table that the demo ends with.

use std::fmt;

/// One client's runs of one incident.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub incident: String,
    pub client: &'static str,
    /// Writes of the buggy client, each run.
    pub sent: u64,
    /// Writes refused although the rules only observe.
    pub refused_on_observe: u64,
    /// Violations counted.
    pub observed: u64,
    /// Wrong rows that landed while the rules only observed.
    pub wrong_on_observe: u64,
    /// Writes of the buggy client refused while the rules rejected.
    pub rejected: u64,
    /// Wrong rows in the database after all of that.
    pub wrong_on_reject: u64,
    /// Writes of the fixed client.
    pub fixed_sent: u64,
    /// Those of them that were refused.
    pub fixed_refused: u64,
    /// The first refusal, as the client shows it.
    pub refusal: Option<String>,
    /// Diagnosed causes so far and how often, for the incident.
    pub causes: Vec<String>,
}

impl Row {
    /// The bug was seen and kept out, and the fix goes through.
    fn as_it_should_be(&self) -> bool {
        let seen = self.observed > 0 && self.refused_on_observe == 0 && self.wrong_on_observe > 0;
        let kept_out = self.rejected > 0 && self.wrong_on_reject == 0;
        seen && kept_out && self.fixed_sent > 0 && self.fixed_refused == 0
    }
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Row>);

impl Report {
    pub(super) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn as_it_should_be(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Row::as_it_should_be)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|row| row.incident.len()).max().unwrap_or_default();
        writeln!(
            f,
            "{:width$}                  buggy client    rules on observe   rules on reject    fixed client",
            ""
        )?;
        writeln!(
            f,
            "{:width$}  client                  sent   observed  landed   rejected  landed    sent  refused",
            "incident"
        )?;
        let mut last = "";
        for row in &self.0 {
            let incident = if row.incident == last { "" } else { &row.incident };
            last = &row.incident;
            let mark = if row.as_it_should_be() { "" } else { "  ✗" };
            writeln!(
                f,
                "{incident:width$}  {:14}  {:>12}  {:>9}  {:>6}  {:>9}  {:>6}  {:>6}  {:>7}{mark}",
                row.client,
                row.sent,
                row.observed,
                row.wrong_on_observe,
                row.rejected,
                row.wrong_on_reject,
                row.fixed_sent,
                row.fixed_refused,
            )?;
        }
        writeln!(f, "\nsent: writes; observed: violations counted; landed: wrong rows in the database afterwards\n")?;
        for row in self.0.iter().filter(|row| row.client == "psql") {
            writeln!(f, "{}, as psql shows it:", row.incident)?;
            for line in row.refusal.as_deref().unwrap_or("(nothing was refused)").lines() {
                writeln!(f, "    {line}")?;
            }
        }
        writeln!(f, "\ndiagnosed causes:")?;
        let mut rows = self.0.iter().peekable();
        while let Some(row) = rows.next() {
            if rows.peek().is_none_or(|next| next.incident != row.incident) {
                writeln!(f, "    {}: {}", row.incident, row.causes.join(", "))?;
            }
        }
        let verdict = if self.as_it_should_be() {
            "Every wrong write was observed and refused, nothing wrong landed, and no good write was refused."
        } else {
            "Something is not as it should be: see the rows marked ✗."
        };
        writeln!(f, "\n{verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            incident: "000 x".into(),
            client: "psql",
            sent: 3,
            observed: 3,
            wrong_on_observe: 3,
            rejected: 3,
            fixed_sent: 3,
            refusal: Some("ERROR:  23514: new row".into()),
            causes: vec!["other 3".into()],
            ..Row::default()
        }
    }

    #[test]
    fn a_row_that_is_wrong_in_any_way_fails_the_demo() {
        let report = |row| Report(vec![row]);
        assert!(report(row()).as_it_should_be());
        assert!(!Report::default().as_it_should_be());
        for spoil in [
            |r: &mut Row| r.observed = 0,
            |r: &mut Row| r.refused_on_observe = 1,
            |r: &mut Row| r.rejected = 0,
            |r: &mut Row| r.wrong_on_reject = 1,
            |r: &mut Row| r.fixed_refused = 1,
        ] {
            let mut row = row();
            spoil(&mut row);
            let report = report(row);
            assert!(!report.as_it_should_be());
            assert!(report.to_string().contains('✗'));
        }
    }

    #[test]
    fn the_report_shows_an_incident_once_and_every_client() {
        let mut second = row();
        second.client = "Python";
        let text = Report(vec![row(), second]).to_string();
        assert_eq!(text.matches("000 x  psql").count(), 1);
        assert!(text.contains("Python") && text.contains("ERROR:  23514") && text.contains("000 x: other 3"));
    }
}
