//! The byte scan that decides whether a text must be located at all. Nearly every text need not.
//!
//! One pass of one automaton over the bytes, whatever the number of names; hits are then checked for word borders, so `jobs` does not hit `jobs_archive` nor `create` `created_at`.
//! A hit too many only costs a [`super::locate::locate`]; a hit too few would be a write without its guard, so the edges are wide: hits inside strings and comments count,
//! `U&"…"` (which can spell any name) is always a hit, and names that the server may have cut to 63 bytes match as prefixes.
//! The names are UTF-8. In another client encoding names with bytes above 127 do not match; the caller must know that such a session has them.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, StartKind};

use super::{lex::is_ident_byte, name::MAX_NAME_BYTES};

/// Words by which a text may change what names mean, how it is read, or the session's prepared statements and transaction.
const SESSION_WORDS: &[(&str, Hit)] = &[
    ("search_path", Hit::Session),
    ("role", Hit::Session),
    ("authorization", Hit::Session),
    ("session_authorization", Hit::Session),
    ("session_replication_role", Hit::Session),
    ("schema", Hit::Session),
    ("names", Hit::Session),
    ("client_encoding", Hit::Session),
    ("set_config", Hit::Session),
    ("row_security", Hit::Session),
    ("standard_conforming_strings", Hit::Session),
    ("client_min_messages", Hit::Session),
    ("discard", Hit::Session),
    ("reset", Hit::Session),
    ("temp", Hit::Session),
    ("temporary", Hit::Session),
    ("create", Hit::Session),
    ("alter", Hit::Session),
    ("drop", Hit::Session),
    ("rename", Hit::Session),
    ("import", Hit::Session),
    ("reassign", Hit::Session),
    ("grant", Hit::Session),
    ("revoke", Hit::Session),
    ("rollback", Hit::Session),
    ("abort", Hit::Session),
    ("prepare", Hit::Session),
    ("execute", Hit::Session),
    ("deallocate", Hit::Session),
    ("begin", Hit::FirstWord),
    ("start", Hit::FirstWord),
    ("commit", Hit::FirstWord),
    ("end", Hit::FirstWord),
    ("savepoint", Hit::FirstWord),
    ("release", Hit::FirstWord),
    ("fetch", Hit::FirstWord),
    ("do", Hit::FirstWord),
    ("call", Hit::FirstWord),
    ("into", Hit::Into),
];

/// What a pattern of the automaton means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hit {
    /// Part of a name of a relation; `true`: the server cuts longer names to it.
    Name(bool),
    /// `U&"`.
    AnyName,
    /// A word that counts wherever it stands.
    Session,
    /// A word that counts where a statement begins: elsewhere it is common (`CASE … END`, `ON CONFLICT DO`).
    FirstWord,
    /// `INTO` counts as that of `SELECT … INTO`, not behind `INSERT` or `MERGE`.
    Into,
}

/// What a text may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// A guarded relation may be named.
    pub names: bool,
    /// It may change what names mean, or the session's prepared statements or transaction.
    pub session: bool,
}

impl Interest {
    /// The text must be located.
    pub fn any(self) -> bool {
        self.names || self.session
    }

    const ALL: Self = Self { names: true, session: true };
}

/// The automaton for one set of names.
#[derive(Debug, Clone)]
pub struct Scanner {
    automaton: AhoCorasick,
    hits: Vec<Hit>,
}

/// Names up to which the larger and faster table is built; 2,000 names of 16 bytes make some 5 MB.
const DFA_NAMES: usize = 2_000;

