//! Rows as JSON, by the rules that all results follow.
//!
//! `bigint` and `double` are JSON numbers (doubles round-trip bit for bit; NaN and the infinities, for which JSON has no number, are
//! the strings `NaN`, `Infinity`, `-Infinity`), decimals are strings, timestamps RFC 3339, binary is base64, NULL is null.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArrayType, OffsetSizeTrait, RecordBatch, StringArrayType};
use arrow::datatypes::{
    ArrowPrimitiveType, ArrowTimestampType, DataType, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::temporal_conversions::as_datetime;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use serde::Serialize;

/// Appends the JSON of the row at an index.
pub(crate) type Cell<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// Writes the rows of a batch as JSON objects.
pub struct JsonRows<'a> {
    columns: Vec<(String, Cell<'a>)>,
    rows: usize,
}

impl<'a> JsonRows<'a> {
    /// A writer of the rows of `batch`. An error tells of a column type that has no JSON.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        Ok(JsonRows { columns: named_cells(batch.schema_ref().fields(), batch.columns())?, rows: batch.num_rows() })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends the row at `index` as one JSON object.
    pub fn write(&self, index: usize, out: &mut Vec<u8>) {
        write_object(&self.columns, index, out);
    }

    /// Appends all rows, separated by commas: what stands between the brackets of a JSON array.
    pub fn write_all(&self, out: &mut Vec<u8>) {
        for index in 0..self.rows {
            if index > 0 {
                out.push(b',');
            }
            self.write(index, out);
        }
    }
}

/// The rows of `batch` as JSON values, for the few places that need them one by one.
pub fn values(batch: &RecordBatch) -> Result<Vec<serde_json::Value>, ArrowError> {
    let rows = JsonRows::new(batch)?;
    let value = |index| {
        let mut json = Vec::new();
        rows.write(index, &mut json);
        serde_json::from_slice(&json).expect("what was written is JSON")
    };
    Ok((0..rows.len()).map(value).collect())
}

fn named_cells<'a>(fields: &Fields, columns: &'a [ArrayRef]) -> Result<Vec<(String, Cell<'a>)>, ArrowError> {
    fields.iter().zip(columns).map(|(field, column)| Ok((quoted(field.name()), cell(column)?))).collect()
}

fn write_object(columns: &[(String, Cell<'_>)], index: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, cell)) in columns.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        cell(index, out);
    }
    out.push(b'}');
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

fn append(value: impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).expect("writing plain values to memory does not fail");
}

fn append_double(value: f64, out: &mut Vec<u8>) {
    match value {
        value if value.is_finite() => append(value, out),
        value if value.is_nan() => append("NaN", out),
        value if value > 0.0 => append("Infinity", out),
        _ => append("-Infinity", out),
    }
}

/// Writes one value of a column, NULL included.
pub(crate) fn cell(array: &dyn Array) -> Result<Cell<'_>, ArrowError> {
    let write = not_null(array)?;
    let nulls = array.logical_nulls();
    Ok(Box::new(move |index, out| match &nulls {
        Some(nulls) if nulls.is_null(index) => out.extend_from_slice(b"null"),
        _ => write(index, out),
    }))
}

/// Writes values that are not NULL.
fn not_null(array: &dyn Array) -> Result<Cell<'_>, ArrowError> {
    Ok(match array.data_type() {
        DataType::Null => Box::new(|_, out| out.extend_from_slice(b"null")),
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(|index, out| append(array.value(index), out))
        }
        DataType::Int8 => number::<Int8Type>(array),
        DataType::Int16 => number::<Int16Type>(array),
        DataType::Int32 => number::<Int32Type>(array),
        DataType::Int64 => number::<Int64Type>(array),
        DataType::UInt8 => number::<UInt8Type>(array),
        DataType::UInt16 => number::<UInt16Type>(array),
        DataType::UInt32 => number::<UInt32Type>(array),
        DataType::UInt64 => number::<UInt64Type>(array),
        DataType::Float64 => {
            let array = array.as_primitive::<Float64Type>();
            Box::new(|index, out| append_double(array.value(index), out))
        }
        DataType::Float32 => {
            let array = array.as_primitive::<Float32Type>();
            Box::new(|index, out| match array.value(index) {
                value if value.is_finite() => append(value, out),
                value => append_double(value.into(), out),
            })
        }
        DataType::Utf8 => text(array.as_string::<i32>()),
        DataType::LargeUtf8 => text(array.as_string::<i64>()),
        DataType::Utf8View => text(array.as_string_view()),
        DataType::Binary => bytes(array.as_binary::<i32>()),
        DataType::LargeBinary => bytes(array.as_binary::<i64>()),
        DataType::BinaryView => bytes(array.as_binary_view()),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary()),
        DataType::Timestamp(TimeUnit::Second, _) => timestamp::<TimestampSecondType>(array),
        DataType::Timestamp(TimeUnit::Millisecond, _) => timestamp::<TimestampMillisecondType>(array),
        DataType::Timestamp(TimeUnit::Microsecond, _) => timestamp::<TimestampMicrosecondType>(array),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => timestamp::<TimestampNanosecondType>(array),
        DataType::Struct(_) => object(array)?,
        DataType::List(_) => list::<i32>(array)?,
        DataType::LargeList(_) => list::<i64>(array)?,
        DataType::Dictionary(..) => {
            let array = array.as_any_dictionary();
            let (keys, value) = (array.normalized_keys(), cell(array.values().as_ref())?);
            Box::new(move |index, out| value(keys[index], out))
        }
        _ => displayed(array)?,
    })
}

