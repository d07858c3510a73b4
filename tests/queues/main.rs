//! Job queues that people run, behind chronoguard with the preset for their tables: nothing of their own is refused, a row that breaks a rule is.
//!
//! What lives in the other files here: for each queue a program that makes and ends jobs in every way the queue knows, against one database, and fails if a job
//! does not end as it should. `tests/setup.sh` installs the queues.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use chronoguard::{
    config::{HostPort, Settings},
    run::Proxy,
};
use support::Database;

/// A queue: its preset, and its program.
struct Queue {
    preset: &'static str,
    program: fn() -> Command,
}

const PROCRASTINATE: Queue = Queue { preset: "procrastinate", program: || python("procrastinate_life.py") };
const PG_BOSS: Queue = Queue { preset: "pg-boss", program: || node("pg-boss.mjs") };
const GRAPHILE_WORKER: Queue = Queue { preset: "graphile-worker", program: || node("graphile-worker.mjs") };

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn installed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is not there: run tests/setup.sh (make test does)", path.display());
    path
}

fn python(script: &str) -> Command {
    let mut command = Command::new(installed(root().join("target/venv/bin/python")));
    command.arg(root().join("tests/queues").join(script));
    command
}

/// Node comes with the packages: they need a newer one than Debian's.
fn node(script: &str) -> Command {
    let packages = root().join("target/queues");
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let mut command = Command::new(installed(packages.join(format!("node_modules/node-linux-{arch}/bin/node"))));
    command.arg(root().join("tests/queues").join(script)).current_dir(packages).env("NODE_NO_WARNINGS", "1");
    command
}

impl Queue {
    /// The preset with every rule on reject.
    fn rejecting(&self) -> String {
        let text = std::fs::read_to_string(root().join(format!("rules/presets/{}.yaml", self.preset))).unwrap();
        text.replace("on_violation: observe", "on_violation: reject")
    }
}

/// A queue's empty database, and chronoguard before it.
struct Stage {
    database: Database,
    proxy: Proxy,
    _rules: tempfile::TempDir,
}

impl Stage {
    async fn set(rules: &str) -> Self {
        let database = support::create_database().await;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.yaml");
        std::fs::write(&path, rules).unwrap();
        let local = |port| HostPort { host: "127.0.0.1".into(), port };
        let proxy = Proxy::start(&Settings {
            listen: local(0),
            upstream: local(support::cluster().port()),
            admin: None,
            rules: vec![path],
            threads: 2,
            ..Settings::default()
        })
        .unwrap();
        Self { database, proxy, _rules: dir }
    }

    /// The queue makes its schema, works, and ends.
    async fn live(&self, queue: &Queue) {
        let mut command = (queue.program)();
        command.arg(self.database.url_through(self.proxy.address().port()));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{}: {out}{err}", queue.preset);
    }

    fn counted<const N: usize>(&self, metric: &str, labels: [&str; N]) -> BTreeMap<[String; N], f64> {
        let mut counted = self.proxy.metrics().snapshot().by(metric, labels);
        counted.retain(|_, count| *count > 0.0);
        counted
    }

    fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.proxy.metrics().snapshot().sum(metric, labels)
    }

    /// No write of the queue's was refused, judged wrong, or failed by a guard.
    fn nothing_was_refused(&self) {
        let violated = self.counted("violations_total", ["rule", "cause"]);
        assert!(violated.is_empty(), "{violated:?}");
        assert_eq!(self.sum("statements_total", &[("outcome", "rejected")]), 0.0);
        assert_eq!(self.sum("breaker_open", &[]), 0.0);
        assert_eq!(self.sum("retries_total", &[]), 0.0);
    }

    /// A client sends a statement that breaks a rule: it is refused as by a `CHECK` constraint, and nothing lands.
    async fn refused(&self, sql: &str, rule: &str, table: &str) {
        let all = format!("SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t");
        let direct = self.database.connect().await;
        let before: String = direct.query_one(&all, &[]).await.unwrap().get(0);
        let client = self.database.connect_through(self.proxy.address().port()).await;
        let error = client.execute(sql, &[]).await.expect_err(sql);
        let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
        assert_eq!((error.code().code(), error.constraint()), ("23514", Some(rule)), "{error:?}");
        let after: String = direct.query_one(&all, &[]).await.unwrap().get(0);
        assert_eq!(before, after, "{sql} landed");
    }
}

#[tokio::test]
async fn procrastinate_lives_behind_its_preset() {
    let stage = Stage::set(&PROCRASTINATE.rejecting()).await;
    stage.live(&PROCRASTINATE).await;
    stage.nothing_was_refused();
    // It writes through functions in the server alone.
    assert!(stage.counted("statements_total", ["table", "outcome"]).is_empty());
    assert_eq!(stage.sum("rows_checked_total", &[]), 0.0);

    let milliseconds = "to_timestamp(extract(epoch FROM now()) * 1000)";
    stage
        .refused(
            &format!("INSERT INTO procrastinate_jobs (queue_name, task_name, scheduled_at) VALUES ('many', 'count', {milliseconds})"),
            "procrastinate_scheduled_sane",
            "procrastinate_jobs",
        )
        .await;
    let ahead = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() + interval '1 hour')";
    stage.refused(ahead, "procrastinate_heartbeat_now", "procrastinate_workers").await;
}

