//! Which values of a column a query can be about, told from its conditions. Pure.
//!
//! The answer may be too much, never too little: whoever reads by it still evaluates the conditions on every row.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator, TryCast};

/// More spans than this are taken as one: a list of a thousand offsets is worth reading one by one, one of a million is not.
const MAX_SPANS: usize = 1_000;

/// Values from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Spans that rise and do not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// All values of `column` with which every one of `conditions` can hold.
    pub(super) fn of(column: &str, conditions: &[Expr]) -> Spans {
        conditions.iter().fold(Spans::all(), |spans, condition| spans.and(&of_condition(column, condition)))
    }

    /// The spans.
    pub(super) fn iter(&self) -> impl Iterator<Item = Span> {
        self.0.iter().copied()
    }

    /// True when the value is in one of them.
    pub(super) fn contain(&self, value: i64) -> bool {
        self.0.iter().any(|span| span.from <= value && value <= span.to)
    }

    /// From the least to the greatest value; `None` when there is no value at all.
    pub(super) fn hull(&self) -> Option<Span> {
        Some(Span { from: self.0.first()?.from, to: self.0.last()?.to })
    }

    fn all() -> Spans {
        Spans::between(i64::MIN, i64::MAX)
    }

    fn between(from: i64, to: i64) -> Spans {
        Spans(if from <= to { vec![Span { from, to }] } else { Vec::new() })
    }

    fn and(&self, other: &Spans) -> Spans {
        let meet = |a: &Span| {
            let a = *a;
            other.0.iter().map(move |b| Span { from: a.from.max(b.from), to: a.to.min(b.to) })
        };
        Spans::joined(self.0.iter().flat_map(meet).filter(|span| span.from <= span.to).collect())
    }

    fn or(self, other: Spans) -> Spans {
        Spans::joined(self.0.into_iter().chain(other.0).collect())
    }

    fn joined(mut spans: Vec<Span>) -> Spans {
        spans.sort();
        let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match joined.last_mut().filter(|last| span.from <= last.to.saturating_add(1)) {
                Some(last) => last.to = last.to.max(span.to),
                None => joined.push(span),
            }
        }
        let joined = Spans(joined);
        match joined.hull() {
            Some(Span { from, to }) if joined.0.len() > MAX_SPANS => Spans::between(from, to),
            _ => joined,
        }
    }
}

fn of_condition(column: &str, condition: &Expr) -> Spans {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            of_condition(column, left).and(&of_condition(column, right))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            of_condition(column, left).or(of_condition(column, right))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (value(right), value(left)) {
            (Some(value), _) if is(column, left) => compared(*op, value),
            (_, Some(value)) if is(column, right) => op.swap().map_or_else(Spans::all, |op| compared(op, value)),
            _ => Spans::all(),
        },
        Expr::Between(Between { expr, negated: false, low, high }) if is(column, expr) => {
            match (value(low), value(high)) {
                (Some(low), Some(high)) => compared(Operator::GtEq, low).and(&compared(Operator::LtEq, high)),
                _ => Spans::all(),
            }
        }
        Expr::InList(InList { expr, list, negated: false }) if is(column, expr) => {
            let values = list.iter().map(value).collect::<Option<Vec<_>>>();
            let one = |value: Value| compared(Operator::Eq, value).0;
            values.map_or_else(Spans::all, |values| Spans::joined(values.into_iter().flat_map(one).collect()))
        }
        _ => Spans::all(),
    }
}

/// True for the column itself, and for a cast of it that keeps every value apart.
fn is(column: &str, expr: &Expr) -> bool {
    match expr {
        Expr::Column(found) => found.name == column,
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let keeps = field.data_type().is_integer()
                || matches!(field.data_type(), DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _));
            keeps && is(column, expr)
        }
        _ => false,
    }
}

/// A value in the unit of the column, rounded down, and whether it is so exactly.
type Value = (i64, bool);

