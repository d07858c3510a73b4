//! The judged row as SQL: its columns, what they mean as times, and how times of different types are compared.
//!
//! Everything here is total: no expression raises on infinity, NaN, BC, the ends of a type's range or overflow (SPLICE.md 1.5).
//! Comparisons within one type are direct. Everything else, and all arithmetic, is on *seconds since the epoch* as `numeric`, which has
//! infinities and does not overflow once [`Shape::seconds`] has brought absurd numbers to infinity.

use super::{
    Reason, Slot, Source,
    sql::{Pieces, attribute, literal, op},
};
use crate::{
    catalog::facts::{ColumnFacts, RelationFacts},
    rules::set::{Rule, Unit},
};

/// Beyond this (in any unit) a number is taken as infinite: far from any time, and far from where `numeric` overflows.
const ABSURD: &str = "1e30";

/// The judged row: how SQL names it, and what is known of its relation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) relation: &'a RelationFacts,
    /// Alias or table name as SQL text.
    pub(super) name: &'a str,
    /// Whose row, for the slots.
    pub(super) source: Source,
    /// COPY's WHERE cannot name generated columns: write their expressions instead.
    pub(super) inline_generated: bool,
}

impl<'a> Row<'a> {
    /// The facts on a column that the guard may read.
    pub(super) fn facts(&self, name: &str) -> Result<&'a ColumnFacts, Reason> {
        let facts = self.relation.column(name).ok_or(Reason::ColumnMissing)?;
        if !facts.can_select {
            return Err(Reason::NoSelectPrivilege);
        }
        // Naming a virtual column computes it, which may raise for a row that is stored without a murmur.
        if facts.virtual_generated {
            return Err(Reason::ColumnType);
        }
        Ok(facts)
    }

    /// A column as SQL, in parentheses if need be.
    pub(super) fn column(&self, name: &str) -> Result<String, Reason> {
        let facts = self.facts(name)?;
        match &facts.default {
            Some(expression) if facts.generated && self.inline_generated => Ok(format!("({expression})")),
            None if facts.generated && self.inline_generated => Err(Reason::CatalogUnknown),
            _ => Ok(format!("{}.{}", self.name, attribute(name))),
        }
    }

    /// A column that must be a time; `unit` is the one of a number.
    pub(super) fn time(&self, name: &str, unit: Option<Unit>) -> Result<Time, Reason> {
        let shape = match (Type::of(&self.facts(name)?.type_name), unit) {
            (Type::Instant, _) => Shape::Instant,
            (Type::Timestamp, _) => Shape::Timestamp,
            (Type::Date, _) => Shape::Date,
            (Type::Integer, Some(unit)) => Shape::Count(unit, Number::Integer),
            (Type::Numeric, Some(unit)) => Shape::Count(unit, Number::Numeric),
            (Type::Float4, Some(unit)) => Shape::Count(unit, Number::Float4),
            (Type::Float8, Some(unit)) => Shape::Count(unit, Number::Float8),
            _ => return Err(Reason::ColumnType),
        };
        Ok(Time { slot: self.slot(name), sql: self.column(name)?, shape })
    }

    /// A time column of the guarded table, with the unit that the rule gives it.
    pub(super) fn rule_time(&self, rule: &Rule, name: &str) -> Result<Time, Reason> {
        self.time(name, rule.units.get(name).copied())
    }

    /// What a finding shows of a column of any type.
    pub(super) fn shown(&self, name: &str) -> Result<Shown, Reason> {
        let sql = self.column(name)?;
        let mut pieces = Pieces::default();
        match Type::of(&self.facts(name)?.type_name) {
            Type::Instant => tagged(&mut pieces, 't', epoch(&sql)),
            Type::Timestamp => tagged(&mut pieces, 'w', epoch(&sql)),
            Type::Date => tagged(&mut pieces, 'd', epoch(&sql)),
            Type::Integer | Type::Float4 | Type::Float8 | Type::Plain => tagged(&mut pieces, 'n', sql),
            Type::Numeric => tagged(&mut pieces, 'n', format!("pg_catalog.left(pg_catalog.concat({sql}),40)")),
            Type::Interval => tagged(&mut pieces, 'i', epoch(&sql)),
            // In the database's own encoding: a conversion could fail.
            Type::Other => pieces.sql(format!(
                "CASE WHEN {sql} IS NOT NULL THEN pg_catalog.concat('x',pg_catalog.encode(pg_catalog.convert_to(\
                 pg_catalog.left(pg_catalog.concat({sql}),40),pg_catalog.getdatabaseencoding()),'hex')) END"
            )),
        }
        Ok(Shown { slot: self.slot(name), pieces })
    }

    fn slot(&self, name: &str) -> Slot {
        Slot { source: self.source, column: name.to_owned() }
    }
}

