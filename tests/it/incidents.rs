//! The incidents: what their clients send through the proxy, and what lands in the database.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use chronoguard::{
    config::{HostPort, Settings},
    run::Proxy,
};
use rand::seq::SliceRandom;
use tokio_postgres::{Client, error::SqlState};

use crate::support::{self, Database};

/// An incident's database, and a proxy with its rules before it.
struct Stage {
    database: Database,
    proxy: Proxy,
    dir: PathBuf,
}

impl Stage {
    async fn set(number: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/incident-{number}"));
        let schema = std::fs::read_to_string(dir.join("schema.sql")).unwrap();
        let database = support::create_database_with(&schema).await;
        let local = |port| HostPort { host: "127.0.0.1".into(), port };
        let proxy = Proxy::start(&Settings {
            listen: local(0),
            upstream: local(support::cluster().port()),
            admin: None,
            rules: vec![dir.join("rules.yaml")],
            threads: 2,
            ..Settings::default()
        })
        .unwrap();
        Self { database, proxy, dir }
    }

    fn port(&self) -> u16 {
        self.proxy.address().port()
    }

    /// `psql`'s errors, by constraint.
    async fn psql(&self, script: &str) -> Vec<String> {
        let mut command = Command::new(support::cluster().binaries().program("psql"));
        command.args(["-X", "-q", "-v", "VERBOSITY=verbose", "-f"]).arg(self.dir.join(script));
        command.arg(self.database.url_through(self.port()));
        let errors = String::from_utf8(output(command).await.stderr).unwrap();
        assert_eq!(errors.matches("ERROR: ").count(), errors.matches("ERROR:  23514:").count(), "{errors}");
        errors.lines().filter_map(|l| l.strip_prefix("CONSTRAINT NAME:  ")).map(str::to_owned).collect()
    }

    /// What a Python client says in its last line: sent, landed, refused.
    async fn python(&self, script: &str) -> [u64; 3] {
        let mut command = Command::new(python());
        command.arg(self.dir.join(script)).arg(self.database.url_through(self.port()));
        let output = output(command).await;
        let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let last = said.lines().last().unwrap_or_default();
        let counts: Vec<u64> = last.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        counts.try_into().unwrap_or_else(|_| panic!("{said}{errors}"))
    }

    /// The one column of a query, straight from the server, as texts.
    async fn stored(&self, sql: &str) -> Vec<String> {
        let rows = self.database.connect().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn causes(&self) -> BTreeMap<String, f64> {
        let by = self.proxy.metrics().snapshot().by("violations_total", ["cause"]);
        by.into_iter().filter(|(_, count)| *count > 0.0).map(|([cause], count)| (cause, count)).collect()
    }
}

fn python() -> PathBuf {
    let given = std::env::var_os("CHRONOGUARD_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python"));
    assert!(python.exists(), "{} is not there: run tests/setup.sh", python.display());
    python
}

/// Runs a program beside the test's own tasks.
async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn incident_000_lands_only_fixed() {
    let stage = Stage::set("000").await;
    assert_eq!(stage.psql("buggy.sql").await, ["executions_order"; 3]);
    assert_eq!(stage.python("buggy.py").await, [30, 0, 30]);
    assert_eq!(stage.causes(), [("default_after_explicit".to_owned(), 33.0)].into());
    let count = "SELECT count(*)::text FROM executions";
    assert_eq!(stage.stored(count).await, ["0"]);

    assert!(stage.psql("fixed.sql").await.is_empty());
    assert_eq!(stage.python("fixed.py").await, [30, 30, 0]);
    assert_eq!(stage.stored(count).await, ["33"]);
    let equal = "SELECT count(*)::text FROM executions WHERE created_at = started_at AND started_at <= completed_at";
    assert_eq!(stage.stored(equal).await, ["33"]);
    assert_eq!(stage.causes().values().sum::<f64>(), 33.0);
}

