//! The lines of the files that were read, for excerpts and for places that are looked up afterwards.

use std::{path::PathBuf, sync::Arc};

use super::{
    diagnostic::Diagnostic,
    set::{Place, RuleSet},
};

/// The lines of each file, in the order the files were read.
#[derive(Debug, Default)]
pub struct Sources(Vec<(Arc<PathBuf>, Vec<Arc<str>>)>);

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, file: Arc<PathBuf>, lines: Vec<Arc<str>>) {
        self.0.push((file, lines));
    }

    /// How many files.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(file, _)| file.as_ref().clone()).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives findings their excerpts, and brings them into the order of the files and their lines.
    pub fn arrange(&self, diagnostics: &mut [Diagnostic]) {
        let order: std::collections::HashMap<&PathBuf, usize> =
            self.0.iter().enumerate().map(|(index, (file, _))| (file.as_ref(), index)).collect();
        for d in diagnostics.iter_mut().filter(|d| d.excerpt.is_none() && d.place.line > 0) {
            if let Some(index) = order.get(d.place.file.as_ref()) {
                d.excerpt = self.0[*index].1.get(d.place.line as usize - 1).map(Arc::clone);
            }
        }
        diagnostics.sort_by_key(|d| (order.get(d.place.file.as_ref()).copied(), d.place.line, d.place.column));
    }

    /// Where a word first stands behind `from`, before line `end`; else `from` itself.
    pub fn word(&self, from: &Place, end: Option<u32>, word: &str) -> Place {
        self.find_word(from, end, word).unwrap_or_else(|| from.clone())
    }

    fn find_word(&self, from: &Place, end: Option<u32>, word: &str) -> Option<Place> {
        let (_, lines) = self.0.iter().find(|(file, _)| **file == *from.file)?;
        let first = from.line.checked_sub(1)? as usize;
        let end = end.map_or(lines.len(), |line| (line as usize).saturating_sub(1)).min(lines.len());
        for (index, line) in lines.iter().enumerate().take(end).skip(first) {
            let skip = if index == first { from.column as usize } else { 0 };
            if let Some(column) = word_in(line, skip, word) {
                let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                return Some(Place {
                    file: Arc::clone(&from.file),
                    line: number(index + 1),
                    column: number(column + 1),
                });
            }
        }
        None
    }
}

/// Where the words of rules, tables and exemptions stand.
pub struct Words<'a> {
    sources: &'a Sources,
    /// The places of all tables, rules and exemptions.
    starts: Vec<Place>,
}

impl<'a> Words<'a> {
    /// For rules that were read from these files.
    pub fn new(set: &RuleSet, sources: &'a Sources) -> Self {
        let tables = set.tables.iter().flat_map(|t| std::iter::once(&t.place).chain(t.rules.iter().map(|r| &r.place)));
        let starts = tables.chain(set.exemptions.iter().map(|e| &e.place)).cloned().collect();
        Self { sources, starts }
    }

    /// The word where it first stands in the rule, table or exemption that starts at `from`.
    pub fn at(&self, from: &Place, word: &str) -> Place {
        let behind = |p: &&Place| p.file == from.file && p.line > from.line;
        let end = self.starts.iter().filter(behind).map(|p| p.line).min();
        self.sources.word(from, end, word)
    }
}

/// The first character of a whole word in a line, from character `skip` on; case is not compared, as PostgreSQL folds it.
fn word_in(line: &str, skip: usize, word: &str) -> Option<usize> {
    let letters: Vec<char> = line.chars().collect();
    let wanted: Vec<char> = word.chars().collect();
    let in_name = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
    (skip..letters.len().checked_sub(wanted.len())? + 1).find(|start| {
        let here = &letters[*start..*start + wanted.len()];
        here.iter().zip(&wanted).all(|(a, b)| a.eq_ignore_ascii_case(b))
            && !in_name(start.checked_sub(1).and_then(|i| letters.get(i)))
            && !in_name(letters.get(*start + wanted.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_and_behind_the_place() {
        let file = Arc::new(PathBuf::from("a.yaml"));
        let lines = ["- name: a", "  order: [ab, A, ä_a, a]", "- name: b", "  order: [a]"];
        let mut sources = Sources::default();
        sources.add(Arc::clone(&file), lines.iter().map(|l| Arc::from(*l)).collect());
        let place = |line, column| Place { file: Arc::clone(&file), line, column };
        assert_eq!(sources.word(&place(1, 9), Some(3), "a"), place(2, 15));
        assert_eq!(sources.word(&place(2, 15), Some(3), "a"), place(2, 23));
        assert_eq!(sources.word(&place(2, 23), Some(3), "a"), place(2, 23));
        assert_eq!(sources.word(&place(3, 9), None, "a"), place(4, 11));
        assert_eq!(sources.word(&place(1, 9), None, "nobody"), place(1, 9));
    }
}
