//! Records' values in, typed columns out.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BinaryArray, Int8Array};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use super::avro::Avro;
use super::codec::{Codec, Desk, Reader};
use super::column::{check, fields};
use super::encoding::Understood;
use super::plan::Node;
use super::protobuf::Protobuf;
use super::sink::Sink;
use super::visit::Trail;
use super::{Column, ColumnType, Encoding, Fingerprint, InvalidColumns, WriterSchemas};
use crate::{headers_type, timestamp_type};

/// What became of a record, as `_decoded` of the cold tier holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum DecodeStatus {
    /// There are no columns to decode into.
    NoSchema = 0,
    /// Every column has its value.
    Ok = 1,
    /// The record has no value.
    Tombstone = 2,
    /// The value does not have the columns' types.
    Undecodable = 3,
}

/// A record that could not be decoded, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeFailure {
    /// Its row in what was decoded.
    pub row: usize,
    /// The stable code of the failure: `UNDECODABLE`, or `UNKNOWN_SCHEMA` where the schema registry does not have its schema.
    pub code: &'static str,
    /// The field that failed, as `actor.id`; empty when the value as a whole did.
    pub field: String,
    /// What was found and what was expected.
    pub detail: String,
}

impl std::fmt::Display for DecodeFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.detail),
            field => write!(f, "field `{field}`: {}", self.detail),
        }
    }
}

/// Decoded records.
#[derive(Debug)]
pub struct Decoded {
    /// One array for each column of the projection; all NULL in the rows that are not [`DecodeStatus::Ok`].
    pub fields: Vec<ArrayRef>,
    /// The [`DecodeStatus`] of each row.
    pub status: Int8Array,
    /// The rows that are [`DecodeStatus::Undecodable`], in order.
    pub failures: Vec<DecodeFailure>,
}

/// Decodes records of one encoding into a fixed list of columns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Decoder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    columns: Vec<Column>,
    codec: Codec,
    fields: Fields,
    input_schema: SchemaRef,
    fingerprint: Fingerprint,
}

/// The record's own columns, which follow the decoded ones in every input.
static RECORD: LazyLock<[Field; 6]> = LazyLock::new(|| {
    [
        Field::new("_partition", DataType::Int32, false),
        Field::new("_offset", DataType::Int64, false),
        Field::new("_timestamp", timestamp_type(), false),
        Field::new("_key", DataType::Binary, true),
        Field::new("_value", DataType::Binary, true),
        Field::new("_headers", headers_type(), true),
    ]
});

impl PartialEq for Decoder {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for Decoder {}

impl Decoder {
    /// A decoder of plain JSON into these columns; their names and paths are checked.
    pub fn new(columns: Vec<Column>) -> Result<Self, InvalidColumns> {
        Self::of(&Encoding::json(), columns)
    }

    /// A decoder of such records into these columns.
    pub(super) fn of(encoding: &Encoding, columns: Vec<Column>) -> Result<Self, InvalidColumns> {
        check(&columns)?;
        let fields = fields(&columns);
        let all = fields.iter().map(|field| field.as_ref().clone()).chain(RECORD.iter().cloned());
        let input_schema = Arc::new(Schema::new(all.collect::<Fields>()));
        let codec = Codec::new(encoding.wire, reader(&encoding.schema, &columns)?);
        let fingerprint = Fingerprint::of(&columns, encoding.print.as_deref());
        Ok(Decoder(Arc::new(Inner { columns, codec, fields, input_schema, fingerprint })))
    }

    /// The columns decoded into.
    pub fn columns(&self) -> &[Column] {
        &self.0.columns
    }

    /// The columns as Arrow fields; all may be NULL.
    pub fn fields(&self) -> &Fields {
        &self.0.fields
    }

    /// The name of what this decoder does.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// What a query sees of an input: the decoded columns, then `_partition`, `_offset`, `_timestamp`, `_key`, `_value`, `_headers`.
    pub fn input_schema(&self) -> SchemaRef {
        self.0.input_schema.clone()
    }

    /// True when what a record is read as depends on its writer's schema as well, which a registry has.
    pub fn needs_writers(&self) -> bool {
        self.0.codec.needs_writers()
    }

    /// The ids of the writers' schemas that decoding these values needs.
    pub fn writer_ids(&self, values: &BinaryArray) -> BTreeSet<u32> {
        self.0.codec.writer_ids(values)
    }

    /// Decodes `values` into the columns `projection` (indices into [`Decoder::columns`], in the order wanted). Whether a record is
    /// decodable depends on all columns, not on the projection. For records that need no writers' schemas.
    pub fn decode(&self, values: &BinaryArray, projection: &[usize]) -> Decoded {
        self.decode_with(values, projection, &WriterSchemas::default())
    }

