//! From a client's text to statements that the engine plans.
//!
//! Postgres clients write what DataFusion does not know: `= ANY(array)`, `COLLATE`, functions with their schema, the same column twice.
//! These notations are put into DataFusion's. Questions of the system catalog alone are rewritten further (`notation`): there, too, the
//! answer stays the same, but on what holds in the catalog alone. Pure.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Statement, visit_expressions_mut, visit_relations};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::PG_CATALOG_TABLES;
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::datafusion_pg_catalog::sql::rules::{
    AliasDuplicatedProjectionRewrite, CurrentUserVariableToSessionUserFunctionCall, FixArrayLiteral,
    FixVersionColumnName, PrependUnqualifiedPgTableName, ResolveUnqualifiedIdentifier, RewriteArrayAnyAllOperation,
    RewritePgCatalogOperator, RewriteRegCastToSubquery, SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};
use datafusion_postgres::pgwire::error::PgWireResult;

use super::error::error;
use super::notation;

/// The most statements in one message. Each has the bounds of a query of its own, and all of them start before the first is read.
const MAX_STATEMENTS: usize = 8;

/// A notation that is put into the engine's.
type Rule = Arc<dyn SqlStatementRewriteRule>;

/// Reads what clients send.
pub(super) struct Reader {
    /// For texts that the engine's parser does not read.
    lenient: PostgresCompatibilityParser,
    /// For all statements.
    notations: Vec<Rule>,
    /// For questions of the system catalog, before and after their shapes are rewritten.
    of_names: Vec<Rule>,
    of_values: Vec<Rule>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Reader {
            lenient: PostgresCompatibilityParser::new(),
            notations: vec![
                Arc::new(AliasDuplicatedProjectionRewrite),
                Arc::new(RewriteArrayAnyAllOperation),
                Arc::new(PrependUnqualifiedPgTableName),
                Arc::new(StripCallableQualifier),
                Arc::new(FixArrayLiteral),
                Arc::new(CurrentUserVariableToSessionUserFunctionCall),
                Arc::new(StripCollate),
            ],
            of_names: vec![
                Arc::new(PrependUnqualifiedPgTableName),
                Arc::new(StripCallableQualifier),
                Arc::new(StripCollate),
                Arc::new(RewritePgCatalogOperator),
            ],
            of_values: vec![
                Arc::new(AliasDuplicatedProjectionRewrite),
                Arc::new(ResolveUnqualifiedIdentifier),
                Arc::new(RewriteArrayAnyAllOperation),
                Arc::new(FixArrayLiteral),
                Arc::new(CurrentUserVariableToSessionUserFunctionCall),
                Arc::new(RewriteRegCastToSubquery::new()),
                Arc::new(FixVersionColumnName),
            ],
        }
    }

    /// The statements of one message; none when it holds only blanks and comments.
    pub(super) fn read(&self, sql: &str) -> PgWireResult<Vec<Statement>> {
        if let Err(refusal) = rekap_jobs::check_size(sql, &PostgreSqlDialect {}) {
            return Err(error("54001", refusal.to_string(), "write it shorter"));
        }
        let invalid = |failed: ParserError| error("42601", failed.to_string(), "");
        let statements = match Parser::parse_sql(&PostgreSqlDialect {}, sql) {
            Ok(statements) => statements.into_iter().map(|statement| self.noted(statement)).collect(),
            // What is no SQL to anybody is told with its place, which the other parser does not know.
            Err(failed) => self.lenient.parse(sql).map_err(|_| invalid(failed))?,
        };
        few(with_backslashes(statements))
    }

    fn noted(&self, statement: Statement) -> Statement {
        let by = |rules: &[Rule], statement| rules.iter().fold(statement, |statement, rule| rule.rewrite(statement));
        if reads_ours(&statement) {
            return by(&self.notations, statement);
        }
        let mut statement = by(&self.of_names, statement);
        notation::rewrite(&mut statement);
        by(&self.of_values, statement)
    }
}

