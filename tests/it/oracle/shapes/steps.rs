//! Writes as messages: simple and extended, text and binary, prepared before, in pipelines and transactions, COPY.

use rand::Rng as _;

use super::{Leeway, Shapes, Write, prepared};
use crate::{
    harness::{Bind, fe},
    oracle::{
        scenario::{COLUMNS, OMITTED, joined},
        value::Value,
    },
};

/// Messages up to one `ReadyForQuery`.
#[derive(Debug, Clone)]
pub struct Step {
    /// For people.
    pub label: String,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// What may differ.
    pub leeway: Leeway,
}

impl Step {
    /// A simple query in which nothing may differ.
    pub fn query(sql: impl Into<String>) -> Self {
        let label = sql.into();
        Self { bytes: fe::query(&label), label, leeway: Leeway::default() }
    }
}

impl Shapes<'_> {
    /// Comments and semicolons around a text.
    fn dress(&mut self, sql: &str) -> String {
        match self.random.random_range(0..10) {
            0 => format!("/* trace {} /* nested */ */ {sql}", self.random.random::<u32>()),
            1 => format!("{sql};"),
            2 => format!("{sql} ; ; -- t{}", self.random.random::<u32>()),
            3 => format!("\n\t{sql}\n-- end"),
            _ => sql.to_owned(),
        }
    }

    fn query(&mut self, write: &Write) -> Step {
        let sql = self.dress(&write.sql);
        Step { leeway: write.leeway, ..Step::query(sql) }
    }

    fn bind(&mut self, portal: &str, statement: &str, parameters: &[Value]) -> Vec<u8> {
        let how = self.random.random_range(0..3);
        let mut bind = Bind::new(portal, statement);
        for value in parameters {
            bind = match (&value.text, &value.binary) {
                (Some(_), Some(binary)) if how == 0 || how == 1 && self.one_in(2) => bind.binary(binary),
                (Some(text), _) => bind.text(text),
                _ => bind.null(),
            };
        }
        if how == 0 && !parameters.is_empty() && parameters.iter().all(|value| value.binary.is_some()) {
            bind = bind.formats(&[1]);
        }
        // One format for all columns: how many there are is the server's business.
        match self.random.random_range(0..4) {
            0 => bind.results(&[1]).build(),
            1 => bind.results(&[0]).build(),
            _ => bind.build(),
        }
    }

    fn executes(&mut self, returns: bool, portal: &str) -> Vec<u8> {
        match self.random.random_range(0..6) {
            0 if returns => {
                let first = self.random.random_range(1..4);
                [fe::execute(portal, first), fe::execute(portal, 2), fe::execute(portal, 0)].concat()
            }
            // What a client leaves in the portal was judged, and is not counted by rules that observe. In a pipeline the next statement would not
            // see what this one did: it skips the rows, which a constraint refuses before.
            1 if returns && (self.calm || self.pipelined) => [fe::execute(portal, 1), fe::execute(portal, 0)].concat(),
            1 => fe::execute(portal, 1),
            _ => fe::execute(portal, 0),
        }
    }

    /// One write in the extended protocol, without `Sync`.
    fn extended(&mut self) -> (Vec<u8>, Write) {
        if self.one_in(2) {
            return self.long_prepared();
        }
        let write = self.write(true);
        let statement = if self.one_in(4) { format!("s{}", self.random.random::<u32>()) } else { String::new() };
        let portal = self.pick(&["", "", "p"]);
        let sql = self.dress(&write.sql);
        let mut bytes = fe::parse(&statement, sql);
        if self.one_in(3) {
            bytes.extend(fe::describe_statement(&statement));
        }
        bytes.extend(self.bind(portal, &statement, &write.parameters));
        if self.one_in(2) {
            bytes.extend(fe::describe_portal(portal));
        }
        bytes.extend(match write.leeway.unordered {
            true => fe::execute(portal, 0),
            false => self.executes(write.returns, portal),
        });
        if portal == "p" {
            bytes.extend(fe::close_portal(portal));
        }
        if !statement.is_empty() {
            bytes.extend(fe::close_statement(&statement));
        }
        (bytes, write)
    }

    /// Parameters for one of [`prepared`].
    fn arguments(&mut self, which: usize) -> (Vec<Value>, bool) {
        let (name, _, columns) = prepared(self.scenario).swap_remove(which);
        let good = self.one_in(2);
        let mut row = self.row(0, good);
        let clash = match &name[..3] {
            "ins" => !self.calm && self.one_in(30),
            "ups" => self.one_in(2),
            _ => true,
        };
        if clash && name.starts_with("ups") && !self.proposes {
            row = self.good_row(0);
        }
        let id = if clash { self.kept() } else { self.fresh() };
        row.values[0] = Value::count(id);
        (columns.iter().map(|c| row.value(c).clone()).collect(), clash && name.starts_with("ins"))
    }

    fn long_prepared(&mut self) -> (Vec<u8>, Write) {
        let which = self.random.random_range(0..6);
        let (name, sql, _) = prepared(self.scenario).swap_remove(which);
        let (parameters, doubled) = self.arguments(which);
        self.writes += 1;
        let returns = name.ends_with("_r");
        let mut bytes = self.bind("", &name, &parameters);
        if self.one_in(3) {
            bytes.extend(fe::describe_portal(""));
        }
        bytes.extend(self.executes(returns, ""));
        (
            bytes,
            Write {
                sql: format!("{name}: {sql}"),
                parameters,
                returns,
                leeway: Leeway { doubled, ..Leeway::default() },
            },
        )
    }

    fn extended_step(&mut self) -> Step {
        let (bytes, write) = self.extended();
        Step { bytes: [bytes, fe::sync()].concat(), label: label(&write), leeway: write.leeway }
    }

    /// `EXECUTE` of what SQL's own `PREPARE` made.
    fn sql_execute(&mut self) -> Step {
        let which = self.random.random_range(0..6);
        let name = prepared(self.scenario).swap_remove(which).0;
        let (parameters, doubled) = self.arguments(which);
        self.writes += 1;
        let sql = format!("EXECUTE sql_{name}({})", joined(&parameters, Value::bare));
        let sql = self.dress(&sql);
        let bytes = if self.one_in(3) { fe::extended(&sql, &[]) } else { fe::query(&sql) };
        Step { bytes, label: sql, leeway: Leeway { doubled, ..Leeway::default() } }
    }

    /// `COPY … FROM STDIN`, its data sent at once.
    fn copy(&mut self) -> Step {
        let how = self.random.random_range(0..OMITTED.len());
        let mut columns: Vec<&str> = COLUMNS.into_iter().filter(|c| !OMITTED[how].contains(c)).collect();
        if self.one_in(2) {
            let last = columns.len() - 1;
            columns.swap(0, last);
        }
        let rows = self.some_rows(how);
        let clash = !self.calm && self.one_in(20);
        let kind = self.random.random_range(0..3);
        let mut data = Vec::new();
        for mut row in rows {
            row.values[0] = Value::count(if clash && self.one_in(3) { self.kept() } else { self.fresh() });
            // A value that cannot be read, behind rows that may be bad.
            let broken = !self.calm && self.one_in(60);
            let field = |c: &&str| match kind {
                _ if broken && *c == "b" => "broken".to_owned(),
                0 => row.value(c).copied(),
                _ => row.value(c).csv(),
            };
            if kind == 2 {
                data.extend(u16::try_from(columns.len()).expect("few").to_be_bytes());
                for c in &columns {
                    match &row.value(c).binary {
                        None => data.extend((-1_i32).to_be_bytes()),
                        Some(bytes) => {
                            data.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
                            data.extend(bytes);
                        }
                    }
                }
                continue;
            }
            let line: Vec<String> = columns.iter().map(field).collect();
            data.extend(line.join(if kind == 0 { "\t" } else { "," }).bytes());
            data.push(b'\n');
        }
        if kind == 2 {
            data = [b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec(), data, (-1_i16).to_be_bytes().to_vec()].concat();
        }
        let options = match kind {
            0 => self.pick(&["", " WITH (FORMAT text)", " (DELIMITER E'\\t')"]),
            1 => self.pick(&[" CSV", " WITH (FORMAT csv)", " (format 'csv', null '')"]),
            _ => self.pick(&[" BINARY", " WITH (FORMAT binary)"]),
        };
        let condition = self.pick(&[
            "",
            "",
            "",
            " WHERE grp < 3",
            " WHERE id % 2 = 0 OR st IS NULL",
            " WHERE a IS NOT NULL AND note IS NULL",
        ]);
        let target = self.target(&self.scenario.table);
        let sql = format!("COPY {target} ({}) FROM STDIN{options}{condition}", columns.join(", "));
        self.writes += 1;
        let mut bytes = fe::query(&sql);
        let mut rest = &data[..];
        while !rest.is_empty() {
            let cut = if self.one_in(2) { rest.len() } else { self.random.random_range(1..=rest.len()) };
            bytes.extend(fe::copy_data(&rest[..cut]));
            rest = &rest[cut..];
        }
        bytes.extend(if !self.calm && self.one_in(40) { fe::copy_fail("no more") } else { fe::copy_done() });
        let label = format!("{sql}\n{}", data.escape_ascii().to_string().replace("\\n", "\n"));
        Step { bytes, label, leeway: Leeway { doubled: clash, ..Leeway::default() } }
    }

    /// Several statements in one `Query`.
    fn script(&mut self) -> Step {
        let count = self.random.random_range(2..5);
        let (mut texts, mut leeway) = (Vec::new(), Leeway::default());
        for n in 0..count {
            let write = self.write(false);
            // A line comment may end the text.
            texts.push(write.sql + "\n");
            leeway |= write.leeway;
            if self.one_in(3) {
                texts.push(format!("SELECT count(*) FROM {} WHERE id > {n}", self.scenario.table));
            }
        }
        if self.one_in(5) {
            texts.insert(0, "BEGIN".into());
            texts.push("COMMIT".into());
        }
        let sql = texts.join(";");
        Step { leeway, ..Step::query(sql) }
    }

    /// Several statements before one `Sync`.
    fn pipeline(&mut self) -> Step {
        let mut step = Step { label: String::new(), bytes: Vec::new(), leeway: Leeway::default() };
        self.pipelined = true;
        for _ in 0..self.random.random_range(2..6) {
            let (bytes, write) = self.extended();
            step.bytes.extend(bytes);
            step.label += &format!("{}\n;; ", label(&write));
            step.leeway |= write.leeway;
            if self.one_in(6) {
                step.bytes.extend(fe::flush());
            }
        }
        self.pipelined = false;
        step.bytes.extend(fe::sync());
        step
    }

    /// A transaction with savepoints; when something failed, what comes then fails too.
    fn transaction(&mut self) -> Vec<Step> {
        let mut steps =
            vec![Step::query(self.pick(&["BEGIN", "START TRANSACTION", "BEGIN ISOLATION LEVEL REPEATABLE READ"]))];
        for _ in 0..self.random.random_range(1..5) {
            if self.one_in(2) {
                steps.push(Step::query("SAVEPOINT s"));
            }
            let step = match self.random.random_range(0..8) {
                0 if self.copies => self.copy(),
                1 => self.sql_execute(),
                2 => self.pipeline(),
                // Of a partitioned table it fails after the row was found, whatever the row is.
                3 if !self.scenario.partitioned => {
                    let id = self.kept();
                    let table = &self.scenario.table;
                    let text =
                        format!("DECLARE cur CURSOR FOR SELECT * FROM {table} WHERE id = {id} FOR UPDATE; MOVE cur");
                    steps.push(Step::query(&text));
                    let row = self.row(0, false);
                    let sql = format!(
                        "UPDATE {table} SET a = {}, d = {} WHERE CURRENT OF cur",
                        row.value("a").bare(),
                        row.value("d").bare()
                    );
                    let write = self.finish(sql, false);
                    let step = self.query(&write);
                    steps.push(step);
                    Step::query("CLOSE cur")
                }
                4 => self.extended_step(),
                _ => {
                    let write = self.write(false);
                    self.query(&write)
                }
            };
            steps.push(step);
            if self.one_in(3) {
                steps.push(Step::query(self.pick(&[
                    "ROLLBACK TO SAVEPOINT s",
                    "ROLLBACK TO s",
                    "RELEASE s",
                    "SELECT 1",
                ])));
            }
        }
        steps.push(Step::query(self.pick(&["COMMIT", "COMMIT", "END", "ROLLBACK"])));
        steps
    }

    /// The next thing a client does.
    pub fn steps(&mut self) -> Vec<Step> {
        match self.random.random_range(0..20) {
            0..6 => {
                let write = self.write(false);
                vec![self.query(&write)]
            }
            6..11 => vec![self.extended_step()],
            11 | 12 => vec![self.sql_execute()],
            13 | 14 if self.copies => vec![self.copy()],
            // What began in a script that failed is still open.
            15 => vec![self.script(), Step::query("ROLLBACK")],
            16 | 17 => vec![self.pipeline()],
            _ => self.transaction(),
        }
    }
}

fn label(write: &Write) -> String {
    let shown = |value: &Value| value.text.clone().unwrap_or("NULL".into());
    format!("{} -- {:?}", write.sql, write.parameters.iter().map(shown).collect::<Vec<_>>())
}
