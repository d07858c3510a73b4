//! The clients that send the incidents' writes: `psql`, Python with its drivers, and tokio-postgres for what neither shows.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    super::Error,
    incident::{self, Incident},
    session,
};
use crate::scratch::{Binaries, SUPERUSER};

/// Where a client connects.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub port: u16,
    pub database: String,
}

/// Which version of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Buggy,
    Fixed,
}

/// What became of a client's writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Writes that were sent.
    pub sent: u64,
    /// Writes that were refused.
    pub refused: u64,
    /// The first refusal, as this client shows it.
    pub refusal: Option<String>,
}

/// A client program.
#[derive(Debug, Clone)]
pub(super) enum Client {
    /// PostgreSQL's own, simple protocol.
    Psql(PathBuf),
    /// Python: psycopg, asyncpg, SQLAlchemy; all forms of parameters, pipelines of an ORM, COPY.
    Python(PathBuf),
    /// Prepared statements with binary parameters, and ten sessions that race.
    TokioPostgres,
}

impl Client {
    /// Those that this machine has.
    pub(super) fn find(binaries: &Binaries) -> Vec<Self> {
        let psql = binaries.program("psql");
        let psql = runs(Command::new(&psql).arg("--version")).then_some(Self::Psql(psql));
        let python =
            pythons().into_iter().find(|p| runs(Command::new(p).args(["-c", "import psycopg, asyncpg, sqlalchemy"])));
        psql.into_iter().chain([Self::TokioPostgres]).chain(python.map(Self::Python)).collect()
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Psql(_) => "psql",
            Self::Python(_) => "Python",
            Self::TokioPostgres => "tokio-postgres",
        }
    }

    /// Sends an incident's writes; `None` if this client has none for it.
    pub(super) fn send(
        &self,
        incident: &Incident,
        version: Version,
        to: &Target,
        dir: &Path,
    ) -> Result<Option<Sent>, Error> {
        let scripts = match version {
            Version::Buggy => &incident.buggy,
            Version::Fixed => &incident.fixed,
        };
        match self {
            Self::Psql(program) => psql(program, scripts.sql, to, dir).map(Some),
            Self::Python(program) => python(program, scripts.python, to, dir).map(Some),
            Self::TokioPostgres => session::send(incident.number, version, to),
        }
    }
}

fn pythons() -> Vec<PathBuf> {
    let given = std::env::var_os("CHRONOGUARD_PYTHON").map(PathBuf::from);
    given.into_iter().chain([PathBuf::from("target/venv/bin/python"), PathBuf::from("python3")]).collect()
}

fn runs(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Runs a script; it goes on after an error, as `psql` does by default.
fn psql(program: &Path, script: &str, to: &Target, dir: &Path) -> Result<Sent, Error> {
    let file = write_script(dir, "script.sql", script)?;
    let mut command = Command::new(program);
    command.args(["-X", "-q", "-v", "VERBOSITY=verbose", "-h", "127.0.0.1", "-U", SUPERUSER]);
    command.arg("-p").arg(to.port.to_string()).args(["-d", &to.database]).arg("-f").arg(file);
    command.env("LC_ALL", "C").env_remove("PGOPTIONS").env_remove("PGSERVICE");
    let (status, _, errors) = output("psql", &mut command)?;
    if !status || errors.lines().any(|l| l.contains("ERROR:  ") && !l.contains("ERROR:  23514:")) {
        return Err(Error(format!("psql failed: {errors}")));
    }
    let refused = errors.matches("ERROR:  23514:").count().try_into().unwrap_or(u64::MAX);
    Ok(Sent { sent: incident::writes(script), refused, refusal: first_error(&errors) })
}

/// The first error of `psql`'s standard error, without the script's name and the server's source line.
fn first_error(errors: &str) -> Option<String> {
    let start = errors.find("ERROR:  23514:")?;
    let mut lines = errors[start..].lines();
    let mut shown = vec![lines.next()?];
    shown.extend(lines.take_while(|l| !l.contains("ERROR:  ")).filter(|l| !l.starts_with("LOCATION:")));
    Some(shown.join("\n"))
}

/// Runs a client of `examples/`, which ends with the line `sent N, landed N, refused N`.
fn python(program: &Path, script: &str, to: &Target, dir: &Path) -> Result<Sent, Error> {
    let file = write_script(dir, "client.py", script)?;
    let url = format!("postgresql://{SUPERUSER}@127.0.0.1:{}/{}", to.port, to.database);
    let (status, said, errors) = output("python", Command::new(program).arg(file).arg(url))?;
    let count = |word: &str| {
        let words: Vec<&str> = said.lines().last().unwrap_or_default().split([' ', ',']).collect();
        words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1)?.parse().ok())
    };
    match (count("sent"), count("refused")) {
        (Some(sent), Some(refused)) if status || refused > 0 => {
            let refusal = said.lines().find(|l| l.contains("refused ")).map(str::to_owned);
            Ok(Sent { sent, refused, refusal: refusal.filter(|_| refused > 0) })
        }
        _ => Err(Error(format!("the Python client failed: {said}{errors}"))),
    }
}

fn write_script(dir: &Path, name: &str, text: &str) -> Result<PathBuf, Error> {
    let file = dir.join(name);
    fs::write(&file, text).map_err(|e| Error(format!("write {}: {e}", file.display())))?;
    Ok(file)
}

/// Runs a program: whether it succeeded, its standard output and standard error.
fn output(name: &str, command: &mut Command) -> Result<(bool, String, String), Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| Error(format!("run {name}: {e}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_error_of_psql_is_cut_out() {
        let errors = "psql:/x/script.sql:3: ERROR:  23514: new row\nDETAIL:  d\nHINT:  h\nLOCATION:  int4in, int.c:1\n\
                      psql:/x/script.sql:9: ERROR:  23514: again\nDETAIL:  e\n";
        assert_eq!(super::first_error(errors).unwrap(), "ERROR:  23514: new row\nDETAIL:  d\nHINT:  h");
        assert_eq!(super::first_error(""), None);
    }
}
