//! Every shape of COPY, direct and through a stage: the same replies, the same rows in the same order, the same traces of triggers and sequences.

use super::{
    How::{Extended, Simple},
    RULES, assert_nothing_left,
};
use crate::harness::{Guarded, Message, cluster, fe, message::OidNames};

/// Identity, generated and defaulted columns, type modifiers, domains, mixed case, partitions, triggers of every kind that leave traces.
const SCHEMA: &str = r#"
CREATE TABLE trace (at serial, what text);
CREATE FUNCTION trace() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO trace (what) VALUES (concat_ws(' ', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP));
    RAISE NOTICE 'traced %', TG_NAME;
    IF TG_LEVEL = 'ROW' THEN RETURN NEW; END IF;
    RETURN NULL;
END $$;
CREATE DOMAIN short AS varchar(5) CHECK (VALUE <> 'never') DEFAULT 'dom';
CREATE TABLE "Runs" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint,
    "createdAt" timestamptz(3) DEFAULT '2026-02-15 00:00:00+00',
    "when" timestamp,
    span interval GENERATED ALWAYS AS ("when" - ("createdAt" AT TIME ZONE 'UTC')) STORED,
    code char(4),
    amount numeric(6,2),
    label short,
    tags text[],
    "select" text COLLATE "C" DEFAULT 'none',
    n int DEFAULT 7
);
CREATE TRIGGER b_row BEFORE INSERT ON "Runs" FOR EACH ROW EXECUTE FUNCTION trace();
CREATE TRIGGER a_row AFTER INSERT ON "Runs" FOR EACH ROW EXECUTE FUNCTION trace();
CREATE TRIGGER b_all BEFORE INSERT ON "Runs" FOR EACH STATEMENT EXECUTE FUNCTION trace();
CREATE TRIGGER a_all AFTER INSERT ON "Runs" FOR EACH STATEMENT EXECUTE FUNCTION trace();
CREATE TABLE parts (id int, job_id bigint, created_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (200);
CREATE TABLE heirs (id int, job_id bigint, created_at timestamptz);
CREATE TABLE heirs_child () INHERITS (heirs);
"#;

/// Observing, so that everything goes through. `parts` and `heirs` have no trigger, only a parent.
const OBSERVING: &str = "\
version: 1
tables:
  - table: 'public.\"Runs\"'
    on_violation: observe
    rules:
      - name: runs_no_reuse
        parent: {table: public.jobs, join: {job_id: id}, not_reused: {'\"createdAt\"': created_at}}
      - name: runs_span
        check: \"span > interval '-1 year'\"
  - table: public.parts
    on_violation: observe
    rules:
      - name: parts_no_reuse
        parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}}
  - table: public.heirs
    on_violation: observe
    rules:
      - name: heirs_no_reuse
        parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}}
";

const LANDED: &str = r#"
SELECT 'r', id::text, job_id::text, "createdAt"::text, "when"::text, span::text, code, amount::text, label, tags::text, "select", n::text, (row_number() OVER (ORDER BY ctid))::text FROM "Runs"
UNION ALL SELECT 'p', tableoid::regclass::text, id::text, job_id::text, created_at::text, (row_number() OVER (ORDER BY tableoid, ctid))::text, '', '', '', '', '', '', '' FROM parts
UNION ALL SELECT 'h', tableoid::regclass::text, id::text, job_id::text, created_at::text, (row_number() OVER (ORDER BY tableoid, ctid))::text, '', '', '', '', '', '', '' FROM heirs
UNION ALL SELECT 't', what, at::text, '', '', '', '', '', '', '', '', '', '' FROM trace
UNION ALL SELECT 's', last_value::text, is_called::text, '', '', '', '', '', '', '', '', '', '' FROM "Runs_id_seq"
ORDER BY 1, 13, 2, 3"#;

fn masked(replies: Vec<Message>) -> Vec<String> {
    let mut oids = OidNames::default();
    replies.into_iter().map(|m| without_line(&m.masked(&mut oids).to_string())).collect()
}

/// A notice of a row trigger: at the INSERT nobody knows the line any more.
fn without_line(message: &str) -> String {
    match (message.starts_with("N "), message.find("\\nCOPY Runs, line")) {
        (true, Some(at)) => message[..at].to_owned() + "\"}",
        _ => message.to_owned(),
    }
}

