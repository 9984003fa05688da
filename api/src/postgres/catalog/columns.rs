//! Tables of the catalogs, put together column by column. Pure.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, ListArray, RecordBatch, RecordBatchOptions,
    StringArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Int16Type, Int32Type, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::oid_field::{kind, oid_field};

/// A table that gets its columns one by one, each of as many rows.
pub(super) struct Columns<'a, T> {
    rows: &'a [T],
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'a, T> Columns<'a, T> {
    /// A table of these rows, without columns yet.
    pub(super) fn of(rows: &'a [T]) -> Self {
        Columns { rows, fields: Vec::new(), arrays: Vec::new() }
    }

    fn with(mut self, field: Field, array: ArrayRef) -> Self {
        self.fields.push(field);
        self.arrays.push(array);
        self
    }

    fn plain(self, name: &str, array: ArrayRef) -> Self {
        self.with(Field::new(name, array.data_type().clone(), true), array)
    }

    /// Object ids: numbers of a kind of their own to clients.
    pub(super) fn oid(self, name: &str, of: impl Fn(&T) -> i32) -> Self {
        let array = Int32Array::from_iter_values(self.rows.iter().map(of));
        self.with(oid_field(name, kind::OID, true), Arc::new(array))
    }

    /// Texts.
    pub(super) fn text(self, name: &str, of: impl Fn(&T) -> String) -> Self {
        self.some_text(name, |row| Some(of(row)))
    }

    /// Texts, or NULL.
    pub(super) fn some_text(self, name: &str, of: impl Fn(&T) -> Option<String>) -> Self {
        let array = StringArray::from_iter(self.rows.iter().map(of));
        self.plain(name, Arc::new(array))
    }

    /// Columns of one text.
    pub(super) fn same(self, names: &[&str], value: &str) -> Self {
        names.iter().fold(self, |table, name| table.text(name, |_| value.to_owned()))
    }

    /// Columns of texts that are not there.
    pub(super) fn no_text(self, names: &[&str]) -> Self {
        names.iter().fold(self, |table, name| table.some_text(name, |_| None))
    }

    /// Columns of lists of texts that are not there.
    pub(super) fn no_list(self, names: &[&str]) -> Self {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
        let n = self.rows.len();
        names.iter().fold(self, |table, name| table.plain(name, new_null_array(&list, n)))
    }

    /// Yes or no.
    pub(super) fn flag(self, name: &str, of: impl Fn(&T) -> bool) -> Self {
        let array = BooleanArray::from_iter(self.rows.iter().map(|row| Some(of(row))));
        self.plain(name, Arc::new(array))
    }

    /// Columns that say the same of all rows.
    pub(super) fn flags(self, names: &[&str], value: bool) -> Self {
        names.iter().fold(self, |table, name| table.flag(name, |_| value))
    }

    /// Numbers.
    pub(super) fn number(self, name: &str, of: impl Fn(&T) -> i32) -> Self {
        self.some_number(name, |row| Some(of(row)))
    }

    /// Numbers, or NULL.
    pub(super) fn some_number(self, name: &str, of: impl Fn(&T) -> Option<i32>) -> Self {
        let array = Int32Array::from_iter(self.rows.iter().map(of));
        self.plain(name, Arc::new(array))
    }

    /// Columns of one number.
    pub(super) fn numbers(self, names: &[&str], value: i32) -> Self {
        names.iter().fold(self, |table, name| table.number(name, |_| value))
    }

    /// Small numbers.
    pub(super) fn small(self, name: &str, of: impl Fn(&T) -> i16) -> Self {
        let array = Int16Array::from_iter_values(self.rows.iter().map(of));
        self.plain(name, Arc::new(array))
    }

    /// One number with a fraction.
    pub(super) fn real(self, name: &str, value: f32) -> Self {
        let array = Float32Array::from_iter_values(self.rows.iter().map(|_| value));
        self.plain(name, Arc::new(array))
    }

    /// Lists of small numbers.
    pub(super) fn smalls(self, name: &str, of: impl Fn(&T) -> Option<Vec<i16>>) -> Self {
        let lists = self.rows.iter().map(|row| of(row).map(|list| list.into_iter().map(Some)));
        let array = ListArray::from_iter_primitive::<Int16Type, _, _>(lists);
        self.plain(name, Arc::new(array))
    }

    /// Lists of object ids.
    pub(super) fn oids(self, name: &str, of: impl Fn(&T) -> Option<Vec<i32>>) -> Self {
        let lists = self.rows.iter().map(|row| of(row).map(|list| list.into_iter().map(Some)));
        let array = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
        self.plain(name, Arc::new(array))
    }

    /// The table.
    pub(super) fn table(self) -> Result<Arc<dyn TableProvider>> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(self.fields)), self.arrays, &options)?;
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }
}
