//! How much of little some functions make: the most bytes that a call makes of each row, told from its arguments alone. Pure.
//!
//! A row's bound depends on that row only, never on the batch that it travels in or on the buffers behind it.

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

/// About the bytes of an item of a list, beside those of what it holds.
const ITEM_BYTES: i128 = 8;

/// The most bytes of a number as text.
const NUMBER_BYTES: i128 = 32;

/// The functions that make much of little.
pub(super) const GROWING: [(&str, Grows); 13] = [
    ("repeat", Grows::Repeats),
    ("array_repeat", Grows::RepeatsItem),
    ("lpad", Grows::Pads),
    ("rpad", Grows::Pads),
    ("array_resize", Grows::Resizes),
    ("replace", Grows::Replaces),
    ("regexp_replace", Grows::ReplacesMatches),
    ("array_replace", Grows::ReplacesItems),
    ("array_replace_n", Grows::ReplacesItems),
    ("array_replace_all", Grows::ReplacesItems),
    ("array_to_string", Grows::Joins),
    ("range", Grows::Counts),
    ("generate_series", Grows::Counts),
];

/// How large a result gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Grows {
    /// The first argument, as often as the second says.
    Repeats,
    /// A list that holds the first argument as often as the second says.
    RepeatsItem,
    /// As many bytes as the second argument says.
    Pads,
    /// As many items as the second argument says, each the third or none.
    Resizes,
    /// The third argument for each time that the second stands in the first.
    Replaces,
    /// The third argument, or what it takes over of a match, for each match of the second in the first.
    ReplacesMatches,
    /// The third argument for each item of the first.
    ReplacesItems,
    /// Every item of the first argument as text, and the second or third for each.
    Joins,
    /// An item for each step from the first argument to the second, by the third.
    Counts,
}

impl Grows {
    /// True where most results are far smaller than the most that may come of the arguments.
    pub(super) fn is_guess(self) -> bool {
        matches!(self, Grows::Replaces | Grows::ReplacesMatches | Grows::ReplacesItems | Grows::Joins)
    }

    /// The most bytes that come of each row of these arguments.
    pub(super) fn bytes(self, args: &[ColumnarValue], rows: usize) -> Result<Vec<i128>> {
        let of = |i: usize, read: fn(&ArrayRef) -> Result<Vec<i128>>| {
            args.get(i).map(|arg| Numbers::of(arg, read)).transpose()
        };
        let each = |of_row: &dyn Fn(usize) -> i128| Ok((0..rows).map(of_row).collect());
        match (self, args) {
            (Grows::Repeats | Grows::RepeatsItem, [_, _, ..]) => {
                let (sizes, times) = (of(0, sizes)?, of(1, numbers)?);
                let beside = if self == Grows::RepeatsItem { ITEM_BYTES } else { 0 };
                each(&|row| (at(&sizes, row, 0) + beside) * at(&times, row, 0).max(0))
            }
            (Grows::Pads, [_, _, ..]) => {
                let many = of(1, numbers)?;
                each(&|row| at(&many, row, 0).max(0))
            }
            (Grows::Resizes, [_, _, ..]) => {
                let (many, of_each) = (of(1, numbers)?, of(2, sizes)?);
                each(&|row| at(&many, row, 0).max(0) * (at(&of_each, row, 0) + ITEM_BYTES))
            }
            (Grows::Replaces, [_, _, _]) => {
                let (whole, part, new) = (of(0, sizes)?, of(1, sizes)?, of(2, sizes)?);
                each(&|row| at(&whole, row, 0) / at(&part, row, 1).max(1) * at(&new, row, 0))
            }
            (Grows::ReplacesMatches, [_, _, _, ..]) => {
                let (whole, new) = (of(0, sizes)?, of(2, sizes)?);
                each(&|row| (at(&whole, row, 0) + 1) * (at(&new, row, 0) + 1))
            }
            (Grows::ReplacesItems, [_, _, _, ..]) => {
                let (whole, many, new) = (of(0, sizes)?, of(0, items)?, of(2, sizes)?);
                each(&|row| at(&whole, row, 0) + at(&many, row, 0) * (at(&new, row, 0) + ITEM_BYTES))
            }
            (Grows::Joins, [_, _, ..]) => {
                let (whole, many) = (of(0, sizes)?, of(0, items)?);
                let (between, none) = (of(1, sizes)?, of(2, sizes)?);
                let of_each = |row| at(&between, row, 0) + at(&none, row, 0) + NUMBER_BYTES;
                each(&|row| at(&whole, row, 0) + at(&many, row, 0) * of_each(row))
            }
            (Grows::Counts, [_]) => {
                let stop = of(0, numbers)?;
                each(&|row| at(&stop, row, 0).max(0) * ITEM_BYTES)
            }
            (Grows::Counts, [_, _, ..]) => {
                let (start, stop, step) = (of(0, numbers)?, of(1, numbers)?, of(2, numbers)?);
                let way = |row| (at(&stop, row, 0) - at(&start, row, 0)).abs();
                each(&|row| way(row) / at(&step, row, 1).abs().max(1) * ITEM_BYTES)
            }
            _ => Ok(vec![0; rows]),
        }
    }
}

