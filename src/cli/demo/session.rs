//! What tokio-postgres sends: prepared statements with binary parameters (000, 004), and ten sessions racing over the same rows (001).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use rand::seq::SliceRandom;
use tokio_postgres::{Client, Config, NoTls, error::SqlState, types::ToSql};

use super::{
    super::Error,
    client::{Sent, Target, Version},
};
use crate::scratch::SUPERUSER;

/// Rows that are raced over.
const JOBS: i64 = 200;
/// Sessions that race.
const WORKERS: usize = 10;
/// Writes of the other incidents.
const ROWS: i64 = 20;

/// Sends an incident's writes; `None` if there are none for it here.
pub(super) fn send(number: &str, version: Version, to: &Target) -> Result<Option<Sent>, Error> {
    run(async {
        match number {
            "000" => executions(version, to).await.map(Some),
            "001" => race(version, to).await.map(Some),
            "004" => ops(version, to).await.map(Some),
            _ => Ok(None),
        }
    })
}

/// Runs a script of several statements, all in one go.
pub(super) fn batch(to: &Target, sql: &str) -> Result<(), Error> {
    run(async { connect(to).await?.batch_execute(sql).await.map_err(Into::into) })
}

/// The one number that a query gives.
pub(super) fn count(to: &Target, sql: &str) -> Result<u64, Error> {
    run(async {
        let count: i64 = connect(to).await?.query_one(sql, &[]).await?.try_get(0)?;
        Ok(count.try_into().unwrap_or_default())
    })
}

fn run<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Error(format!("start a runtime: {e}")))?.block_on(work)
}

async fn connect(to: &Target) -> Result<Client, Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(to.port).dbname(&to.database).user(SUPERUSER).application_name("chronoguard demo");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(server) => Self(format!("tokio-postgres: {server} ({})", server.code().code())),
            None => Self(format!("tokio-postgres: {error}")),
        }
    }
}

impl Sent {
    /// Counts one write's result.
    fn add<T>(&mut self, result: Result<T, tokio_postgres::Error>) -> Result<(), Error> {
        self.sent += 1;
        match result {
            Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                self.refused += 1;
                let server = error.as_db_error();
                self.refusal.get_or_insert_with(|| server.map(ToString::to_string).unwrap_or_default());
                Ok(())
            }
            other => other.map(drop).map_err(Into::into),
        }
    }
}

/// 000: the service's statement, prepared once, binary parameters.
async fn executions(version: Version, to: &Target) -> Result<Sent, Error> {
    let client = connect(to).await?;
    let (column, value) = if version == Version::Fixed { (", created_at", ", $4") } else { ("", "") };
    let insert = client
        .prepare(&format!(
            "INSERT INTO executions (job_id, region, status, started_at, completed_at{column}) VALUES ($1, $2, $3, $4, $5{value}) RETURNING id"
        ))
        .await?;
    let mut sent = Sent::default();
    for _ in 0..ROWS {
        // The work took 10 ms and ended 5 ms ago.
        let times = "SELECT localtimestamp - interval '15 ms', localtimestamp - interval '5 ms'";
        let row = client.query_one(times, &[]).await?;
        let (started, completed): (SystemTime, SystemTime) = (row.try_get(0)?, row.try_get(1)?);
        let values: [&(dyn ToSql + Sync); 5] =
            [&"bias-detection-1760288315095", &"US", &"failed", &started, &completed];
        sent.add(client.query_one(&insert, &values).await)?;
    }
    Ok(sent)
}

/// 004: started, then finalized by an upsert; the buggy one takes the finalize event's time for the start.
async fn ops(version: Version, to: &Target) -> Result<Sent, Error> {
    let client = connect(to).await?;
    let started = client.prepare("INSERT INTO ops (op_id, name, start_ts) VALUES ($1, 'completion', $2)").await?;
    let duration = if version == Version::Fixed { "excluded.end_ts - ops.start_ts" } else { "excluded.duration_us" };
    let finalized = client
        .prepare(&format!(
            "INSERT INTO ops (op_id, end_ts, duration_us) VALUES ($1, $2, $3)
             ON CONFLICT (op_id) DO UPDATE SET end_ts = excluded.end_ts, duration_us = {duration}"
        ))
        .await?;
    let mut sent = Sent::default();
    for number in 0..ROWS {
        let (op, start) = (format!("{version:?}-{number}"), 1_780_300_000_000_000 + number * 1_000_000);
        let end = start + 250_000;
        let event = end; // events are sorted by their end
        sent.add(client.execute(&started, &[&op, &start]).await)?;
        sent.add(client.execute(&finalized, &[&op, &end, &(end - event)]).await)?;
    }
    Ok(sent)
}

