//! Functions whose result is as large as their arguments say are kept within bounds: `repeat('x', 1000000000)` is one short line, is
//! computed as soon as it is planned, and no memory pool sees it. What would be larger is refused before any of it is made. Pure.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::prelude::SessionContext;

/// The most bytes that one call of such a function makes, for all rows of a batch together.
const MAX_BYTES: i128 = 256 << 20;

/// About the bytes of an item of a list.
const ITEM_BYTES: i128 = 8;

/// The functions that make much of little.
const GROWING: [(&str, Grows); 8] = [
    ("repeat", Grows::Repeats),
    ("array_repeat", Grows::Repeats),
    ("lpad", Grows::Pads),
    ("rpad", Grows::Pads),
    ("array_resize", Grows::Resizes),
    ("replace", Grows::Replaces),
    ("range", Grows::Counts),
    ("generate_series", Grows::Counts),
];

/// Puts the bounds into a session, in which nobody plans yet.
pub fn bound_functions(session: &SessionContext) {
    for (name, grows) in GROWING {
        if let Ok(inner) = session.state().udf(name) {
            session.register_udf(ScalarUDF::from(Bounded { inner, grows }));
        }
    }
}

/// How large a result gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Grows {
    /// The first argument, as often as the second says.
    Repeats,
    /// As many bytes as the second argument says.
    Pads,
    /// As many items as the second argument says.
    Resizes,
    /// The third argument for each time that the second stands in the first.
    Replaces,
    /// An item for each step from the first argument to the second, by the third.
    Counts,
}

impl Grows {
    /// The most bytes that come of these arguments.
    fn bytes(self, args: &[ColumnarValue], rows: usize) -> Result<i128> {
        let of = |i: usize, read: fn(&ArrayRef) -> Result<Vec<i128>>| {
            args.get(i).map(|arg| Numbers::of(arg, read)).transpose()
        };
        let sum = |of_row: &dyn Fn(usize) -> i128| (0..rows).map(of_row).fold(0_i128, i128::saturating_add);
        Ok(match (self, args) {
            (Grows::Repeats, [_, _, ..]) => {
                let (sizes, times) = (of(0, sizes)?, of(1, numbers)?);
                sum(&|row| at(&sizes, row, 0) * at(&times, row, 0).max(0))
            }
            (Grows::Pads | Grows::Resizes, [_, _, ..]) => {
                let (many, of_each) = (of(1, numbers)?, if self == Grows::Pads { 1 } else { ITEM_BYTES });
                sum(&|row| at(&many, row, 0).max(0) * of_each)
            }
            (Grows::Replaces, [_, _, _]) => {
                let (whole, part, new) = (of(0, sizes)?, of(1, sizes)?, of(2, sizes)?);
                sum(&|row| at(&whole, row, 0) / at(&part, row, 1).max(1) * at(&new, row, 0))
            }
            (Grows::Counts, [_]) => {
                let stop = of(0, numbers)?;
                sum(&|row| at(&stop, row, 0).max(0) * ITEM_BYTES)
            }
            (Grows::Counts, [_, _, ..]) => {
                let (start, stop, step) = (of(0, numbers)?, of(1, numbers)?, of(2, numbers)?);
                let way = |row| (at(&stop, row, 0) - at(&start, row, 0)).abs();
                sum(&|row| way(row) / at(&step, row, 1).abs().max(1) * ITEM_BYTES)
            }
            _ => 0,
        })
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

/// The bytes of texts, and about those of other values.
fn sizes(array: &ArrayRef) -> Result<Vec<i128>> {
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary => numbers(&length(array)?),
        _ => Ok(vec![(array.get_array_memory_size() / array.len().max(1)) as i128; array.len()]),
    }
}

/// One of the engine's functions, within bounds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    grows: Grows,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(arg_types)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Padding takes memory for a negative length as if it were endless.
        if self.grows == Grows::Pads
            && let Some(ColumnarValue::Array(lengths)) = args.args.get_mut(1)
            && let Some(numbers) = lengths.as_primitive_opt::<Int64Type>()
        {
            *lengths = Arc::new(numbers.unary::<_, Int64Type>(|length| length.max(0)));
        }
        let once = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let bytes = self.grows.bytes(&args.args, if once { 1 } else { args.number_rows })?;
        if bytes > MAX_BYTES {
            let name = self.name();
            return exec_err!(
                "{name} would make {bytes} bytes at once, and at most {MAX_BYTES} are made; ask it for less"
            );
        }
        self.inner.invoke_with_args(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(sql: &str) -> Result<String> {
        let session = SessionContext::new();
        bound_functions(&session);
        let batches = session.sql(sql).await?.collect().await?;
        Ok(arrow::util::pretty::pretty_format_batches(&batches)?.to_string())
    }

    #[tokio::test]
    async fn what_one_line_would_blow_up_is_refused_before_it_is_made() {
        for sql in [
            "SELECT length(repeat('x', 800000000))",
            "SELECT length(lpad('x', 800000000))",
            "SELECT length(rpad(column1, 800000000, 'y')) FROM (VALUES ('a'), ('b'))",
            "SELECT array_length(range(0, 150000000))",
            "SELECT array_length(range(150000000))",
            "SELECT array_length(generate_series(TIMESTAMP '2020-01-01', TIMESTAMP '2020-01-02', INTERVAL '1 microsecond'))",
            "SELECT array_length(array_repeat(repeat('x', 100000), 100000))",
            "SELECT array_length(array_resize(make_array(1), 500000000, 0))",
            "SELECT length(replace(repeat('a', 1000000), 'a', repeat('b', 1000000)))",
            "SELECT length(repeat(column1, 200000000)) FROM (VALUES ('a'), ('b'))",
        ] {
            let refused = answer(sql).await.unwrap_err().strip_backtrace();
            assert!(refused.contains("ask it for less"), "{sql}: {refused}");
        }
    }

    #[tokio::test]
    async fn what_people_write_is_answered_as_without_bounds() {
        for sql in [
            "SELECT repeat('ab', 3), repeat(NULL, 3), repeat('ab', -1), lpad('a', 5, 'xy'), rpad('a', 3), replace('aXbX', 'X', '--')",
            "SELECT range(3), range(1, 9, 2), range(5, 1, -1), generate_series(1, 3), array_repeat('x', 2), list_repeat(1, 2)",
            "SELECT array_resize(make_array(1, 2), 4, 0), generate_series(DATE '2020-01-01', DATE '2020-03-01', INTERVAL '1 month')",
            "SELECT repeat(column1, column2), rpad(column1, column2) FROM (VALUES ('a', 1), (NULL, 2), ('b', NULL))",
        ] {
            let plain = SessionContext::new().sql(sql).await.unwrap().collect().await.unwrap();
            let plain = arrow::util::pretty::pretty_format_batches(&plain).unwrap().to_string();
            assert_eq!(answer(sql).await.unwrap(), plain, "{sql}");
        }
    }
}
