//! Finding PostgreSQL's programs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{ScratchError, run};

/// PostgreSQL's programs on this machine.
#[derive(Debug, Clone)]
pub struct Binaries {
    dir: PathBuf,
    version: String,
    major: u32,
}

impl Binaries {
    /// Finds them: `CHRONOGUARD_PG_BIN`, what `pg_config` says, `PATH`, then the usual places, highest version first.
    ///
    /// # Errors
    /// [`ScratchError::NoBinaries`] with what to install.
    pub fn find() -> Result<Self, ScratchError> {
        if let Some(dir) = std::env::var_os("CHRONOGUARD_PG_BIN") {
            return Self::in_dir(Path::new(&dir));
        }
        let candidates = candidate_dirs();
        match candidates.iter().find(|dir| is_server_dir(dir)) {
            Some(dir) => Self::in_dir(dir),
            None => Err(ScratchError::NoBinaries { looked: join_paths(&candidates) }),
        }
    }

    /// Takes those in `dir`.
    ///
    /// # Errors
    /// [`ScratchError::NoBinaries`] if `initdb` or `postgres` is not there; [`ScratchError::Failed`] if `postgres --version` fails.
    pub fn in_dir(dir: &Path) -> Result<Self, ScratchError> {
        if !is_server_dir(dir) {
            return Err(ScratchError::NoBinaries { looked: dir.display().to_string() });
        }
        let text = run(Command::new(dir.join("postgres")).arg("--version"))?;
        // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `postgres (PostgreSQL) 19devel`
        let version = text.split_whitespace().nth(2).unwrap_or_default().to_owned();
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        Ok(Self { dir: dir.to_owned(), version, major: digits.parse().unwrap_or(0) })
    }

    /// The directory that holds them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// As `postgres --version` says it, e.g. `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// E.g. 15; 0 if it could not be read.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Full path of a client program (`psql`, `pgbench`): beside the server if it is there, else left to `PATH`.
    pub fn program(&self, name: &str) -> PathBuf {
        let beside = self.dir.join(name);
        if beside.is_file() { beside } else { PathBuf::from(name) }
    }
}

fn is_server_dir(dir: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| dir.join(program).is_file())
}

fn join_paths(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "PATH".into();
    }
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn candidate_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output()
        && output.status.success()
    {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    if let Some(path) = std::env::var_os("PATH") {
        dirs.extend(std::env::split_paths(&path).filter(|dir| is_server_dir(dir)));
    }
    // Debian and Ubuntu, Red Hat and SUSE, Homebrew.
    for (parent, prefix, below) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
    ] {
        dirs.extend(versions_in(Path::new(parent), prefix).into_iter().map(|dir| dir.join(below)));
    }
    let mut seen = std::collections::HashSet::new();
    dirs.retain(|dir| seen.insert(dir.clone()));
    dirs
}

/// Sub-directories named `prefix` and a number, highest number first.
fn versions_in(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path()))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, path)| path).collect()
}
