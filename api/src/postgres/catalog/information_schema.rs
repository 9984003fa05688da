//! `information_schema`: the standard's way to ask which tables and columns there are. Pure.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{MemTable, MemorySchemaProvider, SchemaProvider};
use datafusion::common::Result;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;
use rekap_orchestrator::SqlTable;

use super::{DATABASE, INFORMATION, LIVE, SYSTEM};

/// Tables of the standard that say nothing here, with the columns that clients join them by.
const EMPTY: [(&str, &[&str]); 7] = [
    ("views", &["table_catalog", "table_schema", "table_name", "view_definition", "is_updatable"]),
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
        ],
    ),
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
        ],
    ),
    (
        "referential_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
        ],
    ),
    (
        "constraint_column_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    (
        "routines",
        &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "routine_catalog",
            "routine_schema",
            "routine_name",
            "routine_type",
        ],
    ),
    ("sequences", &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"]),
];

/// The schema that tells of these tables.
pub(super) fn of(tables: &[SqlTable]) -> Result<Arc<dyn SchemaProvider>> {
    let schema = MemorySchemaProvider::new();
    for (name, batch) in [("schemata", schemata()?), ("tables", self::tables(tables)?), ("columns", columns(tables)?)] {
        register(&schema, name, batch)?;
    }
    for (name, columns) in EMPTY {
        register(&schema, name, batch(columns.iter().map(|column| (*column, texts(Vec::new()))).collect())?)?;
    }
    Ok(Arc::new(schema))
}

fn register(schema: &MemorySchemaProvider, name: &str, batch: RecordBatch) -> Result<()> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    schema.register_table(name.to_owned(), Arc::new(table)).map(|_| ())
}

fn schemata() -> Result<RecordBatch> {
    let names = [LIVE, "log", "version", SYSTEM, INFORMATION];
    batch(vec![
        ("catalog_name", same(DATABASE, names.len())),
        ("schema_name", texts(names.map(|name| Some(name.to_owned())).to_vec())),
        ("schema_owner", same(DATABASE, names.len())),
    ])
}

fn tables(tables: &[SqlTable]) -> Result<RecordBatch> {
    let n = tables.len();
    batch(vec![
        ("table_catalog", same(DATABASE, n)),
        ("table_schema", texts(tables.iter().map(|table| Some(table.schema.to_owned())).collect())),
        ("table_name", texts(tables.iter().map(|table| Some(table.name.clone())).collect())),
        ("table_type", same("BASE TABLE", n)),
        ("is_insertable_into", same("NO", n)),
        ("is_typed", same("NO", n)),
    ])
}

/// A column: its table, its number from 1 on, and what it is.
type Column<'a> = (&'a SqlTable, i32, &'a Field);

fn columns(tables: &[SqlTable]) -> Result<RecordBatch> {
    let all: Vec<Column<'_>> = tables
        .iter()
        .flat_map(|table| (1..).zip(table.columns.fields()).map(move |(n, field)| (table, n, field.as_ref())))
        .collect();
    let n = all.len();
    let text = |of: &dyn Fn(&Column<'_>) -> Option<String>| texts(all.iter().map(of).collect());
    let number = |of: &dyn Fn(&Field) -> Option<i32>| -> ArrayRef {
        Arc::new(Int32Array::from_iter(all.iter().map(|(.., field)| of(field))))
    };
    let is_decimal = |field: &Field| match field.data_type() {
        DataType::Decimal128(precision, scale) => Some((i32::from(*precision), i32::from(*scale))),
        _ => None,
    };
    batch(vec![
        ("table_catalog", same(DATABASE, n)),
        ("table_schema", text(&|(table, ..)| Some(table.schema.to_owned()))),
        ("table_name", text(&|(table, ..)| Some(table.name.clone()))),
        ("column_name", text(&|(.., field)| Some(field.name().clone()))),
        ("ordinal_position", Arc::new(Int32Array::from_iter_values(all.iter().map(|(_, n, _)| *n)))),
        ("column_default", text(&|_| None)),
        ("is_nullable", text(&|(.., field)| Some(if field.is_nullable() { "YES" } else { "NO" }.to_owned()))),
        ("data_type", text(&|(.., field)| Some(type_name(field.data_type())))),
        ("character_maximum_length", number(&|_| None)),
        ("character_octet_length", number(&|_| None)),
        ("numeric_precision", number(&|field| is_decimal(field).map(|(precision, _)| precision))),
        ("numeric_precision_radix", number(&|field| is_decimal(field).map(|_| 10))),
        ("numeric_scale", number(&|field| is_decimal(field).map(|(_, scale)| scale))),
        ("datetime_precision", number(&|field| matches!(field.data_type(), DataType::Timestamp(..)).then_some(6))),
        ("interval_type", text(&|_| None)),
        ("collation_name", text(&|_| None)),
        ("domain_name", text(&|_| None)),
        ("udt_catalog", same(DATABASE, n)),
        ("udt_schema", same(SYSTEM, n)),
        ("udt_name", text(&|(.., field)| Some(pg_type(field.data_type()).name().to_owned()))),
        ("is_identity", same("NO", n)),
        ("is_generated", same("NEVER", n)),
        ("is_updatable", same("NO", n)),
    ])
}

fn pg_type(kind: &DataType) -> Type {
    into_pg_type(kind).unwrap_or(Type::TEXT)
}

/// The standard's name of a type.
fn type_name(kind: &DataType) -> String {
    match pg_type(kind) {
        Type::BOOL => "boolean".to_owned(),
        Type::INT2 => "smallint".to_owned(),
        Type::INT4 => "integer".to_owned(),
        Type::INT8 => "bigint".to_owned(),
        Type::FLOAT4 => "real".to_owned(),
        Type::FLOAT8 => "double precision".to_owned(),
        Type::TIMESTAMP => "timestamp without time zone".to_owned(),
        Type::TIMESTAMPTZ => "timestamp with time zone".to_owned(),
        Type::TIME => "time without time zone".to_owned(),
        other if other.oid() == Type::RECORD.oid() => "record".to_owned(),
        other if other.name().starts_with('_') => "ARRAY".to_owned(),
        other => other.name().to_owned(),
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    Ok(RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect())?)
}

fn texts(values: Vec<Option<String>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn same(value: &str, n: usize) -> ArrayRef {
    Arc::new(StringArray::from(vec![value; n]))
}
