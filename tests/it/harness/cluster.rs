//! The shared cluster with a template database, which each run of a script gets a copy of.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use chronoguard::scratch;

use super::Talk;

/// Tables of the template database: `ex` and `jobs` have rules in [`super::stage::RULES`], `plain` never has.
const BASE: &str = include_str!("base.sql");

/// The throwaway cluster of [`crate::support`] with a template.
pub struct Cluster {
    /// Where it listens; `trust` for everybody.
    pub addr: SocketAddr,
    /// `server_version_num`.
    pub version: u32,
    /// The processes and files.
    pub scratch: &'static scratch::Cluster,
    databases: AtomicU32,
}

/// The cluster of this test binary, started at the first call.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    fn start() -> Self {
        let scratch = crate::support::cluster();
        let addr = SocketAddr::from(([127, 0, 0, 1], scratch.port()));
        let mut talk = Talk::login(addr, "postgres", "postgres");
        talk.run("CREATE DATABASE base");
        let version = talk.value("SHOW server_version_num").parse().unwrap();
        let mut talk = Talk::login(addr, "postgres", "base");
        talk.run(BASE);
        talk.terminate();
        Self { addr, version, scratch, databases: AtomicU32::new(0) }
    }

    /// A database of its own, copied from the template: equal in everything down to the OIDs of its tables.
    pub fn database(&self) -> String {
        let name = format!("it{:06}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.admin().run(&format!("CREATE DATABASE {name} TEMPLATE base"));
        name
    }

    /// A session as superuser in the maintenance database.
    pub fn admin(&self) -> Talk {
        Talk::login(self.addr, "postgres", "postgres")
    }

    /// A direct session as superuser.
    pub fn direct(&self, database: &str) -> Talk {
        Talk::login(self.addr, "postgres", database)
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Writes `text` to a file in a new temporary directory, which lives as long as the handle.
pub fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    (dir, path)
}