/// What a literal comes to; times in microseconds.
fn value(expr: &Expr) -> Option<Value> {
    let Expr::Literal(literal, _) = expr else { return None };
    match literal {
        ScalarValue::Int8(value) => Some((i64::from((*value)?), true)),
        ScalarValue::Int16(value) => Some((i64::from((*value)?), true)),
        ScalarValue::Int32(value) => Some((i64::from((*value)?), true)),
        ScalarValue::Int64(value) => Some(((*value)?, true)),
        ScalarValue::UInt8(value) => Some((i64::from((*value)?), true)),
        ScalarValue::UInt16(value) => Some((i64::from((*value)?), true)),
        ScalarValue::UInt32(value) => Some((i64::from((*value)?), true)),
        ScalarValue::UInt64(value) => i64::try_from((*value)?).ok().map(|value| (value, true)),
        ScalarValue::TimestampSecond(time, _) => Some(((*time)?.checked_mul(1_000_000)?, true)),
        ScalarValue::TimestampMillisecond(time, _) => Some(((*time)?.checked_mul(1_000)?, true)),
        ScalarValue::TimestampMicrosecond(time, _) => Some(((*time)?, true)),
        ScalarValue::TimestampNanosecond(time, _) => Some(((*time)?.div_euclid(1_000), (*time)? % 1_000 == 0)),
        _ => None,
    }
}

fn compared(op: Operator, (floor, exact): Value) -> Spans {
    match op {
        Operator::Eq if exact => Spans::between(floor, floor),
        Operator::Eq => Spans::between(floor, floor.saturating_add(1)),
        Operator::Gt if exact => floor.checked_add(1).map_or(Spans(Vec::new()), |from| Spans::between(from, i64::MAX)),
        Operator::Gt | Operator::GtEq => Spans::between(floor, i64::MAX),
        Operator::Lt if exact => floor.checked_sub(1).map_or(Spans(Vec::new()), |to| Spans::between(i64::MIN, to)),
        Operator::Lt | Operator::LtEq => Spans::between(i64::MIN, floor),
        _ => Spans::all(),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, lit};
    use datafusion::prelude::{col, in_list};

    use super::*;

    fn spans(conditions: &[Expr]) -> Vec<(i64, i64)> {
        Spans::of("_offset", conditions).iter().map(|span| (span.from, span.to)).collect()
    }

    #[test]
    fn conditions_leave_the_values_with_which_they_can_hold() {
        let offset = || col("_offset");
        assert_eq!(spans(&[offset().gt_eq(lit(100_i64)), offset().lt(lit(200_i64))]), [(100, 199)]);
        assert_eq!(spans(&[lit(5_i64).lt(offset()).and(offset().lt_eq(lit(7_i64)))]), [(6, 7)]);
        assert_eq!(spans(&[offset().eq(lit(3_i64)).or(offset().eq(lit(9_i64)))]), [(3, 3), (9, 9)]);
        assert_eq!(spans(&[in_list(offset(), vec![lit(4_i64), lit(3_i64), lit(8_i64)], false)]), [(3, 4), (8, 8)]);
        assert_eq!(spans(&[offset().between(lit(2_i64), lit(4_i64))]), [(2, 4)]);
        assert_eq!(spans(&[offset().gt(lit(4_i64)), offset().lt(lit(4_i64))]), []);
        assert_eq!(spans(&[cast(offset(), DataType::UInt64).eq(lit(7_u64))]), [(7, 7)]);
    }

    #[test]
    fn what_is_not_understood_leaves_every_value() {
        let offset = || col("_offset");
        let all = [(i64::MIN, i64::MAX)];
        assert_eq!(spans(&[]), all);
        assert_eq!(spans(&[offset().not_eq(lit(3_i64))]), all);
        assert_eq!(spans(&[(offset() % lit(2_i64)).eq(lit(0_i64))]), all);
        assert_eq!(spans(&[col("price").gt(lit(3_i64))]), all);
        assert_eq!(spans(&[offset().eq(lit(3_i64)).or(col("price").gt(lit(3_i64)))]), all);
        assert_eq!(spans(&[cast(offset(), DataType::Utf8).eq(lit("3"))]), all);
    }

    #[test]
    fn times_come_to_microseconds_and_never_lose_a_moment() {
        let at = |nanos: i64| lit(ScalarValue::TimestampNanosecond(Some(nanos), None));
        let offset = || cast(col("_offset"), DataType::Timestamp(TimeUnit::Nanosecond, None));
        assert_eq!(spans(&[offset().gt(at(1_500))]), [(1, i64::MAX)]);
        assert_eq!(spans(&[offset().lt(at(2_000))]), [(i64::MIN, 1)]);
        assert_eq!(spans(&[offset().lt(at(2_001))]), [(i64::MIN, 2)]);
    }

    #[test]
    fn a_very_long_list_is_read_as_one_span() {
        let list = (0..2_000).map(|i| lit(i * 3_i64)).collect();
        assert_eq!(spans(&[in_list(col("_offset"), list, false)]), [(0, 5_997)]);
    }
}
