//! The questions asked about relations inside a client's session, and how their answers are read.
//!
//! Owns: the SQL text, its one parameter, its one answer. Does no I/O: the session sends them at a safe point and hides the answers.
//!
//! Every question takes one parameter of type `text` and answers one row of one `text` column. Both are ASCII whatever the client's encoding:
//! the parameter is JSON with `\u` escapes, the answer the hexadecimal form of UTF-8 JSON.
//! Each name in the SQL is qualified with `pg_catalog`, operators too, so the client's `search_path` cannot capture it; nothing in it raises for
//! any role that may read the system catalogs. Only in a database whose encoding is not UTF-8 a non-ASCII name that this encoding lacks would
//! raise: do not ask about such a name there.
//!
//! [`IDENTIFY`] is cheap (0.3 ms at the server for two relations, PostgreSQL 15) and says *which* relation a name means now, and whether anything about it changed;
//! [`RESOLVE`] (2.5 ms) says everything about it. Two equal [`Identified`] in one database get the same [`Resolved`], so the latter can be kept for
//! all sessions. What the stamp cannot see: role memberships, and triggers of descendants; let an entry live for a minute or so.
//! A transaction that reads the catalog by an old snapshot (REPEATABLE READ) may not see a table younger than itself: it is answered as missing.

use std::fmt::Write as _;

use serde::Deserialize;

use super::facts::{QualifiedName, RelationFacts, Resolved};

/// Which relation each name means in this session now. Parameter: [`encode_asked`]. Answer: [`decode_identified`].
pub const IDENTIFY: &str = include_str!("question/identify.sql");

/// Everything about each named relation. Parameter: [`encode_asked`]. Answer: [`decode_resolved`].
///
/// Not more than about twenty names at once, parents included: above 100,000 cost units (about fifty names) the server would compile the query (JIT).
pub const RESOLVE: &str = include_str!("question/resolve.sql");

/// Under which other names the guarded tables may be written. Parameter: [`encode_names`]. Answer: [`decode_related`].
pub const RELATED: &str = include_str!("question/related.sql");

/// An answer that is not what the question gives.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not hexadecimal digits.
    #[error("catalog answer is not hexadecimal text")]
    NotHex,
    /// Not the JSON expected.
    #[error("catalog answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It has another number of relations than were asked for.
    #[error("catalog answer has {answered} relations, {asked} were asked for")]
    Count {
        /// How many were asked for, parents included.
        asked: usize,
        /// How many came.
        answered: usize,
    },
}

/// A relation asked about, as a client's statement names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The schema, unquoted and folded, if the client named one.
    pub schema: Option<&'a str>,
    /// The name, unquoted and folded.
    pub name: &'a str,
    /// Tables of its `parent` rules, whose facts come along.
    pub parents: &'a [QualifiedName],
}

impl Asked<'_> {
    /// It and its parents, in the order they are asked in.
    fn flat(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        let parents = self.parents.iter().map(|p| (Some(p.schema.as_str()), p.name.as_str()));
        std::iter::once((self.schema, self.name)).chain(parents)
    }
}

/// The parameter of [`IDENTIFY`] and [`RESOLVE`].
pub fn encode_asked(asked: &[Asked<'_>]) -> String {
    encode(asked.iter().flat_map(Asked::flat))
}

/// The parameter of [`RELATED`].
pub fn encode_names<'a>(names: impl IntoIterator<Item = &'a QualifiedName>) -> String {
    encode(names.into_iter().map(|n| (Some(n.schema.as_str()), n.name.as_str())))
}

/// `[["schema" or null,"name"],…]` in ASCII.
fn encode<'a>(names: impl Iterator<Item = (Option<&'a str>, &'a str)>) -> String {
    let mut json = String::from("[");
    for (index, (schema, name)) in names.enumerate() {
        json.push_str(if index == 0 { "[" } else { ",[" });
        match schema {
            Some(schema) => push_string(&mut json, schema),
            None => json.push_str("null"),
        }
        json.push(',');
        push_string(&mut json, name);
        json.push(']');
    }
    json.push(']');
    json
}

/// A JSON string of ASCII characters. No identifier has a NUL in it, and PostgreSQL's JSON cannot hold one: such a name becomes the empty one,
/// which means no relation.
fn push_string(json: &mut String, text: &str) {
    let text = if text.contains('\0') { "" } else { text };
    json.push('"');
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_control() && c != '"' && c != '\\' {
            json.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{unit:04x}");
            }
        }
    }
    json.push('"');
}

/// What [`IDENTIFY`] says of one asked name. Equal values (in one database) have equal facts: a key for keeping them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identified {
    /// What the role may do, and how notices stand.
    pub session: SessionFacts,
    /// `None`: the name means no relation.
    pub relation: Option<Identity>,
    /// The parents, in the order asked for.
    pub parents: Vec<Option<Identity>>,
}

/// What belongs to the session, not to a relation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct SessionFacts {
    /// `current_user`.
    pub role: String,
    /// `server_version_num`.
    pub server_version: u32,
    /// `client_min_messages` lets a NOTICE through.
    pub notices: bool,
    /// The role may call `pg_catalog.set_config`.
    pub may_set_config: bool,
}

/// A relation and the state of its catalog rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Identity {
    /// `pg_class.oid`.
    pub oid: u32,
    /// `row_security_active(oid)`.
    pub row_security: bool,
    /// Changes with columns, defaults, privileges, triggers, rules, row security, parents and children of the relation.
    pub stamp: String,
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(flatten)]
    session: SessionFacts,
    /// `null` where nothing was asked.
    relations: Option<Vec<Option<T>>>,
}

