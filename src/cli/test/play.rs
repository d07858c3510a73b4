//! One test on its stage: what is sent, and what happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, poll_fn},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use tokio::runtime::Runtime;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{
    client::{Refusal, Reply, Session},
    server::{Server, ServerError, Sources, quoted},
};
use crate::{
    cli::{
        database::AskError,
        explain::{Ground, Judged},
    },
    config::{HostPort, Settings},
    rules::{
        rule_tests::{Landed, RuleTest, Step, clock},
        set::RuleSet,
    },
    run::{Proxy, StartError},
    sql::{
        locate::locate,
        write::{LexOptions, Verb},
    },
};

/// Rows of a query, values as PostgreSQL prints them.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// What happened in a test.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// What the proxy counted: rows by rule and action.
    pub counted: BTreeMap<(String, String), u64>,
    /// What became of each statement, and which rules had a say.
    pub replies: Vec<(Reply, Judged)>,
    /// What the query of `landed` gave, if there is one.
    pub landed: Option<Result<Rows, String>>,
}

impl Played {
    /// The rows that violated each rule.
    pub(super) fn violations(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for ((rule, _), rows) in &self.counted {
            *sums.entry(rule.clone()).or_insert(0) += rows;
        }
        sums
    }
}

/// Everything that runs. Fields are dropped in this order: the proxy before the server it stands before.
pub(super) struct Stage {
    proxy: Proxy,
    server: Server,
    runtime: Arc<Runtime>,
    set: Arc<RuleSet>,
    /// Names of all rules.
    pub(super) rules: BTreeSet<String>,
}

/// Why nothing can be tested.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Proxy(#[from] StartError),
    #[error("start a runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

impl Stage {
    pub(super) fn set(
        files: Vec<PathBuf>,
        url: Option<&str>,
        set: &Arc<RuleSet>,
        sources: Sources,
    ) -> Result<Self, StageError> {
        let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
        let server = Server::start(url, &runtime, sources)?;
        let settings = Settings {
            listen: HostPort { host: "127.0.0.1".into(), port: 0 },
            upstream: server.address()?,
            admin: None,
            rules: files,
            threads: 1,
            ..Settings::default()
        };
        let proxy = Proxy::start(&settings)?;
        let rules = set.tables.iter().flat_map(|table| &table.rules).map(|rule| rule.name.clone()).collect();
        Ok(Self { proxy, server, runtime, set: Arc::clone(set), rules })
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Whether something has happened, without waiting for it.
    pub(super) fn ready_now(&self, mut event: Pin<&mut impl Future>) -> bool {
        self.runtime.block_on(poll_fn(|cx| Poll::Ready(event.as_mut().poll(cx).is_ready())))
    }

    /// Plays a test in a copy of a database.
    ///
    /// # Errors
    /// It could not be played at all.
    pub(super) fn play(&self, database: &str, test: &RuleTest) -> Result<Played, String> {
        let copy = self.server.copy(Some(database))?;
        let played = self.play_in(&copy, test);
        self.server.drop_database(&copy);
        played
    }

    fn play_in(&self, database: &str, test: &RuleTest) -> Result<Played, String> {
        if let Some(role) = &test.role {
            self.server.role(role)?;
        }
        let now = self.now(database)?;
        let fill = |text: &str| clock::fill(text, now);
        if let Some(setup) = &test.setup {
            self.server.batch(database, &fill(setup)?).map_err(|why| format!("setup: {why}"))?;
        }
        let steps = test.steps.iter().map(|step| filled(step, fill)).collect::<Result<Vec<_>, _>>()?;
        let before = self.counted();
        let replies = self.send(database, test.role.as_deref(), steps)?;
        let mut counted = self.counted();
        for (series, rows) in before {
            counted.entry(series).and_modify(|now| *now -= rows);
        }
        counted.retain(|_, rows| *rows > 0);
        let replies = self.with_judged(database, test.role.as_deref(), replies)?;
        let landed = test.expect.landed.as_ref().map(|landed| self.landed(database, landed, fill));
        Ok(Played { counted, replies, landed })
    }

    /// The server's clock, for `${now}`.
    fn now(&self, database: &str) -> Result<jiff::Timestamp, String> {
        let sql = "SELECT (extract(epoch from clock_timestamp()) * 1000000)::int8";
        let ask = async |client: Client| client.query_one(sql, &[]).await?.try_get(0);
        let micros: i64 = self.server.session(database, ask)?;
        jiff::Timestamp::from_microsecond(micros).map_err(|error| error.to_string())
    }

    /// Sends the steps through the proxy, in one session.
    fn send(&self, database: &str, role: Option<&str>, steps: Vec<Step>) -> Result<Vec<Reply>, String> {
        let config = self.server.through(self.proxy.address().port(), database);
        self.runtime.block_on(async {
            let session = Session::connect(&config).await.map_err(|refusal| refusal.message)?;
            if let Some(role) = role {
                let reply = session.simple(&format!("SET ROLE {}", quoted(role))).await;
                reply.result.map_err(|refusal| format!("role: {}", refusal.message))?;
            }
            let mut replies = Vec::new();
            for step in steps {
                match step {
                    Step::Sql(text) => {
                        for statement in statements(&text) {
                            replies.push(match without_data(statement) {
                                Some(reply) => reply,
                                None => session.simple(statement).await,
                            });
                        }
                    }
                    Step::Parameters { sql, params } => replies.push(session.extended(&sql, &params).await),
                    Step::Copy { copy, data } => replies.push(session.copy(&copy, data).await),
                }
            }
            Ok(replies)
        })
    }

    /// Rows that violated, by rule and action, since the proxy started.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter is whole and not negative")]
    fn counted(&self) -> BTreeMap<(String, String), u64> {
        let by = self.proxy.metrics().snapshot().by("violations_total", ["rule", "action"]);
        by.into_iter().map(|([rule, action], rows)| ((rule, action), rows as u64)).collect()
    }

    /// Asks, as `explain` does, which rules had a say in each statement.
    fn with_judged(
        &self,
        database: &str,
        role: Option<&str>,
        replies: Vec<Reply>,
    ) -> Result<Vec<(Reply, Judged)>, String> {
        let client = self.server.session(database, async |client| {
            if let Some(role) = role {
                client.batch_execute(&format!("SET ROLE {}", quoted(role))).await?;
            }
            Ok(client)
        })?;
        let asked = |error: AskError| error.to_string();
        let mut ground = Ground::over(Arc::clone(&self.set), Arc::clone(&self.runtime), client).map_err(asked)?;
        let judged = replies.into_iter().map(|reply| {
            let judged = ground.judged(reply.sql.as_bytes()).map_err(asked)?;
            Ok((reply, judged))
        });
        judged.collect()
    }

    fn landed(
        &self,
        database: &str,
        landed: &Landed,
        fill: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Rows, String> {
        let sql = fill(&landed.sql)?;
        let messages = self.server.session(database, async |client| client.simple_query(&sql).await)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        });
        Ok(rows.collect())
    }
}

