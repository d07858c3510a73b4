//! PostgreSQL as the judge of the judge: random rows with every special value, each judged by the guard in the server and by a plain
//! evaluation of the same rules here. No verdict may differ, and no guard may ever raise an error of its own.

use chronoguard::guard::{
    time::{NANOS, Style},
    verdict::from_column,
};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    judge::Judge,
    values::{COLUMNS, LAST, Maker, Row, values},
    *,
};

const TABLE: &str = "
CREATE TABLE p (id int8 PRIMARY KEY, ca timestamptz, cu int8);
CREATE TABLE t (
  id int8 PRIMARY KEY, job int8, st text, txt text,
  a timestamptz, b timestamptz, c timestamptz, l timestamp, m timestamp, d date, e date,
  i int8, j int8, s int4, n numeric, o numeric, f float8, g float8, r float4,
  du int8, dn numeric, df float8, v interval);
CREATE TABLE copied (LIKE t INCLUDING ALL);";

const RULES: &str = r#"
version: 1
tables:
  - table: public.t
    units: {i: us, j: us, s: s, n: ms, o: ms, f: s, g: s, r: s, cu: us}
    rules:
      - {name: abc, order: [a, b, c]}
      - {name: abc_strict, order: [a, b, c], strict: true}
      - {name: abc_tolerance, order: [a, b, c], tolerance: 5ms}
      - {name: ab_both, order: [a, b], tolerance: 5ms, strict: true}
      - {name: ab_min, order: [a, b], min_gap: 1ms}
      - {name: abc_max, order: [a, b, c], max_gap: 1h}
      - {name: ab_gaps, order: [a, b], min_gap: 1ms, max_gap: 1h}
      - {name: lm, order: [l, m]}
      - {name: lm_tolerance, order: [l, m], tolerance: 5ms}
      - {name: de, order: [d, e], max_gap: 2d}
      - {name: de_strict, order: [d, e], strict: true}
      - {name: dl, order: [d, l]}
      - {name: ld_tolerance, order: [l, d, m], tolerance: 1h}
      - {name: al, order: [a, l], timezone: Etc/GMT-9}
      - {name: lad, order: [l, a, d], timezone: Etc/GMT-9, tolerance: 5ms}
      - {name: dci, order: [d, c, i], timezone: Etc/GMT-9, max_gap: 1d}
      - {name: ij, order: [i, j]}
      - {name: ij_tolerance, order: [i, j], tolerance: 5us}
      - {name: ij_min, order: [i, j], min_gap: 1us, max_gap: 1h}
      - {name: ai, order: [a, i]}
      - {name: isnf, order: [i, s, n, f], tolerance: 1ms}
      - {name: no, order: [n, o]}
      - {name: no_tolerance, order: [n, o], tolerance: 5ms}
      - {name: no_gaps, order: [n, o], min_gap: 1ms, max_gap: 1h}
      - {name: fg, order: [f, g], strict: true}
      - {name: fg_tolerance, order: [f, g], tolerance: 5ms}
      - {name: fg_gaps, order: [f, g], min_gap: 1ms, max_gap: 1h}
      - {name: rf, order: [r, f]}
      - {name: rf_gap, order: [r, f], min_gap: 1s}
      - {name: du, duration: {column: du, start: a, end: b, unit: us, tolerance: 1us}}
      - {name: dn, duration: {column: dn, start: i, end: j, unit: ms}}
      - {name: df, duration: {column: df, start: n, end: o, unit: s, tolerance: 1ms}}
      - {name: dv, duration: {column: v, start: a, end: b, unit: s, tolerance: 5ms}}
      - {name: dz, duration: {column: du, start: l, end: a, unit: us}, timezone: Etc/GMT-9}
      - {name: plausible, plausible: {columns: [a, l, d, i, s, n, f, r], after: 2000-01-01, before: 2100-01-01}}
      - {name: plausible_zero, plausible: {columns: [a, l, d, i, s, n, f, r], after: 1960-01-01, before: 2100-01-01}}
      - {name: fresh, near_now: {columns: [a, i, n, f], past: 1h, future: 1h}}
      - {name: fresh_zone, near_now: {columns: [l], past: 12h, future: 1h}, timezone: Etc/GMT-9}
      - {name: not_future, near_now: {columns: [b], future: 1500us}}
      - {name: required, require: {not_null: [a, i], null: [txt]}}
      - {name: when_done, when: "st = 'done'", require: {not_null: [b]}}
      - {name: when_order, when: "st IN ('done', 'failed')", order: [a, b]}
      - {name: checked, check: "i < j OR st IS NULL"}
      - {name: reused, parent: {table: p, join: {job: id}, not_reused: {a: ca, i: cu}}}
      - {name: before, parent: {table: p, join: {job: id}, not_before: {a: ca, b: cu}, tolerance: 5ms}}
      - {name: locked, parent: {table: p, join: {job: id}, not_reused: {b: ca}, not_before: {i: cu}, lock_parent: true}}
