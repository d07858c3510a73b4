//! Databases for tests: one for each rule file, with its tables, and a copy of it for each test.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls, config::Host};

use super::client::Refusal;
use crate::{
    cli::database::AskError,
    config::HostPort,
    rules::{
        diagnostic::{Code, Diagnostic},
        rule_tests::FileTests,
        set::RuleSet,
    },
    scratch::{Cluster, Options},
};

/// The SQL files that rule files name, as read.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<PathBuf, String>);

impl Sources {
    /// Reads them.
    ///
    /// # Errors
    /// Each one that cannot be read, at the place where it is named.
    pub(super) fn read<'f>(files: impl Iterator<Item = &'f FileTests>) -> Result<Self, Vec<Diagnostic>> {
        let mut sources = Self::default();
        let mut unreadable = Vec::new();
        for schema in files.flat_map(|file| &file.schema) {
            match fs::read_to_string(&schema.path) {
                Ok(text) => drop(sources.0.insert(schema.path.clone(), text)),
                Err(error) => {
                    let message = format!("{} cannot be read: {error}", schema.path.display());
                    let d = Diagnostic::error(Code::Unreadable, schema.place.clone(), message);
                    unreadable.push(d.expected("the path of an SQL file, relative to the rule file"));
                }
            }
        }
        if unreadable.is_empty() { Ok(sources) } else { Err(unreadable) }
    }
}

/// Why there is no server to test on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    #[error(transparent)]
    Scratch(#[from] crate::scratch::ScratchError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the database URL names no TCP address; chronoguard connects to host and port")]
    NoAddress,
}

/// A server, and the session in which databases come and go.
pub(super) struct Server {
    runtime: Arc<Runtime>,
    config: Config,
    admin: Client,
    sources: Sources,
    /// Told by `--database`: its tables are the ones to test with.
    given: bool,
    /// Sets our databases apart from those of other runs.
    run: String,
    /// Databases made and not dropped yet, and the number of the next one.
    made: Mutex<(Vec<String>, u32)>,
    /// How a database is copied on our own server, which is never so busy that its checkpoints hurt: 15 and later would write the copy twice.
    strategy: &'static str,
    /// Goes last.
    _cluster: Option<Cluster>,
}

impl Server {
    /// Starts a private server, or connects to the given one.
    pub(super) fn start(url: Option<&str>, runtime: &Arc<Runtime>, sources: Sources) -> Result<Self, ServerError> {
        let cluster = url.is_none().then(|| Cluster::start(Options::default())).transpose()?;
        let own = cluster.as_ref().map(|cluster| cluster.url("postgres"));
        let url = url.or(own.as_deref()).unwrap_or_default();
        let mut config: Config = url.parse().map_err(AskError::Url)?;
        config.application_name("chronoguard test").connect_timeout(crate::cli::database::CONNECT_LIMIT);
        let admin = runtime.block_on(connect(&config)).map_err(AskError::Connect)?;
        let (run, made) = (format!("chronoguard_test_{:08x}", rand::random::<u32>()), Mutex::default());
        let runtime = Arc::clone(runtime);
        let strategy = if cluster.as_ref().is_some_and(|cluster| cluster.binaries().major() >= 15) {
            " STRATEGY file_copy"
        } else {
            ""
        };
        Ok(Self { runtime, config, admin, sources, given: cluster.is_none(), run, made, strategy, _cluster: cluster })
    }

    /// Where the proxy finds it.
    pub(super) fn address(&self) -> Result<HostPort, ServerError> {
        let host = match (self.config.get_hosts().first(), self.config.get_hostaddrs().first()) {
            (_, Some(address)) => address.to_string(),
            (Some(Host::Tcp(host)), _) => host.clone(),
            _ => return Err(ServerError::NoAddress),
        };
        Ok(HostPort { host, port: self.config.get_ports().first().copied().unwrap_or(5432) })
    }

    /// How to connect to a database, straight.
    pub(super) fn directly(&self, database: &str) -> Config {
        let mut config = self.config.clone();
        config.dbname(database);
        config
    }