fn number<T: ArrowPrimitiveType<Native: Serialize>>(array: &dyn Array) -> Cell<'_> {
    let array = array.as_primitive::<T>();
    Box::new(|index, out| append(array.value(index), out))
}

fn text<'a>(array: impl StringArrayType<'a> + 'a) -> Cell<'a> {
    Box::new(move |index, out| append(array.value(index), out))
}

fn bytes<'a>(array: impl BinaryArrayType<'a> + 'a) -> Cell<'a> {
    Box::new(move |index, out| append(STANDARD.encode(array.value(index)), out))
}

/// RFC 3339 in UTC with as many digits as needed; beyond the years that a calendar knows, the number.
fn timestamp<T: ArrowTimestampType>(array: &dyn Array) -> Cell<'_> {
    let array = array.as_primitive::<T>();
    Box::new(|index, out| match as_datetime::<T>(array.value(index)) {
        Some(time) => append(time.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true), out),
        None => append(array.value(index), out),
    })
}

fn object(array: &dyn Array) -> Result<Cell<'_>, ArrowError> {
    let array = array.as_struct();
    let cells = named_cells(array.fields(), array.columns())?;
    Ok(Box::new(move |index, out| write_object(&cells, index, out)))
}

fn list<O: OffsetSizeTrait>(array: &dyn Array) -> Result<Cell<'_>, ArrowError> {
    let array = array.as_list::<O>();
    let item = cell(array.values().as_ref())?;
    Ok(Box::new(move |index, out| {
        let (start, end) = (array.value_offsets()[index].as_usize(), array.value_offsets()[index + 1].as_usize());
        out.push(b'[');
        for at in start..end {
            if at > start {
                out.push(b',');
            }
            item(at, out);
        }
        out.push(b']');
    }))
}

/// All other types, decimals, dates and intervals among them, as the text that Arrow shows.
fn displayed(array: &dyn Array) -> Result<Cell<'_>, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options.with_display_error(true))?;
    Ok(Box::new(move |index, out| append(formatter.value(index).to_string(), out)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray, StringArray, StructArray,
        TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::Field;
    use serde_json::{Value, json};

    use super::*;

    fn shown(array: impl Array + 'static) -> Vec<Value> {
        let batch = RecordBatch::try_from_iter_with_nullable([("x", Arc::new(array) as ArrayRef, true)]).unwrap();
        values(&batch).unwrap().into_iter().map(|row| row["x"].clone()).collect()
    }

    #[test]
    fn numbers_are_numbers_and_doubles_come_back_bit_for_bit() {
        assert_eq!(
            shown(Int64Array::from(vec![Some(i64::MAX), Some(i64::MIN), None])),
            [json!(i64::MAX), json!(i64::MIN), Value::Null]
        );
        for double in [0.1 + 0.2, -0.0, f64::MIN_POSITIVE, 1e300, 123_456_789.123_456_79, 5e-324] {
            assert_eq!(shown(Float64Array::from(vec![double]))[0].as_f64().unwrap().to_bits(), double.to_bits());
        }
        assert_eq!(shown(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY])), [json!("NaN"), json!("-Infinity")]);
        assert_eq!(shown(BooleanArray::from(vec![Some(true), None])), [json!(true), Value::Null]);
    }

    #[test]
    fn decimals_are_strings_with_all_their_digits() {
        let decimals =
            Decimal128Array::from(vec![Some(12_345), Some(-5), None]).with_precision_and_scale(38, 3).unwrap();
        assert_eq!(shown(decimals), [json!("12.345"), json!("-0.005"), Value::Null]);
    }

    #[test]
    fn timestamps_of_every_unit_are_rfc_3339() {
        assert_eq!(
            shown(TimestampMicrosecondArray::from(vec![1_452_000_000_123_456]).with_timezone("UTC")),
            [json!("2016-01-05T13:20:00.123456Z")]
        );
        assert_eq!(shown(TimestampSecondArray::from(vec![0])), [json!("1970-01-01T00:00:00Z")]);
        assert_eq!(shown(TimestampNanosecondArray::from(vec![1])), [json!("1970-01-01T00:00:00.000000001Z")]);
        assert_eq!(shown(TimestampSecondArray::from(vec![i64::MAX])), [json!(i64::MAX)]);
    }

    #[test]
    fn text_is_escaped_and_binary_is_base64() {
        assert_eq!(shown(StringArray::from(vec!["é\"\n\u{1}"])), [json!("é\"\n\u{1}")]);
        assert_eq!(shown(BinaryArray::from_vec(vec![&[0xff, 0x00]])), [json!("/wA=")]);
    }

    #[test]
    fn structs_and_lists_nest() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let structs = StructArray::from(vec![(Arc::new(Field::new("n", DataType::Utf8, true)), names)]);
        assert_eq!(shown(structs), [json!({"n": "a"}), json!({"n": null})]);
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        assert_eq!(shown(lists), [json!([1, null]), Value::Null, json!([])]);
    }
}
