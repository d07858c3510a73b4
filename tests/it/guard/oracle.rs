//! PostgreSQL as the judge of the judge: random rows with every special value, each judged by the guard in the server and by a plain
//! evaluation of the same rules here. No verdict may differ, and no guard may ever raise an error of its own.

use chronoguard::{
    guard::{
        time::{Moment, NANOS, Style},
        verdict::from_column,
    },
    rules::set::{Kind, NearNow, Order, Rule, TableRules},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::*;

const TABLE: &str = "
CREATE TABLE p (id int8 PRIMARY KEY, ca timestamptz, cu int8);
CREATE TABLE t (
  id int8 PRIMARY KEY, job int8, st text, txt text,
  a timestamptz, b timestamptz, c timestamptz, l timestamp, m timestamp, d date, e date,
  i int8, j int8, s int4, n numeric, o numeric, f float8, g float8, r float4,
  du int8, dn numeric, df float8, v interval);
CREATE TABLE copied (LIKE t INCLUDING ALL);";

const RULES: &str = r#"
version: 1
tables:
  - table: public.t
    units: {i: us, j: us, s: s, n: ms, o: ms, f: s, g: s, r: s, cu: us}
    rules:
      - {name: abc, order: [a, b, c]}
      - {name: abc_strict, order: [a, b, c], strict: true}
      - {name: abc_tolerance, order: [a, b, c], tolerance: 5ms}
      - {name: ab_both, order: [a, b], tolerance: 5ms, strict: true}
      - {name: ab_min, order: [a, b], min_gap: 1ms}
      - {name: abc_max, order: [a, b, c], max_gap: 1h}
      - {name: ab_gaps, order: [a, b], min_gap: 1ms, max_gap: 1h}
      - {name: lm, order: [l, m]}
      - {name: lm_tolerance, order: [l, m], tolerance: 5ms}
      - {name: de, order: [d, e], max_gap: 2d}
      - {name: de_strict, order: [d, e], strict: true}
      - {name: dl, order: [d, l]}
      - {name: ld_tolerance, order: [l, d, m], tolerance: 1h}
      - {name: al, order: [a, l], timezone: Etc/GMT-9}
      - {name: lad, order: [l, a, d], timezone: Etc/GMT-9, tolerance: 5ms}
      - {name: dci, order: [d, c, i], timezone: Etc/GMT-9, max_gap: 1d}
      - {name: ij, order: [i, j]}
      - {name: ij_tolerance, order: [i, j], tolerance: 5us}
      - {name: ij_min, order: [i, j], min_gap: 1us, max_gap: 1h}
      - {name: ai, order: [a, i]}
      - {name: isnf, order: [i, s, n, f], tolerance: 1ms}
      - {name: no, order: [n, o]}
      - {name: no_tolerance, order: [n, o], tolerance: 5ms}
      - {name: no_gaps, order: [n, o], min_gap: 1ms, max_gap: 1h}
      - {name: fg, order: [f, g], strict: true}
      - {name: fg_tolerance, order: [f, g], tolerance: 5ms}
      - {name: fg_gaps, order: [f, g], min_gap: 1ms, max_gap: 1h}
      - {name: rf, order: [r, f]}
      - {name: rf_gap, order: [r, f], min_gap: 1s}
      - {name: du, duration: {column: du, start: a, end: b, unit: us, tolerance: 1us}}
      - {name: dn, duration: {column: dn, start: i, end: j, unit: ms}}
      - {name: df, duration: {column: df, start: n, end: o, unit: s, tolerance: 1ms}}
      - {name: dv, duration: {column: v, start: a, end: b, unit: s, tolerance: 5ms}}
      - {name: dz, duration: {column: du, start: l, end: a, unit: us}, timezone: Etc/GMT-9}
      - {name: plausible, plausible: {columns: [a, l, d, i, s, n, f, r], after: 2000-01-01, before: 2100-01-01}}
      - {name: plausible_zero, plausible: {columns: [a, l, d, i, s, n, f, r], after: 1960-01-01, before: 2100-01-01}}
      - {name: fresh, near_now: {columns: [a, i, n, f], past: 1h, future: 1h}}
      - {name: fresh_zone, near_now: {columns: [l], past: 12h, future: 1h}, timezone: Etc/GMT-9}
      - {name: not_future, near_now: {columns: [b], future: 1500us}}
      - {name: required, require: {not_null: [a, i], null: [txt]}}
      - {name: when_done, when: "st = 'done'", require: {not_null: [b]}}
      - {name: when_order, when: "st IN ('done', 'failed')", order: [a, b]}
      - {name: checked, check: "i < j OR st IS NULL"}
      - {name: reused, parent: {table: p, join: {job: id}, not_reused: {a: ca, i: cu}}}
      - {name: before, parent: {table: p, join: {job: id}, not_before: {a: ca, b: cu}, tolerance: 5ms}}
      - {name: locked, parent: {table: p, join: {job: id}, not_reused: {b: ca}, not_before: {i: cu}, lock_parent: true}}
"#;

/// A value on its type's own scale: `rank` orders what is not a finite time (−∞, −10¹³¹⁰⁷¹, −10⁵⁰, finite, 10⁵⁰, 10¹³¹⁰⁷¹, ∞, NaN).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    rank: i8,
    nanos: i128,
}