fn tagged(pieces: &mut Pieces, tag: char, sql: String) {
    pieces.constant(&tag.to_string());
    pieces.sql(sql);
}

/// `extract(epoch from …)` is a keyword form of `pg_catalog.extract`: numeric and exact, ±Infinity for ±infinity.
fn epoch(sql: &str) -> String {
    format!("extract(epoch from {sql})")
}

/// One value of a finding and its SQL.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) slot: Slot,
    pub(super) pieces: Pieces,
}

/// The types the guard tells apart, by the catalog's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Instant,
    Timestamp,
    Date,
    Integer,
    Numeric,
    Float4,
    Float8,
    Interval,
    /// Its text is ASCII without `|`, `;` or `"`, and short.
    Plain,
    Other,
}

impl Type {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "timestamptz" => Self::Instant,
            "timestamp" => Self::Timestamp,
            "date" => Self::Date,
            "int2" | "int4" | "int8" => Self::Integer,
            "numeric" => Self::Numeric,
            "float4" => Self::Float4,
            "float8" => Self::Float8,
            "interval" => Self::Interval,
            "uuid" | "bool" | "oid" => Self::Plain,
            _ => Self::Other,
        }
    }
}

/// The number types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Integer,
    Numeric,
    Float4,
    Float8,
}

impl Number {
    /// The number as `numeric`. `float4` goes through `float8`, which keeps all its digits.
    fn numeric(self, sql: &str) -> String {
        match self {
            Self::Float4 => format!("{sql}::double precision::numeric"),
            _ => format!("{sql}::numeric"),
        }
    }

    /// The number as `numeric` that no sum with another of its kind overflows; NaN becomes Infinity, as it sorts.
    pub(super) fn bounded(self, sql: &str) -> String {
        let number = self.numeric(sql);
        if self == Self::Integer {
            return number;
        }
        format!(
            "CASE WHEN {} THEN 'Infinity' WHEN {} THEN '-Infinity' ELSE {number} END",
            op(&number, ">", ABSURD),
            op(&number, "<", &format!("(-{ABSURD})")),
        )
    }

    /// The number in seconds, where it counts `unit`.
    pub(super) fn seconds(self, sql: &str, unit: Unit) -> String {
        let bounded = self.bounded(sql);
        match (unit, self) {
            (Unit::S, Self::Integer) => bounded,
            (Unit::S, _) => format!("({bounded})"),
            // A constant factor: exact, and unlike a division it keeps all digits.
            (_, Self::Integer) => format!("({})", op(&bounded, "*", factor(unit))),
            _ => format!("({})", op(&format!("({bounded})"), "*", factor(unit))),
        }
    }
}

/// Seconds in one of the unit.
fn factor(unit: Unit) -> &'static str {
    match unit {
        Unit::S => "1",
        Unit::Ms => "0.001",
        Unit::Us => "0.000001",
        Unit::Ns => "0.000000001",
    }
}

/// What kind of time an SQL expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Instant,
    Timestamp,
    Date,
    Count(Unit, Number),
}

impl Shape {
    /// No zone of its own.
    pub(super) fn wall(self) -> bool {
        matches!(self, Self::Timestamp | Self::Date)
    }

    /// Seconds since the epoch; a wall time as if it were UTC.
    pub(super) fn seconds(self, sql: &str) -> String {
        match self {
            Self::Count(unit, number) => number.seconds(sql, unit),
            _ => epoch(sql),
        }
    }

    /// Seconds since the epoch, a wall time read in `zone`. Where the conversion would leave the range of the type, some hours from its
    /// ends, the wall time counts as UTC.
    pub(super) fn instant_seconds(self, sql: &str, zone: &str) -> String {
        if !self.wall() {
            return self.seconds(sql);
        }
        let wall = if self == Self::Date { format!("{sql}::timestamp") } else { sql.to_owned() };
        format!(
            "CASE WHEN {} AND {} THEN {} ELSE {} END",
            op(sql, ">", "timestamp '4700-01-01 00:00:00 BC'"),
            op(sql, "<", "timestamp '294000-01-01 00:00:00'"),
            epoch(&format!("pg_catalog.timezone({},{wall})", literal(zone))),
            epoch(sql),
        )
    }
}

