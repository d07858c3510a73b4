//! The texts of PostgreSQL's regression and isolation suites, as psql would send them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// One text sent to the server.
#[derive(Debug)]
pub struct Text {
    /// File and line where it ends.
    pub place: String,
    /// What is sent.
    pub sql: String,
    /// `standard_conforming_strings` as the file has set it by then.
    pub conforming: bool,
}

/// All texts of both suites.
///
/// # Panics
/// If the sources are not there.
pub fn texts() -> Vec<Text> {
    let dir = directory();
    assert!(
        dir.join("complete").is_file(),
        "no sources of PostgreSQL's regression suite in {}: run tests/oracle/fetch.sh first (it needs a Debian mirror)",
        dir.display()
    );
    let mut texts = Vec::new();
    for path in files(&dir.join("regress"), "sql") {
        split(&name(&path), &read(&path), &mut texts);
    }
    for path in files(&dir.join("isolation"), "spec") {
        split(&name(&path), &blocks(&read(&path)), &mut texts);
    }
    texts
}

fn directory() -> PathBuf {
    match std::env::var_os("CHRONOGUARD_ORACLE_DIR") {
        Some(dir) => dir.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/oracle"),
    }
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("the directory was fetched")
        .map(|entry| entry.expect("directory entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("readable file")).into_owned()
}

/// The SQL of an isolation spec, line numbers kept.
fn blocks(spec: &str) -> String {
    let mut out = String::new();
    let (mut inside, mut comment) = (false, false);
    for c in spec.chars() {
        match c {
            '\n' => {
                comment = false;
                out.push('\n');
            }
            _ if comment => {}
            '#' if !inside => comment = true,
            '{' if !inside => inside = true,
            '}' if inside => {
                inside = false;
                out.push_str("\n;");
            }
            _ if inside => out.push(c),
            _ => {}
        }
    }
    out
}

/// A minimal psql: meta-commands, variables, `COPY … FROM stdin` data and the semicolons that end a statement.
fn split(file: &str, source: &str, texts: &mut Vec<Text>) {
    let mut psql = Psql {
        variables: HashMap::new(),
        conforming: true,
        buffer: String::new(),
        depth: 0,
        atomic: 0,
        line: 1,
        words: Vec::new(),
    };
    let mut input: Vec<char> = source.chars().rev().collect();
    while let Some(c) = input.pop() {
        if psql.step(c, &mut input) {
            psql.send(file, &mut input, texts);
        }
    }
    psql.send(file, &mut input, texts);
}

struct Psql {
    variables: HashMap<String, String>,
    conforming: bool,
    buffer: String,
    depth: usize,
    /// Open `BEGIN` and `CASE` of a routine's body.
    atomic: usize,
    line: usize,
    /// The first words of the statement.
    words: Vec<String>,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

impl Psql {
    fn pop(&mut self, input: &mut Vec<char>) -> Option<char> {
        let c = input.pop()?;
        self.buffer.push(c);
        Some(c)
    }

    /// `true`: the buffer is to be sent.
    fn step(&mut self, c: char, input: &mut Vec<char>) -> bool {
        let next = input.last().copied().unwrap_or('\0');
        match c {
            '\\' => return self.meta(input),
            ';' if self.depth == 0 && self.atomic == 0 => {
                self.buffer.push(c);
                return true;
            }
            ':' if next == ':' => {
                self.buffer.push_str("::");
                input.pop();
                return false;
            }
            ':' if self.variable(next, input) => return false,
            _ => {}
        }
        self.buffer.push(c);
        match c {
            '(' => self.depth += 1,
            ')' => self.depth = self.depth.saturating_sub(1),
            '\'' => self.quoted('\'', !self.conforming, input),
            '"' => self.quoted('"', false, input),
            '-' if next == '-' => while self.pop(input).is_some_and(|c| c != '\n') {},
            '/' if next == '*' => self.comment(input),
            '$' => self.dollar(input),
            _ if is_word(c) => self.word(c, input),
            _ => {}
        }
        false
    }

    fn word(&mut self, first: char, input: &mut Vec<char>) {
        let mut word = String::from(first);
        while let Some(c) = input.last().copied().filter(|c| is_word(*c)) {
            word.push(c);
            self.pop(input);
        }
        let next = input.last().copied();
        if word.eq_ignore_ascii_case("e") && next == Some('\'') {
            self.pop(input);
            return self.quoted('\'', true, input);
        }
        // As psqlscan.l: BEGIN counts in CREATE [OR REPLACE] FUNCTION or PROCEDURE only.
        word.make_ascii_lowercase();
        if self.words.len() < 4 {
            self.words.push(word.clone());
        }
        let first: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let routine = matches!(
            first.as_slice(),
            ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure"]
        );
        match word.as_str() {
            "begin" if routine && self.depth == 0 => self.atomic += 1,
            "case" if self.atomic > 0 => self.atomic += 1,
            "end" if self.atomic > 0 => self.atomic -= 1,
            _ => {}
        }
    }

    fn quoted(&mut self, quote: char, backslash: bool, input: &mut Vec<char>) {
        while let Some(c) = self.pop(input) {
            if c == '\\' && backslash {
                self.pop(input);
            } else if c == quote {
                if input.last() == Some(&quote) {
                    self.pop(input);
                } else {
                    return;
                }
            }
        }
    }

    fn comment(&mut self, input: &mut Vec<char>) {
        self.pop(input);
        let mut depth = 1;
        while let Some(c) = self.pop(input) {
            match (c, input.last()) {
                ('*', Some('/')) => depth -= 1,
                ('/', Some('*')) => depth += 1,
                _ => continue,
            }
            self.pop(input);
            if depth == 0 {
                return;
            }
        }
    }

    fn dollar(&mut self, input: &mut Vec<char>) {
        let tag: String = input.iter().rev().take_while(|c| is_word(**c) && **c != '$').collect();
        let length = tag.chars().count();
        if tag.starts_with(|c: char| c.is_ascii_digit()) || input.iter().rev().nth(length) != Some(&'$') {
            return;
        }
        let close = format!("${tag}$");
        for _ in 0..=length {
            self.pop(input);
        }
        let start = self.buffer.len();
        while self.pop(input).is_some() {
            if self.buffer[start..].ends_with(&close) {
                return;
            }
        }
    }

    /// Replaces `:name`, `:'name'`, `:"name"`; the first by text that is read on.
    fn variable(&mut self, next: char, input: &mut Vec<char>) -> bool {
        let quote = matches!(next, '\'' | '"').then_some(next);
        let skip = usize::from(quote.is_some());
        let name: String = input.iter().rev().skip(skip).take_while(|c| is_word(**c)).collect();
        let length = name.chars().count();
        if name.is_empty() || quote.is_some() && input.iter().rev().nth(skip + length) != quote.as_ref() {
            return false;
        }
        let value = self.variables.get(&name);
        match (quote, value) {
            (None, None) => return false,
            (None, Some(value)) => {
                let value: Vec<char> = value.chars().rev().collect();
                input.truncate(input.len() - length);
                input.extend(value);
            }
            (Some(q), value) => {
                let value = value.unwrap_or(&name).replace(q, &format!("{q}{q}"));
                self.buffer.push_str(&format!("{q}{value}{q}"));
                input.truncate(input.len() - length - 2);
            }
        }
        true
    }

    /// A meta-command, its backslash already read. `true`: it sends the buffer.
    fn meta(&mut self, input: &mut Vec<char>) -> bool {
        if input.last() == Some(&';') {
            self.buffer.push(';');
            input.pop();
            return false;
        }
        let mut line = String::new();
        while let Some(c) = input.pop() {
            if c == '\n' {
                input.push(c);
                break;
            }
            line.push(c);
        }
        let mut words = line.split_whitespace();
        let command = words.next().unwrap_or_default();
        if command == "set"
            && let Some(name) = words.next()
        {
            let value = line.trim_start()[3..].trim_start()[name.len()..].trim();
            self.variables.insert(name.to_owned(), unquote(value));
        }
        command.starts_with('g') && command != "getenv"
            || command.starts_with("crosstab")
            || command.starts_with("bind")
    }

    fn send(&mut self, file: &str, input: &mut Vec<char>, texts: &mut Vec<Text>) {
        self.depth = 0;
        self.atomic = 0;
        self.words.clear();
        let sql = std::mem::take(&mut self.buffer);
        self.line += sql.matches('\n').count();
        let lower = sql.to_ascii_lowercase();
        let text = Text { place: format!("{file}:~{}", self.line), sql, conforming: self.conforming };
        if lower.contains("standard_conforming_strings") && !lower.contains("show") {
            self.conforming = !lower.contains("off");
        }
        // The data follow the command's line.
        let words: Vec<&str> = lower.split_whitespace().collect();
        let copy = words.iter().any(|w| *w == "copy" || w.ends_with(";copy"))
            && lower.contains("from")
            && lower.contains("stdin");
        if copy && !lower.contains("function") {
            let mut line = String::new();
            let mut data = input.clone();
            while let Some(c) = data.pop() {
                if c != '\n' {
                    line.push(c);
                } else if line == "\\." {
                    *input = data;
                    break;
                } else {
                    line.clear();
                }
            }
        }
        if !text.sql.trim().is_empty() {
            texts.push(text);
        }
    }
}

/// The arguments of `\set`, quotes and escapes undone, joined as psql does.
fn unquote(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\'' if quoted && chars.peek() == Some(&'\'') => {
                chars.next();
                out.push('\'');
            }
            '\'' => quoted = !quoted,
            '\\' if quoted && chars.peek() == Some(&'n') => {
                chars.next();
                out.push('\n');
            }
            ' ' if !quoted => {}
            _ => out.push(c),
        }
    }
    out
}
