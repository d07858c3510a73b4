//! Pieces of SQL text that mean the same in every session: qualified operators, quoted names and literals, a list of text pieces.

/// A name as an SQL identifier that may stand anywhere.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name behind a dot, where every keyword is allowed: quoted only if need be.
pub(super) fn attribute(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain { name.to_owned() } else { identifier(name) }
}

/// A string constant. The callers make sure that `text` has no backslash (`standard_conforming_strings`).
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A string constant of any text, whatever `standard_conforming_strings` says.
pub(super) fn string(text: &str) -> String {
    let plain = literal(text);
    if text.contains('\\') { format!("E{}", plain.replace('\\', "\\\\")) } else { plain }
}

/// Behind an expression: it compares byte by byte, whatever the collation of its column.
pub(super) const C: &str = " COLLATE pg_catalog.\"C\"";

/// `left operator right`, with the operator of `pg_catalog` whatever the `search_path`.
pub(super) fn op(left: &str, operator: &str, right: &str) -> String {
    format!("{left} OPERATOR(pg_catalog.{operator}) {right}")
}

/// A boolean list as `a OR b`, each part in parentheses where it is more than a comparison.
pub(super) fn any_of(parts: Vec<String>) -> String {
    parts.join(" OR ")
}

/// The arguments of a `pg_catalog.concat` call, which makes NULL empty. Neighbouring constants become one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Constant(String),
    Sql(String),
}

impl Pieces {
    pub(super) fn constant(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Constant(last)) => last.push_str(text),
            _ => self.0.push(Piece::Constant(text.to_owned())),
        }
    }

    pub(super) fn sql(&mut self, sql: impl Into<String>) {
        self.0.push(Piece::Sql(sql.into()));
    }

    pub(super) fn extend(&mut self, other: &Pieces) {
        for piece in &other.0 {
            match piece {
                Piece::Constant(text) => self.constant(text),
                Piece::Sql(sql) => self.sql(sql.clone()),
            }
        }
    }

    /// The call. `concat` is STABLE: nothing is folded while planning.
    pub(super) fn concat(&self) -> String {
        let arguments: Vec<String> = self
            .0
            .iter()
            .map(|piece| match piece {
                Piece::Constant(text) => literal(text),
                Piece::Sql(sql) => sql.clone(),
            })
            .collect();
        concat(&arguments)
    }
}

/// `FUNC_MAX_ARGS`: the most arguments of a call.
const MOST_ARGUMENTS: usize = 100;

/// The call over as many arguments as there are.
pub(super) fn concat(arguments: &[String]) -> String {
    if arguments.len() <= MOST_ARGUMENTS {
        return format!("pg_catalog.concat({})", arguments.join(","));
    }
    concat(&arguments.chunks(MOST_ARGUMENTS).map(concat).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_has_too_many_arguments() {
        let arguments = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(concat(&arguments(2)), "pg_catalog.concat(0,1)");
        assert_eq!(concat(&arguments(100)).matches("concat").count(), 1);
        let nested = concat(&arguments(201));
        assert!(nested.starts_with("pg_catalog.concat(pg_catalog.concat(0,1,"), "{nested}");
        assert!(nested.ends_with("199),pg_catalog.concat(200))"), "{nested}");
    }

    #[test]
    fn strings_mean_the_same_under_every_setting() {
        for (text, sql) in [("a", "'a'"), ("it's", "'it''s'"), ("a\\b'", "E'a\\\\b'''")] {
            assert_eq!(string(text), sql);
        }
    }
}
