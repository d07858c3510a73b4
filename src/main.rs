//! The `chronoguard` program: argv → command → exit code.
//!
//! | code | means |
//! | --- | --- |
//! | 0 | done; for `check`: no mistakes |
//! | 1 | it failed, or `check` found mistakes in rule files |
//! | 2 | wrong usage, or a file that cannot be read |
//! | 3 | `check --strict` found only warnings |

use std::process::ExitCode;

fn main() -> ExitCode {
    chronoguard::cli::main()
}
