//! A small client that measures the latency of prepared statements side by side: one connection for each of them, run in turn, one execution after the other, so that
//! whatever else the machine does hits all of them alike. Prints a line for each: name, p50 and p99 in microseconds, tab-separated.
//!
//! ```text
//! cargo bench --bench latency -- ROUNDS NAME URL SQL [NAME URL SQL]…
//! ```
//! Each statement may have one parameter of type `double precision`; it gets the number of the round.

use std::time::Instant;

use tokio_postgres::{Client, NoTls, Statement};

/// Rounds that are not counted: plans become generic, caches warm.
const WARM_UP: usize = 200;

struct Measured {
    name: String,
    client: Client,
    statement: Statement,
    nanos: Vec<u64>,
}

impl Measured {
    async fn new(name: &str, url: &str, sql: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let statement = client.prepare(sql).await?;
        Ok(Self { name: name.to_owned(), client, statement, nanos: Vec::new() })
    }

    async fn run(&self, round: f64) -> Result<u64, tokio_postgres::Error> {
        let started = Instant::now();
        match self.statement.params().len() {
            0 => self.client.execute(&self.statement, &[]).await?,
            _ => self.client.execute(&self.statement, &[&round]).await?,
        };
        Ok(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// What that share of the sorted executions did not exceed, in microseconds.
    fn quantile(&self, percent: usize) -> u64 {
        self.nanos.get(self.nanos.len() * percent / 100).copied().unwrap_or_default() / 1_000
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some((rounds, what)) = arguments.split_first() else { return Ok(()) };
    let rounds: u32 = rounds.parse()?;
    let mut all = Vec::new();
    for triple in what.chunks_exact(3) {
        all.push(Measured::new(&triple[0], &triple[1], &triple[2]).await?);
    }
    for round in 0..rounds {
        for one in &mut all {
            let nanos = one.run(f64::from(round)).await?;
            if round as usize >= WARM_UP {
                one.nanos.push(nanos);
            }
        }
    }
    for one in &mut all {
        one.nanos.sort_unstable();
        println!("{}\t{}\t{}", one.name, one.quantile(50), one.quantile(99));
    }
    Ok(())
}
