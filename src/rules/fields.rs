//! A tree of nodes read as what a rule file may say: types, keys and places, every mistake collected.
//!
//! A reading function returns `None` where it has reported a mistake; its caller goes on with the rest and gives up at the end, so that one
//! run names them all.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    diagnostic::{Code, Diagnostic},
    set::Place,
    yaml::{At, Node, Value, shortened},
};

/// What is being read, and what was found wrong so far.
pub struct Context {
    file: Arc<PathBuf>,
    lines: Vec<Arc<str>>,
    found: Vec<Diagnostic>,
}

impl Context {
    /// For one file.
    pub fn new(file: Arc<PathBuf>, text: &str) -> Self {
        Self { file, lines: text.lines().map(Arc::from).collect(), found: Vec::new() }
    }

    /// The file as it was named.
    pub fn file(&self) -> Arc<PathBuf> {
        Arc::clone(&self.file)
    }

    /// Everything found, in the order of the file.
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|d| (d.place.line, d.place.column));
        self.found
    }

    /// The file's lines.
    pub fn lines(&self) -> &[Arc<str>] {
        &self.lines
    }

    /// The findings that are errors, so far.
    pub fn errors(&self) -> usize {
        super::diagnostic::tally(&self.found).0
    }

    /// A place of this file.
    pub fn place(&self, at: At) -> Place {
        Place { file: Arc::clone(&self.file), line: at.line, column: at.column }
    }

    /// An error to be filled in and then [reported](Self::report).
    pub fn error(&self, code: Code, at: At, message: impl Into<String>) -> Diagnostic {
        self.located(Diagnostic::error(code, self.place(at), message), at)
    }

    /// A warning to be filled in and then [reported](Self::report).
    pub fn warning(&self, code: Code, at: At, message: impl Into<String>) -> Diagnostic {
        self.located(Diagnostic::warning(code, self.place(at), message), at)
    }

    /// Keeps a finding. Always `None`, for the functions that return what they could read.
    pub fn report<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.found.push(diagnostic);
        None
    }

    fn located(&self, mut diagnostic: Diagnostic, at: At) -> Diagnostic {
        diagnostic.length = at.length.max(1);
        diagnostic.excerpt = at.line.checked_sub(1).and_then(|line| self.lines.get(line as usize)).map(Arc::clone);
        diagnostic
    }

    fn wrong_type<T>(&mut self, node: &Node, what: &str, expected: &str) -> Option<T> {
        let message = format!("{what} is {}", node.describe());
        let diagnostic = self.error(Code::WrongType, node.at, message).expected(expected);
        self.report(diagnostic)
    }

    /// A text that is not empty. `what` names it in messages, e.g. "`name`".
    pub fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) if text.trim().is_empty() => {
                let d = self.error(Code::BadValue, node.at, format!("{what} is empty"));
                self.report(d)
            }
            // PostgreSQL's messages end at a zero byte.
            Value::Text(text) if text.contains('\0') => {
                let d = self.error(Code::BadValue, node.at, format!("{what} contains a zero byte"));
                self.report(d)
            }
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => {
                self.wrong_type(node, what, "a text (in quotes, if it looks like something else)")
            }
            _ => self.wrong_type(node, what, "a text"),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            _ => self.wrong_type(node, what, "`true` or `false`"),
        }
    }

    /// A list of anything.
    pub fn list<'n>(&mut self, node: &'n Node, what: &str, expected: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => self.wrong_type(node, what, expected),
        }
    }

    /// A mapping whose keys are names, each once: `(name, place of the name, value)`.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str, expected: &str) -> Option<Vec<(String, At, &'n Node)>> {
        let Value::Map(map) = &node.value else {
            return self.wrong_type(node, what, expected);
        };
        let mut entries: Vec<(String, At, &Node)> = Vec::new();
        for (key, value) in map {
            let Some(name) = key.as_key() else {
                let d = self
                    .error(Code::WrongType, key.at, format!("a key of {what} is {}", key.describe()))
                    .expected("a name");
                self.report::<()>(d);
                continue;
            };
            if let Some((_, first, _)) = entries.iter().find(|(n, _, _)| *n == name) {
                let d = self
                    .error(Code::DuplicateKey, key.at, format!("`{}` stands twice in {what}", shortened(&name)))
                    .related(self.place(*first), "it is already here");
                self.report::<()>(d);
                continue;
            }
            entries.push((name, key.at, value));
        }
        Some(entries)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&'static str, T)]) -> Option<T> {
        let expected = format!("one of {}", quoted(words.iter().map(|(word, _)| *word)));
        let Value::Text(text) = &node.value else {
            return self.wrong_type(node, what, &expected);
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
            return Some(*value);
        }
        let d = self
            .error(Code::BadValue, node.at, format!("{what} is `{}`", shortened(text)))
            .expected(expected)
            .did_you_mean(text, words.iter().map(|(word, _)| *word));
        self.report(d)
    }

    /// A part of the rule language that this version does not have.
    pub fn not_yet(&mut self, at: At, what: &str) {
        let d = self
            .error(Code::NotSupportedYet, at, format!("{what} is not supported by this version yet"))
            .help("remove it");
        self.report::<()>(d);
    }
}

