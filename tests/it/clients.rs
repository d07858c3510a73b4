//! Real clients: each maps a refusal to its check-violation class and goes on with the same connection.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use tokio_postgres::{NoTls, binary_copy::BinaryCopyInWriter, error::SqlState, types::Type};

use crate::harness::{Guarded, cluster, guarded::REJECT};

/// One more rule, which only a staged COPY can judge: everything that these clients copy goes that way.
fn rules() -> String {
    REJECT.to_owned()
        + "      - name: ex_no_reuse\n        parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}}\n"
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a client program with port and database; it must say that all is well.
fn run(command: &mut Command, guarded: &Guarded) {
    let output = command
        .arg(guarded.proxy.addr.port().to_string())
        .arg(&guarded.database)
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        guarded.proxy.log()
    );
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id = 101"), "0", "a bad row landed");
    let metrics = guarded.proxy.metrics();
    assert!(metrics.sum("violations_total", &[("rule", "ex_order"), ("action", "reject")]) >= 5.0, "{metrics:#?}");
    assert_eq!(metrics.sum("unguardable_total", &[]), 0.0, "{metrics:#?}");
    assert_eq!(metrics.sum("retries_total", &[]), 0.0, "{metrics:#?}");
}

fn python(script: &str) -> Command {
    let python = root().join("target/venv/bin/python");
    assert!(python.exists(), "{} is not there: run tests/setup.sh (make test does)", python.display());
    let mut command = Command::new(python);
    command.arg(root().join("tests/clients").join(script));
    command
}

#[test]
fn psycopg() {
    run(&mut python("psycopg_client.py"), &Guarded::new(&rules()));
}

#[test]
fn asyncpg() {
    run(&mut python("asyncpg_client.py"), &Guarded::new(&rules()));
}

#[test]
fn pgjdbc() {
    let jar = PathBuf::from("/usr/share/java/postgresql.jar");
    assert!(
        jar.exists(),
        "{} is not there: apt-get install libpostgresql-jdbc-java default-jdk-headless",
        jar.display()
    );
    let mut command = Command::new("java");
    command.arg("-cp").arg(jar).arg(root().join("tests/clients/JdbcClient.java"));
    run(&mut command, &Guarded::new(&rules()));
}

#[test]
fn psql() {
    let guarded = Guarded::new(&rules());
    let script = r"
\set VERBOSITY verbose
INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01');
\echo after :SQLSTATE
INSERT INTO ex (id, created_at, started_at) VALUES (110, '2026-03-01', '2026-03-02');
BEGIN;
INSERT INTO ex (id) VALUES (111);
\set ON_ERROR_ROLLBACK on
UPDATE ex SET completed_at = '2020-01-01' WHERE id = 110;
COMMIT;
INSERT INTO ex (id, created_at, started_at) VALUES ($1, $2, $3) \g
\copy ex (id, created_at, started_at) from stdin
101	2026-03-02	2026-03-01
\.
\copy ex (id, created_at, started_at) from stdin
112	2026-03-01	2026-03-02
\.
UPDATE ex SET note = 'x' WHERE id = 110 RETURNING *;
SELECT id FROM ex WHERE id > 100 ORDER BY id \gdesc
SELECT string_agg(id::text, ' ' ORDER BY id) AS landed FROM ex WHERE id > 100;
";
    let program = cluster().scratch.binaries().program("psql");
    let (_dir, path) = crate::harness::cluster::file("script.sql", script);
    let output = Command::new(program)
        .args(["-X", "-A", "-h", "127.0.0.1", "-U", "postgres", "-p", &guarded.proxy.addr.port().to_string()])
        .args(["-d", &guarded.database, "-f"])
        .arg(path)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        err.matches("ERROR:  23514: new row for relation \"ex\" violates timestamp rule \"ex_order\"").count(),
        3,
        "{err}"
    );
    for part in ["DETAIL:  ", "HINT:  ", "SCHEMA NAME:  public", "TABLE NAME:  ex", "CONSTRAINT NAME:  ex_order"] {
        assert_eq!(err.matches(part).count(), 3, "{part}: {err}");
    }
    assert!(err.contains("CONTEXT:  COPY ex, line 1"), "{err}");
    assert!(out.contains("after 23514"), "{out}");
    assert!(out.contains("id|job_id|status|created_at|started_at|completed_at|note\n110|"), "{out}");
    assert!(out.contains("landed\n110 111 112\n"), "{out}\n{err}");
}

