//! Rule files → one [`RuleSet`], or every mistake in all of them.
//!
//! The only part of `rules` that reads files. It never stops at the first mistake: a file that is no YAML does not hide what is wrong in the others.

mod find;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::find::Found;
use super::{
    diagnostic::{Code, Counts, Diagnostic, Severity},
    fields::Context,
    file::{self, FileRules},
    rule_tests::FileTests,
    set::{Exemption, Place, RuleSet, TableRules},
    sources::Sources,
    yaml,
};

/// No rule file that people write is larger; what is, is something else.
const LARGEST_FILE_BYTES: u64 = 16 * 1024 * 1024;

pub use find::rule_files;

/// Rules that may be used.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub set: RuleSet,
    /// What deserves a look all the same.
    pub warnings: Vec<Diagnostic>,
    /// What was read.
    pub counts: Counts,
}

/// Loads the rules that come into force. A path is a file, or a directory: then every `*.yaml` and `*.yml` below it, in the order of their names, but for
/// what is in a directory `presets` further down. A preset is in force where a path names it, or the directory.
///
/// # Errors
/// Every mistake in every file, with its place; warnings are among them. Nothing is loaded then.
pub fn load(paths: &[PathBuf]) -> Result<Loaded, Vec<Diagnostic>> {
    read(find::rule_files(paths)).into_loaded()
}

/// As [`load`], from texts that are in memory already.
///
/// # Errors
/// As [`load`].
pub fn load_texts<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Loaded, Vec<Diagnostic>> {
    inspect_texts(texts).into_loaded()
}

/// What was read, whether or not it may be used.
#[derive(Debug, Default)]
pub struct Inspected {
    /// The rules that could be read. Complete only if there is no error.
    pub set: RuleSet,
    /// Everything found, file by file.
    pub diagnostics: Vec<Diagnostic>,
    /// What was looked at.
    pub counts: Counts,
    /// The files' lines.
    pub sources: Sources,
}

impl Inspected {
    fn into_loaded(self) -> Result<Loaded, Vec<Diagnostic>> {
        if self.diagnostics.iter().any(|d| d.severity == Severity::Error) {
            return Err(self.diagnostics);
        }
        Ok(Loaded { set: self.set, warnings: self.diagnostics, counts: self.counts })
    }
}

/// Reads rule files for people who want to see their mistakes: all below a directory, presets too.
pub fn inspect(paths: &[PathBuf]) -> Inspected {
    read(find::all_files(paths))
}

fn read(files: Vec<Found>) -> Inspected {
    let mut reading = Reading::default();
    for file in files {
        match file.and_then(|path| contents(&path).map(|bytes| (path, bytes))) {
            Ok((path, bytes)) => reading.file(path, &bytes),
            Err(diagnostic) => reading.diagnostics.push(*diagnostic),
        }
    }
    reading.finish()
}

/// As [`inspect`], from texts that are in memory already.
pub fn inspect_texts<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> Inspected {
    let mut reading = Reading::default();
    for (name, text) in texts {
        reading.file(PathBuf::from(name), text.as_bytes());
    }
    reading.finish()
}

fn contents(path: &Path) -> Result<Vec<u8>, Box<Diagnostic>> {
    let unreadable = |message: String| Box::new(Diagnostic::error(Code::Unreadable, whole(path), message));
    let length = std::fs::metadata(path).map_err(|e| unreadable(format!("the file cannot be read: {e}")))?.len();
    if length > LARGEST_FILE_BYTES {
        let limit = LARGEST_FILE_BYTES / (1024 * 1024);
        return Err(unreadable(format!("the file is larger than a rule file may be ({limit} MiB)")));
    }
    std::fs::read(path).map_err(|e| unreadable(format!("the file cannot be read: {e}")))
}

/// A file as a whole.
fn whole(path: &Path) -> Place {
    Place { file: Arc::new(path.to_owned()), line: 0, column: 0 }
}

#[derive(Default)]
struct Reading {
    tables: Vec<TableRules>,
    names: Vec<(String, Place)>,
    exemptions: Vec<Exemption>,
    trusted_roles: Vec<String>,
    mentioned: Vec<(String, Diagnostic)>,
    tests: Vec<FileTests>,
    diagnostics: Vec<Diagnostic>,
    hash: Fnv,
    sources: Sources,
}