/// A handler's work on a job.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The job starts for the first time.
    Active,
    /// The retry starts, 20 ms after the job was created.
    Retried,
    /// It completed, 5 ms after it was created: the retry is late news.
    Completed,
}

impl Event {
    /// The handler's statements, for the job `$1`.
    fn statements(self, version: Version) -> &'static [&'static str] {
        match (version, self) {
            (Version::Buggy, Self::Active) => &[
                "UPDATE job_status SET started_at = created_at + interval '1 ms' WHERE job_id = $1 AND started_at IS NULL",
            ],
            (Version::Buggy, Self::Retried) => {
                &["UPDATE job_status SET attempts = 2, started_at = created_at + interval '20 ms' WHERE job_id = $1"]
            }
            (Version::Buggy, Self::Completed) => &[
                "UPDATE job_status SET started_at = created_at + interval '1 ms' WHERE job_id = $1 AND started_at IS NULL",
                "UPDATE job_status SET status = 'completed', completed_at = created_at + interval '5 ms' WHERE job_id = $1",
            ],
            (Version::Fixed, Self::Active | Self::Retried) => {
                &["UPDATE job_status SET status = 'active', attempts = attempts + 1,
                 started_at = COALESCE(started_at, created_at + interval '20 ms')
                 WHERE job_id = $1 AND completed_at IS NULL"]
            }
            (Version::Fixed, Self::Completed) => &["UPDATE job_status SET status = 'completed',
                 started_at = COALESCE(started_at, created_at + interval '1 ms'),
                 completed_at = GREATEST(created_at + interval '5 ms',
                                         COALESCE(started_at, created_at + interval '1 ms') + interval '1 ms')
                 WHERE job_id = $1"],
        }
    }
}

/// The form PostgREST gives an UPDATE.
fn postgrest(update: &str) -> String {
    format!(
        "WITH pgrst_source AS ({update} RETURNING \"public\".\"job_status\".*)
         SELECT '' AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, array[]::text[] AS header,
           coalesce(json_agg(_postgrest_t), '[]')::text AS body
         FROM (SELECT * FROM pgrst_source) _postgrest_t"
    )
}

type Handlers = Arc<Mutex<Vec<(i64, Event)>>>;

/// 001: ten workers, the events of each job in any order. Of a retry and a completion the second to be written is wrong, whichever it is.
async fn race(version: Version, to: &Target) -> Result<Sent, Error> {
    let client = connect(to).await?;
    let first: i64 = client.query_one("SELECT coalesce(max(job_id), 0) + 1 FROM job_status", &[]).await?.try_get(0)?;
    let jobs = first..first + JOBS;
    let insert = "INSERT INTO job_status (job_id) SELECT generate_series($1::bigint, $2::bigint)";
    client.execute(insert, &[&jobs.start, &(jobs.end - 1)]).await?;
    let mut handlers = Vec::new();
    for job in jobs {
        let mut events = [Event::Active, Event::Retried, Event::Completed];
        events.shuffle(&mut rand::rng());
        handlers.extend(events.map(|event| (job, event)));
    }
    let handlers: Handlers = Arc::new(Mutex::new(handlers));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (client, handlers) = (connect(to).await?, Arc::clone(&handlers));
        workers.spawn(async move { work(&client, version, &handlers).await });
    }
    let mut total = Sent::default();
    while let Some(worker) = workers.join_next().await {
        let sent = worker.map_err(|e| Error(format!("a worker ended: {e}")))??;
        total.sent += sent.sent;
        total.refused += sent.refused;
        total.refusal = total.refusal.or(sent.refusal);
    }
    Ok(total)
}

async fn work(client: &Client, version: Version, handlers: &Handlers) -> Result<Sent, Error> {
    let mut sent = Sent::default();
    loop {
        let next = handlers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((job, event)) = next else { return Ok(sent) };
        for update in event.statements(version) {
            if job % 2 == 0 {
                sent.add(client.execute(*update, &[&job]).await)?;
            } else {
                sent.add(client.query(&postgrest(update), &[&job]).await)?;
            }
        }
    }
}
