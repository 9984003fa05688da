//! Tables as DataFusion reads them: streamed by a thread that may block on the disk.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use rekap_tables::TableSnapshot;

use super::keyed::KeyedTable;

/// The batches that wait for a slower reader.
const BATCHES_AHEAD: usize = 2;

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, DataFusionError>> + Send>;

/// A table of one snapshot.
pub(crate) fn scan(snapshot: &TableSnapshot) -> Arc<dyn TableProvider> {
    Arc::new(KeyedTable::new(snapshot.clone()))
}

/// A table whose rows are what `open` gives, each time that it is read.
pub(crate) fn stream(
    schema: SchemaRef,
    open: impl Fn() -> Result<Batches, DataFusionError> + Send + Sync + 'static,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let rows = Rows { schema: schema.clone(), open: Arc::new(open) };
    Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(rows)])?))
}

struct Rows {
    schema: SchemaRef,
    open: Arc<dyn Fn() -> Result<Batches, DataFusionError> + Send + Sync>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.schema.fmt(f)
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(self.schema.clone(), BATCHES_AHEAD);
        let (open, reader) = (self.open.clone(), stream.tx());
        stream.spawn_blocking(move || {
            for batch in open()? {
                if reader.blocking_send(batch).is_err() {
                    break;
                }
            }
            Ok(())
        });
        stream.build()
    }
}
