//! Functions of lists and objects that questions of the system catalog call, beside or in place of the engine's. Pure.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StringArray, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, TypeSignature, Volatility, create_udf};
use datafusion::prelude::SessionContext;

use super::functions::function;

/// Gives a query these functions.
pub(super) fn register(context: &SessionContext) {
    context.register_udf(expand_array());
    context.register_udf(joined());
    context.register_udf(json_object());
}

/// `pg_expandarray(list)`: each value of a list of small numbers with its place, as `x` and `n`.
fn expand_array() -> ScalarUDF {
    let fields = Fields::from(vec![Field::new("x", DataType::Int16, true), Field::new("n", DataType::Int32, true)]);
    let item = Arc::new(Field::new_list_field(DataType::Struct(fields.clone()), true));
    let (list, kind) = (Arc::new(Field::new_list_field(DataType::Int16, true)), DataType::List(item.clone()));
    let expand = move |args: &[ColumnarValue]| {
        let lists = ColumnarValue::values_to_arrays(args)?;
        let lists = lists[0].as_list::<i32>();
        let lengths: Vec<usize> = lists.iter().map(|list| list.map_or(0, |list| list.len())).collect();
        let values: Vec<ArrayRef> = lists.iter().flatten().collect();
        let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
        let values = match values.as_slice() {
            [] => arrow::array::new_empty_array(&DataType::Int16),
            values => arrow::compute::concat(values)?,
        };
        let places = Int32Array::from_iter_values(lengths.iter().flat_map(|n| (1..).take(*n)));
        let pairs = StructArray::try_new(fields.clone(), vec![values, Arc::new(places)], None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        let lists = ListArray::try_new(item.clone(), offsets, Arc::new(pairs), lists.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(lists) as ArrayRef))
    };
    create_udf("pg_expandarray", vec![DataType::List(list)], kind, Volatility::Immutable, Arc::new(expand))
}

/// `array_to_string` that takes as a list what the system catalog has as a text: such lists are all NULL.
fn joined() -> ScalarUDF {
    let join = |args: &[ColumnarValue]| {
        let args = ColumnarValue::values_to_arrays(args)?;
        let separators = args.get(1).and_then(|separators| separators.as_string_opt::<i32>());
        let Some(lists) = args[0].as_list_opt::<i32>() else {
            return Ok(ColumnarValue::Array(Arc::new(StringArray::new_null(args[0].len()))));
        };
        let mut texts = StringBuilder::new();
        for (row, list) in lists.iter().enumerate() {
            let separator = separators.map_or("", |separators| separators.value(row));
            texts.append_option(list.map(|list| join(&list, separator)).transpose()?);
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    };
    // The engine's has these names too, and comes back under its first one wherever another one of it is left.
    function("array_to_string", TypeSignature::VariadicAny, DataType::Utf8, Volatility::Immutable, join).with_aliases([
        "list_to_string",
        "array_join",
        "list_join",
    ])
}

fn join(list: &ArrayRef, separator: &str) -> Result<String> {
    let texts = arrow::compute::cast(list, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(separator))
}

/// `json_build_object(name, value, …)`, as a text.
fn json_object() -> ScalarUDF {
    let build = |args: &[ColumnarValue]| {
        let args = ColumnarValue::values_to_arrays(args)?;
        let mut texts = StringBuilder::new();
        for row in 0..args.first().map_or(0, |first| first.len()) {
            let mut object = serde_json::Map::new();
            for pair in args.chunks_exact(2) {
                let name = ScalarValue::try_from_array(&pair[0], row)?.to_string();
                object.insert(name, json(&ScalarValue::try_from_array(&pair[1], row)?));
            }
            texts.append_value(serde_json::Value::Object(object).to_string());
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    };
    function("json_build_object", TypeSignature::VariadicAny, DataType::Utf8, Volatility::Stable, build)
}

fn json(value: &ScalarValue) -> serde_json::Value {
    match value {
        value if value.is_null() => serde_json::Value::Null,
        ScalarValue::Boolean(Some(is)) => (*is).into(),
        ScalarValue::Int16(Some(number)) => (*number).into(),
        ScalarValue::Int32(Some(number)) => (*number).into(),
        ScalarValue::Int64(Some(number)) => (*number).into(),
        other => other.to_string().into(),
    }
}