impl At {
    const fn finite(nanos: i128) -> Self {
        Self { rank: 0, nanos }
    }

    /// What is left of it in seconds: absurd numbers are infinite.
    fn bounded(self) -> Self {
        Self { rank: self.rank.signum() * 4, nanos: self.nanos }
    }

    /// A `timestamp` or `timestamptz` in seconds: beyond 2^63 microseconds after the epoch, in the last 30 years of the range, PostgreSQL's
    /// `extract(epoch …)` keeps 16 digits, that is milliseconds.
    fn extracted(self) -> Self {
        if self.nanos / 1_000 <= i128::from(i64::MAX) { self } else { Self::finite((self.nanos + 500_000) / 1_000_000 * 1_000_000) }
    }
}

/// `later - earlier`: `Err(sign)` if infinite, `None` if undefined.
fn distance(later: At, earlier: At) -> Option<Result<i128, i8>> {
    let (later, earlier) = (later.extracted(), earlier.extracted());
    match (later.bounded().rank, earlier.bounded().rank) {
        (0, 0) => Some(Ok(later.nanos - earlier.nanos)),
        (a, b) if a == b => None,
        (a, b) => Some(Err((a - b).signum())),
    }
}

#[derive(Debug, Clone)]
struct Cell {
    literal: String,
    at: Option<At>,
    text: Option<String>,
}

impl Cell {
    fn null() -> Self {
        Self { literal: "NULL".to_owned(), at: None, text: None }
    }

    fn time(literal: impl std::fmt::Display, at: At) -> Self {
        Self { literal: format!("'{literal}'"), at: Some(at), text: None }
    }

    fn text(text: &str, literal: &str) -> Self {
        Self { literal: literal.to_owned(), at: None, text: Some(text.to_owned()) }
    }
}

type Row = BTreeMap<&'static str, Cell>;

const COLUMNS: [&str; 23] = [
    "id", "job", "st", "txt", "a", "b", "c", "l", "m", "d", "e", "i", "j", "s", "n", "o", "f", "g", "r", "du", "dn", "df", "v",
];

const BASE: i128 = 1_767_348_000 * NANOS;
const FIRST: i128 = -210_866_803_200 * NANOS;
const LAST: i128 = 9_224_318_015_999_999_999_000;
const LAST_DATE: i128 = 185_331_706_992_000 * NANOS;
const HOUR: i128 = 3_600 * NANOS;
const DAY: i128 = 24 * HOUR;
const ZONE: i128 = 9 * HOUR;

struct Maker {
    random: StdRng,
    now: i128,
}

