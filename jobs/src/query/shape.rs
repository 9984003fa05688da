//! The second gate: the analyzed plan, node by node and expression by expression, against what is allowed.
//!
//! ```text
//! Projection/Filter/SubqueryAlias …      "above": per key, from the aggregate's result to the output row
//!   Aggregate                            at most one; none is an upsert job
//!     Projection/Filter/SubqueryAlias …  "below": per record
//!       Union ALL of the same, or a scan of an input
//! ```

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Volatility};

use super::aggregates::{instead_of, mergeable};
use super::checked::too_large;
use super::refusal::{Place, Refusal};
use super::syntax::Syntax;

/// A plan that can be run range by range.
pub(super) struct Shape {
    /// What turns the aggregate's result into the output row, from the top down; empty without an aggregate.
    pub(super) above: Vec<LogicalPlan>,
    /// The aggregate of a GROUP BY job.
    pub(super) aggregate: Option<Aggregate>,
    /// What turns records into the aggregate's input, or without an aggregate into output rows.
    pub(super) below: LogicalPlan,
}

impl Shape {
    /// Takes an analyzed plan apart, or says why it cannot be run range by range.
    pub(super) fn of(plan: LogicalPlan, syntax: &Syntax) -> Result<Self, Refusal> {
        let gate = Gate { syntax };
        let (mut above, mut node) = (vec![], plan.clone());
        loop {
            gate.expressions(&node)?;
            let below = match &node {
                LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
                    node.inputs()[0].clone()
                }
                LogicalPlan::Aggregate(aggregate) => {
                    let aggregate = aggregate.clone();
                    gate.aggregate(&aggregate)?;
                    gate.rows(&aggregate.input)?;
                    let below = aggregate.input.as_ref().clone();
                    return Ok(Shape { above, aggregate: Some(aggregate), below });
                }
                _ => {
                    gate.rows(&plan)?;
                    return Ok(Shape { above: vec![], aggregate: None, below: plan });
                }
            };
            above.push(std::mem::replace(&mut node, below));
        }
    }
}

struct Gate<'a> {
    syntax: &'a Syntax,
}

