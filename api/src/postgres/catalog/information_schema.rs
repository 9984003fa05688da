//! `information_schema`: the standard's way to ask which tables, columns and keys there are. Pure.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;

use super::columns::Columns;
use super::kinds::{decimal, pg_type, standard_name};
use super::objects::{Relation, SCHEMAS};
use super::{DATABASE, SYSTEM};

/// Tables of the standard that say nothing here, with the columns that clients join them by.
const EMPTY: [(&str, &[&str]); 4] = [
    ("views", &["table_catalog", "table_schema", "table_name", "view_definition", "is_updatable"]),
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
pub(super) fn of(relations: &[Relation]) -> Result<Arc<dyn SchemaProvider>> {
    let schema = MemorySchemaProvider::new();
    for (name, table) in [
        ("schemata", schemata()?),
        ("tables", tables(relations)?),
        ("columns", columns(relations)?),
        ("table_constraints", constraints(relations)?),
        ("key_column_usage", key_columns(relations)?),
        ("constraint_column_usage", key_columns(relations)?),
    ] {
        schema.register_table(name.to_owned(), table)?;
    }
    for (name, columns) in EMPTY {
        schema.register_table(name.to_owned(), Columns::<()>::of(&[]).no_text(columns).table()?)?;
    }
    Ok(Arc::new(schema))
}

fn schemata() -> Result<Arc<dyn TableProvider>> {
    Columns::of(&SCHEMAS)
        .same(&["catalog_name", "schema_owner"], DATABASE)
        .text("schema_name", |(name, _)| (*name).to_owned())
        .table()
}

fn tables(relations: &[Relation]) -> Result<Arc<dyn TableProvider>> {
    Columns::of(relations)
        .same(&["table_catalog"], DATABASE)
        .text("table_schema", |relation| relation.table.schema.to_owned())
        .text("table_name", |relation| relation.table.name.clone())
        .same(&["table_type"], "BASE TABLE")
        .same(&["is_insertable_into", "is_typed"], "NO")
        .table()
}

/// A column: its table, its number from 1 on, and what it is.
type Column<'a> = (&'a Relation, i32, &'a Field);

fn columns(relations: &[Relation]) -> Result<Arc<dyn TableProvider>> {
    let mut all: Vec<Column<'_>> = Vec::new();
    for relation in relations {
        all.extend((1..).zip(relation.table.columns.fields()).map(|(n, field)| (relation, n, field.as_ref())));
    }
    let is_timestamp = |field: &Field| matches!(field.data_type(), DataType::Timestamp(..));
    Columns::of(&all)
        .same(&["table_catalog", "udt_catalog"], DATABASE)
        .text("table_schema", |(relation, ..)| relation.table.schema.to_owned())
        .text("table_name", |(relation, ..)| relation.table.name.clone())
        .text("column_name", |(.., field)| field.name().clone())
        .number("ordinal_position", |(_, n, _)| *n)
        .no_text(&["column_default", "interval_type", "collation_name", "domain_name"])
        .text("is_nullable", |(.., field)| if field.is_nullable() { "YES" } else { "NO" }.to_owned())
        .text("data_type", |(.., field)| standard_name(field.data_type()))
        .some_number("character_maximum_length", |_| None)
        .some_number("character_octet_length", |_| None)
        .some_number("numeric_precision", |(.., field)| decimal(field.data_type()).map(|(precision, _)| precision))
        .some_number("numeric_precision_radix", |(.., field)| decimal(field.data_type()).map(|_| 10))
        .some_number("numeric_scale", |(.., field)| decimal(field.data_type()).map(|(_, scale)| scale))
        .some_number("datetime_precision", |(.., field)| is_timestamp(field).then_some(6))
        .same(&["udt_schema"], SYSTEM)
        .text("udt_name", |(.., field)| pg_type(field.data_type()).name().to_owned())
        .same(&["is_identity", "is_updatable"], "NO")
        .same(&["is_generated"], "NEVER")
        .table()
}

fn constraints(relations: &[Relation]) -> Result<Arc<dyn TableProvider>> {
    let keyed: Vec<(&Relation, &str)> =
        relations.iter().filter_map(|relation| Some((relation, relation.key.as_ref()?.name.as_str()))).collect();
    Columns::of(&keyed)
        .same(&["constraint_catalog", "table_catalog"], DATABASE)
        .text("constraint_schema", |(relation, _)| relation.table.schema.to_owned())
        .text("constraint_name", |(_, name)| (*name).to_owned())
        .text("table_schema", |(relation, _)| relation.table.schema.to_owned())
        .text("table_name", |(relation, _)| relation.table.name.clone())
        .same(&["constraint_type"], "PRIMARY KEY")
        .same(&["is_deferrable", "initially_deferred"], "NO")
        .same(&["enforced"], "YES")
        .table()
}

fn key_columns(relations: &[Relation]) -> Result<Arc<dyn TableProvider>> {
    let mut all: Vec<(&Relation, &str, i32, &str)> = Vec::new();
    for relation in relations {
        let Some(key) = &relation.key else { continue };
        all.extend((1..).zip(relation.key_names()).map(|(place, column)| (relation, key.name.as_str(), place, column)));
    }
    Columns::of(&all)
        .same(&["constraint_catalog", "table_catalog"], DATABASE)
        .text("constraint_schema", |(relation, ..)| relation.table.schema.to_owned())
        .text("constraint_name", |(_, name, ..)| (*name).to_owned())
        .text("table_schema", |(relation, ..)| relation.table.schema.to_owned())
        .text("table_name", |(relation, ..)| relation.table.name.clone())
        .text("column_name", |(.., column)| (*column).to_owned())
        .number("ordinal_position", |(.., place, _)| *place)
        .some_number("position_in_unique_constraint", |_| None)
        .table()
}
