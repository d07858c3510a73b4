//! A random table with random rules, and the same rules as `CHECK` constraints, written in their own way.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::value::{BASE, DAY, Type, Value, near, point};
use crate::harness::Talk;

/// Microseconds since 2000 with infinities, read from the binary form: no arithmetic on times, exact to the ends of their ranges.
pub const FUNCTIONS: &str = "
CREATE FUNCTION bits(bytea) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT ('x' || encode($1, 'hex'))::bit(64)::bigint::numeric $$;
CREATE FUNCTION us(timestamptz) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT CASE WHEN isfinite($1) THEN bits(timestamptz_send($1)) WHEN $1 > 'epoch' THEN 'Infinity' ELSE '-Infinity' END $$;
CREATE FUNCTION us(timestamp) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT CASE WHEN isfinite($1) THEN bits(timestamp_send($1)) WHEN $1 > 'epoch' THEN 'Infinity' ELSE '-Infinity' END $$;
CREATE FUNCTION us(date) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT CASE WHEN isfinite($1) THEN ($1 - date '2000-01-01') * 86400000000::numeric WHEN $1 > 'epoch' THEN 'Infinity' ELSE '-Infinity' END $$;
CREATE FUNCTION us(bigint) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT $1::numeric - 946684800000000 $$;
";

/// Columns of every table.
pub const COLUMNS: [&str; 8] = ["id", "grp", "a", "b", "c", "d", "st", "note"];
/// `POSITION[k]` leaves these columns out.
pub const OMITTED: [&[&str]; 4] = [&[], &["a"], &["c", "note"], &["grp", "d"]];
/// Rows with these ids exist always.
pub const KEPT: i64 = 40;
/// Rows of the table that `INSERT … SELECT` reads.
pub const SOURCE: i64 = 60;

/// Where the zoneless are where a rule mixes them with instants.
const ZONE: &str = "Etc/GMT-9";
const ZONE_MICROS: i64 = 9 * 3_600_000_000;

/// One rule, twice.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Also the constraint's.
    pub name: String,
    /// Flow mapping without the name.
    yaml: String,
    /// Boolean SQL: false for a violation.
    pub check: String,
    /// Columns it names.
    pub columns: Vec<&'static str>,
}

/// A row and whether each rule lets it be.
#[derive(Debug, Clone)]
pub struct Row {
    /// In the order of [`COLUMNS`]; the id is filled in later.
    pub values: Vec<Value>,
    /// No rule is violated.
    pub good: bool,
}

impl Row {
    /// Value of a column.
    pub fn value(&self, column: &str) -> &Value {
        &self.values[position(column)]
    }
}

/// Place of a column.
pub fn position(column: &str) -> usize {
    COLUMNS.iter().position(|c| *c == column).expect("a column")
}

/// A table with its rules.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Name of the table, `t0` and so on.
    pub table: String,
    /// Name of the table that rows are selected from.
    pub source: String,
    /// Types, in the order of [`COLUMNS`].
    pub types: Vec<Type>,
    /// What an omitted `a` becomes.
    default: Value,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// It has the partitions `<table>_p0` to `<table>_p2`.
    pub partitioned: bool,
    /// A `BEFORE` trigger changes some rows.
    pub triggered: bool,
    /// Rows of the parent table, where a rule has one.
    parents: Vec<[Value; 2]>,
    edge: i64,
    unit: i64,
}

impl Scenario {
    /// Table number `n` of a run.
    pub fn new(n: usize, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
        let first = [Type::Instant, Type::Wall, Type::Date, Type::Count][n % 4];
        let mut times = [first; 3];
        if n % 5 == 4 {
            times = std::array::from_fn(|_| {
                *[Type::Instant, Type::Wall, Type::Date, Type::Count].choose(&mut random).unwrap()
            });
        }
        let types = vec![Type::Count, Type::Int, times[0], times[1], times[2], Type::Count, Type::Text, Type::Text];
        let days = times.contains(&Type::Date);
        let edge = match days {
            true => *[DAY, 2 * DAY].choose(&mut random).unwrap(),
            false => *[1, 5_000, 1_000_000, 60_000_000].choose(&mut random).unwrap(),
        };
        let default = match random.random_range(0..3) {
            0 => Value::null(times[0]),
            _ => point(times[0], BASE),
        };
        let unit = *[1, 1_000, 1_000_000].choose(&mut random).unwrap();
        let mut this = Self {
            table: format!("t{n}"),
            source: format!("src{n}"),
            types,
            default,
            rules: Vec::new(),
            partitioned: n % 8 == 5,
            triggered: false,
            parents: Vec::new(),
            edge,
            unit,
        };
        // The first kinds follow the number, so that each is met by each type.
        let kinds = [(n / 4) % 8, random.random_range(0..8)];
        let count = if random.random_range(0..3) == 0 { 2 } else { 1 };
        for (k, kind) in kinds.into_iter().take(count).enumerate() {
            let rule = this.rule(format!("r{n}_{k}"), kind, &mut random);
            this.rules.push(rule);
        }
        this
    }

