//! What `chronoguard run` is told to do: flags over `CHRONOGUARD_*` variables over the configuration file over defaults.
//!
//! [`Flags`] is what the command line says, [`mod@file`] what a file says; [`Settings`] is validated and the only thing that the rest of the
//! program sees. Every mistake of every source is reported at once.

mod file;
mod flags;
mod mistake;
mod resolve;
mod settings;
mod value;

pub use file::ConfigFile;
pub use flags::Flags;
pub use mistake::{Mistake, Mistakes, Origin};
pub use settings::Settings;
pub use value::HostPort;
