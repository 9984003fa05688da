//! What a query reads, as DataFusion sees it: rows that come from a thread that may block, and a line for EXPLAIN.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::runtime::Handle;

/// The batches that wait for a slower reader.
const BATCHES_AHEAD: usize = 2;

/// Rows as they are read.
pub(super) type Batches = BoxStream<'static, Result<RecordBatch>>;

/// Begins to read one share of a source.
pub(super) type Open = Arc<dyn Fn() -> Batches + Send + Sync>;

/// A source of a query: shares that are read side by side.
pub(super) struct Source {
    name: &'static str,
    about: String,
    shares: Vec<Open>,
    properties: Arc<PlanProperties>,
}

impl Source {
    /// A source of rows with these columns. `about` is what EXPLAIN says of it.
    pub(super) fn new(name: &'static str, about: String, schema: SchemaRef, shares: Vec<Open>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(shares.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Source { name, about, shares, properties: Arc::new(properties) }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.about)
    }
}

impl DisplayAs for Source {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "{}: {}", self.name, self.about),
            DisplayFormatType::TreeRender => write!(f, "{}", self.about),
        }
    }
}

impl ExecutionPlan for Source {
    fn name(&self) -> &'static str {
        self.name
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a source has no children") }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, share: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let mut rows = RecordBatchReceiverStream::builder(schema.clone(), BATCHES_AHEAD);
        let (open, reader) = (self.shares[share].clone(), rows.tx());
        let runtime = Handle::current();
        // Reading decompresses and decodes; it ends when the reader is gone.
        rows.spawn_blocking(move || {
            runtime.block_on(async move {
                let mut batches = open();
                while let Some(batch) = batches.next().await {
                    if reader.send(batch).await.is_err() {
                        break;
                    }
                }
            });
            Ok(())
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.build())))
    }
}

/// A failure of a room below, told to the engine.
pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
