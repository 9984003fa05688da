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

/// The plan without its filters: every record passes.
pub(super) fn unfiltered(plan: &LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Filter(filter) => unfiltered(&filter.input),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => over(plan, unfiltered(plan.inputs()[0])?),
        scan => Ok(scan.clone()),
    }
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
