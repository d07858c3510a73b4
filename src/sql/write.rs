//! What the locator finds: the statements of a text and the writes in them, by byte offsets into that text.

use std::ops::Range;

/// Settings of the session that change how a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LexOptions {
    /// `standard_conforming_strings`: off makes a backslash escape inside `'…'`.
    pub standard_conforming_strings: bool,
}

impl Default for LexOptions {
    fn default() -> Self {
        Self { standard_conforming_strings: true }
    }
}

/// One statement of a text. Empty statements between semicolons are none.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// From the first byte of the first token to the end of the last one, without the semicolon.
    pub span: Range<usize>,
    /// What the session must know about it.
    pub verb: Verb,
    /// Whatever its verb is: it may change what a name means or what the role may do (`CREATE TABLE … AS`, `SELECT … INTO`, any text with `set_config`).
    pub changes_names: bool,
    /// Every write in it, in order of appearance.
    pub writes: Vec<Write>,
}

/// What a statement does, as far as the session must know.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `VALUES`, `TABLE`, `WITH …`, and everything else that is none of the others.
    Plain,
    /// `PREPARE name AS …`.
    Prepare(String),
    /// `EXECUTE name …`, also inside `EXPLAIN ANALYZE` and `CREATE TABLE AS`: then `wrapped`.
    Execute {
        /// Folded name of the prepared statement.
        name: String,
        /// Its rows do not reach the client as they are.
        wrapped: bool,
    },
    /// `FETCH … name`: rows of a cursor, which may be a portal of the protocol.
    Fetch(String),
    /// `DEALLOCATE name`; `None` for `ALL`, and for `DISCARD ALL`.
    Deallocate(Option<String>),
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`, `PREPARE TRANSACTION`.
    Commit,
    /// `ROLLBACK`, `ABORT` of the whole transaction.
    Rollback,
    /// `SAVEPOINT name`.
    Savepoint(String),
    /// `RELEASE [SAVEPOINT] name`.
    Release(String),
    /// `ROLLBACK TO [SAVEPOINT] name`.
    RollbackTo(String),
    /// It may change what a name means or what the role may do: `SET` and `RESET` of a setting that matters (`search_path`, `role`, …), `CREATE`, `ALTER`, `DROP`,
    /// `GRANT`, `REVOKE`, …, `DO`, `CALL`, and any plain statement that has `set_config`.
    ChangesNames,
    /// `COPY … FROM`, `COPY … TO`: see the write for the former.
    Copy,
    /// `EXPLAIN` of anything, with `ANALYZE` the writes inside are listed.
    Explain,
}

/// The kind of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `INSERT`, also with `ON CONFLICT`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `MERGE`.
    Merge,
    /// `COPY … FROM`.
    Copy,
}

impl Operation {
    /// The metric label and log field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Merge => "merge",
            Self::Copy => "copy",
        }
    }

    /// As SQL and command tags have it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Merge => "MERGE",
            Self::Copy => "COPY",
        }
    }
}

/// The relation a write names, each part folded or unquoted as PostgreSQL does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// `db` of `db.schema.table`.
    pub catalog: Option<String>,
    /// `schema` of `schema.table`.
    pub schema: Option<String>,
    /// The relation.
    pub name: String,
    /// `ONLY` was written.
    pub only: bool,
}

/// Where a write stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its rows are the statement's own result (also inside `PREPARE … AS`).
    Top,
    /// Inside `EXPLAIN ANALYZE`: its rows go nowhere.
    Explain,
    /// Inside a `WITH`, or where the rows are consumed by an outer statement: no column may be added.
    Cte,
    /// `COPY (INSERT …) TO`, `CREATE TABLE … AS EXECUTE`-like places where the rows become the outer result.
    Consumed,
}

/// An entry of a `WITH` list: `name (columns) AS (body)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cte {
    /// Its name, unquoted.
    pub name: String,
    /// Its name and column list as they are written.
    pub head: Range<usize>,
    /// Columns in that list.
    pub columns: usize,
    /// Offset behind the parenthesis that closes the body; 0: it is not closed.
    pub end: usize,
}

