//! What a table's columns are, which of them are the key, and what state stands beside them.

use std::io::Cursor as IoCursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::{reader::StreamReader, writer::StreamWriter};
use arrow::row::{RowConverter, SortField};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::type_name;

/// The columns of a table. It is stored in the table and never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct TableSchema {
    columns: SchemaRef,
    key: Vec<usize>,
    state: SchemaRef,
    time: Option<usize>,
}

impl TableSchema {
    /// Output `columns`, the indices of the key among them in key order, the `state` columns kept per key beside the key itself,
    /// and the key column that [`crate::Commit::horizon`] speaks of, if rows fall out of the table with time. Every column of a table is
    /// nullable, whatever is said here: what a query promises of its columns is not the table's business.
    pub fn new(
        columns: SchemaRef,
        key: Vec<usize>,
        state: SchemaRef,
        time: Option<usize>,
    ) -> Result<Self, InvalidTableSchema> {
        let schema = TableSchema { columns: nullable(&columns), key, state: nullable(&state), time };
        schema.check()?;
        Ok(schema)
    }

    fn check(&self) -> Result<(), InvalidTableSchema> {
        if self.key.is_empty() {
            return Err(InvalidTableSchema("a table needs at least one key column".into()));
        }
        if let Some(index) = self.key.iter().find(|index| **index >= self.columns.fields().len()) {
            return Err(InvalidTableSchema(format!("there is no column {index} to be a key column")));
        }
        for field in self.columns.fields().iter().chain(self.state.fields()) {
            let storable = !matches!(field.data_type(), DataType::Dictionary(..) | DataType::RunEndEncoded(..));
            if !storable || !RowConverter::supports_fields(&[SortField::new(field.data_type().clone())]) {
                let detail = format!(
                    "column `{}` has type {}, which no table keeps",
                    field.name(),
                    type_name(field.data_type())
                );
                return Err(InvalidTableSchema(detail));
            }
        }
        match self.time {
            Some(time) if !self.key.contains(&time) => {
                Err(InvalidTableSchema("the time column is not a key column".into()))
            }
            Some(time) if !is_time(self.columns.field(time).data_type()) => {
                let field = self.columns.field(time);
                Err(InvalidTableSchema(format!(
                    "`{}` has type {}, not a time",
                    field.name(),
                    type_name(field.data_type())
                )))
            }
            _ => Ok(()),
        }
    }

    /// The output columns.
    pub fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// The indices of the key columns in [`Self::columns`], in key order.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// The key columns, in key order.
    pub fn key_schema(&self) -> SchemaRef {
        Arc::new(self.columns.project(&self.key).expect("key columns are columns"))
    }

    /// The state columns, without the key.
    pub fn state(&self) -> &SchemaRef {
        &self.state
    }

    /// The key columns, then the state columns: the shape of [`crate::Commit::state`] and [`crate::Gathered::state`].
    pub fn state_schema(&self) -> SchemaRef {
        let key = self.key_schema();
        let fields: Vec<_> = key.fields().iter().chain(self.state.fields()).cloned().collect();
        Arc::new(Schema::new(fields))
    }

    /// The index in [`Self::columns`] of the column that the horizon speaks of.
    pub fn time(&self) -> Option<usize> {
        self.time
    }

    /// The place of the time column among the key columns.
    pub(crate) fn time_in_key(&self) -> Option<usize> {
        self.key.iter().position(|column| Some(*column) == self.time)
    }

