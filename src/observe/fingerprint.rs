//! Which statement was it, without its values: a hash of its shape, and the trace that it belongs to.

use memchr::memmem;

use crate::sql::{
    lex::{Kind, Lexer, Token},
    write::LexOptions,
};

/// Only so much of a text is looked at; a statement's shape shows well before that, and a violation must not cost seconds.
const LONGEST: usize = 256 * 1024;

/// Sixteen hexadecimal digits that are the same for statements that differ in constants, parameters, comments, white space, letter case of
/// unquoted names, the length of lists of constants (`IN (1, 2, 3)`) and the number of like rows (`VALUES (…), (…)`).
///
/// The digits stay the same over restarts; they are FNV-1a over the tokens.
pub fn fingerprint(text: &[u8], options: LexOptions) -> String {
    let text = &text[..text.len().min(LONGEST)];
    let mut shape = Shape::default();
    for token in Lexer::new(text, options) {
        shape.push(token, &text[token.start..token.end]);
    }
    let whole = shape.tokens.iter().fold(FNV_START, |hash, token| fnv(hash, &token.to_be_bytes()));
    format!("{whole:016x}")
}

/// The tokens of a statement, each as a hash, with repetitions taken out as they come.
#[derive(Default)]
struct Shape {
    tokens: Vec<u64>,
    /// Where the open parentheses are in `tokens`.
    open: Vec<usize>,
}

const CONSTANT: u64 = hash(b"?");
const COMMA: u64 = hash(b",");
const MINUS: u64 = hash(b"-");
const OPEN: u64 = hash(b"(");

impl Shape {
    fn push(&mut self, token: Token, text: &[u8]) {
        match token.kind {
            Kind::Str | Kind::Number | Kind::Param => self.push_constant(),
            Kind::Ident if is_constant_word(text) => self.push_constant(),
            Kind::Ident => self.tokens.push(hash(&text.to_ascii_lowercase())),
            Kind::Unterminated => self.tokens.push(hash(b"unterminated")),
            Kind::Char(b'(') => {
                self.open.push(self.tokens.len());
                self.tokens.push(OPEN);
            }
            Kind::Char(b')') => {
                self.tokens.push(hash(b")"));
                if let Some(start) = self.open.pop() {
                    self.drop_repeated_group(start);
                }
            }
            Kind::Char(b';') => {}
            _ => self.tokens.push(hash(text)),
        }
    }

    fn push_constant(&mut self) {
        if let [.., COMMA | OPEN, MINUS] = self.tokens[..] {
            self.tokens.pop();
        }
        if let [.., CONSTANT, COMMA] = self.tokens[..] {
            self.tokens.pop();
        } else {
            self.tokens.push(CONSTANT);
        }
    }

    /// `(a, ?), (a, ?)` is the same as `(a, ?)`.
    fn drop_repeated_group(&mut self, start: usize) {
        let (before, group) = self.tokens.split_at(start);
        if let Some((&COMMA, before)) = before.split_last()
            && before.ends_with(group)
        {
            self.tokens.truncate(start - 1);
        }
    }
}

