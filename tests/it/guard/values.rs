//! Random rows: values as SQL text and as points on a scale.

use std::collections::BTreeMap;

pub(super) use chronoguard::guard::time::NANOS;
use chronoguard::guard::time::{Moment, Style};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

/// A value on its type's own scale: `rank` orders what is not a finite time (−∞, −10¹³¹⁰⁷¹, −10⁵⁰, finite, 10⁵⁰, 10¹³¹⁰⁷¹, ∞, NaN).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) rank: i8,
    pub(super) nanos: i128,
}

impl At {
    pub(super) const fn finite(nanos: i128) -> Self {
        Self { rank: 0, nanos }
    }

    /// What is left of it in seconds: absurd numbers are infinite.
    pub(super) fn bounded(self) -> Self {
        Self { rank: self.rank.signum() * 4, nanos: self.nanos }
    }

    /// A `timestamp` or `timestamptz` in seconds: beyond 2^63 microseconds after the epoch, in the last 30 years of the range, PostgreSQL's
    /// `extract(epoch …)` keeps 16 digits, that is milliseconds.
    pub(super) fn extracted(self) -> Self {
        if self.nanos / 1_000 <= i128::from(i64::MAX) {
            self
        } else {
            Self::finite((self.nanos + 500_000) / 1_000_000 * 1_000_000)
        }
    }
}

/// `later - earlier`: `Err(sign)` if infinite, `None` if undefined.
pub(super) fn distance(later: At, earlier: At) -> Option<Result<i128, i8>> {
    let (later, earlier) = (later.extracted(), earlier.extracted());
    match (later.bounded().rank, earlier.bounded().rank) {
        (0, 0) => Some(Ok(later.nanos - earlier.nanos)),
        (a, b) if a == b => None,
        (a, b) => Some(Err((a - b).signum())),
    }
}

#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) literal: String,
    pub(super) at: Option<At>,
    pub(super) text: Option<String>,
}

impl Cell {
    pub(super) fn null() -> Self {
        Self { literal: "NULL".to_owned(), at: None, text: None }
    }

    pub(super) fn time(literal: impl std::fmt::Display, at: At) -> Self {
        Self { literal: format!("'{literal}'"), at: Some(at), text: None }
    }

    pub(super) fn text(text: &str, literal: &str) -> Self {
        Self { literal: literal.to_owned(), at: None, text: Some(text.to_owned()) }
    }
}

pub(super) type Row = BTreeMap<&'static str, Cell>;

pub(super) const COLUMNS: [&str; 23] = [
    "id", "job", "st", "txt", "a", "b", "c", "l", "m", "d", "e", "i", "j", "s", "n", "o", "f", "g", "r", "du", "dn",
    "df", "v",
];

pub(super) const BASE: i128 = 1_767_348_000 * NANOS;
pub(super) const FIRST: i128 = -210_866_803_200 * NANOS;
pub(super) const LAST: i128 = 9_224_318_015_999_999_999_000;
pub(super) const LAST_DATE: i128 = 185_331_706_992_000 * NANOS;
pub(super) const HOUR: i128 = 3_600 * NANOS;
pub(super) const DAY: i128 = 24 * HOUR;
pub(super) const ZONE: i128 = 9 * HOUR;

pub(super) struct Maker {
    pub(super) random: StdRng,
    pub(super) now: i128,
}

