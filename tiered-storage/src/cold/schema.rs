//! The columns of the cold tables: the envelope, what the decoder made of a record (`_decoded`), and its typed fields (`data`).
//!
//! `data` only ever grows, by nullable fields, so every older file stays readable. A field that a Delta table cannot hold beside the
//! ones it has (another type under the same name, a name that Parquet forbids, a struct without fields) is left out: its events still
//! have it in `_value`, and a reader that wants it decodes it from there.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake_core::kernel::{StructField, StructType};

use crate::{LogError, headers_type, timestamp_type};

/// The table's partition column; the files' folders say it, the files do not hold it.
pub(crate) const PARTITION: &str = "_partition";
/// A record's offset.
pub(crate) const OFFSET: &str = "_offset";
/// A record's timestamp.
pub(crate) const TIMESTAMP: &str = "_timestamp";
/// A record's key.
pub(crate) const KEY: &str = "_key";
/// A record's value, byte for byte.
pub(crate) const VALUE: &str = "_value";
/// A record's headers.
pub(crate) const HEADERS: &str = "_headers";
/// What the decoder made of a record: 0 no schema, 1 decoded, 2 tombstone, 3 undecodable.
pub(crate) const DECODED: &str = "_decoded";
/// The record's typed fields; null unless `_decoded` is 1.
pub(crate) const DATA: &str = "data";

/// What Parquet and Delta forbid in a column's name.
const FORBIDDEN_IN_NAMES: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// The typed fields that go into a table's files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredFields {
    /// Which of the decoder's columns the files hold.
    pub(crate) columns: Vec<usize>,
    /// The fields of `data` in the table, once the ones above are in it.
    pub(crate) data: Fields,
}

impl StoredFields {
    /// The decoder's `fields` that a table whose `data` has the fields `held` can take.
    pub(crate) fn choose(fields: &Fields, held: &Fields) -> StoredFields {
        let mut data: Vec<Arc<Field>> = held.iter().cloned().collect();
        let mut names: HashSet<String> = HashSet::new();
        let mut columns = Vec::new();
        for (column, field) in fields.iter().enumerate() {
            if !names.insert(field.name().to_lowercase()) || !is_storable(field) {
                continue;
            }
            let place = data.iter().position(|other| other.name().eq_ignore_ascii_case(field.name()));
            match place {
                None => data.push(field.clone()),
                Some(i) => match merge_fields(&data[i], field) {
                    Some(merged) => data[i] = merged,
                    None => continue,
                },
            }
            columns.push(column);
        }
        StoredFields { columns, data: data.into() }
    }

    /// The columns of a file that holds these of a decoder's `fields`.
    pub(crate) fn file_schema(&self, fields: &Fields) -> SchemaRef {
        let typed: Fields = self.columns.iter().map(|column| fields[*column].clone()).collect();
        let data = (!typed.is_empty()).then(|| Field::new(DATA, DataType::Struct(typed), true));
        Arc::new(Schema::new(envelope_fields().into_iter().chain(data).collect::<Vec<_>>()))
    }
}

/// The columns of a cold table whose typed fields are `data`.
pub(crate) fn table_schema(data: &Fields) -> Result<StructType, LogError> {
    let partition = Field::new(PARTITION, DataType::Int32, true);
    let data = (!data.is_empty()).then(|| Field::new(DATA, DataType::Struct(data.clone()), true));
    let fields = std::iter::once(partition).chain(envelope_fields()).chain(data);
    let kernel = fields.map(|field| (&field).try_into_kernel()).collect::<Result<Vec<StructField>, _>>();
    let fields = kernel.map_err(|e| LogError::store("describing a cold table's columns", e))?;
    StructType::try_new(fields).map_err(|e| LogError::store("describing a cold table's columns", e))
}