fn is_constant_word(text: &[u8]) -> bool {
    [b"null".as_slice(), b"default", b"true", b"false"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

const fn hash(bytes: &[u8]) -> u64 {
    fnv(FNV_START, bytes)
}

/// The trace context that the client wrote into a comment, as `/*traceparent='00-…-…-01'*/`.
///
/// Source: W3C Trace Context, `#traceparent-header`; sqlcommenter's specification.
pub fn traceparent(text: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"traceparent='";
    const LENGTH: usize = 55;
    // Comments of this kind stand at the end or at the start.
    let parts = if text.len() > 2 * LONGEST { [&text[..LONGEST], &text[text.len() - LONGEST..]] } else { [text, &[]] };
    parts.into_iter().find_map(|part| {
        memmem::find_iter(part, KEY).find_map(|at| {
            let value = part.get(at + KEY.len()..)?.get(..=LENGTH)?;
            let (value, quote) = value.split_at(LENGTH);
            (quote == b"'" && in_comment(part, at) && is_traceparent(value))
                .then(|| String::from_utf8_lossy(value).into_owned())
        })
    })
}

/// A block comment is open at `at`. A string that looks like one may deceive it, which does no harm.
fn in_comment(text: &[u8], at: usize) -> bool {
    let before = &text[..at];
    memmem::rfind(before, b"/*").is_some_and(|open| memmem::find(&before[open..], b"*/").is_none())
}

fn is_traceparent(value: &[u8]) -> bool {
    value.iter().enumerate().all(|(at, byte)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> String {
        fingerprint(text.as_bytes(), LexOptions::default())
    }

    #[test]
    fn values_comments_and_layout_do_not_matter() {
        let one = print("INSERT INTO executions (id, started_at) VALUES (1, '2026-01-01')");
        for same in [
            "insert into EXECUTIONS(id,started_at)\nvalues($1,$2);",
            "INSERT INTO executions (id, started_at) VALUES (1, NULL)",
            "INSERT INTO executions (id, started_at) VALUES (-1, DEFAULT)",
            "INSERT INTO executions (id, started_at) VALUES (1, $tag$x$tag$), (2, 'b'), (3, E'\\'')",
            "/*traceparent='x'*/ INSERT INTO executions (id, started_at) -- why\nVALUES (1, '')",
        ] {
            assert_eq!(print(same), one, "{same}");
        }
    }

    #[test]
    fn the_shape_matters() {
        let texts = [
            "UPDATE t SET a = 1 WHERE id = 2",
            "UPDATE t SET b = 1 WHERE id = 2",
            "UPDATE \"T\" SET a = 1 WHERE id = 2",
            "UPDATE t SET a = 1 WHERE id = 2 RETURNING id",
            "UPDATE t SET a = 1 WHERE id IN (2)",
            "UPDATE t SET a = 1 - 2 WHERE id = 2",
            "UPDATE t SET a = 'x",
        ];
        let all: std::collections::BTreeSet<_> = texts.iter().map(|t| print(t)).collect();
        assert_eq!(all.len(), texts.len());
    }

    #[test]
    fn lists_and_like_rows_count_once() {
        assert_eq!(print("SELECT 1 WHERE a IN (1)"), print("SELECT 1 WHERE a IN (1, 2, 'x', -4)"));
        assert_eq!(print("VALUES (now(), ?::x, 1)"), print("VALUES (now(), ?::x, 1), (now(), ?::x, 2)"));
        assert_ne!(print("VALUES (now(), 1)"), print("VALUES (now(), 1), (then(), 1)"));
        assert_ne!(print("SELECT f(a)"), print("SELECT f(a), f(a)"));
    }

    #[test]
    fn it_is_the_same_for_ever() {
        assert_eq!(print("SELECT 1"), print("select 2"));
        assert_eq!(print(""), format!("{FNV_START:016x}"));
        assert_eq!(print("SELECT 1"), "48a5703e87515113");
    }

    #[test]
    fn a_huge_text_is_cut() {
        let list = |n: usize| format!("SELECT 1 WHERE a IN ({})", vec!["7"; n].join(", "));
        assert_eq!(print(&list(200_000)), print(&list(300_000)));
        print(&"(".repeat(300_000));
        print(&"(,".repeat(150_000));
    }

    #[test]
    fn the_trace_is_read_from_comments_only() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let found = |text: String| traceparent(text.as_bytes());
        assert_eq!(found(format!("UPDATE t SET a = 1 /*app='x',traceparent='{trace}'*/")).as_deref(), Some(trace));
        assert_eq!(found(format!("/* traceparent='{trace}' */ UPDATE t SET a = 1")).as_deref(), Some(trace));
        let long = format!("SELECT '{}' /*traceparent='{trace}'*/", "x".repeat(1 << 20));
        assert_eq!(found(long).as_deref(), Some(trace));
        for none in [
            format!("SELECT $$traceparent='{trace}'$$"),
            format!("/* x */ SELECT $$traceparent='{trace}'$$"),
            format!("/*traceparent='{}'*/", trace.to_uppercase()),
            format!("/*traceparent='{trace}0'*/"),
            format!("/*traceparent='{trace}"),
            "/*traceparent=''*/".to_owned(),
        ] {
            assert_eq!(found(none.clone()), None, "{none}");
        }
    }
}
