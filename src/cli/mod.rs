//! The command line: what may be said, and a file per command that does it.

mod check;
mod database;
mod demo;
mod explain;
mod observe_all;
mod run;
mod schema;
mod test;

use std::{fmt, process::ExitCode};

use clap::{Parser, Subcommand};

/// A PostgreSQL proxy that stops broken lifecycle timestamps.
#[derive(Debug, Parser)]
#[command(name = "chronoguard", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    Run(run::Arguments),
    /// Replay the incidents on a private throwaway PostgreSQL
    Demo(demo::Arguments),
    /// Show what a statement writes, which rules judge it, and what is sent to the server
    Explain(explain::Arguments),
    /// Check rule files: every mistake at once, with its place
    Check(check::Arguments),
    /// Run the tests of rule files through the guard, on a private throwaway PostgreSQL
    Test(test::Arguments),
    /// Print the JSON Schema of rule files, for editors
    Schema,
    /// Kill switch: make every rule of a running chronoguard only observe
    ObserveAll(observe_all::Arguments),
}

/// Reads argv, does what it says, and gives the process's exit code.
pub fn main() -> ExitCode {
    // Wrong usage ends here, with code 2.
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Demo(arguments) => demo::demo(arguments),
        Command::Explain(arguments) => explain::explain(arguments),
        Command::Check(arguments) => check::check(arguments),
        Command::Test(arguments) => test::test(arguments),
        Command::Schema => schema::schema(),
        Command::ObserveAll(arguments) => observe_all::observe_all(&arguments),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("chronoguard: {error}");
            Exit::Failed.into()
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done,
    Failed,
    Usage,
    OnlyWarnings,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::OnlyWarnings => 3,
        })
    }
}

/// Why a command could not do its work, in words for the person who typed it.
#[derive(Debug)]
struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What every command gives back.
type Outcome = Result<Exit, Error>;

/// Writes to standard output. A reader that went away (`| head`) is no failure.
fn print(text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error(format!("write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// JSON for people to read as well.
fn pretty(value: &serde_json::Value) -> Result<String, Error> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| Error(format!("write JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
