//! Actions: SQL over the rows that a commit changes, whose results are messages in the same commit.
//!
//! ```text
//! range ─► commit ─► changes (old and new row of each key that differs) ─► SQL ─► outbox of that very commit
//! ```
//!
//! What is asked about is the table before and after one commit: a row that changes twice within a range is one change. [`When`] says
//! whose changes count; nothing here knows who serves. It keeps nothing itself: if the process dies before the commit there are no
//! messages, after it they are in the table.

mod changes;
mod trigger;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::config::Dialect;
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use futures::TryStreamExt as _;
use rekap_tables::{MAX_OUTBOX_MESSAGES, Outgoing, RowChanges, TableSchema, json};
use rekap_tiered_storage::{Positions, Timestamp};
use sha2::{Digest as _, Sha256};

pub use trigger::{Bound, Trigger, When};

use crate::query::{bound_functions, check_size};
use crate::spec::ActionSpec;
use changes::{changes_schema, to_changes};

/// How long one action may take over one commit: longer, and it holds up the table that readers see.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The memory of the actions of one version; what needs more fails.
const MEMORY_BYTES: usize = 64 << 20;

/// The name of the table that actions ask.
const CHANGES: &str = "changes";

/// An action that could never be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAction {
    /// Its place in the list.
    pub index: usize,
    /// What is wrong.
    pub detail: String,
    /// What to write instead.
    pub remedy: String,
}

/// The actions of one version, planned.
pub struct Actions {
    job: String,
    key: Vec<usize>,
    schema: SchemaRef,
    session: SessionContext,
    rows: Arc<MemTable>,
    planned: Vec<(String, LogicalPlan)>,
}

impl Actions {
    /// Plans the actions of a job over the changes of this table. `None` when there are none.
    pub async fn compile(
        job: &str,
        actions: &[ActionSpec],
        table: &TableSchema,
    ) -> Result<Option<Arc<Actions>>, InvalidAction> {
        if actions.is_empty() {
            return Ok(None);
        }
        let schema = changes_schema(table);
        let invalid = |index, detail: String| {
            let remedy = "write one SELECT over `changes`, which has the key columns, `change`, `old` and `new`".into();
            InvalidAction { index, detail, remedy }
        };
        let engine = |error: DataFusionError| invalid(0, error.strip_backtrace());
        let config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
        let memory = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc().map_err(engine)?;
        let session = SessionContext::new_with_config_rt(config, memory);
        bound_functions(&session);
        let rows = Arc::new(MemTable::try_new(schema.clone(), vec![vec![]]).map_err(engine)?);
        session.register_table(CHANGES, rows.clone()).map_err(engine)?;
        let mut planned = vec![];
        for (index, action) in actions.iter().enumerate() {
            let plan = plan(&session, &action.sql).await.map_err(|detail| invalid(index, detail))?;
            planned.push((action.name.clone(), plan));
        }
        let key = table.key().to_vec();
        Ok(Some(Arc::new(Actions { job: job.to_owned(), key, schema, session, rows, planned })))
    }

    /// The messages about what a commit changes. An action that fails gives none, and says why.
    pub(crate) async fn run(
        &self,
        changes: &RowChanges,
        to: &Positions,
        at: Timestamp,
    ) -> (Vec<Outgoing>, Vec<(String, String)>) {
        let (mut messages, mut failed) = (vec![], vec![]);
        let rows = match to_changes(&self.schema, &self.key, changes) {
            Ok(rows) => rows,
            Err(error) => return (messages, vec![(String::new(), error.to_string())]),
        };
        if let Some(partition) = self.rows.batches.first() {
            *partition.write().await = vec![rows];
        }
        for (action, plan) in &self.planned {
            match tokio::time::timeout(TIME_LIMIT, self.ask(plan)).await {
                Ok(Ok(rows)) => messages.extend(rows.into_iter().enumerate().map(|(n, row)| {
                    let id = message_id(&self.job, action, to, n);
                    Outgoing { id, action: action.clone(), at, to: to.clone(), row }
                })),
                Ok(Err(error)) => failed.push((action.clone(), error.strip_backtrace())),
                Err(_) => failed.push((action.clone(), format!("it took longer than {} s", TIME_LIMIT.as_secs()))),
            }
        }
        (messages, failed)
    }

    async fn ask(&self, plan: &LogicalPlan) -> Result<Vec<serde_json::Value>, DataFusionError> {
        let mut found = self.session.execute_logical_plan(plan.clone()).await?.execute_stream().await?;
        let mut rows = vec![];
        while let Some(batch) = found.try_next().await? {
            rows.extend(json::values(&short_names(batch)?).map_err(|e| DataFusionError::External(Box::new(e)))?);
            if rows.len() as u64 > MAX_OUTBOX_MESSAGES {
                return Err(DataFusionError::Execution(format!("it gave more than {MAX_OUTBOX_MESSAGES} rows")));
            }
        }
        Ok(rows)
    }
}

/// Plans one SELECT; everything else is refused.
async fn plan(session: &SessionContext, sql: &str) -> Result<LogicalPlan, String> {
    check_size(sql, &GenericDialect {}).map_err(|refusal| refusal.to_string())?;
    let state = session.state();
    let wrong = |error: DataFusionError| error.strip_backtrace();
    let statement = state.sql_to_statement(sql, &Dialect::Generic).map_err(wrong)?;
    let is_select =
        matches!(&statement, Statement::Statement(statement) if matches!(**statement, SqlStatement::Query(_)));
    if !is_select {
        return Err("it is no SELECT".to_owned());
    }
    let plan = state.statement_to_plan(statement).await.map_err(wrong)?;
    let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reads.verify_plan(&plan).map_err(wrong)?;
    let plan = state.optimize(&plan).map_err(wrong)?;
    Ok(plan)
}

/// The same for ever for one row of one commit.
fn message_id(job: &str, action: &str, to: &Positions, n: usize) -> String {
    let mut hash = Sha256::new();
    for part in [job, action, &to.to_string(), &n.to_string()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("act_{hex}")
}

/// `new.price` is called `price`, as long as nothing else is.
fn short_names(batch: RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
    let schema = batch.schema();
    let short = |name: &str| {
        let field = name.strip_suffix(']').and_then(|name| name.rsplit_once('['))?.1;
        Some(field.trim_matches(['\'', '"']).to_owned())
    };
    let names: Vec<String> =
        schema.fields().iter().map(|field| short(field.name()).unwrap_or_else(|| field.name().clone())).collect();
    let once = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let fields = schema.fields().iter().zip(&names).map(|(field, name)| {
        let name = if once(name) { name } else { field.name() };
        field.as_ref().clone().with_name(name)
    });
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, batch.columns().to_vec())
}

#[cfg(test)]
mod tests;
