//! A proxy with rules of its own before a fresh database.

use super::{Message, Proxy, Talk, cluster, metrics::Samples, talk};

/// Rejects what breaks the order of `ex`.
pub const REJECT: &str = "\
version: 1
tables:
  - table: public.ex
    on_violation: reject
    rules:
      - name: ex_order
        order: [created_at, started_at, completed_at]
        hint: ask the clock only once
";

/// A proxy, a database, and the direct way to it.
pub struct Guarded {
    /// The proxy.
    pub proxy: Proxy,
    /// The database.
    pub database: String,
}

impl Guarded {
    /// With these rules and nothing more than the template's tables.
    pub fn new(rules: &str) -> Self {
        Self::with_schema(rules, "")
    }

    /// With these rules, after this SQL was run as superuser.
    pub fn with_schema(rules: &str, sql: &str) -> Self {
        let database = cluster().database();
        if !sql.is_empty() {
            cluster().direct(&database).run(sql);
        }
        Self { proxy: Proxy::start(rules), database }
    }

    /// A session through the proxy as superuser.
    pub fn login(&self) -> Talk {
        self.login_as("postgres")
    }

    /// A session through the proxy as any role.
    pub fn login_as(&self, role: &str) -> Talk {
        Talk::login(self.proxy.addr, role, &self.database)
    }

    /// A session past the proxy as superuser.
    pub fn direct(&self) -> Talk {
        cluster().direct(&self.database)
    }

    /// First column of the first row, asked directly.
    pub fn landed(&self, sql: &str) -> String {
        self.direct().value(sql)
    }

    /// Ids above 100 in `ex`, asked directly.
    pub fn landed_ids(&self) -> String {
        self.landed("SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM ex WHERE id > 100")
    }

    /// Waits until so many writes had this outcome.
    pub fn await_outcome(&self, outcome: &str, count: u32) -> Samples {
        self.proxy.await_metric("statements_total", &[("outcome", outcome)], f64::from(count))
    }

    /// Waits until so many writes were unguardable for this reason.
    pub fn await_unguardable(&self, reason: &str, count: u32) -> Samples {
        self.proxy.await_metric("unguardable_total", &[("reason", reason)], f64::from(count))
    }

    /// Waits until a rule was violated so many times.
    pub fn await_violations(&self, rule: &str, count: u32) -> Samples {
        self.proxy.await_metric("violations_total", &[("rule", rule)], f64::from(count))
    }
}

/// The replies hold exactly the translated refusal of `rule` on `schema.table`, as DESIGN 6.5 has it.
pub fn assert_refused_by(replies: &[Message], schema: &str, table: &str, rule: &str) {
    let error = talk::error(replies);
    let fields = error.fields();
    let field = |code: char| fields.get(&code).map_or("", String::as_str);
    assert_eq!((field('S'), field('V'), field('C')), ("ERROR", "ERROR", "23514"), "{error}");
    assert_eq!(field('M'), format!("new row for relation \"{table}\" violates timestamp rule \"{rule}\""));
    assert_eq!((field('s'), field('t'), field('n')), (schema, table, rule), "{error}");
    assert!(!field('D').is_empty(), "a detail: {error}");
    for (code, value) in &fields {
        assert!(!value.contains("int4in") && !value.contains("pg_catalog."), "field {code} shows the guard: {error}");
    }
    for code in ['P', 'p', 'q'] {
        assert!(!fields.contains_key(&code), "position of a text that the client did not send: {error}");
    }
}

/// The replies hold the refusal of `ex_order`.
pub fn assert_refused(replies: &[Message]) {
    assert_refused_by(replies, "public", "ex", "ex_order");
    assert_eq!(talk::error(replies).field('H'), "ask the clock only once");
}

/// The connection still works, in the given transaction status.
pub fn assert_usable(talk: &mut Talk) {
    assert_eq!(talk.value("SELECT 42"), "42");
    assert_eq!(status(&talk.run("INSERT INTO plain VALUES (4711, 'x') ON CONFLICT DO NOTHING")), 'I');
}

/// Transaction status of the last `ReadyForQuery`.
pub fn status(replies: &[Message]) -> char {
    let last = replies.last().expect("a reply");
    assert_eq!(last.tag, b'Z', "{replies:?}");
    char::from(last.body[0])
}
