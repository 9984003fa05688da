//! The ways from one input each to the common columns: a plan with UNION ALL taken apart.
//!
//! Branches are numbered in the order of the SQL. The number is part of the order in which records compete (see [`super::upsert`] and
//! ordered aggregates), so it never depends on what an optimizer finds.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, SubqueryAlias};

/// Takes a plan that passed [`super::shape`] apart into one linear plan per scan, all with the columns of `plan`.
pub(super) fn branches(plan: &LogicalPlan) -> Result<Vec<LogicalPlan>> {
    match plan {
        LogicalPlan::Union(union) => {
            let mut all = vec![];
            for input in &union.inputs {
                for branch in branches(input)? {
                    all.push(renamed(branch, plan)?);
                }
            }
            Ok(all)
        }
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            let below = branches(plan.inputs()[0])?;
            below.into_iter().map(|branch| over(plan, branch)).collect()
        }
        scan => Ok(vec![scan.clone()]),
    }
}

/// A linear plan without its filters, so that every record passes, and with the named columns of the record behind its own.
pub(super) fn unfiltered(plan: &LogicalPlan, carried: &[String]) -> Result<LogicalPlan> {
    let below = match plan {
        LogicalPlan::Filter(filter) => return unfiltered(&filter.input, carried),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => unfiltered(plan.inputs()[0], carried)?,
        scan => return carrying(scan, carried),
    };
    match plan {
        LogicalPlan::Projection(node) => {
            let columns = below.schema().columns();
            let behind = columns.into_iter().rev().take(carried.len()).rev();
            let exprs = node.expr.iter().cloned().chain(behind.map(Expr::Column)).collect();
            Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(below))?))
        }
        other => over(other, below),
    }
}

/// A scan with some of its columns once more, under names that no SQL has.
fn carrying(scan: &LogicalPlan, carried: &[String]) -> Result<LogicalPlan> {
    if carried.is_empty() {
        return Ok(scan.clone());
    }
    let columns = scan.schema().columns();
    let twice = carried.iter().enumerate().filter_map(|(i, name)| {
        let column = columns.iter().find(|column| column.name == *name)?;
        Some(Expr::Column(column.clone()).alias(format!("order {i}")))
    });
    let exprs = columns.iter().cloned().map(Expr::Column).chain(twice).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(scan.clone()))?))
}

/// The top node of `plan`, standing over another input with the same columns.
fn over(plan: &LogicalPlan, input: LogicalPlan) -> Result<LogicalPlan> {
    let input = Arc::new(input);
    Ok(match plan {
        LogicalPlan::Projection(node) => LogicalPlan::Projection(Projection::try_new(node.expr.clone(), input)?),
        LogicalPlan::Filter(node) => LogicalPlan::Filter(Filter::try_new(node.predicate.clone(), input)?),
        LogicalPlan::SubqueryAlias(node) => {
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(input, node.alias.clone())?)
        }
        other => other.clone(),
    })
}

/// A branch of a union under the union's column names.
fn renamed(branch: LogicalPlan, union: &LogicalPlan) -> Result<LogicalPlan> {
    let wanted = union.schema().iter();
    let columns = branch.schema().columns().into_iter().zip(wanted);
    let columns = columns
        .map(|(column, (relation, field))| Expr::Column(column).alias_qualified(relation.cloned(), field.name()));
    Ok(LogicalPlan::Projection(Projection::try_new(columns.collect(), Arc::new(branch))?))
}
