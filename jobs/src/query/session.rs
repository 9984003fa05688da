//! The planner's session: UTC, the job's inputs as tables without rows, and nothing else in sight.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;

use super::bounded::bound_functions;
use super::checked::checked;
use super::syntax::Syntax;

/// True when two expressions have one name for the planner.
pub(super) fn is_clash(error: &DataFusionError) -> bool {
    let message = error.strip_backtrace();
    let clashes = ["unique expression names", "duplicate unqualified field name", "which would be ambiguous"];
    clashes.iter().any(|clash| message.contains(clash))
}

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
        bound_functions(&context);
        for (name, schema) in inputs {
            context.register_table(name.as_str(), Arc::new(EmptyTable::new(schema.clone())))?;
        }
        Ok(Session(context.state()))
    }

    /// The analyzed plan: names resolved, types coerced, nothing rewritten for speed.
    pub(super) async fn plan(&self, syntax: &Syntax) -> Result<LogicalPlan> {
        match self.analyze(syntax.statement()).await {
            Err(error) if is_clash(&error) && !syntax.cast_types().is_empty() => {
                let mut types = BTreeMap::new();
                for ty in syntax.cast_types() {
                    types.insert(ty.clone(), self.engine_type(&ty).await?);
                }
                self.analyze(syntax.statement_with_casts_as_calls(&types)).await.map_err(|_| error)
            }
            plan => plan,
        }
    }

    async fn analyze(&self, statement: Statement) -> Result<LogicalPlan> {
        let plan = self.0.statement_to_plan(statement).await?;
        self.0.analyzer().execute_and_check(plan, self.0.config_options(), |_, _| {})
    }

    /// What the engine calls a type that SQL writes so.
    async fn engine_type(&self, sql: &str) -> Result<String> {
        let plan = self.0.create_logical_plan(&format!("SELECT CAST(NULL AS {sql})")).await?;
        Ok(plan.schema().field(0).data_type().to_string())
    }

    /// The plan as it is to be run.
    pub(super) fn optimize(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        self.0.optimize(plan)
    }

    /// An expression that can be evaluated over batches of that schema, and fails where whole numbers do not fit.
    /// Some functions (`coalesce`, `arrow_cast`) are only names until they are simplified to what can be evaluated.
    pub(super) fn physical(&self, expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        let context = SimplifyContext::builder()
            .with_schema(Arc::new(schema.clone()))
            .with_config_options(self.0.config_options().clone())
            .build();
        let simplifier = ExprSimplifier::new(context);
        let expr = simplifier.coerce(expr.clone(), schema)?;
        checked(self.0.create_physical_expr(simplifier.simplify(expr)?, schema)?, schema.as_arrow())
    }
}
