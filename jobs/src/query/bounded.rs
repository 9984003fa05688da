//! Functions whose result is as large as their arguments say are kept within bounds: `repeat('x', 1000000000)` is one short line, is
//! computed as soon as it is planned, and no memory pool sees it. What would be larger is refused before any of it is made. Pure, but for
//! the count of what was made of constants.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::prelude::SessionContext;

use super::growth::{GROWING, Grows};

/// The most bytes that one call of such a function makes, for all rows of a batch together; also what all calls of constants of one
/// session make, since each is kept in the plan.
const MAX_BYTES: i128 = 256 << 20;

/// What one call of constants makes without being counted: as many calls as the longest SQL has room for (some 4,000) make no more of
/// these than `MAX_BYTES`.
const SMALL_BYTES: i128 = 64 << 10;

/// Puts the bounds into a session, in which nobody plans yet and in which one query will be planned.
pub fn bound_functions(session: &SessionContext) {
    let constants = Constants::default();
    for (name, grows) in GROWING {
        if let Ok(inner) = session.state().udf(name) {
            session.register_udf(ScalarUDF::from(Bounded { inner, grows, constants: constants.clone() }));
        }
    }
}

/// How many bytes were made of constants in one session.
#[derive(Debug, Clone, Default)]
struct Constants(Arc<AtomicI64>);

impl Constants {
    /// Counts `bytes` more, if they may be made.
    fn admit(&self, bytes: i128) -> bool {
        let more = |made: i64| {
            let sum = i128::from(made).saturating_add(bytes);
            i64::try_from(sum).ok().filter(|_| sum <= MAX_BYTES)
        };
        bytes <= SMALL_BYTES || self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// The functions of one session differ from those of another in nothing that matters to a plan.
impl PartialEq for Constants {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Constants {}

impl Hash for Constants {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// One of the engine's functions, within bounds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    grows: Grows,
    constants: Constants,
}

impl Bounded {
    fn refuse<T>(&self, bytes: i128) -> Result<T> {
        let name = self.name();
        exec_err!("{name} would make {bytes} bytes at once, and at most {MAX_BYTES} are made; ask it for less")
    }

    /// Answers as many rows at a time as may be made at once: how large they get is known only at most.
    fn invoke_in_parts(&self, args: &ScalarFunctionArgs, bytes: &[i128]) -> Result<ColumnarValue> {
        let (mut parts, mut made, mut from) = (Vec::<ArrayRef>::new(), 0, 0);
        while from < bytes.len() {
            let mut sum = bytes[from];
            let more = bytes[from + 1..].iter().take_while(|more| {
                sum += **more;
                sum <= MAX_BYTES
            });
            let rows = 1 + more.count();
            let part = self.inner.invoke_with_args(part(args, from, rows))?.into_array(rows)?;
            made += part.get_array_memory_size() as i128;
            if made > MAX_BYTES {
                return self.refuse(made);
            }
            parts.push(part);
            from += rows;
        }
        let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }
}

/// The arguments for some of the rows.
fn part(args: &ScalarFunctionArgs, from: usize, rows: usize) -> ScalarFunctionArgs {
    let slice = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
        scalar => scalar.clone(),
    };
    ScalarFunctionArgs { args: args.args.iter().map(slice).collect(), number_rows: rows, ..args.clone() }
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
        let sum = bytes.iter().copied().fold(0, i128::saturating_add);
        match bytes.iter().max() {
            Some(largest) if *largest > MAX_BYTES => self.refuse(*largest),
            _ if once && !self.constants.admit(sum) => exec_err!(
                "{} would make {sum} bytes of constants, and all such calls of a query make {MAX_BYTES} at most; ask it for less",
                self.name()
            ),
            _ if sum > MAX_BYTES && self.grows.is_guess() => self.invoke_in_parts(&args, &bytes),
            _ if sum > MAX_BYTES => self.refuse(sum),
            _ => self.inner.invoke_with_args(args),
        }
    }
}

#[cfg(test)]
mod tests;