/// Reads the answer to [`IDENTIFY`]: one entry for each of `asked`, which must be what was encoded.
///
/// # Errors
/// The answer is not one to this question.
pub fn decode_identified(answer: &str, asked: &[Asked<'_>]) -> Result<Vec<Identified>, CatalogError> {
    let (session, groups) = decode_groups::<Identity>(answer, asked)?;
    let identified =
        groups.into_iter().map(|(relation, parents)| Identified { session: session.clone(), relation, parents });
    Ok(identified.collect())
}

/// Reads the answer to [`RESOLVE`]: one entry for each of `asked`, which must be what was encoded. Parents that do not exist are left out.
///
/// # Errors
/// The answer is not one to this question.
pub fn decode_resolved(answer: &str, asked: &[Asked<'_>]) -> Result<Vec<Resolved>, CatalogError> {
    let (session, groups) = decode_groups::<RelationFacts>(answer, asked)?;
    let resolved = groups.into_iter().map(|(mut relation, parents)| {
        if let Some(relation) = &mut relation {
            relation.parents = parents.into_iter().flatten().collect();
        }
        let SessionFacts { role, server_version, notices, may_set_config } = session.clone();
        Resolved { relation, role, server_version, notices, may_set_config }
    });
    Ok(resolved.collect())
}

/// One for each asked name: what was found for it, and for each of its parents.
type Groups<T> = Vec<(Option<T>, Vec<Option<T>>)>;

fn decode_groups<T: serde::de::DeserializeOwned>(
    answer: &str,
    asked: &[Asked<'_>],
) -> Result<(SessionFacts, Groups<T>), CatalogError> {
    let Answer { session, relations } = serde_json::from_slice::<Answer<T>>(&unhex(answer)?)?;
    let relations = relations.unwrap_or_default();
    let (answered, expected) = (relations.len(), asked.iter().map(|a| 1 + a.parents.len()).sum());
    if answered != expected {
        return Err(CatalogError::Count { asked: expected, answered });
    }
    let mut relations = relations.into_iter();
    let groups = asked.iter().map(|a| (relations.next().flatten(), relations.by_ref().take(a.parents.len()).collect()));
    Ok((session, groups.collect()))
}

/// Another name under which rows of a guarded table may be written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Related {
    /// The guarded table.
    pub base: QualifiedName,
    /// The other name.
    #[serde(flatten)]
    pub name: QualifiedName,
    /// What it is to the guarded table.
    pub how: How,
}

/// What a [`Related`] name is to the guarded table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// A partition or child at any depth: the guarded table's rules apply to it.
    Descendant,
    /// A partitioned table or parent at any depth: some rows written to it may land in the guarded table.
    Ancestor,
    /// A view that reads the guarded table or a descendant, directly or through other views.
    View,
}

/// Reads the answer to [`RELATED`].
///
/// # Errors
/// The answer is not one to this question.
pub fn decode_related(answer: &str) -> Result<Vec<Related>, CatalogError> {
    Ok(serde_json::from_slice(&unhex(answer)?)?)
}

fn unhex(text: &str) -> Result<Vec<u8>, CatalogError> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(CatalogError::NotHex);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(CatalogError::NotHex) };
    pairs.iter().map(|&[high, low]| Ok(digit(high)? << 4 | digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_is_ascii_json() {
        let parents = [QualifiedName { schema: "public".into(), name: "jobs".into() }];
        let asked = [
            Asked { schema: None, name: "a\"b\\c.d\n", parents: &parents },
            Asked { schema: Some("Zürich"), name: "表\u{1F600}", parents: &[] },
            Asked { schema: None, name: "nul\0", parents: &[] },
        ];
        let json = encode_asked(&asked);
        assert!(json.is_ascii(), "{json}");
        let read: Vec<(Option<String>, String)> = serde_json::from_str(&json).unwrap();
        let expected = [(None, "a\"b\\c.d\n"), (Some("public"), "jobs"), (Some("Zürich"), "表\u{1F600}"), (None, "")];
        assert_eq!(read.iter().map(|(s, n)| (s.as_deref(), n.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(encode_names([]), "[]");
    }

    #[test]
    fn answers_that_are_none_are_refused() {
        let asked = [Asked { schema: None, name: "t", parents: &[] }];
        assert!(matches!(decode_resolved("7", &asked), Err(CatalogError::NotHex)));
        assert!(matches!(decode_resolved("zz", &asked), Err(CatalogError::NotHex)));
        assert!(matches!(decode_resolved("ü", &asked), Err(CatalogError::NotHex)));
        assert!(matches!(decode_related("7b7d"), Err(CatalogError::Json(_))));
        let text = r#"{"role":"r","server_version":150018,"notices":true,"may_set_config":true,"relations":null}"#;
        let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
        assert!(matches!(decode_resolved(&hex, &asked), Err(CatalogError::Count { asked: 1, answered: 0 })));
        assert_eq!(decode_identified(&hex, &[]).unwrap(), []);
    }

    #[test]
    fn questions_name_nothing_that_a_search_path_could_capture() {
        for sql in [IDENTIFY, RESOLVE, RELATED] {
            // An operator that is not written OPERATOR(pg_catalog.…) stands between blanks.
            for operator in [
                " = ",
                " <> ",
                " || ",
                " + ",
                " & ",
                " -> ",
                " ->> ",
                " <= ",
                " > ",
                " IN (",
                " LIKE ",
                " BETWEEN ",
                " USING ",
            ] {
                assert!(!sql.contains(operator), "{operator:?}");
            }
            assert!(!sql.contains("--"), "a comment");
        }
    }
}