    /// The same with a rule that looks at a parent row.
    pub fn with_parent(n: usize, seed: u64) -> Self {
        let mut this = Self::new(n, seed);
        let mut random = StdRng::seed_from_u64(!seed ^ n as u64);
        this.parents =
            (0..5).map(|_| ["a", "b"].map(|column| near(&mut random, this.time_type(column), this.edge).0)).collect();
        this.rules.truncate(n % 2);
        let name = format!("r{n}_9");
        let table = format!("par{n}");
        let edge = if random.random_bool(0.5) { this.edge } else { 0 };
        let (reused, before) = *[(true, true), (true, false), (false, true)].choose(&mut random).expect("some");
        let mut yaml = format!("parent: {{table: public.{table}, join: {{grp: pid}}");
        let mut parts = Vec::new();
        if reused {
            yaml += ", not_reused: {a: pa}";
            parts.push("a <> pa".to_owned());
        }
        if before {
            yaml += &format!(", not_before: {{b: pb}}, tolerance: {edge}us");
            parts.push(format!("(b >= pb OR us(pb) - us(b) <= {edge})"));
        }
        if random.random_bool(0.3) {
            yaml += ", lock_parent: true";
        }
        yaml += "}";
        if ["a", "b"].iter().any(|column| this.time_type(column) == Type::Count) {
            yaml += ", unit: us";
        }
        let check = format!("(SELECT bool_and({}) FROM {table} WHERE pid = grp)", parts.join(" AND "));
        let mut columns = vec!["grp"];
        columns.extend(reused.then_some("a"));
        columns.extend(before.then_some("b"));
        this.rules.push(Rule { name, yaml, check, columns });
        this
    }

    fn time_type(&self, column: &str) -> Type {
        self.types[position(column)]
    }

