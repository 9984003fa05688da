//! The planner's session: UTC, the job's inputs as tables without rows, and nothing else in sight.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;

/// Plans SQL over the inputs of one job.
pub(super) struct Session(SessionState);

impl Session {
    /// A session that knows these inputs by name.
    pub(super) fn new(inputs: &BTreeMap<String, SchemaRef>) -> Result<Self> {
        let mut config = SessionConfig::new();
        let options = config.options_mut();
        options.execution.time_zone = Some("UTC".into());
        options.sql_parser.collect_spans = true;
        options.sql_parser.map_string_types_to_utf8view = false;
        let context = SessionContext::new_with_config(config);
        for (name, schema) in inputs {
            context.register_table(name.as_str(), Arc::new(EmptyTable::new(schema.clone())))?;
        }
        Ok(Session(context.state()))
    }

    /// The analyzed plan: names resolved, types coerced, nothing rewritten for speed.
    pub(super) async fn analyze(&self, statement: Statement) -> Result<LogicalPlan> {
        let plan = self.0.statement_to_plan(statement).await?;
        self.0.analyzer().execute_and_check(plan, self.0.config_options(), |_, _| {})
    }

    /// The plan as it is to be run.
    pub(super) fn optimize(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        self.0.optimize(plan)
    }

    /// An expression that can be evaluated over batches of that schema.
    pub(super) fn physical(&self, expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        self.0.create_physical_expr(expr.clone(), schema)
    }
}
