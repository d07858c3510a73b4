//! A session of our own with the database that a command was told of.

use std::{error::Error as _, time::Duration};

use tokio_postgres::{Client, NoTls};

use crate::catalog::question::CatalogError;

/// A server that does not answer is a mistake to report, not one to wait for.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// For every question: catalogs are small.
const STATEMENT_LIMIT: &str = "SET statement_timeout = '30s'; SET default_transaction_read_only = on";

/// Why the database could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the database URL cannot be read: {0}")]
    Url(tokio_postgres::Error),
    #[error("cannot connect to the database: {}", with_cause(.0))]
    Connect(tokio_postgres::Error),
    #[error("cannot act as that role: {}", with_cause(.0))]
    Role(tokio_postgres::Error),
    #[error("the database did not answer: {}", with_cause(.0))]
    Question(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Answer(#[from] CatalogError),
    #[error("start a runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

/// tokio-postgres names the cause only as its source.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(cause) if error.as_db_error().is_none() => format!("{error}: {cause}"),
        _ => error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned()),
    }
}

/// Connects; `command` is what the session is called unless the URL says something else.
pub(super) async fn connect(url: &str, command: &str) -> Result<Client, AskError> {
    let mut config: tokio_postgres::Config = url.parse().map_err(AskError::Url)?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_LIMIT);
    }
    if config.get_application_name().is_none() {
        config.application_name(format!("chronoguard {command}"));
    }
    let (client, connection) = config.connect(NoTls).await.map_err(AskError::Connect)?;
    // Its error reaches whoever waits for an answer.
    tokio::spawn(connection);
    client.batch_execute(STATEMENT_LIMIT).await?;
    Ok(client)
}