    fn mixed(&self, columns: &[&'static str]) -> bool {
        columns.iter().any(|c| self.time_type(c) != self.time_type(columns[0]))
    }

    /// Microseconds since 2000, the zoneless in [`ZONE`] where the rule has instants too.
    fn us(&self, column: &str, zoned: bool) -> String {
        match self.time_type(column) {
            // Some hours from the ends of the range there is no instant for it: it counts as UTC.
            Type::Wall | Type::Date if zoned => format!(
                "(us({column}) - CASE WHEN {column} > timestamp '4700-01-01 BC' AND {column} < timestamp '294000-01-01' \
                 THEN {ZONE_MICROS} ELSE 0 END)"
            ),
            _ => format!("us({column})"),
        }
    }

    fn rule(&self, name: String, kind: usize, random: &mut StdRng) -> Rule {
        let columns: Vec<&'static str> = match random.random_range(0..3) {
            0 => vec!["a", "b"],
            1 => vec!["b", "a", "c"],
            _ => vec!["a", "b", "c"],
        };
        let zoned = columns.iter().any(|c| matches!(self.time_type(c), Type::Instant | Type::Count))
            && columns.iter().any(|c| matches!(self.time_type(c), Type::Wall | Type::Date));
        let list = columns.join(", ");
        let edge = self.edge;
        let (yaml, check, mut used) = match kind {
            0..=3 => {
                let (strict, tolerance, min, max) = match kind {
                    0 => (random.random_bool(0.5), 0, None, None),
                    1 => (random.random_bool(0.3), edge, None, None),
                    2 => (false, 0, Some(edge), random.random_bool(0.5).then_some(2 * edge)),
                    _ => (false, if random.random_bool(0.3) { edge } else { 0 }, None, Some(edge)),
                };
                let mut yaml = format!("order: [{list}]");
                yaml += if strict { ", strict: true" } else { "" };
                if tolerance > 0 {
                    yaml += &format!(", tolerance: {tolerance}us");
                }
                for (key, gap) in [("min_gap", min), ("max_gap", max)] {
                    yaml += &gap.map_or(String::new(), |gap| format!(", {key}: {gap}us"));
                }
                let mut parts = Vec::new();
                for (i, x) in columns.iter().enumerate() {
                    for (j, y) in columns.iter().enumerate().skip(i + 1) {
                        let ok = self.follows(x, y, zoned, strict, tolerance, min, max);
                        let between: Vec<_> = columns[i + 1..j]
                            .iter()
                            .map(|c| format!("{c} IS NOT NULL"))
                            .chain([format!("({ok})")])
                            .collect();
                        parts.push(format!("({})", between.join(" OR ")));
                    }
                }
                (yaml, parts.join(" AND "), columns.clone())
            }
            4 => {
                let unit = [(1, "us"), (1_000, "ms"), (1_000_000, "s")].iter().find(|u| u.0 == self.unit).unwrap().1;
                let tolerance = if random.random_bool(0.5) { edge } else { 0 };
                let (a, b) = (self.us("a", zoned), self.us("b", zoned));
                let far = |x: &str| format!("{x} IN ('Infinity', '-Infinity')");
                let zero = if random.random_bool(0.5) { "0s".to_owned() } else { format!("{tolerance}us") };
                let tolerance = if zero == "0s" { 0 } else { tolerance };
                (
                    format!("duration: {{column: d, start: a, end: b, unit: {unit}, tolerance: {zero}}}"),
                    format!(
                        "abs(d::numeric * {} - ({b} - {a})) <= {tolerance} OR ({a} = {b} AND {})",
                        self.unit,
                        far(&a)
                    ),
                    vec!["a", "b", "d"],
                )
            }
            5 => {
                let columns = &columns[..random.random_range(1..=columns.len())];
                // With and without the epoch inside of the range.
                let after = *["2000-01-01", "1960-01-01"].choose(random).unwrap();
                let parts = columns.iter().map(|c| match self.time_type(c) {
                    Type::Count => format!(
                        "({c} >= extract(epoch FROM timestamptz '{after} 00:00+00') * 1000000 AND {c} < 4102444800000000 AND {c} <> 0)"
                    ),
                    Type::Instant => format!(
                        "({c} >= '{after} 00:00+00' AND {c} < '2100-01-01 00:00+00' AND {c} <> '1970-01-01 00:00+00')"
                    ),
                    _ => format!("({c} >= '{after}' AND {c} < '2100-01-01' AND {c} <> '1970-01-01')"),
                });
                let check = parts.collect::<Vec<_>>().join(" AND ");
                (
                    format!("plausible: {{columns: [{}], after: {after}, before: 2100-01-01}}", columns.join(", ")),
                    check,
                    columns.to_vec(),
                )
            }
            6 => (
                "require: {not_null: [b], null: [note]}".to_owned(),
                "b IS NOT NULL AND note IS NULL".to_owned(),
                vec!["b", "note"],
            ),
            _ => {
                let (sql, used): (&str, Vec<&'static str>) = match random.random_range(0..4) {
                    0 => ("a IS NOT NULL OR b IS NULL OR d > 0", vec!["a", "b", "d"]),
                    1 => ("st <> 'lost' AND (d >= 0 OR st = 'done')", vec!["st", "d"]),
                    2 => ("coalesce(d, 0) % 2 = 0 -- even\n", vec!["d"]),
                    _ => ("CASE st WHEN 'done' THEN b IS NOT NULL WHEN 'odd; \"--' THEN false END", vec!["st", "b"]),
                };
                (format!("check: \"{}\"", sql.replace('"', "\\\"").replace('\n', "\\n")), sql.to_owned(), used)
            }
        };
        let (mut yaml, mut check) = (yaml, check);
        if kind <= 4 && zoned {
            yaml += &format!(", timezone: {ZONE}");
        }
        let units = used.iter().any(|c| *c != "d" && self.time_type(c) == Type::Count);
        if units && kind <= 5 {
            yaml += ", unit: us";
        }
        if kind == 6 || random.random_range(0..3) == 0 {
            let (when, column) = *[
                ("st = 'done'", "st"),
                ("st IN ('done', 'lost')", "st"),
                ("grp > 2", "grp"),
                ("note IS NULL", "note"),
            ]
            .choose(random)
            .unwrap();
            yaml += &format!(", when: \"{when}\"");
            check = format!("({when}) IS NOT TRUE OR ({check}\n)");
            if !used.contains(&column) {
                used.push(column);
            }
        }
        Rule { name, yaml, check, columns: used }
    }

