//! Many small entries, or a few large ones, into one [`LogBatch`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, Int64Array, ListBuilder, NullBufferBuilder, RecordBatch,
    StringBuilder, StructBuilder, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};

use super::entry::{Entry, Values, decode_headers};
use crate::{ENVELOPE, LogBatch, Offset, OffsetRange, Partition, UTC, headers_type};

/// A batch that grows by parts of entries.
pub(super) struct BatchBuilder {
    partition: Partition,
    from: Offset,
    offsets: Vec<i64>,
    times: Vec<i64>,
    keys: Binary,
    values: Binary,
    headers: Binary,
}

impl BatchBuilder {
    pub(super) fn new(partition: Partition, from: Offset) -> Self {
        BatchBuilder {
            partition,
            from,
            offsets: Vec::new(),
            times: Vec::new(),
            keys: Binary::new(),
            values: Binary::new(),
            headers: Binary::new(),
        }
    }

    /// The first offset not in the batch yet.
    pub(super) fn next(&self) -> Offset {
        self.from.plus(self.offsets.len() as u64)
    }

    /// Takes over the records `[from, to)` of an entry; the first of them stands at [`BatchBuilder::next`].
    pub(super) fn push(&mut self, entry: &Entry<'_>, from: usize, to: usize) {
        let next = self.next().as_i64();
        self.offsets.extend(next..next + (to - from) as i64);
        self.times.extend((from..to).map(|i| entry.time(i).as_micros()));
        self.keys.push(entry.keys, from, to);
        self.values.push(Some(entry.values), from, to);
        self.headers.push(entry.headers, from, to);
    }

    pub(super) fn finish(self) -> LogBatch {
        let range = OffsetRange::new(self.from, self.next());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.offsets)),
            Arc::new(TimestampMicrosecondArray::from(self.times).with_timezone(UTC)),
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
            headers(&self.headers.finish()),
        ];
        let records = RecordBatch::try_new(ENVELOPE.clone(), columns).expect("the columns of an envelope");
        LogBatch::new(self.partition, range, records)
    }
}

/// A growing binary column. A batch is bounded well below the 2 GiB that its offsets can tell.
struct Binary {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    validity: NullBufferBuilder,
}

impl Binary {
    fn new() -> Self {
        Binary { ends: vec![0], bytes: Vec::new(), validity: NullBufferBuilder::new(0) }
    }

    fn push(&mut self, values: Option<Values<'_>>, from: usize, to: usize) {
        let mut end = self.bytes.len();
        let Some(values) = values else {
            self.ends.resize(self.ends.len() + to - from, end as i32);
            return self.validity.append_n_nulls(to - from);
        };
        let (start, before) = (values.start_of(from), end);
        for i in from..to {
            let length = values.length(i);
            end += length.unwrap_or(0);
            self.ends.push(end as i32);
            self.validity.append(length.is_some());
        }
        self.bytes.extend_from_slice(&values.bytes[start..start + end - before]);
    }

    fn finish(mut self) -> BinaryArray {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        BinaryArray::new(ends, Buffer::from_vec(self.bytes), self.validity.finish())
    }
}

/// Records mostly have no headers: then the column is all null.
fn headers(stored: &BinaryArray) -> ArrayRef {
    let DataType::List(item) = headers_type() else { unreachable!("headers are a list") };
    let DataType::Struct(fields) = item.data_type() else { unreachable!("a header is a struct") };
    if stored.iter().all(|headers| headers.is_none()) {
        return new_null_array(&headers_type(), stored.len());
    }
    let header = StructBuilder::from_fields(fields.clone(), 0);
    let item = Field::new("item", DataType::Struct(fields.clone()), false);
    let mut lists = ListBuilder::new(header).with_field(item);
    for headers in stored {
        for (name, value) in headers.into_iter().flat_map(decode_headers) {
            let header = lists.values();
            let names = header.field_builder::<StringBuilder>(0).expect("a header's name is text");
            names.append_value(name);
            let values = header.field_builder::<BinaryBuilder>(1).expect("a header's value is binary");
            values.append_option(value);
            header.append(true);
        }
        lists.append(headers.is_some());
    }
    Arc::new(lists.finish())
}