#[tokio::test]
async fn tokio_postgres() {
    let guarded = tokio::task::spawn_blocking(|| Guarded::new(&rules())).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(guarded.proxy.addr.port()).user("postgres").dbname(&guarded.database);
    let (mut client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);

    let refused = |result: Result<u64, tokio_postgres::Error>| {
        let error = result.expect_err("the write was not refused");
        assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{error}");
        let error = error.as_db_error().expect("an error of the server").clone();
        assert_eq!((error.schema(), error.table(), error.constraint()), (Some("public"), Some("ex"), Some("ex_order")));
        assert!(error.detail().is_some() && error.hint().is_some(), "{error:?}");
    };
    let insert = client
        .prepare("INSERT INTO ex (id, created_at, started_at) VALUES ($1, to_timestamp($2), to_timestamp($3))")
        .await
        .unwrap();
    refused(client.execute(&insert, &[&101_i64, &2000_f64, &1000_f64]).await);
    assert_eq!(client.execute(&insert, &[&110_i64, &1000_f64, &2000_f64]).await.unwrap(), 1);
    refused(client.execute("UPDATE ex SET started_at = '2020-01-01' WHERE id = 1", &[]).await);
    let error =
        client.batch_execute("UPDATE ex SET started_at = '2020-01-01' WHERE id = 1; SELECT 1").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION));
    let row = client.query_one("UPDATE ex SET note = 'x' WHERE id = 110 RETURNING *", &[]).await.unwrap();
    assert_eq!((row.len(), row.get::<_, i64>("id")), (7, 110));

    let copied = copy(&client, &[(120, 1000), (121, 2000)]).await;
    assert_eq!(copied.unwrap(), 2);
    refused(copy(&client, &[(122, 1000), (123, 3000)]).await);
    client.execute("DELETE FROM ex WHERE id IN (120, 121)", &[]).await.unwrap();

    // Pipelined: each has a Sync of its own.
    let execute = async |id: i64, created_at: f64| client.execute(&insert, &[&id, &created_at, &1500_f64]).await;
    let (first, second, third) = tokio::join!(execute(111, 1000.), execute(101, 2000.), execute(112, 1000.));
    assert_eq!((first.unwrap(), third.unwrap()), (1, 1));
    refused(second);

    let transaction = client.transaction().await.unwrap();
    transaction.execute(&insert, &[&113_i64, &1000_f64, &2000_f64]).await.unwrap();
    refused(transaction.execute(&insert, &[&101_i64, &2000_f64, &1000_f64]).await);
    transaction.rollback().await.unwrap();
    assert_eq!(client.query_one("SELECT count(*) FROM ex WHERE id > 100", &[]).await.unwrap().get::<_, i64>(0), 3);
    tokio::task::spawn_blocking(move || assert_eq!(guarded.landed_ids(), "110 111 112")).await.unwrap();
}

/// COPY in the extended protocol.
async fn copy(client: &tokio_postgres::Client, rows: &[(i64, u64)]) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in("COPY ex (id, created_at, started_at) FROM STDIN (FORMAT binary)").await?;
    let writer = BinaryCopyInWriter::new(sink, &[Type::INT8, Type::TIMESTAMPTZ, Type::TIMESTAMPTZ]);
    let mut writer = std::pin::pin!(writer);
    for (id, created_at) in rows {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        writer.as_mut().write(&[id, &at(*created_at), &at(2000)]).await?;
    }
    writer.finish().await
}
