//! Subqueries that stand for a value: the engine joins them to the query around them only when they are aggregated.
//!
//! One that may give one row at most gives the same when it is told to take its first; an array of a subquery is its aggregate.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, LimitClause, OrderBy, OrderByKind, Query, Select, SelectItem,
    SetExpr, Value, Visit, Visitor, visit_expressions_mut,
};

use super::nothing::{is_grouped, is_nothing};
use super::outer::spell_as_inner;
use super::{each_select, expression, sets};

/// Functions that give one value of many rows.
const AGGREGATES: [&str; 14] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "first_value",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// True for a column of an answer that aggregates.
pub(super) fn is_aggregated(item: &SelectItem) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return false };
    aggregates(expr)
}

fn aggregates(expr: &Expr) -> bool {
    expr.visit(&mut Aggregates { depth: 0 }).is_break()
}

/// Stops at an aggregate. What is aggregated within a subquery is that one's own affair.
struct Aggregates {
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && (self.depth == 0 && function.over.is_none())
            && AGGREGATES.contains(&sets::name(function).as_str())
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// `= ANY (SELECT …)` as `IN`.
pub(super) fn any_of(expr: &mut Expr) {
    let (left, right, negated) = match expr {
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, right, false),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, right, true),
        _ => return,
    };
    if let Expr::Subquery(subquery) = right.as_ref() {
        *expr = Expr::InSubquery { expr: left.clone(), subquery: subquery.clone(), negated };
    }
}

/// A subquery as a value. Those within it have been settled before.
pub(super) fn settle(expr: &mut Expr) {
    let settled = match expr {
        Expr::Subquery(query) if is_nothing(query) => Some(Expr::value(Value::Null)),
        Expr::Subquery(query) => {
            first(query);
            return;
        }
        Expr::Exists { subquery, negated } if is_nothing(subquery) => Some(Expr::value(Value::Boolean(*negated))),
        Expr::InSubquery { subquery, negated, .. } if is_nothing(subquery) => {
            Some(Expr::value(Value::Boolean(*negated)))
        }
        Expr::Function(Function { name, args: FunctionArguments::Subquery(query), .. })
            if name.to_string().eq_ignore_ascii_case("array") =>
        {
            if is_nothing(query) {
                expression("make_array()")
            } else {
                gathered(query)
            }
        }
        _ => return,
    };
    if let Some(settled) = settled {
        *expr = settled;
    }
}

/// Memberships among the columns of an answer and in its order: the engine knows them in conditions alone.
pub(super) fn in_answer(query: &mut Query) {
    each_select(&mut query.body, &mut |select| {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                as_values(expr);
            }
        }
    });
    if let Some(OrderBy { kind: OrderByKind::Expressions(by), .. }) = &mut query.order_by {
        by.iter_mut().for_each(|by| as_values(&mut by.expr));
    }
}

fn as_values(expr: &mut Expr) {
    let _ = visit_expressions_mut(expr, |part| {
        let value = match part {
            Expr::InSubquery { expr, subquery, negated } => gathered(subquery).and_then(|list| {
                let not = if *negated { "NOT " } else { "" };
                expression(&format!("{not}coalesce(array_contains({list}, {expr}), false)"))
            }),
            Expr::Exists { subquery, negated } => counted(subquery).and_then(|count| {
                let is = if *negated { "=" } else { ">" };
                expression(&format!("coalesce({count}, 0) {is} 0"))
            }),
            _ => None,
        };
        if let Some(value) = value {
            *part = value;
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The one select of a subquery, and the one expression that it gives.
fn single(query: &mut Query) -> Option<&mut Select> {
    let limited = match &query.limit_clause {
        None => false,
        Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) => limit.to_string() != "1",
        Some(_) => true,
    };
    if limited || query.fetch.is_some() || query.with.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let plain = !select.from.is_empty() && !is_grouped(select) && select.having.is_none() && select.distinct.is_none();
    let [item] = select.projection.as_slice() else { return None };
    let is_value = matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    (plain && is_value && !is_aggregated(item)).then_some(select)
}

/// Aggregates the one expression of a subquery; false where it is left as it is.
fn aggregate(query: &mut Query, function: &str) -> bool {
    let by = query.order_by.as_ref().map(ToString::to_string);
    let Some(select) = single(query) else { return false };
    spell_as_inner(select);
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] = select.projection.as_mut_slice()
    else {
        return false;
    };
    // A number in ORDER BY is the column's place, and there is one column.
    let by = match by {
        Some(by) if by == "ORDER BY 1" => format!("ORDER BY {expr}"),
        by => by.unwrap_or_default(),
    };
    let Some(whole) = expression(&format!("{function}({expr} {by})")) else { return false };
    *expr = whole;
    (query.order_by, query.limit_clause) = (None, None);
    true
}

fn first(query: &mut Query) {
    aggregate(query, "first_value");
}

/// The rows of a subquery as one list, empty without any.
fn gathered(query: &Query) -> Option<Expr> {
    let mut query = query.clone();
    aggregate(&mut query, "array_agg").then_some(())?;
    expression(&format!("coalesce(({query}), make_array())"))
}

fn counted(query: &Query) -> Option<Expr> {
    let mut query = query.clone();
    let select = single(&mut query)?;
    spell_as_inner(select);
    select.projection = vec![SelectItem::UnnamedExpr(expression("count(*)")?)];
    expression(&format!("({query})"))
}