/// Names as a list for messages: `` `a`, `b`, `c` ``.
pub fn quoted<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut out = String::new();
    for name in names {
        if !out.is_empty() {
            out.push_str(", ");
        }
        out.push('`');
        out.push_str(name);
        out.push('`');
    }
    out
}

/// A mapping with known keys.
pub struct Fields<'n> {
    entries: BTreeMap<String, (At, &'n Node)>,
    /// Where the mapping starts.
    pub at: At,
    /// What it is, for messages, e.g. "a rule".
    pub what: String,
    /// It has keys that are unknown or of a later version; they are reported already.
    pub has_strangers: bool,
}

/// The keys that a mapping may have.
pub struct Keys<'k> {
    /// Keys that mean something.
    pub known: &'k [&'static str],
    /// Keys of the rule language that come with a later version.
    pub later: &'k [&'static str],
}

impl<'n> Fields<'n> {
    /// Reads a mapping; reports what is no mapping, unknown keys, keys that come later and duplicate keys.
    pub fn open(cx: &mut Context, node: &'n Node, what: &str, keys: &Keys<'_>) -> Option<Self> {
        let expected = format!("a mapping with {}", quoted(keys.known.iter().copied()));
        let entries = cx.entries(node, what, &expected)?;
        let mut fields = Self { entries: BTreeMap::new(), at: node.at, what: what.to_owned(), has_strangers: false };
        for (name, at, value) in entries {
            if keys.known.contains(&name.as_str()) {
                fields.entries.insert(name, (at, value));
                continue;
            }
            fields.has_strangers = true;
            if keys.later.contains(&name.as_str()) {
                cx.not_yet(at, &format!("`{name}`"));
                continue;
            }
            let d = cx.error(Code::UnknownKey, at, format!("unknown key `{}` in {what}", shortened(&name)));
            let mut d = d.did_you_mean(&name, keys.known.iter().chain(keys.later).copied());
            if d.help.is_none() {
                d = d.expected(format!("one of {}", quoted(keys.known.iter().copied())));
            }
            cx.report::<()>(d);
        }
        Some(fields)
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&'n Node> {
        self.entries.get(key).map(|(_, value)| *value)
    }

    /// Where the key itself stands.
    pub fn key_at(&self, key: &str) -> Option<At> {
        self.entries.get(key).map(|(at, _)| *at)
    }

    /// The value of a key that must be there.
    pub fn required(&self, cx: &mut Context, key: &str, expected: &str) -> Option<&'n Node> {
        if let Some(value) = self.value(key) {
            return Some(value);
        }
        let d = cx.error(Code::MissingKey, self.at, format!("{} has no `{key}`", self.what)).expected(expected);
        cx.report(d)
    }

    /// A text that may be missing. The outer `None`: it is there and wrong.
    pub fn optional_text(&self, cx: &mut Context, key: &str) -> Option<Option<String>> {
        let Some(node) = self.value(key) else { return Some(None) };
        cx.text(node, &format!("`{key}`")).map(|text| Some(text.to_owned()))
    }

    /// A boolean that may be missing, then false.
    pub fn flag(&self, cx: &mut Context, key: &str) -> Option<bool> {
        self.value(key).map_or(Some(false), |node| cx.boolean(node, &format!("`{key}`")))
    }

    /// Any value that may be missing. The outer `None`: it is there and wrong.
    pub fn optional<T>(
        &self,
        cx: &mut Context,
        key: &str,
        read: impl FnOnce(&mut Context, &'n Node, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.value(key) {
            None => Some(None),
            Some(node) => read(cx, node, &format!("`{key}`")).map(Some),
        }
    }
}