impl Maker {
    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        *list.choose(&mut self.random).unwrap()
    }

    /// A moment, mostly near others, at multiples of `grain`.
    fn moment(&mut self, grain: i128) -> i128 {
        let near = [0, 0, 1_000, 999_000, 1_000_000, 4_999_000, 5_000_000, 5_001_000, NANOS, HOUR, HOUR + 1_000, ZONE, DAY, 2 * DAY];
        let sign = self.pick(&[-1, 1]);
        let nanos = match self.random.random_range(0..20) {
            0 => self.pick(&[0, 1_000, -1_000, NANOS, 500 * NANOS]),
            1 => self.pick(&[946_684_800 * NANOS, 946_684_800 * NANOS - 1_000, 4_102_444_800 * NANOS, 4_102_444_800 * NANOS - 1_000]),
            2 | 3 => self.now + sign * self.pick(&[0, HOUR / 3, 2 * HOUR, 20 * HOUR]) + self.pick(&[0, ZONE]),
            _ => BASE + sign * self.pick(&near),
        };
        nanos.div_euclid(grain) * grain
    }

    fn special(&mut self) -> bool {
        self.random.random_range(0..7) == 0
    }

    fn instant(&mut self, style: Style, grain: i128, last: i128) -> Cell {
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

    fn integer(&mut self, unit: i128, low: i128, high: i128) -> Cell {
        if self.random.random_range(0..8) == 0 {
            return Cell::null();
        }
        let count = match self.special() {
            true => self.pick(&[low, low + 1, -1, 0, 1, high - 1, high]),
            false => (self.moment(unit) / unit).clamp(low, high),
        };
        Cell::time(count, At::finite(count * unit))
    }

    fn number(&mut self, unit: i128, grain: i128, huge: &str) -> Cell {
        if self.random.random_range(0..8) == 0 {
            return Cell::null();
        }
        if self.special() {
            let ranks = [(4, "Infinity"), (-4, "-Infinity"), (5, "NaN"), (2, "1e50"), (-2, "-1e50"), (3, huge), (0, "0")];
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
    fn duration(&mut self, row: &Row, start: &str, end: &str, grain: i128, shift: i128) -> i128 {
        let right = row[end].at.zip(row[start].at).and_then(|(end, start)| distance(end, start)?.ok());
        let right = right.filter(|nanos| nanos.abs() < 1_000_000_000 * NANOS).unwrap_or_default() + shift;
        let off = self.pick(&[0, 0, 0, 0, grain, -grain, 2 * grain, 1_000_000, 5_000_000, 5_001_000, HOUR]);
        (right + off).div_euclid(grain) * grain
    }

    fn row(&mut self, id: i64) -> Row {
        let mut row = Row::new();
        row.insert("id", Cell { literal: id.to_string(), at: None, text: None });
        let job = self.random.random_range(0..24);
        row.insert("job", if job == 0 { Cell::null() } else { Cell { literal: job.to_string(), at: None, text: Some(job.to_string()) } });
        let states = [("queued", "'queued'"), ("done", "'done'"), ("failed", "'failed'")];
        let (text, literal) = self.pick(&states);
        row.insert("st", if self.special() { Cell::null() } else { Cell::text(text, literal) });
        let odd = Cell::text("x", "pg_catalog.concat(pg_catalog.chr(20013),'|;\"''',pg_catalog.repeat(pg_catalog.chr(233),80))");
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

    fn durations(&mut self, row: &mut Row) {
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
        row.insert("dn", if extreme { self.number(1_000_000, 1_000, "1e131071") } else { Cell::time(literal, At::finite(dn)) });
        let df = self.duration(row, "n", "o", 1_000_000, 0);
        let sign = if df < 0 { "-" } else { "" };
        let literal = format!("{sign}{}.{:03}", df.abs() / NANOS, df.abs() % NANOS / 1_000_000);
        row.insert("df", if extreme { self.number(NANOS, 1_000_000, "1e300") } else { Cell::time(literal, At::finite(df)) });
        let v = self.duration(row, "a", "b", 1_000, 0);
        let sign = if v < 0 { "-" } else { "" };
        let literal = format!("{sign}{}.{:06} seconds", v.abs() / NANOS, v.abs() % NANOS / 1_000);
        let years = self.pick(&[178_000_000, -178_000_000, 1]);
        row.insert("v", match extreme {
            true => Cell::time(format!("{years} years"), At::finite(years * 31_557_600 * NANOS)),
            false => Cell::time(literal, At::finite(v)),
        });
    }
}

/// The rules, evaluated without SQL.
struct Judge<'a> {
    rules: &'a TableRules,
    parents: BTreeMap<String, Row>,
    now: i128,
}

impl Judge<'_> {
    fn violated(&self, row: &Row) -> Vec<String> {
        let rules = self.rules.rules.iter();
        rules.filter(|rule| self.applies(rule, row) && self.breaks(rule, row)).map(|rule| rule.name.clone()).collect()
    }

    fn applies(&self, rule: &Rule, row: &Row) -> bool {
        let state = row["st"].text.as_deref();
        match rule.when.as_ref().map(|when| when.text.as_str()) {
            None => true,
            Some("st = 'done'") => state == Some("done"),
            Some("st IN ('done', 'failed')") => matches!(state, Some("done" | "failed")),
            Some(other) => panic!("{other}"),
        }
    }

    fn breaks(&self, rule: &Rule, row: &Row) -> bool {
        let at = |column: &str| row[column].at;
        match &rule.kind {
            Kind::Order(order) => self.order(rule, order, row),
            Kind::Duration(duration) => {
                let (start, end) = (instant(rule, row, &duration.start), instant(rule, row, &duration.end));
                let (Some(stored), Some(start), Some(end)) = (at(&duration.column), start, end) else { return false };
                let tolerance = i128::from(duration.tolerance.nanos);
                match (stored.bounded(), distance(end, start)) {
                    (_, None) => false,
                    (At { rank: 0, nanos }, Some(Ok(actual))) => (nanos - actual).abs() > tolerance,
                    (At { rank, .. }, Some(Err(sign))) => rank.signum() != sign,
                    (_, Some(Ok(_))) => true,
                }
            }
            Kind::NearNow(near_now) => self.near_now(rule, near_now, row),
            Kind::Plausible(plausible) => plausible.columns.iter().filter_map(|column| at(column)).any(|at| {
                let range = plausible.after.as_nanosecond()..plausible.before.as_nanosecond();
                at.rank != 0 || at.nanos == 0 || !range.contains(&at.nanos)
            }),
            Kind::Require(require) => {
                let null = |column: &String| row[column.as_str()].literal == "NULL";
                require.not_null.iter().any(null) || !require.null.iter().all(null)
            }
            Kind::Check(_) => {
                let less = at("i").zip(at("j")).map(|(i, j)| i < j);
                row["st"].text.is_some() && less == Some(false)
            }
            Kind::Parent(parent) => {
                let Some(above) = row["job"].text.as_ref().and_then(|job| self.parents.get(job)) else { return false };
                let pair = |(own, theirs): &(String, String)| at(own).zip(above[theirs.as_str()].at);
                parent.not_reused.iter().filter_map(pair).any(|(own, theirs)| own == theirs)
                    || parent.not_before.iter().filter_map(pair).any(|(own, theirs)| match distance(theirs, own) {
                        Some(Ok(nanos)) => nanos > i128::from(parent.tolerance.nanos),
                        Some(Err(sign)) => sign > 0,
                        None => false,
                    })
            }
        }
    }

    fn order(&self, rule: &Rule, order: &Order, row: &Row) -> bool {
        let own_scale = order.columns.iter().all(|column| kind_of(column) == kind_of(&order.columns[0]));
        let present: Vec<At> = order
            .columns
            .iter()
            .filter_map(|column| if own_scale { row[column.as_str()].at } else { Some(instant(rule, row, column)?.bounded()) })
            .collect();
        present.windows(2).any(|pair| {
            let (earlier, later) = (pair[0], pair[1]);
            let gap = distance(later, earlier);
            let early = match (order.min_gap, order.tolerance.nanos) {
                (Some(least), _) => later < earlier || matches!(gap, Some(Ok(nanos)) if nanos < i128::from(least.nanos)),
                (None, 0) if order.strict => later <= earlier,
                (None, 0) => later < earlier,
                (None, tolerance) => {
                    let beyond = i128::from(tolerance) + i128::from(!order.strict);
                    later < earlier && !matches!(gap, Some(Ok(nanos)) if -nanos < beyond)
                }
            };
            let late = order.max_gap.is_some_and(|most| {
                later > earlier && !matches!(gap, Some(Ok(nanos)) if nanos <= i128::from(most.nanos))
            });
            early || late
        })
    }

    fn near_now(&self, rule: &Rule, near_now: &NearNow, row: &Row) -> bool {
        near_now.columns.iter().filter_map(|column| Some(instant(rule, row, column)?.bounded())).any(|at| {
            let old = near_now.past.is_some_and(|past| match at.rank {
                0 => self.now - at.nanos > i128::from(past.nanos),
                rank => rank < 0,
            });
            let early = near_now.future.is_some_and(|future| match at.rank {
                0 => at.nanos - self.now > i128::from(future.nanos),
                rank => rank > 0,
            });
            old || early
        })
    }
}

fn kind_of(column: &str) -> &'static str {
    match column {
        "a" | "b" | "c" => "timestamptz",
        "l" | "m" => "timestamp",
        "d" | "e" => "date",
        "i" | "j" => "us",
        "s" => "s",
        "n" | "o" => "ms",
        "f" | "g" => "f8",
        _ => "f4",
    }
}