"#;

/// Everything a run needs.
struct Bench {
    session: Session,
    rules: Arc<TableRules>,
    facts: RelationFacts,
    maker: Maker,
    parents: BTreeMap<String, Row>,
    next_id: i64,
}

impl Bench {
    async fn new(seed: u64) -> Self {
        let database = support::create_database_with(TABLE).await;
        let session = Session::open(&database).await;
        let now: String =
            session.client.query_one("SELECT floor(extract(epoch FROM now()))::int8::text", &[]).await.unwrap().get(0);
        let now = now.parse::<i128>().unwrap() * NANOS;
        let mut maker = Maker { random: StdRng::seed_from_u64(seed), now };
        let mut parents = BTreeMap::new();
        for id in 1..20 {
            let row = Row::from([
                ("ca", maker.instant(Style::Instant, 1_000, LAST)),
                ("cu", maker.integer(1_000, i64::MIN.into(), i64::MAX.into())),
            ]);
            session
                .run(&format!("INSERT INTO public.p VALUES ({id}, {}, {})", row["ca"].literal, row["cu"].literal))
                .await;
            parents.insert(id.to_string(), row);
        }
        let parent = QualifiedName { schema: "public".to_owned(), name: "p".to_owned() };
        let facts = session.facts("public", "t", &[parent]).await;
        Self { session, rules: rules(RULES), facts, maker, parents, next_id: 0 }
    }

    fn rows(&mut self, count: usize) -> Vec<Row> {
        (0..count)
            .map(|_| {
                self.next_id += 1;
                self.maker.row(self.next_id)
            })
            .collect()
    }

    fn expected(&self, row: &Row) -> Vec<String> {
        Judge { rules: &self.rules, parents: &self.parents, now: self.maker.now }.violated(row)
    }

    /// Inserts rows with the guard in RETURNING and compares each verdict; leaves out the rules named.
    async fn compare_columns(&mut self, batches: usize, unprotected: &[&str]) -> usize {
        let (guard, expression) = compile(&self.rules, &self.facts, &site("x", Channel::Column));
        assert_eq!((guard.judged.len(), &guard.skipped[..]), (self.rules.rules.len(), &[][..]));
        let mut seen = 0;
        for _ in 0..batches {
            let rows = self.rows(250);
            let sql = format!("INSERT INTO public.t AS x VALUES {} RETURNING x.id, {expression}", values(&rows));
            let answers = match self.session.rows(&sql).await {
                Ok(answers) => answers,
                Err(error) => panic!("a guard raised: {error:?}\n{expression}"),
            };
            assert_eq!(answers.len(), rows.len());
            for ((id, text), row) in answers.iter().zip(&rows) {
                let judged = match from_column(text.as_bytes(), &guard).unwrap_or_else(|| panic!("{text}")) {
                    Verdict::Good => Vec::new(),
                    verdict => words(verdict, &guard, &self.rules),
                };
                for violation in &judged {
                    // What is absurd is infinite in the details, so that two of them may look equal.
                    let absurd = |(_, value): &(String, String)| {
                        value == "NaN" || value.starts_with("29427") || value.contains("e+") || value.len() >= 40
                    };
                    let vague = violation.detail.starts_with("The row has");
                    assert!(!vague || violation.values.iter().any(absurd), "{id}: {violation:#?}");
                }
                let names = |names: Vec<String>| {
                    names.into_iter().filter(|name| !unprotected.contains(&name.as_str())).collect::<Vec<_>>()
                };
                let judged = names(judged.into_iter().map(|violation| violation.rule).collect());
                assert_eq!(
                    judged,
                    names(self.expected(row)),
                    "row {id}: {:?}",
                    COLUMNS.map(|c| format!("{c} {}", row[c].literal))
                );
                seen += judged.len();
            }
        }
        seen
    }
}

