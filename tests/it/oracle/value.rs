//! Values as they go on the wire and into SQL text, and points in time near the edges of rules.

use chronoguard::guard::time::{Moment, Style};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

/// 2026-02-15 12:00:00 UTC; for days its midnight counts.
pub const BASE: i64 = 1_771_156_800_000_000;
const SECOND: i64 = 1_000_000;
/// Microseconds.
pub const DAY: i64 = 86_400 * SECOND;
/// 2000-01-01, where PostgreSQL counts from.
const Y2000: i64 = 946_684_800 * SECOND;
/// 4714-11-24 BC.
const FIRST: i64 = -210_866_803_200 * SECOND;
/// 44-03-15 BC.
const IDES: i64 = -63_511_516_800 * SECOND;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `timestamptz`
    Instant,
    /// `timestamp`
    Wall,
    /// `date`
    Date,
    /// `bigint`, microseconds since 1970
    Count,
    /// `int`
    Int,
    /// `text`
    Text,
}

impl Type {
    /// Its name.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Instant => "timestamptz",
            Self::Wall => "timestamp",
            Self::Date => "date",
            Self::Count => "bigint",
            Self::Int => "int",
            Self::Text => "text",
        }
    }

    /// The shortest distance of two different points, in microseconds.
    pub fn grain(self) -> i64 {
        if self == Self::Date { DAY } else { 1 }
    }
}

/// A value of a column, `None` for NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its column's type.
    pub kind: Type,
    /// As text.
    pub text: Option<String>,
    /// As the type's binary form.
    pub binary: Option<Vec<u8>>,
}

impl Value {
    /// NULL.
    pub fn null(kind: Type) -> Self {
        Self { kind, text: None, binary: None }
    }

    /// An `int`.
    pub fn int(n: i32) -> Self {
        Self { kind: Type::Int, text: Some(n.to_string()), binary: Some(n.to_be_bytes().into()) }
    }

    /// A `bigint`.
    pub fn count(n: i64) -> Self {
        Self { kind: Type::Count, text: Some(n.to_string()), binary: Some(n.to_be_bytes().into()) }
    }

    /// A `text`.
    pub fn text(text: &str) -> Self {
        Self { kind: Type::Text, text: Some(text.into()), binary: Some(text.into()) }
    }

    /// A constant in SQL, of unknown type where the grammar allows it.
    pub fn bare(&self) -> String {
        match (&self.text, self.kind) {
            (None, _) => "NULL".into(),
            (Some(n), Type::Count | Type::Int) if !n.starts_with('-') => n.clone(),
            (Some(text), _) => format!("'{}'", text.replace('\'', "''")),
        }
    }

    /// A constant in SQL with its type.
    pub fn cast(&self) -> String {
        let text = self.text.as_ref().map_or("NULL".into(), |text| format!("'{}'", text.replace('\'', "''")));
        format!("{text}::{}", self.kind.sql())
    }

    /// A field of COPY's text format.
    pub fn copied(&self) -> String {
        let escape = |text: &String| text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
        self.text.as_ref().map_or("\\N".into(), escape)
    }

    /// A field of CSV; empty without quotes is NULL.
    pub fn csv(&self) -> String {
        self.text.as_ref().map_or(String::new(), |text| format!("\"{}\"", text.replace('"', "\"\"")))
    }
}

/// A point in time of a type, microseconds since 1970 UTC (or the wall's 1970).
pub fn point(kind: Type, micros: i64) -> Value {
    let moment = Moment::Finite(i128::from(micros) * 1_000);
    let since_2000 = micros.saturating_sub(Y2000);
    let (text, binary) = match kind {
        Type::Count => return Value::count(micros),
        Type::Instant => (Style::Instant.format(moment), since_2000.to_be_bytes().to_vec()),
        Type::Wall => (Style::Wall.format(moment), since_2000.to_be_bytes().to_vec()),
        Type::Date => {
            let days = i32::try_from(since_2000.div_euclid(DAY)).expect("a date");
            let midnight = Moment::Finite(i128::from(micros.div_euclid(DAY)) * i128::from(DAY) * 1_000);
            (Style::Date.format(midnight), days.to_be_bytes().to_vec())
        }
        Type::Int | Type::Text => unreachable!("no time"),
    };
    Value { kind, text: Some(text), binary: Some(binary) }
}

/// `infinity` or `-infinity`; for numbers the ends of their range.
fn infinite(kind: Type, late: bool) -> Value {
    let text = Some(if late { "infinity" } else { "-infinity" }.to_owned());
    let (wide, narrow) = if late { (i64::MAX, i32::MAX) } else { (i64::MIN, i32::MIN) };
    match kind {
        Type::Count => Value::count(wide),
        Type::Date => Value { kind, text, binary: Some(narrow.to_be_bytes().into()) },
        _ => Value { kind, text, binary: Some(wide.to_be_bytes().into()) },
    }
}

/// The last value of the type, and a binary form of it that needs more than 64 bits of microseconds since 1970.
fn last(kind: Type) -> Value {
    match kind {
        Type::Count => Value::count(i64::MAX - 1),
        Type::Date => {
            Value { kind, text: Some("5874897-12-31".into()), binary: Some(2_145_031_948_i32.to_be_bytes().into()) }
        }
        _ => {
            let zone = if kind == Type::Instant { "+00" } else { "" };
            let micros = 9_224_318_016_000_000_000_i128 - 1 - i128::from(Y2000);
            let micros = i64::try_from(micros).expect("within PostgreSQL's range");
            let text = format!("294276-12-31 23:59:59.999999{zone}");
            Value { kind, text: Some(text), binary: Some(micros.to_be_bytes().into()) }
        }
    }
}

/// A point in time for a rule whose edges are `edge` microseconds wide.
pub fn near(random: &mut StdRng, kind: Type, edge: i64) -> (Value, Option<i64>) {
    let grain = kind.grain();
    let finite = |micros: i64| (point(kind, micros), Some(micros.div_euclid(grain) * grain));
    match random.random_range(0..40) {
        0..4 => (Value::null(kind), None),
        4 => (infinite(kind, true), None),
        5 => (infinite(kind, false), None),
        6 => match random.random_range(0..5) {
            0 => (last(kind), None),
            1 => finite(FIRST),
            2 => finite(IDES),
            3 => finite(FIRST + DAY),
            _ => finite(*[0, 1, -1, 500_000].choose(random).expect("some")),
        },
        7 => {
            let bound = *[Y2000, Y2000 - grain, 4_102_444_800 * SECOND, 4_102_444_800 * SECOND - grain]
                .choose(random)
                .expect("some");
            finite(bound)
        }
        _ => {
            let sign = *[1, -1].choose(random).expect("some");
            let off = *[0, 0, edge, edge, edge + grain, edge - grain, 2 * edge, grain, 3_600 * SECOND, 2 * DAY]
                .choose(random)
                .expect("some");
            finite(BASE + sign * off)
        }
    }
}
