//! What the guard does in the ways a row can get into a table: conflicts, partitions, other relations, privileges, odd types, COPY.

use super::*;

const EXECUTIONS: &str = "
CREATE TABLE jobs (id int8 PRIMARY KEY, created_at timestamptz);
CREATE TABLE executions (
  id int8 PRIMARY KEY, job_id int8, status text, created_at timestamptz DEFAULT now(), started_at timestamptz, completed_at timestamptz);";

const ORDERED: &str = "
version: 1
tables:
  - table: public.executions
    on_violation: reject
    rules: [{name: ordered, order: [created_at, started_at, completed_at]}]";

const BAD: &str = "'2026-01-02', '2026-01-01'";
const GOOD: &str = "'2026-01-01', '2026-01-02'";

async fn executions() -> (Database, Session) {
    let database = support::create_database_with(EXECUTIONS).await;
    let session = Session::open(&database).await;
    (database, session)
}

/// The name of the rule that a statement was refused for.
async fn refused(session: &Session, sql: &str, guard: &Guard, rules: &TableRules) -> Option<String> {
    let error = session.client.batch_execute(sql).await.err()?;
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "22P02", "{error:?}\n{sql}");
    Some(by_message(error.message(), guard, rules).rule)
}

/// The texts of the guard column.
async fn verdicts(session: &Session, sql: &str, guard: &Guard) -> Vec<Verdict> {
    let rows = session.rows(sql).await.unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    rows.iter()
        .map(|(text, _)| verdict::from_column(text.as_bytes(), guard).unwrap_or_else(|| panic!("{text}")))
        .collect()
}

