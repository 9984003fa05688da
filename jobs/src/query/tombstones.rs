//! The key of a tombstone, read from its record key: a tombstone has no value to read it from.

use arrow::array::{Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::compute::kernels::zip::zip;
use datafusion::common::cast::as_binary_array;
use datafusion::error::Result;
use serde_json::Value;

/// How the key fields of a topic stand in a record key: one field as its text, several as a compact JSON array in their order.
#[derive(Debug, Clone)]
pub(super) struct TombstoneKeys {
    /// Where `_key` stands among the columns read.
    pub(super) record_key: usize,
    /// Where each key field of the topic stands among the columns read; `None`: it is not read.
    pub(super) fields: Vec<Option<usize>>,
}

impl TombstoneKeys {
    /// The rows with the key fields of tombstones filled in. What is no value of a field's type becomes NULL.
    pub(super) fn patch(&self, rows: &RecordBatch, tombstones: &BooleanArray) -> Result<RecordBatch> {
        let keys = as_binary_array(rows.column(self.record_key))?;
        let mut columns = rows.columns().to_vec();
        for (number, column) in self.fields.iter().enumerate().filter_map(|(i, column)| Some((i, (*column)?))) {
            let texts: StringArray = (0..keys.len()).map(|row| self.field(keys, row, number, tombstones)).collect();
            let typed: ArrayRef = cast(&texts, columns[column].data_type())?;
            columns[column] = zip(tombstones, &typed, &columns[column])?;
        }
        Ok(RecordBatch::try_new(rows.schema(), columns)?)
    }

    /// The text of one key field of a tombstone.
    fn field(&self, keys: &BinaryArray, row: usize, number: usize, tombstones: &BooleanArray) -> Option<String> {
        if !tombstones.value(row) || keys.is_null(row) {
            return None;
        }
        let text = std::str::from_utf8(keys.value(row)).ok()?;
        if self.fields.len() == 1 {
            return Some(text.to_owned());
        }
        match serde_json::from_str::<Vec<Value>>(text).ok()?.into_iter().nth(number)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }
}
