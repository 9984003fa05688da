//! Bounds on what one query may give and take.

use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::SqlError;

/// The rows of an answer. Whoever wants all of a large table pages through `/tables/{alias}/rows`.
const MAX_ROWS: u64 = 10_000_000;

/// The time from the start of a query to its last row.
const MAX_SECONDS: u64 = 300;

/// `rows`, ended by an error where it is too long or too slow.
pub(super) fn limited(rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    bounded(rows, MAX_ROWS, Duration::from_secs(MAX_SECONDS))
}

pub(super) fn bounded(rows: SendableRecordBatchStream, max_rows: u64, time: Duration) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let ends_at = Instant::now() + time;
    let exceeded = |error: SqlError| DataFusionError::External(Box::new(error));
    let going = stream::unfold(Some((rows, max_rows)), move |going| async move {
        let (mut rows, left) = going?;
        let batch = match tokio::time::timeout_at(ends_at, rows.next()).await {
            Err(_) => return Some((Err(exceeded(SqlError::TooSlow(time.as_secs()))), None)),
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
