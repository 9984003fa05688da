//! The rows that differ, as the table `diff` that checks ask: the key columns, `change`, and both rows as structs.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, StructArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::VerifyError;
use super::columns::Columns;
use super::merge::{Merge, SharedKey, Stretch, pick};
use super::report::Change;

/// The batches of `diff`.
pub(super) struct Diff {
    schema: SchemaRef,
    key: SharedKey,
    columns: Columns,
    merge: Merge,
}

/// The columns of `diff`.
pub(super) fn diff_schema(key: &SharedKey, old: &Schema, new: &Schema) -> SchemaRef {
    let mut fields = key.fields.clone();
    fields.push(Arc::new(Field::new("change", DataType::Utf8, false)));
    fields.push(Arc::new(Field::new("old", DataType::Struct(old.fields().clone()), true)));
    fields.push(Arc::new(Field::new("new", DataType::Struct(new.fields().clone()), true)));
    Arc::new(Schema::new(fields))
}

impl Diff {
    pub(super) fn new(schema: SchemaRef, key: SharedKey, columns: Columns, merge: Merge) -> Self {
        Diff { schema, key, columns, merge }
    }

    fn batch(&mut self, stretch: &Stretch) -> Result<RecordBatch, VerifyError> {
        let changed = stretch.changed(&mut self.columns)?;
        let old = |rows: &[u32]| pick(&stretch.old, rows);
        let new = |rows: &[u32]| pick(&stretch.new, rows);
        let parts = [
            self.part(Change::Changed, Some(old(&changed.0)?), Some(new(&changed.1)?))?,
            self.part(Change::Added, None, Some(new(&stretch.added)?))?,
            self.part(Change::Removed, Some(old(&stretch.removed)?), None)?,
        ];
        Ok(concat_batches(&self.schema, &parts)?)
    }

    fn part(
        &self,
        change: Change,
        old: Option<RecordBatch>,
        new: Option<RecordBatch>,
    ) -> Result<RecordBatch, VerifyError> {
        let key = match (&old, &new) {
            (_, Some(new)) => self.key.of_new(new),
            (Some(old), None) => self.key.of_old(old),
            (None, None) => unreachable!("a row stands on one side at least"),
        };
        let count = key[0].len();
        let side = |side: Option<RecordBatch>, name: &str| -> Result<ArrayRef, VerifyError> {
            let ty = self.schema.field_with_name(name)?.data_type();
            Ok(side.map_or_else(|| new_null_array(ty, count), |rows| Arc::new(StructArray::from(rows))))
        };
        let change: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(change.as_str(), count)));
        let columns = [key, vec![change, side(old, "old")?, side(new, "new")?]].concat();
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

impl Iterator for Diff {
    type Item = Result<RecordBatch, VerifyError>;

    fn next(&mut self) -> Option<Self::Item> {
        let stretch = self.merge.next()?;
        Some(stretch.and_then(|stretch| self.batch(&stretch)))
    }
}
