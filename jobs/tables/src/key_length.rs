//! How long a key is as it is stored: told before a commit, so that one record with an endless key is a dead letter and not the end.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

pub use crate::layout::MAX_ROW_KEY_BYTES;

/// More than a value of a fixed width, or the marks around a text, take.
const SMALL: usize = 64;

/// The bytes of the first key that is too long to be stored; `None` when all of them fit.
pub fn too_long_key(columns: &[ArrayRef]) -> Result<Option<usize>, ArrowError> {
    if columns.iter().map(most).sum::<usize>() <= MAX_ROW_KEY_BYTES {
        return Ok(None);
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(columns)?;
    Ok(rows.iter().map(|row| row.data().len()).find(|bytes| *bytes > MAX_ROW_KEY_BYTES))
}

/// At least as many bytes as any value of the column takes in a key, found without encoding it.
fn most(column: &ArrayRef) -> usize {
    let longest = match column.data_type() {
        DataType::Utf8 => longest(column.as_string::<i32>().offsets()),
        DataType::Binary => longest(column.as_binary::<i32>().offsets()),
        DataType::Null => 0,
        fixed if fixed.primitive_width().is_some() || *fixed == DataType::Boolean => 0,
        _ => column.get_array_memory_size(),
    };
    // A text is stored in blocks of 32 bytes with a mark after each.
    longest + longest / 16 + SMALL
}

fn longest(offsets: &[i32]) -> usize {
    offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_key_is_too_long_exactly_where_it_cannot_be_stored() {
        let of = |bytes: usize| -> [ArrayRef; 2] {
            [Arc::new(StringArray::from(vec!["short", &"x".repeat(bytes)])), Arc::new(Int64Array::from(vec![1, 2]))]
        };
        assert_eq!(too_long_key(&of(100)).unwrap(), None);
        let bytes = |n| too_long_key(&of(n)).unwrap();
        let first = (50_000..66_000).find(|n| bytes(*n).is_some()).unwrap();
        assert!(bytes(first).is_some_and(|bytes| bytes <= MAX_ROW_KEY_BYTES + 64), "{first}");
        assert!(first > 63_000, "{first}");
    }
}
