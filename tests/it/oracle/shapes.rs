//! Random writes of a [`Scenario`]'s table, in many shapes.

mod steps;

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

pub use self::steps::Step;
use super::{
    scenario::{COLUMNS, KEPT, OMITTED, Row, SOURCE, Scenario},
    value::{Type, Value},
};

/// One write as SQL.
#[derive(Debug, Clone, Default)]
pub struct Write {
    /// Its text; `$n` where `parameters` has the value.
    pub sql: String,
    /// Values of the parameters.
    pub parameters: Vec<Value>,
    /// It returns rows.
    pub returns: bool,
    /// What may differ.
    pub leeway: Leeway,
}

/// What may differ between two right answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leeway {
    /// The order of the rows is the server's choice.
    pub unordered: bool,
    /// A row has the key of another, and may be bad too: which error comes first is not the same.
    pub doubled: bool,
    /// The guard is folded into a column of a `WITH` query, which then has no table (LIMITS.md).
    pub folded: bool,
}

impl std::ops::BitOrAssign for Leeway {
    fn bitor_assign(&mut self, other: Self) {
        self.unordered |= other.unordered;
        self.doubled |= other.doubled;
        self.folded |= other.folded;
    }
}

/// Makes writes.
pub struct Shapes<'a> {
    /// The table.
    pub scenario: &'a Scenario,
    /// The dice.
    pub random: StdRng,
    /// Rows by what they leave out.
    pub pool: [Vec<Row>; 4],
    /// Writes made so far.
    pub writes: usize,
    next_id: i64,
    /// `ON CONFLICT` is among the shapes.
    conflicts: bool,
    /// No `Sync` follows the statement.
    pipelined: bool,
    /// Values go into parameters.
    bound: bool,
    parameters: Vec<Value>,
    /// The rows of a statement have no fault but those that the rules find.
    pub calm: bool,
    /// Rows that `ON CONFLICT` does not insert may be bad: a constraint refuses them, but what lands is right.
    pub proposes: bool,
    /// Partitions are written directly.
    pub leaves: bool,
    /// COPY is among the shapes.
    pub copies: bool,
    /// Some ids are left to the sequence.
    pub identity: bool,
}

