//! What a commit that is not written yet would change in the rows.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use fjall::Slice;

use crate::layout::ROWS;
use crate::{Table, TableError};

/// A row as it is stored: its key, and the rest of it.
type Stored = (Vec<u8>, Slice);

/// The rows that differ before and after, in key order.
#[derive(Debug, Clone)]
pub struct RowChanges {
    /// Rows whose key had none.
    pub added: RecordBatch,
    /// Rows whose key has none any more, as they were.
    pub removed: RecordBatch,
    /// Rows that are not what they were: as they were.
    pub changed_from: RecordBatch,
    /// The same rows as they are.
    pub changed_to: RecordBatch,
}

impl RowChanges {
    /// How many rows differ.
    pub fn len(&self) -> usize {
        self.added.num_rows() + self.removed.num_rows() + self.changed_to.num_rows()
    }

    /// True when no row differs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    /// What becomes of the rows of `keys` (each once) when `rows` are all that they have afterwards, and keys below `horizon` are none
    /// of the table's. Rows that the horizon lets go are not told.
    pub fn row_changes(
        &self,
        keys: &RecordBatch,
        rows: &RecordBatch,
        horizon: Option<i64>,
    ) -> Result<RowChanges, TableError> {
        let table = self.inner();
        let contradiction = |source: ArrowError| table.contradiction(source);
        let status = table.status();
        let horizon = status.horizon.max(horizon);
        let (mut added, mut to): (Vec<u32>, Vec<u32>) = Default::default();
        let (mut removed, mut from): (Vec<Stored>, Vec<Stored>) = Default::default();
        if keys.num_rows() > 0 {
            let sorted = table.keys(keys.columns(), None)?;
            let row_keys = table.keys(&table.codec.keys_of_rows(rows), Some(&sorted))?;
            let rest = table.codec.rest.encode(&table.codec.rest_of_rows(rows)).map_err(contradiction)?;
            let times = table.codec.times(keys.columns()).map_err(contradiction)?;
            let stored = table.stored(ROWS, &sorted, status.rows)?;
            let mut next = 0;
            for (at, old) in stored.into_iter().enumerate() {
                let key = sorted.key(at);
                while next < row_keys.len() && row_keys.key(next) < key {
                    next += 1;
                }
                let new = (next < row_keys.len() && row_keys.key(next) == key).then(|| row_keys.index(next));
                let time = times.as_ref().and_then(|times| {
                    let index = sorted.index(at);
                    arrow::array::Array::is_valid(times, index).then(|| times.value(index))
                });
                if time.zip(horizon).is_some_and(|(time, horizon)| time < horizon) {
                    continue;
                }
                match (old, new) {
                    (None, Some(new)) => added.push(new as u32),
                    (Some(old), None) => removed.push((key.to_vec(), old)),
                    (Some(old), Some(new)) if *old != *rest.row(new) => {
                        from.push((key.to_vec(), old));
                        to.push(new as u32);
                    }
                    _ => {}
                }
            }
        }
        let take = |indices: Vec<u32>| take_record_batch(rows, &UInt32Array::from(indices)).map_err(contradiction);
        let decode = |stored: &[Stored]| {
            table.codec.rows(stored.iter().map(|(key, value)| (&key[..], &value[..]))).map_err(|e| table.damaged(e))
        };
        Ok(RowChanges {
            added: take(added)?,
            removed: decode(&removed)?,
            changed_from: decode(&from)?,
            changed_to: take(to)?,
        })
    }
}