    /// How to connect to a database by way of a port of this machine.
    pub(super) fn through(&self, port: u16, database: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).dbname(database);
        config.application_name("chronoguard test");
        if let Some(user) = self.config.get_user() {
            config.user(user);
        }
        if let Some(password) = self.config.get_password() {
            config.password(password);
        }
        if let Some(options) = self.config.get_options() {
            config.options(options);
        }
        config
    }

    /// A database with the tables of a rule file. Why it cannot be had concerns each of the file's tests.
    pub(super) fn prepare(&self, file: &FileTests, set: &RuleSet) -> Result<String, String> {
        let from = if self.given { self.config.get_dbname() } else { None };
        let database = self.copy(from)?;
        if self.given && self.has_tables(&database, file, set)? {
            return Ok(database);
        }
        for schema in &file.schema {
            let Some(text) = self.sources.0.get(&schema.path) else { continue };
            self.batch(&database, text).map_err(|why| format!("{}: {why}", schema.path.display()))?;
        }
        Ok(database)
    }

    /// Whether the database has a table that the file has rules for.
    fn has_tables(&self, database: &str, file: &FileTests, set: &RuleSet) -> Result<bool, String> {
        let own = set.tables.iter().filter(|table| table.place.file == file.file);
        let names: Vec<String> = own.map(|t| format!("{}.{}", quoted(&t.schema), quoted(&t.table))).collect();
        self.session(database, async |client| {
            let sql = "SELECT count(to_regclass(name)) > 0 FROM unnest($1::text[]) name";
            client.query_one(sql, &[&names]).await?.try_get(0)
        })
    }

    /// A copy of a database; of an empty one if that is `None`.
    pub(super) fn copy(&self, template: Option<&str>) -> Result<String, String> {
        let name = {
            let mut made = self.made.lock();
            made.1 += 1;
            format!("{}_{}", self.run, made.1)
        };
        let template = template.map_or(String::new(), |template| format!(" TEMPLATE {}", quoted(template)));
        let sql = format!("CREATE DATABASE {name}{template}{}", self.strategy);
        let made = self.runtime.block_on(self.admin.batch_execute(&sql));
        made.map_err(|error| format!("a database for the test cannot be made: {}", Refusal::from(error).message))?;
        self.made.lock().0.push(name.clone());
        Ok(name)
    }

    /// Does something in a session of its own, straight to the server.
    pub(super) fn session<T>(
        &self,
        database: &str,
        work: impl AsyncFnOnce(Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, String> {
        let done = self.runtime.block_on(async { work(connect(&self.directly(database)).await?).await });
        done.map_err(|error| Refusal::from(error).message)
    }

    /// Runs statements in a session of their own.
    pub(super) fn batch(&self, database: &str, sql: &str) -> Result<(), String> {
        self.runtime
            .block_on(async { connect(&self.directly(database)).await?.batch_execute(sql).await })
            .map_err(|error| shown(&error, sql))
    }

    /// Makes a role that the test wants, on a server of our own.
    pub(super) fn role(&self, role: &str) -> Result<(), String> {
        if self.given {
            return Ok(());
        }
        self.runtime
            .block_on(async {
                let sql = "SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = $1";
                if self.admin.query_one(sql, &[&role]).await?.try_get::<_, i64>(0)? == 0 {
                    self.admin.batch_execute(&format!("CREATE ROLE {}", quoted(role))).await?;
                }
                Ok(())
            })
            .map_err(|error: tokio_postgres::Error| Refusal::from(error).message)
    }

    /// Removes a database, whoever is still connected.
    pub(super) fn drop_database(&self, name: &str) {
        let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        match self.runtime.block_on(self.admin.batch_execute(&sql)) {
            Ok(()) => self.made.lock().0.retain(|made| made != name),
            Err(error) => eprintln!("chronoguard: {name} cannot be dropped: {}", Refusal::from(error).message),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.given {
            // They go with the server.
            return;
        }
        let made = std::mem::take(&mut self.made.lock().0);
        // The newest first.
        for name in made.iter().rev() {
            self.drop_database(name);
        }
    }
}

/// A session whose notices nobody reads.
async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // Its error reaches whoever waits for an answer.
    tokio::spawn(connection);
    Ok(client)
}

/// What the server said, with the line it means.
fn shown(error: &tokio_postgres::Error, sql: &str) -> String {
    let refusal = error.as_db_error();
    let Some(refusal) = refusal else { return error.to_string() };
    let line = match refusal.position() {
        Some(tokio_postgres::error::ErrorPosition::Original(position)) => {
            let before = sql.chars().take(*position as usize - 1);
            format!("line {}: ", before.filter(|c| *c == '\n').count() + 1)
        }
        _ => String::new(),
    };
    format!("{line}{} {}: {}", refusal.severity(), refusal.code().code(), refusal.message())
}

/// A name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