/// Patterns of LIKE with an escape of their own, in which the engine knows the backslash only.
fn with_backslashes(mut statements: Vec<Statement>) -> Vec<Statement> {
    for statement in &mut statements {
        let _ = visit_expressions_mut(statement, |expr| {
            if let Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } = expr
                && let Some(escape) = escape_char.take_if(|escape| escape.to_string() != "'\\'")
            {
                let same = format!("replace(replace({pattern}, '\\', '\\\\'), {escape}, '\\')");
                let parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(&same);
                if let Ok(same) = parser.and_then(|mut parser| parser.parse_expr()) {
                    **pattern = same;
                }
            }
            ControlFlow::<()>::Continue(())
        });
    }
    statements
}

fn few(statements: Vec<Statement>) -> PgWireResult<Vec<Statement>> {
    if statements.len() > MAX_STATEMENTS {
        let message = format!("{} statements in one message, at most {MAX_STATEMENTS} are taken", statements.len());
        return Err(error("54000", message, "send them one by one"));
    }
    Ok(statements)
}

/// True for a statement that reads anything but the system catalog, and functions beside it.
fn reads_ours(statement: &Statement) -> bool {
    let mut catalog = 0;
    let mut functions = 0;
    let ours = visit_relations(statement, |name| {
        if is_catalog(name) {
            catalog += 1;
        } else if is_function(name) {
            functions += 1;
        } else {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    ours.is_break() || (functions > 0 && catalog == 0)
}

/// True for what tools call in FROM.
fn is_function(name: &ObjectName) -> bool {
    ["generate_series", "string_to_array", "pg_get_keywords"].contains(&name.to_string().to_lowercase().as_str())
}

/// The highest number of a parameter in a text.
pub(super) fn parameters_of(sql: &str) -> usize {
    let Ok(parser) = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql) else { return 0 };
    let number = |token: TokenWithSpan| match token.token {
        Token::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
        _ => None,
    };
    parser.into_tokens().into_iter().filter_map(number).max().unwrap_or(0)
}

/// True for a statement that reads the system catalog.
pub(super) fn reads_catalog(statement: &Statement) -> bool {
    let is_keywords = |name: &ObjectName| name.to_string().eq_ignore_ascii_case("pg_get_keywords");
    visit_relations(statement, |name| match is_catalog(name) || is_keywords(name) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
    .is_break()
}

fn is_catalog(name: &ObjectName) -> bool {
    let parts: Vec<String> =
        name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.to_lowercase()).collect();
    match parts.as_slice() {
        [table] => PG_CATALOG_TABLES.contains(&table.as_str()),
        [.., schema, _] => schema == "pg_catalog" || schema == "information_schema",
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> String {
        let statements = Reader::new().read(sql).unwrap();
        statements.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_a_user_asks_keeps_its_meaning() {
        let correlated = "SELECT k, (SELECT max(b.v) FROM bpi AS b WHERE b.k = a.k) AS top FROM bpi AS a";
        assert_eq!(read(correlated), correlated);
        assert_eq!(
            read("select 1 from bpi where k = any(array['a'])"),
            "SELECT 1 FROM bpi WHERE array_contains(ARRAY['a'], k)"
        );
        assert_eq!(read("select pg_catalog.lower(k) from live.bpi"), "SELECT lower(k) FROM live.bpi");
    }

    #[test]
    fn the_catalog_is_found_without_its_schema() {
        assert!(read("select relname from pg_class").contains("pg_catalog.pg_class"));
        assert!(Reader::new().read("-- nothing").unwrap().is_empty());
        assert!(Reader::new().read(&"select 1;".repeat(9)).is_err());
        assert!(Reader::new().read("selct").is_err());
    }

    #[test]
    fn a_chain_of_operators_that_only_postgres_knows_is_measured_as_it_is_read() {
        assert!(Reader::new().read(&format!("SELECT 1{}", "#1".repeat(100))).is_ok());
        let refused = Reader::new().read(&format!("SELECT 1{}", "#1".repeat(30_000))).unwrap_err();
        assert!(refused.to_string().contains("nests more than"), "{refused}");
    }

    #[test]
    fn parameters_are_counted_as_they_are_written() {
        assert_eq!(parameters_of("SELECT $2 FROM pg_trigger WHERE a = '$9' AND b = $10 -- $11"), 10);
        assert_eq!(parameters_of("SELECT 1"), 0);
    }
}
