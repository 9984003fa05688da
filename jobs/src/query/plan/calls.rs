//! The aggregate calls of a query, as what the engine runs over numbered columns.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::{Case, Expr};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::{AggregateMode, aggregate_expressions};

use crate::query::aggregates::mergeable;
use crate::query::grouped::Aggregate;
use crate::query::records::PLACE_COLUMNS;

/// The distinct expressions that an aggregate takes from its input, numbered.
#[derive(Default)]
pub(super) struct Taken(pub(super) Vec<Expr>);

impl Taken {
    pub(super) fn number(&mut self, expr: &Expr) -> usize {
        let expr = expr.clone().unalias();
        let known = self.0.iter().position(|other| *other == expr);
        known.unwrap_or_else(|| {
            self.0.push(expr);
            self.0.len() - 1
        })
    }
}

/// The plain call behind an alias.
pub(super) fn function(expr: &Expr) -> AggregateFunction {
    match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(call) => call,
        other => unreachable!("the shape holds aggregate functions only, not {other}"),
    }
}

/// Where the arguments, the order and the filter of a call stand among the taken columns. Literals stay literals: a percentile
/// is read from the expression.
pub(super) struct Arguments {
    arguments: Vec<Result<usize, Expr>>,
    order: Vec<(usize, SortOptions)>,
    filter: Option<usize>,
}

pub(super) fn arguments(call: &AggregateFunction, taken: &mut Taken) -> Arguments {
    let filter = call.params.filter.as_deref();
    let argument = |expr: &Expr, taken: &mut Taken| match expr.clone().unalias() {
        literal @ Expr::Literal(..) => Err(literal),
        other => Ok(taken.number(&guarded(other, filter))),
    };
    Arguments {
        arguments: call.params.args.iter().map(|expr| argument(expr, taken)).collect(),
        order: (call.params.order_by.iter())
            .map(|sort| {
                let options = SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
                (taken.number(&guarded(sort.expr.clone().unalias(), filter)), options)
            })
            .collect(),
        filter: filter.map(|expr| taken.number(expr)),
    }
}

/// An argument of a call, not computed for the records that the call's filter leaves out: it may fail on them.
fn guarded(argument: Expr, filter: Option<&Expr>) -> Expr {
    match (argument, filter) {
        (argument @ Expr::Column(_), _) | (argument, None) => argument,
        (argument, Some(filter)) => Expr::Case(Case::new(None, vec![(filter.clone().into(), argument.into())], None)),
    }
}

pub(super) fn aggregate_of(
    number: usize,
    call: &AggregateFunction,
    taken: Arguments,
    input: &SchemaRef,
) -> PlanResult<Aggregate> {
    let column = |i: usize| Arc::new(Column::new(input.field(i).name(), i)) as Arc<dyn PhysicalExpr>;
    let argument = |argument: Result<usize, Expr>| match argument {
        Ok(i) => column(i),
        Err(Expr::Literal(value, _)) => Arc::new(Literal::new(value)),
        Err(other) => unreachable!("only literals are not taken, and {other} is none"),
    };
    let sort = |(i, options)| PhysicalSortExpr { expr: column(i), options };
    let mut order: Vec<_> = taken.order.into_iter().map(sort).collect();
    if mergeable(call.func.name()).is_some_and(|entry| entry.ordered) {
        let place = input.fields().len() - PLACE_COLUMNS..input.fields().len();
        order.extend(place.map(|i| PhysicalSortExpr { expr: column(i), options: Default::default() }));
    }
    let mut inputs: Vec<_> = taken.arguments.into_iter().map(argument).collect();
    if call.func.name() == "sum" {
        inputs[0] = wide(inputs[0].clone(), input)?;
    }
    let ignore_nulls = call.params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let function: AggregateFunctionExpr = AggregateExprBuilder::new(call.func.clone(), inputs)
        .order_by(order)
        .schema(input.clone())
        .alias(format!("a{number}"))
        .with_ignore_nulls(ignore_nulls)
        .build()?;
    let function = Arc::new(function);
    let arguments = aggregate_expressions(std::slice::from_ref(&function), &AggregateMode::Partial, 0)?.remove(0);
    let state_columns = function.state_fields()?.len();
    Ok(Aggregate { function, arguments, filter: taken.filter, state_columns })
}

/// Whole numbers are added up in 128 bits: 64 of them would wrap around unseen. Whether the sum fits into the column of the result is
/// looked at when that is computed, so it does not matter in which order the numbers came.
fn wide(argument: Arc<dyn PhysicalExpr>, input: &Schema) -> PlanResult<Arc<dyn PhysicalExpr>> {
    Ok(match argument.data_type(input)? {
        DataType::Int64 | DataType::UInt64 => Arc::new(CastExpr::new(argument, DataType::Decimal128(38, 0), None)),
        _ => argument,
    })
}

/// The state columns of all aggregates, named by number: the engine's own names may repeat.
pub(super) fn state_columns(aggregates: &[Aggregate]) -> PlanResult<SchemaRef> {
    let mut fields = vec![];
    for aggregate in aggregates {
        for field in aggregate.function.state_fields()? {
            fields.push(Field::new(format!("s{}", fields.len()), field.data_type().clone(), true));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}