/// A zone name that is safe to write as a constant. The rule loader knows whether it exists.
pub(super) fn zone(rule: &Rule) -> Result<Option<&str>, Reason> {
    match rule.timezone.as_deref() {
        Some(name) if !name.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') => Err(Reason::ColumnType),
        name => Ok(name),
    }
}

/// A time column.
#[derive(Debug, Clone)]
pub(super) struct Time {
    pub(super) slot: Slot,
    pub(super) sql: String,
    pub(super) shape: Shape,
}

/// Times that were brought to one type, so that they compare with each other.
#[derive(Debug)]
pub(super) struct Axis {
    /// `None`: they are seconds as `numeric`.
    shape: Option<Shape>,
    /// One SQL expression for each time.
    pub(super) sql: Vec<String>,
    shown: Vec<Shown>,
}

impl Axis {
    /// # Errors
    /// Wall times meet instants, and the rule names no zone.
    pub(super) fn new(times: &[Time], zone: Option<&str>) -> Result<Self, Reason> {
        let first = times.first().ok_or(Reason::ColumnType)?.shape;
        if times.iter().all(|time| time.shape == first) {
            return Ok(Self {
                shape: Some(first),
                sql: times.iter().map(|time| time.sql.clone()).collect(),
                shown: times.iter().map(|time| time.shown(None)).collect(),
            });
        }
        let mixed = times.iter().any(|time| time.shape.wall()) && !times.iter().all(|time| time.shape.wall());
        let zone = match (mixed, zone) {
            (true, None) => return Err(Reason::ColumnType),
            (true, zone) => zone,
            (false, _) => None,
        };
        Ok(Self {
            shape: None,
            sql: times.iter().map(|time| time.seconds(zone)).collect(),
            shown: times.iter().map(|time| time.shown(zone)).collect(),
        })
    }

    /// The times and the server's clock, as seconds: `near_now`.
    pub(super) fn instants(times: &[Time], zone: Option<&str>) -> Result<Self, Reason> {
        if zone.is_none() && times.iter().any(|time| time.shape.wall()) {
            return Err(Reason::ColumnType);
        }
        Ok(Self {
            shape: None,
            sql: times.iter().map(|time| time.seconds(zone)).collect(),
            shown: times.iter().map(|time| time.shown(zone)).collect(),
        })
    }

    /// Seconds of one of `self.sql`, or of a `COALESCE` of them.
    pub(super) fn seconds(&self, sql: &str) -> String {
        match self.shape {
            Some(shape) => shape.seconds(sql),
            None => sql.to_owned(),
        }
    }

    /// `later - earlier` in seconds.
    pub(super) fn distance(&self, later: &str, earlier: &str) -> String {
        op(&self.seconds(later), "-", &self.seconds(earlier))
    }

    /// A distance of absurd numbers is `Infinity - Infinity`, that is NaN, and tells nothing of their order.
    pub(super) fn may_be_absurd(&self) -> bool {
        matches!(self.shape, Some(Shape::Count(_, number)) if number != Number::Integer)
    }

    /// What a finding shows of the times.
    pub(super) fn shown(self) -> Vec<Shown> {
        self.shown
    }
}

impl Time {
    fn seconds(&self, zone: Option<&str>) -> String {
        match zone {
            // In parentheses: a CASE as an operand of OPERATOR() must be.
            Some(zone) if self.shape.wall() => format!("({})", self.shape.instant_seconds(&self.sql, zone)),
            _ => self.shape.seconds(&self.sql),
        }
    }

    /// As it is, or, if a zone is needed to compare it, the instant it means.
    fn shown(&self, zone: Option<&str>) -> Shown {
        let mut pieces = Pieces::default();
        match (self.shape, zone) {
            (Shape::Instant, _) => tagged(&mut pieces, 't', epoch(&self.sql)),
            (Shape::Timestamp | Shape::Date, Some(_)) => tagged(&mut pieces, 't', self.seconds(zone)),
            (Shape::Timestamp, None) => tagged(&mut pieces, 'w', epoch(&self.sql)),
            (Shape::Date, None) => tagged(&mut pieces, 'd', epoch(&self.sql)),
            (Shape::Count(_, Number::Numeric), _) => {
                tagged(&mut pieces, 'n', format!("pg_catalog.left(pg_catalog.concat({}),40)", self.sql));
            }
            (Shape::Count(..), _) => tagged(&mut pieces, 'n', self.sql.clone()),
        }
        Shown { slot: self.slot.clone(), pieces }
    }
}
