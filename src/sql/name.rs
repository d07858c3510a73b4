//! Identifiers: what a token names, and how a name is written.

use std::borrow::Cow;

use super::lex::{Kind, Token};

/// `NAMEDATALEN - 1`: the bytes of a name that the server keeps.
pub const MAX_NAME_BYTES: usize = 63;

/// The name that an identifier token means: unquoted ones folded, quotes and escapes undone, cut to 63 bytes as the server does.
/// `None` for a token that is no identifier, or a `U&"…"` with a wrong escape.
pub fn value(text: &[u8], token: Token) -> Option<String> {
    let raw = text.get(token.start..token.end)?;
    match token.kind {
        Kind::Ident => Some(truncate(lossy(&raw.to_ascii_lowercase()))),
        Kind::Quoted => Some(truncate(undouble(raw.get(1..raw.len().checked_sub(1)?)?))),
        Kind::UnicodeIdent => unicode(raw).map(truncate),
        _ => None,
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn undouble(inner: &[u8]) -> String {
    lossy(inner).replace("\"\"", "\"")
}

fn truncate(mut name: String) -> String {
    if name.len() > MAX_NAME_BYTES {
        let mut end = MAX_NAME_BYTES;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
    name
}

/// `U&"d\0061t!+000061" [UESCAPE '!']`.
fn unicode(raw: &[u8]) -> Option<String> {
    let raw = std::str::from_utf8(raw).ok()?;
    let close = closing_quote(raw)?;
    let tail = raw[close + 1..].trim_end();
    // A quote is no escape character and `'''` is not accepted, so the character is the last but one.
    let escape = if tail.is_empty() { '\\' } else { tail.strip_suffix('\'')?.chars().next_back()? };
    let inner = raw.get(3..close)?.replace("\"\"", "\"");
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.as_str();
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let (code, next) = if c != escape {
            (c as u32, after)
        } else if after.starts_with(escape) {
            (escape as u32, &after[escape.len_utf8()..])
        } else if let Some(long) = after.strip_prefix('+') {
            (hex(long, 6)?, &long[6..])
        } else {
            (hex(after, 4)?, &after[4..])
        };
        rest = next;
        match (high.take(), code) {
            (None, 0xD800..=0xDBFF) => high = Some(code),
            (Some(first), 0xDC00..=0xDFFF) => {
                out.push(char::from_u32(0x10000 + ((first - 0xD800) << 10) + (code - 0xDC00))?);
            }
            (None, 1..) => out.push(char::from_u32(code)?),
            _ => return None,
        }
    }
    if high.is_some() { None } else { Some(out) }
}

fn closing_quote(raw: &str) -> Option<usize> {
    let bytes = raw.as_bytes();
    let mut i = 3;
    loop {
        i += memchr::memchr(b'"', bytes.get(i..)?)?;
        if bytes.get(i + 1) != Some(&b'"') {
            return Some(i);
        }
        i += 2;
    }
}

fn hex(text: &str, digits: usize) -> Option<u32> {
    let part = text.get(..digits)?;
    if part.bytes().all(|b| b.is_ascii_hexdigit()) { u32::from_str_radix(part, 16).ok() } else { None }
}

/// The name as SQL: bare where that is safe in every position, else in double quotes.
pub fn quote_ident(name: &str) -> Cow<'_, str> {
    let plain =
        name.bytes().enumerate().all(|(i, b)| b.is_ascii_lowercase() || b == b'_' || (i > 0 && b.is_ascii_digit()));
    if plain && !name.is_empty() && !is_restricted_keyword(name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("\"{}\"", name.replace('"', "\"\"")))
    }
}

/// A keyword that is not usable everywhere as a bare name: all but the *unreserved* ones. `word` in lower case.
pub(super) fn is_restricted_keyword(word: &str) -> bool {
    RESTRICTED.binary_search(&word).is_ok()
}

/// `pg_get_keywords()` without category U, of 15 and what 16 to 18 added; sorted.
const RESTRICTED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "graph_table",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "merge_action",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{lex::Lexer, write::LexOptions};

    fn name(text: &str) -> Option<String> {
        let token = Lexer::new(text.as_bytes(), LexOptions::default()).next().unwrap();
        assert_eq!(token.end, text.len(), "{text}");
        value(text.as_bytes(), token)
    }

    #[test]
    fn names_as_the_server_reads_them() {
        for (text, want) in [
            ("Executions", "executions"),
            ("ÄÖ_A$1", "ÄÖ_a$1"),
            ("\"We\"\"ird\"", "We\"ird"),
            ("U&\"d\\0061t\\+000061\"", "data"),
            ("U&\"d!0061t!!\" UESCAPE '!'", "dat!"),
            ("u&\"\\D83D\\DE00\"", "😀"),
        ] {
            assert_eq!(name(text).as_deref(), Some(want), "{text}");
        }
        assert_eq!(name("U&\"\\00zz\""), None);
        assert_eq!(name("U&\"\\D83D\""), None);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(name(&"A".repeat(70)).unwrap(), "a".repeat(63));
        assert_eq!(name(&format!("\"{}é\"", "a".repeat(62))).unwrap(), "a".repeat(62));
        assert_eq!(name(&format!("\"{}é\"", "a".repeat(61))).unwrap(), format!("{}é", "a".repeat(61)));
    }

    #[test]
    fn quoting() {
        assert!(RESTRICTED.is_sorted());
        for (name, want) in [
            ("a_1", "a_1"),
            ("A", "\"A\""),
            ("user", "\"user\""),
            ("we\"ird", "\"we\"\"ird\""),
            ("1a", "\"1a\""),
            ("", "\"\""),
        ] {
            assert_eq!(quote_ident(name), want);
        }
    }
}