    /// As [`Decoder::decode`]; `writers` says what the registry has under each id that [`Decoder::writer_ids`] names.
    pub fn decode_with(&self, values: &BinaryArray, projection: &[usize], writers: &WriterSchemas) -> Decoded {
        let mut rows = Rows::new(self, projection, writers);
        for value in values {
            rows.push(value);
        }
        rows.finish(projection)
    }
}

/// What reads records of such a schema into these columns.
fn reader(schema: &Understood, columns: &[Column]) -> Result<Reader, InvalidColumns> {
    let refused =
        |column: &Column, detail: &str| Err(InvalidColumns { column: column.name.clone(), detail: detail.to_owned() });
    Ok(match schema {
        Understood::Json => match columns.iter().find(|column| column.ty.holds_binary()) {
            Some(column) => {
                return refused(column, "JSON holds no bytes; declare it as text and decode it in the query");
            }
            None => Reader::Json(Node::root(columns)),
        },
        Understood::Avro(schema) => Reader::Avro(Box::new(Avro::new(schema.clone(), columns)?)),
        Understood::Protobuf(schema) => Reader::Protobuf(Box::new(Protobuf::new(schema, columns)?)),
        Understood::Text => match columns.iter().find(|column| column.ty != ColumnType::Text) {
            Some(column) => {
                return refused(column, "the topic holds text; declare it as text and convert it in the query");
            }
            None => Reader::Text,
        },
        Understood::Bytes => match columns.first() {
            Some(column) => return refused(column, "the topic holds bytes, which have no columns; use `_value`"),
            None => Reader::Bytes,
        },
    })
}

/// Tells whether records decode, and stores nothing. Kept for many records.
pub(crate) struct DecodeCheck<'a>(Rows<'a>);

impl<'a> DecodeCheck<'a> {
    pub(crate) fn new(decoder: &'a Decoder, writers: &'a WriterSchemas) -> Self {
        DecodeCheck(Rows::new(decoder, &[], writers))
    }

    pub(crate) fn check(&mut self, value: &[u8]) -> Result<(), DecodeFailure> {
        self.0.event(value);
        self.0.failures.pop().map_or(Ok(()), Err)
    }
}

/// The rows decoded so far.
struct Rows<'a> {
    inner: &'a Inner,
    sinks: Vec<Sink>,
    status: Vec<i8>,
    failures: Vec<DecodeFailure>,
    trail: Trail,
    desk: Desk<'a>,
}

impl<'a> Rows<'a> {
    fn new(decoder: &'a Decoder, projection: &[usize], writers: &'a WriterSchemas) -> Self {
        let columns = decoder.columns().iter().enumerate();
        let sinks = columns.map(|(i, column)| Sink::new(&column.ty, projection.contains(&i))).collect();
        let (trail, desk) = (Trail::new(), Desk::new(writers));
        Rows { inner: &decoder.0, sinks, status: Vec::new(), failures: Vec::new(), trail, desk }
    }

    fn push(&mut self, value: Option<&[u8]>) {
        let status = match value {
            _ if self.sinks.is_empty() => DecodeStatus::NoSchema,
            None => DecodeStatus::Tombstone,
            Some(event) => self.event(event),
        };
        self.status.push(status as i8);
        let rows = self.status.len();
        self.sinks.iter_mut().for_each(|sink| sink.pad(rows));
    }

    fn event(&mut self, bytes: &[u8]) -> DecodeStatus {
        let row = self.status.len();
        let read = self.inner.codec.read(bytes, row, &mut self.sinks, &mut self.trail, &mut self.desk);
        let Err((code, detail)) = read else { return DecodeStatus::Ok };
        self.sinks.iter_mut().for_each(|sink| sink.truncate(row));
        let field = self.trail.drain(..).rev().collect::<Vec<_>>().join(".");
        self.failures.push(DecodeFailure { row, code, field, detail: detail.into() });
        DecodeStatus::Undecodable
    }

    fn finish(self, projection: &[usize]) -> Decoded {
        let mut arrays: Vec<Option<ArrayRef>> =
            self.sinks.into_iter().map(|sink| sink.keep().then(|| sink.finish())).collect();
        let field = |i: &usize| arrays[*i].clone().expect("projected columns are kept");
        let fields = projection.iter().map(field).collect();
        arrays.clear();
        Decoded { fields, status: Int8Array::from(self.status), failures: self.failures }
    }
}
