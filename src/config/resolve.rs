//! Which of the sources says what, and what all of them say wrong.

use super::{
    ConfigFile, Flags, Mistake, Mistakes, Origin,
    file::Entry,
    mistake::{closest, did_you_mean},
    settings::KEYS,
};

/// A setting's name in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub name: &'static str,
    /// More than one value is possible: a list in the file, several flags, commas in the variable.
    pub list: bool,
}

/// A value as a source has it.
struct Given {
    origin: Origin,
    texts: Vec<String>,
}

/// Asks all sources for one setting after the other and collects mistakes.
pub(super) struct Resolver<'a> {
    flags: &'a Flags,
    variables: &'a [(String, String)],
    file: Option<&'a ConfigFile>,
    mistakes: Vec<Mistake>,
}

impl<'a> Resolver<'a> {
    pub fn new(flags: &'a Flags, variables: &'a [(String, String)], file: Option<&'a ConfigFile>) -> Self {
        let mut mistakes = Vec::new();
        check_variable_names(variables, &mut mistakes);
        mistakes.extend(file.iter().flat_map(|f| f.mistakes.iter().cloned()));
        if let Some(file) = file {
            mistakes.extend(file.entries.iter().filter_map(|e| misfit(file, e)));
        }
        Self { flags, variables, file, mistakes }
    }

    /// A setting with one value.
    pub fn one<T>(&mut self, key: &'static str, default: T, read: impl Fn(&str) -> Result<T, String>) -> T {
        self.list(key, Vec::new(), read).into_iter().next().unwrap_or(default)
    }

    /// A setting with a list of values. Every source is read, so that no mistake hides behind a stronger source.
    pub fn list<T>(&mut self, key: &'static str, default: Vec<T>, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut chosen = None;
        for given in self.given(key) {
            let mut values = Vec::new();
            for text in &given.texts {
                match read(text) {
                    Ok(value) => values.push(value),
                    Err(expected) => {
                        let name = if matches!(given.origin, Origin::File { .. }) {
                            format!("{key}: ")
                        } else {
                            String::new()
                        };
                        let message = format!("{name}\"{text}\": {expected}");
                        self.mistakes.push(Mistake { origin: given.origin.clone(), message });
                    }
                }
            }
            chosen = chosen.or(Some(values));
        }
        chosen.unwrap_or(default)
    }

    /// Nothing more is asked for. Mistakes are told flags first, then variables, then the file from top to bottom.
    pub fn finish(mut self) -> Result<(), Mistakes> {
        self.mistakes.sort_by_key(|m| match m.origin {
            Origin::Flag(_) => (0, 0, 0),
            Origin::Variable(_) => (1, 0, 0),
            Origin::File { line, column, .. } => (2, line, column),
        });
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes)) }
    }

    /// What the sources say, the strongest first.
    fn given(&self, key: &'static str) -> Vec<Given> {
        let list = KEYS.iter().any(|k| k.name == key && k.list);
        let flag = self.flags.value(key).map(|texts| Given { origin: Origin::Flag(flag_name(key)), texts });
        let name = variable_name(key);
        let variable = self.variables.iter().find(|(n, _)| *n == name).map(|(_, text)| Given {
            origin: Origin::Variable(name),
            texts: if list { text.split(',').map(|t| t.trim().to_owned()).collect() } else { vec![text.clone()] },
        });
        let file = self.file.and_then(|file| {
            let entry = file.entries.iter().find(|e| e.key == key)?;
            Some(Given { origin: file.origin(entry), texts: entry.values.clone() })
        });
        [flag, variable, file].into_iter().flatten().collect()
    }
}

/// What is wrong with a key of the file, whatever its value.
fn misfit(file: &ConfigFile, entry: &Entry) -> Option<Mistake> {
    let known = KEYS.iter().map(|k| k.name);
    let message = match KEYS.iter().find(|k| k.name == entry.key) {
        None => format!("unknown key \"{}\": {}", entry.key, did_you_mean(&entry.key, known)),
        Some(key) if entry.list && !key.list => format!("{}: expected one value, found a list", entry.key),
        Some(_) if entry.values.is_empty() => format!("{}: expected a value, found none", entry.key),
        Some(_) => return None,
    };
    Some(Mistake { origin: file.origin(entry), message })
}

/// Refuses variables that look like a misspelt setting. Others are let be: Kubernetes sets `CHRONOGUARD_PORT`, `CHRONOGUARD_SERVICE_HOST`
/// and more of that kind for a Service called chronoguard.
fn check_variable_names(variables: &[(String, String)], mistakes: &mut Vec<Mistake>) {
    let known: Vec<String> = KEYS.iter().map(|k| variable_name(k.name)).chain(["CHRONOGUARD_CONFIG".into()]).collect();
    for (name, _) in variables {
        if !name.starts_with("CHRONOGUARD_") || known.contains(name) {
            continue;
        }
        let bare = name.trim_start_matches("CHRONOGUARD_");
        let meant = closest(bare, known.iter().map(|k| k.trim_start_matches("CHRONOGUARD_")));
        if let Some(meant) = meant {
            let message = format!("unknown variable: did you mean CHRONOGUARD_{meant}?");
            mistakes.push(Mistake { origin: Origin::Variable(name.clone()), message });
        }
    }
}

fn variable_name(key: &str) -> String {
    format!("CHRONOGUARD_{}", key.to_ascii_uppercase())
}

/// Only settings with a flag are asked for by their flag's name.
fn flag_name(key: &'static str) -> &'static str {
    match key {
        "log_format" => "log-format",
        other => other,
    }
}
