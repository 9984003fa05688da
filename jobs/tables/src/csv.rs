//! Rows as CSV (RFC 4180), by the rules that all results follow.
//!
//! A value is written as in JSON, without the quotes of JSON's strings; structs and lists are JSON text. NULL is an empty field, and
//! empty text is `""`. Lines end in LF.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use crate::json::{self, Cell};

/// Writes the rows of a batch as lines of CSV.
pub struct CsvRows<'a> {
    batch: &'a RecordBatch,
    columns: Vec<Column<'a>>,
}

enum Column<'a> {
    /// Text is written as it is.
    Text(Box<dyn Fn(usize) -> Option<&'a str> + 'a>),
    /// A value whose JSON is a number, a word, or a string in which nothing is escaped.
    Plain(&'a dyn Array, Cell<'a>),
    /// A value whose JSON is an object or a list.
    Nested(&'a dyn Array, Cell<'a>),
}

impl<'a> CsvRows<'a> {
    /// A writer of the rows of `batch`. An error tells of a column type that cannot be written.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        Ok(CsvRows {
            batch,
            columns: batch.columns().iter().map(|column| Column::of(column)).collect::<Result<_, _>>()?,
        })
    }

    /// Appends the line of the columns' names.
    pub fn write_head(&self, out: &mut Vec<u8>) {
        for (i, field) in self.batch.schema_ref().fields().iter().enumerate() {
            separate(i, out);
            append(field.name().as_bytes(), out);
        }
        out.push(b'\n');
    }

    /// Appends a line for each row.
    pub fn write_all(&self, out: &mut Vec<u8>) {
        let mut json = Vec::new();
        for row in 0..self.batch.num_rows() {
            for (i, column) in self.columns.iter().enumerate() {
                separate(i, out);
                column.write(row, &mut json, out);
            }
            out.push(b'\n');
        }
    }
}

impl<'a> Column<'a> {
    fn of(array: &'a dyn Array) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => {
                let array = array.as_string::<i32>();
                Column::Text(Box::new(|row| array.is_valid(row).then(|| array.value(row))))
            }
            DataType::LargeUtf8 => {
                let array = array.as_string::<i64>();
                Column::Text(Box::new(|row| array.is_valid(row).then(|| array.value(row))))
            }
            DataType::Utf8View => {
                let array = array.as_string_view();
                Column::Text(Box::new(|row| array.is_valid(row).then(|| array.value(row))))
            }
            DataType::Struct(_)
            | DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::Map(..)
            | DataType::Dictionary(..) => Column::Nested(array, json::cell(array)?),
            _ => Column::Plain(array, json::cell(array)?),
        })
    }

    fn write(&self, row: usize, json: &mut Vec<u8>, out: &mut Vec<u8>) {
        json.clear();
        match self {
            Column::Text(text) => {
                if let Some(text) = text(row) {
                    append(text.as_bytes(), out);
                }
            }
            Column::Plain(array, _) | Column::Nested(array, _) if array.is_null(row) => {}
            Column::Plain(_, cell) => {
                cell(row, json);
                if json != b"null" {
                    append(json.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(json), out);
                }
            }
            Column::Nested(_, cell) => {
                cell(row, json);
                match serde_json::from_slice::<String>(json) {
                    Ok(text) => append(text.as_bytes(), out),
                    Err(_) if json == b"null" => {}
                    Err(_) => append(json, out),
                }
            }
        }
    }
}

fn separate(column: usize, out: &mut Vec<u8>) {
    if column > 0 {
        out.push(b',');
    }
}

/// Appends one field, in quotes where it needs them.
fn append(field: &[u8], out: &mut Vec<u8>) {
    let quoted = field.is_empty() || field.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if !quoted {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for byte in field {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray, NullArray,
        StringArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Int64Type;

    use super::*;

    fn written(columns: Vec<(&str, ArrayRef)>) -> String {
        let columns = columns.into_iter().map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let (rows, mut out) = (CsvRows::new(&batch).unwrap(), Vec::new());
        rows.write_head(&mut out);
        rows.write_all(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_as_in_json_without_its_quotes() {
        let decimals = Decimal128Array::from(vec![Some(12_345)]).with_precision_and_scale(38, 3).unwrap();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from(vec![i64::MIN]))),
            ("d", Arc::new(Float64Array::from(vec![0.1 + 0.2]))),
            ("inf", Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]))),
            ("b", Arc::new(BooleanArray::from(vec![true]))),
            ("m", Arc::new(decimals)),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_452_000_000_123_456]).with_timezone("UTC"))),
            ("x", Arc::new(BinaryArray::from_vec(vec![&[0xff, 0x00]]))),
        ];
        let line = "-9223372036854775808,0.30000000000000004,-Infinity,true,12.345,2016-01-05T13:20:00.123456Z,/wA=";
        assert_eq!(written(columns), format!("n,d,inf,b,m,t,x\n{line}\n"));
    }

    #[test]
    fn null_is_nothing_and_text_is_quoted_where_it_has_to_be() {
        let texts =
            StringArray::from(vec![Some("é"), Some(""), None, Some("a,b"), Some("say \"hi\"\nnow"), Some("null")]);
        let columns: Vec<(&str, ArrayRef)> = vec![("a,b", Arc::new(texts)), ("nothing", Arc::new(NullArray::new(6)))];
        let expected = "\"a,b\",nothing\né,\n\"\",\n,\n\"a,b\",\n\"say \"\"hi\"\"\nnow\",\nnull,\n";
        assert_eq!(written(columns), expected);
    }

    #[test]
    fn lists_are_json_text() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        assert_eq!(written(vec![("l", Arc::new(lists))]), "l\n\"[1,null]\"\n\n[]\n");
    }
}
