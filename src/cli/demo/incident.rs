//! The incidents that are replayed: the files of `examples/`, compiled in, so that the demo needs nothing but the program.

/// One incident.
#[derive(Debug)]
pub(super) struct Incident {
    /// Its number in `examples/`.
    pub number: &'static str,
    /// What happened, in few words.
    pub title: &'static str,
    /// The guarded table, as metrics name it.
    pub table: &'static str,
    /// Counts the rows that should not be there.
    pub wrong: &'static str,
    pub schema: &'static str,
    pub rules: &'static str,
    pub buggy: Scripts,
    pub fixed: Scripts,
}

/// One client, buggy or fixed, in two languages.
#[derive(Debug)]
pub(super) struct Scripts {
    pub sql: &'static str,
    pub python: &'static str,
}

macro_rules! example {
    ($number:literal, $file:literal) => {
        include_str!(concat!("../../../examples/incident-", $number, "/", $file))
    };
}

macro_rules! incident {
    ($number:literal, $title:literal, $table:literal, $wrong:literal) => {
        Incident {
            number: $number,
            title: $title,
            table: $table,
            wrong: $wrong,
            schema: example!($number, "schema.sql"),
            rules: example!($number, "rules.yaml"),
            buggy: Scripts { sql: example!($number, "buggy.sql"), python: example!($number, "buggy.py") },
            fixed: Scripts { sql: example!($number, "fixed.sql"), python: example!($number, "fixed.py") },
        }
    };
}

/// All of them, in the order they are replayed in.
pub(super) const ALL: [Incident; 4] = [
    incident!(
        "000",
        "every duration is negative",
        "public.executions",
        "SELECT count(*) FROM executions WHERE completed_at < created_at OR started_at < created_at OR completed_at < started_at"
    ),
    incident!(
        "001",
        "a retry overwrites the start",
        "public.job_status",
        "SELECT count(*) FROM job_status WHERE completed_at < started_at + interval '1 ms'"
    ),
    incident!(
        "003",
        "children born with their parent's timestamps",
        "migration.discovery_flows",
        "SELECT count(*) FROM migration.discovery_flows WHERE created_at < now() - interval '1 hour'"
    ),
    incident!(
        "004",
        "every duration is 0",
        "public.ops",
        "SELECT count(*) FROM ops WHERE start_ts <= 0 OR end_ts <= 0 OR end_ts < start_ts OR duration_us <> end_ts - start_ts"
    ),
];

impl Incident {
    /// The same rules, with every violation let through and counted.
    pub(super) fn rules_on_observe(&self) -> String {
        self.rules.replace("on_violation: reject", "on_violation: observe")
    }

    /// Its database on the demo's server; those whose writes are only observed are apart.
    pub(super) fn database(&self, mode: &str) -> String {
        format!("incident_{}_{mode}", self.number)
    }
}

/// How many statements of a script write: those that `psql` sends one by one and that are not there for preparing or looking.
pub(super) fn writes(script: &str) -> u64 {
    let statements = statements(script);
    let writing = |s: &&String| {
        let verb = s.split_whitespace().next().unwrap_or_default();
        ["INSERT", "UPDATE", "WITH", "EXECUTE", "COPY"].contains(&verb)
    };
    statements.iter().filter(writing).count().try_into().unwrap_or(u64::MAX)
}

/// The statements of one of our scripts: each ends with `;` at the end of a line, comments are whole lines, and a COPY's data ends with `\.`.
fn statements(script: &str) -> Vec<String> {
    let (mut all, mut current, mut in_data) = (Vec::new(), String::new(), false);
    for line in script.lines().filter(|line| !line.starts_with("--") && !line.trim().is_empty()) {
        if in_data {
            in_data = line != "\\.";
            continue;
        }
        current.push_str(line);
        current.push('\n');
        if line.ends_with(';') {
            in_data = line.contains("FROM STDIN");
            all.push(std::mem::take(&mut current));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::load::load_texts;

    #[test]
    fn the_rules_of_all_incidents_are_sound_on_both_settings() {
        for incident in &ALL {
            for rules in [incident.rules.to_owned(), incident.rules_on_observe()] {
                let loaded = load_texts([("rules.yaml", rules.as_str())]).unwrap();
                assert!(loaded.warnings.is_empty());
                let table = &loaded.set.tables[0];
                assert_eq!(format!("{}.{}", table.schema, table.table), incident.table);
            }
            assert!(!incident.rules_on_observe().contains("on_violation: reject"));
        }
    }

    #[test]
    fn writes_are_counted() {
        let counts: Vec<_> = ALL.iter().map(|i| (writes(i.buggy.sql), writes(i.fixed.sql))).collect();
        assert_eq!(counts, [(3, 3), (7, 5), (4, 4), (7, 5)]);
    }
}