#[tokio::test]
async fn pg_boss_lives_behind_its_preset() {
    let stage = Stage::set(&PG_BOSS.rejecting()).await;
    stage.live(&PG_BOSS).await;
    stage.nothing_was_refused();
    assert!(stage.counted("unguardable_total", ["reason"]).is_empty());
    assert!(stage.sum("rows_checked_total", &[("table", "pgboss.job")]) >= 300.0);

    let back = "completed_on = started_on - interval '1 hour'";
    let backwards = format!("UPDATE pgboss.job SET {back} WHERE name = 'many' AND state = 'completed'");
    stage.refused(&backwards, "pgboss_finished_order", "pgboss.job").await;
    let unstarted = "INSERT INTO pgboss.job_common (name, state) VALUES ('many', 'active')";
    stage.refused(unstarted, "pgboss_active_has_start", "pgboss.job").await;
}

#[tokio::test]
async fn graphile_worker_lives_behind_its_preset() {
    let stage = Stage::set(&GRAPHILE_WORKER.rejecting()).await;
    stage.live(&GRAPHILE_WORKER).await;
    stage.nothing_was_refused();
    for table in ["_private_jobs", "_private_job_queues", "_private_known_crontabs"] {
        assert!(stage.sum("rows_checked_total", &[("table", &format!("graphile_worker.{table}"))]) > 0.0, "{table}");
    }
    // A job of a named queue fails in `WITH j AS (UPDATE … FROM json_array_elements(…) … RETURNING *)`: a star over more than the table.
    let unguardable: Vec<_> = stage.counted("unguardable_total", ["table", "reason"]).into_keys().collect();
    assert_eq!(unguardable, [["graphile_worker._private_jobs", "cte_returning"].map(str::to_owned)]);

    let half = "INSERT INTO graphile_worker._private_jobs (task_id, locked_at) VALUES (1, now())";
    stage.refused(half, "graphile_worker_lock_whole", "graphile_worker._private_jobs").await;
    let backwards =
        "INSERT INTO graphile_worker._private_known_crontabs VALUES ('bad', now(), now() - interval '1 day')";
    stage.refused(backwards, "graphile_worker_crontab_order", "graphile_worker._private_known_crontabs").await;
}

/// Rules that every row violates: chronoguard then counts each row that it sees written. `(table, a column that is never null)`.
fn census(tables: &[(&str, &str)]) -> String {
    let mut rules = "version: 1\ntables:\n".to_owned();
    for (number, (table, column)) in tables.iter().enumerate() {
        rules.push_str(&format!(
            "  - {{table: {table}, rules: [{{name: census_{number}, always: true, check: \"{column} IS NULL\"}}]}}\n"
        ));
    }
    rules
}

impl Stage {
    fn seen(&self, table: &str) -> u64 {
        let seen = self.sum("violations_total", &[("table", table)]);
        format!("{seen}").parse().unwrap()
    }

    /// Rows of tables (a `LIKE` pattern) that the server itself counted, inserted and updated. A backend reports its counts when it ends, so this waits until
    /// all but our own have.
    async fn written(&self, schema: &str, tables: &str) -> u64 {
        let direct = self.database.connect().await;
        let end = Instant::now() + Duration::from_secs(30);
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        while direct.query_one(others, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(Instant::now() < end, "sessions of the queue did not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let sql = "SELECT coalesce(sum(n_tup_ins + n_tup_upd), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = $1 AND relname LIKE $2";
        direct.query_one(sql, &[&schema, &tables]).await.unwrap().get::<_, i64>(0).try_into().unwrap()
    }
}

/// What the presets say of what is seen in flight, and what is not.
#[tokio::test]
async fn of_pg_boss_every_written_job_is_seen() {
    let stage = Stage::set(&census(&[("pgboss.job", "name")])).await;
    stage.live(&PG_BOSS).await;
    let (common, all) = (stage.written("pgboss", "job\\_common").await, stage.written("pgboss", "j%").await);
    let (seen, apart) = (stage.seen("pgboss.job"), all - common - stage.written("pgboss", "job\\_dependency").await);
    assert!(common > 400 && apart > 0, "{common} {apart}");
    // A function in the server made the partition of the queue `apart` a moment ago; the catalog is believed for up to a minute.
    assert!(common <= seen && seen <= common + apart, "{seen}, written {common} + {apart}");
}

#[tokio::test]
async fn of_graphile_worker_what_workers_write_is_seen_and_what_functions_write_is_not() {
    let tables = [
        ("graphile_worker._private_jobs", "id"),
        ("graphile_worker._private_job_queues", "id"),
        ("graphile_worker._private_known_crontabs", "identifier"),
    ];
    let stage = Stage::set(&census(&tables)).await;
    stage.live(&GRAPHILE_WORKER).await;
    let crontabs = stage.written("graphile_worker", "\\_private\\_known\\_crontabs").await;
    assert!(crontabs > 0);
    assert_eq!(stage.seen(tables[2].0), crontabs);
    // 101 jobs that succeeded were taken once each, and made by add_job().
    let (jobs, seen) = (stage.written("graphile_worker", "\\_private\\_jobs").await, stage.seen(tables[0].0));
    assert!(101 <= seen && seen + 101 <= jobs, "{seen} of {jobs}");
}

#[tokio::test]
async fn of_procrastinate_nothing_is_seen() {
    let tables = ["jobs", "events", "periodic_defers", "workers"].map(|t| format!("public.procrastinate_{t}"));
    let stage = Stage::set(&census(&tables.each_ref().map(|t| (t.as_str(), "id")))).await;
    stage.live(&PROCRASTINATE).await;
    for table in &tables {
        assert!(stage.written("public", table.trim_start_matches("public.")).await > 0, "{table}");
        assert_eq!(stage.seen(table), 0, "{table}");
    }
}