fn commands() -> Vec<(String, String)> {
    let version = cluster().version;
    let own = |sql: &str, data: &str| (sql.to_owned(), data.to_owned());
    let mut all = vec![
        own(
            r#"COPY "Runs" FROM STDIN"#,
            "500\t3\t2026-01-01 00:03:00+00\t2026-03-01 10:00\tab\t1.005\tlab\t{a,b}\ttext\t1\n501\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n",
        ),
        own(r#"COPY "Runs" (job_id) FROM STDIN"#, "1\n2\n\\N\n"),
        own(
            r#"copy public."Runs"("select", "createdAt",job_id) from stdin with (format CSV, header, delimiter ';', quote '''')"#,
            "x;y;z\n'a;''b';2026-01-01 00:03:00.123456+00;3\n;2026-01-02;4\n",
        ),
        own(
            r#"COPY "Runs" ("select", n, code) FROM STDIN (FORMAT csv, NULL 'nil', FORCE_NOT_NULL ("select"), FORCE_NULL (code))"#,
            "nil,nil,\"nil\"\n\"nil\",3,a\n",
        ),
        own(r#"COPY "Runs" (label, "select") FROM STDIN DELIMITER ',' NULL ''"#, "abc,\n,x\n"),
        own(r#"COPY "Runs" (label) FROM STDIN"#, "ok\nnever\n"),
        own(r#"COPY "Runs" (label) FROM STDIN"#, "ok\nmuch too long\n"),
        own(r#"COPY "Runs" (code, label) FROM STDIN"#, "abcde\tx\n"),
        own(r#"COPY "Runs" (amount, label) FROM STDIN"#, "123456.789\tx\n"),
        own(r#"COPY "Runs" (tags, label) FROM STDIN"#, "{a\tx\n"),
        own(
            r#"COPY "Runs" (id, job_id, n, label) FROM STDIN WHERE n > 2 AND job_id IS NOT NULL"#,
            "61\t1\t1\tx\n62\t2\t2\tx\n63\t3\t3\tx\n64\t\\N\t9\tx\n65\t4\t4\tx\n",
        ),
        own(r#"COPY "Runs" (id, label) FROM STDIN"#, "900\tx\n900\ty\n"),
        own(r#"COPY "Runs" (span) FROM STDIN"#, "1 day\n"),
        own(r#"COPY "Runs" (label) FROM STDIN (ENCODING 'LATIN1')"#, "\u{e4}\n"),
        own(r#"COPY U&"\0052uns" (label) FROM PROGRAM 'printf "from\nprog\n"'"#, ""),
        own("COPY parts FROM STDIN", "1\t3\t2026-01-01 00:03:00+00\n150\t4\t2026-03-01\n2\t\\N\t\\N\n"),
        own("COPY parts_high (id, job_id) FROM STDIN", "101\t3\n"),
        own("COPY heirs FROM STDIN", "1\t3\t2026-01-01 00:03:00+00\n"),
        own("COPY heirs_child (job_id, id) FROM STDIN CSV", "3,2\n"),
        own("COPY heirs FROM STDIN", ""),
    ];
    if version >= 150_000 {
        all.push(own(r#"COPY "Runs" ("select", label) FROM STDIN (FORMAT csv, HEADER match)"#, "select,label\na,b\n"));
        all.push(own(
            r#"COPY "Runs" ("select", label) FROM STDIN (FORMAT csv, HEADER match)"#,
            "selected,label\na,b\n",
        ));
    }
    if version >= 170_000 {
        all.push(own(
            r#"COPY "Runs" (id, n, label) FROM STDIN (ON_ERROR ignore, LOG_VERBOSITY verbose)"#,
            "71\t1\ta\n72\tx\tb\n73\t3\tc\n",
        ));
        all.push(own(
            r#"COPY "Runs" ("select", label) FROM STDIN (FORMAT csv, FORCE_NOT_NULL *, FORCE_NULL *)"#,
            ",x\n",
        ));
    }
    all
}

#[test]
fn every_shape() {
    let guarded = Guarded::with_schema(OBSERVING, SCHEMA);
    let other = cluster().database();
    cluster().direct(&other).run(SCHEMA);
    let (mut talk, mut direct) = (guarded.login(), cluster().direct(&other));
    let (mut copied, mut failed) = (0, 0);
    for how in [Simple, Extended] {
        for talk in [&mut direct, &mut talk] {
            talk.run("TRUNCATE \"Runs\", parts, heirs");
        }
        for (sql, data) in commands() {
            let (want, got) = (how.copy(&mut direct, &sql, &data), how.copy(&mut talk, &sql, &data));
            copied += u32::from(want.iter().any(|m| m.tag == b'C'));
            let (mut want, mut got) = (masked(want), masked(got));
            if want.iter().any(|m| m.starts_with("E ")) {
                // Where the data are bad, no trigger has seen the rows before, and no sequence was asked for them.
                want.retain(|m| !m.starts_with("N "));
                got.retain(|m| !m.starts_with("N "));
                failed += 1;
                for talk in [&mut direct, &mut talk] {
                    talk.run(&format!(
                        "SELECT setval('trace_at_seq', {n}), setval('\"Runs_id_seq\"', {n})",
                        n = 1000 * (failed + 1)
                    ));
                }
            }
            // A row that the relation refuses has no line: see `ends`.
            if sql.contains("(id, label)") {
                let line = "COPY Runs, line 2: \\\"900\\ty\\\"";
                want = want.iter().map(|m| m.replace(line, "COPY Runs")).collect();
            }
            if sql.contains("ON_ERROR") {
                // What is said of the data comes before what the triggers of the rows say.
                want.sort();
                got.sort();
            }
            assert_eq!(want, got, "{sql}");
            assert_eq!(direct.rows(LANDED), talk.rows(LANDED), "{sql}");
        }
    }
    let metrics = guarded.await_outcome("error", failed);
    // Three commands leave the column of the domain out, and so keep COPY's own way: in each protocol, for two reasons.
    assert_eq!(metrics.sum("unguardable_total", &[]), 12.0, "{metrics:#?}");
    assert_eq!(metrics.sum("unguardable_total", &[("reason", "copy_subquery")]), 6.0, "{metrics:#?}");
    assert_eq!(metrics.sum("violations_total", &[]), 6.0, "{metrics:#?}");
    assert!(copied > 24, "{copied}");
    assert_nothing_left(&guarded, &mut talk);
}

/// Rules that COPY's `WHERE` can judge stay there: what is sent is one statement, byte for byte what it was.
#[test]
fn row_local_rules_keep_the_fast_way() {
    let guarded = Guarded::with_schema(
        &RULES.replace("      - name: ex_no_reuse\n        parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}}\n", ""),
        "",
    );
    let mut talk = guarded.login();
    talk.send(&[fe::query(super::COPY), fe::copy_data(super::good(101..103))].concat());
    talk.until(b"G");
    let running = guarded.landed("SELECT query FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY ex%'");
    assert!(running.starts_with("COPY ex (id, job_id, created_at, started_at) FROM STDIN WHERE (("), "{running}");
    assert!(!running.contains("chronoguard_copy"), "{running}");
    talk.send(&fe::copy_done());
    talk.ready();
}