    /// The values of filters `column = text` as a [`crate::RowsQuery::prefix`]: the filters have to name the key columns from the
    /// left, in any order.
    pub fn prefix(&self, filters: &[(String, String)]) -> Result<RecordBatch, UnusableFilter> {
        let key = self.key_schema();
        if let Some((column, _)) = filters.iter().find(|(name, _)| key.index_of(name).is_err()) {
            return Err(UnusableFilter::NoKeyColumn { column: column.clone(), key: names(&key) });
        }
        let left = key.project(&(0..filters.len().min(key.fields().len())).collect::<Vec<_>>());
        let left = left.expect("these are key columns");
        let values = left.fields().iter().map(|field| {
            let (_, text) = filters
                .iter()
                .find(|(name, _)| name == field.name())
                .ok_or_else(|| UnusableFilter::NotFromTheLeft { missing: field.name().clone(), key: names(&key) })?;
            parse(text, field.data_type()).map_err(|_| UnusableFilter::NotOfType {
                column: field.name().clone(),
                value: text.clone(),
                expected: field.data_type().clone(),
            })
        });
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(1));
        Ok(RecordBatch::try_new_with_options(Arc::new(left), values, &options)
            .expect("each value has its column's type"))
    }
}

fn nullable(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()))
}

fn names(schema: &Schema) -> String {
    schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

fn is_time(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp(..) | DataType::Int64 | DataType::Date32 | DataType::Date64)
}

/// Text as one value of a column: base64 for binary, RFC 3339 for timestamps.
fn parse(text: &str, ty: &DataType) -> Result<ArrayRef, ArrowError> {
    let unreadable = |source: base64::DecodeError| ArrowError::CastError(source.to_string());
    let array: ArrayRef = match ty {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            Arc::new(BinaryArray::from_vec(vec![&STANDARD.decode(text).map_err(unreadable)?]))
        }
        _ => Arc::new(StringArray::from(vec![text])),
    };
    cast_with_options(&array, ty, &CastOptions { safe: false, ..Default::default() })
}

/// Columns that cannot be a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTableSchema(String);

/// A filter that cannot be answered in key order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableFilter {
    /// The column is not a key column.
    #[error("`{column}` is no key column (the key is {key}); ask by `/sql`")]
    NoKeyColumn {
        /// The column asked for.
        column: String,
        /// The key columns.
        key: String,
    },
    /// A key column further left has no filter.
    #[error("filters name key columns from the left, and `{missing}` is missing (the key is {key}); ask by `/sql`")]
    NotFromTheLeft {
        /// The first key column without a filter.
        missing: String,
        /// The key columns.
        key: String,
    },
    /// The value cannot be of the column's type.
    #[error("`{value}` cannot be a value of `{column}`, which is of type {}", type_name(expected))]
    NotOfType {
        /// The column.
        column: String,
        /// The value asked for.
        value: String,
        /// The column's type.
        expected: DataType,
    },
}

/// A schema as it is stored: Arrow's own IPC bytes, which other versions of Arrow read too.
#[derive(Serialize, Deserialize)]
struct Stored {
    columns: String,
    key: Vec<usize>,
    state: String,
    time: Option<usize>,
}

impl From<TableSchema> for Stored {
    fn from(schema: TableSchema) -> Stored {
        Stored { columns: encode(&schema.columns), key: schema.key, state: encode(&schema.state), time: schema.time }
    }
}

impl TryFrom<Stored> for TableSchema {
    type Error = InvalidTableSchema;

    fn try_from(stored: Stored) -> Result<TableSchema, InvalidTableSchema> {
        TableSchema::new(decode(&stored.columns)?, stored.key, decode(&stored.state)?, stored.time)
    }
}

fn encode(schema: &Schema) -> String {
    let mut stream = StreamWriter::try_new(Vec::new(), schema).expect("writing a schema to memory does not fail");
    stream.finish().expect("writing a schema to memory does not fail");
    STANDARD.encode(stream.into_inner().expect("the stream is finished"))
}

fn decode(text: &str) -> Result<SchemaRef, InvalidTableSchema> {
    let unreadable = |source: &dyn std::fmt::Display| InvalidTableSchema(format!("the stored columns: {source}"));
    let bytes = STANDARD.decode(text).map_err(|source| unreadable(&source))?;
    let stream = StreamReader::try_new(IoCursor::new(bytes), None).map_err(|source| unreadable(&source))?;
    Ok(stream.schema())
}
