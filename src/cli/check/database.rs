//! The rules against a database: what exists, what type it has, and what the server says to raw conditions.
//!
//! Reads the catalog and has statements prepared; executes nothing of the rule files.

use std::collections::HashMap;

use tokio_postgres::{Client, error::ErrorPosition};

use super::judge;
use crate::{
    catalog::{
        facts::{QualifiedName, RelationFacts, Resolved},
        question::{Asked, CatalogError, RESOLVE, decode_resolved, encode_asked},
    },
    cli::database::{AskError, connect},
    guard::compile::violated,
    rules::{
        diagnostic::{Code, Diagnostic},
        set::{Condition, Kind, Matches, Parent, Place, Rule, RuleSet, TableRules},
        sources::{Sources, Words},
    },
};

/// Everything that is wrong with the rules in this database.
///
/// # Errors
/// The database cannot be asked, or not as that role.
pub(super) fn check(
    url: &str,
    role: Option<&str>,
    set: &RuleSet,
    sources: &Sources,
) -> Result<Vec<Diagnostic>, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = connect(url, "check").await?;
        if let Some(role) = role {
            client.batch_execute(&format!("SET ROLE {}", quoted(role))).await.map_err(AskError::Role)?;
        }
        Asking { client, words: Words::new(set, sources), found: Vec::new() }.all(set).await
    })
}

struct Asking<'a> {
    client: Client,
    words: Words<'a>,
    found: Vec<Diagnostic>,
}