    /// `y`, the next after `x`, is right.
    #[expect(clippy::too_many_arguments, reason = "the keys of the rule")]
    fn follows(
        &self,
        x: &'static str,
        y: &'static str,
        zoned: bool,
        strict: bool,
        tolerance: i64,
        min: Option<i64>,
        max: Option<i64>,
    ) -> String {
        let direct = !self.mixed(&[x, y]);
        let (ux, uy) = (self.us(x, zoned), self.us(y, zoned));
        let (l, r) = if direct { (x.to_owned(), y.to_owned()) } else { (ux.clone(), uy.clone()) };
        let less = if strict { "<" } else { "<=" };
        let mut ok = match (tolerance, min) {
            (_, Some(min)) => format!("({uy} - {ux} >= {min} OR ({l} = {r} AND {ux} IN ('Infinity', '-Infinity')))"),
            (0, None) => format!("{l} {less} {r}"),
            (_, None) => format!("({l} <= {r} OR {ux} - {uy} {less} {tolerance})"),
        };
        if let Some(max) = max {
            ok += &format!(" AND ({r} <= {l} OR {uy} - {ux} <= {max})");
        }
        ok
    }

    /// A rule looks at a parent row, which COPY cannot.
    pub fn has_parent(&self) -> bool {
        !self.parents.is_empty()
    }

    /// DDL of the table, its source and nothing of the rules.
    pub fn schema(&self) -> String {
        let Self { table, source, types, .. } = self;
        let default = match &self.default.text {
            None => String::new(),
            Some(_) => format!(" DEFAULT {}", self.default.cast()),
        };
        let [_, _, a, b, c, ..] = types[..] else { unreachable!("eight columns") };
        let columns = format!("b {}, c {}, d bigint, st text, note text", b.sql(), c.sql());
        let mut parent = String::new();
        if !self.parents.is_empty() {
            let n = &table[1..];
            parent = format!("CREATE TABLE par{n} (pid int PRIMARY KEY, pa {}, pb {});\n", a.sql(), b.sql());
            for (id, [a, b]) in self.parents.iter().enumerate() {
                parent += &format!("INSERT INTO par{n} VALUES ({id}, {}, {});\n", a.cast(), b.cast());
            }
        }
        let mut partitions = String::new();
        if self.partitioned {
            partitions += " PARTITION BY HASH (id)";
            for n in 0..3 {
                let values = format!("FOR VALUES WITH (MODULUS 3, REMAINDER {n})");
                partitions += &format!(";\nCREATE TABLE {table}_p{n} PARTITION OF {table} {values}");
            }
        }
        format!(
            "{parent}CREATE TABLE {table} (id bigint GENERATED BY DEFAULT AS IDENTITY (START 1000000) PRIMARY KEY, \
             grp int NOT NULL DEFAULT 0 CONSTRAINT a_native CHECK (grp >= 0), a {a}{default}, {columns}){partitions};\n\
             CREATE TABLE {source} (k bigint PRIMARY KEY, grp int, a {a}, {columns}, ok boolean);\n",
            a = a.sql()
        )
    }

    /// A `BEFORE` trigger that makes good rows bad and bad rows good.
    pub fn before(&self) -> String {
        let table = &self.table;
        if !self.triggered {
            return String::new();
        }
        format!(
            "CREATE FUNCTION before_{table}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
  IF NEW.grp = 5 THEN NEW.a := NEW.b; NEW.d := 0; ELSIF NEW.grp = 4 THEN NEW.b := {}; NEW.st := 'odd; \"--'; END IF;
  RETURN NEW; END $f$;
CREATE TRIGGER a_before BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION before_{table}();
",
            point(self.time_type("b"), BASE).cast()
        )
    }

    /// The rules as constraints.
    pub fn constraints(&self) -> String {
        let one = |rule: &Rule| {
            format!("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({}\n);\n", self.table, rule.name, rule.check)
        };
        self.rules.iter().map(one).collect()
    }

