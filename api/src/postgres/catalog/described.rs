//! Functions that tell of a table, an index or a key by its id: which are found without their schema, and how they would be made. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;

use super::functions::function;
use super::objects::Relation;
use super::{LIVE, SYSTEM};

/// What is told of an id, and of a place within it where a client names one.
type Told<T> = BTreeMap<(i32, i32), T>;

/// Gives a query the functions that tell of these tables.
pub(super) fn register(context: &SessionContext, relations: &[Relation]) {
    let (mut visible, mut keys, mut indexes) = (Told::new(), Told::new(), Told::new());
    for relation in relations {
        let is_visible = relation.table.schema == LIVE || relation.table.schema == SYSTEM;
        visible.insert((relation.oid, 0), is_visible);
        let Some(key) = &relation.key else { continue };
        let columns = relation.key_names();
        let list = columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let table = format!("{}.{}", quoted(relation.table.schema), quoted(&relation.table.name));
        let made = format!("CREATE UNIQUE INDEX {} ON {table} USING btree ({list})", quoted(&key.name));
        visible.insert((key.index_oid, 0), is_visible);
        keys.insert((key.constraint_oid, 0), format!("PRIMARY KEY ({list})"));
        indexes.insert((key.index_oid, 0), made);
        let columns = (1..).zip(&columns).map(|(place, name)| ((key.index_oid, place), quoted(name)));
        indexes.extend(columns);
    }
    let (any, stable) = (TypeSignature::VariadicAny, Volatility::Stable);
    context.register_udf(function("pg_table_is_visible", any.clone(), DataType::Boolean, stable, move |args| {
        let told = look_up(args, &visible)?.into_iter().map(|told| Some(told.copied().unwrap_or(false)));
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::from_iter(told))))
    }));
    for (name, texts) in [("pg_get_constraintdef", keys), ("pg_get_indexdef", indexes)] {
        context.register_udf(function(name, any.clone(), DataType::Utf8, stable, move |args| {
            Ok(ColumnarValue::Array(Arc::new(StringArray::from_iter(look_up(args, &texts)?))))
        }));
    }
}

/// A name as it is written in a query.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// What is told of each id, and of the place that is the second argument, where that is a number.
fn look_up<'a, T>(args: &[ColumnarValue], told: &'a Told<T>) -> Result<Vec<Option<&'a T>>> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let oids = cast(&args[0], &DataType::Int64)?;
    let oids = oids.as_primitive::<Int64Type>();
    let places = match args.get(1) {
        Some(places) if places.data_type().is_integer() => Some(cast(places, &DataType::Int64)?),
        _ => None,
    };
    let place = |row: usize| match &places {
        Some(places) if places.is_valid(row) => places.as_primitive::<Int64Type>().value(row),
        _ => 0,
    };
    let of = |row: usize| {
        let id = oids.is_valid(row).then(|| oids.value(row))?;
        told.get(&(i32::try_from(id).ok()?, i32::try_from(place(row)).ok()?))
    };
    Ok((0..oids.len()).map(of).collect())
}
