//! A column's value as a short ASCII text without `|`, that is the same for the same value whatever the session's settings: how old values travel from
//! `SET` or `WHERE` to `RETURNING`. NULL is the empty text.
//!
//! ```text
//! times, integers   "0" or "-" (at or after 2000-01-01 resp. zero, before it) and the hexadecimal form of the type's binary format
//! float             "0" and that form, "-" and its complement, or "0n" for NaN
//! numeric           its shortest decimal form
//! uuid, bool, oid   as it is
//! others            "x" and the hexadecimal form of the whole text, in the database's encoding
//! ```
//! Of times, integers and floats the texts sort (by bytes) as the values do.

use super::{
    Reason,
    row::{Row, Type},
    sql::{Pieces, op},
};

/// Which text of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Of its value.
    Key,
    /// Of the state it holds, whatever its type: as "others".
    State,
}

/// More of a text is not shown: `x` and 40 bytes.
const SHOWN: usize = 81;

/// The text of a column of the row.
pub(super) fn pieces(row: &Row<'_>, name: &str, form: Form) -> Result<Pieces, Reason> {
    let column = row.column(name)?;
    let mut pieces = Pieces::default();
    if form == Form::State {
        pieces.sql(hexadecimal(&column, &state_text(row, name)?));
        return Ok(pieces);
    }
    let type_name = row.facts(name)?.type_name.as_str();
    let mut binary = |zero: &str, send: &str| {
        let before = op(&column, "<", zero);
        pieces.sql(format!("CASE WHEN {before} THEN '-' WHEN {column} IS NOT NULL THEN '0' END"));
        pieces.sql(format!("pg_catalog.encode(pg_catalog.{send}({column}),'hex')"));
    };
    match Type::of(type_name) {
        Type::Instant => binary("pg_catalog.timestamptz '2000-01-01 00:00:00+00'", "timestamptz_send"),
        Type::Timestamp => binary("timestamp '2000-01-01 00:00:00'", "timestamp_send"),
        Type::Date => binary("pg_catalog.date '2000-01-01'", "date_send"),
        Type::Integer => binary("0", &format!("{type_name}send")),
        Type::Numeric => pieces.sql(format!("pg_catalog.trim_scale({column})")),
        Type::Float4 => pieces.sql(float(&format!("{column}::double precision"))),
        Type::Float8 => pieces.sql(float(&column)),
        Type::Plain => pieces.sql(column),
        Type::Interval | Type::Other => pieces.sql(hexadecimal(&column, &format!("pg_catalog.concat({column})"))),
    }
    Ok(pieces)
}

/// What a finding shows of a column that was recorded as `field`; see [`super::verdict`].
pub(super) fn shown(row: &Row<'_>, name: &str, form: Form, field: &str) -> Result<Pieces, Reason> {
    let mut pieces = Pieces::default();
    let tag = match Type::of(&row.facts(name)?.type_name) {
        _ if form == Form::State => "",
        Type::Instant => "T",
        Type::Timestamp => "W",
        Type::Date => "D",
        Type::Integer => "I",
        Type::Float8 => "F",
        Type::Float4 => "G",
        Type::Numeric => {
            pieces.constant("n");
            pieces.sql(format!("pg_catalog.left({field},40)"));
            return Ok(pieces);
        }
        Type::Plain => "n",
        Type::Interval | Type::Other => "",
    };
    if tag.is_empty() {
        pieces.sql(format!("pg_catalog.left({field},{SHOWN})"));
    } else {
        pieces.constant(tag);
        pieces.sql(field);
    }
    Ok(pieces)
}

/// The state that a column holds, as text; empty for NULL.
///
/// # Errors
/// Its type has no text form that is certain.
pub(super) fn state_text(row: &Row<'_>, name: &str) -> Result<String, Reason> {
    let (facts, column) = (row.facts(name)?, row.column(name)?);
    match facts.type_name.as_str() {
        _ if facts.is_enum => Ok(format!("pg_catalog.concat({column})")),
        "text" | "varchar" | "name" | "char" | "int2" | "int4" | "int8" => Ok(format!("pg_catalog.concat({column})")),
        // Without the blanks that fill it up.
        "bpchar" => Ok(format!("pg_catalog.rtrim(pg_catalog.concat({column}))")),
        "bool" => Ok(format!("(CASE WHEN {column} THEN 'true' WHEN NOT {column} THEN 'false' END)")),
        _ => Err(Reason::ColumnType),
    }
}

/// In the database's own encoding: a conversion could fail.
fn hexadecimal(column: &str, text: &str) -> String {
    format!(
        "CASE WHEN {column} IS NOT NULL THEN pg_catalog.concat('x',pg_catalog.encode(pg_catalog.convert_to({text},\
         pg_catalog.getdatabaseencoding()),'hex')) END"
    )
}

/// Zero has no sign and NaN is one value, as they compare.
fn float(number: &str) -> String {
    let hex = |number: &str| format!("pg_catalog.encode(pg_catalog.float8send({number}),'hex')");
    format!(
        "CASE WHEN {} THEN '0n' WHEN {} THEN pg_catalog.concat('0',{}) WHEN {} THEN pg_catalog.concat('-',\
         pg_catalog.translate({},'0123456789abcdef','fedcba9876543210')) END",
        op(number, "=", "'NaN'"),
        op(number, ">=", "0"),
        hex(&op(number, "+", "0::double precision")),
        op(number, "<", "0"),
        hex(number),
    )
}
