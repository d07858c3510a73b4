//! What the integration tests share: one throwaway PostgreSQL per test process, a database of its own for every test.
//!
//! Run them with `cargo test` (threads of one process share the cluster); a runner with a process per test works too, at a second each.

#![allow(dead_code, reason = "each test binary uses a part")]

pub mod expected;

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use chronoguard::scratch::{Cluster, Options, SUPERUSER};
use tokio_postgres::{Client, Config, NoTls};

/// The cluster of this process, started at the first call. Never dropped: its watcher removes it when the process ends.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| match Cluster::start(Options::default()) {
        Ok(cluster) => cluster,
        Err(error) => panic!("the tests need a PostgreSQL server: {error}"),
    })
}

/// A new, empty database in [`cluster`].
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name, unique in the cluster.
    pub name: String,
}

/// Makes a database for one test.
pub async fn create_database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let client = connect_to(cluster().port(), "postgres", SUPERUSER).await;
    // template0: nobody connects to it, so several tests may copy it at once.
    client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
    Database { name }
}

/// Makes a database for one test and runs `sql` in it.
pub async fn create_database_with(sql: &str) -> Database {
    let database = create_database().await;
    database.connect().await.batch_execute(sql).await.unwrap();
    database
}

/// A role that no other test of this process uses (roles belong to the whole cluster): may log in, may do nothing else.
pub async fn create_role(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let client = connect_to(cluster().port(), "postgres", SUPERUSER).await;
    client.batch_execute(&format!("CREATE ROLE {name} LOGIN")).await.unwrap();
    name
}

impl Database {
    /// A session of the superuser, straight to the server.
    pub async fn connect(&self) -> Client {
        self.connect_as(SUPERUSER).await
    }

    /// A session of `role`, straight to the server.
    pub async fn connect_as(&self, role: &str) -> Client {
        connect_to(cluster().port(), &self.name, role).await
    }

    /// A session through whatever listens on `port` of 127.0.0.1.
    pub async fn connect_through(&self, port: u16) -> Client {
        connect_to(port, &self.name, SUPERUSER).await
    }

    /// URL straight to the server.
    pub fn url(&self) -> String {
        cluster().url(&self.name)
    }

    /// URL through whatever listens on `port` of 127.0.0.1.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgresql://{SUPERUSER}@127.0.0.1:{port}/{}", self.name)
    }
}

/// Connects to 127.0.0.1 and lets the connection run beside the test.
pub async fn connect_to(port: u16, database: &str, user: &str) -> Client {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).dbname(database).user(user);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
