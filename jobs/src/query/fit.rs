//! Results of aggregates in the columns that the query gives them, and the rows in which they do not fit.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion::error::Result;

/// A column as one of that type, NULL in the rows in which it does not fit, and which rows these are.
pub(super) fn fitted(column: &ArrayRef, ty: &DataType) -> Result<(ArrayRef, Vec<usize>)> {
    let fitted = if column.data_type() == ty { column.clone() } else { cast(column, ty)? };
    let mut too_large = vec![];
    if fitted.null_count() > column.null_count() {
        too_large.extend((0..column.len()).filter(|row| fitted.is_null(*row) && column.is_valid(*row)));
    }
    if let DataType::Decimal128(precision, _) = ty {
        too_large.extend(beyond(fitted.as_primitive::<Decimal128Type>(), *precision));
    }
    Ok((fitted, too_large))
}

/// The rows whose decimal has more digits than its type: the engine adds decimals up without looking.
fn beyond(decimals: &arrow::array::Decimal128Array, precision: u8) -> impl Iterator<Item = usize> {
    let bound = 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
    let beyond = move |value: Option<i128>| value.is_some_and(|value| value >= bound || value <= -bound);
    decimals.iter().enumerate().filter(move |(_, value)| beyond(*value)).map(|(row, _)| row)
}
