//! Guards as the server runs them: compiled from rule files and catalog facts, spliced by hand, their verdicts read back.
//!
//! `CHRONOGUARD_PG_BIN` runs them on another version.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chronoguard::{
    catalog::{
        facts::{QualifiedName, RelationFacts, Resolved},
        question::{self, Asked},
    },
    guard::{self, Channel, Guard, OldPlaces, Reason, Site, Skip, Verdict, Violation, verdict},
    rules::{load::load_texts, set::TableRules},
    scratch::SUPERUSER,
    sql::write::Operation,
};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage};

use crate::support::{self, Database};

mod actions;
mod judge;
mod oracle;
mod values;

const MARK: &str = "0123456789abcdef";

/// A session that keeps the notices it gets.
struct Session {
    client: Client,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Session {
    async fn open(database: &Database) -> Self {
        Self::open_as(database, SUPERUSER).await
    }

    async fn open_as(database: &Database, role: &str) -> Self {
        let mut config = Config::new();
        config.host("127.0.0.1").port(support::cluster().port()).dbname(&database.name).user(role);
        let (client, mut connection) = config.connect(NoTls).await.unwrap();
        let notices = Arc::new(Mutex::new(Vec::new()));
        let kept = notices.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message {
                    kept.lock().unwrap().push(notice.message().to_owned());
                }
            }
        });
        Self { client, notices }
    }

    async fn run(&self, sql: &str) {
        if let Err(error) = self.client.batch_execute(sql).await {
            panic!("{error:?}\n{sql}");
        }
    }

    /// First two columns of the rows.
    async fn rows(&self, sql: &str) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
        let messages = self.client.simple_query(sql).await?;
        let text = |row: &tokio_postgres::SimpleQueryRow, column| row.get(column).unwrap_or_default().to_owned();
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((text(row, 0), if row.len() > 1 { text(row, 1) } else { String::new() }))
                }
                _ => None,
            })
            .collect())
    }

    fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap())
    }

    async fn facts(&self, schema: &str, name: &str, parents: &[QualifiedName]) -> RelationFacts {
        self.resolved(schema, name, parents).await.relation.unwrap()
    }

    async fn resolved(&self, schema: &str, name: &str, parents: &[QualifiedName]) -> Resolved {
        let asked = [Asked { schema: Some(schema), name, parents }];
        let row = self.client.query_one(question::RESOLVE, &[&question::encode_asked(&asked)]).await.unwrap();
        question::decode_resolved(row.get(0), &asked).unwrap().remove(0)
    }
}

/// The rules of the one table of a rule file.
fn rules(yaml: &str) -> Arc<TableRules> {
    match load_texts([("rules.yaml", yaml)]) {
        Ok(loaded) => loaded.set.tables[0].clone(),
        Err(mistakes) => panic!("{mistakes:#?}"),
    }
}

fn site(row: &str, channel: Channel) -> Site<'_> {
    Site {
        operation: if channel == Channel::CopyWhere { Operation::Copy } else { Operation::Insert },
        row,
        channel,
        columns: None,
        conflict_columns: None,
        old: OldPlaces::default(),
        may_set_config: true,
        conflict_target: false,
        reads_target: false,
        server_version: 150_000,
        notices: true,
        also_written: &[],
        observe_only: false,
        exemptions: &[],
        trusted: false,
        mark: MARK,
    }
}

fn compile(rules: &TableRules, facts: &RelationFacts, site: &Site<'_>) -> (Guard, String) {
    let guard = guard::compile(rules, facts, site).unwrap();
    let expression = guard.expression.clone().expect("a rule judges");
    (guard, expression)
}

/// Rule names by key, from the texts of guard columns.
type Violated = BTreeMap<i64, Vec<String>>;

fn words(verdict: Verdict, guard: &Guard, rules: &TableRules) -> Vec<Violation> {
    match verdict {
        Verdict::Findings(findings) => findings.iter().map(|f| Violation::new(f, guard, rules).unwrap()).collect(),
        other => panic!("{other:?}"),
    }
}

fn by_message(message: &str, guard: &Guard, rules: &TableRules) -> Violation {
    let verdict = verdict::from_message(message.as_bytes(), MARK, guard);
    words(verdict.unwrap_or_else(|| panic!("no verdict: {message}")), guard, rules).remove(0)
}

fn key(violation: &Violation) -> i64 {
    violation.key[0].1.parse().unwrap()
}
