//! The client of a test: what it sends, and everything it gets.

use std::{
    error::Error as StdError,
    future::poll_fn,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls, SimpleQueryMessage,
    error::{DbError, SqlState},
    types::{Format, IsNull, ToSql, Type, to_sql_checked},
};

/// A statement that gets no answer is a failure, not something to wait for.
const LIMIT: Duration = Duration::from_secs(60);

/// What became of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The statement as the test has it.
    pub sql: String,
    /// Rows by the command tag, or why it failed.
    pub result: Result<u64, Refusal>,
    /// The warnings it came with.
    pub notices: Vec<Notice>,
}

/// Why a statement failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Refusal {
    /// SQLSTATE; empty if it is no error of the server's.
    pub code: String,
    pub message: String,
    pub constraint: Option<String>,
    pub hint: Option<String>,
}

/// A `NoticeResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub code: String,
    pub constraint: Option<String>,
    pub hint: Option<String>,
}

/// A connection through the proxy.
pub(super) struct Session {
    client: Client,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl Session {
    pub(super) async fn connect(config: &Config) -> Result<Self, Refusal> {
        let (client, mut connection) = config.connect(NoTls).await.map_err(Refusal::from)?;
        let notices = Arc::<Mutex<Vec<Notice>>>::default();
        let seen = Arc::clone(&notices);
        tokio::spawn(poll_fn(move |cx| {
            loop {
                match ready!(connection.poll_message(cx)) {
                    Some(Ok(AsyncMessage::Notice(notice))) => seen.lock().push(notice.into()),
                    Some(Ok(_)) => {}
                    // It reaches whoever waits for an answer.
                    Some(Err(_)) | None => return Poll::Ready(()),
                }
            }
        }));
        Ok(Self { client, notices })
    }

    /// A `Query` of one statement.
    pub(super) async fn simple(&self, sql: &str) -> Reply {
        self.reply(sql, async {
            let messages = self.client.simple_query(sql).await?;
            let rows = messages.iter().filter_map(|m| match m {
                SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
                _ => None,
            });
            Ok(rows.sum())
        })
        .await
    }

    /// One statement with parameters.
    pub(super) async fn extended(&self, sql: &str, params: &[Option<String>]) -> Reply {
        self.reply(sql, async {
            let statement = self.client.prepare(sql).await?;
            if statement.params().len() != params.len() {
                let message = format!("it has {} parameters, and `params` {}", statement.params().len(), params.len());
                return Err(Refusal { message, ..Refusal::default() });
            }
            let texts: Vec<Text<'_>> = params.iter().map(|param| Text(param.as_deref())).collect();
            let texts: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|text| text as _).collect();
            Ok(self.client.execute(&statement, &texts).await?)
        })
        .await
    }

    /// `COPY … FROM STDIN`.
    pub(super) async fn copy(&self, sql: &str, data: String) -> Reply {
        use futures_util::SinkExt as _;
        self.reply(sql, async {
            let mut sink = Box::pin(self.client.copy_in::<_, Bytes>(sql).await?);
            sink.send(data.into()).await?;
            Ok(sink.as_mut().finish().await?)
        })
        .await
    }

    async fn reply(&self, sql: &str, answer: impl Future<Output = Result<u64, Refusal>>) -> Reply {
        let result = tokio::time::timeout(LIMIT, answer).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", LIMIT.as_secs());
            Err(Refusal { message, ..Refusal::default() })
        });
        // Notices come before the reply that they belong to.
        Reply { sql: sql.to_owned(), result, notices: std::mem::take(&mut *self.notices.lock()) }
    }
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let message = error.source().map_or(error.to_string(), |source| format!("{error}: {source}"));
            return Self { message, ..Self::default() };
        };
        Self {
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            constraint: db.constraint().map(str::to_owned),
            hint: db.hint().map(str::to_owned),
        }
    }
}

impl From<DbError> for Notice {
    fn from(notice: DbError) -> Self {
        Self {
            code: notice.code().code().to_owned(),
            constraint: notice.constraint().map(str::to_owned),
            hint: notice.hint().map(str::to_owned),
        }
    }
}

impl Refusal {
    /// The transaction had failed before: a consequence, and no finding of its own.
    pub(super) fn is_consequence(&self) -> bool {
        self.code == SqlState::IN_FAILED_SQL_TRANSACTION.code()
    }
}

/// A parameter in text format: the server says what type it has.
#[derive(Debug)]
struct Text<'a>(Option<&'a str>);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(text) = self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
