//! Raw messages into the columns of one [`LogBatch`], without an allocation for each.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, Int64Array, ListBuilder, NullBufferBuilder, RecordBatch, StringBuilder,
    StructBuilder, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};

use super::native::Message;
use crate::{ENVELOPE, LogBatch, Offset, OffsetRange, Partition, UTC, headers_type};

/// A batch that grows by messages.
pub(super) struct Fill {
    offsets: Vec<i64>,
    times: Vec<i64>,
    keys: Binary,
    values: Binary,
    /// Made when the first header comes.
    headers: Option<ListBuilder<StructBuilder>>,
    /// The epochs of the leaders that took the records, each with the first offset at which it was seen.
    epochs: Vec<(i32, Offset)>,
}

impl Fill {
    pub(super) fn new() -> Self {
        let (offsets, times, epochs) = (Vec::new(), Vec::new(), Vec::new());
        Fill { offsets, times, keys: Binary::new(), values: Binary::new(), headers: None, epochs }
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The bytes of their keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes.len() + self.values.bytes.len()
    }

    /// Takes a record over.
    pub(super) fn push(&mut self, message: &Message<'_>) {
        self.offsets.push(message.offset());
        self.times.push(message.timestamp_ms().max(0) * 1000);
        self.keys.push(message.key());
        self.values.push(message.value());
        let epoch = message.leader_epoch();
        if epoch >= 0 && self.epochs.last().is_none_or(|(last, _)| *last != epoch) {
            self.epochs.push((epoch, Offset::from_i64(message.offset()).expect("a record has an offset")));
        }
        self.push_headers(message);
    }

    fn push_headers(&mut self, message: &Message<'_>) {
        let before = self.offsets.len() - 1;
        let headers = &mut self.headers;
        let any = message.headers(|name, value| {
            let lists = headers.get_or_insert_with(|| nulls(before));
            let header = lists.values();
            let names = header.field_builder::<StringBuilder>(0).expect("a header's name is text");
            names.append_value(String::from_utf8_lossy(name));
            let values = header.field_builder::<BinaryBuilder>(1).expect("a header's value is binary");
            values.append_option(value);
            header.append(true);
        });
        if let Some(lists) = &mut self.headers {
            lists.append(any);
        }
    }

    /// The batch, which covers `range`, and the epochs seen in it.
    pub(super) fn finish(self, partition: Partition, range: OffsetRange) -> (LogBatch, Vec<(i32, Offset)>) {
        let count = self.offsets.len();
        let headers: ArrayRef = match self.headers {
            Some(mut lists) => Arc::new(lists.finish()),
            None => new_null_array(&headers_type(), count),
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.offsets)),
            Arc::new(TimestampMicrosecondArray::from(self.times).with_timezone(UTC)),
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
            headers,
        ];
        let records = RecordBatch::try_new(ENVELOPE.clone(), columns).expect("the columns of an envelope");
        (LogBatch::new(partition, range, records), self.epochs)
    }
}

/// Lists of headers, the first `count` of which are null.
fn nulls(count: usize) -> ListBuilder<StructBuilder> {
    let DataType::List(item) = headers_type() else { unreachable!("headers are a list") };
    let DataType::Struct(fields) = item.data_type() else { unreachable!("a header is a struct") };
    let item = Field::new("item", DataType::Struct(fields.clone()), false);
    let mut lists = ListBuilder::new(StructBuilder::from_fields(fields.clone(), 0)).with_field(item);
    (0..count).for_each(|_| lists.append(false));
    lists
}

/// A growing binary column. A read is bounded well below the 2 GiB that its offsets can tell.
struct Binary {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    validity: NullBufferBuilder,
}

impl Binary {
    fn new() -> Self {
        Binary { ends: vec![0], bytes: Vec::new(), validity: NullBufferBuilder::new(0) }
    }

    fn push(&mut self, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.bytes.len() as i32);
        self.validity.append(value.is_some());
    }

    fn finish(mut self) -> BinaryArray {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        BinaryArray::new(ends, Buffer::from_vec(self.bytes), self.validity.finish())
    }
}
