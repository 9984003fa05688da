//! Bounds on what one query may give and take.

use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::SqlError;

/// What queries may take: `[sql]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlLimits {
    /// The memory of all queries together, in bytes. They spill nothing to disk; what needs more is refused.
    pub max_memory: u64,
    /// The rows of one answer. Whoever wants all of a large table pages through `/tables/{alias}/rows`.
    pub max_rows: u64,
    /// The time from the start of a query to its last row.
    pub max_time: Duration,
}

impl Default for SqlLimits {
    fn default() -> Self {
        SqlLimits { max_memory: 256 << 20, max_rows: 10_000_000, max_time: Duration::from_secs(300) }
    }
}

/// `rows`, ended by an error where they are too many or come too late.
pub(super) fn bounded(rows: SendableRecordBatchStream, max_rows: u64, time: Duration) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let ends_at = Instant::now() + time;
    let exceeded = |error: SqlError| DataFusionError::External(Box::new(error));
    let going = stream::unfold(Some((rows, max_rows)), move |going| async move {
        let (mut rows, left) = going?;
        let batch = match tokio::time::timeout_at(ends_at, rows.next()).await {
            Err(_) => return Some((Err(exceeded(SqlError::TooSlow(time))), None)),
            Ok(batch) => batch?,
        };
        let left = left.checked_sub(batch.as_ref().map_or(0, |batch| batch.num_rows() as u64));
        match left {
            Some(left) => Some((batch, Some((rows, left)))),
            None => Some((Err(exceeded(SqlError::TooManyRows(max_rows))), None)),
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, going))
}