#[tokio::test]
async fn incident_001_keeps_the_row_as_it_was_before_the_bad_write() {
    let stage = Stage::set("001").await;
    assert_eq!(stage.psql("buggy.sql").await, ["job_status_start_once", "job_status_order"]);
    let rows = "SELECT concat_ws(' ', job_id, status, attempts, started_at - created_at, completed_at - created_at) FROM job_status ORDER BY job_id";
    assert_eq!(
        stage.stored(rows).await,
        ["1 completed 0 00:00:00.001 00:00:00.005", "2 completed 0 00:00:00.001 00:00:00.005"]
    );
    assert_eq!(stage.causes(), [("overwritten_start".to_owned(), 2.0)].into());

    assert!(stage.psql("fixed.sql").await.is_empty());
    let expected = ["11 completed 2 00:00:00.02 00:00:00.021", "12 completed 0 00:00:00.001 00:00:00.005"];
    assert_eq!(stage.stored(rows).await[2..], expected);

    let [sent, landed, refused] = stage.python("buggy.py").await;
    assert!(sent == landed + refused && refused > 0);
    // Nothing in an UPDATE proves two clocks.
    assert!(!stage.causes().contains_key("clock_skew"), "{:?}", stage.causes());
    assert_eq!(stage.python("fixed.py").await, [600, 600, 0]);
    let wrong = "SELECT job_id::text FROM job_status WHERE completed_at < started_at + interval '1 ms'";
    assert!(stage.stored(wrong).await.is_empty());
}

#[tokio::test]
async fn incident_003_is_found_in_every_form() {
    let stage = Stage::set("003").await;
    let expected = ["flows_no_reuse"; 4];
    assert_eq!(stage.psql("buggy.sql").await, expected);
    assert_eq!(stage.python("buggy.py").await, [80, 0, 80]);
    let count = "SELECT count(*)::text FROM migration.discovery_flows";
    assert_eq!(stage.stored(count).await, ["0"]);
    assert!(stage.causes()["parent_copied"] >= 25.0, "{:?}", stage.causes());

    assert!(stage.psql("fixed.sql").await.is_empty());
    assert_eq!(stage.python("fixed.py").await, [80, 80, 0]);
    assert_eq!(stage.stored(count).await, ["94"]);
    let old = "SELECT flow_id::text FROM migration.discovery_flows WHERE created_at < now() - interval '1 hour' OR updated_at < created_at";
    assert!(stage.stored(old).await.is_empty());
}

#[tokio::test]
async fn incident_004_keeps_good_ends_and_orphans() {
    let stage = Stage::set("004").await;
    assert_eq!(stage.psql("buggy.sql").await, ["ops_duration", "ops_times", "ops_end_stays", "ops_order"]);
    let rows = "SELECT concat_ws(' ', op_id, start_ts - 1780200000000000, end_ts - 1780200000000000, coalesce(duration_us::text, 'null')) FROM ops ORDER BY op_id";
    assert_eq!(stage.stored(rows).await, ["op-1 0 null", "op-2 3000000 3000900 900", "op-3 4000000 null"]);
    assert!(stage.causes().contains_key("zero_sentinel"));

    assert!(stage.psql("fixed.sql").await.is_empty());
    let expected = ["op-11 0 2500000 2500000", "op-12 3000000 3000000 0", "op-13 9000000 null"];
    assert_eq!(stage.stored("SELECT concat_ws(' ', op_id, start_ts - 1780200000000000, end_ts - 1780200000000000, coalesce(duration_us::text, 'null')) FROM ops WHERE op_id LIKE 'op-1_' ORDER BY op_id").await, expected);

    // 40 ops: 36 started; the finalize of an orphan is not judged; four are finalized again without an end, four by a slow clock.
    assert_eq!(stage.python("buggy.py").await, [84, 40, 44]);
    assert_eq!(stage.python("fixed.py").await, [84, 84, 0]);
    let wrong = "SELECT op_id FROM ops WHERE end_ts <= 0 OR end_ts < start_ts OR duration_us <> end_ts - start_ts";
    assert!(stage.stored(wrong).await.is_empty());
}

/// Jobs that are raced over; three events each.
const JOBS: i64 = 3_000;

const START: &str =
    "UPDATE job_status SET started_at = created_at + interval '1 ms' WHERE job_id = $1 AND started_at IS NULL";
