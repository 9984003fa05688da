//! `/sql`: one SELECT over the tables that are served.
//!
//! `live.<alias>` is the version that an alias serves, `version."<alias>@3"` is version 3. A query sees one snapshot of each table
//! that it names. It can write nothing, and reads nothing else: no files, no URLs, no settings. It holds nothing that a crash could
//! lose.

mod catalog;
mod error;
mod limit;
mod scan;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, LazyLock};

use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{SetExpr, Statement as SqlStatement};

pub(crate) use catalog::SqlTables;
pub use error::SqlError;
pub(crate) use scan::{scan, stream};

/// The memory of all queries and checks together. They spill nothing to disk; what needs more is refused.
const MEMORY_BYTES: usize = 256 << 20;

/// How many partitions a query is split into: tables are read as one stream, so more would only cost memory.
const PARTITIONS: usize = 2;

static RUNTIME: LazyLock<Arc<RuntimeEnv>> = LazyLock::new(|| {
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(MEMORY_BYTES)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .expect("a runtime without disk needs nothing that could be missing")
});

/// Answers one SELECT over `tables`.
pub(crate) async fn query(tables: SqlTables, sql: &str) -> Result<SendableRecordBatchStream, SqlError> {
    let session = session();
    session.register_catalog(catalog::NAME, tables.into_catalog());
    Ok(limit::limited(select(&session, sql).await?))
}

/// A session without tables.
pub(crate) fn session() -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(PARTITIONS)
        .with_default_catalog_and_schema(catalog::NAME, catalog::LIVE)
        .with_information_schema(false);
    SessionContext::new_with_config_rt(config, RUNTIME.clone())
}

/// Starts one SELECT in `session`; everything else is refused.
pub(crate) async fn select(session: &SessionContext, sql: &str) -> Result<SendableRecordBatchStream, SqlError> {
    let plan = plan(session, sql).await?;
    Ok(session.execute_logical_plan(plan).await?.execute_stream().await?)
}

/// Plans one SELECT in `session`; everything else is refused.
pub(crate) async fn plan(session: &SessionContext, sql: &str) -> Result<LogicalPlan, SqlError> {
    let state = session.state();
    rekap_jobs::check_size(sql).map_err(|refusal| SqlError::Invalid(refusal.to_string()))?;
    let statement = state.sql_to_statement(sql, &state.config().options().sql_parser.dialect)?;
    match &statement {
        Statement::Statement(statement) if is_select(statement) => {}
        other => return Err(SqlError::NoSelect(first_word(&other.to_string()))),
    }
    let plan = state.statement_to_plan(statement).await?;
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
    Ok(state.optimize(&plan)?)
}

fn is_select(statement: &SqlStatement) -> bool {
    let SqlStatement::Query(query) = statement else { return false };
    matches!(*query.body, SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. })
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}