impl Scanner {
    /// For relations of these names, as the server stores them (last part only, unquoted).
    ///
    /// # Errors
    /// Too many names for the automaton (hundreds of megabytes of them).
    pub fn new<'n>(names: impl Iterator<Item = &'n str>) -> Result<Self, aho_corasick::BuildError> {
        let mut patterns = Vec::new();
        let mut hits = Vec::new();
        for name in names.filter(|n| !n.is_empty()) {
            patterns.push(name.replace('"', "\"\""));
            // A cut inside a character leaves up to three bytes less.
            hits.push(Hit::Name(name.len() + 3 >= MAX_NAME_BYTES));
        }
        let kind = if patterns.len() <= DFA_NAMES { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        patterns.push("u&\"".to_owned());
        hits.push(Hit::AnyName);
        for (word, hit) in SESSION_WORDS {
            patterns.push((*word).to_owned());
            hits.push(*hit);
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .start_kind(StartKind::Unanchored)
            .prefilter(false)
            .kind(Some(kind))
            .build(&patterns)?;
        Ok(Self { automaton, hits })
    }

    /// What `text` may be about. No allocation.
    pub fn scan(&self, text: &[u8]) -> Interest {
        let mut found = Interest::default();
        // Overlapping: `job` inside `jobs` must not hide `jobs`.
        for m in self.automaton.find_overlapping_iter(text) {
            match self.hits[m.pattern().as_usize()] {
                Hit::Name(open_end) => found.names |= is_word(text, m.start(), m.end(), open_end),
                Hit::AnyName => found = Interest::ALL,
                Hit::Session => found.session |= is_word(text, m.start(), m.end(), false),
                Hit::FirstWord => {
                    found.session |= is_word(text, m.start(), m.end(), false) && may_begin_statement(text, m.start());
                }
                Hit::Into => {
                    found.session |= is_word(text, m.start(), m.end(), false) && !follows_verb(text, m.start());
                }
            }
            if found == Interest::ALL {
                break;
            }
        }
        found
    }
}

/// `text[start..end]` is no part of a longer word; `open_end`: it may be the beginning of one.
fn is_word(text: &[u8], start: usize, end: usize, open_end: bool) -> bool {
    let joins = |outer: Option<&u8>, inner: u8| outer.is_some_and(|b| is_word_byte(*b)) && is_word_byte(inner);
    let before = start.checked_sub(1).and_then(|i| text.get(i));
    !joins(before, text[start]) && (open_end || !joins(text.get(end), text[end - 1]))
}

/// Not `$`, which may end what stands before a word: `$$x$$end`.
fn is_word_byte(b: u8) -> bool {
    is_ident_byte(b) && b != b'$'
}

/// Only white space stands between the last semicolon and `at`, or a comment may be there.
fn may_begin_statement(text: &[u8], at: usize) -> bool {
    let before = text[..at].trim_ascii_end();
    matches!(before.last(), None | Some(b';' | b'/' | 0x0b)) || memchr::memmem::find(before, b"--").is_some()
}

/// The word before `at` is `INSERT` or `MERGE`.
fn follows_verb(text: &[u8], at: usize) -> bool {
    let before = text[..at].trim_ascii_end();
    let ends = |verb: &[u8]| {
        before.len().checked_sub(verb.len()).is_some_and(|i| {
            before[i..].eq_ignore_ascii_case(verb) && !i.checked_sub(1).is_some_and(|j| is_word_byte(before[j]))
        })
    };
    ends(b"insert") || ends(b"merge")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner(names: &[&str]) -> Scanner {
        Scanner::new(names.iter().copied()).unwrap()
    }

    #[test]
    fn names_of_relations() {
        let long = "n".repeat(63);
        let s = scanner(&["jobs", "job", "executions", "We\"ird one", "naïve", &long]);
        for text in [
            "INSERT INTO jobs VALUES (1)",
            "insert into public.Jobs values (1)",
            "UPDATE \"jobs\" SET a = 1",
            "UPDATE only(jobs)SET a=1",
            "UPDATE JOB SET x = 1",
            "INSERT INTO \"We\"\"ird one\" VALUES (1)",
            "INSERT INTO naïve VALUES (1)",
            "INSERT INTO U&\"j\\006fbs\" VALUES (1)",
            "-- jobs",
            &format!("UPDATE {long}xyz SET a = 1"),
        ] {
            assert!(s.scan(text.as_bytes()).names, "{text}");
        }
        for text in [
            "INSERT INTO jobs_archive VALUES (1)",
            "SELECT xjobs, jobs1 FROM executions_old",
            "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
            "INSERT INTO \"We\"\"ird ones\" VALUES (1)",
            "",
        ] {
            assert!(!s.scan(text.as_bytes()).names, "{text}");
        }
        assert!(!scanner(&[]).scan(b"UPDATE t SET a = 1").any());
    }

    #[test]
    fn session_words() {
        let s = scanner(&["jobs"]);
        for text in [
            "SET search_path = x",
            "set local role x",
            "SELECT pg_catalog.set_config('a', 'b', true)",
            "BEGIN",
            "SELECT 1; end",
            "/* c */ COMMIT",
            "-- c\ncommit",
            "SELECT * INTO x FROM y",
            "insert /* c */ into x values (1)",
            "CREATE TEMP TABLE x()",
            "do $$ $$",
            "EXPLAIN ANALYZE EXECUTE p",
            "SELECT U&\"a\"",
            "\tROLLBACK TO x",
        ] {
            assert!(s.scan(text.as_bytes()).session, "{text}");
        }
        for text in [
            "INSERT INTO t (created_at, role_id) VALUES (1, 2) ON CONFLICT (a) DO NOTHING",
            "insert\n into t select case when a then b end, start, release from template_x",
            "MERGE INTO t USING s ON true WHEN MATCHED THEN DO NOTHING",
            "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
        ] {
            assert!(!s.scan(text.as_bytes()).session, "{text}");
        }
    }
}