const RETRY: &str = "UPDATE job_status SET attempts = 2, started_at = created_at + interval '20 ms' WHERE job_id = $1";
const COMPLETE: &str =
    "UPDATE job_status SET status = 'completed', started_at = COALESCE(started_at, created_at + interval '1 ms'),
    completed_at = created_at + interval '5 ms' WHERE job_id = $1";

/// Ten sessions write the three events of 3,000 jobs in any order, half of them in PostgREST's form. Of a retry and a completion the second to be
/// written makes the row wrong, whichever it is and whatever the session that writes it has seen, and a retry after a start overwrites that: so exactly one
/// write per job is refused.
#[tokio::test]
async fn incident_001_under_a_race_refuses_exactly_the_second_of_two_writes() {
    let stage = Stage::set("001").await;
    let insert = "INSERT INTO job_status (job_id) SELECT generate_series(1, $1)";
    stage.database.connect_through(stage.port()).await.execute(insert, &[&i32::try_from(JOBS).unwrap()]).await.unwrap();
    // The events of one job are neighbours in the queue: ten workers take them at the same time.
    let mut queue: Vec<(i64, &'static str)> = Vec::new();
    for job in 1..=JOBS {
        let mut events = [START, RETRY, COMPLETE];
        events.shuffle(&mut rand::rng());
        queue.extend(events.map(|event| (job, event)));
    }
    let (queue, refused) = (Arc::new(Mutex::new(queue)), Arc::new(Mutex::new(Vec::new())));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let client = stage.database.connect_through(stage.port()).await;
        let (queue, refused) = (Arc::clone(&queue), Arc::clone(&refused));
        workers.spawn(async move { work(&client, &queue, &refused).await });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }

    // What was refused must be the event whose effect is missing in the row.
    let mut refused = std::mem::take(&mut *refused.lock().unwrap());
    refused.sort_unstable();
    let rows = "SELECT job_id, completed_at IS NOT NULL, attempts = 2, completed_at < started_at + interval '1 ms' FROM job_status ORDER BY job_id";
    let rows = stage.database.connect().await.query(rows, &[]).await.unwrap();
    let mut missing = Vec::new();
    for row in &rows {
        let (job, completed, retried): (i64, bool, bool) = (row.get(0), row.get(1), row.get(2));
        assert_ne!(row.get::<_, Option<bool>>(3), Some(true), "job {job} landed wrong");
        assert!(completed != retried, "job {job}: completed {completed}, retried {retried}");
        missing.push((job, if completed { RETRY } else { COMPLETE }));
    }
    assert_eq!(rows.len(), usize::try_from(JOBS).unwrap());
    assert!(refused == missing, "{} refused, {} expected", refused.len(), missing.len());
    for event in [RETRY, COMPLETE] {
        assert!(refused.iter().any(|(_, e)| *e == event), "both orders happened");
    }
}

type Events = Mutex<Vec<(i64, &'static str)>>;

async fn work(client: &Client, queue: &Events, refused: &Events) {
    loop {
        let next = queue.lock().unwrap().pop();
        let Some((job, event)) = next else { return };
        let result = if job % 2 == 0 {
            client.execute(event, &[&job]).await.map(drop)
        } else {
            client.query(&postgrest(event), &[&job]).await.map(drop)
        };
        match result {
            Ok(()) => {}
            Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                refused.lock().unwrap().push((job, event))
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn postgrest(update: &str) -> String {
    format!(
        "WITH pgrst_source AS ({update} RETURNING \"public\".\"job_status\".*)
         SELECT '' AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, array[]::text[] AS header,
           coalesce(json_agg(_postgrest_t), '[]')::text AS body
         FROM (SELECT * FROM pgrst_source) _postgrest_t"
    )
}

#[tokio::test]
async fn the_demo_shows_what_it_promises() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronoguard"));
    command.arg("demo").env("CHRONOGUARD_PYTHON", python());
    let output = output(command).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "clients: psql, tokio-postgres, Python",
        "000 every",
        "001 a retry",
        "003 children",
        "004 every",
        "nothing wrong landed",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