/// The column as an instant: wall times in the rule's zone, except some hours from the ends of the range.
fn instant(rule: &Rule, row: &Row, column: &str) -> Option<At> {
    let at = row[column].at?;
    let wall = matches!(kind_of(column), "timestamp" | "date");
    let convertible = -210_000_000_000 * NANOS < at.nanos && at.nanos < 9_215_000_000_000 * NANOS;
    let zoned = wall && rule.timezone.is_some() && at.rank == 0 && convertible;
    Some(if zoned { At::finite(at.nanos - ZONE) } else { at.extracted() })
}

fn values(rows: &[Row]) -> String {
    let row = |row: &Row| format!("({})", COLUMNS.map(|column| row[column].literal.as_str()).join(","));
    rows.iter().map(row).collect::<Vec<_>>().join(",")
}

/// Everything a run needs.
struct Bench {
    session: Session,
    rules: Arc<TableRules>,
    facts: RelationFacts,
    maker: Maker,
    parents: BTreeMap<String, Row>,
    next_id: i64,
}

impl Bench {
    async fn new(seed: u64) -> Self {
        let database = support::create_database_with(TABLE).await;
        let session = Session::open(&database).await;
        let now: String = session.client.query_one("SELECT floor(extract(epoch FROM now()))::int8::text", &[]).await.unwrap().get(0);
        let now = now.parse::<i128>().unwrap() * NANOS;
        let mut maker = Maker { random: StdRng::seed_from_u64(seed), now };
        let mut parents = BTreeMap::new();
        for id in 1..20 {
            let row = Row::from([("ca", maker.instant(Style::Instant, 1_000, LAST)), ("cu", maker.integer(1_000, i64::MIN.into(), i64::MAX.into()))]);
            session.run(&format!("INSERT INTO public.p VALUES ({id}, {}, {})", row["ca"].literal, row["cu"].literal)).await;
            parents.insert(id.to_string(), row);
        }
        let parent = QualifiedName { schema: "public".to_owned(), name: "p".to_owned() };
        let facts = session.facts("public", "t", &[parent]).await;
        Self { session, rules: rules(RULES), facts, maker, parents, next_id: 0 }
    }

