//! The envelope in which records travel: one topic-partition, the range of offsets covered, and the records as Arrow columns.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, BinaryArray, Int64Array, ListArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};

use crate::{Offset, OffsetRange, Partition};

/// The time zone of every timestamp column.
pub const UTC: &str = "UTC";

/// The Arrow type of every timestamp column: microseconds in UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// The Arrow type of a record's headers.
pub fn headers_type() -> DataType {
    let fields =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Binary, true)]);
    DataType::List(Arc::new(Field::new("item", DataType::Struct(fields), false)))
}

/// The columns of an envelope: `offset`, `timestamp`, `key`, `value`, `headers`, in this order.
pub static ENVELOPE: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp", timestamp_type(), false),
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("headers", headers_type(), true),
    ]))
});

/// Records of one topic-partition and the offsets that they cover.
///
/// Offsets rise from record to record and lie in `range`; `range.to` may be past the last record + 1, and a batch without records
/// may cover offsets (compaction and transaction markers leave holes). A record with a null value is a tombstone.
#[derive(Debug, Clone)]
pub struct LogBatch {
    /// The partition that the records stand in.
    pub partition: Partition,
    /// The offsets covered: a reader goes on at `range.to`.
    pub range: OffsetRange,
    /// The records, with the columns of [`ENVELOPE`].
    pub records: RecordBatch,
}

impl LogBatch {
    /// A batch, with its invariants checked.
    pub fn new(partition: Partition, range: OffsetRange, records: RecordBatch) -> Self {
        debug_assert_eq!(records.schema().fields(), ENVELOPE.fields());
        let batch = LogBatch { partition, range, records };
        debug_assert!(batch.offsets().values().windows(2).all(|pair| pair[0] < pair[1]), "offsets rise");
        debug_assert!(batch.offsets().values().iter().all(|o| Offset::from_i64(*o).is_some_and(|o| range.contains(o))));
        batch
    }

    /// A batch that covers `range` and holds no record.
    pub fn empty(partition: Partition, range: OffsetRange) -> Self {
        LogBatch { partition, range, records: RecordBatch::new_empty(ENVELOPE.clone()) }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.num_rows()
    }

    /// True when the batch holds no record (it may still cover offsets).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset of each record.
    pub fn offsets(&self) -> &Int64Array {
        self.records.column(0).as_primitive::<Int64Type>()
    }

    /// The timestamp of each record.
    pub fn timestamps(&self) -> &TimestampMicrosecondArray {
        self.records.column(1).as_primitive::<TimestampMicrosecondType>()
    }

    /// The key of each record.
    pub fn keys(&self) -> &BinaryArray {
        self.records.column(2).as_binary()
    }

    /// The value of each record; null is a tombstone.
    pub fn values(&self) -> &BinaryArray {
        self.records.column(3).as_binary()
    }

    /// The headers of each record.
    pub fn headers(&self) -> &ListArray {
        self.records.column(4).as_list()
    }

    /// The part of this batch that lies in `range`; it covers exactly what both cover. Costs no copy.
    pub fn clip(&self, range: &OffsetRange) -> Option<LogBatch> {
        let range = self.range.intersect(range)?;
        let offsets = self.offsets().values();
        let first = offsets.partition_point(|o| *o < range.from.as_i64());
        let end = offsets.partition_point(|o| *o < range.to.as_i64());
        Some(LogBatch { partition: self.partition, range, records: self.records.slice(first, end - first) })
    }
}