fn envelope_fields() -> Vec<Field> {
    vec![
        Field::new(OFFSET, DataType::Int64, true),
        Field::new(TIMESTAMP, timestamp_type(), true),
        Field::new(KEY, DataType::Binary, true),
        Field::new(VALUE, DataType::Binary, true),
        Field::new(HEADERS, headers_type(), true),
        Field::new(DECODED, DataType::Int8, true),
    ]
}

fn is_storable(field: &Field) -> bool {
    let legal = !field.name().is_empty() && !field.name().contains(FORBIDDEN_IN_NAMES);
    legal && is_storable_type(field.data_type())
}

fn is_storable_type(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => {
            let names: HashSet<String> = fields.iter().map(|field| field.name().to_lowercase()).collect();
            !fields.is_empty() && names.len() == fields.len() && fields.iter().all(|field| is_storable(field))
        }
        DataType::List(item) => is_storable_type(item.data_type()),
        _ => true,
    }
}

/// One field that both can be read as: the same, or a struct with the fields of both. `None` when there is none.
fn merge_fields(held: &Field, new: &Field) -> Option<Arc<Field>> {
    (held.name() == new.name()).then_some(())?;
    let data_type = merge_types(held.data_type(), new.data_type())?;
    Some(Arc::new(Field::new(held.name(), data_type, true)))
}

fn merge_types(held: &DataType, new: &DataType) -> Option<DataType> {
    match (held, new) {
        (DataType::Struct(held), DataType::Struct(new)) => {
            let stored = StoredFields::choose(new, held);
            (stored.columns.len() == new.len()).then_some(DataType::Struct(stored.data))
        }
        (DataType::List(held), DataType::List(new)) => {
            let item = merge_types(held.data_type(), new.data_type())?;
            Some(DataType::List(Arc::new(Field::new(held.name(), item, held.is_nullable()))))
        }
        (held, new) => (held == new).then(|| held.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, data_type: DataType) -> Field {
        Field::new(name, data_type, true)
    }

    fn of(fields: Vec<Field>) -> DataType {
        DataType::Struct(fields.into())
    }

    fn choose(fields: Vec<Field>, held: Vec<Field>) -> StoredFields {
        StoredFields::choose(&fields.into(), &held.into())
    }

    #[test]
    fn a_new_field_is_added_after_those_held() {
        let stored = choose(
            vec![field("b", DataType::Utf8), field("a", DataType::Int64)],
            vec![field("a", DataType::Int64), field("old", DataType::Utf8)],
        );
        assert_eq!(stored.columns, [0, 1]);
        let names: Vec<_> = stored.data.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["a", "old", "b"]);
    }

    #[test]
    fn nested_structs_grow_together() {
        let held = vec![field("actor", of(vec![field("id", DataType::Int64)]))];
        let new = vec![field("actor", of(vec![field("login", DataType::Utf8), field("id", DataType::Int64)]))];
        let stored = choose(new, held);
        assert_eq!(stored.columns, [0]);
        assert_eq!(stored.data[0].data_type(), &of(vec![field("id", DataType::Int64), field("login", DataType::Utf8)]));
    }

    #[test]
    fn a_list_is_the_same_whatever_its_item_is_called() {
        let list = |item: &str| DataType::List(Arc::new(field(item, DataType::Utf8)));
        assert_eq!(choose(vec![field("tags", list("item"))], vec![field("tags", list("element"))]).columns, [0]);
    }

    #[test]
    fn what_the_table_cannot_hold_is_left_out() {
        let conflict = choose(vec![field("a", DataType::Utf8)], vec![field("a", DataType::Int64)]);
        assert!(conflict.columns.is_empty());
        assert_eq!(conflict.data, Fields::from(vec![field("a", DataType::Int64)]));
        let odd = vec![
            field("two words", DataType::Utf8),
            field("empty", of(vec![])),
            field("id", DataType::Int64),
            field("ID", DataType::Int64),
            field("nested", of(vec![field("a=b", DataType::Utf8)])),
        ];
        assert_eq!(choose(odd, vec![]).columns, [2]);
    }
}
