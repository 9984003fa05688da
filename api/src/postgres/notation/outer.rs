//! Columns of the query around a subquery: the engine joins the two by `=` alone.
//!
//! What is compared otherwise with a column of the query around it is spelled as the inner column that it equals.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Select, SelectItem, TableFactor, visit_expressions_mut,
};

/// Where `inner = outer` is a condition, `outer` is `inner` in the others and in the answer.
pub(super) fn spell_as_inner(select: &mut Select) {
    let mut inner = HashSet::new();
    for tables in &select.from {
        for factor in std::iter::once(&tables.relation).chain(tables.joins.iter().map(|join| &join.relation)) {
            inner.extend(name_of_table(factor));
        }
    }
    let Some(condition) = select.selection.take() else { return };
    let mut conditions = Vec::new();
    split(condition, &mut conditions);
    let equal: Vec<(Expr, Expr)> = conditions.iter().filter_map(|condition| as_equal(condition, &inner)).collect();
    let spell = |expr: &mut Expr| {
        let _ = visit_expressions_mut(expr, |part| {
            if let Some((_, inner)) = equal.iter().find(|(outer, _)| outer == part) {
                *part = inner.clone();
            }
            ControlFlow::<()>::Continue(())
        });
    };
    for condition in &mut conditions {
        if as_equal(condition, &inner).is_none() {
            spell(condition);
        }
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            spell(expr);
        }
    }
    let both = |left, right| Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) };
    select.selection = conditions.into_iter().reduce(both);
}

fn split(condition: Expr, into: &mut Vec<Expr>) {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split(*left, into);
            split(*right, into);
        }
        Expr::Nested(inner) if matches!(*inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) => split(*inner, into),
        other => into.push(other),
    }
}

/// The outer column of a condition, and the inner one that it equals.
fn as_equal(condition: &Expr, inner: &HashSet<String>) -> Option<(Expr, Expr)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
    let is_inner = |expr: &Expr| match expr {
        Expr::CompoundIdentifier(names) => Some(inner.contains(&qualifier(names))),
        _ => None,
    };
    match (is_inner(left)?, is_inner(right)?) {
        (true, false) => Some((right.as_ref().clone(), left.as_ref().clone())),
        (false, true) => Some((left.as_ref().clone(), right.as_ref().clone())),
        _ => None,
    }
}

/// The table that a column's name says, without its schema.
fn qualifier(names: &[Ident]) -> String {
    names.len().checked_sub(2).map(|n| names[n].value.to_lowercase()).unwrap_or_default()
}

fn name_of_table(factor: &TableFactor) -> Option<String> {
    let alias = match factor {
        TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
            alias
        }
        _ => return None,
    };
    let name = match (alias, factor) {
        (Some(alias), _) => alias.name.value.clone(),
        (None, TableFactor::Table { name, .. }) => name.0.last()?.as_ident()?.value.clone(),
        _ => return None,
    };
    Some(name.to_lowercase())
}