/// Puts the clock into a step.
fn filled(step: &Step, fill: impl Fn(&str) -> Result<String, String>) -> Result<Step, String> {
    Ok(match step {
        Step::Sql(text) => Step::Sql(fill(text)?),
        Step::Parameters { sql, params } => {
            let params = params.iter().map(|param| param.as_deref().map(&fill).transpose());
            Step::Parameters { sql: fill(sql)?, params: params.collect::<Result<_, _>>()? }
        }
        Step::Copy { copy, data } => Step::Copy { copy: fill(copy)?, data: fill(data)? },
    })
}

/// The statements of a text, one by one, as `psql` sends them.
fn statements(text: &str) -> Vec<&str> {
    let located = locate(text.as_bytes(), LexOptions::default());
    if !located.complete || located.statements.is_empty() {
        return vec![text];
    }
    located.statements.iter().filter_map(|statement| text.get(statement.span.clone())).collect()
}

/// `COPY … FROM STDIN` would wait for its data: it is not sent, and that is what became of it.
fn without_data(sql: &str) -> Option<Reply> {
    let located = locate(sql.as_bytes(), LexOptions::default());
    let copies = located.statements.iter().any(|statement| statement.verb == Verb::Copy);
    if !copies || !sql.to_ascii_lowercase().contains("from stdin") {
        return None;
    }
    let message = "its data is missing; write `{copy: COPY … FROM STDIN, data: …}`".to_owned();
    Some(Reply { sql: sql.to_owned(), result: Err(Refusal { message, ..Refusal::default() }), notices: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sent_statement_by_statement() {
        assert_eq!(
            statements("INSERT INTO t VALUES (';'); -- c\n UPDATE t SET a = 1;"),
            ["INSERT INTO t VALUES (';')", "UPDATE t SET a = 1"]
        );
        // The server shall say what is wrong with these.
        assert_eq!(statements("SELECT 'a; SELECT 2"), ["SELECT 'a; SELECT 2"]);
        assert_eq!(statements("-- nothing"), ["-- nothing"]);
    }
}
