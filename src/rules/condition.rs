//! The SQL of `when` and `check`: one boolean expression over one row.
//!
//! sqlparser reads it, for the columns it names and for what has no place in a guard. What it means is PostgreSQL's business:
//! `chronoguard check --database` has the server prepare it.

use std::ops::ControlFlow;

use sqlparser::{
    ast::{self, BinaryOperator, Expr, FunctionArguments, Ident, Visit, Visitor},
    dialect::PostgreSqlDialect,
    parser::{Parser, ParserError},
    tokenizer::{Token, Tokenizer},
};

use super::{
    diagnostic::Code,
    fields::Context,
    set::Condition,
    yaml::{Node, shortened},
};

/// A guard is parsed anew with each statement that is not prepared; and a long chain of operators is a deep tree.
const LONGEST: usize = 4096;

const EXPECTED: &str = "one boolean SQL expression over the row's columns, e.g. \"status IN ('completed', 'failed')\"";

/// The table a condition is about; its columns may be qualified with its name.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// Schema, as stored.
    pub schema: &'a str,
    /// Table, as stored.
    pub table: &'a str,
}

/// Reads a condition and reports what is wrong with it.
pub fn condition(cx: &mut Context, node: &Node, what: &str, owner: Owner<'_>) -> Option<Condition> {
    let text = cx.text(node, what)?.trim();
    match parse(text, owner) {
        Ok(read) => {
            for message in read.warnings() {
                let d = cx.warning(message.0, node.at, format!("{what} {}", message.1)).help(message.2);
                cx.report::<()>(d);
            }
            Some(Condition { text: text.to_owned(), columns: read.columns })
        }
        Err(why) => {
            let d = cx.error(Code::BadSql, node.at, format!("{what} is no condition: {why}")).expected(EXPECTED);
            cx.report(d)
        }
    }
}

/// What was found in a condition.
#[derive(Debug, Default, PartialEq)]
struct Read {
    columns: Vec<String>,
    /// It computes: infinity and the ends of the range raise errors there.
    computes: bool,
    tests_finite: bool,
    ascii: bool,
}

impl Read {
    fn warnings(&self) -> Vec<(Code, &'static str, &'static str)> {
        let mut out = Vec::new();
        if self.computes && !self.tests_finite {
            out.push((
                Code::CheckNotTotal,
                "computes or casts: for infinity, the ends of the range or odd text it raises an error of its own on a healthy row",
                "use a rule kind that is safe for every value, or test isfinite() first in a CASE",
            ));
        }
        if !self.ascii {
            out.push((
                Code::NonAscii,
                "is not ASCII",
                "sessions whose client_encoding is not UTF8 cannot be guarded by it; E'\\u00e4' is ASCII",
            ));
        }
        out
    }
}

fn parse(text: &str, owner: Owner<'_>) -> Result<Read, String> {
    if text.len() > LONGEST {
        return Err(format!("longer than {LONGEST} bytes"));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|e| words(&e.to_string()))?;
    for token in &tokens {
        refuse_token(&token.token)?;
    }
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(tokens);
    let expression = parser.parse_expr().map_err(|e| match e {
        ParserError::RecursionLimitExceeded => "nested too deeply".to_owned(),
        other => words(&other.to_string()),
    })?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(format!(
            "`{}` at character {} is left over",
            shortened(&next.token.to_string()),
            next.span.start.column
        ));
    }
    refuse_not_boolean(&expression)?;
    let mut reader = Reader { owner, read: Read { ascii: text.is_ascii(), ..Read::default() } };
    if let ControlFlow::Break(why) = expression.visit(&mut reader) {
        return Err(why);
    }
    if reader.read.columns.is_empty() {
        // The planner folds what depends on no column, and a rejecting guard would then raise for every row.
        return Err("it reads no column of the row".to_owned());
    }
    Ok(reader.read)
}

/// sqlparser's words as ours.
fn words(message: &str) -> String {
    let text = message.trim_start_matches("sql parser error: ").replace(" at Line: 1, Column: ", " at character ");
    let text =
        text.replace("Expected: ", "expected ").replace("found: EOF", "found the end").replace("found: ", "found ");
    shortened_to(&text, 200)
}

