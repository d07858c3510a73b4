//! The same steps on both sides, and what may differ.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    scenario::{FUNCTIONS, KEPT, SOURCE, Scenario, joined},
    shapes::{Leeway, Shapes, Step, prepared},
    value::Value,
};
use crate::harness::{Message, Talk, cluster, fe};

/// Steps that are sent before the first reply is read, unless `CHRONOGUARD_IT_BATCH` says otherwise: 1 shows which step it was.
const BATCH: usize = 25;

/// `CHRONOGUARD_IT_SEED`: another run than the usual one.
pub fn seed() -> u64 {
    std::env::var("CHRONOGUARD_IT_SEED").map_or(20_260_215, |text| text.parse().expect("a number"))
}

/// `CHRONOGUARD_IT_CASES`: how many times the usual number of cases.
pub fn times() -> usize {
    std::env::var("CHRONOGUARD_IT_CASES").map_or(1, |text| text.parse().expect("a number"))
}

fn batch() -> usize {
    std::env::var("CHRONOGUARD_IT_BATCH").map_or(BATCH, |text| text.parse().expect("a number"))
}

/// One side: a database of its own, reached directly or not.
pub struct Side {
    /// Name of the database.
    pub database: String,
    /// The session that steps are sent on.
    pub talk: Talk,
}

/// What the steps came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Writes.
    pub writes: usize,
    /// `CommandComplete`s.
    pub completed: usize,
    /// Errors by SQLSTATE.
    pub errors: std::collections::BTreeMap<String, usize>,
    /// Rows that came back.
    pub rows: usize,
}

/// How strict the comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// The right side has the rules as constraints: a refusal is compared by what drivers look at.
    Constraint,
    /// The right side has the rules as triggers that judge what landed, and the rows of a statement have no other fault.
    Trigger,
    /// The right side has no rules.
    Bytes,
}

/// A database with the tables of all scenarios, to be copied.
pub fn database(scenarios: &[Scenario], seed: u64) -> String {
    let database = cluster().database();
    let mut talk = cluster().direct(&database);
    talk.run(FUNCTIONS);
    for (n, scenario) in scenarios.iter().enumerate() {
        talk.run(&scenario.schema());
        let mut random = StdRng::seed_from_u64(seed ^ (n as u64) << 20);
        let mut good = Vec::new();
        while good.len() < usize::try_from(KEPT).unwrap() {
            good.extend(scenario.rows(&mut talk, &mut random, 0, 400).into_iter().filter(|row| row.good));
        }
        let rows: Vec<String> = (1..=KEPT)
            .zip(&good)
            .map(|(id, row)| format!("({id},{})", joined(&row.values[1..], Value::cast)))
            .collect();
        talk.run(&format!("INSERT INTO {} VALUES {}", scenario.table, rows.join(",")));
        let rows: Vec<String> = (1..=SOURCE)
            .zip(scenario.rows(&mut talk, &mut random, 0, usize::try_from(SOURCE).unwrap()))
            .map(|(k, row)| format!("({k},{},{})", joined(&row.values[1..], Value::cast), row.good))
            .collect();
        talk.run(&format!("INSERT INTO {} VALUES {}", scenario.source, rows.join(",")));
    }
    talk.run(&scenarios.iter().map(Scenario::before).collect::<String>());
    talk.run("VACUUM ANALYZE");
    talk.terminate();
    database
}

/// A copy, equal down to the OIDs of the tables, with what this SQL adds.
pub fn copy(database: &str, more: &str) -> String {
    let name = format!("{database}_{}", more.len());
    cluster().admin().run(&format!("CREATE DATABASE {name} TEMPLATE {database}"));
    if !more.is_empty() {
        cluster().direct(&name).run(more);
    }
    name
}

/// Plays `count` units of one scenario on both sides; `checked` has a look at the right side after each batch.
pub fn play(
    scenario: &Scenario,
    (left, right): (&mut Side, &mut Side),
    seed: u64,
    count: usize,
    compare: Compare,
    mut checked: impl FnMut(&mut Talk) -> Result<(), String>,
) -> Tally {
    let number: u64 = scenario.table[1..].parse().expect("a number");
    let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1_009).wrapping_add(number));
    let mut direct = cluster().direct(&right.database);
    let pool = std::array::from_fn(|how| {
        let mut rows = scenario.rows(&mut direct, &mut random, how, 120);
        while !rows.iter().any(|row| row.good) && rows.len() < 4_000 {
            rows.extend(scenario.rows(&mut direct, &mut random, how, 400));
        }
        rows
    });
    let mut shapes = Shapes::new(scenario, random, pool);
    shapes.calm = compare != Compare::Constraint;
    shapes.proposes = compare != Compare::Constraint;
    // A trigger judges after the whole statement, and the sequence has gone further.
    shapes.identity = compare != Compare::Trigger;
    shapes.leaves = compare != Compare::Trigger;
    shapes.copies = !scenario.has_parent() && !scenario.triggered;
    let mut tally = Tally::default();
    let mut steps = preparations(scenario);
    let mut history: Vec<String> = Vec::new();
    for unit in 0..count {
        steps.extend(shapes.steps());
        if steps.len() < batch() && unit + 1 < count {
            continue;
        }
        if steps.len() >= BATCH && shapes.random.random_range(0..3) == 0 {
            steps.push(Step::query(format!("DELETE FROM {} WHERE id > {KEPT}", scenario.table)));
        }
        steps.push(Step::query(format!("SELECT * FROM {} ORDER BY id", scenario.table)));
        if compare != Compare::Bytes {
            let sql = format!("SELECT 'violates', t.* FROM {} t WHERE {}", scenario.table, scenario.violated());
            steps.push(Step::query(sql));
        }
        let batch: Vec<u8> = steps.iter().flat_map(|step| step.bytes.clone()).collect();
        left.talk.send_behind(batch.clone());
        right.talk.send_behind(batch);
        for step in steps.drain(..) {
            let replies = (left.talk.ready(), right.talk.ready());
            if let Some(what) = difference(&step, &replies.0, &replies.1, compare) {
                let list = |messages: &[Message]| -> String { messages.iter().map(|m| format!("    {m}\n")).collect() };
                let (chronoguard, direct) = (list(&replies.0), list(&replies.1));
                panic!(
                    "{what}\n{}statement:\n  {}\nchronoguard:\n{chronoguard}direct:\n{direct}",
                    told(scenario, unit, &history),
                    step.label
                );
            }
            tally.count(&replies.0);
            history.push(format!("{} {}", replies.1.last().expect("Z").body.escape_ascii(), step.label));
        }
        left.talk.sent();
        right.talk.sent();
        if let Err(what) = checked(&mut right.talk) {
            panic!("{what}\n{}", told(scenario, unit, &history));
        }
    }
    tally.writes = shapes.writes;
    tally
}