/// One write found in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// What it does.
    pub operation: Operation,
    /// What it names.
    pub target: Target,
    /// The alias, unquoted, if given.
    pub alias: Option<String>,
    /// Where it stands.
    pub place: Place,
    /// [`Place::Cte`]: the entry of the `WITH` list whose body it is.
    pub cte: Option<Cte>,
    /// Its own text, `WITH` of its own excluded: from `INSERT`, `UPDATE`, … to its last token.
    pub span: Range<usize>,
    /// INSERT and COPY: the column list; UPDATE: the columns in SET; MERGE: `None`. `None`: all columns.
    pub columns: Option<Vec<String>>,
    /// Columns set by `ON CONFLICT DO UPDATE`, or by the `UPDATE` actions of a MERGE; `None` without such a clause.
    pub conflict_columns: Option<Vec<String>>,
    /// INSERT names a conflict target (`ON CONFLICT (…)` or `ON CONSTRAINT`).
    pub conflict_target: bool,
    /// More relations than the target are in scope of `RETURNING` (`UPDATE … FROM`, `MERGE … USING`).
    pub joined: bool,
    /// Without our help it already reads a column of the target (its WHERE, SET expressions or RETURNING name one): row security then
    /// filters by the SELECT policies anyway. Errs on the side of `false`.
    pub reads_target: bool,
    /// Offset just behind the last token of each `SET` list: of the UPDATE, of `ON CONFLICT DO UPDATE`, of the actions of a MERGE.
    pub set_ends: Vec<usize>,
    /// The condition in the `WHERE` of an UPDATE or of `ON CONFLICT DO UPDATE`.
    pub condition: Option<Range<usize>>,
    /// That condition has a sub-select, or is `CURRENT OF`.
    pub sub_select: bool,
    /// `RETURNING` of the client.
    pub returning: Option<Returning>,
    /// For COPY: the text of its `WHERE` condition, if any. `WHERE` itself starts before it.
    pub copy_where: Option<Range<usize>>,
    /// For `COPY … FROM`: what else it says.
    pub copy: Option<CopySource>,
    /// Offset just behind its last token: where a new clause goes.
    pub end: usize,
    /// Why it could not be read to the end, if so: then nothing but the operation is certain and no guard may be placed.
    pub problem: Option<&'static str>,
}

impl Write {
    /// How an expression in its `RETURNING`, `SET` or `WHERE` names the row: the alias or else the relation's last name, as an SQL identifier.
    pub fn row_name(&self) -> String {
        super::name::quote_ident(self.alias.as_deref().unwrap_or(&self.target.name)).into_owned()
    }
}

/// What a `COPY … FROM` says about its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopySource {
    /// Where its text names the relation.
    pub relation: Range<usize>,
    /// `FROM STDIN`: the client sends the rows.
    pub stdin: bool,
    /// `FORMAT csv`: a row may have several lines.
    pub csv: bool,
    /// The first line holds no row.
    pub header: bool,
    /// Rows may be left out (`ON_ERROR`).
    pub skips: bool,
    /// An option that looks at the relation itself (`FREEZE`, `DEFAULT`), or one that is not known.
    pub particular: bool,
    /// Names that its options have in parentheses: columns.
    pub option_names: Vec<String>,
    /// Every name in its `WHERE`, keywords included.
    pub where_names: Vec<String>,
}

/// A `RETURNING` clause.
#[derive(Debug, Clone, PartialEq)]
pub struct Returning {
    /// Offset of the keyword.
    pub start: usize,
    /// PostgreSQL 18: offset just behind the parenthesis of `WITH (`.
    pub options: Option<usize>,
    /// PostgreSQL 18: `WITH (OLD AS o, NEW AS n)` names.
    pub old_alias: Option<String>,
    /// The other one.
    pub new_alias: Option<String>,
    /// The output list.
    pub items: Vec<ReturningItem>,
}

/// One item of a `RETURNING` list.
#[derive(Debug, Clone, PartialEq)]
pub struct ReturningItem {
    /// The expression, without `AS name`.
    pub expr: Range<usize>,
    /// With `AS name`.
    pub span: Range<usize>,
    /// What it is.
    pub kind: ItemKind,
    /// The output column's name if the text alone tells it.
    pub output_name: Option<String>,
    /// The name is written (`expr AS name`, `expr name`), not implied.
    pub named: bool,
}

/// What an item of a `RETURNING` list is.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemKind {
    /// `*`.
    Star,
    /// `t.*`.
    QualifiedStar(String),
    /// A reference to a column and nothing else: `a`, `t.a`, `s.t.a`.
    Column,
    /// A lone constant or parameter, whose type may depend on where it stands.
    Literal,
    /// Any other expression whose end is certain.
    Expr,
    /// Where the expression ends and a name begins is not certain; `expr` is the whole item.
    Unclear,
}
