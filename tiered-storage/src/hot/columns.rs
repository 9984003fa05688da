//! Growing columns that become one [`LogBatch`], without an allocation for each record. Pure.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, Int64Array, ListBuilder, NullBufferBuilder, RecordBatch, StringBuilder,
    StructBuilder, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};

use crate::{ENVELOPE, LogBatch, OffsetRange, Partition, UTC, headers_type};

/// The columns of the records of one partition, all of one length once they are [finished](Columns::finish).
#[derive(Default)]
pub(super) struct Columns {
    pub(super) offsets: Vec<i64>,
    /// Microseconds since 1970.
    pub(super) times: Vec<i64>,
    pub(super) keys: Binary,
    pub(super) values: Binary,
    pub(super) headers: Headers,
}

/// How much columns hold: records, and the bytes of their keys and values.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) records: usize,
    pub(super) keys: usize,
    pub(super) values: usize,
}

impl Sizes {
    /// Those of `records` such records, if there are fewer.
    pub(super) fn of_at_most(self, records: u64) -> Sizes {
        let records = self.records.min(usize::try_from(records).unwrap_or(usize::MAX));
        let share = |bytes: usize| bytes.div_ceil(self.records.max(1)) * records;
        Sizes { records, keys: share(self.keys), values: share(self.values) }
    }
}

impl Columns {
    /// Empty columns with room for so much.
    pub(super) fn with_room(sizes: Sizes) -> Self {
        Columns {
            offsets: Vec::with_capacity(sizes.records),
            times: Vec::with_capacity(sizes.records),
            keys: Binary::with_room(sizes.records, sizes.keys),
            values: Binary::with_room(sizes.records, sizes.values),
            headers: Headers::default(),
        }
    }

    /// How much they hold.
    pub(super) fn sizes(&self) -> Sizes {
        Sizes { records: self.len(), keys: self.keys.bytes(), values: self.values.bytes() }
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The batch, which covers `range`.
    pub(super) fn finish(self, partition: Partition, range: OffsetRange) -> LogBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.offsets)),
            Arc::new(TimestampMicrosecondArray::from(self.times).with_timezone(UTC)),
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
            self.headers.finish(),
        ];
        let records = RecordBatch::try_new(ENVELOPE.clone(), columns).expect("the columns of an envelope");
        LogBatch::new(partition, range, records)
    }
}

/// A binary column. A read is bounded well below the 2 GiB that its offsets can tell.
pub(super) struct Binary {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    validity: NullBufferBuilder,
}

impl Default for Binary {
    fn default() -> Self {
        Binary::with_room(0, 0)
    }
}

impl Binary {
    fn with_room(values: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(values + 1);
        ends.push(0);
        Binary { ends, bytes: Vec::with_capacity(bytes), validity: NullBufferBuilder::new(values) }
    }

    /// The bytes of its values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn push(&mut self, value: Option<&[u8]>) {
        self.push_all(std::iter::once(value.map(<[u8]>::len)), value.unwrap_or_default());
    }

    pub(super) fn push_nulls(&mut self, count: usize) {
        self.ends.resize(self.ends.len() + count, self.bytes.len() as i32);
        self.validity.append_n_nulls(count);
    }

    /// Takes values of the given lengths over, which lie one behind the other from the start of `bytes`.
    pub(super) fn push_all(&mut self, lengths: impl Iterator<Item = Option<usize>>, bytes: &[u8]) {
        let before = self.bytes.len();
        let mut end = before;
        for length in lengths {
            end += length.unwrap_or(0);
            self.ends.push(end as i32);
            self.validity.append(length.is_some());
        }
        self.bytes.extend_from_slice(&bytes[..end - before]);
    }

    fn finish(mut self) -> BinaryArray {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        BinaryArray::new(ends, Buffer::from_vec(self.bytes), self.validity.finish())
    }
}

/// The headers of records. Most records have none: the lists are made when the first one comes.
#[derive(Default)]
pub(super) struct Headers {
    lists: Option<ListBuilder<StructBuilder>>,
    /// The records that are ended.
    records: usize,
}

impl Headers {
    /// Takes over one header of the record that [`Headers::end`] ends next.
    pub(super) fn add(&mut self, name: &str, value: Option<&[u8]>) {
        let header = self.lists().values();
        let names = header.field_builder::<StringBuilder>(0).expect("a header's name is text");
        names.append_value(name);
        let values = header.field_builder::<BinaryBuilder>(1).expect("a header's value is binary");
        values.append_option(value);
        header.append(true);
    }

    /// Ends a record; null when it has no headers at all.
    pub(super) fn end(&mut self, present: bool) {
        if present || self.lists.is_some() {
            self.lists().append(present);
        }
        self.records += 1;
    }

    /// Takes over records without headers.
    pub(super) fn push_nulls(&mut self, count: usize) {
        if let Some(lists) = &mut self.lists {
            (0..count).for_each(|_| lists.append(false));
        }
        self.records += count;
    }

    fn lists(&mut self) -> &mut ListBuilder<StructBuilder> {
        self.lists.get_or_insert_with(|| {
            let DataType::List(item) = headers_type() else { unreachable!("headers are a list") };
            let DataType::Struct(fields) = item.data_type() else { unreachable!("a header is a struct") };
            let item = Field::new("item", DataType::Struct(fields.clone()), false);
            let mut lists = ListBuilder::new(StructBuilder::from_fields(fields.clone(), 0)).with_field(item);
            (0..self.records).for_each(|_| lists.append(false));
            lists
        })
    }

    fn finish(self) -> ArrayRef {
        match self.lists {
            Some(mut lists) => Arc::new(lists.finish()),
            None => new_null_array(&headers_type(), self.records),
        }
    }
}
