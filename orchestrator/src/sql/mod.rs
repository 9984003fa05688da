//! `/sql`: one SELECT over what is served and what is in the log.
//!
//! `live.<alias>` is the version that an alias serves, `version."<alias>@3"` is version 3, `log.<topic>` both tiers of a topic. A query
//! sees one snapshot of each table that it names. It can write nothing, and reads nothing else: no files, no URLs, no settings. It
//! holds nothing that a crash could lose.

mod catalog;
mod engine;
mod error;
mod keyed;
mod limit;
mod listing;
mod log;
mod scan;
mod session;
mod source;
mod spans;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, LazyLock};

use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{SetExpr, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;

pub(crate) use catalog::SqlTables;
pub(crate) use engine::Engine;
pub use error::SqlError;
pub use limit::SqlLimits;
pub use listing::SqlTable;
pub(crate) use scan::{scan, stream};
pub use session::SqlSession;

/// The memory of all checks together. They spill nothing to disk; what needs more is refused.
const CHECK_MEMORY_BYTES: usize = 256 << 20;

/// How many partitions a query is split into, and how many threads all queries have: a few, since runners need the others.
const PARTITIONS: usize = 2;

static CHECKS: LazyLock<Arc<RuntimeEnv>> = LazyLock::new(|| engine::environment(CHECK_MEMORY_BYTES));

/// A session without tables, for checks.
pub(crate) fn check_session() -> SessionContext {
    session(&CHECKS)
}

/// A session without tables.
fn session(environment: &Arc<RuntimeEnv>) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(PARTITIONS)
        .with_default_catalog_and_schema(catalog::NAME, catalog::LIVE)
        .with_information_schema(false);
    let session = SessionContext::new_with_config_rt(config, environment.clone());
    rekap_jobs::bound_functions(&session);
    session
}

/// Starts one SELECT in `session`; everything else is refused.
pub(crate) async fn select(session: &SessionContext, sql: &str) -> Result<SendableRecordBatchStream, SqlError> {
    let plan = plan(session, sql).await?;
    Ok(session.execute_logical_plan(plan).await?.execute_stream().await?)
}

/// Plans one SELECT, or the explanation of one, in `session`; everything else is refused.
pub(crate) async fn plan(session: &SessionContext, sql: &str) -> Result<LogicalPlan, SqlError> {
    let state = session.state();
    let dialect = GenericDialect {};
    rekap_jobs::check_size(sql, &dialect).map_err(|refusal| SqlError::Invalid(refusal.to_string()))?;
    let mut statements = DFParser::parse_sql_with_dialect(sql, &dialect)?;
    let statement = match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => statement,
        (None, _) => return Err(SqlError::Invalid("the query is empty".into())),
        (Some(_), false) => return Err(SqlError::Several(statements.len() + 1)),
    };
    let explains = matches!(statement, Statement::Explain(_));
    let plan = written(session, statement).await?;
    // An explanation holds the plan as it was written, and is optimized when it is given.
    Ok(if explains { plan } else { state.optimize(&plan)? })
}

/// The plan of a statement as it was written, parameters and all; refused unless it is one SELECT or the explanation of one.
async fn written(session: &SessionContext, statement: Statement) -> Result<LogicalPlan, SqlError> {
    let asks = match &statement {
        Statement::Statement(statement) => is_select(statement) || explains_select(statement),
        Statement::Explain(explain) => !explain.options.analyze && is_plain_select(&explain.statement),
        _ => false,
    };
    if !asks {
        return Err(SqlError::NoSelect(first_word(&statement.to_string())));
    }
    let plan = session.state().statement_to_plan(statement).await?;
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
    Ok(plan)
}

fn explains_select(statement: &SqlStatement) -> bool {
    matches!(statement, SqlStatement::Explain { analyze: false, statement, .. } if is_select(statement))
}

fn is_plain_select(statement: &Statement) -> bool {
    matches!(statement, Statement::Statement(statement) if is_select(statement))
}

fn is_select(statement: &SqlStatement) -> bool {
    let SqlStatement::Query(query) = statement else { return false };
    matches!(*query.body, SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. })
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}
