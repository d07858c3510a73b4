//! What the server says about a relation, for one role: everything that decides whether and how it can be guarded.

use serde::Deserialize;

/// A relation by its qualified name, as PostgreSQL stores it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct QualifiedName {
    /// `pg_namespace.nspname`.
    pub schema: String,
    /// `pg_class.relname`.
    pub name: String,
}

/// The answer to [`super::question::RESOLVE`]: what a name means in a session right now, and what may be done with it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Resolved {
    /// `None`: the name means no relation (the server will say so itself).
    pub relation: Option<RelationFacts>,
    /// `current_user`.
    pub role: String,
    /// `server_version_num`, e.g. `150018`.
    pub server_version: u32,
    /// `client_min_messages` lets a NOTICE through.
    pub notices: bool,
    /// The role may call `pg_catalog.set_config`.
    pub may_set_config: bool,
}

/// One relation as one role sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RelationFacts {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Where it really is.
    #[serde(flatten)]
    pub name: QualifiedName,
    /// `pg_class.relkind`: `r`, `p`, `v`, `m`, `f`.
    pub kind: char,
    /// Live columns in `attnum` order.
    pub columns: Vec<ColumnFacts>,
    /// Column names of the primary key, in key order.
    pub primary_key: Vec<String>,
    /// Columns that an index, a partition key or an `UPDATE OF` trigger is about, here, on a descendant or on a table below a view: to name one
    /// in SET has effects of its own even where its value stays.
    #[serde(default)]
    pub entangled: Vec<String>,
    /// The relation itself first, then every ancestor by partitioning or inheritance: rules of any of them apply.
    pub lineage: Vec<QualifiedName>,
    /// OIDs a row's `tableoid` may have when this relation is written: itself and all descendants.
    pub tableoids: Vec<u32>,
    /// OID of the root of the partition tree that this relation is in (itself if it is the root), if partitioned.
    pub partition_root: Option<u32>,
    /// A descendant is a foreign table.
    pub foreign_descendant: bool,
    /// For a view: base tables it reads directly or through other views.
    pub view_bases: Vec<QualifiedName>,
    /// A `BEFORE INSERT` row trigger exists (on it or a partition).
    pub before_insert_trigger: bool,
    /// A `BEFORE UPDATE` row trigger exists (on it or a partition).
    pub before_update_trigger: bool,
    /// For a view that PostgreSQL updates by itself: what of its base table shows through.
    #[serde(default)]
    pub view: Option<ViewFacts>,
    /// `INSTEAD OF` triggers exist (views).
    pub instead_of_trigger: bool,
    /// An INSTEAD rule for INSERT exists (conditional ones too).
    pub instead_rule_insert: bool,
    /// An INSTEAD rule for UPDATE exists (conditional ones too).
    pub instead_rule_update: bool,
    /// `row_security_active(oid)` for the current role and settings.
    pub row_security: bool,
    /// The role may read system columns such as `tableoid`: `has_column_privilege(oid, 'tableoid', 'SELECT')`, that is, it has SELECT on
    /// the whole relation and not just on columns.
    #[serde(default = "yes")]
    pub reads_system_columns: bool,
    /// What decides whether the rows of a COPY may take another way into it.
    #[serde(default)]
    pub stage: StageFacts,
    /// Facts on the parents of `parent` rules that were asked for along with it.
    #[serde(default)]
    pub parents: Vec<RelationFacts>,
}

fn yes() -> bool {
    true
}

/// What decides whether the rows of a COPY may go through a temporary table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct StageFacts {
    /// The role may create temporary tables in this database, and no event trigger would notice that it does.
    pub temporary: bool,
    /// `max_prepared_transactions` is not 0. A transaction that has used a temporary table cannot be prepared.
    pub prepared_transactions: bool,
    /// An enabled rule for INSERT, of any kind: COPY does not follow rules.
    pub insert_rule: bool,
    /// Columns whose type is a domain. COPY does not check the domain of a column that it leaves out, INSERT does.
    pub domains: Vec<String>,
}

/// A simple view over one table without row security.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ViewFacts {
    /// Its columns that are the base table's column of the same name, unchanged.
    pub columns: Vec<String>,
    /// The base table has a `BEFORE UPDATE` row trigger.
    pub before_update_trigger: bool,
}

/// One column of a relation, for one role.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ColumnFacts {
    /// `attname`.
    pub name: String,
    /// Name of the base type in `pg_catalog` (domains resolved), e.g. `timestamptz`, `int8`; types elsewhere as `schema.name`.
    pub type_name: String,
    /// That type is an enum.
    #[serde(default)]
    pub is_enum: bool,
    /// It has a default expression.
    pub has_default: bool,
    /// The default's text (`pg_get_expr`), e.g. `now()`; for a generated column its expression.
    pub default: Option<String>,
    /// `attgenerated` is not empty.
    pub generated: bool,
    /// Generated and virtual (PostgreSQL 18).
    pub virtual_generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`.
    pub identity_always: bool,
    /// The role has SELECT on it.
    pub can_select: bool,
    /// The role has UPDATE on it.
    pub can_update: bool,
}

impl RelationFacts {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|c| c.name == name)
    }
}