/// What led to a failure.
fn told(scenario: &Scenario, unit: usize, history: &[String]) -> String {
    let before: String =
        history[history.len().saturating_sub(2 * batch() + 3)..].iter().map(|step| format!("  {step}\n")).collect();
    format!(
        "CHRONOGUARD_IT_SEED={} unit {unit}\n{}{}rules:\n{}\nbefore (status, statement):\n{before}",
        seed(),
        scenario.schema(),
        scenario.constraints(),
        scenario.yaml("reject"),
    )
}

/// Statements for the whole life of the session.
fn preparations(scenario: &Scenario) -> Vec<Step> {
    let left_over = format!("DELETE FROM {} WHERE id > {KEPT}", scenario.table);
    let mut steps = vec![Step::query("DEALLOCATE ALL"), Step::query(left_over)];
    for (name, sql, columns) in prepared(scenario) {
        let bytes = [fe::parse(&name, &sql), fe::describe_statement(&name), fe::sync()].concat();
        steps.push(Step { bytes, label: format!("prepare {name}"), leeway: Leeway::default() });
        let types: Vec<&str> = columns.iter().map(|c| scenario.types[super::scenario::position(c)].sql()).collect();
        let types = if name.ends_with("_r") { String::new() } else { format!(" ({})", types.join(", ")) };
        steps.push(Step::query(format!("PREPARE sql_{name}{types} AS {sql}")));
    }
    steps
}

impl Tally {
    fn count(&mut self, replies: &[Message]) {
        for message in replies {
            match message.tag {
                b'C' => self.completed += 1,
                b'D' => self.rows += 1,
                b'E' => *self.errors.entry(message.field('C')).or_default() += 1,
                _ => {}
            }
        }
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.writes += other.writes;
        self.completed += other.completed;
        self.rows += other.rows;
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
    }
}

/// What differs between the replies to one step.
fn difference(step: &Step, left: &[Message], right: &[Message], compare: Compare) -> Option<String> {
    if let Some(row) = left.iter().find(|m| m.tag == b'D' && m.values()[0].as_deref() == Some(b"violates")) {
        return Some(format!("a row landed: {row}"));
    }
    let (left, right) = match step.leeway.unordered {
        true => (sorted(left), sorted(right)),
        false => (left.to_vec(), right.to_vec()),
    };
    for (l, r) in left.iter().zip(&right) {
        let same = match (l.tag, r.tag) {
            (b'E', b'E') if compare != Compare::Bytes => same_error(step, l, r),
            (b'T', b'T') if step.leeway.folded => l == r || same_but_folded(l, r),
            _ => l == r,
        };
        if !same {
            return Some(format!("differs:\n    {l}\n    {r}"));
        }
    }
    (left.len() != right.len()).then(|| "one reply is longer".to_owned())
}

/// Rows that follow each other are a set.
fn sorted(messages: &[Message]) -> Vec<Message> {
    let mut out = messages.to_vec();
    for rows in out.chunk_by_mut(|a, b| a.tag == b'D' && b.tag == b'D') {
        rows.sort_by(|a, b| a.body.cmp(&b.body));
    }
    out
}

/// The columns are the same, except that one or two of the left have no table.
fn same_but_folded(left: &Message, right: &Message) -> bool {
    let (left, mut right) = (left.columns(), right.columns());
    let mut folded = 0;
    for (l, r) in left.iter().zip(&mut right) {
        if l != r {
            (r.numbers.0, r.numbers.1) = (0, 0);
            folded += 1;
        }
    }
    left == right && folded <= 2
}

fn same_error(step: &Step, left: &Message, right: &Message) -> bool {
    let codes = (left.field('C'), right.field('C'));
    // Where a row violates a rule and has a key that is taken, the constraint speaks first, and the guard last.
    if step.leeway.doubled && codes.0 != codes.1 {
        return [&codes.0, &codes.1].iter().all(|code| ["23514", "23505"].contains(&code.as_str()));
    }
    if codes.0 != "23514" || codes.1 != "23514" {
        return left == right;
    }
    let which = if step.leeway.unordered || step.leeway.doubled { "SVCs" } else { "SVCsn" };
    let fields = |message: &Message| which.chars().map(|field| message.field(field)).collect::<Vec<_>>();
    // Of a partitioned table, a constraint names the partition in which the row was found.
    let (table, other) = (left.field('t'), right.field('t'));
    let tables = table == other || other.strip_prefix(&table).is_some_and(|rest| rest.starts_with("_p"));
    // PostgreSQL's own constraint on the left: nothing of it may be touched.
    tables && fields(left) == fields(right) && (left.field('n') != "a_native" || left.field('M') == right.field('M'))
}