impl Asking<'_> {
    async fn all(mut self, set: &RuleSet) -> Result<Vec<Diagnostic>, AskError> {
        for table in &set.tables {
            self.table(set, table).await?;
        }
        self.zones(set).await?;
        self.exempt(set).await?;
        Ok(self.found)
    }

    async fn table(&mut self, set: &RuleSet, table: &TableRules) -> Result<(), AskError> {
        let resolved = self.resolved(table).await?;
        let Some(facts) = resolved.relation else {
            return self.unknown_table(table).await;
        };
        self.found.extend(judge::relation(table, &facts, set));
        for rule in &table.rules {
            let before = self.found.len();
            self.found.extend(judge::rule(rule, &facts, &resolved.role, &self.words));
            let known = |d: &Diagnostic| {
                matches!(d.code, Code::UnknownColumn | Code::UnknownTable)
                    || d.code == Code::Unguardable && d.is_error()
            };
            if self.found[before..].iter().any(known) {
                // The server would only say the same again.
                continue;
            }
            self.conditions(table, rule).await?;
            if let Kind::Parent(parent) = &rule.kind {
                self.join(table, rule, parent).await?;
            }
            // What is judged by the number of rows has no SQL.
            if self.found.len() == before && !matches!(rule.kind, Kind::AffectsRows(_)) {
                self.guard(table, rule, &facts).await?;
            }
        }
        Ok(())
    }

    /// The last word: the rule compiled as the proxy compiles it, and the result as the server reads it.
    async fn guard(&mut self, table: &TableRules, rule: &Rule, facts: &RelationFacts) -> Result<(), AskError> {
        // Where the row before is needed, any other row stands for it.
        let (old, from) = match rule.kind.has_memory() {
            true => (Some("cg_old"), format!("{}.{} cg_old, ", quoted(&table.schema), quoted(&table.table))),
            false => (None, String::new()),
        };
        let refused = match violated(rule, facts, "cg", old) {
            Err(reason) => format!("`{}` cannot be judged here: {}", rule.name, reason.as_str()),
            Ok(sql) => {
                let text = format!("SELECT {sql} FROM {from}{}.{} cg", quoted(&table.schema), quoted(&table.table));
                let Err(error) = self.client.prepare(&text).await else { return Ok(()) };
                let Some(error) = error.as_db_error() else { return Err(error.into()) };
                format!("the server refuses the guard of `{}`: {}", rule.name, error.message())
            }
        };
        self.found.push(Diagnostic::error(Code::Unguardable, rule.place.clone(), refused).over(&rule.name));
        Ok(())
    }

    async fn resolved(&self, table: &TableRules) -> Result<Resolved, AskError> {
        let parents: Vec<QualifiedName> = table
            .rules
            .iter()
            .filter_map(|rule| match &rule.kind {
                Kind::Parent(p) => Some(QualifiedName { schema: p.schema.clone(), name: p.table.clone() }),
                _ => None,
            })
            .collect();
        let asked = [Asked { schema: Some(&table.schema), name: &table.table, parents: &parents }];
        let row = self.client.query_one(RESOLVE, &[&encode_asked(&asked)]).await?;
        let answer: String = row.get(0);
        let asked_for = CatalogError::Count { asked: 1, answered: 0 };
        Ok(decode_resolved(&answer, &asked)?.pop().ok_or(asked_for)?)
    }

    async fn unknown_table(&mut self, table: &TableRules) -> Result<(), AskError> {
        let name = format!("{}.{}", table.schema, table.table);
        let rows = self.client.query(TABLES, &[]).await?;
        let names: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut d = Diagnostic::error(Code::UnknownTable, table.place.clone(), format!("there is no table `{name}`"))
            .over(&table.table);
        // The same name elsewhere is the likelier mistake.
        d = match names.iter().find(|(_, t)| *t == table.table) {
            Some((schema, t)) => d.help(format!("did you mean `{schema}.{t}`?")),
            None => {
                let qualified: Vec<String> = names.iter().map(|(s, t)| format!("{s}.{t}")).collect();
                d.did_you_mean(&name, qualified.iter().map(String::as_str))
            }
        };
        self.found.push(d);
        Ok(())
    }

    /// `when` and `check` as the server reads them.
    async fn conditions(&mut self, table: &TableRules, rule: &Rule) -> Result<(), AskError> {
        let check = match &rule.kind {
            Kind::Check(condition) => Some(("check", condition)),
            _ => None,
        };
        for (key, condition) in rule.when.iter().map(|when| ("when", when)).chain(check) {
            self.condition(table, &rule.place, key, condition).await?;
        }
        Ok(())
    }

    async fn condition(
        &mut self,
        table: &TableRules,
        place: &Place,
        key: &str,
        condition: &Condition,
    ) -> Result<(), AskError> {
        let head = format!("SELECT 1 FROM {}.{} WHERE (", quoted(&table.schema), quoted(&table.table));
        let Err(error) = self.client.prepare(&format!("{head}{}\n)", condition.text)).await else { return Ok(()) };
        let Some(error) = error.as_db_error() else { return Err(error.into()) };
        let position = match error.position() {
            Some(ErrorPosition::Original(at)) => (*at as usize).checked_sub(head.chars().count()),
            _ => None,
        };
        let at = position.filter(|at| *at <= condition.text.chars().count()).map(|at| format!(" (at character {at})"));
        let message = format!("the server refuses `{key}`: {}{}", error.message(), at.unwrap_or_default());
        self.found.push(Diagnostic::error(Code::BadSql, self.words.at(place, key), message).over(key));
        Ok(())
    }

    /// The join's types fit, and an index serves it.
    async fn join(&mut self, table: &TableRules, rule: &Rule, parent: &Parent) -> Result<(), AskError> {
        let on: Vec<String> =
            parent.join.iter().map(|(own, theirs)| format!("c.{} = p.{}", quoted(own), quoted(theirs))).collect();
        let text = format!(
            "SELECT 1 FROM {}.{} c JOIN {}.{} p ON {}",
            quoted(&table.schema),
            quoted(&table.table),
            quoted(&parent.schema),
            quoted(&parent.table),
            on.join(" AND ")
        );
        if let Err(error) = self.client.prepare(&text).await {
            let Some(error) = error.as_db_error() else { return Err(error.into()) };
            let message = format!("the columns of `join` cannot be compared: {}", error.message());
            self.found
                .push(Diagnostic::error(Code::ColumnType, self.words.at(&rule.place, "join"), message).over("join"));
            return Ok(());
        }
        let columns: Vec<&str> = parent.join.iter().map(|(_, theirs)| theirs.as_str()).collect();
        let row = self.client.query_one(LEADING_INDEX, &[&parent.schema, &parent.table, &columns]).await?;
        if !row.get::<_, bool>(0) {
            let message =
                format!("`{}.{}` has no index that begins with {}", parent.schema, parent.table, columns.join(" or "));
            let d = Diagnostic::warning(Code::ParentIndex, self.words.at(&rule.place, "join"), message).over("join");
            self.found.push(d.help("every guarded write would read the whole parent table"));
        }
        Ok(())
    }

    /// Exemptions for somebody who does not exist.
    async fn exempt(&mut self, set: &RuleSet) -> Result<(), AskError> {
        type Named = fn(&Matches) -> Option<&String>;
        let sorts: [(&str, Named, &str); 2] = [
            ("role", |matches| matches.role.as_ref(), UNKNOWN_ROLES),
            ("database", |matches| matches.database.as_ref(), UNKNOWN_DATABASES),
        ];
        for (sort, named, question) in sorts {
            let given = set.exemptions.iter().filter_map(|e| named(&e.matches).map(|name| (e, name)));
            let given: Vec<_> = given.filter(|(_, name)| !name.contains('*')).collect();
            let names: Vec<&str> = given.iter().map(|(_, name)| name.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            let unknown: Vec<String> =
                self.client.query(question, &[&names]).await?.iter().map(|row| row.get(0)).collect();
            for (exemption, name) in given.iter().filter(|(_, name)| unknown.contains(name)) {
                let message = format!("the exemption applies to nothing: there is no {sort} `{name}`");
                let place = self.words.at(&exemption.place, name);
                let d = Diagnostic::warning(Code::UnusedExemption, place, message).over(name);
                self.found.push(d.help("mend or remove it"));
            }
        }
        Ok(())
    }

    /// An unknown zone would be an error in every guard that names it.
    async fn zones(&mut self, set: &RuleSet) -> Result<(), AskError> {
        let mut first: HashMap<&str, &Place> = HashMap::new();
        for rule in set.tables.iter().flat_map(|t| &t.rules) {
            if let Some(zone) = &rule.timezone {
                first.entry(zone).or_insert(&rule.place);
            }
        }
        let names: Vec<&str> = first.keys().copied().collect();
        for row in self.client.query(UNKNOWN_ZONES, &[&names]).await? {
            let zone: String = row.get(0);
            if let Some(place) = first.get(zone.as_str()) {
                let message = format!("the server does not know the time zone `{zone}`");
                self.found.push(Diagnostic::error(Code::BadValue, self.words.at(place, &zone), message).over(&zone));
            }
        }
        Ok(())
    }
}

/// Names of roles and databases that do not exist.
const UNKNOWN_ROLES: &str =
    "SELECT r FROM unnest($1::text[]) r WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles t WHERE t.rolname::text = r)";
const UNKNOWN_DATABASES: &str = "SELECT d FROM unnest($1::text[]) d WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database t WHERE t.datname::text = d)";

/// Every relation that people made.
const TABLES: &str = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2";

/// Whether a complete index of the table starts with one of the columns.
const LEADING_INDEX: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] \
     WHERE n.nspname = $1::text AND c.relname = $2::text AND a.attname::text = ANY ($3::text[]) AND i.indisvalid AND i.indpred IS NULL)";

const UNKNOWN_ZONES: &str =
    "SELECT z FROM unnest($1::text[]) z WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_timezone_names t WHERE t.name = z)";

/// A name as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
