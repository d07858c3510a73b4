//! Plays one script directly and through the proxy, on equal databases, and compares every byte that came back and every row that landed.

use std::net::SocketAddr;

use super::{
    Proxy, Talk, cluster,
    message::OidNames,
    talk::{Entry, Transcript},
};

/// Rules on every table that scripts write, all observing; `{}`-free so that it can be used as it is.
pub const RULES: &str = "\
version: 1
tables:
  - table: public.ex
    on_violation: observe
    rules:
      - name: ex_order
        order: [created_at, started_at, completed_at]
      - name: ex_no_reuse
        parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}}
  - table: public.jobs
    rules:
      - name: jobs_sane
        plausible: {columns: [created_at], after: 2000-01-01, before: 2100-01-01}
";

/// Rules on a table that no script names.
pub const OTHER_RULES: &str = "\
version: 1
tables:
  - table: public.elsewhere
    rules:
      - name: elsewhere_order
        order: [a, b]
";

/// What landed, without the values that `now()` makes.
const LANDED: &str = "\
SELECT 'ex', id::text, job_id::text, status, (created_at IS NULL)::text, started_at::text, completed_at::text, left(note, 50) FROM ex
UNION ALL SELECT 'jobs', id::text, created_at::text, NULL, NULL, NULL, NULL, NULL FROM jobs
UNION ALL SELECT 'plain', id::text, left(t, 50), NULL, NULL, NULL, NULL, NULL FROM plain ORDER BY 1, 2";

/// Where one run of a script takes place.
pub struct Stage {
    /// PostgreSQL or the proxy.
    pub addr: SocketAddr,
    /// A fresh database.
    pub database: String,
    transcript: Transcript,
}

impl Stage {
    /// A connection that has sent nothing yet.
    pub fn socket(&self, name: &str) -> Talk {
        Talk::connect_as(self.addr, name, self.transcript.clone())
    }

    /// A session as superuser.
    pub fn login(&self, name: &str) -> Talk {
        let mut talk = self.socket(name);
        talk.start(&[("user", "postgres"), ("database", &self.database)]);
        talk
    }
}

/// The script must look the same direct, through a proxy that guards its tables, and through one that guards none of them.
pub fn same_as_direct(script: impl Fn(&Stage)) {
    compare(script, false);
}

/// As [`same_as_direct`], and the guarding proxy must have spliced a guard into at least one of its statements.
pub fn same_when_guarded(script: impl Fn(&Stage)) {
    compare(script, true);
}

fn compare(script: impl Fn(&Stage), guarded: bool) {
    let direct = play(cluster().addr, &script);
    if std::env::var_os("CHRONOGUARD_IT_DIRECT").is_some() {
        // Tests the script itself: direct against direct must be equal.
        return check("direct", &direct, &play(cluster().addr, &script));
    }
    let proxy = Proxy::start(RULES);
    check("guarding", &direct, &play(proxy.addr, &script));
    if guarded {
        let metrics = proxy.metrics();
        let seen: f64 = ["passed", "observed", "preexisting"]
            .iter()
            .map(|o| metrics.sum("statements_total", &[("outcome", o)]))
            .sum();
        assert!(seen > 0.0, "no statement of this script was guarded: {metrics:#?}");
    }
    drop(proxy);
    let proxy = Proxy::start(OTHER_RULES);
    check("not guarding", &direct, &play(proxy.addr, &script));
}

/// The same exchange direct and through a guarding proxy, each on a database of its own.
pub fn play_on_both<T>(exchange: impl Fn(&Stage) -> T) -> (T, T) {
    let proxy = Proxy::start(RULES);
    let stage = |addr| Stage { addr, database: cluster().database(), transcript: Transcript::default() };
    (exchange(&stage(cluster().addr)), exchange(&stage(proxy.addr)))
}

/// Transcript and rows of one run.
fn play(addr: SocketAddr, script: impl Fn(&Stage)) -> (Vec<Entry>, Vec<Vec<String>>) {
    let database = cluster().database();
    let stage = Stage { addr, database: database.clone(), transcript: Transcript::default() };
    script(&stage);
    let mut oids = OidNames::default();
    let entries = stage.transcript.lock().unwrap().drain(..).map(|e| mask(e, &database, &mut oids)).collect();
    (entries, cluster().direct(&database).rows(LANDED))
}

fn mask(entry: Entry, database: &str, oids: &mut OidNames) -> Entry {
    match entry {
        Entry::Received(who, message) => {
            let mut message = message.masked(oids);
            for at in 0..message.body.len().saturating_sub(database.len() - 1) {
                if message.body.len() < 4096 && message.body[at..].starts_with(database.as_bytes()) {
                    message.body[at..at + database.len()].fill(b'_');
                }
            }
            Entry::Received(who, message)
        }
        Entry::Note(text) => Entry::Note(text.replace(database, "________")),
        other => other,
    }
}

fn check(how: &str, direct: &(Vec<Entry>, Vec<Vec<String>>), proxied: &(Vec<Entry>, Vec<Vec<String>>)) {
    for (at, (want, got)) in direct.0.iter().zip(&proxied.0).enumerate() {
        if want != got {
            let before: String = direct.0[at.saturating_sub(12)..at].iter().map(|e| format!("  {e}\n")).collect();
            let list =
                |entries: &[Entry]| -> String { entries[at..].iter().take(8).map(|e| format!("  {e}\n")).collect() };
            panic!(
                "{how}: entry {at} differs\nboth before:\n{before}direct:\n{}proxy:\n{}{}",
                list(&direct.0),
                list(&proxied.0),
                bytes(want, got)
            );
        }
    }
    assert_eq!(direct.0.len(), proxied.0.len(), "{how}: one transcript is longer");
    assert_eq!(direct.1, proxied.1, "{how}: other rows landed");
}

/// Shows the bytes if two messages look alike.
fn bytes(want: &Entry, got: &Entry) -> String {
    match (want, got) {
        (Entry::Received(_, a), Entry::Received(_, b)) if a.to_string() == b.to_string() => {
            format!("bytes:\n  {}\n  {}\n", a.body.escape_ascii(), b.body.escape_ascii())
        }
        _ => String::new(),
    }
}