fn shortened_to(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn refuse_token(token: &Token) -> Result<(), String> {
    match token {
        Token::Placeholder(p) => Err(format!("`{p}` is a parameter, and there are none")),
        Token::SemiColon => Err("`;` is left over".to_owned()),
        // Read in the client's session, whatever its settings; a plain constant can be rewritten, this cannot.
        Token::UnicodeStringLiteral(_) => Err("U&'…' depends on standard_conforming_strings; write E'…'".to_owned()),
        _ => Ok(()),
    }
}

fn refuse_not_boolean(expression: &Expr) -> Result<(), String> {
    let plainly_not = match expression {
        Expr::Nested(inner) => return refuse_not_boolean(inner),
        Expr::Value(v) => !matches!(v.value, ast::Value::Boolean(_)),
        Expr::BinaryOp { op, .. } => is_arithmetic(op),
        Expr::Interval(_) | Expr::TypedString(_) | Expr::Extract { .. } => true,
        Expr::Tuple(_) | Expr::Array(_) => true,
        _ => false,
    };
    if plainly_not { Err("it is not boolean".to_owned()) } else { Ok(()) }
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    )
}

/// Aggregates and functions that return sets; windows are known by their OVER.
const NOT_OVER_A_ROW: [&str; 24] = [
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "every",
    "generate_series",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "stddev",
    "string_agg",
    "sum",
    "unnest",
    "variance",
];

/// Words that sqlparser gives as names and PostgreSQL reads as values of the session.
const RESERVED_VALUES: [&str; 3] = ["current_role", "current_schema", "system_user"];

/// Columns of every table, which a row as written does not have (or not yet).
const SYSTEM_COLUMNS: [&str; 6] = ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

struct Reader<'a> {
    owner: Owner<'a>,
    read: Read,
}

impl Reader<'_> {
    fn column(&mut self, name: String) -> ControlFlow<String> {
        if SYSTEM_COLUMNS.contains(&name.as_str()) {
            return ControlFlow::Break(format!("`{name}` is a system column"));
        }
        if !self.read.columns.contains(&name) {
            self.read.columns.push(name);
        }
        ControlFlow::Continue(())
    }

    fn compound(&mut self, parts: &[Ident]) -> ControlFlow<String> {
        let names: Vec<String> = parts.iter().map(folded).collect();
        match names.as_slice() {
            [table, column] if table == self.owner.table => self.column(column.clone()),
            [schema, table, column] if schema == self.owner.schema && table == self.owner.table => {
                ControlFlow::Break(format!("write `{table}.{column}` or `{column}`, without the schema"))
            }
            _ => ControlFlow::Break(format!(
                "`{}` is no column of `{}`; only the row's own columns can be read",
                shortened(&names.join(".")),
                self.owner.table
            )),
        }
    }

    fn function(&mut self, function: &ast::Function) -> ControlFlow<String> {
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
        if function.over.is_some() {
            return ControlFlow::Break(format!("`{name}(…) OVER` is a window function"));
        }
        let aggregate_syntax = function.filter.is_some() || !function.within_group.is_empty();
        if aggregate_syntax || NOT_OVER_A_ROW.contains(&name.as_str()) {
            return ControlFlow::Break(format!("`{name}` is no function over a single row"));
        }
        if matches!(function.args, FunctionArguments::Subquery(_)) {
            return ControlFlow::Break("sub-selects are not allowed".to_owned());
        }
        self.read.tests_finite |= name == "isfinite";
        ControlFlow::Continue(())
    }
}

impl Visitor for Reader<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<String> {
        ControlFlow::Break("sub-selects are not allowed".to_owned())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        match expr {
            Expr::Identifier(ident) => {
                let name = folded(ident);
                if ident.quote_style.is_none() && RESERVED_VALUES.contains(&name.as_str()) {
                    return ControlFlow::Break(format!("`{name}` is a value of the session, not of the row"));
                }
                self.column(name)
            }
            Expr::CompoundIdentifier(parts) => self.compound(parts),
            Expr::Function(function) => self.function(function),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => ControlFlow::Break("`*` is not allowed".to_owned()),
            Expr::BinaryOp { op, .. } if is_arithmetic(op) => {
                self.read.computes = true;
                ControlFlow::Continue(())
            }
            Expr::Cast { expr, .. } => {
                // A literal's cast is judged once, when the text is analyzed.
                self.read.computes |= !matches!(**expr, Expr::Value(_));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// As PostgreSQL stores the name.
fn folded(ident: &Ident) -> String {
    // Tokens are not unescaped: a quote inside stands twice.
    if ident.quote_style.is_some() { ident.value.replace("\"\"", "\"") } else { ident.value.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests;
