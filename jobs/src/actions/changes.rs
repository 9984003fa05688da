//! The rows that a commit changes, as the table `changes` that actions ask: the key columns, `change`, and both rows as structs.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, StructArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use rekap_tables::{RowChanges, TableSchema};

/// The columns of `changes`: those of `diff` in the checks of a promotion.
pub(super) fn changes_schema(table: &TableSchema) -> SchemaRef {
    let mut fields: Vec<FieldRef> = table.key_schema().fields().iter().cloned().collect();
    let row = || DataType::Struct(table.columns().fields().clone());
    fields.push(Arc::new(Field::new("change", DataType::Utf8, false)));
    fields.push(Arc::new(Field::new("old", row(), true)));
    fields.push(Arc::new(Field::new("new", row(), true)));
    Arc::new(Schema::new(fields))
}

/// What changed, in one batch.
pub(super) fn to_changes(schema: &SchemaRef, key: &[usize], changes: &RowChanges) -> Result<RecordBatch, ArrowError> {
    let part = |kind: &str, old: Option<&RecordBatch>, new: Option<&RecordBatch>| {
        let Some(rows) = new.or(old) else { return Ok(RecordBatch::new_empty(schema.clone())) };
        let mut columns: Vec<ArrayRef> = key.iter().map(|column| rows.column(*column).clone()).collect();
        columns.push(Arc::new(StringArray::from_iter_values(repeat_n(kind, rows.num_rows()))));
        for (name, side) in [("old", old), ("new", new)] {
            let ty = schema.field_with_name(name)?.data_type();
            let side: ArrayRef = match side {
                Some(rows) if rows.num_rows() > 0 => Arc::new(StructArray::from(rows.clone())),
                _ => new_null_array(ty, rows.num_rows()),
            };
            columns.push(side);
        }
        RecordBatch::try_new(schema.clone(), columns)
    };
    let parts = [
        part("changed", Some(&changes.changed_from), Some(&changes.changed_to))?,
        part("added", None, Some(&changes.added))?,
        part("removed", Some(&changes.removed), None)?,
    ];
    concat_batches(schema, &parts)
}