impl Reading {
    fn file(&mut self, path: PathBuf, bytes: &[u8]) {
        self.hash.part(bytes);
        let path = Arc::new(path);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let line = before.iter().filter(|b| **b == b'\n').count() + 1;
                let message = format!("the file is not UTF-8: byte {} (line {line})", error.valid_up_to());
                self.diagnostics.push(Diagnostic::error(Code::YamlSyntax, whole(&path), message));
                return self.sources.add(path, Vec::new());
            }
        };
        let mut cx = Context::new(Arc::clone(&path), text);
        self.sources.add(path, cx.lines().to_vec());
        match yaml::parse(text) {
            Ok(Some(root)) => {
                let FileRules { tables, names, exemptions, trusted_roles, mentioned, tests } =
                    file::read(&mut cx, &root);
                self.tables.extend(tables);
                self.names.extend(names);
                self.exemptions.extend(exemptions);
                self.trusted_roles.extend(trusted_roles);
                self.mentioned.extend(mentioned);
                self.tests.extend(tests);
            }
            Ok(None) => {
                let d = cx.error(Code::MissingKey, yaml::At { line: 1, column: 1, length: 1 }, "the file is empty");
                cx.report::<()>(d.expected("`version: 1` and `tables:`"));
            }
            Err(error) => {
                let d = cx.error(Code::YamlSyntax, error.at, format!("not YAML: {}", error.message));
                cx.report::<()>(d);
            }
        }
        self.diagnostics.extend(cx.into_diagnostics());
    }

    fn finish(mut self) -> Inspected {
        self.duplicate_tables();
        self.duplicate_rules();
        self.unknown_mentions();
        self.sources.arrange(&mut self.diagnostics);
        let counts = Counts {
            files: self.sources.len(),
            tables: self.tables.len(),
            rules: self.tables.iter().map(|t| t.rules.len()).sum(),
        };
        let set = RuleSet {
            tables: file::shared(self.tables),
            exemptions: self.exemptions.into_iter().map(Arc::new).collect(),
            trusted_roles: self.trusted_roles,
            hash: self.hash.finish(),
            tests: self.tests,
        };
        Inspected { set, diagnostics: self.diagnostics, counts, sources: self.sources }
    }

    fn duplicate_tables(&mut self) {
        let mut first: HashMap<(&str, &str), &Place> = HashMap::new();
        for table in &self.tables {
            if let Some(place) = first.get(&(table.schema.as_str(), table.table.as_str())) {
                let message = format!("the table {}.{} has two entries", table.schema, table.table);
                self.diagnostics.push(
                    Diagnostic::error(Code::DuplicateTable, table.place.clone(), message)
                        .over(&table.table)
                        .help("put all its rules into one entry")
                        .related((*place).clone(), "the other entry is here"),
                );
            } else {
                first.insert((&table.schema, &table.table), &table.place);
            }
        }
    }

    fn duplicate_rules(&mut self) {
        let mut first: HashMap<&str, &Place> = HashMap::new();
        for (name, here) in &self.names {
            if let Some(place) = first.get(name.as_str()) {
                self.diagnostics.push(
                    Diagnostic::error(Code::DuplicateRule, here.clone(), format!("two rules are named `{name}`"))
                        .over(name)
                        .help("names are unique over all files: they label metrics and errors")
                        .related((*place).clone(), "the other rule is here"),
                );
            } else {
                first.insert(name, here);
            }
        }
    }

    fn unknown_mentions(&mut self) {
        let names: Vec<&str> = self.names.iter().map(|(name, _)| name.as_str()).collect();
        for (name, mistake) in std::mem::take(&mut self.mentioned) {
            if !names.contains(&name.as_str()) {
                self.diagnostics.push(mistake.did_you_mean(&name, names.iter().copied()));
            }
        }
    }
}

/// FNV-1a over length-prefixed parts: the same rules have the same hash on every replica, wherever the files are mounted. Not for secrets.
///
/// Source: IETF draft-eastlake-fnv, parameters of the 64-bit hash.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn part(&mut self, bytes: &[u8]) {
        self.bytes(&(bytes.len() as u64).to_be_bytes());
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests;
