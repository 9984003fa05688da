//! Columns to stored bytes and back.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use crate::{TableSchema, canonical_key};

/// Where an output column is stored: in the key or beside it.
enum Stored {
    Key(usize),
    Rest(usize),
}

/// Encodes and decodes the keys, rows and state of one table.
pub(crate) struct Codec {
    schema: TableSchema,
    /// The key columns.
    pub(crate) key: RowCodec,
    /// The output columns that are not in the key.
    pub(crate) rest: RowCodec,
    /// The state columns.
    pub(crate) state: RowCodec,
    output: Vec<Stored>,
    rest_columns: Vec<usize>,
}

impl Codec {
    pub(crate) fn new(schema: TableSchema) -> Result<Self, ArrowError> {
        let mut rest_columns = Vec::new();
        let output = (0..schema.columns().fields().len())
            .map(|column| match schema.key().iter().position(|key| *key == column) {
                Some(place) => Stored::Key(place),
                None => {
                    rest_columns.push(column);
                    Stored::Rest(rest_columns.len() - 1)
                }
            })
            .collect();
        Ok(Codec {
            key: RowCodec::new(schema.key_schema().fields())?,
            rest: RowCodec::new(schema.columns().project(&rest_columns)?.fields())?,
            state: RowCodec::new(schema.state().fields())?,
            output,
            rest_columns,
            schema,
        })
    }

    pub(crate) fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// The key columns of output rows.
    pub(crate) fn keys_of_rows(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.schema.key().iter().map(|column| rows.column(*column).clone()).collect()
    }

    /// The columns of output rows that are not in the key.
    pub(crate) fn rest_of_rows(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.rest_columns.iter().map(|column| rows.column(*column).clone()).collect()
    }

    /// Output rows from their stored keys and values.
    pub(crate) fn rows<'a>(
        &self,
        stored: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Result<RecordBatch, ArrowError> {
        let keys = self.key.decode(stored.clone().map(|(key, _)| key))?;
        let rest = self.rest.decode(stored.map(|(_, value)| value))?;
        let column = |stored: &Stored| match stored {
            Stored::Key(place) => keys[*place].clone(),
            Stored::Rest(place) => rest[*place].clone(),
        };
        RecordBatch::try_new(self.schema.columns().clone(), self.output.iter().map(column).collect())
    }

    /// The encoded values of the leftmost key columns, which is how every key with these values begins.
    pub(crate) fn key_prefix(&self, prefix: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let key = self.schema.key_schema();
        let left = key.project(&(0..prefix.num_columns()).collect::<Vec<_>>())?;
        Ok(RowCodec::new(left.fields())?.encode(&canonical_key(prefix.columns()))?.row(0).to_vec())
    }

    /// The `time` of each key, if this table has one.
    pub(crate) fn times(&self, keys: &[ArrayRef]) -> Result<Option<Int64Array>, ArrowError> {
        let Some(place) = self.schema.time_in_key() else { return Ok(None) };
        let times = match keys[place].data_type() {
            DataType::Date32 => cast(&cast(&keys[place], &DataType::Int32)?, &DataType::Int64)?,
            _ => cast(&keys[place], &DataType::Int64)?,
        };
        Ok(Some(Int64Array::from(times.to_data())))
    }
}

/// Encodes and decodes some columns as rows of bytes; no columns take no bytes.
pub(crate) struct RowCodec(Option<RowConverter>);

impl RowCodec {
    fn new(fields: &Fields) -> Result<Self, ArrowError> {
        let sort_fields = || fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = (!fields.is_empty()).then(|| RowConverter::new(sort_fields())).transpose()?;
        Ok(RowCodec(converter))
    }

    pub(crate) fn encode(&self, columns: &[ArrayRef]) -> Result<Encoded, ArrowError> {
        self.0.as_ref().map(|converter| converter.convert_columns(columns)).transpose().map(Encoded)
    }

    pub(crate) fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        let Some(converter) = &self.0 else { return Ok(Vec::new()) };
        let parser = converter.parser();
        let rows: Vec<_> = rows.map(|bytes| parser.parse(bytes)).collect();
        converter.convert_rows(rows)
    }
}

/// Rows of bytes.
pub(crate) struct Encoded(Option<Rows>);

impl Encoded {
    pub(crate) fn row(&self, index: usize) -> &[u8] {
        self.0.as_ref().map_or(&[], |rows| rows.row(index).data())
    }

    /// About how many bytes all rows have together, and no less.
    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |rows| rows.size().saturating_sub(rows.num_rows() * size_of::<usize>()))
    }
}

impl Encoded {
    /// The indices of the first `count` rows in the order of their bytes. The first bytes of each row are sorted beside its index, so
    /// that most comparisons need not look at the row itself: enough of them for two integers.
    fn sorted(&self, count: u32) -> Vec<u32> {
        let first_bytes = |row: &[u8]| {
            let mut bytes = [0; 24];
            let taken = row.len().min(bytes.len());
            bytes[..taken].copy_from_slice(&row[..taken]);
            let (words, _) = bytes.as_chunks::<8>();
            [words[0], words[1], words[2]].map(u64::from_be_bytes)
        };
        let mut order: Vec<_> = (0..count).map(|index| (first_bytes(self.row(index as usize)), index)).collect();
        let row = |index: u32| self.row(index as usize);
        order.sort_unstable_by(|(a, i), (b, j)| a.cmp(b).then_with(|| row(*i).cmp(row(*j))));
        order.into_iter().map(|(_, index)| index).collect()
    }
}

/// Keys in key order, one behind the other in memory: they are walked along several times.
pub(crate) struct Keys {
    bytes: Vec<u8>,
    /// Where each key begins, and where the last one ends.
    bounds: Vec<usize>,
    /// The index of each key among the keys as they were given.
    order: Vec<u32>,
}

impl Keys {
    /// Sorts keys. Where they stand in order, or stand as the keys `like` did before those were sorted, nothing has to be sorted.
    pub(crate) fn encode(codec: &Codec, columns: &[ArrayRef], like: Option<&Keys>) -> Result<Self, ArrowError> {
        let encoded = codec.key.encode(&canonical_key(columns))?;
        let count = u32::try_from(columns[0].len()).expect("a batch has less than 2^32 rows");
        let as_given = || (0..count).collect::<Vec<u32>>();
        let mut order =
            like.filter(|keys| keys.order.len() == count as usize).map_or_else(as_given, |keys| keys.order.clone());
        if !order.is_sorted_by_key(|index| encoded.row(*index as usize)) {
            order = encoded.sorted(count);
        }
        let (mut bytes, mut bounds) = (Vec::with_capacity(encoded.len()), Vec::with_capacity(order.len() + 1));
        bounds.push(0);
        for index in &order {
            bytes.extend_from_slice(encoded.row(*index as usize));
            bounds.push(bytes.len());
        }
        Ok(Keys { bytes, bounds, order })
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The key at a place in key order.
    pub(crate) fn key(&self, place: usize) -> &[u8] {
        &self.bytes[self.bounds[place]..self.bounds[place + 1]]
    }

    /// The index, among the keys as they were given, of the key at a place in key order.
    pub(crate) fn index(&self, place: usize) -> usize {
        self.order[place] as usize
    }

    pub(crate) fn places(&self) -> Range<usize> {
        0..self.len()
    }

    /// A key that stands there twice.
    pub(crate) fn duplicate(&self) -> Option<usize> {
        (1..self.len()).find(|place| self.key(*place) == self.key(place - 1)).map(|place| self.index(place))
    }
}
