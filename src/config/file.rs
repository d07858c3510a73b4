//! What a configuration file may say: one YAML mapping of settings, flat.

use std::path::Path;

use super::{Mistake, Origin};
use crate::rules::yaml::{self, At, Node, Value};

/// A configuration file as it was read: its entries, and what is wrong with its form. Whether the entries mean anything is judged by
/// [`super::Settings::resolve`].
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    path: String,
    pub(super) entries: Vec<Entry>,
    pub(super) mistakes: Vec<Mistake>,
}

/// One key and its values as text.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub at: At,
    pub values: Vec<String>,
    /// The file has a list.
    pub list: bool,
}

impl ConfigFile {
    /// Reads a file. A file that cannot be read is a mistake like any other.
    pub fn read(path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) => {
                let mut file = Self { path: path.display().to_string(), ..Self::default() };
                file.mistake(At::default(), format!("the configuration file cannot be read: {error}"));
                file
            }
        }
    }

    /// Takes the text of a file apart.
    pub fn parse(path: &Path, text: &str) -> Self {
        let mut file = Self { path: path.display().to_string(), ..Self::default() };
        match yaml::parse(text) {
            Ok(None) => {}
            Ok(Some(Node { value: Value::Map(entries), .. })) => {
                for (key, value) in entries {
                    file.entry(&key, &value);
                }
            }
            Ok(Some(other)) => {
                file.mistake(other.at, format!("expected a mapping of settings, found {}", other.describe()));
            }
            Err(error) => file.mistake(error.at, error.message),
        }
        file
    }

    pub(super) fn origin(&self, entry: &Entry) -> Origin {
        self.place(entry.at)
    }

    fn entry(&mut self, key: &Node, value: &Node) {
        let Some(name) = key.as_key() else {
            self.mistake(key.at, format!("expected the name of a setting, found {}", key.describe()));
            return;
        };
        if self.entries.iter().any(|e| e.key == name) {
            self.mistake(key.at, format!("{name} is set twice"));
            return;
        }
        let (items, list) = match &value.value {
            Value::List(items) => (items.as_slice(), true),
            _ => (std::slice::from_ref(value), false),
        };
        let mut values = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) | Value::Number(text) => values.push(text.clone()),
                Value::Bool(switch) => values.push(switch.to_string()),
                Value::Null => {}
                Value::List(_) | Value::Map(_) => {
                    self.mistake(item.at, format!("{name}: expected a value, found {}", item.describe()));
                    return;
                }
            }
        }
        self.entries.push(Entry { key: name, at: key.at, values, list });
    }

    fn place(&self, at: At) -> Origin {
        Origin::File { path: self.path.clone(), line: at.line, column: at.column }
    }

    fn mistake(&mut self, at: At, message: String) {
        let origin = self.place(at);
        self.mistakes.push(Mistake { origin, message });
    }
}