impl Maker {
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        *list.choose(&mut self.random).unwrap()
    }

    /// A moment, mostly near others, at multiples of `grain`.
    pub(super) fn moment(&mut self, grain: i128) -> i128 {
        let near = [
            0,
            0,
            1_000,
            999_000,
            1_000_000,
            4_999_000,
            5_000_000,
            5_001_000,
            NANOS,
            HOUR,
            HOUR + 1_000,
            ZONE,
            DAY,
            2 * DAY,
        ];
        let sign = self.pick(&[-1, 1]);
        let nanos = match self.random.random_range(0..20) {
            0 => self.pick(&[0, 1_000, -1_000, NANOS, 500 * NANOS]),
            1 => self.pick(&[
                946_684_800 * NANOS,
                946_684_800 * NANOS - 1_000,
                4_102_444_800 * NANOS,
                4_102_444_800 * NANOS - 1_000,
            ]),
            2 | 3 => self.now + sign * self.pick(&[0, HOUR / 3, 2 * HOUR, 20 * HOUR]) + self.pick(&[0, ZONE]),
            _ => BASE + sign * self.pick(&near),
        };
        nanos.div_euclid(grain) * grain
    }

    pub(super) fn special(&mut self) -> bool {
        self.random.random_range(0..7) == 0
    }

    pub(super) fn instant(&mut self, style: Style, grain: i128, last: i128) -> Cell {
        if self.random.random_range(0..8) == 0 {
            return Cell::null();
        }
        let show = |nanos| Cell::time(style.format(Moment::Finite(nanos)), At::finite(nanos));
        if !self.special() {
            let nanos = self.moment(grain);
            return show(nanos);
        }
        match self.random.random_range(0..6) {
            0 => Cell::time("infinity", At { rank: 4, nanos: 0 }),
            1 => Cell::time("-infinity", At { rank: -4, nanos: 0 }),
            2 => show(FIRST),
            3 => show(FIRST + grain.max(1_000)),
            4 => show(last),
            _ => show(last - grain.max(1_000)),
        }
    }

    pub(super) fn integer(&mut self, unit: i128, low: i128, high: i128) -> Cell {
        if self.random.random_range(0..8) == 0 {
            return Cell::null();
        }
        let count = match self.special() {
            true => self.pick(&[low, low + 1, -1, 0, 1, high - 1, high]),
            false => (self.moment(unit) / unit).clamp(low, high),
        };
        Cell::time(count, At::finite(count * unit))
    }

    pub(super) fn number(&mut self, unit: i128, grain: i128, huge: &str) -> Cell {
        if self.random.random_range(0..8) == 0 {
            return Cell::null();
        }
        if self.special() {
            let ranks =
                [(4, "Infinity"), (-4, "-Infinity"), (5, "NaN"), (2, "1e50"), (-2, "-1e50"), (3, huge), (0, "0")];
            let (rank, literal) = self.pick(&ranks);
            return Cell::time(literal, At { rank, nanos: 0 });
        }
        if self.random.random_range(0..20) == 0 {
            return Cell::time(format!("-{huge}"), At { rank: -3, nanos: 0 });
        }
        let nanos = self.moment(grain);
        let digits = if unit == NANOS { 9 } else { 6 };
        let sign = if nanos < 0 { "-" } else { "" };
        let literal = format!("{sign}{}.{:0digits$}", nanos.abs() / unit, nanos.abs() % unit);
        Cell::time(literal, At::finite(nanos))
    }

    /// A stored duration: right, nearly right, or anything.
    pub(super) fn duration(&mut self, row: &Row, start: &str, end: &str, grain: i128, shift: i128) -> i128 {
        let right = row[end].at.zip(row[start].at).and_then(|(end, start)| distance(end, start)?.ok());
        let right = right.filter(|nanos| nanos.abs() < 1_000_000_000 * NANOS).unwrap_or_default() + shift;
        let off = self.pick(&[0, 0, 0, 0, grain, -grain, 2 * grain, 1_000_000, 5_000_000, 5_001_000, HOUR]);
        (right + off).div_euclid(grain) * grain
    }

    pub(super) fn row(&mut self, id: i64) -> Row {
        let mut row = Row::new();
        row.insert("id", Cell { literal: id.to_string(), at: None, text: None });
        let job = self.random.random_range(0..24);
        row.insert(
            "job",
            if job == 0 {
                Cell::null()
            } else {
                Cell { literal: job.to_string(), at: None, text: Some(job.to_string()) }
            },
        );
        let states = [("queued", "'queued'"), ("done", "'done'"), ("failed", "'failed'")];
        let (text, literal) = self.pick(&states);
        row.insert("st", if self.special() { Cell::null() } else { Cell::text(text, literal) });
        let odd = Cell::text(
            "x",
            "pg_catalog.concat(pg_catalog.chr(20013),'|;\"''',pg_catalog.repeat(pg_catalog.chr(233),80))",
        );
        row.insert("txt", if self.special() { odd } else { Cell::null() });
        for column in ["a", "b", "c"] {
            row.insert(column, self.instant(Style::Instant, 1_000, LAST));
        }
        for column in ["l", "m"] {
            row.insert(column, self.instant(Style::Wall, 1_000, LAST));
        }
        for column in ["d", "e"] {
            row.insert(column, self.instant(Style::Date, DAY, LAST_DATE));
        }
        for column in ["i", "j"] {
            row.insert(column, self.integer(1_000, i64::MIN.into(), i64::MAX.into()));
        }
        row.insert("s", self.integer(NANOS, i32::MIN.into(), i32::MAX.into()));
        for column in ["n", "o"] {
            row.insert(column, self.number(1_000_000, 1_000, "1e131071"));
        }
        for column in ["f", "g"] {
            row.insert(column, self.number(NANOS, 1_000_000, "1e300"));
        }
        // A float4 of today's seconds has a spacing of 128.
        row.insert("r", self.number(NANOS, 128 * NANOS, "1e38"));
        if row["r"].literal.contains("1e50") {
            row.insert("r", Cell::null());
        }
        self.durations(&mut row);
        row
    }

    pub(super) fn durations(&mut self, row: &mut Row) {
        let extreme = self.special();
        let shift = self.pick(&[0, 0, ZONE]);
        let du = match extreme {
            true => self.pick(&[i64::MIN, i64::MAX, 0]).into(),
            false if shift == 0 => self.duration(row, "a", "b", 1_000, 0) / 1_000,
            false => self.duration(row, "l", "a", 1_000, shift) / 1_000,
        };
        row.insert("du", Cell::time(du, At::finite(du * 1_000)));
        let dn = self.duration(row, "i", "j", 1_000, 0);
        let sign = if dn < 0 { "-" } else { "" };
        let literal = format!("{sign}{}.{:06}", dn.abs() / 1_000_000, dn.abs() % 1_000_000);
        row.insert(
            "dn",
            if extreme { self.number(1_000_000, 1_000, "1e131071") } else { Cell::time(literal, At::finite(dn)) },
        );
        let df = self.duration(row, "n", "o", 1_000_000, 0);
        let sign = if df < 0 { "-" } else { "" };
        let literal = format!("{sign}{}.{:03}", df.abs() / NANOS, df.abs() % NANOS / 1_000_000);
        row.insert(
            "df",
            if extreme { self.number(NANOS, 1_000_000, "1e300") } else { Cell::time(literal, At::finite(df)) },
        );
        let v = self.duration(row, "a", "b", 1_000, 0);
        let sign = if v < 0 { "-" } else { "" };
        let literal = format!("{sign}{}.{:06} seconds", v.abs() / NANOS, v.abs() % NANOS / 1_000);
        let years = self.pick(&[178_000_000, -178_000_000, 1]);
        row.insert(
            "v",
            match extreme {
                true => Cell::time(format!("{years} years"), At::finite(years * 31_557_600 * NANOS)),
                false => Cell::time(literal, At::finite(v)),
            },
        );
    }
}

pub(super) fn values(rows: &[Row]) -> String {
    let row = |row: &Row| format!("({})", COLUMNS.map(|column| row[column].literal.as_str()).join(","));
    rows.iter().map(row).collect::<Vec<_>>().join(",")
}
