//! What goes into the engine and what comes out of it, as plain values.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field};
use rekap_tiered_storage::{Offset, Partition, timestamp_type};

/// Some records of one input and one partition, in the order of their offsets.
#[derive(Debug, Clone)]
pub struct Records {
    /// The input, by its number in the job (see [`super::CompiledJob::inputs`]).
    pub input: usize,
    /// The partition that they stand in.
    pub partition: Partition,
    /// The offset of each record.
    pub offsets: Int64Array,
    /// The columns that the job reads of this input, in the order of its read plan.
    pub rows: RecordBatch,
    /// Which records are tombstones, where the job reads them.
    pub tombstones: Option<BooleanArray>,
}

/// A record on which an expression failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailedRecord {
    /// The input that it came in by.
    pub input: usize,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// What the expression said.
    pub detail: String,
}

/// What a range made of the keys that it touched.
#[derive(Debug, Clone)]
pub struct Change {
    /// Key and state columns, each key once.
    pub state: RecordBatch,
    /// For each row of `state`: whether the key has an output row. NULL: it has none, because it could not be computed.
    pub has_row: BooleanArray,
    /// The output rows of the keys that have one, in the order of `state`.
    pub rows: RecordBatch,
    /// The first key whose output row could not be computed, and why, if there was one.
    pub output_error: Option<String>,
}

/// A record's place in the log, which makes every order total: `_timestamp`, branch of the query, `_partition`, `_offset`.
pub(super) const PLACE_COLUMNS: usize = 4;

/// The fields of a record's place.
pub(super) fn place_fields() -> [Field; PLACE_COLUMNS] {
    [
        Field::new("_timestamp", timestamp_type(), true),
        Field::new("_branch", DataType::Int32, true),
        Field::new("_partition", DataType::Int32, true),
        Field::new("_offset", DataType::Int64, true),
    ]
}

impl Records {
    /// The places of the records; `timestamp` is its column in `rows`, where it is read.
    pub(super) fn places(&self, timestamp: Option<usize>, branch: usize) -> [ArrayRef; PLACE_COLUMNS] {
        let n = self.offsets.len();
        [
            timestamp.map_or_else(|| new_null_array(&timestamp_type(), n), |column| self.rows.column(column).clone()),
            Arc::new(Int32Array::from_value(branch as i32, n)),
            Arc::new(Int32Array::from_value(self.partition.0 as i32, n)),
            Arc::new(self.offsets.clone()),
        ]
    }

    /// A row on which an expression failed, as a record.
    pub(super) fn failed(&self, row: usize, detail: String) -> FailedRecord {
        let offset = Offset::from_i64(self.offsets.value(row)).expect("offsets are not negative");
        FailedRecord { input: self.input, partition: self.partition, offset, detail }
    }
}