/// Waits until a session of `database` waits for a lock.
async fn blocked(session: &Session) {
    let sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while session.rows(sql).await.unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// An upsert of the row 1 with these two times, which sets the status if the row is there.
fn upsert(times: &str, expression: &str) -> String {
    format!(
        "INSERT INTO executions AS x (id, created_at, started_at) VALUES (1, {times}) \
         ON CONFLICT (id) DO UPDATE SET status = 'again' RETURNING {expression}"
    )
}

struct Upsert {
    guard: Guard,
    rules: Arc<TableRules>,
    expression: String,
}

impl Upsert {
    async fn new(session: &Session) -> Self {
        let rules = rules(ORDERED);
        let set = ["status".to_owned()];
        let facts = session.facts("public", "executions", &[]).await;
        let site = Site { conflict_columns: Some(&set), ..site("x", Channel::Column) };
        let (guard, expression) = compile(&rules, &facts, &site);
        Self { guard, rules, expression }
    }

    async fn refused(&self, session: &Session, times: &str) -> bool {
        refused(session, &upsert(times, &self.expression), &self.guard, &self.rules).await.is_some()
    }
}

#[tokio::test]
async fn an_upsert_refuses_new_rows_and_not_old_ones() {
    for trigger in ["", "BEFORE INSERT ON executions FOR EACH ROW EXECUTE FUNCTION touch()"] {
        let (_database, session) = executions().await;
        if !trigger.is_empty() {
            let body = "BEGIN NEW.job_id := 5; RETURN NEW; END";
            session
                .run(&format!(
                    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS '{body}'; CREATE TRIGGER t {trigger}"
                ))
                .await;
        }
        let upsert = Upsert::new(&session).await;
        assert!(upsert.refused(&session, BAD).await);
        session.run(&format!("INSERT INTO executions (id, created_at, started_at) VALUES (1, {BAD})")).await;
        assert!(!upsert.refused(&session, BAD).await, "the stored row was bad before");
        assert!(!upsert.refused(&session, GOOD).await);
        session.run("BEGIN").await;
        assert!(!upsert.refused(&session, BAD).await);
        assert!(!upsert.refused(&session, BAD).await, "twice in one transaction");
        session.run("COMMIT; DELETE FROM executions").await;
        assert!(!upsert.refused(&session, GOOD).await);
        assert_eq!(session.rows("SELECT status FROM executions").await.unwrap()[0].0, "");
    }
}

#[tokio::test]
async fn an_upsert_that_waited_knows_which_way_it_went() {
    let (database, one) = executions().await;
    let upsert = Arc::new(Upsert::new(&one).await);
    for (end, refused) in [("COMMIT", false), ("ROLLBACK", true)] {
        one.run(&format!("BEGIN; INSERT INTO executions (id, created_at, started_at) VALUES (1, {GOOD})")).await;
        let two = Session::open(&database).await;
        let waiting = tokio::spawn({
            let upsert = upsert.clone();
            async move { upsert.refused(&two, BAD).await }
        });
        let watcher = Session::open(&database).await;
        blocked(&watcher).await;
        one.run(end).await;
        assert_eq!(waiting.await.unwrap(), refused, "{end}");
        one.run("DELETE FROM executions").await;
    }
    // A foreign key's lock on the row makes its xmax a group of transactions.
    one.run(&format!("INSERT INTO executions (id, created_at, started_at) VALUES (1, {BAD})")).await;
    one.run("BEGIN; SELECT FROM executions FOR KEY SHARE").await;
    let two = Session::open(&database).await;
    assert!(!upsert.refused(&two, BAD).await);
    one.run("COMMIT").await;
}

#[tokio::test]
async fn a_row_in_another_relation_is_not_judged() {
    let (_database, session) = executions().await;
    let rules = rules(ORDERED);
    let facts = session.facts("public", "executions", &[]).await;
    session.run("CREATE TEMP TABLE executions (LIKE public.executions)").await;
    let insert = |expression: &str| {
        format!("INSERT INTO executions AS x (id, created_at, started_at) VALUES (1, {BAD}) RETURNING {expression}")
    };
    let (guard, expression) = compile(&rules, &facts, &site("x", Channel::Column));
    let found = verdicts(&session, &insert(&expression), &guard).await;
    let temporary: u32 =
        session.rows("SELECT 'pg_temp.executions'::regclass::oid").await.unwrap()[0].0.parse().unwrap();
    assert_eq!(found, [Verdict::OtherRelation(temporary)]);

    let (guard, expression) = compile(&rules, &facts, &site("x", Channel::Notice));
    session.run(&insert(&format!("({expression}) IS NULL"))).await;
    let copied = compile(&rules, &facts, &site("executions", Channel::CopyWhere)).1;
    session.run(&format!("COPY executions (id) FROM PROGRAM 'echo 2' WHERE {copied}")).await;
    let notices = session.take_notices();
    assert_eq!(notices.len(), 2);
    for notice in notices {
        assert_eq!(verdict::from_message(notice.as_bytes(), MARK, &guard), Some(Verdict::OtherRelation(temporary)));
    }
    assert_eq!(session.rows("SELECT count(*) FROM executions").await.unwrap()[0].0, "3");
}

#[tokio::test]
async fn rows_of_partitions_and_children_are_judged() {
    let (_database, session) = executions().await;
    let rules = rules(ORDERED);
    session
        .run(
            "DROP TABLE executions;
             CREATE TABLE executions (id int8, status text, created_at timestamptz, started_at timestamptz, completed_at timestamptz)
               PARTITION BY RANGE (id);
             CREATE TABLE executions_0 PARTITION OF executions FOR VALUES FROM (0) TO (10);
             CREATE TABLE executions_1 PARTITION OF executions FOR VALUES FROM (10) TO (20) PARTITION BY LIST (id);
             CREATE TABLE executions_1a PARTITION OF executions_1 FOR VALUES IN (10, 11)",
        )
        .await;
    let facts = session.facts("public", "executions", &[]).await;
    let (guard, expression) = compile(&rules, &facts, &site("executions", Channel::Column));
    session.run("CREATE TABLE executions_2 PARTITION OF executions FOR VALUES FROM (20) TO (30)").await;
    for id in [1, 10, 25] {
        let insert = |times| {
            format!("INSERT INTO executions (id, created_at, started_at) VALUES ({id}, {times}) RETURNING {expression}")
        };
        assert_eq!(refused(&session, &insert(BAD), &guard, &rules).await.as_deref(), Some("ordered"), "{id}");
        assert_eq!(verdicts(&session, &insert(GOOD), &guard).await, [Verdict::Good]);
    }
    // Judged before the row is routed.
    let (guard, copied) = compile(&rules, &facts, &site("executions", Channel::CopyWhere));
    let copy = |line: &str| format!("COPY executions FROM PROGRAM 'printf \"{line}\"' WHERE {copied}");
    assert!(
        refused(&session, &copy("1\\t\\\\\\\\N\\t2026-01-02\\t2026-01-01\\t\\\\\\\\N\\n"), &guard, &rules)
            .await
            .is_some()
    );
    assert!(
        refused(&session, &copy("1\\t\\\\\\\\N\\t2026-01-01\\t2026-01-02\\t\\\\\\\\N\\n"), &guard, &rules)
            .await
            .is_none()
    );
    // A partition by its own name, and moving into one.
    let leaf = session.facts("public", "executions_1a", &[]).await;
    let (guard, expression) = compile(&rules, &leaf, &site("executions_1a", Channel::Column));
    let insert =
        format!("INSERT INTO executions_1a (id, created_at, started_at) VALUES (10, {BAD}) RETURNING {expression}");
    assert!(refused(&session, &insert, &guard, &rules).await.is_some());
    let set = ["id".to_owned(), "started_at".to_owned()];
    let update = Site { operation: Operation::Update, columns: Some(&set), ..site("executions", Channel::Column) };
    let (guard, expression) = compile(&rules, &facts, &update);
    let moved = format!("UPDATE executions SET id = 11, started_at = '2020-01-01' WHERE id = 1 RETURNING {expression}");
    assert!(refused(&session, &moved, &guard, &rules).await.is_some());
}

#[tokio::test]
async fn privileges_on_columns_are_enough() {
    let (database, session) = executions().await;
    let role = support::create_role("writer").await;
    session.run(&format!("GRANT INSERT, SELECT (created_at, started_at, completed_at) ON executions TO {role}")).await;
    let limited = Session::open_as(&database, &role).await;
    let facts = limited.facts("public", "executions", &[]).await;
    assert!(!facts.reads_system_columns);
    let rules = rules(ORDERED);
    let (guard, expression) = compile(&rules, &facts, &site("x", Channel::Column));
    assert!(guard.key.is_empty());
    let insert = |id, times| {
        format!(
            "INSERT INTO executions AS x (id, created_at, started_at) VALUES ({id}, {times}) RETURNING {expression}"
        )
    };
    assert!(refused(&limited, &insert(1, BAD), &guard, &rules).await.is_some());
    assert_eq!(verdicts(&limited, &insert(2, GOOD), &guard).await, [Verdict::Good]);
    session.run(&format!("REVOKE SELECT (started_at) ON executions FROM {role}")).await;
    let facts = limited.facts("public", "executions", &[]).await;
    let refused = guard::compile(&rules, &facts, &site("x", Channel::Column));
    assert_eq!(refused, Err(Reason::NoSelectPrivilege));
}

#[tokio::test]
async fn odd_names_and_types() {
    let database = support::create_database_with(
        r#"CREATE SCHEMA "Odd one";
           CREATE DOMAIN "Odd one".moment AS timestamptz CHECK (VALUE > '1900-01-01');
           CREATE TYPE "Odd one".mood AS ENUM ('sad', 'it''s "fine"');
           CREATE TABLE "Odd one"."My ""Table" (
             "Key; 1" text, key2 uuid, "From" "Odd one".moment, "select" timestamptz, mood "Odd one".mood, doc jsonb, tags text[],
             PRIMARY KEY ("Key; 1", key2));"#,
    )
    .await;
    let session = Session::open(&database).await;
    let facts = session.facts("Odd one", "My \"Table", &[]).await;
    let rules = rules(
        r#"
version: 1
tables:
  - table: '"Odd one"."My ""Table"'
    rules:
      - {name: ordered, order: ['"From"', '"select"'], max_gap: 1d}
      - {name: happy, require: {null: [mood, doc, tags]}}
      - {name: tagged, check: "tags && ARRAY['a'] AND doc->>'n' ~ '^\\d+$' -- digits"}
      - {name: qualified, check: "\"My \"\"Table\".\"From\" IS NOT NULL"}
"#,
    );
    let (guard, expression) = compile(&rules, &facts, &site("\"X\"", Channel::Column));
    let insert = |mood: &str, tags: &str| {
        format!(
            r#"INSERT INTO "Odd one"."My ""Table" AS "X" VALUES (chr(20013) || '|;"''' || repeat('x', 60),
               'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '2026-01-02', '2026-01-01', {mood}, '{{"n": 12}}', {tags}) RETURNING {expression}"#
        )
    };
    for setting in ["SET client_encoding = 'LATIN1'", "SET standard_conforming_strings = off"] {
        session.run(setting).await;
        session.run("TRUNCATE \"Odd one\".\"My \"\"Table\"").await;
        let found = verdicts(&session, &insert("'it''s \"fine\"'", "'{b,c}'"), &guard).await.remove(0);
        let found = words(found, &guard, &rules);
        let names: Vec<_> = found.iter().map(|violation| violation.rule.as_str()).collect();
        assert_eq!(names, ["ordered", "happy", "tagged"]);
        let key = format!("\u{4e2d}|;\"'{}", "x".repeat(35));
        assert_eq!(found[0].key[0], ("Key; 1".to_owned(), key));
        assert_eq!(found[0].key[1], ("key2".to_owned(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".to_owned()));
        assert_eq!(found[1].values[0].1, "it's \"fine\"");
        assert_eq!(
            found[2].detail,
            "The condition tags && ARRAY['a'] AND doc->>'n' ~ '^\\d+$' -- digits is false: tags = {b,c}, doc = {\"n\": 12}."
        );
    }
    session.run("TRUNCATE \"Odd one\".\"My \"\"Table\"").await;
    let found = words(verdicts(&session, &insert("NULL", "'{a}'"), &guard).await.remove(0), &guard, &rules);
    assert_eq!(found.iter().map(|violation| violation.rule.as_str()).collect::<Vec<_>>(), ["ordered", "happy"]);
}

#[tokio::test]
async fn copy_judges_generated_columns() {
    let (_database, session) = executions().await;
    session.run("ALTER TABLE executions ADD earliest timestamptz GENERATED ALWAYS AS (LEAST(started_at, completed_at)) STORED").await;
    let rules = rules(&ORDERED.replace("started_at, completed_at", "earliest"));
    let facts = session.facts("public", "executions", &[]).await;
    let (guard, copied) = compile(&rules, &facts, &site("executions", Channel::CopyWhere));
    let copy = |start: &str, end: &str| {
        format!(
            "COPY executions (id, created_at, started_at, completed_at) FROM PROGRAM 'echo 1,2026-01-05,{start},{end}' WITH (FORMAT csv) WHERE {copied}"
        )
    };
    assert!(refused(&session, &copy("2026-01-06", "2026-01-02"), &guard, &rules).await.is_some());
    assert!(refused(&session, &copy("2026-01-06", "2026-01-07"), &guard, &rules).await.is_none());
}

#[tokio::test]
async fn nothing_is_raised_while_planning() {
    let (_database, session) = executions().await;
    let rules = rules(
        "
version: 1
tables:
  - table: executions
    on_violation: reject
    rules:
      - {name: ordered, order: [created_at, started_at, completed_at], tolerance: 5ms}
      - {name: gaps, order: [created_at, started_at], min_gap: 1ms, max_gap: 1d}
      - {name: fresh, near_now: {columns: [created_at], future: 100000d}}
      - {name: sane, plausible: {columns: [created_at], after: 2000-01-01, before: 2100-01-01}}
      - {name: required, require: {not_null: [created_at]}}
      - {name: checked, check: \"created_at IS NOT NULL\"}
      - {name: above, parent: {table: jobs, join: {job_id: id}, not_reused: {created_at: created_at}, lock_parent: true}}",
    );
    let parent = QualifiedName { schema: "public".to_owned(), name: "jobs".to_owned() };
    let facts = session.facts("public", "executions", &[parent]).await;
    for (channel, wrap) in [(Channel::Column, "G"), (Channel::Notice, "CASE WHEN (G) IS NULL THEN 1 ELSE 1 END")] {
        let (guard, expression) = compile(&rules, &facts, &site("executions", channel));
        assert_eq!(guard.judged.len(), 7);
        let returned = wrap.replace('G', &expression);
        session
            .run(&format!("EXPLAIN INSERT INTO executions (id, created_at) VALUES (1, NULL) RETURNING {returned}"))
            .await;
        session.run(&format!("PREPARE p AS INSERT INTO executions (id, created_at, started_at) VALUES ($1, {GOOD}) RETURNING {returned}")).await;
        for id in 0..12 {
            session.run(&format!("EXECUTE p ({id})")).await;
        }
        session.run("DEALLOCATE p; DELETE FROM executions").await;
    }
}

#[tokio::test]
async fn a_locked_parent_is_judged_as_it_will_be() {
    let (database, one) = executions().await;
    one.run("INSERT INTO jobs VALUES (1, '2026-01-01')").await;
    let rules = rules(
        "
version: 1
tables:
  - table: executions
    on_violation: reject
    rules: [{name: above, parent: {table: jobs, join: {job_id: id}, not_reused: {created_at: created_at}, lock_parent: true}}]",
    );
    let parent = QualifiedName { schema: "public".to_owned(), name: "jobs".to_owned() };
    let facts = one.facts("public", "executions", &[parent]).await;
    let (guard, expression) = compile(&rules, &facts, &site("executions", Channel::Column));
    let insert =
        format!("INSERT INTO executions (id, job_id, created_at) VALUES (1, 1, '2026-01-09') RETURNING {expression}");
    one.run("BEGIN; UPDATE jobs SET created_at = '2026-01-09'").await;
    let two = Session::open(&database).await;
    let waiting = tokio::spawn(async move { refused(&two, &insert, &guard, &rules).await });
    let watcher = Session::open(&database).await;
    blocked(&watcher).await;
    one.run("COMMIT").await;
    assert_eq!(waiting.await.unwrap().as_deref(), Some("above"));
}

#[tokio::test]
async fn the_shortest_finding_is_still_noticed() {
    let (_database, session) = executions().await;
    session.run("CREATE TABLE bare (a int2)").await;
    let rules = rules("{version: 1, tables: [{table: bare, rules: [{name: r, require: {not_null: [a]}}]}]}");
    let facts = session.facts("public", "bare", &[]).await;
    let (guard, expression) = compile(&rules, &facts, &site("bare", Channel::Notice));
    session.run(&format!("INSERT INTO bare VALUES (NULL), (1) RETURNING ({expression}) IS NULL")).await;
    let notices = session.take_notices();
    assert_eq!(notices.len(), 1);
    assert_eq!(by_message(&notices[0], &guard, &rules).detail, "a is null.");
}

#[tokio::test]
async fn merge_judges_what_it_writes() {
    let (_database, session) = executions().await;
    let version = session.resolved("public", "executions", &[]).await.server_version;
    let rules = rules(ORDERED);
    let facts = session.facts("public", "executions", &[]).await;
    let merge = Site { operation: Operation::Merge, server_version: version, ..site("x", Channel::Column) };
    if version < 170_000 {
        assert_eq!(guard::compile(&rules, &facts, &merge), Err(Reason::MergeBefore17));
        return;
    }
    session.run(&format!("INSERT INTO executions (id, created_at, started_at) VALUES (1, {BAD}), (2, {GOOD})")).await;
    let set = ["status".to_owned()];
    let all = compile(&rules, &facts, &merge);
    let some = compile(&rules, &facts, &Site { conflict_columns: Some(&set), ..merge });
    let sql = |action: &str, (_, expression): &(Guard, String)| {
        format!("MERGE INTO executions x USING (VALUES (1), (3)) s(id) ON s.id = x.id {action} RETURNING {expression}")
    };
    let insert = format!("WHEN NOT MATCHED THEN INSERT (id, created_at, started_at) VALUES (s.id, {BAD})");
    let status = "WHEN MATCHED THEN UPDATE SET status = 'x'";
    assert!(refused(&session, &sql(&insert, &all), &all.0, &rules).await.is_some());
    assert!(refused(&session, &sql(&insert, &some), &some.0, &rules).await.is_some());
    assert!(refused(&session, &sql(status, &all), &all.0, &rules).await.is_some());
    assert!(refused(&session, &sql(status, &some), &some.0, &rules).await.is_none());
    assert!(refused(&session, &sql("WHEN MATCHED THEN DELETE", &all), &all.0, &rules).await.is_none());
}