/// What an argument says of each row.
struct Numbers {
    values: Vec<i128>,
    /// It says one thing of all rows.
    constant: bool,
}

impl Numbers {
    fn of(arg: &ColumnarValue, read: fn(&ArrayRef) -> Result<Vec<i128>>) -> Result<Self> {
        Ok(match arg {
            ColumnarValue::Array(array) => Numbers { values: read(array)?, constant: false },
            ColumnarValue::Scalar(scalar) => Numbers { values: read(&scalar.to_array_of_size(1)?)?, constant: true },
        })
    }
}

fn at(numbers: &Option<Numbers>, row: usize, missing: i128) -> i128 {
    let value = |numbers: &Numbers| numbers.values.get(if numbers.constant { 0 } else { row }).copied();
    numbers.as_ref().and_then(value).unwrap_or(missing)
}

/// Numbers; times and spans of time in nanoseconds; 0 for NULL.
fn numbers(array: &ArrayRef) -> Result<Vec<i128>> {
    const MONTH_DAYS: i128 = 28;
    const DAY: i128 = 24 * 3600 * 1_000_000_000;
    Ok(match array.data_type() {
        DataType::Interval(_) => {
            let spans = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let nanos = |months: i32, days: i32, nanos: i64| {
                (i128::from(months) * MONTH_DAYS + i128::from(days)) * DAY + i128::from(nanos)
            };
            let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
            spans.iter().map(|span| span.map_or(0, |span| nanos(span.months, span.days, span.nanoseconds))).collect()
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            let micros = cast(&cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?, &DataType::Int64)?;
            micros.as_primitive::<Int64Type>().iter().map(|at| i128::from(at.unwrap_or(0)) * 1000).collect()
        }
        _ => {
            let whole = cast(array, &DataType::Int64)?;
            whole.as_primitive::<Int64Type>().iter().map(|number| number.unwrap_or(0).into()).collect()
        }
    })
}

/// How many values each row holds, those of lists in lists counted one by one.
fn items(array: &ArrayRef) -> Result<Vec<i128>> {
    held(array, &|leaf| Ok(vec![1; leaf.len()]))
}

/// The bytes of each row.
fn sizes(array: &ArrayRef) -> Result<Vec<i128>> {
    held(array, &|leaf| match leaf.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => numbers(&length(leaf)?),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => numbers(&length(leaf)?),
        DataType::FixedSizeBinary(bytes) => Ok(vec![i128::from(*bytes); leaf.len()]),
        other => Ok(vec![other.primitive_width().unwrap_or(1) as i128; leaf.len()]),
    })
}

/// What `of_leaf` says of each row, summed over all that its lists and structs hold.
fn held(array: &ArrayRef, of_leaf: &dyn Fn(&ArrayRef) -> Result<Vec<i128>>) -> Result<Vec<i128>> {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            held_by_lists(list.values(), list.value_offsets().iter().map(|at| *at as usize), of_leaf)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            held_by_lists(list.values(), list.value_offsets().iter().map(|at| *at as usize), of_leaf)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            held_by_lists(&entries, map.value_offsets().iter().map(|at| *at as usize), of_leaf)
        }
        DataType::FixedSizeList(field, _) => held(&cast(array, &DataType::List(field.clone()))?, of_leaf),
        DataType::Struct(_) => {
            let mut sums = vec![0; array.len()];
            for column in array.as_struct().columns() {
                sums.iter_mut().zip(held(column, of_leaf)?).for_each(|(sum, held)| *sum += held);
            }
            Ok(sums)
        }
        DataType::Dictionary(_, value) => held(&cast(array, value)?, of_leaf),
        _ => of_leaf(array),
    }
}

/// The same of lists whose items lie one after the other, each up to the next of these offsets; only those that a slice holds are looked at.
fn held_by_lists(
    items: &ArrayRef,
    offsets: impl Iterator<Item = usize>,
    of_leaf: &dyn Fn(&ArrayRef) -> Result<Vec<i128>>,
) -> Result<Vec<i128>> {
    let offsets: Vec<usize> = offsets.collect();
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(vec![]) };
    let of_items = held(&items.slice(*first, last - first), of_leaf)?;
    Ok(offsets.windows(2).map(|ends| of_items[ends[0] - first..ends[1] - first].iter().sum()).collect())
}