    fn rows(&mut self, count: usize) -> Vec<Row> {
        (0..count)
            .map(|_| {
                self.next_id += 1;
                self.maker.row(self.next_id)
            })
            .collect()
    }

    fn expected(&self, row: &Row) -> Vec<String> {
        Judge { rules: &self.rules, parents: self.parents.clone(), now: self.maker.now }.violated(row)
    }

    /// Inserts rows with the guard in RETURNING and compares each verdict; leaves out the rules named.
    async fn compare_columns(&mut self, batches: usize, unprotected: &[&str]) -> usize {
        let (guard, expression) = compile(&self.rules, &self.facts, &site("x", Channel::Column));
        assert_eq!((guard.judged.len(), &guard.skipped[..]), (self.rules.rules.len(), &[][..]));
        let mut seen = 0;
        for _ in 0..batches {
            let rows = self.rows(250);
            let sql = format!("INSERT INTO public.t AS x VALUES {} RETURNING x.id, {expression}", values(&rows));
            let answers = match self.session.rows(&sql).await {
                Ok(answers) => answers,
                Err(error) => panic!("a guard raised: {error:?}\n{expression}"),
            };
            assert_eq!(answers.len(), rows.len());
            for ((id, text), row) in answers.iter().zip(&rows) {
                let judged = match from_column(text.as_bytes(), &guard).unwrap_or_else(|| panic!("{text}")) {
                    Verdict::Good => Vec::new(),
                    verdict => words(verdict, &guard, &self.rules),
                };
                for violation in &judged {
                    // What is absurd is infinite in the details, so that two of them may look equal.
                    let absurd = |(_, value): &(String, String)| value == "NaN" || value.starts_with("29427") || value.contains("e+") || value.len() >= 40;
                    let vague = violation.detail.starts_with("The row has");
                    assert!(!vague || violation.values.iter().any(absurd), "{id}: {violation:#?}");
                }
                let names = |names: Vec<String>| names.into_iter().filter(|name| !unprotected.contains(&name.as_str())).collect::<Vec<_>>();
                let judged = names(judged.into_iter().map(|violation| violation.rule).collect());
                assert_eq!(judged, names(self.expected(row)), "row {id}: {:?}", COLUMNS.map(|c| format!("{c} {}", row[c].literal)));
                seen += judged.len();
            }
        }
        seen
    }
}

fn batches() -> usize {
    // 80 batches of 250 rows; more by hand.
    std::env::var("ORACLE_BATCHES").ok().and_then(|text| text.parse().ok()).unwrap_or(80)
}

#[tokio::test]
async fn verdicts_are_those_of_a_plain_evaluation() {
    let mut bench = Bench::new(1).await;
    let seen = bench.compare_columns(batches(), &[]).await;
    assert!(seen > 10_000, "{seen}");
}