fn batches() -> usize {
    // 60 batches of 250 rows; more by hand.
    std::env::var("ORACLE_BATCHES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[tokio::test]
async fn verdicts_are_those_of_a_plain_evaluation() {
    let mut bench = Bench::new(1).await;
    let seen = bench.compare_columns(batches(), &[]).await;
    assert!(seen > 10_000, "{seen}");
}

/// What a session may do to the meaning of SQL.
fn hostile() -> String {
    let mut sql = String::from("CREATE SCHEMA evil;");
    let types = [
        "timestamptz",
        "timestamp",
        "date",
        "int8",
        "int4",
        "int2",
        "numeric",
        "float8",
        "float4",
        "text",
        "oid",
        "bool",
    ];
    for left in types {
        for operator in [">", "<", ">=", "<=", "=", "<>"] {
            sql += &format!(
                "CREATE FUNCTION evil.lie(pg_catalog.{left}, pg_catalog.{left}) RETURNS pg_catalog.bool LANGUAGE sql AS 'SELECT false';\n\
                 CREATE OPERATOR evil.{operator} (LEFTARG = pg_catalog.{left}, RIGHTARG = pg_catalog.{left}, FUNCTION = evil.lie);\n"
            )
            .replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION");
        }
    }
    for operator in ["-", "+", "*"] {
        sql += &format!(
            "CREATE OR REPLACE FUNCTION evil.nothing(numeric, numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 0.0';\n\
             CREATE OPERATOR evil.{operator} (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = evil.nothing);\n"
        );
    }
    sql + "
        CREATE FUNCTION evil.now() RETURNS pg_catalog.timestamptz LANGUAGE sql AS $$SELECT pg_catalog.timestamptz '2100-01-01'$$;
        CREATE FUNCTION evil.clock_timestamp() RETURNS pg_catalog.timestamptz LANGUAGE sql AS $$SELECT pg_catalog.timestamptz '2100-01-01'$$;
        CREATE FUNCTION evil.concat(VARIADIC pg_catalog.text[]) RETURNS pg_catalog.text LANGUAGE sql AS $$SELECT 'evil'::pg_catalog.text$$;
        CREATE FUNCTION evil.abs(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 0.0';
        CREATE FUNCTION evil.timezone(pg_catalog.text, timestamp) RETURNS pg_catalog.timestamptz LANGUAGE sql AS $$SELECT pg_catalog.timestamptz '2100-01-01'$$;
        CREATE FUNCTION evil.extract(pg_catalog.text, pg_catalog.timestamptz) RETURNS numeric LANGUAGE sql AS 'SELECT 0.0';
        CREATE DOMAIN evil.text AS integer;
        CREATE DOMAIN evil.timestamptz AS integer;
        CREATE DOMAIN evil.date AS integer;
        CREATE DOMAIN evil.oid AS pg_catalog.text;
        CREATE TABLE evil.p (id int8 PRIMARY KEY, ca pg_catalog.timestamptz, cu int8);
        CREATE TABLE evil.t ();
        SET search_path = evil, pg_catalog;
        SET DateStyle = 'German';
        SET IntervalStyle = 'sql_standard';
        SET TimeZone = 'Asia/Tokyo';
        SET standard_conforming_strings = off;
        SET transform_null_equals = on;
        SET extra_float_digits = 0;
        SET escape_string_warning = on;
        SET client_encoding = 'LATIN1';"
}

#[tokio::test]
async fn verdicts_do_not_depend_on_the_session() {
    let mut bench = Bench::new(2).await;
    bench.session.run(&hostile()).await;
    // Raw conditions resolve by the client's search_path: documented.
    let unprotected = ["checked", "when_done", "when_order"];
    let seen = bench.compare_columns(batches() / 2, &unprotected).await;
    assert!(seen > 5_000, "{seen}");
}

/// The same rules over rows that are already stored, as audits ask.
#[tokio::test]
async fn stored_rows_get_the_same_verdicts() {
    let mut bench = Bench::new(6).await;
    let rows = bench.rows(1_000);
    bench.session.run(&format!("INSERT INTO public.t VALUES {}", values(&rows))).await;
    for rule in &bench.rules.rules {
        let condition = guard::violated(rule, &bench.facts, "r", None).unwrap();
        let found =
            bench.session.rows(&format!("SELECT id FROM public.t r WHERE {condition} ORDER BY id")).await.unwrap();
        let found: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        let expected = rows.iter().filter(|row| bench.expected(row).contains(&rule.name));
        assert_eq!(found, expected.map(|row| row["id"].literal.as_str()).collect::<Vec<_>>(), "{}", rule.name);
    }
}

/// The same findings by notice, from a CTE that nobody reads and from COPY.
#[tokio::test]
async fn notices_bring_the_same_verdicts() {
    let mut bench = Bench::new(3).await;
    let (guard, expression) = compile(&bench.rules, &bench.facts, &site("x", Channel::Notice));
    let rows = bench.rows(200);
    let sql = format!(
        "WITH w AS (INSERT INTO public.t AS x VALUES {} RETURNING CASE WHEN ({expression}) IS NULL THEN 1 ELSE 1 END) SELECT 1, 2",
        values(&rows)
    );
    assert_eq!(bench.session.rows(&sql).await.unwrap().len(), 1);
    assert_eq!(bench.noticed(&guard), bench.all_expected(&rows, |_| true));
}

#[tokio::test]
async fn copy_brings_the_same_verdicts() {
    let mut bench = Bench::new(4).await;
    let (guard, expression) = compile(&bench.rules, &bench.facts, &site("t", Channel::CopyWhere));
    let subqueries: Vec<_> =
        guard.skipped.iter().map(|(rule, skip)| (bench.rules.rules[*rule].name.as_str(), *skip)).collect();
    let reason = Skip::Unguardable(Reason::CopySubquery);
    assert_eq!(subqueries, [("reused", reason), ("before", reason), ("locked", reason)]);
    let rows = bench.rows(200);
    bench.copy(&values(&rows), &expression).await.unwrap();
    assert_eq!(bench.session.rows("SELECT count(*) FROM public.t").await.unwrap()[0].0, "200");
    assert_eq!(
        bench.noticed(&guard),
        bench.all_expected(&rows, |name| !["reused", "before", "locked"].contains(&name))
    );
}

/// Raises for a violating row and for no other: every rule alone, through every channel.
#[tokio::test]
async fn rejects_exactly_what_violates() {
    let mut bench = Bench::new(5).await;
    let (head, list): (Vec<&str>, Vec<&str>) = RULES.lines().partition(|line| !line.contains("- {name"));
    let (mut passed, mut refused) = (0, 0);
    for rule in list {
        let yaml =
            format!("{}\n{rule}\n", head.join("\n").replace("    rules:", "    on_violation: reject\n    rules:"));
        bench.rules = rules(&yaml);
        let texts = [site("x", Channel::Column), site("x", Channel::Notice), site("t", Channel::CopyWhere)]
            .map(|site| guard::compile(&bench.rules, &bench.facts, &site));
        for row in bench.rows(12) {
            let expected = bench.expected(&row);
            for guard in &texts {
                // A parent rule is not judged in COPY.
                let Ok(guard) = guard else { continue };
                let expression = guard.expression.as_deref().unwrap();
                let error = bench.write(&values(std::slice::from_ref(&row)), expression, guard).await.err();
                let raised = error.map(|error| {
                    let error = error.as_db_error().unwrap().clone();
                    assert_eq!(error.code().code(), "22P02", "{error:?}");
                    by_message(error.message(), guard, &bench.rules).rule
                });
                assert_eq!(raised.as_ref(), expected.first());
            }
            *if expected.is_empty() { &mut passed } else { &mut refused } += 1;
        }
    }
    assert!(bench.session.take_notices().is_empty());
    assert!(passed > 100 && refused > 100, "{passed} {refused}");
}

impl Bench {
    /// Writes the row through the guard's channel and removes it again.
    async fn write(&self, values: &str, expression: &str, guard: &Guard) -> Result<(), tokio_postgres::Error> {
        self.session.run("DELETE FROM public.t").await;
        let sql = match (guard.context.operation, expression.contains("regtype")) {
            (Operation::Copy, _) => return self.copy(values, expression).await,
            (_, false) => format!("INSERT INTO public.t AS x VALUES {values} RETURNING {expression}"),
            (_, true) => format!(
                "WITH w AS (INSERT INTO public.t AS x VALUES {values} RETURNING CASE WHEN ({expression}) IS NULL THEN 1 ELSE 1 END) SELECT 1"
            ),
        };
        self.session.rows(&sql).await.map(|_| ())
    }

    /// Rules and keys of the notices so far.
    fn noticed(&self, guard: &Guard) -> Violated {
        let mut all = Violated::new();
        for message in self.session.take_notices() {
            let violation = by_message(&message, guard, &self.rules);
            all.entry(key(&violation)).or_default().push(violation.rule);
        }
        all
    }

    fn all_expected(&self, rows: &[Row], judged: impl Fn(&str) -> bool) -> Violated {
        let rows = rows.iter().map(|row| {
            let names = self.expected(row).into_iter().filter(|name| judged(name)).collect::<Vec<_>>();
            (row["id"].literal.parse().unwrap(), names)
        });
        rows.filter(|(_, names)| !names.is_empty()).collect()
    }

    /// Inserts the rows into the unguarded table, copies them to a file of the server, and from there with `condition`.
    async fn copy(&self, values: &str, condition: &str) -> Result<(), tokio_postgres::Error> {
        let file = format!("{}/{}.copy", support::cluster().socket_dir().display(), self.facts.oid);
        self.session.run(&format!("TRUNCATE public.copied; INSERT INTO public.copied VALUES {values}")).await;
        self.session.run(&format!("COPY public.copied TO '{file}'")).await;
        self.session.client.batch_execute(&format!("COPY public.t FROM '{file}' WHERE {condition}")).await
    }
}