/// Prepared at the start and executed ever after: name, SQL and the columns whose values are its parameters.
pub fn prepared(scenario: &Scenario) -> Vec<(String, String, Vec<&'static str>)> {
    let t = &scenario.table;
    let all = COLUMNS.join(",");
    let numbers = (1..=8).map(|n| format!("${n}")).collect::<Vec<_>>().join(",");
    let sets = COLUMNS[1..].iter().map(|c| format!("{c} = excluded.{c}")).collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO {t} ({all}) VALUES ({numbers})");
    let update = format!("UPDATE {t} SET a = $2, b = $3, d = $4 WHERE id = $1");
    let upsert = format!("{insert} ON CONFLICT (id) DO UPDATE SET {sets}");
    let parts: [(&str, String, &[&'static str]); 3] =
        [("ins", insert, &COLUMNS), ("upd", update, &["id", "a", "b", "d"]), ("ups", upsert, &COLUMNS)];
    let mut out = Vec::new();
    for (name, sql, columns) in parts {
        out.push((format!("{name}_{t}"), sql.clone(), columns.to_vec()));
        out.push((format!("{name}_{t}_r"), format!("{sql} RETURNING *, id AS again"), columns.to_vec()));
    }
    out
}

impl<'a> Shapes<'a> {
    /// With rows to choose from.
    pub fn new(scenario: &'a Scenario, random: StdRng, pool: [Vec<Row>; 4]) -> Self {
        Self {
            scenario,
            random,
            pool,
            writes: 0,
            next_id: 1_000,
            bound: false,
            parameters: Vec::new(),
            calm: false,
            proposes: false,
            leaves: true,
            copies: true,
            conflicts: true,
            pipelined: false,
            identity: true,
        }
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        *list.choose(&mut self.random).expect("not empty")
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.random.random_range(0..n) == 0
    }

    fn fresh(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn kept(&mut self) -> i64 {
        self.random.random_range(1..=KEPT)
    }

    fn row(&mut self, how: usize, good: bool) -> Row {
        let rows: Vec<&Row> = self.pool[how].iter().filter(|row| !good || row.good).collect();
        let rows = if rows.is_empty() { self.pool[how].iter().collect() } else { rows };
        (*rows.choose(&mut self.random).expect("rows")).clone()
    }

    /// A value where PostgreSQL knows its type.
    fn put(&mut self, value: &Value) -> String {
        if self.bound && !self.one_in(4) {
            self.parameters.push(value.clone());
            return format!("${}", self.parameters.len());
        }
        if self.one_in(3) { value.cast() } else { value.bare() }
    }

    /// A value anywhere.
    fn put_typed(&mut self, value: &Value) -> String {
        if self.bound && !self.one_in(4) {
            self.parameters.push(value.clone());
            return format!("${}::{}", self.parameters.len(), value.kind.sql());
        }
        value.cast()
    }

    fn finish(&mut self, sql: String, returns: bool) -> Write {
        self.writes += 1;
        Write { sql, parameters: std::mem::take(&mut self.parameters), returns, ..Write::default() }
    }

    fn target(&mut self, t: &str) -> String {
        let list = [t.to_owned(), format!("public.{t}"), format!("\"{t}\""), t.to_uppercase(), format!("Public . {t}")];
        list.choose(&mut self.random).expect("some").clone()
    }

    /// A `RETURNING` clause, or none.
    fn returning(&mut self, row: &str, alone: bool) -> Option<String> {
        let source = &self.scenario.source;
        let list = [
            "*".to_owned(),
            "id".to_owned(),
            "id, a, b AS bee, c".to_owned(),
            format!("{row}.*"),
            format!("{row}.id, {row}"),
            format!("id, (SELECT count(*) FROM {source} WHERE k < {row}.id) AS n"),
            "id, id, a, a".to_owned(),
            format!("to_jsonb({row}) AS j, 'x'"),
            "id AS cg, NULL AS \"?column?\"".to_owned(),
            format!("id \"Weird \"\" name\", CASE WHEN grp > 2 THEN 'big' END, {row} . st"),
        ];
        if alone && self.one_in(2) {
            return None;
        }
        list.choose(&mut self.random).cloned()
    }

    /// Rows for one statement: mostly all good.
    fn some_rows(&mut self, how: usize) -> Vec<Row> {
        let most = self.pick(&[1, 1, 1, 2, 3, 6, 6, 25]);
        let count = self.random.random_range(1..=most);
        let good = self.one_in(2);
        let spoiled = self.random.random_range(0..count * 3);
        (0..count).map(|n| self.row(how, good || n != spoiled)).collect()
    }

    fn insert(&mut self, alone: bool) -> Write {
        let how = self.random.random_range(0..OMITTED.len());
        let mut rows = self.some_rows(how);
        let conflict = if self.conflicts && self.one_in(3) { self.random.random_range(1..=5) } else { 0 };
        // Where rows are new cannot be told in a partitioned table: an update of columns that a rule does not know is let through (observed).
        let conflict = if self.scenario.partitioned { conflict.min(3) } else { conflict };
        let mut doubled = false;
        let mut ids = Vec::new();
        for row in &mut rows {
            let clash = match conflict {
                0 => !self.calm && self.one_in(60),
                _ => self.one_in(2),
            };
            let kept = self.kept();
            let clash = clash && !(self.calm && ids.contains(&kept));
            ids.push(if clash { kept } else { self.fresh() });
            if clash && conflict > 0 && !self.proposes {
                // A constraint refuses also the row that is proposed and not inserted; the guard judges what lands.
                *row = self.good_row(how);
            }
            doubled |= clash && conflict == 0;
            row.values[0] = Value::count(*ids.last().expect("pushed"));
            if !self.calm && self.one_in(80) {
                row.values[1] = if self.one_in(2) { Value::null(Type::Int) } else { Value::int(-1) };
            }
        }
        let mut columns: Vec<&str> = COLUMNS.into_iter().filter(|c| !OMITTED[how].contains(c)).collect();
        if self.one_in(2) {
            let (one, other) = (self.random.random_range(0..columns.len()), self.random.random_range(0..columns.len()));
            columns.swap(one, other);
        }
        let drop_id = self.identity && conflict == 0 && self.one_in(6);
        if drop_id {
            columns.retain(|c| *c != "id");
        }
        let target = self.target(&self.scenario.table);
        let alias = self.pick(&["", "", " AS x", " AS \"X y\"", " as id"]);
        let name = alias.trim_start_matches(" AS ").trim_start_matches(" as ");
        let name = if name.is_empty() { self.scenario.table.clone() } else { name.to_owned() };
        let list =
            if columns == COLUMNS && self.one_in(2) { String::new() } else { format!(" ({})", columns.join(", ")) };
        let overriding = if self.one_in(8) { " OVERRIDING SYSTEM VALUE" } else { "" };
        let (with, body) = self.body(&rows, &columns);
        let on_conflict = self.on_conflict(conflict, &name);
        let returning = self.returning(&name, alone);
        let tail = returning.as_ref().map_or(String::new(), |list| format!(" RETURNING {list}"));
        let sql = format!("{with}INSERT INTO {target}{alias}{list}{overriding} {body}{on_conflict}{tail}");
        let mut write = self.finish(sql, returning.is_some());
        write.leeway.doubled = doubled;
        write
    }

    fn good_row(&mut self, how: usize) -> Row {
        let row = self.row(how, true);
        if row.good { row } else { panic!("no good row among those of {}", self.scenario.table) }
    }

    /// What is inserted: a `WITH` before the statement, and the source of the rows.
    fn body(&mut self, rows: &[Row], columns: &[&str]) -> (String, String) {
        let shape = self.random.random_range(0..7);
        let mut lists = Vec::new();
        for row in rows {
            let values: Vec<String> = columns
                .iter()
                .map(|c| {
                    let value = row.value(c);
                    match *c {
                        "id" if self.identity
                            && shape < 3
                            && value.text.as_ref().is_some_and(|id| id.len() > 2)
                            && self.one_in(20) =>
                        {
                            "DEFAULT".into()
                        }
                        _ if shape < 3 => self.put(value),
                        _ => self.put_typed(value),
                    }
                })
                .collect();
            lists.push(values.join(", "));
        }
        let names = columns.join(", ");
        let parenthesized = format!("VALUES ({})", lists.join("), ("));
        match shape {
            0..3 => (String::new(), parenthesized),
            3 => (String::new(), format!("SELECT {}", lists.join(" UNION ALL SELECT "))),
            4 => (String::new(), format!("SELECT {names} FROM ({parenthesized}) v({names})")),
            5 => (format!("WITH v({names}) AS ({parenthesized}) "), format!("SELECT {names} FROM v")),
            _ => (String::new(), format!("(SELECT * FROM ({parenthesized}) v({names}))")),
        }
    }

    fn on_conflict(&mut self, conflict: u32, name: &str) -> String {
        let table = &self.scenario.table;
        let whole = COLUMNS[1..].iter().map(|c| format!("{c} = excluded.{c}")).collect::<Vec<_>>().join(", ");
        match conflict {
            0 => String::new(),
            1 => " ON CONFLICT DO NOTHING".into(),
            2 => format!(" ON CONFLICT ON CONSTRAINT {table}_pkey DO NOTHING"),
            3 => format!(" ON CONFLICT (id) DO UPDATE SET {whole}"),
            4 => {
                let column = self.pick(&COLUMNS[1..]);
                let how = self.pick(&["excluded", name]);
                format!(
                    " ON CONFLICT (id) DO UPDATE SET a = excluded.a, {} WHERE {name}.grp >= 0",
                    match column {
                        "a" => "b = excluded.b".into(),
                        column => format!("{column} = {how}.{column}"),
                    }
                )
            }
            _ => {
                let row = self.row(0, false);
                let column = self.pick(&COLUMNS[1..]);
                let value = self.put(row.value(column));
                format!(" ON CONFLICT (id) DO UPDATE SET {column} = {value}")
            }
        }
    }

    /// `INSERT … SELECT` from the other table, which has good and bad rows.
    fn insert_select(&mut self, alone: bool) -> Write {
        let Scenario { table, source, .. } = self.scenario;
        let columns = COLUMNS[1..].join(", ");
        let (from, count) = (self.random.random_range(1..=SOURCE), self.random.random_range(0..12));
        let to = from + count;
        let base = self.next_id + 1;
        self.next_id += count + 2;
        let only = self.pick(&["", " AND ok", " AND ok", " AND NOT ok"]);
        let body = match self.random.random_range(0..4) {
            0 => format!(
                "SELECT {base} + k - {from}, {columns} FROM {source} WHERE k BETWEEN {from} AND {to}{only} ORDER BY k"
            ),
            1 => format!(
                "SELECT {base} + k - {from}, {columns} FROM (SELECT * FROM {source} WHERE k BETWEEN {from} AND {to}{only} ORDER BY k OFFSET 0) s"
            ),
            2 => format!(
                "SELECT {base} + id, {columns} FROM {table} WHERE id BETWEEN {from} AND {} ORDER BY id",
                from + 1
            ),
            _ => format!(
                "SELECT {base} + k - {from}, {columns} FROM {source} s WHERE k = {from} AND EXISTS (SELECT 1 FROM {table} WHERE id = 1)"
            ),
        };
        self.next_id += KEPT + 2;
        let returning = self.returning(table, alone);
        let tail = returning.as_ref().map_or(String::new(), |list| format!(" RETURNING {list}"));
        self.finish(format!("INSERT INTO {table} (id, {columns}) {body}{tail}"), returning.is_some())
    }

    fn update(&mut self, alone: bool) -> Write {
        let Scenario { table, source, partitioned, .. } = self.scenario;
        let mut table = table.clone();
        if *partitioned && self.leaves && self.one_in(4) {
            table = format!("{table}_p{}", self.random.random_range(0..3));
        }
        let target = self.target(&table);
        let (target, alias) = match self.random.random_range(0..7) {
            0 => (format!("ONLY {target}"), ""),
            1 => (format!("{target} *"), ""),
            2 => (format!("ONLY ({target})"), "x"),
            3 => (target, "x"),
            4 => (target, "\"Odd one\""),
            _ => (target, ""),
        };
        let name = if alias.is_empty() { table } else { alias.to_owned() };
        let alias = match alias {
            "" => String::new(),
            alias if self.one_in(2) => format!(" {alias}"),
            alias => format!(" AS {alias}"),
        };
        let (set, from) = self.set(&name);
        let id = self.kept();
        let key = match &from {
            None => format!("{name}.id"),
            Some((_, key)) => key.clone(),
        };
        let (condition, one) = match self.random.random_range(0..9) {
            0 => (format!("{key} BETWEEN {id} AND {}", id + 5), false),
            1 => (format!("{key} % 7 = {}", id % 7), false),
            2 => (format!("{key} IN ({id}, {}) AND ({name}.a IS NULL OR {name}.grp >= 0)", id % KEPT + 1), false),
            _ => (format!("{key} = {id}"), true),
        };
        let (from, join) = match from {
            None => (String::new(), String::new()),
            Some((from, key)) => (format!(" FROM {from}"), format!("{name}.id = {key} AND ")),
        };
        let returning = match from.is_empty() {
            true => self.returning(&name, alone),
            false => (!alone || self.one_in(2)).then(|| format!("{name}.id, {name}.*")),
        };
        let tail = returning.as_ref().map_or(String::new(), |list| format!(" RETURNING {list}"));
        let with = if self.one_in(12) { format!("WITH unused AS (SELECT * FROM {source}) ") } else { String::new() };
        let sql = format!("{with}UPDATE {target}{alias} SET {set}{from} WHERE {join}{condition}{tail}");
        let mut write = self.finish(sql, returning.is_some());
        write.leeway.unordered = !one;
        write
    }

    /// What an update sets, and what it joins with the key of that.
    fn set(&mut self, name: &str) -> (String, Option<(String, String)>) {
        let source = &self.scenario.source;
        let good = self.one_in(2);
        let row = self.row(0, good);
        match self.random.random_range(0..10) {
            // Everything that a rule may look at.
            0..3 => {
                let sets: Vec<String> =
                    COLUMNS[1..].iter().map(|c| format!("{c} = {}", self.put(row.value(c)))).collect();
                (sets.join(", "), None)
            }
            3 | 4 => {
                let column = self.pick(&["a", "b", "c", "d", "st", "note", "grp"]);
                (format!("{column} = {}", self.put(row.value(column))), None)
            }
            5 => {
                let (one, other) = (self.put(row.value("a")), self.put(row.value("b")));
                (format!("(a, b) = ({one}, {other}), \"st\" = {name}.st"), None)
            }
            6 => {
                let k = self.random.random_range(1..=SOURCE);
                (
                    format!(
                        "(a, b, c, d, st, note, grp) = (SELECT a, b, c, d, st, note, grp FROM {source} WHERE k = {k})"
                    ),
                    None,
                )
            }
            7 => {
                let value = self.put_typed(row.value("b"));
                (format!("b = CASE WHEN {name}.grp > 2 THEN {value} ELSE {name}.b END, a = DEFAULT"), None)
            }
            8 => {
                let shift = self.random.random_range(0..20);
                let list = "grp = s.grp, a = s.a, b = s.b, c = s.c, d = s.d, st = s.st, note = s.note".to_owned();
                let only = self.pick(&["", " AND s.ok", " AND s.ok"]);
                let from = format!("(SELECT s.*, s.k - {shift} AS j FROM {source} s WHERE s.k > {shift}{only}) s");
                (list, Some((from, "s.j".into())))
            }
            _ => {
                let mut rows = Vec::new();
                for n in 1..=KEPT.min(5) {
                    let row = self.row(0, true);
                    let (a, b) = (self.put_typed(row.value("a")), self.put_typed(row.value("b")));
                    rows.push(format!("({}::bigint, {a}, {b})", n * 7 % KEPT + 1));
                }
                ("b = v.b, a = v.a".into(), Some((format!("(VALUES {}) v(k, a, b)", rows.join(", ")), "v.k".into())))
            }
        }
    }

    /// A write inside `WITH`, with a query around it.
    fn cte(&mut self) -> Write {
        let inner = self.plain(false);
        let mut write = Write { returns: true, ..inner };
        write.leeway.folded = true;
        let sql = &write.sql;
        let k = self.random.random_range(0..7);
        write.sql = match k {
            0 => format!("WITH w AS ({sql}) SELECT * FROM w"),
            1 => format!("WITH w AS ({sql}) SELECT count(*) FROM w"),
            2 => format!("WITH w AS ({sql}) SELECT 1 AS one"),
            3 => format!("WITH w AS ({sql}), v AS (SELECT * FROM w) SELECT row_to_json(v) FROM v"),
            4 => format!(
                "WITH RECURSIVE w AS ({sql}), n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2) SELECT i, w.* FROM n, w ORDER BY i"
            ),
            5 => format!("WITH w AS ({sql}) SELECT w FROM w -- end"),
            _ => format!("WITH w AS ({sql}) SELECT (SELECT count(*) FROM w), 'w'"),
        };
        write
    }

    /// A write inside `WITH` that returns nothing there.
    fn silent_cte(&mut self) -> Write {
        let mut write = self.plain(true);
        while write.returns {
            write = self.plain(true);
        }
        write.sql =
            format!("WITH w AS ({}) SELECT count(*) FROM {} WHERE id <= {KEPT}", write.sql, self.scenario.table);
        write.returns = true;
        write
    }

    /// Two writes in one `WITH` statement.
    fn two_ctes(&mut self) -> Write {
        // Where both meet the same row, a constraint judges also the second version, which never lands.
        let calm = std::mem::replace(&mut self.calm, true);
        self.conflicts = false;
        let (first, second) = (self.insert(false), self.update(false));
        (self.calm, self.conflicts) = (calm, true);
        let mut sql = second.sql.clone();
        for n in (1..=second.parameters.len()).rev() {
            sql = sql.replace(&format!("${n}"), &format!("$_{}", n + first.parameters.len()));
        }
        let sql = format!(
            "WITH one AS ({}), two AS ({}) SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two)",
            first.sql,
            sql.replace("$_", "$")
        );
        let parameters = [first.parameters, second.parameters].concat();
        let leeway = Leeway { unordered: true, doubled: true, folded: true };
        Write { sql, parameters, returns: true, leeway }
    }

    fn plain(&mut self, alone: bool) -> Write {
        match self.random.random_range(0..10) {
            0..4 => self.insert(alone),
            4 => self.insert_select(alone),
            _ => self.update(alone),
        }
    }

    /// Any write; with parameters if `bound`.
    pub fn write(&mut self, bound: bool) -> Write {
        self.bound = bound;
        let write = match self.random.random_range(0..16) {
            0 | 1 => self.cte(),
            2 => self.silent_cte(),
            3 => self.two_ctes(),
            _ => self.plain(true),
        };
        self.bound = false;
        write
    }
}
