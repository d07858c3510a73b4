//! YAML text → a tree in which every node knows its place.
//!
//! serde stops at the first mismatch of a type, and people want all mistakes at once; so types are judged afterwards, by [`super::fields`].
//! Anchors, aliases and merge keys (`<<`) are resolved here, within budgets that make an alias bomb an error.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned};

/// Where a node stands in its file; line and column count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// Line, from 1; 0 where it is not known.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters it takes; at least 1. It may go on past the line's end.
    pub length: u32,
}

/// One node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where its text stands; for an alias, where the anchored text stands.
    pub at: At,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false` (YAML 1.2: `yes` and `on` are texts).
    Bool(bool),
    /// A plain number, as YAML reads it.
    Number(String),
    /// Any other scalar.
    Text(String),
    /// `[a, b]`.
    List(Vec<Node>),
    /// `{a: b}`; a key may occur more than once.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// What it is, for "found …" in a message.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(b) => format!("`{b}`"),
            Value::Number(n) => format!("the number {n}"),
            Value::Text(t) => format!("`{}`", shortened(t)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The text of a mapping's key: `null` and numbers are names there.
    pub fn as_key(&self) -> Option<String> {
        match &self.value {
            Value::Null => Some("null".to_owned()),
            Value::Bool(b) => Some(b.to_string()),
            Value::Number(t) | Value::Text(t) => Some(t.clone()),
            Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// At most 60 characters of a text, for messages.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// Why a text is not one YAML document.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntaxError {
    /// Where, as far as the parser can tell.
    pub at: At,
    /// What the parser says.
    pub message: String,
}

/// Reads one document. `Ok(None)`: it is empty.
///
/// # Errors
/// The text is not YAML, has more than one document, or exceeds a budget.
pub fn parse(text: &str) -> Result<Option<Node>, SyntaxError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        emit_comments: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 200_000, max_replay_stack_depth: 16 },
        budget: serde_saphyr::budget! { max_depth: 32, max_events: 4_000_000, max_nodes: 2_000_000 },
    };
    match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(Node { value: Value::Null, .. }) => Ok(None),
        Ok(node) => Ok(Some(node)),
        Err(serde_saphyr::Error::Eof { .. }) if text.trim().is_empty() => Ok(None),
        Err(serde_saphyr::Error::MultipleDocuments { location, .. }) => {
            Err(SyntaxError { at: place(&location), message: "a second YAML document: a rule file has one".to_owned() })
        }
        Err(error) => {
            let at = error.location().map(|l| place(&l)).unwrap_or_default();
            Err(SyntaxError { at, message: message(&error) })
        }
    }
}

/// The parser's words without its own "at line …" suffix and on one line.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let end = first.find(" at line ").unwrap_or(first.len());
    first[..end].trim_end_matches([',', ':', '.']).to_owned()
}

fn place(location: &serde_saphyr::Location) -> At {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    At {
        line: number(location.line()),
        column: number(location.column()).max(1),
        length: number(location.span().len()).max(1),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, defined, .. } = Spanned::<Value>::deserialize(deserializer)?;
        let mut at = place(&defined);
        if matches!(value, Value::List(_) | Value::Map(_)) {
            at.length = 1;
        }
        Ok(Self { value, at })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }

    fn visit_i128<E>(self, v: i128) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }

    fn visit_u128<E>(self, v: u128) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }

    fn visit_bytes<E>(self, v: &[u8]) -> Result<Value, E> {
        Ok(Value::Text(String::from_utf8_lossy(v).into_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests;