    /// The rules as triggers that judge what landed: they refuse it as a constraint would, or count it in the sequence `hits_<rule>`.
    pub fn triggers(&self, refuse: bool) -> String {
        let table = &self.table;
        let one = |rule: &Rule| {
            let name = &rule.name;
            let act = match refuse {
                true => format!(
                    "RAISE EXCEPTION 'no' USING ERRCODE = '23514', SCHEMA = 'public', TABLE = '{table}', CONSTRAINT = '{name}';"
                ),
                false => format!("PERFORM nextval('hits_{name}');"),
            };
            // A trigger before it may change any column.
            let of = if self.triggered { String::new() } else { format!(" OF {}", rule.columns.join(", ")) };
            format!(
                "CREATE SEQUENCE hits_{name};
CREATE FUNCTION bad_{name}({table}) RETURNS boolean LANGUAGE sql AS $f$ SELECT ({}\n) IS FALSE FROM (SELECT ($1).*) v $f$;
CREATE FUNCTION act_{name}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN {act} RETURN NULL; END $f$;
CREATE TRIGGER {name}_i AFTER INSERT ON {table} FOR EACH ROW WHEN (bad_{name}(NEW)) EXECUTE FUNCTION act_{name}();
CREATE TRIGGER {name}_u AFTER UPDATE{of} ON {table} FOR EACH ROW WHEN (bad_{name}(NEW)) EXECUTE FUNCTION act_{name}();
",
                rule.check
            )
        };
        self.rules.iter().map(one).collect()
    }

    /// The rules as an entry of a rule file.
    pub fn yaml(&self, action: &str) -> String {
        let rules: String =
            self.rules.iter().map(|rule| format!("      - {{name: {}, {}}}\n", rule.name, rule.yaml)).collect();
        format!("  - table: public.{}\n    on_violation: {action}\n    rules:\n{rules}", self.table)
    }

    /// SQL that is true for a row that violates a rule.
    pub fn violated(&self) -> String {
        let all: Vec<_> = self.rules.iter().map(|rule| format!("({}\n) IS FALSE", rule.check)).collect();
        format!("({})", all.join(" OR "))
    }

    fn random_row(&self, random: &mut StdRng, omitted: &[&str]) -> Vec<Value> {
        let text = |random: &mut StdRng, list: &[&str]| match *list.choose(random).unwrap() {
            "" => Value::null(Type::Text),
            text => Value::text(text),
        };
        let [a, b, c] = ["a", "b", "c"].map(|column| near(random, self.time_type(column), self.edge));
        let right = a.1.zip(b.1).and_then(|(a, b)| b.checked_sub(a)).unwrap_or(7);
        let off =
            *[0, 0, 0, 1, -1, self.edge, -self.edge, self.edge + 1, ZONE_MICROS, -ZONE_MICROS].choose(random).unwrap();
        let d = match random.random_range(0..12) {
            0 => Value::null(Type::Count),
            1 => Value::count(*[0, -1, i64::MAX, i64::MIN].choose(random).unwrap()),
            _ => Value::count(right.saturating_add(off).div_euclid(self.unit)),
        };
        let mut row = vec![
            Value::count(0),
            Value::int(random.random_range(0..6)),
            a.0,
            b.0,
            c.0,
            d,
            text(random, &["", "queued", "done", "done", "lost", "odd; \"--"]),
            text(random, &["", "", "", "note", "it's; a \\ note -- $1 $$ \"x\"", "Größe\t日本"]),
        ];
        for column in omitted {
            row[position(column)] = match *column {
                "a" => self.default.clone(),
                "grp" => Value::int(0),
                _ => Value::null(row[position(column)].kind),
            };
        }
        row
    }

    /// Random rows that leave `OMITTED[how]` out, judged by the server.
    pub fn rows(&self, direct: &mut Talk, random: &mut StdRng, how: usize, count: usize) -> Vec<Row> {
        let rows: Vec<_> = (0..count).map(|_| self.random_row(random, OMITTED[how])).collect();
        let list: Vec<_> = rows.iter().map(|row| format!("({})", joined(row, Value::cast))).collect();
        let sql = format!("SELECT {} FROM (VALUES {}) v({})", self.violated(), list.join(","), COLUMNS.join(","));
        let verdicts = direct.rows(&sql);
        assert_eq!(verdicts.len(), count);
        rows.into_iter().zip(verdicts).map(|(values, verdict)| Row { values, good: verdict[0] == "f" }).collect()
    }
}

/// Values with commas between.
pub fn joined(values: &[Value], how: impl Fn(&Value) -> String) -> String {
    values.iter().map(how).collect::<Vec<_>>().join(",")
}