impl Gate<'_> {
    /// Refuses what is not per record.
    fn rows(&self, plan: &LogicalPlan) -> Result<(), Refusal> {
        self.expressions(plan)?;
        match plan {
            LogicalPlan::TableScan(_) => Ok(()),
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Union(_) => plan.inputs().into_iter().try_for_each(|input| self.rows(input)),
            LogicalPlan::Aggregate(_) => Err(Refusal::new(
                "NESTED_AGGREGATE",
                "an aggregate stands below another one or below UNION ALL",
                "aggregate once, after the UNION ALL; a second aggregate belongs in a job that reads the first one's topic",
            )
            .at(place_of(plan))),
            LogicalPlan::EmptyRelation(_) => {
                Err(Refusal::new("NO_INPUT", "a SELECT reads no input", "name an input of the job in FROM"))
            }
            other => Err(Refusal::new(
                "NOT_INCREMENTAL",
                format!("{} cannot be run range by range", node_name(other)),
                "use expressions, WHERE, UNION ALL, GROUP BY and HAVING",
            )
            .at(place_of(other).or_else(|| self.syntax.place_of_function(&node_name(other))))),
        }
    }

    /// Where a function is called first, under any of its names.
    fn place_of_call(&self, name: &str, aliases: &[String]) -> Option<Place> {
        let names = std::iter::once(name).chain(aliases.iter().map(String::as_str));
        names.filter_map(|name| self.syntax.place_of_function(name)).next()
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<(), Refusal> {
        if aggregate.group_expr.is_empty() {
            let first = aggregate.aggr_expr.first().map(|expr| expr.clone().unalias_nested().data);
            let place = match first {
                Some(Expr::AggregateFunction(call)) => self.place_of_call(call.func.name(), call.func.aliases()),
                _ => None,
            };
            let remedy = "add a constant to group by: SELECT 'all' AS scope, … GROUP BY 1";
            return Err(Refusal::new("NO_KEY", "an aggregate without GROUP BY has no key", remedy).at(place));
        }
        aggregate.aggr_expr.iter().try_for_each(|expr| match expr.clone().unalias_nested().data {
            Expr::AggregateFunction(function) => self.function(&function),
            other => Err(self.refuse_expression(&other)),
        })
    }

    fn function(&self, call: &AggregateFunction) -> Result<(), Refusal> {
        let name = call.func.name();
        let place = self.place_of_call(name, call.func.aliases());
        let Some(mergeable) = mergeable(name) else {
            let detail = format!("the aggregate `{name}` has no state of bounded size that can be merged");
            return Err(Refusal::new("AGGREGATE_NOT_MERGEABLE", detail, instead_of(name)).at(place));
        };
        if call.params.distinct {
            let detail = format!("`{name}(DISTINCT …)` needs every value of the past");
            return Err(
                Refusal::new("DISTINCT", detail, "use approx_distinct(x), or GROUP BY x in a job of its own").at(place)
            );
        }
        match (mergeable.ordered, call.params.order_by.is_empty()) {
            (true, true) => {
                let remedy = format!("write {name}(x ORDER BY time)");
                Err(Refusal::new("ORDER_NEEDED", format!("`{name}` without ORDER BY is not determined"), remedy)
                    .at(place))
            }
            (false, false) if !name.starts_with("approx_percentile") => {
                let detail = format!("the result of `{name}` does not depend on an order");
                Err(Refusal::new("ORDER_BY", detail, "remove ORDER BY").at(place))
            }
            _ => Ok(()),
        }
    }

    fn expressions(&self, plan: &LogicalPlan) -> Result<(), Refusal> {
        plan.expressions().iter().try_for_each(|expr| self.expression(expr))
    }

    /// Refuses an expression that holds anything that is not allowed.
    fn expression(&self, expr: &Expr) -> Result<(), Refusal> {
        let mut refusal = None;
        let walk = expr.apply(|part| {
            refusal = self.part(part).err();
            Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        walk.map_err(Refusal::planner)?;
        refusal.map_or(Ok(()), Err)
    }

    fn part(&self, expr: &Expr) -> Result<(), Refusal> {
        if let Some(number) = too_large(expr) {
            let detail = format!("`{expr}` is {number}, which does not fit into bigint");
            let remedy = "CAST one of its numbers AS DOUBLE, or AS DECIMAL(38, 0)";
            return Err(Refusal::new("INVALID_SQL", detail, remedy));
        }
        match expr {
            Expr::ScalarFunction(call) if of_the_engine(call.func.name()) => {
                let name = call.func.name();
                let detail =
                    format!("`{name}()` tells of the engine, which changes with an upgrade, and not of the record");
                let place = self.place_of_call(name, call.func.aliases());
                Err(Refusal::new("NOT_DETERMINISTIC", detail, "remove it").at(place))
            }
            Expr::ScalarFunction(call) if !is_stable(call.func.signature().volatility) => {
                let name = call.func.name();
                let detail = format!("`{name}()` gives another result when history is replayed");
                let remedy = "use a time that the record carries, such as _timestamp";
                let place = self.place_of_call(name, call.func.aliases());
                Err(Refusal::new("NOT_DETERMINISTIC", detail, remedy).at(place))
            }
            Expr::Alias(_)
            | Expr::Column(_)
            | Expr::Literal(..)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::ScalarFunction(_)
            | Expr::InList(_)
            | Expr::AggregateFunction(_) => Ok(()),
            other => Err(self.refuse_expression(other)),
        }
    }

    fn refuse_expression(&self, expr: &Expr) -> Refusal {
        let name = expr.variant_name();
        let place = place_in(expr).or_else(|| self.syntax.place_of_function(name));
        let remedy = match expr {
            Expr::Unnest(_) => "one record gives one row: take an item, as in tags[1], or send one record per item",
            Expr::Placeholder(_) => "write the value itself",
            _ => "use plain expressions",
        };
        Refusal::new("NOT_INCREMENTAL", format!("`{expr}` ({name}) cannot be run range by range"), remedy).at(place)
    }
}

/// Whether a function gives the same for the same arguments, for ever.
fn is_stable(volatility: Volatility) -> bool {
    volatility == Volatility::Immutable
}

/// Functions that are called immutable and are so only until the next upgrade of the engine.
fn of_the_engine(name: &str) -> bool {
    matches!(name, "version" | "arrow_typeof" | "arrow_metadata" | "arrow_field" | "with_metadata")
}

/// The name of a plan's top node, for people.
fn node_name(plan: &LogicalPlan) -> String {
    plan.display().to_string().split([':', ' ']).next().unwrap_or_default().to_owned()
}

/// Where the first column that a node names stands.
fn place_of(plan: &LogicalPlan) -> Option<Place> {
    plan.expressions().iter().find_map(place_in)
}

fn place_in(expr: &Expr) -> Option<Place> {
    let mut place = None;
    let _ = expr.apply(|part| {
        if let Expr::Column(column) = part {
            place = place.or(Place::of_spans(&column.spans));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    place
}
